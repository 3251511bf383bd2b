//! `lubu sandbox`: the platforms alone.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Args;
use lubu_sandbox::{Options, Platform};

use super::Done;

#[derive(Debug, Args)]
pub struct Sandbox {
    /// 监听地址 Where to listen
    #[arg(long, default_value = "127.0.0.1:8030")]
    listen: SocketAddr,
}

impl Sandbox {
    pub async fn run(&self) -> Done {
        let running = lubu_sandbox::start(Options {
            listen: self.listen,
            ..Options::default()
        })
        .await?;
        println!("模拟平台  http://{}/", running.address());
        println!("故障开关  http://{}/faults", running.address());
        for (name, platform) in [
            ("微信", Platform::Wechat),
            ("微博", Platform::Weibo),
            ("门户", Platform::Portal),
        ] {
            println!("{name}接口  {}", running.base(platform));
        }
        println!("Ctrl-C 结束");
        lubu::daemon::told_to_stop().await?;
        running.stop().await;
        Ok(ExitCode::SUCCESS)
    }
}

//! `lubu preview`: what a channel would show, without network.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::client::{Daemon, segment};
use super::submit::query;
use super::{Common, Done, print_json};

#[derive(Debug, Args)]
pub struct Preview {
    /// 信息编号 The item
    item: String,
    /// 渠道 The channel
    #[arg(long)]
    channel: String,
    /// 版本，缺省为最新 The revision [default: the newest]
    #[arg(long)]
    revision: Option<u32>,
    /// 写到哪个文件，缺省为标准输出 The file to write [default: stdout]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Preview {
    pub async fn run(self, common: &Common) -> Done {
        let daemon = Daemon::new(common)?;
        let revision = self
            .revision
            .map(|number| number.to_string())
            .unwrap_or_default();
        let query = query(&[("channel", &self.channel), ("revision", &revision)]);
        let html = daemon
            .text(&format!(
                "/v1/items/{}/preview?{query}",
                segment(&self.item)
            ))
            .await?;
        match self.output {
            Some(path) => {
                std::fs::write(&path, html)?;
                if common.json {
                    print_json(&serde_json::json!({
                        "item": self.item, "channel": self.channel, "file": path,
                    }))?;
                } else {
                    println!("已写入 {}", path.display());
                }
            }
            None if common.json => print_json(&serde_json::json!({
                "item": self.item, "channel": self.channel, "html": html,
            }))?,
            None => println!("{html}"),
        }
        Ok(ExitCode::SUCCESS)
    }
}

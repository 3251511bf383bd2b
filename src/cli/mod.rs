//! The command line: one file a command. Everything but `serve`, `demo`, `init`, `config check`, `audit`,
//! `store` and `sandbox` talks to the daemon over its socket.

mod approve;
mod audit;
mod bar;
mod channels;
mod client;
mod config;
mod demo;
mod init;
mod keep;
mod person;
mod preview;
mod sandbox;
mod schedules;
mod sending;
mod serve;
mod show;
mod status;
mod store;
mod submit;
mod table;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// 露布：把签发的信息发到委网站、市门户、微信和微博，并看清每一条在哪里。
/// Publishes signed-off items on every channel and shows what is where.
#[derive(Debug, Parser)]
#[command(name = "lubu", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Common {
    /// 配置文件 The configuration file [default: lubu.toml, or $LUBU_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// 守护进程的套接字，缺省取自配置 The daemon's socket [default: from the configuration]
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// 以 JSON 输出 Answer in JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// 运行守护进程 Run the daemon
    Serve,
    /// 在本机演示全过程 Do the whole job on this machine, with the platforms played on loopback
    Demo(demo::Demo),
    /// 写一份带注释的配置 Write a commented configuration
    Init(init::Init),
    /// 配置：检查、解释、重新加载 The configuration: check, explain, reload
    Config(config::ConfigCommand),
    /// 提交稿件 Submit items
    Submit(submit::Submit),
    /// 提交更正 Submit a new revision of an item
    Revise(submit::Revise),
    /// 签发 Approve an item
    Approve(approve::Approve),
    /// 看某个渠道会显示什么 Write what a channel would show
    Preview(preview::Preview),
    /// 哪条在哪里 What is where
    Status(status::Status),
    /// 一条信息的每次尝试 Every attempt of an item
    Show(show::Show),
    /// 再看一遍已发布的内容还在不在、变没变 Look again at what is published
    Verify(verify::Verify),
    /// 渠道：列出、检查、暂停、恢复 Channels: list, check, pause, resume
    Channels(channels::Channels),
    /// 再试一次没有发成的投递 Try a failed delivery again
    Retry(person::Retry),
    /// 人工核实的结果 What a person saw on the platform
    Confirm(person::Confirm),
    /// 从所有渠道撤下 Take an item down everywhere
    Withdraw(person::Withdraw),
    /// 立即停止一切发送（撤下照常）Stop all sending at once; withdrawals go on
    StopSending(sending::Stop),
    /// 恢复发送 Let sending go on
    ResumeSending(sending::By),
    /// 确认系统时间无误 Say that the clock, which is in doubt, is right
    ConfirmClock(sending::By),
    /// 定期发布 Schedules, their next and last runs
    Schedules,
    /// 审计日志 The audit log
    Audit(audit::Audit),
    /// 备份，守护进程可以不停 Make a backup; the daemon may run
    Backup(keep::Backup),
    /// 由备份恢复出新的数据目录 Make a data folder from a backup
    Restore(keep::Restore),
    /// 接管恢复或复制来的数据目录，此后才会发送 Take a restored or copied data folder over; only then is anything sent
    Adopt(keep::Adopt),
    /// 放行因恢复而暂缓的投递 Let go what was held because the data was restored
    Release(keep::Release),
    /// 彻底清除一条信息（涉密、隐私），须先撤下并停止守护进程 Remove every trace of an item: secrecy, privacy
    Erase(keep::Erase),
    /// 数据目录：核对、重建、修复 The data folder: check, rebuild, repair
    Store(store::Store),
    /// 只运行模拟平台 Run the played platforms alone
    Sandbox(sandbox::Sandbox),
}

/// Why a command did not do it: the sentence for stderr.
#[derive(Debug)]
enum Failed {
    No(String),
    /// The daemon runs and is still opening its store.
    NotReady(String),
}

/// The exit code of [`Failed::NotReady`].
const NOT_READY: u8 = 3;

impl<E: std::fmt::Display> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::No(error.to_string())
    }
}

type Done = Result<ExitCode, Failed>;

/// Exit codes: 0 done, 1 not done, 2 wrong usage (clap's), 3 the daemon is not ready yet. `verify` that found something is not done.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("lubu: {error}");
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(run(cli));
    // A blocking read of a dead network folder must not hold the exit.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match done {
        Ok(code) => code,
        Err(Failed::No(why)) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
        Err(Failed::NotReady(why)) => {
            eprintln!("{why}");
            ExitCode::from(NOT_READY)
        }
    }
}

async fn run(cli: Cli) -> Done {
    let common = &cli.common;
    match cli.command {
        Command::Serve => serve::run(common).await,
        Command::Demo(demo) => demo.run().await,
        Command::Init(init) => init.run(common),
        Command::Config(command) => command.run(common).await,
        Command::Submit(submit) => submit.run(common).await,
        Command::Revise(revise) => revise.run(common).await,
        Command::Approve(approve) => approve.run(common).await,
        Command::Preview(preview) => preview.run(common).await,
        Command::Status(status) => status.run(common).await,
        Command::Show(show) => show.run(common).await,
        Command::Verify(verify) => verify.run(common).await,
        Command::Channels(channels) => channels.run(common).await,
        Command::Retry(retry) => retry.run(common).await,
        Command::Confirm(confirm) => confirm.run(common).await,
        Command::Withdraw(withdraw) => withdraw.run(common).await,
        Command::StopSending(stop) => stop.run(common).await,
        Command::ResumeSending(by) => by.resume(common).await,
        Command::ConfirmClock(by) => by.clock(common).await,
        Command::Schedules => schedules::run(common).await,
        Command::Audit(audit) => audit.run(common),
        Command::Backup(backup) => backup.run(common).await,
        Command::Restore(restore) => tokio::task::block_in_place(|| restore.run(common)),
        Command::Adopt(adopt) => adopt.run(common).await,
        Command::Release(release) => release.run(common).await,
        Command::Erase(erase) => tokio::task::block_in_place(|| erase.run(common)),
        Command::Store(store) => tokio::task::block_in_place(|| store.run(common)),
        Command::Sandbox(sandbox) => sandbox.run().await,
    }
}

impl Common {
    /// The file named, or `$LUBU_CONFIG`, or `lubu.toml` here.
    fn config_path(&self) -> PathBuf {
        self.config
            .clone()
            .or_else(|| std::env::var_os("LUBU_CONFIG").map(PathBuf::from))
            .unwrap_or_else(|| PathBuf::from("lubu.toml"))
    }

    fn load(&self) -> Result<lubu::config::Config, Failed> {
        lubu::config::load(&self.config_path(), &lubu_channels::registry::adapters())
            .map_err(Failed::from)
    }
}

/// Prints a value as JSON.
fn print_json(value: &impl serde::Serialize) -> Result<(), Failed> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Who is at the keyboard, where a command does not say.
fn me() -> String {
    std::env::var("USER").unwrap_or_else(|_| "cli".to_owned())
}

//! `lubu backup`, `restore`, `adopt`, `release`: keeping the data, and starting again from a copy.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use lubu::http::store::{AdoptBody, BackupBody, ReleaseBody};
use lubu::model::attempt::Outcome;
use lubu::service::{HeldView, Released, StoreView};
use lubu::store::embedded::{self, Copied, OpenError};
use lubu::store::local::Local;

use super::bar::Bar;
use super::client::Daemon;
use super::store::{options, refused};
use super::{Common, Done, Failed, me, print_json};

#[derive(Debug, Args)]
pub struct Backup {
    /// 备份到哪个目录；已有的备份只补新增部分 The folder; an earlier backup there is brought up to date
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

#[derive(Debug, Args)]
pub struct Restore {
    /// 备份所在目录 The backup
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// 恢复成哪个数据目录，须为空 The new data folder; it must be empty
    #[arg(long, value_name = "DATA")]
    to: PathBuf,
    /// 谁 Who [default: $USER]
    #[arg(long)]
    by: Option<String>,
}

#[derive(Debug, Args)]
pub struct Adopt {
    /// 谁接管 Who takes it over
    #[arg(long)]
    by: String,
    /// 有些投递还没到平台核对也先接管（它们仍然暂缓） Though some have not been looked for; they stay held
    #[arg(long)]
    unseen: bool,
}

#[derive(Debug, Args)]
pub struct Release {
    /// 放行所有因恢复而暂缓的投递 Everything that was held because the data was restored
    #[arg(long, required = true)]
    all_held: bool,
    /// 谁 Who
    #[arg(long)]
    by: String,
}

impl Backup {
    pub async fn run(self, common: &Common) -> Done {
        let to = std::path::absolute(&self.to)?;
        let data = common.load()?.daemon.data;
        let bar = Bar::new();
        let alone = tokio::task::block_in_place(|| {
            Local::open(
                &data,
                std::sync::Arc::new(lubu::clock::Real::default()),
                lubu::store::Rules::default(),
            )
        });
        let copied: Copied = match alone {
            Ok((store, _)) => tokio::task::block_in_place(|| {
                let copied = store.backup_blocking(&to, &|files| bar.at("备份", files, 0));
                store.close_blocking();
                copied
            })
            .map_err(|error| Failed(format!("备份失败：{error}\nfailed to {error}")))?,
            // The daemon has it, and does it.
            Err(OpenError::Locked { .. }) => {
                let daemon = Daemon::new(common)?;
                daemon
                    .post("/v1/store/backup", &BackupBody { to: to.clone() })
                    .await?
            }
            Err(error) => return Err(refused(&error)),
        };
        bar.end();
        if common.json {
            print_json(&copied)?;
        } else {
            println!(
                "已备份到 {}：截至序号 {}，新写 {} 个文件（{} 字节），沿用 {} 个。",
                to.display(),
                copied.sequence,
                copied.files,
                copied.bytes,
                copied.kept
            );
            damaged(&copied);
        }
        Ok(exit(&copied))
    }
}

fn damaged(copied: &Copied) {
    for name in &copied.damaged {
        println!("✕ 附件 {name} 的内容与其哈希不符");
    }
}

fn exit(copied: &Copied) -> ExitCode {
    if copied.damaged.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

impl Restore {
    pub fn run(self, common: &Common) -> Done {
        let bar = Bar::new();
        let by = self.by.unwrap_or_else(me);
        let options = options(&self.to);
        let copied =
            embedded::restore(&self.from, &options, &by, &|files| bar.at("恢复", files, 0));
        bar.end();
        let copied = copied.map_err(|error| refused(&error))?;
        if common.json {
            print_json(&copied)?;
            return Ok(exit(&copied));
        }
        println!(
            "已恢复到 {}：截至序号 {}，{} 个文件。",
            self.to.display(),
            copied.sequence,
            copied.files
        );
        damaged(&copied);
        println!(
            "备份之后可能还有发送或撤下，故暂不发送。把配置的 data 指向此目录，lubu serve 后运行"
        );
        println!("lubu adopt --by 姓名  核对各平台后恢复发送");
        Ok(exit(&copied))
    }
}

impl Adopt {
    pub async fn run(self, common: &Common) -> Done {
        let daemon = Daemon::new(common)?;
        let body = AdoptBody {
            by: self.by,
            unseen: self.unseen,
        };
        let view: StoreView = daemon.post("/v1/store/adoption", &body).await?;
        if common.json {
            print_json(&view)?;
            return Ok(ExitCode::SUCCESS);
        }
        println!("已接管，可以发送。");
        held(&view.held);
        Ok(ExitCode::SUCCESS)
    }
}

/// What waits for a person, with what the look found beside it.
pub fn held(held: &[HeldView]) {
    if held.is_empty() {
        return;
    }
    println!("因数据恢复而暂缓的投递 {} 条：", held.len());
    for one in held {
        let look = match one.look {
            None => "尚未核对",
            Some(Outcome::Found) => "平台上有",
            Some(Outcome::Absent) => "平台上没有",
            Some(_) => "核对不出",
        };
        let words = one.words.as_deref().unwrap_or_default();
        println!("  {}  {look} {words}\n      《{}》", one.id, one.title);
    }
    println!("逐条放行用 lubu retry 投递编号；确认都可以继续时运行");
    println!("lubu release --all-held --by 姓名");
}

impl Release {
    pub async fn run(self, common: &Common) -> Done {
        let daemon = Daemon::new(common)?;
        let body = ReleaseBody { by: self.by };
        let done: Released = daemon.post("/v1/store/release", &body).await?;
        if common.json {
            print_json(&done)?;
        } else {
            println!("已放行 {} 条。", done.released);
            println!("lubu status  看它们到哪里了");
        }
        Ok(ExitCode::SUCCESS)
    }
}

//! `lubu backup`, `restore`, `adopt`, `release`, `erase`: keeping the data, starting again from a copy, not keeping it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use lubu::http::store::{AdoptBody, BackupBody, ReleaseBody};
use lubu::ids::ItemId;
use lubu::model::attempt::Outcome;
use lubu::service::{HeldView, Released, StoreView};
use lubu::store::act::Actor;
use lubu::store::embedded::{self, Copied, Erased, Erasure, NotErased, OpenError, Options};
use lubu::store::local::Local;
use lubu::store::office::{self, Office};
use lubu::store::{Act, Rules};

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
    #[command(flatten)]
    later: Later,
}

/// What was erased after the backup must not come back.
#[derive(Debug, Args)]
#[group(required = true, multiple = false, id = "later")]
pub struct Later {
    /// 备份之后的清除清单（lubu erase --list 的输出），一并清除 What was erased since, as `lubu erase --list` printed it
    #[arg(long, value_name = "FILE")]
    erasures: Option<PathBuf>,
    /// 备份之后没有清除过任何信息 Nothing was erased since
    #[arg(long)]
    no_erasures: bool,
}

#[derive(Debug, Args)]
pub struct Erase {
    /// 信息编号，32 位全写 The item, all 32 digits
    #[arg(required_unless_present = "list")]
    item: Option<ItemId>,
    /// 理由（涉密、个人隐私等） Why: secrecy, privacy
    #[arg(long, required_unless_present = "list")]
    reason: Option<String>,
    /// 谁决定的 Who decided
    #[arg(long, required_unless_present = "list")]
    by: Option<String>,
    /// 列出已清除的信息；恢复旧备份时要用 List what was erased; restoring an older backup asks for it
    #[arg(long, conflicts_with_all = ["item", "reason", "by"])]
    list: bool,
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
                std::sync::Arc::new(lubu::clock::Real::of(&data)),
                Rules::default(),
            )
        });
        let copied: Copied = match alone {
            Ok((store, _)) => tokio::task::block_in_place(|| {
                let copied = store.backup_blocking(&to, &|files| bar.at("备份", files, 0));
                store.close_blocking();
                copied
            })
            .map_err(|error| Failed::No(format!("备份失败：{error}\nfailed to {error}")))?,
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
        // Read before anything is copied: a list that is no list must not leave half a restore.
        let later = match &self.later.erasures {
            Some(file) => listed(&std::fs::read_to_string(file)?)?,
            None => Vec::new(),
        };
        let options = options(&self.to);
        let copied =
            embedded::restore(&self.from, &options, &by, &|files| bar.at("恢复", files, 0));
        bar.end();
        let copied = copied.map_err(|error| refused(&error))?;
        for item in later {
            erase_one(&options, item, &by, "restore", true)?;
        }
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

/// The ids in a list of erasures: the first word of each line.
fn listed(text: &str) -> Result<Vec<ItemId>, Failed> {
    let lines = text
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    lines
        .map(|word| {
            word.parse().map_err(|error| {
                Failed::No(format!(
                    "清除清单有误：每行以信息编号开头（lubu erase --list 的输出）。\nfailed to {error}"
                ))
            })
        })
        .collect()
}

fn erase_one(
    options: &Options,
    item: ItemId,
    by: &str,
    reason: &str,
    outdated: bool,
) -> Result<Erased, Failed> {
    let actor = Actor::new(by, "cli");
    let erasure = Erasure {
        item: &item.to_string(),
        by,
        reason,
        act: Act::Erase {
            actor,
            item,
            outdated,
        },
        belongs: &|key, value| office::belongs(item, key, value),
    };
    let domain = || Office::new(Rules::default());
    embedded::erase(options, &domain, erasure).map_err(|error| match error {
        NotErased::Open(OpenError::Locked { .. }) => Failed::No(
            "清除要重建数据目录，请先停止守护进程。\nstop the daemon first: an erasure makes the folder anew.".into(),
        ),
        NotErased::Open(error) => refused(&error),
        NotErased::Refused(refusal) => {
            let words = refusal.words();
            Failed::No(format!("{}\n{}", words.zh, words.en))
        }
        other => Failed::No(format!("清除没有完成，请再次运行同一命令：{other}\nfailed to {other}")),
    })
}

impl Erase {
    pub fn run(self, common: &Common) -> Done {
        let data = common.load()?.daemon.data;
        let (Some(item), Some(by), Some(reason)) = (self.item, self.by, self.reason) else {
            return list(&data, common.json);
        };
        if reason.trim().is_empty() || by.trim().is_empty() {
            return Err(Failed::No(
                "清除必须写明理由（--reason）和决定人（--by）。\nan erasure names its reason and who decided.".into(),
            ));
        }
        let erased = erase_one(&options(&data), item, &by, &reason, false)?;
        if common.json {
            print_json(&serde_json::json!({
                "item": item.to_string(), "records": erased.records, "blobs": erased.blobs,
            }))?;
            return Ok(ExitCode::SUCCESS);
        }
        if !erased.records {
            println!("没有信息 {item}，或已经清除。");
            return Ok(ExitCode::SUCCESS);
        }
        println!(
            "已清除 {item} 的全部记录和 {} 个附件；审计日志只留编号。",
            erased.blobs
        );
        println!("此前的备份里仍有它：请更新或销毁，恢复旧备份时要附清除清单");
        println!("lubu erase --list > 清除清单.txt");
        Ok(ExitCode::SUCCESS)
    }
}

fn list(data: &std::path::Path, json: bool) -> Done {
    for (stamp, header) in embedded::erasures(data)? {
        let at = lubu_channels::Timestamp::from_timestamp_millis(stamp.time_ms).unwrap_or_default();
        let at = lubu::service::view::time(at);
        let item = header.outcome.unwrap_or_default();
        if json {
            let line = serde_json::json!({ "item": item, "at": at, "by": header.who });
            println!("{line}");
        } else {
            println!("{item}  {at}  {}", header.who);
        }
    }
    Ok(ExitCode::SUCCESS)
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
            if !done.left.is_empty() {
                println!(
                    "以下没有放行：核对不出平台上有没有，成批放行可能重复公开。请到平台上看过，再逐条"
                );
                println!("lubu confirm（已在平台上）或 lubu retry（确认没有）：");
                for id in &done.left {
                    println!("  {id}");
                }
            }
            println!("lubu status  看它们到哪里了");
        }
        Ok(ExitCode::SUCCESS)
    }
}

//! `lubu audit`: the journal, read without the daemon.

use std::ops::ControlFlow;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use lubu::store::embedded::audit::{self, Unverified};

use super::{Common, Done, Failed};

#[derive(Debug, Args)]
pub struct Audit {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// 核对整条日志链 Check the whole chain, and name the first broken entry
    Verify,
    /// 逐条列出 List the entries
    List {
        /// 从哪个序号起 From this sequence on
        #[arg(long, default_value_t = 1)]
        from: u64,
    },
}

impl Audit {
    pub fn run(&self, common: &Common) -> Done {
        let config = common.load()?;
        match self.what {
            What::Verify => verify(&config.daemon.data, common.json),
            What::List { from } => list(&config.daemon.data, from, common.json),
        }
    }
}

fn verify(data: &std::path::Path, json: bool) -> Done {
    match audit::verify(data) {
        Ok(whole) => {
            if json {
                super::print_json(&serde_json::json!({
                    "whole": true, "entries": whole.entries, "segments": whole.segments,
                    "sequence": whole.sequence.to_string(), "head": whole.head,
                }))?;
            } else {
                println!(
                    "日志完整：{} 条记录，{} 个文件，逐条核对无误。链尾 {}",
                    whole.entries, whole.segments, whole.head
                );
                println!("请把链尾抄送他处保存：日后核对时，此前的记录一条也改动不得。");
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(Unverified::Broken(damage)) => {
            let (segment, offset) = (damage.segment, damage.offset);
            let sequence = damage.sequence;
            let why = Unverified::Broken(damage);
            if json {
                super::print_json(&serde_json::json!({
                    "whole": false, "sequence": sequence.to_string(), "segment": segment,
                    "offset": offset, "reason": why.to_string(),
                }))?;
                return Ok(ExitCode::FAILURE);
            }
            Err(Failed::No(format!(
                "日志有损坏：第 {sequence} 条记录（第 {segment} 个文件，第 {offset} 字节）起不可信，之前的记录无误。请停止使用并从备份恢复。\nfailed to {why}"
            )))
        }
        Err(why @ Unverified::Io(_)) => Err(Failed::No(format!(
            "读不到 {} 里的日志。守护进程运行过吗？\nfailed to {why}",
            data.display()
        ))),
    }
}

fn list(data: &std::path::Path, from: u64, json: bool) -> Done {
    audit::entries(data, from, &mut |stamp, header| {
        let at = lubu_channels::Timestamp::from_timestamp_millis(stamp.time_ms).unwrap_or_default();
        let at = lubu::service::view::time(at);
        if json {
            let line = serde_json::json!({
                "sequence": stamp.sequence.to_string(), "at": at, "who": header.who,
                "from": header.from, "what": header.what, "item": header.item,
                "delivery": header.delivery, "outcome": header.outcome,
            });
            println!("{line}");
        } else {
            let part = |text: &Option<String>| text.clone().unwrap_or_default();
            println!(
                "{:>8}  {at}  {} {} {} {} {} {}",
                stamp.sequence,
                header.from,
                header.who,
                header.what,
                part(&header.item),
                part(&header.delivery),
                part(&header.outcome)
            );
        }
        ControlFlow::Continue(())
    })?;
    Ok(ExitCode::SUCCESS)
}

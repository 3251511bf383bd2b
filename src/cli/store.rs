//! `lubu store`: looking after the data folder. Needs no daemon; what writes needs the folder to itself.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use lubu::store::embedded::{self, Checked, Opened, Options, Rebuilt};
use lubu::store::local::{self, Local};
use lubu::store::office::Office;

use super::bar::Bar;
use super::{Common, Done, Failed, me, print_json};

#[derive(Debug, Args)]
pub struct Store {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// 核对全部数据：日志链、基准文件、附件、状态库（守护进程运行时不比对状态库）
    /// Check everything: chain, bases, blobs, state (the state only while no daemon runs)
    Check,
    /// 由基准文件和日志重建状态库，须先停止守护进程
    /// Make the state anew from base and journal; the daemon must be stopped
    Rebuild,
    /// 日志损坏且没有备份时，接受缺口继续使用；此后须 lubu adopt 才会发送
    /// Go on without what is damaged; nothing is sent before `lubu adopt`
    AcceptGap {
        /// 谁决定的 Who decided [default: $USER]
        #[arg(long)]
        by: Option<String>,
        /// 理由，写入日志 The reason; it goes into the journal
        #[arg(long)]
        reason: String,
    },
}

impl Store {
    pub fn run(self, common: &Common) -> Done {
        let data = common.load()?.daemon.data;
        match self.what {
            What::Check => check(&data, common.json),
            What::Rebuild => rebuild(&data, common.json),
            What::AcceptGap { by, reason } => {
                accept_gap(&data, &by.unwrap_or_else(me), &reason, common.json)
            }
        }
    }
}

pub fn options(data: &Path) -> Options {
    local::options(data, Arc::new(lubu::clock::Real::of(data)))
}

/// The sentence for a folder that does not open.
pub fn refused(error: &embedded::OpenError) -> Failed {
    Failed::No(format!("{}\nfailed to {error}", error.zh()))
}

fn check(data: &Path, json: bool) -> Done {
    let bar = Bar::new();
    let checked = embedded::check::<Office>(&options(data), &|what, done| bar.at(what, done, 0));
    bar.end();
    let checked = checked.map_err(|error| refused(&error))?;
    if json {
        let findings: Vec<_> = checked
            .findings
            .iter()
            .map(|finding| {
                let (zh, en) = finding.words();
                serde_json::json!({ "zh": zh, "en": en })
            })
            .collect();
        print_json(&serde_json::json!({
            "whole": checked.findings.is_empty(), "findings": findings,
            "entries": checked.entries, "bases": checked.bases, "blobs": checked.blobs,
            "records": checked.records,
        }))?;
    } else {
        tell(&checked);
    }
    Ok(if checked.findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn tell(checked: &Checked) {
    for finding in &checked.findings {
        let (zh, en) = finding.words();
        println!("✕ {zh}\n  {en}");
    }
    println!(
        "日志 {} 条，基准文件 {} 个，附件 {} 个",
        checked.entries, checked.bases, checked.blobs
    );
    match checked.records {
        Some(count) => println!("状态库 {count} 条，已与日志逐条比对"),
        None if checked.findings.is_empty() => {
            println!("守护进程正在运行，未比对状态库；要比对请先停止守护进程");
        }
        None => {}
    }
    if checked.findings.is_empty() {
        println!("没有发现问题。");
    } else {
        println!("发现 {} 处问题。", checked.findings.len());
    }
}

fn rebuild(data: &Path, json: bool) -> Done {
    let bar = Arc::new(Bar::new());
    let mut options = options(data);
    let told = Arc::clone(&bar);
    options.on_progress = Arc::new(move |at| told.at("重建", at.sequence, at.of));
    embedded::forget_state(&options).map_err(|error| refused(&error))?;
    let opened = Local::open_with(&options, lubu::store::Rules::default());
    bar.end();
    let (store, opened) = opened.map_err(|error| refused(&error))?;
    if let Some(damage) = &opened.damage {
        return Err(refused(&embedded::OpenError::Damaged(damage.clone())));
    }
    store.close_blocking();
    report(&opened, json)
}

fn report(opened: &Opened, json: bool) -> Done {
    let done = matches!(opened.rebuilt, Some(Rebuilt::NoCheckpoint));
    if json {
        print_json(&serde_json::json!({
            "rebuilt": done, "base": opened.base, "entries": opened.replayed,
            "bad_bases": opened.bad_bases.iter().map(|bad| bad.sequence).collect::<Vec<_>>(),
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for bad in &opened.bad_bases {
        println!("✕ 基准文件 {} 不可用：{}", bad.sequence, bad.why);
    }
    match opened.base {
        Some(base) => println!(
            "状态库已重建：由序号 {base} 的基准文件和其后 {} 条日志。",
            opened.replayed
        ),
        None => println!("状态库已重建：由 {} 条日志。", opened.replayed),
    }
    Ok(ExitCode::SUCCESS)
}

fn accept_gap(data: &Path, by: &str, reason: &str, json: bool) -> Done {
    if reason.trim().is_empty() {
        return Err(Failed::No(
            "接受缺口必须写明理由（--reason）。\na gap is accepted with a reason (--reason)."
                .into(),
        ));
    }
    let options = options(data);
    let found = embedded::accept_gap(&options, by, reason).map_err(|error| refused(&error))?;
    if !found.is_empty() {
        // Opened once, so that it is known to open, and so that the journal says who and why.
        let opened = Local::open_with(&options, lubu::store::Rules::default());
        let (store, opened) = opened.map_err(|error| refused(&error))?;
        store.close_blocking();
        if let Some(damage) = opened.damage {
            return Err(refused(&embedded::OpenError::Damaged(damage)));
        }
    }
    if json {
        let places: Vec<_> = found
            .iter()
            .map(|at| {
                serde_json::json!({
                    "segment": at.segment, "offset": at.offset, "sequence": at.sequence,
                })
            })
            .collect();
        print_json(&serde_json::json!({ "accepted": places }))?;
        return Ok(ExitCode::SUCCESS);
    }
    if found.is_empty() {
        println!("日志完整，没有缺口可接受。");
        return Ok(ExitCode::SUCCESS);
    }
    for at in &found {
        println!(
            "已接受：第 {} 段第 {} 字节起（序号 {}）",
            at.segment, at.offset, at.sequence
        );
    }
    println!("缺失的记录里可能有已发出的内容，故暂不发送。");
    println!("lubu serve 后运行 lubu adopt --by 姓名  核对各平台后恢复发送");
    Ok(ExitCode::SUCCESS)
}

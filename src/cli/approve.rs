//! `lubu approve`.

use std::process::ExitCode;

use clap::Args;
use lubu::http::api::{ApproveBody, ApprovedBody};
use lubu::model::approval::OnCorrection;
use lubu::model::scope::Scope;

use super::client::{Daemon, segment};
use super::{Common, Done, Failed, print_json};

#[derive(Debug, Args)]
pub struct Approve {
    /// 信息编号 The item
    item: String,
    /// 签发人 Who signs
    #[arg(long)]
    by: String,
    /// 签发意见 The opinion
    #[arg(long, default_value = "")]
    opinion: String,
    /// 版本，缺省为最新 The revision [default: the newest]
    #[arg(long)]
    revision: Option<u32>,
    /// 发布范围 public|intranet|restricted|withheld [default: what the item proposes]
    #[arg(long)]
    scope: Option<Scope>,
    /// 不能在原处更正的渠道怎么办 CHANNEL=leave or CHANNEL=replace
    #[arg(long, value_name = "CHANNEL=CHOICE", value_parser = choice)]
    on_correction: Vec<(String, OnCorrection)>,
    /// 本次不发的渠道 A channel that this revision skips
    #[arg(long, value_name = "CHANNEL")]
    without: Vec<String>,
}

fn choice(text: &str) -> Result<(String, OnCorrection), String> {
    let (channel, choice) = text
        .split_once('=')
        .ok_or("写成 渠道=leave 或 渠道=replace")?;
    let choice = match choice {
        "leave" => OnCorrection::Leave,
        "replace" => OnCorrection::Replace,
        _ => return Err("写成 渠道=leave（保留旧稿）或 渠道=replace（先撤后发）".to_owned()),
    };
    Ok((channel.to_owned(), choice))
}

impl Approve {
    pub async fn run(self, common: &Common) -> Done {
        let daemon = Daemon::new(common)?;
        let body = ApproveBody {
            by: self.by,
            opinion: self.opinion,
            revision: self.revision,
            scope: self.scope,
            on_correction: self.on_correction,
            without: self.without,
        };
        let done = approve(&daemon, &self.item, &body).await?;
        if common.json {
            print_json(&done)?;
            return Ok(ExitCode::SUCCESS);
        }
        println!(
            "已签发 {} 第 {} 版（{}）",
            done.item,
            done.revision,
            done.scope.zh()
        );
        for one in &done.deliveries {
            println!("  {} {} {}", one.state.glyph(), one.channel, one.state.zh());
        }
        println!("lubu show {}  看每次尝试", &done.item);
        Ok(ExitCode::SUCCESS)
    }
}

pub async fn approve(
    daemon: &Daemon,
    item: &str,
    body: &ApproveBody,
) -> Result<ApprovedBody, Failed> {
    daemon
        .post(&format!("/v1/items/{}/approval", segment(item)), body)
        .await
}

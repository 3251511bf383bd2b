//! `lubu show`: one item's whole story.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::Args;
use lubu::model::attempt::Outcome;
use lubu::service::view::ShowView;

use super::client::{Daemon, segment};
use super::{Common, Done, Failed, print_json};

#[derive(Debug, Args)]
pub struct Show {
    /// 信息编号，或 ITEM:CHANNEL 只看一个渠道 The item, or one delivery of it
    item: String,
}

impl Show {
    pub async fn run(self, common: &Common) -> Done {
        let daemon = Daemon::new(common)?;
        let (item, channel) = match self.item.split_once(':') {
            Some((item, channel)) => (item, Some(channel)),
            None => (self.item.as_str(), None),
        };
        let path = format!("/v1/items/{}", segment(item));
        let mut show: ShowView = daemon.get(&path).await?;
        if let Some(channel) = channel {
            show.timeline
                .retain(|part| part.delivery.channel == channel);
            if show.timeline.is_empty() {
                return Err(Failed::No(format!(
                    "这条信息在“{channel}”上没有投递。\nthis item has no delivery on `{channel}`."
                )));
            }
        }
        if common.json {
            print_json(&show)?;
        } else {
            print(&show);
        }
        Ok(ExitCode::SUCCESS)
    }
}

pub fn print(show: &ShowView) {
    let item = &show.item;
    println!("{}", item.title);
    println!(
        "编号 {}  分类 {} {}",
        item.id, item.category, item.category_name
    );
    if let Some(no) = &item.index_no {
        println!("索引号 {no}");
    }
    for one in &show.revisions {
        let signed = match &one.approval {
            Some(signed) => format!(
                "{} 签发（{}）{} {}",
                signed.by,
                signed.scope.zh(),
                signed.opinion,
                local(&signed.at)
            ),
            None => "未签发".to_owned(),
        };
        println!(
            "第 {} 版  {} 拟稿 {}  {signed}",
            one.number,
            one.by,
            local(&one.at)
        );
    }
    for part in &show.timeline {
        let one = &part.delivery;
        println!();
        println!(
            "{} {}  {}  {}",
            one.state.glyph(),
            one.channel,
            one.state.zh(),
            one.url.as_deref().unwrap_or_default()
        );
        if let Some(reason) = &one.reason {
            println!("  {reason}");
        }
        if let Some(found) = &one.finding {
            let accepted = if found.accepted {
                "，已由人工接受"
            } else {
                ""
            };
            println!(
                "  ! {}（自 {}{accepted}）：{}",
                found.kind.zh(),
                local(&found.since),
                found.reason
            );
            if !found.accepted {
                println!("    {}", found.advice);
            }
        }
        if let Some(next) = &one.next_at {
            println!("  下次 {}", local(next));
        }
        for attempt in &part.attempts {
            let reason = attempt.reason.as_deref().unwrap_or_default();
            println!(
                "  {:>3}  {}  {}  {}  {reason}",
                attempt.number,
                local(&attempt.began),
                outcome(attempt.outcome),
                attempt.step
            );
        }
    }
}

pub fn local(text: &str) -> String {
    in_zone(text, chrono_tz::Asia::Shanghai)
}

pub fn in_zone(text: &str, zone: chrono_tz::Tz) -> String {
    match text.parse::<DateTime<Utc>>() {
        Ok(at) => at
            .with_timezone(&zone)
            .format("%Y-%m-%d %H:%M:%S")
            .to_string(),
        Err(_) => text.to_owned(),
    }
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Open => "进行中",
        Outcome::Done => "完成",
        Outcome::Again => "未成",
        Outcome::Never => "被拒",
        Outcome::Blocked => "受阻",
        Outcome::Unsure => "不明",
        Outcome::Found => "看到",
        Outcome::Absent => "没有",
        Outcome::CannotTell => "看不出",
        Outcome::Person => "人工",
    }
}

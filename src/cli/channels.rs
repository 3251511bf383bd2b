//! `lubu channels`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use lubu::http::api::ByBody;
use lubu::service::view::{ChannelView, CheckView};
use serde::{Deserialize, Serialize};

use super::client::{Daemon, segment};
use super::submit::query;
use super::table::{self, Cell};
use super::{Common, Done, me, print_json};

#[derive(Debug, Args)]
pub struct Channels {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// 试一试凭据、权限和连接 Try credentials, permissions and connection
    Check { channel: Option<String> },
    /// 暂停 Pause a channel
    Pause {
        channel: String,
        /// 为什么 Why
        #[arg(long)]
        reason: String,
        /// 谁 Who [default: $USER]
        #[arg(long)]
        by: Option<String>,
        /// 到什么时候自动恢复（RFC 3339）When it ends by itself
        #[arg(long)]
        until: Option<lubu_channels::Timestamp>,
    },
    /// 恢复 Resume a channel
    Resume {
        channel: String,
        /// 谁 Who [default: $USER]
        #[arg(long)]
        by: Option<String>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Listed {
    pub channels: Vec<ChannelView>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Checked {
    checks: Vec<CheckView>,
}

impl Channels {
    pub async fn run(self, common: &Common) -> Done {
        let daemon = Daemon::new(common)?;
        let listed: Listed = match self.what {
            None => daemon.get("/v1/channels").await?,
            Some(What::Check { channel }) => {
                return check(common, &daemon, channel.as_deref()).await;
            }
            Some(What::Pause {
                channel,
                reason,
                by,
                until,
            }) => {
                let body = ByBody {
                    by: by.unwrap_or_else(me),
                    reason,
                    until,
                };
                daemon
                    .post(&format!("/v1/channels/{}/pause", segment(&channel)), &body)
                    .await?
            }
            Some(What::Resume { channel, by }) => {
                let by = by.unwrap_or_else(me);
                let body = ByBody {
                    by,
                    reason: String::new(),
                    until: None,
                };
                daemon
                    .post(&format!("/v1/channels/{}/resume", segment(&channel)), &body)
                    .await?
            }
        };
        if common.json {
            print_json(&listed)?;
            return Ok(ExitCode::SUCCESS);
        }
        for line in lines(&listed.channels) {
            println!("{line}");
        }
        for line in unknown(&listed.channels) {
            println!("{line}");
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn lines(channels: &[ChannelView]) -> Vec<String> {
    let rows: Vec<Vec<Cell>> = channels
        .iter()
        .map(|one| {
            let (words, style) = match one.state.as_str() {
                "open" => ("● 正常", "32"),
                "paused" => ("‖ 暂停", "36"),
                "quiet" => ("‖ 静默", "36"),
                "unlisted" => ("↻ 待列出", "33"),
                "removed" => ("‖ 已移除", "36"),
                _ => ("↻ 等待恢复", "33"),
            };
            let counts: Vec<String> = one
                .counts
                .iter()
                .map(|(state, count)| format!("{} {count}", state.zh()))
                .collect();
            vec![
                Cell::plain(&one.name),
                Cell::plain(&one.adapter),
                Cell {
                    text: words.to_owned(),
                    style,
                },
                Cell::plain(if counts.is_empty() {
                    "—".to_owned()
                } else {
                    counts.join("、")
                }),
                Cell::plain(one.reason.clone().unwrap_or_default()),
            ]
        })
        .collect();
    let head = ["渠道", "适配器", "状态", "未完", "原因"];
    table::lines(&head, &rows, table::width(), table::coloured())
}

/// Whole, and not in a table: what stops a channel must be looked at one by one.
pub fn unknown(channels: &[ChannelView]) -> Vec<String> {
    let mut lines = Vec::new();
    for one in channels {
        if one.state == "unlisted" {
            let reason = one.reason.as_deref().unwrap_or_default();
            lines.push(String::new());
            lines.push(format!(
                "↻ {} 暂不发送（撤下和核对照常）：{reason}",
                one.name
            ));
        }
        let posts = one.survey.as_ref().map(|survey| &survey.unknown);
        let Some(posts) = posts.filter(|posts| !posts.is_empty()) else {
            continue;
        };
        let reason = one.reason.as_deref().unwrap_or_default();
        lines.push(String::new());
        lines.push(format!("✕ {} 已停发：{reason}", one.name));
        for post in posts {
            let item = post.item.as_deref().unwrap_or("不知是哪条信息");
            let unsent = if post.unsent {
                "，这里记为未发"
            } else {
                ""
            };
            let place = post.url.as_deref().unwrap_or(&post.remote_id);
            let when = post.published.as_deref().map(super::show::local);
            let when = when.unwrap_or_default();
            lines.push(format!(
                "  {when}  《{}》  {item}{unsent}  {place}",
                post.title
            ));
        }
    }
    lines
}

async fn check(common: &Common, daemon: &Daemon, channel: Option<&str>) -> Done {
    let query = query(&[("channel", channel.unwrap_or_default())]);
    let body = serde_json::json!({});
    let checked: Checked = daemon
        .post(&format!("/v1/channels/check?{query}"), &body)
        .await?;
    let ok = checked.checks.iter().all(|one| one.ok);
    if common.json {
        print_json(&checked)?;
    } else {
        for one in &checked.checks {
            println!("{} {}", if one.ok { "●" } else { "✕" }, one.channel);
            for line in &one.lines {
                println!("    {}", line.zh);
            }
            if let Some(expires) = &one.expires {
                println!("    凭据有效期至 {}", super::show::local(expires));
            }
        }
    }
    Ok(if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

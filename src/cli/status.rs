//! `lubu status`: the table of items and channels.

use std::process::ExitCode;

use clap::Args;
use lubu::service::StoreView;
use lubu::service::view::{DeliveryView, ItemView};
use serde::{Deserialize, Serialize};

use super::channels::{Listed, unknown};
use super::client::Daemon;
use super::sending::{self, Sending};
use super::submit::query;
use super::table::{self, Cell};
use super::{Common, Done};

#[derive(Debug, Args)]
pub struct Status {
    /// 只看这一条 One item
    item: Option<String>,
    /// 只看这个渠道 One channel
    #[arg(long)]
    channel: Option<String>,
    /// 只看这个状态 One state, such as failed
    #[arg(long)]
    state: Option<String>,
    /// 最多几条 Most items
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Deliveries {
    pub deliveries: Vec<DeliveryView>,
    pub next: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Items {
    pub items: Vec<ItemView>,
}

impl Status {
    pub async fn run(self, common: &Common) -> Done {
        let daemon = Daemon::new(common)?;
        let limit = self.limit.to_string();
        let query = query(&[
            ("item", self.item.as_deref().unwrap_or_default()),
            ("channel", self.channel.as_deref().unwrap_or_default()),
            ("state", self.state.as_deref().unwrap_or_default()),
            ("limit", &limit),
        ]);
        if common.json {
            let deliveries: Deliveries = daemon.get(&format!("/v1/deliveries?{query}")).await?;
            super::print_json(&deliveries)?;
            return Ok(ExitCode::SUCCESS);
        }
        let sending: Sending = daemon.get("/v1/sending").await?;
        for line in sending::lines(&sending) {
            println!("{line}\n");
        }
        let listed: Listed = daemon.get("/v1/channels").await?;
        for line in unknown(&listed.channels) {
            println!("{line}");
        }
        let store: StoreView = daemon.get("/v1/store").await?;
        if !store.healthy || !store.adopted {
            println!("✕ {}", store.words);
        }
        super::keep::held(&store.held);
        let Items { items } = daemon.get(&format!("/v1/items?{query}")).await?;
        if items.is_empty() {
            let all = self.item.is_none() && self.channel.is_none() && self.state.is_none();
            println!(
                "{}",
                if all {
                    "还没有信息。lubu submit 稿件.md  提交一份"
                } else {
                    "没有符合条件的投递。lubu status  查看全部"
                }
            );
            return Ok(ExitCode::SUCCESS);
        }
        let mut channels: Vec<String> = Vec::new();
        for one in items.iter().flat_map(|item| &item.deliveries) {
            if !channels.contains(&one.channel) {
                channels.push(one.channel.clone());
            }
        }
        channels.sort();
        for line in rows(&items, &channels, table::width(), table::coloured()) {
            println!("{line}");
        }
        attention(&items);
        Ok(ExitCode::SUCCESS)
    }
}

/// The table's lines.
pub fn rows(items: &[ItemView], channels: &[String], width: usize, colour: bool) -> Vec<String> {
    let mut head = vec!["信息", "编号"];
    head.extend(channels.iter().map(String::as_str));
    let rows: Vec<Vec<Cell>> = items
        .iter()
        .map(|item| {
            let mut row = vec![Cell::plain(&item.title), Cell::plain(short(&item.id))];
            row.extend(channels.iter().map(|channel| {
                let found = item.deliveries.iter().find(|one| one.channel == *channel);
                found.map_or_else(
                    || {
                        Cell::plain(if item.approved_revision.is_none() {
                            "未签发"
                        } else {
                            "—"
                        })
                    },
                    |one| Cell::state(one.state),
                )
            }));
            row
        })
        .collect();
    table::lines(&head, &rows, width, colour)
}

/// Enough of an id to tell items of one office apart: its time, to the millisecond, and some chance.
fn short(id: &str) -> String {
    id.chars().take(16).collect()
}

/// Found on looking again, and left to a person.
fn stands(one: &DeliveryView) -> bool {
    let found = one.finding.as_ref();
    found.is_some_and(|found| !found.accepted && found.kind.is_alarm())
}

fn attention(items: &[ItemView]) {
    let waiting: Vec<&DeliveryView> = items
        .iter()
        .flat_map(|item| &item.deliveries)
        .filter(|one| one.needs_person || stands(one))
        .collect();
    if waiting.is_empty() {
        return;
    }
    println!();
    for one in &waiting {
        let found = one.finding.as_ref().filter(|_| stands(one));
        let reason = match found {
            Some(found) => format!("{}。{}", found.reason, found.advice),
            None => one.reason.clone().unwrap_or_default(),
        };
        println!(
            "{} {}《{}》：{reason}",
            if found.is_some() {
                "!"
            } else {
                one.state.glyph()
            },
            one.channel,
            table::cut(&one.title, 40)
        );
    }
    if let Some(one) = waiting.first() {
        println!("lubu show {}  看每次尝试", short(&one.item));
    }
}

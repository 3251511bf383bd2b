//! `lubu verify`: look again at what is published.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use lubu::http::verify::{OrderBody, Standing};
use lubu::service::view::DeliveryView;
use serde::{Deserialize, Serialize};

use super::bar::Bar;
use super::client::Daemon;
use super::show::in_zone;
use super::submit::query;
use super::table::{self, Cell};
use super::{Common, Done};

/// Looks at the daemon's progress so often.
const ASKED: Duration = Duration::from_millis(150);

#[derive(Debug, Args)]
pub struct Verify {
    /// 只看这一条，或 ITEM:CHANNEL One item, or one delivery of it
    item: Option<String>,
    /// 只看这个渠道 One channel
    #[arg(long)]
    channel: Option<String>,
    /// 不再看，只列出已知的发现和上次巡查 Look at nothing; tell what is known
    #[arg(long)]
    status: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Told {
    findings: Vec<DeliveryView>,
    next: Option<String>,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Outcome {
    #[serde(flatten)]
    standing: Standing,
    findings: Vec<DeliveryView>,
}

impl Verify {
    pub async fn run(mut self, common: &Common) -> Done {
        let daemon = Daemon::new(common)?;
        if let Some((item, channel)) = self.item.as_deref().and_then(|text| text.split_once(':')) {
            self.channel = Some(channel.to_owned());
            self.item = Some(item.to_owned());
        }
        let standing: Standing = if self.status {
            daemon.get("/v1/verify").await?
        } else {
            self.look(&daemon).await?
        };
        let findings = self.findings(&daemon).await?;
        let looked = standing.ordered.counts.looked;
        let stopped = standing
            .ordered
            .channels
            .iter()
            .any(|one| one.stopped.is_some());
        // A check that could look at nothing has not found everything well.
        let unable = !self.status && (standing.ordered.trouble.is_some() || stopped && looked == 0);
        let code = if findings.is_empty() && !unable {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
        if common.json {
            super::print_json(&Outcome { standing, findings })?;
        } else {
            self.print(&standing, &findings);
        }
        Ok(code)
    }

    async fn look(&self, daemon: &Daemon) -> Result<Standing, super::Failed> {
        let body = OrderBody {
            item: self.item.clone(),
            channel: self.channel.clone(),
        };
        let mut standing: Standing = daemon.post("/v1/verify", &body).await?;
        let bar = Bar::new();
        while standing.ordered.running {
            tokio::time::sleep(ASKED).await;
            standing = daemon.get("/v1/verify").await?;
            bar.at("核对", standing.ordered.counts.looked, 0);
        }
        bar.end();
        Ok(standing)
    }

    async fn findings(&self, daemon: &Daemon) -> Result<Vec<DeliveryView>, super::Failed> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let query = query(&[
                ("item", self.item.as_deref().unwrap_or_default()),
                ("channel", self.channel.as_deref().unwrap_or_default()),
                ("cursor", &cursor),
                ("limit", "500"),
            ]);
            let page: Told = daemon.get(&format!("/v1/findings?{query}")).await?;
            all.extend(page.findings);
            match page.next {
                Some(next) => cursor = next,
                None => return Ok(all),
            }
        }
    }

    fn print(&self, standing: &Standing, findings: &[DeliveryView]) {
        let zone = standing.nights.timezone.parse();
        let zone = zone.unwrap_or(chrono_tz::Asia::Shanghai);
        let ordered = &standing.ordered;
        if self.status {
            nights(standing, zone);
        } else {
            let counts = ordered.counts;
            println!(
                "看了 {} 条：正常 {}，新发现 {}，已恢复 {}，看不出 {}",
                counts.looked, counts.well, counts.found, counts.cleared, counts.blind
            );
            for one in &ordered.channels {
                if let Some(why) = &one.stopped {
                    println!("{}：{why}（{} 条没有看）", one.channel, one.counts.left);
                }
            }
            if let Some(trouble) = &ordered.trouble {
                println!("✕ {trouble}");
            }
        }
        if findings.is_empty() {
            println!("没有发现问题。");
            return;
        }
        println!();
        for line in rows(findings, zone) {
            println!("{line}");
        }
        println!();
        for one in findings {
            if let Some(found) = &one.finding {
                let title = table::cut(&one.title, 40);
                println!("{}《{title}》：{}", one.channel, found.reason);
                println!("  {}", found.advice);
            }
        }
    }
}

fn nights(standing: &Standing, zone: chrono_tz::Tz) {
    let nights = &standing.nights;
    match &nights.next {
        Some(next) => println!("下次巡查 {}", in_zone(next, zone)),
        None => println!("没有定时巡查（[verify] cron 为空）"),
    }
    for one in &nights.last {
        let counts = one.counts;
        let when = match &one.ended {
            Some(ended) => format!("上次巡查 {}", in_zone(ended, zone)),
            None => format!("巡查中，{} 开始", in_zone(&one.began, zone)),
        };
        let stopped = one.stopped.as_deref().unwrap_or_default();
        println!(
            "{}  {when}  看了 {} 条，新发现 {}，没有看 {}  {stopped}",
            one.channel, counts.looked, counts.found, counts.left
        );
    }
}

fn rows(findings: &[DeliveryView], zone: chrono_tz::Tz) -> Vec<String> {
    let rows: Vec<Vec<Cell>> = findings
        .iter()
        .filter_map(|one| {
            let found = one.finding.as_ref()?;
            Some(vec![
                Cell::plain(&one.title),
                Cell::plain(&one.item),
                Cell::plain(&one.channel),
                Cell {
                    text: format!("! {}", found.kind.zh()),
                    style: "1;31",
                },
                Cell::plain(in_zone(&found.since, zone)),
            ])
        })
        .collect();
    let head = ["信息", "编号", "渠道", "发现", "始于"];
    table::lines(&head, &rows, table::width(), table::coloured())
}

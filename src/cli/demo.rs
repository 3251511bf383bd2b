//! `lubu demo`: the main job on one machine, with the platforms played on loopback.
//!
//! It is the real daemon on an empty folder, driven through the same door as everybody: nothing
//! here knows a short cut. The table is redrawn in place on a terminal; elsewhere each change is
//! one line.

mod samples;

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use lubu::clock::{Real, Time as _};
use lubu::daemon::{self, Daemon};
use lubu::model::delivery::PublicState;
use lubu::service::view::ItemView;
use lubu::service::{Approve, Filter, Submit};
use lubu::{config, telemetry};
use lubu_channels::Clock as _;
use lubu_sandbox::{Options, Platform, Running};

use super::init::random_token;
use super::{Done, Failed, status, table};
use samples::SAMPLES;

#[derive(Debug, Args)]
pub struct Demo {
    /// 全部发布后退出:成功为 0,否则列出原因 Exit once all is published, 0 if it is
    #[arg(long)]
    once: bool,
    /// 演示用的目录,缺省为新的临时目录 The folder to use [default: a new temporary one]
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// How long everything may take before `--once` gives up.
const PATIENCE: Duration = Duration::from_mins(3);

impl Demo {
    pub async fn run(&self) -> Done {
        let folder = match &self.folder {
            Some(folder) => folder.clone(),
            None => std::env::temp_dir().join(format!("lubu-demo-{}", std::process::id())),
        };
        std::fs::create_dir_all(folder.join("secrets"))?;
        telemetry::logs_to(&folder.join("lubu.log"))?;
        let sandbox = lubu_sandbox::start(Options {
            listen: free(8030)?,
            ..Options::default()
        })
        .await?;
        let site = free(8021)?;
        let config = configure(&folder, &sandbox, site)?;
        let daemon = daemon::start(config).await?;
        println!("露布演示，文件在 {}", folder.display());
        let items = hand_in(&daemon).await?;
        let items = watch(&daemon, items).await;
        summary(&daemon, &items, &sandbox, site, &folder);
        let left = unpublished(&items);
        if !self.once {
            println!("Ctrl-C 结束");
            daemon::told_to_stop().await?;
        }
        daemon.stop().await;
        sandbox.stop().await;
        for line in &left {
            eprintln!("{line}");
        }
        Ok(if self.once && !left.is_empty() {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }
}

/// The usual port, or any that is free.
fn free(port: u16) -> Result<SocketAddr, Failed> {
    let usual = SocketAddr::from(([127, 0, 0, 1], port));
    let listener = std::net::TcpListener::bind(usual)
        .or_else(|_| std::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))))?;
    Ok(listener.local_addr()?)
}

/// Writes the demo's configuration and secrets, and reads them as any other.
fn configure(folder: &Path, sandbox: &Running, site: SocketAddr) -> Result<config::Config, Failed> {
    use std::os::unix::fs::PermissionsExt as _;
    let token = folder.join("secrets/token");
    let secrets = [
        (
            token.clone(),
            if token.exists() {
                std::fs::read_to_string(&token)?
            } else {
                random_token()?
            },
        ),
        (
            folder.join("secrets/portal"),
            lubu_sandbox::PORTAL_SECRET.to_owned(),
        ),
        (
            folder.join("secrets/wechat"),
            lubu_sandbox::WECHAT_SECRET.to_owned(),
        ),
        (
            folder.join("secrets/weibo"),
            lubu_sandbox::WEIBO_TOKEN.to_owned(),
        ),
    ];
    for (path, secret) in secrets {
        std::fs::write(&path, secret)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    }
    std::fs::write(folder.join("monthly.md"), include_str!("demo/monthly.md"))?;
    std::fs::write(folder.join("monthly.csv"), include_str!("demo/monthly.csv"))?;
    let text = include_str!("demo/demo.toml")
        .replace("LISTEN", &free(8020)?.to_string())
        .replace("SITE", &site.to_string())
        .replace(
            "PORTAL",
            &format!("{}/api/articles", sandbox.base(Platform::Portal)),
        )
        .replace("WECHAT", &sandbox.base(Platform::Wechat))
        .replace("APP_ID", lubu_sandbox::WECHAT_APP_ID)
        .replace("WEIBO", &sandbox.base(Platform::Weibo))
        .replace("\"UID\"", &format!("\"{}\"", lubu_sandbox::WEIBO_UID))
        .replace("SAFE", &site.ip().to_string());
    let path = folder.join("lubu.toml");
    std::fs::write(&path, text)?;
    Ok(config::load(&path, &lubu_channels::registry::adapters())?)
}

/// Submits the samples as a clerk, and signs them as the leader.
async fn hand_in(daemon: &Daemon) -> Result<Vec<ItemView>, Failed> {
    let service = &daemon.service;
    let mut policy = String::new();
    for sample in &SAMPLES {
        let submit = Submit {
            submission: sample.submission(&policy),
            by: "赵晓".to_owned(),
            from: "cli",
            key: None,
            again: false,
        };
        let done = service
            .submit(submit)
            .await
            .map_err(|trouble| told(sample.name, &trouble))?;
        let id = done.accepted.item;
        if sample.name == "policy" {
            policy = service.canonical(id).unwrap_or_default();
        }
        let approve = Approve {
            item: id,
            revision: None,
            scope: None,
            by: "陈主任".to_owned(),
            opinion: "同意公开".to_owned(),
            choices: Vec::new(),
            without: Vec::new(),
            from: "cli",
        };
        // An item that was signed in an earlier run of the same folder needs no second signature.
        if !done.accepted.known {
            service
                .approve(approve)
                .await
                .map_err(|trouble| told(sample.name, &trouble))?;
        }
    }
    all(daemon).await
}

fn told(sample: &str, trouble: &lubu::service::Trouble) -> Failed {
    let problem = trouble.problem();
    let mut text = format!("{sample}:{}", problem.detail);
    for one in &problem.problems {
        text.push_str(&format!("\n  {}:{}", one.place, one.words.zh));
    }
    for one in &problem.findings {
        text.push_str(&format!("\n  {} {}:{}", one.channel, one.field, one.reason));
    }
    Failed::No(text)
}

async fn all(daemon: &Daemon) -> Result<Vec<ItemView>, Failed> {
    let filter = Filter {
        limit: 100,
        ..Filter::default()
    };
    let page = daemon.service.items(&filter).await;
    Ok(page.map_err(|trouble| told("status", &trouble))?.rows)
}

/// Shows the table until everything is published or a person is needed.
async fn watch(daemon: &Daemon, mut items: Vec<ItemView>) -> Vec<ItemView> {
    let live = std::io::stdout().is_terminal();
    let channels: Vec<String> = daemon
        .service
        .config()
        .channels
        .iter()
        .map(|one| one.name.clone())
        .collect();
    let clock = Real::default();
    let started = clock.now();
    let mut drawn = 0;
    let mut told: BTreeMap<String, PublicState> = BTreeMap::new();
    loop {
        if live {
            drawn = redraw(&items, &channels, drawn);
        } else {
            changes(&items, &mut told);
        }
        let late =
            clock.now() - started > chrono::TimeDelta::from_std(PATIENCE).unwrap_or_default();
        if late
            || items
                .iter()
                .flat_map(|item| &item.deliveries)
                .all(|one| settled(one.state))
        {
            return items;
        }
        clock
            .sleep_until(clock.now() + Duration::from_millis(200))
            .await;
        if let Ok(now) = all(daemon).await {
            items = now;
        }
    }
}

fn settled(state: PublicState) -> bool {
    state.at_rest() || matches!(state, PublicState::Failed | PublicState::Unconfirmed)
}

fn redraw(items: &[ItemView], channels: &[String], drawn: usize) -> usize {
    let lines = status::rows(items, channels, table::width(), table::coloured());
    let mut out = std::io::stdout().lock();
    let mut frame = String::new();
    if drawn > 0 {
        frame.push_str(&format!("\x1b[{drawn}A"));
    }
    for line in &lines {
        frame.push_str(&format!("\x1b[2K{line}\n"));
    }
    // A terminal that is gone shows nothing either way.
    let _gone = out.write_all(frame.as_bytes()).and_then(|()| out.flush());
    lines.len()
}

fn changes(items: &[ItemView], told: &mut BTreeMap<String, PublicState>) {
    let all: Vec<_> = items.iter().flat_map(|item| &item.deliveries).collect();
    let published = all
        .iter()
        .filter(|one| one.state == PublicState::Published)
        .count();
    for one in &all {
        let before = told.insert(one.id.clone(), one.state);
        if before != Some(one.state) && settled(one.state) {
            let title = table::cut(&one.title, 40);
            println!(
                "{published}/{} {} {} {title}",
                all.len(),
                one.channel,
                one.state.zh()
            );
        }
    }
}

fn summary(
    daemon: &Daemon,
    items: &[ItemView],
    sandbox: &Running,
    site: SocketAddr,
    folder: &Path,
) {
    println!();
    for item in items.iter().rev() {
        println!("{}", item.title);
        for one in &item.deliveries {
            let url = one.url.as_deref().unwrap_or("(没有地址)");
            println!("  {} {}  {url}", one.state.glyph(), one.channel);
        }
    }
    println!();
    println!("委网站          http://{site}/");
    println!("读者看到的平台  http://{}/", sandbox.address());
    if let Some(address) = daemon.address {
        let token = std::fs::read_to_string(folder.join("secrets/token")).unwrap_or_default();
        println!("办公页面        http://lubu:{token}@{address}/");
    }
    println!(
        "lubu status --config {}  在另一个终端查看",
        folder.join("lubu.toml").display()
    );
}

fn unpublished(items: &[ItemView]) -> Vec<String> {
    items
        .iter()
        .flat_map(|item| &item.deliveries)
        .filter(|one| one.state != PublicState::Published)
        .map(|one| {
            let reason = one.reason.as_deref().unwrap_or_default();
            format!(
                "{}《{}》{}:{reason}",
                one.channel,
                one.title,
                one.state.zh()
            )
        })
        .collect()
}

//! `lubu config`: everything that is wrong, or what the configuration means; and taking it over.

use std::process::ExitCode;

use chrono::Utc;
use clap::{Args, Subcommand};
use lubu::clock::Real;
use lubu::config::{Config, Doing, UNNAMED};
use lubu::http::api::ByBody;
use lubu::model::calendar;
use lubu::model::quiet::QuietHours;
use lubu::service::Reloaded;
use lubu_channels::{Clock as _, Timestamp, UpdateBy, WithdrawBy};
use serde_json::json;

use super::client::Daemon;
use super::{Common, Done, me, print_json};

#[derive(Debug, Args)]
pub struct ConfigCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// 检查并逐项解释 Check it and explain what it means
    Check,
    /// 输出配置的 JSON Schema，供编辑器补全 Print the JSON Schema, by which editors complete it
    Schema,
    /// 让正在运行的守护进程改用现在的配置文件 Have the running daemon go on by the file as it is now
    Reload {
        /// 谁 Who [default: $USER]
        #[arg(long)]
        by: Option<String>,
    },
}

impl ConfigCommand {
    pub async fn run(self, common: &Common) -> Done {
        match self.what {
            What::Check => Self::check(common),
            What::Schema => {
                print!(
                    "{}",
                    lubu::config::schema(&lubu_channels::registry::adapters())
                );
                Ok(ExitCode::SUCCESS)
            }
            What::Reload { by } => reload(common, by.unwrap_or_else(me)).await,
        }
    }

    fn check(common: &Common) -> Done {
        let config = common.load()?;
        if common.json {
            print_json(&as_json(&config, Real::default().now()))?;
        } else {
            explain(&config, Real::default().now());
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn reload(common: &Common, by: String) -> Done {
    let body = ByBody {
        by,
        reason: String::new(),
        until: None,
    };
    let reloaded: Reloaded = Daemon::new(common)?
        .post("/v1/config/reload", &body)
        .await?;
    if common.json {
        print_json(&reloaded)?;
        return Ok(ExitCode::SUCCESS);
    }
    println!("● 已按新配置运行，渠道：{}", reloaded.channels.join("、"));
    for name in &reloaded.added {
        println!("  新增渠道 {name}");
    }
    for name in &reloaded.removed {
        println!("  移除渠道 {name}：没有做完的停在原处，lubu channels 可见");
    }
    Ok(ExitCode::SUCCESS)
}

fn explain(config: &Config, now: Timestamp) {
    println!("{}", config.office.name);
    if config.office.name == UNNAMED {
        println!("  注意：这是缺省名称，请在 [office] 的 name 里填写发布机构全称");
    }
    println!("数据目录  {}", config.daemon.data.display());
    println!("套接字    {}", config.daemon.socket.display());
    match (&config.daemon.listen, &config.daemon.token) {
        (Some(address), Some(_)) => println!("网页接口  http://{address}（凭令牌）"),
        (Some(address), None) => println!("网页接口  http://{address}（没有令牌，不开放）"),
        (None, _) => println!("网页接口  不监听"),
    }
    if let Some(inbox) = &config.daemon.inbox {
        println!("投稿目录  {}", inbox.display());
    }
    println!("\n渠道");
    for channel in &config.channels {
        let caps = channel.channel.caps();
        let update = match caps.update {
            UpdateBy::InPlace => "可在原处更正",
            UpdateBy::Replace => "更正须先撤后发，由更正人决定",
            UpdateBy::None => "不能更正",
        };
        let withdraw = match caps.withdraw {
            WithdrawBy::Notice => "撤下后留告示页",
            WithdrawBy::Delete => "可由接口删除",
            WithdrawBy::Person => "撤下须人工",
        };
        let after = match channel.after.as_slice() {
            [] => String::new(),
            names => format!("；等待 {} 上线", names.join("、")),
        };
        let quiet = match &channel.quiet {
            Some(quiet) => format!("；静默 {}", quiet.said().join("、")),
            None => String::new(),
        };
        println!(
            "  {}（{}）{update}；{withdraw}{after}{quiet}",
            channel.name, channel.adapter
        );
    }
    println!("\n路由（主动公开的信息）");
    for leaf in config.categories.iter().filter(|leaf| !leaf.closed) {
        let channels = config.routing.channels(&leaf.code);
        println!("  {} {}：{}", leaf.code, leaf.name, channels.join("、"));
    }
    schedules(config, now);
}

/// The same for programs.
fn as_json(config: &Config, now: Timestamp) -> serde_json::Value {
    let channels = config.channels.iter().map(|one| {
        let caps = one.channel.caps();
        json!({
            "name": one.name, "adapter": one.adapter, "account": caps.account, "after": one.after,
            "quiet_hours": one.quiet.as_ref().map(QuietHours::said).unwrap_or_default(),
            "update": match caps.update {
                UpdateBy::InPlace => "in_place",
                UpdateBy::Replace => "replace",
                UpdateBy::None => "none",
            },
            "withdraw": match caps.withdraw {
                WithdrawBy::Notice => "notice",
                WithdrawBy::Delete => "delete",
                WithdrawBy::Person => "person",
            },
        })
    });
    let open = config.categories.iter().filter(|leaf| !leaf.closed);
    let routes = open.map(|leaf| {
        json!({
            "category": leaf.code, "name": leaf.name,
            "channels": config.routing.channels(&leaf.code),
        })
    });
    let schedules = config.schedules.iter().map(|one| {
        let next = calendar::next(&one.cron, one.zone, now, 3);
        json!({
            "name": one.name, "cron": one.expression, "timezone": one.zone.name(),
            "next": next.iter().map(chrono::DateTime::to_rfc3339).collect::<Vec<_>>(),
        })
    });
    json!({
        "office": config.office.name, "data": config.daemon.data, "socket": config.daemon.socket,
        "listen": config.daemon.listen.map(|at| at.to_string()),
        "token": config.daemon.token.is_some(), "inbox": config.daemon.inbox,
        "channels": channels.collect::<Vec<_>>(), "routes": routes.collect::<Vec<_>>(),
        "schedules": schedules.collect::<Vec<_>>(),
    })
}

fn schedules(config: &Config, now: chrono::DateTime<Utc>) {
    if config.schedules.is_empty() {
        return;
    }
    println!("\n定期发布");
    for schedule in &config.schedules {
        let does = match &schedule.doing {
            Doing::Release => "放行已签发并标明此计划的信息".to_owned(),
            Doing::Build(build) => {
                format!("由模板 {} 生成稿件，等待签发", build.template.display())
            }
        };
        println!("  {}（{}）：{does}", schedule.name, schedule.expression);
        for at in calendar::next(&schedule.cron, schedule.zone, now, 3) {
            println!("    {}", at.format("%Y-%m-%d %H:%M:%S %Z"));
        }
    }
}

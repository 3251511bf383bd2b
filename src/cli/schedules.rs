//! `lubu schedules`.

use std::process::ExitCode;

use lubu::service::view::ScheduleView;
use serde::{Deserialize, Serialize};

use super::client::Daemon;
use super::show::in_zone;
use super::{Common, Done, print_json};

#[derive(Debug, Serialize, Deserialize)]
struct Listed {
    schedules: Vec<ScheduleView>,
}

pub async fn run(common: &Common) -> Done {
    let daemon = Daemon::new(common)?;
    let listed: Listed = daemon.get("/v1/schedules").await?;
    if common.json {
        print_json(&listed)?;
        return Ok(ExitCode::SUCCESS);
    }
    if listed.schedules.is_empty() {
        println!("没有定期发布。在配置里写 [[schedule]]");
    }
    for one in &listed.schedules {
        let does = if one.does == "release" {
            "放行"
        } else {
            "生成稿件"
        };
        let zone = one.timezone.parse().unwrap_or(chrono_tz::Asia::Shanghai);
        println!("{}  {}（{}）{does}", one.name, one.cron, one.timezone);
        if one.waiting > 0 {
            println!("  {} 条已签发，等待放行", one.waiting);
        }
        for next in &one.next {
            println!("  下次 {}", in_zone(next, zone));
        }
        match &one.last {
            Some(last) => println!(
                "  上次 {}  {}",
                in_zone(&last.due, zone),
                last.result.as_deref().unwrap_or("执行中断，将补跑")
            ),
            None => println!("  还没有执行过"),
        }
    }
    Ok(ExitCode::SUCCESS)
}

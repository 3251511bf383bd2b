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
    for line in listed.schedules.iter().flat_map(lines) {
        println!("{line}");
    }
    Ok(ExitCode::SUCCESS)
}

fn lines(one: &ScheduleView) -> Vec<String> {
    let does = match one.does.as_str() {
        "gone" => return lost(one),
        "release" => "放行",
        _ => "生成稿件",
    };
    let zone = one.timezone.parse().unwrap_or(chrono_tz::Asia::Shanghai);
    let mut lines = vec![format!(
        "{}  {}（{}）{does}",
        one.name, one.cron, one.timezone
    )];
    if one.does != "release" && one.waiting > 0 {
        lines.push(format!("  ✕ {} 条在等它放行，而它只生成稿件", one.waiting));
        lines.push(WAY_OUT.to_owned());
    } else if one.waiting > 0 {
        lines.push(format!("  {} 条已签发，等待放行", one.waiting));
    }
    for next in &one.next {
        lines.push(format!("  下次 {}", in_zone(next, zone)));
    }
    lines.push(match &one.last {
        Some(last) => format!(
            "  上次 {}  {}",
            in_zone(&last.due, zone),
            last.result.as_deref().unwrap_or("执行中断，将补跑")
        ),
        None => "  还没有执行过".to_owned(),
    });
    lines
}

const WAY_OUT: &str = "  加回放行计划，或用 lubu revise 交一版不写 schedule 的稿件并重新签发";

fn lost(one: &ScheduleView) -> Vec<String> {
    let said = format!(
        "✕ {}  已不在配置里，{} 条已签发的在等它，不会自己发出",
        one.name, one.waiting
    );
    vec![said, WAY_OUT.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(does: &str) -> ScheduleView {
        ScheduleView {
            name: "每日放行".into(),
            cron: "0 9 * * *".into(),
            timezone: "Asia/Shanghai".into(),
            does: does.into(),
            next: Vec::new(),
            last: None,
            waiting: 2,
        }
    }

    #[test]
    fn items_that_no_schedule_will_let_go_are_told_with_the_way_out() {
        for does in ["gone", "build"] {
            let told = lines(&view(does)).join("\n");
            assert!(told.contains("✕") && told.contains("2 条"), "{told}");
            assert!(told.contains("重新签发"), "{told}");
        }
        let told = lines(&view("release")).join("\n");
        assert!(!told.contains("✕") && told.contains("等待放行"), "{told}");
    }
}

//! `[[schedule]]`: what is pushed out when.
//!
//! The `cron` crate counts weekdays from Sunday = 1 and would send a Monday report on Sunday, so
//! numbers are refused for weekdays, and so is an expression that never fires.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use chrono_tz::Tz;
use cron::Schedule;
use lubu_channels::kit::settings::Reader;
use lubu_channels::{Problem, Timestamp};

use super::categories::Categories;

#[derive(Debug, Clone)]
pub struct ScheduleConfig {
    pub name: String,
    pub expression: String,
    pub cron: Schedule,
    pub zone: Tz,
    pub doing: Doing,
    /// A run missed by more than this is reported, not made up for.
    pub catch_up: std::time::Duration,
}

#[derive(Debug, Clone)]
pub enum Doing {
    /// Lets approved items go that are marked for it.
    Release,
    /// Makes an item out of a template and a data file; it still needs its approval.
    Build(Build),
}

#[derive(Debug, Clone)]
pub struct Build {
    pub category: String,
    pub template: PathBuf,
    pub data: PathBuf,
    pub cadence: Cadence,
}

/// Which period a run is about: the one that ended before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cadence {
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

pub fn read(
    reader: &mut Reader<'_>,
    base: &Path,
    zone: Tz,
    categories: &Categories,
) -> Vec<ScheduleConfig> {
    let mut schedules: Vec<ScheduleConfig> = Vec::new();
    for (at, table) in reader.tables("schedule").into_iter().enumerate() {
        let mut own = reader.within(table, &format!("schedule[{at}]"));
        let schedule = one(&mut own, base, zone, categories);
        if let Some(schedule) = schedule {
            if schedules.iter().any(|other| other.name == schedule.name) {
                let name = &schedule.name;
                own.problem(
                    "name",
                    format!("“{name}”重复。"),
                    format!("`{name}` stands twice."),
                );
            }
            schedules.push(schedule);
        }
        let problems: Vec<Problem> = own.finish(()).err().unwrap_or_default();
        reader.adopt(problems);
    }
    schedules
}

fn one(
    own: &mut Reader<'_>,
    base: &Path,
    zone: Tz,
    categories: &Categories,
) -> Option<ScheduleConfig> {
    let name = own.required("name");
    let expression = own.required("cron");
    let zone = match own.text("timezone") {
        None => zone,
        Some(text) => text.parse().unwrap_or_else(|_| {
            own.problem(
                "timezone",
                format!("没有时区“{text}”。"),
                format!("no time zone `{text}`."),
            );
            zone
        }),
    };
    let catch_up = own.duration("catch_up", std::time::Duration::from_hours(24));
    let building = own.choice("do", &[("release", false), ("build", true)], false);
    let doing = if building {
        build(own, base, categories)
    } else {
        Doing::Release
    };
    let cron = cron(&expression)
        .map_err(|why| own.problem("cron", why.zh, why.en))
        .ok()?;
    Some(ScheduleConfig {
        name,
        expression,
        cron,
        zone,
        doing,
        catch_up,
    })
}

fn build(own: &mut Reader<'_>, base: &Path, categories: &Categories) -> Doing {
    let category = own.required("category");
    let category = if let Some(leaf) = categories.find(&category) {
        if leaf.closed {
            own.problem(
                "category",
                format!("信息分类“{category}”已停用，不再收稿。"),
                format!("the category `{category}` is closed and takes nothing new."),
            );
        }
        leaf.code.clone()
    } else {
        own.problem(
            "category",
            format!("没有信息分类“{category}”。"),
            format!("there is no category `{category}`."),
        );
        category
    };
    Doing::Build(Build {
        category,
        template: base.join(own.required("template")),
        data: base.join(own.required("data")),
        cadence: own.choice(
            "period",
            &[
                ("day", Cadence::Day),
                ("week", Cadence::Week),
                ("month", Cadence::Month),
                ("quarter", Cadence::Quarter),
                ("year", Cadence::Year),
            ],
            Cadence::Month,
        ),
    })
}

/// Five fields, or six with seconds first. Weekdays by name.
pub fn cron(expression: &str) -> Result<Schedule, lubu_channels::Words> {
    use lubu_channels::Words;
    let fields: Vec<&str> = expression.split_whitespace().collect();
    let six = match fields.len() {
        5 => format!("0 {expression}"),
        6 => expression.to_owned(),
        count => {
            return Err(Words::new(
                format!(
                    "cron 应有 5 段（分 时 日 月 星期）或 6 段（秒在最前），现在是 {count} 段。"
                ),
                format!("cron takes 5 fields, or 6 with seconds first; there are {count}."),
            ));
        }
    };
    if fields
        .last()
        .is_some_and(|week| week.bytes().any(|byte| byte.is_ascii_digit()))
    {
        return Err(Words::new(
            "星期请写英文缩写（Mon、Tue…Sun，或 Mon-Fri），数字在不同系统里含义不同。",
            "write weekdays by name (Mon, Tue … Sun, or Mon-Fri): numbers mean different days in different systems.",
        ));
    }
    let schedule = Schedule::from_str(&six).map_err(|error| {
        Words::new(
            format!("cron 写法有误：{error}。"),
            format!("is no cron expression: {error}."),
        )
    })?;
    // Any fixed day will do: an expression that has no time after it never fires.
    let some_day = Timestamp::from_timestamp(1_767_225_600, 0).unwrap_or_default();
    if schedule.after(&some_day).next().is_none() {
        return Err(Words::new(
            "这个时间永远不会到（例如 2 月 30 日）。",
            "this time never comes (such as the 30th of February).",
        ));
    }
    Ok(schedule)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;

    #[test]
    fn five_fields_mean_second_zero_and_weekdays_go_by_name() {
        let monday = cron("0 9 * * Mon").unwrap();
        let from = Tz::Asia__Shanghai
            .with_ymd_and_hms(2026, 11, 23, 8, 0, 0)
            .unwrap();
        let next: Vec<String> = monday
            .after(&from)
            .take(2)
            .map(|at| at.format("%F %T %a").to_string())
            .collect();
        assert_eq!(next, ["2026-11-23 09:00:00 Mon", "2026-11-30 09:00:00 Mon"]);
    }

    #[test]
    fn a_weekday_by_number_is_refused_with_what_to_write() {
        let why = cron("0 9 * * 1").unwrap_err();
        assert!(why.en.contains("Mon"), "{}", why.en);
        assert!(cron("0 9 * * 1-5").is_err());
    }

    #[test]
    fn an_expression_that_never_fires_is_refused() {
        assert!(cron("0 9 30 2 *").is_err());
        assert!(cron("0 9 * *").is_err());
    }
}

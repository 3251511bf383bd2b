//! When schedules fire, and which period a run is about.
//!
//! Times are computed in the schedule's own zone. A run is named by its due time there, so that a
//! clock set back, a restart or a second process cannot make it run twice.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate};
use chrono_tz::Tz;
use cron::Schedule;
use lubu_channels::Timestamp;

use crate::config::Cadence;

/// What is to be run now, and what was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// The latest due time that is not past.
    pub due: DateTime<Tz>,
    /// Earlier ones since the last run, for which this one stands in.
    pub earlier: usize,
}

/// The latest due time in `(last, now]`; each is made up for by one run, never by two.
pub fn missed(cron: &Schedule, zone: Tz, last: Timestamp, now: Timestamp) -> Option<Missed> {
    let from = last.with_timezone(&zone);
    let mut due = None;
    let mut count = 0;
    // A schedule of every second would fill a year with thirty million: the count may stop early.
    for at in cron.after(&from).take(100_000) {
        if at > now {
            break;
        }
        due = Some(at);
        count += 1;
    }
    due.map(|due| Missed {
        due,
        earlier: count - 1,
    })
}

pub fn next(cron: &Schedule, zone: Tz, after: Timestamp, count: usize) -> Vec<DateTime<Tz>> {
    cron.after(&after.with_timezone(&zone))
        .take(count)
        .collect()
}

/// The name of a run.
pub fn period_key(due: &DateTime<Tz>) -> String {
    due.format("%Y-%m-%dT%H:%M:%S").to_string()
}

/// The period that ended before `due`: its label, as data files write it, and its words.
pub fn period(cadence: Cadence, due: NaiveDate) -> (String, String) {
    let day_before = due.checked_sub_days(Days::new(1)).unwrap_or(due);
    let month_before = due.checked_sub_months(Months::new(1)).unwrap_or(due);
    match cadence {
        Cadence::Day => (
            day_before.format("%Y-%m-%d").to_string(),
            format!(
                "{}年{}月{}日",
                day_before.year(),
                day_before.month(),
                day_before.day()
            ),
        ),
        Cadence::Week => {
            let week = due.checked_sub_days(Days::new(7)).unwrap_or(due).iso_week();
            (
                format!("{}-W{:02}", week.year(), week.week()),
                format!("{}年第{}周", week.year(), week.week()),
            )
        }
        Cadence::Month => (
            month_before.format("%Y-%m").to_string(),
            format!("{}年{}月", month_before.year(), month_before.month()),
        ),
        Cadence::Quarter => {
            let ended = due.checked_sub_months(Months::new(3)).unwrap_or(due);
            let quarter = ended.month0() / 3 + 1;
            (
                format!("{}-Q{quarter}", ended.year()),
                format!("{}年第{quarter}季度", ended.year()),
            )
        }
        Cadence::Year => {
            let year = due.year() - 1;
            (year.to_string(), format!("{year}年"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use chrono::TimeZone;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_run_missed_while_down_is_made_up_for_once() {
        let daily = config::cron("0 9 * * *").unwrap();
        let zone = Tz::Asia__Shanghai;
        let last = at("2026-11-20T01:00:00Z");
        let now = at("2026-11-23T02:00:00Z");
        let missed = missed(&daily, zone, last, now).unwrap();
        assert_eq!(period_key(&missed.due), "2026-11-23T09:00:00");
        assert_eq!(missed.earlier, 2);
        assert_eq!(super::missed(&daily, zone, missed.due.to_utc(), now), None);
    }

    #[test]
    fn a_run_is_about_the_period_before_it() {
        let day = |y, m, d| NaiveDate::from_ymd_opt(y, m, d).unwrap();
        assert_eq!(period(Cadence::Month, day(2026, 1, 8)).0, "2025-12");
        assert_eq!(period(Cadence::Month, day(2026, 3, 31)).0, "2026-02");
        assert_eq!(period(Cadence::Quarter, day(2026, 1, 5)).0, "2025-Q4");
        assert_eq!(period(Cadence::Quarter, day(2026, 11, 23)).0, "2026-Q3");
        assert_eq!(period(Cadence::Year, day(2026, 1, 5)).0, "2025");
        assert_eq!(period(Cadence::Day, day(2026, 1, 1)).0, "2025-12-31");
        assert_eq!(period(Cadence::Week, day(2026, 11, 23)).0, "2026-W47");
    }

    #[test]
    fn the_next_times_are_those_of_the_schedules_own_zone() {
        let monthly = config::cron("0 9 10 * *").unwrap();
        let next = next(&monthly, Tz::Asia__Shanghai, at("2026-11-23T00:00:00Z"), 2);
        let expected = Tz::Asia__Shanghai
            .with_ymd_and_hms(2026, 12, 10, 9, 0, 0)
            .unwrap();
        assert_eq!(next[0], expected);
    }
}

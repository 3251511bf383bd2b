//! `quiet_hours`: spans of the day, some of them on some weekdays.
//!
//! Weekdays by name, as in `cron`: numbers mean different days in different systems.

use chrono::Weekday;
use chrono_tz::Tz;
use lubu_channels::Words;
use lubu_channels::kit::settings::Reader;

use crate::model::quiet::{DAY, QuietHours, Span};

pub fn read(own: &mut Reader<'_>, zone: Tz) -> Option<QuietHours> {
    let key = "quiet_hours";
    let said = own.texts(key).unwrap_or_default();
    let mut spans = Vec::new();
    for (at, text) in said.iter().enumerate() {
        match span(text) {
            Ok(span) => spans.push(span),
            Err(why) => own.problem(&format!("{key}[{at}]"), why.zh, why.en),
        }
    }
    if spans.is_empty() || spans.len() < said.len() {
        return None;
    }
    let quiet = QuietHours::new(zone, spans, said);
    if quiet.is_none() {
        own.problem(
            key,
            "静默时段占满了整周，这个渠道永远发不出去。",
            "leave no time of the week open: nothing would ever go out here.",
        );
    }
    quiet
}

/// `22:00-07:30`, or with weekdays before it: `Sat,Sun 00:00-24:00`, `Mon-Fri 12:00-14:00`.
fn span(text: &str) -> Result<Span, Words> {
    let bad = || {
        Words::new(
            format!(
                "“{text}”不是时段，应写成 22:00-07:30，或 Sat,Sun 00:00-24:00（星期写英文缩写）。"
            ),
            format!(
                "`{text}` is no span; write 22:00-07:30, or Sat,Sun 00:00-24:00 with weekdays by name."
            ),
        )
    };
    let (week, hours) = match text.split_once(char::is_whitespace) {
        Some((week, hours)) => (days(week).ok_or_else(bad)?, hours.trim()),
        None => ([true; 7], text),
    };
    let (from, to) = hours.split_once('-').ok_or_else(bad)?;
    let (from, to) = (time(from).ok_or_else(bad)?, time(to).ok_or_else(bad)?);
    if from == to {
        return Err(Words::new(
            format!("“{text}”起止相同：没有静默时段就不写，全天写 00:00-24:00。"),
            format!(
                "`{text}` begins as it ends; leave it out for none, write 00:00-24:00 for a whole day."
            ),
        ));
    }
    Span::new(week, from, to).ok_or_else(bad)
}

/// Minutes of the day; 24:00 at the end of one.
fn time(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let number = |digits: &str| {
        let good =
            (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        good.then(|| digits.parse::<u16>().ok()).flatten()
    };
    let (hour, minute) = (number(hour)?, number(minute).filter(|_| minute.len() == 2)?);
    let time = hour * 60 + minute;
    (minute < 60 && time <= DAY).then_some(time)
}

fn days(text: &str) -> Option<[bool; 7]> {
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let last = day(last)?;
        let mut next = day(first)?;
        days[next.num_days_from_monday() as usize] = true;
        while next != last {
            next = next.succ();
            days[next.num_days_from_monday() as usize] = true;
        }
    }
    Some(days)
}

fn day(text: &str) -> Option<Weekday> {
    (text.len() == 3).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_times_with_or_without_weekdays() {
        let all = [true; 7];
        assert_eq!(span("22:00-07:30"), Ok(Span::new(all, 1320, 450).unwrap()));
        let weekend = [false, false, false, false, false, true, true];
        let whole = Span::new(weekend, 0, DAY).unwrap();
        assert_eq!(span("Sat,Sun 00:00-24:00"), Ok(whole.clone()));
        assert_eq!(span("Sat-Sun  0:00 - 24:00"), Ok(whole));
        let over = [true, false, false, false, true, true, true];
        assert_eq!(
            span("Fri-Mon 1:00-2:00"),
            Ok(Span::new(over, 60, 120).unwrap())
        );
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "",
            "22-7",
            "22:00",
            "22:00-22:00",
            "25:00-07:00",
            "24:00-07:00",
            "22:60-07:00",
            "22:0-07:00",
            "6 22:00-07:00",
            "Satur 22:00-07:00",
            "22:00-07:30-08:00",
            "+1:00-2:00",
            "00:00-24:01",
            "夜间",
        ] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }
}

//! Quiet hours (静默时段): when nothing is published or corrected on a channel.
//!
//! Times of day in the office's zone, which may cross midnight and may hold on some weekdays only; the
//! weekday is that on which a span begins. Knows no clock: an instant comes in, the next open one comes
//! out. Where the zone's clock is put back, an hour that comes twice is quiet both times; where it is put
//! forward, a time that never comes stands for the moment it was skipped at. So the doubt is always on the
//! side of silence.

use chrono::{Datelike, Days, LocalResult, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Weekday};
use chrono_tz::Tz;
use lubu_channels::Timestamp;

pub const DAY: u16 = 24 * 60;
const WEEK: usize = 7 * DAY as usize;
/// No clock skips more than this at once.
const LONGEST_GAP: i64 = 26 * 60;

/// One span, by minutes of the day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// From Monday; the day it begins on.
    days: [bool; 7],
    from: u16,
    /// Not above `from`: on the next day. 24:00 is 1440.
    to: u16,
}

impl Span {
    /// None where the ends are equal, or no time of day.
    pub fn new(days: [bool; 7], from: u16, to: u16) -> Option<Self> {
        let good = from != to && from < DAY && to <= DAY;
        good.then_some(Self { days, from, to })
    }

    fn minutes(&self) -> u16 {
        if self.to > self.from {
            self.to - self.from
        } else {
            self.to + DAY - self.from
        }
    }

    fn begins_on(&self, day: Weekday) -> bool {
        self.days[day.num_days_from_monday() as usize]
    }

    /// From when till when, if it begins on that day.
    fn on(&self, day: NaiveDate, zone: Tz) -> Option<(Timestamp, Timestamp)> {
        if !self.begins_on(day.weekday()) {
            return None;
        }
        let from = day.and_hms_opt(0, 0, 0)? + TimeDelta::minutes(i64::from(self.from));
        let to = from + TimeDelta::minutes(i64::from(self.minutes()));
        Some((
            instant(from, zone, End::First)?,
            instant(to, zone, End::Last)?,
        ))
    }
}

/// All spans of one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuietHours {
    zone: Tz,
    spans: Vec<Span>,
    /// As they were written.
    said: Vec<String>,
}

impl QuietHours {
    /// None where there are no spans, or no time of the week is left open.
    pub fn new(zone: Tz, spans: Vec<Span>, said: Vec<String>) -> Option<Self> {
        let leaves_some = !spans.is_empty() && !is_whole_week(&spans);
        leaves_some.then_some(Self { zone, spans, said })
    }

    pub fn said(&self) -> &[String] {
        &self.said
    }

    /// When it is open again; none where it is open now.
    pub fn opens(&self, now: Timestamp) -> Option<Timestamp> {
        let mut at = now;
        // Spans may follow on one another, a week long at most.
        for _ in 0..self.spans.len() * 8 {
            let Some(end) = self.end(at) else { break };
            at = end;
        }
        (at > now).then_some(at)
    }

    /// The latest end of the spans around it.
    fn end(&self, at: Timestamp) -> Option<Timestamp> {
        let today = at.with_timezone(&self.zone).date_naive();
        let days = [today.checked_sub_days(Days::new(1)), Some(today)];
        let spans = days.into_iter().flatten().flat_map(|day| {
            let spans = self.spans.iter();
            spans.filter_map(move |span| span.on(day, self.zone))
        });
        let around = spans.filter(|(from, to)| *from <= at && at < *to);
        around.map(|(_, to)| to).max()
    }
}

fn is_whole_week(spans: &[Span]) -> bool {
    let mut quiet = vec![false; WEEK];
    for span in spans {
        for day in (0..7).filter(|day| span.days[*day]) {
            let from = day * usize::from(DAY) + usize::from(span.from);
            for minute in from..from + usize::from(span.minutes()) {
                quiet[minute % WEEK] = true;
            }
        }
    }
    quiet.into_iter().all(|quiet| quiet)
}

/// Which one of a time that comes twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    First,
    Last,
}

fn instant(local: NaiveDateTime, zone: Tz, end: End) -> Option<Timestamp> {
    (0..LONGEST_GAP).find_map(|minutes| {
        match zone.from_local_datetime(&(local + TimeDelta::minutes(minutes))) {
            LocalResult::Single(at) => Some(at.to_utc()),
            LocalResult::Ambiguous(first, _) if end == End::First => Some(first.to_utc()),
            LocalResult::Ambiguous(_, last) => Some(last.to_utc()),
            // Skipped: the first minute after it.
            LocalResult::None => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use chrono::Timelike;
    use proptest::prelude::*;

    use super::*;

    const ALL: [bool; 7] = [true; 7];
    const WEEKEND: [bool; 7] = [false, false, false, false, false, true, true];

    fn hours(zone: Tz, spans: &[([bool; 7], u16, u16)]) -> QuietHours {
        let spans = spans.iter();
        let spans = spans.map(|(days, from, to)| Span::new(*days, *from, *to).unwrap());
        QuietHours::new(zone, spans.collect(), Vec::new()).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn minutes(hour: u16, minute: u16) -> u16 {
        hour * 60 + minute
    }

    #[test]
    fn a_night_is_quiet_from_its_first_to_before_its_last_instant() {
        let night = hours(Tz::Asia__Shanghai, &[(ALL, minutes(22, 0), minutes(7, 30))]);
        for (now, opens) in [
            ("2026-11-23T21:59:59.999+08:00", None),
            (
                "2026-11-23T22:00:00+08:00",
                Some("2026-11-24T07:30:00+08:00"),
            ),
            (
                "2026-11-23T23:00:00+08:00",
                Some("2026-11-24T07:30:00+08:00"),
            ),
            (
                "2026-11-24T00:00:00+08:00",
                Some("2026-11-24T07:30:00+08:00"),
            ),
            (
                "2026-11-24T07:29:59.999+08:00",
                Some("2026-11-24T07:30:00+08:00"),
            ),
            ("2026-11-24T07:30:00+08:00", None),
            ("2026-11-24T12:00:00+08:00", None),
        ] {
            assert_eq!(night.opens(at(now)), opens.map(at), "{now}");
        }
    }

    #[test]
    fn spans_that_follow_on_one_another_are_one_silence() {
        let spans = [
            (ALL, minutes(22, 0), minutes(7, 30)),
            (WEEKEND, 0, DAY),
            (ALL, minutes(12, 0), minutes(14, 0)),
        ];
        let quiet = hours(Tz::Asia__Shanghai, &spans);
        // Friday night runs into the weekend, and that into Monday morning.
        let friday = at("2026-11-27T22:00:00+08:00");
        assert_eq!(quiet.opens(friday), Some(at("2026-11-30T07:30:00+08:00")));
        let noon = at("2026-11-23T12:30:00+08:00");
        assert_eq!(quiet.opens(noon), Some(at("2026-11-23T14:00:00+08:00")));
    }

    #[test]
    fn the_weekday_is_that_of_the_beginning() {
        let friday = [false, false, false, false, true, false, false];
        let quiet = hours(
            Tz::Asia__Shanghai,
            &[(friday, minutes(22, 0), minutes(6, 0))],
        );
        let saturday = at("2026-11-28T01:00:00+08:00");
        assert_eq!(quiet.opens(saturday), Some(at("2026-11-28T06:00:00+08:00")));
        assert_eq!(quiet.opens(at("2026-11-27T01:00:00+08:00")), None);
        assert_eq!(quiet.opens(at("2026-11-28T23:00:00+08:00")), None);
    }

    #[test]
    fn an_hour_that_comes_twice_is_quiet_both_times_and_one_that_never_comes_is_over_at_once() {
        let night = hours(Tz::Europe__Berlin, &[(ALL, minutes(1, 0), minutes(2, 30))]);
        // 2026-10-25 03:00 CEST becomes 02:00 CET: 02:30 comes at 00:30 and at 01:30 UTC.
        for now in ["2026-10-25T00:31:00Z", "2026-10-25T01:29:00Z"] {
            assert_eq!(night.opens(at(now)), Some(at("2026-10-25T01:30:00Z")));
        }
        // 2026-03-29 02:00 CET becomes 03:00 CEST: 02:30 never comes.
        let spring = at("2026-03-29T00:30:00Z");
        assert_eq!(night.opens(spring), Some(at("2026-03-29T01:00:00Z")));
        let skipped = hours(Tz::Europe__Berlin, &[(ALL, minutes(2, 10), minutes(2, 50))]);
        assert_eq!(skipped.opens(at("2026-03-29T01:00:00Z")), None);
    }

    #[test]
    fn equal_ends_are_no_span_and_a_week_without_an_opening_is_refused() {
        assert_eq!(Span::new(ALL, 60, 60), None);
        assert_eq!(Span::new(ALL, DAY, 60), None);
        assert_eq!(Span::new(ALL, 0, DAY + 1), None);
        let whole = [
            vec![Span::new(ALL, 0, DAY).unwrap()],
            vec![
                Span::new(ALL, 600, 60).unwrap(),
                Span::new(ALL, 60, 600).unwrap(),
            ],
        ];
        for spans in whole {
            assert_eq!(QuietHours::new(Tz::UTC, spans, Vec::new()), None);
        }
        assert_eq!(QuietHours::new(Tz::UTC, Vec::new(), Vec::new()), None);
    }

    /// What the clock on the wall says, asked without any arithmetic of instants.
    fn on_the_wall(spans: &[Span], zone: Tz, now: Timestamp) -> bool {
        let local = now.with_timezone(&zone);
        let minute = u16::try_from(local.hour() * 60 + local.minute()).unwrap();
        spans.iter().any(|span| {
            let today = span.begins_on(local.weekday());
            let yesterday = span.begins_on(local.weekday().pred());
            if span.to > span.from {
                today && (span.from..span.to).contains(&minute)
            } else {
                today && minute >= span.from || yesterday && minute < span.to
            }
        })
    }

    fn some_span() -> impl Strategy<Value = Span> {
        let days = prop::array::uniform7(any::<bool>());
        let found = (days, 0..DAY, 0..=DAY);
        found.prop_filter_map("equal ends", |(days, from, to)| Span::new(days, from, to))
    }

    proptest! {
        #[test]
        fn silence_is_what_the_wall_says_and_ends_at_the_first_open_minute(
            spans in prop::collection::vec(some_span(), 1..4),
            zone in prop::sample::select(vec![
                Tz::Asia__Shanghai, Tz::Europe__Berlin, Tz::Australia__Lord_Howe, Tz::UTC,
                Tz::America__St_Johns,
            ]),
            minute in 0_i64..3 * 365 * 1440,
        ) {
            prop_assume!(!is_whole_week(&spans));
            let now = at("2025-01-01T00:00:00Z") + TimeDelta::minutes(minute);
            let quiet = QuietHours::new(zone, spans.clone(), Vec::new()).unwrap();
            let opens = quiet.opens(now);
            // A clock that is put back may add silence, and never takes any.
            if on_the_wall(&spans, zone, now) {
                prop_assert!(opens.is_some());
            }
            let Some(open) = opens else { return Ok(()) };
            prop_assert!(open > now && !on_the_wall(&spans, zone, open));
            prop_assert_eq!(quiet.opens(open), None);
            let mut between = now;
            let mut moved = false;
            while between < open {
                prop_assert_eq!(quiet.opens(between), Some(open));
                let offset = |at: Timestamp| at.with_timezone(&zone).naive_local() - at.naive_utc();
                moved |= offset(between) != offset(now - TimeDelta::days(1));
                prop_assert!(moved || on_the_wall(&spans, zone, between));
                between += TimeDelta::minutes(17);
            }
        }
    }
}

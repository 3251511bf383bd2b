//! How fast and how much: token buckets and quota windows.
//!
//! A bucket is pace and lives in memory. A quota is a promise to a platform and lives on disk: its
//! window begins on the boundary in the platform's zone, UTC+8, and survives a restart.

use std::time::Duration;

use chrono::{DateTime, Datelike, FixedOffset, TimeZone, Timelike};
use lubu_channels::{Timestamp, Window};
use serde::{Deserialize, Serialize};

/// `count` starts in any `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub count: u32,
    pub per: Duration,
}

/// A token bucket that is full at first.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    rate: Rate,
    tokens: f64,
    at: Timestamp,
}

impl Bucket {
    pub fn new(rate: Rate, now: Timestamp) -> Self {
        Self {
            rate,
            tokens: f64::from(rate.count),
            at: now,
        }
    }

    /// Goes on at another rate, as full as it was.
    #[must_use]
    pub fn at_rate(self, rate: Rate, now: Timestamp) -> Self {
        if rate == self.rate {
            return self;
        }
        let share = (self.filled(now) / f64::from(self.rate.count.max(1))).min(1.0);
        Self {
            rate,
            tokens: share * f64::from(rate.count),
            at: now,
        }
    }

    fn filled(&self, now: Timestamp) -> f64 {
        let full = f64::from(self.rate.count);
        let gone = (now - self.at).to_std().unwrap_or_default().as_secs_f64();
        (self.tokens + gone / self.each()).min(full)
    }

    /// Seconds for one token.
    fn each(&self) -> f64 {
        self.rate.per.as_secs_f64() / f64::from(self.rate.count).max(1.0)
    }

    /// Takes one token, or says when there will be one.
    pub fn take(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        self.tokens = self.filled(now);
        self.at = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(now
            + Duration::from_secs_f64((1.0 - self.tokens) * self.each())
            + Duration::from_millis(1))
    }
}

/// What is used of one quota in one window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used(pub u32);

/// The window that holds `now`: its label for the store, and its end.
pub fn window(kind: Window, now: Timestamp) -> (String, Timestamp) {
    let here = now.with_timezone(&platform_zone());
    match kind {
        Window::Hour => {
            let start = cut(here, here.day(), here.hour());
            (
                here.format("%Y-%m-%dT%H").to_string(),
                (start + Duration::from_hours(1)).to_utc(),
            )
        }
        Window::Day => {
            let start = cut(here, here.day(), 0);
            (
                here.format("%Y-%m-%d").to_string(),
                (start + Duration::from_hours(24)).to_utc(),
            )
        }
        Window::Month => {
            let start = cut(here, 1, 0);
            let next = start
                .checked_add_months(chrono::Months::new(1))
                .unwrap_or(start);
            (here.format("%Y-%m").to_string(), next.to_utc())
        }
    }
}

fn platform_zone() -> FixedOffset {
    FixedOffset::east_opt(8 * 3600).unwrap_or_else(|| chrono::Offset::fix(&chrono::Utc))
}

fn cut(here: DateTime<FixedOffset>, day: u32, hour: u32) -> DateTime<FixedOffset> {
    platform_zone()
        .with_ymd_and_hms(here.year(), here.month(), day, hour, 0, 0)
        .single()
        .unwrap_or(here)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lubu_channels::{Clock, Manual};

    #[test]
    fn a_bucket_lets_a_burst_through_and_then_one_at_a_time() {
        let clock = Manual::default();
        let rate = Rate {
            count: 2,
            per: Duration::from_mins(1),
        };
        let mut bucket = Bucket::new(rate, clock.now());
        assert!(bucket.take(clock.now()).is_ok());
        assert!(bucket.take(clock.now()).is_ok());
        let next = bucket.take(clock.now()).unwrap_err();
        clock.set(next);
        assert!(bucket.take(clock.now()).is_ok());
        assert!(bucket.take(clock.now()).is_err());
    }

    #[test]
    fn cal_08_windows_turn_at_midnight_in_beijing() {
        let before = Timestamp::from_timestamp(1_769_875_199, 0).unwrap(); // 2026-01-31 23:59:59 +08
        let (day, end) = window(Window::Day, before);
        assert_eq!(day, "2026-01-31");
        assert_eq!(end - before, chrono::TimeDelta::seconds(1));
        assert_eq!(window(Window::Month, end).0, "2026-02");
        assert_eq!(window(Window::Hour, end).0, "2026-02-01T00");
    }
}

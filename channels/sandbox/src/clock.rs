//! Where the sandbox learns what time it is.
//!
//! Everything that depends on time (token life, quotas, reviews) asks this one
//! object, so that a test can move a day forward in no time. Waits on the wire
//! (a stalled answer, a slow drip) are real: they play the network, not the platform.
//! Units: instants are UTC milliseconds.

use std::fmt::Debug;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, FixedOffset, Utc};

/// A source of instants.
pub trait Clock: Debug + Send + Sync {
    /// UTC milliseconds.
    fn now_ms(&self) -> i64;
}

/// The wall clock, used by the running sandbox.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wall;

impl Clock for Wall {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place of this crate that asks"
    )]
    fn now_ms(&self) -> i64 {
        Utc::now().timestamp_millis()
    }
}

/// A clock that stands still until it is told to move.
#[derive(Debug)]
pub struct Manual(AtomicI64);

impl Manual {
    pub fn at(now_ms: i64) -> Self {
        Self(AtomicI64::new(now_ms))
    }

    pub fn advance_ms(&self, by: i64) {
        self.0.fetch_add(by, Ordering::SeqCst);
    }

    pub fn advance_seconds(&self, by: i64) {
        self.advance_ms(by * 1000);
    }
}

impl Clock for Manual {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

const EAST_8_MS: i64 = 8 * 3_600_000;

/// Number of the calendar day in UTC+8; all daily quotas turn over with it.
pub(crate) fn day(now: i64) -> i64 {
    (now + EAST_8_MS).div_euclid(86_400_000)
}

/// Number of the clock hour.
pub(crate) fn hour(now: i64) -> i64 {
    now.div_euclid(3_600_000)
}

pub(crate) fn beijing(now: i64) -> DateTime<FixedOffset> {
    let utc = DateTime::<Utc>::from_timestamp_millis(now).unwrap_or_default();
    match FixedOffset::east_opt(8 * 3600) {
        Some(zone) => utc.with_timezone(&zone),
        None => utc.fixed_offset(),
    }
}

/// `2026-11-23 09:00`, as pages show it.
pub(crate) fn shown(now: i64) -> String {
    beijing(now).format("%Y-%m-%d %H:%M").to_string()
}

//! Where time comes from.
//!
//! Time is an argument everywhere; [`System`] is the one place that asks the machine. Instants are
//! UTC; a channel or a page converts to the office's zone where a person reads it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeZone, Utc};

/// An instant, UTC, kept to the millisecond on disk.
pub type Timestamp = DateTime<Utc>;

pub trait Clock: Send + Sync + std::fmt::Debug {
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Clock for System {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the machine"
    )]
    fn now(&self) -> Timestamp {
        Utc::now()
    }
}

/// A clock that stands still until a test moves it. Starts at 2026-11-23 09:00 in Shanghai.
#[derive(Debug)]
pub struct Manual(AtomicI64);

impl Default for Manual {
    fn default() -> Self {
        Self(AtomicI64::new(1_795_395_600_000))
    }
}

impl Manual {
    pub fn advance(&self, by: Duration) {
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.0.fetch_add(ms, Ordering::SeqCst);
    }

    pub fn set(&self, to: Timestamp) {
        self.0.store(to.timestamp_millis(), Ordering::SeqCst);
    }
}

impl Clock for Manual {
    fn now(&self) -> Timestamp {
        Utc.timestamp_millis_opt(self.0.load(Ordering::SeqCst))
            .single()
            .unwrap_or_default()
    }
}

//! What the store knows of a channel (渠道): its number, its account, and whether it may send.

use lubu_channels::{Timestamp, Words};
use serde::{Deserialize, Serialize};

use crate::ids::ChannelNo;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelRecord {
    pub number: ChannelNo,
    pub name: String,
    pub adapter: String,
    /// A number belongs to one account for good.
    pub account: String,
    pub pause: Option<Pause>,
    pub breaker: Breaker,
}

/// Why a lane stands still (暂停).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    pub why: Words,
    /// An operator's name, [`Pause::OURS`], or none when the platform blocked the account.
    pub by: Option<String>,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub at: Timestamp,
    #[serde(with = "chrono::serde::ts_milliseconds_option")]
    pub until: Option<Timestamp>,
}

impl Pause {
    /// Who stops a channel because of posts that nothing on record explains.
    pub const OURS: &str = "lubu";

    /// Looks go on: the platform is as good as ever, only what may be sent is in question.
    pub fn lets_look(&self) -> bool {
        self.by.as_deref() == Some(Self::OURS)
    }

    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

/// Opens after failures in a row that say nothing about the content, probes with `check`, and
/// closes by itself. Counts, not shares: an office has a handful of posts a day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    pub failures: u32,
    pub opened: u32,
    #[serde(with = "chrono::serde::ts_milliseconds_option")]
    pub until: Option<Timestamp>,
}

impl Breaker {
    const TRIP: u32 = 3;
    const FIRST_S: i64 = 300;
    const LONGEST_S: i64 = 7200;

    /// After a failure of the channel itself.
    #[must_use]
    pub fn failed(mut self, now: Timestamp) -> Self {
        self.failures += 1;
        if self.failures >= Self::TRIP {
            let wait = (Self::FIRST_S << self.opened.min(6)).min(Self::LONGEST_S);
            self.opened += 1;
            self.failures = 0;
            self.until = Some(now + chrono::TimeDelta::seconds(wait));
        }
        self
    }

    /// After a probe failed while it was open.
    #[must_use]
    pub fn probe_failed(mut self, now: Timestamp) -> Self {
        self.failures = Self::TRIP - 1;
        self.failed(now)
    }

    /// After anything that worked.
    #[must_use]
    pub fn worked(self) -> Self {
        Self::default()
    }

    pub fn is_closed(&self) -> bool {
        self.until.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lubu_channels::{Clock, Manual};

    #[test]
    fn the_third_failure_opens_it_and_each_failed_probe_doubles_the_wait() {
        let now = Manual::default().now();
        let breaker = Breaker::default().failed(now).failed(now);
        assert!(breaker.is_closed());
        let breaker = breaker.failed(now);
        assert_eq!(breaker.until, Some(now + chrono::TimeDelta::seconds(300)));
        let breaker = breaker.probe_failed(now);
        assert_eq!(breaker.until, Some(now + chrono::TimeDelta::seconds(600)));
        assert!(breaker.worked().is_closed());
    }
}

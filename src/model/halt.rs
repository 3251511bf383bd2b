//! Why nothing is sent anywhere (停发), while looks and withdrawals go on.

use chrono::TimeDelta;
use lubu_channels::{Timestamp, Words};
use serde::{Deserialize, Serialize};

use crate::clock::Doubt;
use crate::ids::DeliveryId;

/// A person's order to send nothing, until it is lifted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopOrder {
    pub by: String,
    pub reason: String,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub at: Timestamp,
}

/// The last time that a person's word on the clock set time, and all that waits with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetBack {
    count: u64,
    by_ms: i64,
    /// The last delivery that was set, while others are still to be.
    upto: Option<DeliveryId>,
}

impl SetBack {
    /// The next to be done: what the last left unfinished, or a new one.
    #[must_use]
    pub fn next(self, by: TimeDelta) -> Self {
        if self.is_finished() {
            let count = self.count + 1;
            let by_ms = by.num_milliseconds();
            Self {
                count,
                by_ms,
                ..self
            }
        } else {
            self
        }
    }

    /// The same with everything up to this delivery done, or everything.
    #[must_use]
    pub fn done(self, upto: Option<DeliveryId>) -> Self {
        Self { upto, ..self }
    }

    pub fn upto(self) -> Option<DeliveryId> {
        self.upto
    }

    pub fn by(self) -> TimeDelta {
        TimeDelta::milliseconds(self.by_ms)
    }

    pub fn is_finished(self) -> bool {
        self.upto.is_none()
    }

    /// How often it was done wholly.
    pub fn finished(self) -> u64 {
        self.count - u64::from(!self.is_finished())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Halt {
    Ordered(StopOrder),
    Clock(Doubt),
}

impl Halt {
    /// For programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Ordered(_) => "ordered",
            Self::Clock(_) => "clock_suspect",
        }
    }

    pub fn words(&self) -> Words {
        match self {
            Self::Ordered(StopOrder { by, reason, .. }) => Words::new(
                format!("{by} 已下令停发：{reason}。恢复：lubu resume-sending --by 姓名"),
                format!(
                    "{by} stopped all sending: {reason}; `lubu resume-sending --by NAME` lifts it"
                ),
            ),
            Self::Clock(doubt) => doubt.words(),
        }
    }
}

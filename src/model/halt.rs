//! Why nothing is sent anywhere (停发), while looks and withdrawals go on.

use lubu_channels::{Timestamp, Words};
use serde::{Deserialize, Serialize};

use crate::clock::Doubt;

/// A person's order to send nothing, until it is lifted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopOrder {
    pub by: String,
    pub reason: String,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub at: Timestamp,
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

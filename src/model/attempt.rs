//! One run of one step or one look (尝试), with its outcome and reason.

use lubu_channels::{Failure, Fate, Kind, Timestamp, Words};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Counts from 1 over the delivery's life.
    pub number: u32,
    pub round: u32,
    pub revision: u32,
    /// The step's name, or `look`, or who decided.
    pub step: String,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub began: Timestamp,
    #[serde(with = "chrono::serde::ts_milliseconds_option")]
    pub ended: Option<Timestamp>,
    pub outcome: Outcome,
    /// The platform's code and request id.
    pub code: Option<String>,
    pub request_id: Option<String>,
    /// The reason a person can read; none where the outcome says it all.
    pub words: Option<Words>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Under way, or the process ended before it was known.
    Open,
    Done,
    /// Not applied; tried again later.
    Again,
    /// Not applied; refused for good.
    Never,
    /// Not applied; the account or the goal is blocked.
    Blocked,
    /// May have been applied.
    Unsure,
    /// A look found it.
    Found,
    /// A look found that it is not there.
    Absent,
    /// A look could not tell.
    CannotTell,
    /// A person decided.
    Person,
}

/// What is kept of a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub kind: Kind,
    pub fate: Fate,
    pub code: Option<String>,
    pub request_id: Option<String>,
    pub words: Words,
}

impl From<&Failure> for Told {
    fn from(failure: &Failure) -> Self {
        Self {
            kind: failure.kind,
            fate: failure.fate,
            code: failure.code.clone(),
            request_id: failure.request_id.clone(),
            words: failure.public.clone(),
        }
    }
}

//! What can happen to a delivery, and the refusal of what cannot happen in its state.

use lubu_channels::{Failure, Receipt, Sighting, Step, Timestamp, Words};

use super::{Hold, JobNow, WantedRevision, Why};
use crate::model::finding::Moves;

/// What can happen to a delivery.
#[derive(Debug, Clone)]
pub enum Event {
    /// A revision was approved for this channel.
    Approved(WantedRevision),
    /// The item was withdrawn.
    Withdrawn {
        by: String,
        reason: String,
    },
    /// The old copy shall stay.
    Kept {
        why: Words,
    },
    /// What it waited for has come: another channel's copy, a schedule.
    Released,
    /// Another channel's copy must come first.
    Waits(Hold),
    /// A step is about to run.
    Intent {
        job: JobNow,
        step: Step,
    },
    Done {
        receipt: Receipt,
    },
    Failed {
        failure: Failure,
    },
    /// Its intent grew too old before the call: nothing was sent.
    Unsent {
        why: Words,
    },
    /// The process ended while the step ran.
    Lost,
    /// Nothing is left to send.
    Finished,
    /// Nothing can be done before then.
    Postponed {
        until: Timestamp,
        why: Why,
    },
    /// The adapter needs a person on the platform.
    Person {
        todo: Words,
        look_at: Timestamp,
    },
    Looked {
        sighting: Sighting,
    },
    LookFailed {
        failure: Failure,
    },
    /// A look found nothing while the clock was in doubt: it may have looked from a time after the post.
    LookDoubted,
    /// It was looked at again after it had come to rest, and the look says so much.
    Verified {
        moves: Moves,
        sighting: Sighting,
        words: Words,
    },
    /// Time went back so far, by a person's word, or forward where that is less than nothing: what was
    /// to happen then happens as much earlier, or later.
    ClockBack {
        by: chrono::TimeDelta,
    },
    /// Time passed that nobody counted: how long ago anything was is not known.
    Uncounted,
    /// A person orders another go after a known failure.
    Retry {
        by: String,
    },
    /// Its channel is configured again.
    Returned,
    /// The store may be older than what was sent: nothing goes on by itself.
    Restored,
    /// A person lets go what was held for that.
    Freed {
        by: String,
    },
    /// It took the process, or its own task, along too often.
    SetAside {
        words: Words,
    },
    /// A person saw it, at this address or without knowing one.
    SaidLive {
        by: String,
        url: Option<String>,
    },
    /// A person saw that it is not there.
    SaidAbsent {
        by: String,
    },
}

impl Event {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Approved(_) => "approved",
            Self::Withdrawn { .. } => "withdrawn",
            Self::Kept { .. } => "kept",
            Self::Released => "released",
            Self::Waits(_) => "waits",
            Self::Intent { .. } => "intent",
            Self::Done { .. } => "done",
            Self::Failed { .. } => "failed",
            Self::Unsent { .. } => "unsent",
            Self::Lost => "lost",
            Self::Finished => "finished",
            Self::Postponed { .. } => "postponed",
            Self::Person { .. } => "person",
            Self::Looked { .. } => "looked",
            Self::LookFailed { .. } => "look_failed",
            Self::LookDoubted => "look_doubted",
            Self::Verified { .. } => "verified",
            Self::ClockBack { .. } => "clock_back",
            Self::Uncounted => "uncounted",
            Self::Retry { .. } => "retry",
            Self::Returned => "returned",
            Self::Restored => "restored",
            Self::Freed { .. } => "freed",
            Self::SetAside { .. } => "set_aside",
            Self::SaidLive { .. } => "said_live",
            Self::SaidAbsent { .. } => "said_absent",
        }
    }
}

/// This event cannot happen in this state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("apply `{event}` to a delivery that is {state}")]
pub struct Illegal {
    pub state: &'static str,
    pub event: &'static str,
}

//! A failure, and what it means for the next try.
//!
//! Decided once, in the adapter's `fate.rs`, and never guessed again above. Only a failed connect
//! proves that nothing was sent: any transport failure after that, a 5xx, a redirect, a reply that
//! cannot be read, or a code the platform does not document is [`Fate::Unsure`] on any step that
//! is neither `Read` nor `Idempotent`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Progress, Timestamp, Words};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub kind: Kind,
    pub fate: Fate,
    /// The platform's own code, as it wrote it.
    pub code: Option<String>,
    /// The platform's own id of the request.
    pub request_id: Option<String>,
    /// What happened and what a person can do; the platform's own words quoted at the end.
    pub public: Words,
    /// For the engineer's log; still without secrets.
    pub private: String,
    /// Replaces the saved progress, so that a dead id is not used again.
    pub progress: Option<Progress>,
}

impl Failure {
    pub fn new(kind: Kind, fate: Fate, public: Words) -> Self {
        Self {
            kind,
            fate,
            code: None,
            request_id: None,
            public,
            private: String::new(),
            progress: None,
        }
    }

    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    #[must_use]
    pub fn request_id(mut self, id: Option<String>) -> Self {
        self.request_id = id;
        self
    }

    #[must_use]
    pub fn private(mut self, text: impl Into<String>) -> Self {
        self.private = text.into();
        self
    }

    #[must_use]
    pub fn progress(mut self, progress: Progress) -> Self {
        self.progress = Some(progress);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.public.zh)
    }
}

impl std::error::Error for Failure {}

/// What went wrong, for counting and for the breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// No connection: nothing was sent.
    Connect,
    /// The connection broke or ran out of time after something was sent.
    Transport,
    /// The platform answered with something that is no answer.
    Garbled,
    /// The platform is busy or broken.
    Platform,
    /// Too many calls.
    Throttled,
    /// Credentials, certification, permissions, IP list.
    Account,
    /// The content was refused.
    Content,
    /// The request itself was wrong: a bug or a wrong setting.
    Request,
    /// The remote object is not there.
    Gone,
    /// The platform says it has this already.
    Duplicate,
    /// This machine: disk, memory.
    Local,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Not applied; the same call may work later, not before the time the platform named.
    Again { not_before: Option<Timestamp> },
    /// Not applied, and this content never will be: a person edits it.
    Never,
    /// Not applied: nobody can do this here until someone repairs it.
    Blocked(Reach),
    /// May have been applied. Look before sending again.
    Unsure,
}

/// How far a block reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// The account is unusable: the lane pauses.
    Account,
    /// Only this goal is (no right to delete): its deliveries are held.
    Goal,
}

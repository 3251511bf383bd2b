//! One go at one post: which documents, towards which goal, and how far it got.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Draft, Step, Timestamp};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Nothing of this post is on the platform yet.
    Publish,
    /// The remote object exists and shall show the subjects' revisions.
    Update,
    /// The remote object shall go, staged parts included.
    Withdraw,
}

/// What [`super::Channel::next`], `perform` and `look` are told.
#[derive(Debug, Clone)]
pub struct Job {
    /// 32 lower-case hex digits; the same for every try of this job, another for a new round.
    pub key: String,
    pub goal: Goal,
    /// In order of their place in the post; one for platforms that do not gather.
    pub subjects: Vec<Subject>,
    /// What finished steps left behind. Lives as long as the remote object, across revisions and
    /// rounds: name facts so that they stay true (`image/HASH`, not `image/1`).
    pub progress: Progress,
    /// When a reader could first see this post, once known. Never moves.
    pub first_live: Option<Timestamp>,
    /// Why it is withdrawn, for the notice page.
    pub reason: Option<String>,
}

impl Job {
    /// The only subject of a platform that does not gather.
    pub fn sole(&self) -> Option<&Subject> {
        self.subjects.first()
    }
}

/// One document's place in a post.
#[derive(Debug, Clone)]
pub struct Subject {
    pub place: u8,
    pub item: String,
    pub revision: u32,
    pub draft: Arc<Draft>,
    /// Equal to `draft.hash()`, kept beside it because it is asked for often.
    pub draft_hash: String,
    /// What was last seen of it.
    pub copy: Option<Copy>,
}

/// What a channel was seen to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    pub place: u8,
    pub revision: u32,
    pub remote_id: Option<String>,
    pub address: Option<String>,
    pub evidence: super::Evidence,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub seen_at: Timestamp,
}

/// What finished steps left behind: ids, addresses, times. Never a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress(BTreeMap<String, String>);

impl Progress {
    pub fn get(&self, fact: &str) -> Option<&str> {
        self.0.get(fact).map(String::as_str)
    }

    pub fn has(&self, fact: &str) -> bool {
        self.0.contains_key(fact)
    }

    pub fn set(&mut self, fact: impl Into<String>, value: impl Into<String>) {
        self.0.insert(fact.into(), value.into());
    }

    #[must_use]
    pub fn with(mut self, fact: impl Into<String>, value: impl Into<String>) -> Self {
        self.set(fact, value);
        self
    }

    #[must_use]
    pub fn without(mut self, fact: &str) -> Self {
        self.0.remove(fact);
        self
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(fact, value)| (fact.as_str(), value.as_str()))
    }
}

/// What a look is for.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// One step whose outcome is unknown, and when it may have been applied.
    Step {
        step: &'a Step,
        began: Timestamp,
        ended: Timestamp,
    },
    /// The copies that should be there, or should be gone.
    Copies,
    /// Whatever a run of which no record is left may have published of the subject, not before
    /// `since`: the store is older than the world. It is found by what readers see of it, since no
    /// id is known; what is found goes into the progress. `Absent` says that it covered all of that
    /// time, and that nothing there looks like another revision of it.
    Unrecorded { since: Timestamp },
}

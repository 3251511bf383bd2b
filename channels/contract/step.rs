//! One remote act of an adapter's way, and what a repeat of it would do.
//!
//! Every step declares its effect; there is no default. The engine decides from it what an unknown
//! outcome means: repeat, look first, or ask a person.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Timestamp, Words};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Unique in its job, stable between runs: `page`, `image/3`, `draft`.
    pub name: String,
    pub effect: Effect,
    /// Readers may see something new, changed or gone after it.
    pub shows: bool,
    /// Alone in its lane, once for all posts that wait before it (rebuilding lists). It is done
    /// for a post when the progress holds the step's name with the job's key as its value; the
    /// engine writes this fact for every post that it ran for.
    pub burst: bool,
    pub costs: Vec<Cost>,
}

impl Step {
    pub fn new(name: impl Into<String>, effect: Effect) -> Self {
        Self {
            name: name.into(),
            effect,
            shows: false,
            burst: false,
            costs: Vec::new(),
        }
    }

    #[must_use]
    pub fn shows(mut self) -> Self {
        self.shows = true;
        self
    }

    #[must_use]
    pub fn burst(mut self) -> Self {
        self.burst = true;
        self
    }

    /// Spends `units` of the quota named in [`super::Caps::quotas`].
    #[must_use]
    pub fn costs(mut self, quota: &str, units: u32) -> Self {
        self.costs.push(Cost {
            quota: quota.to_owned(),
            units,
        });
        self
    }
}

/// What a repeat of a step would do on the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Changes nothing.
    Read,
    /// Leaves the same end state.
    Idempotent,
    /// Leaves an orphan that no reader sees.
    Staged,
    /// The platform drops it while `window` lasts, when it carries the same key and at least
    /// `pause` has gone by.
    Keyed { window: Duration, pause: Duration },
    /// May make a second public copy.
    Public,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    pub quota: String,
    pub units: u32,
}

impl Cost {
    /// One unit of the quota of this name.
    pub fn one(quota: &str) -> Self {
        Self {
            quota: quota.to_owned(),
            units: 1,
        }
    }
}

/// What to do next towards a job's goal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    Run(Step),
    /// Nothing can be done before `until`.
    Wait {
        until: Timestamp,
        why: Words,
    },
    /// A person must act on the platform; look again at `look_at`.
    Person {
        todo: Words,
        look_at: Timestamp,
    },
    /// Nothing is left to send. It does not say that readers see anything: only a look does.
    Done,
}

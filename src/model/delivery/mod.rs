//! A delivery (投递): what one channel should show of one item, and what it was seen to show.
//!
//! Approving, correcting and withdrawing only change `wanted`; the engine moves the copy towards
//! it. Nothing but [`transition()`] changes a state, and every refusal carries both the state and the
//! event. What is in flight is named by `job`, which stays as it was when its first intent went to
//! disk: a newer `wanted` waits until the older outcome is known.

mod clock;
mod event;
mod former;
mod log;
mod person;
mod record;
mod restored;
mod seen;
mod sweep;
mod transition;
mod unknown;
mod verified;
mod view;
mod wanted;
pub(super) mod words;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

use lubu_channels::{Copy, Effect, Goal, Progress, Step, Timestamp, UpdateBy, Words};
use serde::{Deserialize, Serialize};

use super::approval::OnCorrection;
use super::attempt::{Attempt, Told};
use super::policy::Policy;
use crate::ids::{ChannelNo, DeliveryId};

pub use event::{Event, Illegal};
pub use transition::transition;
pub use view::PublicState;

/// Attempts that the record itself keeps.
pub const KEPT: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub id: DeliveryId,
    /// Counts every transition; a stale one is refused.
    pub version: u64,
    pub wanted: Wanted,
    pub state: State,
    /// The job in flight, or the last one.
    pub job: Option<JobNow>,
    pub round: u32,
    /// Automatic repeats after a certain absence, in this round.
    pub repeats: u8,
    /// Failures in a row.
    pub tries: u32,
    /// Attempts over its life.
    pub attempts: u32,
    /// When the present goal was set, or the first of the failures in a row.
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub since: Timestamp,
    pub progress: Progress,
    /// A step that readers can see the effect of was applied, and is not known to be gone.
    pub shown: bool,
    pub copy: Option<Copy>,
    #[serde(with = "chrono::serde::ts_milliseconds_option")]
    pub first_live: Option<Timestamp>,
    /// A step that an earlier run may have applied.
    pub doubt: Option<Doubt>,
    /// Who said that a post is not there; another person must order the next send.
    pub said_absent: Option<String>,
    pub log: Vec<Attempt>,
}

/// What the channel should show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wanted {
    Revision(WantedRevision),
    /// Withdrawn: nothing, or a notice in its place.
    Nothing {
        by: String,
        reason: String,
    },
    /// The old copy stays as it is.
    Keep {
        why: Words,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedRevision {
    pub number: u32,
    /// The draft that was signed, and the blob it is in.
    pub draft: String,
    pub blob: String,
    /// What was decided about the old copy, where it cannot be corrected in place.
    pub on_correction: OnCorrection,
    /// The schedule that lets it go, until it has.
    pub schedule: Option<String>,
}

/// One go at the post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobNow {
    pub goal: Goal,
    pub revision: u32,
    pub draft: String,
    pub blob: String,
    pub round: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "record::Doubt", into = "record::Doubt")]
pub struct Doubt {
    pub step: Step,
    pub goal: Goal,
    /// When its first run began: the window of a key counts from here, over every restart.
    pub since: Timestamp,
    /// When its last run began and ended.
    pub began: Timestamp,
    pub ended: Timestamp,
    /// Looks, or a person, found that it was not applied. Kept because "duplicate" is evidence on
    /// a repeat, and because the round and its key go on.
    pub absent: bool,
    /// It was applied since. Only a lost run's bytes may still come, and overwrite what follows.
    pub echo: bool,
}

impl Doubt {
    /// Readers may see what it wrote.
    fn may_show(&self) -> bool {
        self.is_open() && self.step.shows && self.goal != Goal::Withdraw
    }

    /// Nobody knows yet whether it was applied.
    pub fn is_open(&self) -> bool {
        !self.absent && !self.echo
    }

    /// Until when a lost run's bytes can still overwrite what readers see: those of a step that only
    /// repeats itself, since every other is looked for first.
    fn overwrites_until(&self, policy: &Policy) -> Option<Timestamp> {
        let writes = self.step.effect == Effect::Idempotent && self.step.shows;
        let possible = writes && !self.absent;
        possible.then(|| self.ended + policy.settle)
    }

    /// The step is known to have been applied: nothing of it is left, or its echo.
    fn settled(self, now: Timestamp, policy: &Policy) -> Option<Self> {
        let coming = self
            .overwrites_until(policy)
            .is_some_and(|until| until > now);
        coming.then_some(Self { echo: true, ..self })
    }

    /// It may have made a public copy that another one would double.
    pub fn may_double(&self) -> bool {
        !self.absent && matches!(self.step.effect, Effect::Keyed { .. } | Effect::Public)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Something is to be done at `at`.
    Due {
        #[serde(with = "chrono::serde::ts_milliseconds")]
        at: Timestamp,
        why: Why,
    },
    /// The intent is on disk, the outcome is not.
    Working {
        step: Step,
        #[serde(with = "chrono::serde::ts_milliseconds")]
        began: Timestamp,
    },
    /// A step may have been applied.
    Unknown(Unknown),
    /// Everything is sent; readers do not see it yet.
    Review {
        #[serde(with = "chrono::serde::ts_milliseconds")]
        since: Timestamp,
        looks: u16,
        #[serde(with = "chrono::serde::ts_milliseconds")]
        at: Timestamp,
        /// What the last look said.
        why: Option<Words>,
    },
    Held {
        why: Hold,
        /// The next look, where looks can end it.
        #[serde(with = "chrono::serde::ts_milliseconds_option")]
        at: Option<Timestamp>,
    },
    /// The wanted revision was seen.
    Live,
    /// Known not to be applied; a person must act.
    Failed { why: Told },
    /// Seen gone.
    Withdrawn,
    /// Nothing was ever sent, and nothing will be.
    Skipped { why: Words },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unknown {
    pub step: Step,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub began: Timestamp,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub ended: Timestamp,
    pub looks: u8,
    /// Covering looks that found nothing.
    pub absent: u8,
    #[serde(with = "chrono::serde::ts_milliseconds_option")]
    pub last_absent: Option<Timestamp>,
    /// The next look; none once the plan is over and a person owns it.
    #[serde(with = "chrono::serde::ts_milliseconds_option")]
    pub at: Option<Timestamp>,
    pub why: Words,
}

/// Why something due has not happened yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Why {
    /// Newly wanted.
    Fresh,
    /// The step before is done.
    Onward,
    /// The last try failed.
    Failed(Told),
    /// A quota is used up until then.
    Quota { name: String },
    /// The adapter waits for something.
    Platform(Words),
    /// A post of the same account must be cleared up first.
    OtherUnknown,
    /// Looked, found absent, sent again.
    Absent,
    /// A person ordered it.
    Retried { by: String },
    /// What links to it is taken down first.
    Dependents,
    /// Quiet hours until then; asked for at that time.
    Quiet {
        #[serde(with = "chrono::serde::ts_milliseconds")]
        asked: Timestamp,
    },
}

/// Why it deliberately does not move (暂缓).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hold {
    /// Another channel's copy must be seen live first.
    After(Vec<ChannelNo>),
    /// A person must act on the platform.
    Person(Words),
    /// This goal is blocked: no right to delete, say.
    Blocked(Told),
    /// The copy cannot be corrected in place; the person who corrects decides.
    Correction,
    /// More than one public copy, or one that nobody here sent.
    Differs(Words),
    /// Approved, released later by this schedule.
    Schedule(String),
    /// The store was restored, and may not know what was sent since.
    Restored,
    /// Working on it ended the process, or its own task, too often.
    Poison(Words),
    /// Everything was sent, and the look plan is over without its being seen; looks go on.
    Unseen(Words),
    /// Its channel is no longer configured.
    Removed,
    /// It had failed when this store was copied, and another go may have been ordered since.
    FailedBefore(Told),
}

impl Delivery {
    /// A delivery that does not exist yet.
    pub fn new(id: DeliveryId, wanted: Wanted, state: State, now: Timestamp) -> Self {
        Self {
            id,
            version: 0,
            wanted,
            state,
            job: None,
            round: 1,
            repeats: 0,
            tries: 0,
            attempts: 0,
            since: now,
            progress: Progress::default(),
            shown: false,
            copy: None,
            first_live: None,
            doubt: None,
            said_absent: None,
            log: Vec::new(),
        }
    }

    /// Something of it may be on the platform, if only staged.
    pub fn has_remote(&self) -> bool {
        let doubt = self.doubt.as_ref().is_some_and(|doubt| !doubt.absent);
        self.shown || self.copy.is_some() || self.has_facts() || doubt
    }

    /// The job that a step now would belong to, or none when there is nothing to do.
    pub fn plan(&self, policy: &Policy) -> Option<JobNow> {
        match &self.wanted {
            Wanted::Nothing { .. } => self.plan_withdraw(),
            Wanted::Keep { .. } => None,
            Wanted::Revision(wanted) => {
                if policy.update != UpdateBy::InPlace && self.shows_other_than(wanted) {
                    // The withdrawal is finished before the new one is published.
                    return match wanted.on_correction {
                        OnCorrection::Ask | OnCorrection::Leave if !self.is_going() => None,
                        OnCorrection::Ask | OnCorrection::Leave | OnCorrection::Replace => {
                            self.plan_withdraw()
                        }
                    };
                }
                let goal = if self.shown {
                    Goal::Update
                } else {
                    Goal::Publish
                };
                Some(JobNow {
                    goal: self.continued(goal, wanted.number),
                    revision: wanted.number,
                    draft: wanted.draft.clone(),
                    blob: wanted.blob.clone(),
                    round: self.round,
                })
            }
        }
    }

    /// A publish that has shown something already goes on as a publish until it is finished.
    fn continued(&self, goal: Goal, revision: u32) -> Goal {
        match &self.job {
            Some(job) if job.revision == revision && job.goal == Goal::Publish => Goal::Publish,
            _ => goal,
        }
    }

    /// Readers may see other bytes than these. The same bytes under a new number need no
    /// correction, unless their withdrawal has begun.
    fn shows_other_than(&self, wanted: &WantedRevision) -> bool {
        self.shown
            && self.job.as_ref().is_none_or(|job| {
                let same = job.revision == wanted.number || job.draft == wanted.draft;
                !same || job.goal == Goal::Withdraw
            })
    }

    /// Its withdrawal has begun and was not refused: there may be no copy left to be kept.
    fn is_going(&self) -> bool {
        let begun = self
            .job
            .as_ref()
            .is_some_and(|job| job.goal == Goal::Withdraw);
        let refused = matches!(
            self.state,
            State::Failed { .. }
                | State::Held {
                    why: Hold::Blocked(_) | Hold::FailedBefore(_),
                    ..
                }
        );
        let doubt = self
            .doubt
            .as_ref()
            .is_some_and(|doubt| doubt.goal == Goal::Withdraw);
        begun && (doubt || !refused)
    }

    /// The withdrawal of what the last job put out.
    fn plan_withdraw(&self) -> Option<JobNow> {
        if !self.has_remote() {
            return None;
        }
        self.job.as_ref().map(|job| JobNow {
            goal: Goal::Withdraw,
            round: self.round,
            ..job.clone()
        })
    }

    /// The revision that the last job put out.
    pub fn sent(&self) -> Option<u32> {
        self.job.as_ref().map(|job| job.revision)
    }

    /// 32 lower-case hex digits: the same for every try of a job, another for a new round.
    pub fn key(&self, job: &JobNow) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.id.item.bytes());
        hasher.update(&self.id.channel.0.to_le_bytes());
        hasher.update(&job.round.to_le_bytes());
        hasher.update(&job.revision.to_le_bytes());
        let goal: &[u8] = match job.goal {
            Goal::Publish => b"publish",
            Goal::Update => b"update",
            Goal::Withdraw => b"withdraw",
        };
        hasher.update(goal);
        hasher.update(job.draft.as_bytes());
        hasher.finalize().to_hex()[..32].to_owned()
    }

    /// When the engine must turn to it; none while it rests or a person owns it.
    pub fn next_at(&self) -> Option<Timestamp> {
        match &self.state {
            State::Due { at, .. } | State::Review { at, .. } => Some(*at),
            State::Unknown(unknown) => unknown.at,
            State::Held { at, .. } => *at,
            State::Working { .. }
            | State::Live
            | State::Failed { .. }
            | State::Withdrawn
            | State::Skipped { .. } => None,
        }
    }

    /// Its withdrawal has neither come to an end nor met an obstacle yet.
    pub fn is_going_down(&self) -> bool {
        let fresh = match &self.state {
            State::Due { why, .. } => {
                matches!(why, Why::Fresh | Why::Onward | Why::Dependents)
            }
            state => matches!(state, State::Working { .. }),
        };
        self.withdrawing() && fresh
    }

    /// Its channel was not configured for a while: its own work, or the looks it was owed, stopped there.
    pub fn was_left(&self, policy: &Policy) -> bool {
        match &self.state {
            State::Held {
                why: Hold::Removed, ..
            }
            | State::Held {
                why: Hold::Person(_) | Hold::Unseen(_),
                at: None,
            } => true,
            // Past its plan a person owns it; before that nobody would turn to it.
            State::Unknown(unknown) => {
                unknown.at.is_none() && usize::from(unknown.looks) < policy.unknown_plan.len()
            }
            _ => false,
        }
    }

    /// Whether it is wanted gone.
    pub fn withdrawing(&self) -> bool {
        matches!(self.wanted, Wanted::Nothing { .. })
    }
}

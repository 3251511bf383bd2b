//! What a store that may be older than the world does with what it was about to do.
//!
//! A backup does not know what was sent, or withdrawn, after it. So nothing goes on by itself: each delivery that would is
//! held, and looked for as if it had been sent. What is seen live comes to rest; the rest waits for a person, with what the
//! look found beside it. What waits for a person already stays as it is.

use lubu_channels::{Evidence, Goal, Sighting, Timestamp, Verdict, Words};

use super::log::decided;
use super::transition::Legal;
use super::{Delivery, Doubt, Hold, State, unknown, wanted};
use crate::model::attempt::{Attempt, Outcome};
use crate::model::policy::Policy;

impl Delivery {
    /// Whether it would go on by itself.
    pub fn goes_on(&self) -> bool {
        matches!(
            self.state,
            State::Due { .. }
                | State::Unknown(_)
                | State::Review { .. }
                | State::Held {
                    why: Hold::After(_) | Hold::Schedule(_),
                    ..
                }
        )
    }

    /// Whether it is held because the store may be older than what was sent.
    pub fn is_restored(&self) -> bool {
        let State::Held { why, .. } = &self.state else {
            return false;
        };
        *why == Hold::Restored
    }
}

impl Delivery {
    /// What the last look found since it was held for that; none where there was no look yet.
    pub fn look_since_restored(&self) -> Option<&Attempt> {
        let last = self.log.iter().rev().find(|one| one.step == "look")?;
        (self.is_restored() && last.ended >= Some(self.since)).then_some(last)
    }
}

pub(super) fn hold(d: &mut Delivery, now: Timestamp, policy: &Policy) -> Legal {
    if !d.goes_on() {
        return None;
    }
    match &d.state {
        State::Unknown(_) => keep_in_doubt(d),
        State::Review { .. } => {}
        _ => d.job = d.plan(policy).or(d.job.take()),
    }
    d.since = now;
    d.state = State::Held {
        why: Hold::Restored,
        at: Some(now),
    };
    Some(())
}

/// Whoever lets it go on sends it back to be looked for.
pub(super) fn keep_in_doubt(d: &mut Delivery) {
    let State::Unknown(unknown) = &d.state else {
        return;
    };
    let goal = d.job.as_ref().map_or(Goal::Publish, |job| job.goal);
    let doubt = Doubt {
        step: unknown.step.clone(),
        goal,
        since: unknown.began,
        began: unknown.began,
        ended: unknown.ended,
        absent: false,
        echo: false,
    };
    d.doubt.get_or_insert(doubt);
}

/// "Not there" from a store that never sent it may only mean that it does not know what to look for. It counts where the
/// platform was read, and nowhere else.
pub(super) fn honest(mut sighting: Sighting) -> Sighting {
    for seen in &mut sighting.seen {
        if seen.verdict == Verdict::Absent && seen.evidence < Evidence::ReadBack {
            seen.verdict = Verdict::CannotTell(Words::new(
                "这里没有它的发送记录，无从查起，请到平台上核实",
                "nothing is known here by which it could be found; look on the platform",
            ));
        }
    }
    sighting
}

pub(super) fn free(d: &mut Delivery, by: &str, now: Timestamp, policy: &Policy) -> Legal {
    if !d.is_restored() {
        return None;
    }
    let words = Words::new(format!("{by} 放行"), format!("released by {by}"));
    decided(d, "release", Outcome::Person, Some(words), now);
    d.since = now;
    if !unknown::look_first(d, now, policy) {
        wanted::resume(d, now, policy);
    }
    Some(())
}

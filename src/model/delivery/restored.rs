//! What a store that may be older than the world does with what it was about to do.
//!
//! A backup does not know what was sent, or withdrawn, after it. So nothing goes on by itself: each delivery that would is
//! held, and looked for as if it had been sent. What is seen live comes to rest; the rest waits for a person, with what the
//! look found beside it. What waits for a person already stays as it is, but what had failed remembers it: another go may have
//! been ordered since the backup, so that the next order of one, a correction or a withdrawal has it looked for first.

use lubu_channels::{Evidence, Goal, Seen, Sighting, Timestamp, Verdict, Words};

use super::log::decided;
use super::transition::Legal;
use super::words::delta;
use super::{Delivery, Doubt, Hold, State, Wanted, person, unknown, wanted};
use crate::model::attempt::{Attempt, Outcome, Told};
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

    /// Whether it would go on by itself, or at the word of a person who does not know what was sent since.
    pub fn would_go_on(&self) -> bool {
        let ordered = matches!(
            self.state,
            State::Failed { .. }
                | State::Held {
                    why: Hold::Blocked(_) | Hold::Poison(_),
                    ..
                }
        );
        self.goes_on() || ordered && matches!(self.wanted, Wanted::Revision(_))
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

impl Delivery {
    /// Since when a run of which this store knows nothing may have published it. None where it is known what to look for,
    /// or where nothing is held for that.
    pub fn unrecorded_since(&self) -> Option<Timestamp> {
        // Of what may only have been staged no post can be told.
        let published = |doubt: &Doubt| doubt.step.shows || doubt.may_double();
        let doubted = self.doubt.as_ref();
        let doubted = doubted.is_some_and(|doubt| !doubt.absent && published(doubt));
        let known = self.shown || self.copy.is_some() || doubted;
        // Nothing can have left before the item came in.
        let since = Timestamp::from_timestamp_millis(self.id.item.made_ms());
        since.filter(|_| self.is_restored() && self.job.is_some() && !known)
    }
}

pub(super) fn hold(d: &mut Delivery, now: Timestamp, policy: &Policy) -> Legal {
    if !d.would_go_on() {
        return None;
    }
    let (why, at) = match &d.state {
        State::Failed { why }
        | State::Held {
            why: Hold::Blocked(why),
            ..
        } => (Hold::FailedBefore(why.clone()), None),
        // Not even a look goes on by itself, as if it had been set aside after this.
        State::Held {
            why: Hold::Poison(words),
            ..
        } => {
            let words = words.clone();
            decided(d, "set_aside", Outcome::CannotTell, Some(words), now);
            (Hold::Restored, None)
        }
        _ => (Hold::Restored, Some(now)),
    };
    match &d.state {
        State::Unknown(_) => keep_in_doubt(d),
        State::Review { .. } => {}
        _ if matches!(why, Hold::FailedBefore(_)) => {}
        _ => d.job = d.plan(policy).or(d.job.take()),
    }
    d.since = now;
    d.state = State::Held { why, at };
    Some(())
}

/// How it had failed when the store was copied.
pub(super) fn failed_before(d: &Delivery) -> Option<&Told> {
    match &d.state {
        State::Held {
            why: Hold::FailedBefore(told),
            ..
        } => Some(told),
        _ => None,
    }
}

/// Something is wanted of what had failed. What the go that this store knows nothing of would have sent is looked for,
/// and a person lets it go on after that, as with all the rest.
pub(super) fn look_for_failed(d: &mut Delivery, now: Timestamp, policy: &Policy) {
    if failed_before(d).is_none() {
        return;
    }
    person::new_round_after_known(d, policy);
    d.tries = 0;
    d.said_absent = None;
    d.job = d.plan(policy).or(d.job.take());
    d.since = now;
    d.state = State::Held {
        why: Hold::Restored,
        at: Some(now),
    };
}

/// It is not there, so that nothing was sent since: it has failed as it was said to have.
pub(super) fn failed_after_all(d: &mut Delivery) {
    if let Some(why) = failed_before(d).cloned() {
        d.state = State::Failed { why };
    }
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
/// platform was read, and nowhere else; and when two looks agree that are a settle time apart.
pub(super) fn honest(
    d: &Delivery,
    mut sighting: Sighting,
    now: Timestamp,
    policy: &Policy,
) -> Sighting {
    let agreed = absent_since(d).is_some_and(|first| now - first >= delta(policy.settle));
    for seen in &mut sighting.seen {
        if seen.verdict != Verdict::Absent {
            continue;
        }
        if seen.evidence < Evidence::ReadBack {
            seen.verdict = Verdict::CannotTell(Words::new(
                "这里没有它的发送记录，无从查起，请到平台上核实",
                "nothing is known here by which it could be found; look on the platform",
            ));
        } else if !agreed {
            seen.verdict = Verdict::CannotTell(once());
        }
    }
    sighting
}

/// Since when looks have found nothing.
fn absent_since(d: &Delivery) -> Option<Timestamp> {
    let look = d.look_since_restored()?;
    let absent = look.outcome == Outcome::Absent || look.words == Some(once());
    absent.then_some(look.began)
}

fn once() -> Words {
    Words::new(
        "核对一次，平台上没有；稍后再核对一次才算数",
        "one look found nothing; it counts once a second one agrees",
    )
}

/// What readers see must be known to a later withdrawal, whatever it was looked for.
pub(super) fn adopt(d: &mut Delivery, seen: &[Seen]) {
    let there = |seen: &Seen| matches!(seen.verdict, Verdict::Live(_) | Verdict::Several(_));
    d.shown |= d.is_restored() && seen.first().is_some_and(there);
}

/// Nothing is to be sent, and whether anything was is looked for first: it is not known to be unsent.
pub(super) fn look_now(d: &mut Delivery, now: Timestamp) {
    if let State::Held { at, .. } = &mut d.state {
        *at = Some(now);
    }
}

/// The look that is to agree comes as soon as it may. Where nothing was ever sent and nothing is to be,
/// two that agree are the end of it.
pub(super) fn second_look(d: &mut Delivery, now: Timestamp, policy: &Policy) {
    let absent = d
        .look_since_restored()
        .is_some_and(|look| look.outcome == Outcome::Absent);
    if absent && d.unrecorded_since().is_some() && !matches!(d.wanted, Wanted::Revision(_)) {
        return wanted::resume(d, now, policy);
    }
    let once = d
        .look_since_restored()
        .is_some_and(|look| look.words == Some(once()));
    if let State::Held {
        why: Hold::Restored,
        at: Some(at),
    } = &mut d.state
        && once
    {
        *at = (*at).min(now + policy.settle);
    }
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

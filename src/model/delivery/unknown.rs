//! What an unknown outcome leads to, by the effect of the step.
//!
//! A repeat is harmless (`Read`, `Idempotent`), or invisible (`Staged`), or dropped by the platform
//! (`Keyed`, inside its window), or forbidden (`Public`). Only for the last does absence have to be
//! proven: after the settle time, by two covering looks that agree. While the item is being
//! withdrawn no step that shows anything is repeated, under whatever key.

use lubu_channels::{Effect, Sighting, Step, Timestamp, Truth, Words};

use super::transition::{
    applied, back_off, decided, keyed_until, known_absent, later, settle_wanted,
};
use super::{Delivery, Doubt, Hold, State, Unknown, Wanted, Why, seen};
use crate::model::attempt::{Outcome, Told};
use crate::model::policy::Policy;

/// A step ended without anyone knowing whether it was applied.
pub(super) fn enter(
    d: &mut Delivery,
    step: &Step,
    began: Timestamp,
    told: Told,
    now: Timestamp,
    policy: &Policy,
    dice: f64,
) {
    let since = match d.doubt.take() {
        Some(doubt) if doubt.step == step.name => doubt.since,
        _ => began,
    };
    let doubt = Doubt {
        step: step.name.clone(),
        since,
    };
    let frozen = step.shows && d.withdrawing();
    let mut unknown = Unknown::new(step.clone(), began, now, told.words.clone());
    match step.effect {
        Effect::Read | Effect::Idempotent => back_off(d, told, None, now, policy, dice),
        Effect::Staged => {
            unknown.at = Some(now);
            d.state = State::Unknown(unknown);
        }
        Effect::Keyed { .. } | Effect::Public => {
            let again = keyed_until(step.effect, &doubt)
                .filter(|(until, pause)| !frozen && now + *pause < *until)
                .map(|(_, pause)| now + pause);
            if let Some(at) = again {
                d.tries += 1;
                d.state = State::Due {
                    at,
                    why: Why::Failed(told),
                };
            } else {
                unknown.at = Some(now + first_wait(policy));
                d.state = State::Unknown(unknown);
            }
        }
    }
    d.doubt = Some(doubt);
}

/// No look counts before the settle time is over.
fn first_wait(policy: &Policy) -> std::time::Duration {
    policy
        .unknown_plan
        .first()
        .copied()
        .unwrap_or_default()
        .max(policy.settle)
}

/// A look at an unknown step came back.
pub(super) fn looked(
    d: &mut Delivery,
    mut unknown: Unknown,
    sighting: Sighting,
    now: Timestamp,
    policy: &Policy,
) {
    d.progress = sighting.progress;
    match sighting.truth {
        Truth::Applied => {
            decided(d, "look", Outcome::Found, None, now);
            d.tries = 0;
            applied(d, &unknown.step);
            d.state = State::Due {
                at: now,
                why: Why::Onward,
            };
            seen::apply(d, &sighting.seen, now, policy);
        }
        Truth::Absent => {
            decided(d, "look", Outcome::Absent, None, now);
            absent(d, unknown, now, policy);
        }
        Truth::Several(ids) => several(d, &ids, now),
        Truth::CannotTell(why) => {
            decided(d, "look", Outcome::CannotTell, Some(why.clone()), now);
            if unknown.step.effect == Effect::Staged {
                // An orphan at worst: nobody sees it, and it is collected later.
                d.state = State::Due {
                    at: now,
                    why: Why::Onward,
                };
                return;
            }
            unknown.why = why;
            next_look(&mut unknown, now, policy, None);
            d.state = State::Unknown(unknown);
        }
        Truth::NotAsked => {
            next_look(&mut unknown, now, policy, None);
            d.state = State::Unknown(unknown);
        }
    }
}

fn absent(d: &mut Delivery, mut unknown: Unknown, now: Timestamp, policy: &Policy) {
    if unknown.step.effect == Effect::Staged {
        d.doubt = None;
        d.state = State::Due {
            at: now,
            why: Why::Onward,
        };
        return;
    }
    let apart = unknown
        .last_absent
        .is_none_or(|last| now - last >= delta(policy.settle));
    if apart && now - unknown.ended >= delta(policy.settle) {
        unknown.absent = unknown.absent.saturating_add(1);
        unknown.last_absent = Some(now);
    }
    if unknown.absent < 2 {
        next_look(&mut unknown, now, policy, Some(now + policy.settle));
        d.state = State::Unknown(unknown);
        return;
    }
    d.state = match &d.wanted {
        Wanted::Revision(_) if policy.repeat_when_absent && d.repeats == 0 => {
            // The doubt stays: on a repeat "duplicate" is evidence, no refusal.
            d.repeats = 1;
            State::Due {
                at: now,
                why: Why::Absent,
            }
        }
        Wanted::Revision(_) | Wanted::Nothing { .. } | Wanted::Keep { .. } => {
            d.doubt = None;
            State::Failed {
                why: known_absent(),
            }
        }
    };
    settle_wanted(d, now, policy);
}

fn several(d: &mut Delivery, ids: &[String], now: Timestamp) {
    let words = Words::new(
        format!(
            "平台上有 {} 条相同内容({}),请人工选择保留哪一条",
            ids.len(),
            ids.join("、")
        ),
        format!(
            "{} public copies ({}); a person chooses which one stays",
            ids.len(),
            ids.join(", ")
        ),
    );
    decided(d, "look", Outcome::Found, Some(words.clone()), now);
    d.shown = true;
    d.state = State::Held {
        why: Hold::Differs(words),
        at: None,
    };
}

/// Moves to the next look of the plan; after the last one a person owns it.
pub(super) fn next_look(
    unknown: &mut Unknown,
    now: Timestamp,
    policy: &Policy,
    not_before: Option<Timestamp>,
) {
    unknown.looks = unknown.looks.saturating_add(1);
    let slot = policy.unknown_plan.get(usize::from(unknown.looks));
    unknown.at = match (slot, unknown.absent) {
        (Some(wait), _) => Some(later((unknown.ended + *wait).max(now), not_before)),
        // One look found nothing: its second opinion is owed even past the plan.
        (None, 1) => not_before.or(Some(now + policy.settle)),
        (None, _) => None,
    };
}

fn delta(wait: std::time::Duration) -> chrono::TimeDelta {
    chrono::TimeDelta::from_std(wait).unwrap_or(chrono::TimeDelta::MAX)
}

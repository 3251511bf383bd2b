//! What an unknown outcome leads to, by the effect of the step.
//!
//! A repeat is harmless (`Read`, `Idempotent`), or invisible (`Staged`), or dropped by the platform
//! (`Keyed`, inside its window), or forbidden (`Public`). Only for the last does absence have to be
//! proven: after the settle time, by two covering looks that agree. While the item is being
//! withdrawn no step that shows anything is repeated, under whatever key.

use lubu_channels::{Effect, Fate, Goal, Kind, Sighting, Step, Timestamp, Truth, Verdict, Words};

use super::log::decided;
use super::transition::{applied, back_off, later};
use super::words::delta;
use super::{Delivery, Doubt, Hold, JobNow, State, Unknown, Wanted, Why, seen, verified, wanted};
use crate::model::attempt::{Outcome, Told};
use crate::model::policy::Policy;
use crate::planted::{Bug, bug};

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
    let not_before = match told.fate {
        Fate::Again { not_before } => not_before,
        Fate::Never | Fate::Blocked(_) | Fate::Unsure => None,
    };
    let goal = d.job.as_ref().map_or(Goal::Publish, |job| job.goal);
    let doubt = doubt(d, step, goal, began, now);
    let first = if doubt.began < began {
        doubt.since
    } else {
        began
    };
    let mut unknown = Unknown::new(step.clone(), first, now, told.words.clone());
    unknown.at = Some(now + first_wait(policy));
    match step.effect {
        Effect::Read => back_off(d, told, None, now, policy, dice),
        Effect::Idempotent => {
            back_off(d, told, not_before, now, policy, dice);
            // Given up, and readers may see it all the same.
            if step.shows && goal != Goal::Withdraw && matches!(d.state, State::Failed { .. }) {
                d.state = State::Unknown(unknown);
            }
        }
        Effect::Staged => {
            unknown.at = Some(now);
            d.state = State::Unknown(unknown);
        }
        Effect::Keyed { window, pause } => {
            let frozen = d.withdrawing() && goal != Goal::Withdraw;
            let at = now + pause.max(policy.backoff.wait(d.tries + 1, dice));
            d.tries += 1;
            d.state = if !frozen && at < closes(&doubt, window) {
                let why = Why::Failed(told);
                State::Due { at, why }
            } else {
                State::Unknown(unknown)
            };
        }
        Effect::Public => d.state = State::Unknown(unknown),
    }
    // Of two, the one that readers may come to see counts.
    let other = d.doubt.as_ref().is_some_and(|old| {
        let publishing = old.goal != Goal::Withdraw && goal == Goal::Withdraw && !old.absent;
        old.step.name != step.name && (old.may_double() || publishing || old.echo && !step.shows)
    });
    if step.effect != Effect::Read && !other {
        d.doubt = Some(Doubt { began, ..doubt });
    }
}

/// An adapter says `Again` of a step that only repeats itself, whether it was refused or lost; when
/// it was lost, readers may see it.
pub(super) fn may_be_applied(step: &Step, told: &Told) -> bool {
    let lost = matches!(told.kind, Kind::Transport | Kind::Garbled | Kind::Platform);
    step.effect == Effect::Idempotent && lost
}

/// The doubt after this run, still with the beginning of the run before it.
fn doubt(d: &Delivery, step: &Step, goal: Goal, began: Timestamp, now: Timestamp) -> Doubt {
    let earlier = d
        .doubt
        .as_ref()
        .filter(|old| !old.echo && old.step.name == step.name && old.goal == goal);
    let open = earlier.filter(|old| !old.absent);
    Doubt {
        step: step.clone(),
        goal,
        since: earlier.map_or(began, |old| old.since),
        began: open.map_or(began, |old| old.began),
        ended: now,
        absent: false,
        echo: false,
    }
}

/// When a key is no longer trusted: a little before its window ends, since a call takes time.
fn closes(doubt: &Doubt, window: std::time::Duration) -> Timestamp {
    doubt.since + window.mul_f64(0.95)
}

/// Turns to the step that may have made a public copy, if there is one, before anything new.
pub(super) fn look_first(d: &mut Delivery, now: Timestamp, policy: &Policy) -> bool {
    let Some(doubt) = d.doubt.as_ref().filter(|doubt| doubt.may_double()) else {
        return false;
    };
    d.state = State::Unknown(pending(doubt, now, policy));
    true
}

/// The same for a step that readers may see the effect of: nothing is called failed before that.
pub(super) fn look_before_failing(d: &mut Delivery, now: Timestamp, policy: &Policy) {
    let doubt = d.doubt.as_ref();
    let doubt = doubt.filter(|doubt| doubt.may_double() || doubt.may_show());
    if let Some(doubt) = doubt {
        d.state = State::Unknown(pending(doubt, now, policy));
    }
}

fn pending(doubt: &Doubt, now: Timestamp, policy: &Policy) -> Unknown {
    let words = Words::new(
        "此前一次发送的结果不明，先核实再继续",
        "the outcome of an earlier run is unknown; it is looked for before anything goes on",
    );
    let mut unknown = Unknown::new(doubt.step.clone(), doubt.since, doubt.ended, words);
    unknown.at = Some(now.max(doubt.ended + first_wait(policy)));
    unknown
}

/// Where a step must not run now though it is due: its key has run out, or its pause has not.
pub(super) fn instead_of(
    d: &Delivery,
    job: &JobNow,
    step: &Step,
    now: Timestamp,
    policy: &Policy,
) -> Option<State> {
    let doubt = d.doubt.as_ref().filter(|doubt| doubt.may_double())?;
    let harmless = matches!(
        step.effect,
        Effect::Read | Effect::Idempotent | Effect::Staged
    );
    if harmless || job.goal == Goal::Withdraw {
        return None;
    }
    if let Effect::Keyed { window, pause } = step.effect
        && doubt.step.name == step.name
        && now < closes(doubt, window)
    {
        let at = doubt.ended + pause;
        let State::Due { why, .. } = &d.state else {
            return None;
        };
        let why = why.clone();
        return (now < at).then_some(State::Due { at, why });
    }
    Some(State::Unknown(pending(doubt, now, policy)))
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
    // Whatever becomes of the step: what readers see must be known to a later withdrawal.
    d.shown |= sighting
        .seen
        .first()
        .is_some_and(|seen| matches!(seen.verdict, Verdict::Live(_) | Verdict::Several(_)));
    match sighting.truth {
        Truth::Applied => {
            decided(d, "look", Outcome::Found, None, now);
            d.tries = 0;
            applied(d, &unknown.step, now, policy);
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
    let enough = if bug(Bug::B6) { 1 } else { 2 };
    if unknown.absent < enough {
        next_look(&mut unknown, now, policy, Some(now + policy.settle));
        d.state = State::Unknown(unknown);
        return;
    }
    if let Some(doubt) = &mut d.doubt {
        doubt.absent = true;
    }
    d.state = match &d.wanted {
        Wanted::Revision(_) if policy.repeat_when_absent && d.repeats == 0 => {
            d.repeats = 1;
            State::Due {
                at: now,
                why: Why::Absent,
            }
        }
        Wanted::Revision(_) | Wanted::Nothing { .. } | Wanted::Keep { .. } => State::Failed {
            why: known_absent(),
        },
    };
    wanted::settle(d, now, policy);
}

fn several(d: &mut Delivery, ids: &[String], now: Timestamp) {
    let words = Words::new(
        format!(
            "平台上有 {} 条相同内容（{}），请人工选择保留哪一条",
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
    verified::keep_twins(d, ids);
    d.state = State::Held {
        why: Hold::Differs(words),
        at: None,
    };
}

/// Looks past the plan that may still give a second opinion; a list that does not reach back that far gives none.
const OPINIONS: usize = 3;

fn past_plan(unknown: &Unknown, policy: &Policy) -> usize {
    usize::from(unknown.looks).saturating_sub(policy.unknown_plan.len())
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
        // One look found nothing: its second opinion is owed even past the plan, but not for ever.
        (None, 1) if past_plan(unknown, policy) < OPINIONS => {
            Some(later(now + policy.settle, not_before))
        }
        (None, _) => None,
    };
    if unknown.at.is_none() {
        // Whatever it is looked for again for, one old absence is no half of a proof.
        unknown.absent = 0;
    }
}

impl Delivery {
    /// Until when bytes of a call whose outcome is unknown can still make a public copy, or what was
    /// accepted just now comes to be seen: before that nobody can say that it is not there.
    pub fn may_arrive_until(&self, policy: &Policy) -> Option<Timestamp> {
        let doubles = |step: &Step| matches!(step.effect, Effect::Keyed { .. } | Effect::Public);
        let publishes = self
            .job
            .as_ref()
            .is_some_and(|job| job.goal != Goal::Withdraw);
        let awaited = match &self.state {
            State::Unknown(unknown) if doubles(&unknown.step) => Some(unknown.ended),
            // Who says so may have looked before it was sent.
            State::Review { since, .. } if publishes => Some(*since),
            // It may have been sent just before it was set aside.
            State::Held {
                why: Hold::Poison(_),
                ..
            } if publishes => Some(self.since),
            _ => None,
        };
        let doubt = self.doubt.as_ref().filter(|doubt| doubt.may_double());
        let ended = awaited.max(doubt.map(|doubt| doubt.ended));
        ended.map(|ended| ended + policy.settle)
    }
}

impl Delivery {
    /// What can no longer arrive is no doubt.
    pub(super) fn forget_echo(&mut self, now: Timestamp, policy: &Policy) {
        self.doubt
            .take_if(|doubt| doubt.echo && doubt.ended + policy.settle <= now);
    }
}

/// Until when a dead call's bytes can still overwrite what readers see.
pub(super) fn overwrites_until(d: &Delivery, policy: &Policy) -> Option<Timestamp> {
    d.doubt.as_ref()?.overwrites_until(policy)
}

/// An unknown outcome that turned out not to have been applied, where nothing repeats by itself.
fn known_absent() -> Told {
    Told {
        kind: Kind::Gone,
        fate: Fate::Never,
        code: None,
        request_id: None,
        words: Words::new(
            "两次核对都确认平台上没有这一条；按此渠道的规则不自动补发，请决定是否 lubu retry",
            "two looks agree that it is not there; this channel does not repeat by itself, decide on `lubu retry`",
        ),
    }
}

impl Unknown {
    pub(super) fn new(step: Step, began: Timestamp, now: Timestamp, why: Words) -> Self {
        Self {
            step,
            began,
            ended: now,
            looks: 0,
            absent: 0,
            last_absent: None,
            at: None,
            why,
        }
    }
}

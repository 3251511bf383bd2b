//! The one function that changes a delivery.
//!
//! Time, chance and the channel's policy are arguments. The order inside an event is always the
//! same: check that it is legal, write the attempt, move the state, and last let a newer `wanted`
//! take over if it waited for this outcome.

use lubu_channels::{
    Effect, Evidence, Failure, Fate, Goal, Kind, Reach, Receipt, Sighting, Step, Timestamp, Words,
};

use super::event::{Event, Illegal};
use super::log::{close, decided, push};
use super::{
    Delivery, Hold, JobNow, State, Wanted, Why, clock, former, person, restored, seen, unknown,
    verified, wanted,
};
use crate::model::attempt::{Attempt, Outcome, Told};
use crate::model::policy::Policy;

/// The delivery after the event. `dice` is uniform in `0.0..1.0`.
pub fn transition(
    mut delivery: Delivery,
    event: Event,
    now: Timestamp,
    policy: &Policy,
    dice: f64,
) -> Result<Delivery, Illegal> {
    let illegal = Illegal {
        state: delivery.public_state().code(),
        event: event.name(),
    };
    let posts = delivery.posts();
    let d = &mut delivery;
    match event {
        Event::Approved(wanted) => wanted::approved(d, wanted, now, policy),
        Event::Withdrawn { by, reason } => wanted::withdrawn(d, by, reason, now, policy),
        Event::Kept { why } => wanted::kept(d, why, now, policy),
        Event::Released => wanted::released(d, now).ok_or(illegal)?,
        Event::Waits(hold) => waits(d, hold).ok_or(illegal)?,
        Event::Intent { job, step } => intent(d, job, step, now, policy).ok_or(illegal)?,
        Event::Done { receipt } => done(d, receipt, now, policy).ok_or(illegal)?,
        Event::Failed { failure } => failed(d, failure, now, policy, dice).ok_or(illegal)?,
        Event::Unsent { why } => unsent(d, why, now, policy, dice).ok_or(illegal)?,
        Event::Lost => lost(d, now, policy).ok_or(illegal)?,
        Event::Finished => finished(d, now, policy).ok_or(illegal)?,
        Event::Postponed { until, why } => postponed(d, until, why, now).ok_or(illegal)?,
        Event::Person { todo, look_at } => by_hand(d, todo, look_at, policy).ok_or(illegal)?,
        Event::Looked { sighting } => looked(d, sighting, now, policy, dice).ok_or(illegal)?,
        Event::LookFailed { failure } => {
            look_failed(d, &failure, now, policy).ok_or(illegal)?;
        }
        Event::LookDoubted => clock::looked(d, now, policy).ok_or(illegal)?,
        Event::Verified {
            moves,
            sighting,
            words,
        } => verified::verified(d, moves, sighting, words, now, policy).ok_or(illegal)?,
        Event::ClockBack { by } => clock::back(d, by, now, policy),
        Event::Uncounted => clock::uncounted(d, now),
        Event::Retry { by } => person::retry(d, by, now, policy).ok_or(illegal)?,
        Event::Returned => wanted::returned(d, now, policy).ok_or(illegal)?,
        Event::Restored => restored::hold(d, now, policy).ok_or(illegal)?,
        Event::Freed { by } => restored::free(d, &by, now, policy).ok_or(illegal)?,
        Event::SetAside { words } => set_aside(d, words, now).ok_or(illegal)?,
        Event::SaidLive { by, url } => {
            person::said_live(d, &by, url, now, policy).ok_or(illegal)?;
        }
        Event::SaidAbsent { by } => person::said_absent(d, by, now, policy).ok_or(illegal)?,
    }
    wanted::rest(d, now, policy);
    former::keep(d, posts, now);
    delivery.version += 1;
    Ok(delivery)
}

/// `None` from a helper means: not in this state.
pub(super) type Legal = Option<()>;

fn waits(d: &mut Delivery, hold: Hold) -> Legal {
    // A withdrawal waits for no other channel.
    let (State::Due { .. }, Wanted::Revision(_)) = (&d.state, &d.wanted) else {
        return None;
    };
    d.state = State::Held {
        why: hold,
        at: None,
    };
    Some(())
}

fn intent(d: &mut Delivery, job: JobNow, step: Step, now: Timestamp, policy: &Policy) -> Legal {
    let State::Due { .. } = d.state else {
        return None;
    };
    // Asked again at the last moment: a pause or a stop may have outlasted the key.
    if let Some(state) = unknown::instead_of(d, &job, &step, now, policy) {
        d.state = state;
        return Some(());
    }
    d.attempts += 1;
    push(
        d,
        Attempt {
            number: d.attempts,
            round: job.round,
            revision: job.revision,
            step: step.name.clone(),
            began: now,
            ended: None,
            outcome: Outcome::Open,
            code: None,
            request_id: None,
            words: None,
        },
    );
    d.job = Some(job);
    d.state = State::Working { step, began: now };
    Some(())
}

fn done(d: &mut Delivery, receipt: Receipt, now: Timestamp, policy: &Policy) -> Legal {
    let State::Working { step, .. } = d.state.clone() else {
        return None;
    };
    close(d, now, Outcome::Done, None, receipt.request_id.as_deref());
    d.progress = receipt.progress;
    d.tries = 0;
    applied(d, &step, now, policy);
    d.state = State::Due {
        at: now,
        why: Why::Onward,
    };
    seen::apply(d, &receipt.seen, now, policy);
    wanted::settle(d, now, policy);
    Some(())
}

/// The step is known to have been applied. A lost run of it may still arrive after this one, and
/// undo what comes next: that stays on record until it is settled.
pub(super) fn applied(d: &mut Delivery, step: &Step, now: Timestamp, policy: &Policy) {
    let withdrawing = d.job.as_ref().is_some_and(|job| job.goal == Goal::Withdraw);
    let doubt = d.doubt.take_if(|doubt| {
        let replaced = step.shows && !withdrawing && doubt.step.effect == Effect::Idempotent;
        doubt.step.name == step.name || replaced
    });
    if let Some(doubt) = doubt {
        d.doubt = doubt.settled(now, policy);
    }
    if step.shows && !withdrawing {
        d.shown = true;
        replace_copy(d, now);
    }
}

/// The copy that was seen is not what readers see any more, as far as the platform's answer goes.
fn replace_copy(d: &mut Delivery, now: Timestamp) {
    let revision = d.sent();
    let newer = d
        .copy
        .as_mut()
        .filter(|copy| Some(copy.revision) < revision);
    if let (Some(copy), Some(revision)) = (newer, revision) {
        copy.revision = revision;
        copy.evidence = Evidence::Status;
        copy.seen_at = now;
    }
}

fn failed(d: &mut Delivery, failure: Failure, now: Timestamp, policy: &Policy, dice: f64) -> Legal {
    let State::Working { step, began } = d.state.clone() else {
        return None;
    };
    let told = Told::from(&failure);
    let outcome = match failure.fate {
        Fate::Again { .. } => Outcome::Again,
        Fate::Never => Outcome::Never,
        Fate::Blocked(_) => Outcome::Blocked,
        Fate::Unsure => Outcome::Unsure,
    };
    close(d, now, outcome, Some(&told), None);
    if let Some(progress) = failure.progress {
        d.progress = progress;
    }
    match failure.fate {
        Fate::Again { .. } if unknown::may_be_applied(&step, &told) => {
            unknown::enter(d, &step, began, told, now, policy, dice);
        }
        Fate::Again { not_before } => back_off(d, told, not_before, now, policy, dice),
        Fate::Never => d.state = State::Failed { why: told },
        // A withdrawal goes on in a paused lane, but not without a wait.
        Fate::Blocked(Reach::Account) if d.withdrawing() => {
            back_off(d, told, None, now, policy, dice);
        }
        // The lane stands still; the delivery has burnt no attempt.
        Fate::Blocked(Reach::Account) => {
            d.state = State::Due {
                at: now,
                why: Why::Failed(told),
            };
        }
        Fate::Blocked(Reach::Goal) => {
            d.state = State::Held {
                why: Hold::Blocked(told),
                at: None,
            };
        }
        Fate::Unsure => unknown::enter(d, &step, began, told, now, policy, dice),
    }
    if matches!(d.state, State::Held { .. }) {
        unknown::look_first(d, now, policy);
    }
    wanted::settle(d, now, policy);
    Some(())
}

pub(super) fn back_off(
    d: &mut Delivery,
    told: Told,
    not_before: Option<Timestamp>,
    now: Timestamp,
    policy: &Policy,
    dice: f64,
) {
    if d.tries == 0 {
        // Age counts from the first failure in a row: a pause before it is no failure.
        d.since = now;
    }
    d.tries += 1;
    d.state = match policy.backoff.next(d.tries, d.since, now, not_before, dice) {
        Some(at) => State::Due {
            at,
            why: Why::Failed(told),
        },
        None => State::Failed {
            why: given_up(told, d.tries),
        },
    };
}

fn given_up(mut told: Told, tries: u32) -> Told {
    told.words = Words::new(
        format!(
            "连续 {tries} 次未成功，已停止重试。最后一次：{}",
            told.words.zh
        ),
        format!(
            "gave up after {tries} tries in a row; the last: {}",
            told.words.en
        ),
    );
    told
}

/// No try of the delivery's: it goes on as if it had not been asked for, after a breath.
fn unsent(d: &mut Delivery, why: Words, now: Timestamp, policy: &Policy, dice: f64) -> Legal {
    let State::Working { .. } = d.state else {
        return None;
    };
    let told = Told {
        kind: Kind::Local,
        fate: Fate::Again { not_before: None },
        code: None,
        request_id: None,
        words: why,
    };
    close(d, now, Outcome::Again, Some(&told), None);
    d.state = State::Due {
        at: now + policy.backoff.wait(1, dice),
        why: Why::Failed(told),
    };
    wanted::settle(d, now, policy);
    Some(())
}

fn lost(d: &mut Delivery, now: Timestamp, policy: &Policy) -> Legal {
    let State::Working { step, began } = d.state.clone() else {
        return None;
    };
    let told = Told {
        kind: Kind::Local,
        fate: Fate::Unsure,
        code: None,
        request_id: None,
        words: Words::new(
            "发送途中程序中断，结果不明",
            "the process ended while this was being sent; the outcome is unknown",
        ),
    };
    close(d, now, Outcome::Unsure, Some(&told), None);
    unknown::enter(d, &step, began, told, now, policy, 0.5);
    wanted::settle(d, now, policy);
    Some(())
}

fn finished(d: &mut Delivery, now: Timestamp, policy: &Policy) -> Legal {
    let State::Due { .. } = d.state else {
        return None;
    };
    // Everything stood in the progress already; the looks belong to what is wanted.
    d.job = d.plan(policy).or(d.job.take());
    if wanted::never_showed(d) {
        return Some(());
    }
    d.state = State::Review {
        since: now,
        looks: 0,
        at: now + policy.review_wait(0),
        why: None,
    };
    Some(())
}

fn postponed(d: &mut Delivery, until: Timestamp, why: Why, now: Timestamp) -> Legal {
    let State::Due { .. } = d.state else {
        return None;
    };
    // What may not be tried grows no older: a weekend of silence would else use up the age of its tries.
    if matches!(why, Why::Quiet { .. } | Why::Quota { .. }) && until > now {
        d.since += until - now;
    }
    d.state = State::Due { at: until, why };
    Some(())
}

fn by_hand(d: &mut Delivery, todo: Words, look_at: Timestamp, policy: &Policy) -> Legal {
    let State::Due { .. } = d.state else {
        return None;
    };
    d.job = d.plan(policy).or(d.job.take());
    d.state = State::Held {
        why: Hold::Person(todo),
        at: Some(look_at),
    };
    Some(())
}

/// Nothing goes on by itself, not even a look. What may have been applied stays in doubt: whoever lets it go on sends it
/// back to be looked for. What is held for a restore stays held for that: it may have been sent since.
fn set_aside(d: &mut Delivery, words: Words, now: Timestamp) -> Legal {
    d.next_at()?;
    restored::keep_in_doubt(d);
    let why = if d.is_restored() {
        decided(d, "set_aside", Outcome::CannotTell, Some(words), now);
        Hold::Restored
    } else {
        d.since = now;
        Hold::Poison(words)
    };
    d.state = State::Held { why, at: None };
    Some(())
}

fn looked(
    d: &mut Delivery,
    sighting: Sighting,
    now: Timestamp,
    policy: &Policy,
    dice: f64,
) -> Legal {
    // Of what was never begun no look can tell.
    d.job.as_ref()?;
    let sighting = if d.is_restored() {
        restored::honest(d, sighting, now, policy)
    } else {
        sighting
    };
    match d.state.clone() {
        State::Unknown(unknown) => unknown::looked(d, unknown, sighting, now, policy),
        State::Review { .. } | State::Live | State::Held { .. } | State::Failed { .. } => {
            d.progress = sighting.progress;
            seen::note(d, &sighting.seen, now);
            restored::adopt(d, &sighting.seen);
            seen::after_look(d, &sighting.seen, now, policy, dice);
            restored::second_look(d, now, policy);
        }
        State::Due { .. } | State::Working { .. } | State::Withdrawn | State::Skipped { .. } => {
            return None;
        }
    }
    wanted::settle(d, now, policy);
    Some(())
}

fn look_failed(d: &mut Delivery, failure: &Failure, now: Timestamp, policy: &Policy) -> Legal {
    let told = Told::from(failure);
    let not_before = match failure.fate {
        Fate::Again { not_before } => not_before,
        Fate::Never | Fate::Blocked(_) | Fate::Unsure => None,
    };
    match &mut d.state {
        // An orphan at worst: what cannot be looked for is made again.
        State::Unknown(unknown)
            if unknown.step.effect == Effect::Staged
                && usize::from(unknown.looks) + 1 >= policy.unknown_plan.len() =>
        {
            d.state = State::Due {
                at: later(now, not_before),
                why: Why::Onward,
            };
        }
        State::Unknown(unknown) => {
            unknown::next_look(unknown, now, policy, not_before);
            unknown.why = told.words.clone();
        }
        State::Review { looks, at, why, .. } => {
            *looks = looks.saturating_add(1);
            *at = later(now + policy.review_wait(*looks), not_before);
            *why = Some(told.words.clone());
        }
        State::Held { at: Some(at), .. } => {
            *at = later(now + policy.review_wait(u16::MAX), not_before);
        }
        State::Live | State::Failed { .. } => {}
        State::Due { .. }
        | State::Working { .. }
        | State::Held { .. }
        | State::Withdrawn
        | State::Skipped { .. } => return None,
    }
    decided(d, "look", Outcome::CannotTell, Some(told.words), now);
    wanted::settle(d, now, policy);
    Some(())
}

pub(super) fn later(ours: Timestamp, theirs: Option<Timestamp>) -> Timestamp {
    theirs.map_or(ours, |theirs| theirs.max(ours))
}

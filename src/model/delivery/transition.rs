//! The one function that changes a delivery.
//!
//! Time, chance and the channel's policy are arguments. The order inside an event is always the
//! same: check that it is legal, write the attempt, move the state, and last let a newer `wanted`
//! take over if it waited for this outcome.

use std::time::Duration;

use lubu_channels::{
    Effect, Evidence, Failure, Fate, Goal, Kind, Reach, Receipt, Sighting, Step, Timestamp, Words,
};

use super::{
    Delivery, Doubt, Hold, JobNow, KEPT, State, Unknown, Wanted, WantedRevision, Why, seen, unknown,
};
use crate::model::attempt::{Attempt, Outcome, Told};
use crate::model::policy::Policy;

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
    /// A person orders another go after a known failure.
    Retry {
        by: String,
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
            Self::Lost => "lost",
            Self::Finished => "finished",
            Self::Postponed { .. } => "postponed",
            Self::Person { .. } => "person",
            Self::Looked { .. } => "looked",
            Self::LookFailed { .. } => "look_failed",
            Self::Retry { .. } => "retry",
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
    let d = &mut delivery;
    match event {
        Event::Approved(wanted) => approved(d, wanted, now, policy),
        Event::Withdrawn { by, reason } => withdrawn(d, by, &reason, now),
        Event::Kept { why } => kept(d, why, now),
        Event::Released => released(d, now).ok_or(illegal)?,
        Event::Waits(hold) => waits(d, hold).ok_or(illegal)?,
        Event::Intent { job, step } => intent(d, job, step, now).ok_or(illegal)?,
        Event::Done { receipt } => done(d, receipt, now, policy).ok_or(illegal)?,
        Event::Failed { failure } => failed(d, failure, now, policy, dice).ok_or(illegal)?,
        Event::Lost => lost(d, now, policy).ok_or(illegal)?,
        Event::Finished => finished(d, now, policy).ok_or(illegal)?,
        Event::Postponed { until, why } => postponed(d, until, why).ok_or(illegal)?,
        Event::Person { todo, look_at } => person(d, todo, look_at).ok_or(illegal)?,
        Event::Looked { sighting } => looked(d, sighting, now, policy, dice).ok_or(illegal)?,
        Event::LookFailed { failure } => {
            look_failed(d, &failure, now, policy).ok_or(illegal)?;
        }
        Event::Retry { by } => retry(d, by, now).ok_or(illegal)?,
        Event::SaidLive { by, url } => said_live(d, &by, url, now, policy).ok_or(illegal)?,
        Event::SaidAbsent { by } => said_absent(d, by, now, policy).ok_or(illegal)?,
    }
    delivery.version += 1;
    Ok(delivery)
}

/// `None` from a helper means: not in this state.
type Legal = Option<()>;

fn approved(d: &mut Delivery, wanted: WantedRevision, now: Timestamp, policy: &Policy) {
    let number = wanted.number;
    d.wanted = Wanted::Revision(wanted);
    d.since = now;
    match &d.state {
        // An outcome is awaited first; `settle_wanted` takes over then.
        State::Working { .. } | State::Unknown(_) => {}
        State::Live if d.copy.as_ref().is_some_and(|copy| copy.revision == number) => {}
        State::Due { .. }
        | State::Review { .. }
        | State::Held { .. }
        | State::Live
        | State::Failed { .. }
        | State::Withdrawn
        | State::Skipped { .. } => {
            fresh_round(d);
            resume(d, now, policy);
        }
    }
}

/// Changed documents, or a person's retry after a known failure.
fn fresh_round(d: &mut Delivery) {
    d.round += 1;
    d.tries = 0;
    d.repeats = 0;
    d.doubt = None;
    d.said_absent = None;
}

/// Moves on towards `wanted`, once nothing is in flight.
fn resume(d: &mut Delivery, now: Timestamp, policy: &Policy) {
    d.state = match (&d.wanted, d.plan(policy)) {
        (_, Some(_)) => State::Due {
            at: now,
            why: Why::Fresh,
        },
        (Wanted::Revision(_), None) => State::Held {
            why: Hold::Correction,
            at: None,
        },
        (Wanted::Keep { .. }, None) => State::Live,
        (Wanted::Nothing { reason, .. }, None) => never_sent(reason),
    };
}

fn never_sent(reason: &str) -> State {
    State::Skipped {
        why: Words::new(
            format!("发布前已撤下:{reason}"),
            format!("withdrawn before anything was sent: {reason}"),
        ),
    }
}

fn withdrawn(d: &mut Delivery, by: String, reason: &str, now: Timestamp) {
    let gone = matches!(d.state, State::Withdrawn | State::Skipped { .. });
    d.wanted = Wanted::Nothing {
        by,
        reason: reason.to_owned(),
    };
    d.since = now;
    d.tries = 0;
    let awaited = matches!(d.state, State::Working { .. } | State::Unknown(_));
    if gone || awaited {
        return;
    }
    d.state = if d.has_remote() {
        State::Due {
            at: now,
            why: Why::Fresh,
        }
    } else {
        never_sent(reason)
    };
}

fn kept(d: &mut Delivery, why: Words, now: Timestamp) {
    d.wanted = Wanted::Keep { why };
    match &d.state {
        State::Due { .. } | State::Held { .. } | State::Review { .. } | State::Failed { .. } => {
            d.state = match d.copy {
                Some(_) => State::Live,
                // Put out and never seen: the looks go on.
                None => State::Review {
                    since: now,
                    looks: 0,
                    at: now,
                    why: None,
                },
            };
        }
        State::Working { .. }
        | State::Unknown(_)
        | State::Live
        | State::Withdrawn
        | State::Skipped { .. } => {}
    }
}

fn released(d: &mut Delivery, now: Timestamp) -> Legal {
    match &d.state {
        State::Held {
            why: Hold::After(_) | Hold::Schedule(_),
            ..
        } => {
            d.since = now;
            d.state = State::Due {
                at: now,
                why: Why::Fresh,
            };
            Some(())
        }
        _ => None,
    }
}

fn waits(d: &mut Delivery, hold: Hold) -> Legal {
    let State::Due { .. } = d.state else {
        return None;
    };
    d.state = State::Held {
        why: hold,
        at: None,
    };
    Some(())
}

fn intent(d: &mut Delivery, job: JobNow, step: Step, now: Timestamp) -> Legal {
    let State::Due { .. } = d.state else {
        return None;
    };
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
    applied(d, &step);
    d.state = State::Due {
        at: now,
        why: Why::Onward,
    };
    seen::apply(d, &receipt.seen, now, policy);
    settle_wanted(d, now, policy);
    Some(())
}

/// The step is known to have been applied.
pub(super) fn applied(d: &mut Delivery, step: &Step) {
    d.doubt = None;
    let withdrawing = d.job.as_ref().is_some_and(|job| job.goal == Goal::Withdraw);
    if step.shows && !withdrawing {
        d.shown = true;
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
        Fate::Again { not_before } => back_off(d, told, not_before, now, policy, dice),
        Fate::Never => d.state = State::Failed { why: told },
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
    settle_wanted(d, now, policy);
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
            "连续 {tries} 次未成功,已停止重试。最后一次:{}",
            told.words.zh
        ),
        format!(
            "gave up after {tries} tries in a row; the last: {}",
            told.words.en
        ),
    );
    told
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
            "发送途中程序中断,结果不明",
            "the process ended while this was being sent; the outcome is unknown",
        ),
    };
    close(d, now, Outcome::Unsure, Some(&told), None);
    unknown::enter(d, &step, began, told, now, policy, 0.5);
    settle_wanted(d, now, policy);
    Some(())
}

fn finished(d: &mut Delivery, now: Timestamp, policy: &Policy) -> Legal {
    let State::Due { .. } = d.state else {
        return None;
    };
    if d.job.is_none() {
        // Everything stood in the progress already; the looks belong to this job.
        d.job = d.plan(policy);
    }
    d.state = State::Review {
        since: now,
        looks: 0,
        at: now + policy.review_wait(0),
        why: None,
    };
    Some(())
}

fn postponed(d: &mut Delivery, until: Timestamp, why: Why) -> Legal {
    let State::Due { .. } = d.state else {
        return None;
    };
    d.state = State::Due { at: until, why };
    Some(())
}

fn person(d: &mut Delivery, todo: Words, look_at: Timestamp) -> Legal {
    let State::Due { .. } = d.state else {
        return None;
    };
    d.state = State::Held {
        why: Hold::Person(todo),
        at: Some(look_at),
    };
    Some(())
}

fn looked(
    d: &mut Delivery,
    sighting: Sighting,
    now: Timestamp,
    policy: &Policy,
    dice: f64,
) -> Legal {
    match d.state.clone() {
        State::Unknown(unknown) => unknown::looked(d, unknown, sighting, now, policy),
        State::Review { .. } | State::Live | State::Held { .. } | State::Failed { .. } => {
            d.progress = sighting.progress;
            seen::note(d, &sighting.seen, now);
            seen::after_look(d, &sighting.seen, now, policy, dice);
        }
        State::Due { .. } | State::Working { .. } | State::Withdrawn | State::Skipped { .. } => {
            return None;
        }
    }
    settle_wanted(d, now, policy);
    Some(())
}

fn look_failed(d: &mut Delivery, failure: &Failure, now: Timestamp, policy: &Policy) -> Legal {
    let told = Told::from(failure);
    let not_before = match failure.fate {
        Fate::Again { not_before } => not_before,
        Fate::Never | Fate::Blocked(_) | Fate::Unsure => None,
    };
    match &mut d.state {
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
    Some(())
}

pub(super) fn later(ours: Timestamp, theirs: Option<Timestamp>) -> Timestamp {
    theirs.map_or(ours, |theirs| theirs.max(ours))
}

fn retry(d: &mut Delivery, by: String, now: Timestamp) -> Legal {
    match &d.state {
        State::Failed { .. }
        | State::Held {
            why: Hold::Blocked(_) | Hold::Differs(_),
            ..
        }
        | State::Due {
            why: Why::Failed(_),
            ..
        } => {}
        _ => return None,
    }
    // What a person declared absent was an unknown outcome: the same key, never a new round.
    if d.said_absent.is_none() && matches!(d.state, State::Failed { .. }) {
        d.round += 1;
        d.repeats = 0;
    }
    d.tries = 0;
    d.since = now;
    d.said_absent = None;
    let words = Words::new(format!("{by} 要求重发"), format!("{by} ordered another go"));
    decided(d, "retry", Outcome::Person, Some(words), now);
    d.state = State::Due {
        at: now,
        why: Why::Retried { by },
    };
    Some(())
}

fn said_live(
    d: &mut Delivery,
    by: &str,
    url: Option<String>,
    now: Timestamp,
    policy: &Policy,
) -> Legal {
    match d.state {
        State::Unknown(_) | State::Review { .. } | State::Held { .. } | State::Failed { .. } => {}
        _ => return None,
    }
    let words = Words::new(format!("{by} 核实已发布"), format!("{by} saw it published"));
    decided(d, "confirm", Outcome::Person, Some(words), now);
    d.doubt = None;
    d.shown = true;
    seen::set_live(d, None, url, Evidence::Person, now);
    settle_wanted(d, now, policy);
    Some(())
}

fn said_absent(d: &mut Delivery, by: String, now: Timestamp, policy: &Policy) -> Legal {
    match d.state {
        State::Unknown(_) | State::Review { .. } | State::Held { .. } => {}
        _ => return None,
    }
    let words = Words::new(
        format!("{by} 核实平台上没有"),
        format!("{by} saw that it is not there"),
    );
    decided(d, "confirm", Outcome::Person, Some(words.clone()), now);
    d.copy = None;
    d.shown = false;
    d.state = if d.withdrawing() {
        State::Withdrawn
    } else {
        d.said_absent = Some(by);
        let told = Told {
            kind: Kind::Gone,
            fate: Fate::Never,
            code: None,
            request_id: None,
            words: Words::new(
                format!("{}。如需再发,请由另一人执行 lubu retry", words.zh),
                format!("{}; another person may order `lubu retry`", words.en),
            ),
        };
        State::Failed { why: told }
    };
    settle_wanted(d, now, policy);
    Some(())
}

/// Lets a `wanted` that came in meanwhile take over, now that the older outcome is known.
pub(super) fn settle_wanted(d: &mut Delivery, now: Timestamp, policy: &Policy) {
    match &d.state {
        // Due looks at `wanted` by itself; an unknown outcome is waited for.
        State::Working { .. }
        | State::Unknown(_)
        | State::Withdrawn
        | State::Skipped { .. }
        | State::Held {
            why: Hold::Schedule(_) | Hold::After(_),
            ..
        } => {}
        State::Due { .. } if !d.withdrawing() || d.has_remote() => {}
        State::Due { .. }
        | State::Review { .. }
        | State::Held { .. }
        | State::Live
        | State::Failed { .. } => {
            let job = d.job.as_ref();
            let stale = match &d.wanted {
                Wanted::Nothing { .. } => job.is_none_or(|job| job.goal != Goal::Withdraw),
                Wanted::Revision(wanted) => job
                    .is_some_and(|job| job.revision != wanted.number || job.goal == Goal::Withdraw),
                Wanted::Keep { .. } => false,
            };
            if stale {
                fresh_round(d);
                resume(d, now, policy);
            }
        }
    }
}

/// Closes the open attempt.
fn close(
    d: &mut Delivery,
    now: Timestamp,
    outcome: Outcome,
    told: Option<&Told>,
    request_id: Option<&str>,
) {
    let Some(attempt) = d
        .log
        .iter_mut()
        .rev()
        .find(|attempt| attempt.outcome == Outcome::Open)
    else {
        return;
    };
    attempt.ended = Some(now);
    attempt.outcome = outcome;
    attempt.request_id = request_id.map(str::to_owned);
    if let Some(told) = told {
        attempt.code.clone_from(&told.code);
        attempt.request_id.clone_from(&told.request_id);
        attempt.words = Some(told.words.clone());
    }
}

/// Records a look or a person's word.
pub(super) fn decided(
    d: &mut Delivery,
    what: &str,
    outcome: Outcome,
    words: Option<Words>,
    now: Timestamp,
) {
    let again = d.log.last_mut().filter(|last| {
        last.step == what && last.outcome == outcome && last.words == words && what == "look"
    });
    if let Some(last) = again {
        // A look that found nothing new only moves the end of the last one.
        last.ended = Some(now);
        return;
    }
    d.attempts += 1;
    let revision = d.job.as_ref().map_or(0, |job| job.revision);
    push(
        d,
        Attempt {
            number: d.attempts,
            round: d.round,
            revision,
            step: what.to_owned(),
            began: now,
            ended: Some(now),
            outcome,
            code: None,
            request_id: None,
            words,
        },
    );
}

fn push(d: &mut Delivery, attempt: Attempt) {
    if d.log.len() >= KEPT {
        d.log.remove(0);
    }
    d.log.push(attempt);
}

/// How long a keyed step may still be repeated under its key.
pub(super) fn keyed_until(effect: Effect, doubt: &Doubt) -> Option<(Timestamp, Duration)> {
    match effect {
        Effect::Keyed { window, pause } => Some((doubt.since + window, pause)),
        Effect::Read | Effect::Idempotent | Effect::Staged | Effect::Public => None,
    }
}

/// An unknown outcome that turned out not to have been applied, where nothing repeats by itself.
pub(super) fn known_absent() -> Told {
    Told {
        kind: Kind::Gone,
        fate: Fate::Never,
        code: None,
        request_id: None,
        words: Words::new(
            "两次核对都确认平台上没有这一条;按此渠道的规则不自动补发,请决定是否 lubu retry",
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

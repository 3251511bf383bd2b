//! A person's word: another go, seen live, seen absent.

use lubu_channels::{Effect, Evidence, Fate, Goal, Kind, Progress, Timestamp, UpdateBy, Words};

use super::log::decided;
use super::transition::{Legal, later};
use super::{Delivery, Doubt, Hold, State, Wanted, Why, restored, seen, unknown, verified, wanted};
use crate::model::attempt::{Attempt, Outcome, Told};
use crate::model::policy::Policy;

pub(super) fn retry(d: &mut Delivery, by: String, now: Timestamp, policy: &Policy) -> Legal {
    if d.is_restored() {
        return restored::free(d, &by, now, policy);
    }
    if is_set_aside(d) && matches!(d.wanted, Wanted::Keep { .. }) {
        let words = Words::new(format!("{by} 要求继续"), format!("{by} let it go on"));
        decided(d, "retry", Outcome::Person, Some(words), now);
        if !unknown::look_first(d, now, policy) {
            wanted::resume(d, now, policy);
        }
        return Some(());
    }
    // Where nothing is wanted there is nothing to try again.
    d.plan(policy)?;
    if restored::failed_before(d).is_some() {
        let words = Words::new(
            format!("{by} 要求重发，先到平台核对"),
            format!("{by} ordered another go; it is looked for first"),
        );
        decided(d, "retry", Outcome::Person, Some(words), now);
        restored::look_for_failed(d, now, policy);
        return Some(());
    }
    let at = match &d.state {
        State::Failed { .. }
        | State::Held {
            why: Hold::Blocked(_) | Hold::Differs(_) | Hold::Poison(_),
            ..
        } => now,
        State::Due {
            why: Why::Failed(told),
            ..
        } => earliest(d, told, now),
        _ => return None,
    };
    let words = Words::new(format!("{by} 要求重发"), format!("{by} ordered another go"));
    decided(d, "retry", Outcome::Person, Some(words), now);
    d.tries = 0;
    d.since = now;
    if !matches!(d.state, State::Due { .. }) {
        if unknown::look_first(d, now, policy) || look_at_twins(d, now) {
            return Some(());
        }
        if !is_set_aside(d) {
            new_round_after_known(d, policy);
        }
    }
    d.said_absent = None;
    d.state = State::Due {
        at,
        why: Why::Retried { by },
    };
    Some(())
}

/// The platform's own wait wins over a person, and so does the pause of a keyed step.
fn earliest(d: &Delivery, told: &Told, now: Timestamp) -> Timestamp {
    let pause = d.doubt.as_ref().and_then(|doubt| match doubt.step.effect {
        Effect::Keyed { pause, .. } => Some(doubt.ended + pause),
        Effect::Read | Effect::Idempotent | Effect::Staged | Effect::Public => None,
    });
    match told.fate {
        Fate::Again { not_before } => later(later(now, not_before), pause),
        Fate::Never | Fate::Blocked(_) | Fate::Unsure => later(now, pause),
    }
}

/// An unknown outcome that was shown to be absent keeps its round and so its key; a known one
/// starts anew, from nothing where the remote object is gone.
pub(super) fn new_round_after_known(d: &mut Delivery, policy: &Policy) {
    if d.doubt.as_ref().is_some_and(|doubt| !doubt.echo) {
        return;
    }
    start_anew_if_gone(d);
    verified::put_right(d, policy);
    d.round += 1;
    d.repeats = 0;
}

/// Nothing of it is known to have failed: its round, and so its key, goes on.
fn is_set_aside(d: &Delivery) -> bool {
    let State::Held { why, .. } = &d.state else {
        return false;
    };
    matches!(why, Hold::Poison(_))
}

/// Several were seen, and none of them is known here as ours: whatever is sent would be one more.
pub(super) fn look_at_twins(d: &mut Delivery, now: Timestamp) -> bool {
    let State::Held { why, .. } = &d.state else {
        return false;
    };
    let unknown = matches!(why, Hold::Differs(_)) && d.copy.is_none() && !d.twins().is_empty();
    if !unknown || d.withdrawing() {
        return false;
    }
    d.state = State::Review {
        since: now,
        looks: 0,
        at: now,
        why: None,
    };
    true
}

/// What the platform no longer has is neither corrected nor left as it is.
pub(super) fn start_anew_if_gone(d: &mut Delivery) {
    let why = match &d.state {
        State::Failed { why } => Some(why),
        _ => restored::failed_before(d),
    };
    let gone = why.is_some_and(|why| why.kind == Kind::Gone);
    let publishing = d.job.as_ref().is_none_or(|job| job.goal != Goal::Withdraw);
    let settled = d.doubt.as_ref().is_none_or(|doubt| doubt.echo);
    if gone && publishing && settled && matches!(d.wanted, Wanted::Revision(_)) {
        d.progress = Progress::default();
        d.copy = None;
        d.shown = false;
    }
}

/// Whose post a person can speak of: one that was begun.
fn spoken_of(d: &Delivery) -> Option<Goal> {
    match d.state {
        State::Unknown(_) | State::Review { .. } | State::Held { .. } | State::Failed { .. } => {
            d.job.as_ref().map(|job| job.goal)
        }
        State::Due { .. }
        | State::Working { .. }
        | State::Live
        | State::Withdrawn
        | State::Skipped { .. } => None,
    }
}

pub(super) fn said_live(
    d: &mut Delivery,
    by: &str,
    url: Option<String>,
    now: Timestamp,
    policy: &Policy,
) -> Legal {
    // Of what rests as published too: a person can read what no look can.
    let rests = matches!(d.state, State::Live).then_some(Goal::Publish);
    let goal = spoken_of(d).or(rests)?;
    let words = Words::new(format!("{by} 核实已发布"), format!("{by} saw it published"));
    decided(d, "confirm", Outcome::Person, Some(words.clone()), now);
    d.doubt = None;
    d.said_absent = None;
    let older = verified::older(d).filter(|_| d.is_text_unknown());
    seen::set_live(d, None, url, Evidence::Person, now, policy);
    if let (Some(revision), Some(copy)) = (older, &mut d.copy) {
        copy.revision = revision;
    }
    if goal == Goal::Withdraw {
        // It was to go and is still there: the withdrawal goes on.
        let told = Told {
            kind: Kind::Platform,
            fate: Fate::Again { not_before: None },
            code: None,
            request_id: None,
            words,
        };
        d.state = State::Due {
            at: now,
            why: Why::Failed(told),
        };
    }
    wanted::settle(d, now, policy);
    Some(())
}

/// Not there is what was sent. Where it was to replace a text in place, and is in doubt or was not
/// applied, the old one may still stand.
fn older_stands(d: &Delivery, policy: &Policy) -> bool {
    if plan_saw_nothing(d) {
        return false;
    }
    let doubted = d.doubt.as_ref().is_some_and(Doubt::is_open);
    let older = match &d.copy {
        Some(copy) => Some(copy.revision) < d.sent(),
        None => d.shown && seen::older_sent(d).is_some(),
    };
    policy.update == UpdateBy::InPlace && (doubted || older)
}

/// The look plan is over, and its last look found nothing: neither what was sent nor anything older.
fn plan_saw_nothing(d: &Delivery) -> bool {
    let over = matches!(
        &d.state,
        State::Held {
            why: Hold::Unseen(_),
            ..
        }
    );
    let last = d.log.iter().rev().find(|one| one.step == "look");
    over && last.is_some_and(|look| look.outcome == Outcome::Absent)
}

/// The doubt is about an older text, of which the word says nothing: that one may stand there.
fn older_in_doubt(d: &Delivery) -> bool {
    let Some(doubt) = d.doubt.as_ref().filter(|doubt| doubt.may_show()) else {
        return false;
    };
    let older = |run: &Attempt| run.step == doubt.step.name && Some(run.revision) < d.sent();
    d.unheard().any(older)
}

fn forget_copy(d: &mut Delivery, stands: bool) {
    let sent = d.sent();
    d.copy
        .take_if(|copy| !stands || Some(copy.revision) == sent);
    d.shown = stands && (d.shown || older_in_doubt(d));
}

pub(super) fn said_absent(d: &mut Delivery, by: String, now: Timestamp, policy: &Policy) -> Legal {
    d.forget_echo(now, policy);
    let goal = spoken_of(d)?;
    let before = restored::failed_before(d).is_some();
    restored::failed_after_all(d);
    if matches!(d.state, State::Failed { .. }) && verified::leave_gone(d, &by, now).is_some() {
        return Some(());
    }
    if matches!(d.state, State::Failed { .. }) && !before {
        return None;
    }
    let words = Words::new(
        format!("{by} 核实平台上没有"),
        format!("{by} saw that it is not there"),
    );
    decided(d, "confirm", Outcome::Person, Some(words.clone()), now);
    if before {
        d.said_absent = Some(by);
        return Some(());
    }
    verified::forget_twins(d);
    if goal == Goal::Withdraw {
        d.doubt = None;
        seen::gone(d, now, policy);
        return Some(());
    }
    let stands = older_stands(d, policy);
    forget_copy(d, stands);
    let mut kind = Kind::Gone;
    match &mut d.doubt {
        Some(doubt) if !doubt.echo => doubt.absent = true,
        // Another go changes what stands there.
        Some(_) | None if stands => kind = Kind::Content,
        // It was accepted and is not there any more: nothing of it is left to go on from.
        Some(_) | None => d.progress = Progress::default(),
    }
    let told = Told {
        kind,
        fate: Fate::Never,
        code: None,
        request_id: None,
        words: Words::new(
            format!("{}。如需再发，请由另一人执行 lubu retry", words.zh),
            format!("{}; another person may order `lubu retry`", words.en),
        ),
    };
    d.said_absent = Some(by);
    d.state = State::Failed { why: told };
    if d.withdrawing() && !d.has_remote() {
        d.state = State::Withdrawn;
    }
    wanted::settle(d, now, policy);
    Some(())
}

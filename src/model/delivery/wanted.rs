//! What happens to a delivery when what is wanted of it changes.
//!
//! Nothing new starts while an older outcome is awaited, and none while a step that may have made
//! a public copy is in doubt: both are looked for first, and [`settle`] takes over after that.

use lubu_channels::{Goal, Progress, Timestamp, UpdateBy, Words};

use super::transition::{Legal, later};
use super::{Delivery, Doubt, Hold, State, Wanted, WantedRevision, Why, person, restored, unknown};
use crate::model::approval::OnCorrection;
use crate::model::policy::Policy;
use crate::planted::{Bug, bug};

pub(super) fn approved(d: &mut Delivery, wanted: WantedRevision, now: Timestamp, policy: &Policy) {
    restored::look_for_failed(d, now, policy);
    let shown = matches!(d.state, State::Live)
        && d.copy
            .as_ref()
            .is_some_and(|copy| copy.revision == wanted.number)
        && !outdated(d, &wanted, policy);
    d.wanted = Wanted::Revision(wanted);
    d.since = now;
    if shown {
        // Signed again with nothing to send: a schedule has nothing to release.
        if let Wanted::Revision(wanted) = &mut d.wanted {
            wanted.schedule = None;
        }
        return;
    }
    // An outcome is awaited first; `settle` takes over then.
    let awaited = matches!(d.state, State::Working { .. } | State::Unknown(_)) || d.is_restored();
    if !awaited && !unknown::look_first(d, now, policy) && !person::look_at_twins(d, now) {
        person::start_anew_if_gone(d);
        fresh_round(d);
        resume(d, now, policy);
    }
}

/// Changed documents, or a person's retry after a known failure.
pub(super) fn fresh_round(d: &mut Delivery) {
    d.round += 1;
    d.tries = 0;
    d.repeats = 0;
    d.said_absent = None;
    // What may still arrive stays on record: a withdrawal must know of it.
    d.doubt.take_if(|doubt| doubt.absent);
}

/// Moves on towards `wanted`, once nothing is in flight.
pub(super) fn resume(d: &mut Delivery, now: Timestamp, policy: &Policy) {
    d.state = match (&d.wanted, d.plan(policy)) {
        (Wanted::Revision(wanted), Some(_)) if wanted.schedule.is_some() => State::Held {
            why: Hold::Schedule(wanted.schedule.clone().unwrap_or_default()),
            at: None,
        },
        (_, Some(_)) => due(now),
        (Wanted::Revision(wanted), None) if wanted.on_correction == OnCorrection::Leave => {
            return kept(d, left(wanted.number), now, policy);
        }
        (Wanted::Revision(_), None) => {
            stays(d);
            State::Held {
                why: Hold::Correction,
                at: None,
            }
        }
        (Wanted::Keep { why }, None) => return keep(d, why.clone(), now, policy),
        (Wanted::Nothing { reason, .. }, None) => never_sent(reason),
    };
}

fn due(now: Timestamp) -> State {
    State::Due {
        at: now,
        why: Why::Fresh,
    }
}

fn left(number: u32) -> Words {
    Words::new(
        format!("按更正时的决定保留旧稿（新版为第 {number} 版）"),
        format!("the old copy stays, as was decided with the correction (revision {number})"),
    )
}

fn never_sent(reason: &str) -> State {
    State::Skipped {
        why: Words::new(
            format!("发布前已撤下：{reason}"),
            format!("withdrawn before anything was sent: {reason}"),
        ),
    }
}

/// Taken back before readers could have seen anything: there is nothing to look for, and a channel that shows only its
/// newest posts could never say that it is gone.
pub(super) fn never_showed(d: &mut Delivery) -> bool {
    let Wanted::Nothing { reason, .. } = &d.wanted else {
        return false;
    };
    let doubt = d.doubt.as_ref().is_some_and(|doubt| !doubt.absent);
    if d.shown || d.copy.is_some() || doubt {
        return false;
    }
    d.state = never_sent(reason);
    d.progress = Progress::default();
    true
}

pub(super) fn withdrawn(
    d: &mut Delivery,
    by: String,
    reason: String,
    now: Timestamp,
    policy: &Policy,
) {
    if bug(Bug::B10) && matches!(d.state, State::Due { .. } | State::Unknown(_)) {
        return;
    }
    restored::look_for_failed(d, now, policy);
    d.wanted = Wanted::Nothing { by, reason };
    d.since = now;
    d.tries = 0;
    if d.unrecorded_since().is_some() {
        return restored::look_now(d, now);
    }
    match &mut d.state {
        State::Working { .. } | State::Withdrawn | State::Skipped { .. } => {}
        // Past its plan a person owns it; a withdrawal is worth another look.
        State::Unknown(unknown) => unknown.at = unknown.at.or(Some(now)),
        State::Due { .. }
        | State::Review { .. }
        | State::Held { .. }
        | State::Live
        | State::Failed { .. } => {
            if !unknown::look_first(d, now, policy) {
                resume(d, now, policy);
            }
        }
    }
}

pub(super) fn kept(d: &mut Delivery, why: Words, now: Timestamp, policy: &Policy) {
    restored::look_for_failed(d, now, policy);
    d.wanted = Wanted::Keep { why: why.clone() };
    if d.unrecorded_since().is_some() {
        return restored::look_now(d, now);
    }
    match &d.state {
        State::Due { .. } | State::Held { .. } | State::Review { .. } | State::Failed { .. } => {
            if !unknown::look_first(d, now, policy) {
                keep(d, why, now, policy);
            }
        }
        State::Working { .. }
        | State::Unknown(_)
        | State::Live
        | State::Withdrawn
        | State::Skipped { .. } => {}
    }
}

/// Stays as it is: the copy that was seen, or one that is out and not seen yet. What nobody can
/// see is taken back.
fn keep(d: &mut Delivery, why: Words, now: Timestamp, policy: &Policy) {
    let failed = matches!(d.state, State::Failed { .. });
    let going = d.is_going();
    let copy = d.copy.as_ref().map(|copy| copy.revision);
    if !going && (copy.is_some() || d.shown && !failed) {
        // What was seen once may have been changed or taken down since: a look says what is there.
        stays(d);
        let settled = unknown::overwrites_until(d, policy);
        d.state = State::Review {
            since: now,
            looks: 0,
            at: later(now, settled),
            why: None,
        };
    } else if d.plan_withdraw().is_some() {
        d.wanted = Wanted::Nothing {
            by: "lubu".to_owned(),
            reason: why.zh,
        };
        fresh_round(d);
        resume(d, now, policy);
    } else {
        d.state = State::Skipped { why };
    }
}

/// No withdrawal any more: the last job is again the one that put the copy out.
fn stays(d: &mut Delivery) {
    if let Some(job) = d.job.as_mut().filter(|job| job.goal == Goal::Withdraw) {
        job.goal = Goal::Publish;
    }
}

pub(super) fn released(d: &mut Delivery, now: Timestamp) -> Legal {
    let scheduled = match &mut d.wanted {
        Wanted::Revision(wanted) => wanted.schedule.take().is_some(),
        Wanted::Nothing { .. } | Wanted::Keep { .. } => false,
    };
    match &d.state {
        State::Held {
            why: Hold::After(_) | Hold::Schedule(_),
            ..
        }
        | State::Due {
            why: Why::Dependents,
            ..
        } => {
            d.since = now;
            d.state = due(now);
            Some(())
        }
        State::Working { .. } | State::Unknown(_) if scheduled => Some(()),
        _ => None,
    }
}

/// Its channel is configured again. What was looked for when it left is looked for once more.
pub(super) fn returned(d: &mut Delivery, now: Timestamp, policy: &Policy) -> Legal {
    match &mut d.state {
        State::Unknown(unknown) if unknown.at.is_none() => unknown.at = Some(now),
        State::Held {
            why: Hold::Person(_) | Hold::Unseen(_),
            at: at @ None,
        } => *at = Some(now),
        State::Held {
            why: Hold::Removed, ..
        } => {
            if !unknown::look_first(d, now, policy) {
                resume(d, now, policy);
            }
        }
        _ => return None,
    }
    Some(())
}

/// Lets a `wanted` that came in meanwhile take over, now that the older outcome is known.
pub(super) fn settle(d: &mut Delivery, now: Timestamp, policy: &Policy) {
    match &d.state {
        State::Working { .. }
        | State::Unknown(_)
        | State::Withdrawn
        | State::Skipped { .. }
        | State::Held {
            why:
                Hold::Schedule(_)
                | Hold::After(_)
                | Hold::Correction
                | Hold::Restored
                | Hold::FailedBefore(_),
            ..
        } => {}
        // Another person must order what follows one person's word.
        State::Failed { .. }
            if d.said_absent.is_some() && matches!(d.wanted, Wanted::Revision(_)) => {}
        State::Due { .. }
        | State::Review { .. }
        | State::Held { .. }
        | State::Live
        | State::Failed { .. } => take_over(d, now, policy),
    }
}

fn take_over(d: &mut Delivery, now: Timestamp, policy: &Policy) {
    let goal = d.job.as_ref().map(|job| job.goal);
    let stale = match &d.wanted {
        Wanted::Nothing { .. } => goal != Some(Goal::Withdraw) || matches!(d.state, State::Live),
        Wanted::Revision(wanted) => d.job.is_some() && outdated(d, wanted, policy),
        Wanted::Keep { .. } => matches!(d.state, State::Failed { .. }),
    };
    if !stale {
        return;
    }
    // The withdrawal that a correction began goes on in its own round.
    let replacing = goal == Some(Goal::Withdraw)
        && !d.withdrawing()
        && d.plan(policy)
            .is_some_and(|plan| plan.goal == Goal::Withdraw);
    // Two copies: a person chooses, and another look would only find them again.
    let several = matches!(
        d.state,
        State::Held {
            why: Hold::Differs(_),
            ..
        }
    ) && d.doubt.as_ref().is_some_and(Doubt::may_double);
    if replacing || several || unknown::look_first(d, now, policy) {
        return;
    }
    let platform_wait = match &d.state {
        State::Due {
            at,
            why: Why::Failed(_),
        } if !d.withdrawing() => Some(*at),
        _ => None,
    };
    fresh_round(d);
    resume(d, now, policy);
    if let (State::Due { at, .. }, Some(wait)) = (&mut d.state, platform_wait) {
        *at = wait.max(now);
    }
}

/// The last job was for something else. Where a copy cannot be corrected in place, the same
/// revision rendered anew changes nothing.
fn outdated(d: &Delivery, wanted: &WantedRevision, policy: &Policy) -> bool {
    d.job.as_ref().is_none_or(|job| {
        job.revision != wanted.number
            || job.goal == Goal::Withdraw
            || (policy.update == UpdateBy::InPlace && job.draft != wanted.draft)
    })
}

/// Nothing is due that has nothing to do, or nobody to do it; nothing has failed that is in doubt.
pub(super) fn rest(d: &mut Delivery, now: Timestamp, policy: &Policy) {
    d.forget_echo(now, policy);
    if matches!(d.state, State::Due { .. }) && d.plan(policy).is_none() {
        resume(d, now, policy);
    }
    after_older_bytes(d, policy);
    // An earlier run may still have been applied: that is not known to have failed.
    if matches!(d.state, State::Failed { .. }) && !d.withdrawing() {
        unknown::look_before_failing(d, now, policy);
    }
    if !policy.retired {
        return;
    }
    match &mut d.state {
        State::Due { .. } | State::Review { .. } => {
            d.state = State::Held {
                why: Hold::Removed,
                at: None,
            };
        }
        State::Unknown(unknown) => unknown.at = None,
        State::Held { at, .. } => *at = None,
        _ => {}
    }
}

/// Other content does not go out while a lost call with the old one can still arrive on top of it.
fn after_older_bytes(d: &mut Delivery, policy: &Policy) {
    let (Wanted::Revision(wanted), Some(job)) = (&d.wanted, &d.job) else {
        return;
    };
    if job.draft == wanted.draft {
        return;
    }
    let until = unknown::overwrites_until(d, policy);
    if let (State::Due { at, .. }, Some(until)) = (&mut d.state, until) {
        *at = until.max(*at);
    }
}

//! What becomes of a delivery's times when time itself is set, or was not counted for a while.
//!
//! Waits, settle times and the window of a key are lengths. Where time is set by a known amount they stay as long as
//! they were; where nobody knows how much of them has passed, a key has none left, and a settle time all of it.

use chrono::TimeDelta;
use lubu_channels::{Effect, Timestamp, Words};

use super::log::decided;
use super::transition::Legal;
use super::{Delivery, Hold, State, Why, unknown, wanted};
use crate::model::attempt::Outcome;
use crate::model::policy::Policy;

/// Longer than the window of any key, and than a machine stays down unnoticed.
const LONG: TimeDelta = TimeDelta::days(30);

/// `now` is the time that it is set to.
pub(super) fn back(d: &mut Delivery, by: TimeDelta, now: Timestamp, policy: &Policy) {
    let earlier = |at: &mut Timestamp| *at -= by;
    match &mut d.state {
        // The end of quiet hours is a time of day, and no length.
        State::Due { at, why } if !matches!(why, Why::Quiet { .. }) => earlier(at),
        State::Review { since, at, .. } => [since, at].into_iter().for_each(earlier),
        State::Held { at, .. } => at.iter_mut().for_each(earlier),
        State::Unknown(unknown) => {
            [&mut unknown.began, &mut unknown.ended]
                .into_iter()
                .for_each(earlier);
            unknown.last_absent.iter_mut().for_each(earlier);
            unknown.at.iter_mut().for_each(earlier);
        }
        State::Working { began, .. } => earlier(began),
        State::Due { .. }
        | State::Live
        | State::Failed { .. }
        | State::Withdrawn
        | State::Skipped { .. } => {}
    }
    earlier(&mut d.since);
    if let Some(doubt) = &mut d.doubt {
        [&mut doubt.since, &mut doubt.began, &mut doubt.ended]
            .into_iter()
            .for_each(earlier);
    }
    if by > TimeDelta::zero() {
        look_again(d, now, policy);
    }
}

/// By a clock that stood ahead a look began after what it looked for: what it did not find may be there.
fn look_again(d: &mut Delivery, now: Timestamp, policy: &Policy) {
    if let State::Unknown(unknown) = &mut d.state {
        unknown.absent = 0;
        unknown.last_absent = None;
        return;
    }
    let repeats = matches!(
        d.state,
        State::Due {
            why: Why::Absent,
            ..
        }
    );
    if let Some(doubt) = d.doubt.as_mut().filter(|doubt| repeats && doubt.absent) {
        doubt.absent = false;
        d.repeats = 0;
        unknown::look_first(d, now, policy);
    }
}

/// A look that found nothing while the clock was in doubt. It takes none from the plan, since it tells nothing: another
/// comes, as far apart as the last of those that wait to see something.
pub(super) fn looked(d: &mut Delivery, now: Timestamp, policy: &Policy) -> Legal {
    let next = now + policy.review_wait(u16::MAX).max(policy.settle);
    match &mut d.state {
        // An orphan at worst.
        State::Unknown(unknown) if unknown.step.effect == Effect::Staged => {
            d.state = State::Due {
                at: now,
                why: Why::Onward,
            };
        }
        State::Unknown(unknown) => {
            unknown.at = Some(next);
            unknown.why = in_doubt();
        }
        State::Held {
            why: Hold::Restored,
            at: Some(at),
        } => *at = next,
        State::Due { .. }
        | State::Working { .. }
        | State::Review { .. }
        | State::Held { .. }
        | State::Live
        | State::Failed { .. }
        | State::Withdrawn
        | State::Skipped { .. } => return None,
    }
    decided(d, "look", Outcome::CannotTell, Some(in_doubt()), now);
    wanted::settle(d, now, policy);
    Some(())
}

fn in_doubt() -> Words {
    Words::new(
        "核对未找到，但时钟存疑，不能算作平台上没有；时钟确认后再核对",
        "a look found nothing, which counts for nothing while the clock is in doubt; it is looked for again",
    )
}

/// At its worst: what is open began long ago, so that its key has run out and a look goes back far enough, and ended
/// just now, so that it may still arrive. The same once more changes nothing.
pub(super) fn uncounted(d: &mut Delivery, now: Timestamp) {
    let long_ago = |at: &mut Timestamp| *at = (*at).min(now - LONG);
    let just_now = |at: &mut Timestamp| *at = (*at).max(now);
    match &mut d.state {
        State::Review { since, .. } => just_now(since),
        State::Unknown(unknown) => {
            long_ago(&mut unknown.began);
            just_now(&mut unknown.ended);
            unknown.last_absent.iter_mut().for_each(just_now);
        }
        State::Working { began, .. } => long_ago(began),
        State::Held {
            why: Hold::Poison(_),
            ..
        } => just_now(&mut d.since),
        State::Due { .. }
        | State::Held { .. }
        | State::Live
        | State::Failed { .. }
        | State::Withdrawn
        | State::Skipped { .. } => {}
    }
    if let Some(doubt) = &mut d.doubt {
        [&mut doubt.since, &mut doubt.began]
            .into_iter()
            .for_each(long_ago);
        just_now(&mut doubt.ended);
    }
}

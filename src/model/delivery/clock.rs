//! What becomes of a delivery's times when time itself is set, or was not counted for a while.
//!
//! Waits, settle times and the window of a key are lengths. Where time is set by a known amount they stay as long as
//! they were; where nobody knows how much of them has passed, a key has none left, and a settle time all of it.

use chrono::TimeDelta;
use lubu_channels::Timestamp;

use super::{Delivery, Hold, State, Why};

/// Longer than the window of any key, and than a machine stays down unnoticed.
const LONG: TimeDelta = TimeDelta::days(30);

pub(super) fn back(d: &mut Delivery, by: TimeDelta) {
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

//! A look at what had come to rest as published, and the copies beside it.
//!
//! Nothing here sends, and nothing becomes due: what is seen changed, gone or doubled waits for a
//! person, as it would have after the first look. How many looks it takes to believe that is decided
//! in `model::finding`.

use lubu_channels::{Goal, Kind, Match, Sighting, Timestamp, UpdateBy, Verdict, Words};

use super::log::decided;
use super::transition::Legal;
use super::{Delivery, Doubt, Hold, State, Wanted, seen};
use crate::model::attempt::Outcome;
use crate::model::finding::Moves;
use crate::model::policy::Policy;

/// The ids of several copies, among the facts, since they live as long as the copies do.
const TWINS: &str = "twins";

pub(super) fn verified(
    d: &mut Delivery,
    moves: Moves,
    sighting: Sighting,
    words: Words,
    now: Timestamp,
    policy: &Policy,
) -> Legal {
    let rests = match &d.state {
        State::Live => true,
        State::Failed { why } => why.kind == Kind::Gone,
        State::Held { why, .. } => matches!(why, Hold::Differs(_)),
        _ => false,
    };
    let open = d.doubt.as_ref().is_some_and(Doubt::may_double);
    let job = d.job.as_ref()?;
    // What was sent is what is wanted, or what is to stay: nothing newer waits for a person.
    let last = match &d.wanted {
        Wanted::Revision(wanted) => job.revision == wanted.number,
        Wanted::Keep { .. } => true,
        Wanted::Nothing { .. } => false,
    };
    if !rests || open || job.goal == Goal::Withdraw || !last {
        return None;
    }
    let seen = sighting.seen.into_iter().next();
    d.progress = sighting.progress;
    let outcome = match moves {
        Moves::Removed => Outcome::Absent,
        Moves::Well | Moves::Changed | Moves::Duplicate => Outcome::Found,
    };
    let said = (moves != Moves::Well).then(|| words.clone());
    decided(d, "look", outcome, said, now);
    match (moves, seen) {
        (Moves::Well, Some(seen)) => {
            let stays = older(d).filter(|_| seen.verdict != Verdict::Live(Match::Same));
            seen::live(d, &seen, now, policy);
            if let (Some(revision), Some(copy)) = (stays, &mut d.copy) {
                copy.revision = revision;
            }
        }
        (Moves::Well, None) => return None,
        (Moves::Changed, seen) => {
            if let Some(seen) = seen {
                seen::set_copy(d, &seen, now);
            }
            differs(d, words);
        }
        (Moves::Removed, _) => {
            d.copy = None;
            seen::failed(d, Kind::Gone, words);
        }
        (Moves::Duplicate, seen) => {
            if let Some(Verdict::Several(ids)) = seen.map(|seen| seen.verdict) {
                keep_twins(d, &ids);
            }
            differs(d, words);
        }
    }
    Some(())
}

/// The revision of an older copy that stays as it is.
pub(super) fn older(d: &Delivery) -> Option<u32> {
    let copy = d.copy.as_ref().map(|copy| copy.revision);
    let kept = matches!(d.wanted, Wanted::Keep { .. });
    copy.filter(|revision| kept && Some(*revision) < d.sent())
}

fn differs(d: &mut Delivery, words: Words) {
    d.shown = true;
    d.state = State::Held {
        why: Hold::Differs(words),
        at: None,
    };
}

impl Delivery {
    /// The ids of the copies, where several were seen.
    pub fn twins(&self) -> Vec<String> {
        let ids = self.progress.get(TWINS).unwrap_or_default();
        ids.split_whitespace().map(str::to_owned).collect()
    }
}

pub(super) fn keep_twins(d: &mut Delivery, ids: &[String]) {
    d.progress.set(TWINS, ids.join(" "));
}

/// A person saw that none of them is there.
pub(super) fn forget_twins(d: &mut Delivery) {
    d.progress = std::mem::take(&mut d.progress).without(TWINS);
}

/// The copy that we know is gone; what was seen beside it is not ours to call gone.
pub(super) fn asks_for_twins(d: &mut Delivery) -> bool {
    let Some(twins) = d.progress.get(TWINS).map(str::to_owned) else {
        return false;
    };
    let words = Words::new(
        format!(
            "已撤下一条；此前看到的还有 {twins}，请在平台上逐条确认删除，然后执行 lubu confirm --absent"
        ),
        format!(
            "one copy is taken down; {twins} were seen too: delete them on the platform, then say `lubu confirm --absent`"
        ),
    );
    d.state = State::Held {
        why: Hold::Differs(words),
        at: None,
    };
    true
}

/// A person orders it to be put right. Where the platform can, the wanted text is sent over what is
/// there, whatever the facts say that it holds.
pub(super) fn put_right(d: &mut Delivery, policy: &Policy) {
    let in_place = policy.update == UpdateBy::InPlace && d.shown;
    if !in_place
        || !matches!(
            d.state,
            State::Held {
                why: Hold::Differs(_),
                ..
            }
        )
    {
        return;
    }
    if let Some(job) = d.job.as_mut().filter(|job| job.goal == Goal::Publish) {
        job.goal = Goal::Update;
    }
}

/// What was published was seen gone, and a person leaves it at that: nothing is wanted here any more.
pub(super) fn leave_gone(d: &mut Delivery, by: &str, now: Timestamp) -> Legal {
    let State::Failed { why } = &d.state else {
        return None;
    };
    let was_live = d.first_live.is_some() && d.copy.is_none() && d.doubt.is_none();
    let withdrawn = matches!(d.wanted, Wanted::Nothing { .. });
    if why.kind != Kind::Gone || !was_live || withdrawn || d.said_absent.is_some() {
        return None;
    }
    let words = Words::new(
        format!("{by} 核实平台上没有，不再补发"),
        format!("{by} saw that it is not there, and leaves it at that"),
    );
    decided(d, "confirm", Outcome::Person, Some(words), now);
    d.wanted = Wanted::Nothing {
        by: by.to_owned(),
        reason: "平台上已经没有，不再补发".to_owned(),
    };
    d.shown = false;
    d.progress = lubu_channels::Progress::default();
    d.since = now;
    d.state = State::Withdrawn;
    Some(())
}

//! What a sighting makes of a delivery.
//!
//! Only a sighting, or a person, makes `published` and `withdrawn`. What is seen is judged against
//! the job that was sent, not against what is wanted by now.

use lubu_channels::{
    Copy, Effect, Evidence, Fate, Goal, Kind, Match, RemovedBy, Seen, Step, Timestamp, Verdict,
    Words,
};

use super::log::decided;
use super::transition::back_off;
use super::{Delivery, Hold, State, Unknown, Wanted, verified, wanted, words};
use crate::model::attempt::{Attempt, Outcome, Told};
use crate::model::policy::Policy;

/// What a finished step or a found one already proves. An answer that proves nothing changes
/// nothing: the job goes on.
pub(super) fn apply(d: &mut Delivery, seen: &[Seen], now: Timestamp, policy: &Policy) {
    let Some(seen) = seen.first() else { return };
    match (&seen.verdict, goal(d)) {
        (Verdict::Live(Match::Same | Match::Unread), Goal::Publish | Goal::Update) => {
            live(d, seen, now, policy);
        }
        (Verdict::Removed(_) | Verdict::Notice | Verdict::Absent, Goal::Withdraw) => {
            gone(d, now, policy);
        }
        (Verdict::Refused(why), Goal::Publish | Goal::Update) => refused(d, why),
        _ => {}
    }
}

fn goal(d: &Delivery) -> Goal {
    d.job.as_ref().map_or(Goal::Publish, |job| job.goal)
}

/// A look after the last step, or later.
pub(super) fn after_look(
    d: &mut Delivery,
    seen: &[Seen],
    now: Timestamp,
    policy: &Policy,
    dice: f64,
) {
    let Some(seen) = seen.first() else {
        return wait(d, None, now, policy);
    };
    match goal(d) {
        Goal::Publish | Goal::Update => after_publish(d, seen, now, policy),
        Goal::Withdraw => after_withdraw(d, seen, now, policy, dice),
    }
}

fn after_publish(d: &mut Delivery, seen: &Seen, now: Timestamp, policy: &Policy) {
    match &seen.verdict {
        Verdict::Live(Match::Same | Match::Unread) => live(d, seen, now, policy),
        Verdict::Live(Match::Earlier) if d.is_text_unknown() => {
            d.shown = true;
            d.state = State::Held {
                why: Hold::Differs(which_stands()),
                at: None,
            };
        }
        // The old copy shall stay, and the newer one did not come to replace it.
        Verdict::Live(Match::Earlier) if keeps_older(d, seen, now) => d.state = State::Live,
        Verdict::Live(Match::Earlier) => wait_or_ask(d, older(), now, policy),
        Verdict::Reviewing => wait(d, None, now, policy),
        Verdict::Live(Match::Differs) => {
            set_copy(d, seen, now);
            d.state = State::Held {
                why: Hold::Differs(words::differs()),
                at: None,
            };
        }
        Verdict::Refused(why) => refused(d, why),
        Verdict::Removed(by) => removed(d, *by),
        Verdict::Several(ids) => {
            d.shown = true;
            verified::keep_twins(d, ids);
            d.state = State::Held {
                why: Hold::Differs(words::several(ids)),
                at: None,
            };
        }
        Verdict::Absent | Verdict::Notice => not_there(d, now, policy),
        Verdict::CannotTell(why) => match &d.state {
            // A person was to act on the platform: something happened that nobody can see.
            State::Held {
                why: Hold::Person(_),
                ..
            } => to_unknown(d, why.clone(), now),
            _ => wait_or_ask(d, why.clone(), now, policy),
        },
    }
}

fn older() -> Words {
    Words::new(
        "平台上看到的还是旧稿",
        "the platform still shows the older text",
    )
}

impl Delivery {
    /// An older text shall stay, and between it and the last one another was sent whose outcome nobody
    /// learnt: seen is only that the last one did not come.
    pub fn is_text_unknown(&self) -> bool {
        let sent = self.sent();
        let keeps = matches!(self.wanted, Wanted::Keep { .. });
        keeps && self.unheard().any(|one| Some(one.revision) < sent)
    }
}

fn which_stands() -> Words {
    Words::new(
        "平台上是较早的一版，但此前几次更正结果不明，分不清是哪一版，请核实",
        "an older text stands there; several corrections had an unknown outcome, so which one is for a person to say",
    )
}

/// Whether an older copy shall stay. One that nobody had seen before is the newest that was sent before.
fn keeps_older(d: &mut Delivery, seen: &Seen, now: Timestamp) -> bool {
    if !matches!(d.wanted, Wanted::Keep { .. }) {
        return false;
    }
    let sent = d.sent();
    if let Some(copy) = &d.copy {
        return Some(copy.revision) < sent;
    }
    let Some(older) = older_sent(d) else {
        return false;
    };
    set_copy(d, seen, now);
    if let Some(copy) = &mut d.copy {
        copy.revision = older;
    }
    true
}

/// The newest revision before the last one of which a step was applied.
pub(super) fn older_sent(d: &Delivery) -> Option<u32> {
    let sent = d.sent();
    let before = |one: &&Attempt| one.outcome == Outcome::Done && Some(one.revision) < sent;
    d.log.iter().filter(before).map(|one| one.revision).max()
}

fn not_there(d: &mut Delivery, now: Timestamp, policy: &Policy) {
    let words = Words::new("平台上还看不到", "it is not to be seen yet");
    match &d.state {
        State::Held {
            why: Hold::Person(_),
            ..
        } => to_unknown(
            d,
            Words::new(
                "草稿已不在草稿箱，也没有看到发布，请核实",
                "the draft is gone and nothing is seen published; please check",
            ),
            now,
        ),
        _ => wait_or_ask(d, words, now, policy),
    }
}

fn to_unknown(d: &mut Delivery, why: Words, now: Timestamp) {
    let step = Step::new("person", Effect::Public).shows();
    d.state = State::Unknown(Unknown::new(step, now, now, why));
}

fn after_withdraw(d: &mut Delivery, seen: &Seen, now: Timestamp, policy: &Policy, dice: f64) {
    match &seen.verdict {
        Verdict::Removed(_) | Verdict::Notice | Verdict::Absent => gone(d, now, policy),
        Verdict::Live(_) | Verdict::Several(_) if d.is_restored() => wait(d, None, now, policy),
        Verdict::Live(_) | Verdict::Several(_) => {
            let told = Told {
                kind: Kind::Platform,
                fate: Fate::Again { not_before: None },
                code: None,
                request_id: None,
                words: Words::new("已要求撤下，但仍能看到", "withdrawn, but still to be seen"),
            };
            back_off(d, told, None, now, policy, dice);
        }
        Verdict::Reviewing | Verdict::Refused(_) => wait(d, None, now, policy),
        Verdict::CannotTell(why) => wait_or_ask(d, why.clone(), now, policy),
    }
}

/// Not seen: looks go on by the plan, and once that is over a person owns it too.
fn wait_or_ask(d: &mut Delivery, words: Words, now: Timestamp, policy: &Policy) {
    wait(d, Some(words.clone()), now, policy);
    if let State::Review { looks, at, .. } = &d.state
        && usize::from(*looks) >= policy.review_plan.len()
    {
        let at = Some(*at);
        let why = Hold::Unseen(words);
        d.state = State::Held { why, at };
    }
}

/// Not yet: looks go on by the plan.
fn wait(d: &mut Delivery, words: Option<Words>, now: Timestamp, policy: &Policy) {
    match &mut d.state {
        State::Review { looks, at, why, .. } => {
            *looks = looks.saturating_add(1);
            *at = now + policy.review_wait(*looks);
            *why = words;
        }
        State::Held { at: Some(at), why } => {
            *at = now + policy.review_wait(u16::MAX);
            if let (Hold::Unseen(why), Some(words)) = (why, words) {
                *why = words;
            }
        }
        _ => {}
    }
}

pub(super) fn live(d: &mut Delivery, seen: &Seen, now: Timestamp, policy: &Policy) {
    set_copy(d, seen, now);
    d.doubt = d.doubt.take().and_then(|doubt| doubt.settled(now, policy));
    d.tries = 0;
    d.state = State::Live;
    if d.first_live.is_none() {
        d.first_live = Some(now);
    }
}

/// A person, or a look, saw it.
pub(super) fn set_live(
    d: &mut Delivery,
    remote_id: Option<String>,
    address: Option<String>,
    evidence: Evidence,
    now: Timestamp,
    policy: &Policy,
) {
    let seen = Seen {
        place: 0,
        verdict: Verdict::Live(Match::Unread),
        remote_id,
        address,
        evidence,
    };
    live(d, &seen, now, policy);
}

pub(super) fn set_copy(d: &mut Delivery, seen: &Seen, now: Timestamp) {
    let revision = d.sent().or(d.wanted_revision()).unwrap_or(1);
    let before = d.copy.take();
    d.shown = true;
    let (old_id, old_address) = before.map_or((None, None), |copy| (copy.remote_id, copy.address));
    d.copy = Some(Copy {
        place: seen.place,
        revision,
        remote_id: seen.remote_id.clone().or(old_id),
        address: seen.address.clone().or(old_address),
        evidence: seen.evidence,
        seen_at: now,
    });
}

/// Seen gone. Where a replacement waits, it starts from nothing.
pub(super) fn gone(d: &mut Delivery, now: Timestamp, policy: &Policy) {
    if let Some(until) = may_still_arrive(d, policy).filter(|until| *until > now) {
        d.state = State::Review {
            since: now,
            looks: 0,
            at: until,
            why: Some(Words::new(
                "已撤下；此前有一次发送结果不明，稍后再核对一次",
                "taken down; an earlier send is in doubt, so it is looked for once more",
            )),
        };
        return;
    }
    if verified::asks_for_twins(d) {
        return;
    }
    d.copy = None;
    d.shown = false;
    d.doubt = None;
    d.progress = lubu_channels::Progress::default();
    d.state = State::Withdrawn;
    if let Wanted::Revision(_) = d.wanted {
        d.job = None;
        d.since = now;
        wanted::fresh_round(d);
        wanted::resume(d, now, policy);
    }
}

/// A dead call's bytes may come after the take-down: until then "gone" is not said.
fn may_still_arrive(d: &Delivery, policy: &Policy) -> Option<Timestamp> {
    let doubt = d.doubt.as_ref()?;
    let shows = !doubt.absent && doubt.step.shows && doubt.goal != Goal::Withdraw;
    shows.then(|| doubt.ended + policy.settle)
}

fn refused(d: &mut Delivery, why: &Words) {
    failed(d, Kind::Content, why.clone());
}

pub(super) fn failed(d: &mut Delivery, kind: Kind, words: Words) {
    let told = Told {
        kind,
        fate: Fate::Never,
        code: None,
        request_id: None,
        words,
    };
    // It arrived and was turned down: that much is known.
    // What was sent before it may still come, and would not be seen as that.
    d.doubt.take_if(|doubt| !doubt.echo);
    d.state = State::Failed { why: told };
}

fn removed(d: &mut Delivery, by: RemovedBy) {
    d.copy = None;
    failed(d, Kind::Gone, words::removed(by));
}

/// Writes what a look found into the log.
pub(super) fn note(d: &mut Delivery, seen: &[Seen], now: Timestamp) {
    let (outcome, words) = match seen.first().map(|seen| &seen.verdict) {
        Some(Verdict::Live(_) | Verdict::Notice | Verdict::Several(_)) => (Outcome::Found, None),
        Some(Verdict::Reviewing) => (
            Outcome::Found,
            Some(Words::new("平台审核中", "in review on the platform")),
        ),
        Some(Verdict::Refused(why)) => (Outcome::Never, Some(why.clone())),
        Some(Verdict::Removed(_) | Verdict::Absent) => (Outcome::Absent, None),
        Some(Verdict::CannotTell(why)) => (Outcome::CannotTell, Some(why.clone())),
        None => (Outcome::CannotTell, None),
    };
    decided(d, "look", outcome, words, now);
}

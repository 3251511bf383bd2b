//! Every event in every state, and what may never come of it.

mod aside;
mod copied;
mod former;
mod verifying;

use std::time::Duration;

use lubu_channels::{
    Clock as _, Effect, Evidence, Failure, Fate, Goal, Kind, Manual, Match, Progress, Reach,
    Receipt, RemovedBy, Seen, Sighting, Step, Timestamp, Truth, UpdateBy, Verdict, WithdrawBy,
    Words,
};
use proptest::prelude::*;

use super::*;
use crate::ids::{ChannelNo, DeliveryId, ItemId};
use crate::model::attempt::Outcome;
use crate::model::finding::Moves;
use crate::model::policy::Policy;
use crate::model::retry::Backoff;

const DAY: Duration = Duration::from_hours(24);
const KEYED: Effect = Effect::Keyed {
    window: DAY,
    pause: Duration::from_mins(1),
};

fn policy(update: UpdateBy, repeat: bool) -> Policy {
    Policy {
        retired: false,
        update,
        withdraw: WithdrawBy::Delete,
        backoff: Backoff::default(),
        settle: Duration::from_mins(3),
        unknown_plan: [3, 10, 30].map(Duration::from_mins).to_vec(),
        review_plan: [1, 5].map(Duration::from_mins).to_vec(),
        repeat_when_absent: repeat,
        ..Policy::retired(ChannelNo(1))
    }
}

fn wanted(number: u32) -> WantedRevision {
    WantedRevision {
        number,
        draft: format!("draft {number}"),
        blob: format!("blob {number}"),
        on_correction: OnCorrection::Ask,
        schedule: None,
    }
}

fn words() -> Words {
    Words::new("测试", "as the test has it")
}

fn failure(fate: Fate) -> Failure {
    Failure::new(Kind::Platform, fate, words())
}

fn sighting(progress: &Progress, truth: Truth, verdict: Option<Verdict>) -> Sighting {
    let seen = verdict.map(|verdict| Seen {
        place: 0,
        verdict,
        remote_id: None,
        address: None,
        evidence: Evidence::ReadBack,
    });
    Sighting {
        progress: progress.clone(),
        truth,
        seen: seen.into_iter().collect(),
    }
}

/// A delivery and its clock; every event is checked.
struct Desk {
    policy: Policy,
    now: Timestamp,
    d: Delivery,
}

impl Desk {
    fn new(policy: Policy) -> Self {
        let now = Manual::default().now();
        let id = DeliveryId {
            item: ItemId::new(now.timestamp_millis(), [7; 10]),
            channel: policy.number,
        };
        let state = State::Due {
            at: now,
            why: Why::Fresh,
        };
        let d = Delivery::new(id, Wanted::Revision(wanted(1)), state, now);
        Self { policy, now, d }
    }

    fn does(&mut self, event: Event) -> Result<(), Illegal> {
        let before = self.d.version;
        self.d = transition(self.d.clone(), event, self.now, &self.policy, 0.5)?;
        assert_eq!(self.d.version, before + 1, "every transition counts");
        assert_eq!(self.d.sweep(&self.policy), Ok(()), "{:#?}", self.d);
        Ok(())
    }

    fn must(&mut self, event: Event) -> &mut Self {
        let name = event.name();
        assert_eq!(self.does(event), Ok(()), "{name} in {:?}", self.d.state);
        self
    }

    fn after(&mut self, wait: Duration) -> &mut Self {
        self.now += wait;
        self
    }

    fn begin(&mut self, step: Step) -> &mut Self {
        let job = self.d.plan(&self.policy).expect("there is something to do");
        self.must(Event::Intent { job, step })
    }

    fn send(&mut self, effect: Effect) -> &mut Self {
        self.begin(Step::new("send", effect).shows())
    }

    fn sent(&mut self) -> &mut Self {
        let progress = self.d.progress.clone().with("sent", "1");
        let receipt = Receipt {
            progress,
            ..Receipt::default()
        };
        self.must(Event::Done { receipt })
    }

    fn unsure(&mut self) -> &mut Self {
        let failure = failure(Fate::Unsure);
        self.must(Event::Failed { failure })
    }

    fn told(&mut self, truth: Truth) -> &mut Self {
        let sighting = sighting(&self.d.progress, truth, None);
        self.must(Event::Looked { sighting })
    }

    fn saw(&mut self, verdict: Verdict) -> &mut Self {
        let sighting = sighting(&self.d.progress, Truth::NotAsked, Some(verdict));
        self.must(Event::Looked { sighting })
    }

    /// Two covering looks, a settle time apart, find nothing.
    fn absent(&mut self) -> &mut Self {
        self.after(self.policy.settle).told(Truth::Absent);
        self.after(self.policy.settle).told(Truth::Absent)
    }

    fn live(&mut self) -> &mut Self {
        self.send(Effect::Public).sent();
        self.must(Event::Finished).saw(Verdict::Live(Match::Same))
    }

    fn withdraw(&mut self) -> &mut Self {
        self.must(withdrawn())
    }

    fn key(&self) -> String {
        self.d.key(self.d.job.as_ref().expect("a job"))
    }

    fn next_key(&self) -> String {
        let plan = self.d.plan(&self.policy).expect("there is something to do");
        self.d.key(&plan)
    }

    fn state(&self) -> PublicState {
        self.d.public_state()
    }
}

fn withdrawn() -> Event {
    Event::Withdrawn {
        by: "leader".into(),
        reason: "figures were wrong".into(),
    }
}

fn in_place() -> Desk {
    Desk::new(policy(UpdateBy::InPlace, false))
}

fn social(repeat: bool) -> Desk {
    Desk::new(policy(UpdateBy::Replace, repeat))
}

fn person(who: &str) -> String {
    who.to_owned()
}

#[test]
fn a_key_is_not_used_once_its_window_is_nearly_over_however_long_the_lane_stood_still() {
    let mut desk = social(false);
    desk.send(KEYED).unsure();
    assert_eq!(desk.state(), PublicState::Retrying);
    desk.after(DAY);
    let job = desk.d.plan(&desk.policy).expect("the same job");
    let step = Step::new("send", KEYED).shows();
    desk.must(Event::Intent { job, step });
    assert!(
        matches!(desk.d.state, State::Unknown(_)),
        "it is looked for and not sent again"
    );
}

#[test]
fn the_window_of_a_key_counts_from_its_first_run_over_every_later_one() {
    let mut desk = social(false);
    desk.send(KEYED).unsure();
    let first = desk.d.doubt.as_ref().expect("a doubt").since;
    for _ in 0..3 {
        desk.after(Duration::from_hours(3)).send(KEYED).unsure();
        assert_eq!(desk.d.doubt.as_ref().expect("a doubt").since, first);
    }
}

#[test]
fn a_person_does_not_shorten_the_pause_of_a_key() {
    let mut desk = social(false);
    desk.send(KEYED).unsure();
    desk.must(Event::Retry { by: person("张") });
    let wait = desk.d.next_at().expect("due") - desk.now;
    assert_eq!(wait, chrono::TimeDelta::minutes(1));
}

#[test]
fn a_person_does_not_shorten_the_platforms_own_wait() {
    let mut desk = in_place();
    let not_before = Some(desk.now + Duration::from_hours(2));
    let failure = failure(Fate::Again { not_before });
    desk.send(Effect::Idempotent)
        .must(Event::Failed { failure });
    desk.must(Event::Retry { by: person("张") });
    assert_eq!(desk.d.next_at(), not_before);
}

#[test]
fn a_withdrawal_of_a_keyed_post_in_doubt_looks_for_it_and_does_not_call_it_unsent() {
    let mut desk = social(false);
    desk.send(KEYED).unsure().withdraw();
    assert_eq!(desk.state(), PublicState::Unconfirmed);
    desk.after(desk.policy.settle).told(Truth::Applied);
    let goal = desk.d.plan(&desk.policy).map(|job| job.goal);
    assert_eq!(goal, Some(Goal::Withdraw));
}

#[test]
fn a_withdrawal_of_a_page_in_doubt_takes_it_down() {
    let mut desk = in_place();
    desk.send(Effect::Idempotent).unsure().withdraw();
    let goal = desk.d.plan(&desk.policy).map(|job| job.goal);
    assert_eq!(goal, Some(Goal::Withdraw));
}

/// Weibo shows five posts: a look could never say that this one is not among the others.
#[test]
fn what_was_withdrawn_before_anything_could_show_is_at_rest_without_a_look() {
    let mut desk = social(true);
    desk.begin(Step::new("baseline", Effect::Read)).sent();
    desk.withdraw().must(Event::Finished);
    assert_eq!(desk.state(), PublicState::Skipped);
}

#[test]
fn gone_is_not_said_while_a_lost_send_can_still_arrive() {
    let mut desk = in_place();
    desk.send(Effect::Idempotent).unsure().withdraw();
    desk.begin(Step::new("remove", Effect::Idempotent).shows())
        .sent();
    desk.must(Event::Finished).saw(Verdict::Absent);
    assert_eq!(desk.state(), PublicState::InReview);
    desk.after(desk.policy.settle).saw(Verdict::Absent);
    assert_eq!(desk.state(), PublicState::Withdrawn);
}

#[test]
fn gone_is_not_said_while_a_lost_send_that_was_repeated_since_can_still_arrive() {
    let mut desk = in_place();
    desk.send(Effect::Idempotent).unsure();
    desk.send(Effect::Idempotent).sent();
    desk.must(Event::Finished).saw(Verdict::Live(Match::Same));
    desk.withdraw();
    desk.begin(Step::new("remove", Effect::Idempotent).shows())
        .sent();
    desk.must(Event::Finished).saw(Verdict::Absent);
    assert_eq!(desk.state(), PublicState::InReview);
    desk.after(desk.policy.settle).saw(Verdict::Absent);
    assert_eq!(desk.state(), PublicState::Withdrawn);
}

#[test]
fn a_new_text_goes_out_only_when_a_lost_write_of_the_old_one_can_no_longer_overwrite_it() {
    let settled = |desk: &Desk| desk.now + desk.policy.settle;
    let mut desk = in_place();
    desk.send(Effect::Idempotent).unsure();
    let until = settled(&desk);
    desk.after(Duration::from_secs(5))
        .must(Event::Approved(wanted(2)));
    assert_eq!(desk.d.next_at(), Some(until));

    let mut desk = in_place();
    desk.send(Effect::Idempotent).unsure();
    let until = settled(&desk);
    desk.after(Duration::from_secs(5)).send(Effect::Idempotent);
    desk.sent().must(Event::Finished);
    desk.saw(Verdict::Live(Match::Same));
    desk.must(Event::Approved(wanted(2)));
    assert_eq!(desk.d.next_at(), Some(until));
}

#[test]
fn a_new_text_goes_out_only_when_a_lost_take_down_can_no_longer_arrive() {
    let mut desk = in_place();
    desk.live().withdraw();
    desk.begin(Step::new("remove", Effect::Idempotent).shows())
        .unsure();
    let settled = desk.now + desk.policy.settle;
    desk.after(Duration::from_secs(1));
    desk.must(Event::Approved(wanted(2)));
    assert!(desk.d.next_at() >= Some(settled), "{:?}", desk.d.state);
}

#[test]
fn a_new_revision_waits_while_a_keyed_post_is_in_doubt() {
    let mut desk = social(false);
    desk.send(KEYED).unsure();
    desk.must(Event::Approved(wanted(2)));
    assert_eq!(desk.state(), PublicState::Unconfirmed);
}

#[test]
fn a_refusal_of_a_repeat_does_not_settle_the_first_run() {
    let mut desk = social(false);
    desk.send(KEYED).unsure().after(Duration::from_hours(1));
    let failure = failure(Fate::Never);
    desk.send(KEYED).must(Event::Failed { failure });
    assert_eq!(desk.state(), PublicState::Unconfirmed);
}

#[test]
fn a_correction_that_came_while_the_first_post_was_under_way_is_asked_about() {
    let mut desk = social(false);
    desk.send(Effect::Public);
    desk.must(Event::Approved(wanted(2))).sent();
    assert!(matches!(
        desk.d.state,
        State::Held {
            why: Hold::Correction,
            ..
        }
    ));
}

#[test]
fn what_was_decided_about_the_old_copy_holds_though_it_was_not_out_yet() {
    for (choice, goal) in [
        (OnCorrection::Leave, None),
        (OnCorrection::Replace, Some(Goal::Withdraw)),
    ] {
        let mut desk = social(false);
        desk.send(Effect::Public);
        let second = WantedRevision {
            on_correction: choice,
            ..wanted(2)
        };
        desk.must(Event::Approved(second)).sent();
        assert_eq!(desk.d.plan(&desk.policy).map(|job| job.goal), goal);
    }
}

#[test]
fn the_same_bytes_under_a_new_number_need_no_correction() {
    let mut desk = social(false);
    desk.live();
    let second = WantedRevision {
        draft: wanted(1).draft,
        ..wanted(2)
    };
    desk.must(Event::Approved(second)).must(Event::Finished);
    desk.saw(Verdict::Live(Match::Same));
    assert_eq!(desk.d.copy.as_ref().map(|copy| copy.revision), Some(2));
    assert_eq!(desk.state(), PublicState::Published);
}

#[test]
fn a_withdrawal_with_nothing_to_send_still_ends_as_one() {
    let mut desk = social(false);
    desk.live().withdraw();
    desk.must(Event::Finished).saw(Verdict::Absent);
    assert_eq!(desk.state(), PublicState::Withdrawn);
}

#[test]
fn a_withdrawal_by_hand_is_looked_after_as_one() {
    let mut desk = social(false);
    desk.live().withdraw();
    let look_at = desk.now + Duration::from_mins(10);
    desk.must(Event::Person {
        todo: words(),
        look_at,
    });
    desk.must(Event::SaidLive {
        by: person("张"),
        url: None,
    });
    assert_eq!(
        desk.state(),
        PublicState::Retrying,
        "still there: the withdrawal goes on"
    );
    desk.must(Event::Person {
        todo: words(),
        look_at,
    });
    desk.must(Event::SaidAbsent { by: person("张") });
    assert_eq!(desk.state(), PublicState::Withdrawn);
}

#[test]
fn a_channel_that_is_left_out_later_is_skipped_where_nothing_was_sent() {
    let mut desk = social(false);
    desk.must(Event::Waits(Hold::After(vec![ChannelNo(2)])));
    desk.must(Event::Kept { why: words() });
    assert_eq!(desk.state(), PublicState::Skipped);
}

#[test]
fn what_was_only_staged_is_taken_back_when_the_channel_is_left_out() {
    let mut desk = social(false);
    desk.begin(Step::new("draft", Effect::Staged)).sent();
    desk.must(Event::Kept { why: words() });
    let goal = desk.d.plan(&desk.policy).map(|job| job.goal);
    assert_eq!(goal, Some(Goal::Withdraw));
}

#[test]
fn a_revision_for_a_schedule_waits_for_it_whatever_came_before() {
    let mut desk = in_place();
    desk.send(Effect::Idempotent);
    let second = WantedRevision {
        schedule: Some("monthly".into()),
        ..wanted(2)
    };
    desk.must(Event::Approved(second)).sent();
    assert_eq!(desk.state(), PublicState::Held);
    desk.must(Event::Released);
    assert_eq!(desk.d.plan(&desk.policy).map(|job| job.revision), Some(2));
}

#[test]
fn a_refusal_does_not_call_a_page_unpublished_that_an_earlier_run_may_have_written() {
    let mut desk = in_place();
    desk.send(Effect::Idempotent).unsure();
    desk.after(Duration::from_secs(5)).send(Effect::Idempotent);
    let failure = failure(Fate::Never);
    desk.must(Event::Failed { failure });
    assert_eq!(desk.state(), PublicState::Unconfirmed);
    desk.absent();
    assert_eq!(desk.state(), PublicState::Failed);
}

#[test]
fn a_write_without_an_answer_is_a_doubt_though_its_adapter_says_again() {
    let lost = || Failure::new(Kind::Transport, Fate::Again { not_before: None }, words());
    let mut desk = in_place();
    desk.send(Effect::Idempotent)
        .must(Event::Failed { failure: lost() });
    assert_eq!(desk.state(), PublicState::Retrying);
    let until = desk.now + desk.policy.settle;
    desk.must(Event::Approved(wanted(2)));
    assert_eq!(desk.d.next_at(), Some(until));
    desk.withdraw();
    let goal = desk.d.plan(&desk.policy).map(|job| job.goal);
    assert_eq!(goal, Some(Goal::Withdraw));
}

#[test]
fn a_copy_whose_withdrawal_has_begun_is_not_left_in_place_by_a_later_word() {
    let replace = WantedRevision {
        on_correction: OnCorrection::Replace,
        ..wanted(2)
    };
    let leave = WantedRevision {
        on_correction: OnCorrection::Leave,
        ..wanted(3)
    };
    let later = [
        Event::Approved(leave),
        Event::Approved(wanted(3)),
        Event::Kept { why: words() },
    ];
    for word in later {
        let mut desk = social(false);
        desk.live().must(Event::Approved(replace.clone()));
        desk.begin(Step::new("remove", Effect::Idempotent).shows());
        desk.sent().must(word);
        assert_ne!(desk.state(), PublicState::Published);
        let goal = desk.d.plan(&desk.policy).map(|job| job.goal);
        assert_eq!(goal, Some(Goal::Withdraw));
    }
}

#[test]
fn a_copy_whose_withdrawal_was_refused_can_be_left_in_place() {
    let mut desk = social(false);
    desk.live().must(Event::Approved(WantedRevision {
        on_correction: OnCorrection::Replace,
        ..wanted(2)
    }));
    desk.begin(Step::new("remove", Effect::Idempotent).shows());
    let failure = failure(Fate::Blocked(Reach::Goal));
    desk.must(Event::Failed { failure });
    desk.must(Event::Approved(wanted(3)));
    assert_eq!(desk.state(), PublicState::Held);
    desk.must(Event::Approved(WantedRevision {
        on_correction: OnCorrection::Leave,
        ..wanted(3)
    }));
    // What was seen before the refusal may have changed since: it is looked at again.
    assert_eq!(desk.state(), PublicState::InReview);
    desk.saw(Verdict::Live(Match::Same));
    assert_eq!(desk.state(), PublicState::Published);
    assert_eq!(desk.d.copy.as_ref().map(|copy| copy.revision), Some(1));
}

#[test]
fn a_page_that_a_look_saw_is_taken_down_though_its_new_text_was_never_there() {
    let mut desk = in_place();
    desk.send(Effect::Idempotent).unsure();
    desk.must(Event::Approved(wanted(2)));
    desk.after(desk.policy.settle).send(Effect::Idempotent);
    let failure = failure(Fate::Never);
    desk.must(Event::Failed { failure });
    for _ in 0..2 {
        desk.after(desk.policy.settle);
        let earlier = Some(Verdict::Live(Match::Earlier));
        let sighting = sighting(&desk.d.progress, Truth::Absent, earlier);
        desk.must(Event::Looked { sighting });
    }
    assert_eq!(desk.state(), PublicState::Failed);
    desk.withdraw();
    let goal = desk.d.plan(&desk.policy).map(|job| job.goal);
    assert_eq!(goal, Some(Goal::Withdraw));
}

#[test]
fn a_persons_word_that_the_new_text_is_not_there_does_not_forget_the_old_one() {
    let mut desk = in_place();
    desk.live().must(Event::Approved(wanted(2)));
    desk.send(Effect::Public).unsure();
    desk.must(Event::SaidAbsent { by: person("张") });
    assert_eq!(desk.state(), PublicState::Failed);
    desk.withdraw();
    let goal = desk.d.plan(&desk.policy).map(|job| job.goal);
    assert_eq!(goal, Some(Goal::Withdraw));
}

#[test]
fn a_persons_word_that_a_refused_text_is_not_there_does_not_forget_the_old_one() {
    let mut desk = in_place();
    desk.send(Effect::Idempotent).sent();
    desk.must(Event::Finished).saw(Verdict::Live(Match::Same));
    desk.must(Event::Approved(wanted(2)));
    let failure = failure(Fate::Never);
    desk.send(Effect::Staged).must(Event::Failed { failure });
    desk.must(Event::Kept { why: words() });
    let (by, seen) = (person("张"), 1);
    desk.must(Event::SaidAbsent { by });
    assert_eq!(
        desk.state(),
        PublicState::InReview,
        "a look says what is there"
    );
    assert_eq!(desk.d.copy.as_ref().map(|copy| copy.revision), Some(seen));
}

#[test]
fn a_withdrawal_of_nothing_ends_though_a_lost_writes_echo_fades_while_it_is_tried() {
    let mut desk = in_place();
    desk.send(Effect::Idempotent).must(Event::Lost);
    desk.begin(Step::new("read", Effect::Read));
    let seen = sighting(
        &Progress::default(),
        Truth::NotAsked,
        Some(Verdict::Live(Match::Same)),
    );
    let receipt = Receipt {
        seen: seen.seen,
        ..Receipt::default()
    };
    desk.must(Event::Done { receipt })
        .saw(Verdict::Live(Match::Differs));
    let by = person("张");
    desk.must(Event::SaidAbsent { by }).withdraw();
    desk.begin(Step::new("remove", Effect::Idempotent));
    let failure = failure(Fate::Blocked(Reach::Account));
    desk.after(Duration::from_mins(3))
        .must(Event::Failed { failure });
    assert_eq!(desk.state(), PublicState::Skipped);
}

#[test]
fn nobody_can_say_that_what_was_sent_just_now_is_not_there() {
    let mut desk = social(false);
    desk.send(Effect::Public).sent().must(Event::Finished);
    let until = desk.d.may_arrive_until(&desk.policy);
    assert_eq!(until, Some(desk.now + desk.policy.settle));
    desk.saw(Verdict::Live(Match::Same)).withdraw();
    desk.begin(Step::new("remove", Effect::Idempotent)).sent();
    desk.must(Event::Finished);
    assert_eq!(desk.d.may_arrive_until(&desk.policy), None, "gone is gone");
}

#[test]
fn what_waits_keeps_its_length_whichever_way_a_person_sets_the_time() {
    for minutes in [-90, 90] {
        let mut desk = social(false);
        desk.send(Effect::Public).unsure();
        let by = chrono::TimeDelta::minutes(minutes);
        let (before, then) = (desk.d.next_at(), desk.now);
        desk.now -= by;
        desk.must(Event::ClockBack { by });
        let wait = |at: Option<Timestamp>, now| at.map(|at| at - now);
        assert_eq!(wait(desk.d.next_at(), desk.now), wait(before, then));
        assert_eq!(
            desk.d.doubt.as_ref().map(|doubt| doubt.ended),
            Some(desk.now)
        );
    }
}

#[test]
fn what_a_clock_that_stood_ahead_did_not_find_is_looked_for_again_before_it_is_repeated() {
    let is_repeat = |desk: &Desk| {
        let why = Why::Absent;
        matches!(&desk.d.state, State::Due { why: is, .. } if *is == why)
    };
    for (minutes, repeats) in [(-90, true), (90, false)] {
        let mut desk = social(true);
        desk.send(Effect::Public).unsure().absent();
        assert!(is_repeat(&desk));
        let by = chrono::TimeDelta::minutes(minutes);
        desk.now -= by;
        desk.must(Event::ClockBack { by });
        assert_eq!(is_repeat(&desk), repeats, "{minutes}");
        if !repeats {
            assert_eq!(desk.state(), PublicState::Unconfirmed);
            desk.absent();
            assert!(is_repeat(&desk), "two looks agree by the right clock");
        }
    }
}

#[test]
fn looks_in_doubt_find_nothing_absent_and_take_none_from_the_plan() {
    let mut desk = social(true);
    desk.send(Effect::Public).unsure();
    for _ in 0..10 {
        desk.now = desk.d.next_at().expect("another look");
        desk.must(Event::LookDoubted);
    }
    assert!(
        matches!(&desk.d.state, State::Unknown(unknown) if unknown.absent == 0 && unknown.looks == 0)
    );
    let looks = desk.d.log.iter().filter(|one| one.step == "look");
    assert_eq!(looks.count(), 1, "the same each time");
}

#[test]
fn what_nobody_counted_leaves_a_key_no_window_and_a_settle_time_all_of_it() {
    let mut desk = social(false);
    desk.send(KEYED).unsure();
    assert_eq!(desk.state(), PublicState::Retrying, "the key still holds");
    desk.after(Duration::from_mins(10)).must(Event::Uncounted);
    let once = desk.d.clone();
    desk.must(Event::Uncounted);
    assert_eq!(
        (once.state, once.doubt),
        (desk.d.state.clone(), desk.d.doubt.clone())
    );
    desk.send(KEYED);
    assert_eq!(desk.state(), PublicState::Unconfirmed, "it is looked for");
    let until = desk.d.may_arrive_until(&desk.policy);
    assert_eq!(until, Some(desk.now + desk.policy.settle));
}

#[test]
fn what_is_withdrawn_or_left_out_after_a_restore_is_looked_for_before_it_is_called_unsent() {
    for event in [withdrawn(), Event::Kept { why: words() }] {
        let mut desk = in_place();
        desk.must(Event::Restored).must(event);
        assert!(desk.d.is_restored(), "it may be public");
        assert_eq!(desk.d.next_at(), Some(desk.now));
        let mut out = Desk {
            d: desk.d.clone(),
            policy: desk.policy.clone(),
            ..in_place()
        };
        out.saw(Verdict::Live(Match::Same));
        let goes = out.d.withdrawing();
        assert_eq!(
            out.d.plan(&out.policy).is_some(),
            goes,
            "it is taken down, or stays"
        );
        absent_by(&mut desk, Evidence::ReadBack);
        assert!(desk.d.is_restored());
        desk.after(desk.policy.settle);
        absent_by(&mut desk, Evidence::ReadBack);
        assert_eq!(desk.state(), PublicState::Skipped);
    }
}

#[test]
fn a_persons_word_on_a_refused_text_says_nothing_of_an_older_one_in_doubt() {
    let mut desk = in_place();
    desk.send(Effect::Idempotent).must(Event::Lost);
    desk.must(Event::Approved(wanted(2)))
        .after(Duration::from_mins(4));
    let failure = failure(Fate::Never);
    desk.send(Effect::Idempotent)
        .must(Event::Failed { failure });
    let by = person("张");
    desk.must(Event::SaidAbsent { by }).withdraw();
    assert_eq!(
        desk.d.plan(&desk.policy).map(|job| job.goal),
        Some(Goal::Withdraw)
    );
}

#[test]
fn a_try_that_was_never_sent_is_none() {
    let mut desk = in_place();
    for _ in 0..40 {
        desk.send(Effect::Public)
            .must(Event::Unsent { why: words() });
        desk.after(Duration::from_secs(10));
    }
    assert_eq!((desk.state(), desk.d.tries), (PublicState::Retrying, 0));
    assert!(desk.d.doubt.is_none());
}

#[test]
fn what_is_never_seen_gets_an_owner_when_the_look_plan_is_over_and_is_live_once_it_is_seen() {
    for verdict in [
        Verdict::Absent,
        Verdict::CannotTell(words()),
        Verdict::Live(Match::Earlier),
    ] {
        let mut desk = in_place();
        desk.send(Effect::Public).sent().must(Event::Finished);
        for _ in 0..desk.policy.review_plan.len() {
            assert_eq!(desk.state(), PublicState::InReview);
            desk.after(Duration::from_mins(5)).saw(verdict.clone());
        }
        assert_eq!(desk.state(), PublicState::Held, "{verdict:?}");
        desk.after(Duration::from_mins(5)).saw(verdict);
        assert!(desk.d.next_at().is_some(), "looks go on");
        desk.saw(Verdict::Live(Match::Same));
        assert_eq!(desk.state(), PublicState::Published);
    }
}

#[test]
fn a_review_by_the_platform_is_waited_for_however_long_it_takes() {
    let mut desk = in_place();
    desk.send(Effect::Public).sent().must(Event::Finished);
    for _ in 0..50 {
        desk.after(Duration::from_hours(1)).saw(Verdict::Reviewing);
    }
    assert_eq!(desk.state(), PublicState::InReview);
}

#[test]
fn a_new_text_for_a_post_that_the_platform_took_down_starts_from_nothing() {
    let mut desk = social(false);
    desk.live();
    desk.saw(Verdict::Removed(RemovedBy::Platform));
    assert_eq!(desk.state(), PublicState::Failed);
    desk.must(Event::Approved(WantedRevision {
        on_correction: OnCorrection::Leave,
        ..wanted(2)
    }));
    let plan = desk
        .d
        .plan(&desk.policy)
        .map(|job| (job.goal, job.revision));
    assert_eq!(plan, Some((Goal::Publish, 2)));
    assert!(desk.d.progress.is_empty());
}

#[test]
fn what_a_person_saw_gone_and_nobody_wants_there_any_more_comes_to_rest() {
    let mut desk = social(false);
    desk.send(Effect::Public).sent().must(Event::Finished);
    desk.must(Event::Kept { why: words() });
    desk.must(Event::SaidAbsent { by: person("张") });
    assert!(desk.state().at_rest(), "{:?}", desk.d.state);
}

#[test]
fn which_text_a_kept_copy_shows_is_looked_at_when_a_newer_one_was_on_its_way() {
    for (seen, revision) in [(Match::Earlier, 1), (Match::Same, 2)] {
        let mut desk = in_place();
        desk.live().must(Event::Approved(wanted(2)));
        desk.send(Effect::Idempotent).unsure();
        desk.must(Event::Kept { why: words() });
        assert_eq!(desk.state(), PublicState::InReview);
        assert_eq!(desk.d.next_at(), Some(desk.now + desk.policy.settle));
        desk.after(desk.policy.settle).saw(Verdict::Live(seen));
        assert_eq!(desk.state(), PublicState::Published);
        assert_eq!(
            desk.d.copy.as_ref().map(|copy| copy.revision),
            Some(revision)
        );
    }
}

#[test]
fn every_try_of_a_job_has_one_key_and_another_round_revision_or_goal_another() {
    let mut desk = in_place();
    desk.send(Effect::Idempotent);
    let first = desk.key();
    desk.unsure();
    desk.after(desk.policy.settle).send(Effect::Idempotent);
    assert_eq!(desk.key(), first);
    let mut keys = vec![first];
    desk.sent().begin(Step::new("lists", Effect::Idempotent));
    let failure = failure(Fate::Never);
    desk.must(Event::Failed { failure });
    desk.must(Event::Retry { by: person("张") })
        .send(Effect::Idempotent)
        .sent();
    keys.push(desk.key());
    desk.must(Event::Approved(wanted(2)))
        .send(Effect::Idempotent)
        .sent();
    keys.push(desk.key());
    desk.withdraw()
        .begin(Step::new("remove", Effect::Idempotent).shows());
    keys.push(desk.key());
    assert!(keys.iter().all(|key| key.len() == 32));
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 4);
}

#[test]
fn what_was_found_absent_is_sent_again_under_its_key_by_looks_and_by_persons() {
    let mut desk = social(false);
    desk.send(Effect::Public);
    let key = desk.key();
    desk.unsure().absent();
    assert_eq!(desk.state(), PublicState::Failed);
    desk.must(Event::Retry { by: person("李") })
        .send(Effect::Public);
    assert_eq!(desk.key(), key);
    desk.unsure();
    desk.must(Event::SaidAbsent { by: person("张") });
    desk.must(Event::Retry { by: person("李") })
        .send(Effect::Public);
    assert_eq!(desk.key(), key);
}

#[test]
fn what_the_platform_took_down_starts_from_nothing_when_a_person_orders_it() {
    let mut desk = social(false);
    desk.send(Effect::Public).sent();
    desk.must(Event::Finished)
        .saw(Verdict::Removed(RemovedBy::Platform));
    assert_eq!(desk.state(), PublicState::Failed);
    desk.must(Event::Retry { by: person("张") });
    assert!(desk.d.progress.is_empty());
    let job = desk.d.plan(&desk.policy).expect("a job");
    assert_eq!((job.goal, job.round), (Goal::Publish, 2));
}

#[test]
fn one_automatic_repeat_and_then_a_person() {
    let mut desk = social(true);
    desk.send(Effect::Public).unsure().absent();
    assert_eq!(desk.state(), PublicState::Pending, "sent once more");
    desk.send(Effect::Public).unsure().absent();
    assert_eq!(desk.state(), PublicState::Failed);
}

#[test]
fn looks_before_the_settle_time_and_looks_too_close_prove_nothing() {
    let mut desk = social(true);
    desk.send(Effect::Public).unsure();
    for _ in 0..5 {
        desk.after(Duration::from_secs(30)).told(Truth::Absent);
    }
    assert_eq!(desk.state(), PublicState::Unconfirmed);
    assert!(matches!(&desk.d.state, State::Unknown(unknown) if unknown.absent == 0));
}

#[test]
fn the_look_plan_ends_with_a_person_and_a_withdrawal_looks_once_more() {
    let mut desk = social(true);
    desk.send(Effect::Public).unsure();
    let mut waits = Vec::new();
    while let Some(at) = desk.d.next_at() {
        waits.push((at - desk.now).num_minutes());
        desk.now = at;
        desk.told(Truth::CannotTell(words()));
    }
    assert_eq!(waits, [3, 7, 20]);
    desk.withdraw();
    assert_eq!(desk.d.next_at(), Some(desk.now));
}

#[test]
fn a_second_opinion_that_never_comes_is_left_to_a_person() {
    let mut desk = social(true);
    desk.send(Effect::Public).unsure();
    let mut looks = 0;
    while let Some(at) = desk.d.next_at() {
        desk.now = at;
        let truth = match looks {
            2 => Truth::Absent,
            _ => Truth::CannotTell(words()),
        };
        desk.told(truth);
        looks += 1;
        assert!(looks < 10, "for ever");
    }
    assert!(matches!(&desk.d.state, State::Unknown(unknown) if unknown.absent == 0));
    assert_eq!(looks, 6, "the plan's three, and three past it");
}

#[test]
fn a_second_opinion_is_not_used_up_by_a_platform_that_asks_for_no_wait() {
    let mut desk = social(true);
    desk.send(Effect::Public).unsure();
    for truth in [
        Truth::CannotTell(words()),
        Truth::CannotTell(words()),
        Truth::Absent,
    ] {
        desk.now = desk.d.next_at().expect("another look");
        desk.told(truth);
    }
    for _ in 0..2 {
        let at = desk.d.next_at().expect("another look");
        assert!(at - desk.now >= chrono::TimeDelta::from_std(desk.policy.settle).expect("short"));
        desk.now = at;
        let again = Fate::Again {
            not_before: Some(at),
        };
        let failure = failure(again);
        desk.must(Event::LookFailed { failure });
    }
}

#[test]
fn looks_after_the_last_step_go_on_by_the_plan_and_its_last_wait() {
    let mut desk = social(false);
    desk.send(Effect::Public).sent();
    desk.must(Event::Finished);
    let mut waits = Vec::new();
    for _ in 0..4 {
        let at = desk.d.next_at().expect("another look");
        waits.push((at - desk.now).num_minutes());
        desk.now = at;
        desk.saw(Verdict::Reviewing);
    }
    assert_eq!(waits, [1, 5, 5, 5]);
}

#[test]
fn either_ceiling_ends_the_tries_and_a_pause_before_the_first_counts_for_none() {
    let again = || Event::Failed {
        failure: Failure::new(Kind::Connect, Fate::Again { not_before: None }, words()),
    };
    let mut desk = in_place();
    desk.after(Duration::from_hours(300));
    let mut tries = 0;
    while desk.state() != PublicState::Failed {
        desk.send(Effect::Idempotent).must(again());
        desk.now = desk.d.next_at().unwrap_or(desk.now);
        tries += 1;
    }
    assert!(tries > 10, "{tries} tries");
    let mut desk = in_place();
    desk.send(Effect::Idempotent).must(again());
    desk.after(desk.policy.backoff.most_age);
    desk.send(Effect::Idempotent).must(again());
    assert_eq!(desk.state(), PublicState::Failed);
}

#[test]
fn a_blocked_account_makes_a_withdrawal_wait_and_not_spin() {
    let mut desk = in_place();
    desk.live().withdraw();
    desk.begin(Step::new("remove", Effect::Idempotent).shows());
    let failure = failure(Fate::Blocked(Reach::Account));
    desk.must(Event::Failed { failure });
    assert!(desk.d.next_at().is_some_and(|at| at > desk.now));
}

#[test]
fn two_copies_are_held_for_a_person_and_never_added_to() {
    let mut desk = social(true);
    desk.send(Effect::Public).unsure();
    desk.after(desk.policy.settle)
        .told(Truth::Several(vec!["1".into(), "2".into()]));
    assert_eq!(desk.state(), PublicState::Held);
    desk.must(Event::Retry { by: person("张") });
    assert_eq!(desk.state(), PublicState::Unconfirmed, "looked for first");
    desk.told(Truth::Applied);
    assert!(desk.d.shown);
}

#[test]
fn a_channel_no_longer_configured_leaves_an_owner_and_no_due_time() {
    let mut desk = social(false);
    desk.live();
    desk.policy = Policy::retired(ChannelNo(1));
    desk.withdraw();
    assert_eq!((desk.state(), desk.d.next_at()), (PublicState::Held, None));
    desk.must(Event::SaidAbsent { by: person("张") });
}

#[test]
fn a_channel_configured_again_withdraws_what_was_left_to_a_person() {
    let mut desk = social(false);
    desk.live();
    let policy = std::mem::replace(&mut desk.policy, Policy::retired(ChannelNo(1)));
    desk.withdraw();
    desk.policy = policy;
    desk.must(Event::Returned);
    assert_eq!(desk.state(), PublicState::Pending);
    assert!(desk.d.withdrawing());
    assert_eq!(desk.d.sweep(&desk.policy), Ok(()));
}

#[test]
fn a_channel_configured_again_looks_for_what_nobody_looked_for_meanwhile() {
    let mut desk = social(false);
    desk.send(Effect::Public).unsure();
    let policy = std::mem::replace(&mut desk.policy, Policy::retired(ChannelNo(1)));
    desk.withdraw();
    assert_eq!(desk.d.next_at(), None);
    desk.policy = policy;
    desk.must(Event::Returned);
    assert_eq!(desk.state(), PublicState::Unconfirmed);
    assert_eq!(desk.d.next_at(), Some(desk.now));
}

#[test]
fn a_channel_configured_again_looks_on_for_what_a_person_was_to_do() {
    let mut desk = social(false);
    let look_at = desk.now;
    let todo = words();
    desk.must(Event::Person { todo, look_at });
    let policy = std::mem::replace(&mut desk.policy, Policy::retired(ChannelNo(1)));
    // A look that was under way when the channel left.
    let failure = failure(Fate::Again { not_before: None });
    desk.must(Event::LookFailed { failure });
    assert_eq!(desk.d.next_at(), None);
    desk.policy = policy;
    assert!(desk.d.was_left(&desk.policy));
    desk.must(Event::Returned);
    assert_eq!(desk.d.next_at(), Some(desk.now));
}

#[test]
fn a_look_plan_that_came_to_its_end_is_no_work_that_a_channel_left() {
    let mut desk = social(false);
    desk.send(Effect::Public).unsure();
    while desk.d.next_at().is_some() {
        assert!(!desk.d.was_left(&desk.policy));
        desk.after(DAY).told(Truth::CannotTell(words()));
    }
    assert_eq!(desk.state(), PublicState::Unconfirmed);
    assert!(!desk.d.was_left(&desk.policy));
}

#[test]
fn a_weekend_of_silence_does_not_use_up_the_age_of_the_tries() {
    let mut desk = social(false);
    let again = || failure(Fate::Again { not_before: None });
    desk.send(Effect::Staged);
    desk.must(Event::Failed { failure: again() });
    let asked = desk.now;
    let weekend = Duration::from_hours(58);
    assert!(weekend > desk.policy.backoff.most_age);
    let until = asked + weekend;
    let why = Why::Quiet { asked };
    desk.must(Event::Postponed { until, why }).after(weekend);
    desk.send(Effect::Staged);
    desk.must(Event::Failed { failure: again() });
    assert_eq!(desk.state(), PublicState::Retrying);
    // Awake it grows as old as anything.
    desk.after(desk.policy.backoff.most_age);
    desk.send(Effect::Staged);
    desk.must(Event::Failed { failure: again() });
    assert_eq!(desk.state(), PublicState::Failed);
}

/// Which events are legal where; everything else is refused with both names.
#[test]
fn every_event_is_legal_or_refused_in_every_state() {
    type Make = fn() -> Desk;
    let states: [(&str, Make, &str); 10] = [
        (
            "due",
            in_place,
            "waits intent finished postponed person set_aside",
        ),
        (
            "working",
            || one(|desk| desk.send(Effect::Public)),
            "done failed unsent lost",
        ),
        (
            "unknown",
            || one(|desk| desk.send(Effect::Public).unsure()),
            "looked look_failed look_doubted set_aside said_live said_absent",
        ),
        (
            "review",
            || one(|desk| desk.send(Effect::Public).sent().must(Event::Finished)),
            "looked look_failed set_aside said_live said_absent",
        ),
        (
            "held",
            || one(|desk| desk.must(Event::Waits(Hold::After(vec![ChannelNo(2)])))),
            "released",
        ),
        (
            "live",
            || one(Desk::live),
            "looked look_failed verified said_live",
        ),
        (
            "failed",
            || {
                one(|desk| {
                    desk.send(Effect::Public).must(Event::Failed {
                        failure: failure(Fate::Never),
                    })
                })
            },
            "looked look_failed retry said_live",
        ),
        (
            "withdrawn",
            || {
                one(|desk| {
                    desk.live()
                        .withdraw()
                        .must(Event::Finished)
                        .saw(Verdict::Absent)
                })
            },
            "",
        ),
        ("skipped", || one(Desk::withdraw), ""),
        (
            "by hand",
            || {
                one(|desk| {
                    let look_at = desk.now;
                    let todo = words();
                    desk.must(Event::Person { todo, look_at })
                })
            },
            "looked look_failed set_aside said_live said_absent",
        ),
    ];
    for (name, make, legal) in states {
        for event in every_event(&make()) {
            let what = event.name();
            let always = matches!(
                what,
                "approved" | "withdrawn" | "kept" | "clock_back" | "uncounted"
            );
            let expected = always || legal.split(' ').any(|one| one == what);
            let mut desk = make();
            assert_eq!(desk.does(event).is_ok(), expected, "{what} while {name}");
        }
    }
}

fn one(f: impl FnOnce(&mut Desk) -> &mut Desk) -> Desk {
    let mut desk = social(false);
    f(&mut desk);
    desk
}

fn every_event(desk: &Desk) -> Vec<Event> {
    let job = JobNow {
        goal: Goal::Publish,
        revision: 1,
        draft: wanted(1).draft,
        blob: wanted(1).blob,
        round: 1,
    };
    let by = || person("张");
    vec![
        Event::Approved(wanted(2)),
        withdrawn(),
        Event::Kept { why: words() },
        Event::Released,
        Event::Waits(Hold::After(vec![ChannelNo(2)])),
        Event::Intent {
            job,
            step: Step::new("send", Effect::Public).shows(),
        },
        Event::Done {
            receipt: Receipt::default(),
        },
        Event::Failed {
            failure: failure(Fate::Unsure),
        },
        Event::Unsent { why: words() },
        Event::Lost,
        Event::Verified {
            moves: Moves::Changed,
            sighting: sighting(&Progress::default(), Truth::NotAsked, verdict(3)),
            words: words(),
        },
        Event::Finished,
        Event::Postponed {
            until: desk.now,
            why: Why::OtherUnknown,
        },
        Event::Person {
            todo: words(),
            look_at: desk.now,
        },
        Event::Looked {
            sighting: sighting(&Progress::default(), Truth::CannotTell(words()), None),
        },
        Event::LookFailed {
            failure: failure(Fate::Unsure),
        },
        Event::LookDoubted,
        Event::ClockBack {
            by: chrono::TimeDelta::hours(1),
        },
        Event::Uncounted,
        Event::Retry { by: by() },
        Event::SetAside { words: words() },
        Event::SaidLive {
            by: by(),
            url: None,
        },
        Event::SaidAbsent { by: by() },
    ]
}

/// One move of the property test, drawn without knowing the state.
#[derive(Debug, Clone)]
enum Move {
    Begin(Effect, bool),
    Ends(u8),
    Looks(u8),
    Verified(u8),
    Wanted(u8),
    Person(u8),
    Waits(u8),
    Time(u32),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let effect = prop_oneof![
        Just(Effect::Read),
        Just(Effect::Idempotent),
        Just(Effect::Staged),
        Just(KEYED),
        Just(Effect::Public),
    ];
    let one = prop_oneof![
        4 => (effect, any::<bool>()).prop_map(|(effect, shows)| Move::Begin(effect, shows)),
        4 => (0_u8..8).prop_map(Move::Ends),
        4 => (0_u8..14).prop_map(Move::Looks),
        1 => (0_u8..4).prop_map(Move::Verified),
        2 => (0_u8..6).prop_map(Move::Wanted),
        2 => (0_u8..4).prop_map(Move::Person),
        2 => (0_u8..5).prop_map(Move::Waits),
        3 => (1_u32..2000).prop_map(Move::Time),
    ];
    proptest::collection::vec(one, 1..60)
}

fn event(desk: &Desk, one: &Move, number: &mut u32) -> Option<Event> {
    let progress = desk.d.progress.clone();
    Some(match one {
        Move::Begin(effect, shows) => {
            let job = desk.d.plan(&desk.policy)?;
            let (name, effect) = match job.goal {
                Goal::Withdraw => ("remove", Effect::Idempotent),
                Goal::Publish | Goal::Update => ("send", *effect),
            };
            let step = Step::new(format!("{name}/{effect:?}"), effect);
            let shows = *shows && matches!(effect, Effect::Idempotent | Effect::Public | KEYED);
            let step = if shows { step.shows() } else { step };
            Event::Intent { job, step }
        }
        Move::Ends(kind) => match kind {
            0 | 1 => Event::Done {
                receipt: Receipt {
                    progress: progress.with("fact", "1"),
                    seen: sighting(&desk.d.progress, Truth::NotAsked, verdict(*kind)).seen,
                    request_id: None,
                },
            },
            2 => Event::Lost,
            3 => Event::Failed {
                failure: failure(Fate::Never),
            },
            4 => Event::Failed {
                failure: failure(Fate::Again { not_before: None }),
            },
            5 => Event::Failed {
                failure: failure(Fate::Blocked(Reach::Goal)),
            },
            6 => Event::Failed {
                failure: failure(Fate::Blocked(Reach::Account)),
            },
            _ => Event::Failed {
                failure: failure(Fate::Unsure),
            },
        },
        Move::Looks(13) => Event::LookFailed {
            failure: failure(Fate::Again { not_before: None }),
        },
        Move::Looks(kind) => {
            let truth = match kind % 4 {
                0 => Truth::Applied,
                1 => Truth::Absent,
                2 => Truth::CannotTell(words()),
                _ => Truth::Several(vec!["1".into(), "2".into()]),
            };
            Event::Looked {
                sighting: sighting(&progress, truth, verdict(*kind)),
            }
        }
        Move::Verified(kind) => looked_again(*kind, &progress),
        Move::Wanted(0) => withdrawn(),
        Move::Wanted(1) => Event::Kept { why: words() },
        Move::Wanted(kind) => {
            if desk.d.withdrawing() {
                return None;
            }
            *number += 1;
            let on_correction = match kind {
                2 => OnCorrection::Leave,
                3 => OnCorrection::Replace,
                _ => OnCorrection::Ask,
            };
            Event::Approved(WantedRevision {
                on_correction,
                schedule: (*kind == 5).then(|| "monthly".to_owned()),
                ..wanted(*number)
            })
        }
        Move::Person(kind) => match kind {
            0 => Event::Retry { by: person("李") },
            1 => Event::SaidLive {
                by: person("张"),
                url: None,
            },
            2 => Event::SaidAbsent { by: person("张") },
            _ => Event::SetAside { words: words() },
        },
        Move::Waits(kind) => match kind {
            0 => Event::Released,
            1 => Event::Waits(Hold::After(vec![ChannelNo(2)])),
            2 => Event::Finished,
            3 => Event::Postponed {
                until: desk.now + Duration::from_mins(5),
                why: Why::OtherUnknown,
            },
            _ => Event::Person {
                todo: words(),
                look_at: desk.now + Duration::from_mins(10),
            },
        },
        Move::Time(_) => return None,
    })
}

fn looked_again(kind: u8, progress: &Progress) -> Event {
    let (moves, seen) = match kind {
        0 => (Moves::Well, 1),
        1 => (Moves::Changed, 3),
        2 => (Moves::Removed, 6),
        _ => (Moves::Duplicate, 10),
    };
    Event::Verified {
        moves,
        sighting: sighting(progress, Truth::NotAsked, verdict(seen)),
        words: words(),
    }
}

fn verdict(kind: u8) -> Option<Verdict> {
    Some(match kind {
        1 => Verdict::Live(Match::Same),
        2 => Verdict::Live(Match::Earlier),
        3 => Verdict::Live(Match::Differs),
        4 => Verdict::Reviewing,
        5 => Verdict::Refused(words()),
        6 => Verdict::Removed(RemovedBy::Platform),
        7 | 8 => Verdict::Absent,
        9 => Verdict::CannotTell(words()),
        10 => Verdict::Several(vec!["1".into(), "2".into()]),
        11 => Verdict::Notice,
        _ => return None,
    })
}

/// What no sequence of events may lead to, beside what the sweep says.
fn judge(before: &Delivery, after: &Delivery, event: &Event) -> Result<(), String> {
    let claim = |holds: bool, what: &str| holds.then_some(()).ok_or_else(|| what.to_owned());
    claim(after.repeats <= 1, "more than one automatic repeat a round")?;
    claim(after.log.len() <= KEPT, "the log grows without end")?;
    let due = matches!(after.state, State::Due { .. });
    claim(
        !(due && matches!(event, Event::Verified { .. })),
        "looking again makes something due",
    )?;
    let (State::Working { step, .. }, Event::Intent { job, .. }) = (&after.state, event) else {
        return Ok(());
    };
    let doubles = matches!(step.effect, Effect::Public | Effect::Keyed { .. });
    claim(
        !before.withdrawing() || job.goal == Goal::Withdraw,
        "a step towards publishing what is withdrawn",
    )?;
    if let Some(doubt) = before.doubt.as_ref().filter(|doubt| doubt.may_double()) {
        let same = doubt.step.name == step.name && matches!(step.effect, Effect::Keyed { .. });
        claim(!doubles || same, "a second public copy on a doubt")?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_events_loses_a_delivery_or_posts_on_a_doubt(
        moves in moves(),
        update in prop_oneof![Just(UpdateBy::InPlace), Just(UpdateBy::Replace), Just(UpdateBy::None)],
        repeat in any::<bool>(),
    ) {
        let mut desk = Desk::new(policy(update, repeat));
        let mut number = 1;
        for one in &moves {
            if let Move::Time(minutes) = one {
                desk.now += Duration::from_mins(u64::from(*minutes));
                continue;
            }
            let Some(event) = event(&desk, one, &mut number) else { continue };
            let before = desk.d.clone();
            match transition(before.clone(), event.clone(), desk.now, &desk.policy, 0.5) {
                Ok(after) => {
                    prop_assert_eq!(after.version, before.version + 1);
                    prop_assert_eq!(after.sweep(&desk.policy), Ok(()), "{} on {:#?}\nleads to {:#?}", event.name(), before, after);
                    prop_assert_eq!(judge(&before, &after, &event), Ok(()), "{:#?}", before);
                    desk.d = after;
                }
                Err(illegal) => prop_assert_eq!(illegal.event, event.name()),
            }
        }
    }
}

/// What a look at a restored delivery says, by what it rests on.
fn looked_at(evidence: Evidence) -> Desk {
    let mut desk = Desk::new(policy(UpdateBy::InPlace, true));
    desk.must(Event::Restored);
    absent_by(&mut desk, evidence);
    desk
}

fn absent_by(desk: &mut Desk, evidence: Evidence) {
    let mut sighting = sighting(&desk.d.progress, Truth::NotAsked, Some(Verdict::Absent));
    sighting.seen[0].evidence = evidence;
    desk.must(Event::Looked { sighting });
}

fn last_look(desk: &Desk) -> Outcome {
    desk.d.look_since_restored().expect("looked").outcome
}

#[test]
fn not_there_counts_for_a_restored_store_when_two_looks_agree_a_settle_time_apart() {
    let mut desk = looked_at(Evidence::ReadBack);
    assert_eq!(last_look(&desk), Outcome::CannotTell);
    assert_eq!(desk.d.next_at(), Some(desk.now + desk.policy.settle));
    desk.after(Duration::from_mins(1));
    absent_by(&mut desk, Evidence::ReadBack);
    assert_eq!(last_look(&desk), Outcome::CannotTell, "too close");
    desk.after(Duration::from_mins(2));
    absent_by(&mut desk, Evidence::ReadBack);
    assert_eq!(last_look(&desk), Outcome::Absent);
    desk.after(Duration::from_mins(9))
        .saw(Verdict::CannotTell(words()));
    assert_eq!(
        last_look(&desk),
        Outcome::CannotTell,
        "the newest look counts"
    );
}

#[test]
fn a_restored_delivery_of_which_nothing_is_known_is_looked_for_without_a_record() {
    let mut desk = Desk::new(policy(UpdateBy::InPlace, true));
    let came_in = desk.now;
    desk.after(DAY).must(Event::Restored);
    assert_eq!(desk.d.unrecorded_since(), Some(came_in));
    let mut desk = Desk::new(policy(UpdateBy::InPlace, true));
    desk.send(Effect::Public).unsure().must(Event::Restored);
    assert_eq!(desk.d.unrecorded_since(), None, "its step is looked for");
}

#[test]
fn a_restored_delivery_is_held_until_a_person_frees_it_whatever_the_looks_say() {
    for (evidence, outcome) in [
        (Evidence::ReadBack, Outcome::Absent),
        // Not from a store that does not know what to look for.
        (Evidence::Status, Outcome::CannotTell),
    ] {
        let mut desk = looked_at(evidence);
        desk.after(desk.policy.settle);
        absent_by(&mut desk, evidence);
        assert!(desk.d.is_restored());
        assert_eq!(last_look(&desk), outcome);
        let by = "zhang".to_owned();
        desk.must(Event::Freed { by });
        assert!(matches!(desk.d.state, State::Due { .. }));
    }
}

#[test]
fn what_was_unknown_when_the_store_was_restored_is_looked_for_again_once_freed() {
    let mut desk = Desk::new(policy(UpdateBy::InPlace, true));
    desk.send(Effect::Public).unsure().must(Event::Restored);
    assert!(desk.d.is_restored());
    let by = "zhang".to_owned();
    desk.must(Event::Freed { by });
    assert!(matches!(desk.d.state, State::Unknown(_)));
}

#[test]
fn a_schedule_still_releases_what_is_freed_and_a_new_approval_frees_nothing() {
    let mut desk = Desk::new(policy(UpdateBy::InPlace, true));
    desk.must(Event::Restored);
    let scheduled = WantedRevision {
        schedule: Some("monthly".into()),
        ..wanted(2)
    };
    desk.must(Event::Approved(scheduled));
    assert!(desk.d.is_restored(), "signing is no release");
    let by = "zhang".to_owned();
    desk.must(Event::Freed { by });
    let State::Held { why, .. } = &desk.d.state else {
        panic!("{:?}", desk.d.state);
    };
    assert_eq!(*why, Hold::Schedule("monthly".into()));
}

#[test]
fn what_rests_or_waits_for_a_person_is_not_held_for_a_restore() {
    let mut desk = Desk::new(policy(UpdateBy::InPlace, true));
    desk.send(Effect::Idempotent).sent();
    let receipt = Verdict::Live(Match::Same);
    desk.must(Event::Finished).saw(receipt);
    assert!(matches!(desk.d.state, State::Live));
    assert!(desk.does(Event::Restored).is_err());
    let by = "zhang".to_owned();
    assert!(desk.does(Event::Freed { by }).is_err(), "nothing is held");
}

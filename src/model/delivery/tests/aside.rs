//! What was set aside because it ended the process, and how a person lets it go on.

use super::*;

fn aside(desk: &mut Desk) -> &mut Desk {
    desk.must(Event::SetAside { words: words() });
    assert_eq!((desk.state(), desk.d.next_at()), (PublicState::Held, None));
    desk
}

#[test]
fn a_retry_of_what_was_sent_and_set_aside_is_no_new_round() {
    let mut desk = social(false);
    desk.send(Effect::Public).sent().must(Event::Finished);
    let key = desk.key();
    aside(&mut desk).must(Event::Retry { by: person("李") });
    assert_eq!(desk.next_key(), key, "nothing is known to have failed");
}

#[test]
fn nobody_can_say_that_what_was_set_aside_just_after_it_was_sent_is_not_there() {
    let mut desk = social(false);
    desk.send(Effect::Public).sent().must(Event::Finished);
    aside(&mut desk);
    let settled = desk.now + desk.policy.settle;
    assert_eq!(desk.d.may_arrive_until(&desk.policy), Some(settled));
}

#[test]
fn what_was_unknown_when_it_was_set_aside_is_looked_for_first() {
    for effect in [KEYED, Effect::Public] {
        let mut desk = social(false);
        desk.send(effect).unsure();
        aside(&mut desk).must(Event::Retry { by: person("李") });
        assert_eq!(desk.state(), PublicState::Unconfirmed);
    }
}

#[test]
fn what_is_held_for_a_restore_is_still_held_for_it_when_it_is_set_aside() {
    let mut desk = social(false);
    desk.must(Event::Restored);
    absent_by(&mut desk, Evidence::Status);
    aside(&mut desk);
    assert!(
        desk.d.is_restored(),
        "it may have been sent since the backup"
    );
    assert_eq!(last_look(&desk), Outcome::CannotTell);
    desk.must(Event::Freed { by: person("李") });
    assert!(matches!(desk.d.state, State::Due { .. }));
}

#[test]
fn two_copies_of_which_this_store_knows_nothing_are_never_added_to() {
    for update in [UpdateBy::InPlace, UpdateBy::None] {
        let mut desk = Desk::new(policy(update, true));
        desk.must(Event::Restored);
        desk.saw(Verdict::Several(vec!["1".into(), "2".into()]));
        assert_eq!(desk.state(), PublicState::Held);
        desk.must(Event::Retry { by: person("李") });
        assert!(
            !matches!(desk.d.state, State::Due { .. }),
            "a send would make a third: {:?}",
            desk.d.state
        );
        desk.saw(Verdict::Live(Match::Same));
        assert_eq!(desk.state(), PublicState::Published);
    }
}

#[test]
fn a_kept_copy_that_was_set_aside_is_looked_at_once_a_person_lets_it_go_on() {
    let mut desk = in_place();
    desk.live().must(Event::Approved(wanted(2)));
    desk.send(Effect::Idempotent).unsure();
    desk.must(Event::Kept { why: words() });
    aside(&mut desk).must(Event::Retry { by: person("李") });
    assert_eq!(desk.state(), PublicState::InReview, "{:?}", desk.d.state);
    desk.saw(Verdict::Live(Match::Same));
    assert_eq!(desk.state(), PublicState::Published);
}

#[test]
fn a_correction_adds_no_third_copy_to_two_of_which_this_store_knows_nothing() {
    for update in [UpdateBy::InPlace, UpdateBy::None] {
        let mut desk = Desk::new(policy(update, true));
        desk.must(Event::Restored);
        desk.saw(Verdict::Several(vec!["1".into(), "2".into()]));
        desk.must(Event::Approved(wanted(2)));
        assert!(
            !matches!(desk.d.state, State::Due { .. }),
            "a send would make a third: {:?}",
            desk.d.state
        );
    }
}

#[test]
fn which_of_two_older_texts_stands_is_for_a_person_to_say() {
    let mut desk = Desk::new(policy(UpdateBy::InPlace, true));
    desk.live();
    for number in [2, 3] {
        desk.must(Event::Approved(wanted(number)));
        let due = desk.d.next_at().expect("due");
        desk.now = desk.now.max(due);
        desk.send(Effect::Idempotent).unsure();
    }
    desk.must(Event::Kept { why: words() });
    while desk.state() != PublicState::Held {
        assert_ne!(desk.state(), PublicState::Published, "as which revision?");
        let at = desk.d.next_at().expect("a look");
        desk.now = desk.now.max(at);
        desk.saw(Verdict::Live(Match::Earlier));
    }
    assert!(desk.d.next_at().is_none(), "a person owns it");
}

#[test]
fn a_withdrawal_after_a_restore_looks_though_only_a_staged_step_is_in_doubt() {
    let mut desk = Desk::new(policy(UpdateBy::None, false));
    desk.begin(Step::new("stage", Effect::Staged)).unsure();
    desk.must(Event::Restored).withdraw();
    assert!(
        !matches!(desk.d.state, State::Due { .. } | State::Skipped { .. }),
        "it may have been published since the backup: {:?}",
        desk.d.state
    );
    assert_eq!(desk.d.next_at(), Some(desk.now), "and is looked for");
}

#[test]
fn what_no_look_and_no_person_sees_any_more_comes_to_rest() {
    let mut desk = Desk::new(policy(UpdateBy::InPlace, true));
    desk.live();
    desk.must(Event::Approved(wanted(2)));
    desk.send(Effect::Idempotent).unsure();
    desk.must(Event::Kept { why: words() });
    while desk.state() != PublicState::Held {
        let at = desk.d.next_at().expect("a look");
        desk.now = desk.now.max(at);
        desk.saw(Verdict::Absent);
    }
    desk.must(Event::SaidAbsent { by: person("王") });
    assert!(!desk.d.shown, "both agree");
    // What the steps may have left behind is cleared away, and nobody is asked again.
    assert_eq!(desk.state(), PublicState::Pending);
    assert_eq!(
        desk.d.plan(&desk.policy).map(|job| job.goal),
        Some(Goal::Withdraw)
    );
}

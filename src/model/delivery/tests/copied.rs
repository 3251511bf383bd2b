//! What had failed when the store was copied, of which another go may have been ordered since.

use super::*;

fn told(desk: &mut Desk, fate: Fate) {
    let failure = failure(fate);
    desk.must(Event::Failed { failure });
}

fn refused() -> Desk {
    let mut desk = social(false);
    told(desk.send(Effect::Public), Fate::Never);
    assert_eq!(desk.state(), PublicState::Failed);
    desk
}

fn blocked() -> Desk {
    let mut desk = social(false);
    told(desk.send(Effect::Public), Fate::Blocked(Reach::Goal));
    assert_eq!(desk.state(), PublicState::Held);
    desk
}

fn retry(desk: &mut Desk) -> &mut Desk {
    desk.must(Event::Retry { by: person("李") })
}

fn sends(desk: &Desk) -> bool {
    matches!(desk.d.state, State::Due { .. })
}

#[test]
fn another_go_of_what_had_failed_before_the_copy_is_looked_for_and_released_first() {
    for mut desk in [refused(), blocked()] {
        let key = desk.key();
        desk.must(Event::Restored);
        assert_eq!(desk.state(), PublicState::Failed, "nobody ordered anything");
        assert_eq!(desk.d.next_at(), None, "and no look is spent on it");
        let reason = desk.d.reason(|_| String::new(), chrono_tz::Asia::Shanghai);
        let reason = reason.expect("a reason");
        assert!(reason.en.contains(&words().en), "{}", reason.en);
        retry(&mut desk);
        assert!(desk.d.is_restored() && !sends(&desk));
        assert_eq!(desk.d.next_at(), Some(desk.now));
        assert!(
            desk.d.unrecorded_since().is_some(),
            "what was sent is unknown"
        );
        absent_by(&mut desk, Evidence::ReadBack);
        desk.after(desk.policy.settle);
        absent_by(&mut desk, Evidence::ReadBack);
        assert!(!sends(&desk) && last_look(&desk) == Outcome::Absent);
        desk.must(Event::Freed { by: person("王") });
        assert!(sends(&desk));
        assert_ne!(desk.next_key(), key, "a known failure starts a new round");
        assert_eq!(desk.d.tries, 0);
    }
}

#[test]
fn what_was_sent_after_the_copy_is_found_by_the_retry_and_comes_to_rest() {
    let mut desk = refused();
    retry(desk.must(Event::Restored)).saw(Verdict::Live(Match::Same));
    assert_eq!(desk.state(), PublicState::Published);
}

#[test]
fn a_correction_or_a_withdrawal_of_what_had_failed_before_the_copy_looks_first_too() {
    for event in [
        Event::Approved(wanted(2)),
        withdrawn(),
        Event::Kept { why: words() },
    ] {
        let mut desk = refused();
        desk.must(Event::Restored).must(event);
        assert!(desk.d.is_restored(), "{:?}", desk.d.state);
        assert_eq!(desk.d.next_at(), Some(desk.now));
        assert_eq!(desk.d.sent(), Some(1), "what may be out is what had failed");
    }
}

#[test]
fn what_had_failed_is_not_let_go_with_what_was_held() {
    let mut desk = refused();
    desk.must(Event::Restored);
    assert!(desk.does(Event::Freed { by: person("李") }).is_err());
    assert!(!desk.d.is_restored());
}

#[test]
fn a_persons_word_that_it_is_not_there_makes_it_the_known_failure_that_it_was() {
    let mut desk = refused();
    let failed = desk.d.state.clone();
    desk.must(Event::Restored);
    desk.must(Event::SaidAbsent { by: person("王") });
    assert_eq!(desk.d.state, failed);
    assert_eq!(
        desk.d.said_absent,
        Some(person("王")),
        "another one orders it"
    );
    retry(&mut desk);
    assert!(sends(&desk));
}

#[test]
fn what_was_set_aside_before_the_copy_is_neither_looked_at_nor_sent_by_itself() {
    let mut desk = social(false);
    desk.must(Event::SetAside { words: words() });
    desk.must(Event::Restored);
    assert!(desk.d.is_restored());
    assert_eq!(desk.d.next_at(), None);
}

#[test]
fn a_withdrawal_that_had_failed_before_the_copy_may_be_ordered_again_at_once() {
    let mut desk = in_place();
    told(desk.live().withdraw().send(Effect::Idempotent), Fate::Never);
    assert!(
        desk.does(Event::Restored).is_err(),
        "a removal doubles nothing"
    );
    retry(&mut desk);
    assert!(sends(&desk));
}

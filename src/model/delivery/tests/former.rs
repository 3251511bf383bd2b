//! Posts that the record names no more, and by which a survey knows them all the same.

use super::*;
use crate::model::survey::names;

impl Desk {
    /// Sent, and read back under this id.
    fn live_as(&mut self, id: &str) -> &mut Self {
        self.send(Effect::Public).sent();
        let mut sighting = sighting(
            &self.d.progress,
            Truth::NotAsked,
            Some(Verdict::Live(Match::Same)),
        );
        sighting.seen[0].remote_id = Some(id.to_owned());
        self.must(Event::Finished).must(Event::Looked { sighting })
    }

    /// A new text takes the place of the post, which is taken down first.
    fn replaced(&mut self, revision: u32) -> &mut Self {
        let second = WantedRevision {
            on_correction: OnCorrection::Replace,
            ..wanted(revision)
        };
        self.must(Event::Approved(second));
        self.begin(Step::new("remove", Effect::Idempotent)).sent();
        self.must(Event::Finished).saw(Verdict::Absent)
    }

    /// Of posts that came up at the beginning.
    fn known(&self) -> Vec<&str> {
        let began = Some(Manual::default().now());
        let ids = ["a", "b", "c", "d", "e", "f", "strange"].into_iter();
        let known = |id: &&str| names(&self.d, id, None) || self.d.once_named(id, began);
        ids.filter(known).collect()
    }
}

#[test]
fn a_post_that_was_replaced_twice_is_still_known_as_ours() {
    let mut desk = social(false);
    desk.live_as("a").replaced(2).live_as("b");
    assert_eq!(desk.known(), ["a", "b"]);
    desk.replaced(3).live_as("c");
    assert_eq!(desk.known(), ["a", "b", "c"]);
    assert_eq!(desk.state(), PublicState::Published);
}

#[test]
fn what_a_person_denies_and_what_was_one_of_two_is_still_known_as_ours() {
    let mut desk = social(false);
    desk.send(Effect::Public).unsure();
    desk.after(Duration::from_mins(3));
    desk.told(Truth::Several(vec!["a".into(), "b".into()]));
    assert_eq!(desk.known(), ["a", "b"]);
    desk.after(DAY).must(Event::SaidAbsent { by: person("张") });
    assert_eq!(desk.known(), ["a", "b"]);
    assert!(desk.d.twins().is_empty());
}

#[test]
fn what_was_taken_down_for_good_leaves_nothing_to_take_down_again() {
    let mut desk = social(false);
    desk.live_as("a").withdraw();
    desk.begin(Step::new("remove", Effect::Idempotent)).sent();
    desk.must(Event::Finished).saw(Verdict::Absent);
    assert_eq!(desk.state(), PublicState::Withdrawn);
    assert!(!desk.d.has_remote(), "{:?}", desk.d.progress);
    assert_eq!(desk.known(), ["a"]);
}

#[test]
fn only_the_last_few_are_kept_and_one_that_came_back_is_no_former_one() {
    let mut desk = social(false);
    for (revision, id) in (1..).zip(["a", "b", "c", "d", "e", "f"]) {
        if revision > 1 {
            desk.replaced(revision);
        }
        desk.live_as(id);
    }
    assert_eq!(desk.known(), ["b", "c", "d", "e", "f"]);
    desk.replaced(7).live_as("e");
    assert_eq!(desk.known(), ["c", "d", "e", "f"]);
    desk.withdraw();
    assert_eq!(desk.known(), ["c", "d", "e", "f"]);
}

#[test]
fn what_comes_up_under_a_former_id_after_it_was_gone_is_not_explained_by_it() {
    let mut desk = social(false);
    desk.live_as("a").after(DAY).replaced(2).live_as("b");
    let gone = desk.now;
    assert!(desk.d.once_named("a", Some(gone)));
    assert!(!desk.d.once_named("a", Some(gone + DAY)));
    assert!(!desk.d.once_named("a", None), "nothing says when");
    assert!(!desk.d.once_named("b", Some(gone)), "it is named still");
}

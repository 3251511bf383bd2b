//! What looking again finds, verdict by verdict, and every way out of it.

use super::*;
use crate::model::finding::{self, Kind as Finds, Look, News, Watch};

const NIGHT: Duration = Duration::from_hours(24);

/// A published copy with what is on record of it, as the store keeps the two.
struct Guard {
    desk: Desk,
    watch: Option<Watch>,
}

impl Guard {
    fn over(mut desk: Desk) -> Self {
        desk.live();
        Self { desk, watch: None }
    }

    fn look(&mut self, look: &Look) -> Option<News> {
        let Desk { policy, now, d } = &self.desk;
        if !finding::is_watched(d, self.watch.as_ref()) {
            return None;
        }
        let judged = finding::judge(d, self.watch.as_ref(), look, *now, policy);
        if let (Some(moves), Look::Saw(sighting)) = (judged.moves, look) {
            let words = match &judged.news {
                Some(News::New(finding)) => finding.words.clone(),
                _ => words(),
            };
            self.desk.must(Event::Verified {
                moves,
                sighting: (**sighting).clone(),
                words,
            });
        }
        self.watch = judged.watch;
        judged.news
    }

    fn saw(&mut self, verdict: Verdict) -> Option<Finds> {
        let sighting = sighting(&self.desk.d.progress, Truth::NotAsked, Some(verdict));
        self.look(&Look::Saw(Box::new(sighting))).map(kind)
    }

    fn fails(&mut self) -> Option<Finds> {
        let failure = failure(Fate::Again { not_before: None });
        self.look(&Look::Failed(Box::new(failure))).map(kind)
    }

    fn nights(&mut self, count: u32) -> &mut Self {
        self.desk.after(NIGHT * count);
        self
    }

    fn does(&mut self, event: Event) -> &mut Self {
        self.desk.must(event);
        self.watch = self.watch.take().and_then(|one| one.beside(&self.desk.d));
        self
    }

    fn stands(&self) -> Option<Finds> {
        let finding = self.watch.as_ref().and_then(Watch::finding);
        finding.map(|finding| finding.kind)
    }

    fn state(&self) -> PublicState {
        self.desk.state()
    }

    fn says(&mut self, url: Option<&str>) -> &mut Self {
        let by = person("王");
        let url = url.map(str::to_owned);
        self.does(Event::SaidLive { by, url })
    }
}

fn kind(news: News) -> Finds {
    match news {
        News::New(finding) => finding.kind,
        News::Cleared(kind) => kind,
    }
}

fn site() -> Guard {
    Guard::over(in_place())
}

fn weibo() -> Guard {
    Guard::over(social(false))
}

fn two() -> Verdict {
    Verdict::Several(vec!["a".into(), "b".into()])
}

#[test]
fn every_verdict_on_what_rests_as_published_has_its_effect_and_none_sends() {
    use PublicState::{Failed, Held, Published};
    let table: Vec<(Verdict, Option<Finds>, PublicState)> = vec![
        (Verdict::Live(Match::Same), None, Published),
        (Verdict::Live(Match::Unread), None, Published),
        (Verdict::Live(Match::Earlier), Some(Finds::Changed), Held),
        (Verdict::Live(Match::Differs), Some(Finds::Changed), Held),
        (Verdict::Refused(words()), Some(Finds::Removed), Failed),
        (
            Verdict::Removed(RemovedBy::Owner),
            Some(Finds::Removed),
            Failed,
        ),
        (
            Verdict::Removed(RemovedBy::Platform),
            Some(Finds::Removed),
            Failed,
        ),
        (Verdict::Removed(RemovedBy::Unknown), None, Published),
        (Verdict::Absent, None, Published),
        (Verdict::Notice, None, Published),
        (Verdict::Reviewing, None, Published),
        (two(), Some(Finds::Duplicate), Held),
        (Verdict::CannotTell(words()), None, Published),
    ];
    for (verdict, finds, state) in table {
        for mut guard in [site(), weibo()] {
            guard.nights(1);
            assert_eq!(guard.saw(verdict.clone()), finds, "{verdict:?}");
            assert_eq!(guard.state(), state, "{verdict:?}");
            assert_eq!(
                guard.desk.d.next_at(),
                None,
                "{verdict:?} makes nothing due"
            );
            assert_eq!(guard.stands(), finds);
        }
    }
}

#[test]
fn a_healthy_look_leaves_no_record_and_moves_nothing() {
    let mut guard = site();
    let version = guard.desk.d.version;
    assert_eq!(guard.nights(1).saw(Verdict::Live(Match::Same)), None);
    assert_eq!((guard.desk.d.version, guard.watch), (version, None));
}

#[test]
fn not_there_is_believed_when_a_second_look_agrees_a_settle_time_later_and_not_before() {
    for verdict in [
        Verdict::Absent,
        Verdict::Removed(RemovedBy::Unknown),
        Verdict::Notice,
    ] {
        let mut guard = site();
        guard.nights(1);
        assert_eq!(guard.saw(verdict.clone()), None);
        guard.desk.after(Duration::from_secs(179));
        assert_eq!(
            guard.saw(verdict.clone()),
            None,
            "bytes on their way are no answer"
        );
        guard.desk.after(Duration::from_secs(1));
        assert_eq!(guard.saw(verdict.clone()), Some(Finds::Removed));
        assert_eq!(guard.state(), PublicState::Failed);
        assert_eq!(guard.nights(1).saw(verdict), None, "the alarm comes once");
    }
    let mut guard = site();
    guard.saw(Verdict::Absent);
    guard.nights(1).saw(Verdict::Live(Match::Same));
    assert_eq!(
        guard.nights(1).saw(Verdict::Absent),
        None,
        "a look between them ends it"
    );
}

#[test]
fn three_failed_looks_an_hour_apart_are_a_finding_and_the_state_stays_published() {
    let mut guard = site();
    assert_eq!(guard.nights(1).fails(), None);
    assert_eq!(guard.fails(), None, "asking again at once is the same blip");
    assert_eq!(guard.nights(1).fails(), None);
    assert_eq!(guard.nights(1).fails(), Some(Finds::Unreachable));
    assert_eq!(guard.state(), PublicState::Published);
    assert_eq!(guard.nights(1).fails(), None, "the alarm comes once");
    let back = guard.nights(1).saw(Verdict::Live(Match::Same));
    assert_eq!((back, guard.stands()), (Some(Finds::Unreachable), None));
    assert_eq!(
        guard.desk.d.copy.as_ref().map(|copy| copy.seen_at),
        Some(guard.desk.now)
    );
    for _ in 0..2 {
        assert_eq!(guard.nights(1).fails(), None, "it counts anew");
    }
    assert_eq!(
        guard.nights(1).fails(),
        Some(Finds::Unreachable),
        "armed again"
    );
}

#[test]
fn what_only_a_person_ever_saw_is_not_checkable_and_no_alarm() {
    let mut guard = weibo();
    guard.says(Some("https://weibo.com/1/a"));
    for _ in 0..5 {
        guard.nights(1).saw(Verdict::CannotTell(words()));
    }
    assert_eq!(guard.stands(), Some(Finds::Uncheckable));
    assert!(!Finds::Uncheckable.is_alarm());
    assert_eq!(guard.state(), PublicState::Published);
}

#[test]
fn a_blocked_or_throttled_account_says_nothing_of_a_copy() {
    let mut guard = weibo();
    for _ in 0..5 {
        let failure = failure(Fate::Blocked(Reach::Account));
        guard.nights(1).look(&Look::Failed(Box::new(failure)));
    }
    assert_eq!(guard.watch, None);
}

#[test]
fn an_edit_that_a_person_accepts_is_no_alarm_again_until_it_is_undone() {
    let mut guard = site();
    assert_eq!(
        guard.saw(Verdict::Live(Match::Differs)),
        Some(Finds::Changed)
    );
    guard.says(None);
    assert_eq!(guard.state(), PublicState::Published);
    assert_eq!(guard.nights(1).saw(Verdict::Live(Match::Differs)), None);
    assert!(guard.watch.as_ref().and_then(Watch::accepted).is_some());
    guard.nights(1).saw(Verdict::Live(Match::Same));
    assert_eq!(guard.watch, None);
    let again = guard.nights(1).saw(Verdict::Live(Match::Differs));
    assert_eq!(again, Some(Finds::Changed), "armed again");
}

#[test]
fn a_person_puts_a_changed_page_right_by_an_update_and_never_by_a_second_article() {
    let mut guard = site();
    guard.saw(Verdict::Live(Match::Differs));
    let facts = guard.desk.d.progress.clone();
    guard.does(Event::Retry { by: person("李") });
    let plan = guard.desk.d.plan(&guard.desk.policy).expect("due");
    assert_eq!((plan.goal, plan.round), (Goal::Update, 2));
    assert_eq!(
        guard.desk.d.progress, facts,
        "the article is known by its id"
    );
    assert_eq!(guard.watch, None, "it is in a person's hands");
}

#[test]
fn where_nothing_can_be_put_right_in_place_a_retry_looks_and_sends_nothing_new() {
    let mut guard = weibo();
    guard.saw(Verdict::Live(Match::Differs));
    guard.does(Event::Retry { by: person("李") });
    let plan = guard.desk.d.plan(&guard.desk.policy).expect("due");
    assert_eq!(plan.goal, Goal::Publish);
    assert!(
        guard.desk.d.progress.has("sent"),
        "what is out is known to be out"
    );
}

#[test]
fn a_person_publishes_anew_what_was_removed_from_nothing_in_a_new_round() {
    for mut guard in [site(), weibo()] {
        guard.saw(Verdict::Removed(RemovedBy::Platform));
        let key = guard.desk.key();
        guard.does(Event::Retry { by: person("李") });
        assert!(guard.desk.d.progress.is_empty() && !guard.desk.d.shown);
        let plan = guard.desk.d.plan(&guard.desk.policy).expect("due");
        assert_eq!(plan.goal, Goal::Publish);
        assert_ne!(guard.desk.d.key(&plan), key);
        assert_eq!(guard.watch, None);
    }
}

#[test]
fn a_person_leaves_it_gone_and_it_rests_as_withdrawn_here_alone() {
    let mut guard = weibo();
    guard.saw(Verdict::Removed(RemovedBy::Owner));
    guard.does(Event::SaidAbsent { by: person("王") });
    assert_eq!(guard.state(), PublicState::Withdrawn);
    assert_eq!(guard.watch, None);
    guard.does(Event::Approved(wanted(2)));
    assert_eq!(
        guard.state(),
        PublicState::Pending,
        "a new revision is signed for it again"
    );
}

#[test]
fn one_that_was_never_seen_live_cannot_be_left_gone_by_that_word() {
    let mut desk = social(false);
    desk.send(Effect::Public).unsure().absent();
    assert_eq!(desk.state(), PublicState::Failed);
    assert!(desk.does(Event::SaidAbsent { by: person("王") }).is_err());
}

#[test]
fn what_comes_back_by_itself_is_published_again_with_nothing_sent() {
    let mut guard = site();
    guard.saw(Verdict::Removed(RemovedBy::Platform));
    let back = guard.nights(1).saw(Verdict::Live(Match::Same));
    assert_eq!(
        (back, guard.state()),
        (Some(Finds::Removed), PublicState::Published)
    );
    assert_eq!(guard.desk.d.round, 1);
}

#[test]
fn reading_one_of_two_copies_does_not_make_the_other_one_go() {
    let mut guard = weibo();
    guard.saw(two());
    for verdict in [
        Verdict::Live(Match::Same),
        Verdict::Removed(RemovedBy::Owner),
    ] {
        assert_eq!(guard.nights(1).saw(verdict), None);
        assert_eq!(guard.state(), PublicState::Held);
    }
    guard.says(None);
    assert_eq!(guard.nights(1).saw(two()), None, "a person let both stand");
    let three = Verdict::Several(["a", "b", "c"].map(str::to_owned).to_vec());
    assert_eq!(guard.nights(1).saw(three), Some(Finds::Duplicate));
}

#[test]
fn a_withdrawal_of_two_copies_takes_down_what_it_knows_and_asks_for_the_other() {
    let mut guard = weibo();
    guard.saw(two());
    guard.does(withdrawn());
    let desk = &mut guard.desk;
    desk.begin(Step::new("remove", Effect::Idempotent).shows());
    desk.sent();
    desk.must(Event::Finished)
        .saw(Verdict::Removed(RemovedBy::Owner));
    let State::Held {
        why: Hold::Differs(why),
        ..
    } = &desk.d.state
    else {
        panic!("{:?}", desk.d.state);
    };
    assert!(why.zh.contains("a b"), "{}", why.zh);
    desk.must(Event::SaidAbsent { by: person("王") });
    assert_eq!(desk.state(), PublicState::Withdrawn);
}

#[test]
fn withdrawing_what_was_found_changed_or_gone_goes_its_usual_way() {
    for verdict in [
        Verdict::Live(Match::Differs),
        Verdict::Removed(RemovedBy::Platform),
    ] {
        let mut guard = weibo();
        guard.saw(verdict);
        guard.does(withdrawn());
        assert_eq!(guard.watch, None);
        let plan = guard.desk.d.plan(&guard.desk.policy).expect("due");
        assert_eq!(plan.goal, Goal::Withdraw);
    }
}

#[test]
fn an_old_copy_that_was_to_stay_may_be_an_earlier_one_and_is_missed_when_it_is_gone() {
    let mut guard = weibo();
    let leave = WantedRevision {
        on_correction: OnCorrection::Leave,
        ..wanted(2)
    };
    guard.does(Event::Approved(leave));
    guard.desk.saw(Verdict::Live(Match::Same));
    assert_eq!(guard.state(), PublicState::Published);
    assert_eq!(guard.nights(1).saw(Verdict::Live(Match::Same)), None);
    assert_eq!(
        guard.nights(1).saw(Verdict::Removed(RemovedBy::Owner)),
        Some(Finds::Removed)
    );
    assert_eq!(
        (guard.state(), guard.stands()),
        (PublicState::Failed, Some(Finds::Removed))
    );
}

#[test]
fn while_anything_is_under_way_no_look_of_this_kind_is_taken() {
    let mut guard = site();
    guard.does(Event::Approved(wanted(2)));
    let sighting = sighting(&guard.desk.d.progress, Truth::NotAsked, Some(two()));
    let late = Event::Verified {
        moves: Moves::Duplicate,
        sighting,
        words: words(),
    };
    assert!(guard.desk.does(late).is_err(), "a correction wins");
}

#[test]
fn an_older_copy_that_stays_is_not_taken_for_the_newer_one_by_a_later_look() {
    for seen in [Match::Earlier, Match::Unread] {
        let mut guard = site();
        guard.does(Event::Approved(wanted(2)));
        guard.desk.send(Effect::Idempotent).unsure();
        guard.does(Event::Kept { why: words() });
        let settle = guard.desk.policy.settle;
        guard.desk.after(settle).saw(Verdict::Live(Match::Earlier));
        let shows = |guard: &Guard| guard.desk.d.copy.as_ref().map(|copy| copy.revision);
        assert_eq!(
            (guard.state(), shows(&guard)),
            (PublicState::Published, Some(1))
        );
        guard.nights(1).fails();
        guard.nights(1).saw(Verdict::Live(seen));
        assert_eq!(shows(&guard), Some(1), "{seen:?}");
        assert_eq!(guard.nights(1).saw(Verdict::Live(Match::Earlier)), None);
    }
}

/// Two corrections of unknown outcome, then the page shall stay as it is: held for a person.
fn which_stands() -> Guard {
    let mut guard = site();
    for number in [2, 3] {
        guard.does(Event::Approved(wanted(number)));
        let due = guard.desk.d.next_at().expect("due");
        guard.desk.now = guard.desk.now.max(due);
        guard.desk.send(Effect::Idempotent).unsure();
    }
    guard.does(Event::Kept { why: words() });
    let settle = guard.desk.policy.settle;
    guard.desk.after(settle).saw(Verdict::Live(Match::Earlier));
    assert_eq!(guard.state(), PublicState::Held);
    let finding = finding::strayed(&guard.desk.d).expect("held for what readers see");
    let (id, standing) = (guard.desk.d.id, finding::Standing::Found(finding));
    guard.watch = Some(Watch { id, standing });
    guard
}

#[test]
fn looking_again_does_not_say_which_of_two_older_texts_stands() {
    let mut guard = which_stands();
    assert_eq!(guard.nights(1).saw(Verdict::Live(Match::Earlier)), None);
    assert_eq!(guard.state(), PublicState::Held);
    guard.nights(1).saw(Verdict::Live(Match::Same));
    let shows = guard.desk.d.copy.as_ref().map(|copy| copy.revision);
    assert_eq!((guard.state(), shows), (PublicState::Published, Some(3)));
}

#[test]
fn a_person_who_accepts_an_older_text_does_not_make_it_the_newest() {
    let mut guard = which_stands();
    guard.says(None);
    let shows = guard.desk.d.copy.as_ref().map(|copy| copy.revision);
    assert_eq!((guard.state(), shows), (PublicState::Published, Some(1)));
    assert_eq!(guard.nights(1).saw(Verdict::Live(Match::Earlier)), None);
    assert_eq!(guard.state(), PublicState::Published);
}

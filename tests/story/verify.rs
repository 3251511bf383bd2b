//! Looking again at what was published: an editor changes or deletes it (fault 84), a platform applies one
//! call twice (fault 51), a channel is out of reach. An alarm once, a person decides, and nothing is ever
//! sent again by itself.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use lubu::config::Verify;
use lubu::engine::Which;
use lubu::engine::suspects::{MOST, QUIET, Work};
use lubu::ids::ItemId;
use lubu::model::delivery::{Delivery, Event, PublicState};
use lubu::model::finding::{Kind, Standing, Suspicion, Watch};
use lubu::model::patrol::Patrol;
use lubu::store::act::Actor;
use lubu::store::{Act, Answer};
use lubu_channels::{
    Clock as _, Cost, Effect, Match, Quota, RemovedBy, Timestamp, Verdict, Window,
};
use tokio_util::sync::CancellationToken;

use crate::house::{House, Wired};
use crate::scripted::{Does, Scripted, World};

const SETTLE: Duration = Duration::from_mins(3);
const DAY: Duration = Duration::from_hours(24);

/// Every night at half past two in Beijing, without a wait between looks.
fn orders() -> Verify {
    Verify {
        cron: Some(lubu::config::cron("30 2 * * *").expect("a time")),
        expression: "30 2 * * *".into(),
        zone: chrono_tz::Asia::Shanghai,
        gap: Duration::ZERO,
        within: None,
        share: 30,
        first_after: Duration::from_mins(10),
    }
}

struct Story {
    house: House,
    world: Arc<Mutex<World>>,
}

impl Story {
    async fn new(effect: Effect) -> Self {
        let (channel, world) = Scripted::new(effect, |_| {});
        let house = House::new(vec![Wired::new("portal", channel)]).await;
        Self { house, world }
    }

    async fn publish(&mut self, title: &str) -> ItemId {
        let (item, revision) = self.house.submit(title).await;
        self.house.approve(&revision).await.expect("signed");
        self.house
            .until(item, "portal", PublicState::Published)
            .await;
        item
    }

    fn world<T>(&self, f: impl FnOnce(&mut World) -> T) -> T {
        f(&mut self.world.lock().expect("unpoisoned"))
    }

    fn says(&self, verdict: Option<Verdict>) {
        self.world(|world| world.said = verdict);
    }

    fn sends(&self) -> Vec<String> {
        self.world(|world| world.calls.clone())
    }

    async fn watch(&self, item: ItemId) -> Option<Watch> {
        let id = self.house.id(item, "portal");
        self.house.store.watch(id).await.expect("read")
    }

    async fn stands(&self, item: ItemId) -> Option<Kind> {
        let watch = self.watch(item).await;
        watch.as_ref().and_then(Watch::finding).map(|one| one.kind)
    }

    /// A pass that a person ordered. Where it owes a second look, its time comes.
    async fn pass(&self) -> Patrol {
        let orders = orders();
        let number = self.house.no("portal");
        let told = |_: &_| {};
        let pass = self.house.engine.patrol(number, Which::All, &orders, &told);
        let second = async {
            while !self.owes().await {
                tokio::task::yield_now().await;
            }
            self.house.time.advance(SETTLE);
            std::future::pending::<()>().await;
        };
        let done = tokio::time::timeout(Duration::from_secs(20), async {
            tokio::select! {
                done = pass => done,
                () = second => unreachable!(),
            }
        });
        let done = done.await.expect("the pass ends").expect("read");
        done.expect("there is such a channel")
    }

    async fn owes(&self) -> bool {
        let watches = self.house.store.watches(None, 10).await.expect("read");
        watches.iter().any(|watch| {
            let Standing::Suspect { of, last, .. } = &watch.standing else {
                return false;
            };
            *of == Suspicion::Gone && *last == self.house.time.now()
        })
    }

    async fn decides(&self, item: ItemId, event: Event) {
        let act = Act::Decide {
            actor: Actor::new("王", "cli"),
            id: self.house.id(item, "portal"),
            event: Box::new(event),
        };
        if let Answer::Settled(delivery, _) = self.house.store.act(act).await.expect("said") {
            self.house.engine.hub().wake(&[*delivery]);
        }
    }

    async fn delivery(&self, item: ItemId) -> Delivery {
        self.house.delivery(item, "portal").await
    }

    async fn patrol(&self) -> Patrol {
        let mut patrols = self.house.store.patrols().await.expect("read");
        patrols.pop().expect("on record")
    }

    /// Lets the nightly watch run while the story goes on.
    async fn watched<T>(&self, orders: &Verify, story: impl Future<Output = T>) -> T {
        let number = self.house.no("portal");
        tokio::select! {
            () = self.house.engine.keep_watch(number, || orders.clone()) => unreachable!("nobody stopped it"),
            done = story => done,
        }
    }

    async fn pass_ended_since(&self, at: Timestamp) {
        let ended = || async {
            let patrols = self.house.store.patrols().await.expect("read");
            let last = patrols.first();
            last.is_some_and(|one| one.ended.is_some_and(|ended| ended >= at))
        };
        self.house.once("the pass ends", ended).await;
    }
}

fn retry() -> Event {
    Event::Retry { by: "李".into() }
}

#[tokio::test]
async fn a_page_that_an_editor_changed_is_an_alarm_once_and_is_never_sent_again_by_itself() {
    let mut story = Story::new(Effect::Public).await;
    let item = story.publish("进展").await;
    assert_eq!(story.pass().await.counts.well, 1);
    story.says(Some(Verdict::Live(Match::Differs)));
    assert_eq!(story.pass().await.counts.found, 1);
    assert_eq!(story.stands(item).await, Some(Kind::Changed));
    assert_eq!(story.delivery(item).await.public_state(), PublicState::Held);
    for _ in 0..3 {
        story.house.time.advance(DAY);
        assert_eq!(story.pass().await.counts.found, 0, "the alarm comes once");
    }
    assert_eq!(story.sends(), ["send"]);
    story.says(None);
    assert_eq!(story.pass().await.counts.cleared, 1);
    let state = story.delivery(item).await.public_state();
    assert_eq!(
        (state, story.watch(item).await),
        (PublicState::Published, None)
    );
    story.says(Some(Verdict::Live(Match::Differs)));
    assert_eq!(story.pass().await.counts.found, 1, "armed again");
    assert_eq!(story.sends(), ["send"]);
}

#[tokio::test]
async fn a_page_that_was_deleted_is_believed_at_the_second_look_and_a_person_publishes_it_anew() {
    let mut story = Story::new(Effect::Public).await;
    let item = story.publish("进展").await;
    story.world(|world| world.public.clear());
    let pass = story.pass().await;
    assert_eq!((pass.counts.looked, pass.counts.found), (2, 1));
    assert_eq!(
        story.delivery(item).await.public_state(),
        PublicState::Failed
    );
    story.house.time.advance(DAY);
    story.pass().await;
    assert_eq!(story.sends(), ["send"], "no automatic repost");
    story.decides(item, retry()).await;
    story
        .house
        .until(item, "portal", PublicState::Published)
        .await;
    assert_eq!(story.sends(), ["send", "send"]);
    assert_eq!(story.watch(item).await, None);
    assert_eq!(story.world(|world| world.public.len()), 1);
}

#[tokio::test]
async fn what_was_deleted_may_be_left_so_and_is_looked_at_no_more() {
    let mut story = Story::new(Effect::Public).await;
    let item = story.publish("进展").await;
    story.says(Some(Verdict::Removed(RemovedBy::Platform)));
    story.pass().await;
    story
        .decides(item, Event::SaidAbsent { by: "王".into() })
        .await;
    let state = story.delivery(item).await.public_state();
    assert_eq!(
        (state, story.watch(item).await),
        (PublicState::Withdrawn, None)
    );
    let before = story.world(|world| world.looked);
    assert_eq!(story.pass().await.counts.looked, 0);
    assert_eq!(story.world(|world| world.looked), before);
    assert_eq!(story.sends(), ["send"]);
}

#[tokio::test]
async fn a_changed_page_that_a_person_sees_to_is_looked_at_and_published_again() {
    let mut story = Story::new(Effect::Idempotent).await;
    let item = story.publish("进展").await;
    story.says(Some(Verdict::Live(Match::Differs)));
    story.pass().await;
    story.says(None);
    story.decides(item, retry()).await;
    story
        .house
        .until(item, "portal", PublicState::InReview)
        .await;
    story.house.step_to_next(item, "portal").await;
    let state = story.delivery(item).await.public_state();
    assert_eq!(state, PublicState::Published);
    assert_eq!(story.world(|world| world.public.len()), 1);
}

#[tokio::test]
async fn out_of_reach_for_three_nights_is_a_finding_that_ends_when_it_is_back() {
    let mut story = Story::new(Effect::Public).await;
    let item = story.publish("进展").await;
    story.world(|world| world.unread = true);
    for night in 1..=3 {
        story.house.time.advance(DAY);
        let found = story.pass().await.counts.found;
        assert_eq!(found, u64::from(night == 3), "night {night}");
        let state = story.delivery(item).await.public_state();
        assert_eq!(state, PublicState::Published, "nothing was seen amiss");
    }
    assert_eq!(story.stands(item).await, Some(Kind::Unreachable));
    story.world(|world| world.unread = false);
    story.house.time.advance(DAY);
    assert_eq!(story.pass().await.counts.cleared, 1);
    assert_eq!(story.watch(item).await, None);
    assert_eq!(story.sends(), ["send"]);
}

#[tokio::test]
async fn three_failures_in_a_row_end_the_pass_and_leave_the_other_copies_alone() {
    let mut story = Story::new(Effect::Public).await;
    for title in ["一", "二", "三", "四", "五"] {
        story.publish(title).await;
    }
    story.world(|world| world.unread = true);
    let before = story.world(|world| world.looked);
    let pass = story.pass().await;
    assert!(pass.stopped.is_some());
    assert_eq!((pass.counts.looked, pass.counts.left), (3, 2));
    assert_eq!(story.world(|world| world.looked) - before, 3);
    let breaker = story.house.record("portal").await.breaker;
    assert!(breaker.is_closed(), "sending is not held up by it");
}

#[tokio::test]
async fn a_few_that_never_answer_do_not_keep_a_pass_from_all_the_others() {
    let mut story = Story::new(Effect::Public).await;
    let mut items = Vec::new();
    for title in ["一", "二", "三", "四", "五", "六"] {
        items.push(story.publish(title).await);
        story.house.time.advance(Duration::from_secs(1));
    }
    let lost = [0, 2, 4].map(|place: usize| items[place].to_string());
    story.world(|world| world.lost = lost.to_vec());
    for night in 1..=5 {
        story.house.time.advance(DAY);
        let pass = story.pass().await;
        assert_eq!(
            (pass.counts.looked, pass.stopped),
            (6, None),
            "night {night}"
        );
    }
    assert_eq!(story.stands(items[0]).await, Some(Kind::Unreachable));
    assert_eq!(story.stands(items[1]).await, None);
}

#[tokio::test]
async fn a_platform_that_applied_one_call_twice_is_seen_soon_after_and_a_person_chooses() {
    let mut story = Story::new(Effect::Public).await;
    story.world(|world| world.status_only = true);
    let orders = orders();
    // The watch must be there when it goes live.
    let (item, revision) = story.house.submit("进展").await;
    let story = &story;
    let scene = async {
        tokio::task::yield_now().await;
        story.house.approve(&revision).await.expect("signed");
        story
            .house
            .until(item, "portal", PublicState::Published)
            .await;
        story.world(|world| {
            let twin = world.public[0].clone();
            world.public.push(twin);
        });
        for _ in 0..12 {
            story.house.time.advance(Duration::from_mins(1));
            tokio::task::yield_now().await;
        }
        story.house.until(item, "portal", PublicState::Held).await
    };
    story.watched(&orders, scene).await;
    assert_eq!(story.stands(item).await, Some(Kind::Duplicate));
    assert_eq!(story.sends(), ["send"]);
}

#[tokio::test]
async fn a_correction_while_it_is_looked_at_wins_and_the_look_is_dropped() {
    let mut story = Story::new(Effect::Idempotent).await;
    let item = story.publish("进展").await;
    let gate = CancellationToken::new();
    let looked = story.world(|world| {
        world.said = Some(Verdict::Removed(RemovedBy::Platform));
        world.look_gate = Some(gate.clone());
        world.looked
    });
    let scene = async {
        let begun = || async { story.world(|world| world.looked) > looked };
        story.house.once("the look begins", begun).await;
        let revision = story.house.revise(item, "进展（更正）").await;
        story.says(None);
        story.house.approve(&revision).await.expect("signed");
        let newer = || async {
            let copy = story.delivery(item).await.copy;
            copy.is_some_and(|copy| copy.revision == 2)
        };
        story.house.once("it is corrected", newer).await;
        story.says(Some(Verdict::Removed(RemovedBy::Platform)));
        gate.cancel();
    };
    let (pass, ()) = tokio::join!(story.pass(), scene);
    assert_eq!((pass.counts.looked, pass.counts.found), (0, 0));
    let state = story.delivery(item).await.public_state();
    assert_eq!(
        (state, story.watch(item).await),
        (PublicState::Published, None)
    );
    assert_eq!(story.sends(), ["send", "send"]);
}

#[tokio::test]
async fn what_is_due_goes_before_a_look_that_can_wait() {
    let mut story = Story::new(Effect::Idempotent).await;
    story.publish("一").await;
    let looked = story.world(|world| {
        world.script.push_back(Does::Waits);
        world.looked
    });
    let (second, revision) = story.house.submit("二").await;
    story.house.approve(&revision).await.expect("signed");
    story
        .house
        .until(second, "portal", PublicState::Sending)
        .await;
    let scene = async {
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        assert_eq!(story.world(|world| world.looked), looked, "it waits");
        story.world(|world| world.gate.cancel());
        story
            .house
            .until(second, "portal", PublicState::Published)
            .await;
    };
    let (pass, ()) = tokio::join!(story.pass(), scene);
    assert!(pass.counts.looked >= 1);
    assert!(story.world(|world| world.looked) > looked);
}

#[tokio::test]
async fn a_send_does_not_wait_for_a_look_that_hangs() {
    let mut story = Story::new(Effect::Idempotent).await;
    story.publish("一").await;
    let gate = CancellationToken::new();
    let looked = story.world(|world| {
        world.look_gate = Some(gate.clone());
        world.looked
    });
    let (second, revision) = story.house.submit("二").await;
    let scene = async {
        let begun = || async { story.world(|world| world.looked) > looked };
        story.house.once("the look begins", begun).await;
        story.house.approve(&revision).await.expect("signed");
        story
            .house
            .until(second, "portal", PublicState::Published)
            .await;
        gate.cancel();
    };
    tokio::join!(story.pass(), scene);
    assert_eq!(story.sends(), ["send", "send"]);
}

#[tokio::test]
async fn a_paused_channel_is_not_looked_at_and_a_stop_of_sending_does_not_matter() {
    let mut story = Story::new(Effect::Idempotent).await;
    story.publish("一").await;
    story.house.engine.hub().halt(true);
    assert_eq!(story.pass().await.counts.looked, 1, "a look sends nothing");
    story.house.pause("portal").await;
    let pass = story.pass().await;
    assert_eq!((pass.counts.looked, pass.counts.left), (0, 1));
    assert!(pass.stopped.is_some_and(|why| why.zh.contains("暂停")));
}

#[tokio::test]
async fn a_pass_leaves_its_share_of_the_quota_to_what_is_unknown_and_goes_on_the_next_night() {
    let (channel, world) = Scripted::new(Effect::Idempotent, |caps| {
        caps.quotas = vec![Quota {
            name: "looks".into(),
            window: Window::Day,
            limit: 10,
            reserve: 0,
        }];
        caps.look.costs = vec![Cost {
            quota: "looks".into(),
            units: 1,
        }];
    });
    let house = House::new(vec![Wired::new("portal", channel)]).await;
    let mut story = Story { house, world };
    for title in ["一", "二", "三", "四", "五"] {
        story.publish(title).await;
        story.house.time.advance(Duration::from_secs(1));
    }
    let orders = orders();
    let story = &story;
    let before = story.world(|world| world.looked);
    let scene = async {
        let seen_first = || async { !story.house.store.patrols().await.expect("read").is_empty() };
        story.house.once("the schedule is seen", seen_first).await;
        for night in 1..=2 {
            let due = story.house.time.now();
            story.house.time.advance(DAY);
            story.pass_ended_since(due + TimeDelta::hours(1)).await;
            let pass = story.patrol().await;
            // Three of ten are the thirty per cent.
            assert_eq!(pass.counts.looked, 3, "night {night}");
            // The second night goes on with the two oldest, and round to the newest.
            assert_eq!(pass.counts.left, 2, "night {night}");
        }
    };
    story.watched(&orders, scene).await;
    assert_eq!(story.world(|world| world.looked) - before, 6);
}

#[tokio::test]
async fn a_night_slept_through_is_made_up_for_once_and_a_pass_cut_off_goes_on() {
    let mut story = Story::new(Effect::Idempotent).await;
    for title in ["一", "二", "三"] {
        story.publish(title).await;
        story.house.time.advance(Duration::from_secs(1));
    }
    let orders = orders();
    let seen_first = || async { !story.house.store.patrols().await.expect("read").is_empty() };
    story
        .watched(&orders, story.house.once("it is seen", seen_first))
        .await;
    let Story { house, world } = story;
    let looked = world.lock().expect("unpoisoned").looked;
    house.time.advance(DAY * 4);
    // The first look of the pass hangs, and the process dies in it.
    world.lock().expect("unpoisoned").look_gate = Some(CancellationToken::new());
    let story = Story { house, world };
    let begun = || async { story.world(|world| world.looked) > looked };
    story
        .watched(&orders, story.house.once("a look begins", begun))
        .await;
    assert_eq!(story.patrol().await.ended, None);
    let Story { house, world } = story;
    let house = house.crash(&world).await;
    world.lock().expect("unpoisoned").look_gate = None;
    let story = Story { house, world };
    let due = story.patrol().await.due.expect("a night's");
    let scene = async {
        story.pass_ended_since(due).await;
        let pass = story.patrol().await;
        assert_eq!((pass.due, pass.counts.looked), (Some(due), 3));
        let looked = story.world(|world| world.looked);
        story.house.time.advance(Duration::from_mins(2));
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        assert_eq!(
            story.world(|world| world.looked),
            looked,
            "once for four nights"
        );
    };
    story.watched(&orders, scene).await;
}

#[tokio::test]
async fn a_healthy_night_writes_its_beginning_and_its_end_and_nothing_about_the_copies() {
    let mut story = Story::new(Effect::Idempotent).await;
    for title in ["一", "二", "三", "四"] {
        story.publish(title).await;
    }
    let orders = orders();
    let scene = async {
        let seen_first = || async { !story.house.store.patrols().await.expect("read").is_empty() };
        story.house.once("the schedule is seen", seen_first).await;
        let before = story.house.store.standing().sequence;
        let due = story.house.time.now();
        story.house.time.advance(DAY);
        story.pass_ended_since(due + TimeDelta::hours(1)).await;
        assert_eq!(story.house.store.standing().sequence - before, 2);
        assert_eq!(story.patrol().await.counts.well, 4);
    };
    story.watched(&orders, scene).await;
}

#[tokio::test]
async fn what_ends_the_process_when_it_is_looked_at_again_is_an_alarm_and_not_left_out_in_silence()
{
    let mut story = Story::new(Effect::Idempotent).await;
    let item = story.publish("看一次死一次").await;
    let work = Work::Delivery(story.house.id(item, "portal"));
    for _ in 0..MOST {
        let now = story.house.time.now() + QUIET;
        let at_work = story.house.engine.shared.suspects.enter(work, now);
        std::mem::forget(at_work.expect("its turn"));
        story.house = story.house.crash(&story.world).await;
    }
    for _ in 0..3 {
        story.house.time.advance(DAY);
        story.pass().await;
    }
    assert_eq!(story.stands(item).await, Some(Kind::Unreachable));
    assert_eq!(story.world(|world| world.looked), 0, "nobody looks again");
}

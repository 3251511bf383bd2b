//! All sending stops at once: by a person's order, or because the clock cannot be believed. Looks and
//! withdrawals go on.

use lubu::clock::Doubt;
use lubu::ids::ItemId;
use lubu::model::delivery::PublicState;
use lubu::model::delivery::{JobNow, Wanted};
use lubu::model::halt::Halt;
use lubu::store::{Act, Actor, Refusal, StoreError};
use lubu_channels::{Clock as _, Effect, Fate, Goal, Step};

use crate::house::{House, Wired};
use crate::scripted::{Does, Scripted};

async fn order(house: &House, stop: Option<&str>) {
    let actor = Actor::new("leader", "cli");
    let stop = stop.map(str::to_owned);
    let halted = stop.is_some();
    let act = Act::Sending { actor, stop };
    house.store.act(act).await.expect("ordered");
    house.engine.hub().halt(halted);
}

/// A refusal that was under way is waited out by the clock; here it is asked again at once.
pub async fn until_asked(house: &House, item: ItemId, name: &str) {
    let sent = || async {
        house.engine.hub().halt(false);
        house.delivery(item, name).await.attempts > 0
    };
    house.once("sent", sent).await;
}

/// The answer to an intent that nothing else speaks against.
pub async fn ask(house: &House, item: ItemId, name: &str) -> Refusal {
    let delivery = house.delivery(item, name).await;
    let Wanted::Revision(wanted) = &delivery.wanted else {
        panic!("it is wanted");
    };
    let job = JobNow {
        goal: Goal::Publish,
        revision: wanted.number,
        draft: wanted.draft.clone(),
        blob: wanted.blob.clone(),
        round: delivery.round,
    };
    let act = Act::Intent {
        id: delivery.id,
        version: delivery.version,
        job: Box::new(job),
        step: Step::new("send", Effect::Idempotent),
    };
    match house.store.act(act).await {
        Err(StoreError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_stop_order_holds_every_send_takes_down_all_the_same_and_outlives_a_crash() {
    let (channel, world) = Scripted::new(Effect::Idempotent, |_| {});
    let mut house = House::new(vec![Wired::new("wechat", channel)]).await;
    let (old, revision) = house.submit("旧").await;
    house.approve(&revision).await.expect("signed");
    house.until(old, "wechat", PublicState::Published).await;
    order(&house, Some("有误")).await;
    let (new, revision) = house.submit("新").await;
    house.approve(&revision).await.expect("signed");
    house.withdraw(old).await;
    house.until(old, "wechat", PublicState::Withdrawn).await;
    let house = house.crash(&world).await;
    let refused = ask(&house, new, "wechat").await;
    assert!(matches!(refused, Refusal::Halted(Halt::Ordered(order)) if order.by == "leader"));
    assert_eq!(world.lock().expect("unpoisoned").calls, ["send", "remove"]);
    order(&house, None).await;
    until_asked(&house, new, "wechat").await;
    house.until(new, "wechat", PublicState::Published).await;
}

#[tokio::test]
async fn fault_32_nothing_is_sent_while_the_clock_cannot_be_believed() {
    let (channel, world) = Scripted::new(Effect::Public, |_| {});
    let mut house = House::new(vec![Wired::new("weibo", channel)]).await;
    let now = house.time.now();
    house.time.distrust(Some(Doubt::Jumped {
        wall: now - chrono::TimeDelta::hours(1),
        expected: now,
    }));
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    let refused = ask(&house, item, "weibo").await;
    assert!(matches!(refused, Refusal::Halted(Halt::Clock(_))));
    assert!(world.lock().expect("unpoisoned").calls.is_empty());
    house.time.distrust(None);
    until_asked(&house, item, "weibo").await;
    house.until(item, "weibo", PublicState::Published).await;
    assert_eq!(world.lock().expect("unpoisoned").calls, ["send"]);
}

#[tokio::test]
async fn fault_32_a_clock_a_month_ahead_sends_nothing_early_and_leaves_no_wait_stuck() {
    let (channel, world) = Scripted::new(Effect::Idempotent, |_| {});
    let again = Does::Refuses(Fate::Again { not_before: None });
    world.lock().expect("unpoisoned").script.push_back(again);
    let mut house = House::new(vec![Wired::new("weibo", channel)]).await;
    let (waiting, revision) = house.submit("等待重试").await;
    house.approve(&revision).await.expect("signed");
    house.until(waiting, "weibo", PublicState::Retrying).await;
    let due = house.delivery(waiting, "weibo").await.next_at();
    let now = house.time.now();
    house.time.distrust(Some(Doubt::Jumped {
        wall: now + chrono::TimeDelta::days(30),
        expected: now,
    }));
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    let refused = ask(&house, item, "weibo").await;
    assert!(matches!(refused, Refusal::Halted(Halt::Clock(_))));
    assert_eq!(house.delivery(waiting, "weibo").await.next_at(), due);
    assert_eq!(world.lock().expect("unpoisoned").calls, ["send"]);
    // Set right again: what was signed goes, what waits has its own time still, and no other.
    house.time.distrust(None);
    until_asked(&house, item, "weibo").await;
    house.until(item, "weibo", PublicState::Published).await;
    assert_eq!(world.lock().expect("unpoisoned").calls.len(), 2);
    house.step_to_next(waiting, "weibo").await;
    house.until(waiting, "weibo", PublicState::Published).await;
    assert_eq!(world.lock().expect("unpoisoned").calls.len(), 3);
}

//! Quotas, pauses and blocks hold posts back without losing or counting against them.

use lubu::model::delivery::PublicState;
use lubu_channels::{Clock as _, Effect, Fate, Reach};

use crate::house::{House, Wired};
use crate::scripted::{Does, Scripted};

#[tokio::test]
async fn a_used_up_quota_holds_the_next_post_until_midnight_in_beijing() {
    let (channel, world) = Scripted::new(Effect::Idempotent, |caps| Scripted::quota(caps, 1));
    let mut house = House::new(vec![Wired::new("weibo", channel)]).await;
    let (first, revision) = house.submit("一").await;
    house.approve(&revision).await.expect("signed");
    house.until(first, "weibo", PublicState::Published).await;
    let (second, revision) = house.submit("二").await;
    house.approve(&revision).await.expect("signed");
    let house_ref = &house;
    let waiting = async {
        loop {
            let now = house_ref.delivery(second, "weibo").await;
            if now.next_at().is_some_and(|at| at > house_ref.time.now()) {
                return now;
            }
            tokio::task::yield_now().await;
        }
    };
    let waiting = tokio::time::timeout(std::time::Duration::from_secs(20), waiting)
        .await
        .expect("waits");
    let midnight = "2026-11-23T16:00:00Z".parse().expect("a time");
    assert_eq!(waiting.next_at(), Some(midnight));
    assert_eq!(world.lock().expect("unpoisoned").calls.len(), 1);
    house.step_to_next(second, "weibo").await;
    house.until(second, "weibo", PublicState::Published).await;
}

#[tokio::test]
async fn a_blocked_account_pauses_the_lane_and_burns_no_attempt() {
    let (channel, world) = Scripted::new(Effect::Idempotent, |_| {});
    let blocked = Does::Refuses(Fate::Blocked(Reach::Account));
    world.lock().expect("unpoisoned").script.push_back(blocked);
    let mut house = House::new(vec![Wired::new("wechat", channel)]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    let waiting = house.until(item, "wechat", PublicState::Retrying).await;
    assert_eq!(waiting.tries, 0);
    let records = house.store.channels().await.expect("read");
    assert!(records[0].pause.is_some());
    house.resume("wechat").await;
    house.until(item, "wechat", PublicState::Published).await;
}

#[tokio::test]
async fn a_paused_lane_sends_nothing_new_and_still_takes_down() {
    let (channel, world) = Scripted::new(Effect::Idempotent, |_| {});
    let mut house = House::new(vec![Wired::new("wechat", channel)]).await;
    let (old, revision) = house.submit("旧").await;
    house.approve(&revision).await.expect("signed");
    house.until(old, "wechat", PublicState::Published).await;
    house.pause("wechat").await;
    let (new, revision) = house.submit("新").await;
    house.approve(&revision).await.expect("signed");
    house.withdraw(old).await;
    house.until(old, "wechat", PublicState::Withdrawn).await;
    assert_eq!(
        house.delivery(new, "wechat").await.public_state(),
        PublicState::Pending
    );
    assert_eq!(world.lock().expect("unpoisoned").calls, ["send", "remove"]);
    house.resume("wechat").await;
    house.until(new, "wechat", PublicState::Published).await;
}

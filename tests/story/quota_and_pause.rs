//! Quotas, pauses and blocks hold posts back without losing or counting against them.

use lubu::model::delivery::PublicState;
use lubu_channels::{Clock as _, Cost, Effect, Fate, Reach, Verdict};

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

/// One unit for the post, one for the look, and one for what the look asked for beside it.
#[tokio::test]
async fn what_a_look_needs_beyond_its_price_is_counted_and_refused_when_the_quota_is_used_up() {
    for (limit, granted) in [(3, true), (2, false)] {
        let (channel, world) = Scripted::new(Effect::Idempotent, |caps| {
            Scripted::quota(caps, limit);
            caps.look.costs = vec![Cost::one("send")];
        });
        {
            let mut world = world.lock().expect("unpoisoned");
            world.beside = Some(Vec::new());
            world.said = Some(Verdict::Reviewing);
        }
        let mut house = House::new(vec![Wired::new("weibo", channel)]).await;
        let (first, revision) = house.submit("一").await;
        house.approve(&revision).await.expect("signed");
        house.until(first, "weibo", PublicState::InReview).await;
        world.lock().expect("unpoisoned").said = None;
        house.step_to_next(first, "weibo").await;
        house.until(first, "weibo", PublicState::Published).await;
        let (second, revision) = house.submit("二").await;
        house.approve(&revision).await.expect("signed");
        let midnight = "2026-11-23T16:00:00Z".parse().expect("a time");
        let waits = || async { house.delivery(second, "weibo").await.next_at() == Some(midnight) };
        house.once("the quota is used up", waits).await;
        let world = world.lock().expect("unpoisoned");
        assert_eq!(world.beside, Some(vec![granted]));
        assert_eq!(world.calls.len(), 1);
    }
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

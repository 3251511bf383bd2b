//! Lanes: breaker, pause, quota, panics, restarts. What stands still goes on again.

use std::sync::Arc;
use std::time::Duration;

use lubu::model::delivery::{Delivery, PublicState};
use lubu_channels::{Clock as _, Effect, Fate};

use crate::house::{House, Wired};
use crate::scripted::{Does, Scripted};

fn again() -> Does {
    Does::Refuses(Fate::Again { not_before: None })
}

#[tokio::test]
async fn the_third_failure_opens_the_breaker_and_a_probe_that_works_closes_it() {
    let (channel, world) = Scripted::new(Effect::Idempotent, |_| {});
    {
        let mut world = world.lock().expect("unpoisoned");
        world.script.extend([again(), again(), again()]);
        world.checks_fail = true;
    }
    let mut house = House::new(vec![Wired::new("portal", channel)]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    house.until(item, "portal", PublicState::Retrying).await;
    house.step_to_next(item, "portal").await;
    house.step_to_next(item, "portal").await;
    let open = async || house.record("portal").await.breaker.until;
    house
        .once("it opens", || async { open().await.is_some() })
        .await;
    let first = open().await.expect("open");
    assert_eq!(first - house.time.now(), chrono::TimeDelta::minutes(5));
    house.time.set(first);
    let later = || async { open().await.is_some_and(|until| until > first) };
    house.once("the probe fails", later).await;
    assert_eq!(world.lock().expect("unpoisoned").calls.len(), 3);
    let second = open().await.expect("open");
    assert_eq!(second - first, chrono::TimeDelta::minutes(10));
    world.lock().expect("unpoisoned").checks_fail = false;
    house.time.set(second);
    house.until(item, "portal", PublicState::Published).await;
    assert_eq!(open().await, None);
}

#[tokio::test]
async fn what_waits_in_a_paused_lane_goes_on_after_a_restart_and_a_resume() {
    let (channel, world) = Scripted::new(Effect::Idempotent, |_| {});
    let mut house = House::new(vec![Wired::new("wechat", channel)]).await;
    house.pause("wechat").await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    let house = house.crash(&world).await;
    assert_eq!(
        house.delivery(item, "wechat").await.public_state(),
        PublicState::Pending
    );
    house.resume("wechat").await;
    house.until(item, "wechat", PublicState::Published).await;
}

#[tokio::test]
async fn a_used_up_quota_is_still_used_up_after_a_restart() {
    let (channel, world) = Scripted::new(Effect::Idempotent, |caps| Scripted::quota(caps, 1));
    let mut house = House::new(vec![Wired::new("weibo", channel)]).await;
    let (first, revision) = house.submit("一").await;
    house.approve(&revision).await.expect("signed");
    house.until(first, "weibo", PublicState::Published).await;
    let mut house = house.crash(&world).await;
    let (second, revision) = house.submit("二").await;
    house.approve(&revision).await.expect("signed");
    let now = house.time.now();
    let waits = |one: Delivery| one.next_at().is_some_and(|at| at > now);
    let postponed = || async { waits(house.delivery(second, "weibo").await) };
    house.once("it waits", postponed).await;
    assert_eq!(world.lock().expect("unpoisoned").calls.len(), 1);
}

#[tokio::test]
async fn a_panic_in_an_adapter_is_an_unknown_outcome_and_its_lane_lives_on() {
    let (channel, world) = Scripted::new(Effect::Public, |_| {});
    world
        .lock()
        .expect("unpoisoned")
        .script
        .push_back(Does::Panics);
    let mut house = House::new(vec![Wired::new("weibo", channel)]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    house.until(item, "weibo", PublicState::Unconfirmed).await;
    let (other, revision) = house.submit("另一条").await;
    house.approve(&revision).await.expect("signed");
    house.until(other, "weibo", PublicState::Published).await;
    house.step_to_next(item, "weibo").await;
    assert_eq!(world.lock().expect("unpoisoned").calls, ["send", "send"]);
}

#[tokio::test]
async fn an_unconfirmed_post_that_could_be_pushed_out_of_sight_keeps_the_next_one_waiting() {
    let (channel, world) = Scripted::new(Effect::Public, |caps| caps.look.rows = Some(5));
    world
        .lock()
        .expect("unpoisoned")
        .script
        .push_back(Does::LosesAnswer);
    let mut house = House::new(vec![Wired::new("weibo", channel)]).await;
    let (first, revision) = house.submit("一").await;
    house.approve(&revision).await.expect("signed");
    house.until(first, "weibo", PublicState::Unconfirmed).await;
    let mut house = house.crash(&world).await;
    let (second, revision) = house.submit("二").await;
    house.approve(&revision).await.expect("signed");
    let now = house.time.now();
    let postponed = || async {
        let second = house.delivery(second, "weibo").await;
        second.next_at().is_some_and(|at| at > now)
    };
    house.once("it waits", postponed).await;
    assert_eq!(world.lock().expect("unpoisoned").calls, ["send"]);
    house.step_to_next(first, "weibo").await;
    house.until(first, "weibo", PublicState::Published).await;
    house.time.advance(Duration::from_mins(1));
    house.until(second, "weibo", PublicState::Published).await;
}

#[tokio::test]
async fn a_key_whose_window_ended_while_the_lane_was_paused_is_not_used_again() {
    let effect = Effect::Keyed {
        window: Duration::from_hours(24),
        pause: Duration::from_mins(1),
    };
    let (channel, world) = Scripted::new(effect, |_| {});
    world
        .lock()
        .expect("unpoisoned")
        .script
        .push_back(Does::LosesAnswer);
    let mut house = House::new(vec![Wired::new("mass", channel)]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    house.until(item, "mass", PublicState::Retrying).await;
    house.pause("mass").await;
    let house = house.crash(&world).await;
    house.time.advance(Duration::from_hours(25));
    house.resume("mass").await;
    house.until(item, "mass", PublicState::Published).await;
    assert_eq!(
        world.lock().expect("unpoisoned").calls,
        ["send"],
        "it was looked for and found"
    );
}

#[tokio::test]
async fn one_channel_that_left_the_configuration_does_not_keep_the_others_public() {
    let (site, site_world) = Scripted::new(Effect::Idempotent, |_| {});
    let (weibo, _) = Scripted::new(Effect::Public, |_| {});
    let wired = vec![
        Wired::new("site", Arc::clone(&site) as _),
        Wired::new("weibo", weibo),
    ];
    let mut house = House::new(wired).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    house.until(item, "site", PublicState::Published).await;
    house.until(item, "weibo", PublicState::Published).await;
    let gone = house.id(item, "weibo");
    let house = house.crash_without(&site_world, "weibo").await;
    house.withdraw(item).await;
    house.until(item, "site", PublicState::Withdrawn).await;
    let left = house.store.delivery(gone).await.expect("read");
    assert_eq!(
        left.map(|left| left.public_state()),
        Some(PublicState::Held),
        "a person owns what no lane turns to"
    );
}

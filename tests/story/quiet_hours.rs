//! Quiet hours: nothing is published or corrected, and everything is there in the morning, once.

use std::sync::Arc;
use std::time::Duration;

use lubu::model::approval::OnCorrection;
use lubu::model::delivery::{Delivery, PublicState};
use lubu::model::quiet::{QuietHours, Span};
use lubu_channels::{Clock as _, Effect, Timestamp, UpdateBy, Words};

use crate::house::{House, Wired};
use crate::scripted::{Does, Scripted};

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// From 22:00 to 07:30 in Shanghai.
fn nights() -> Option<QuietHours> {
    let night = Span::new([true; 7], 22 * 60, 7 * 60 + 30)?;
    QuietHours::new(chrono_tz::Asia::Shanghai, vec![night], Vec::new())
}

fn hushed(name: &'static str, channel: &Arc<Scripted>) -> Wired {
    Wired {
        quiet: nights(),
        ..Wired::new(name, Arc::clone(channel) as _)
    }
}

fn calls(channel: &Scripted) -> Vec<String> {
    channel.world.lock().expect("unpoisoned").calls.clone()
}

fn reason(delivery: &Delivery) -> Words {
    let told = delivery.reason(|_| String::new(), chrono_tz::Asia::Shanghai);
    told.expect("it says why")
}

#[tokio::test]
async fn what_is_signed_at_night_goes_out_in_the_morning_once() {
    let (channel, _) = Scripted::new(Effect::Public, |_| {});
    let mut house = House::new(vec![hushed("wechat", &channel)]).await;
    house.time.set(at("2026-11-23T23:00:00+08:00"));
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    let waiting = house.waits(item, "wechat").await;
    let morning = at("2026-11-24T07:30:00+08:00");
    assert_eq!(waiting.next_at(), Some(morning));
    assert_eq!(waiting.public_state(), PublicState::Pending);
    assert_eq!(reason(&waiting).zh, "静默时段，07:30 后继续");
    assert_eq!(reason(&waiting).en, "quiet hours until 07:30");
    house.time.set(morning - Duration::from_millis(1));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(calls(&channel).is_empty());
    house.time.set(morning);
    house.until(item, "wechat", PublicState::Published).await;
    assert_eq!(calls(&channel), ["send"]);
}

#[tokio::test]
async fn a_withdrawal_at_night_goes_at_once() {
    let (channel, _) = Scripted::new(Effect::Idempotent, |_| {});
    let mut house = House::new(vec![hushed("wechat", &channel)]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    house.until(item, "wechat", PublicState::Published).await;
    house.time.set(at("2026-11-23T23:00:00+08:00"));
    house.withdraw(item).await;
    house.until(item, "wechat", PublicState::Withdrawn).await;
    assert_eq!(house.time.now(), at("2026-11-23T23:00:00+08:00"));
    assert_eq!(calls(&channel), ["send", "remove"]);
}

#[tokio::test]
async fn a_correction_that_must_replace_takes_the_old_copy_down_in_the_morning_and_not_before() {
    let (channel, world) = Scripted::new(Effect::Public, |caps| caps.update = UpdateBy::Replace);
    let replacing = Wired {
        on_correction: OnCorrection::Replace,
        ..hushed("wechat", &channel)
    };
    let mut house = House::new(vec![replacing]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    house.until(item, "wechat", PublicState::Published).await;
    house.time.set(at("2026-11-23T23:00:00+08:00"));
    let second = house.revise(item, "更正").await;
    house.approve(&second).await.expect("signed");
    let waiting = house.waits(item, "wechat").await;
    let morning = at("2026-11-24T07:30:00+08:00");
    assert_eq!(waiting.next_at(), Some(morning));
    // Readers keep the old one over night.
    assert_eq!(world.lock().expect("unpoisoned").public.len(), 1);
    house.time.set(morning);
    house.until(item, "wechat", PublicState::Published).await;
    assert_eq!(calls(&channel), ["send", "remove", "send"]);
}

#[tokio::test]
async fn looks_go_on_at_night_and_what_they_find_absent_is_sent_again_in_the_morning() {
    let (channel, _) = Scripted::new(Effect::Public, |caps| caps.repeat_when_absent = true);
    {
        let mut world = channel.world.lock().expect("unpoisoned");
        world.script.push_back(Does::LosesCall);
    }
    let mut house = House::new(vec![hushed("weibo", &channel)]).await;
    house.time.set(at("2026-11-23T21:59:00+08:00"));
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    house.until(item, "weibo", PublicState::Unconfirmed).await;
    let morning = at("2026-11-24T07:30:00+08:00");
    while house.waits(item, "weibo").await.next_at() != Some(morning) {
        house.step_to_next(item, "weibo").await;
        assert!(house.time.now() < morning);
    }
    assert!(channel.world.lock().expect("unpoisoned").looked >= 2);
    assert_eq!(calls(&channel), ["send"]);
    house.time.set(morning);
    house.until(item, "weibo", PublicState::Published).await;
    assert_eq!(calls(&channel), ["send", "send"]);
}

#[tokio::test]
async fn quiet_hours_that_are_lifted_are_not_waited_out() {
    let (channel, _) = Scripted::new(Effect::Idempotent, |_| {});
    let mut house = House::new(vec![hushed("wechat", &channel)]).await;
    house.time.set(at("2026-11-23T23:00:00+08:00"));
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    house.waits(item, "wechat").await;
    let open = Wired::new("wechat", Arc::clone(&channel) as _);
    house.reload(vec![open]).await;
    house.until(item, "wechat", PublicState::Published).await;
    assert_eq!(calls(&channel), ["send"]);
}

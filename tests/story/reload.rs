//! Other settings while the lanes work: nothing is lost, doubled or stuck.

use std::sync::Arc;
use std::time::Duration;

use lubu::model::delivery::PublicState;
use lubu::model::limit::Rate;
use lubu_channels::{Clock as _, Effect, Fate, Reach};

use crate::house::{House, Wired};
use crate::scripted::{Does, Scripted};

fn wired(name: &'static str, channel: &Arc<Scripted>) -> Wired {
    Wired::new(name, Arc::clone(channel) as _)
}

fn calls(channel: &Scripted) -> Vec<String> {
    channel.world.lock().expect("unpoisoned").calls.clone()
}

/// The next step waits until the story opens the gate.
fn held_up(channel: &Scripted) {
    let mut world = channel.world.lock().expect("unpoisoned");
    world.script.push_back(Does::Waits);
}

fn open_the_gate(channel: &Scripted) {
    channel.world.lock().expect("unpoisoned").gate.cancel();
}

async fn begins(house: &House, channel: &Scripted, count: usize) {
    let begun = || async { calls(channel).len() == count };
    house.once("a step begins", begun).await;
}

#[tokio::test]
async fn a_step_in_flight_finishes_and_nothing_of_it_is_sent_twice() {
    let (old, _) = Scripted::with_lists();
    held_up(&old);
    let mut house = House::new(vec![wired("site", &old)]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    begins(&house, &old, 1).await;
    let new = old.otherwise(|caps| caps.look.review_plan = vec![Duration::from_secs(7)]);
    house.reload(vec![wired("site", &new)]).await;
    open_the_gate(&old);
    let sent = house.until(item, "site", PublicState::InReview).await;
    assert_eq!(calls(&new), ["send", "lists"]);
    let next = sent.next_at().expect("a look is to come");
    assert_eq!(next - house.time.now(), chrono::TimeDelta::seconds(7));
    house.time.set(next);
    house.until(item, "site", PublicState::Published).await;
}

#[tokio::test]
async fn nothing_new_begins_while_something_still_runs_under_the_old_settings() {
    let (old, _) = Scripted::new(Effect::Idempotent, |_| {});
    held_up(&old);
    let mut house = House::new(vec![wired("site", &old)]).await;
    let (first, revision) = house.submit("一").await;
    house.approve(&revision).await.expect("signed");
    begins(&house, &old, 1).await;
    house.reload(vec![wired("site", &old)]).await;
    let (second, revision) = house.submit("二").await;
    house.approve(&revision).await.expect("signed");
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(calls(&old), ["send"]);
    open_the_gate(&old);
    for item in [first, second] {
        house.until(item, "site", PublicState::Published).await;
    }
    assert_eq!(calls(&old), ["send", "send"]);
}

#[tokio::test]
async fn a_lifted_limit_lets_the_waiting_post_go() {
    let (old, _) = Scripted::new(Effect::Idempotent, |caps| Scripted::quota(caps, 1));
    let mut house = House::new(vec![wired("weibo", &old)]).await;
    let (first, revision) = house.submit("一").await;
    house.approve(&revision).await.expect("signed");
    house.until(first, "weibo", PublicState::Published).await;
    let (second, revision) = house.submit("二").await;
    house.approve(&revision).await.expect("signed");
    house.waits(second, "weibo").await;
    let new = old.otherwise(|caps| Scripted::quota(caps, 2));
    house.reload(vec![wired("weibo", &new)]).await;
    house.until(second, "weibo", PublicState::Published).await;
    assert_eq!(calls(&new), ["send", "send"]);
    // What was spent before still counts.
    let (third, revision) = house.submit("三").await;
    house.approve(&revision).await.expect("signed");
    house.waits(third, "weibo").await;
    assert_eq!(calls(&new).len(), 2);
}

#[tokio::test]
async fn a_lifted_rate_is_not_waited_out() {
    let (channel, _) = Scripted::new(Effect::Idempotent, |_| {});
    let slow = Some(Rate {
        count: 1,
        per: Duration::from_hours(1),
    });
    let limited = Wired {
        rate: slow,
        ..wired("weibo", &channel)
    };
    let mut house = House::new(vec![limited]).await;
    let mut items = Vec::new();
    for title in ["一", "二"] {
        let (item, revision) = house.submit(title).await;
        house.approve(&revision).await.expect("signed");
        items.push(item);
    }
    house.until(items[0], "weibo", PublicState::Published).await;
    house.reload(vec![wired("weibo", &channel)]).await;
    house.until(items[1], "weibo", PublicState::Published).await;
}

#[tokio::test]
async fn a_channel_that_leaves_ends_with_its_step_and_goes_on_when_it_is_back() {
    let (site, _) = Scripted::with_lists();
    let (other, _) = Scripted::new(Effect::Idempotent, |_| {});
    held_up(&site);
    let both = || vec![wired("site", &site), wired("other", &other)];
    let mut house = House::new(both()).await;
    let number = house.no("site");
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    begins(&house, &site, 1).await;
    house.reload(vec![wired("other", &other)]).await;
    // Back before its step has ended: there is still one lane.
    house.reload(both()).await;
    assert_eq!(house.no("site"), number);
    open_the_gate(&site);
    house.until(item, "site", PublicState::InReview).await;
    assert_eq!(calls(&site), ["send", "lists"]);
    house.until(item, "other", PublicState::Published).await;
}

#[tokio::test]
async fn what_a_channel_that_left_had_begun_is_on_record_and_not_gone_on_with() {
    let (site, _) = Scripted::with_lists();
    let (other, _) = Scripted::new(Effect::Idempotent, |_| {});
    held_up(&site);
    let mut house = House::new(vec![wired("site", &site), wired("other", &other)]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    begins(&house, &site, 1).await;
    let id = house.id(item, "site");
    house.reload(vec![wired("other", &other)]).await;
    open_the_gate(&site);
    let done = || async {
        let now = house.store.delivery(id).await.expect("read").expect("kept");
        now.progress.has("sent")
    };
    house.once("the outcome is on record", done).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(calls(&site), ["send"]);
    house
        .reload(vec![wired("site", &site), wired("other", &other)])
        .await;
    house.until(item, "site", PublicState::InReview).await;
    assert_eq!(calls(&site), ["send", "lists"]);
}

#[tokio::test]
async fn what_waited_for_a_channel_that_need_not_come_first_any_more_goes() {
    let (site, _) = Scripted::new(Effect::Idempotent, |_| {});
    let (wechat, _) = Scripted::new(Effect::Idempotent, |_| {});
    let after = Wired {
        after: vec!["site"],
        ..wired("wechat", &wechat)
    };
    let mut house = House::new(vec![wired("site", &site), after]).await;
    house.pause("site").await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    house.until(item, "wechat", PublicState::Held).await;
    house
        .reload(vec![wired("site", &site), wired("wechat", &wechat)])
        .await;
    house.until(item, "wechat", PublicState::Published).await;
    assert!(calls(&site).is_empty());
}

#[tokio::test]
async fn what_was_unknown_when_its_channel_left_is_looked_for_at_a_start_with_the_channel_again() {
    let (weibo, world) = Scripted::new(Effect::Public, |_| {});
    let (other, _) = Scripted::new(Effect::Idempotent, |_| {});
    world
        .lock()
        .expect("unpoisoned")
        .script
        .push_back(Does::WaitsAndIsUnsure);
    let both = || vec![wired("weibo", &weibo), wired("other", &other)];
    let mut house = House::new(both()).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    begins(&house, &weibo, 1).await;
    let id = house.id(item, "weibo");
    house.reload(vec![wired("other", &other)]).await;
    open_the_gate(&weibo);
    let ownerless = || async {
        let now = house.store.delivery(id).await.expect("read").expect("kept");
        now.public_state() == PublicState::Unconfirmed && now.next_at().is_none()
    };
    house.once("nobody looks for it", ownerless).await;
    let house = house.crash_with(&world, both()).await;
    assert_eq!(
        house.delivery(item, "weibo").await.next_at(),
        Some(house.time.now())
    );
}

#[tokio::test]
async fn two_reloads_in_a_row_do_not_let_two_lanes_work_for_one_account() {
    let (old, _) = Scripted::new(Effect::Idempotent, |_| {});
    let (other, _) = Scripted::new(Effect::Idempotent, |_| {});
    held_up(&old);
    let mut house = House::new(vec![wired("weibo", &old), wired("other", &other)]).await;
    let (_, revision) = house.submit("一").await;
    house.approve(&revision).await.expect("signed");
    begins(&house, &old, 1).await;
    house.reload(vec![wired("other", &other)]).await;
    // The same platform under another name, by a second reload, while the first lane is still at work.
    let renamed = old.otherwise(|_| {});
    let now = || vec![wired("weibo-main", &renamed), wired("other", &other)];
    house.reload(now()).await;
    let (second, revision) = house.submit("二").await;
    house.approve(&revision).await.expect("signed");
    house.until(second, "other", PublicState::Published).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(calls(&old), ["send"]);
    open_the_gate(&old);
    house
        .until(second, "weibo-main", PublicState::Published)
        .await;
    assert_eq!(calls(&old), ["send", "send"]);
}

#[tokio::test]
async fn what_waits_is_asked_about_though_another_reload_follows_at_once() {
    let (site, _) = Scripted::new(Effect::Idempotent, |_| {});
    let (wechat, _) = Scripted::new(Effect::Idempotent, |_| {});
    let after = || Wired {
        after: vec!["site"],
        ..wired("wechat", &wechat)
    };
    let mut house = House::new(vec![wired("site", &site), after()]).await;
    let (first, revision) = house.submit("一").await;
    held_up(&wechat);
    house.approve(&revision).await.expect("signed");
    begins(&house, &wechat, 1).await;
    house.pause("site").await;
    let (second, revision) = house.submit("二").await;
    house.approve(&revision).await.expect("signed");
    house.until(second, "wechat", PublicState::Held).await;
    for _ in 0..2 {
        house
            .reload(vec![wired("site", &site), wired("wechat", &wechat)])
            .await;
    }
    open_the_gate(&wechat);
    for item in [first, second] {
        house.until(item, "wechat", PublicState::Published).await;
    }
    assert_eq!(calls(&wechat), ["send", "send"]);
}

#[tokio::test]
async fn a_withdrawal_waits_for_nothing_while_other_settings_wait_for_a_running_step() {
    let (old, _) = Scripted::new(Effect::Idempotent, |_| {});
    let mut house = House::new(vec![wired("site", &old)]).await;
    let (out, revision) = house.submit("已发布").await;
    house.approve(&revision).await.expect("signed");
    house.until(out, "site", PublicState::Published).await;
    held_up(&old);
    let (running, revision) = house.submit("正在发").await;
    house.approve(&revision).await.expect("signed");
    begins(&house, &old, 2).await;
    let new = old.otherwise(|caps| caps.look.review_plan = vec![Duration::from_secs(7)]);
    house.reload(vec![wired("site", &new)]).await;
    let (waiting, revision) = house.submit("重新加载后签发").await;
    house.approve(&revision).await.expect("signed");
    house.withdraw(out).await;
    house.until(out, "site", PublicState::Withdrawn).await;
    assert_eq!(calls(&old), ["send", "send", "remove"]);
    open_the_gate(&old);
    for item in [running, waiting] {
        house.until(item, "site", PublicState::Published).await;
    }
}

#[tokio::test]
async fn an_answer_to_a_call_with_the_former_secret_does_not_pause_the_lane() {
    let (old, world) = Scripted::new(Effect::Idempotent, |_| {});
    let blocked = Does::WaitsAndIsBlocked;
    world.lock().expect("unpoisoned").script.push_back(blocked);
    let mut house = House::new(vec![wired("wechat", &old)]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    begins(&house, &old, 1).await;
    house.reload(vec![wired("wechat", &old)]).await;
    open_the_gate(&old);
    let sent = house.until(item, "wechat", PublicState::Published).await;
    assert_eq!(sent.log[0].outcome, lubu::model::attempt::Outcome::Blocked);
    assert_eq!(house.record("wechat").await.pause, None);
    assert_eq!(calls(&old), ["send", "send"]);
}

#[tokio::test]
async fn a_refusal_of_the_present_secret_still_pauses_the_lane_after_a_reload() {
    let (old, world) = Scripted::new(Effect::Idempotent, |_| {});
    let mut house = House::new(vec![wired("wechat", &old)]).await;
    house.reload(vec![wired("wechat", &old)]).await;
    let blocked = Does::Refuses(Fate::Blocked(Reach::Account));
    world.lock().expect("unpoisoned").script.push_back(blocked);
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    house.until(item, "wechat", PublicState::Retrying).await;
    assert!(house.record("wechat").await.pause.is_some());
}

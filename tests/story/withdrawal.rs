//! Withdrawal wins (invariant 11), and corrections go by the channel's means.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lubu::ids::ItemId;
use lubu::model::approval::OnCorrection;
use lubu::model::delivery::PublicState;
use lubu::model::scope::Scope;
use lubu_channels::{Clock as _, Effect, Truth, UpdateBy, Words};

use crate::house::{House, Wired};
use crate::scripted::{Does, Scripted, World};

#[tokio::test]
async fn a_published_item_is_taken_down_and_seen_gone() {
    let (channel, world) = Scripted::new(Effect::Idempotent, |_| {});
    let mut house = House::new(vec![Wired::new("site", channel)]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    house.until(item, "site", PublicState::Published).await;
    house.withdraw(item).await;
    house.until(item, "site", PublicState::Withdrawn).await;
    assert!(world.lock().expect("unpoisoned").public.is_empty());
}

#[tokio::test]
async fn what_was_never_sent_is_never_sent() {
    let (site, _) = Scripted::new(Effect::Idempotent, |_| {});
    let (channel, world) = Scripted::new(Effect::Public, |_| {});
    let mut late = Wired::new("weibo", channel);
    late.after = vec!["site"];
    let mut house = House::new(vec![Wired::new("site", site.clone()), late]).await;
    site.world
        .lock()
        .expect("unpoisoned")
        .script
        .push_back(Does::Refuses(lubu_channels::Fate::Never));
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    house.until(item, "site", PublicState::Failed).await;
    house.until(item, "weibo", PublicState::Held).await;
    house.withdraw(item).await;
    house.until(item, "weibo", PublicState::Skipped).await;
    assert!(world.lock().expect("unpoisoned").calls.is_empty());
}

#[tokio::test]
async fn while_an_outcome_is_unknown_a_withdrawal_freezes_the_repeat_and_then_takes_down_what_is_found()
 {
    let (channel, world) = Scripted::new(Effect::Public, |caps| caps.repeat_when_absent = true);
    {
        let mut world = world.lock().expect("unpoisoned");
        world.script.push_back(Does::LosesAnswer);
        world
            .looks
            .push_back(Truth::CannotTell(Words::new("慢", "lagging")));
    }
    let mut house = House::new(vec![Wired::new("weibo", channel)]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    house.until(item, "weibo", PublicState::Unconfirmed).await;
    house.withdraw(item).await;
    house.step_to_next(item, "weibo").await;
    house.until(item, "weibo", PublicState::Unconfirmed).await;
    house.step_to_next(item, "weibo").await;
    house.until(item, "weibo", PublicState::Withdrawn).await;
    let world = world.lock().expect("unpoisoned");
    assert_eq!(world.calls, ["send", "remove"]);
    assert!(world.public.is_empty());
}

#[tokio::test]
async fn seed_50_a_correction_is_made_in_place_where_the_channel_can() {
    let (channel, world) = Scripted::new(Effect::Idempotent, |_| {});
    let mut house = House::new(vec![Wired::new("site", channel)]).await;
    let (item, first) = house.submit("进展").await;
    house.approve(&first).await.expect("signed");
    let before = house.until(item, "site", PublicState::Published).await;
    let second = house.revise(item, "进展(更正)").await;
    house.approve(&second).await.expect("signed");
    let waiting = async {
        loop {
            let now = house.delivery(item, "site").await;
            if now.copy.as_ref().is_some_and(|copy| copy.revision == 2) {
                return now;
            }
            tokio::task::yield_now().await;
        }
    };
    let after = tokio::time::timeout(Duration::from_secs(20), waiting)
        .await
        .expect("corrected");
    assert_eq!(
        after.first_live, before.first_live,
        "the first publication never moves"
    );
    assert_eq!(
        world.lock().expect("unpoisoned").public,
        [(item.to_string(), 2)]
    );
}

#[tokio::test]
async fn where_it_cannot_the_person_who_corrects_is_asked() {
    let (channel, world) = Scripted::new(Effect::Public, |caps| caps.update = UpdateBy::Replace);
    let mut house = House::new(vec![Wired::new("weibo", channel)]).await;
    let (item, first) = house.submit("进展").await;
    house.approve(&first).await.expect("signed");
    house.until(item, "weibo", PublicState::Published).await;
    let second = house.revise(item, "进展(更正)").await;
    house.approve(&second).await.expect("signed");
    house.until(item, "weibo", PublicState::Held).await;
    assert_eq!(
        world.lock().expect("unpoisoned").calls,
        ["send"],
        "no automatic second post"
    );
    let choice = vec![(house.no("weibo"), OnCorrection::Replace)];
    house
        .sign(&second, Scope::Public, "leader", choice)
        .await
        .expect("chosen");
    house.until(item, "weibo", PublicState::Published).await;
    let world = world.lock().expect("unpoisoned");
    assert_eq!(
        world.calls,
        ["send", "remove", "send"],
        "the withdrawal is finished first"
    );
    assert_eq!(world.public, [(item.to_string(), 2)]);
}

#[tokio::test]
async fn a_copy_that_shall_stay_stays_with_the_reason() {
    let (channel, world) = Scripted::new(Effect::Public, |caps| caps.update = UpdateBy::Replace);
    let mut house = House::new(vec![Wired::new("weibo", channel)]).await;
    let (item, first) = house.submit("进展").await;
    house.approve(&first).await.expect("signed");
    house.until(item, "weibo", PublicState::Published).await;
    let second = house.revise(item, "进展(更正)").await;
    let choice = vec![(house.no("weibo"), OnCorrection::Leave)];
    house
        .sign(&second, Scope::Public, "leader", choice)
        .await
        .expect("chosen");
    let kept = house.until(item, "weibo", PublicState::Published).await;
    assert_eq!(kept.copy.map(|copy| copy.revision), Some(1));
    assert_eq!(world.lock().expect("unpoisoned").calls, ["send"]);
}

/// An item on the site and on Weibo, which links to it. Weibo will not answer the next call.
async fn linked() -> (House, ItemId, [Arc<Mutex<World>>; 2]) {
    let (site, site_world) = Scripted::new(Effect::Idempotent, |_| {});
    let (weibo, weibo_world) = Scripted::new(Effect::Public, |_| {});
    let mut late = Wired::new("weibo", weibo);
    late.after = vec!["site"];
    let mut house = House::new(vec![Wired::new("site", site), late]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    house.until(item, "weibo", PublicState::Published).await;
    let mut world = weibo_world.lock().expect("unpoisoned");
    world.script.push_back(Does::Waits);
    drop(world);
    (house, item, [site_world, weibo_world])
}

#[tokio::test]
async fn what_links_to_the_site_is_taken_down_before_the_site() {
    let (house, item, [site, weibo]) = linked().await;
    house.withdraw(item).await;
    let asked = || async { weibo.lock().expect("unpoisoned").calls.len() == 2 };
    house.once("weibo is asked", asked).await;
    assert_eq!(site.lock().expect("unpoisoned").calls, ["send"]);
    weibo.lock().expect("unpoisoned").gate.cancel();
    house.until(item, "site", PublicState::Withdrawn).await;
}

#[tokio::test]
async fn a_channel_that_cannot_be_reached_keeps_the_site_public_for_a_minute_at_most() {
    let (house, item, _) = linked().await;
    house.withdraw(item).await;
    let waiting = house.delivery(item, "site").await;
    assert_eq!(
        waiting.next_at(),
        Some(house.time.now() + chrono::TimeDelta::seconds(60))
    );
    house.step_to_next(item, "site").await;
    house.until(item, "site", PublicState::Withdrawn).await;
}

#[tokio::test]
async fn a_removal_that_did_not_hold_is_sent_again_until_it_is_seen_gone() {
    let (channel, world) = Scripted::new(Effect::Public, |_| {});
    let mut house = House::new(vec![Wired::new("weibo", channel)]).await;
    let (item, revision) = house.submit("有误").await;
    house.approve(&revision).await.expect("signed");
    house.until(item, "weibo", PublicState::Published).await;
    world.lock().expect("unpoisoned").removals_undone = 2;
    house.withdraw(item).await;
    for _ in 0..2 {
        house.until(item, "weibo", PublicState::InReview).await;
        house.step_to_next(item, "weibo").await;
        house.until(item, "weibo", PublicState::Retrying).await;
        house.step_to_next(item, "weibo").await;
    }
    house.until(item, "weibo", PublicState::Withdrawn).await;
    let calls = world.lock().expect("unpoisoned").calls.clone();
    assert_eq!(calls, ["send", "remove", "remove", "remove"]);
}

#[tokio::test]
async fn it_does_not_wait_behind_posts_that_wait_for_their_pace() {
    let (channel, world) = Scripted::new(Effect::Idempotent, |_| {});
    let rate = Some(lubu::model::limit::Rate {
        count: 1,
        per: Duration::from_hours(1),
    });
    let wired = Wired {
        rate,
        ..Wired::new("site", channel)
    };
    let mut house = House::new(vec![wired]).await;
    let (out, revision) = house.submit("已发布").await;
    house.approve(&revision).await.expect("signed");
    house.until(out, "site", PublicState::Published).await;
    let (_, revision) = house.submit("等下一小时").await;
    house.approve(&revision).await.expect("signed");
    house.time.advance(Duration::from_secs(1));
    house.withdraw(out).await;
    house.until(out, "site", PublicState::Withdrawn).await;
    assert_eq!(world.lock().expect("unpoisoned").calls, ["send", "remove"]);
}

#[tokio::test]
async fn it_goes_before_older_posts_where_a_channel_has_one_place_left() {
    let (channel, world) = Scripted::new(Effect::Idempotent, |_| {});
    let mut house = House::new(vec![Wired::new("site", channel)]).await;
    let (out, revision) = house.submit("已发布").await;
    house.approve(&revision).await.expect("signed");
    house.until(out, "site", PublicState::Published).await;
    // Of the lane's four places three stay taken.
    let script = [Does::Hangs, Does::Hangs, Does::Hangs, Does::Waits];
    world.lock().expect("unpoisoned").script.extend(script);
    for at in 0..4 {
        let (_, revision) = house.submit(&format!("在发 {at}")).await;
        house.approve(&revision).await.expect("signed");
        let begun = || async { world.lock().expect("unpoisoned").calls.len() == at + 2 };
        house.once("it is being sent", begun).await;
    }
    let (older, revision) = house.submit("在等").await;
    house.approve(&revision).await.expect("signed");
    house.time.advance(Duration::from_secs(1));
    house.withdraw(out).await;
    world.lock().expect("unpoisoned").gate.cancel();
    house.until(older, "site", PublicState::Published).await;
    let calls = world.lock().expect("unpoisoned").calls.clone();
    assert_eq!(calls[5..], ["remove", "send"]);
}

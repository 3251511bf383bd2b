//! What is decided while something else is under way: nothing is lost, nothing is doubled.

use lubu::model::approval::OnCorrection;
use lubu::model::delivery::{PublicState, State};
use lubu::model::scope::Scope;
use lubu_channels::{Effect, UpdateBy};

use crate::house::{House, Wired};
use crate::scripted::{Does, Scripted};

#[tokio::test]
async fn a_withdrawal_while_the_post_is_being_sent_takes_it_down_afterwards() {
    let (channel, world) = Scripted::new(Effect::Public, |_| {});
    world
        .lock()
        .expect("unpoisoned")
        .script
        .push_back(Does::Waits);
    let mut house = House::new(vec![Wired::new("weibo", channel)]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    let called = || async { !world.lock().expect("unpoisoned").calls.is_empty() };
    house.once("it is sent", called).await;
    house.withdraw(item).await;
    let state = house.delivery(item, "weibo").await.state;
    assert!(matches!(state, State::Working { .. }));
    world.lock().expect("unpoisoned").gate.cancel();
    house.until(item, "weibo", PublicState::Withdrawn).await;
    let world = world.lock().expect("unpoisoned");
    assert_eq!(world.calls, ["send", "remove"]);
    assert!(world.public.is_empty());
}

#[tokio::test]
async fn a_revision_signed_while_the_first_is_unconfirmed_waits_and_then_replaces_it() {
    let (channel, world) = Scripted::new(Effect::Public, |caps| caps.update = UpdateBy::Replace);
    world
        .lock()
        .expect("unpoisoned")
        .script
        .push_back(Does::LosesAnswer);
    let mut house = House::new(vec![Wired::new("weibo", channel)]).await;
    let (item, first) = house.submit("进展").await;
    house.approve(&first).await.expect("signed");
    house.until(item, "weibo", PublicState::Unconfirmed).await;
    let second = house.revise(item, "进展(更正)").await;
    let choice = vec![(house.no("weibo"), OnCorrection::Replace)];
    house
        .sign(&second, Scope::Public, "leader", choice)
        .await
        .expect("signed");
    house.until(item, "weibo", PublicState::Unconfirmed).await;
    house.step_to_next(item, "weibo").await;
    house.until(item, "weibo", PublicState::Published).await;
    let world = world.lock().expect("unpoisoned");
    assert_eq!(world.calls, ["send", "remove", "send"]);
    assert_eq!(world.public, [(item.to_string(), 2)]);
}

#[tokio::test]
async fn a_crash_between_the_withdrawal_and_the_new_post_of_a_correction_loses_neither() {
    let (channel, world) = Scripted::new(Effect::Public, |caps| caps.update = UpdateBy::Replace);
    let mut house = House::new(vec![Wired::new("weibo", channel)]).await;
    let (item, first) = house.submit("进展").await;
    house.approve(&first).await.expect("signed");
    house.until(item, "weibo", PublicState::Published).await;
    world
        .lock()
        .expect("unpoisoned")
        .script
        .extend([Does::Works, Does::Hangs]);
    let second = house.revise(item, "进展(更正)").await;
    let choice = vec![(house.no("weibo"), OnCorrection::Replace)];
    house
        .sign(&second, Scope::Public, "leader", choice)
        .await
        .expect("signed");
    let called = || async { world.lock().expect("unpoisoned").calls.len() == 3 };
    house.once("the new post is begun", called).await;
    let house = house.crash(&world).await;
    let found = house.until(item, "weibo", PublicState::Unconfirmed).await;
    assert_eq!(found.wanted_revision(), Some(2));
    assert!(world.lock().expect("unpoisoned").public.is_empty());
    assert_eq!(world.lock().expect("unpoisoned").calls.len(), 3);
}

#[tokio::test]
async fn news_that_comes_late_does_not_take_a_delivery_out_of_its_lane() {
    let (channel, world) = Scripted::new(Effect::Idempotent, |_| {});
    world
        .lock()
        .expect("unpoisoned")
        .script
        .push_back(Does::WaitsAndRefuses);
    let mut house = House::new(vec![Wired::new("site", channel)]).await;
    let (item, first) = house.submit("进展").await;
    house.approve(&first).await.expect("signed");
    let called = || async { !world.lock().expect("unpoisoned").calls.is_empty() };
    house.once("it is sent", called).await;
    let second = house.revise(item, "进展(更正)").await;
    let late = house
        .sign_untold(&second, Scope::Public, "leader", Vec::new())
        .await
        .expect("signed");
    assert!(matches!(late[0].state, State::Working { .. }));
    world.lock().expect("unpoisoned").gate.cancel();
    let known = late[0].version;
    let moved = || async { house.delivery(item, "site").await.version > known };
    house.once("the outcome is known", moved).await;
    house.engine.hub().wake(&late);
    house.step_to_next(item, "site").await;
    house.until(item, "site", PublicState::Published).await;
    let world = world.lock().expect("unpoisoned");
    assert_eq!(world.public, [(item.to_string(), 2)]);
}

#[tokio::test]
async fn a_correction_the_channel_cannot_make_waits_for_a_person_even_when_it_came_early() {
    let (channel, world) = Scripted::new(Effect::Public, |caps| caps.update = UpdateBy::Replace);
    world
        .lock()
        .expect("unpoisoned")
        .script
        .push_back(Does::Waits);
    let mut house = House::new(vec![Wired::new("weibo", channel)]).await;
    let (item, first) = house.submit("进展").await;
    house.approve(&first).await.expect("signed");
    let called = || async { !world.lock().expect("unpoisoned").calls.is_empty() };
    house.once("it is sent", called).await;
    let second = house.revise(item, "进展(更正)").await;
    house.approve(&second).await.expect("signed");
    world.lock().expect("unpoisoned").gate.cancel();
    house.until(item, "weibo", PublicState::Held).await;
    assert_eq!(world.lock().expect("unpoisoned").calls, ["send"]);
}

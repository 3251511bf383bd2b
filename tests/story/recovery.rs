//! A process that dies with a step under way: unknown, never due (invariant 4).

use std::sync::{Arc, Mutex};

use lubu::ids::ItemId;
use lubu::model::delivery::{PublicState, State};
use lubu_channels::{Effect, Fate};

use crate::house::{House, Wired};
use crate::scripted::{Does, Scripted, World};

type Scene = (House, ItemId, Arc<Mutex<World>>);

async fn dead_in(effect: Effect) -> Scene {
    let (house, item, world) = sending(effect).await;
    (house.crash(&world).await, item, world)
}

/// The step is under way and does not end.
async fn sending(effect: Effect) -> Scene {
    let (channel, world) = Scripted::new(effect, |_| {});
    world
        .lock()
        .expect("unpoisoned")
        .script
        .push_back(Does::Hangs);
    let mut house = House::new(vec![Wired::new("weibo", channel)]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    let waiting = async {
        while world.lock().expect("unpoisoned").calls.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), waiting)
        .await
        .expect("it is sent");
    let working = house.delivery(item, "weibo").await;
    assert!(
        matches!(working.state, State::Working { .. }),
        "the intent is on disk before the call"
    );
    (house, item, world)
}

#[tokio::test]
async fn a_step_under_way_on_a_channel_that_left_the_configuration_gets_an_owner() {
    let (house, item, world) = sending(Effect::Public).await;
    let id = house.id(item, "weibo");
    let house = house.crash_without(&world, "weibo").await;
    let left = house.store.delivery(id).await.expect("read");
    assert_eq!(
        left.map(|left| (left.public_state(), left.next_at())),
        Some((PublicState::Unconfirmed, None))
    );
}

#[tokio::test]
async fn the_count_of_tries_outlives_the_process() {
    let (channel, world) = Scripted::new(Effect::Public, |_| {});
    let again = Does::Refuses(Fate::Again { not_before: None });
    world
        .lock()
        .expect("unpoisoned")
        .script
        .extend([again.clone(), again]);
    let mut house = House::new(vec![Wired::new("weibo", channel)]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    house.until(item, "weibo", PublicState::Retrying).await;
    house.step_to_next(item, "weibo").await;
    assert_eq!(house.delivery(item, "weibo").await.tries, 2);
    let house = house.crash(&world).await;
    assert_eq!(house.delivery(item, "weibo").await.tries, 2);
}

#[tokio::test]
async fn a_public_step_that_was_under_way_is_looked_for_and_not_repeated() {
    let (house, item, world) = dead_in(Effect::Public).await;
    house.until(item, "weibo", PublicState::Unconfirmed).await;
    house.step_to_next(item, "weibo").await;
    assert_eq!(world.lock().expect("unpoisoned").calls, ["send"]);
}

#[tokio::test]
async fn an_idempotent_step_that_was_under_way_is_repeated() {
    let (house, item, world) = dead_in(Effect::Idempotent).await;
    house.step_to_next(item, "weibo").await;
    house.until(item, "weibo", PublicState::Published).await;
    assert_eq!(world.lock().expect("unpoisoned").public.len(), 1);
}

#[tokio::test]
async fn what_was_published_stays_published_over_a_restart() {
    let (channel, world) = Scripted::new(Effect::Public, |_| {});
    let mut house = House::new(vec![Wired::new("weibo", channel)]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    house.until(item, "weibo", PublicState::Published).await;
    let house = house.crash(&world).await;
    house.until(item, "weibo", PublicState::Published).await;
    assert_eq!(world.lock().expect("unpoisoned").calls, ["send"]);
}

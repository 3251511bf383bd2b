//! What comes in twice, and what waits for its day.

use lubu::model::delivery::PublicState;
use lubu::store::{Refusal, StoreError};
use lubu_channels::Effect;

use crate::house::{House, Wired};
use crate::scripted::Scripted;

async fn house() -> House {
    let (channel, _) = Scripted::new(Effect::Idempotent, |_| {});
    House::new(vec![Wired::new("site", channel)]).await
}

#[tokio::test]
async fn the_same_key_with_another_body_is_refused_and_with_the_same_body_known() {
    let mut house = house().await;
    let (first, _) = house
        .hand_in("一", Some(("k", "body 1")), false, None)
        .await;
    let first = first.expect("accepted");
    let (same, _) = house
        .hand_in("一", Some(("k", "body 1")), false, None)
        .await;
    let same = same.expect("known");
    assert_eq!((same.item, same.known), (first.item, true));
    let (other, _) = house
        .hand_in("二", Some(("k", "body 2")), false, None)
        .await;
    let refused = StoreError::Refused(Refusal::KeyReused(first.item));
    assert_eq!(other, Err(refused));
}

#[tokio::test]
async fn the_same_content_is_known_unless_it_shall_be_there_again() {
    let mut house = house().await;
    let (first, _) = house.submit("一").await;
    let (same, _) = house.hand_in("一", None, false, None).await;
    assert_eq!(same.map(|same| (same.item, same.known)), Ok((first, true)));
    let (again, _) = house.hand_in("一", None, true, None).await;
    let again = again.expect("new");
    assert!(again.item != first && !again.known);
}

#[tokio::test]
async fn what_is_signed_for_a_schedule_waits_for_it_and_so_does_its_correction() {
    let (channel, world) = Scripted::new(Effect::Public, |_| {});
    let mut house = House::new(vec![Wired::new("site", channel)]).await;
    let (item, first) = house.submit_for("一", "monthly").await;
    house.approve(&first).await.expect("signed");
    house.until(item, "site", PublicState::Held).await;
    let second = house.revise_for(item, "一(更正)", Some("monthly")).await;
    house.approve(&second).await.expect("signed");
    assert_eq!(
        house.delivery(item, "site").await.public_state(),
        PublicState::Held,
        "the correction does not run ahead of its day"
    );
    assert_eq!(house.store.waiting_for("monthly").await, Ok(vec![item]));
    let house = house.crash(&world).await;
    assert!(world.lock().expect("unpoisoned").calls.is_empty());
    house.release(item).await;
    house.until(item, "site", PublicState::Published).await;
    let world = world.lock().expect("unpoisoned");
    assert_eq!(world.public, [(item.to_string(), 2)]);
}

//! A folder that was copied or restored: it may be older than what was sent, and its original may still be running.

use std::sync::{Arc, Mutex};

use lubu::ids::ItemId;
use lubu::model::attempt::Outcome;
use lubu::model::delivery::{Delivery, Event, PublicState};
use lubu::store::act::Actor;
use lubu::store::{Act, Refusal, StoreError};
use lubu_channels::{Effect, Fate};

use crate::house::{House, Wired};
use crate::scripted::{Does, Scripted, World};

/// One item published, and two waiting in a paused lane when the folder is copied. Of the two the original publishes the first.
async fn copied() -> (House, Arc<Mutex<World>>, [ItemId; 3]) {
    copied_onto(|_| {}).await
}

/// The same, onto a platform that was changed meanwhile.
async fn copied_onto(change: impl FnOnce(&mut World)) -> (House, Arc<Mutex<World>>, [ItemId; 3]) {
    let (channel, world) = Scripted::new(Effect::Public, |_| {});
    let mut house = House::new(vec![Wired::new("weibo", channel)]).await;
    let (old, revision) = house.submit("早已发布").await;
    house.approve(&revision).await.expect("signed");
    house.until(old, "weibo", PublicState::Published).await;
    house.pause("weibo").await;
    let mut waiting = Vec::new();
    for title in ["备份后发出", "备份后也没有发出"] {
        let (item, revision) = house.submit(title).await;
        house.approve(&revision).await.expect("signed");
        waiting.push(item);
    }
    let key = waiting[0].to_string();
    let gone_out = (key, 1);
    world.lock().expect("unpoisoned").public.push(gone_out);
    change(&mut world.lock().expect("unpoisoned"));
    // A pause outlives a restart; withdrawn again so that nothing but the copy holds anything back.
    house.resume_untold("weibo").await;
    let house = house.crash_and_copy(&world).await;
    (house, world, [old, waiting[0], waiting[1]])
}

fn sends(world: &Mutex<World>) -> usize {
    world.lock().expect("unpoisoned").calls.len()
}

async fn looked_for(house: &House, item: ItemId) -> Delivery {
    house
        .once("it is looked for", || async {
            let delivery = house.delivery(item, "weibo").await;
            delivery.look_since_restored().is_some() || !delivery.is_restored()
        })
        .await;
    house.delivery(item, "weibo").await
}

fn last(held: &Delivery) -> Outcome {
    held.look_since_restored().expect("looked for").outcome
}

async fn adopt(house: &House) {
    let actor = Actor::new("zhang", "cli");
    house
        .store
        .act(Act::Adopt { actor })
        .await
        .expect("adopted");
}

#[tokio::test]
async fn what_a_look_finds_published_comes_to_rest_and_the_rest_is_held_with_what_was_found() {
    let (house, world, [old, out, not_out]) = copied().await;
    assert!(!house.store.standing().adopted);
    house.until(old, "weibo", PublicState::Published).await;
    house.until(out, "weibo", PublicState::Published).await;
    let held = looked_for(&house, not_out).await;
    assert_eq!(held.public_state(), PublicState::Held);
    assert_eq!(last(&held), Outcome::CannotTell, "one look is none");
    house.time.advance(std::time::Duration::from_mins(3));
    let agree = || async { last(&house.delivery(not_out, "weibo").await) == Outcome::Absent };
    house.once("two looks agree", agree).await;
    assert_eq!(sends(&world), 1, "only what went out before the copy");
}

#[tokio::test]
async fn nothing_is_sent_from_a_folder_that_nobody_adopted_however_often_it_starts() {
    let (mut house, world, _) = copied().await;
    let (new, revision) = house.submit("接管前签发").await;
    house.approve(&revision).await.expect("signed");
    let delivery = house.delivery(new, "weibo").await;
    let job = lubu::model::delivery::JobNow {
        goal: lubu_channels::Goal::Publish,
        revision: 1,
        draft: String::new(),
        blob: String::new(),
        round: 1,
    };
    let refused = house.store.act(Act::Intent {
        id: delivery.id,
        version: delivery.version,
        job: Box::new(job),
        step: lubu_channels::Step::new("send", Effect::Public),
    });
    assert_eq!(
        refused.await.err(),
        Some(StoreError::Refused(Refusal::NotAdopted))
    );
    let house = house.crash(&world).await;
    assert!(!house.store.standing().adopted);
    // At the next start it is held like everything that was there before.
    house.until(new, "weibo", PublicState::Held).await;
    assert_eq!(sends(&world), 1);
}

#[tokio::test]
async fn adoption_sends_nothing_of_what_is_held_and_a_release_lets_it_go() {
    let (house, world, [_, _, not_out]) = copied().await;
    looked_for(&house, not_out).await;
    adopt(&house).await;
    assert!(house.store.standing().adopted);
    let again = Act::Adopt {
        actor: Actor::new("zhang", "cli"),
    };
    assert_eq!(
        house.store.act(again).await.err(),
        Some(StoreError::Refused(Refusal::AdoptedAlready))
    );
    let house = house.crash(&world).await;
    assert!(house.store.standing().adopted, "a restart must not forget");
    let held = house.delivery(not_out, "weibo").await;
    assert!(held.is_restored());
    assert_eq!(sends(&world), 1);
    let freed = Act::Decide {
        actor: Actor::new("zhang", "cli"),
        id: held.id,
        event: Box::new(Event::Freed { by: "zhang".into() }),
    };
    house.store.act(freed).await.expect("released");
    house
        .engine
        .hub()
        .wake(&[house.delivery(not_out, "weibo").await]);
    house.until(not_out, "weibo", PublicState::Published).await;
    assert_eq!(sends(&world), 2);
}

#[tokio::test]
async fn a_withdrawal_made_while_it_was_held_goes_out_once_the_folder_is_adopted() {
    let (house, world, [old, ..]) = copied().await;
    house.withdraw(old).await;
    assert_eq!(sends(&world), 1, "not before");
    adopt(&house).await;
    // A refusal that was under way is waited out by the clock; here the lane asks again at once.
    let gone = || async {
        house.engine.hub().halt(false);
        let state = house.delivery(old, "weibo").await.public_state();
        state == PublicState::Withdrawn
    };
    house.once("taken down", gone).await;
    assert_eq!(world.lock().expect("unpoisoned").calls, ["send", "remove"]);
}

#[tokio::test]
async fn what_no_look_can_tell_of_stays_with_a_person_however_often_it_is_looked_for() {
    let (house, world, [_, out, not_out]) = copied_onto(|world| world.unlisted = true).await;
    for item in [out, not_out] {
        looked_for(&house, item).await;
        house.time.advance(std::time::Duration::from_mins(10));
        let held = looked_for(&house, item).await;
        assert!(held.is_restored());
        assert_eq!(last(&held), Outcome::CannotTell);
    }
    assert_eq!(sends(&world), 1);
}

#[tokio::test]
async fn what_a_look_without_record_found_is_taken_down_when_it_is_withdrawn() {
    let (house, world, [_, out, _]) = copied().await;
    house.until(out, "weibo", PublicState::Published).await;
    adopt(&house).await;
    house.withdraw(out).await;
    house.until(out, "weibo", PublicState::Withdrawn).await;
    let key = out.to_string();
    let world = world.lock().expect("unpoisoned");
    assert!(world.public.iter().all(|(one, _)| *one != key));
}

async fn decide(house: &House, item: ItemId, event: Event) {
    let act = Act::Decide {
        actor: Actor::new("li", "cli"),
        id: house.delivery(item, "weibo").await.id,
        event: Box::new(event),
    };
    house.store.act(act).await.expect("decided");
    let delivery = house.delivery(item, "weibo").await;
    house.engine.hub().wake(&[delivery]);
}

/// Both had failed when the folder was copied; the original was told to send the first once more.
#[tokio::test]
async fn a_retry_of_what_had_failed_before_the_copy_looks_first_and_sends_nothing_twice() {
    let (channel, world) = Scripted::new(Effect::Public, |_| {});
    let mut house = House::new(vec![Wired::new("weibo", channel)]).await;
    let mut failed = Vec::new();
    for title in ["备份后重发成功", "备份后没有重发"] {
        let refusal = Does::Refuses(Fate::Never);
        world.lock().expect("unpoisoned").script.push_back(refusal);
        let (item, revision) = house.submit(title).await;
        house.approve(&revision).await.expect("signed");
        house.until(item, "weibo", PublicState::Failed).await;
        failed.push(item);
    }
    let sent = (failed[0].to_string(), 1);
    world.lock().expect("unpoisoned").public.push(sent);
    let house = house.crash_and_copy(&world).await;
    adopt(&house).await;
    for item in &failed {
        house.until(*item, "weibo", PublicState::Failed).await;
        let by = "li".to_owned();
        decide(&house, *item, Event::Retry { by }).await;
    }
    house
        .until(failed[0], "weibo", PublicState::Published)
        .await;
    looked_for(&house, failed[1]).await;
    assert_eq!(sends(&world), 2, "neither was sent");
    let by = "li".to_owned();
    decide(&house, failed[1], Event::Freed { by }).await;
    house
        .until(failed[1], "weibo", PublicState::Published)
        .await;
    assert_eq!(sends(&world), 3);
}

//! An answer that never came: looked for, never guessed (design §4, reliability §4.7).

use std::time::Duration;

use lubu::model::delivery::{Event, PublicState};
use lubu::model::scope::Scope;
use lubu::store::act::Actor;
use lubu::store::{Act, Refusal, StoreError};
use lubu_channels::{Clock as _, Effect, Fate, Truth, Words};

use crate::house::{House, Wired};
use crate::scripted::{Does, Scripted};

fn say(text: &str) -> Truth {
    Truth::CannotTell(Words::new(text, text))
}

#[tokio::test]
async fn a_lost_answer_to_a_public_step_is_found_by_the_look_and_not_sent_again() {
    let (channel, world) = Scripted::new(Effect::Public, |_| {});
    world
        .lock()
        .expect("unpoisoned")
        .script
        .push_back(Does::LosesAnswer);
    let mut house = House::new(vec![Wired::new("weibo", channel)]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    let unknown = house.until(item, "weibo", PublicState::Unconfirmed).await;
    let settle = unknown.next_at().expect("a look is planned") - house.time.now();
    assert_eq!(
        settle,
        chrono::TimeDelta::minutes(3),
        "no look counts before the settle time"
    );
    house.step_to_next(item, "weibo").await;
    house.until(item, "weibo", PublicState::Published).await;
    let world = world.lock().expect("unpoisoned");
    assert_eq!(world.calls, ["send"]);
    assert_eq!(world.public.len(), 1);
}

#[tokio::test]
async fn one_look_that_finds_nothing_is_not_enough() {
    let (channel, world) = Scripted::new(Effect::Public, |caps| caps.repeat_when_absent = true);
    world
        .lock()
        .expect("unpoisoned")
        .script
        .push_back(Does::LosesCall);
    let mut house = House::new(vec![Wired::new("weibo", channel)]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    house.until(item, "weibo", PublicState::Unconfirmed).await;
    let after_one = house.step_to_next(item, "weibo").await;
    assert_eq!(after_one.public_state(), PublicState::Unconfirmed);
    assert_eq!(world.lock().expect("unpoisoned").calls, ["send"]);
    house.step_to_next(item, "weibo").await;
    house.until(item, "weibo", PublicState::Published).await;
    let world = world.lock().expect("unpoisoned");
    assert_eq!(
        world.calls,
        ["send", "send"],
        "two looks agreed, and it was repeated once"
    );
    assert_eq!(world.public.len(), 1);
}

#[tokio::test]
async fn where_the_channel_does_not_allow_a_repeat_a_person_decides() {
    let (channel, world) = Scripted::new(Effect::Public, |_| {});
    world
        .lock()
        .expect("unpoisoned")
        .script
        .push_back(Does::LosesCall);
    let mut house = House::new(vec![Wired::new("wechat", channel)]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    house.until(item, "wechat", PublicState::Unconfirmed).await;
    house.step_to_next(item, "wechat").await;
    house.step_to_next(item, "wechat").await;
    house.until(item, "wechat", PublicState::Failed).await;
    assert_eq!(world.lock().expect("unpoisoned").calls, ["send"]);
}

#[tokio::test]
async fn a_second_unknown_outcome_is_never_repeated_by_itself() {
    let (channel, world) = Scripted::new(Effect::Public, |caps| caps.repeat_when_absent = true);
    world
        .lock()
        .expect("unpoisoned")
        .script
        .extend([Does::LosesCall, Does::LosesCall]);
    let mut house = House::new(vec![Wired::new("weibo", channel)]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    house.until(item, "weibo", PublicState::Unconfirmed).await;
    house.step_to_next(item, "weibo").await;
    house.step_to_next(item, "weibo").await;
    house.until(item, "weibo", PublicState::Unconfirmed).await;
    house.step_to_next(item, "weibo").await;
    house.step_to_next(item, "weibo").await;
    house.until(item, "weibo", PublicState::Failed).await;
    assert_eq!(world.lock().expect("unpoisoned").calls, ["send", "send"]);
}

#[tokio::test]
async fn a_look_that_cannot_tell_ends_with_a_person_and_never_with_a_repeat() {
    let (channel, world) = Scripted::new(Effect::Public, |caps| caps.repeat_when_absent = true);
    {
        let mut world = world.lock().expect("unpoisoned");
        world.script.push_back(Does::LosesCall);
        world.looks.extend([say("1"), say("2"), say("3")]);
    }
    let mut house = House::new(vec![Wired::new("weibo", channel)]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    house.until(item, "weibo", PublicState::Unconfirmed).await;
    for _ in 0..3 {
        house.step_to_next(item, "weibo").await;
    }
    let owned = house.delivery(item, "weibo").await;
    assert_eq!(owned.public_state(), PublicState::Unconfirmed);
    assert_eq!(owned.next_at(), None, "the plan is over; a person owns it");
    assert_eq!(world.lock().expect("unpoisoned").calls, ["send"]);
}

#[tokio::test]
async fn who_saw_that_it_is_absent_cannot_order_the_next_send() {
    let (channel, world) = Scripted::new(Effect::Public, |_| {});
    world
        .lock()
        .expect("unpoisoned")
        .script
        .push_back(Does::LosesCall);
    let mut house = House::new(vec![Wired::new("weibo", channel)]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    house.until(item, "weibo", PublicState::Unconfirmed).await;
    let id = house.id(item, "weibo");
    let decide = |by: &str, event: Event| Act::Decide {
        actor: Actor::new(by, "cli"),
        id,
        event: Box::new(event),
    };
    let absent = || Event::SaidAbsent { by: "张".into() };
    // Before the settle time what was sent may still arrive: nobody can say that it is not there.
    let early = house.store.act(decide("张", absent())).await;
    let Err(StoreError::Refused(Refusal::TooEarly { until })) = early else {
        panic!("{early:?}");
    };
    house.time.set(until);
    house.store.act(decide("张", absent())).await.expect("said");
    let again = Event::Retry { by: "张".into() };
    let refused = house
        .store
        .act(decide("张", again))
        .await
        .expect_err("refused");
    assert_eq!(
        refused,
        StoreError::Refused(Refusal::NeedsAnother { by: "张".into() })
    );
    // Signing again would order it as well.
    let signed = house.sign(&revision, Scope::Public, "张", Vec::new()).await;
    assert_eq!(
        signed,
        Err(StoreError::Refused(Refusal::NeedsAnother {
            by: "张".into()
        }))
    );
    let key_before = key(&house, item).await;
    let other = Event::Retry { by: "李".into() };
    house
        .store
        .act(decide("李", other))
        .await
        .expect("another may");
    let retried = house.delivery(item, "weibo").await;
    house.engine.hub().wake(&[retried]);
    house.until(item, "weibo", PublicState::Published).await;
    assert_eq!(
        key(&house, item).await,
        key_before,
        "an unknown outcome never starts a new round"
    );
}

async fn key(house: &House, item: lubu::ids::ItemId) -> String {
    let delivery = house.delivery(item, "weibo").await;
    delivery.key(delivery.job.as_ref().expect("a job"))
}

#[tokio::test]
async fn a_keyed_step_is_repeated_under_its_key_after_the_pause_and_not_before() {
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
    let waiting = house.until(item, "mass", PublicState::Retrying).await;
    assert_eq!(
        waiting.next_at().expect("soon") - house.time.now(),
        chrono::TimeDelta::minutes(1)
    );
    house.step_to_next(item, "mass").await;
    house.until(item, "mass", PublicState::Published).await;
    assert_eq!(world.lock().expect("unpoisoned").public.len(), 1);
}

#[tokio::test]
async fn an_idempotent_step_is_simply_repeated() {
    let (channel, world) = Scripted::new(Effect::Idempotent, |_| {});
    world
        .lock()
        .expect("unpoisoned")
        .script
        .push_back(Does::LosesAnswer);
    let mut house = House::new(vec![Wired::new("site", channel)]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    house.until(item, "site", PublicState::Retrying).await;
    house.step_to_next(item, "site").await;
    house.until(item, "site", PublicState::Published).await;
    assert_eq!(world.lock().expect("unpoisoned").public.len(), 1);
}

#[tokio::test]
async fn a_platform_that_asks_to_wait_is_not_asked_again_before() {
    let (channel, world) = Scripted::new(Effect::Idempotent, |_| {});
    let mut house = House::new(vec![Wired::new("site", channel)]).await;
    let not_before = Some(house.time.now() + Duration::from_hours(2));
    world
        .lock()
        .expect("unpoisoned")
        .script
        .push_back(Does::Refuses(Fate::Again { not_before }));
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    let waiting = house.until(item, "site", PublicState::Retrying).await;
    assert_eq!(waiting.next_at(), not_before);
}

//! Something that takes the process along (fault 81): three deaths, and it is set aside; everything else goes on.
//!
//! In a story a process dies by being forgotten while the channel hangs: what it had named as at work stays named.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lubu::engine::suspects::{MOST, QUIET, Work};
use lubu::ids::ItemId;
use lubu::model::delivery::{Delivery, Event, Hold, PublicState, State};
use lubu::store::act::Actor;
use lubu::store::{Act, Answer};
use lubu_channels::{Clock as _, Effect};
use tokio_util::sync::CancellationToken;

use crate::house::{House, Wired};
use crate::scripted::{Does, Scripted, World};

fn of<T>(world: &Mutex<World>, f: impl FnOnce(&mut World) -> T) -> T {
    f(&mut world.lock().expect("unpoisoned"))
}

fn is_set_aside(delivery: &Delivery) -> bool {
    let poison = |why: &Hold| matches!(why, Hold::Poison(_));
    matches!(&delivery.state, State::Held { why, at: None } if poison(why))
}

fn calls(world: &Mutex<World>) -> usize {
    world.lock().expect("unpoisoned").calls.len()
}

async fn until_called(house: &House, world: &Mutex<World>, more_than: usize) {
    house
        .once("it is called", || async { calls(world) > more_than })
        .await;
}

/// The process dies while the item is at work; whatever else it does has come to rest.
async fn dies_with(house: House, world: &Arc<Mutex<World>>, item: ItemId) -> House {
    let house = house.crash(world).await;
    {
        let mut world = world.lock().expect("unpoisoned");
        world.dead = CancellationToken::new();
        world.script.push_back(Does::Hangs);
    }
    if let Some(at) = house.delivery(item, "site").await.next_at() {
        house.time.set(at.max(house.time.now()));
    }
    house
}

/// An item whose step is under way and does not end.
async fn at_work() -> (House, Arc<Mutex<World>>, ItemId) {
    let (channel, world) = Scripted::new(Effect::Idempotent, |_| {});
    world
        .lock()
        .expect("unpoisoned")
        .script
        .push_back(Does::Hangs);
    let mut house = House::new(vec![Wired::new("site", channel)]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    until_called(&house, &world, 0).await;
    (house, world, item)
}

/// Set aside at the fourth start, after three deaths.
async fn set_aside() -> (House, Arc<Mutex<World>>, ItemId) {
    let (mut house, world, item) = at_work().await;
    for death in 1..MOST {
        let before = calls(&world);
        house = dies_with(house, &world, item).await;
        let work = Work::Delivery(house.id(item, "site"));
        assert_eq!(house.engine.shared.suspects.deaths(work), death);
        house.time.advance(QUIET);
        until_called(&house, &world, before).await;
    }
    let house = house.crash(&world).await;
    world.lock().expect("unpoisoned").dead = CancellationToken::new();
    (house, world, item)
}

async fn decide(house: &House, item: ItemId, event: Event) {
    let act = Act::Decide {
        actor: Actor::new("ops", "cli"),
        id: house.id(item, "site"),
        event: Box::new(event),
    };
    let answer = house.store.act(act).await.expect("taken");
    if let Answer::Settled(after, _) = answer {
        house.engine.hub().wake(&[*after]);
    }
}

#[tokio::test]
async fn what_was_at_work_at_three_deaths_is_held_with_an_owner_and_the_others_go_on() {
    let (mut house, world, item) = set_aside().await;
    let held = house.delivery(item, "site").await;
    assert!(is_set_aside(&held), "{:?}", held.state);
    assert!(held.public_state().needs_person());
    let before = calls(&world);
    let (other, revision) = house.submit("另一条").await;
    house.approve(&revision).await.expect("signed");
    house.until(other, "site", PublicState::Published).await;
    assert_eq!(calls(&world), before + 1, "nothing more of the held one");
    let house = house.crash(&world).await;
    assert!(is_set_aside(&house.delivery(item, "site").await));
}

/// What would be sent waits for the list; without this the process would end at every start, and take all along.
#[tokio::test]
async fn a_list_that_ends_the_process_three_times_is_not_asked_for_again_before_a_person_says_so() {
    let (channel, world) = Scripted::new(Effect::Public, Scripted::listing);
    of(&world, |world| world.survey_hangs = true);
    let mut house = House::new(vec![Wired::new("weibo", channel)]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    let work = Work::Survey(house.no("weibo"));
    for death in 1..=MOST {
        let asked = || async { of(&world, |world| world.surveyed) == usize::from(death) };
        house.once("it is asked", asked).await;
        house = house.crash(&world).await;
        of(&world, |world| world.dead = CancellationToken::new());
        assert_eq!(house.engine.shared.suspects.deaths(work), death);
        house.time.advance(QUIET);
    }
    let unlisted = || house.engine.hub().unlisted(house.no("weibo"));
    house
        .once("it says so", || async { unlisted().is_some() })
        .await;
    let why = unlisted().expect("told").why;
    assert!(why.zh.contains("lubu channels resume"), "{}", why.zh);
    assert_eq!(of(&world, |world| world.surveyed), usize::from(MOST));
    let waits = house.delivery(item, "weibo").await.public_state();
    assert_eq!(waits, PublicState::Pending);
    of(&world, |world| world.survey_hangs = false);
    house.resume("weibo").await;
    house.until(item, "weibo", PublicState::Published).await;
}

#[tokio::test]
async fn a_list_that_a_stop_in_order_cuts_off_is_as_suspect_as_before() {
    let (channel, world) = Scripted::new(Effect::Public, Scripted::listing);
    of(&world, |world| world.survey_hangs = true);
    let mut house = House::new(vec![Wired::new("weibo", channel)]).await;
    let (_, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    let asked = |count| of(&world, |world| world.surveyed == count);
    house.once("it is asked", || async { asked(1) }).await;
    let house = house.crash(&world).await;
    of(&world, |world| world.dead = CancellationToken::new());
    house.once("it is asked again", || async { asked(2) }).await;
    house.engine.shared.stop.cancel();
    house.engine.stop(Duration::from_secs(20)).await;
    let work = Work::Survey(house.no("weibo"));
    assert_eq!(house.engine.shared.suspects.deaths(work), 1);
}

#[tokio::test]
async fn a_suspect_that_died_twice_waits_a_while_and_new_work_does_not() {
    let (house, world, item) = at_work().await;
    let before = calls(&world);
    let house = dies_with(house, &world, item).await;
    house.time.advance(QUIET);
    until_called(&house, &world, before).await;
    let before = calls(&world);
    let mut house = house.crash(&world).await;
    world.lock().expect("unpoisoned").dead = CancellationToken::new();
    let at = house.delivery(item, "site").await.next_at();
    let (other, revision) = house.submit("另一条").await;
    house.approve(&revision).await.expect("signed");
    house.until(other, "site", PublicState::Published).await;
    assert_eq!(
        calls(&world),
        before + 1,
        "the suspect has not had its turn"
    );
    house
        .time
        .set(at.expect("due").max(house.time.now() + QUIET));
    house.until(item, "site", PublicState::Published).await;
    let work = Work::Delivery(house.id(item, "site"));
    let through = || async { house.engine.shared.suspects.deaths(work) == 0 };
    house.once("it got through", through).await;
}

#[tokio::test]
async fn a_person_lets_it_go_on_with_a_fresh_count() {
    let (house, world, item) = set_aside().await;
    decide(&house, item, Event::Retry { by: "ops".into() }).await;
    house.time.advance(Duration::from_mins(5));
    house.until(item, "site", PublicState::Published).await;
    assert_eq!(world.lock().expect("unpoisoned").public.len(), 1);
}

#[tokio::test]
async fn it_can_be_withdrawn() {
    let (house, _world, item) = set_aside().await;
    house.withdraw(item).await;
    house.time.advance(Duration::from_mins(5));
    house.until(item, "site", PublicState::Withdrawn).await;
}

/// `MOST` panics, after so many calls that went well.
async fn panics_until_set_aside(house: &House, world: &Mutex<World>, item: ItemId, well: usize) {
    for panic in 0..usize::from(MOST) {
        until_called(house, world, well + panic).await;
        let open = || async {
            let delivery = house.delivery(item, "site").await;
            !matches!(delivery.state, State::Working { .. })
        };
        house.once("the panic is noticed", open).await;
        if panic + 1 < usize::from(MOST) {
            let asleep = || async { house.time.next_wake().is_some() };
            house.once("its lane waits", asleep).await;
            house.time.set(house.time.next_wake().expect("waits"));
        }
    }
    let aside = || async { is_set_aside(&house.delivery(item, "site").await) };
    house.once("it is set aside", aside).await;
}

#[tokio::test]
async fn three_panics_in_a_row_set_it_aside_and_its_lane_lives_on() {
    let (channel, world) = Scripted::new(Effect::Idempotent, |_| {});
    let panics = std::iter::repeat_n(Does::Panics, usize::from(MOST));
    world.lock().expect("unpoisoned").script.extend(panics);
    let mut house = House::new(vec![Wired::new("site", channel)]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    panics_until_set_aside(&house, &world, item, 0).await;
    let (other, revision) = house.submit("另一条").await;
    house.approve(&revision).await.expect("signed");
    house.until(other, "site", PublicState::Published).await;
}

#[tokio::test]
async fn a_stop_in_order_is_no_death() {
    let (house, world, item) = at_work().await;
    house.engine.shared.suspects.close();
    let house = dies_with(house, &world, item).await;
    let work = Work::Delivery(house.id(item, "site"));
    assert_eq!(house.engine.shared.suspects.deaths(work), 0);
}

#[tokio::test]
async fn what_dies_in_a_run_for_all_is_counted_though_its_own_step_got_through() {
    let (channel, world) = Scripted::with_lists();
    let script = [Does::Works, Does::Hangs];
    world.lock().expect("unpoisoned").script.extend(script);
    let mut house = House::new(vec![Wired::new("site", channel)]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    until_called(&house, &world, 1).await;
    for death in 1..MOST {
        let before = calls(&world);
        house = dies_with(house, &world, item).await;
        let work = Work::Delivery(house.id(item, "site"));
        assert_eq!(house.engine.shared.suspects.deaths(work), death);
        house.time.advance(QUIET);
        until_called(&house, &world, before).await;
    }
    let house = house.crash(&world).await;
    assert!(is_set_aside(&house.delivery(item, "site").await));
}

#[tokio::test]
async fn three_panics_in_a_run_for_all_set_it_aside_and_its_lane_lives_on() {
    let (channel, world) = Scripted::with_lists();
    let panics = std::iter::repeat_n(Does::Panics, usize::from(MOST));
    let script = std::iter::once(Does::Works).chain(panics);
    world.lock().expect("unpoisoned").script.extend(script);
    let mut house = House::new(vec![Wired::new("site", channel)]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    panics_until_set_aside(&house, &world, item, 1).await;
    let (other, revision) = house.submit("另一条").await;
    house.approve(&revision).await.expect("signed");
    house.until(other, "site", PublicState::InReview).await;
}

//! A wrong clock outlives the process that noticed it, and one that was set while nobody ran is noticed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use lubu::clock::{Doubt, Steered, Time as _};
use lubu::ids::ItemId;
use lubu::model::delivery::PublicState;
use lubu::model::halt::Halt;
use lubu::store::Refusal;
use lubu_channels::{Clock as _, Effect, Fate};

use crate::halts::{ask, until_asked};
use crate::house::{House, Wired};
use crate::scripted::{Does, Scripted, World};

const KEYED: Effect = Effect::Keyed {
    window: Duration::from_hours(24),
    pause: Duration::from_mins(1),
};
const HOUR: TimeDelta = TimeDelta::hours(1);
const MONTH: TimeDelta = TimeDelta::days(30);

fn calls(world: &Arc<Mutex<World>>) -> Vec<String> {
    world.lock().expect("unpoisoned").calls.clone()
}

async fn open(effect: Effect) -> (House, Arc<Mutex<World>>) {
    let (channel, world) = Scripted::new(effect, |_| {});
    (House::new(vec![Wired::new("wechat", channel)]).await, world)
}

/// An item whose send ends so, and waits for its next try.
async fn fails(house: &mut House, world: &Arc<Mutex<World>>, does: Does) -> ItemId {
    world.lock().expect("unpoisoned").script.push_back(does);
    let (item, revision) = house.submit("等待重试").await;
    house.approve(&revision).await.expect("signed");
    house.until(item, "wechat", PublicState::Retrying).await;
    item
}

/// The same in a new house.
async fn waiting(effect: Effect, does: Does) -> (House, Arc<Mutex<World>>, ItemId) {
    let (mut house, world) = open(effect).await;
    let item = fails(&mut house, &world, does).await;
    (house, world, item)
}

/// Time goes on until it stands so.
async fn becomes(house: &House, item: ItemId, state: PublicState) {
    let stands = || async {
        let one = house.delivery(item, "wechat").await;
        if let Some(next) = one.next_at().filter(|at| *at > house.time.now()) {
            house.time.set(next);
        }
        one.public_state() == state
    };
    house.once("it stands so", stands).await;
}

/// How long it waits from now.
async fn wait(house: &House, item: ItemId) -> Option<TimeDelta> {
    let at = house.delivery(item, "wechat").await.next_at();
    at.map(|at| at - house.time.now())
}

async fn is_halted(house: &House, item: ItemId) {
    let refused = ask(house, item, "wechat").await;
    assert!(
        matches!(refused, Refusal::Halted(Halt::Clock(_))),
        "{refused:?}"
    );
}

/// Set while nobody ran, on the same boot.
fn set(ahead: TimeDelta) -> impl FnOnce(&Steered) {
    move |time| {
        time.advance(Duration::from_secs(2));
        time.set_wall(ahead);
    }
}

#[tokio::test]
async fn a_clock_set_while_the_daemon_is_down_is_doubted_and_no_wait_ends_by_it() {
    for ahead in [-HOUR, MONTH] {
        let again = Does::Refuses(Fate::Again { not_before: None });
        let (house, world, item) = waiting(Effect::Idempotent, again).await;
        let (now, before) = (house.time.now(), wait(&house, item).await);
        let mut house = house.crash_while(&world, set(ahead)).await;
        assert!(matches!(house.time.doubt(), Some(Doubt::Jumped { .. })));
        assert_eq!(house.time.now() - now, TimeDelta::seconds(2));
        let waits = wait(&house, item).await;
        assert_eq!(waits, before.map(|before| before - TimeDelta::seconds(2)));
        let (new, revision) = house.submit("新").await;
        house.approve(&revision).await.expect("signed");
        is_halted(&house, new).await;
        assert_eq!(calls(&world), ["send"], "{ahead}");
        // Set right: all goes on, at its own time.
        house.time.set_wall(TimeDelta::zero());
        assert_eq!(house.time.doubt(), None);
        until_asked(&house, new, "wechat").await;
        house.until(new, "wechat", PublicState::Published).await;
        assert_eq!(calls(&world).len(), 2, "nothing early");
        house.step_to_next(item, "wechat").await;
        house.until(item, "wechat", PublicState::Published).await;
        assert_eq!(calls(&world).len(), 3);
    }
}

#[tokio::test]
async fn a_persons_word_after_that_keeps_every_wait_as_long_as_it_was() {
    for ahead in [-HOUR, MONTH] {
        let again = Does::Refuses(Fate::Again { not_before: None });
        let (house, world, item) = waiting(Effect::Idempotent, again).await;
        let house = house.crash_while(&world, set(ahead)).await;
        let (now, before) = (house.time.now(), wait(&house, item).await);
        house.confirm_clock().await;
        assert_eq!(house.time.doubt(), None);
        assert_eq!(house.time.now() - now, ahead);
        assert_eq!(wait(&house, item).await, before, "{ahead}");
        assert_eq!(calls(&world), ["send"]);
        // The word holds for the next process, though nothing was recorded since.
        let house = house.crash(&world).await;
        assert_eq!(house.time.doubt(), None);
        assert_eq!(wait(&house, item).await, before);
        house.step_to_next(item, "wechat").await;
        house.until(item, "wechat", PublicState::Published).await;
        assert_eq!(calls(&world).len(), 2);
    }
}

#[tokio::test]
async fn a_doubt_goes_on_past_the_newest_record_and_a_key_keeps_the_window_it_had() {
    let (house, world) = open(KEYED).await;
    let ahead = |time: &Steered| {
        time.machine.boots();
        time.set_wall(TimeDelta::hours(22));
    };
    let mut house = house.crash_while(&world, ahead).await;
    assert_eq!(house.time.doubt(), None, "nobody can know");
    let item = fails(&mut house, &world, Does::LosesAnswer).await;
    // Set right: doubted. A restart a day later, past the newest record, doubts it still.
    house.time.set_wall(TimeDelta::zero());
    let later = |time: &Steered| time.advance(Duration::from_hours(23));
    let house = house.crash_while(&world, later).await;
    assert!(matches!(house.time.doubt(), Some(Doubt::Jumped { .. })));
    house.confirm_clock().await;
    becomes(&house, item, PublicState::Published).await;
    assert_eq!(
        calls(&world),
        ["send"],
        "its key had run out: it was looked for"
    );
}

#[tokio::test]
async fn a_key_within_its_window_is_used_again_though_the_clock_was_set() {
    let (house, world, item) = waiting(KEYED, Does::LosesCall).await;
    let house = house.crash_while(&world, set(-HOUR)).await;
    house.time.advance(Duration::from_mins(10));
    assert_eq!(calls(&world), ["send"]);
    house.confirm_clock().await;
    becomes(&house, item, PublicState::Published).await;
    assert_eq!(calls(&world), ["send", "send"]);
}

#[tokio::test]
async fn after_a_restart_of_the_machine_in_doubt_a_key_has_run_out() {
    let (house, world, item) = waiting(KEYED, Does::LosesAnswer).await;
    house.time.set_wall(-HOUR);
    assert!(house.time.doubt().is_some());
    let boots = |time: &Steered| {
        time.advance(Duration::from_mins(10));
        time.machine.boots();
        time.set_wall(TimeDelta::zero());
    };
    let house = house.crash_while(&world, boots).await;
    assert!(
        house.time.doubt().is_some(),
        "nobody can know that it was set right"
    );
    assert_eq!(calls(&world), ["send"]);
    house.confirm_clock().await;
    becomes(&house, item, PublicState::Published).await;
    assert_eq!(calls(&world), ["send"], "never a second time");
}

#[tokio::test]
async fn a_copied_folder_does_not_believe_what_was_kept_elsewhere() {
    let again = Does::Refuses(Fate::Again { not_before: None });
    let (house, world, _) = waiting(Effect::Idempotent, again).await;
    house.time.set_wall(-HOUR);
    house.time.keep();
    assert!(house.time.doubt().is_some());
    house.time.set_wall(TimeDelta::zero());
    let house = house.crash_and_copy(&world).await;
    assert_eq!(house.time.doubt(), None);
}

//! A wrong clock outlives the process that noticed it, and one that was set while nobody ran is noticed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use lubu::clock::{Doubt, Steered, Time as _};
use lubu::ids::ItemId;
use lubu::model::delivery::PublicState;
use lubu::model::halt::Halt;
use lubu::store::act::Actor;
use lubu::store::{Act, Refusal};
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

/// A lane that was refused asks again so much later; it may have been just before the word.
const AGAIN: TimeDelta = TimeDelta::seconds(5);

/// Time goes on until it stands so.
async fn becomes(house: &House, item: ItemId, state: PublicState) {
    let stands = || async {
        let one = house.delivery(item, "wechat").await;
        let now = house.time.now();
        let asks_again = house.time.next_wake().filter(|at| *at - now <= AGAIN);
        let next = one.next_at().map(|at| at.max(asks_again.unwrap_or(at)));
        if let Some(next) = next.filter(|at| *at > now) {
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

/// A public post whose call was lost, on a channel that repeats what is absent.
async fn lost_for_good() -> (House, Arc<Mutex<World>>, ItemId) {
    let (channel, world) = Scripted::new(Effect::Public, |caps| caps.repeat_when_absent = true);
    let mut house = House::new(vec![Wired::new("wechat", channel)]).await;
    world
        .lock()
        .expect("unpoisoned")
        .script
        .push_back(Does::LosesCall);
    let (item, revision) = house.submit("结果不明").await;
    house.approve(&revision).await.expect("signed");
    house.until(item, "wechat", PublicState::Unconfirmed).await;
    (house, world, item)
}

#[tokio::test]
async fn what_a_look_in_doubt_does_not_find_is_not_absent() {
    let (house, world, item) = lost_for_good().await;
    house.time.set_wall(-HOUR);
    for look in 0..8 {
        let after = house.step_to_next(item, "wechat").await;
        assert_eq!(after.public_state(), PublicState::Unconfirmed, "{look}");
        assert!(after.next_at().is_some(), "looks go on: {look}");
    }
    // Set right: two looks that agree count again, and both are still to come.
    house.time.set_wall(TimeDelta::zero());
    house.engine.hub().halt(false);
    let first = house.step_to_next(item, "wechat").await;
    assert_eq!(first.public_state(), PublicState::Unconfirmed);
    assert_eq!(calls(&world), ["send"]);
    house.step_to_next(item, "wechat").await;
    house.until(item, "wechat", PublicState::Published).await;
    assert_eq!(calls(&world), ["send", "send"]);
}

#[tokio::test]
async fn an_absence_by_a_clock_that_stood_ahead_is_looked_for_again_after_the_word() {
    let (house, world, item) = lost_for_good().await;
    let once = house.step_to_next(item, "wechat").await;
    assert_eq!(once.public_state(), PublicState::Unconfirmed);
    house.time.set_wall(-HOUR);
    house.confirm_clock().await;
    let again = house.step_to_next(item, "wechat").await;
    assert_eq!(again.public_state(), PublicState::Unconfirmed, "the first");
    assert_eq!(calls(&world), ["send"]);
    house.step_to_next(item, "wechat").await;
    house.until(item, "wechat", PublicState::Published).await;
}

/// The first half of a word, as the journal has it.
async fn word(house: &House) -> u64 {
    let actor = Actor::new("leader", "cli");
    let by = house.time.gap();
    let act = Act::SetBack { actor, by };
    house.store.act(act).await.expect("set");
    house.store.set_back().await.expect("read").finished()
}

#[tokio::test]
async fn a_death_between_the_word_and_its_last_entry_leaves_no_doubt_and_sets_nothing_twice() {
    for told in [false, true] {
        let again = Does::Refuses(Fate::Again { not_before: None });
        let (house, world, item) = waiting(Effect::Idempotent, again).await;
        let before = wait(&house, item).await;
        house.time.set_wall(-HOUR);
        let set = word(&house).await;
        if told {
            house.time.confirm(set);
        }
        let house = house.crash_while(&world, |_| {}).await;
        assert_eq!(house.time.doubt(), None, "{told}");
        assert_eq!(wait(&house, item).await, before, "{told}");
        assert_eq!(calls(&world), ["send"]);
    }
}

#[tokio::test]
async fn a_withdrawal_that_comes_in_the_middle_of_a_word_does_not_wait_for_the_gap() {
    let again = Does::Refuses(Fate::Again { not_before: None });
    let (house, _, item) = waiting(Effect::Idempotent, again).await;
    house.time.set_wall(-MONTH);
    let actor = Actor::new("leader", "cli");
    let set = word(&house).await;
    let reason = "数字有误".into();
    let act = Act::Withdraw {
        actor,
        item,
        reason,
    };
    house.store.act(act).await.expect("withdrawn");
    house.time.confirm(set);
    let after = house.delivery(item, "wechat").await;
    assert!(
        after.next_at().is_none_or(|at| at <= house.time.now()),
        "{:?}",
        after.state
    );
}

#[tokio::test]
async fn an_open_breaker_waits_as_long_as_before_after_a_word() {
    let (mut house, world) = open(Effect::Idempotent).await;
    let again = || Does::Refuses(Fate::Again { not_before: None });
    world
        .lock()
        .expect("unpoisoned")
        .script
        .extend([again(), again()]);
    let item = fails(&mut house, &world, again()).await;
    house.step_to_next(item, "wechat").await;
    house.step_to_next(item, "wechat").await;
    let opens = async || house.record("wechat").await.breaker.until;
    house
        .once("it opens", || async { opens().await.is_some() })
        .await;
    house.time.set_wall(-MONTH);
    let left = opens().await.map(|until| until - house.time.now());
    house.confirm_clock().await;
    let until = opens().await.expect("open");
    assert_eq!(Some(until - house.time.now()), left);
    // The lane knows of it, too.
    house.time.set(until);
    house.until(item, "wechat", PublicState::Published).await;
}

#[tokio::test]
async fn a_word_whose_speaker_went_away_in_the_middle_is_not_said_twice() {
    let again = Does::Refuses(Fate::Again { not_before: None });
    let (house, world, item) = waiting(Effect::Idempotent, again).await;
    let before = wait(&house, item).await;
    house.time.set_wall(-HOUR);
    word(&house).await;
    assert!(
        house.time.doubt().is_some(),
        "the clock has not heard of it"
    );
    house.confirm_clock().await;
    assert_eq!(house.time.doubt(), None);
    assert_eq!(wait(&house, item).await, before);
    house.step_to_next(item, "wechat").await;
    house.until(item, "wechat", PublicState::Published).await;
    assert_eq!(calls(&world).len(), 2);
}

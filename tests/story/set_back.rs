//! A store that was set back, or a platform that shows what nobody here sent: the channel asks before it sends.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lubu::ids::ItemId;
use lubu::model::channel::Pause;
use lubu::model::delivery::{Event, PublicState};
use lubu::model::survey::Census;
use lubu::store::Act;
use lubu::store::act::{Actor, LaneNews};
use lubu_channels::{Clock as _, Effect, Fate, Posted, Sign, Stands, Words};
use tempfile::TempDir;

use crate::house::{House, Wired, copy_folder};
use crate::scripted::{Does, Scripted, World};

type Shared = Arc<Mutex<World>>;

async fn listing(effect: Effect) -> (House, Shared) {
    let (channel, world) = Scripted::new(effect, Scripted::listing);
    (House::new(vec![Wired::new("weibo", channel)]).await, world)
}

fn of<T>(world: &Mutex<World>, f: impl FnOnce(&mut World) -> T) -> T {
    f(&mut world.lock().expect("unpoisoned"))
}

fn stranger(id: &str) -> Posted {
    Posted {
        remote_id: id.to_owned(),
        address: Some(format!("http://127.0.0.1/{id}")),
        at: None,
        title: "无人知晓".to_owned(),
        sign: Sign::Item(ItemId::new(7, [9; 10]).to_string()),
        stands: Stands::Public,
    }
}

async fn sign(house: &mut House, title: &str) -> ItemId {
    let (item, revision) = house.submit(title).await;
    house.approve(&revision).await.expect("signed");
    item
}

async fn publish(house: &mut House, title: &str) -> ItemId {
    let item = sign(house, title).await;
    house.until(item, "weibo", PublicState::Published).await;
    item
}

async fn census(house: &House) -> Option<Census> {
    let all = house.store.censuses().await.expect("read");
    all.into_iter().next()
}

async fn stopped(house: &House) -> Pause {
    let paused = || async { house.record("weibo").await.pause.is_some() };
    house.once("it is stopped", paused).await;
    house.record("weibo").await.pause.expect("paused")
}

/// The folder as it was at the copy, in the same place: nothing in it tells.
fn put_back(data: &Path, snapshot: &Path) {
    for entry in fs::read_dir(data).expect("read") {
        let entry = entry.expect("read");
        if entry.file_type().expect("known").is_dir() {
            fs::remove_dir_all(entry.path()).expect("gone");
        } else if entry.file_name() != "store.toml" {
            fs::remove_file(entry.path()).expect("gone");
        }
    }
    let store = fs::read(data.join("store.toml")).expect("there");
    assert_eq!(fs::read(snapshot.join("store.toml")).expect("there"), store);
    fs::rename(data.join("store.toml"), data.join("kept")).expect("renamed");
    copy_folder(snapshot, data);
    // The same file, with the inode that it names.
    fs::rename(data.join("kept"), data.join("store.toml")).expect("renamed");
}

/// The snapshot knows the first as sent and the second as signed. It went out since, and is forgotten.
async fn set_back(world: &Shared, mut house: House) -> (House, [ItemId; 2]) {
    let old = publish(&mut house, "早已发布").await;
    house.pause("weibo").await;
    let out = sign(&mut house, "快照之后发出").await;
    house.resume_untold("weibo").await;
    let snapshot = TempDir::new().expect("a folder");
    let left = house.leave_as_it_is(world).await;
    copy_folder(&left.data(), snapshot.path());
    let house = left.start().await;
    house.until(out, "weibo", PublicState::Published).await;
    let left = house.leave_as_it_is(world).await;
    put_back(&left.data(), snapshot.path());
    (left.start().await, [old, out])
}

#[tokio::test]
async fn a_store_that_was_set_back_sends_nothing_before_it_has_asked() {
    let (house, world) = listing(Effect::Public).await;
    let (mut house, [old, out]) = set_back(&world, house).await;
    assert!(house.store.standing().adopted);
    let pause = stopped(&house).await;
    let sentence = format!("lubu confirm {out}:weibo --published");
    assert!(pause.why.zh.contains(&sentence), "{}", pause.why.zh);
    // What is out is looked for though the lane stands still, and needs nobody.
    house.until(out, "weibo", PublicState::Published).await;
    house.until(old, "weibo", PublicState::Published).await;
    let waits = sign(&mut house, "还没有发出").await;
    let still = house.delivery(waits, "weibo").await;
    assert_eq!(still.public_state(), PublicState::Pending);
    assert_eq!(of(&world, |world| world.calls.clone()), ["send", "send"]);
    house.resume("weibo").await;
    house.until(waits, "weibo", PublicState::Published).await;
    assert_eq!(of(&world, |world| world.calls.len()), 3);
    assert_eq!(of(&world, |world| world.public.len()), 3);
}

async fn retry(house: &House, item: ItemId) {
    let by = "li".to_owned();
    let word = Act::Decide {
        actor: Actor::new("li", "cli"),
        id: house.delivery(item, "weibo").await.id,
        event: Box::new(Event::Retry { by }),
    };
    house.store.act(word).await.expect("heard");
    let delivery = house.delivery(item, "weibo").await;
    house.engine.hub().wake(&[delivery]);
}

/// At the snapshot it had failed; a person let it go once more since, and it went out.
#[tokio::test]
async fn what_had_failed_before_a_machine_was_set_back_is_not_sent_again_at_a_word() {
    for texts in [false, true] {
        let (mut house, world) = listing(Effect::Public).await;
        publish(&mut house, "早已发布").await;
        let refusal = Does::Refuses(Fate::Never);
        of(&world, |world| {
            world.texts = texts;
            world.script.push_back(refusal);
        });
        let out = sign(&mut house, "重发成功").await;
        house.until(out, "weibo", PublicState::Failed).await;
        let snapshot = TempDir::new().expect("a folder");
        let left = house.leave_as_it_is(&world).await;
        copy_folder(&left.data(), snapshot.path());
        let house = left.start().await;
        retry(&house, out).await;
        house.until(out, "weibo", PublicState::Published).await;
        let left = house.leave_as_it_is(&world).await;
        put_back(&left.data(), snapshot.path());
        let mut house = left.start().await;
        let _asks = sign(&mut house, "启动后的第一条").await;
        stopped(&house).await;
        house.resume("weibo").await;
        retry(&house, out).await;
        house.until(out, "weibo", PublicState::Published).await;
        let copies = |world: &mut World| {
            let of_it = |(key, _): &&(String, u32)| *key == out.to_string();
            world.public.iter().filter(of_it).count()
        };
        assert_eq!(of(&world, copies), 1, "texts: {texts}");
    }
}

/// At the snapshot it was handed in and not yet signed.
#[tokio::test]
async fn what_was_signed_after_the_snapshot_and_is_signed_once_more_is_looked_for_first() {
    for unlisted in [false, true] {
        let (mut house, world) = listing(Effect::Public).await;
        of(&world, |world| world.unlisted = unlisted);
        publish(&mut house, "早已发布").await;
        let (out, revision) = house.submit("快照之后签发").await;
        let snapshot = TempDir::new().expect("a folder");
        let left = house.leave_as_it_is(&world).await;
        copy_folder(&left.data(), snapshot.path());
        let house = left.start().await;
        house.approve(&revision).await.expect("signed");
        house.until(out, "weibo", PublicState::Published).await;
        let left = house.leave_as_it_is(&world).await;
        put_back(&left.data(), snapshot.path());
        let mut house = left.start().await;
        let waits = sign(&mut house, "启动后的第一条").await;
        stopped(&house).await;
        house.resume("weibo").await;
        house.until(waits, "weibo", PublicState::Published).await;
        house.approve(&revision).await.expect("signed once more");
        let ends = if unlisted {
            PublicState::Held
        } else {
            PublicState::Published
        };
        house.until(out, "weibo", ends).await;
        let copies = |world: &mut World| {
            let of_it = |(key, _): &&(String, u32)| *key == out.to_string();
            world.public.iter().filter(of_it).count()
        };
        assert_eq!(of(&world, copies), 1);
    }
}

#[tokio::test]
async fn what_no_look_finds_is_held_until_a_person_says_where_it_is() {
    let (house, world) = listing(Effect::Public).await;
    of(&world, |world| world.unlisted = true);
    let (mut house, [_, out]) = set_back(&world, house).await;
    stopped(&house).await;
    house.until(out, "weibo", PublicState::Held).await;
    let waits = sign(&mut house, "还没有发出").await;
    house.resume("weibo").await;
    house.until(waits, "weibo", PublicState::Published).await;
    let held = house.delivery(out, "weibo").await;
    assert!(held.is_restored(), "resuming alone sends nothing of it");
    let said = Act::Decide {
        actor: Actor::new("zhang", "cli"),
        id: held.id,
        event: Box::new(Event::SaidLive {
            by: "zhang".into(),
            url: Some("http://127.0.0.1/seen".into()),
        }),
    };
    house.store.act(said).await.expect("confirmed");
    house.until(out, "weibo", PublicState::Published).await;
    assert_eq!(of(&world, |world| world.public.len()), 3);
}

#[tokio::test]
async fn where_posts_name_no_item_their_text_tells_what_waits() {
    let (house, world) = listing(Effect::Public).await;
    of(&world, |world| world.texts = true);
    let mut house = house;
    let old = publish(&mut house, "早已发布").await;
    let waits = {
        house.pause("weibo").await;
        sign(&mut house, "快照之后发出").await
    };
    house.resume_untold("weibo").await;
    // The first is told by its address on record; the second by what it says.
    of(&world, |world| {
        let sign = |text: &str| Sign::Text {
            essence: text.to_owned(),
            own_app: true,
        };
        let post = |id: &str, text: &str| Posted {
            sign: sign(text),
            ..stranger(id)
        };
        world.others = vec![post("x1", "快照之后发出"), post("x2", "谁也不认识")];
    });
    let house = house.crash(&world).await;
    stopped(&house).await;
    let census = census(&house).await.expect("surveyed");
    let open = census.open.iter();
    let open: Vec<_> = open
        .map(|one| (one.remote_id.as_str(), one.item, one.unsent))
        .collect();
    assert_eq!(open, [("x1", Some(waits), true), ("x2", None, false)]);
    assert_eq!(
        house.delivery(old, "weibo").await.public_state(),
        PublicState::Published
    );
    assert_eq!(of(&world, |world| world.calls.len()), 1);
}

#[tokio::test]
async fn a_new_store_on_an_account_with_a_past_is_not_stopped_by_it() {
    let (mut house, world) = listing(Effect::Public).await;
    of(&world, |world| {
        world.others = vec![stranger("1"), stranger("2")];
    });
    publish(&mut house, "新店开张").await;
    let first = census(&house).await.expect("surveyed");
    assert_eq!((first.former, first.open.len()), (2, 0));
    let mut house = house.crash(&world).await;
    publish(&mut house, "第二天").await;
    assert!(house.record("weibo").await.pause.is_none());
    // What comes up from now on is another matter.
    of(&world, |world| world.others.push(stranger("3")));
    let mut house = house.crash(&world).await;
    let third = sign(&mut house, "第三天").await;
    let pause = stopped(&house).await;
    assert!(
        pause.why.zh.starts_with("平台上有 1 条"),
        "{}",
        pause.why.zh
    );
    let still = house.delivery(third, "weibo").await.public_state();
    assert_eq!(still, PublicState::Pending);
}

#[tokio::test]
async fn a_stop_outlasts_a_restart_and_what_a_person_accepted_stops_nothing_again() {
    let (mut house, world) = listing(Effect::Public).await;
    publish(&mut house, "第一天").await;
    of(&world, |world| world.others.push(stranger("9")));
    let mut house = house.crash(&world).await;
    let waits = sign(&mut house, "第二天").await;
    stopped(&house).await;
    let house = house.crash(&world).await;
    let why = house.record("weibo").await.pause.expect("still").why;
    assert!(why.zh.contains("/9"), "{}", why.zh);
    house.resume("weibo").await;
    house.until(waits, "weibo", PublicState::Published).await;
    let accepted = census(&house).await.expect("surveyed").accepted;
    assert_eq!(accepted[0].by.as_deref(), Some("ops"));
    let mut house = house.crash(&world).await;
    publish(&mut house, "第三天").await;
    assert!(house.record("weibo").await.pause.is_none());
}

/// An operator's pause that ends by itself ends no stop that a person must end.
#[tokio::test]
async fn no_pause_that_ends_by_itself_ends_a_stop_for_unknown_posts() {
    let (mut house, world) = listing(Effect::Public).await;
    publish(&mut house, "第一天").await;
    of(&world, |world| world.others.push(stranger("9")));
    let mut house = house.crash(&world).await;
    let waits = sign(&mut house, "第二天").await;
    stopped(&house).await;
    let pause = Pause {
        why: Words::new("演练", "drill"),
        by: Some("ops".into()),
        at: house.time.now(),
        until: Some(house.time.now() + Duration::from_mins(5)),
    };
    house.tell("weibo", LaneNews::Paused(pause)).await;
    let now = stopped(&house).await;
    assert!(now.until.is_none() && now.why.zh.starts_with("演练"));
    let ended = Act::Lane {
        actor: Actor::engine(),
        channel: house.no("weibo"),
        news: LaneNews::Resumed,
    };
    house.store.act(ended).await.expect("told");
    assert!(house.record("weibo").await.pause.is_some());
    let still = house.delivery(waits, "weibo").await.public_state();
    assert_eq!(still, PublicState::Pending);
}

#[tokio::test]
async fn while_a_survey_fails_nothing_is_sent_and_what_is_withdrawn_goes() {
    let (mut house, world) = listing(Effect::Public).await;
    let old = publish(&mut house, "第一天").await;
    let again = Fate::Again { not_before: None };
    of(&world, |world| world.surveys.extend([again; 2]));
    let mut house = house.crash(&world).await;
    let waits = sign(&mut house, "第二天").await;
    let asked = |count| of(&world, |world| world.surveyed >= count);
    house.once("it asks", || async { asked(2) }).await;
    // Invariant 13: what waits for it says so.
    let number = house.no("weibo");
    let unlisted = || async { house.engine.hub().unlisted(number) };
    let told = || async { unlisted().await.is_some_and(|one| one.tries == 1) };
    house.once("it is told", told).await;
    let trouble = unlisted().await.expect("told");
    assert!(!trouble.why.zh.is_empty() && trouble.next.is_some());
    house.withdraw(old).await;
    house.until(old, "weibo", PublicState::Withdrawn).await;
    let sent = of(&world, |world| world.calls.clone());
    assert_eq!(sent, ["send", "remove"]);
    // The removal worked, so that the breaker counts anew.
    of(&world, |world| world.surveys.extend([again; 3]));
    let opens = || async {
        house.time.advance(Duration::from_secs(30));
        house.record("weibo").await.breaker.until.is_some()
    };
    house
        .once("the third failure opens the breaker", opens)
        .await;
    of(&world, |world| world.surveys.clear());
    house.time.advance(Duration::from_mins(6));
    house.until(waits, "weibo", PublicState::Published).await;
    assert!(house.engine.hub().unlisted(number).is_none());
}

#[tokio::test]
async fn an_account_that_may_not_list_sends_as_before() {
    let (mut house, world) = listing(Effect::Public).await;
    of(&world, |world| world.no_list = true);
    publish(&mut house, "进展").await;
    assert_eq!(of(&world, |world| world.surveyed), 1);
    publish(&mut house, "又一条").await;
    assert_eq!(of(&world, |world| world.surveyed), 1, "once in a life");
    assert_eq!(census(&house).await, None);
}

#[tokio::test]
async fn our_own_posts_stop_nothing_whatever_came_of_them() {
    let (mut house, world) = listing(Effect::Public).await;
    let gone = publish(&mut house, "撤下而平台仍显示").await;
    of(&world, |world| {
        world.removals_undone = 1;
        world.script.push_back(Does::Works);
    });
    let unknown = {
        of(&world, |world| {
            world.script.clear();
            world.script.push_back(Does::LosesAnswer);
        });
        sign(&mut house, "回音丢失").await
    };
    house
        .until(unknown, "weibo", PublicState::Unconfirmed)
        .await;
    house.withdraw(gone).await;
    let mut house = house.crash(&world).await;
    publish(&mut house, "第二天").await;
    assert!(house.record("weibo").await.pause.is_none());
    assert!(census(&house).await.expect("surveyed").open.is_empty());
}

#[tokio::test]
async fn a_stop_of_all_sending_that_is_lifted_is_followed_by_a_survey() {
    let (mut house, world) = listing(Effect::Public).await;
    publish(&mut house, "第一天").await;
    house.engine.hub().halt(true);
    of(&world, |world| world.others.push(stranger("9")));
    let waits = sign(&mut house, "第二天").await;
    house.engine.hub().halt(false);
    stopped(&house).await;
    let still = house.delivery(waits, "weibo").await.public_state();
    assert_eq!(still, PublicState::Pending);
}

#[tokio::test]
async fn what_was_ready_for_a_shared_run_goes_on_after_a_stop_of_sending() {
    let (channel, world) = Scripted::with_lists();
    let channel = channel.otherwise(Scripted::listing);
    let mut house = House::new(vec![Wired::new("site", channel)]).await;
    let ends = [Does::Works, Does::WaitsAndIsUnsure];
    of(&world, |world| world.script.extend(ends));
    house.pause("site").await;
    let mut items = Vec::new();
    for title in ["先写好", "还在写"] {
        items.push(sign(&mut house, title).await);
    }
    house.resume("site").await;
    let [ready, late] = items[..] else {
        unreachable!("two were signed");
    };
    let written = || async { !house.delivery(ready, "site").await.log.is_empty() };
    house.once("one is written", written).await;
    house.engine.hub().halt(true);
    of(&world, |world| world.gate.cancel());
    house.until(late, "site", PublicState::Retrying).await;
    house.engine.hub().halt(false);
    // By nothing but this: the other is looked for in minutes, and nobody signs anything.
    house.until(ready, "site", PublicState::InReview).await;
}

#[tokio::test]
async fn two_channels_of_one_account_do_not_stop_each_other() {
    for texts in [false, true] {
        let (first, world) = Scripted::new(Effect::Public, Scripted::listing);
        let second = first.otherwise(|_| {});
        of(&world, |world| world.texts = texts);
        let wired = vec![Wired::new("weibo", first), Wired::new("weibo-2", second)];
        let mut house = House::new(wired).await;
        for (title, name) in [("图文", "weibo-2"), ("头条", "weibo"), ("又一", "weibo-2")] {
            let (item, revision) = house.submit(title).await;
            house.approve_for(&revision, name).await.expect("signed");
            house.until(item, name, PublicState::Published).await;
            // Each lane asks once more before it sends again.
            house.engine.hub().halt(true);
            house.engine.hub().halt(false);
        }
        for name in ["weibo", "weibo-2"] {
            assert!(house.record(name).await.pause.is_none(), "{name}");
        }
        assert!(of(&world, |world| world.surveyed) >= 3, "texts: {texts}");
    }
}

//! One run of a step for all that wait before it (design §4): the site's lists.

use lubu::ids::ItemId;
use lubu::model::delivery::PublicState;
use lubu_channels::{Clock, Fate};

use crate::house::{House, Wired};
use crate::scripted::{Does, Scripted};

/// Three approved items that start together once the lane is resumed.
async fn three(house: &mut House) -> [ItemId; 3] {
    house.pause("site").await;
    let mut items = Vec::new();
    for title in ["一", "二", "三"] {
        let (item, revision) = house.submit(title).await;
        house.approve(&revision).await.expect("signed");
        items.push(item);
    }
    house.resume("site").await;
    [items[0], items[1], items[2]]
}

#[tokio::test]
async fn three_posts_share_one_run_and_each_has_its_own_outcome() {
    let (channel, world) = Scripted::with_lists();
    let mut house = House::new(vec![Wired::new("site", channel)]).await;
    let items = three(&mut house).await;
    for item in items {
        house.until(item, "site", PublicState::InReview).await;
    }
    let calls = world.lock().expect("unpoisoned").calls.clone();
    assert_eq!(calls, ["send", "send", "send", "lists"]);
    for item in items {
        let delivery = house.delivery(item, "site").await;
        let steps: Vec<_> = delivery.log.iter().map(|one| one.step.as_str()).collect();
        assert_eq!(steps.last(), Some(&"lists"));
    }
    house.time.advance(std::time::Duration::from_mins(1));
    for item in items {
        house.until(item, "site", PublicState::Published).await;
    }
}

#[tokio::test]
async fn a_run_that_fails_fails_for_all_and_counts_once_for_the_breaker() {
    let (channel, world) = Scripted::with_lists();
    let again = Does::Refuses(Fate::Again { not_before: None });
    world
        .lock()
        .expect("unpoisoned")
        .script
        .extend([Does::Works, Does::Works, Does::Works, again]);
    let mut house = House::new(vec![Wired::new("site", channel)]).await;
    let items = three(&mut house).await;
    for item in items {
        house.until(item, "site", PublicState::Retrying).await;
    }
    // Were the breaker open, nothing would move before its five minutes.
    house.time.advance(std::time::Duration::from_secs(10));
    for item in items {
        house.until(item, "site", PublicState::InReview).await;
    }
    assert!(house.record("site").await.breaker.is_closed());
}

#[tokio::test]
async fn a_run_that_panics_leaves_each_to_be_repeated() {
    let (channel, world) = Scripted::with_lists();
    world.lock().expect("unpoisoned").script.extend([
        Does::Works,
        Does::Works,
        Does::Works,
        Does::Panics,
    ]);
    let mut house = House::new(vec![Wired::new("site", channel)]).await;
    let items = three(&mut house).await;
    for item in items {
        house.until(item, "site", PublicState::Retrying).await;
    }
    // What panicked is left alone for a minute, counted from when its lane heard of it.
    let idle = std::cell::Cell::new(0);
    for item in items {
        let published = || async {
            // What stands still between its intent and its call is not sent: time moves on only
            // when everything waits for it.
            let mut next = Vec::new();
            let mut busy = false;
            for one in items {
                let one = house.delivery(one, "site").await;
                let resting = one.public_state() == PublicState::Published;
                busy |= !resting && one.next_at().is_none_or(|at| at <= house.time.now());
                next.extend(one.next_at());
            }
            idle.set(if busy { idle.get() + 1 } else { 0 });
            if let (false, Some(at)) = (busy, next.into_iter().min()) {
                house.time.set(at);
            } else if idle.get() > 200 {
                house.time.advance(std::time::Duration::from_secs(61));
                idle.set(0);
            }
            house.delivery(item, "site").await.public_state() == PublicState::Published
        };
        house.once("it goes on", published).await;
    }
}

#[tokio::test]
async fn one_that_is_withdrawn_while_it_waits_is_taken_down_and_the_others_go_on() {
    let (channel, world) = Scripted::with_lists();
    world
        .lock()
        .expect("unpoisoned")
        .script
        .extend([Does::Works, Does::Works, Does::Waits]);
    let mut house = House::new(vec![Wired::new("site", channel)]).await;
    let items = three(&mut house).await;
    let counted = || async { world.lock().expect("unpoisoned").calls.len() == 3 };
    house.once("three calls", counted).await;
    let sent = world.lock().expect("unpoisoned").public.clone();
    let first = items
        .into_iter()
        .find(|item| sent.iter().any(|(key, _)| *key == item.to_string()));
    let first = first.expect("one is out");
    house.withdraw(first).await;
    world.lock().expect("unpoisoned").gate.cancel();
    for item in items {
        house.until(item, "site", PublicState::InReview).await;
    }
    house.time.advance(std::time::Duration::from_mins(1));
    for item in items {
        let ends = if item == first {
            PublicState::Withdrawn
        } else {
            PublicState::Published
        };
        house.until(item, "site", ends).await;
    }
    assert_eq!(world.lock().expect("unpoisoned").public.len(), 2);
}

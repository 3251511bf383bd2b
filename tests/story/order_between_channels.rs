//! SEED-31: social posts wait until the office's own page is seen live.

use lubu::model::delivery::PublicState;
use lubu_channels::{Effect, Fate};

use crate::house::{House, Wired};
use crate::scripted::{Does, Scripted};

#[tokio::test]
async fn weibo_waits_for_the_site_and_goes_once_it_is_seen() {
    let (site, site_world) = Scripted::new(Effect::Idempotent, |_| {});
    let (weibo, weibo_world) = Scripted::new(Effect::Public, |_| {});
    let again = Fate::Again { not_before: None };
    site_world
        .lock()
        .expect("unpoisoned")
        .script
        .push_back(Does::Refuses(again));
    let mut late = Wired::new("weibo", weibo);
    late.after = vec!["site"];
    let mut house = House::new(vec![Wired::new("site", site), late]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    house.until(item, "site", PublicState::Retrying).await;
    house.until(item, "weibo", PublicState::Held).await;
    assert!(weibo_world.lock().expect("unpoisoned").calls.is_empty());
    house.step_to_next(item, "site").await;
    house.until(item, "weibo", PublicState::Published).await;
}

#[tokio::test]
async fn seed_29_one_channel_down_leaves_the_other_alone() {
    let (down, down_world) = Scripted::new(Effect::Idempotent, |_| {});
    let (up, _) = Scripted::new(Effect::Idempotent, |_| {});
    for _ in 0..5 {
        let again = Fate::Again { not_before: None };
        down_world
            .lock()
            .expect("unpoisoned")
            .script
            .push_back(Does::Refuses(again));
    }
    let mut house = House::new(vec![Wired::new("portal", down), Wired::new("site", up)]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    house.until(item, "site", PublicState::Published).await;
    house.until(item, "portal", PublicState::Retrying).await;
}

//! A second article beside ours: found by our key and named. A portal counts no calls.

use std::time::Duration;

use super::platform::Platform;
use crate::conformance::World;
use crate::contract::{Clock, Match, Target, Verdict};

async fn published() -> (World, std::sync::Arc<Platform>) {
    let platform = Platform::new("");
    let mut world = World::new(platform.clone()).unwrap();
    world.publish().await.unwrap();
    world.purse.take();
    (world, platform)
}

async fn seen(world: &World) -> Verdict {
    world.first_seen(Target::Copies).await.unwrap().1
}

fn asked_by_key(world: &World, from: usize) -> usize {
    let log = world.peer.log();
    let asked = log[from..].iter();
    asked.filter(|request| request.url.contains("key=")).count()
}

#[tokio::test]
async fn a_second_article_under_our_key_is_named() {
    let (world, platform) = published().await;
    platform.double();
    let verdict = seen(&world).await;
    assert!(
        matches!(&verdict, Verdict::Several(ids) if ids == &["1001", "1002"]),
        "{verdict:?}"
    );
    assert_eq!(world.purse.take(), []);
}

#[tokio::test]
async fn one_article_under_our_key_is_no_second_one() {
    let (world, _platform) = published().await;
    assert_eq!(seen(&world).await, Verdict::Live(Match::Unread));
}

#[tokio::test]
async fn an_older_article_is_asked_about_by_its_id_alone() {
    let (mut world, platform) = published().await;
    platform.double();
    world.job.first_live = Some(world.clock.now());
    world.advance(Duration::from_hours(2));
    let before = world.peer.log().len();
    assert_eq!(seen(&world).await, Verdict::Live(Match::Unread));
    assert_eq!(asked_by_key(&world, before), 0);
}

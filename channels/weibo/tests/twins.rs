//! A second copy beside a post of ours: found, named, and paid for.

use std::sync::Arc;
use std::time::Duration;

use super::platform::Platform;
use crate::conformance::{Rig, World};
use crate::contract::{Clock, Cost, Match, Target, Verdict};

async fn published() -> (World, Arc<Platform>) {
    let platform = Arc::new(Platform::in_mode("share"));
    let mut world = World::new(Arc::clone(&platform) as Arc<dyn Rig>).unwrap();
    world.publish().await.unwrap();
    world.purse.take();
    platform.state().heard.clear();
    (world, platform)
}

async fn seen(world: &World) -> Verdict {
    world.first_seen(Target::Copies).await.unwrap().1
}

fn doubled(world: &World, platform: &Platform) {
    let text = platform.state().posts[0].text.clone();
    platform.state().post(&text, world.clock.now(), true);
}

fn lists(platform: &Platform) -> usize {
    let heard = &platform.state().heard;
    let lists = heard.iter();
    lists
        .filter(|(path, _)| path.ends_with("user_timeline.json"))
        .count()
}

#[tokio::test]
async fn a_second_post_is_named_and_the_list_that_shows_it_is_paid_for() {
    let (world, platform) = published().await;
    doubled(&world, &platform);
    let verdict = seen(&world).await;
    assert!(matches!(verdict, Verdict::Several(ids) if ids.len() == 2));
    assert_eq!(world.purse.take(), [Cost::one("calls")]);
    assert_eq!(lists(&platform), 1);
}

#[tokio::test]
async fn a_second_post_is_not_looked_for_with_what_is_not_there_to_spend() {
    let (world, platform) = published().await;
    doubled(&world, &platform);
    world.purse.close();
    assert_eq!(seen(&world).await, Verdict::Live(Match::Same));
    assert_eq!(lists(&platform), 0);
}

#[tokio::test]
async fn an_older_post_is_looked_at_by_one_call_and_nothing_more_is_spent() {
    let (world, platform) = published().await;
    doubled(&world, &platform);
    world.advance(Duration::from_hours(2));
    assert_eq!(seen(&world).await, Verdict::Live(Match::Same));
    assert_eq!((world.purse.take(), lists(&platform)), (vec![], 0));
}

//! A second article of the same draft: found, named, and paid for.

use std::sync::Arc;
use std::time::Duration;

use super::platform::Platform;
use crate::conformance::{Rig, World};
use crate::contract::{Clock, Cost, Match, Target, Verdict};

async fn published() -> (World, Arc<Platform>) {
    let platform = Arc::new(Platform::in_mode("publish"));
    let mut world = World::new(Arc::clone(&platform) as Arc<dyn Rig>).unwrap();
    world.publish().await.unwrap();
    world.purse.take();
    platform.state().heard.clear();
    (world, platform)
}

async fn seen(world: &World) -> Verdict {
    world.first_seen(Target::Copies).await.unwrap().1
}

/// The platform made two of it.
fn doubled(world: &World, platform: &Platform) {
    let mut state = platform.state();
    let mut twin = state.articles[0].clone();
    "article-twin".clone_into(&mut twin.0);
    twin.3 = world.clock.now().timestamp();
    state.articles.insert(0, twin);
}

fn lists(platform: &Platform) -> usize {
    let heard = &platform.state().heard;
    let lists = heard.iter();
    lists
        .filter(|(path, _)| path == "freepublish/batchget")
        .count()
}

#[tokio::test]
async fn a_second_article_is_named_and_the_list_that_shows_it_is_paid_for() {
    let (world, platform) = published().await;
    doubled(&world, &platform);
    let verdict = seen(&world).await;
    let Verdict::Several(ids) = verdict else {
        panic!("{verdict:?}");
    };
    assert!(ids.len() == 2 && ids.contains(&"article-twin".to_owned()));
    assert_eq!(world.purse.take(), [Cost::one("publish_list")]);
    assert_eq!(lists(&platform), 1);
}

#[tokio::test]
async fn another_post_beside_it_is_no_second_article() {
    let (world, platform) = published().await;
    doubled(&world, &platform);
    platform.state().articles[0].1[0]["thumb_media_id"] = "material-of-another".into();
    assert_eq!(seen(&world).await, Verdict::Live(Match::Same));
    assert_eq!(world.purse.take(), [Cost::one("publish_list")]);
}

/// However many articles there are, the list costs what was paid: one call.
#[tokio::test]
async fn a_second_article_is_looked_for_among_the_newest_only() {
    let (world, platform) = published().await;
    doubled(&world, &platform);
    for number in 0..50 {
        let mut other = platform.state().articles[0].clone();
        other.0 = format!("older-{number}");
        other.1[0]["thumb_media_id"] = "material-of-another".into();
        platform.state().articles.push(other);
    }
    assert!(matches!(seen(&world).await, Verdict::Several(_)));
    assert_eq!(lists(&platform), 1);
}

#[tokio::test]
async fn a_second_article_is_not_looked_for_with_what_is_not_there_to_spend() {
    let (world, platform) = published().await;
    doubled(&world, &platform);
    world.purse.close();
    assert_eq!(seen(&world).await, Verdict::Live(Match::Same));
    assert_eq!(lists(&platform), 0);
}

#[tokio::test]
async fn an_older_article_is_looked_at_alone_and_nothing_more_is_spent() {
    let (mut world, platform) = published().await;
    doubled(&world, &platform);
    world.job.first_live = Some(world.clock.now());
    world.advance(Duration::from_hours(2));
    assert_eq!(seen(&world).await, Verdict::Live(Match::Same));
    assert_eq!((world.purse.take(), lists(&platform)), (vec![], 0));
}

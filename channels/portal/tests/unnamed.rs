//! An article that only a person saw: nothing says what the portal calls it.

use super::platform::Platform;
use crate::conformance::World;
use crate::contract::{Clock, Copy, Evidence, Goal, Next, Progress, Step, Target, Truth, Verdict};

/// Its first answer was lost, and a person gave its address; another revision makes another key.
async fn confirmed(goal: Goal) -> World {
    let mut world = World::new(Platform::new("")).unwrap();
    world.publish().await.unwrap();
    world.job.progress = Progress::default();
    world.job.key = "7".repeat(32);
    world.job.goal = goal;
    world.job.subjects[0].copy = Some(Copy {
        place: 0,
        revision: 1,
        remote_id: None,
        address: Some("http://127.0.0.1/a/1001.html".into()),
        evidence: Evidence::Person,
        seen_at: world.clock.now(),
    });
    world
}

#[tokio::test]
async fn it_is_neither_made_again_nor_called_withdrawn_but_left_to_a_person() {
    for goal in [Goal::Publish, Goal::Update, Goal::Withdraw] {
        let world = confirmed(goal).await;
        let next = world.channel.next(&world.job, world.clock.now());
        assert!(matches!(next, Next::Person { .. }), "{goal:?}: {next:?}");
    }
}

#[tokio::test]
async fn a_lookup_that_cannot_know_it_does_not_call_it_gone() {
    let world = confirmed(Goal::Withdraw).await;
    let seen = world.first_seen(Target::Copies).await.unwrap().1;
    assert!(matches!(seen, Verdict::CannotTell(_)), "{seen:?}");
    let now = world.clock.now();
    let step = Step::new("create", crate::contract::Effect::Public);
    let target = Target::Step {
        step: &step,
        began: now,
        ended: now,
    };
    let looked = world.look(target).await.unwrap();
    assert!(matches!(looked.truth, Truth::CannotTell(_)), "{looked:?}");
}

//! What can be checked on a platform that works: publish, crash, update, withdraw.

use super::Make;
use super::world::{Broken, Ended, Outcome, World, claim};
use crate::contract::{Clock, Effect, Goal, Posted, Sign, Stands, Target, Verdict, WithdrawBy};

pub async fn a_publication_is_done_and_then_seen_live_once(make: Make<'_>) -> Outcome {
    let mut world = World::new(make())?;
    world.publish().await?;
    claim(world.rig.copies() == 1, || {
        format!("{} copies", world.rig.copies())
    })?;
    claim(world.step()?.is_err(), || {
        "there is still something to send".into()
    })
}

pub async fn a_step_changes_the_platform_at_most_once(make: Make<'_>) -> Outcome {
    let mut world = World::new(make())?;
    while let Ok(step) = world.step()? {
        let before = world.changes();
        world.run_step(&step, false).await?;
        let changes = world.changes() - before;
        let most = usize::from(step.effect != Effect::Read);
        claim(changes <= most, || {
            format!("{} made {changes} changes", step.name)
        })?;
    }
    Ok(())
}

/// The daemon dies after every step in turn, once before and once after its outcome was saved.
pub async fn a_crash_after_any_step_makes_no_second_copy(make: Make<'_>) -> Outcome {
    for steps in 0.. {
        for saved in [true, false] {
            let mut world = World::new(make())?;
            if world.run_steps(steps).await?.is_some() {
                return Ok(());
            }
            let Ok(step) = world.step()? else {
                return Ok(());
            };
            let began = world.clock.now();
            let receipt = world
                .perform(&step, false)
                .await
                .map_err(|failure| Broken(format!("{} fails: {failure:?}", step.name)))?;
            if saved {
                world.job.progress = receipt.progress;
            } else if !world.reconcile(&step, began).await? {
                claim(world.rig.copies() <= 1, || {
                    format!("two copies after {}", step.name)
                })?;
                continue;
            }
            world.channel = world
                .rig
                .build(toml::Table::new())
                .map_err(|_| Broken("the channel cannot be built a second time".into()))?;
            world.publish().await?;
            let copies = world.rig.copies();
            claim(copies == 1, || {
                format!("{copies} copies after a crash at {}", step.name)
            })?;
        }
    }
    Ok(())
}

pub async fn checks_and_looks_change_nothing(make: Make<'_>) -> Outcome {
    let mut world = World::new(make())?;
    world.check().await;
    let _before_anything = world.look(Target::Copies).await;
    claim(world.changes() == 0, || {
        "looking at nothing changed something".into()
    })?;
    while let Ok(step) = world.step()? {
        let began = world.clock.now();
        world.run_step(&step, false).await?;
        let before = world.changes();
        let ended = world.clock.now();
        let _told = world
            .look(Target::Step {
                step: &step,
                began,
                ended,
            })
            .await;
        let _told = world.look(Target::Copies).await;
        claim(world.changes() == before, || {
            format!("looking after {} changed it", step.name)
        })?;
    }
    world.publish().await?;
    let (changes, copies) = (world.changes(), world.rig.copies());
    world.check().await;
    let _verdict = world.see().await?;
    claim(
        (changes, copies) == (world.changes(), world.rig.copies()),
        || "looking at a live post changed it".into(),
    )
}

pub async fn public_steps_use_a_connection_of_their_own(make: Make<'_>) -> Outcome {
    let mut world = World::new(make())?;
    while let Ok(step) = world.step()? {
        let before = world.peer.log().len();
        world.run_step(&step, false).await?;
        if step.effect != Effect::Public {
            continue;
        }
        let log = world.peer.log();
        let mut changing = log[before..]
            .iter()
            .filter(|request| world.rig.changes(request));
        claim(changing.all(|request| request.fresh), || {
            format!("{} uses a pooled connection", step.name)
        })?;
    }
    Ok(())
}

pub async fn an_update_keeps_the_address(make: Make<'_>) -> Outcome {
    let mut world = World::new(make())?;
    world.publish().await?;
    let address = |world: &World| world.job.sole().and_then(|sole| sole.copy.clone()?.address);
    let before = address(&world);
    world.go(Goal::Update, 2)?;
    world.publish().await?;
    let after = address(&world);
    claim(before == after, || {
        format!("the address moved from {before:?} to {after:?}")
    })?;
    claim(world.rig.copies() == 1, || {
        format!("{} copies", world.rig.copies())
    })
}

/// Where nothing can be changed in place, asking for it changes nothing that readers see.
pub async fn an_update_makes_no_second_copy(make: Make<'_>) -> Outcome {
    let mut world = World::new(make())?;
    world.publish().await?;
    world.go(Goal::Update, 2)?;
    let shown = world.step()?;
    let public = matches!(&shown, Ok(step) if step.effect == Effect::Public);
    claim(!public, || "an update starts a public step".into())?;
    let _ended = world.run_steps(20).await;
    claim(world.rig.copies() == 1, || {
        format!("{} copies", world.rig.copies())
    })
}

pub async fn a_withdrawal_is_seen(make: Make<'_>) -> Outcome {
    let mut world = World::new(make())?;
    world.publish().await?;
    withdraw(&mut world).await?;
    claim(world.rig.copies() == 0, || {
        "readers still see a copy".into()
    })
}

pub async fn withdrawing_what_is_gone_succeeds(make: Make<'_>) -> Outcome {
    let mut world = World::new(make())?;
    world.publish().await?;
    world.rig.remove();
    withdraw(&mut world).await
}

/// Answered with yes, seen gone, and then to be seen again.
pub async fn a_removal_that_did_not_hold_is_asked_for_again(make: Make<'_>) -> Outcome {
    let mut world = World::new(make())?;
    world.publish().await?;
    claim(world.rig.copies() == 1, || "it is not public".into())?;
    withdraw(&mut world).await?;
    world.rig.comes_back();
    let verdict = world.see().await?;
    if world.only_a_person_sees(&verdict) {
        return Ok(());
    }
    let there = matches!(verdict, Verdict::Live(_) | Verdict::Several(_));
    claim(there, || {
        format!("it is back, and the look says {verdict:?}")
    })?;
    claim(world.step()?.is_ok(), || {
        "it is seen live, and nothing is left to send".into()
    })?;
    world.run_steps(40).await?;
    world.rig.settle();
    claim(world.rig.copies() == 0, || "it stays for ever".into())?;
    let verdict = world.see().await?;
    let gone = matches!(
        verdict,
        Verdict::Removed(_) | Verdict::Absent | Verdict::Notice
    );
    claim(gone, || {
        format!("after the second removal it is {verdict:?}")
    })
}

pub async fn a_withdrawal_at_any_stage_leaves_nothing_public(make: Make<'_>) -> Outcome {
    for steps in 0.. {
        let mut world = World::new(make())?;
        let ended = world.run_steps(steps).await?;
        world.go(Goal::Withdraw, 1)?;
        let told = world
            .run_steps(40)
            .await
            .map_err(|broken| Broken(format!("withdrawing after {steps} steps: {broken}")))?;
        if told == Some(Ended::Person) {
            world.rig.remove();
        }
        claim(told.is_some(), || "the withdrawal never ends".into())?;
        world.rig.settle();
        claim(world.rig.copies() == 0, || {
            format!("a copy is left after {steps} steps")
        })?;
        if ended.is_some() {
            return Ok(());
        }
    }
    Ok(())
}

/// The store is restored from before the publication: nothing of it is known, and it is out.
pub async fn what_a_run_without_record_published_is_not_denied(make: Make<'_>) -> Outcome {
    let mut world = World::new(make())?;
    let since = world.clock.now();
    let at = Target::Unrecorded { since };
    let before = world.changes();
    let nothing = world.first_seen(at).await?;
    let honest = matches!(nothing.1, Verdict::Absent | Verdict::CannotTell(_));
    claim(honest && world.changes() == before, || {
        format!("nothing was published, and the look says {:?}", nothing.1)
    })?;
    world.publish().await?;
    world.forget();
    let (progress, verdict) = world.first_seen(at).await?;
    let denied = matches!(
        verdict,
        Verdict::Absent | Verdict::Removed(_) | Verdict::Notice | Verdict::Refused(_)
    );
    claim(!denied, || {
        format!("it is public, and the look says {verdict:?}")
    })?;
    if let Verdict::Live(_) = verdict {
        world.job.progress = progress;
        world.run_steps(40).await?;
        world.rig.settle();
        world.seen_live().await?;
        claim(world.rig.copies() == 1, || {
            format!("{} copies after what was found", world.rig.copies())
        })?;
    }
    if world.caps().look.rows.is_some() {
        let crowded = World::new(make())?;
        crowded.rig.crowd(crowded.clock.now());
        let (_, verdict) = crowded.first_seen(at).await?;
        claim(matches!(verdict, Verdict::CannotTell(_)), || {
            format!("a crowded list says {verdict:?}")
        })?;
    }
    Ok(())
}

pub async fn a_survey_lists_what_is_public_and_by_what_it_is_ours(make: Make<'_>) -> Outcome {
    let mut world = World::new(make())?;
    let ours = ours(&world).await?;
    claim(ours.is_empty(), || {
        format!("nothing was published, and it takes {ours:?} for ours")
    })?;
    world.publish().await?;
    let before = world.changes();
    let posts = self::ours(&world).await?;
    claim(world.changes() == before, || {
        "the survey changed something".into()
    })?;
    let [post] = posts.as_slice() else {
        return Err(Broken(format!(
            "one of ours is public, and it tells {posts:?}"
        )));
    };
    let known = world.job.sole().and_then(|sole| sole.copy.as_ref());
    let id = known.and_then(|copy| copy.remote_id.as_deref());
    claim(id == Some(post.remote_id.as_str()), || {
        format!("a look saw {known:?}, the survey {post:?}")
    })?;
    world.go(Goal::Update, 2)?;
    let other = matches!(post.sign, Sign::Text { .. }) && world.is_told(post);
    claim(!other, || "it is taken for another text".into())?;
    world.go(Goal::Update, 1)?;
    world.rig.remove();
    let posts = self::ours(&world).await?;
    claim(posts.is_empty(), || {
        format!("it is gone, and it lists {posts:?}")
    })
}

/// What a survey shows readers, and can be told for the job's document.
async fn ours(world: &World) -> Result<Vec<Posted>, Broken> {
    let mut posts = world.posts().await?;
    posts.retain(|post| post.stands == Stands::Public && world.is_told(post));
    Ok(posts)
}

async fn withdraw(world: &mut World) -> Outcome {
    let revision = world.job.sole().map_or(1, |subject| subject.revision);
    world.go(Goal::Withdraw, revision)?;
    let ended = world.run_steps(40).await?;
    if ended == Some(Ended::Person) {
        let announced = world.caps().withdraw == WithdrawBy::Person;
        claim(announced, || {
            "it asks a person, and its caps do not say so".into()
        })?;
        world.rig.remove();
    }
    world.rig.settle();
    let verdict = world.see().await?;
    let gone = matches!(
        verdict,
        Verdict::Removed(_) | Verdict::Absent | Verdict::Notice
    );
    let gone = gone || world.only_a_person_sees(&verdict);
    claim(gone, || format!("after the withdrawal it is {verdict:?}"))
}

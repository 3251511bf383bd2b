//! What can be checked on a platform that breaks, at every step in turn.

use std::time::Duration;

use super::Make;
use super::peer::{ECHO, Trick, reply};
use super::world::{Broken, Outcome, World, claim};
use crate::contract::{Clock, Effect, Failure, Fate, Receipt, Step, Surveyed, Target, Truth};

/// One trial: the way up to a step, then the step itself under a trick.
struct Trial {
    world: World,
    step: Step,
    began: crate::contract::Timestamp,
    outcome: Result<Receipt, Failure>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    /// The first request that changes the platform; for `Read` steps the first of any kind.
    Change,
    /// The first request, if it changes nothing.
    Before,
}

/// Runs the trick at every step of the publishing way; `None` where it was never played.
async fn at_every_step(make: Make<'_>, trick: &Trick, on: On) -> Result<Vec<Trial>, Broken> {
    let mut trials = Vec::new();
    for steps in 0.. {
        let mut world = World::new(make())?;
        if world.run_steps(steps).await?.is_some() {
            break;
        }
        let Ok(step) = world.step()? else {
            break;
        };
        // A new process, so that nothing is remembered from the steps before.
        world.channel = rebuilt(&world)?;
        arm(&world, &step, trick.clone(), on);
        let began = world.clock.now();
        let outcome = world.perform(&step, false).await;
        world.advance(Duration::from_secs(2));
        let played = world.peer.fired() > 0;
        world.peer.disarm();
        if played {
            trials.push(Trial {
                world,
                step,
                began,
                outcome,
            });
        }
    }
    Ok(trials)
}

fn rebuilt(world: &World) -> Result<std::sync::Arc<dyn crate::contract::Channel>, Broken> {
    let built = world.rig.build(toml::Table::new());
    built.map_err(|problems| Broken(format!("cannot be built again: {problems:?}")))
}

fn arm(world: &World, step: &Step, trick: Trick, on: On) {
    match on {
        On::Change if step.effect == Effect::Read => world.trick_any(trick),
        On::Change => world.trick(trick),
        On::Before if step.effect == Effect::Read => {}
        On::Before => {
            let rig = std::sync::Arc::clone(&world.rig);
            world
                .peer
                .arm(Box::new(move |request| !rig.changes(request)), 1, trick);
        }
    }
}

fn harmless(effect: Effect) -> bool {
    matches!(effect, Effect::Read | Effect::Idempotent)
}

fn fate(trial: &Trial) -> Result<Fate, Broken> {
    match &trial.outcome {
        Ok(_) => Err(Broken(format!(
            "{} succeeds without an answer",
            trial.step.name
        ))),
        Err(failure) => Ok(failure.fate),
    }
}

async fn unsure_unless_harmless(make: Make<'_>, trick: Trick) -> Outcome {
    for trial in at_every_step(make, &trick, On::Change).await? {
        let fate = fate(&trial)?;
        let right = if harmless(trial.step.effect) {
            matches!(fate, Fate::Again { .. })
        } else {
            fate == Fate::Unsure
        };
        claim(right, || {
            format!("{trick:?} at {} is {fate:?}", trial.step.name)
        })?;
    }
    Ok(())
}

pub async fn what_was_not_sent_is_tried_again(make: Make<'_>) -> Outcome {
    for trial in at_every_step(make, &Trick::NotSent, On::Change).await? {
        let fate = fate(&trial)?;
        let again = matches!(fate, Fate::Again { .. });
        claim(again, || {
            format!("not sent at {} is {fate:?}", trial.step.name)
        })?;
    }
    Ok(())
}

pub async fn a_lost_answer_is_unsure_unless_a_repeat_is_harmless(make: Make<'_>) -> Outcome {
    for trick in [
        Trick::AppliedThenLost,
        Trick::LostNotApplied,
        Trick::TooLarge,
    ] {
        unsure_unless_harmless(make, trick).await?;
    }
    Ok(())
}

pub async fn an_unreadable_answer_is_unsure_unless_a_repeat_is_harmless(make: Make<'_>) -> Outcome {
    let tricks = [
        Trick::Garbage(String::new()),
        Trick::Garbage("{\"half\":".into()),
        Trick::Garbage("[]".into()),
        Trick::Html,
        Trick::Status(500),
        Trick::Status(502),
        Trick::Status(504),
        Trick::Redirect,
    ];
    for trick in tricks {
        unsure_unless_harmless(make, trick).await?;
    }
    Ok(())
}

/// A token that cannot be fetched proves that the step itself never left.
pub async fn trouble_before_the_change_is_no_doubt(make: Make<'_>) -> Outcome {
    for trick in [
        Trick::AppliedThenLost,
        Trick::Html,
        Trick::Status(502),
        Trick::Redirect,
    ] {
        for trial in at_every_step(make, &trick, On::Before).await? {
            let changed = trial.outcome.is_ok();
            let unsure = matches!(&trial.outcome, Err(failure) if failure.fate == Fate::Unsure);
            claim(changed || !unsure, || {
                format!("{trick:?} before {} leaves a doubt", trial.step.name)
            })?;
        }
    }
    Ok(())
}

pub async fn a_refusal_under_a_success_status_is_a_failure(make: Make<'_>) -> Outcome {
    let Some(refusal) = make().refusal("内容不合规") else {
        return Ok(());
    };
    let trick = Trick::Instead(refusal);
    for trial in at_every_step(make, &trick, On::Change).await? {
        claim(trial.outcome.is_err(), || {
            format!("{} takes no for yes", trial.step.name)
        })?;
        let copies = trial.world.rig.copies();
        claim(copies == 0, || {
            format!("{} was refused and is public", trial.step.name)
        })?;
    }
    Ok(())
}

/// The answer is lost, the post is not: found by looking, or by the platform's own key.
pub async fn a_lost_step_is_found_and_goes_on_to_one_copy(make: Make<'_>) -> Outcome {
    for trial in at_every_step(make, &Trick::AppliedThenLost, On::Change).await? {
        let Trial {
            mut world,
            step,
            began,
            ..
        } = trial;
        let looks = !world.caps().look.unknown_plan.is_empty();
        let found = world.reconcile(&step, began).await?;
        claim(found == (looks || step.effect != Effect::Public), || {
            format!("{} was applied and is not found", step.name)
        })?;
        if found {
            world.publish().await?;
        }
        let copies = world.rig.copies();
        claim(copies <= 1, || {
            format!("{copies} copies after {} was lost", step.name)
        })?;
    }
    Ok(())
}

pub async fn a_step_that_never_arrived_is_not_taken_for_applied(make: Make<'_>) -> Outcome {
    for trial in at_every_step(make, &Trick::LostNotApplied, On::Change).await? {
        let Trial {
            mut world,
            step,
            began,
            ..
        } = trial;
        if harmless(step.effect) {
            continue;
        }
        let ended = world.clock.now();
        world.advance(world.caps().look.settle);
        let truth = world.truth(&step, began, ended).await?;
        let honest = matches!(truth, Truth::Absent | Truth::CannotTell(_));
        claim(honest, || {
            format!("{} never arrived, the look says {truth:?}", step.name)
        })?;
    }
    Ok(())
}

pub async fn a_crowded_list_is_no_proof_of_absence(make: Make<'_>) -> Outcome {
    for trial in at_every_step(make, &Trick::LostNotApplied, On::Change).await? {
        let Trial {
            mut world,
            step,
            began,
            ..
        } = trial;
        if step.effect != Effect::Public {
            continue;
        }
        let ended = world.clock.now();
        world.advance(Duration::from_secs(5));
        world.rig.crowd(world.clock.now());
        world.advance(world.caps().look.settle);
        let truth = world.truth(&step, began, ended).await?;
        let honest = matches!(truth, Truth::CannotTell(_));
        claim(honest, || {
            format!("{} cannot be seen any more, yet: {truth:?}", step.name)
        })?;
    }
    Ok(())
}

pub async fn a_broken_look_is_no_proof_of_absence(make: Make<'_>) -> Outcome {
    let tricks = [
        Trick::AppliedThenLost,
        Trick::Html,
        Trick::Garbage("{}".into()),
        Trick::Instead(reply(403, "")),
        Trick::Instead(reply(404, "")),
    ];
    for trick in tricks {
        for trial in at_every_step(make, &Trick::AppliedThenLost, On::Change).await? {
            let Trial {
                world, step, began, ..
            } = trial;
            if harmless(step.effect) {
                continue;
            }
            let ended = world.clock.now();
            world.advance(world.caps().look.settle);
            for _ in 0..6 {
                world.trick_any(trick.clone());
            }
            let sighting = world
                .look(Target::Step {
                    step: &step,
                    began,
                    ended,
                })
                .await;
            let absent = matches!(&sighting, Ok(sighting) if sighting.truth == Truth::Absent);
            claim(!absent, || {
                format!("{trick:?}: {} is called absent", step.name)
            })?;
        }
    }
    Ok(())
}

/// Who lists nothing says that nothing was published without a record: an answer that cannot be read may not say so.
pub async fn a_broken_survey_is_no_empty_list(make: Make<'_>) -> Outcome {
    let tricks = [
        Trick::Instead(reply(200, "{}")),
        Trick::Instead(reply(200, "<html></html>")),
        Trick::Instead(reply(500, "")),
        Trick::AppliedThenLost,
        Trick::Html,
    ];
    for trick in tricks {
        let mut world = World::new(make())?;
        world.publish().await?;
        for _ in 0..6 {
            world.trick_any(trick.clone());
        }
        let surveyed = world.survey().await;
        let empty = matches!(&surveyed, Ok(Surveyed::Posts(posts)) if posts.is_empty());
        claim(!empty, || format!("{trick:?}: the list is called empty"))?;
    }
    Ok(())
}

/// The platform repeats the request, token and all, in refusals and in garbage; nobody else does.
pub async fn secrets_are_in_no_answer(make: Make<'_>) -> Outcome {
    let mut world = World::new(make())?;
    world.check().await;
    world.publish().await?;
    let secrets = world.rig.secrets();
    if secrets.is_empty() {
        return Ok(());
    }
    let mut told = world.said();
    let mut tricks = vec![
        Trick::Instead(reply(200, ECHO)),
        Trick::Instead(reply(500, ECHO)),
    ];
    tricks.extend(world.rig.refusal(ECHO).map(Trick::Instead));
    for trick in tricks {
        for trial in at_every_step(make, &trick, On::Change).await? {
            told.extend(trial.world.said());
        }
        let broken = World::new(make())?;
        for _ in 0..8 {
            broken.trick_any(trick.clone());
        }
        broken.check().await;
        let _told = broken.look(Target::Copies).await;
        told.extend(broken.said());
    }
    for text in told {
        let leak = secrets.iter().find(|secret| text.contains(secret.as_str()));
        claim(leak.is_none(), || {
            format!(
                "a secret is in: {}",
                text.replace(leak.map_or("", String::as_str), "[…]")
            )
        })?;
    }
    Ok(())
}

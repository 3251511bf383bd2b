//! What can be checked without a platform: caps, drafts, settings, plans.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Make;
use super::world::{Broken, Outcome, World, claim};
use crate::contract::Next;

pub async fn caps_hang_together(make: Make<'_>) -> Outcome {
    let mut world = World::new(make())?;
    let caps = world.caps().clone();
    claim(!caps.account.is_empty(), || {
        "the account has no name".into()
    })?;
    claim((1..=8).contains(&caps.gathers), || {
        format!("gathers {}", caps.gathers)
    })?;
    claim(!caps.look.review_plan.is_empty(), || {
        "nothing says when to look".into()
    })?;
    for plan in [&caps.look.review_plan, &caps.look.unknown_plan] {
        claim(plan.is_sorted(), || {
            format!("a plan goes backwards: {plan:?}")
        })?;
    }
    let first = caps.look.unknown_plan.first();
    claim(first.is_none_or(|first| *first >= caps.look.settle), || {
        "it would look before things have settled".into()
    })?;
    let names: BTreeSet<&str> = caps
        .quotas
        .iter()
        .map(|quota| quota.name.as_str())
        .collect();
    claim(names.len() == caps.quotas.len(), || {
        "two quotas share a name".into()
    })?;
    let surveys = world.channel.surveys().is_some();
    claim(surveys == caps.survey.is_some(), || {
        "the caps and the channel disagree about surveys".into()
    })?;
    let survey = caps.survey.iter().flat_map(|survey| &survey.costs);
    for cost in survey.chain(&caps.look.costs) {
        claim(names.contains(cost.quota.as_str()), || {
            format!("a look or survey spends the unknown quota {}", cost.quota)
        })?;
    }
    while let Ok(step) = world.step()? {
        for cost in &step.costs {
            claim(names.contains(cost.quota.as_str()), || {
                format!("{} spends the unknown quota {}", step.name, cost.quota)
            })?;
        }
        world.run_step(&step, false).await?;
    }
    Ok(())
}

pub async fn a_draft_is_pure_and_its_hash_is_stable(make: Make<'_>) -> Outcome {
    let (one, other) = (World::new(make())?, World::new(make())?);
    other.advance(Duration::from_hours(1000));
    let drafts = [&one, &one, &other].map(|world| {
        world
            .channel
            .draft(&world.rig.document(1), world.rig.media())
    });
    claim(drafts[0] == drafts[1] && drafts[1] == drafts[2], || {
        "the same document gives different drafts".into()
    })?;
    let second = one.channel.draft(&one.rig.document(2), one.rig.media());
    let (Ok(first), Ok(second)) = (&drafts[0], &second) else {
        return Err(Broken("a sample is refused".into()));
    };
    claim(first.hash() != second.hash(), || {
        "a changed document has the same hash".into()
    })?;
    claim(first.preview.contains("</"), || {
        "the preview is no page".into()
    })?;
    let outside = [
        "src=\"http",
        "src='http",
        "src=\"//",
        "@import",
        "rel=\"stylesheet",
        "rel=stylesheet",
    ];
    claim(
        !outside.iter().any(|mark| first.preview.contains(mark)),
        || "the preview needs something from outside".into(),
    )?;
    claim(one.peer.log().is_empty(), || {
        "drafting uses the network".into()
    })
}

pub async fn a_draft_refuses_what_is_beyond_each_limit(make: Make<'_>) -> Outcome {
    let world = World::new(make())?;
    for limit in &world.caps().limits {
        let document = world.rig.beyond(limit);
        let Err(findings) = world.channel.draft(&document, world.rig.media()) else {
            return Err(Broken(format!("{limit:?} is not enforced")));
        };
        let found = findings.iter().find(|finding| finding.field == limit.field);
        let Some(found) = found else {
            return Err(Broken(format!(
                "no finding names {}: {findings:?}",
                limit.field
            )));
        };
        let exact = found.limit == Some(limit.max) && found.actual.is_some_and(|n| n > limit.max);
        claim(exact, || {
            format!("{found:?} does not state the limit and what there is")
        })?;
        claim(
            !found.words.zh.is_empty() && !found.words.en.is_empty(),
            || format!("{found:?} says nothing"),
        )?;
    }
    Ok(())
}

pub async fn unknown_settings_are_refused_by_name(make: Make<'_>) -> Outcome {
    let rig = make();
    let mut more = toml::Table::new();
    more.insert("no_such_setting".into(), toml::Value::Boolean(true));
    let Err(problems) = rig.build(more) else {
        return Err(Broken("an unknown setting is accepted".into()));
    };
    claim(
        problems
            .iter()
            .any(|problem| problem.key == "no_such_setting"),
        || format!("no problem names the unknown setting: {problems:?}"),
    )
}

pub async fn next_is_pure_and_its_steps_are_finite_and_named_once(make: Make<'_>) -> Outcome {
    let mut world = World::new(make())?;
    let mut names = BTreeSet::new();
    loop {
        let (first, second) = (world.next(), world.next());
        claim(first == second, || format!("{first:?} became {second:?}"))?;
        let Next::Run(step) = first else {
            return match world.step()? {
                Ok(_) => Err(Broken("a wait ends in a step it did not announce".into())),
                Err(_) => Ok(()),
            };
        };
        claim(names.insert(step.name.clone()), || {
            format!("two steps are called {}", step.name)
        })?;
        world.run_step(&step, false).await?;
    }
}

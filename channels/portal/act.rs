//! The steps, each at most one call that changes the portal.

use super::answer::State;
use super::article::short;
use super::fate::{self, Outcome};
use super::wire::Api;
use super::{look, way};
use crate::contract::{
    Evidence, Failure, Job, Match, Progress, Receipt, RemovedBy, Seen, Step, Verdict, Words,
};
use crate::kit::exchange;

pub async fn perform(api: &Api<'_>, job: &Job, step: &Step) -> Result<Receipt, Failure> {
    let (name, rest) = step
        .name
        .split_once('/')
        .unwrap_or((step.name.as_str(), ""));
    match name {
        "file" => file(api, job, rest).await,
        "create" => create(api, job).await,
        "update" => update(api, job).await,
        "find" => look::find(api, job).await.map(receipt),
        "withdraw" => withdraw(api, job).await,
        _ => Err(fate::bug(&format!("no step is called {name}"))),
    }
}

fn receipt(progress: Progress) -> Receipt {
    Receipt {
        progress,
        ..Receipt::default()
    }
}

async fn file(api: &Api<'_>, job: &Job, hash: &str) -> Result<Receipt, Failure> {
    let files = api.settings.calls.files.as_ref();
    let files = files.ok_or_else(|| fate::bug("no files call is configured"))?;
    let media = job
        .sole()
        .and_then(|sole| {
            sole.draft
                .media
                .iter()
                .find(|media| short(&media.hash) == hash)
        })
        .ok_or_else(|| fate::bug("the draft lacks a file it names"))?;
    let id = format!("{}-{hash}", job.key);
    let outcome = api
        .send(&files.call, job, &id, Some((&files.part, media)))
        .await?;
    let (Outcome::Done(answer) | Outcome::Duplicate(answer)) = outcome else {
        return Err(fate::lost(api));
    };
    let places = &api.settings.answers;
    let (id, url) = (
        answer.text(&places.file_id),
        answer.text(&places.file_address),
    );
    if id.is_none() && url.is_none() {
        return Err(incomplete(
            api,
            answer.status,
            "neither id nor address of the file",
        ));
    }
    let facts = job.progress.clone();
    let facts = facts.with(format!("file/{hash}"), id.unwrap_or_default());
    Ok(receipt(
        facts.with(format!("file_url/{hash}"), url.unwrap_or_default()),
    ))
}

/// Success was said, and what must come with it was not.
fn incomplete(api: &Api<'_>, status: u16, what: &str) -> Failure {
    let reply = crate::contract::Reply {
        status,
        headers: http::HeaderMap::new(),
        body: Vec::new(),
    };
    let why = format!("the answer names {what}");
    exchange::unreadable(&api.platform(), api.effect, &reply, &why)
}

async fn create(api: &Api<'_>, job: &Job) -> Result<Receipt, Failure> {
    let outcome = api
        .send(&api.settings.calls.create, job, &job.key, None)
        .await?;
    let answer = match outcome {
        Outcome::Done(answer) => answer,
        // Refused as known: on a repeat it proves that the first run arrived.
        Outcome::Duplicate(answer) if api.call.repeat => {
            return Ok(accepted(api, job, &answer, Verdict::Reviewing));
        }
        Outcome::Duplicate(answer) => return Err(fate::duplicate(api, &answer)),
        Outcome::Missing { .. } => {
            return Err(fate::no_endpoint(api));
        }
    };
    let places = &api.settings.answers;
    if !places.id.is_empty() && answer.text(&places.id).is_none() {
        return Err(incomplete(api, answer.status, "no article"));
    }
    let verdict = verdict(api, &answer);
    Ok(accepted(api, job, &answer, verdict))
}

/// What the answer itself proves; no state means that it waits for an editor.
fn verdict(api: &Api<'_>, answer: &super::answer::Answer) -> Verdict {
    let word = answer.text(&api.settings.answers.state);
    match word.and_then(|word| api.settings.states.of(&word)) {
        Some(State::Published) if !api.settings.read_page => Verdict::Live(Match::Unread),
        Some(State::Returned) => Verdict::Refused(look::returned(api, answer)),
        Some(State::Withdrawn) => Verdict::Removed(RemovedBy::Platform),
        Some(State::Pending | State::Published) | None => Verdict::Reviewing,
    }
}

fn accepted(api: &Api<'_>, job: &Job, answer: &super::answer::Answer, verdict: Verdict) -> Receipt {
    let places = &api.settings.answers;
    let draft = job.sole().map_or("", |sole| short(&sole.draft_hash));
    let mut facts = job
        .progress
        .clone()
        .without("gone")
        .without("searched")
        .with(way::CREATED, &*job.key)
        .with("holds", draft);
    look::adopt(
        &mut facts,
        answer.text(&places.id),
        answer.text(&places.address),
    );
    let seen = Seen {
        place: job.sole().map_or(0, |sole| sole.place),
        verdict,
        remote_id: facts.get("id").map(ToOwned::to_owned),
        address: facts.get("url").map(ToOwned::to_owned),
        evidence: Evidence::Status,
    };
    Receipt {
        progress: facts,
        seen: vec![seen],
        request_id: answer.text(&places.request_id),
    }
}

async fn update(api: &Api<'_>, job: &Job) -> Result<Receipt, Failure> {
    let call = api.settings.calls.update.as_ref();
    let call = call.ok_or_else(|| fate::bug("no update call is configured"))?;
    known_id(api, job)?;
    match api.send(call, job, &job.key, None).await? {
        Outcome::Done(answer) => {
            let draft = job.sole().map_or("", |sole| short(&sole.draft_hash));
            let mut facts = job.progress.clone();
            facts.set("updated", &*job.key);
            facts.set("holds", draft);
            let address = answer.text(&api.settings.answers.address);
            look::adopt(&mut facts, None, address);
            Ok(receipt(facts))
        }
        Outcome::Duplicate(_) => Ok(receipt(job.progress.clone().with("updated", &*job.key))),
        Outcome::Missing { .. } => Err(fate::lost(api)),
    }
}

/// A call that names an article needs its name.
fn known_id(api: &Api<'_>, job: &Job) -> Result<(), Failure> {
    let wanted = !api.settings.answers.id.is_empty();
    if wanted && job.progress.get("id").is_none_or(str::is_empty) {
        return Err(fate::lost(api));
    }
    Ok(())
}

async fn withdraw(api: &Api<'_>, job: &Job) -> Result<Receipt, Failure> {
    let call = api.settings.calls.withdraw.as_ref();
    let call = call.ok_or_else(|| fate::bug("no withdraw call is configured"))?;
    known_id(api, job)?;
    // Done, done before, or not there any more: all the same.
    api.send(call, job, &job.key, None).await?;
    Ok(receipt(job.progress.clone().with("gone", &*job.key)))
}

/// An editor's own words, or that there are none.
pub fn unexplained() -> Words {
    Words::new(
        "门户退回了这篇文章，没有说明原因。",
        "The portal returned the article without a reason.",
    )
}

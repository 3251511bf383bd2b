//! From a draft to an article over there, and back: which step is next.
//!
//! Pure. Files go first, the article last, so that the one step that may not be repeated is small.
//!
//! | fact | what it says |
//! | --- | --- |
//! | `file/HASH`, `file_url/HASH` | what the portal calls an uploaded file |
//! | `created` | the key of the job that made the article |
//! | `id`, `url` | what the portal calls it |
//! | `holds` | the draft it was last given |
//! | `updated`, `searched`, `gone` | the last job that changed it, looked for it, took it away |

use chrono::TimeDelta;

use super::article::{self, short};
use super::settings::Settings;
use crate::contract::{Effect, Goal, Job, Next, Step, Timestamp, Words};

pub const CREATED: &str = "created";

pub fn next(settings: &Settings, job: &Job, now: Timestamp) -> Next {
    match job.goal {
        Goal::Publish => publish(settings, job, now),
        Goal::Update => update(settings, job, now),
        Goal::Withdraw => withdraw(settings, job, now),
    }
}

fn by(job: &Job, fact: &str) -> bool {
    job.progress.get(fact) == Some(&job.key)
}

/// An article of ours is there, as far as we know.
fn is_there(job: &Job) -> bool {
    let facts = &job.progress;
    (facts.has(CREATED) || facts.has("id")) && !facts.has("gone")
}

/// A person saw it there, and nothing on record says what the portal calls it: neither a call nor a lookup reaches it,
/// and another article would stand beside it.
pub fn is_unnamed(job: &Job) -> bool {
    let seen = job.sole().is_some_and(|sole| sole.copy.is_some());
    let facts = &job.progress;
    seen && !facts.has(CREATED) && !facts.has("id") && !facts.has("gone")
}

fn publish(settings: &Settings, job: &Job, now: Timestamp) -> Next {
    if is_there(job) {
        return Next::Done;
    }
    if is_unnamed(job) {
        let name = &settings.name;
        return Next::Person {
            todo: Words::new(
                format!(
                    "这篇文章是人工核实的，不知道它在{name}的编号；请在{name}后台改成新稿，再用 lubu confirm 说明。"
                ),
                "A person saw this article, and its id is not known; please change it in the portal's console, then say so with `lubu confirm`.",
            ),
            look_at: now + TimeDelta::minutes(30),
        };
    }
    upload(settings, job).unwrap_or_else(|| run(Step::new("create", settings.create).shows()))
}

fn run(step: Step) -> Next {
    Next::Run(step)
}

/// The next file that is not over there.
fn upload(settings: &Settings, job: &Job) -> Option<Next> {
    let files = settings.calls.files.as_ref()?;
    let article = article::read(&job.sole()?.draft)?;
    let missing = article
        .uploads
        .iter()
        .map(|hash| format!("file/{}", short(hash)))
        .find(|fact| !job.progress.has(fact))?;
    Some(run(Step::new(missing, files.effect)))
}

fn update(settings: &Settings, job: &Job, now: Timestamp) -> Next {
    if !is_there(job) {
        return publish(settings, job, now);
    }
    if settings.calls.update.is_none() || by(job, "updated") {
        return Next::Done;
    }
    if let Some(find) = find(settings, job) {
        return find;
    }
    let draft = job.sole().map_or("", |sole| short(&sole.draft_hash));
    upload(settings, job)
        .unwrap_or_else(|| run(Step::new(format!("update/{draft}"), Effect::Idempotent).shows()))
}

/// Looks for the article's id, once a job, where it is not known.
fn find(settings: &Settings, job: &Job) -> Option<Next> {
    let able = settings.calls.lookup.is_some() && !job.progress.has("id");
    let find = able && !by(job, "searched");
    find.then(|| run(Step::new("find", Effect::Read)))
}

fn withdraw(settings: &Settings, job: &Job, now: Timestamp) -> Next {
    if by(job, "gone") {
        return Next::Done;
    }
    let unnamed = is_unnamed(job);
    if let Some(find) = find(settings, job).filter(|_| !unnamed) {
        return find;
    }
    if !is_there(job) && !unnamed {
        return Next::Done;
    }
    if settings.calls.withdraw.is_some() && !unnamed {
        return run(Step::new("withdraw", Effect::Idempotent).shows());
    }
    let name = &settings.name;
    Next::Person {
        todo: Words::new(
            format!("请在{name}后台撤下这篇文章，再用 lubu confirm 说明。"),
            "Please take the article down in the portal's console, then say so with `lubu confirm`.",
        ),
        look_at: now + TimeDelta::minutes(30),
    }
}

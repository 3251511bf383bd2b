//! From a draft to its page, and back to a notice: which step is next.
//!
//! Pure. Each page is a step of its own, all lists together are one burst.
//!
//! | fact | what it says |
//! | --- | --- |
//! | `page` | which draft's page was written, and for which job |
//! | `notice` | the job that put a notice in the page's place |
//! | `lists` | the last job whose change the lists show |

use super::address::short;
use crate::contract::{Effect, Goal, Job, Next, Progress, Step};

pub const PAGE: &str = "page";
pub const NOTICE: &str = "notice";
pub const LISTS: &str = "lists";

pub fn next(job: &Job) -> Next {
    let Some(subject) = job.sole() else {
        return Next::Done;
    };
    let (done, step) = match job.goal {
        Goal::Publish | Goal::Update => {
            let name = format!("{PAGE}/{}", short(&subject.draft_hash));
            (job.progress.get(PAGE) == Some(&page_fact(job)), name)
        }
        Goal::Withdraw => {
            let done = job.progress.get(NOTICE) == Some(&job.key);
            (done, NOTICE.to_owned())
        }
    };
    if !done {
        return Next::Run(Step::new(step, Effect::Idempotent).shows());
    }
    if job.progress.get(LISTS) != Some(&job.key) {
        return Next::Run(Step::new(LISTS, Effect::Idempotent).burst());
    }
    Next::Done
}

fn page_fact(job: &Job) -> String {
    let draft = job.sole().map_or("", |subject| short(&subject.draft_hash));
    format!("{draft} {}", job.key)
}

pub fn after_page(job: &Job) -> Progress {
    let facts = job.progress.clone().without(NOTICE);
    facts.with(PAGE, page_fact(job))
}

pub fn after_notice(job: &Job) -> Progress {
    let facts = job.progress.clone().without(PAGE);
    facts.with(NOTICE, &*job.key)
}

/// A page that stands where a notice was put: notice and lists are written again.
pub fn still_there(job: &Job) -> Progress {
    let facts = job.progress.clone();
    if job.goal == Goal::Withdraw && facts.has(NOTICE) {
        return facts.without(NOTICE).without(LISTS);
    }
    facts
}

pub fn after_lists(job: &Job) -> Progress {
    job.progress.clone().with(LISTS, &*job.key)
}

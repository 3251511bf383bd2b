//! From nothing to a live article, and back: which step is next.
//!
//! Pure. Reads the job and the facts that finished steps left in its progress, and nothing else.
//!
//! | fact | what it says |
//! | --- | --- |
//! | `image/HASH` | where the platform keeps this inline image |
//! | `cover/HASH` | the material id of this cover, which no other post uses |
//! | `draft`, `draft_at`, `articles` | the draft's media id, when it was made, how many it holds |
//! | `holds/PLACE` | which revision's text stands at this place of the draft |
//! | `compared` | for which texts the draft was read back and found the same |
//! | `submit`, `mass` | publish id, message id |
//! | `refused_by` | the job whose submission the platform turned down |
//! | `article`, `url/PLACE` | the published article |
//! | `gone/PLACE` | who removed it |
//! | `discarded`, `missing`, `searched`, `tidied/HASH` | how far a withdrawal got |

use chrono::TimeDelta;

use super::article::{self, Article};
use super::settings::Mode;
use crate::contract::{Effect, Goal, Job, Next, Progress, Step, Subject, Timestamp, Words};

/// Mass sends are deduplicated for a day, and not asked about again within a minute.
const MASS: Effect = Effect::Keyed {
    window: std::time::Duration::from_hours(24),
    pause: std::time::Duration::from_mins(1),
};

/// Enough of a hash for names.
const SHORT: usize = 16;

pub fn short(hash: &str) -> &str {
    hash.get(..SHORT).unwrap_or(hash)
}

/// One name for the texts of all subjects together.
pub fn texts(job: &Job) -> String {
    if let [sole] = job.subjects.as_slice() {
        return short(&sole.draft_hash).to_owned();
    }
    let all: Vec<&str> = job
        .subjects
        .iter()
        .map(|subject| subject.draft_hash.as_str())
        .collect();
    short(blake3::hash(all.join(" ").as_bytes()).to_hex().as_str()).to_owned()
}

pub fn articles(job: &Job) -> impl Iterator<Item = (&Subject, Article)> {
    job.subjects
        .iter()
        .filter_map(|subject| Some((subject, article::read(&subject.draft)?)))
}

/// The file name a cover is uploaded under: its content, and the post it belongs to.
pub fn cover_file(job: &Job, hash: &str, extension: &str) -> String {
    format!("{}-{}.{extension}", short(hash), short(&job.key))
}

pub fn is_out(facts: &Progress) -> bool {
    facts.has("submit") || facts.has("mass") || facts.has("article")
}

pub fn next(job: &Job, mode: Mode, now: Timestamp) -> Next {
    match job.goal {
        Goal::Publish | Goal::Update => forward(job, mode, now),
        Goal::Withdraw => back(job, mode),
    }
}

fn forward(job: &Job, mode: Mode, now: Timestamp) -> Next {
    let facts = &job.progress;
    if is_out(facts) {
        return after_submission(job, now);
    }
    if facts.get("refused_by") == Some(&job.key) {
        return Next::Done;
    }
    if let Some(step) = material(job) {
        return Next::Run(step);
    }
    let texts = texts(job);
    if !facts.has("draft") {
        let effect = if mode == Mode::Draft {
            Effect::Public
        } else {
            Effect::Staged
        };
        return Next::Run(Step::new(format!("draft/{texts}"), effect).costs("draft_add", 1));
    }
    for subject in &job.subjects {
        let held = facts.get(&format!("holds/{}", subject.place));
        let wanted = short(&subject.draft_hash);
        if held != Some(wanted) {
            let name = format!("revise/{}/{wanted}", subject.place);
            return Next::Run(Step::new(name, Effect::Idempotent).costs("draft_update", 1));
        }
    }
    if facts.get("compared") != Some(texts.as_str()) {
        return Next::Run(Step::new("compare", Effect::Read).costs("draft_get", 1));
    }
    match mode {
        Mode::Publish => Next::Run(
            Step::new("submit", Effect::Public)
                .shows()
                .costs("submit", 1),
        ),
        Mode::Mass => Next::Run(Step::new("mass", MASS).shows().costs("mass", 1)),
        Mode::Draft => Next::Person {
            todo: Words::new(
                "请在公众号后台的草稿箱里核对并发表这篇图文。",
                "Check this article in the draft box of the WeChat console and publish it there.",
            ),
            look_at: now + TimeDelta::minutes(10),
        },
    }
}

/// What is published cannot be changed by any call.
fn after_submission(job: &Job, now: Timestamp) -> Next {
    let same = |subject: &Subject| {
        let held = job.progress.get(&format!("holds/{}", subject.place));
        held == Some(short(&subject.draft_hash))
    };
    if job.goal == Goal::Publish || job.subjects.iter().all(same) {
        return Next::Done;
    }
    Next::Person {
        todo: Words::new(
            "微信发出的文章不能改。请决定：撤下后按新稿重发，或保留旧稿。",
            "WeChat cannot change what is out. Decide: withdraw and publish anew, or leave it.",
        ),
        look_at: now + TimeDelta::hours(2),
    }
}

/// Images, then covers.
fn material(job: &Job) -> Option<Step> {
    let facts = &job.progress;
    let all: Vec<Article> = articles(job).map(|(_, article)| article).collect();
    let image = all
        .iter()
        .flat_map(|article| &article.images)
        .find(|hash| !facts.has(&format!("image/{hash}")))
        .map(|hash| Step::new(format!("image/{hash}"), Effect::Idempotent));
    let cover = || {
        let hash = all
            .iter()
            .map(|article| &article.cover)
            .find(|hash| !facts.has(&format!("cover/{hash}")))?;
        Some(Step::new(format!("cover/{hash}"), Effect::Staged))
    };
    image.or_else(cover).map(|step| step.costs("upload", 1))
}

fn back(job: &Job, mode: Mode) -> Next {
    let facts = &job.progress;
    if let Some(step) = take_down(job) {
        return Next::Run(step);
    }
    if facts.has("submit") && !facts.has("article") && !facts.has("gone/0") {
        return Next::Run(Step::new("find", Effect::Read).costs("publish_get", 1));
    }
    if facts.has("draft") && !is_out(facts) {
        if !facts.has("discarded") && !facts.has("missing") {
            let discard = Step::new("discard", Effect::Idempotent).costs("draft_delete", 1);
            return Next::Run(discard);
        }
        if facts.has("missing") && !facts.has("searched") && mode != Mode::Mass {
            return Next::Run(Step::new("search", Effect::Read).costs("publish_list", 1));
        }
    }
    tidy(job).map_or(Next::Done, Next::Run)
}

/// The whole article where the job names all of it, else one place after the other.
fn take_down(job: &Job) -> Option<Step> {
    let facts = &job.progress;
    let name = if facts.has("article") {
        "unpublish"
    } else if facts.has("mass") {
        "recall"
    } else {
        return None;
    };
    let left = job
        .subjects
        .iter()
        .find(|subject| !facts.has(&format!("gone/{}", subject.place)))?;
    let published = facts.has("article");
    let name = if is_whole(job) {
        name.to_owned()
    } else {
        format!("{name}/{}", left.place)
    };
    let step = Step::new(name, Effect::Idempotent).shows();
    Some(if published {
        step.costs("delete", 1)
    } else {
        step
    })
}

pub fn is_whole(job: &Job) -> bool {
    let all = job
        .progress
        .get("articles")
        .and_then(|count| count.parse().ok());
    all.is_none_or(|all: usize| job.subjects.len() >= all)
}

/// Covers that nothing uses any more fill the library.
fn tidy(job: &Job) -> Option<Step> {
    let facts = &job.progress;
    if !is_whole(job) {
        return None;
    }
    let hash = facts
        .iter()
        .filter_map(|(fact, _)| fact.strip_prefix("cover/"))
        .find(|hash| !facts.has(&format!("tidied/{hash}")))?;
    Some(Step::new(format!("tidy/{hash}"), Effect::Idempotent))
}

//! Which step is next, and the steps.
//!
//! | fact | what it says |
//! | --- | --- |
//! | `baseline/KEY` | the newest post before this job shared; `?` when that cannot be read |
//! | `shared_at`, `holds` | when it was shared, and which revision's text |
//! | `post`, `url` | its id and address; missing while lists lag behind |
//! | `object` | the article behind the post |
//! | `gone`, `lost` | a withdrawal deleted it, or never found it |

use chrono::TimeDelta;

use super::fate::{self, Class};
use super::permalink::permalink;
use super::post::{self, Article, Post};
use super::settings::{Mode, Settings};
use super::wire::Api;
use super::{LAG, look};
use crate::contract::{
    Effect, Evidence, Failure, Fate, Goal, Job, Kind, Next, Progress, Receipt, Seen, Step,
    Timestamp, Verdict, Words,
};
use crate::kit::json;

pub fn next(settings: &Settings, job: &Job, now: Timestamp) -> Next {
    let facts = &job.progress;
    let shared = facts.has("shared_at");
    match job.goal {
        Goal::Withdraw => back(settings, job, now),
        Goal::Publish | Goal::Update if shared => settled(job, now),
        Goal::Publish | Goal::Update if !facts.has(&baseline_fact(job)) => {
            Next::Run(Step::new("baseline", Effect::Read).costs("calls", 1))
        }
        Goal::Publish | Goal::Update => {
            let name = match settings.mode {
                Mode::Share => "share",
                Mode::Article => "article",
            };
            let step = Step::new(name, Effect::Public).shows();
            // The list is read once more afterwards, for a twin.
            Next::Run(step.costs("calls", 2).costs("posts", 1))
        }
    }
}

pub fn baseline_fact(job: &Job) -> String {
    format!("baseline/{}", job.key)
}

/// No call changes a post.
fn settled(job: &Job, now: Timestamp) -> Next {
    let same = job
        .sole()
        .is_none_or(|sole| job.progress.get("holds") == Some(&sole.draft_hash));
    if same || job.goal == Goal::Publish {
        return Next::Done;
    }
    Next::Person {
        todo: Words::new(
            "微博发出后不能改。请决定：撤下后按新稿重发，或保留旧稿。",
            "Weibo cannot change what is out. Decide: withdraw and post anew, or leave it.",
        ),
        look_at: now + TimeDelta::hours(2),
    }
}

fn back(settings: &Settings, job: &Job, now: Timestamp) -> Next {
    let facts = &job.progress;
    if !facts.has("shared_at") || facts.has("gone") {
        return Next::Done;
    }
    let by_hand = settings.mode == Mode::Article || facts.has("lost");
    if by_hand {
        return Next::Person {
            todo: Words::new(
                "请在微博上人工删除这一条。",
                "Please delete this post on Weibo by hand.",
            ),
            look_at: now + TimeDelta::minutes(10),
        };
    }
    let name = if facts.has("post") { "destroy" } else { "find" };
    let effect = if facts.has("post") {
        Effect::Idempotent
    } else {
        Effect::Read
    };
    let step = Step::new(name, effect).costs("calls", 1);
    Next::Run(if facts.has("post") {
        step.shows()
    } else {
        step
    })
}

pub async fn perform(api: &Api<'_>, job: &Job, step: &Step) -> Result<Receipt, Failure> {
    match step.name.as_str() {
        "baseline" => baseline(api, job).await,
        "share" => share(api, job).await,
        "article" => article(api, job).await,
        "find" => find(api, job).await,
        "destroy" => destroy(api, job).await,
        name => Err(bug(&format!("no step is called {name}"))),
    }
}

fn bug(private: &str) -> Failure {
    let words = Words::new(
        "露布自己出错了，请报告。",
        "This is a fault of lubu; please report it.",
    );
    Failure::new(Kind::Local, Fate::Never, words).private(private)
}

fn receipt(progress: Progress) -> Receipt {
    Receipt {
        progress,
        ..Receipt::default()
    }
}

/// The newest post before ours: what a later look must reach back to. Where the app may not read
/// its timeline nothing can ever be proved absent, which is no reason not to post.
async fn baseline(api: &Api<'_>, job: &Job) -> Result<Receipt, Failure> {
    let newest = match look::timeline(api).await {
        Ok(timeline) => timeline.newest(),
        Err(failure) if is_closed(&failure) => "?".to_owned(),
        Err(failure) => return Err(failure),
    };
    Ok(receipt(
        job.progress.clone().with(baseline_fact(job), newest),
    ))
}

fn is_closed(failure: &Failure) -> bool {
    const CLOSED: [&str; 4] = ["10005", "10014", "10026", "21337"];
    failure
        .code
        .as_deref()
        .is_some_and(|code| CLOSED.contains(&code))
}

fn sole(job: &Job) -> Option<Post> {
    post::read(&job.sole()?.draft)
}

async fn share(api: &Api<'_>, job: &Job) -> Result<Receipt, Failure> {
    let post = sole(job).ok_or_else(|| bug("the draft cannot be read"))?;
    let picture = post
        .picture
        .as_ref()
        .and_then(|hash| job.sole()?.draft.media(hash));
    let fields = [
        ("status", post.text.as_str()),
        ("rip", api.settings.rip.as_str()),
    ];
    let answer = api
        .post_any("/2/statuses/share.json", &fields, picture)
        .await?;
    if fate::class(answer.code) == Class::Late && answer.code != 0 {
        return Ok(shared(api, job, None, None));
    }
    if answer.code != 0 {
        return Err(api.refused(&answer));
    }
    let id = json::id(&answer.body, "idstr").or_else(|| json::id(&answer.body, "mid"));
    let id = id.ok_or_else(|| api.incomplete("idstr"))?;
    Ok(shared(api, job, Some(id), None))
}

async fn article(api: &Api<'_>, job: &Job) -> Result<Receipt, Failure> {
    let post = sole(job).ok_or_else(|| bug("the draft cannot be read"))?;
    let Some(Article {
        title,
        content,
        summary,
    }) = post.article
    else {
        return Err(bug("the draft holds no article"));
    };
    let encoded: String = url::form_urlencoded::byte_serialize(content.as_bytes()).collect();
    // The vendor's sample writes a space as %20 here, not as a plus sign.
    let encoded = encoded.replace('+', "%20");
    let content = if api.settings.encode_content {
        encoded
    } else {
        content
    };
    let fields = [
        ("title", title.as_str()),
        ("content", content.as_str()),
        ("cover", api.settings.cover_url.as_str()),
        ("summary", summary.as_str()),
        ("text", post.text.as_str()),
        ("rip", api.settings.rip.as_str()),
    ];
    let body = api.post("/proxy/article/publish.json", &fields).await?;
    let data = body.get("data").ok_or_else(|| api.incomplete("data"))?;
    let object = json::id(data, "object_id").ok_or_else(|| api.incomplete("object_id"))?;
    Ok(shared(api, job, json::id(data, "mid"), Some(&object)))
}

/// What a share leaves. Accepted is not yet seen.
fn shared(api: &Api<'_>, job: &Job, id: Option<String>, object: Option<&str>) -> Receipt {
    let mut facts = job
        .progress
        .clone()
        .with("shared_at", millis(api.call.now()));
    if let Some(sole) = job.sole() {
        facts.set("holds", &sole.draft_hash);
    }
    if let Some(object) = object {
        facts.set("object", object);
        facts.set(
            "url",
            format!("https://weibo.com/ttarticle/p/show?id={object}"),
        );
    }
    let facts = match &id {
        Some(id) => posted(api.settings, facts, id),
        None => facts,
    };
    let seen = Seen {
        place: 0,
        verdict: Verdict::Reviewing,
        remote_id: id,
        address: facts.get("url").map(ToOwned::to_owned),
        evidence: Evidence::Status,
    };
    Receipt {
        seen: vec![seen],
        ..receipt(facts)
    }
}

/// The facts once the post's id is known.
pub fn posted(settings: &Settings, facts: Progress, id: &str) -> Progress {
    let facts = facts.with("post", id);
    match permalink(&settings.web, &settings.uid, id) {
        Some(url) if !facts.has("url") => facts.with("url", url),
        _ => facts,
    }
}

pub fn millis(at: Timestamp) -> String {
    at.timestamp_millis().to_string()
}

/// Step `find`: a withdrawal needs the id of a post that was taken without one.
async fn find(api: &Api<'_>, job: &Job) -> Result<Receipt, Failure> {
    let found = look::unnamed(api, job).await?;
    let facts = job.progress.clone();
    if let Some(id) = found {
        return Ok(receipt(posted(api.settings, facts, &id)));
    }
    let shared = look::shared_at(job).unwrap_or_else(|| api.call.now());
    if api.call.now() < shared + LAG {
        let words = Words::new(
            "微博收下了这一条，但列表里还没有，稍后再找。",
            "Weibo took the post but does not list it yet; looking again later.",
        );
        let not_before = Some(api.call.now() + TimeDelta::minutes(3));
        return Err(Failure::new(
            Kind::Platform,
            Fate::Again { not_before },
            words,
        ));
    }
    Ok(receipt(facts.with("lost", "1")))
}

async fn destroy(api: &Api<'_>, job: &Job) -> Result<Receipt, Failure> {
    let id = job.progress.get("post").unwrap_or_default();
    match api.post("/2/statuses/destroy.json", &[("id", id)]).await {
        Ok(body)
            if json::id(&body, "id")
                .or_else(|| json::id(&body, "idstr"))
                .is_none() =>
        {
            Err(api.incomplete("id"))
        }
        Err(failure) if failure.kind != Kind::Gone => Err(failure),
        Ok(_) | Err(_) => Ok(receipt(job.progress.clone().with("gone", "owner"))),
    }
}

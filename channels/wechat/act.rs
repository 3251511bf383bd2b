//! The steps, each at most one call that changes the platform.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::article::Article;
use super::settings::Mode;
use super::wire::{Api, Load, is_gone};
use super::{back, compare, copies, list, way};
use crate::contract::{DraftMedia, Evidence};
use crate::contract::{
    Failure, Fate, Job, Kind, Part, Progress, Receipt, Seen, Step, Timestamp, Verdict, Words,
};
use crate::kit::{html, json};

/// Runs the step that [`way::next`] named.
pub async fn perform(api: &Api<'_>, job: &Job, step: &Step) -> Result<Receipt, Failure> {
    let (name, rest) = step
        .name
        .split_once('/')
        .unwrap_or((step.name.as_str(), ""));
    match name {
        "image" => image(api, job, rest).await,
        "cover" => cover(api, job, rest).await,
        "draft" => draft(api, job).await,
        "revise" => revise(api, job, rest).await,
        "compare" => compare(api, job).await,
        "submit" => submit(api, job).await,
        "mass" => mass(api, job).await,
        "unpublish" => back::unpublish(api, job, rest).await,
        "recall" => back::recall(api, job, rest).await,
        "find" => copies::find(api, job).await,
        "search" => copies::search(api, job).await,
        "discard" => back::discard(api, job).await,
        "tidy" => back::tidy(api, job, rest).await,
        _ => Err(bug(&format!("no step is called {name}"))),
    }
}

fn bug(private: &str) -> Failure {
    let words = Words::new(
        "露布自己出错了，请报告。",
        "This is a fault of lubu; please report it.",
    );
    Failure::new(Kind::Local, Fate::Never, words).private(private)
}

pub fn receipt(progress: Progress) -> Receipt {
    Receipt {
        progress,
        ..Receipt::default()
    }
}

fn medium<'j>(job: &'j Job, hash: &str) -> Option<&'j DraftMedia> {
    job.subjects
        .iter()
        .find_map(|subject| subject.draft.media(hash))
}

fn no_medium() -> Failure {
    bug("the draft lacks an image it names")
}

fn part(media: &DraftMedia, file: String) -> Part {
    Part {
        name: "media".into(),
        file: Some(file),
        mime: Some(media.mime.clone()),
        bytes: media.bytes.clone(),
    }
}

async fn image(api: &Api<'_>, job: &Job, hash: &str) -> Result<Receipt, Failure> {
    let media = medium(job, hash).ok_or_else(no_medium)?;
    let body = api
        .upload("/cgi-bin/media/uploadimg", part(media, media.name.clone()))
        .await?;
    let url = json::id(&body, "url").ok_or_else(|| api.incomplete("url"))?;
    Ok(receipt(
        job.progress.clone().with(format!("image/{hash}"), url),
    ))
}

async fn cover(api: &Api<'_>, job: &Job, hash: &str) -> Result<Receipt, Failure> {
    let media = medium(job, hash).ok_or_else(no_medium)?;
    let path = "/cgi-bin/material/add_material?type=image";
    let body = api
        .upload(path, part(media, cover_file(job, media)))
        .await?;
    let id = json::id(&body, "media_id").ok_or_else(|| api.incomplete("media_id"))?;
    let progress = job.progress.clone().with(format!("cover/{hash}"), id);
    Ok(receipt(
        progress.with(format!("cover_at/{hash}"), millis(api.call.now())),
    ))
}

pub fn cover_file(job: &Job, media: &DraftMedia) -> String {
    let extension = if media.mime == "image/png" {
        "png"
    } else {
        "jpg"
    };
    way::cover_file(job, &media.hash, extension)
}

pub fn millis(at: Timestamp) -> String {
    at.timestamp_millis().to_string()
}

/// One article as the platform wants it, its named slots filled.
fn filled(facts: &Progress, article: &Article) -> Option<Value> {
    let place = |src: &str| {
        let hash = src.strip_prefix("media:")?;
        facts.get(&format!("image/{hash}")).map(ToOwned::to_owned)
    };
    let cover = facts.get(&format!("cover/{}", article.cover))?;
    Some(json!({
        "article_type": "news",
        "title": article.title,
        "author": article.author,
        "digest": article.digest,
        "content": html::with_images(&article.content, place),
        "content_source_url": article.content_source_url,
        "thumb_media_id": cover,
        "need_open_comment": article.need_open_comment,
        "only_fans_can_comment": article.only_fans_can_comment,
    }))
}

async fn draft(api: &Api<'_>, job: &Job) -> Result<Receipt, Failure> {
    let articles: Option<Vec<Value>> = way::articles(job)
        .map(|(_, article)| filled(&job.progress, &article))
        .collect();
    let articles = articles.filter(|articles| articles.len() == job.subjects.len());
    let articles = articles.ok_or_else(|| bug("an article's cover was never uploaded"))?;
    let outcome = api
        .post("/cgi-bin/draft/add", json!({ "articles": articles }))
        .await;
    let body = outcome.map_err(|failure| with_fresh_cover(job, api.call.now(), failure))?;
    let id = json::id(&body, "media_id").ok_or_else(|| api.incomplete("media_id"))?;
    Ok(receipt(drafted(job, &id, api.call.now())))
}

/// The facts of a draft that holds the job's texts.
pub fn drafted(job: &Job, id: &str, at: Timestamp) -> Progress {
    let facts = job
        .progress
        .clone()
        .without("compared")
        .with("draft", id)
        .with("draft_at", millis(at))
        .with("articles", job.subjects.len().to_string());
    job.subjects.iter().fold(facts, |facts, subject| {
        facts.with(
            format!("holds/{}", subject.place),
            way::short(&subject.draft_hash),
        )
    })
}

/// A cover is refused for some seconds after its upload; one that stays refused is uploaded anew,
/// once.
fn with_fresh_cover(job: &Job, now: Timestamp, failure: Failure) -> Failure {
    if failure.code.as_deref() != Some("40007") || failure.fate != Fate::Never {
        return failure;
    }
    let covers: Vec<String> = way::articles(job)
        .map(|(_, article)| article.cover)
        .collect();
    let just_uploaded = covers.iter().any(|hash| {
        let at = job
            .progress
            .get(&format!("cover_at/{hash}"))
            .and_then(|at| at.parse().ok());
        at.is_some_and(|at: i64| now.timestamp_millis() - at < 60_000)
    });
    let soon = Fate::Again {
        not_before: Some(now + TimeDelta::seconds(10)),
    };
    if just_uploaded {
        return Failure {
            fate: soon,
            ..failure
        };
    }
    if job.progress.has("cover_again") {
        return failure;
    }
    let facts = covers.iter().fold(
        job.progress.clone().with("cover_again", "1"),
        |facts, hash| facts.without(&format!("cover/{hash}")),
    );
    Failure {
        fate: soon,
        progress: Some(facts),
        ..failure
    }
}

async fn revise(api: &Api<'_>, job: &Job, rest: &str) -> Result<Receipt, Failure> {
    let place: u8 = rest
        .split('/')
        .next()
        .and_then(|place| place.parse().ok())
        .unwrap_or(0);
    let subject = way::articles(job).find(|(subject, _)| subject.place == place);
    let (subject, article) = subject.ok_or_else(|| bug("the draft has no such place"))?;
    let article = filled(&job.progress, &article).ok_or_else(|| bug("no cover"))?;
    let id = job.progress.get("draft").unwrap_or_default();
    let body = json!({ "media_id": id, "index": place, "articles": article });
    if let Err(failure) = api.post("/cgi-bin/draft/update", body).await {
        return Err(if is_gone(&failure) {
            lost_draft(job, failure)
        } else {
            failure
        });
    }
    let held = way::short(&subject.draft_hash);
    Ok(receipt(
        job.progress
            .clone()
            .with(format!("holds/{place}"), held)
            .without("compared"),
    ))
}

/// Somebody deleted the draft, or published it by hand. A person looks; a retry makes another.
fn lost_draft(job: &Job, failure: Failure) -> Failure {
    let words = Words::new(
        "草稿箱里没有这篇图文了，可能有人在公众号后台发表或删除了它。请核实后再重试。",
        "The draft is gone: someone may have published or deleted it in the console. \
         Make sure before trying again.",
    );
    let facts = job
        .progress
        .clone()
        .without("draft")
        .without("draft_at")
        .without("compared");
    Failure {
        public: words,
        fate: Fate::Never,
        progress: Some(facts),
        ..failure
    }
}

/// Reads the draft back. What differs from the approved text is never published.
async fn compare(api: &Api<'_>, job: &Job) -> Result<Receipt, Failure> {
    let id = job.progress.get("draft").unwrap_or_default();
    let body = match api
        .post("/cgi-bin/draft/get", json!({ "media_id": id }))
        .await
    {
        Ok(body) => body,
        Err(failure) if is_gone(&failure) => return after_hand(api, job, failure).await,
        Err(failure) => return Err(failure),
    };
    let items = json::list(&body, "news_item");
    if items.is_empty() {
        return Err(api.incomplete("news_item"));
    }
    for (subject, article) in way::articles(job) {
        let item = items.get(usize::from(subject.place));
        let wrong = item.map_or(Some("少了一篇".to_owned()), |item| {
            compare::difference(&article, item)
        });
        if let Some(wrong) = wrong {
            return Err(changed(&wrong));
        }
    }
    Ok(receipt(
        job.progress.clone().with("compared", way::texts(job)),
    ))
}

/// The draft left the box before it was read back.
async fn after_hand(api: &Api<'_>, job: &Job, failure: Failure) -> Result<Receipt, Failure> {
    if let Some(found) = list::published(api, job, None).await?.one() {
        return Ok(receipt(copies::adopted(job, &found)));
    }
    if api.settings.mode == Mode::Draft {
        return Ok(receipt(
            job.progress.clone().with("compared", way::texts(job)),
        ));
    }
    Err(lost_draft(job, failure))
}

fn changed(what: &str) -> Failure {
    let words = Words::new(
        format!("微信改动了草稿：{what}。没有发布。请改稿后重新送签，或在后台人工处理。"),
        format!(
            "WeChat altered the draft ({what}); it was not published. Change the text, or handle it in the console."
        ),
    );
    Failure::new(Kind::Content, Fate::Never, words)
}

async fn submit(api: &Api<'_>, job: &Job) -> Result<Receipt, Failure> {
    let id = job.progress.get("draft").unwrap_or_default();
    let outcome = api
        .post("/cgi-bin/freepublish/submit", json!({ "media_id": id }))
        .await;
    let body = outcome.map_err(|failure| {
        // Gone from the box: published by an earlier run or by hand, or deleted. Only a look tells.
        if is_gone(&failure) {
            Failure {
                fate: Fate::Unsure,
                ..failure
            }
        } else {
            failure
        }
    })?;
    let publish_id = json::id(&body, "publish_id").ok_or_else(|| api.incomplete("publish_id"))?;
    let facts = job
        .progress
        .clone()
        .without("refused_by")
        .with("submit", publish_id);
    Ok(Receipt {
        seen: reviewing(job),
        ..receipt(facts)
    })
}

fn reviewing(job: &Job) -> Vec<Seen> {
    let each = |place| Seen {
        place,
        verdict: Verdict::Reviewing,
        remote_id: None,
        address: None,
        evidence: Evidence::Status,
    };
    job.subjects
        .iter()
        .map(|subject| each(subject.place))
        .collect()
}

/// 45065 says that this very message was taken before, and names it.
async fn mass(api: &Api<'_>, job: &Job) -> Result<Receipt, Failure> {
    const TAKEN: i64 = 45_065;
    let filter = match api.settings.tag_id {
        None => json!({ "is_to_all": true }),
        Some(tag) => json!({ "is_to_all": false, "tag_id": tag }),
    };
    let body = json!({
        "filter": filter,
        "mpnews": { "media_id": job.progress.get("draft").unwrap_or_default() },
        "msgtype": "mpnews",
        "send_ignore_reprint": 0,
        "clientmsgid": job.key,
    });
    let answer = api
        .exchange("/cgi-bin/message/mass/sendall", Load::Json(body))
        .await?;
    let id = json::id(&answer.body, "msg_id");
    if answer.code != 0 && (answer.code != TAKEN || id.is_none()) {
        let failure = api.refused(&answer);
        return Err(if is_gone(&failure) {
            Failure {
                fate: Fate::Unsure,
                ..failure
            }
        } else {
            failure
        });
    }
    let id = id.ok_or_else(|| api.incomplete("msg_id"))?;
    Ok(Receipt {
        seen: reviewing(job),
        ..receipt(job.progress.clone().with("mass", id))
    })
}

//! Reading the platform back.
//!
//! A post of ours is recognised by its cover, which no other post uses, or, where the platform
//! leaves the cover out, by the address of the original together with the time. A list proves
//! absence only when all of it was read, or when it reaches back past the moment in question.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::settings::Mode;
use super::wire::{Api, is_gone};
use super::{act, way};
use crate::contract::{
    Evidence, Failure, Fate, Job, Kind, Match, Progress, Receipt, RemovedBy, Seen, Sighting, Step,
    Subject, Target, Timestamp, Truth, Verdict, Words,
};
use crate::kit::{json, text};

/// Rows on a page, and how many pages a look may read.
const ROWS: i64 = 20;
const PAGES: i64 = 3;

/// How far the two clocks may disagree.
const SKEW: TimeDelta = TimeDelta::minutes(5);

pub async fn look(api: &Api<'_>, job: &Job, at: Target<'_>) -> Result<Sighting, Failure> {
    let outcome = match at {
        Target::Step { step, began, .. } => for_step(api, job, step, began).await,
        Target::Copies => copies(api, job).await,
    };
    match outcome {
        // A look refused for want of a right could not tell; it did not fail.
        Err(failure)
            if matches!(failure.fate, Fate::Blocked(_))
                && failure.code.as_deref() == Some("48001") =>
        {
            Ok(blind(job, at, failure.public))
        }
        other => other,
    }
}

fn blind(job: &Job, at: Target<'_>, why: Words) -> Sighting {
    match at {
        Target::Step { .. } => sighting(job.progress.clone(), Truth::CannotTell(why), Vec::new()),
        Target::Copies => every(job, job.progress.clone(), &Verdict::CannotTell(why)),
    }
}

fn sighting(progress: Progress, truth: Truth, seen: Vec<Seen>) -> Sighting {
    Sighting {
        progress,
        truth,
        seen,
    }
}

fn every(job: &Job, progress: Progress, verdict: &Verdict) -> Sighting {
    let evidence = Evidence::Status;
    let seen = job
        .subjects
        .iter()
        .map(|subject| seen(&progress, subject, verdict.clone(), evidence))
        .collect();
    sighting(progress, Truth::NotAsked, seen)
}

fn seen(facts: &Progress, subject: &Subject, verdict: Verdict, evidence: Evidence) -> Seen {
    let place = subject.place;
    let id = facts.get("article").or(facts.get("mass"));
    Seen {
        place,
        verdict,
        remote_id: id.map(ToOwned::to_owned),
        address: facts.get(&format!("url/{place}")).map(ToOwned::to_owned),
        evidence,
    }
}

fn cannot_tell(zh: &str, en: &str) -> Truth {
    Truth::CannotTell(Words::new(zh, en))
}

async fn for_step(
    api: &Api<'_>,
    job: &Job,
    step: &Step,
    began: Timestamp,
) -> Result<Sighting, Failure> {
    let (name, rest) = step
        .name
        .split_once('/')
        .unwrap_or((step.name.as_str(), ""));
    match name {
        "cover" => for_cover(api, job, rest, began).await,
        "draft" => for_draft(api, job, began).await,
        "submit" => for_submit(api, job, began).await,
        _ => {
            let truth = cannot_tell("这一步再做一次即可。", "This step can simply be repeated.");
            Ok(sighting(job.progress.clone(), truth, Vec::new()))
        }
    }
}

/// Rows of a paged list, newest first as far as anyone knows, and whether they reach back far
/// enough to prove that something made after `since` is not there.
struct Rows {
    rows: Vec<Value>,
    covering: bool,
}

async fn rows(api: &Api<'_>, path: &str, more: &Value, since: Timestamp) -> Result<Rows, Failure> {
    let mut all = Rows {
        rows: Vec::new(),
        covering: false,
    };
    for page in 0..PAGES {
        let mut body = more.clone();
        body["offset"] = json!(page * ROWS);
        body["count"] = json!(ROWS);
        let answer = api.post(path, body).await?;
        let total = json::number(&answer, "total_count");
        let total = total.ok_or_else(|| api.incomplete("total_count"))?;
        let items = json::list(&answer, "item");
        all.rows.extend_from_slice(items);
        let read = i64::try_from(all.rows.len()).unwrap_or(i64::MAX);
        all.covering = read >= total || reaches_back(&all.rows, since);
        if all.covering || items.is_empty() {
            break;
        }
    }
    Ok(all)
}

/// Only where the rows really are in order does the oldest of them say anything.
fn reaches_back(rows: &[Value], since: Timestamp) -> bool {
    let times: Vec<Option<Timestamp>> = rows.iter().map(updated).collect();
    let ordered = times.iter().all(Option::is_some) && times.is_sorted_by(|a, b| a >= b);
    ordered
        && times
            .last()
            .is_some_and(|oldest| *oldest < Some(since - SKEW))
}

fn updated(row: &Value) -> Option<Timestamp> {
    DateTime::<Utc>::from_timestamp(json::number(row, "update_time")?, 0)
}

async fn for_cover(
    api: &Api<'_>,
    job: &Job,
    hash: &str,
    began: Timestamp,
) -> Result<Sighting, Failure> {
    let media = job
        .subjects
        .iter()
        .find_map(|subject| subject.draft.media(hash));
    let name = media
        .map(|media| act::cover_file(job, media))
        .unwrap_or_default();
    let path = "/cgi-bin/material/batchget_material";
    let listed = rows(api, path, &json!({ "type": "image" }), began).await?;
    let found = listed
        .rows
        .iter()
        .find(|row| json::text(row, "name") == name);
    let facts = job.progress.clone();
    Ok(match found.and_then(|row| json::id(row, "media_id")) {
        Some(id) => sighting(
            facts.with(format!("cover/{hash}"), id),
            Truth::Applied,
            Vec::new(),
        ),
        None => sighting(facts, absent_if(listed.covering), Vec::new()),
    })
}

fn absent_if(covering: bool) -> Truth {
    if covering {
        return Truth::Absent;
    }
    cannot_tell(
        "列表太长，没有看到底。",
        "The list is too long to be read to its end.",
    )
}

async fn for_draft(api: &Api<'_>, job: &Job, began: Timestamp) -> Result<Sighting, Failure> {
    let listed = rows(
        api,
        "/cgi-bin/draft/batchget",
        &json!({ "no_content": 1 }),
        began,
    )
    .await?;
    let mine: Vec<String> = listed
        .rows
        .iter()
        .filter(|row| is_ours(job, row, began))
        .filter_map(|row| json::id(row, "media_id"))
        .collect();
    let facts = job.progress.clone();
    let public = api.settings.mode == Mode::Draft;
    match mine.as_slice() {
        [] => {}
        [one] => {
            let facts = act::drafted(job, one, began);
            return Ok(sighting(facts, Truth::Applied, Vec::new()));
        }
        several if public => {
            return Ok(sighting(
                facts,
                Truth::Several(several.to_vec()),
                Vec::new(),
            ));
        }
        [newest, ..] => {
            let facts = act::drafted(job, newest, began);
            return Ok(sighting(facts, Truth::Applied, Vec::new()));
        }
    }
    if !public {
        return Ok(sighting(facts, absent_if(listed.covering), Vec::new()));
    }
    // A person may have published it in the meantime.
    let out = published(api, job, Some(began)).await?;
    Ok(match out.one() {
        Some(article) => {
            let job = Job {
                progress: act::drafted(job, "", began),
                ..job.clone()
            };
            sighting(adopted(&job, &article), Truth::Applied, Vec::new())
        }
        None => sighting(facts, out.truth(listed.covering), Vec::new()),
    })
}

async fn for_submit(api: &Api<'_>, job: &Job, began: Timestamp) -> Result<Sighting, Failure> {
    let out = published(api, job, Some(began)).await?;
    let facts = job.progress.clone();
    if let Some(article) = out.one() {
        return Ok(sighting(adopted(job, &article), Truth::Applied, Vec::new()));
    }
    let boxed = in_box(api, job).await?.is_some();
    let truth = out.truth(boxed);
    let taken = Truth::CannotTell(Words::new(
        "草稿已不在草稿箱，发布记录里还没有它：可能在审核，也可能被人删除。",
        "The draft has left the box and is not among the published yet: it may be in review, \
         or someone deleted it.",
    ));
    let truth = if !boxed && !matches!(truth, Truth::Several(_)) {
        taken
    } else {
        truth
    };
    Ok(sighting(facts, truth, Vec::new()))
}

/// The draft as the box holds it; `None` when it is not there.
async fn in_box(api: &Api<'_>, job: &Job) -> Result<Option<Value>, Failure> {
    let id = job.progress.get("draft").unwrap_or_default();
    match api
        .post("/cgi-bin/draft/get", json!({ "media_id": id }))
        .await
    {
        Ok(body) if json::list(&body, "news_item").is_empty() => Err(api.incomplete("news_item")),
        Ok(body) => Ok(Some(body)),
        Err(failure) if is_gone(&failure) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// What the list of published articles says about a post.
pub struct Published {
    ids: Vec<String>,
    covering: bool,
}

impl Published {
    pub fn one(&self) -> Option<String> {
        match self.ids.as_slice() {
            [one] => Some(one.clone()),
            _ => None,
        }
    }

    /// For a post that was not found; `elsewhere` says that it was seen where it started from.
    fn truth(&self, elsewhere: bool) -> Truth {
        if self.ids.len() > 1 {
            return Truth::Several(self.ids.clone());
        }
        absent_if(self.covering && elsewhere)
    }
}

pub async fn published(
    api: &Api<'_>,
    job: &Job,
    since: Option<Timestamp>,
) -> Result<Published, Failure> {
    let drafted = job.progress.get("draft_at").and_then(|at| at.parse().ok());
    let since = since.or(drafted.and_then(DateTime::from_timestamp_millis));
    let since = since.unwrap_or_else(|| api.call.now() - TimeDelta::days(1));
    let listed = rows(
        api,
        "/cgi-bin/freepublish/batchget",
        &json!({ "no_content": 1 }),
        since,
    )
    .await?;
    let mut ids: Vec<String> = listed
        .rows
        .iter()
        .filter(|row| is_ours(job, row, since))
        .filter_map(|row| json::id(row, "article_id"))
        .collect();
    ids.dedup();
    Ok(Published {
        ids,
        covering: listed.covering,
    })
}

fn is_ours(job: &Job, row: &Value, since: Timestamp) -> bool {
    let Some((_, first)) = way::articles(job).next() else {
        return false;
    };
    let Some(item) = row
        .get("content")
        .and_then(|content| json::list(content, "news_item").first())
    else {
        return false;
    };
    let cover = job.progress.get(&format!("cover/{}", first.cover));
    let shown = json::text(item, "thumb_media_id");
    if !shown.is_empty() {
        return cover == Some(shown);
    }
    let link = json::text(item, "content_source_url");
    let recent = updated(row).is_some_and(|at| at >= since - SKEW);
    recent && !link.is_empty() && link == first.content_source_url
}

/// The facts once the article is known.
pub fn adopted(job: &Job, article: &str) -> Progress {
    job.progress
        .clone()
        .without("refused_by")
        .with("article", article)
}

async fn copies(api: &Api<'_>, job: &Job) -> Result<Sighting, Failure> {
    let facts = &job.progress;
    if facts.has("article") {
        return article(api, job).await;
    }
    if facts.has("mass") {
        return sent(api, job).await;
    }
    if let Some(id) = facts.get("submit") {
        return status(api, job, id).await;
    }
    if !facts.has("draft") || facts.has("discarded") {
        return Ok(every(job, facts.clone(), &Verdict::Absent));
    }
    boxed(api, job).await
}

/// Nothing was submitted: the draft waits, or a person has taken it somewhere.
async fn boxed(api: &Api<'_>, job: &Job) -> Result<Sighting, Failure> {
    let waits = !job.progress.has("missing") && in_box(api, job).await?.is_some();
    let waiting = match api.settings.mode {
        Mode::Draft => Verdict::Reviewing,
        Mode::Publish | Mode::Mass => Verdict::Absent,
    };
    if waits {
        return Ok(every(job, job.progress.clone(), &waiting));
    }
    if let Some(found) = published(api, job, None).await?.one() {
        let job = Job {
            progress: adopted(job, &found),
            ..job.clone()
        };
        return article(api, &job).await;
    }
    let words = Words::new(
        "草稿箱里没有它，发布记录里也没有：可能被群发、被删除，或还在审核。请到后台核实。",
        "It is neither in the draft box nor among the published: sent to followers, deleted, or \
         still in review. Look in the console.",
    );
    Ok(every(
        job,
        job.progress.clone(),
        &Verdict::CannotTell(words),
    ))
}

/// Reads the published article.
async fn article(api: &Api<'_>, job: &Job) -> Result<Sighting, Failure> {
    let id = job.progress.get("article").unwrap_or_default();
    let body = match api
        .post(
            "/cgi-bin/freepublish/getarticle",
            json!({ "article_id": id }),
        )
        .await
    {
        Ok(body) => body,
        Err(failure) if is_gone(&failure) => {
            let seen = job.subjects.iter().map(|subject| {
                let verdict = Verdict::Removed(remover(job, subject));
                seen(&job.progress, subject, verdict, Evidence::ReadBack)
            });
            return Ok(sighting(
                job.progress.clone(),
                Truth::NotAsked,
                seen.collect(),
            ));
        }
        Err(failure) => return Err(failure),
    };
    let items = json::list(&body, "news_item");
    if items.is_empty() {
        return Err(api.incomplete("news_item"));
    }
    let mut facts = job.progress.clone();
    for subject in &job.subjects {
        let item = items.get(usize::from(subject.place));
        let url = item.and_then(|item| json::id(item, "url"));
        let fact = format!("url/{}", subject.place);
        if let (Some(url), false) = (url, facts.has(&fact)) {
            facts.set(fact, url);
        }
    }
    let seen = job
        .subjects
        .iter()
        .map(|subject| {
            let verdict = verdict(job, subject, items.get(usize::from(subject.place)));
            seen(&facts, subject, verdict, Evidence::ReadBack)
        })
        .collect();
    Ok(sighting(facts, Truth::NotAsked, seen))
}

fn remover(job: &Job, subject: &Subject) -> RemovedBy {
    match job.progress.get(&format!("gone/{}", subject.place)) {
        Some("owner") => RemovedBy::Owner,
        Some("platform") => RemovedBy::Platform,
        _ => RemovedBy::Unknown,
    }
}

fn verdict(job: &Job, subject: &Subject, item: Option<&Value>) -> Verdict {
    let Some(item) = item.filter(|item| !json::flag(item, "is_deleted")) else {
        return Verdict::Removed(remover(job, subject));
    };
    let Some(sent) = super::article::read(&subject.draft) else {
        return Verdict::Live(Match::Unread);
    };
    let same = text::one_line(json::text(item, "title")) == sent.title
        && act::same_text(&sent, json::text(item, "content"));
    let earlier = subject
        .copy
        .as_ref()
        .is_some_and(|copy| copy.revision < subject.revision);
    Verdict::Live(match (same, earlier) {
        (true, _) => Match::Same,
        (false, true) => Match::Earlier,
        (false, false) => Match::Differs,
    })
}

/// Polls a submission.
async fn status(api: &Api<'_>, job: &Job, publish_id: &str) -> Result<Sighting, Failure> {
    let body = json!({ "publish_id": publish_id });
    let body = match api.post("/cgi-bin/freepublish/get", body).await {
        Ok(body) => body,
        Err(failure) if is_gone(&failure) => {
            let facts = job
                .progress
                .clone()
                .without("submit")
                .with("refused_by", &job.key);
            let verdict = Verdict::CannotTell(failure.public);
            return Ok(every(job, facts, &verdict));
        }
        Err(failure) => return Err(failure),
    };
    let status = json::number(&body, "publish_status");
    let status = status.ok_or_else(|| api.incomplete("publish_status"))?;
    let known = learnt(job, &body);
    match status {
        0 if known.has("article") => {
            article(
                api,
                &Job {
                    progress: known,
                    ..job.clone()
                },
            )
            .await
        }
        0 => Ok(every(job, known, &Verdict::Live(Match::Unread))),
        1 => Ok(every(job, known, &Verdict::Reviewing)),
        2..=4 => Ok(refused(job, status, &body)),
        5 => Ok(every(job, known, &Verdict::Removed(RemovedBy::Owner))),
        6 => Ok(every(job, known, &Verdict::Removed(RemovedBy::Platform))),
        other => {
            let words = Words::new(
                format!("微信给出了没有说明的发布状态 {other}，请到后台核实。"),
                format!(
                    "WeChat gave the undocumented publish status {other}; look in the console."
                ),
            );
            Ok(every(job, known, &Verdict::CannotTell(words)))
        }
    }
}

/// Article id and addresses, as far as the answer has them.
fn learnt(job: &Job, body: &Value) -> Progress {
    let mut facts = job.progress.clone();
    if let Some(id) = json::id(body, "article_id") {
        facts.set("article", id);
    }
    let detail = body.get("article_detail").unwrap_or(&Value::Null);
    for item in json::list(detail, "item") {
        let place = json::number(item, "idx").unwrap_or(1) - 1;
        if let Some(url) = json::id(item, "article_url") {
            facts.set(format!("url/{place}"), url);
        }
    }
    facts
}

/// A dead publish id is not polled again; another round may submit anew.
fn refused(job: &Job, status: i64, body: &Value) -> Sighting {
    let words = match status {
        2 => Words::new(
            "微信原创校验没有通过。请改稿后重新送签。",
            "WeChat's originality check refused it; change the text and have it signed again.",
        ),
        4 => Words::new(
            "微信审核没有通过。请改稿后重新送签。",
            "WeChat's review refused it; change the text and have it signed again.",
        ),
        _ => Words::new(
            "微信发布失败，没有说明原因。可以重试一次。",
            "WeChat failed to publish it and does not say why; it may be tried once more.",
        ),
    };
    let facts = job
        .progress
        .clone()
        .without("submit")
        .with("refused_by", &job.key);
    let blamed: Vec<i64> = json::list(body, "fail_idx")
        .iter()
        .filter_map(|place| Some(place.as_i64()? - 1))
        .collect();
    let named = status != 3 && !blamed.is_empty();
    let seen = job
        .subjects
        .iter()
        .map(|subject| {
            let spared = named && !blamed.contains(&i64::from(subject.place));
            let verdict = if spared {
                Verdict::Absent
            } else {
                Verdict::Refused(words.clone())
            };
            seen(&facts, subject, verdict, Evidence::Status)
        })
        .collect();
    sighting(facts, Truth::NotAsked, seen)
}

/// A mass send has a status and no list.
async fn sent(api: &Api<'_>, job: &Job) -> Result<Sighting, Failure> {
    let id = job.progress.get("mass").unwrap_or_default();
    let body = match api
        .post("/cgi-bin/message/mass/get", json!({ "msg_id": id }))
        .await
    {
        Ok(body) => body,
        Err(failure) if is_gone(&failure) => {
            return Ok(every(
                job,
                job.progress.clone(),
                &Verdict::CannotTell(failure.public),
            ));
        }
        Err(failure) => return Err(failure),
    };
    let verdict = match json::text(&body, "msg_status") {
        "SENDING" => Verdict::Reviewing,
        "SEND_SUCCESS" => Verdict::Live(Match::Unread),
        "SEND_FAIL" => Verdict::Refused(Words::new(
            "微信群发失败，请到后台看原因。",
            "WeChat failed to send it; see the console for the reason.",
        )),
        "DELETE" => {
            let seen = job.subjects.iter().map(|subject| {
                let verdict = Verdict::Removed(remover(job, subject));
                seen(&job.progress, subject, verdict, Evidence::Status)
            });
            return Ok(sighting(
                job.progress.clone(),
                Truth::NotAsked,
                seen.collect(),
            ));
        }
        "" => return Err(api.incomplete("msg_status")),
        other => Verdict::CannotTell(Words::new(
            format!("微信给出了没有说明的群发状态 {}。", text::quoted(other)),
            format!(
                "WeChat gave the undocumented mass status {}.",
                text::quoted(other)
            ),
        )),
    };
    Ok(every(job, job.progress.clone(), &verdict))
}

/// Step `find`: a withdrawal needs to know what its submission became.
pub async fn find(api: &Api<'_>, job: &Job) -> Result<Receipt, Failure> {
    let id = job.progress.get("submit").unwrap_or_default();
    let sighting = status(api, job, id).await?;
    let facts = sighting.progress;
    let first = sighting.seen.first().map(|seen| &seen.verdict);
    match first {
        _ if facts.has("article") || !facts.has("submit") => Ok(found(facts)),
        Some(Verdict::Removed(by)) => {
            let by = if *by == RemovedBy::Platform {
                "platform"
            } else {
                "owner"
            };
            let facts = job.subjects.iter().fold(facts, |facts, one| {
                facts.with(format!("gone/{}", one.place), by)
            });
            Ok(found(facts))
        }
        _ => {
            let words = Words::new(
                "文章还在微信审核，审核结束前不能撤下。",
                "The article is still in review and cannot be withdrawn before that ends.",
            );
            let not_before = Some(api.call.now() + TimeDelta::minutes(3));
            Err(Failure::new(
                Kind::Platform,
                Fate::Again { not_before },
                words,
            ))
        }
    }
}

/// Step `search`: the draft is not in its box; did a person publish it?
pub async fn search(api: &Api<'_>, job: &Job) -> Result<Receipt, Failure> {
    let facts = match published(api, job, None).await?.one() {
        Some(article) => adopted(job, &article),
        None => job.progress.clone(),
    };
    Ok(found(facts.with("searched", "1")))
}

fn found(progress: Progress) -> Receipt {
    Receipt {
        progress,
        ..Receipt::default()
    }
}

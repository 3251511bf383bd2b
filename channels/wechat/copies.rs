//! Where the copies of a post are: in the box, in review, published, sent, gone.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::settings::Mode;
use super::wire::{Api, is_gone};
use super::{compare, list};
use crate::contract::{
    Cost, Evidence, Failure, Fate, Job, Kind, Match, Progress, Receipt, RemovedBy, Seen, Sighting,
    Subject, Truth, Verdict, Words,
};
use crate::kit::{json, text};

/// How long a twin is looked for beside an article.
const YOUNG: TimeDelta = TimeDelta::hours(1);

pub fn sighting(progress: Progress, truth: Truth, seen: Vec<Seen>) -> Sighting {
    Sighting {
        progress,
        truth,
        seen,
    }
}

pub fn every(job: &Job, progress: Progress, verdict: &Verdict) -> Sighting {
    let evidence = Evidence::Status;
    let seen = job
        .subjects
        .iter()
        .map(|subject| seen(&progress, subject, verdict.clone(), evidence))
        .collect();
    sighting(progress, Truth::NotAsked, seen)
}

pub fn seen(facts: &Progress, subject: &Subject, verdict: Verdict, evidence: Evidence) -> Seen {
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

/// The facts once the article is known.
pub fn adopted(job: &Job, article: &str) -> Progress {
    job.progress
        .clone()
        .without("refused_by")
        .with("article", article)
}

/// The draft as the box holds it; `None` when it is not there.
pub async fn in_box(api: &Api<'_>, job: &Job) -> Result<Option<Value>, Failure> {
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

pub async fn copies(api: &Api<'_>, job: &Job) -> Result<Sighting, Failure> {
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
    if let Some(found) = list::published(api, job, None).await?.one() {
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
pub async fn article(api: &Api<'_>, job: &Job) -> Result<Sighting, Failure> {
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
    let twins = twins(api, job).await;
    let seen: Vec<Seen> = job
        .subjects
        .iter()
        .map(|subject| {
            let verdict = verdict(job, subject, items.get(usize::from(subject.place)));
            let verdict = match (verdict, &twins) {
                (Verdict::Live(_), Some(ids)) => Verdict::Several(ids.clone()),
                (verdict, _) => verdict,
            };
            seen(&facts, subject, verdict, Evidence::ReadBack)
        })
        .collect();
    Ok(sighting(still_there(facts, &seen), Truth::NotAsked, seen))
}

/// A removal that did not hold is asked for again.
fn still_there(facts: Progress, seen: &[Seen]) -> Progress {
    let live = seen
        .iter()
        .filter(|seen| matches!(seen.verdict, Verdict::Live(_) | Verdict::Several(_)));
    live.fold(facts, |facts, seen| {
        facts.without(&format!("gone/{}", seen.place))
    })
}

/// Whether WeChat made more than one article of it: both have its cover, which no other post uses. One
/// more call, for a young article. A list that cannot be read, or paid for, says nothing.
async fn twins(api: &Api<'_>, job: &Job) -> Option<Vec<String>> {
    let now = api.call.now();
    let young = job.first_live.is_none_or(|at| now - at < YOUNG);
    if !young || !job.progress.has("draft_at") {
        return None;
    }
    let paid = api.call.purse.spend(Cost::one("publish_list")).await;
    if !paid {
        return None;
    }
    list::newest(api, job).await.ok()?.several()
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
        && compare::same_text(&sent, json::text(item, "content"));
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
        0 => {
            let told = every(job, known, &Verdict::Live(Match::Unread));
            Ok(Sighting {
                progress: still_there(told.progress, &told.seen),
                ..told
            })
        }
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
    let told = every(job, job.progress.clone(), &verdict);
    Ok(Sighting {
        progress: still_there(told.progress, &told.seen),
        ..told
    })
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
    let facts = match list::published(api, job, None).await?.one() {
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

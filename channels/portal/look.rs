//! Asking the portal what became of an article.
//!
//! A lookup by our own key proves absence only when the portal answers it with a list that it
//! plainly filtered: rows that do not carry the key mean that it ignored the question.

use chrono::TimeDelta;
use http::Method;
use serde_json::Value;

use super::act;
use super::answer::{self, Answer, State};
use super::article::{self, short};
use super::fate::{self, Outcome};
use super::way::is_unnamed;
use super::wire::{Api, key};
use crate::contract::{
    Evidence, Failure, Goal, Job, Match, Progress, RemovedBy, Request, Seen, Sighting, Subject,
    Target, Truth, Verdict, Words,
};
use crate::kit::{exchange, html, redact, text};

/// How long a twin is looked for beside an article.
const YOUNG: TimeDelta = TimeDelta::hours(1);

pub async fn look(api: &Api<'_>, job: &Job, at: Target<'_>) -> Result<Sighting, Failure> {
    match at {
        Target::Step { step, .. } if step.name == "create" => for_create(api, job).await,
        Target::Step { .. } => Ok(sighting(job.progress.clone(), Truth::CannotTell(again()))),
        Target::Copies => copies(api, job).await,
        Target::Unrecorded { .. } => unrecorded(api, job).await,
    }
}

/// The key is a function of the delivery: what another run of it created is found by it.
async fn unrecorded(api: &Api<'_>, job: &Job) -> Result<Sighting, Failure> {
    let found = for_create(api, job).await?;
    let (verdict, evidence) = match found.truth {
        Truth::Applied => {
            let progress = found.progress;
            return copies(
                api,
                &Job {
                    progress,
                    ..job.clone()
                },
            )
            .await;
        }
        Truth::Absent => (Verdict::Absent, Evidence::ReadBack),
        Truth::Several(ids) => (Verdict::Several(ids), Evidence::Status),
        Truth::CannotTell(why) => (Verdict::CannotTell(why), Evidence::Status),
        Truth::NotAsked => (Verdict::CannotTell(no_answer()), Evidence::Status),
    };
    let seen = Seen {
        place: job.sole().map_or(0, |sole| sole.place),
        verdict,
        remote_id: None,
        address: None,
        evidence,
    };
    Ok(Sighting {
        progress: job.progress.clone(),
        truth: Truth::NotAsked,
        seen: vec![seen],
    })
}

fn again() -> Words {
    Words::new("这一步再做一次即可。", "This step can simply be repeated.")
}

fn sighting(progress: Progress, truth: Truth) -> Sighting {
    Sighting {
        progress,
        truth,
        seen: Vec::new(),
    }
}

pub fn adopt(facts: &mut Progress, id: Option<String>, address: Option<String>) {
    if let Some(id) = id {
        facts.set("id", id);
    }
    if let Some(address) = address {
        facts.set("url", address);
    }
}

/// What a lookup by our key brought.
#[derive(Debug)]
enum Found {
    Rows(Vec<Value>),
    Nothing,
    Unclear(Words),
}

async fn search(api: &Api<'_>, job: &Job) -> Result<Found, Failure> {
    let Some(call) = &api.settings.calls.lookup else {
        let words = Words::new(
            "门户没有配置查询接口，请到门户后台核实。",
            "No lookup is configured; please check in the portal's console.",
        );
        return Ok(Found::Unclear(words));
    };
    let id = format!("{}-find-{}", job.key, api.call.now().timestamp_millis());
    let answer = match api.send(call, job, &id, None).await? {
        Outcome::Done(answer) | Outcome::Duplicate(answer) => answer,
        Outcome::Missing { told: true } => return Ok(Found::Nothing),
        Outcome::Missing { told: false } => return Ok(Found::Unclear(no_answer())),
    };
    let Some(rows) = answer::rows(&answer, &api.settings.answers.rows) else {
        return Ok(Found::Unclear(no_answer()));
    };
    if rows.is_empty() {
        return Ok(Found::Nothing);
    }
    let ours: Vec<Value> = rows
        .iter()
        .filter(|row| row.to_string().contains(key(job)))
        .map(|row| (*row).clone())
        .collect();
    if ours.is_empty() {
        let words = Words::new(
            "查询接口返回的文章都不带我们的编号，看来没有按编号查询。",
            "The lookup returned articles without our key: it did not filter.",
        );
        return Ok(Found::Unclear(words));
    }
    Ok(Found::Rows(ours))
}

fn unnamed() -> Words {
    Words::new(
        "这篇文章是人工核实的，不知道它在门户的编号，无法自动核对。",
        "A person saw this article, and its id is not known: it cannot be looked for.",
    )
}

fn no_answer() -> Words {
    Words::new(
        "查询接口没有给出可以判断的回答。",
        "The lookup gave no answer that proves anything.",
    )
}

fn row_text(api: &Api<'_>, row: &Value, place: &str) -> Option<String> {
    answer::in_row(row, &api.settings.answers.rows, place)
}

async fn for_create(api: &Api<'_>, job: &Job) -> Result<Sighting, Failure> {
    let places = &api.settings.answers;
    Ok(match search(api, job).await? {
        Found::Unclear(words) => sighting(job.progress.clone(), Truth::CannotTell(words)),
        Found::Nothing if is_unnamed(job) => {
            sighting(job.progress.clone(), Truth::CannotTell(unnamed()))
        }
        Found::Nothing => sighting(job.progress.clone(), Truth::Absent),
        Found::Rows(rows) => match rows.as_slice() {
            [row] => {
                let draft = job.sole().map_or("", |sole| short(&sole.draft_hash));
                let facts = job.progress.clone().without("gone");
                let mut facts = facts
                    .with(super::way::CREATED, &*job.key)
                    .with("holds", draft);
                adopt(
                    &mut facts,
                    row_text(api, row, &places.id),
                    row_text(api, row, &places.address),
                );
                sighting(facts, Truth::Applied)
            }
            several => {
                let ids = several
                    .iter()
                    .filter_map(|row| row_text(api, row, &places.id));
                sighting(job.progress.clone(), Truth::Several(ids.collect()))
            }
        },
    })
}

/// The `find` step: what the portal calls an article whose id was lost.
pub async fn find(api: &Api<'_>, job: &Job) -> Result<Progress, Failure> {
    let mut facts = job.progress.clone().with("searched", &*job.key);
    match search(api, job).await? {
        Found::Rows(rows) => {
            let places = &api.settings.answers;
            if let [row] = rows.as_slice() {
                adopt(
                    &mut facts,
                    row_text(api, row, &places.id),
                    row_text(api, row, &places.address),
                );
            }
            Ok(facts)
        }
        Found::Nothing => Ok(facts),
        Found::Unclear(words) => {
            let fate = crate::contract::Fate::Again { not_before: None };
            Err(Failure::new(crate::contract::Kind::Garbled, fate, words))
        }
    }
}

/// Tries the lookup with a key that nothing has.
pub async fn probe(api: &Api<'_>) -> Result<(), Failure> {
    let job = Job {
        key: "0".repeat(32),
        goal: Goal::Publish,
        subjects: Vec::new(),
        progress: Progress::default(),
        first_live: None,
        reason: None,
    };
    search(api, &job).await.map(drop)
}

async fn copies(api: &Api<'_>, job: &Job) -> Result<Sighting, Failure> {
    let subject = job.sole().ok_or_else(|| fate::bug("the job is empty"))?;
    let mut facts = job.progress.clone();
    let has_id = facts.get("id").is_some_and(|id| !id.is_empty());
    let (verdict, evidence) = match &api.settings.calls.status {
        Some(call) if has_id => {
            let id = format!("{}-look-{}", job.key, api.call.now().timestamp_millis());
            match api.send(call, job, &id, None).await? {
                Outcome::Missing { .. } => (gone(job, subject), Evidence::Status),
                Outcome::Done(answer) | Outcome::Duplicate(answer) => {
                    let places = &api.settings.answers;
                    adopt(&mut facts, None, answer.text(&places.address));
                    let word = answer.text(&places.state);
                    by_state(api, job, &facts, word, Some(&answer)).await?
                }
            }
        }
        _ => by_lookup(api, job, subject, &mut facts).await?,
    };
    let verdict = match (&verdict, has_id) {
        (Verdict::Live(_), true) => twins(api, job).await.unwrap_or(verdict),
        _ => verdict,
    };
    if matches!(verdict, Verdict::Live(_) | Verdict::Several(_)) {
        // A removal that did not hold is asked for again.
        facts = facts.without("gone");
    }
    let seen = Seen {
        place: subject.place,
        verdict,
        remote_id: facts.get("id").map(ToOwned::to_owned),
        address: facts.get("url").map(ToOwned::to_owned),
        evidence,
    };
    Ok(Sighting {
        progress: facts,
        truth: Truth::NotAsked,
        seen: vec![seen],
    })
}

/// Whether the portal made more than one article of it. A lookup that fails says nothing.
async fn twins(api: &Api<'_>, job: &Job) -> Option<Verdict> {
    let now = api.call.now();
    let young = job.first_live.is_none_or(|at| now - at < YOUNG);
    if !young || api.settings.calls.lookup.is_none() {
        return None;
    }
    let Ok(Found::Rows(rows)) = search(api, job).await else {
        return None;
    };
    let place = &api.settings.answers.id;
    let ids = rows.iter().filter_map(|row| row_text(api, row, place));
    (rows.len() > 1).then(|| Verdict::Several(ids.collect()))
}

async fn by_lookup(
    api: &Api<'_>,
    job: &Job,
    subject: &Subject,
    facts: &mut Progress,
) -> Result<(Verdict, Evidence), Failure> {
    if api.settings.calls.lookup.is_none() {
        // Nothing but the page can tell.
        return by_state(api, job, facts, None, None).await;
    }
    let places = &api.settings.answers;
    let rows = match search(api, job).await? {
        Found::Unclear(words) => return Ok((Verdict::CannotTell(words), Evidence::Status)),
        Found::Nothing if is_unnamed(job) => {
            return Ok((Verdict::CannotTell(unnamed()), Evidence::Status));
        }
        Found::Nothing => return Ok((gone(job, subject), Evidence::Status)),
        Found::Rows(rows) => rows,
    };
    let [row] = rows.as_slice() else {
        let ids = rows.iter().filter_map(|row| row_text(api, row, &places.id));
        return Ok((Verdict::Several(ids.collect()), Evidence::Status));
    };
    adopt(
        facts,
        row_text(api, row, &places.id),
        row_text(api, row, &places.address),
    );
    let word = row_text(api, row, &places.state);
    by_state(api, job, facts, word, None).await
}

fn gone(job: &Job, subject: &Subject) -> Verdict {
    if job.progress.has("gone") {
        Verdict::Removed(RemovedBy::Owner)
    } else if subject.copy.is_some() {
        Verdict::Removed(RemovedBy::Unknown)
    } else {
        Verdict::Absent
    }
}

/// What the portal's own word for the state means, the page read where that is wanted.
async fn by_state(
    api: &Api<'_>,
    job: &Job,
    facts: &Progress,
    word: Option<String>,
    answer: Option<&Answer>,
) -> Result<(Verdict, Evidence), Failure> {
    let known = word
        .as_deref()
        .and_then(|word| api.settings.states.of(word));
    let verdict = match (known, word) {
        (Some(State::Pending), _) => Verdict::Reviewing,
        (Some(State::Returned), _) => {
            Verdict::Refused(answer.map_or_else(act::unexplained, |answer| returned(api, answer)))
        }
        (Some(State::Withdrawn), _) => Verdict::Removed(if facts.has("gone") {
            RemovedBy::Owner
        } else {
            RemovedBy::Platform
        }),
        (Some(State::Published), _) if !api.settings.read_page => Verdict::Live(held(job, facts)),
        (Some(State::Published), _) => return page(api, job, facts).await,
        (None, None) if api.settings.read_page => return page(api, job, facts).await,
        (None, None) if api.settings.answers.state.is_empty() && answer.is_some() => {
            Verdict::Live(held(job, facts))
        }
        (None, None) => Verdict::CannotTell(Words::new(
            "门户的回答里没有文章状态。",
            "The portal's answer holds no state.",
        )),
        (None, Some(word)) => {
            let word = redact::redacted(&word, &api.settings.secrets());
            let word = text::quoted(&word);
            Verdict::CannotTell(Words::new(
                format!("门户的状态“{word}”不认识，请在 states 里补上。"),
                format!("The portal's state `{word}` is unknown; add it to `states`."),
            ))
        }
    };
    Ok((verdict, Evidence::Status))
}

/// Whether what was last given is what is wanted; the text itself was not read.
fn held(job: &Job, facts: &Progress) -> Match {
    let wanted = job.sole().map(|sole| short(&sole.draft_hash));
    if facts.get("holds") == wanted {
        Match::Unread
    } else {
        Match::Earlier
    }
}

/// The editor's reason, quoted.
pub fn returned(api: &Api<'_>, answer: &Answer) -> Words {
    let Some(reason) = answer.text(&api.settings.answers.reason) else {
        return act::unexplained();
    };
    let reason = redact::redacted(&reason, &api.settings.secrets());
    let (name, reason) = (&api.settings.name, text::quoted(&reason));
    Words::new(
        format!("{name}退回了这篇文章：“{reason}”"),
        format!("The portal returned the article: \"{reason}\""),
    )
}

/// Reads the public page: published is what readers see.
async fn page(api: &Api<'_>, job: &Job, facts: &Progress) -> Result<(Verdict, Evidence), Failure> {
    let cannot = |zh: &str, en: &str| {
        let verdict = Verdict::CannotTell(Words::new(zh, en));
        Ok((verdict, Evidence::PublicPage))
    };
    let Some(address) = facts.get("url").filter(|url| allowed(api, url)) else {
        return cannot(
            "门户没有给出可以核对的网址，或网址不在 page_hosts 里。",
            "The portal named no address that may be read; see `page_hosts`.",
        );
    };
    let mut request = Request::new(Method::GET, address);
    request.within = api.call.left();
    request.cap = 8 << 20;
    let sent = api.call.http.send(request).await;
    let reply = sent.map_err(|trouble| exchange::lost(&api.platform(), api.effect, &trouble))?;
    let now = api.call.now();
    if let Some(failure) = exchange::broken(&api.platform(), api.effect, &reply, now) {
        return Err(failure);
    }
    let subject = job.sole().ok_or_else(|| fate::bug("the job is empty"))?;
    if matches!(reply.status, 404 | 410) {
        let verdict = match gone(job, subject) {
            // The portal says it is out; its page comes a little later.
            Verdict::Absent => Verdict::Reviewing,
            gone => gone,
        };
        return Ok((verdict, Evidence::PublicPage));
    }
    let article = article::read(&subject.draft).ok_or_else(|| fate::bug("no article"))?;
    let seen = text::essence(&html::text(&String::from_utf8_lossy(&reply.body)));
    if reply.status != 200 || !seen.contains(&text::essence(&article.title)) {
        return cannot(
            "公开网页上没有看到这个标题。",
            "The public page does not show this title.",
        );
    }
    let content = article.fields.get("content").and_then(Value::as_str);
    let whole = text::essence(&html::text(content.unwrap_or_default()));
    let verdict = if seen.contains(&whole) {
        Match::Same
    } else {
        held(job, facts)
    };
    Ok((Verdict::Live(verdict), Evidence::PublicPage))
}

fn allowed(api: &Api<'_>, address: &str) -> bool {
    url::Url::parse(address).is_ok_and(|url| {
        let host = url.host_str().unwrap_or_default();
        matches!(url.scheme(), "http" | "https")
            && api.settings.page_hosts.iter().any(|known| known == host)
    })
}

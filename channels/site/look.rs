//! Reading a page back, from the folder or as a reader gets it.
//!
//! On disk the whole page must be the one that was written. Over HTTP something in between may
//! touch the frame, so there the part the office answers for must be whole, and no script may have
//! joined ours.

use std::sync::Arc;

use http::Method;

use super::address::{self, page_file, short};
use super::marker::{Marker, text_hash};
use super::settings::LookBy;
use super::{Core, fate, record, way};
use crate::contract::{
    Call, Effect, Evidence, Failure, Job, Match, RemovedBy, Request, Seen, Sighting, Step, Subject,
    Target, Truth, Verdict, Words,
};
use crate::kit::exchange;

/// More than any page has.
const LARGEST: usize = 16 << 20;

pub async fn look(
    core: &Arc<Core>,
    job: &Job,
    at: Target<'_>,
    call: &Call<'_>,
) -> Result<Sighting, Failure> {
    let subject = job.sole().ok_or_else(|| fate::bug("the job is empty"))?;
    match at {
        Target::Step { step, .. } => for_step(core, job, subject, step).await,
        // The page stands under the item's own name, whoever wrote it.
        Target::Copies | Target::Unrecorded { .. } => {
            let seen = copy(core, subject, call).await?;
            Ok(Sighting {
                progress: match seen.verdict {
                    Verdict::Live(_) => way::still_there(job),
                    _ => job.progress.clone(),
                },
                truth: Truth::NotAsked,
                seen: vec![seen],
            })
        }
    }
}

/// The record is written last, so it tells whether the step got to its end.
async fn for_step(
    core: &Arc<Core>,
    job: &Job,
    subject: &Subject,
    step: &Step,
) -> Result<Sighting, Failure> {
    let item = subject.item.clone();
    let known = core
        .on_disk(move |core| record::read(&core.disk, &item))
        .await?;
    let live = known.as_ref().filter(|record| record.is_live());
    let (facts, applied) = match step.name.split('/').next().unwrap_or_default() {
        way::PAGE => {
            let ours = live.is_some_and(|record| record.draft == short(&subject.draft_hash));
            (way::after_page(job), ours)
        }
        way::NOTICE => (way::after_notice(job), known.is_some() && live.is_none()),
        _ => (job.progress.clone(), false),
    };
    let again = Words::new("这一步再做一次即可。", "This step can simply be repeated.");
    Ok(if applied {
        sighting(facts, Truth::Applied)
    } else {
        sighting(job.progress.clone(), Truth::CannotTell(again))
    })
}

fn sighting(progress: crate::contract::Progress, truth: Truth) -> Sighting {
    Sighting {
        progress,
        truth,
        seen: Vec::new(),
    }
}

async fn copy(core: &Arc<Core>, subject: &Subject, call: &Call<'_>) -> Result<Seen, Failure> {
    let (verdict, evidence) = match &core.settings.look {
        LookBy::Disk => (from_disk(core, subject).await?, Evidence::ReadBack),
        LookBy::Http(base) => {
            let file = page_file(&core.settings, &subject.item);
            let url = format!("{base}/{file}");
            (over_http(url, subject, call).await?, Evidence::PublicPage)
        }
    };
    Ok(Seen {
        place: subject.place,
        verdict,
        remote_id: Some(subject.item.clone()),
        address: Some(address::page(&core.settings, &subject.item)),
        evidence,
    })
}

async fn from_disk(core: &Arc<Core>, subject: &Subject) -> Result<Verdict, Failure> {
    let item = subject.item.clone();
    let (page, known) = core
        .on_disk(move |core| {
            let file = page_file(&core.settings, &item);
            let page = core
                .disk
                .read(&file)
                .map_err(|error| fate::disk(&file, &error))?;
            Ok((page, record::read(&core.disk, &item)?))
        })
        .await?;
    let Some(page) = page else {
        return Ok(gone(subject));
    };
    let page = String::from_utf8_lossy(&page);
    let whole = known.is_none_or(|record| record.page == record::hash(&page));
    Ok(judge(&page, subject, whole).unwrap_or(Verdict::Live(Match::Differs)))
}

async fn over_http(url: String, subject: &Subject, call: &Call<'_>) -> Result<Verdict, Failure> {
    let site = name();
    let mut request = Request::new(Method::GET, url).header("cache-control", "no-cache");
    request.cap = LARGEST;
    request.within = call.left();
    let reply = call
        .http
        .send(request)
        .await
        .map_err(|trouble| exchange::lost(&site, Effect::Read, &trouble))?;
    if let Some(failure) = exchange::broken(&site, Effect::Read, &reply, call.now()) {
        return Err(failure);
    }
    let page = String::from_utf8_lossy(&reply.body);
    let clean = scripts(&page) <= 1;
    Ok(match (reply.status, judge(&page, subject, clean)) {
        (404, _) => gone(subject),
        (410, None) => Verdict::Notice,
        (200 | 410, Some(verdict)) => verdict,
        (status, _) => strange(status),
    })
}

/// Whether anything answers where pages are read back; what it answers does not matter yet.
pub async fn reach(base: &str, call: &Call<'_>) -> Result<(), Failure> {
    let mut request = Request::new(Method::GET, format!("{base}/"));
    request.cap = LARGEST;
    request.within = call.left();
    let sent = call.http.send(request).await;
    let reply = sent.map_err(|trouble| exchange::lost(&name(), Effect::Read, &trouble))?;
    exchange::broken(&name(), Effect::Read, &reply, call.now()).map_or(Ok(()), Err)
}

fn name() -> Words {
    Words::new("网站", "the site")
}

/// A page of ours may carry one script; more were added by someone else.
fn scripts(page: &str) -> usize {
    page.to_ascii_lowercase().matches("<script").count()
}

fn strange(status: u16) -> Verdict {
    Verdict::CannotTell(Words::new(
        format!("网址上看到的不是本系统生成的网页（HTTP {status}），可能被网关或缓存替换。"),
        format!("What stands at the address is no page of ours (HTTP {status})."),
    ))
}

fn gone(subject: &Subject) -> Verdict {
    if subject.copy.is_some() {
        Verdict::Removed(RemovedBy::Unknown)
    } else {
        Verdict::Absent
    }
}

/// `None` for a page without our marker.
fn judge(page: &str, subject: &Subject, whole: bool) -> Option<Verdict> {
    let marker = Marker::of(page)?;
    if marker.withdrawn {
        return Some(Verdict::Notice);
    }
    let found = if !whole || marker.text != text_hash(page) {
        Match::Differs
    } else if marker.draft == short(&subject.draft_hash) {
        Match::Same
    } else if marker.revision < subject.revision {
        Match::Earlier
    } else {
        Match::Differs
    };
    Some(Verdict::Live(found))
}

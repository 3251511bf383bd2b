//! Looking for one step whose outcome is unknown.

use serde_json::json;

use super::copies::{adopted, copies, every, in_box, sighting};
use super::list::{absent_if, cannot_tell, is_ours, published, rows};
use super::settings::Mode;
use super::wire::Api;
use super::{act, lost};
use crate::contract::{
    Failure, Fate, Job, Sighting, Step, Target, Timestamp, Truth, Verdict, Words,
};
use crate::kit::json;

pub async fn look(api: &Api<'_>, job: &Job, at: Target<'_>) -> Result<Sighting, Failure> {
    let outcome = match at {
        Target::Step { step, began, .. } => for_step(api, job, step, began).await,
        Target::Copies => copies(api, job).await,
        Target::Unrecorded { since } => lost::look(api, job, since).await,
    };
    match outcome {
        // A look refused for want of a right could not tell; it did not fail.
        Err(failure) if is_right_missing(&failure) => Ok(blind(job, at, failure.public)),
        other => other,
    }
}

pub fn is_right_missing(failure: &Failure) -> bool {
    matches!(failure.fate, Fate::Blocked(_)) && failure.code.as_deref() == Some("48001")
}

fn blind(job: &Job, at: Target<'_>, why: Words) -> Sighting {
    match at {
        Target::Step { .. } => sighting(job.progress.clone(), Truth::CannotTell(why), Vec::new()),
        Target::Copies | Target::Unrecorded { .. } => {
            every(job, job.progress.clone(), &Verdict::CannotTell(why))
        }
    }
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
        "mass" => {
            let truth = cannot_tell(
                "群发没有可查的列表：24 小时内用同一编号再问，之后请到后台核实。",
                "Mass sends are not listed: ask again with the same number within a day, then look \
                 in the console.",
            );
            Ok(sighting(job.progress.clone(), truth, Vec::new()))
        }
        _ => {
            let truth = cannot_tell("这一步再做一次即可。", "This step can simply be repeated.");
            Ok(sighting(job.progress.clone(), truth, Vec::new()))
        }
    }
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

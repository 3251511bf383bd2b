//! Steps that take something away. Each succeeds too when there is nothing left to take.

use serde_json::{Value, json};

use super::act::receipt;
use super::wire::{Api, is_gone};
use crate::contract::{Failure, Job, Progress, Receipt};

/// Calls a removal, which succeeds too when there is nothing left to remove.
async fn removed(api: &Api<'_>, path: &str, body: Value) -> Result<bool, Failure> {
    match api.post(path, body).await {
        Ok(_) => Ok(true),
        Err(failure) if is_gone(&failure) => Ok(false),
        Err(failure) => Err(failure),
    }
}

pub async fn unpublish(api: &Api<'_>, job: &Job, rest: &str) -> Result<Receipt, Failure> {
    let mut body = json!({ "article_id": job.progress.get("article").unwrap_or_default() });
    if let Ok(place) = rest.parse::<u32>() {
        body["index"] = json!(place + 1);
    }
    removed(api, "/cgi-bin/freepublish/delete", body).await?;
    Ok(receipt(gone(job, rest)))
}

pub async fn recall(api: &Api<'_>, job: &Job, rest: &str) -> Result<Receipt, Failure> {
    let id = job.progress.get("mass").unwrap_or_default();
    let id = id.parse::<i64>().map_or_else(|_| json!(id), |id| json!(id));
    let place = rest.parse::<u32>().map_or(0, |place| place + 1);
    let body = json!({ "msg_id": id, "article_idx": place });
    removed(api, "/cgi-bin/message/mass/delete", body).await?;
    Ok(receipt(gone(job, rest)))
}

fn gone(job: &Job, rest: &str) -> Progress {
    job.subjects
        .iter()
        .filter(|subject| rest.is_empty() || rest == subject.place.to_string())
        .fold(job.progress.clone(), |facts, subject| {
            facts.with(format!("gone/{}", subject.place), "owner")
        })
}

pub async fn discard(api: &Api<'_>, job: &Job) -> Result<Receipt, Failure> {
    let id = job.progress.get("draft").unwrap_or_default();
    let there = removed(api, "/cgi-bin/draft/delete", json!({ "media_id": id })).await?;
    let fact = if there { "discarded" } else { "missing" };
    Ok(receipt(job.progress.clone().with(fact, "1")))
}

pub async fn tidy(api: &Api<'_>, job: &Job, hash: &str) -> Result<Receipt, Failure> {
    const IN_USE: &str = "48005";
    let id = job
        .progress
        .get(&format!("cover/{hash}"))
        .unwrap_or_default();
    let outcome = removed(
        api,
        "/cgi-bin/material/del_material",
        json!({ "media_id": id }),
    )
    .await;
    match outcome {
        Err(failure) if failure.code.as_deref() != Some(IN_USE) => Err(failure),
        _ => Ok(receipt(
            job.progress.clone().with(format!("tidied/{hash}"), "1"),
        )),
    }
}

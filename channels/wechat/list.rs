//! The platform's lists, and what they can prove.
//!
//! A post of ours is recognised by its cover, which no other post uses, or, where the platform
//! leaves the cover out, by the address of the original together with the time. A list proves
//! absence only when all of it was read, or when it reaches back past the moment in question.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::way;
use super::wire::Api;
use crate::contract::{Failure, Job, Timestamp, Truth, Words};
use crate::kit::json;

/// Rows on a page, and how many pages a look may read.
const ROWS: i64 = 20;
const PAGES: i64 = 3;

/// How far the two clocks may disagree.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// Rows of a paged list, newest first as far as anyone knows, and whether they reach back far
/// enough to prove that something made after `since` is not there.
pub struct Rows {
    pub rows: Vec<Value>,
    pub covering: bool,
}

pub async fn rows(
    api: &Api<'_>,
    path: &str,
    more: &Value,
    since: Timestamp,
) -> Result<Rows, Failure> {
    pages(api, path, more, since, PAGES).await
}

async fn pages(
    api: &Api<'_>,
    path: &str,
    more: &Value,
    since: Timestamp,
    most: i64,
) -> Result<Rows, Failure> {
    let mut all = Rows {
        rows: Vec::new(),
        covering: false,
    };
    for page in 0..most {
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

pub fn updated(row: &Value) -> Option<Timestamp> {
    DateTime::<Utc>::from_timestamp(json::number(row, "update_time")?, 0)
}

pub fn absent_if(covering: bool) -> Truth {
    if covering {
        return Truth::Absent;
    }
    cannot_tell(
        "列表太长，没有看到底。",
        "The list is too long to be read to its end.",
    )
}

pub fn cannot_tell(zh: &str, en: &str) -> Truth {
    Truth::CannotTell(Words::new(zh, en))
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

    pub fn several(self) -> Option<Vec<String>> {
        (self.ids.len() > 1).then_some(self.ids)
    }

    /// For a post that was not found; `elsewhere` says that it was seen where it started from.
    pub fn truth(&self, elsewhere: bool) -> Truth {
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
    listed(api, job, since, PAGES).await
}

/// The same of the newest rows alone, by one call.
pub async fn newest(api: &Api<'_>, job: &Job) -> Result<Published, Failure> {
    listed(api, job, None, 1).await
}

async fn listed(
    api: &Api<'_>,
    job: &Job,
    since: Option<Timestamp>,
    most: i64,
) -> Result<Published, Failure> {
    let drafted = job.progress.get("draft_at").and_then(|at| at.parse().ok());
    let since = since.or(drafted.and_then(DateTime::from_timestamp_millis));
    let since = since.unwrap_or_else(|| api.call.now() - TimeDelta::days(1));
    let listed = pages(
        api,
        "/cgi-bin/freepublish/batchget",
        &json!({ "no_content": 1 }),
        since,
        most,
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

pub fn is_ours(job: &Job, row: &Value, since: Timestamp) -> bool {
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

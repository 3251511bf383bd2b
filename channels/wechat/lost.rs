//! Looking for an article of which no record is left: the store is older than the world.
//!
//! The address of the original stands in every article and is the same for all revisions of an item: whatever
//! carries it is ours, and its text says whether it is this revision. Mass sends are in no list. In draft mode
//! the box is looked into as well, since a second draft beside the first would be one too many for the person
//! who presses the button.

use serde_json::{Value, json};

use super::article::Article;
use super::copies::{adopted, article, every, seen};
use super::list::rows;
use super::settings::Mode;
use super::wire::Api;
use super::{act, way};
use crate::contract::{Evidence, Failure, Job, Sighting, Timestamp, Truth, Verdict, Words};
use crate::kit::{json, text};

pub async fn look(api: &Api<'_>, job: &Job, since: Timestamp) -> Result<Sighting, Failure> {
    if api.settings.mode == Mode::Mass {
        return Ok(every(
            job,
            job.progress.clone(),
            &Verdict::CannotTell(unlisted()),
        ));
    }
    let bare = json!({ "no_content": 1 });
    let published = rows(api, "/cgi-bin/freepublish/batchget", &bare, since).await?;
    let mut ids = named(job, &published.rows, "article_id");
    ids.dedup();
    match ids.as_slice() {
        [one] => {
            let progress = adopted(job, one);
            return article(
                api,
                &Job {
                    progress,
                    ..job.clone()
                },
            )
            .await;
        }
        [] if !published.covering => {
            return Ok(every(
                job,
                job.progress.clone(),
                &Verdict::CannotTell(too_long()),
            ));
        }
        [] => {}
        several => {
            let verdict = Verdict::Several(several.to_vec());
            return Ok(every(job, job.progress.clone(), &verdict));
        }
    }
    if api.settings.mode == Mode::Draft {
        let boxed = rows(api, "/cgi-bin/draft/batchget", &bare, since).await?;
        let drafts = named(job, &boxed.rows, "media_id");
        if let Some(newest) = drafts.first() {
            let facts = act::drafted(job, newest, api.call.now());
            return Ok(every(job, facts, &Verdict::Reviewing));
        }
        if !boxed.covering {
            return Ok(every(
                job,
                job.progress.clone(),
                &Verdict::CannotTell(too_long()),
            ));
        }
    }
    let facts = job.progress.clone();
    let all = job.subjects.iter();
    let absent = all.map(|subject| seen(&facts, subject, Verdict::Absent, Evidence::ReadBack));
    let absent = absent.collect();
    Ok(Sighting {
        progress: facts,
        truth: Truth::NotAsked,
        seen: absent,
    })
}

fn named(job: &Job, rows: &[Value], id: &str) -> Vec<String> {
    let Some((_, first)) = way::articles(job).next() else {
        return Vec::new();
    };
    let ours = rows.iter().filter(|row| {
        let items = row
            .get("content")
            .map(|content| json::list(content, "news_item"));
        items.is_some_and(|items| items.iter().any(|item| is_ours(job, &first, item)))
    });
    ours.filter_map(|row| json::id(row, id)).collect()
}

/// By the address of the original, or by the cover where that is known; by title and summary where
/// the platform names neither.
fn is_ours(job: &Job, sent: &Article, item: &Value) -> bool {
    let cover = job.progress.get(&format!("cover/{}", sent.cover));
    if cover.is_some_and(|cover| cover == json::text(item, "thumb_media_id")) {
        return true;
    }
    let link = json::text(item, "content_source_url");
    if !link.is_empty() && !sent.content_source_url.is_empty() {
        return link == sent.content_source_url;
    }
    text::one_line(json::text(item, "title")) == sent.title
        && text::one_line(json::text(item, "digest")) == sent.digest
}

fn unlisted() -> Words {
    Words::new(
        "群发没有可查的列表，请到公众号后台核实。",
        "Mass sends are not listed; look in the console.",
    )
}

fn too_long() -> Words {
    Words::new(
        "发布记录太长，没有看到底，请到公众号后台核实。",
        "The list is too long to be read to its end; look in the console.",
    )
}

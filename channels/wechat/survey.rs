//! Which articles the account shows, whoever published them; in draft mode, which drafts wait as well.
//!
//! One page of twenty messages: an office publishes a handful a day, so it reaches back for days and costs one
//! call of a hundred. Mass sends are in no list, so that mode has no survey. An article is told by the address of its
//! original; one that links to none only by title and summary.

use serde_json::{Value, json};

use super::article;
use super::list::updated;
use super::look::is_right_missing;
use super::settings::Mode;
use super::wire::Api;
use crate::contract::{Draft, Failure, Posted, Sign, Stands, Surveyed};
use crate::kit::{json, text};

/// Messages that one call lists at most; each holds up to eight articles.
pub const ROWS: u32 = 20;

pub async fn survey(api: &Api<'_>) -> Result<Surveyed, Failure> {
    match posts(api).await {
        Err(failure) if is_right_missing(&failure) => Ok(Surveyed::CannotTell(failure.public)),
        other => other.map(Surveyed::Posts),
    }
}

async fn posts(api: &Api<'_>) -> Result<Vec<Posted>, Failure> {
    let published = newest(api, "/cgi-bin/freepublish/batchget").await?;
    let mut posts = posted(&published, "article_id", Stands::Public);
    if api.settings.mode == Mode::Draft {
        let waiting = newest(api, "/cgi-bin/draft/batchget").await?;
        posts.extend(posted(&waiting, "media_id", Stands::Draft));
    }
    Ok(posts)
}

async fn newest(api: &Api<'_>, path: &str) -> Result<Vec<Value>, Failure> {
    let body = json!({ "offset": 0, "count": ROWS, "no_content": 1 });
    let answer = api.post(path, body).await?;
    let total = json::number(&answer, "total_count");
    let total = total.ok_or_else(|| api.incomplete("total_count"))?;
    let rows = json::list(&answer, "item");
    if rows.is_empty() && total > 0 {
        return Err(api.incomplete("item"));
    }
    Ok(rows.to_vec())
}

fn posted(rows: &[Value], id: &str, stands: Stands) -> Vec<Posted> {
    let mut posts = Vec::new();
    for row in rows {
        let Some(remote_id) = json::id(row, id) else {
            continue;
        };
        let items = row
            .get("content")
            .map(|content| json::list(content, "news_item"));
        let shown = items.unwrap_or_default().iter();
        posts.extend(
            shown
                .filter(|item| !json::flag(item, "is_deleted"))
                .map(|item| Posted {
                    remote_id: remote_id.clone(),
                    // What the list names is a draft's address, which dies.
                    address: None,
                    at: updated(row),
                    title: text::one_line(json::text(item, "title")),
                    sign: sign(item),
                    stands,
                }),
        );
    }
    posts
}

fn sign(item: &Value) -> Sign {
    let link = json::text(item, "content_source_url");
    if link.is_empty() {
        let (title, digest) = (json::text(item, "title"), json::text(item, "digest"));
        return Sign::Text {
            essence: essence(title, digest),
            own_app: false,
        };
    }
    Sign::Link(link.to_owned())
}

fn essence(title: &str, digest: &str) -> String {
    format!("{}\n{}", text::one_line(title), text::one_line(digest))
}

pub fn reads_as(posted: &Posted, draft: &Draft) -> bool {
    let Some(sent) = article::read(draft) else {
        return false;
    };
    match &posted.sign {
        Sign::Link(link) => *link == sent.content_source_url,
        Sign::Text { essence: shown, .. } => *shown == essence(&sent.title, &sent.digest),
        Sign::Item(_) => false,
    }
}

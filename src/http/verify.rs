//! Findings, and looking again. Looking spends the platform's quota: ordering it stays with the socket.

use axum::Json;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::App;
use super::answer::{Answer, Refused, ok};
use crate::model::finding::Kind;
use crate::service::{Inspect, InspectionView, NightView, Page, parse_cursor};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindingsQuery {
    limit: Option<usize>,
    /// Where the page before ended.
    cursor: Option<String>,
    item: Option<String>,
    channel: Option<String>,
    /// `uncheckable` is told only when asked for.
    kind: Option<Kind>,
}

pub async fn findings(State(app): State<App>, Query(query): Query<FindingsQuery>) -> Answer {
    let after = match &query.cursor {
        Some(text) => Some(parse_cursor(text).ok_or_else(|| {
            Refused::wrong(
                "cursor 有误，应取自上一页的 next。",
                "the cursor is not one that a page before ended with.",
            )
        })?),
        None => None,
    };
    let item = match &query.item {
        Some(text) => Some(app.service.find(text).await?),
        None => None,
    };
    let channel = match &query.channel {
        Some(name) => Some(app.service.number(name)?),
        None => None,
    };
    let limit = query.limit.unwrap_or(100);
    let Page { rows, next } = app
        .service
        .strays(after, limit, |watch| {
            let kind = watch.finding().map(|finding| finding.kind);
            item.is_none_or(|item| watch.id.item == item)
                && channel.is_none_or(|channel| watch.id.channel == channel)
                && match query.kind {
                    Some(wanted) => kind == Some(wanted),
                    None => kind.is_some_and(Kind::is_alarm),
                }
        })
        .await?;
    ok(&json!({ "findings": rows, "next": next }))
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderBody {
    pub item: Option<String>,
    pub channel: Option<String>,
}

/// How passes stand: a person's own, and those of the nights.
#[derive(Debug, Serialize, Deserialize)]
pub struct Standing {
    pub ordered: InspectionView,
    pub nights: NightView,
}

pub async fn order(State(app): State<App>, Json(body): Json<OrderBody>) -> Answer {
    let mut wish = Inspect::default();
    if let Some(item) = &body.item {
        wish.item = Some(app.service.find(item).await?);
    }
    if let Some(channel) = &body.channel {
        wish.channel = Some(app.service.number(channel)?);
    }
    app.service.inspect(wish).await?;
    standing(State(app)).await
}

pub async fn standing(State(app): State<App>) -> Answer {
    ok(&Standing {
        ordered: app.service.inspection(),
        nights: app.service.nights().await?,
    })
}

//! Version 1. It only ever adds.

use axum::Extension;
use axum::Json;
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use lubu_channels::{Timestamp, Words};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::answer::{Answer, Refused, json as answer_json, ok};
use super::{App, Door, body};
use crate::model::approval::OnCorrection;
use crate::model::delivery::PublicState;
use crate::model::scope::Scope;
use crate::service::view::{DeliveryView, FindingView};
use crate::service::{Approve, Filter, Page, Submit, Submitted, Trouble, Word};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    limit: Option<usize>,
    /// Where the page before ended.
    cursor: Option<String>,
    item: Option<String>,
    channel: Option<String>,
    state: Option<PublicState>,
}

async fn filter(app: &App, query: ListQuery) -> Result<Filter, Refused> {
    let before = match query.cursor {
        Some(cursor) => Some(cursor.parse().map_err(|error| {
            Refused::wrong(
                format!("cursor 有误：{error}"),
                format!("failed to {error}"),
            )
        })?),
        None => None,
    };
    let item = match query.item {
        Some(text) => Some(app.service.find(&text).await?),
        None => None,
    };
    if let Some(channel) = &query.channel {
        app.service.known(channel)?;
    }
    let limit = query.limit.unwrap_or(100);
    Ok(Filter {
        before,
        limit,
        item,
        channel: query.channel,
        state: query.state,
    })
}

pub async fn items(State(app): State<App>, Query(query): Query<ListQuery>) -> Answer {
    let Page { rows, next } = app.service.items(&filter(&app, query).await?).await?;
    ok(&json!({ "items": rows, "next": next }))
}

pub async fn deliveries(State(app): State<App>, Query(query): Query<ListQuery>) -> Answer {
    let Page { rows, next } = app.service.deliveries(&filter(&app, query).await?).await?;
    ok(&json!({ "deliveries": rows, "next": next }))
}

pub async fn item(State(app): State<App>, Path(item): Path<String>) -> Answer {
    let id = app.service.find(&item).await?;
    ok(&app.service.show(id).await?)
}

/// What a submission or revision answers.
#[derive(Debug, Serialize, Deserialize)]
pub struct SubmittedBody {
    /// The item's id, twice: `item` reads better beside `revision`.
    pub id: String,
    pub item: String,
    pub revision: u32,
    pub index_no: Option<String>,
    /// It was here already; nothing was made.
    pub known: bool,
    /// What will not fit where.
    pub findings: Vec<FindingView>,
    pub notes: Vec<Words>,
}

impl From<Submitted> for SubmittedBody {
    fn from(done: Submitted) -> Self {
        Self {
            id: done.accepted.item.to_string(),
            item: done.accepted.item.to_string(),
            revision: done.accepted.revision,
            index_no: done.accepted.index_no,
            known: done.accepted.known,
            findings: done.findings,
            notes: done.notes,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubmitQuery {
    by: Option<String>,
    #[serde(default)]
    again: bool,
    note: Option<String>,
}

async fn taken(
    door: Door,
    query: &SubmitQuery,
    request: Request,
) -> Result<(Submit, Option<String>), Refused> {
    let key = request
        .headers()
        .get("idempotency-key")
        .map(|value| value.to_str().map(str::to_owned))
        .transpose()
        .map_err(|_| {
            Refused::wrong(
                "Idempotency-Key 只能用 ASCII 字符。",
                "Idempotency-Key must be ASCII.",
            )
        })?;
    let read = body::read(request).await?;
    let by = query
        .by
        .clone()
        .or_else(|| read.field("by").map(str::to_owned));
    let note = query
        .note
        .clone()
        .or_else(|| read.field("note").map(str::to_owned));
    let submit = Submit {
        by: by.unwrap_or_else(|| door.from().to_owned()),
        from: door.from(),
        key: key.map(|key| (key, read.hash)),
        again: query.again,
        submission: read.submission,
    };
    Ok((submit, note))
}

pub async fn submit(
    State(app): State<App>,
    Extension(door): Extension<Door>,
    Query(query): Query<SubmitQuery>,
    request: Request,
) -> Answer {
    let (submit, _) = taken(door, &query, request).await?;
    let done = SubmittedBody::from(app.service.submit(submit).await?);
    let status = if done.known {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    answer_json(status, &done)
}

pub async fn revise(
    State(app): State<App>,
    Extension(door): Extension<Door>,
    Path(item): Path<String>,
    Query(query): Query<SubmitQuery>,
    request: Request,
) -> Answer {
    let id = app.service.find(&item).await?;
    let (submit, note) = taken(door, &query, request).await?;
    let done = app
        .service
        .revise(id, submit, note.as_deref().unwrap_or_default())
        .await?;
    let done = SubmittedBody::from(done);
    let status = if done.known {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    answer_json(status, &done)
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApproveBody {
    pub by: String,
    #[serde(default)]
    pub opinion: String,
    pub revision: Option<u32>,
    pub scope: Option<Scope>,
    /// What to do where a copy cannot be corrected in place: `CHANNEL` to `leave` or `replace`.
    #[serde(default)]
    pub on_correction: Vec<(String, OnCorrection)>,
    /// Channels that this revision knowingly skips.
    #[serde(default)]
    pub without: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct ApprovedBody {
    pub item: String,
    pub revision: u32,
    pub scope: Scope,
    pub deliveries: Vec<DeliveryView>,
}

pub async fn approve(
    State(app): State<App>,
    Extension(door): Extension<Door>,
    Path(item): Path<String>,
    Json(body): Json<ApproveBody>,
) -> Answer {
    let approve = Approve {
        item: app.service.find(&item).await?,
        revision: body.revision,
        scope: body.scope,
        by: body.by,
        opinion: body.opinion,
        choices: body.on_correction,
        without: body.without,
        from: door.from(),
    };
    let done = app.service.approve(approve).await?;
    ok(&ApprovedBody {
        item: done.item,
        revision: done.revision,
        scope: done.scope,
        deliveries: done.deliveries,
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreviewQuery {
    channel: String,
    revision: Option<u32>,
}

pub async fn preview(
    State(app): State<App>,
    Path(item): Path<String>,
    Query(query): Query<PreviewQuery>,
) -> Answer {
    let id = app.service.find(&item).await?;
    let html = app
        .service
        .preview(id, query.revision, &query.channel)
        .await?;
    let mut response = Html(html).into_response();
    let alone = header::HeaderValue::from_static(
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox",
    );
    response
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, alone);
    Ok(response)
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WithdrawBody {
    pub by: String,
    pub reason: String,
}

pub async fn withdraw(
    State(app): State<App>,
    Extension(door): Extension<Door>,
    Path(item): Path<String>,
    Json(body): Json<WithdrawBody>,
) -> Answer {
    let id = app.service.find(&item).await?;
    app.service
        .withdraw(id, &body.by, &body.reason, door.from())
        .await?;
    ok(&app.service.show(id).await?)
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByBody {
    pub by: String,
    #[serde(default)]
    pub reason: String,
    /// For a pause: when it ends by itself.
    pub until: Option<Timestamp>,
}

pub async fn retry(
    State(app): State<App>,
    Extension(door): Extension<Door>,
    Path(delivery): Path<String>,
    Json(body): Json<ByBody>,
) -> Answer {
    let id = app.service.find_delivery(&delivery).await?;
    app.service
        .say(id, &body.by, Word::Retry, door.from())
        .await?;
    ok(&app.service.show(id.item).await?)
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfirmBody {
    pub by: String,
    /// Seen there; false says that it is not there.
    pub published: bool,
    pub url: Option<String>,
}

pub async fn confirm(
    State(app): State<App>,
    Extension(door): Extension<Door>,
    Path(delivery): Path<String>,
    Json(body): Json<ConfirmBody>,
) -> Answer {
    let id = app.service.find_delivery(&delivery).await?;
    let word = if body.published {
        Word::Live { url: body.url }
    } else {
        Word::Absent
    };
    app.service.say(id, &body.by, word, door.from()).await?;
    ok(&app.service.show(id.item).await?)
}

pub async fn channels(State(app): State<App>) -> Answer {
    ok(&json!({ "channels": app.service.channels().await? }))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckQuery {
    channel: Option<String>,
}

pub async fn check(State(app): State<App>, Query(query): Query<CheckQuery>) -> Answer {
    ok(&json!({ "checks": app.service.check(query.channel.as_deref()).await? }))
}

pub async fn pause(
    State(app): State<App>,
    Extension(door): Extension<Door>,
    Path(channel): Path<String>,
    Json(body): Json<ByBody>,
) -> Answer {
    app.service
        .pause(&channel, &body.by, &body.reason, body.until, door.from())
        .await?;
    channels(State(app)).await
}

pub async fn resume(
    State(app): State<App>,
    Extension(door): Extension<Door>,
    Path(channel): Path<String>,
    Json(body): Json<ByBody>,
) -> Answer {
    app.service.resume(&channel, &body.by, door.from()).await?;
    channels(State(app)).await
}

/// Whether anything is sent, and why not.
pub async fn sending(State(app): State<App>) -> Answer {
    let halts = app.service.halt_views().await?;
    ok(&json!({ "sending": halts.is_empty(), "halts": halts }))
}

pub async fn stop_sending(
    State(app): State<App>,
    Extension(door): Extension<Door>,
    Json(body): Json<ByBody>,
) -> Answer {
    app.service
        .stop_sending(&body.by, &body.reason, door.from())
        .await?;
    sending(State(app)).await
}

pub async fn resume_sending(
    State(app): State<App>,
    Extension(door): Extension<Door>,
    Json(body): Json<ByBody>,
) -> Answer {
    app.service.resume_sending(&body.by, door.from()).await?;
    sending(State(app)).await
}

pub async fn confirm_clock(
    State(app): State<App>,
    Extension(door): Extension<Door>,
    Json(body): Json<ByBody>,
) -> Answer {
    app.service.confirm_clock(&body.by, door.from()).await?;
    sending(State(app)).await
}

pub async fn schedules(State(app): State<App>) -> Answer {
    ok(&json!({ "schedules": app.service.schedules().await? }))
}

pub async fn healthz() -> Answer {
    ok(&json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
}

/// Ready means: what is taken in can be written, and sent.
pub async fn readyz(State(app): State<App>) -> Answer {
    let standing = app.service.store.standing();
    let ready = standing.healthy && standing.adopted;
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    answer_json(
        status,
        &json!({
            "ready": ready,
            "adopted": standing.adopted,
            "store": standing.words.en,
            "store_zh": standing.words.zh,
            "sequence": standing.sequence.to_string(),
            "journal_bytes": standing.journal_bytes,
            "free_bytes": standing.free_bytes,
            "halts": app.service.halt_views().await.unwrap_or_default(),
        }),
    )
}

pub async fn metrics(State(app): State<App>) -> Response {
    match &app.metrics {
        Some(handle) => {
            // The last figures stand where the store cannot be read.
            drop(app.service.measure_findings().await);
            drop(app.service.measure_surveys().await);
            let kind = (
                header::CONTENT_TYPE,
                "text/plain; version=0.0.4; charset=utf-8",
            );
            ([kind], handle.render()).into_response()
        }
        None => Refused::from(Trouble::NotFound(Words::new(
            "没有统计。",
            "there are no metrics.",
        )))
        .into_response(),
    }
}

//! The first pages of the office: the matrix of items and channels, and one item's timeline.
//!
//! Read-only. They show what the interface shows, from the same views, in the same words.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Deserialize;

use super::App;
use super::answer::{Answer, Refused};
use crate::model::attempt::Outcome;
use crate::model::delivery::PublicState;
use crate::service::view::{ChannelView, DeliveryView, HaltView, ItemView, ShowView, UnknownPost};
use crate::service::{Filter, NightView};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatrixQuery {
    cursor: Option<String>,
}

#[derive(Template)]
#[template(path = "matrix.html")]
struct Matrix {
    office: String,
    now: String,
    channels: Vec<ChannelView>,
    rows: Vec<Row>,
    urgent: Vec<Urgent>,
    strays: Vec<Stray>,
    /// There are more findings than are listed.
    more: bool,
    patrol: String,
    halts: Vec<HaltView>,
    /// Channels that public posts have stopped of which nothing is on record, or that cannot be listed.
    stopped: Vec<Stopped>,
    next: Option<String>,
    paged: bool,
}

struct Row {
    item: ItemView,
    received: Moment,
    /// One cell a channel, in their order.
    cells: Vec<Option<Chip>>,
}

struct Chip {
    channel: String,
    code: &'static str,
    glyph: &'static str,
    words: &'static str,
    detail: String,
}

/// What needs a person, as a sentence with what to type.
struct Urgent {
    item: String,
    sentence: String,
    commands: Vec<String>,
}

/// A time as people read it, and as machines do.
#[derive(Clone)]
struct Moment {
    words: String,
    exact: String,
    machine: String,
}

/// What looking again found.
struct Stray {
    item: String,
    kind: &'static str,
    sentence: String,
    since: Moment,
    advice: String,
}

struct Stopped {
    channel: String,
    how: &'static str,
    reason: String,
    posts: Vec<String>,
}

fn stopped(channel: &ChannelView) -> Option<Stopped> {
    if channel.state == "unlisted" {
        return Some(Stopped {
            channel: channel.name.clone(),
            how: "暂不发送",
            reason: channel.reason.clone().unwrap_or_default(),
            posts: Vec::new(),
        });
    }
    let unknown = channel.survey.as_ref().map(|survey| &survey.unknown)?;
    let told = |post: &UnknownPost| {
        let place = post.url.as_deref().unwrap_or(&post.remote_id);
        let item = post.item.as_deref().unwrap_or("不知是哪条信息");
        let unsent = if post.unsent {
            "，这里记为未发"
        } else {
            ""
        };
        format!("《{}》 {item}{unsent} {place}", post.title)
    };
    (!unknown.is_empty()).then(|| Stopped {
        channel: channel.name.clone(),
        how: "已停发",
        reason: channel.reason.clone().unwrap_or_default(),
        posts: unknown.iter().map(told).collect(),
    })
}

/// Findings that the first page lists; the rest is told by the command line.
const LISTED: usize = 50;

fn stray(delivery: &DeliveryView, now: DateTime<Utc>, zone: Tz) -> Option<Stray> {
    let found = delivery.finding.as_ref()?;
    let (channel, title, reason) = (&delivery.channel, &delivery.title, &found.reason);
    Some(Stray {
        item: delivery.item.clone(),
        kind: found.kind.zh(),
        sentence: format!("{channel}：《{title}》{reason}"),
        since: moment(&found.since, now, zone),
        advice: found.advice.clone(),
    })
}

/// When everything published was last looked at, in a sentence.
fn patrolled(nights: &NightView, now: DateTime<Utc>, zone: Tz) -> String {
    let told = nights.last.iter().map(|one| {
        let when = match &one.ended {
            Some(ended) => moment(ended, now, zone).words,
            None => "正在进行".to_owned(),
        };
        let left = match one.counts.left {
            0 => String::new(),
            left => format!("，{left} 条没有看"),
        };
        format!("{} {when} 看了 {} 条{left}", one.channel, one.counts.looked)
    });
    told.collect::<Vec<_>>().join("；")
}

pub async fn matrix(State(app): State<App>, Query(query): Query<MatrixQuery>) -> Answer {
    let service = &app.service;
    let before = query.cursor.as_ref().and_then(|cursor| cursor.parse().ok());
    let filter = Filter {
        before,
        limit: 50,
        ..Filter::default()
    };
    let page = service.items(&filter).await?;
    let channels = service.channels().await?;
    let config = service.config();
    let zone = config.zone();
    let now = service.time.now();
    let urgent = page
        .rows
        .iter()
        .flat_map(|item| item.deliveries.iter().filter_map(urgent));
    let urgent = urgent.collect();
    let found = service
        .strays(None, LISTED, |watch| {
            watch.finding().is_some_and(|found| found.kind.is_alarm())
        })
        .await?;
    let nights = service.nights().await?;
    let rows = page.rows.into_iter().map(|item| Row {
        received: moment(&item.received_at, now, zone),
        cells: channels
            .iter()
            .map(|channel| {
                let found = item
                    .deliveries
                    .iter()
                    .find(|one| one.channel == channel.name);
                found.map(|one| chip(one, now, zone))
            })
            .collect(),
        item,
    });
    let matrix = Matrix {
        office: config.office.name.clone(),
        now: now
            .with_timezone(&zone)
            .format("%Y-%m-%d %H:%M")
            .to_string(),
        rows: rows.collect(),
        stopped: channels.iter().filter_map(stopped).collect(),
        channels,
        urgent,
        strays: found
            .rows
            .iter()
            .filter_map(|one| stray(one, now, zone))
            .collect(),
        more: found.next.is_some(),
        patrol: patrolled(&nights, now, zone),
        halts: service.halt_views().await?,
        next: page.next,
        paged: query.cursor.is_some(),
    };
    render(&matrix)
}

#[derive(Template)]
#[template(path = "timeline.html")]
struct Timeline {
    office: String,
    show: ShowView,
    received: Moment,
    parts: Vec<Part>,
    revisions: Vec<Signed>,
}

struct Part {
    chip: Chip,
    delivery: DeliveryView,
    live: Option<String>,
    stray: Option<Stray>,
    attempts: Vec<Try>,
}

struct Try {
    number: u32,
    step: String,
    began: Moment,
    took: String,
    outcome: &'static str,
    class: &'static str,
    reason: String,
}

struct Signed {
    number: u32,
    by: String,
    at: Moment,
    hash: String,
    approval: Option<(String, String, Moment)>,
}

pub async fn timeline(State(app): State<App>, Path(item): Path<String>) -> Answer {
    let service = &app.service;
    let id = service.find(&item).await?;
    let show = service.show(id).await?;
    let config = service.config();
    let zone = config.zone();
    let now = service.time.now();
    let parts = show.timeline.iter().map(|part| Part {
        chip: chip(&part.delivery, now, zone),
        live: part.delivery.live.as_ref().map(|live| {
            format!(
                "第 {} 版，{} 看到",
                live.revision,
                moment(&live.seen_at, now, zone).exact
            )
        }),
        stray: stray(&part.delivery, now, zone),
        delivery: part.delivery.clone(),
        attempts: part
            .attempts
            .iter()
            .map(|one| Try {
                number: one.number,
                step: step_words(&one.step),
                began: moment(&one.began, now, zone),
                took: took(&one.began, one.ended.as_deref()),
                outcome: outcome_words(one.outcome),
                class: outcome_class(one.outcome),
                reason: one.reason.clone().unwrap_or_default(),
            })
            .collect(),
    });
    let revisions = show.revisions.iter().map(|one| Signed {
        number: one.number,
        by: one.by.clone(),
        at: moment(&one.at, now, zone),
        hash: one.hash.chars().take(12).collect(),
        approval: one.approval.as_ref().map(|signed| {
            let words = format!("{}（{}）{}", signed.by, signed.scope.zh(), signed.opinion);
            (words, signed.opinion.clone(), moment(&signed.at, now, zone))
        }),
    });
    let page = Timeline {
        office: config.office.name.clone(),
        received: moment(&show.item.received_at, now, zone),
        parts: parts.collect(),
        revisions: revisions.collect(),
        show,
    };
    render(&page)
}

fn render(page: &impl Template) -> Answer {
    let html = page.render().map_err(|error| {
        tracing::error!("a page cannot be rendered: {error}");
        Refused::wrong(
            "页面生成失败，请把日志交给运维。",
            "the page cannot be rendered.",
        )
    })?;
    Ok(Html(html).into_response())
}

pub async fn style() -> Response {
    let kind = (header::CONTENT_TYPE, "text/css; charset=utf-8");
    ([kind], include_str!("../../templates/lubu.css")).into_response()
}

fn chip(delivery: &DeliveryView, now: DateTime<Utc>, zone: Tz) -> Chip {
    let state = delivery.state;
    let mut detail = delivery.reason.clone().unwrap_or_default();
    if let Some(next) = &delivery.next_at {
        let next = moment(next, now, zone);
        if !detail.is_empty() {
            detail.push(' ');
        }
        detail.push_str(&format!("下次 {}", next.exact));
    }
    Chip {
        channel: delivery.channel.clone(),
        code: state.code(),
        glyph: state.glyph(),
        words: state.zh(),
        detail,
    }
}

fn urgent(delivery: &DeliveryView) -> Option<Urgent> {
    // What looking again found is told in a list of its own.
    let found = delivery
        .finding
        .as_ref()
        .is_some_and(|found| !found.accepted);
    if !delivery.needs_person || found {
        return None;
    }
    let what = match delivery.state {
        PublicState::Failed => "没有发成",
        PublicState::Unconfirmed => "平台结果不明，请核实",
        _ => "等待人工处理",
    };
    let (id, item, channel) = (&delivery.id, &delivery.item, &delivery.channel);
    let reason = delivery.reason.clone().unwrap_or_default();
    let commands = match delivery.state {
        PublicState::Failed => vec![format!("lubu retry {id}")],
        // The reason of a correction that waits names the option.
        PublicState::Held if reason.contains("--on-correction") => vec![format!(
            "lubu approve {item} --by 签发人 --opinion 意见 --on-correction {channel}=leave"
        )],
        PublicState::Held if reason.contains("lubu revise") => vec![
            format!("lubu revise {item} 稿件"),
            format!("lubu approve {item} --by 签发人 --opinion 意见"),
        ],
        _ => vec![
            format!("lubu confirm {id} --published 网址"),
            format!("lubu confirm {id} --absent"),
        ],
    };
    Some(Urgent {
        item: item.clone(),
        sentence: format!("{channel}：《{}》{what}。{reason}", delivery.title),
        commands,
    })
}

fn moment(text: &str, now: DateTime<Utc>, zone: Tz) -> Moment {
    let Ok(at) = text.parse::<DateTime<Utc>>() else {
        return Moment {
            words: text.to_owned(),
            exact: text.to_owned(),
            machine: text.to_owned(),
        };
    };
    let exact = at
        .with_timezone(&zone)
        .format("%Y-%m-%d %H:%M:%S")
        .to_string();
    let gone = (now - at).num_seconds();
    let words = match gone {
        ..0 => exact.clone(),
        0..60 => format!("{gone} 秒前"),
        60..3600 => format!("{} 分钟前", gone / 60),
        3600..86_400 => format!("{} 小时前", gone / 3600),
        _ => at.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string(),
    };
    Moment {
        words,
        exact,
        machine: text.to_owned(),
    }
}

fn took(began: &str, ended: Option<&str>) -> String {
    let parse = |text: &str| text.parse::<DateTime<Utc>>().ok();
    let (Some(began), Some(ended)) = (parse(began), ended.and_then(parse)) else {
        return "进行中".to_owned();
    };
    let ms = (ended - began).num_milliseconds();
    if ms < 1000 {
        format!("{ms} 毫秒")
    } else {
        format!("{}.{} 秒", ms / 1000, ms % 1000 / 100)
    }
}

fn step_words(step: &str) -> String {
    match step {
        "look" => "核对".to_owned(),
        "retry" => "人工重发".to_owned(),
        "confirm" => "人工核实".to_owned(),
        other => other.chars().take(40).collect(),
    }
}

fn outcome_words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Open => "进行中",
        Outcome::Done => "完成",
        Outcome::Again => "未成，将重试",
        Outcome::Never => "被拒",
        Outcome::Blocked => "账号受阻",
        Outcome::Unsure => "结果不明",
        Outcome::Found => "已看到",
        Outcome::Absent => "没有",
        Outcome::CannotTell => "看不出",
        Outcome::Person => "人工",
    }
}

fn outcome_class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Open => "sending",
        Outcome::Done | Outcome::Found => "published",
        Outcome::Again => "retrying",
        Outcome::Never | Outcome::Blocked => "failed",
        Outcome::Unsure | Outcome::CannotTell => "unconfirmed",
        Outcome::Absent => "pending",
        Outcome::Person => "held",
    }
}

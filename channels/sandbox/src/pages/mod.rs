//! The pages: what readers see, what only the office sees, and the sandbox's own.
//!
//! Templates are small and self-contained (no scripts, nothing loaded from elsewhere).
//! Every value is escaped; only article text that went through the platform's own
//! filter is put in as markup, and the page's policy forbids scripts anyway.

pub(crate) mod portal;
pub(crate) mod wechat;
pub(crate) mod weibo;

use minijinja::{Environment, Value, context};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::faults::Kind;
use crate::ledger::Platform;
use crate::wire::Reply;
use crate::world::World;

const FRAME: &str = include_str!("../../templates/frame.html");
const OVERVIEW: &str = include_str!("../../templates/overview.html");
const FAULTS: &str = include_str!("../../templates/faults.html");
const ERROR: &str = include_str!("../../templates/error.html");

/// Which dress a page wears; also the name of its CSS class.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Dress {
    Desk,
    Phone,
    Portal,
}

fn render(source: &str, values: Value) -> String {
    let mut environment = Environment::new();
    environment.set_formatter(|out, _, value| {
        if value.is_safe() {
            return Ok(write!(out, "{value}")?);
        }
        let text = if value.is_none() {
            String::new()
        } else {
            value.to_string()
        };
        Ok(out.write_str(&escaped(&text))?)
    });
    environment
        .render_str(source, values)
        .unwrap_or_else(|error| {
            tracing::error!(%error, "a page could not be rendered");
            String::from("<p>页面出错 This page failed to render.</p>")
        })
}

/// Like the template engine's own escaping, but addresses stay readable in the source.
fn escaped(text: &str) -> String {
    [
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("\"", "&quot;"),
        ("'", "&#39;"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// A whole page around an already rendered body.
pub(crate) fn page(dress: Dress, title: &str, source: &str, values: Value) -> Reply {
    let body = render(source, values);
    let class = match dress {
        Dress::Desk => "desk",
        Dress::Phone => "phone",
        Dress::Portal => "portal",
    };
    Reply::html(200, render(FRAME, context! { title, class, body }))
}

pub(crate) fn error_page(status: u16) -> Reply {
    let words = match status {
        404 => "没有这个页面 There is no such page",
        410 => "内容已撤下 This was taken down",
        412 => "请求没有 Content-Length",
        429 => "请求过于频繁 Too many requests",
        502 => "网关错误 Bad gateway",
        _ => "服务暂不可用 The service is not available",
    };
    let mut reply = page(Dress::Desk, words, ERROR, context! { status, words });
    reply.status = status;
    reply.coded(status)
}

/// A file name as part of an address.
pub(crate) fn encoded(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC)
        .to_string()
        .replace("%2E", ".")
}

pub(crate) fn overview(world: &World) -> Reply {
    let public = world.public(None);
    let rows: Vec<_> = Platform::ALL
        .into_iter()
        .map(|platform| {
            let mine: Vec<_> = public
                .iter()
                .filter(|post| post.platform == platform)
                .collect();
            let twins = mine.iter().filter(|post| post.copies > 1).count();
            let calls = world.ledger.rows(Some(platform)).len();
            let (name, home) = match platform {
                Platform::Wechat => ("微信公众号", "/wechat/".to_owned()),
                Platform::Weibo => ("新浪微博", format!("/weibo/u/{}", world.options.weibo_uid)),
                Platform::Portal => ("市政府门户", "/portal/".to_owned()),
            };
            context! { name, home, id => platform.name(), posts => mine.len(), twins, calls }
        })
        .collect();
    let faults = world.faults.list().len();
    page(
        Dress::Desk,
        "沙盒",
        OVERVIEW,
        context! { rows, faults, base => world.base },
    )
}

pub(crate) fn faults(world: &World) -> Reply {
    let kinds: Vec<_> = Kind::ALL.into_iter().map(Kind::name).collect();
    let platforms: Vec<_> = Platform::ALL.into_iter().map(Platform::name).collect();
    let list: Vec<_> = world
        .faults
        .list()
        .iter()
        .map(|switched| {
            let fault = &switched.fault;
            context! {
                id => switched.id,
                platform => fault.platform.name(),
                kind => fault.kind.name(),
                path => fault.path,
                method => fault.method,
                times => fault.times,
                seen => switched.seen,
                struck => switched.struck,
            }
        })
        .collect();
    page(
        Dress::Desk,
        "故障",
        FAULTS,
        context! { kinds, platforms, list },
    )
}

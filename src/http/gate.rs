//! Who and what may come in by the doors, and how all refusals look.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use axum::body::HttpBody as _;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lubu_channels::{Secret, Words};

use super::App;
use super::answer::Refused;

/// How long a body that is refused anyway is read past.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bearer for programs; Basic with the token as password for a browser.
pub async fn token(State(app): State<App>, request: Request, next: Next) -> Response {
    let config = app.service.config();
    let Some(token) = &config.daemon.token else {
        let words = Words::new(
            "没有设置接口令牌，网页和接口不开放。请在 [daemon] 里写 token = { file = \"…\" }。",
            "no token is configured, so this door is closed: set `token` in [daemon].",
        );
        return Refused::new(StatusCode::FORBIDDEN, "no-token", words).into_response();
    };
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    if given
        .and_then(presented)
        .is_some_and(|given| same(&given, token))
    {
        return next.run(request).await;
    }
    let words = Words::new(
        "需要令牌：Authorization: Bearer …；浏览器里用户名任意，密码填令牌。",
        "this needs the token: Authorization: Bearer …; in a browser any user name, the token as password.",
    );
    let mut response =
        Refused::new(StatusCode::UNAUTHORIZED, "unauthorised", words).into_response();
    let challenge = HeaderValue::from_static("Basic realm=\"lubu\", charset=\"UTF-8\"");
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, challenge);
    response
}

fn presented(header: &str) -> Option<String> {
    let (scheme, rest) = header.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    pair.split_once(':')
        .map(|(_, password)| password.to_owned())
}

/// Compares hashes, so that the time taken says nothing about the token.
fn same(given: &str, token: &Secret) -> bool {
    blake3::hash(given.as_bytes()) == blake3::hash(token.reveal().as_bytes())
}

/// Refuses a body that says that it is too large, after reading past it: an answer that is sent
/// while the other side still writes is lost when the connection closes.
pub async fn within(State(most): State<u64>, request: Request, next: Next) -> Response {
    let length = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_none_or(|length| length <= most) {
        return next.run(request).await;
    }
    let mut body = request.into_body();
    let reading = async {
        let mut left = most.saturating_mul(4);
        while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            let read = frame.data_ref().map_or(0, |data| data.len() as u64);
            left = left.saturating_sub(read);
            if left == 0 {
                break;
            }
        }
    };
    // Who sends too slowly, or far too much, is cut off.
    let _cut = tokio::time::timeout(PATIENCE, reading).await;
    Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", too_large(most)).into_response()
}

pub fn too_large(most: u64) -> Words {
    let mib = most / (1024 * 1024);
    Words::new(
        format!("整份稿件太大，上限约 {mib} MB（[intake] total_max_mib）。"),
        format!("the submission is larger than about {mib} MB (`total_max_mib` in [intake])."),
    )
}

/// What the framework refuses by itself, in the shape of all refusals.
pub async fn told(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE);
    let ours = kind.is_some_and(|kind| {
        kind.as_bytes().starts_with(b"application/problem+json")
            || kind.as_bytes().starts_with(b"application/json")
    });
    if ours || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let theirs = axum::body::to_bytes(body, 4096).await.unwrap_or_default();
    let theirs = String::from_utf8_lossy(&theirs);
    let (kind, zh) = match status {
        StatusCode::NOT_FOUND => ("not-found", "没有这个地址。"),
        StatusCode::METHOD_NOT_ALLOWED => ("method-not-allowed", "这个地址不支持这种请求方法。"),
        StatusCode::PAYLOAD_TOO_LARGE => ("too-large", "请求体太大。"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ("unsupported-body", "请求体应为 application/json。"),
        _ => ("wrong-request", "请求有误，请对照接口说明修改参数。"),
    };
    let en = match theirs.trim() {
        "" => status.canonical_reason().unwrap_or("refused").to_owned(),
        said => said.to_owned(),
    };
    let mut refused = Refused::new(status, kind, Words::new(zh, en)).into_response();
    if let Some(allow) = parts.headers.get(header::ALLOW) {
        refused.headers_mut().insert(header::ALLOW, allow.clone());
    }
    refused
}

pub async fn only_socket(_request: Request, _next: Next) -> Response {
    let words = Words::new(
        "签发、撤下、核实、暂停等决定只能在本机用 lubu 命令行执行。",
        "decisions (signing, withdrawing, confirming, pausing) are made with the command line on this machine.",
    );
    Refused::new(StatusCode::FORBIDDEN, "socket-only", words).into_response()
}

/// Pages that load nothing from elsewhere and are framed by nobody.
pub async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fixed {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(
        "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; form-action 'self'",
    ));
    response
}

//! Who may come in by the TCP door.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lubu_channels::{Secret, Words};

use super::App;
use super::answer::Refused;

/// Bearer for programs; Basic with the token as password for a browser.
pub async fn token(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(token) = &app.service.config.daemon.token else {
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

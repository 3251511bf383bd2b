//! Serving the folder, for offices without a web server of their own.
//!
//! Gives out what stands in the folder and nothing else: no listing, no name that begins with a
//! dot, no way up. A withdrawn page says 410, so that search engines forget it.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};

use super::marker::Marker;
use super::{Core, fate};
use crate::contract::Failure;

pub fn router(core: Arc<Core>) -> Router {
    Router::new().fallback(answer).with_state(core)
}

/// What was asked for and whether the asker has it already.
struct Asked {
    file: String,
    head: bool,
    known: Option<String>,
}

pub async fn answer(
    State(core): State<Arc<Core>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response<Body> {
    if method != Method::GET && method != Method::HEAD {
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED);
        let allow = HeaderValue::from_static("GET, HEAD");
        refused.headers_mut().insert(header::ALLOW, allow);
        return refused;
    }
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .map(ToOwned::to_owned);
    let path = core.settings.facts.path.clone();
    let given = uri.path();
    let given = given.strip_prefix(path.as_str()).unwrap_or(given);
    let asked = file(given).map(|file| Asked {
        file,
        head: method == Method::HEAD,
        known,
    });
    let done = core.on_disk(move |core| reply(core, asked.as_ref())).await;
    done.unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR))
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// The file a path names; `None` for paths that nobody has business with.
fn file(path: &str) -> Option<String> {
    let decoded = decoded(path)?;
    let mut file = decoded.trim_start_matches('/').to_owned();
    if file.is_empty() || file.ends_with('/') {
        file.push_str("index.html");
    }
    let good = |part: &str| {
        !(part.is_empty() || part.starts_with('.') || part.contains(['\\', '\0', ':']))
    };
    file.split('/').all(good).then_some(file)
}

fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        let digits = std::str::from_utf8(&digits).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

fn reply(core: &Core, asked: Option<&Asked>) -> Result<Response<Body>, Failure> {
    let Some(asked) = asked else {
        return missing(core);
    };
    let Ok((bytes, changed)) = core.disk.open(&asked.file) else {
        let inside = format!("{}/index.html", asked.file);
        return if core.disk.open(&inside).is_ok() {
            moved(core, &asked.file)
        } else {
            missing(core)
        };
    };
    let age = changed
        .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
        .unwrap_or_default();
    let tag = format!("\"{:x}-{:x}\"", bytes.len(), age.as_nanos());
    let withdrawn = kind(&asked.file).starts_with("text/html") && is_notice(&bytes);
    let status = match (withdrawn, asked.known.as_deref() == Some(&tag)) {
        (true, _) => StatusCode::GONE,
        (false, true) => StatusCode::NOT_MODIFIED,
        (false, false) => StatusCode::OK,
    };
    let modified = chrono::DateTime::from_timestamp(i64::try_from(age.as_secs()).unwrap_or(0), 0);
    let modified = modified.unwrap_or_default();
    let modified = modified.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let response = framed(Response::builder().status(status), &asked.file)
        .header(header::ETAG, tag)
        .header(header::LAST_MODIFIED, modified);
    let response = if status == StatusCode::NOT_MODIFIED {
        response.body(Body::empty())
    } else if asked.head {
        let length = bytes.len();
        response
            .header(header::CONTENT_LENGTH, length)
            .body(Body::empty())
    } else {
        response.body(Body::from(bytes))
    };
    response.map_err(|_| fate::bug("a header cannot be written"))
}

fn is_notice(bytes: &[u8]) -> bool {
    Marker::of(&String::from_utf8_lossy(bytes)).is_some_and(|marker| marker.withdrawn)
}

/// Headers that every file has.
fn framed(response: http::response::Builder, file: &str) -> http::response::Builder {
    let kind = kind(file);
    let keep = if file.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let response = response
        .header(header::CONTENT_TYPE, kind)
        .header(header::CACHE_CONTROL, keep)
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(header::REFERRER_POLICY, "strict-origin-when-cross-origin");
    if !kind.starts_with("text/html") {
        return response;
    }
    response.header(
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; \
         script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    )
}

fn moved(core: &Core, file: &str) -> Result<Response<Body>, Failure> {
    let place = format!("{}/", super::address::path(&core.settings, file));
    Response::builder()
        .status(StatusCode::MOVED_PERMANENTLY)
        .header(header::LOCATION, place)
        .body(Body::empty())
        .map_err(|_| fate::bug("a header cannot be written"))
}

fn missing(core: &Core) -> Result<Response<Body>, Failure> {
    let page = core.frame.missing(&core.settings)?;
    framed(
        Response::builder().status(StatusCode::NOT_FOUND),
        "404.html",
    )
    .body(Body::from(page))
    .map_err(|_| fate::bug("a header cannot be written"))
}

fn kind(file: &str) -> &'static str {
    let (_, extension) = file.rsplit_once('.').unwrap_or_default();
    match extension {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "xml" if file == "feed.xml" => "application/atom+xml; charset=utf-8",
        "xml" => "application/xml; charset=utf-8",
        "txt" => "text/plain; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "svg" => "image/svg+xml",
        "ico" => "image/x-icon",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "pdf" => "application/pdf",
        "ofd" => "application/ofd",
        "doc" | "wps" => "application/msword",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xls" | "et" => "application/vnd.ms-excel",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "ppt" | "dps" => "application/vnd.ms-powerpoint",
        "pptx" => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "zip" => "application/zip",
        "mp3" => "audio/mpeg",
        "mp4" => "video/mp4",
        _ => "application/octet-stream",
    }
}

//! Answers: JSON, or `application/problem+json` that says what the person can do.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use lubu_channels::Words;
use serde::Serialize;

use crate::service::{Problem, Trouble};

#[derive(Debug)]
pub struct Refused(pub Box<Problem>);

pub type Answer = Result<Response, Refused>;

impl From<Trouble> for Refused {
    fn from(trouble: Trouble) -> Self {
        Self(Box::new(trouble.problem()))
    }
}

impl Refused {
    pub fn new(status: StatusCode, kind: &str, words: Words) -> Self {
        Self(Box::new(Problem {
            kind: format!("urn:lubu:problem:{kind}"),
            title: kind.replace('-', " "),
            status: status.as_u16(),
            detail: words.zh,
            detail_en: words.en,
            problems: Vec::new(),
            findings: Vec::new(),
        }))
    }

    pub fn wrong(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "wrong-request", Words::new(zh, en))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.0)).into_response();
        let kind = header::HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the shape every handler answers in"
)]
pub fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    Ok((status, Json(value)).into_response())
}

pub fn ok(value: &impl Serialize) -> Answer {
    json(StatusCode::OK, value)
}

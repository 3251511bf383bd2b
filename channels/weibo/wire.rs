//! Calls to the platform: forms in, an object or an error body out.
//!
//! The token is a field of the form; only reads, which are `GET`, carry it in the query, because
//! the platform takes it nowhere else there.

use http::Method;
use serde_json::Value;

use super::fate::{self, Told};
use super::settings::Settings;
use crate::contract::{Call, DraftMedia, Effect, Failure, Part, Reply, Request, Words};
use crate::kit::{exchange, json, redact, text};

pub struct Api<'a> {
    pub settings: &'a Settings,
    pub call: &'a Call<'a>,
    /// The effect of the step that the call belongs to; `Read` in looks.
    pub effect: Effect,
    pub withdraws: bool,
}

impl std::fmt::Debug for Api<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Api({:?})", self.effect)
    }
}

/// An answer: 0 for success, or the platform's code with its words.
pub struct Answer {
    pub code: i64,
    pub body: Value,
    said: String,
}

pub fn platform() -> Words {
    Words::new("微博", "Weibo")
}

impl Api<'_> {
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Failure> {
        let url = format!("{}{path}?{}", self.settings.api, self.form(query));
        let answer = self.exchange(Request::new(Method::GET, url)).await?;
        if answer.code == 0 {
            Ok(answer.body)
        } else {
            Err(self.refused(&answer))
        }
    }

    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Result<Value, Failure> {
        let answer = self.post_any(path, fields, None).await?;
        if answer.code == 0 {
            Ok(answer.body)
        } else {
            Err(self.refused(&answer))
        }
    }

    /// A form, or with a picture a multipart form; whatever the code.
    pub async fn post_any(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        picture: Option<&DraftMedia>,
    ) -> Result<Answer, Failure> {
        let request = Request::new(Method::POST, format!("{}{path}", self.settings.api));
        let request = match picture {
            None => request.body("application/x-www-form-urlencoded", self.form(fields)),
            Some(picture) => request.parts(self.parts(fields, picture)),
        };
        self.exchange(request).await
    }

    fn form(&self, fields: &[(&str, &str)]) -> String {
        url::form_urlencoded::Serializer::new(String::new())
            .append_pair("access_token", self.settings.access_token.reveal())
            .extend_pairs(fields)
            .finish()
    }

    fn parts(&self, fields: &[(&str, &str)], picture: &DraftMedia) -> Vec<Part> {
        let field = |name: &str, value: &str| Part {
            name: name.to_owned(),
            file: None,
            mime: None,
            bytes: value.as_bytes().to_vec(),
        };
        let mut parts = vec![field("access_token", self.settings.access_token.reveal())];
        parts.extend(fields.iter().map(|(name, value)| field(name, value)));
        parts.push(Part {
            name: "pic".to_owned(),
            file: Some(picture.name.clone()),
            mime: Some(picture.mime.clone()),
            bytes: picture.bytes.clone(),
        });
        parts
    }

    async fn exchange(&self, request: Request) -> Result<Answer, Failure> {
        let reply = exchange::send(&platform(), self.effect, self.call, request).await?;
        let why = "no object, no error code";
        self.answer(&reply)
            .ok_or_else(|| exchange::unreadable(&platform(), self.effect, &reply, why))
    }

    /// Codes count under success and refusal alike; an object without one only under 2xx.
    fn answer(&self, reply: &Reply) -> Option<Answer> {
        let body = json::parse(&reply.body).filter(Value::is_object)?;
        let code = code(&body);
        if code.is_none() && !reply.is_success() {
            return None;
        }
        let said = ["error", "msg"].map(|key| json::text(&body, key)).join(" ");
        let said = redact::redacted(said.trim(), &[&self.settings.access_token]);
        Some(Answer {
            code: code.unwrap_or(0),
            body,
            said: text::quoted(&said),
        })
    }

    /// The failure that an answer with a code stands for.
    pub fn refused(&self, answer: &Answer) -> Failure {
        let told = Told {
            effect: self.effect,
            now: self.call.now(),
            repeat: self.call.repeat,
            withdraws: self.withdraws,
            said: &answer.said,
        };
        fate::failure(answer.code, &told)
    }

    /// A success without the field that makes it one.
    pub fn incomplete(&self, field: &str) -> Failure {
        let reply = Reply {
            status: 200,
            headers: http::HeaderMap::new(),
            body: Vec::new(),
        };
        exchange::unreadable(&platform(), self.effect, &reply, &format!("no `{field}`"))
    }
}

/// `error_code`, or the number an old error text begins with, or the article call's own `code`.
fn code(body: &Value) -> Option<i64> {
    const ARTICLE_OK: i64 = 100_000;
    let old = || {
        json::text(body, "error")
            .split(':')
            .next()?
            .trim()
            .parse()
            .ok()
    };
    let named = json::number(body, "error_code").or_else(old);
    named.or_else(|| json::number(body, "code").filter(|code| *code != ARTICLE_OK && *code != 0))
}

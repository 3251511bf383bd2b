//! Calls to the platform: token, envelope, codes.
//!
//! The token travels in the query, so an address is never printed. A refused token is replaced and
//! the call made once more: the platform looks at the token before it looks at anything else, so a
//! refusal for its sake proves that nothing happened. Fetching a token is a `Read` whatever the
//! step is: trouble there proves that the step itself never left.

use std::sync::Mutex;

use chrono::TimeDelta;
use http::Method;
use serde_json::{Value, json};

use super::fate::{self, Told};
use super::settings::Settings;
use crate::contract::{
    Call, Effect, Failure, Fate, Kind, Part, Reach, Reply, Request, Secret, Timestamp, Words,
};
use crate::kit::token::{Held, TokenCache};
use crate::kit::{exchange, json, redact, text};
use crate::planted::{Bug, bug};

/// What the account keeps in memory.
#[derive(Debug, Default)]
pub struct Session {
    tokens: TokenCache,
    /// When a token was last forced, which is allowed twenty times a day.
    forced: Mutex<Option<Timestamp>>,
}

/// At most this often, to stay far below twenty a day.
const FORCE_EVERY: TimeDelta = TimeDelta::hours(2);

/// Kept back from a token's life, so that none dies under way.
const MARGIN: i64 = 120;

/// A draft of eight articles of 1 MB each, read back.
const LARGEST_REPLY: usize = 16 << 20;

pub struct Api<'a> {
    pub settings: &'a Settings,
    pub session: &'a Session,
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

/// What a call carries.
#[derive(Clone)]
pub enum Load {
    Nothing,
    Json(Value),
    File(Part),
}

/// An answer in the platform's envelope; `code` 0 is success.
pub struct Answer {
    pub code: i64,
    pub body: Value,
    message: String,
}

pub fn platform() -> Words {
    Words::new("微信", "WeChat")
}

impl Api<'_> {
    pub async fn post(&self, path: &str, body: Value) -> Result<Value, Failure> {
        self.success(path, Load::Json(body)).await
    }

    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.success(path, Load::Nothing).await
    }

    pub async fn upload(&self, path: &str, part: Part) -> Result<Value, Failure> {
        self.success(path, Load::File(part)).await
    }

    async fn success(&self, path: &str, load: Load) -> Result<Value, Failure> {
        let answer = self.exchange(path, load).await?;
        if answer.code == 0 {
            return Ok(answer.body);
        }
        Err(self.refused(&answer))
    }

    /// The failure that an answer with a code stands for.
    pub fn refused(&self, answer: &Answer) -> Failure {
        let told = Told {
            effect: self.effect,
            now: self.call.now(),
            repeat: self.call.repeat,
            withdraws: self.withdraws,
            said: fate::said(&answer.message),
        };
        fate::failure(answer.code, &told).request_id(fate::rid(&answer.message))
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

    /// One call, whatever its code. `path` may have a query of its own.
    pub async fn exchange(&self, path: &str, load: Load) -> Result<Answer, Failure> {
        let mut token = self.token(None).await?;
        for last in [false, false, true] {
            let answer = self.once(path, load.clone(), &token).await?;
            if fate::means(answer.code) != fate::Means::Stale || last {
                return Ok(answer);
            }
            let fresh = self.token(Some(&token)).await?;
            if fresh == token && !self.may_force() {
                return Ok(answer);
            }
            token = if fresh == token {
                self.forced().await?
            } else {
                fresh
            };
        }
        Err(self.incomplete("answer"))
    }

    async fn once(&self, path: &str, load: Load, token: &Secret) -> Result<Answer, Failure> {
        let joint = if path.contains('?') { '&' } else { '?' };
        let encoded: String =
            url::form_urlencoded::byte_serialize(token.reveal().as_bytes()).collect();
        let url = format!("{}{path}{joint}access_token={encoded}", self.settings.api);
        let request = match load {
            Load::Nothing => Request::new(Method::GET, url),
            Load::Json(body) => Request::new(Method::POST, url)
                .body("application/json; charset=utf-8", body.to_string()),
            Load::File(part) => Request::new(Method::POST, url).parts(vec![part]),
        };
        let reply = self.send(request, self.effect).await?;
        envelope(&reply, &[token, &self.settings.app_secret])
            .map_err(|why| exchange::unreadable(&platform(), self.effect, &reply, why))
    }

    async fn send(&self, mut request: Request, effect: Effect) -> Result<Reply, Failure> {
        request.cap = LARGEST_REPLY;
        let reply = exchange::send(&platform(), effect, self.call, request).await?;
        if reply.status == 412 {
            let words = Words::new("微信不收没有长度的请求。", "WeChat wants a length.");
            return Err(Failure::new(Kind::Request, Fate::Never, words).code("412"));
        }
        Ok(reply)
    }

    async fn token(&self, refused: Option<&Secret>) -> Result<Secret, Failure> {
        let now = self.call.now();
        self.session
            .tokens
            .get(now, refused, async || self.fetch(false).await)
            .await
    }

    /// A token that replaces the account's present one, everywhere.
    async fn forced(&self) -> Result<Secret, Failure> {
        let now = self.call.now();
        let held = self.fetch(true).await?;
        let token = held.token.clone();
        // Whatever the cache holds is dead now.
        self.session.tokens.replace(held).await;
        if let Ok(mut forced) = self.session.forced.lock() {
            *forced = Some(now);
        }
        Ok(token)
    }

    fn may_force(&self) -> bool {
        let last = self.session.forced.lock().map_or(None, |forced| *forced);
        last.is_none_or(|last| self.call.now() - last >= FORCE_EVERY)
    }

    async fn fetch(&self, force: bool) -> Result<Held, Failure> {
        let body = json!({
            "grant_type": "client_credential",
            "appid": self.settings.app_id,
            "secret": self.settings.app_secret.reveal(),
            "force_refresh": force,
        });
        let url = format!("{}/cgi-bin/stable_token", self.settings.api);
        let request = Request::new(Method::POST, url)
            .body("application/json; charset=utf-8", body.to_string());
        let reply = self.send(request, Effect::Read).await?;
        let answer = envelope(&reply, &[&self.settings.app_secret])
            .map_err(|why| exchange::unreadable(&platform(), Effect::Read, &reply, why))?;
        if answer.code != 0 {
            return Err(self.token_refused(&answer));
        }
        let token = json::id(&answer.body, "access_token");
        let life = json::number(&answer.body, "expires_in");
        let (Some(token), Some(life)) = (token, life) else {
            return Err(exchange::unreadable(
                &platform(),
                Effect::Read,
                &reply,
                "no token",
            ));
        };
        let until = self.call.now() + TimeDelta::seconds((life.min(86_400) - MARGIN).max(0));
        Ok(Held {
            token: Secret::new(token),
            until,
        })
    }

    /// Here 40001 says that the secret is wrong, not that a token is stale.
    fn token_refused(&self, answer: &Answer) -> Failure {
        let reader = Api {
            effect: Effect::Read,
            withdraws: false,
            ..*self
        };
        let mut failure = reader.refused(answer);
        if fate::means(answer.code) == fate::Means::Stale {
            failure.kind = Kind::Account;
            failure.fate = Fate::Blocked(Reach::Account);
            failure.public = Words::new(
                format!("app_secret 不对，请检查配置（代码 {}）。", answer.code),
                format!(
                    "app_secret is wrong; check the settings (code {}).",
                    answer.code
                ),
            );
        }
        failure
    }
}

/// The answer in a reply, or why there is none.
fn envelope(reply: &Reply, secrets: &[&Secret]) -> Result<Answer, &'static str> {
    let body = json::parse(&reply.body).ok_or("not JSON")?;
    if !body.is_object() || !reply.is_success() {
        return Err("no envelope");
    }
    let code = match body.get("errcode") {
        None | Some(Value::Null) => 0,
        Some(_) if bug(Bug::B5) => 0,
        Some(_) => json::number(&body, "errcode").ok_or("odd errcode")?,
    };
    let message = redact::redacted(json::text(&body, "errmsg"), secrets);
    Ok(Answer {
        code,
        body,
        message: text::quoted(&message),
    })
}

/// Whether a failure says that the object is not there.
pub fn is_gone(failure: &Failure) -> bool {
    failure.kind == Kind::Gone
}

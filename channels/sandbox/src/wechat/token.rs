//! Access tokens: two spaces that do not know of each other.
//!
//! `token` issues a new one each time and lets the old one live five minutes more.
//! `stable_token` keeps answering with the same token until five minutes before its
//! end; a forced refresh kills it at once, at most twenty times a day and not within
//! thirty seconds. Units: instants and lives in milliseconds.

use serde_json::{Value, json};

use super::quota::Quota;
use super::{Outcome, Refusal, json as body_json, refuse};
use crate::clock::day;
use crate::wire::Call;
use crate::world::Scene;

const OVERLAP_MS: i64 = 300_000;
const FORCE_PAUSE_MS: i64 = 30_000;
const FORCED_PER_DAY: u32 = 20;
const STABLE_PER_MINUTE: u32 = 10_000;

#[derive(Clone, Debug)]
struct Token {
    text: String,
    /// Refused with 42001 from here on.
    ends: i64,
    /// Killed by a refresh or overtaken: refused with 40001 from here on.
    killed: Option<i64>,
}

#[derive(Debug, Default)]
pub(super) struct Tokens {
    issued: Vec<Token>,
    stable: Option<Token>,
    legacy: Option<String>,
    forced_at: Option<i64>,
    forced: (i64, u32),
}

fn granted(token: &Token, now: i64) -> Value {
    json!({"access_token": token.text, "expires_in": (token.ends - now) / 1000})
}

impl Tokens {
    fn issue(&mut self, scene: &mut Scene<'_>) -> Token {
        let text = format!("sb_{}", scene.ids.text(120));
        let ends = scene.now + scene.settings.wechat.token_seconds * 1000;
        let token = Token {
            text,
            ends,
            killed: None,
        };
        self.issued.retain(|old| old.ends + 86_400_000 > scene.now);
        self.issued.push(token.clone());
        token
    }

    fn kill(&mut self, text: &str, at: i64) {
        for token in self.issued.iter_mut().filter(|token| token.text == text) {
            token.killed = Some(at);
        }
    }

    pub fn legacy(&mut self, scene: &mut Scene<'_>, call: &Call, quota: &mut Quota) -> Outcome {
        let get = |key: &str| call.param(key);
        credentials(scene, get("grant_type"), get("appid"), get("secret"))?;
        quota.spend(scene, "token")?;
        let token = self.issue(scene);
        if let Some(old) = self.legacy.replace(token.text.clone()) {
            self.kill(&old, scene.now + OVERLAP_MS);
        }
        Ok(granted(&token, scene.now))
    }

    pub fn stable(&mut self, scene: &mut Scene<'_>, call: &Call, quota: &mut Quota) -> Outcome {
        let body = body_json::read(&call.body)?;
        let get = |key: &str| body.get(key).and_then(Value::as_str);
        credentials(scene, get("grant_type"), get("appid"), get("secret"))?;
        quota.spend(scene, "stable_token")?;
        quota.per_minute(scene.now, "stable_token", STABLE_PER_MINUTE)?;
        let force = match body.get("force_refresh") {
            None | Some(Value::Bool(false)) => false,
            Some(Value::Bool(true)) => true,
            Some(_) => return refuse(47001, "data format error"),
        };
        if force && self.may_force(scene.now)? {
            self.forced_at = Some(scene.now);
            self.forced.1 += 1;
            if let Some(old) = self.stable.take() {
                self.kill(&old.text, scene.now);
            }
        }
        let current = self
            .stable
            .clone()
            .filter(|t| t.ends - scene.now > OVERLAP_MS);
        let token = match current {
            Some(token) => token,
            None => self.issue(scene),
        };
        self.stable = Some(token.clone());
        Ok(granted(&token, scene.now))
    }

    /// Within half a minute a forced refresh is quietly not one.
    fn may_force(&mut self, now: i64) -> Result<bool, Refusal> {
        if self.forced_at.is_some_and(|at| now - at < FORCE_PAUSE_MS) {
            return Ok(false);
        }
        if self.forced.0 != day(now) {
            self.forced = (day(now), 0);
        }
        if self.forced.1 >= FORCED_PER_DAY {
            return refuse(45009, "reach max api daily quota limit");
        }
        Ok(true)
    }

    pub fn check(&self, scene: &Scene<'_>, call: &Call) -> Result<(), Refusal> {
        let given = call.param("access_token").unwrap_or_default();
        if given.is_empty() {
            return refuse(41001, "access_token missing");
        }
        let Some(token) = self.issued.iter().find(|token| token.text == given) else {
            return refuse(
                40001,
                "invalid credential, access_token is invalid or not latest",
            );
        };
        if token.killed.is_some_and(|at| at <= scene.now) {
            return refuse(
                40001,
                "invalid credential, access_token is invalid or not latest",
            );
        }
        if token.ends <= scene.now {
            return refuse(42001, "access_token expired");
        }
        Ok(())
    }
}

fn credentials(
    scene: &Scene<'_>,
    grant: Option<&str>,
    app_id: Option<&str>,
    secret: Option<&str>,
) -> Result<(), Refusal> {
    if grant != Some("client_credential") {
        return refuse(40002, "invalid grant_type");
    }
    match app_id {
        None | Some("") => return refuse(41002, "appid missing"),
        Some(given) if given != scene.options.wechat_app_id => {
            return refuse(40013, "invalid appid");
        }
        Some(_) => {}
    }
    match secret {
        None | Some("") => refuse(41004, "appsecret missing"),
        Some(given) if given != scene.options.wechat_secret => refuse(
            40125,
            "invalid appsecret, view more at https://developers.weixin.qq.com",
        ),
        Some(_) => Ok(()),
    }
}

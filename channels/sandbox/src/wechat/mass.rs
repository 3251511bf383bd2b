//! Mass send ("群发"), with its own kind of idempotency.
//!
//! `clientmsgid` is remembered for a day: a repeat within a minute is 45066, later it is
//! 45065 with the first `msg_id`. Without one the platform makes it from target and
//! content. The day's allowance is spent by accepted sends only (45028).

use serde_json::{Value, json};

use super::{Account, Article, Outcome, Refusal, media_id, publish, refuse};
use crate::clock::day;
use crate::ledger::Sight;
use crate::wire::Call;
use crate::world::Scene;

const WINDOW_MS: i64 = 86_400_000;
const PAUSE_MS: i64 = 60_000;
const CALLS_PER_MINUTE: u32 = 60;
const CLIENT_ID_MAX_BYTES: usize = 32;

#[derive(Clone, Debug)]
pub(crate) struct Sent {
    msg_id: u64,
    client_id: String,
    at: i64,
    media_id: String,
    articles: Vec<Article>,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Sending,
    Success { article_id: String },
    Deleted,
}

impl Account {
    pub(super) fn settle_sends(&mut self, scene: &mut Scene<'_>) {
        let wait = scene.settings.wechat.mass_seconds * 1000;
        let mut sends = std::mem::take(&mut self.sends);
        for sent in &mut sends {
            if sent.state == State::Sending && sent.at + wait <= scene.now {
                let at = sent.at + wait;
                let article_id = self.show(scene, at, &sent.media_id, &sent.articles, true);
                sent.state = State::Success { article_id };
            }
        }
        self.sends = sends;
    }

    pub(super) fn mass(
        &mut self,
        scene: &mut Scene<'_>,
        call: &Call,
        path: &str,
        body: &Value,
    ) -> Outcome {
        if !scene.settings.wechat.mass {
            return refuse(48001, "api unauthorized");
        }
        self.quota
            .per_minute(scene.now, "message/mass", CALLS_PER_MINUTE)?;
        match path {
            "message/mass/sendall" => self.send_all(scene, call, body),
            "message/mass/preview" => self.preview(scene, body),
            "message/mass/get" => self.sent(body),
            _ => self.recall(scene, body),
        }
    }

    fn mpnews(&self, body: &Value) -> Result<(String, Vec<Article>), Refusal> {
        if body.get("msgtype").and_then(Value::as_str) != Some("mpnews") {
            return refuse(45162, "invalid msgtype");
        }
        let id = media_id(body.get("mpnews").unwrap_or(&Value::Null))?;
        match self.drafts.iter().find(|draft| draft.media_id == id) {
            Some(draft) => Ok((id.to_owned(), draft.articles.clone())),
            None => refuse(40007, "invalid media_id"),
        }
    }

    fn send_all(&mut self, scene: &mut Scene<'_>, call: &Call, body: &Value) -> Outcome {
        let target = target(body)?;
        let client_id = match body
            .get("clientmsgid")
            .map(|id| id.as_str().unwrap_or_default())
        {
            Some(id) if id.len() > CLIENT_ID_MAX_BYTES => {
                return refuse(45067, "clientmsgid size out of limit");
            }
            Some(id) if !id.is_empty() => id.to_owned(),
            _ => derived(&target, body),
        };
        if let Some(sent) = self.repeated(scene.now, &client_id).filter(|_| !call.twin) {
            if scene.now - sent.at < PAUSE_MS {
                return refuse(45066, "same clientmsgid retry too fast");
            }
            return Ok(exists(sent.msg_id));
        }
        let (media_id, articles) = self.mpnews(body)?;
        let today = self
            .sends
            .iter()
            .filter(|sent| day(sent.at) == day(scene.now))
            .count();
        if today >= usize::try_from(scene.settings.wechat.mass_per_day).unwrap_or(0) && !call.twin {
            return refuse(45028, "has no masssend quota");
        }
        let msg_id = 1_000_000_000 + scene.ids.number();
        for article in &articles {
            scene.note(
                "send queued",
                &msg_id.to_string(),
                &article.marker(),
                Sight::Unchanged,
            );
        }
        let state = State::Sending;
        self.sends.push(Sent {
            msg_id,
            client_id,
            at: scene.now,
            media_id,
            articles,
            state,
        });
        if scene.settings.wechat.mass_first_45065 {
            return Ok(exists(msg_id));
        }
        let words = "send job submission success";
        let data_id = msg_id + 100_000_000;
        Ok(json!({"errcode": 0, "errmsg": words, "msg_id": msg_id, "msg_data_id": data_id}))
    }

    fn repeated(&self, now: i64, client_id: &str) -> Option<&Sent> {
        let known = |sent: &&Sent| sent.client_id == client_id && now - sent.at < WINDOW_MS;
        self.sends.iter().rev().find(known)
    }

    fn preview(&mut self, scene: &mut Scene<'_>, body: &Value) -> Outcome {
        let to = |key: &str| {
            body.get(key)
                .and_then(Value::as_str)
                .filter(|to| !to.is_empty())
        };
        if to("towxname").or(to("touser")).is_none() {
            return refuse(40003, "invalid openid");
        }
        self.mpnews(body)?;
        let msg_id = 1_000_000_000 + scene.ids.number();
        Ok(json!({"errcode": 0, "errmsg": "preview success", "msg_id": msg_id}))
    }

    fn find(&self, body: &Value) -> Option<usize> {
        let id = match body.get("msg_id") {
            Some(Value::String(text)) => text.parse().ok(),
            Some(number) => number.as_u64(),
            None => None,
        };
        self.sends.iter().position(|sent| Some(sent.msg_id) == id)
    }

    fn sent(&self, body: &Value) -> Outcome {
        let Some(sent) = self.find(body).and_then(|at| self.sends.get(at)) else {
            return refuse(40059, "invalid msg id");
        };
        let status = match sent.state {
            State::Sending => "SENDING",
            State::Success { .. } => "SEND_SUCCESS",
            State::Deleted => "DELETE",
        };
        Ok(json!({"msg_id": sent.msg_id, "msg_status": status}))
    }

    /// By `msg_id`, or by the address of one article.
    fn recall(&mut self, scene: &mut Scene<'_>, body: &Value) -> Outcome {
        let url = body.get("url").and_then(Value::as_str);
        let found = self.find(body).or_else(|| {
            let url = url?;
            self.sends.iter().position(|sent| match &sent.state {
                State::Success { article_id } => url.contains(article_id.as_str()),
                State::Sending | State::Deleted => false,
            })
        });
        let Some(sent) = found.and_then(|at| self.sends.get_mut(at)) else {
            return refuse(40059, "invalid msg id");
        };
        let State::Success { article_id } = sent.state.clone() else {
            return refuse(40059, "invalid msg id: not sent or deleted");
        };
        let index = body.get("article_idx").map_or(Some(0), Value::as_u64);
        let index = index.and_then(|index| usize::try_from(index).ok());
        let Some(index) = index.filter(|index| *index <= sent.articles.len()) else {
            return refuse(40114, "invalid index value");
        };
        if let Some(message) = self
            .messages
            .iter_mut()
            .find(|m| m.article_id == article_id)
        {
            publish::take_down(scene, message, index);
            if message.articles.iter().all(|shown| shown.deleted) {
                sent.state = State::Deleted;
            }
        }
        Ok(json!({"errcode": 0, "errmsg": "ok"}))
    }
}

fn target(body: &Value) -> Result<String, Refusal> {
    let filter = body.get("filter").unwrap_or(&Value::Null);
    let tag = filter
        .get("tag_id")
        .filter(|tag| tag.is_u64() || tag.is_string());
    match (filter.get("is_to_all").and_then(Value::as_bool), tag) {
        (Some(true), _) => Ok("all".to_owned()),
        (_, Some(tag)) => Ok(tag.to_string()),
        (_, None) => refuse(40152, "invalid tag id"),
    }
}

/// A refusal that carries the first send's id beside its code.
fn exists(msg_id: u64) -> Value {
    let words = format!("clientmsgid exist rid: {msg_id:08x}-00000000-{msg_id:08x}");
    json!({"errcode": 45065, "errmsg": words, "msg_id": msg_id})
}

/// What the platform makes up when the caller names no id.
fn derived(target: &str, body: &Value) -> String {
    let news = body.get("mpnews").unwrap_or(&Value::Null);
    let hash = blake3::hash(format!("{target} {news}").as_bytes()).to_hex();
    hash.get(..CLIENT_ID_MAX_BYTES)
        .unwrap_or_default()
        .to_owned()
}

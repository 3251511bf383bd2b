//! Weibo in memory, as `weibo_cms.md` tells it: five newest rows, shortened links, codes in bodies.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use chrono::{DateTime, FixedOffset};
use serde_json::{Value, json};

use crate::conformance::{Album, Literal, Rig, reply, sample, stretched};
use crate::contract::{
    Body, Channel, Document, Entry, Limit, Media, Problem, Reply, Request, Timestamp,
};

pub const TOKEN: &str = "2.00weibo_secret_token";
pub const UID: &str = "1234567890";

#[derive(Clone)]
pub struct Post {
    pub id: u64,
    pub text: String,
    pub at: Timestamp,
    pub ours: bool,
}

#[derive(Default)]
pub struct State {
    /// Newest first.
    pub posts: Vec<Post>,
    /// Deleted by a call.
    pub deleted: Vec<Post>,
    /// Answers to give instead of doing anything, by the end of the path, one each.
    pub instead: Vec<(&'static str, u16, Value)>,
    /// Answers to give after doing it.
    pub after: Vec<(&'static str, Value)>,
    /// Fields of forms, as they came.
    pub heard: Vec<(String, BTreeMap<String, String>)>,
}

pub struct Platform {
    mode: &'static str,
    pub state: Mutex<State>,
    album: Album,
}

impl Platform {
    /// With one older post, so that a list has something to reach back to.
    pub fn in_mode(mode: &'static str) -> Self {
        let platform = Self {
            mode,
            state: Mutex::default(),
            album: sample::picture().1,
        };
        let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        platform.state().post("旧消息 http://t.cn/A1", at, false);
        platform
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    pub fn post(&mut self, text: &str, at: Timestamp, ours: bool) -> u64 {
        let id = self
            .posts
            .first()
            .map_or(5_012_345_678_901_234, |post| post.id + 1_000_017);
        self.posts.insert(
            0,
            Post {
                id,
                text: text.to_owned(),
                at,
                ours,
            },
        );
        id
    }
}

fn fields(request: &Request) -> BTreeMap<String, String> {
    let query = request.url.split_once('?').map_or("", |(_, query)| query);
    let mut fields = pairs(query.as_bytes());
    match &request.body {
        Body::Empty => {}
        Body::Bytes { bytes, .. } => fields.extend(pairs(bytes)),
        Body::Multipart(parts) => fields.extend(parts.iter().map(|part| {
            let text = String::from_utf8_lossy(&part.bytes).into_owned();
            (part.name.clone(), part.file.clone().unwrap_or(text))
        })),
    }
    fields
}

fn pairs(form: &[u8]) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(form).into_owned().collect()
}

fn error(code: i64, text: &str) -> (u16, Value) {
    (
        400,
        json!({ "request": "/2/x.json", "error_code": code, "error": text }),
    )
}

fn shown(post: &Post) -> Value {
    let text: String = crate::kit::text::split_urls(&post.text)
        .into_iter()
        .map(|(piece, url)| if url { "http://t.cn/A6xYz" } else { piece })
        .collect();
    let zone = FixedOffset::east_opt(8 * 3600).unwrap();
    let at = post
        .at
        .with_timezone(&zone)
        .format("%a %b %d %H:%M:%S %z %Y")
        .to_string();
    json!({
        "id": post.id, "idstr": post.id.to_string(), "mid": post.id.to_string(),
        "created_at": at, "text": format!("{text}\u{200b}"), "visible": { "type": 0, "list_id": 0 },
    })
}

impl Rig for Platform {
    fn build(&self, more: toml::Table) -> Result<Arc<dyn Channel>, Vec<Problem>> {
        let mut settings: toml::Table = format!(
            "access_token = '{TOKEN}'\nuid = '{UID}'\nsafe_domain = 'fgw.example.gov.cn'\n\
             rip = '203.0.113.7'\nmode = '{}'\n",
            self.mode
        )
        .parse()
        .unwrap();
        if self.mode == "article" {
            let cover = "https://fgw.example.gov.cn/cover.jpg";
            settings.insert("cover_url".into(), toml::Value::from(cover));
        }
        settings.extend(more);
        crate::weibo::build(&Entry {
            name: "weibo",
            settings,
            base: PathBuf::from("."),
            timezone: chrono_tz::Asia::Shanghai,
            publisher: "南阳市发展和改革委员会",
            secrets: &Literal,
            keys: None,
        })
    }

    fn document(&self, revision: u32) -> Document {
        let mut document = sample::document(revision);
        if revision > 1 {
            document.title.push_str("（更正）");
        }
        document
    }

    fn media(&self) -> &dyn Media {
        &self.album
    }

    fn beyond(&self, limit: &Limit) -> Document {
        stretched(sample::document(1), limit)
    }

    fn answer(&self, request: &Request, now: Timestamp) -> Reply {
        let path = request
            .place()
            .strip_prefix("https://api.weibo.com")
            .unwrap_or("?")
            .to_owned();
        let fields = fields(request);
        let mut state = self.state();
        state.heard.push((path.clone(), fields.clone()));
        if let Some(at) = state
            .instead
            .iter()
            .position(|(end, ..)| path.ends_with(end))
        {
            let (_, status, body) = state.instead.remove(at);
            return reply(status, body.to_string());
        }
        let (status, body) = if fields.get("access_token").map(String::as_str) == Some(TOKEN) {
            business(&mut state, &path, &fields, now)
        } else {
            error(21_332, "invalid_access_token")
        };
        if let Some(at) = state.after.iter().position(|(end, _)| path.ends_with(end)) {
            return reply(400, state.after.remove(at).1.to_string());
        }
        reply(status, body.to_string())
    }

    fn changes(&self, request: &Request) -> bool {
        ["/share.json", "/destroy.json", "/publish.json"]
            .iter()
            .any(|path| request.place().ends_with(path))
    }

    fn copies(&self) -> usize {
        self.state().posts.iter().filter(|post| post.ours).count()
    }

    fn settle(&self) {}

    fn person(&self, _now: Timestamp) {}

    fn remove(&self) {
        self.state().posts.retain(|post| !post.ours);
    }

    fn comes_back(&self) {
        let mut state = self.state();
        let back = std::mem::take(&mut state.deleted);
        state.posts.splice(0..0, back);
    }

    fn crowd(&self, now: Timestamp) {
        for count in 0..5 {
            self.state()
                .post(&format!("别的消息 {count} http://t.cn/A2"), now, false);
        }
    }

    fn secrets(&self) -> Vec<String> {
        vec![TOKEN.into()]
    }

    fn refusal(&self, said: &str) -> Option<Reply> {
        let body = json!({ "error_code": 20_021, "error": format!("illegal content {said}") });
        Some(reply(200, body.to_string()))
    }
}

fn business(
    state: &mut State,
    path: &str,
    fields: &BTreeMap<String, String>,
    now: Timestamp,
) -> (u16, Value) {
    let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let by_id = |post: &Post| post.id.to_string() == field("id");
    match path {
        "/oauth2/get_token_info" => (
            200,
            json!({ "uid": UID, "appkey": "1", "expire_in": "864000" }),
        ),
        "/2/statuses/share.json" => {
            if !field("status").contains("https://fgw.example.gov.cn/") {
                return error(10_017, "text not find domain!");
            }
            if state
                .posts
                .first()
                .is_some_and(|post| post.text == field("status"))
            {
                return error(20_019, "repeat content!");
            }
            state.post(&field("status"), now, true);
            (200, shown(&state.posts[0]))
        }
        "/proxy/article/publish.json" => {
            let id = state.post(&format!("{} http://t.cn/A3", field("text")), now, true);
            let data = json!({ "object_id": "1022:230940", "url": "", "mid": id });
            (200, json!({ "code": "100000", "msg": "", "data": data }))
        }
        "/2/statuses/user_timeline.json" => {
            let rows: Vec<Value> = state.posts.iter().take(5).map(shown).collect();
            (
                200,
                json!({ "statuses": rows, "total_number": state.posts.len() }),
            )
        }
        "/2/statuses/show.json" => match state.posts.iter().find(|post| by_id(post)) {
            Some(post) => (200, shown(post)),
            None => error(20_101, "target weibo does not exist!"),
        },
        "/2/statuses/destroy.json" => match state.posts.iter().position(by_id) {
            Some(at) => {
                let post = state.posts.remove(at);
                let answer = (200, shown(&post));
                state.deleted.push(post);
                answer
            }
            None => error(20_101, "target weibo does not exist!"),
        },
        _ => error(10_020, "request api not found"),
    }
}

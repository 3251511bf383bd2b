//! WeChat in memory, as `wechat.md` tells it: errors under 200, successes without `errcode`, ids
//! that are numbers, drafts that leave the box when they are published.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

use crate::conformance::{Album, Literal, Rig, reply, sample, stretched};
use crate::contract::{
    Body, Channel, Document, Entry, Limit, Media, Problem, Reply, Request, Timestamp,
};

pub const APP_SECRET: &str = "wx-app-secret-0123456789";

#[derive(Default)]
pub struct State {
    pub serial: u64,
    /// The token that is good now; tests may change it.
    pub token: String,
    /// Tokens issued.
    pub issued: u32,
    /// (media id, file name, time)
    pub materials: Vec<(String, String, i64)>,
    /// (media id, articles, time)
    pub drafts: Vec<(String, Vec<Value>, i64)>,
    /// (publish id, articles, status)
    pub jobs: Vec<(u64, Vec<Value>, i64)>,
    /// (article id, articles, deleted, time)
    pub articles: Vec<(String, Vec<Value>, bool, i64)>,
    /// (msg id, key, status)
    pub masses: Vec<(u64, String, String)>,
    /// Answers to give instead, by path, one each.
    pub instead: Vec<(&'static str, Value)>,
    /// Bodies of JSON requests, as they came.
    pub heard: Vec<(String, String)>,
}

pub struct Platform {
    mode: &'static str,
    pub state: Mutex<State>,
    album: Album,
}

impl Platform {
    pub fn in_mode(mode: &'static str) -> Self {
        let state = State {
            token: "token-very-secret-1".into(),
            ..State::default()
        };
        Self {
            mode,
            state: Mutex::new(state),
            album: sample::picture().1,
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn id(&mut self) -> u64 {
        self.serial += 1;
        2_247_483_000 + self.serial
    }

    fn publish(&mut self, articles: Vec<Value>, at: i64) -> String {
        let id = format!("article-{}", self.id());
        self.articles.insert(0, (id.clone(), articles, false, at));
        id
    }

    fn take_draft(&mut self, id: &str) -> Option<Vec<Value>> {
        let at = self.drafts.iter().position(|draft| draft.0 == id)?;
        Some(self.drafts.remove(at).1)
    }
}

fn code(code: i64, message: &str) -> Value {
    json!({ "errcode": code, "errmsg": format!("{message} rid: 6a-1f-33") })
}

fn gone() -> Value {
    code(40_007, "invalid media_id")
}

fn without_content(articles: &[Value]) -> Value {
    let bare = articles.iter().map(|article| {
        let mut article = article.clone();
        article["content"] = json!("");
        article
    });
    json!({ "news_item": bare.collect::<Vec<_>>() })
}

impl Rig for Platform {
    fn build(&self, more: toml::Table) -> Result<Arc<dyn Channel>, Vec<Problem>> {
        let mut settings: toml::Table = format!(
            "app_id = 'wx0123456789'\napp_secret = '{APP_SECRET}'\nmode = '{}'\n",
            self.mode
        )
        .parse()
        .unwrap();
        settings.extend(more);
        crate::wechat::build(&Entry {
            name: "wechat",
            settings,
            base: PathBuf::from("."),
            timezone: chrono_tz::Asia::Shanghai,
            publisher: "南阳市发展和改革委员会",
            secrets: &Literal,
            keys: None,
        })
    }

    fn document(&self, revision: u32) -> Document {
        sample::document(revision)
    }

    fn media(&self) -> &dyn Media {
        &self.album
    }

    fn beyond(&self, limit: &Limit) -> Document {
        stretched(sample::document(1), limit)
    }

    fn answer(&self, request: &Request, now: Timestamp) -> Reply {
        let (place, query) = request.url.split_once('?').unwrap_or((&request.url, ""));
        let path = place
            .strip_prefix("https://api.weixin.qq.com/cgi-bin/")
            .unwrap_or("?");
        let body = match &request.body {
            Body::Bytes { bytes, .. } => {
                let text = String::from_utf8(bytes.clone()).unwrap();
                self.state().heard.push((path.to_owned(), text.clone()));
                serde_json::from_str(&text).unwrap()
            }
            Body::Multipart(parts) => json!({ "file": parts[0].file, "name": parts[0].name }),
            Body::Empty => Value::Null,
        };
        let mut state = self.state();
        if let Some(at) = state.instead.iter().position(|(at, _)| *at == path) {
            return reply(200, state.instead.remove(at).1.to_string());
        }
        if path == "stable_token" {
            return reply(200, token(&mut state, &body).to_string());
        }
        if !query.contains(&format!("access_token={}", state.token)) {
            return reply(200, code(40_001, "invalid credential").to_string());
        }
        reply(
            200,
            business(&mut state, path, &body, now.timestamp()).to_string(),
        )
    }

    fn changes(&self, request: &Request) -> bool {
        let changing = [
            "/uploadimg",
            "/add_material",
            "/del_material",
            "/draft/add",
            "/draft/update",
            "/draft/delete",
            "/freepublish/submit",
            "/freepublish/delete",
            "/mass/sendall",
            "/mass/delete",
        ];
        changing.iter().any(|path| request.place().ends_with(path))
    }

    fn copies(&self) -> usize {
        let state = self.state();
        state.articles.iter().filter(|article| !article.2).count()
            + state
                .masses
                .iter()
                .filter(|mass| mass.2 == "SEND_SUCCESS")
                .count()
    }

    fn settle(&self) {
        let mut state = self.state();
        for (publish_id, articles, status) in std::mem::take(&mut state.jobs) {
            let status = if status == 1 { 0 } else { status };
            if status == 0 && !state.articles.iter().any(|one| one.0 == name(publish_id)) {
                state
                    .articles
                    .insert(0, (name(publish_id), articles.clone(), false, 0));
            }
            state.jobs.push((publish_id, articles, status));
        }
        for mass in &mut state.masses {
            if mass.2 == "SENDING" {
                "SEND_SUCCESS".clone_into(&mut mass.2);
            }
        }
    }

    fn person(&self, now: Timestamp) {
        let mut state = self.state();
        if let Some((id, ..)) = state.drafts.first().cloned() {
            let articles = state.take_draft(&id).unwrap();
            state.publish(articles, now.timestamp());
        }
    }

    fn remove(&self) {
        let mut state = self.state();
        state
            .articles
            .iter_mut()
            .for_each(|article| article.2 = true);
        state
            .masses
            .iter_mut()
            .for_each(|mass| "DELETE".clone_into(&mut mass.2));
    }

    fn comes_back(&self) {
        let mut state = self.state();
        for article in &mut state.articles {
            article.2 = false;
        }
        for mass in &mut state.masses {
            "SEND_SUCCESS".clone_into(&mut mass.2);
        }
    }

    fn crowd(&self, _now: Timestamp) {}

    fn secrets(&self) -> Vec<String> {
        vec![APP_SECRET.into(), self.state().token.clone()]
    }

    fn refusal(&self, said: &str) -> Option<Reply> {
        Some(reply(
            200,
            code(45_166, &format!("invalid content {said}")).to_string(),
        ))
    }
}

fn token(state: &mut State, body: &Value) -> Value {
    if body["secret"] != APP_SECRET {
        return code(40_001, "invalid credential");
    }
    state.issued += 1;
    if body["force_refresh"] == true {
        state.token = format!("token-very-secret-{}", state.issued + 1);
    }
    json!({ "access_token": state.token, "expires_in": 7200 })
}

fn name(publish_id: u64) -> String {
    format!("article-of-{publish_id}")
}

fn business(state: &mut State, path: &str, body: &Value, now: i64) -> Value {
    let id = body["media_id"].as_str().unwrap_or_default().to_owned();
    match path {
        "media/uploadimg" => {
            assert_eq!(body["name"], "media");
            json!({ "url": format!("http://mmbiz.qpic.cn/{}", state.id()) })
        }
        "material/add_material" => {
            let id = format!("material-{}", state.id());
            let file = body["file"].as_str().unwrap().to_owned();
            state.materials.insert(0, (id.clone(), file, now));
            json!({ "media_id": id, "url": "http://mmbiz.qpic.cn/x" })
        }
        "material/batchget_material" => {
            let rows = state.materials.iter().map(|(id, name, at)| {
                json!({ "media_id": id, "name": name, "update_time": at, "url": "http://x" })
            });
            page(rows.collect(), body)
        }
        "material/del_material" => {
            let before = state.materials.len();
            state.materials.retain(|material| material.0 != id);
            if before == state.materials.len() {
                gone()
            } else {
                code(0, "ok")
            }
        }
        "draft/count" => json!({ "total_count": state.drafts.len() }),
        "message/mass/sendall" => sendall(state, body, &id),
        "message/mass/get" => mass_get(state, body),
        "message/mass/delete" => mass_delete(state, body),
        path if path.starts_with("draft/") => draft(state, path, body, &id, now),
        path if path.starts_with("freepublish/") => freepublish(state, path, body, &id),
        _ => code(43_002, "require POST method"),
    }
}

fn page(rows: Vec<Value>, body: &Value) -> Value {
    let from = usize::try_from(body["offset"].as_u64().unwrap()).unwrap();
    let total = rows.len();
    let rows: Vec<Value> = rows.into_iter().skip(from).take(20).collect();
    json!({ "total_count": total, "item_count": rows.len(), "item": rows })
}

fn draft(state: &mut State, path: &str, body: &Value, id: &str, now: i64) -> Value {
    match path {
        "draft/add" => {
            let articles = body["articles"].as_array().unwrap().clone();
            let known = |article: &Value| {
                state
                    .materials
                    .iter()
                    .any(|material| article["thumb_media_id"] == material.0.as_str())
            };
            if !articles.iter().all(known) {
                return gone();
            }
            let id = format!("draft-{}", state.id());
            state.drafts.insert(0, (id.clone(), articles, now));
            json!({ "media_id": id })
        }
        "draft/get" => match state.drafts.iter().find(|draft| draft.0 == id) {
            Some(draft) => json!({ "news_item": draft.1 }),
            None => gone(),
        },
        "draft/update" => match state.drafts.iter_mut().find(|draft| draft.0 == id) {
            Some(draft) => {
                let place = usize::try_from(body["index"].as_u64().unwrap()).unwrap();
                assert!(body["articles"].is_object(), "update takes an object");
                draft.1[place] = body["articles"].clone();
                code(0, "ok")
            }
            None => gone(),
        },
        "draft/delete" => match state.take_draft(id) {
            Some(_) => code(0, "ok"),
            None => gone(),
        },
        _ => {
            let rows = state.drafts.iter().map(|(id, articles, at)| {
                json!({ "media_id": id, "content": without_content(articles), "update_time": at })
            });
            page(rows.collect(), body)
        }
    }
}

fn freepublish(state: &mut State, path: &str, body: &Value, id: &str) -> Value {
    let article = body["article_id"].as_str().unwrap_or_default();
    match path {
        "freepublish/submit" => match state.take_draft(id) {
            Some(articles) => {
                let publish_id = state.id();
                state.jobs.push((publish_id, articles, 1));
                json!({ "errcode": 0, "errmsg": "ok", "publish_id": publish_id, "msg_data_id": 1 })
            }
            None => gone(),
        },
        "freepublish/get" => {
            let wanted = &body["publish_id"];
            let job = state
                .jobs
                .iter()
                .find(|job| *wanted == job.0.to_string().as_str());
            let Some((publish_id, _, status)) = job else {
                return code(53_502, "invalid publish_id");
            };
            if *status != 0 {
                return json!({ "publish_id": publish_id, "publish_status": status, "fail_idx": [] });
            }
            json!({
                "publish_id": publish_id.to_string(), "publish_status": 0,
                "article_id": format!("{}\n", name(*publish_id)),
                "article_detail": { "count": 1, "item": [
                    { "idx": 1, "article_url": format!("https://mp.weixin.qq.com/s/{publish_id}") }
                ] }
            })
        }
        "freepublish/getarticle" => match state.articles.iter().find(|one| one.0 == article) {
            Some((_, articles, deleted, _)) => {
                let mut articles = articles.clone();
                for article in &mut articles {
                    article["is_deleted"] = json!(deleted);
                    article["url"] = json!("https://mp.weixin.qq.com/s/abc");
                }
                json!({ "news_item": articles })
            }
            None => code(53_600, "invalid article_id"),
        },
        "freepublish/delete" => match state.articles.iter_mut().find(|one| one.0 == article) {
            Some(found) if !found.2 => {
                found.2 = true;
                code(0, "ok")
            }
            _ => code(53_600, "invalid article_id"),
        },
        _ => {
            let rows = state.articles.iter().filter(|one| !one.2).map(|(id, articles, _, at)| {
                json!({ "article_id": id, "content": without_content(articles), "update_time": at })
            });
            page(rows.collect(), body)
        }
    }
}

fn sendall(state: &mut State, body: &Value, _id: &str) -> Value {
    let key = body["clientmsgid"].as_str().unwrap().to_owned();
    assert!(key.len() <= 32, "longer keys are refused");
    if let Some(mass) = state.masses.iter().find(|mass| mass.1 == key) {
        let mut told = code(45_065, "clientmsgid exist");
        told["msg_id"] = json!(mass.0);
        return told;
    }
    let media = body["mpnews"]["media_id"].as_str().unwrap().to_owned();
    if state.take_draft(&media).is_none() {
        return gone();
    }
    let msg_id = state.id();
    state.masses.push((msg_id, key, "SENDING".into()));
    json!({ "errcode": 0, "errmsg": "send job submission success", "msg_id": msg_id })
}

fn mass_get(state: &State, body: &Value) -> Value {
    let wanted = body["msg_id"].as_str().unwrap_or_default();
    match state
        .masses
        .iter()
        .find(|mass| mass.0.to_string() == wanted)
    {
        Some(mass) => json!({ "msg_id": mass.0, "msg_status": mass.2 }),
        None => code(40_059, "invalid msg id"),
    }
}

fn mass_delete(state: &mut State, body: &Value) -> Value {
    match state
        .masses
        .iter_mut()
        .find(|mass| body["msg_id"] == mass.0)
    {
        Some(mass) if mass.2 != "DELETE" => {
            "DELETE".clone_into(&mut mass.2);
            code(0, "ok")
        }
        _ => code(40_059, "invalid msg id"),
    }
}

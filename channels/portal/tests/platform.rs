//! A portal in memory: articles by id, an editor who lets everything out, files.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use http::Method;
use serde_json::{Value, json};

use crate::conformance::{Album, Rig, reply, sample, stretched};
use crate::contract::{
    Body, Channel, Document, Entry, Limit, Media, Problem, Reply, Request, ResolveSecret, Secret,
    Timestamp,
};

pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[derive(Debug, Clone)]
struct Held {
    key: String,
    delivery: String,
    page: String,
    state: &'static str,
}

#[derive(Debug, Default)]
struct State {
    articles: BTreeMap<String, Held>,
    files: u32,
    /// Whether a delivery id is taken once only, as a portal that deduplicates does.
    drops_repeats: bool,
}

#[derive(Debug)]
pub struct Platform {
    more: String,
    album: Album,
    state: Mutex<State>,
}

/// Secrets stand in test settings as they are.
pub struct Plain;

impl ResolveSecret for Plain {
    fn resolve(&self, _key: &str, value: &toml::Value) -> Result<Secret, Problem> {
        Ok(Secret::new(value.as_str().unwrap_or_default()))
    }
}

pub fn build(settings: toml::Table) -> Result<Arc<dyn Channel>, Vec<Problem>> {
    super::super::build(&Entry {
        name: "portal",
        settings,
        base: std::path::PathBuf::new(),
        timezone: chrono_tz::Asia::Shanghai,
        publisher: "南阳市发展和改革委员会",
        secrets: &Plain,
        keys: None,
    })
}

/// The rig's settings, with these lines after them.
pub fn settings(more: &str) -> toml::Table {
    let signing = if more.contains("[signing]") {
        String::new()
    } else {
        format!("signing = {{ kind = 'standard-webhooks', secret = '{SECRET}' }}\n")
    };
    let text = format!("endpoint = 'https://portal.example.gov.cn/api/articles'\n{signing}{more}");
    text.parse().unwrap()
}

impl Platform {
    pub fn rig(more: &str) -> Arc<dyn Rig> {
        Self::new(more)
    }

    pub fn new(more: &str) -> Arc<Self> {
        let (_, album) = sample::picture();
        Arc::new(Self {
            more: more.to_owned(),
            album,
            state: Mutex::new(State {
                drops_repeats: more.contains("deduplicates"),
                ..State::default()
            }),
        })
    }

    /// The portal made two of the newest article.
    pub fn double(&self) {
        let mut state = self.state();
        let newest = state.articles.values().next_back().cloned();
        let id = (1001 + state.articles.len()).to_string();
        state.articles.extend(newest.map(|held| (id, held)));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

fn ok(data: &Value) -> Reply {
    reply(
        200,
        json!({ "code": 0, "message": "成功", "data": data }).to_string(),
    )
}

fn no(code: u32, message: &str) -> Reply {
    reply(
        200,
        json!({ "code": code, "message": message, "data": null }).to_string(),
    )
}

fn shown(id: &str, held: &Held) -> Value {
    let url = if held.state == "published" {
        format!("https://portal.example.gov.cn/a/{id}.html")
    } else {
        String::new()
    };
    json!({ "id": id, "key": held.key, "status": held.state, "url": url })
}

/// The article of a request, out of its envelope.
fn data(request: &Request) -> Value {
    let Body::Bytes { bytes, .. } = &request.body else {
        return Value::Null;
    };
    let body: Value = serde_json::from_slice(bytes).unwrap_or_default();
    body.get("data").cloned().unwrap_or(body)
}

fn page(article: &Value) -> String {
    let text = |key: &str| article[key].as_str().unwrap_or_default().to_owned();
    format!(
        "<!doctype html><h1>{}</h1>{}",
        text("title"),
        text("content")
    )
}

impl State {
    fn create(&mut self, request: &Request) -> Reply {
        let article = data(request);
        let header = |name: &str| {
            let found = request.headers.iter().find(|(known, _)| known == name);
            found.map_or(String::new(), |(_, value)| value.clone())
        };
        let delivery = header("idempotency-key");
        let same = |held: &&Held| self.drops_repeats && held.delivery == delivery;
        if let Some((id, held)) = self.articles.iter().find(|(_, held)| same(held)) {
            return ok(&shown(id, held));
        }
        let Some(key) = article["key"].as_str() else {
            return no(40_002, "缺少 key");
        };
        let id = format!("{}", 1001 + self.articles.len());
        let held = Held {
            key: key.to_owned(),
            delivery,
            page: page(&article),
            state: "pending",
        };
        let answer = ok(&shown(&id, &held));
        self.articles.insert(id, held);
        answer
    }

    fn lookup(&self, query: &str) -> Reply {
        let rows: Vec<Value> = self
            .articles
            .iter()
            .filter(|(_, held)| query.contains(&format!("key={}", held.key)))
            .map(|(id, held)| shown(id, held))
            .collect();
        ok(&json!(rows))
    }

    fn one(&mut self, request: &Request, id: &str) -> Reply {
        let Some(held) = self.articles.get_mut(id) else {
            return no(40_401, "没有这篇文章");
        };
        if request.method == Method::PUT {
            held.page = page(&data(request));
        }
        if request.method == Method::DELETE {
            held.state = "withdrawn";
        }
        ok(&shown(id, held))
    }
}

impl State {
    fn page(&self, id: &str) -> Reply {
        match self.articles.get(id) {
            Some(held) if held.state == "published" => reply(200, held.page.clone()),
            _ => reply(404, ""),
        }
    }
}

impl Rig for Platform {
    fn build(&self, more: toml::Table) -> Result<Arc<dyn Channel>, Vec<Problem>> {
        let mut table = settings(&self.more);
        let failures = "'40401' = 'missing'\n'400*' = 'never'".parse().unwrap();
        table.insert("failures".into(), toml::Value::Table(failures));
        table.extend(more);
        build(table)
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

    fn answer(&self, request: &Request, _now: Timestamp) -> Reply {
        let mut state = self.state();
        let (path, query) = request.url.split_once('?').unwrap_or((&request.url, ""));
        let path = path.trim_start_matches("https://portal.example.gov.cn");
        let post = request.method == Method::POST;
        match path {
            "/api/articles" if post => state.create(request),
            "/api/articles" => state.lookup(query),
            "/api/files" if post => {
                state.files += 1;
                let url = format!("https://portal.example.gov.cn/f/{}.jpg", state.files);
                ok(&json!({ "id": format!("f{}", state.files), "url": url }))
            }
            path => {
                let page = path.strip_prefix("/a/");
                if let Some(id) = page.and_then(|name| name.strip_suffix(".html")) {
                    return state.page(id);
                }
                let id = path.rsplit('/').next().unwrap_or_default().to_owned();
                state.one(request, &id)
            }
        }
    }

    fn changes(&self, request: &Request) -> bool {
        request.method != Method::GET
    }

    fn copies(&self) -> usize {
        let state = self.state();
        let out = |held: &&Held| matches!(held.state, "pending" | "published");
        state.articles.values().filter(out).count()
    }

    fn settle(&self) {
        for held in self.state().articles.values_mut() {
            if held.state == "pending" {
                held.state = "published";
            }
        }
    }

    fn person(&self, _now: Timestamp) {}

    fn remove(&self) {
        for held in self.state().articles.values_mut() {
            held.state = "withdrawn";
        }
    }

    fn comes_back(&self) {
        for held in self.state().articles.values_mut() {
            held.state = "published";
        }
    }

    fn crowd(&self, _now: Timestamp) {}

    fn secrets(&self) -> Vec<String> {
        if self.more.contains("[signing]") {
            return vec!["k3y-of-the-portal".into()];
        }
        vec![SECRET.into()]
    }

    fn refusal(&self, said: &str) -> Option<Reply> {
        Some(no(40_004, said))
    }
}

//! A municipal portal that takes articles by signed HTTP.
//!
//! Every reply is HTTP 200 with `{code, message, data}`; only `code` 0 is a success.
//! Accepted is not public: an article is pending, then adopted, then published, or it
//! is returned with a reason. An update goes through review as well, and readers keep
//! the old version until it is through. A delivery id that was seen before is answered
//! with its first result. The order of the checks: signature, repetition, content.

mod articles;
mod body;
mod files;
mod office;
mod sign;

use serde_json::{Value, json};

use crate::html;
use crate::ledger::{Platform, PublicPost};
use crate::pages;
use crate::settings::Review;
use crate::wire::{Call, Reply};
use crate::world::Scene;

pub(crate) use articles::{Article, Status};
pub(crate) use body::Attachment;
pub(crate) use files::File;

/// A refusal: the portal's code and its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal(pub i64, pub String);

pub(crate) type Outcome = Result<Value, Refusal>;

pub(crate) fn refuse<T>(code: i64, words: &str) -> Result<T, Refusal> {
    Err(Refusal(code, words.to_owned()))
}

#[derive(Debug, Default)]
pub(crate) struct Site {
    /// Oldest first.
    pub articles: Vec<Article>,
    pub files: Vec<File>,
    seen: Vec<Seen>,
    nonces: Vec<(i64, String)>,
}

/// A delivery that was carried out, and what it was answered.
#[derive(Clone, Debug)]
struct Seen {
    key: String,
    fingerprint: blake3::Hash,
    at: i64,
    data: Value,
}

pub(crate) fn failure(code: i64, words: &str) -> Reply {
    Reply::json(200, &json!({"code": code, "message": words, "data": null})).coded(code)
}

pub(crate) fn answer(site: &mut Site, scene: &mut Scene<'_>, call: &Call) -> Reply {
    let Some(path) = call.path.strip_prefix("/portal/api/") else {
        return office::answer(site, scene, call)
            .unwrap_or_else(|| pages::portal::answer(site, scene, call));
    };
    match run(site, scene, call, path) {
        Ok(data) => {
            let body = json!({"code": 0, "message": "success", "data": data});
            Reply::json(200, &body).coded(0)
        }
        Err(Refusal(code, words)) => failure(code, &words),
    }
}

fn run(site: &mut Site, scene: &mut Scene<'_>, call: &Call, path: &str) -> Outcome {
    let key = sign::verify(scene, call, &mut site.nonces)?;
    if call.is("GET") {
        return site.read(scene, call, path);
    }
    let print = format!("{} {}\n", call.method, call.path);
    let fingerprint = blake3::Hasher::new()
        .update(print.as_bytes())
        .update(&call.body)
        .finalize();
    let remembered = scene.settings.portal.dedup_seconds * 1000;
    if let Some(key) = key.as_deref().filter(|_| !call.twin) {
        let known = |seen: &&Seen| seen.key == key && scene.now - seen.at < remembered;
        match site.seen.iter().find(known) {
            Some(seen) if seen.fingerprint == fingerprint => return Ok(seen.data.clone()),
            Some(_) => return refuse(40901, "该编号已用于其他内容"),
            None => {}
        }
    }
    let data = site.write(scene, call, path, key.as_deref())?;
    if let Some(key) = key {
        site.seen.push(Seen {
            key,
            fingerprint,
            at: scene.now,
            data: data.clone(),
        });
    }
    Ok(data)
}

impl Site {
    fn read(&mut self, scene: &mut Scene<'_>, call: &Call, path: &str) -> Outcome {
        if path == "articles" {
            return self.look_up(scene, call);
        }
        match path.strip_prefix("articles/") {
            Some(id) => self.status(scene, call, id),
            None => refuse(40400, "没有这个接口"),
        }
    }

    fn write(
        &mut self,
        scene: &mut Scene<'_>,
        call: &Call,
        path: &str,
        key: Option<&str>,
    ) -> Outcome {
        match (call.method.as_str(), path, path.strip_prefix("articles/")) {
            ("POST", "articles", _) => self.create(scene, call, key),
            ("POST", "files", _) => self.take_file(scene, call),
            ("PUT", _, Some(id)) => self.update(scene, call, id),
            ("DELETE", _, Some(id)) => self.withdraw(scene, id),
            _ => refuse(40400, "没有这个接口"),
        }
    }

    /// Moves reviews on whose time has come.
    pub fn settle(&mut self, scene: &mut Scene<'_>) {
        if scene.settings.portal.review == Review::Manual {
            return;
        }
        for article in &mut self.articles {
            article.review(scene);
        }
    }

    pub fn public(&self, base: &str) -> Vec<PublicPost> {
        let row = |article: &Article| {
            let (version, since) = article.live.as_ref()?;
            Some(PublicPost {
                platform: Platform::Portal,
                id: article.id.clone(),
                title: version.title.clone(),
                text: html::text(&version.content),
                url: article.address(base),
                link: version.link.clone(),
                marker: article.marker(),
                first_visible_ms: *since,
                first_visible: crate::clock::beijing(*since).to_rfc3339(),
                copies: 0,
            })
        };
        self.articles.iter().filter_map(row).collect()
    }
}

//! The draft box.
//!
//! A draft holds one to eight articles, newest drafts are listed first, and a draft
//! leaves the box when it is published or sent (at once or at completion: a knob).

use serde_json::{Value, json};

use super::{Account, Article, Outcome, Refusal, media_id, refuse, window};
use crate::ledger::Sight;
use crate::wire::Call;
use crate::world::Scene;

const ARTICLES_MAX: usize = 8;

#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub media_id: String,
    pub created: i64,
    pub updated: i64,
    pub articles: Vec<Article>,
}

impl Draft {
    /// The temporary link that list calls show in place of a permanent one.
    fn preview(&self, base: &str, place: usize) -> String {
        format!("{base}/wechat/draft/{}/{}", self.media_id, place + 1)
    }

    fn news(&self, base: &str, with_content: bool) -> Value {
        let show = |(place, article): (usize, &Article)| {
            article.shown(&self.preview(base, place), with_content)
        };
        self.articles.iter().enumerate().map(show).collect()
    }
}

fn unknown<T>() -> Result<T, Refusal> {
    refuse(40007, "invalid media_id")
}

impl Account {
    fn draft(&self, id: &str) -> Result<usize, Refusal> {
        self.drafts
            .iter()
            .position(|draft| draft.media_id == id)
            .map_or_else(unknown, Ok)
    }

    /// All articles are checked before any is kept.
    pub(super) fn draft_add(&mut self, scene: &mut Scene<'_>, body: &Value) -> Outcome {
        let list = body.get("articles").and_then(Value::as_array);
        let given = list.map(Vec::as_slice).unwrap_or_default();
        if given.is_empty() {
            return refuse(44003, "empty news data");
        }
        if given.len() > ARTICLES_MAX {
            return refuse(45008, "article size out of limit");
        }
        let take = |article| self.take_article(scene, article, given.len() == 1);
        let articles = given.iter().map(take).collect::<Result<Vec<_>, _>>()?;
        let media_id = scene.ids.text(64);
        for article in &articles {
            scene.note(
                "draft added",
                &media_id,
                &article.marker(),
                Sight::Unchanged,
            );
        }
        let (created, updated) = (scene.now, scene.now);
        self.drafts.push(Draft {
            media_id: media_id.clone(),
            created,
            updated,
            articles,
        });
        Ok(json!({"media_id": media_id, "item": []}))
    }

    pub(super) fn draft_get(&self, scene: &Scene<'_>, call: &Call, body: &Value) -> Outcome {
        let draft = self
            .draft(media_id(body)?)
            .ok()
            .and_then(|at| self.drafts.get(at));
        match draft.filter(|draft| draft.created + call.lag_ms <= scene.now) {
            Some(draft) => Ok(json!({"news_item": draft.news(scene.base, true)})),
            None => unknown(),
        }
    }

    /// Unlike `draft_add` this takes one object and its place; the array form is a format error.
    pub(super) fn draft_update(&mut self, scene: &mut Scene<'_>, body: &Value) -> Outcome {
        let at = self.draft(media_id(body)?)?;
        let Some(index) = body.get("index") else {
            return refuse(40114, "invalid index value");
        };
        let Some(given @ Value::Object(_)) = body.get("articles") else {
            return refuse(47001, "data format error: articles is one object");
        };
        let index = index.as_u64().and_then(|index| usize::try_from(index).ok());
        let places = self.drafts.get(at).map_or(0, |draft| draft.articles.len());
        let Some(index) = index.filter(|index| *index < places) else {
            return refuse(40114, "invalid index value");
        };
        let article = self.take_article(scene, given, places == 1)?;
        let Some(draft) = self.drafts.get_mut(at) else {
            return unknown();
        };
        scene.note(
            "draft updated",
            &draft.media_id,
            &article.marker(),
            Sight::Unchanged,
        );
        draft.updated = scene.now;
        if let Some(place) = draft.articles.get_mut(index) {
            *place = article;
        }
        Ok(json!({"errcode": 0, "errmsg": "ok"}))
    }

    pub(super) fn draft_delete(&mut self, scene: &mut Scene<'_>, body: &Value) -> Outcome {
        let at = self.draft(media_id(body)?)?;
        self.drop_draft(scene, at);
        Ok(json!({"errcode": 0, "errmsg": "ok"}))
    }

    pub(super) fn drop_draft(&mut self, scene: &mut Scene<'_>, at: usize) {
        let gone = self.drafts.remove(at);
        let marker = gone
            .articles
            .first()
            .map(Article::marker)
            .unwrap_or_default();
        scene.note("draft deleted", &gone.media_id, &marker, Sight::Unchanged);
    }

    pub(super) fn draft_list(&self, scene: &Scene<'_>, call: &Call, body: &Value) -> Outcome {
        let (offset, count) = window(body)?;
        let with_content = no_content(body)?;
        let seen = |draft: &&Draft| draft.created + call.lag_ms <= scene.now;
        let all: Vec<_> = self.drafts.iter().rev().filter(seen).collect();
        let show = |draft: &&Draft| {
            json!({
                "media_id": draft.media_id,
                "content": {
                    "news_item": draft.news(scene.base, with_content),
                    "create_time": draft.created / 1000,
                    "update_time": draft.updated / 1000,
                },
                "update_time": draft.updated / 1000,
            })
        };
        let items: Vec<_> = all.iter().skip(offset).take(count).map(show).collect();
        Ok(json!({"total_count": all.len(), "item_count": items.len(), "item": items}))
    }
}

/// Whether a list call wants the text as well.
pub(super) fn no_content(body: &Value) -> Result<bool, Refusal> {
    match body.get("no_content").map_or(Some(0), Value::as_u64) {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => refuse(40097, "invalid args: no_content"),
    }
}

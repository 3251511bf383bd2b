//! Publishing without a push ("发布"), and what readers see of it.
//!
//! `submit` only queues; the job ends when its time has passed and it has been polled
//! often enough. A second submit of a draft that is still in the box publishes it
//! again: what the real platform does is unknown, so this is the reading under which
//! a careless caller is caught. Lists show only what was published this way.

use serde_json::{Value, json};

use super::{Account, Article, Outcome, draft, media_id, refuse, window};
use crate::ledger::Sight;
use crate::settings::Leaves;
use crate::wire::Call;
use crate::world::{Scene, effect};

#[derive(Clone, Debug)]
pub(crate) struct Job {
    publish_id: u64,
    media_id: String,
    articles: Vec<Article>,
    submitted: i64,
    polls: u32,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Running,
    /// A `publish_status` that is no success.
    Failed(i64),
    Published {
        article_id: String,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shown {
    pub article: Article,
    pub deleted: bool,
}

/// What a reader opens: up to eight articles under one id.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub article_id: String,
    pub pushed: bool,
    pub at: i64,
    pub articles: Vec<Shown>,
    preview_of: String,
}

impl Message {
    pub fn address(&self, base: &str, place: usize) -> String {
        let end = if place == 0 {
            String::new()
        } else {
            format!("/{}", place + 1)
        };
        format!("{base}/wechat/s/{}{end}", self.article_id)
    }

    fn gone(&self) -> bool {
        self.articles.iter().all(|shown| shown.deleted)
    }

    fn news(&self, with_content: bool, url: impl Fn(usize) -> String) -> Value {
        let show = |(place, shown): (usize, &Shown)| {
            let mut item = shown.article.shown(&url(place), with_content);
            item["is_deleted"] = shown.deleted.into();
            item
        };
        self.articles.iter().enumerate().map(show).collect()
    }
}

impl Account {
    /// Makes articles visible and returns their id.
    pub(super) fn show(
        &mut self,
        scene: &mut Scene<'_>,
        at: i64,
        media_id: &str,
        articles: &[Article],
        pushed: bool,
    ) -> String {
        let article_id = scene.ids.text(43);
        for (place, article) in articles.iter().enumerate() {
            let what = if pushed {
                "article sent"
            } else {
                "article published"
            };
            let object = format!("{article_id}/{}", place + 1);
            let shown = effect(what, &object, &article.marker(), Sight::Appeared);
            scene.moved.push((at, shown));
        }
        let shown = |article: &Article| Shown {
            article: article.clone(),
            deleted: false,
        };
        self.messages.push(Message {
            article_id: article_id.clone(),
            pushed,
            at,
            articles: articles.iter().map(shown).collect(),
            preview_of: media_id.to_owned(),
        });
        self.drafts.retain(|draft| draft.media_id != media_id);
        article_id
    }

    /// Finishes jobs and sends whose time has come.
    pub fn settle(&mut self, scene: &mut Scene<'_>) {
        let rules = &scene.settings.wechat;
        let (wait, polls, result) = (
            rules.publish_seconds * 1000,
            rules.publish_polls,
            rules.publish_result,
        );
        let mut jobs = std::mem::take(&mut self.jobs);
        for job in &mut jobs {
            let due = job.submitted + wait;
            if job.state != State::Running || due > scene.now || job.polls < polls {
                continue;
            }
            // With polls to wait for, the job ends at the poll, not at its earliest time.
            let at = if polls > 0 { scene.now } else { due };
            job.state = if result == 0 {
                let article_id = self.show(scene, at, &job.media_id, &job.articles, false);
                State::Published { article_id }
            } else {
                State::Failed(result)
            };
        }
        self.jobs = jobs;
        self.settle_sends(scene);
    }

    pub(super) fn freepublish(
        &mut self,
        scene: &mut Scene<'_>,
        call: &Call,
        path: &str,
        body: &Value,
    ) -> Outcome {
        if !scene.settings.wechat.freepublish {
            return refuse(48001, "api unauthorized");
        }
        match path {
            "freepublish/submit" => self.submit(scene, body),
            "freepublish/get" => self.poll(scene, body),
            "freepublish/delete" => self.unpublish(scene, body),
            "freepublish/getarticle" => self.get_article(scene, call, body),
            _ => self.published_list(scene, call, body),
        }
    }

    /// Queues a draft. Nothing here keeps a second submit from being queued as well.
    pub(super) fn submit(&mut self, scene: &mut Scene<'_>, body: &Value) -> Outcome {
        let id = media_id(body)?;
        let Some(draft) = self.drafts.iter().find(|draft| draft.media_id == id) else {
            return refuse(40007, "invalid media_id");
        };
        let publish_id = 2_247_000_000 + scene.ids.number();
        for article in &draft.articles {
            let object = publish_id.to_string();
            scene.note(
                "publish queued",
                &object,
                &article.marker(),
                Sight::Unchanged,
            );
        }
        self.jobs.push(Job {
            publish_id,
            media_id: id.to_owned(),
            articles: draft.articles.clone(),
            submitted: scene.now,
            polls: 0,
            state: State::Running,
        });
        if scene.settings.wechat.draft_leaves == Leaves::Submit {
            self.drafts.retain(|draft| draft.media_id != id);
        }
        let data_id = publish_id + 100_000_000;
        Ok(json!({"errcode": 0, "errmsg": "ok", "publish_id": publish_id, "msg_data_id": data_id}))
    }

    /// Counts as a poll for jobs that wait for polls; the next call sees what came of it.
    fn poll(&mut self, scene: &Scene<'_>, body: &Value) -> Outcome {
        let id = match body.get("publish_id") {
            Some(Value::String(text)) => text.parse().ok(),
            Some(number) => number.as_u64(),
            None => None,
        };
        let Some(job) = self.jobs.iter_mut().find(|job| Some(job.publish_id) == id) else {
            return refuse(53502, "invalid publish_id");
        };
        job.polls += 1;
        let id = job.publish_id;
        Ok(match &job.state {
            State::Running => json!({"publish_id": id, "publish_status": 1, "fail_idx": []}),
            State::Failed(status) => {
                let failed: &[u32] = if matches!(status, 2 | 4) { &[1] } else { &[] };
                json!({"publish_id": id, "publish_status": status, "fail_idx": failed})
            }
            State::Published { article_id } => {
                let message = self.messages.iter().find(|m| m.article_id == *article_id);
                let gone = message.is_none_or(Message::gone);
                let count = message.map_or(0, |m| m.articles.len());
                let address = |at| {
                    message
                        .map(|m| m.address(scene.base, at))
                        .unwrap_or_default()
                };
                let item: Vec<_> = (0..count)
                    .map(|n| json!({"idx": n + 1, "article_url": address(n)}))
                    .collect();
                json!({
                    "publish_id": id,
                    "publish_status": if gone { 5 } else { 0 },
                    "article_id": article_id,
                    "article_detail": {"count": count, "item": item},
                    "fail_idx": [],
                })
            }
        })
    }

    fn unpublish(&mut self, scene: &mut Scene<'_>, body: &Value) -> Outcome {
        let id = body
            .get("article_id")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let silent = |m: &&mut Message| m.article_id == id && !m.pushed;
        let Some(message) = self.messages.iter_mut().find(silent) else {
            return refuse(53600, "article_id invalid");
        };
        let index = body.get("index").map_or(Some(0), Value::as_u64);
        match index.and_then(|index| usize::try_from(index).ok()) {
            Some(index) if index <= message.articles.len() => {
                take_down(scene, message, index);
                Ok(json!({"errcode": 0, "errmsg": "ok"}))
            }
            _ => refuse(40114, "invalid index value"),
        }
    }

    fn get_article(&self, scene: &Scene<'_>, call: &Call, body: &Value) -> Outcome {
        let id = body
            .get("article_id")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let seen =
            |m: &&Message| m.article_id == id && !m.pushed && m.at + call.lag_ms <= scene.now;
        match self.messages.iter().find(seen) {
            None => refuse(53600, "article_id invalid"),
            Some(m) => Ok(json!({"news_item": m.news(true, |place| m.address(scene.base, place))})),
        }
    }

    fn published_list(&self, scene: &Scene<'_>, call: &Call, body: &Value) -> Outcome {
        let (offset, count) = window(body)?;
        let with_content = draft::no_content(body)?;
        let seen = |m: &&Message| !m.pushed && !m.gone() && m.at + call.lag_ms <= scene.now;
        let all: Vec<_> = self.messages.iter().rev().filter(seen).collect();
        let show = |m: &&Message| {
            let preview =
                |place| format!("{}/wechat/draft/{}/{}", scene.base, m.preview_of, place + 1);
            let time = m.at / 1000;
            json!({
                "article_id": m.article_id,
                "content": {
                    "news_item": m.news(with_content, preview),
                    "create_time": time,
                    "update_time": time,
                },
                "update_time": time,
            })
        };
        let items: Vec<_> = all.iter().skip(offset).take(count).map(show).collect();
        Ok(json!({"total_count": all.len(), "item_count": items.len(), "item": items}))
    }
}

/// Deletes the article at the 1-based place, or all for 0.
pub(super) fn take_down(scene: &mut Scene<'_>, message: &mut Message, index: usize) {
    for (place, shown) in message.articles.iter_mut().enumerate() {
        if (index == 0 || index == place + 1) && !shown.deleted {
            shown.deleted = true;
            let object = format!("{}/{}", message.article_id, place + 1);
            scene.note(
                "article deleted",
                &object,
                &shown.article.marker(),
                Sight::Vanished,
            );
        }
    }
}

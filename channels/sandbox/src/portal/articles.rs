//! Articles and their review.
//!
//! What readers see (`live`) and what is under review (`next`) are kept apart; the
//! status speaks of the newest submission. Withdrawing takes both away at once and is
//! the same however often it is asked for.

use serde_json::{Value, json};

use super::body::{self, Version};
use super::{Outcome, Refusal, Site, refuse};
use crate::clock::beijing;
use crate::ledger::Sight;
use crate::settings::Review;
use crate::wire::Call;
use crate::world::{Scene, effect};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Pending,
    Adopted,
    Published,
    Returned,
    Withdrawn,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Adopted => "adopted",
            Self::Published => "published",
            Self::Returned => "returned",
            Self::Withdrawn => "withdrawn",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Article {
    pub id: String,
    pub key: String,
    /// What readers see, and since when.
    pub live: Option<(Version, i64)>,
    /// What is under review, returned or was withdrawn unseen.
    pub next: Option<Version>,
    pub status: Status,
    pub reason: String,
    pub submitted: i64,
    pub created: i64,
    polls: u32,
}

impl Article {
    pub fn address(&self, base: &str) -> String {
        format!("{base}/portal/articles/{}.html", self.id)
    }

    pub fn marker(&self) -> String {
        if self.key.is_empty() {
            self.id.clone()
        } else {
            self.key.clone()
        }
    }

    fn data(&self, base: &str) -> Value {
        let url = if self.live.is_some() {
            self.address(base)
        } else {
            String::new()
        };
        let title = self
            .next
            .as_ref()
            .or(self.live.as_ref().map(|(live, _)| live));
        json!({
            "id": self.id,
            "status": self.status.name(),
            "url": url,
            "key": self.key,
            "title": title.map(|version| version.title.clone()),
            "reason": self.reason,
        })
    }

    /// What time alone does to a submission.
    pub fn review(&mut self, scene: &mut Scene<'_>) {
        let rules = &scene.settings.portal;
        let waiting = matches!(self.status, Status::Pending | Status::Adopted);
        if !waiting {
            return;
        }
        let done = self.submitted + rules.publish_seconds * 1000;
        if done <= scene.now && self.polls >= rules.publish_polls {
            let at = if rules.publish_polls > 0 {
                scene.now
            } else {
                done
            };
            match rules.review {
                Review::Auto => self.publish(scene, at),
                Review::Return => {
                    let reason = rules.return_reason.clone();
                    self.send_back(scene, at, &reason);
                }
                Review::Manual => {}
            }
        } else if self.submitted + rules.adopt_seconds * 1000 <= scene.now
            && rules.review == Review::Auto
        {
            self.status = Status::Adopted;
        }
    }

    /// Readers get the version under review; the address and its first time stay.
    pub fn publish(&mut self, scene: &mut Scene<'_>, at: i64) {
        let Some(version) = self.next.take() else {
            return;
        };
        let sight = if self.live.is_some() {
            Sight::Unchanged
        } else {
            Sight::Appeared
        };
        let since = self.live.as_ref().map_or(at, |(_, since)| *since);
        self.live = Some((version, since));
        self.status = Status::Published;
        scene.moved.push((
            at,
            effect("article published", &self.id, &self.marker(), sight),
        ));
    }

    pub fn send_back(&mut self, scene: &mut Scene<'_>, at: i64, reason: &str) {
        self.status = Status::Returned;
        reason.clone_into(&mut self.reason);
        let returned = effect(
            "article returned",
            &self.id,
            &self.marker(),
            Sight::Unchanged,
        );
        scene.moved.push((at, returned));
    }

    pub fn take_down(&mut self, scene: &mut Scene<'_>) {
        if self.status == Status::Withdrawn {
            return;
        }
        let sight = if self.live.is_some() {
            Sight::Vanished
        } else {
            Sight::Unchanged
        };
        self.live = None;
        self.status = Status::Withdrawn;
        let (id, marker) = (self.id.clone(), self.marker());
        scene.note("article withdrawn", &id, &marker, sight);
    }
}

impl Site {
    fn find(&mut self, id: &str) -> Result<&mut Article, Refusal> {
        let found = self.articles.iter_mut().find(|article| article.id == id);
        found.ok_or(Refusal(40401, "没有这篇稿件".into()))
    }

    pub(super) fn create(
        &mut self,
        scene: &mut Scene<'_>,
        call: &Call,
        delivery: Option<&str>,
    ) -> Outcome {
        let given = body::unwrap(&call.body)?;
        let version = self.version(scene, &given)?;
        let own = body::key(&given)?;
        let key = if own.is_empty() {
            delivery.unwrap_or_default().to_owned()
        } else {
            own
        };
        let id = format!(
            "{}{:05}",
            beijing(scene.now).format("%Y%m%d"),
            self.articles.len() + 1
        );
        let article = Article {
            id,
            key,
            live: None,
            next: Some(version),
            status: Status::Pending,
            reason: String::new(),
            submitted: scene.now,
            created: scene.now,
            polls: 0,
        };
        scene.note(
            "article created",
            &article.id,
            &article.marker(),
            Sight::Unchanged,
        );
        let data = article.data(scene.base);
        self.articles.push(article);
        Ok(data)
    }

    pub(super) fn update(&mut self, scene: &mut Scene<'_>, call: &Call, id: &str) -> Outcome {
        let version = self.version(scene, &body::unwrap(&call.body)?)?;
        let article = self.find(id)?;
        if article.status == Status::Withdrawn {
            return refuse(40902, "稿件已撤回，不能修改");
        }
        article.next = Some(version);
        article.status = Status::Pending;
        article.reason.clear();
        article.submitted = scene.now;
        article.polls = 0;
        scene.note(
            "article updated",
            &article.id,
            &article.marker(),
            Sight::Unchanged,
        );
        Ok(article.data(scene.base))
    }

    pub(super) fn withdraw(&mut self, scene: &mut Scene<'_>, id: &str) -> Outcome {
        let article = self.find(id)?;
        article.take_down(scene);
        Ok(article.data(scene.base))
    }

    pub(super) fn status(&mut self, scene: &mut Scene<'_>, call: &Call, id: &str) -> Outcome {
        let base = scene.base;
        let article = self.find(id)?;
        if article.created + call.lag_ms > scene.now {
            return refuse(40401, "没有这篇稿件");
        }
        article.polls += 1;
        Ok(article.data(base))
    }

    /// The newest article with a key, one that is not withdrawn before one that is.
    pub(super) fn look_up(&self, scene: &Scene<'_>, call: &Call) -> Outcome {
        let key = call.param("key").unwrap_or_default();
        if key.is_empty() {
            return refuse(40002, "key 必填");
        }
        let seen = |a: &&Article| a.key == key && a.created + call.lag_ms <= scene.now;
        let found: Vec<_> = self.articles.iter().rev().filter(seen).collect();
        let standing = found
            .iter()
            .find(|article| article.status != Status::Withdrawn);
        match standing.or(found.first()) {
            Some(article) => {
                let mut data = article.data(scene.base);
                data["total"] = found.len().into();
                Ok(data)
            }
            None => refuse(40401, "没有这篇稿件"),
        }
    }
}

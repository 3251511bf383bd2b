//! WeChat official accounts (公众号, 服务号), by the server API.
//!
//! An article is staged in the draft box, read back, and only then published, so that the one step
//! that cannot be repeated comes last and carries nothing but an id. Accounts without the right to
//! publish stop at the draft and a person presses the button; accounts that push to followers send
//! under a key that the platform remembers for a day.
//!
//! Knows no lists of followers, menus or messages.

mod act;
mod article;
mod back;
mod compare;
mod copies;
mod fate;
mod list;
mod look;
mod lost;
mod markup;
mod settings;
mod survey;
mod way;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;

use self::settings::{Mode, Settings};
use self::wire::{Api, Session};
use crate::contract::{
    Call, Caps, Channel, Cost, Document, Draft, Effect, Entry, Evidence, Failure, Finding, Goal,
    Health, Job, Limit, LookCaps, Media, Next, Pages, Posted, Problem, Receipt, Sighting, Step,
    SurveyCaps, Surveyed, Surveys, Target, Timestamp, Unit, UpdateBy, WithdrawBy, Words,
};
use crate::kit::json;

#[derive(Debug)]
pub struct WeChat {
    settings: Settings,
    caps: Caps,
    session: Session,
}

pub fn build(entry: &Entry<'_>) -> Result<Arc<dyn Channel>, Vec<Problem>> {
    let settings = Settings::read(entry)?;
    let caps = caps(&settings);
    Ok(Arc::new(WeChat {
        settings,
        caps,
        session: Session::default(),
    }))
}

fn caps(settings: &Settings) -> Caps {
    let limits = settings.limits;
    let limit = |field, max, unit| Limit { field, max, unit };
    let mass = settings.mode == Mode::Mass;
    Caps {
        account: format!("wechat:{}", settings.app_id),
        update: if mass {
            UpdateBy::None
        } else {
            UpdateBy::Replace
        },
        withdraw: WithdrawBy::Delete,
        look: LookCaps {
            evidence: if mass {
                Evidence::Status
            } else {
                Evidence::ReadBack
            },
            rows: None,
            settle: settings.settle,
            unknown_plan: settings.unknown_plan.clone(),
            review_plan: settings.review_plan.clone(),
            costs: match settings.mode {
                Mode::Publish => vec![Cost::one("publish_get")],
                Mode::Draft => vec![Cost::one("publish_list")],
                Mode::Mass => Vec::new(),
            },
        },
        survey: survey_caps(settings.mode),
        reviews: true,
        repeat_when_absent: settings.repeat_when_absent,
        gathers: settings.gather,
        limits: vec![
            limit("title", limits.title, Unit::Characters),
            limit("author", limits.author, Unit::Characters),
            limit("summary", limits.summary, Unit::Characters),
            limit("body", limits.body, Unit::Characters),
            limit("canonical", limits.link_bytes, Unit::Bytes),
        ],
        quotas: settings.quotas.clone(),
        overrides: vec!["title", "summary", "author"],
    }
}

fn survey_caps(mode: Mode) -> Option<SurveyCaps> {
    let quotas: &[&str] = match mode {
        Mode::Publish => &["publish_list"],
        Mode::Draft => &["publish_list", "draft_list"],
        Mode::Mass => return None,
    };
    Some(SurveyCaps {
        rows: survey::ROWS,
        costs: quotas.iter().map(|quota| Cost::one(quota)).collect(),
    })
}

impl WeChat {
    fn api<'a>(&'a self, call: &'a Call<'a>, effect: Effect, goal: Goal) -> Api<'a> {
        Api {
            settings: &self.settings,
            session: &self.session,
            call,
            effect,
            withdraws: goal == Goal::Withdraw,
        }
    }
}

#[async_trait]
impl Channel for WeChat {
    fn caps(&self) -> &Caps {
        &self.caps
    }

    fn draft(&self, document: &Document, media: &dyn Media) -> Result<Draft, Vec<Finding>> {
        article::write(&self.settings, document, media)
    }

    fn next(&self, job: &Job, now: Timestamp) -> Next {
        way::next(job, self.settings.mode, now)
    }

    async fn perform(&self, job: &Job, step: &Step, call: &Call<'_>) -> Result<Receipt, Failure> {
        act::perform(&self.api(call, step.effect, job.goal), job, step).await
    }

    async fn look(&self, job: &Job, at: Target<'_>, call: &Call<'_>) -> Result<Sighting, Failure> {
        look::look(&self.api(call, Effect::Read, Goal::Publish), job, at).await
    }

    async fn check(&self, call: &Call<'_>) -> Result<Health, Failure> {
        let api = self.api(call, Effect::Read, Goal::Publish);
        let drafts = api.get("/cgi-bin/draft/count").await?;
        let count = json::number(&drafts, "total_count").unwrap_or_default();
        let mut lines = vec![
            Words::new(
                "app_id、app_secret 和 IP 白名单正常。",
                "Credentials and IP list are good.",
            ),
            Words::new(
                format!("草稿箱可用，有 {count} 篇。"),
                format!("The draft box is open and holds {count}."),
            ),
        ];
        if self.settings.mode != Mode::Mass {
            let body = json!({ "offset": 0, "count": 1, "no_content": 1 });
            let line = match api.post("/cgi-bin/freepublish/batchget", body).await {
                Ok(_) => Words::new("发布接口可用。", "Publishing calls are granted."),
                Err(failure) if self.settings.mode == Mode::Publish => return Err(failure),
                Err(_) => Words::new(
                    "看不到发布记录：人工发表后须由人填写网址。",
                    "The list of published articles is closed: a person must enter addresses.",
                ),
            };
            lines.push(line);
        }
        Ok(Health {
            lines,
            expires: None,
        })
    }

    fn pages(&self) -> Option<&dyn Pages> {
        None
    }

    fn surveys(&self) -> Option<&dyn Surveys> {
        self.caps.survey.as_ref().map(|_| self as &dyn Surveys)
    }
}

#[async_trait]
impl Surveys for WeChat {
    async fn survey(&self, call: &Call<'_>) -> Result<Surveyed, Failure> {
        survey::survey(&self.api(call, Effect::Read, Goal::Publish)).await
    }

    fn reads_as(&self, posted: &Posted, draft: &Draft) -> bool {
        survey::reads_as(posted, draft)
    }
}

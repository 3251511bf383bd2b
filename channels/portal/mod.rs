//! A portal or content system that takes articles by signed HTTP calls (市政府门户, 集约化平台).
//!
//! No two of these platforms agree on anything but HTTP, and their manuals are not public, so the
//! code knows how such calls are built, signed and judged, and the configuration knows the rest.
//! Without settings it speaks plain REST with JSON and the signatures of Standard Webhooks.
//!
//! What is pushed waits for an editor over there: accepted is not published, and only a status call
//! or the public page says otherwise. Whether a repeated push makes a second article is the
//! platform's secret until its manual says `deduplicates`; till then no push is ever repeated
//! on doubt.

mod act;
mod answer;
mod article;
mod call;
mod fate;
mod look;
mod settings;
mod sign;
mod template;
mod way;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use self::settings::Settings;
use self::wire::Api;
use crate::contract::{
    Call, Caps, Channel, Document, Draft, Effect, Entry, Evidence, Failure, Finding, Health, Job,
    LookCaps, Media, Next, Pages, Problem, Receipt, Sighting, Step, Surveys, Target, Timestamp,
    UpdateBy, WithdrawBy, Words,
};

#[derive(Debug)]
pub struct Portal {
    settings: Settings,
    caps: Caps,
}

pub fn build(entry: &Entry<'_>) -> Result<Arc<dyn Channel>, Vec<Problem>> {
    let settings = Settings::read(entry)?;
    let caps = caps(&settings);
    Ok(Arc::new(Portal { settings, caps }))
}

fn caps(settings: &Settings) -> Caps {
    let calls = &settings.calls;
    let update = if calls.update.is_some() {
        UpdateBy::InPlace
    } else if calls.withdraw.is_some() {
        UpdateBy::Replace
    } else {
        UpdateBy::None
    };
    let evidence = if settings.read_page {
        Evidence::PublicPage
    } else if calls.status.is_some() || calls.lookup.is_some() {
        Evidence::Status
    } else {
        Evidence::Person
    };
    Caps {
        account: format!("portal:{}", settings.endpoint),
        update,
        withdraw: if calls.withdraw.is_some() {
            WithdrawBy::Delete
        } else {
            WithdrawBy::Person
        },
        look: LookCaps {
            evidence,
            rows: None,
            settle: settings.settle,
            unknown_plan: if calls.lookup.is_some() {
                settings.unknown_plan.clone()
            } else {
                Vec::new()
            },
            review_plan: settings.review_plan.clone(),
            costs: Vec::new(),
        },
        survey: None,
        reviews: settings.reviews,
        repeat_when_absent: settings.repeat_when_absent,
        gathers: 1,
        limits: settings.limits.clone(),
        quotas: Vec::new(),
        overrides: vec!["title", "summary"],
    }
}

impl Portal {
    fn api<'a>(&'a self, call: &'a Call<'a>, effect: Effect) -> Api<'a> {
        Api {
            settings: &self.settings,
            call,
            effect,
        }
    }
}

#[async_trait]
impl Channel for Portal {
    fn caps(&self) -> &Caps {
        &self.caps
    }

    fn draft(&self, document: &Document, media: &dyn Media) -> Result<Draft, Vec<Finding>> {
        article::write(&self.settings, document, media)
    }

    fn next(&self, job: &Job, now: Timestamp) -> Next {
        way::next(&self.settings, job, now)
    }

    async fn perform(&self, job: &Job, step: &Step, call: &Call<'_>) -> Result<Receipt, Failure> {
        act::perform(&self.api(call, step.effect), job, step).await
    }

    async fn look(&self, job: &Job, at: Target<'_>, call: &Call<'_>) -> Result<Sighting, Failure> {
        look::look(&self.api(call, Effect::Read), job, at).await
    }

    /// Only a read proves anything without leaving something behind.
    async fn check(&self, call: &Call<'_>) -> Result<Health, Failure> {
        let line = if self.settings.calls.lookup.is_some() {
            let api = self.api(call, Effect::Read);
            look::probe(&api).await?;
            Words::new("门户的查询接口正常。", "The portal answers queries.")
        } else {
            Words::new(
                "没有配置查询接口，无法试连门户。",
                "No query call is configured, so the portal cannot be tried.",
            )
        };
        Ok(Health {
            lines: vec![line],
            expires: None,
        })
    }

    fn pages(&self) -> Option<&dyn Pages> {
        None
    }

    fn surveys(&self) -> Option<&dyn Surveys> {
        None
    }
}

const MINUTE: Duration = Duration::from_mins(1);

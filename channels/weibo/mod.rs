//! Sina Weibo, by the open platform's second API.
//!
//! One call posts and nothing stands between it and the public: no staging, no key, no update. So
//! the newest post is read first, the text is frozen, and after an unknown outcome only a list that
//! reaches back to that newest post can say that nothing arrived. The list holds five rows.
//!
//! Reads and writes share a hundred calls a day, so nothing here polls.

mod act;
mod fate;
mod look;
mod lost;
mod permalink;
mod post;
mod settings;
mod survey;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::TimeDelta;

use self::settings::{Mode, Settings};
use self::wire::Api;
use crate::contract::{
    Call, Caps, Channel, Cost, Document, Draft, Effect, Entry, Evidence, Failure, Fate, Finding,
    Goal, Health, Job, Kind, Limit, LookCaps, Media, Next, Pages, Posted, Problem, Reach, Receipt,
    Sighting, Step, SurveyCaps, Surveyed, Surveys, Target, Timestamp, Unit, UpdateBy, WithdrawBy,
    Words,
};
use crate::kit::json;

/// Rows of the timeline that the platform shows to an app.
const ROWS: u32 = 5;

/// How long a post that was taken may stay unseen; the platform names one or two minutes.
const LAG: TimeDelta = TimeDelta::minutes(10);

#[derive(Debug)]
pub struct Weibo {
    settings: Settings,
    caps: Caps,
}

pub fn build(entry: &Entry<'_>) -> Result<Arc<dyn Channel>, Vec<Problem>> {
    let settings = Settings::read(entry)?;
    let caps = caps(&settings);
    Ok(Arc::new(Weibo { settings, caps }))
}

fn caps(settings: &Settings) -> Caps {
    let limits = settings.limits;
    let limit = |field, max, unit| Limit { field, max, unit };
    let text = limit("text", limits.text, Unit::WeiboCharacters);
    let (update, withdraw, limits) = match settings.mode {
        Mode::Share => (UpdateBy::Replace, WithdrawBy::Delete, vec![text]),
        Mode::Article => {
            let title = limit("title", limits.title, Unit::Characters);
            let body = limit("body", limits.body, Unit::Characters);
            (UpdateBy::None, WithdrawBy::Person, vec![text, title, body])
        }
    };
    let one_call = Cost::one("calls");
    Caps {
        account: format!("weibo:{}", settings.uid),
        update,
        withdraw,
        look: LookCaps {
            evidence: Evidence::ReadBack,
            rows: Some(ROWS),
            settle: settings.settle,
            unknown_plan: settings.unknown_plan.clone(),
            review_plan: settings.review_plan.clone(),
            costs: vec![one_call.clone()],
        },
        survey: Some(SurveyCaps {
            rows: ROWS,
            costs: vec![one_call],
        }),
        reviews: true,
        repeat_when_absent: settings.repeat_when_absent,
        gathers: 1,
        limits,
        quotas: settings.quotas.clone(),
        overrides: vec!["text", "title", "summary"],
    }
}

impl Weibo {
    fn api<'a>(&'a self, call: &'a Call<'a>, effect: Effect, goal: Goal) -> Api<'a> {
        Api {
            settings: &self.settings,
            call,
            effect,
            withdraws: goal == Goal::Withdraw,
        }
    }
}

#[async_trait]
impl Channel for Weibo {
    fn caps(&self) -> &Caps {
        &self.caps
    }

    fn draft(&self, document: &Document, media: &dyn Media) -> Result<Draft, Vec<Finding>> {
        post::write(&self.settings, document, media)
    }

    fn next(&self, job: &Job, now: Timestamp) -> Next {
        act::next(&self.settings, job, now)
    }

    async fn perform(&self, job: &Job, step: &Step, call: &Call<'_>) -> Result<Receipt, Failure> {
        act::perform(&self.api(call, step.effect, job.goal), job, step).await
    }

    async fn look(&self, job: &Job, at: Target<'_>, call: &Call<'_>) -> Result<Sighting, Failure> {
        look::look(&self.api(call, Effect::Read, Goal::Publish), job, at).await
    }

    async fn check(&self, call: &Call<'_>) -> Result<Health, Failure> {
        let api = self.api(call, Effect::Read, Goal::Publish);
        let info = api.post("/oauth2/get_token_info", &[]).await?;
        let uid = json::id(&info, "uid").ok_or_else(|| api.incomplete("uid"))?;
        if uid != self.settings.uid {
            let words = Words::new(
                format!("令牌属于账号 {uid}，配置里写的是 {}。", self.settings.uid),
                format!(
                    "The token belongs to account {uid}, not to {}.",
                    self.settings.uid
                ),
            );
            return Err(Failure::new(
                Kind::Account,
                Fate::Blocked(Reach::Account),
                words,
            ));
        }
        let left = json::number(&info, "expire_in").or_else(|| json::number(&info, "expires_in"));
        let left = left.ok_or_else(|| api.incomplete("expire_in"))?;
        let days = left / 86_400;
        let line = Words::new(
            format!("令牌有效，还剩 {days} 天；到期须由人重新授权。"),
            format!("The token is good for {days} more days; then a person must grant it again."),
        );
        let expires =
            TimeDelta::try_seconds(left).and_then(|left| call.now().checked_add_signed(left));
        Ok(Health {
            lines: vec![line],
            expires,
        })
    }

    fn pages(&self) -> Option<&dyn Pages> {
        None
    }

    fn surveys(&self) -> Option<&dyn Surveys> {
        Some(self)
    }
}

#[async_trait]
impl Surveys for Weibo {
    async fn survey(&self, call: &Call<'_>) -> Result<Surveyed, Failure> {
        survey::survey(&self.api(call, Effect::Read, Goal::Publish)).await
    }

    fn reads_as(&self, posted: &Posted, draft: &Draft) -> bool {
        survey::reads_as(self.settings.mode, posted, draft)
    }
}

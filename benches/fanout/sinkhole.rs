//! An adapter for the sink: one step, whose answer is the evidence.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use lubu::config::Registry;
use lubu_channels::kit::settings::Reader;
use lubu_channels::registry::Build;
use lubu_channels::{
    Call, Caps, Channel, Document, Draft, Effect, Entry, Evidence, Failure, Fate, Finding, Health,
    Job, Kind, LookCaps, Match, Media, Next, Pages, Problem, Receipt, Request, Seen, Sighting,
    Step, Surveys, Target, Timestamp, Truth, UpdateBy, Verdict, WithdrawBy, Words,
};

pub fn registry() -> Registry {
    BTreeMap::from([("sink", build as Build)])
}

#[derive(Debug)]
struct Sinkhole {
    endpoint: String,
    effect: Effect,
    caps: Caps,
}

fn build(entry: &Entry<'_>) -> Result<Arc<dyn Channel>, Vec<Problem>> {
    let mut read = Reader::new(entry);
    let endpoint = read.required("endpoint");
    let effects = [
        ("idempotent", Effect::Idempotent),
        ("public", Effect::Public),
    ];
    let effect = read.choice("effect", &effects, Effect::Idempotent);
    let caps = Caps {
        account: format!("sink:{}", entry.name),
        update: UpdateBy::InPlace,
        withdraw: WithdrawBy::Delete,
        look: LookCaps {
            evidence: Evidence::Status,
            rows: None,
            settle: Duration::from_mins(1),
            unknown_plan: vec![Duration::from_mins(1)],
            review_plan: vec![Duration::from_mins(1)],
            costs: Vec::new(),
        },
        survey: None,
        reviews: false,
        repeat_when_absent: false,
        gathers: 1,
        limits: Vec::new(),
        quotas: Vec::new(),
        overrides: Vec::new(),
    };
    read.finish(Arc::new(Sinkhole {
        endpoint,
        effect,
        caps,
    }) as Arc<dyn Channel>)
}

#[async_trait]
impl Channel for Sinkhole {
    fn caps(&self) -> &Caps {
        &self.caps
    }

    fn draft(&self, document: &Document, _media: &dyn Media) -> Result<Draft, Vec<Finding>> {
        let content = serde_json::json!({ "title": document.title, "body": document.body });
        Ok(Draft {
            content: content.to_string(),
            preview: String::new(),
            media: Vec::new(),
        })
    }

    fn next(&self, job: &Job, _now: Timestamp) -> Next {
        if job.progress.has("put") {
            return Next::Done;
        }
        Next::Run(Step::new("put", self.effect).shows())
    }

    async fn perform(&self, job: &Job, _step: &Step, call: &Call<'_>) -> Result<Receipt, Failure> {
        let body = job
            .sole()
            .map(|subject| subject.draft.content.clone())
            .unwrap_or_default();
        let mut request =
            Request::new(Method::POST, &self.endpoint).body("application/json", body.into_bytes());
        request.fresh = self.effect == Effect::Public;
        let reply = call.http.send(request).await;
        if !reply.is_ok_and(|reply| reply.is_success()) {
            let words = Words::new("没有收下", "was not taken");
            return Err(Failure::new(Kind::Transport, Fate::Unsure, words));
        }
        let seen = Seen {
            place: 0,
            verdict: Verdict::Live(Match::Same),
            remote_id: None,
            address: None,
            evidence: Evidence::Status,
        };
        let progress = job.progress.clone().with("put", "1");
        Ok(Receipt {
            progress,
            seen: vec![seen],
            request_id: None,
        })
    }

    async fn look(&self, job: &Job, _at: Target<'_>, _: &Call<'_>) -> Result<Sighting, Failure> {
        let why = Words::new("看不到", "cannot look");
        let truth = Truth::CannotTell(why);
        Ok(Sighting {
            progress: job.progress.clone(),
            truth,
            seen: Vec::new(),
        })
    }

    async fn check(&self, _call: &Call<'_>) -> Result<Health, Failure> {
        Ok(Health {
            lines: Vec::new(),
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

//! The suite itself can fail: each sin of a small adapter breaks the case that is meant to catch it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use serde_json::{Value, json};

use super::{Album, Rig, owed, reply, sample, stretched};
use crate::conformance::Case;
use crate::contract::{
    Call, Caps, Channel, Document, Draft, Effect, Evidence, Failure, Fate, Finding, Goal, Health,
    Job, Kind, Limit, LookCaps, Match, Media, Next, Pages, Problem, Quota, Receipt, RemovedBy,
    Reply, Request, Seen, Sighting, Step, Surveys, Target, Timestamp, Truth, Unit, UpdateBy,
    Verdict, Window, WithdrawBy, Words,
};
use crate::kit::{exchange, json, text};

/// What the small adapter does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sin {
    None,
    UnknownQuota,
    ImpureDraft,
    NoLimit,
    TakesAnySetting,
    OneNameTwice,
    NeverPublishes,
    PostsTwice,
    PublicCalledIdempotent,
    LookPosts,
    Pooled,
    UpdatePostsAgain,
    WithdrawalForgets,
    GoneIsFailure,
    GoneForGood,
    DeniesWhatItForgot,
    StagedWithdrawalPublishes,
    UnsentIsUnsure,
    LostIsAgain,
    GarbageIsSuccess,
    TokenTroubleIsUnsure,
    RefusalIsSuccess,
    NeverFinds,
    GuessesApplied,
    IgnoresTheWindow,
    BrokenLookIsAbsent,
    RepeatsWhatItHears,
    /// No sin, but another cap.
    UpdatesInPlace,
    UpdateMoves,
}

const SECRET: &str = "toy-secret-token";

#[derive(Debug)]
struct Toy {
    sin: Sin,
    caps: Caps,
    drafts: AtomicU32,
}

fn toy(sin: Sin) -> Toy {
    let minutes = Duration::from_mins;
    let quota = if sin == Sin::UnknownQuota {
        "none"
    } else {
        "posts"
    };
    let caps = Caps {
        account: "toy".into(),
        update: match sin {
            Sin::UpdatesInPlace | Sin::UpdateMoves => UpdateBy::InPlace,
            _ => UpdateBy::Replace,
        },
        withdraw: WithdrawBy::Delete,
        look: LookCaps {
            evidence: Evidence::ReadBack,
            rows: Some(3),
            settle: minutes(1),
            unknown_plan: vec![minutes(1)],
            review_plan: vec![minutes(1)],
            costs: Vec::new(),
        },
        survey: None,
        reviews: false,
        repeat_when_absent: true,
        gathers: 1,
        limits: vec![Limit {
            field: "title",
            max: 40,
            unit: Unit::Characters,
        }],
        quotas: vec![Quota {
            name: quota.into(),
            window: Window::Day,
            limit: 9,
            reserve: 0,
        }],
        overrides: Vec::new(),
    };
    Toy {
        sin,
        caps,
        drafts: AtomicU32::new(0),
    }
}

impl Toy {
    fn failure(&self, trouble: &crate::contract::Trouble, effect: Effect) -> Failure {
        let mut failure = exchange::lost(&Words::new("玩具", "Toy"), effect, trouble);
        match self.sin {
            Sin::UnsentIsUnsure => failure.fate = Fate::Unsure,
            Sin::LostIsAgain => failure.fate = Fate::Again { not_before: None },
            _ => {}
        }
        failure
    }

    async fn call(&self, call: &Call<'_>, effect: Effect, path: &str) -> Result<Value, Failure> {
        let name = Words::new("玩具", "Toy");
        let mut request =
            Request::new(Method::POST, format!("https://toy/{path}")).header("token", SECRET);
        request.fresh = effect == Effect::Public && self.sin != Sin::Pooled;
        let sent = call.http.send(request).await;
        let reply = sent.map_err(|trouble| self.failure(&trouble, effect))?;
        if let Some(failure) = exchange::broken(&name, effect, &reply, call.now()) {
            return Err(failure);
        }
        let body = match json::parse(&reply.body).filter(Value::is_object) {
            Some(body) if reply.is_success() => body,
            _ if self.sin == Sin::GarbageIsSuccess => json!({ "id": "?" }),
            _ => return Err(exchange::unreadable(&name, effect, &reply, "no object")),
        };
        match json::id(&body, "no") {
            Some(_) if self.sin == Sin::RefusalIsSuccess => Ok(body),
            Some(said) => {
                let heard = self.sin == Sin::RepeatsWhatItHears;
                let said = if heard { said } else { "no".to_owned() };
                let kind = if body["gone"] == true {
                    Kind::Gone
                } else {
                    Kind::Content
                };
                Err(Failure::new(kind, Fate::Never, Words::new("拒收。", "Refused.")).private(said))
            }
            None => Ok(body),
        }
    }
}

#[async_trait]
impl Channel for Toy {
    fn caps(&self) -> &Caps {
        &self.caps
    }

    fn draft(&self, document: &Document, _media: &dyn Media) -> Result<Draft, Vec<Finding>> {
        let actual = text::characters(&document.title);
        if actual > 40 && self.sin != Sin::NoLimit {
            let words = Words::new("标题太长。", "The title is too long.");
            let field = "title".to_owned();
            return Err(vec![Finding {
                field,
                limit: Some(40),
                actual: Some(actual),
                words,
            }]);
        }
        let count = self.drafts.fetch_add(1, Ordering::SeqCst);
        let count = if self.sin == Sin::ImpureDraft {
            count
        } else {
            0
        };
        let content = format!("{}{}{count}", document.title, document.revision);
        Ok(Draft {
            preview: "<p></p>".into(),
            content,
            media: Vec::new(),
        })
    }

    fn next(&self, job: &Job, _now: Timestamp) -> Next {
        let facts = &job.progress;
        let flip = if self.sin == Sin::PublicCalledIdempotent {
            Effect::Idempotent
        } else {
            Effect::Public
        };
        let anew = self.sin == Sin::UpdatePostsAgain && job.goal == Goal::Update;
        let wrong = self.sin == Sin::StagedWithdrawalPublishes && facts.has("staged");
        let publishes = wrong && !facts.has("live");
        if job.goal == Goal::Withdraw && !publishes {
            let gone =
                facts.has("gone") || !facts.has("live") || self.sin == Sin::WithdrawalForgets;
            let delete = Step::new("delete", Effect::Idempotent).shows();
            return if gone { Next::Done } else { Next::Run(delete) };
        }
        let stage = Step::new("stage", Effect::Staged);
        match (facts.has("staged"), facts.has("live")) {
            (false, _) => Next::Run(stage),
            (true, _) if self.sin == Sin::NeverPublishes => Next::Done,
            (true, false) => {
                let twice = self.sin == Sin::OneNameTwice;
                let name = if twice { "stage" } else { "flip" };
                Next::Run(Step::new(name, flip).shows().costs("posts", 1))
            }
            (true, true) if anew && !facts.has("again") => {
                Next::Run(Step::new("again", Effect::Public).shows())
            }
            (true, true) => Next::Done,
        }
    }

    async fn perform(&self, job: &Job, step: &Step, call: &Call<'_>) -> Result<Receipt, Failure> {
        let before = if self.sin == Sin::TokenTroubleIsUnsure {
            step.effect
        } else {
            Effect::Read
        };
        self.call(call, before, "token").await?;
        let facts = job.progress.clone();
        let live = step.effect == Effect::Public || step.name == "flip" || facts.has("staged");
        let progress = match step.name.as_str() {
            "delete" => {
                match self.call(call, step.effect, "delete").await {
                    Err(failure)
                        if failure.kind == Kind::Gone && self.sin != Sin::GoneIsFailure => {}
                    other => drop(other?),
                }
                facts.with("gone", "1")
            }
            "again" => {
                self.call(call, step.effect, "publish").await?;
                facts.with("again", "1")
            }
            _ if live => {
                self.call(call, step.effect, "publish").await?;
                if self.sin == Sin::PostsTwice {
                    self.call(call, step.effect, "publish").await?;
                }
                facts.with("live", "1")
            }
            _ => {
                self.call(call, step.effect, "stage").await?;
                facts.with("staged", "1")
            }
        };
        Ok(Receipt {
            progress,
            ..Receipt::default()
        })
    }

    async fn look(&self, job: &Job, at: Target<'_>, call: &Call<'_>) -> Result<Sighting, Failure> {
        if self.sin == Sin::LookPosts {
            self.call(call, Effect::Read, "publish").await?;
        }
        let listed = self.call(call, Effect::Read, "list").await;
        let absent = Sighting {
            progress: job.progress.clone(),
            truth: Truth::Absent,
            seen: Vec::new(),
        };
        let body = match listed {
            Err(_) if self.sin == Sin::BrokenLookIsAbsent => return Ok(absent),
            other => other?,
        };
        let (Some(live), Some(staged)) =
            (json::number(&body, "live"), json::number(&body, "staged"))
        else {
            return if self.sin == Sin::BrokenLookIsAbsent {
                Ok(absent)
            } else {
                Err(Failure::new(
                    Kind::Garbled,
                    Fate::Again { not_before: None },
                    Words::new("读不懂。", "Odd."),
                ))
            };
        };
        let mut facts = job.progress.clone();
        if live > 0 && self.sin != Sin::GoneForGood {
            facts = facts.without("gone");
        }
        let (there, fact) = match at {
            Target::Step { step, .. } if step.name == "stage" => (staged > 0, "staged"),
            Target::Step { .. } | Target::Copies | Target::Unrecorded { .. } => (live > 0, "live"),
        };
        let blind = json::flag(&body, "crowded") && self.sin != Sin::IgnoresTheWindow;
        let truth = match (there, self.sin) {
            (_, Sin::NeverFinds) | (false, _) if !blind && self.sin != Sin::GuessesApplied => {
                Truth::Absent
            }
            (false, sin) if sin != Sin::GuessesApplied => {
                Truth::CannotTell(Words::new("挤掉了。", "Out of sight."))
            }
            _ => {
                facts.set("staged", "1");
                facts.set(fact, "1");
                Truth::Applied
            }
        };
        let forgot = !job.progress.has("live") && self.sin == Sin::DeniesWhatItForgot;
        let verdict = match at {
            _ if live > 0 && !forgot => Verdict::Live(Match::Same),
            Target::Unrecorded { .. } if blind => {
                Verdict::CannotTell(Words::new("挤掉了。", "Out of sight."))
            }
            Target::Unrecorded { .. } => Verdict::Absent,
            Target::Step { .. } | Target::Copies => Verdict::Removed(RemovedBy::Owner),
        };
        let moves = self.sin == Sin::UpdateMoves && job.goal == Goal::Update;
        let address = if moves {
            "b".to_owned()
        } else {
            "a".to_owned()
        };
        let seen = Seen {
            place: 0,
            verdict,
            remote_id: None,
            address: Some(address),
            evidence: Evidence::ReadBack,
        };
        Ok(Sighting {
            progress: facts,
            truth,
            seen: vec![seen],
        })
    }

    async fn check(&self, call: &Call<'_>) -> Result<Health, Failure> {
        self.call(call, Effect::Read, "list").await?;
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

#[derive(Default)]
struct Shelf {
    staged: u32,
    live: usize,
    crowded: bool,
}

struct ToyRig {
    sin: Sin,
    shelf: Mutex<Shelf>,
    album: Album,
}

impl ToyRig {
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap()
    }
}

impl Rig for ToyRig {
    fn build(&self, more: toml::Table) -> Result<Arc<dyn Channel>, Vec<Problem>> {
        if let (Some(key), true) = (more.keys().next(), self.sin != Sin::TakesAnySetting) {
            return Err(vec![Problem::new(
                key,
                Words::new("没有这一项。", "is unknown."),
            )]);
        }
        Ok(Arc::new(toy(self.sin)))
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
        let mut on = self.shelf();
        let body = match request.place().trim_start_matches("https://toy/") {
            "stage" => {
                on.staged += 1;
                json!({ "id": 1 })
            }
            "publish" => {
                on.live += 1;
                json!({ "id": 2 })
            }
            "delete" if on.live == 0 => json!({ "no": "gone", "gone": true }),
            "delete" => {
                on.live = 0;
                json!({ "id": 2 })
            }
            _ => json!({ "staged": on.staged, "live": on.live, "crowded": on.crowded }),
        };
        reply(200, body.to_string())
    }

    fn changes(&self, request: &Request) -> bool {
        ["stage", "publish", "delete"]
            .iter()
            .any(|path| request.place().ends_with(path))
    }

    fn copies(&self) -> usize {
        self.shelf().live
    }

    fn settle(&self) {}

    fn person(&self, _now: Timestamp) {}

    fn remove(&self) {
        self.shelf().live = 0;
    }

    fn comes_back(&self) {
        self.shelf().live = 1;
    }

    fn crowd(&self, _now: Timestamp) {
        self.shelf().crowded = true;
    }

    fn secrets(&self) -> Vec<String> {
        vec![SECRET.into()]
    }

    fn refusal(&self, said: &str) -> Option<Reply> {
        Some(reply(200, json!({ "no": said }).to_string()))
    }
}

async fn outcome(sin: Sin, case: Case) -> super::Outcome {
    let make = move || -> Arc<dyn Rig> {
        Arc::new(ToyRig {
            sin,
            shelf: Mutex::default(),
            album: sample::picture().1,
        })
    };
    case.check(&make).await
}

#[tokio::test]
async fn an_adapter_that_keeps_its_promises_passes_every_case_it_owes() {
    let cases = owed(&toy(Sin::None).caps);
    assert_eq!(cases.len(), 26, "all but the case of updates in place");
    for case in cases {
        assert_eq!(outcome(Sin::None, case).await, Ok(()), "{}", case.claim());
    }
    for case in owed(&toy(Sin::UpdatesInPlace).caps) {
        assert_eq!(
            outcome(Sin::UpdatesInPlace, case).await,
            Ok(()),
            "{}",
            case.claim()
        );
    }
}

#[tokio::test]
async fn every_sin_is_caught_by_the_case_that_is_meant_for_it() {
    for (sin, case) in [
        (Sin::UnknownQuota, Case::CapsHold),
        (Sin::ImpureDraft, Case::DraftPure),
        (Sin::NoLimit, Case::DraftLimits),
        (Sin::TakesAnySetting, Case::Settings),
        (Sin::OneNameTwice, Case::NextPure),
        (Sin::NeverPublishes, Case::Publish),
        (Sin::PostsTwice, Case::OneChange),
        (Sin::PostsTwice, Case::Publish),
        (Sin::PublicCalledIdempotent, Case::Crash),
        (Sin::LookPosts, Case::Looking),
        (Sin::Pooled, Case::Fresh),
        (Sin::UpdatePostsAgain, Case::UpdateElse),
        (Sin::WithdrawalForgets, Case::Withdraw),
        (Sin::GoneIsFailure, Case::WithdrawGone),
        (Sin::GoneForGood, Case::WithdrawUndone),
        (Sin::StagedWithdrawalPublishes, Case::WithdrawStaged),
        (Sin::DeniesWhatItForgot, Case::Unrecorded),
        (Sin::UnsentIsUnsure, Case::Unsent),
        (Sin::LostIsAgain, Case::Lost),
        (Sin::GarbageIsSuccess, Case::Unreadable),
        (Sin::TokenTroubleIsUnsure, Case::Before),
        (Sin::RefusalIsSuccess, Case::Refusal),
        (Sin::NeverFinds, Case::Found),
        (Sin::GuessesApplied, Case::NotGuessed),
        (Sin::IgnoresTheWindow, Case::Crowd),
        (Sin::BrokenLookIsAbsent, Case::BrokenLook),
        (Sin::RepeatsWhatItHears, Case::Secrets),
        (Sin::UpdateMoves, Case::UpdateInPlace),
    ] {
        assert!(
            outcome(sin, case).await.is_err(),
            "{sin:?} passes {}",
            case.claim()
        );
    }
}

//! One delivery's way, as far as it goes now. The order of lines is the recovery story.
//!
//! A crash
//! 1. before the intent is answered: nothing was sent; the delivery is due as before;
//! 2. after it and before the outcome is answered: the start finds the step open and calls the
//!    outcome unknown (`engine::recover`); what follows is decided by the step's effect;
//! 3. after the outcome is answered: the next step begins from the saved progress.
//!
//! Nothing is told to anyone before line 3. A look changes nothing on the platform: a crash in it
//! costs a look.

use lubu_channels::{
    Failure, Fate, Health, Job, Kind, Next, Reach, Step, Target, Timestamp, Words,
};

use tokio_util::sync::CancellationToken;

use super::Bench;
use super::compose::compose;
use super::look::look;
use crate::model::channel::Pause;
use crate::model::delivery::{Delivery, Event, JobNow, State, Why};
use crate::planted::{self, Bug, bug};
use crate::store::act::LaneNews;
use crate::store::{Act, Answer, Refusal, StoreError};

/// Between asking for an intent and the first byte of its step: what was allowed before may be
/// forbidden by now.
const SEND_WINDOW: chrono::TimeDelta = chrono::TimeDelta::seconds(5);

/// What the lane learns from one go.
#[derive(Debug)]
pub struct Report {
    /// The delivery as it stands now.
    pub delivery: Box<Delivery>,
    /// Other lanes' deliveries that may go on.
    pub released: Vec<Delivery>,
    /// How the channel behaved, for the breaker.
    pub health: Behaved,
    /// The account is blocked: the lane pauses.
    pub pause: Option<Pause>,
    /// A step that runs once for all that wait before it.
    pub burst: Option<Box<Ready>>,
    /// A look came to nothing that stands there: what the platform shows is asked before anything is sent for it.
    pub missed: bool,
}

/// A step that is ready to run.
#[derive(Debug)]
pub struct Ready {
    pub job: Job,
    pub now: JobNow,
    pub step: Step,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaved {
    /// It was not asked anything.
    Unasked,
    Well,
    Badly,
}

impl Report {
    fn new(delivery: Box<Delivery>) -> Self {
        Self {
            delivery,
            released: Vec::new(),
            health: Behaved::Unasked,
            pause: None,
            burst: None,
            missed: false,
        }
    }
}

/// Whether this lane may start a `Public` step now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicSteps {
    Free,
    /// Another post of the account is unconfirmed, and a new one would push it out of sight.
    Until(Timestamp),
}

/// Takes the delivery as far as it goes now, or until these settings are over.
pub async fn work(
    bench: &Bench,
    delivery: Box<Delivery>,
    public: PublicSteps,
    over: &CancellationToken,
) -> Report {
    let mut report = Report::new(delivery);
    while !over.is_cancelled() {
        let now = bench.shared.time.now();
        let moved = match report.delivery.state.clone() {
            State::Due { at, .. } if at <= now => advance(bench, &mut report, now, public).await,
            State::Unknown(unknown) if unknown.at.is_some_and(|at| at <= now) => {
                let (began, ended) = (unknown.began, unknown.ended);
                let target = Target::Step {
                    step: &unknown.step,
                    began,
                    ended,
                };
                look(bench, &mut report, target, now).await
            }
            State::Review { at, .. } | State::Held { at: Some(at), .. } if at <= now => {
                let target = match report.delivery.unrecorded_since() {
                    Some(since) => Target::Unrecorded { since },
                    None => Target::Copies,
                };
                look(bench, &mut report, target, now).await
            }
            _ => return report,
        };
        match moved {
            Ok(Moved::On) => {}
            Ok(Moved::Stop) => return report,
            Err(error) => {
                return stumbled(bench, report, &error).await;
            }
        }
    }
    report
}

pub(super) enum Moved {
    On,
    Stop,
}

/// What keeps a go from going on, other than the platform.
pub(super) enum Stumble {
    Store(StoreError),
    /// The signed bytes are not there.
    NoDraft,
}

impl From<StoreError> for Stumble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

async fn advance(
    bench: &Bench,
    report: &mut Report,
    now: Timestamp,
    public: PublicSteps,
) -> Result<Moved, Stumble> {
    let Some(plan) = report.delivery.plan(&bench.policy) else {
        return Ok(Moved::Stop);
    };
    let job = compose(bench, &report.delivery, &plan).await?;
    match bench.channel.next(&job, now) {
        Next::Run(step) if step.burst => {
            report.burst = Some(Box::new(Ready {
                job,
                now: plan,
                step,
            }));
            Ok(Moved::Stop)
        }
        Next::Run(step) => {
            if let (PublicSteps::Until(until), true) = (public, may_double(&step)) {
                settle(
                    bench,
                    report,
                    Event::Postponed {
                        until,
                        why: Why::OtherUnknown,
                    },
                    None,
                )
                .await?;
                return Ok(Moved::Stop);
            }
            run(
                bench,
                report,
                Ready {
                    job,
                    now: plan,
                    step,
                },
            )
            .await
        }
        Next::Wait { until, why } => {
            let event = Event::Postponed {
                // A wait that is over already would be asked about without end.
                until: until.max(now + std::time::Duration::from_secs(1)),
                why: Why::Platform(why),
            };
            settle(bench, report, event, None).await.map(|()| Moved::On)
        }
        Next::Person { todo, look_at } => {
            settle(bench, report, Event::Person { todo, look_at }, None)
                .await
                .map(|()| Moved::On)
        }
        Next::Done => settle(bench, report, Event::Finished, None)
            .await
            .map(|()| Moved::On),
    }
}

fn may_double(step: &Step) -> bool {
    step.effect == lubu_channels::Effect::Public
}

async fn run(bench: &Bench, report: &mut Report, ready: Ready) -> Result<Moved, Stumble> {
    let asked = bench.shared.time.now();
    let early = if bug(Bug::B2) {
        Some(perform(bench, &ready, false).await)
    } else {
        None
    };
    // 1. The intent, with approval, withdrawal, order and quota checked in the same act.
    let Some(working) = intend(bench, &report.delivery, &ready).await? else {
        return refresh(bench, report).await;
    };
    let repeat = is_repeat(&report.delivery, &ready);
    report.delivery = working;
    if !matches!(report.delivery.state, State::Working { .. }) {
        // It waits for another channel, or for a quota.
        return Ok(Moved::Stop);
    }
    // Whoever was stopped here for long asks again: a withdrawal or a stop may have come since.
    if is_too_late(bench, asked) {
        settle(bench, report, unsent(), None).await?;
        return Ok(Moved::Stop);
    }
    // 2. The call. Until line 3 is answered nobody but the platform knows what came of it.
    let outcome = match early {
        Some(outcome) => outcome,
        None => perform(bench, &ready, repeat).await,
    };
    let outcome = planted::believed(outcome, &ready.job, &ready.step);
    // 3. The outcome.
    record(bench, report, outcome).await
}

pub(super) fn is_too_late(bench: &Bench, asked: Timestamp) -> bool {
    bench.shared.time.now() - asked > SEND_WINDOW
}

/// The platform has no part in it, so that it is no try.
pub(super) fn unsent() -> Event {
    Event::Unsent {
        why: Words::new(
            "准许发送后耽搁过久，没有发出，将重新申请",
            "too long passed after the intent; nothing was sent, and it is asked for again",
        ),
    }
}

/// An earlier run of this step, with the same content, may have been applied.
pub(super) fn is_repeat(delivery: &Delivery, ready: &Ready) -> bool {
    let same = delivery
        .job
        .as_ref()
        .is_some_and(|job| job.goal == ready.now.goal && job.draft == ready.now.draft);
    let doubt = delivery.doubt.as_ref();
    same && doubt.is_some_and(|doubt| !doubt.echo && doubt.step.name == ready.step.name)
}

/// `None` when the delivery is not what it was taken for.
pub(super) async fn intend(
    bench: &Bench,
    delivery: &Delivery,
    ready: &Ready,
) -> Result<Option<Box<Delivery>>, StoreError> {
    let act = Act::Intent {
        id: delivery.id,
        version: delivery.version,
        job: Box::new(ready.now.clone()),
        step: ready.step.clone(),
    };
    match bench.shared.store.act(act).await {
        Ok(Answer::Go(after) | Answer::Moved(after)) => Ok(Some(after)),
        Ok(_)
        | Err(StoreError::Refused(
            Refusal::Stale
            | Refusal::Withdrawn
            | Refusal::Paused
            | Refusal::Halted(_)
            | Refusal::NotAdopted
            // It left the configuration a moment ago.
            | Refusal::NoChannel(_),
        )) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) async fn perform(
    bench: &Bench,
    ready: &Ready,
    repeat: bool,
) -> Result<lubu_channels::Receipt, Failure> {
    let call = bench.call(repeat);
    let grace = bench.call_within + std::time::Duration::from_secs(5);
    let done = bench.channel.perform(&ready.job, &ready.step, &call);
    tokio::time::timeout(grace, done).await.unwrap_or_else(|_| {
        let words = Words::new(
            "超过规定时间没有结束，结果不明",
            "it did not end in time; the outcome is unknown",
        );
        Err(Failure::new(Kind::Transport, Fate::Unsure, words))
    })
}

/// Writes the outcome and what the lane learnt from it.
pub(super) async fn record(
    bench: &Bench,
    report: &mut Report,
    outcome: Result<lubu_channels::Receipt, Failure>,
) -> Result<Moved, Stumble> {
    let id = report.delivery.id;
    match outcome {
        Ok(receipt) => {
            report.health = Behaved::Well;
            metrics::counter!("lubu_steps_total", "outcome" => "done").increment(1);
            settle(bench, report, Event::Done { receipt }, None).await?;
            Ok(Moved::On)
        }
        Err(failure) => {
            let channel = &bench.policy.name;
            tracing::warn!(
                delivery.id = %id, channel, code = failure.code, private = failure.private,
                "delivery {id} on {channel}: {}", failure.public.en
            );
            metrics::counter!("lubu_steps_total", "outcome" => fate_name(failure.fate))
                .increment(1);
            report.health = behaved(&failure);
            let pause = blocked(bench, &failure, bench.shared.time.now());
            report.pause.clone_from(&pause);
            let news = pause.map(LaneNews::Paused);
            settle(bench, report, Event::Failed { failure }, news).await?;
            // The lane hears of every failure, and decides whether it is still open.
            Ok(Moved::Stop)
        }
    }
}

fn fate_name(fate: Fate) -> &'static str {
    match fate {
        Fate::Again { .. } => "again",
        Fate::Never => "never",
        Fate::Blocked(_) => "blocked",
        Fate::Unsure => "unsure",
    }
}

/// Refusals of content say nothing about the channel.
pub(super) fn behaved(failure: &Failure) -> Behaved {
    match failure.kind {
        Kind::Connect | Kind::Transport | Kind::Garbled | Kind::Platform => Behaved::Badly,
        Kind::Throttled | Kind::Account | Kind::Local | Kind::Request => Behaved::Unasked,
        Kind::Content | Kind::Gone | Kind::Duplicate => Behaved::Well,
    }
}

/// A pause of the lane, where the account is blocked. Whatever was asked under former settings says nothing of the present
/// ones: its credentials may have been changed for that very reason.
pub(super) fn blocked(bench: &Bench, failure: &Failure, now: Timestamp) -> Option<Pause> {
    if failure.fate != Fate::Blocked(Reach::Account) {
        return None;
    }
    if bench.replaced.is_cancelled() {
        let name = &bench.policy.name;
        tracing::warn!(
            channel = name,
            "{name} refused a call of the former settings; the lane goes on by the present ones"
        );
        return None;
    }
    Some(Pause {
        why: failure.public.clone(),
        by: None,
        at: now,
        until: None,
    })
}

/// Records an event; an outcome is tried again until it is written, since losing it would make a
/// known outcome unknown.
pub(super) async fn settle(
    bench: &Bench,
    report: &mut Report,
    event: Event,
    lane: Option<LaneNews>,
) -> Result<(), Stumble> {
    let dice = bench.shared.dice.roll();
    loop {
        let act = Act::Settle {
            id: report.delivery.id,
            version: report.delivery.version,
            event: Box::new(event.clone()),
            dice,
            lane: lane.clone(),
        };
        match bench.shared.store.act(act).await {
            Ok(Answer::Settled(after, released)) => {
                report.delivery = after;
                report.released.extend(released);
                return Ok(());
            }
            Ok(_) => return Ok(()),
            Err(StoreError::Unavailable(why)) if !bench.shared.stop.is_cancelled() => {
                tracing::error!("an outcome waits to be written: {}", why.en);
                let later = bench.shared.time.now() + std::time::Duration::from_secs(1);
                bench.shared.time.sleep_until(later).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads the delivery again: somebody changed it.
async fn refresh(bench: &Bench, report: &mut Report) -> Result<Moved, Stumble> {
    let before = report.delivery.version;
    if let Some(delivery) = bench.shared.store.delivery(report.delivery.id).await? {
        *report.delivery = delivery;
    }
    // Unchanged: the lane is paused, or was refused for a reason that time will not cure here.
    Ok(if report.delivery.version == before {
        Moved::Stop
    } else {
        Moved::On
    })
}

async fn stumbled(bench: &Bench, mut report: Report, stumble: &Stumble) -> Report {
    let id = report.delivery.id;
    match stumble {
        Stumble::Store(StoreError::Refused(Refusal::Stale)) => {}
        Stumble::Store(error) => tracing::error!(delivery.id = %id, "delivery {id}: {error}"),
        Stumble::NoDraft => {
            tracing::error!(delivery.id = %id, "delivery {id}: its signed draft is missing or damaged");
            let until = bench.shared.time.now() + std::time::Duration::from_mins(10);
            let words = Words::new(
                "签发的稿样读不出来，请从备份恢复或重新签发",
                "the signed draft cannot be read; restore it from a backup or approve again",
            );
            let event = Event::Postponed {
                until,
                why: Why::Platform(words),
            };
            drop(settle(bench, &mut report, event, None).await);
        }
    }
    if let Ok(Some(delivery)) = bench.shared.store.delivery(id).await {
        *report.delivery = delivery;
    }
    report
}

impl Bench {
    /// Tries the channel's credentials; ends in time whatever the adapter does.
    pub async fn check(&self) -> Result<Health, Failure> {
        let call = self.call(false);
        let grace = self.call_within + std::time::Duration::from_secs(5);
        let checked = tokio::time::timeout(grace, self.channel.check(&call)).await;
        checked.unwrap_or_else(|_| {
            let words = Words::new("超过规定时间没有结束", "it did not end in time");
            let again = Fate::Again { not_before: None };
            Err(Failure::new(Kind::Transport, again, words))
        })
    }
}

//! One more look at something that rests as published, and what is made of it.
//!
//! The lane makes the look, after everything that is due; nothing waits for it, it spends no attempt
//! and does not count for the breaker. What it saw is judged by `model::finding` and written only where
//! that is news. Nothing is ever sent because of it: whatever moved the delivery meanwhile makes the
//! look stale, and a stale look is dropped.

use lubu_channels::{Failure, Fate, Kind as FailureKind, Target, Timestamp, Words};
use tokio::sync::oneshot;

use super::compose::compose;
use super::look::look_in_time;
use super::suspects::{self, Work};
use super::till::spend;
use super::{Bench, Hub};
use crate::ids::DeliveryId;
use crate::model::delivery::Delivery;
use crate::model::finding::{self, Finding, Kind, Look, News, Standing, Suspicion, Watch};
use crate::store::act::Share;
use crate::store::{Act, Answer, Refusal, StoreError, Stored};

/// A look that a lane is asked for. It is made when nothing is due.
#[derive(Debug)]
pub struct Ask {
    pub delivery: Box<Delivery>,
    /// Of the quota, for what the look needs beyond what was paid for.
    pub share: Share,
    pub answer: oneshot::Sender<Looked>,
}

#[derive(Debug)]
pub enum Looked {
    At(Look),
    /// The lane is paused, or its breaker open.
    Closed,
    /// The signed bytes are not there to compare with.
    NoDraft,
    /// The process died with it at work, and it is not its turn yet.
    Suspect,
}

/// What came of one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    pub what: What,
    pub news: Option<News>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Well,
    Found(Finding),
    /// Seen so once; a second look from then on settles it.
    Suspect(Timestamp),
    /// The platform answered, and could not tell.
    Untold,
    /// The look failed, or could not tell what looks could tell before.
    Blind,
    /// It is not at rest any more, or was not looked at for another reason of its own.
    Moved,
    /// Nothing of this channel can be looked at now.
    Shut(Words),
}

/// By the lane, in a task of its own. Dropped at a stop: a look changes nothing.
pub(super) async fn answer(bench: &Bench, ask: Ask) {
    let now = bench.shared.time.now();
    let work = Work::Delivery(ask.delivery.id);
    let looking = async {
        let suspects = &bench.shared.suspects;
        if suspects.deaths(work) >= suspects::MOST {
            return Looked::At(Look::Failed(Box::new(too_deadly())));
        }
        let Ok(_at_work) = suspects.enter(work, now) else {
            return Looked::Suspect;
        };
        let Some(sent) = ask.delivery.job.clone() else {
            return Looked::NoDraft;
        };
        let Ok(job) = compose(bench, &ask.delivery, &sent).await else {
            return Looked::NoDraft;
        };
        Looked::At(
            match look_in_time(bench, &job, Target::Copies, now, ask.share).await {
                Ok(sighting) => Look::Saw(Box::new(sighting)),
                Err(failure) => Look::Failed(Box::new(failure)),
            },
        )
    };
    tokio::select! {
        biased;
        () = bench.shared.stop.cancelled() => {}
        looked = looking => {
            // Whoever asked may have gone.
            let _gone = ask.answer.send(looked);
        }
    }
}

/// Nobody looks any more, so nobody may go on saying that it is there: it counts as a look that failed.
fn too_deadly() -> Failure {
    let words = Words::new(
        "核对它时程序多次中断，不再自动核对，请到平台上核实",
        "the process died too often while it was looked at; look on the platform",
    );
    Failure::new(FailureKind::Local, Fate::Again { not_before: None }, words)
}

/// Until when looks that can wait must wait, if their share of a quota is used up.
pub(super) async fn pay(bench: &Bench, share: Share, looks: u32) -> Stored<Option<Timestamp>> {
    spend(bench, share, looks).await
}

/// Looks at one delivery, and records what is new about it.
pub(super) async fn check(
    bench: &Bench,
    hub: &Hub,
    id: DeliveryId,
    share: Share,
) -> Stored<Checked> {
    let store = &bench.shared.store;
    let watch = store.watch(id).await?;
    let Some(delivery) = store.delivery(id).await? else {
        return Ok(plain(What::Moved));
    };
    if !finding::is_watched(&delivery, watch.as_ref()) {
        return Ok(plain(What::Moved));
    }
    let looked = hub.ask(&delivery, share).await;
    let look = match looked {
        Some(Looked::At(look)) => look,
        Some(Looked::Closed) => return Ok(plain(What::Shut(closed()))),
        Some(Looked::NoDraft) => {
            tracing::error!(delivery.id = %id, "delivery {id}: its signed draft is missing or damaged");
            return Ok(plain(What::Moved));
        }
        Some(Looked::Suspect) => {
            tracing::warn!(delivery.id = %id, "delivery {id}: the process died while it was looked at; it is left to the next pass");
            return Ok(plain(What::Moved));
        }
        None => return Ok(plain(What::Moved)),
    };
    if let Look::Failed(failure) = &look
        && (matches!(failure.fate, Fate::Blocked(_))
            || matches!(failure.kind, FailureKind::Account | FailureKind::Throttled))
    {
        return Ok(plain(What::Shut(failure.public.clone())));
    }
    record(bench, hub, &delivery, watch, look).await
}

fn plain(what: What) -> Checked {
    Checked { what, news: None }
}

fn closed() -> Words {
    Words::new(
        "渠道已暂停或连不上，没有核对",
        "the channel is paused or cannot be reached; nothing was looked at",
    )
}

async fn record(
    bench: &Bench,
    hub: &Hub,
    delivery: &Delivery,
    watch: Option<Watch>,
    look: Look,
) -> Stored<Checked> {
    let now = bench.shared.time.now();
    let failed = matches!(look, Look::Failed(_));
    let untold = told_nothing(&look);
    let judged = finding::judge(delivery, watch.as_ref(), &look, now, &bench.policy);
    let (watch, news) = if judged.moves.is_none() && judged.watch == watch {
        (watch, None)
    } else {
        let act = Act::Verify {
            id: delivery.id,
            version: delivery.version,
            look: Box::new(look),
        };
        match bench.shared.store.act(act).await {
            Ok(Answer::Verified(verified)) => {
                hub.wake(&[verified.delivery]);
                hub.wake(&verified.released);
                (verified.watch, verified.news)
            }
            // Somebody corrected, withdrew or decided while it was looked at: that is what counts.
            Ok(_) | Err(StoreError::Refused(Refusal::Stale | Refusal::Illegal(_))) => {
                return Ok(plain(What::Moved));
            }
            Err(error) => return Err(error),
        }
    };
    if let Some(news) = &news {
        tell(bench, delivery.id, news);
    }
    let settle = bench.policy.settle;
    let what = match watch.map(|watch| watch.standing) {
        _ if failed => What::Blind,
        // It could be read once.
        Some(Standing::Suspect {
            of: Suspicion::Blind,
            ..
        }) => What::Blind,
        Some(Standing::Found(finding)) if untold && finding.kind == Kind::Unreachable => {
            What::Blind
        }
        Some(Standing::Found(finding)) if finding.kind.is_alarm() => What::Found(finding),
        Some(Standing::Suspect {
            of: Suspicion::Gone | Suspicion::Hidden,
            last,
            ..
        }) => What::Suspect(last + settle),
        _ if untold => What::Untold,
        Some(_) | None => What::Well,
    };
    Ok(Checked { what, news })
}

fn told_nothing(look: &Look) -> bool {
    let Look::Saw(sighting) = look else {
        return true;
    };
    let verdict = sighting.seen.first().map(|seen| &seen.verdict);
    matches!(verdict, None | Some(lubu_channels::Verdict::CannotTell(_)))
}

/// Once when it comes, and once when it is over.
pub(super) fn tell(bench: &Bench, id: DeliveryId, news: &News) {
    let channel = &bench.policy.name;
    match news {
        News::New(finding) => {
            let kind = finding.kind.code();
            metrics::counter!("lubu_findings_total", "kind" => kind).increment(1);
            tracing::warn!(
                delivery.id = %id, channel, finding = kind,
                "delivery {id} on {channel}: {}", finding.words.en
            );
        }
        News::Cleared(kind) => {
            let kind = kind.code();
            tracing::info!(
                delivery.id = %id, channel, finding = kind,
                "delivery {id} on {channel} is no longer {kind}"
            );
        }
    }
}

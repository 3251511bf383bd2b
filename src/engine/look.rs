//! A look at the platform: to settle an unknown outcome, or to see what readers see.
//!
//! A look changes nothing on the platform, so a crash in it costs a look. What it spends of a quota
//! is written before it starts. One that does not end in time could not tell.

use lubu_channels::{Failure, Fate, Job, Kind, Target, Timestamp, Words};

use super::Bench;
use super::attempt::{Behaved, Moved, Report, Stumble, behaved, blocked, settle};
use super::compose::compose;
use crate::model::delivery::Event;
use crate::store::act::LaneNews;
use crate::store::{Act, Refusal, StoreError};

pub(super) async fn look(
    bench: &Bench,
    report: &mut Report,
    target: Target<'_>,
    now: Timestamp,
) -> Result<Moved, Stumble> {
    let Some(sent) = report.delivery.job.clone() else {
        return Ok(Moved::Stop);
    };
    let job = compose(bench, &report.delivery, &sent).await?;
    if let Some(until) = spend(bench).await? {
        let words = Words::new("核对的平台配额已用完", "the quota for looking is used up");
        let failure = Failure::new(
            Kind::Throttled,
            Fate::Again {
                not_before: Some(until.max(now)),
            },
            words,
        );
        settle(bench, report, Event::LookFailed { failure }, None).await?;
        return Ok(Moved::Stop);
    }
    match look_in_time(bench, &job, target, now).await {
        Ok(sighting) => {
            report.health = Behaved::Well;
            settle(bench, report, Event::Looked { sighting }, None).await?;
            Ok(Moved::On)
        }
        Err(failure) => {
            report.health = behaved(&failure);
            let pause = blocked(&failure, now);
            report.pause.clone_from(&pause);
            let news = pause.map(LaneNews::Paused);
            settle(bench, report, Event::LookFailed { failure }, news).await?;
            Ok(Moved::Stop)
        }
    }
}

async fn look_in_time(
    bench: &Bench,
    job: &Job,
    target: Target<'_>,
    began: Timestamp,
) -> Result<lubu_channels::Sighting, Failure> {
    let call = bench.call(false);
    let grace = bench.call_within + std::time::Duration::from_secs(5);
    let looked = tokio::time::timeout(grace, bench.channel.look(job, target, &call)).await;
    // Whoever was stopped here for long has seen how it was then, and would say that it is so now.
    let most = chrono::TimeDelta::from_std(grace).unwrap_or(chrono::TimeDelta::MAX);
    let stale = bench.shared.time.now() - began > most;
    let looked = if stale { None } else { looked.ok() };
    looked.unwrap_or_else(|| {
        let words = Words::new("核对没有按时结束", "the look did not end in time");
        let again = Fate::Again { not_before: None };
        Err(Failure::new(Kind::Transport, again, words))
    })
}

/// Until when looking must wait, if its quota is used up.
async fn spend(bench: &Bench) -> Result<Option<Timestamp>, StoreError> {
    if bench.policy.look_costs.is_empty() {
        return Ok(None);
    }
    let costs = bench.policy.look_costs.clone();
    match bench
        .shared
        .store
        .act(Act::Spend {
            channel: bench.policy.number,
            costs,
        })
        .await
    {
        Ok(_) => Ok(None),
        Err(StoreError::Refused(Refusal::QuotaUsed { until, .. })) => Ok(Some(until)),
        Err(error) => Err(error),
    }
}

//! A look at the platform: to settle an unknown outcome, or to see what readers see.
//!
//! A look changes nothing on the platform, so a crash in it costs a look. What it spends of a quota
//! is written before it starts. One that does not end in time could not tell.

use lubu_channels::{
    Failure, Fate, Goal, Job, Kind, Sighting, Target, Timestamp, Truth, Verdict, Words,
};

use super::Bench;
use super::attempt::{Behaved, Moved, Report, Stumble, behaved, blocked, settle};
use super::compose::compose;
use super::till::spend;
use super::verify::tell;
use crate::model::delivery::{Delivery, Event, State};
use crate::model::finding::{self, News};
use crate::store::act::{LaneNews, Share};

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
    if let Some(until) = spend(bench, Share::Whole, 1).await? {
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
    let doubted = bench.shared.time.doubt().is_some();
    match look_in_time(bench, &job, target, now, Share::Whole).await {
        // Where it began may be after the post.
        Ok(sighting)
            if found_nothing(target, &sighting)
                && (doubted || bench.shared.time.doubt().is_some()) =>
        {
            report.health = Behaved::Well;
            settle(bench, report, Event::LookDoubted, None).await?;
            Ok(Moved::On)
        }
        Ok(sighting) => {
            report.health = Behaved::Well;
            let before = finding::strayed(&report.delivery);
            settle(bench, report, Event::Looked { sighting }, None).await?;
            if let (None, Some(found)) = (before, finding::strayed(&report.delivery)) {
                tell(bench, report.delivery.id, &News::New(found));
            }
            report.missed = would_send(bench, &report.delivery);
            Ok(if report.missed {
                Moved::Stop
            } else {
                Moved::On
            })
        }
        Err(failure) => {
            report.health = behaved(&failure);
            let pause = blocked(bench, &failure, now);
            report.pause.clone_from(&pause);
            let news = pause.map(LaneNews::Paused);
            settle(bench, report, Event::LookFailed { failure }, news).await?;
            Ok(Moved::Stop)
        }
    }
}

/// Nothing of it was found, and the next go would publish it. Where a platform lists what it shows, that is asked
/// first: a store that was set back looks for a post that was replaced since.
fn would_send(bench: &Bench, delivery: &Delivery) -> bool {
    let lists = bench.channel.surveys().is_some();
    let due = matches!(delivery.state, State::Due { .. });
    let plan = delivery.plan(&bench.policy).filter(|_| lists && due);
    plan.is_some_and(|plan| plan.goal == Goal::Publish)
}

/// Among what was posted since a time, which is as wrong as the clock was.
fn found_nothing(target: Target<'_>, sighting: &Sighting) -> bool {
    match target {
        Target::Step { .. } => sighting.truth == Truth::Absent,
        Target::Unrecorded { .. } => {
            let first = sighting.seen.first();
            first.is_some_and(|seen| seen.verdict == Verdict::Absent)
        }
        Target::Copies => false,
    }
}

/// `share` is the part of a quota that it may use up.
pub(super) async fn look_in_time(
    bench: &Bench,
    job: &Job,
    target: Target<'_>,
    began: Timestamp,
    share: Share,
) -> Result<Sighting, Failure> {
    let call = bench.call_within_share(false, share);
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

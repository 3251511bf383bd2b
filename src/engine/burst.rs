//! One run of a step for all posts that wait before it, such as rebuilding a site's lists.
//!
//! Each has its own intent before and its own outcome after; only the call is shared. It is the
//! step of the last to come, which knows of all the others' work.

use super::Bench;
use super::attempt::{
    Behaved, Ready, Report, intend, is_too_late, perform, record, settle, unsent,
};
use crate::model::delivery::{Delivery, State};

/// One post that waits before the step.
#[derive(Debug)]
pub struct Waiting {
    pub delivery: Box<Delivery>,
    pub ready: Ready,
}

pub async fn run(bench: &Bench, waiting: Vec<Waiting>) -> Vec<Report> {
    let mut reports = Vec::new();
    let mut going = Vec::new();
    if bench.shared.stop.is_cancelled() {
        return waiting
            .into_iter()
            .map(|one| report(one.delivery))
            .collect();
    }
    let asked = bench.shared.time.now();
    let intents = waiting.into_iter().map(|one| async move {
        let intended = intend(bench, &one.delivery, &one.ready).await;
        (one, intended)
    });
    for (one, intended) in join(intents).await {
        match intended {
            Ok(Some(delivery)) if matches!(delivery.state, State::Working { .. }) => {
                going.push(Waiting {
                    delivery,
                    ready: one.ready,
                });
            }
            Ok(Some(delivery)) => reports.push(report(delivery)),
            Ok(None) => reports.push(reread(bench, one.delivery).await),
            Err(error) => {
                tracing::error!("delivery {}: {error}", one.delivery.id);
                reports.push(reread(bench, one.delivery).await);
            }
        }
    }
    let Some(last) = going.last() else {
        return reports;
    };
    let outcome = if is_too_late(bench, asked) {
        None
    } else {
        Some(perform(bench, &last.ready, false).await)
    };
    let records = going.into_iter().map(|one| {
        let outcome = outcome.as_ref().map(|outcome| own(&one, outcome));
        async move {
            let mut report = report(one.delivery);
            let recorded = match outcome {
                Some(outcome) => record(bench, &mut report, outcome).await.map(drop),
                None => settle(bench, &mut report, unsent(), None).await,
            };
            if recorded.is_err() {
                report = reread(bench, report.delivery).await;
            }
            report
        }
    });
    let mut after = join(records).await;
    // One call: the breaker counts it once.
    for one in after.iter_mut().skip(1) {
        one.health = Behaved::Unasked;
    }
    reports.extend(after);
    reports
}

/// The shared outcome, over this post's own progress.
fn own(
    one: &Waiting,
    outcome: &Result<lubu_channels::Receipt, lubu_channels::Failure>,
) -> Result<lubu_channels::Receipt, lubu_channels::Failure> {
    let own = outcome.clone().map_err(|mut failure| {
        // What is left behind is the last one's, not this post's.
        failure.progress = None;
        failure
    });
    own.map(|mut receipt| {
        let mut progress = one.ready.job.progress.clone();
        progress.set(one.ready.step.name.clone(), one.ready.job.key.clone());
        receipt.progress = progress;
        receipt.seen.clear();
        receipt
    })
}

fn report(delivery: Box<Delivery>) -> Report {
    Report {
        delivery,
        released: Vec::new(),
        health: Behaved::Unasked,
        pause: None,
        burst: None,
        missed: false,
    }
}

async fn reread(bench: &Bench, delivery: Box<Delivery>) -> Report {
    let now = bench.shared.store.delivery(delivery.id).await;
    report(now.ok().flatten().map_or(delivery, Box::new))
}

/// All at once, answers in order: their acts share one sync.
async fn join<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut pending: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut ready = true;
        for (future, done) in &mut pending {
            if done.is_some() {
                continue;
            }
            match future.as_mut().poll(context) {
                std::task::Poll::Ready(value) => *done = Some(value),
                std::task::Poll::Pending => ready = false,
            }
        }
        if ready {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    pending.into_iter().filter_map(|(_, done)| done).collect()
}

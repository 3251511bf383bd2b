//! What an adapter is told: the job, with exactly the bytes that were signed.

use std::sync::Arc;

use lubu_channels::{Draft, Goal, Job, Subject};

use super::Bench;
use super::attempt::Stumble;
use crate::model::delivery::{Delivery, JobNow, Wanted};

/// The job as the adapter is told it, with exactly the bytes that were signed.
pub(super) async fn compose(
    bench: &Bench,
    delivery: &Delivery,
    now: &JobNow,
) -> Result<Job, Stumble> {
    let draft = draft(bench, delivery, now).await?;
    Ok(Job {
        key: delivery.key(now),
        goal: now.goal,
        subjects: vec![Subject {
            place: 0,
            item: delivery.id.item.to_string(),
            revision: now.revision,
            draft,
            draft_hash: now.draft.clone(),
            copy: delivery.copy.clone(),
        }],
        progress: delivery.progress.clone(),
        first_live: delivery.first_live,
        reason: match (&delivery.wanted, now.goal) {
            (Wanted::Nothing { reason, .. }, Goal::Withdraw) => Some(reason.clone()),
            _ => None,
        },
    })
}

async fn draft(bench: &Bench, delivery: &Delivery, now: &JobNow) -> Result<Arc<Draft>, Stumble> {
    let shared = &bench.shared;
    let store = shared.store.as_ref();
    let drafts = shared.shelf.get(store, delivery.id.item, now).await?;
    let signed = drafts
        .as_deref()
        .and_then(|drafts| drafts.get(bench.policy.number));
    match signed {
        Some(signed) if signed.hash == now.draft => Ok(Arc::clone(&signed.draft)),
        Some(_) | None => Err(Stumble::NoDraft),
    }
}

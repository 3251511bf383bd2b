//! What the last process left open.
//!
//! An intent without an outcome is an unknown outcome, whatever the process was doing: it is
//! settled here, before any lane starts, and never taken for "due".

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Bench, Shared};
use crate::ids::ChannelNo;
use crate::model::delivery::{Delivery, Event, State};
use crate::store::{Act, Answer, Stored};

/// Every delivery that is not at rest, with open intents settled.
pub async fn settle(
    shared: &Shared,
    benches: &BTreeMap<ChannelNo, Arc<Bench>>,
) -> Stored<Vec<Delivery>> {
    let mut unsettled = Vec::new();
    let mut orphans = 0_usize;
    for delivery in shared.store.unsettled().await? {
        if !benches.contains_key(&delivery.id.channel) {
            orphans += 1;
            continue;
        }
        let State::Working { step, .. } = &delivery.state else {
            unsettled.push(delivery);
            continue;
        };
        tracing::warn!(
            delivery.id = %delivery.id,
            "delivery {}: the last process ended while `{}` ran; its outcome is unknown",
            delivery.id, step.name
        );
        let act = Act::Settle {
            id: delivery.id,
            version: delivery.version,
            event: Box::new(Event::Lost),
            dice: 0.5,
            lane: None,
        };
        if let Answer::Settled(after, _) = shared.store.act(act).await? {
            unsettled.push(*after);
        }
    }
    if orphans > 0 {
        tracing::error!(
            "{orphans} deliveries belong to channels that are no longer configured; they stay as they are"
        );
    }
    Ok(unsettled)
}

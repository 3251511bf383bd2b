//! What the last process, or a task that panicked, left open.
//!
//! An intent without an outcome is an unknown outcome, whatever the process was doing: it is
//! settled here, before any lane starts, and never taken for "due". What waits for another channel
//! is asked about again, since the configuration may name another order now.

use std::collections::BTreeMap;
use std::sync::Arc;

use lubu_channels::Words;

use super::suspects::{self, Work};
use super::{Bench, Shared};
use crate::ids::{ChannelNo, DeliveryId};
use crate::model::delivery::{Delivery, Event, Hold, State};
use crate::planted::{Bug, bug};
use crate::store::{Act, Answer, Refusal, StoreError, Stored};

/// Every delivery that is not at rest, by channel, with open intents settled.
pub async fn settle(
    shared: &Shared,
    benches: &BTreeMap<ChannelNo, Arc<Bench>>,
) -> Stored<BTreeMap<ChannelNo, Vec<Delivery>>> {
    let mut unsettled: BTreeMap<ChannelNo, Vec<Delivery>> = BTreeMap::new();
    // The store may be older than what was sent: whatever would go on by itself is held, and looked for.
    let restored = !shared.store.standing().adopted;
    let uncounted = shared.time.uncounted();
    let mut orphans = 0_usize;
    for delivery in shared.store.unsettled().await? {
        let bench = benches.get(&delivery.id.channel);
        orphans += usize::from(bench.is_none());
        if bug(Bug::B14) && bench.is_none() {
            continue;
        }
        // Before anything is counted from it.
        let delivery = if uncounted {
            record(shared, &delivery, Event::Uncounted).await?
        } else {
            delivery
        };
        let back = bench.is_some_and(|bench| delivery.was_left(&bench.policy));
        let after = one(shared, delivery, restored, bench, back).await?;
        if bench.is_some() {
            unsettled.entry(after.id.channel).or_default().push(after);
        }
    }
    if orphans > 0 {
        tracing::error!(
            "{orphans} deliveries belong to channels that are no longer configured; they stay as they are"
        );
    }
    Ok(unsettled)
}

/// The same for one channel, whose lane opens while others work.
pub async fn settle_channel(shared: &Shared, bench: &Arc<Bench>) -> Stored<Vec<Delivery>> {
    let restored = !shared.store.standing().adopted;
    let mut unsettled = shared.store.unsettled().await?;
    unsettled.retain(|delivery| delivery.id.channel == bench.policy.number);
    let mut settled = Vec::new();
    for delivery in unsettled {
        // Nobody looked for it while it was away.
        let unknown = matches!(delivery.state, State::Unknown(_)) && delivery.next_at().is_none();
        let back = unknown || delivery.was_left(&bench.policy);
        settled.push(one(shared, delivery, restored, Some(bench), back).await?);
    }
    Ok(settled)
}

async fn one(
    shared: &Shared,
    delivery: Delivery,
    restored: bool,
    bench: Option<&Arc<Bench>>,
    back: bool,
) -> Stored<Delivery> {
    let event = if back {
        Some(Event::Returned)
    } else {
        left(&delivery)
    };
    let after = match event {
        Some(event) => record(shared, &delivery, event).await?,
        None => delivery,
    };
    // First, since it outlasts being set aside.
    let after = if restored && after.would_go_on() {
        record(shared, &after, Event::Restored).await?
    } else {
        after
    };
    let after = set_aside_if_guilty(shared, after).await?;
    if let Some(Err(wrong)) = bench.map(|bench| after.sweep(&bench.policy)) {
        let id = after.id;
        tracing::error!(delivery.id = %id, "delivery {id} is {wrong}: report this to the makers of lubu");
    }
    Ok(after)
}

fn left(delivery: &Delivery) -> Option<Event> {
    match &delivery.state {
        State::Working { step, .. } => {
            let id = delivery.id;
            tracing::warn!(
                delivery.id = %id,
                "delivery {id}: `{}` was under way when its run ended; its outcome is unknown",
                step.name
            );
            Some(Event::Lost)
        }
        State::Held {
            why: Hold::After(_),
            ..
        } => Some(Event::Released),
        _ => None,
    }
}

/// What was at work at too many deaths of the process in a row is held; a person lets it go on.
async fn set_aside_if_guilty(shared: &Shared, delivery: Delivery) -> Stored<Delivery> {
    let work = Work::Delivery(delivery.id);
    let deaths = shared.suspects.deaths(work);
    if deaths < suspects::MOST {
        return Ok(delivery);
    }
    let words = Words::new(
        format!(
            "处理它时程序连续 {deaths} 次中断，已单独搁置，其余照常。排除原因后 lubu retry，或撤下"
        ),
        format!(
            "the process died {deaths} times in a row while this was at work; it is set aside, and `lubu retry` lets it go on"
        ),
    );
    let after = set_aside(shared, &delivery, words).await?;
    shared.suspects.forget(work);
    Ok(after)
}

/// Held with an owner; what rests or waits for a person already stays as it is.
pub async fn set_aside(shared: &Shared, delivery: &Delivery, words: Words) -> Stored<Delivery> {
    if delivery.next_at().is_none() {
        return Ok(delivery.clone());
    }
    let id = delivery.id;
    tracing::error!(delivery.id = %id, "delivery {id} is set aside: {}", words.en);
    record(shared, delivery, Event::SetAside { words }).await
}

async fn record(shared: &Shared, delivery: &Delivery, event: Event) -> Stored<Delivery> {
    let act = Act::Settle {
        id: delivery.id,
        version: delivery.version,
        event: Box::new(event),
        dice: 0.5,
        lane: None,
    };
    match shared.store.act(act).await? {
        Answer::Settled(after, _) => Ok(*after),
        _ => Ok(delivery.clone()),
    }
}

/// One delivery as it stands, with an open step settled as lost.
pub async fn reread(shared: &Shared, id: DeliveryId) -> Stored<Option<Delivery>> {
    let Some(delivery) = shared.store.delivery(id).await? else {
        return Ok(None);
    };
    if !matches!(delivery.state, State::Working { .. }) {
        return Ok(Some(delivery));
    }
    match record(shared, &delivery, Event::Lost).await {
        // Settled by somebody else meanwhile.
        Err(StoreError::Refused(Refusal::Stale | Refusal::Illegal(_))) => {
            shared.store.delivery(id).await
        }
        other => other.map(Some),
    }
}

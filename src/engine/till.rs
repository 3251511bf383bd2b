//! What calls cost: looks pay before they start, and what they turn out to need beyond that before it is sent.
//!
//! It is on disk before the call leaves, so that a death costs units and never more calls than a
//! platform allows. Steps pay with their intent.

use std::sync::Arc;

use async_trait::async_trait;
use lubu_channels::{Call, Clock, Cost, Purse, Timestamp};

use super::Bench;
use crate::ids::ChannelNo;
use crate::store::act::Share;
use crate::store::{Act, Refusal, Store, StoreError, Stored};

/// Until when looking must wait, if its quota is used up.
pub(super) async fn spend(bench: &Bench, share: Share, looks: u32) -> Stored<Option<Timestamp>> {
    if bench.policy.look_costs.is_empty() {
        return Ok(None);
    }
    let mut costs = bench.policy.look_costs.clone();
    for cost in &mut costs {
        cost.units = cost.units.saturating_mul(looks);
    }
    let (store, channel) = (bench.shared.store.as_ref(), bench.policy.number);
    pay(store, channel, costs, share).await
}

async fn pay(
    store: &dyn Store,
    channel: ChannelNo,
    costs: Vec<Cost>,
    share: Share,
) -> Stored<Option<Timestamp>> {
    let act = Act::Spend {
        channel,
        costs,
        share,
    };
    match store.act(act).await {
        Ok(_) => Ok(None),
        Err(StoreError::Refused(Refusal::QuotaUsed { until, .. })) => Ok(Some(until)),
        Err(error) => Err(error),
    }
}

/// The purse of one call.
#[derive(Debug)]
struct Till {
    store: Arc<dyn Store>,
    channel: ChannelNo,
    share: Share,
}

#[async_trait]
impl Purse for Till {
    async fn spend(&self, cost: Cost) -> bool {
        match pay(self.store.as_ref(), self.channel, vec![cost], self.share).await {
            Ok(until) => until.is_none(),
            Err(error) => {
                tracing::error!("a call is left out, since its quota cannot be counted: {error}");
                false
            }
        }
    }
}

impl Bench {
    pub fn call(&self, repeat: bool) -> Call<'_> {
        self.call_within_share(repeat, Share::Whole)
    }

    /// One that uses up no more than this part of a quota, beyond its price.
    pub(super) fn call_within_share(&self, repeat: bool, share: Share) -> Call<'_> {
        let clock: Arc<dyn Clock> = Arc::clone(&self.shared.time) as _;
        Call {
            deadline: self.shared.time.now() + self.call_within,
            http: self.shared.http.as_ref(),
            clock,
            dice: self.shared.dice.roll(),
            repeat,
            purse: Arc::new(Till {
                store: Arc::clone(&self.shared.store),
                channel: self.policy.number,
                share,
            }),
        }
    }
}

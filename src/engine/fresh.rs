//! What has just gone live on the platform's answer alone: nobody has looked at it yet.
//!
//! Memory, and bounded: after a restart, or past the bound, the next pass looks at it like at any other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lubu_channels::{Evidence, Timestamp};

use super::Hub;
use crate::ids::{ChannelNo, DeliveryId};
use crate::model::delivery::{Delivery, State};

/// Of one channel. Looks are paced, so that more would wait longer than the nightly pass.
const MOST: usize = 512;

#[derive(Debug, Default)]
pub struct Fresh {
    channels: BTreeMap<ChannelNo, Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    after: Duration,
    due: BTreeSet<(Timestamp, DeliveryId)>,
}

impl Hub {
    /// From now on what goes live there is looked at so much later.
    pub(super) fn expect_fresh(&self, number: ChannelNo, after: Duration) {
        self.fresh().channels.entry(number).or_default().after = after;
    }

    /// Remembers it, if it went live just now and by no look.
    pub(super) fn went_live(&self, delivery: &Delivery, now: Timestamp) {
        if !is_unseen(delivery) {
            return;
        }
        let mut fresh = self.fresh();
        let waiting = fresh.channels.get_mut(&delivery.id.channel);
        if let Some(waiting) = waiting.filter(|one| one.due.len() < MOST) {
            waiting.due.insert((now + waiting.after, delivery.id));
        }
    }

    pub(super) fn next_fresh(&self, number: ChannelNo) -> Option<Timestamp> {
        let fresh = self.fresh();
        let first = fresh.channels.get(&number)?.due.first();
        first.map(|(at, _)| *at)
    }

    pub(super) fn take_fresh(&self, number: ChannelNo, now: Timestamp) -> Option<DeliveryId> {
        let mut fresh = self.fresh();
        let due = &mut fresh.channels.get_mut(&number)?.due;
        let (at, _) = due.first()?;
        if *at > now {
            return None;
        }
        due.pop_first().map(|(_, id)| id)
    }
}

/// The last word on it is an answer: nothing was read back.
fn is_unseen(delivery: &Delivery) -> bool {
    let status = delivery.copy.as_ref().map(|copy| copy.evidence) == Some(Evidence::Status);
    let looked = delivery.log.last().is_some_and(|last| last.step == "look");
    matches!(delivery.state, State::Live) && status && !looked
}

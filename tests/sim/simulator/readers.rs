//! What readers may see at every moment: a model written from the design and fed with the orders
//! that people gave, never with what the daemon thinks of them.

use std::collections::{BTreeMap, BTreeSet};

use lubu::model::delivery::{Delivery, PublicState, Wanted};

use crate::platform::{Origin, Platform};

/// An item on a channel.
type Place = (String, &'static str);

#[derive(Debug, Default)]
struct Orders {
    /// Every approval: the revision and where it shall stand.
    signed: Vec<(u32, Vec<&'static str>)>,
    /// Where the last approval leaves an old copy as it is.
    left: Vec<&'static str>,
    withdrawn: bool,
}

#[derive(Debug, Default)]
pub struct Readers {
    orders: BTreeMap<String, Orders>,
    /// Changed by hand on the platform: no daemon can know of it before it looks.
    touched: BTreeSet<Place>,
    newest: BTreeMap<Place, u32>,
    read: BTreeMap<&'static str, usize>,
}

impl Readers {
    pub fn sign(
        &mut self,
        item: &str,
        revision: u32,
        routed: &[&'static str],
        left: &[&'static str],
    ) {
        let orders = self.orders.entry(item.to_owned()).or_default();
        orders.left = left.to_vec();
        orders.signed.push((revision, routed.to_vec()));
    }

    pub fn withdraw(&mut self, item: &str) {
        self.orders.entry(item.to_owned()).or_default().withdrawn = true;
    }

    pub fn touch(&mut self, item: &str, channel: &'static str) {
        self.touched.insert((item.to_owned(), channel));
    }

    /// Every change since the last time.
    pub fn watch(&mut self, channel: &'static str, platform: &Platform) -> Result<(), String> {
        let read = self.read.entry(channel).or_default();
        let news = platform.changes[*read..].to_vec();
        *read = platform.changes.len();
        for (_, item, revision) in news {
            let (Some(revision), false) = (revision, item.is_empty()) else {
                continue;
            };
            self.appears(&item, channel, revision)?;
            let copies = platform.copies(&item);
            if copies > 1 {
                return Err(format!("I2: {copies} copies of ours on {channel}"));
            }
        }
        Ok(())
    }

    fn appears(&mut self, item: &str, channel: &'static str, revision: u32) -> Result<(), String> {
        let place = (item.to_owned(), channel);
        let signed = self.orders.get(item).is_some_and(|orders| {
            let mut signed = orders.signed.iter();
            signed.any(|(number, routed)| *number == revision && routed.contains(&channel))
        });
        if !signed {
            return Err(format!(
                "I1: readers of {channel} see revision {revision}, never signed for it"
            ));
        }
        let newest = self.newest.entry(place.clone()).or_default();
        if revision < *newest && !self.touched.contains(&place) {
            return Err(format!(
                "I5: readers of {channel} see revision {revision} after {newest}"
            ));
        }
        *newest = revision.max(*newest);
        Ok(())
    }

    /// What lubu says of a place that is at rest is what readers see.
    pub fn claims(
        &self,
        delivery: &Delivery,
        channel: &'static str,
        platform: &Platform,
    ) -> Result<(), String> {
        let item = delivery.id.item.to_string();
        if self.is_excused(&item, channel, platform) {
            return Ok(());
        }
        let shown: Vec<u32> = platform
            .public(&item)
            .filter_map(|one| one.now().map(|shown| shown.revision))
            .collect();
        let state = delivery.public_state();
        let told: Vec<u32> = match state {
            PublicState::Published => delivery.copy.iter().map(|copy| copy.revision).collect(),
            PublicState::Withdrawn | PublicState::Skipped => Vec::new(),
            _ => return Ok(()),
        };
        if shown == told {
            return Ok(());
        }
        let said = state.code();
        Err(format!(
            "I4: {channel} is {said} with {told:?}, and readers see {shown:?}"
        ))
    }

    fn is_excused(&self, item: &str, channel: &'static str, platform: &Platform) -> bool {
        let twins = platform.of(item).any(|one| one.origin == Origin::Twin);
        twins || self.touched.contains(&(item.to_owned(), channel))
    }

    /// In the end: everything at rest as it was last ordered.
    pub fn ends(
        &self,
        delivery: &Delivery,
        channel: &'static str,
        platform: &Platform,
    ) -> Result<(), String> {
        let item = delivery.id.item.to_string();
        let Some(orders) = self.orders.get(&item) else {
            return Err("a delivery that nobody ordered".to_owned());
        };
        let state = delivery.public_state();
        if !state.at_rest() {
            return Err(format!(
                "F14: {channel} ends {}: {:?}",
                state.code(),
                delivery.state
            ));
        }
        self.claims(delivery, channel, platform)?;
        let published = state == PublicState::Published;
        if orders.withdrawn {
            return if published {
                Err(format!("{channel} ends published, and is withdrawn"))
            } else {
                Ok(())
            };
        }
        let Some((newest, routed)) = orders.signed.last() else {
            return Ok(());
        };
        if !routed.contains(&channel) || matches!(delivery.wanted, Wanted::Keep { .. }) {
            return Ok(());
        }
        // What was to be left as it is was gone already.
        if orders.left.contains(&channel) && self.touched.contains(&(item, channel)) {
            return Ok(());
        }
        let copy = delivery.copy.as_ref().map(|copy| copy.revision);
        if published && copy == Some(*newest) {
            return Ok(());
        }
        Err(format!(
            "{channel} ends {} with {copy:?}, wanted is {newest}",
            state.code()
        ))
    }
}

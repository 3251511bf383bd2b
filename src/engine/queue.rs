//! What one lane has before it, in order of time, apart by what may stop it.
//!
//! A lane that is paused or whose breaker is open may still take down, and one whose sending is stopped may
//! still look. So what waits behind such a door is not in the way of what may pass it: with ten thousand posts
//! waiting, each message would else be a walk over all of them.
//!
//! Only the first are kept whole: some thousands, shared out among the lanes, so that memory does not grow with the
//! number of channels that stand still. The others are known by name and time, and are read from the store when
//! their turn comes.

use std::collections::{BTreeSet, HashMap};

use lubu_channels::Timestamp;

use crate::ids::DeliveryId;
use crate::model::delivery::{Delivery, State};

/// Deliveries that all lanes together keep whole, some 10 MB of them, and the fewest for one lane.
const WHOLE: usize = 8_192;
const FEWEST: usize = 32;

/// How many of its deliveries one of so many lanes keeps whole.
pub fn room(lanes: usize) -> usize {
    (WHOLE / lanes.max(1)).clamp(FEWEST, WHOLE / 4)
}

/// What may stop it, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Door {
    /// Nothing: it is being withdrawn.
    Withdrawal,
    /// A lane that is paused or broken. A stop of all sending lets looks go on.
    Look,
    Send,
}

const DOORS: [Door; 3] = [Door::Withdrawal, Door::Look, Door::Send];

impl Door {
    fn of(delivery: &Delivery) -> Self {
        if delivery.withdrawing() {
            Self::Withdrawal
        } else if matches!(delivery.state, State::Due { .. }) {
            Self::Send
        } else {
            Self::Look
        }
    }
}

#[derive(Debug)]
pub struct Waits {
    pub at: Timestamp,
    /// When it would be due without what the lane added.
    own: Timestamp,
    pub door: Door,
    pub version: u64,
    /// None: to be read from the store.
    pub delivery: Option<Box<Delivery>>,
}

#[derive(Debug, Default)]
pub struct Queue {
    due: [BTreeSet<(Timestamp, DeliveryId)>; 3],
    waiting: HashMap<DeliveryId, Waits>,
    whole: usize,
}

impl Queue {
    /// Where it has a next time. What was queued of it before must be out. Whole, where fewer than `room` are.
    pub fn put(&mut self, delivery: Box<Delivery>, not_before: Option<Timestamp>, room: usize) {
        let Some(own) = delivery.next_at() else {
            return;
        };
        let (id, version, door) = (delivery.id, delivery.version, Door::of(&delivery));
        let at = not_before.map_or(own, |wait| wait.max(own));
        let delivery = (self.whole < room).then_some(delivery);
        self.whole += usize::from(delivery.is_some());
        self.due[door as usize].insert((at, id));
        let waits = Waits {
            at,
            own,
            door,
            version,
            delivery,
        };
        self.waiting.insert(id, waits);
    }

    pub fn remove(&mut self, id: DeliveryId) -> Option<Waits> {
        let waits = self.waiting.remove(&id)?;
        self.due[waits.door as usize].remove(&(waits.at, id));
        self.whole -= usize::from(waits.delivery.is_some());
        Some(waits)
    }

    pub fn version(&self, id: DeliveryId) -> Option<u64> {
        self.waiting.get(&id).map(|waits| waits.version)
    }

    /// The first of those that may pass.
    pub fn first(&self, last: Door) -> Option<(Timestamp, DeliveryId)> {
        let may = DOORS.iter().filter(|door| **door <= last);
        may.filter_map(|door| self.due[*door as usize].first())
            .min()
            .copied()
    }

    /// The first that would be sent.
    pub fn first_send(&self) -> Option<Timestamp> {
        let first = self.due[Door::Send as usize].first();
        first.map(|(at, _)| *at)
    }

    /// Out of the order, to be passed over for now.
    pub fn pass_over(&mut self, id: DeliveryId) {
        if let Some(waits) = self.waiting.get(&id) {
            self.due[waits.door as usize].remove(&(waits.at, id));
        }
    }

    pub fn put_back(&mut self, ids: impl IntoIterator<Item = DeliveryId>) {
        for id in ids {
            if let Some(waits) = self.waiting.get(&id) {
                self.due[waits.door as usize].insert((waits.at, id));
            }
        }
    }

    pub fn is_withdrawal(&self, id: DeliveryId) -> bool {
        let waits = self.waiting.get(&id);
        waits.is_some_and(|waits| waits.door == Door::Withdrawal)
    }

    /// What the lane added to their times is taken back.
    pub fn hurry(&mut self) {
        self.due = Default::default();
        for (id, waits) in &mut self.waiting {
            waits.at = waits.own;
            self.due[waits.door as usize].insert((waits.at, *id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ChannelNo, ItemId};
    use crate::model::delivery::{Wanted, Why};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_timestamp(second, 0).unwrap()
    }

    fn due(item: u16, second: i64, wanted: Wanted) -> Box<Delivery> {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&item.to_be_bytes());
        let id = DeliveryId {
            item: ItemId::from_bytes(bytes),
            channel: ChannelNo(1),
        };
        let state = State::Due {
            at: at(second),
            why: Why::Fresh,
        };
        Box::new(Delivery::new(id, wanted, state, at(0)))
    }

    fn kept() -> Wanted {
        Wanted::Keep {
            why: lubu_channels::Words::new("", ""),
        }
    }

    fn gone() -> Wanted {
        Wanted::Nothing {
            by: String::new(),
            reason: String::new(),
        }
    }

    #[test]
    fn what_a_closed_door_stops_is_not_in_the_way_of_a_withdrawal() {
        let mut queue = Queue::default();
        queue.put(due(1, 1, kept()), None, 9);
        queue.put(due(2, 5, gone()), None, 9);
        let withdrawal = queue.first(Door::Withdrawal);
        assert_eq!(withdrawal.map(|(at, _)| at), Some(at(5)));
        assert_eq!(queue.first(Door::Look), withdrawal);
        assert_eq!(queue.first(Door::Send).map(|(at, _)| at), Some(at(1)));
    }

    #[test]
    fn beyond_the_first_only_names_are_kept_and_none_is_lost() {
        let mut queue = Queue::default();
        for item in 0..3_000 {
            queue.put(due(item, i64::from(item), kept()), None, 2_000);
        }
        let mut order = Vec::new();
        let mut whole = 0;
        while let Some((second, id)) = queue.first(Door::Send) {
            order.push(second);
            let waits = queue.remove(id).unwrap();
            whole += usize::from(waits.delivery.is_some());
        }
        assert_eq!((order.len(), whole), (3_000, 2_000));
        assert!(order.is_sorted());
        queue.put(due(1, 1, kept()), None, 9);
        let first = queue.first(Door::Send).unwrap().1;
        assert!(queue.remove(first).unwrap().delivery.is_some());
    }

    #[test]
    fn many_lanes_keep_no_more_whole_than_a_few() {
        assert_eq!([1, 4, 50, 256].map(room), [2_048, 2_048, 163, 32]);
        assert_eq!(room(5_000), FEWEST);
    }

    #[test]
    fn what_is_passed_over_or_hurried_keeps_its_place() {
        let mut queue = Queue::default();
        queue.put(due(1, 1, kept()), Some(at(90)), 9);
        queue.put(due(2, 2, kept()), None, 9);
        let (_, second) = queue.first(Door::Send).unwrap();
        queue.pass_over(second);
        assert_eq!(queue.first(Door::Send).map(|(at, _)| at), Some(at(90)));
        queue.put_back([second]);
        assert_eq!(queue.first(Door::Send).map(|(at, _)| at), Some(at(2)));
        queue.hurry();
        assert_eq!(queue.first(Door::Send).map(|(at, _)| at), Some(at(1)));
    }
}

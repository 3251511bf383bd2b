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

use crate::ids::{ChannelNo, DeliveryId, ItemId};
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

/// Taken out of the queue.
#[derive(Debug)]
pub struct Waits {
    pub version: u64,
    /// None: to be read from the store.
    pub delivery: Option<Box<Delivery>>,
}

/// A time in nanoseconds since 1970, which takes less room than a timestamp. Beyond 2262 it is 2262.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(i64);

impl Moment {
    fn of(at: Timestamp) -> Self {
        let beyond = if at.timestamp() < 0 {
            i64::MIN
        } else {
            i64::MAX
        };
        Self(at.timestamp_nanos_opt().unwrap_or(beyond))
    }

    fn timestamp(self) -> Timestamp {
        Timestamp::from_timestamp_nanos(self.0)
    }
}

/// What is known of each, with a hundred thousand of them in mind: forty-odd bytes here, and as many in the order.
#[derive(Debug, Clone, Copy)]
struct Name {
    at: Moment,
    /// Nothing moves four thousand million times.
    version: u32,
    door: Door,
}

/// What one channel has before it.
#[derive(Debug)]
pub struct Queue {
    channel: ChannelNo,
    due: [BTreeSet<(Moment, ItemId)>; 3],
    waiting: HashMap<ItemId, Name>,
    whole: HashMap<ItemId, Box<Delivery>>,
    /// When those would be due to whose time the lane has added.
    own: HashMap<ItemId, Moment>,
}

impl Queue {
    pub fn new(channel: ChannelNo) -> Self {
        Self {
            channel,
            due: Default::default(),
            waiting: HashMap::new(),
            whole: HashMap::new(),
            own: HashMap::new(),
        }
    }

    /// Where it has a next time. What was queued of it before must be out. Whole, where fewer than `room` are.
    pub fn put(&mut self, delivery: Box<Delivery>, not_before: Option<Timestamp>, room: usize) {
        let Some(own) = delivery.next_at() else {
            return;
        };
        let item = delivery.id.item;
        let at = Moment::of(not_before.map_or(own, |wait| wait.max(own)));
        let name = Name {
            at,
            version: u32::try_from(delivery.version).unwrap_or(u32::MAX),
            door: Door::of(&delivery),
        };
        if at != Moment::of(own) {
            self.own.insert(item, Moment::of(own));
        }
        if self.whole.len() < room {
            self.whole.insert(item, delivery);
        }
        self.due[name.door as usize].insert((at, item));
        self.waiting.insert(item, name);
    }

    pub fn remove(&mut self, id: DeliveryId) -> Option<Waits> {
        let name = self.waiting.remove(&id.item)?;
        self.due[name.door as usize].remove(&(name.at, id.item));
        self.own.remove(&id.item);
        Some(Waits {
            version: name.version.into(),
            delivery: self.whole.remove(&id.item),
        })
    }

    pub fn version(&self, id: DeliveryId) -> Option<u64> {
        let name = self.waiting.get(&id.item);
        name.map(|name| name.version.into())
    }

    /// The first of those that may pass.
    pub fn first(&self, last: Door) -> Option<(Timestamp, DeliveryId)> {
        let may = DOORS.iter().filter(|door| **door <= last);
        let first = may.filter_map(|door| self.due[*door as usize].first());
        let (at, item) = first.min()?;
        let (item, channel) = (*item, self.channel);
        Some((at.timestamp(), DeliveryId { item, channel }))
    }

    /// The first that would be sent.
    pub fn first_send(&self) -> Option<Timestamp> {
        let first = self.due[Door::Send as usize].first();
        first.map(|(at, _)| at.timestamp())
    }

    /// Out of the order, to be passed over for now.
    pub fn pass_over(&mut self, id: DeliveryId) {
        if let Some(name) = self.waiting.get(&id.item) {
            self.due[name.door as usize].remove(&(name.at, id.item));
        }
    }

    pub fn put_back(&mut self, ids: impl IntoIterator<Item = DeliveryId>) {
        for id in ids {
            if let Some(name) = self.waiting.get(&id.item) {
                self.due[name.door as usize].insert((name.at, id.item));
            }
        }
    }

    pub fn is_withdrawal(&self, id: DeliveryId) -> bool {
        let name = self.waiting.get(&id.item);
        name.is_some_and(|name| name.door == Door::Withdrawal)
    }

    /// What the lane added to their times is taken back.
    pub fn hurry(&mut self) {
        for (item, own) in self.own.drain() {
            if let Some(name) = self.waiting.get_mut(&item) {
                let due = &mut self.due[name.door as usize];
                due.remove(&(name.at, item));
                due.insert((own, item));
                name.at = own;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let mut queue = Queue::new(ChannelNo(1));
        queue.put(due(1, 1, kept()), None, 9);
        queue.put(due(2, 5, gone()), None, 9);
        let withdrawal = queue.first(Door::Withdrawal);
        assert_eq!(withdrawal.map(|(at, _)| at), Some(at(5)));
        assert_eq!(queue.first(Door::Look), withdrawal);
        assert_eq!(queue.first(Door::Send).map(|(at, _)| at), Some(at(1)));
    }

    #[test]
    fn beyond_the_first_only_names_are_kept_and_none_is_lost() {
        let mut queue = Queue::new(ChannelNo(1));
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
    fn times_are_kept_to_the_nanosecond_and_the_end_of_days_is_not_now() {
        let exact = Timestamp::from_timestamp(1_800_000_000, 123_456_789).unwrap();
        assert_eq!(Moment::of(exact).timestamp(), exact);
        let never = Moment::of(Timestamp::MAX_UTC).timestamp();
        assert!(never > at(9_000_000_000), "{never}");
        assert!(Moment::of(Timestamp::MIN_UTC).timestamp() < at(0));
    }

    #[test]
    fn many_lanes_keep_no_more_whole_than_a_few() {
        assert_eq!([1, 4, 50, 256].map(room), [2_048, 2_048, 163, 32]);
        assert_eq!(room(5_000), FEWEST);
    }

    #[test]
    fn what_is_passed_over_or_hurried_keeps_its_place() {
        let mut queue = Queue::new(ChannelNo(1));
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

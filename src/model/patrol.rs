//! One pass over everything that a channel shows (巡查), and where it has got to.
//!
//! Newest first, from where the last pass had to stop, to the oldest, and round to where it began.
//! The record is small and written seldom: a pass that is cut off by a crash goes on from the last
//! place written down, and looks at a few copies twice.

use lubu_channels::{Timestamp, Words};
use serde::{Deserialize, Serialize};

use crate::ids::{ChannelNo, ItemId};

/// The last pass over a channel, or the one under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patrol {
    pub channel: ChannelNo,
    /// The time it was set for; a person's own pass has none.
    #[serde(with = "chrono::serde::ts_milliseconds_option")]
    pub due: Option<Timestamp>,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub began: Timestamp,
    #[serde(with = "chrono::serde::ts_milliseconds_option")]
    pub ended: Option<Timestamp>,
    /// Where it began, none for the newest.
    pub from: Option<ItemId>,
    /// The last that was looked at.
    pub at: Option<ItemId>,
    /// Past the oldest, and going on with the newest.
    pub turned: bool,
    pub counts: Counts,
    /// Why it ended before everything was looked at.
    pub stopped: Option<Words>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub looked: u64,
    pub well: u64,
    /// New findings.
    pub found: u64,
    pub cleared: u64,
    /// Looks that brought nothing.
    pub blind: u64,
    /// Not looked at this time.
    pub left: u64,
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        self.looked += other.looked;
        self.well += other.well;
        self.found += other.found;
        self.cleared += other.cleared;
        self.blind += other.blind;
        self.left += other.left;
    }
}

impl Patrol {
    pub fn new(channel: ChannelNo, due: Option<Timestamp>, now: Timestamp) -> Self {
        Self {
            channel,
            due,
            began: now,
            ended: None,
            from: None,
            at: None,
            turned: false,
            counts: Counts::default(),
            stopped: None,
        }
    }

    /// The pass after this one. It begins where this one had to stop.
    #[must_use]
    pub fn next(&self, due: Timestamp, now: Timestamp) -> Self {
        let left = self.stopped.is_some();
        let from = self.at.or(self.from).filter(|_| left);
        Self {
            from,
            at: from,
            ..Self::new(self.channel, Some(due), now)
        }
    }

    /// Takes the place of a pass that is over: what the schedule has had stays had.
    #[must_use]
    pub fn marks(channel: ChannelNo, due: Timestamp) -> Self {
        Self {
            ended: Some(due),
            ..Self::new(channel, Some(due), due)
        }
    }

    /// Whether this one was looked at already, when the pass began: it is round.
    pub fn is_round(&self, item: ItemId) -> bool {
        self.turned && self.from.is_some_and(|from| item < from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lubu_channels::{Clock as _, Manual};

    fn item(ms: i64) -> ItemId {
        ItemId::new(ms, [0; 10])
    }

    #[test]
    fn a_pass_that_was_cut_short_is_gone_on_with_and_a_whole_one_begins_anew() {
        let now = Manual::default().now();
        let mut pass = Patrol::new(ChannelNo(1), Some(now), now);
        pass.at = Some(item(5));
        assert_eq!(pass.next(now, now).at, None);
        pass.stopped = Some(Words::new("配额用完", "no quota is left"));
        let mut next = pass.next(now, now);
        assert_eq!((next.from, next.at), (Some(item(5)), Some(item(5))));
        assert!(!next.is_round(item(4)), "first to the oldest");
        next.turned = true;
        assert!(!next.is_round(item(5)) && next.is_round(item(4)));
        (next.at, next.stopped) = (None, pass.stopped);
        assert_eq!(next.next(now, now).from, Some(item(5)));
    }
}

//! The machine's clock is set by whoever can, and a person stops all sending and lifts it again.
//!
//! Out of reach is what a process cannot know when it starts: that the clock was set back, and is past the newest
//! record all the same, be it that an earlier process knew; that it was set forward while the process was down, so
//! that a pause seems over.

use std::cmp::Ordering;
use std::time::Duration;

use chrono::TimeDelta;
use lubu::clock::{Doubt, Time as _};

use super::office::{NAMES, Office};

/// More than any settle time or pause of a key: waits that a clock shortened by a restart were over.
const LONG_DOWN_S: u64 = 5 * 60;

impl Office {
    pub(super) fn sets_the_clock(&mut self) {
        let wrong = !self.house.time.wall_is_right();
        let doubted = self.house.time.doubt().is_some();
        if wrong && self.rng.percent(40) {
            self.house.time.set_wall(TimeDelta::zero());
            self.say("the wall clock is set right");
        } else if doubted && !wrong {
            self.say("the clock is right, a person says");
            self.house.confirm_clock();
        } else if !wrong {
            let most = if self.rng.percent(70) { 7_200 } else { 86_400 };
            let by = i64::try_from(121 + self.rng.below(most)).unwrap_or(121);
            let by = if self.rng.percent(50) { by } else { -by };
            self.house.time.set_wall(TimeDelta::seconds(by));
            self.say(&format!("the wall clock is set {by} s from the truth"));
        }
        self.house.tell_lanes();
    }

    /// Before a process starts. What a wrong clock makes of it must be one that it can notice; what it
    /// cannot, does not come.
    pub(super) fn machine_starts(&mut self, down_s: u64) {
        let time = &self.house.time;
        // Its records bear times of a clock that stood ahead, and time has caught up with them.
        let behind = matches!(time.doubt(), Some(Doubt::Behind { .. }));
        self.forgotten |= behind && time.would_be_believed();
        let (before, wall) = (time.skew(), time.wall_ahead());
        let noticed = match wall.cmp(&before) {
            Ordering::Less => !time.would_be_believed(),
            Ordering::Equal => true,
            Ordering::Greater => down_s >= LONG_DOWN_S,
        };
        if !noticed {
            time.set_wall(before);
        }
        // A doubt does not outlive its process once the wrong clock has passed the newest record.
        if before < TimeDelta::zero() {
            time.set_wall(TimeDelta::zero());
            self.house.wait(Duration::from_secs(LONG_DOWN_S));
        }
        let time = &self.house.time;
        let most = time.wall_ahead().max(before);
        for name in NAMES {
            let mut platform = self.platform(name);
            platform.ahead = platform.ahead.max(most);
        }
    }

    pub(super) fn orders(&mut self) {
        let stop = self.rng.percent(25);
        self.say(if stop {
            "all sending is stopped"
        } else {
            "sending goes on"
        });
        self.house.sending(stop.then_some("演练"));
    }

    /// Nothing stands in the way any more.
    pub(super) fn all_is_right(&mut self) {
        self.house.time.set_wall(TimeDelta::zero());
        if self.house.time.doubt().is_some() {
            self.house.confirm_clock();
        }
        self.house.sending(None);
    }
}

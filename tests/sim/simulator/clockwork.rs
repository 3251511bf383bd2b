//! The machine's clock is set by whoever can, and a person stops all sending and lifts it again.
//!
//! One thing is out of reach: a machine that starts with its clock behind, and past its newest record all the
//! same, cannot know; nor can one that starts with it before the truth within the minutes that it was down.

use chrono::TimeDelta;
use lubu::clock::Time as _;

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

    /// Before a process starts. What a wrong clock makes of it must be one that it can notice.
    pub(super) fn machine_starts(&mut self, down_s: u64) {
        let time = &self.house.time;
        let behind = time.wall_stands_behind();
        let unnoticed = if behind {
            time.would_be_believed()
        } else {
            down_s < LONG_DOWN_S
        };
        if unnoticed {
            time.set_wall(TimeDelta::zero());
        }
        let most = time.wall_ahead().max(TimeDelta::zero());
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

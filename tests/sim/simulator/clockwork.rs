//! The machine's clock is set by whoever can, and a person stops all sending and lifts it again.
//!
//! A machine may be restarted with its process, and its clock set while nobody ran. Out of reach is what nobody can know then: that
//! the clock of a machine that was restarted without a doubt was set back, and is past the newest record all
//! the same; that it was set forward, so that a pause seems over.

use std::cmp::Ordering;
use std::time::Duration;

use chrono::TimeDelta;
use lubu::clock::Time as _;

use super::office::{NAMES, Office};
use crate::chance::Rng;
use crate::channel::WINDOW;

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
            let by = wrong_by(&mut self.rng);
            self.house.time.set_wall(TimeDelta::seconds(by));
            self.say(&format!("the wall clock is set {by} s from the truth"));
        }
        self.stood_ahead(self.house.time.skew());
        self.house.tell_lanes();
    }

    /// Before a process starts, which the last one left with this doubt or none, and time so far before the truth.
    pub(super) fn machine_starts(&mut self, down_s: u64) {
        let time = &self.house.time;
        let (before, wall) = (time.skew(), time.wall_ahead());
        let doubted = time.doubt().is_some();
        if self.machine.percent(20) {
            let by = if wall != TimeDelta::zero() && self.machine.percent(60) {
                0
            } else {
                wrong_by(&mut self.machine)
            };
            time.set_wall(TimeDelta::seconds(by));
            self.house.watch.say(format_args!(
                "down, the wall clock is set {by} s from the truth"
            ));
        }
        let boots = self.machine.percent(35);
        if boots {
            self.house.watch.say("the machine starts anew");
            self.house.time.boots();
        }
        if boots && !doubted {
            self.nobody_can_know(before, down_s);
        }
        if doubted {
            self.stands_still_in_doubt();
        }
        // A doubt carried on by the wall stands where that was moved to.
        let carried = before + self.house.time.wall_ahead() - wall;
        self.stood_ahead(before.max(carried));
        self.stood_ahead(self.house.time.wall_ahead());
    }

    /// Longer than any key is remembered, and nobody counts how long: the machine's own clock stands still with it, as
    /// without a battery.
    fn stands_still_in_doubt(&mut self) {
        let Some(later) = &mut self.later else { return };
        if !later.percent(80) {
            return;
        }
        let down = WINDOW + Duration::from_secs(later.below(3_600));
        let wall = self.house.time.wall_ahead();
        self.house
            .watch
            .say("the machine stands still for a day, in doubt");
        self.house.time.boots();
        self.house.wait(down);
        let stood = TimeDelta::from_std(down).unwrap_or_default();
        self.house.time.set_wall(wall - stood);
    }

    /// What a wrong clock makes of it must be one that can be noticed.
    fn nobody_can_know(&mut self, before: TimeDelta, down_s: u64) {
        let time = &self.house.time;
        let noticed = match time.wall_ahead().cmp(&before) {
            Ordering::Less => !time.would_be_believed(),
            Ordering::Equal => true,
            Ordering::Greater => down_s >= LONG_DOWN_S,
        };
        if !noticed {
            time.set_wall(before);
        }
        if before < TimeDelta::zero() {
            time.set_wall(TimeDelta::zero());
            self.house.wait(Duration::from_secs(LONG_DOWN_S));
        }
    }

    /// A daemon's time stood so far before the truth.
    fn stood_ahead(&self, most: TimeDelta) {
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

/// Seconds, by more than is followed.
fn wrong_by(rng: &mut Rng) -> i64 {
    let most = if rng.percent(70) { 7_200 } else { 86_400 };
    let by = i64::try_from(121 + rng.below(most)).unwrap_or(121);
    if rng.percent(50) { by } else { -by }
}

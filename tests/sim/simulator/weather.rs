//! What the platforms do to whoever calls them, by chance.

use std::time::Duration;

use lubu_channels::{Effect, Fate, Goal, Job, Reach, Step, Timestamp};

use crate::chance::Rng;
use crate::channel::{Deed, Director, Real, Reply, Sight};

/// A late call arrives within this, and a look stands behind by at most the next: together they
/// stay under the settle time, which is what the settle time promises.
const LATE_S: u64 = 100;
const BEHIND_S: u64 = 60;

#[derive(Debug)]
pub struct Weather {
    rng: Rng,
    /// Of a chance of its own: the others keep theirs.
    surveys: Rng,
    /// Faults are over.
    pub calm: bool,
    /// Whose looks go through a list.
    pub lists: &'static str,
}

impl Weather {
    pub fn new(rng: Rng, lists: &'static str) -> Self {
        Self {
            surveys: Rng::new(!rng.clone().next()),
            rng,
            calm: false,
            lists,
        }
    }

    fn seconds(&mut self, most: u64) -> Duration {
        Duration::from_secs(1 + self.rng.below(most))
    }

    fn wait(&mut self, now: Timestamp) -> Option<Timestamp> {
        let waits = self.rng.percent(40);
        waits.then(|| now + self.seconds(3 * 3600))
    }

    /// What came of a call that nobody heard the end of.
    fn unheard(&mut self, now: Timestamp) -> Real {
        match self.rng.below(100) {
            0..45 => Real::Applied,
            45..78 => Real::Not,
            78..97 => Real::Late(now + self.seconds(LATE_S)),
            _ => Real::Twice,
        }
    }

    fn refusal(&mut self, now: Timestamp, job: &Job) -> Fate {
        match self.rng.below(100) {
            0..75 => Fate::Again {
                not_before: self.wait(now),
            },
            75..88 if job.goal != Goal::Withdraw => Fate::Never,
            88..96 => Fate::Blocked(Reach::Goal),
            _ => Fate::Blocked(Reach::Account),
        }
    }
}

impl Director for Weather {
    fn deed(&mut self, _channel: &str, job: &Job, step: &Step, now: Timestamp) -> Deed {
        let posts = matches!(step.effect, Effect::Public | Effect::Keyed { .. });
        let roll = self.rng.below(100);
        let (real, reply) = match roll {
            _ if self.calm => return Deed::WELL,
            66..76 => (Real::Not, Reply::Refused(self.refusal(now, job))),
            76..90 => (self.unheard(now), Reply::Lost),
            90..95 => (self.unheard(now), Reply::Dies),
            95..98 if posts => (Real::Late(now + self.seconds(LATE_S)), Reply::Told),
            98..100 if posts => (Real::Twice, Reply::Told),
            _ => return Deed::WELL,
        };
        Deed { real, reply }
    }

    fn sight(&mut self, channel: &str, now: Timestamp) -> Sight {
        let roll = self.rng.below(100);
        match roll {
            _ if self.calm => Sight::Good,
            78..86 => Sight::Behind(self.seconds(BEHIND_S)),
            86..96 => Sight::Fails(Fate::Again {
                not_before: self.wait(now),
            }),
            96..97 => Sight::Fails(Fate::Blocked(Reach::Account)),
            97.. if channel == self.lists => Sight::Window,
            _ => Sight::Good,
        }
    }

    fn check(&mut self, _channel: &str) -> bool {
        self.calm || self.rng.percent(70)
    }

    fn survey(&mut self, channel: &str) -> Sight {
        match self.surveys.below(100) {
            _ if self.calm => Sight::Good,
            80..88 => Sight::Behind(Duration::from_secs(1 + self.surveys.below(BEHIND_S))),
            88..97 => Sight::Fails(Fate::Again { not_before: None }),
            97.. if channel == self.lists => Sight::Window,
            _ => Sight::Good,
        }
    }
}

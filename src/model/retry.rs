//! When a failed step is tried again.
//!
//! The `backoff` crate computes the intervals; its own dice stay off, since they cannot be seeded,
//! and ours spread the wait by a fifth either way. The crate keeps its state in itself, so it is
//! rebuilt from the count on disk. A wait named by the platform always wins.

use std::time::Duration;

use backoff::ExponentialBackoffBuilder;
use backoff::backoff::Backoff as _;
use lubu_channels::Timestamp;

/// Intervals and ceilings of one channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Backoff {
    pub first: Duration,
    pub factor: f64,
    pub longest: Duration,
    /// After so many failed tries in a row a person decides.
    pub most_tries: u32,
    /// And after so long since the goal was set.
    pub most_age: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(5),
            factor: 3.0,
            longest: Duration::from_hours(2),
            most_tries: 20,
            most_age: Duration::from_hours(28),
        }
    }
}

impl Backoff {
    /// The wait after `tries` failures in a row, at least 1. `dice` is uniform in `0.0..1.0`.
    pub fn wait(&self, tries: u32, dice: f64) -> Duration {
        let mut intervals = ExponentialBackoffBuilder::new()
            .with_initial_interval(self.first)
            .with_multiplier(self.factor)
            .with_max_interval(self.longest)
            .with_randomization_factor(0.0)
            .with_max_elapsed_time(None)
            .build();
        // Past some sixty tries the interval has long been the longest.
        let base = (0..tries.clamp(1, 64))
            .filter_map(|_| intervals.next_backoff())
            .last()
            .unwrap_or(self.longest);
        let spread = base.mul_f64(0.8 + 0.4 * dice);
        // Whole milliseconds, as the record keeps them: what waits and what is told agree.
        Duration::from_millis(u64::try_from(spread.as_millis()).unwrap_or(u64::MAX))
    }

    /// When to try again, or `None` once a ceiling is reached.
    pub fn next(
        &self,
        tries: u32,
        since: Timestamp,
        now: Timestamp,
        not_before: Option<Timestamp>,
        dice: f64,
    ) -> Option<Timestamp> {
        let old = (now - since).to_std().unwrap_or_default() >= self.most_age;
        if tries >= self.most_tries || old {
            return None;
        }
        let ours = now + self.wait(tries, dice);
        Some(not_before.map_or(ours, |theirs| theirs.max(ours)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lubu_channels::{Clock, Manual};

    #[test]
    fn waits_grow_threefold_to_two_hours() {
        let plan = Backoff::default();
        let secs: Vec<u64> = (1..=9)
            .map(|tries| plan.wait(tries, 0.5).as_secs())
            .collect();
        assert_eq!(secs, [5, 15, 45, 135, 405, 1215, 3645, 7200, 7200]);
        assert_eq!(plan.wait(4000, 0.5).as_secs(), 7200);
    }

    #[test]
    fn dice_spread_a_wait_by_a_fifth_either_way() {
        let plan = Backoff::default();
        assert_eq!(plan.wait(1, 0.0).as_millis(), 4000);
        assert_eq!(plan.wait(1, 1.0).as_millis(), 6000);
    }

    #[test]
    fn the_platforms_own_wait_wins_when_it_is_longer() {
        let now = Manual::default().now();
        let plan = Backoff::default();
        let theirs = now + Duration::from_mins(1);
        assert_eq!(plan.next(1, now, now, Some(theirs), 0.5), Some(theirs));
        let past = now - Duration::from_mins(1);
        assert_eq!(
            plan.next(1, now, now, Some(past), 0.5),
            Some(now + Duration::from_secs(5))
        );
    }

    #[test]
    fn either_ceiling_ends_it() {
        let now = Manual::default().now();
        let plan = Backoff::default();
        assert_eq!(plan.next(20, now, now, None, 0.5), None);
        assert_eq!(plan.next(1, now - plan.most_age, now, None, 0.5), None);
    }
}

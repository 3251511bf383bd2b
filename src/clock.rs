//! Waiting, beside knowing the time, and whether the time can be believed.
//!
//! The engine waits on instants. In production they are counted by boot time from when the wall
//! clock was last believed: a clock that is set shortens and stretches no wait. What it says is
//! compared at every asking, and where it cannot be right ([`Faith`]) nothing is sent until it is, or
//! until a person says that it is. In tests time is a clock that a test moves.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use lubu_channels::{Clock, Manual, System, Timestamp, Words};
use tokio::sync::watch;

#[async_trait]
pub trait Time: Clock {
    /// Returns once it is `at`, at once if that has passed.
    async fn sleep_until(&self, at: Timestamp);

    /// Why the clock cannot be believed; none while it can.
    fn doubt(&self) -> Option<Doubt> {
        None
    }

    /// A person says that the clock is right. How far time goes back by that; less than nothing where it
    /// goes forward.
    fn confirm(&self) -> TimeDelta {
        TimeDelta::zero()
    }
}

/// What the machine's two clocks say at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    pub wall: Timestamp,
    /// Time since the machine started, sleep included. Nobody can set it.
    pub boot: Duration,
}

/// Why the wall clock cannot be believed (时钟存疑).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// It stands before the newest record.
    Behind { wall: Timestamp, newest: Timestamp },
    /// It was set while we ran.
    Jumped {
        wall: Timestamp,
        expected: Timestamp,
    },
}

impl Doubt {
    pub fn words(&self) -> Words {
        let at = |time: &Timestamp| time.format("%Y-%m-%d %H:%M:%S UTC").to_string();
        match self {
            Self::Behind { wall, newest } => Words::new(
                format!(
                    "时钟存疑：系统时间 {} 早于最新记录 {}。请校准系统时间；若系统时间无误，由负责人执行 lubu confirm-clock --by 姓名",
                    at(wall),
                    at(newest)
                ),
                format!(
                    "the clock cannot be believed: it says {}, before the newest record of {}; set it right, or say that it is right by `lubu confirm-clock --by NAME`",
                    at(wall),
                    at(newest)
                ),
            ),
            Self::Jumped { wall, expected } => Words::new(
                format!(
                    "时钟存疑：系统时间跳到 {}，应为 {}。请校准系统时间；若系统时间无误，由负责人执行 lubu confirm-clock --by 姓名",
                    at(wall),
                    at(expected)
                ),
                format!(
                    "the clock cannot be believed: it jumped to {}, where {} was expected; set it right, or say that it is right by `lubu confirm-clock --by NAME`",
                    at(wall),
                    at(expected)
                ),
            ),
        }
    }
}

/// How far the wall may stand before the newest record.
const BEHIND: TimeDelta = TimeDelta::seconds(60);
/// How far it may go apart from boot time between two askings.
const JUMP: TimeDelta = TimeDelta::seconds(120);

/// What is believed of the wall clock, and since when.
#[derive(Debug, Clone)]
pub struct Faith {
    anchor: Reading,
    newest: Timestamp,
    doubt: Option<Doubt>,
    /// How far behind the newest record it stood when that was noticed.
    gap: TimeDelta,
}

impl Faith {
    pub fn new(reading: Reading) -> Self {
        Self {
            anchor: reading,
            newest: Timestamp::UNIX_EPOCH,
            doubt: None,
            gap: TimeDelta::zero(),
        }
    }

    /// The time of the newest record on disk.
    pub fn recorded(&mut self, at: Timestamp) {
        self.newest = self.newest.max(at);
    }

    /// What time it is: the wall's while that is believed, else counted on by boot time.
    pub fn read(&mut self, now: Reading) -> Timestamp {
        let since = now.boot.saturating_sub(self.anchor.boot);
        let expected = self.anchor.wall + since;
        let (wall, newest) = (now.wall, self.newest);
        let apart = (wall - expected).abs() > JUMP;
        let behind = wall < newest - BEHIND;
        // A wrong clock that has only gone on is as wrong as it was, though it has passed the newest
        // record by now.
        let set_right = wall - expected >= self.gap - BEHIND;
        let was_behind = matches!(self.doubt, Some(Doubt::Behind { .. }));
        self.doubt = match self.doubt {
            None | Some(Doubt::Jumped { .. }) if apart => Some(Doubt::Jumped { wall, expected }),
            // A machine that started with a wrong clock is set right by a jump: records tell.
            _ if behind || was_behind && !set_right => Some(Doubt::Behind { wall, newest }),
            _ => None,
        };
        if matches!(self.doubt, Some(Doubt::Behind { .. })) && !was_behind {
            self.gap = newest - wall;
        }
        if self.doubt.is_some() {
            return expected;
        }
        self.anchor = now;
        wall
    }

    pub fn doubt(&self) -> Option<Doubt> {
        self.doubt
    }

    /// A person says that the wall is right. How far time goes back by that.
    pub fn confirm(&mut self, now: Reading) -> TimeDelta {
        let back = self.read(now).max(self.newest) - now.wall;
        *self = Self {
            newest: now.wall,
            ..Self::new(now)
        };
        back
    }
}

/// The machine's clocks, believed as far as they can be, and the runtime's timer.
#[derive(Debug)]
pub struct Real(Mutex<Faith>);

impl Default for Real {
    fn default() -> Self {
        Self(Mutex::new(Faith::new(reading())))
    }
}

fn reading() -> Reading {
    let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Reading {
        wall: System.now(),
        boot: Duration::new(
            u64::try_from(boot.tv_sec).unwrap_or_default(),
            u32::try_from(boot.tv_nsec).unwrap_or_default(),
        ),
    }
}

impl Real {
    fn with<T>(&self, f: impl FnOnce(&mut Faith) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn recorded(&self, at: Timestamp) {
        self.with(|faith| faith.recorded(at));
    }
}

/// The time that records bear: never before the newest, so that a wrong clock is known for one
/// after a restart, too.
#[derive(Debug, Clone)]
pub struct Stamps(pub Arc<Real>);

impl Clock for Stamps {
    fn now(&self) -> Timestamp {
        self.0.with(|faith| {
            let now = faith.read(reading()).max(faith.newest);
            faith.recorded(now);
            now
        })
    }
}

impl Clock for Real {
    fn now(&self) -> Timestamp {
        self.with(|faith| faith.read(reading()))
    }
}

#[async_trait]
impl Time for Real {
    fn doubt(&self) -> Option<Doubt> {
        self.with(|faith| {
            faith.read(reading());
            faith.doubt()
        })
    }

    fn confirm(&self) -> TimeDelta {
        self.with(|faith| faith.confirm(reading()))
    }

    async fn sleep_until(&self, at: Timestamp) {
        let wait = (at - self.now()).to_std().unwrap_or_default();
        tokio::time::sleep(wait).await;
    }
}

/// A clock that stands still until a test moves it, and wakes who waits.
#[derive(Debug)]
pub struct Steered {
    clock: Manual,
    moved: watch::Sender<()>,
    doubt: Mutex<Option<Doubt>>,
    asleep: Mutex<Vec<Timestamp>>,
}

impl Default for Steered {
    fn default() -> Self {
        Self {
            clock: Manual::default(),
            moved: watch::Sender::new(()),
            doubt: Mutex::default(),
            asleep: Mutex::default(),
        }
    }
}

/// Taken out again when its sleeper wakes, or is dropped.
struct Asleep<'a>(&'a Steered, Timestamp);

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        let mut asleep = self.0.asleep();
        if let Some(at) = asleep.iter().position(|at| *at == self.1) {
            asleep.swap_remove(at);
        }
    }
}

impl Steered {
    fn asleep(&self) -> MutexGuard<'_, Vec<Timestamp>> {
        self.asleep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the first of those that sleep just now wakes.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.asleep().iter().min().copied()
    }

    /// From now on it is, or is no longer, to be believed.
    pub fn distrust(&self, doubt: Option<Doubt>) {
        *self.doubt.lock().unwrap_or_else(PoisonError::into_inner) = doubt;
    }

    pub fn set(&self, to: Timestamp) {
        self.clock.set(to);
        self.moved.send_replace(());
    }

    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.moved.send_replace(());
    }
}

impl Clock for Steered {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

#[async_trait]
impl Time for Steered {
    fn doubt(&self) -> Option<Doubt> {
        *self.doubt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn sleep_until(&self, at: Timestamp) {
        let mut moved = self.moved.subscribe();
        self.asleep().push(at);
        let _asleep = Asleep(self, at);
        while self.now() < at {
            if moved.changed().await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall: i64, boot: u64) -> Reading {
        Reading {
            wall: Timestamp::UNIX_EPOCH + TimeDelta::seconds(wall),
            boot: Duration::from_secs(boot),
        }
    }

    fn seconds(time: Timestamp) -> i64 {
        time.timestamp()
    }

    #[test]
    fn a_clock_set_back_an_hour_is_doubted_and_time_goes_on_by_boot_time() {
        let mut faith = Faith::new(at(100_000, 10));
        assert_eq!(seconds(faith.read(at(100_050, 60))), 100_050);
        assert_eq!(seconds(faith.read(at(96_451, 61))), 100_051);
        assert!(matches!(faith.doubt(), Some(Doubt::Jumped { .. })));
        // Set right again, it is believed.
        assert_eq!(seconds(faith.read(at(100_071, 80))), 100_071);
        assert_eq!(faith.doubt(), None);
    }

    #[test]
    fn a_clock_set_forward_a_month_makes_nothing_due() {
        let month = 30 * 86_400;
        let mut faith = Faith::new(at(100_000, 10));
        assert_eq!(seconds(faith.read(at(100_000 + month, 11))), 100_001);
        assert!(matches!(faith.doubt(), Some(Doubt::Jumped { .. })));
    }

    #[test]
    fn small_steps_of_the_wall_are_followed_both_ways() {
        let mut faith = Faith::new(at(100_000, 10));
        assert_eq!(seconds(faith.read(at(100_110, 20))), 100_110);
        assert_eq!(seconds(faith.read(at(100_020, 30))), 100_020);
        assert_eq!(faith.doubt(), None);
    }

    #[test]
    fn a_machine_that_starts_in_1970_waits_for_its_clock_and_goes_on_once_it_is_set() {
        let mut faith = Faith::new(at(5, 1));
        faith.recorded(at(1_000_000, 0).wall);
        faith.read(at(6, 2));
        assert!(matches!(faith.doubt(), Some(Doubt::Behind { .. })));
        assert_eq!(seconds(faith.read(at(1_000_100, 30))), 1_000_100);
        assert_eq!(faith.doubt(), None);
    }

    #[test]
    fn a_clock_that_was_behind_is_not_believed_because_it_has_gone_on() {
        let mut faith = Faith::new(at(1_000, 1));
        faith.recorded(at(10_000, 0).wall);
        faith.read(at(1_000, 1));
        for elapsed in [8_999, 9_100, 50_000] {
            faith.read(at(1_000 + elapsed, 1 + elapsed.unsigned_abs()));
            assert!(
                matches!(faith.doubt(), Some(Doubt::Behind { .. })),
                "{elapsed}"
            );
        }
        // Set forward by what it lacked, and more, since the truth is past the newest record.
        assert_eq!(seconds(faith.read(at(70_000, 50_101))), 70_000);
        assert_eq!(faith.doubt(), None);
    }

    #[test]
    fn a_clock_a_little_behind_is_believed_once_it_is_set_by_as_little() {
        let mut faith = Faith::new(at(900, 1));
        faith.recorded(at(1_000, 0).wall);
        faith.read(at(900, 1));
        faith.read(at(1_100, 201));
        assert!(faith.doubt().is_some(), "it has only gone on");
        faith.read(at(1_200, 201));
        assert_eq!(faith.doubt(), None);
    }

    #[test]
    fn sixty_seconds_before_the_newest_record_is_still_believed() {
        let mut faith = Faith::new(at(940, 1));
        faith.recorded(at(1_000, 0).wall);
        faith.read(at(940, 1));
        assert_eq!(faith.doubt(), None);
        faith.read(at(939, 1));
        assert!(faith.doubt().is_some());
    }

    #[test]
    fn a_person_who_says_that_the_clock_is_right_is_believed() {
        let mut faith = Faith::new(at(100_000, 10));
        faith.recorded(at(100_000, 0).wall);
        faith.read(at(96_400, 10));
        assert_eq!(faith.confirm(at(96_401, 11)).num_seconds(), 3_600);
        assert_eq!(seconds(faith.read(at(96_402, 12))), 96_402);
        assert_eq!(faith.doubt(), None);
    }
}

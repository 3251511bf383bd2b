//! A clock that stands still until the simulation moves it, and knows who waits for what.
//!
//! True time is what the simulation moves. The machine's wall clock may stand apart from it, and what
//! the daemon believes of it is decided by the daemon's own rules.
//!
//! Who waits is woken in the order in which they began to wait: a runtime's own channels choose by
//! chance, and the same seed would not live the same life.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use chrono::TimeDelta;
use lubu::clock::{Doubt, Faith, Reading, Time};
use lubu_channels::{Clock, Manual, Timestamp};

#[derive(Debug)]
pub struct Jump {
    truth: Manual,
    machine: Mutex<Machine>,
    waiting: Mutex<Waiting>,
}

#[derive(Debug)]
struct Machine {
    /// How far its wall clock stands before the truth.
    ahead: TimeDelta,
    faith: Faith,
    /// The newest record's time.
    newest: Timestamp,
}

impl Default for Jump {
    fn default() -> Self {
        let truth = Manual::default();
        let machine = Machine {
            ahead: TimeDelta::zero(),
            faith: Faith::new(reading(truth.now(), TimeDelta::zero())),
            newest: Timestamp::UNIX_EPOCH,
        };
        Self {
            truth,
            machine: Mutex::new(machine),
            waiting: Mutex::default(),
        }
    }
}

fn reading(truth: Timestamp, ahead: TimeDelta) -> Reading {
    let boot = truth - Timestamp::UNIX_EPOCH;
    Reading {
        wall: truth + ahead,
        boot: boot.to_std().unwrap_or_default(),
    }
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    until: BTreeMap<u64, (Timestamp, Waker)>,
}

impl Jump {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("unpoisoned")
    }

    /// Moves the truth.
    pub fn set(&self, to: Timestamp) {
        self.truth.set(to);
        self.wake();
    }

    pub fn truth(&self) -> Timestamp {
        self.truth.now()
    }

    /// How far the daemon's time stands before the truth.
    pub fn skew(&self) -> TimeDelta {
        self.now() - self.truth()
    }

    /// How far the wall stands before the truth.
    pub fn wall_ahead(&self) -> TimeDelta {
        self.machine().ahead
    }

    pub fn wall_is_right(&self) -> bool {
        self.machine().ahead == TimeDelta::zero()
    }

    /// The machine's wall clock is set, so far before the truth.
    pub fn set_wall(&self, ahead: TimeDelta) {
        self.machine().ahead = ahead;
        self.wake();
    }

    /// Whether a new process would not notice that the wall stands behind.
    pub fn would_be_believed(&self) -> bool {
        let machine = self.machine();
        self.truth() + machine.ahead >= machine.newest - TimeDelta::seconds(60)
    }

    /// A new process believes the wall, as far as its records let it.
    pub fn restart(&self) {
        let truth = self.truth();
        let mut machine = self.machine();
        machine.faith = Faith::new(reading(truth, machine.ahead));
        let newest = machine.newest;
        machine.faith.recorded(newest);
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().expect("unpoisoned")
    }

    fn wake(&self) {
        let wakers: Vec<Waker> = self
            .lock()
            .until
            .values()
            .map(|(_, waker)| waker.clone())
            .collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The first instant that somebody waits for.
    pub fn earliest(&self) -> Option<Timestamp> {
        self.lock().until.values().map(|(at, _)| *at).min()
    }

    /// How often somebody began to wait: a sign of life.
    pub fn waits(&self) -> u64 {
        self.lock().next
    }
}

impl Clock for Jump {
    fn now(&self) -> Timestamp {
        let truth = self.truth();
        let mut machine = self.machine();
        let now = reading(truth, machine.ahead);
        machine.faith.read(now)
    }
}

/// The time that records bear: never before the newest.
#[derive(Debug)]
pub struct Stamps(pub std::sync::Arc<Jump>);

impl Clock for Stamps {
    fn now(&self) -> Timestamp {
        let now = self.0.now();
        let mut machine = self.0.machine();
        let now = now.max(machine.newest);
        machine.newest = now;
        machine.faith.recorded(now);
        now
    }
}

/// Gone from the list when its task is, too.
struct Wait<'a> {
    clock: &'a Jump,
    number: u64,
    at: Timestamp,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.clock.now() >= self.at {
            return Poll::Ready(());
        }
        let waits = (self.at, context.waker().clone());
        self.clock.lock().until.insert(self.number, waits);
        Poll::Pending
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.clock.lock().until.remove(&self.number);
    }
}

#[async_trait]
impl Time for Jump {
    fn doubt(&self) -> Option<Doubt> {
        let _read = self.now();
        self.machine().faith.doubt()
    }

    fn confirm(&self) -> TimeDelta {
        let truth = self.truth();
        let mut machine = self.machine();
        let now = reading(truth, machine.ahead);
        machine.newest = now.wall;
        machine.faith.confirm(now)
    }

    async fn sleep_until(&self, at: Timestamp) {
        let number = {
            let mut waiting = self.lock();
            waiting.next += 1;
            waiting.next
        };
        let clock = self;
        Wait { clock, number, at }.await;
    }
}

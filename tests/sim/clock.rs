//! A clock that stands still until the simulation moves it, and knows who waits for what.
//!
//! True time is what the simulation moves. The machine's wall clock may stand apart from it, and what
//! the daemon believes of it is decided by the daemon's own rules.
//!
//! Who waits is woken in the order in which they began to wait: a runtime's own channels choose by
//! chance, and the same seed would not live the same life.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use chrono::TimeDelta;
use lubu::clock::{Believed, Doubt, Found, Opened, Rigged, Time};
use lubu::model::halt::SetBack;
use lubu_channels::{Clock, Timestamp};

#[derive(Debug)]
pub struct Jump {
    machine: Arc<Rigged>,
    believed: Mutex<Believed<Arc<Rigged>>>,
    /// What the last process had kept when it died.
    left: Mutex<Option<Found>>,
    /// The newest record's time, as the journal has it.
    newest: Mutex<Timestamp>,
    waiting: Mutex<Waiting>,
}

impl Default for Jump {
    fn default() -> Self {
        let machine = Arc::<Rigged>::default();
        Self {
            believed: Mutex::new(Believed::new(Arc::clone(&machine), Found::default())),
            machine,
            left: Mutex::default(),
            newest: Mutex::new(Timestamp::UNIX_EPOCH),
            waiting: Mutex::default(),
        }
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
        self.machine.move_to(to);
        self.wake();
    }

    pub fn truth(&self) -> Timestamp {
        self.machine.truth()
    }

    /// How far the daemon's time stands before the truth.
    pub fn skew(&self) -> TimeDelta {
        self.now() - self.truth()
    }

    /// How far the wall stands before the truth.
    pub fn wall_ahead(&self) -> TimeDelta {
        self.machine.ahead()
    }

    pub fn wall_is_right(&self) -> bool {
        self.wall_ahead() == TimeDelta::zero()
    }

    /// The machine's wall clock is set, so far before the truth.
    pub fn set_wall(&self, ahead: TimeDelta) {
        self.machine.set_wall(ahead);
        self.wake();
    }

    /// Whether a process that knows nothing would not notice that the wall stands behind.
    pub fn would_be_believed(&self) -> bool {
        let newest = *self.newest.lock().expect("unpoisoned");
        self.truth() + self.wall_ahead() >= newest - TimeDelta::seconds(60)
    }

    /// The machine starts anew.
    pub fn boots(&self) {
        self.machine.boots();
    }

    /// The process is gone: it notices and keeps nothing any more.
    pub fn dies(&self) {
        let kept = self.believed().kept();
        *self.left.lock().expect("unpoisoned") = Some(kept);
    }

    /// A new process finds what the last one kept.
    pub fn restart(&self) {
        let found = self.left.lock().expect("unpoisoned").take();
        let found = found.unwrap_or_default();
        *self.believed() = Believed::new(Arc::clone(&self.machine), found);
    }

    /// Its store is open.
    pub fn opened(&self, set_back: SetBack) {
        let opened = Opened {
            store: "store".to_owned(),
            newest: Some(*self.newest.lock().expect("unpoisoned")),
            set_back,
        };
        self.believed().opened(opened, None);
    }

    fn believed(&self) -> MutexGuard<'_, Believed<Arc<Rigged>>> {
        self.believed.lock().expect("unpoisoned")
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
        let believed = self.believed();
        let now = believed.now();
        // As often as once a second, in the daemon.
        believed.keep();
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
    fn stamp(&self) -> Timestamp {
        let stamp = self.believed().stamp();
        *self.newest.lock().expect("unpoisoned") = stamp;
        stamp
    }

    fn doubt(&self) -> Option<Doubt> {
        self.believed().doubt()
    }

    fn gap(&self) -> TimeDelta {
        self.believed().gap()
    }

    fn confirm(&self, set_back: u64) {
        self.believed().confirm(set_back);
    }

    fn confirmed(&self) {
        self.believed().confirmed();
    }

    fn set_back(&self) -> Option<u64> {
        self.believed().set_back()
    }

    fn uncounted(&self) -> bool {
        self.believed().uncounted()
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

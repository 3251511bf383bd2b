//! Clocks that only tests move: a machine's, and a time on it that wakes who waits.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use lubu_channels::{Clock, Manual, Timestamp};
use tokio::sync::watch;

use super::{Believed, Doubt, FILE, Found, Machine, Opened, Reading, Time};

/// A machine whose true time a test moves and whose wall clock it sets.
#[derive(Debug, Default)]
pub struct Rigged {
    truth: Manual,
    set: Mutex<Set>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Set {
    /// How far the wall stands before the truth.
    ahead: TimeDelta,
    boots: u32,
    booted: Timestamp,
}

impl Rigged {
    fn set(&self) -> MutexGuard<'_, Set> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn truth(&self) -> Timestamp {
        self.truth.now()
    }

    pub fn move_to(&self, to: Timestamp) {
        self.truth.set(to);
    }

    pub fn ahead(&self) -> TimeDelta {
        self.set().ahead
    }

    pub fn set_wall(&self, ahead: TimeDelta) {
        self.set().ahead = ahead;
    }

    /// The machine starts anew: it counts from nothing, and its wall runs on.
    pub fn boots(&self) {
        let now = self.truth();
        let mut set = self.set();
        set.boots += 1;
        set.booted = now;
    }
}

impl Machine for Arc<Rigged> {
    fn reading(&self) -> Reading {
        let (truth, set) = (self.truth(), *self.set());
        Reading {
            wall: truth + set.ahead,
            boot: (truth - set.booted).to_std().unwrap_or_default(),
        }
    }

    fn boot_id(&self) -> String {
        format!("boot-{}", self.set().boots)
    }
}

/// A clock that stands still until a test moves it, and wakes who waits.
#[derive(Debug)]
pub struct Steered {
    pub machine: Arc<Rigged>,
    believed: RwLock<Believed<Arc<Rigged>>>,
    moved: watch::Sender<()>,
    doubt: Mutex<Option<Doubt>>,
    asleep: Mutex<Vec<Timestamp>>,
}

impl Default for Steered {
    fn default() -> Self {
        let machine = Arc::<Rigged>::default();
        let believed = Believed::new(Arc::clone(&machine), Found::default());
        Self {
            machine,
            believed: RwLock::new(believed),
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

    fn with<T>(&self, f: impl FnOnce(&Believed<Arc<Rigged>>) -> T) -> T {
        f(&self.believed.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// When the first of those that sleep just now wakes.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.asleep().iter().min().copied()
    }

    /// From now on it is, or is no longer, to be believed.
    pub fn distrust(&self, doubt: Option<Doubt>) {
        *self.doubt.lock().unwrap_or_else(PoisonError::into_inner) = doubt;
    }

    /// Moves on until it says so.
    pub fn set(&self, to: Timestamp) {
        let wrong_by = self.now() - self.machine.truth();
        self.machine.move_to(to - wrong_by);
        self.moved.send_replace(());
    }

    pub fn advance(&self, by: Duration) {
        self.machine.move_to(self.machine.truth() + by);
        self.moved.send_replace(());
    }

    /// Somebody sets the wall so far before the truth.
    pub fn set_wall(&self, ahead: TimeDelta) {
        self.machine.set_wall(ahead);
        self.moved.send_replace(());
    }

    /// Another process, which finds what the last one kept in this folder.
    pub fn restart(&self, data: &Path) {
        let found = Found::at(&data.join(FILE));
        let believed = Believed::new(Arc::clone(&self.machine), found);
        *self
            .believed
            .write()
            .unwrap_or_else(PoisonError::into_inner) = believed;
    }

    pub fn opened(&self, opened: Opened, data: &Path) {
        self.with(|believed| believed.opened(opened, Some(&data.join(FILE))));
    }

    /// What the daemon does every second.
    pub fn keep(&self) {
        self.with(Believed::keep);
    }
}

impl Clock for Steered {
    fn now(&self) -> Timestamp {
        self.with(Believed::now)
    }
}

#[async_trait]
impl Time for Steered {
    fn stamp(&self) -> Timestamp {
        self.with(Believed::stamp)
    }

    fn doubt(&self) -> Option<Doubt> {
        let told = *self.doubt.lock().unwrap_or_else(PoisonError::into_inner);
        told.or_else(|| self.with(Believed::doubt))
    }

    fn gap(&self) -> TimeDelta {
        self.with(Believed::gap)
    }

    fn confirm(&self, set_back: u64) {
        self.with(|believed| believed.confirm(set_back));
        self.moved.send_replace(());
    }

    fn confirmed(&self) {
        self.with(Believed::confirmed);
    }

    fn set_back(&self) -> Option<u64> {
        self.with(Believed::set_back)
    }

    fn uncounted(&self) -> bool {
        self.with(Believed::uncounted)
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

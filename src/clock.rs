//! Waiting, beside knowing the time.
//!
//! The engine waits on instants. In production that is the runtime's timer, which counts boot time
//! and so does not care when the wall clock is set; in tests it is a clock that a test moves.

use async_trait::async_trait;
use lubu_channels::{Clock, Manual, System, Timestamp};
use tokio::sync::watch;

#[async_trait]
pub trait Time: Clock {
    /// Returns once it is `at`, at once if that has passed.
    async fn sleep_until(&self, at: Timestamp);
}

/// The machine's clock and the runtime's timer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Real;

impl Clock for Real {
    fn now(&self) -> Timestamp {
        System.now()
    }
}

#[async_trait]
impl Time for Real {
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
}

impl Default for Steered {
    fn default() -> Self {
        Self {
            clock: Manual::default(),
            moved: watch::Sender::new(()),
        }
    }
}

impl Steered {
    pub fn set(&self, to: Timestamp) {
        self.clock.set(to);
        self.moved.send_replace(());
    }

    pub fn advance(&self, by: std::time::Duration) {
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
    async fn sleep_until(&self, at: Timestamp) {
        let mut moved = self.moved.subscribe();
        while self.now() < at {
            if moved.changed().await.is_err() {
                return;
            }
        }
    }
}

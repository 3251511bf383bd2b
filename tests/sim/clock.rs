//! A clock that stands still until the simulation moves it, and knows who waits for what.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use lubu::clock::Time;
use lubu_channels::{Clock, Manual, Timestamp};
use tokio::sync::watch;

#[derive(Debug)]
pub struct Jump {
    clock: Manual,
    moved: watch::Sender<()>,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    until: BTreeMap<u64, Timestamp>,
}

impl Default for Jump {
    fn default() -> Self {
        Self {
            clock: Manual::default(),
            moved: watch::Sender::new(()),
            waiting: Mutex::default(),
        }
    }
}

impl Jump {
    pub fn set(&self, to: Timestamp) {
        self.clock.set(to);
        self.moved.send_replace(());
    }

    /// The first instant that somebody waits for.
    pub fn earliest(&self) -> Option<Timestamp> {
        let waiting = self.waiting.lock().expect("unpoisoned");
        waiting.until.values().min().copied()
    }

    /// How often somebody began to wait: a sign of life.
    pub fn waits(&self) -> u64 {
        self.waiting.lock().expect("unpoisoned").next
    }
}

impl Clock for Jump {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// Gone from the list when its task is, too.
struct Wait<'a>(&'a Jump, u64);

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.0
            .waiting
            .lock()
            .expect("unpoisoned")
            .until
            .remove(&self.1);
    }
}

#[async_trait]
impl Time for Jump {
    async fn sleep_until(&self, at: Timestamp) {
        let mut moved = self.moved.subscribe();
        let wait = {
            let mut waiting = self.waiting.lock().expect("unpoisoned");
            waiting.next += 1;
            let number = waiting.next;
            waiting.until.insert(number, at);
            Wait(self, number)
        };
        while self.now() < at {
            if moved.changed().await.is_err() {
                break;
            }
        }
        drop(wait);
    }
}

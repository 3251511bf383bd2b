//! A clock that stands still until the simulation moves it, and knows who waits for what.
//!
//! Who waits is woken in the order in which they began to wait: a runtime's own channels choose by
//! chance, and the same seed would not live the same life.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use lubu::clock::Time;
use lubu_channels::{Clock, Manual, Timestamp};

#[derive(Debug, Default)]
pub struct Jump {
    clock: Manual,
    waiting: Mutex<Waiting>,
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

    pub fn set(&self, to: Timestamp) {
        self.clock.set(to);
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
        self.clock.now()
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

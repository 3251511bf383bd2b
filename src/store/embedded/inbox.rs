//! Acts on their way to the writer: three queues and the store's own wishes, one bell.
//!
//! A mutex and a condition variable rather than a channel, because the writer takes everything that waits at
//! once, sorted by class, and may put back what did not fit.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::domain::{Class, Domain};
use super::error::ActError;
use super::own::Own;

pub(super) type Answer<D> = Result<<D as Domain>::Answer, ActError<<D as Domain>::Refusal>>;

pub(super) struct Job<D: Domain> {
    pub(super) act: D::Act,
    pub(super) class: Class,
    pub(super) answer: oneshot::Sender<Answer<D>>,
}

struct Waiting<D: Domain> {
    by_class: [VecDeque<Job<D>>; 3],
    /// The store's own, before all others: they are few.
    own: VecDeque<Own>,
    open: bool,
    /// The writer is waiting for the bell.
    idle: bool,
    /// It has acts that are not answered yet.
    at_work: bool,
    turns: u64,
}

pub(super) struct Inbox<D: Domain> {
    waiting: Mutex<Waiting<D>>,
    bell: Condvar,
}

/// What the writer gets when it asks for work.
pub(super) enum Taken<D: Domain> {
    Jobs(Vec<Job<D>>),
    Own(Own),
    /// Nothing came for a while.
    Quiet,
    /// Closed, and everything that had come is done.
    Closed,
}

impl<D: Domain> Inbox<D> {
    pub(super) fn new() -> Self {
        let by_class = [VecDeque::new(), VecDeque::new(), VecDeque::new()];
        let waiting = Waiting {
            by_class,
            own: VecDeque::new(),
            open: true,
            idle: false,
            at_work: false,
            turns: 0,
        };
        Self {
            waiting: Mutex::new(waiting),
            bell: Condvar::new(),
        }
    }

    /// Nothing is left half done under this lock, so a poisoned one is as good as any.
    fn lock(&self) -> MutexGuard<'_, Waiting<D>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the job back once the inbox is closed.
    pub(super) fn put(&self, job: Job<D>) -> Result<(), Job<D>> {
        let mut waiting = self.lock();
        if !waiting.open {
            return Err(job);
        }
        waiting.by_class[job.class.index()].push_back(job);
        let wake = waiting.idle;
        waiting.idle = false;
        drop(waiting);
        if wake {
            self.bell.notify_one();
        }
        Ok(())
    }

    /// A wish of the store's own; gives it back once the inbox is closed.
    pub(super) fn put_own(&self, own: Own) -> Result<(), Own> {
        let mut waiting = self.lock();
        if !waiting.open {
            return Err(own);
        }
        waiting.own.push_back(own);
        waiting.idle = false;
        drop(waiting);
        self.bell.notify_one();
        Ok(())
    }

    /// Jobs that did not fit, to be taken first among their class.
    pub(super) fn put_back(&self, jobs: impl DoubleEndedIterator<Item = Job<D>>) {
        let mut waiting = self.lock();
        for job in jobs.rev() {
            waiting.by_class[job.class.index()].push_front(job);
        }
    }

    /// Up to `most` jobs, by class and then by age. Waits while there is none. `under_way`: what was taken before
    /// is not all answered.
    pub(super) fn take(&self, most: usize, quiet: Duration, under_way: bool) -> Taken<D> {
        let mut waiting = self.lock();
        waiting.turns += 1;
        waiting.at_work = under_way;
        loop {
            if let Some(own) = waiting.own.pop_front() {
                return Taken::Own(own);
            }
            let mut jobs = Vec::new();
            for queue in &mut waiting.by_class {
                let piece = queue.len().min(most - jobs.len());
                jobs.extend(queue.drain(..piece));
            }
            if !jobs.is_empty() {
                waiting.at_work = true;
                return Taken::Jobs(jobs);
            }
            if !waiting.open {
                return Taken::Closed;
            }
            waiting.idle = true;
            let (guard, out) = self
                .bell
                .wait_timeout(waiting, quiet)
                .unwrap_or_else(PoisonError::into_inner);
            waiting = guard;
            if out.timed_out() && waiting.idle {
                waiting.idle = false;
                return Taken::Quiet;
            }
        }
    }

    /// Nothing more is taken in; what waits is still done.
    pub(super) fn close(&self) {
        self.lock().open = false;
        self.bell.notify_all();
    }

    /// Nothing more is done either: those who wait hear that the store has stopped.
    pub(super) fn abandon(&self) {
        let mut waiting = self.lock();
        waiting.open = false;
        let left: Vec<_> = waiting
            .by_class
            .iter_mut()
            .flat_map(std::mem::take)
            .collect();
        let own = std::mem::take(&mut waiting.own);
        drop(waiting);
        drop((left, own));
    }

    /// How often the writer came for work, and whether any waits for it, or for an answer.
    pub(super) fn pulse(&self) -> (u64, bool) {
        let waiting = self.lock();
        (
            waiting.turns,
            waiting.at_work
                || !waiting.own.is_empty()
                || waiting.by_class.iter().any(|queue| !queue.is_empty()),
        )
    }
}

//! Carries answers from the writer to the tasks that wait for them.
//!
//! To wake a task from a thread outside the runtime costs a system call and a queue that all of its
//! threads share. So a group's answers go to one task, which hands them out from within. A few go
//! directly: at a low rate nothing is gained, and a detour would be felt.

use std::sync::OnceLock;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::domain::Domain;
use super::inbox::Answer;

/// So many wake their tasks directly.
const FEW: usize = 3;

/// An act that was decided, and who waits for it.
pub(super) struct Letter<D: Domain> {
    pub(super) answer: oneshot::Sender<Answer<D>>,
    pub(super) verdict: Answer<D>,
}

impl<D: Domain> Letter<D> {
    pub(super) fn hand_over(self) {
        // Who asked may have gone; the act has happened all the same.
        drop(self.answer.send(self.verdict));
    }
}

pub(super) struct Post<D: Domain> {
    carrier: OnceLock<mpsc::UnboundedSender<Vec<Letter<D>>>>,
}

impl<D: Domain> Post<D> {
    pub(super) fn new() -> Self {
        Self {
            carrier: OnceLock::new(),
        }
    }

    /// Starts the carrier, if this is a runtime and none was started before.
    pub(super) fn open(&self) {
        if self.carrier.get().is_some() {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        self.carrier.get_or_init(|| {
            let (give, mut taken) = mpsc::unbounded_channel::<Vec<Letter<D>>>();
            runtime.spawn(async move {
                while let Some(letters) = taken.recv().await {
                    letters.into_iter().for_each(Letter::hand_over);
                }
            });
            give
        });
    }

    pub(super) fn deliver(&self, letters: Vec<Letter<D>>) {
        let direct = match self.carrier.get() {
            Some(carrier) if letters.len() > FEW => match carrier.send(letters) {
                Ok(()) => return,
                // Its runtime has ended; others may wait elsewhere.
                Err(mpsc::error::SendError(letters)) => letters,
            },
            _ => letters,
        };
        direct.into_iter().for_each(Letter::hand_over);
    }
}

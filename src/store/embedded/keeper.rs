//! Checkpoints, beside the writer. A thread of their own, so that making a base never holds one up.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::checkpoint::{self, Checkpoint};
use super::disk::Disk;
use super::fatal::{self, Fatal};
use super::state::{Head, State};

/// What the keeper is told.
#[derive(Clone, Debug)]
pub(super) enum Work {
    Checkpoint(Option<Sender<()>>),
    Stop(Last),
}

/// What is done before the keeper goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    Checkpoint,
    Nothing,
}

/// What the writer and the keeper share.
#[derive(Debug)]
pub(super) struct Marks {
    /// The last entry that sled holds, flushed or not.
    pub(super) applied: Mutex<Head>,
    /// The last entry in the file `checkpoint`.
    pub(super) checkpointed: Mutex<Option<u64>>,
}

impl Marks {
    pub(super) fn at(head: Head) -> Self {
        Self {
            applied: Mutex::new(head),
            checkpointed: Mutex::new(None),
        }
    }

    pub(super) fn applied(&self) -> Head {
        *self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_applied(&self, head: Head) {
        *self.applied.lock().unwrap_or_else(PoisonError::into_inner) = head;
    }

    pub(super) fn checkpointed(&self) -> Option<u64> {
        *self
            .checkpointed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Keeper {
    pub(super) data: std::path::PathBuf,
    pub(super) disk: Disk,
    pub(super) state: State,
    pub(super) marks: Arc<Marks>,
    pub(super) boot_id: String,
    pub(super) stuck: Duration,
    pub(super) fatal: Arc<Fatal>,
}

impl Keeper {
    pub(super) fn start(self) -> io::Result<(Sender<Work>, JoinHandle<()>)> {
        let (tell, told) = channel();
        let thread = thread::Builder::new()
            .name("lubu-keeper".to_owned())
            .spawn(move || self.run(&told))?;
        Ok((tell, thread))
    }

    fn run(&self, told: &Receiver<Work>) {
        while let Ok(work) = told.recv() {
            if self.fatal.is_dead() {
                return;
            }
            match work {
                Work::Checkpoint(done) => {
                    self.checkpoint();
                    drop(done);
                }
                Work::Stop(Last::Checkpoint) => return self.checkpoint(),
                Work::Stop(Last::Nothing) => return,
            }
        }
    }

    /// sled's flush, our own sync of its file, then the file that says so.
    fn checkpoint(&self) {
        // Taken before the flush: what is applied meanwhile may or may not be in it.
        let head = self.marks.applied();
        if self.marks.checkpointed() == Some(head.sequence) {
            return;
        }
        let checkpoint = Checkpoint {
            head,
            boot_id: self.boot_id.clone(),
        };
        let fatal = Arc::clone(&self.fatal);
        let late = move || fatal.raise("the state could not be flushed in time");
        let flushed = fatal::within(self.stuck, late, || self.state.flush()).flatten();
        if let Err(error) = flushed {
            drop(checkpoint::remove(&self.data, &self.disk));
            return self
                .fatal
                .raise(&format!("the state could not be flushed: {error}"));
        }
        // A failure elsewhere says that the state is not to be believed, and has removed what said so.
        let write = || checkpoint::write(&self.data, &self.disk, &checkpoint);
        let Some(written) = self.fatal.unless_dead(write) else {
            return;
        };
        match written {
            Ok(()) => {
                let mut mark = self
                    .marks
                    .checkpointed
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                *mark = Some(head.sequence);
            }
            // The one before still holds; the start takes longer, that is all.
            Err(error) => tracing::warn!(%error, "the checkpoint could not be written"),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::store::embedded::frame::Chain;
    use crate::store::embedded::walk::Position;

    fn keeper(data: &std::path::Path) -> Keeper {
        let chain = Chain::genesis(Uuid::nil());
        let head = Head::at(Uuid::nil(), Position { sequence: 7, chain });
        Keeper {
            data: data.to_owned(),
            disk: Disk::default(),
            state: State::open(data, 1 << 20, &Disk::default()).unwrap(),
            marks: Arc::new(Marks::at(head)),
            boot_id: "boot".to_owned(),
            stuck: Duration::from_hours(1),
            fatal: Fatal::new(Arc::new(|_| {})),
        }
    }

    #[test]
    fn no_checkpoint_is_written_once_a_failure_was_raised() {
        for (fails, written) in [(false, true), (true, false)] {
            let folder = tempfile::tempdir().unwrap();
            let keeper = keeper(folder.path());
            if fails {
                keeper.fatal.raise("the state cannot be used");
            }
            // It was at work already: nobody asked it again.
            keeper.checkpoint();
            let found = checkpoint::read(folder.path()).unwrap();
            assert_eq!(found.is_some(), written);
            assert_eq!(keeper.marks.checkpointed().is_some(), written);
        }
    }
}

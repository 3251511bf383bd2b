//! Checkpoints, beside the writer. A thread of their own, so that making a base never holds one up.

use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
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
    pen: Mutex<Pen>,
    put_down: Condvar,
}

/// What the file `checkpoint` is written with.
#[derive(Debug, Default)]
struct Pen {
    writing: bool,
    taken_away: bool,
}

/// A checkpoint that is being written is waited for so long: the process must end even where the disk hangs.
const PATIENCE: Duration = Duration::from_secs(2);

impl Marks {
    pub(super) fn at(head: Head) -> Self {
        Self {
            applied: Mutex::new(head),
            checkpointed: Mutex::new(None),
            pen: Mutex::default(),
            put_down: Condvar::new(),
        }
    }

    /// Nothing says from here on that the state is to be believed, and nothing will.
    pub(super) fn distrust(&self, data: &Path, disk: &Disk) {
        let mut pen = self.pen.lock().unwrap_or_else(PoisonError::into_inner);
        pen.taken_away = true;
        drop(
            self.put_down
                .wait_timeout_while(pen, PATIENCE, |pen| pen.writing),
        );
        // Where that fails, too, the next start has what sled itself says.
        drop(checkpoint::remove(data, disk));
    }

    /// Does this, unless the state was distrusted before it began.
    fn with_pen<T>(&self, write: impl FnOnce() -> T) -> Option<T> {
        let pen = || self.pen.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut pen = pen();
            if pen.taken_away {
                return None;
            }
            pen.writing = true;
        }
        let written = write();
        pen().writing = false;
        self.put_down.notify_all();
        Some(written)
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
            self.marks.distrust(&self.data, &self.disk);
            return self
                .fatal
                .raise(&format!("the state could not be flushed: {error}"));
        }
        // A failure elsewhere says that the state is not to be believed, and has removed what said so.
        let write = || checkpoint::write(&self.data, &self.disk, &checkpoint);
        let Some(written) = self.marks.with_pen(write) else {
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

    fn keeper(data: &Path) -> Keeper {
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
    fn no_checkpoint_is_written_once_the_state_is_distrusted() {
        for (distrusted, written) in [(false, true), (true, false)] {
            let folder = tempfile::tempdir().unwrap();
            let keeper = keeper(folder.path());
            if distrusted {
                keeper.marks.distrust(folder.path(), &Disk::default());
            }
            // It was at work already: nobody asked it again.
            keeper.checkpoint();
            let found = checkpoint::read(folder.path()).unwrap();
            assert_eq!(found.is_some(), written);
            assert_eq!(keeper.marks.checkpointed().is_some(), written);
        }
    }

    #[test]
    fn one_that_is_being_written_is_gone_again_once_the_state_is_distrusted() {
        let folder = tempfile::tempdir().unwrap();
        let keeper = keeper(folder.path());
        let path = folder.path().join("checkpoint");
        let (tell, told) = channel();
        thread::scope(|scope| {
            let (keeper, folder) = (&keeper, &folder);
            let distrust = move || {
                told.recv().unwrap();
                keeper.marks.distrust(folder.path(), &Disk::default());
            };
            let distrusting = scope.spawn(distrust);
            let write = || {
                tell.send(()).unwrap();
                while !keeper.marks.pen.lock().unwrap().taken_away {
                    thread::yield_now();
                }
                std::fs::write(&path, "x").unwrap();
            };
            assert!(keeper.marks.with_pen(write).is_some());
            distrusting.join().unwrap();
        });
        assert!(!path.exists());
    }
}

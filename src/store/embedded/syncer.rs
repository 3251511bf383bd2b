//! Makes a written frame durable, beside the writer when many acts are under way: it decides the next group meanwhile.
//!
//! One sync at a time, and no frame is written while one is under way: what lies behind a frame is never on disk
//! before it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use super::disk::{Disk, DiskFile, Step};

/// The writer's end.
pub(super) struct Syncer {
    disk: Disk,
    tell: Option<Sender<Arc<DiskFile>>>,
    done: Receiver<io::Result<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    pub(super) fn start(disk: &Disk) -> io::Result<Self> {
        let (tell, told) = channel::<Arc<DiskFile>>();
        let (say, done) = channel();
        let own = disk.clone();
        let run = move || {
            while let Ok(file) = told.recv() {
                if say.send(sync(&own, &file)).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new()
            .name("lubu-syncer".to_owned())
            .spawn(run)?;
        Ok(Self {
            disk: disk.clone(),
            tell: Some(tell),
            done,
            thread: Some(thread),
        })
    }

    /// On disk once this returns. Nothing may be under way.
    pub(super) fn sync(&self, file: &DiskFile) -> io::Result<()> {
        sync(&self.disk, file)
    }

    /// On disk once `finish` returns.
    pub(super) fn begin(&self, file: Arc<DiskFile>) -> io::Result<()> {
        let told = self.tell.as_ref().and_then(|tell| tell.send(file).ok());
        told.ok_or_else(gone)
    }

    pub(super) fn finish(&self) -> io::Result<()> {
        self.done.recv().unwrap_or_else(|_| Err(gone()))
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.tell = None;
        if let Some(thread) = self.thread.take() {
            // What it met was told to whoever waited for it.
            drop(thread.join());
        }
    }
}

fn sync(disk: &Disk, file: &DiskFile) -> io::Result<()> {
    disk.sync(file)?;
    disk.step(Step::Synced);
    Ok(())
}

fn gone() -> io::Error {
    io::Error::other("the thread that syncs the journal has ended")
}

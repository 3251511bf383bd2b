//! Work beside the writer: checkpoints, and compressing closed segments. One thread, one thing at a time.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::checkpoint::{self, Checkpoint};
use super::disk::Disk;
use super::fatal::Fatal;
use super::segment::{compressed_path, plain_path};
use super::state::{Head, State};

/// What the keeper is told.
#[derive(Clone, Debug)]
pub(super) enum Work {
    Checkpoint(Option<Sender<()>>),
    Compress(u64),
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
                Work::Compress(number) => self.compress(number),
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
        if let Err(error) = self.state.flush() {
            drop(checkpoint::remove(&self.data, &self.disk));
            return self
                .fatal
                .raise(&format!("the state could not be flushed: {error}"));
        }
        match checkpoint::write(&self.data, &self.disk, &checkpoint) {
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

    fn compress(&self, number: u64) {
        let journal = self.data.join("journal");
        if let Err(error) = compress(&self.disk, &journal, number) {
            tracing::warn!(segment = number, %error, "journal segment {number} stays uncompressed");
        }
    }
}

/// Compresses a closed segment, reads the copy back against the original, and only then removes the original.
pub(super) fn compress(disk: &Disk, journal: &Path, number: u64) -> io::Result<()> {
    let plain = plain_path(journal, number);
    let bytes = match fs::read(&plain) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let mut packed = zstd::stream::Encoder::new(Vec::new(), 3)?;
    packed.include_checksum(true)?;
    packed.write_all(&bytes)?;
    let packed = packed.finish()?;
    let temporary = journal.join("compressing.tmp");
    let file = disk.create(&temporary, 0)?;
    let kept = disk
        .write_at(&file, 0, &packed)
        .and_then(|()| disk.sync(&file))
        .and_then(|()| verify(&temporary, &bytes))
        .and_then(|()| disk.rename(&temporary, &compressed_path(journal, number)));
    if let Err(error) = kept {
        drop(disk.remove(&temporary));
        return Err(error);
    }
    disk.sync_folder(journal)?;
    disk.remove(&plain)?;
    disk.sync_folder(journal)
}

/// Whether the compressed file gives exactly these bytes.
fn verify(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut unpacked = zstd::stream::read::Decoder::new(BufReader::new(File::open(path)?))?;
    let mut piece = vec![0; 64 * 1024];
    let mut at = 0;
    loop {
        let count = unpacked.read(&mut piece)?;
        if count == 0 && at == bytes.len() {
            return Ok(());
        }
        if count == 0 || bytes.get(at..at + count) != Some(&piece[..count]) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the compressed copy differs",
            ));
        }
        at += count;
    }
}

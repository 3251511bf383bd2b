//! Writing the journal: append, roll to the next segment, clean up behind a failed write.
//!
//! Owned by the writer thread. A frame is written, and on disk once its file was synced; nothing is written behind
//! it before that. If `write` says `Unwritten`, nothing of it is in the file; if anything says `Lost`, nobody knows,
//! and the process must end so that start-up finds out.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;
use uuid::Uuid;

use super::disk::{Disk, DiskFile, Step};
use super::frame::{Group, Key};
use super::gap::{Gap, Trail};
use super::segment::{FIRST_FRAME, FORMAT, SegmentHeader, plain_path};
use super::walk::Position;

#[derive(Debug, Error)]
pub(super) enum AppendError {
    /// Nothing of it is in the file, and the place is clean.
    #[error("write to the journal")]
    Unwritten(#[source] io::Error),
    /// What is on disk is not known: only a restart can tell.
    #[error("make the journal durable")]
    Lost(#[source] io::Error),
}

/// What does not change while the journal is open.
#[derive(Clone, Debug)]
pub(super) struct Ground {
    pub(super) disk: Disk,
    /// The folder `journal`.
    pub(super) folder: PathBuf,
    pub(super) store: Uuid,
    pub(super) segment_bytes: u64,
    pub(super) gaps: Vec<Gap>,
}

impl Ground {
    pub(super) fn trail(&self) -> Trail<'_> {
        Trail {
            folder: &self.folder,
            store: self.store,
            gaps: &self.gaps,
        }
    }
}

/// The segment that is written to.
struct Current {
    file: Arc<DiskFile>,
    number: u64,
    offset: u64,
    bytes: u64,
}

pub(super) struct Journal {
    ground: Ground,
    key: Key,
    current: Current,
    /// The next file, if it could be made.
    spare: Option<DiskFile>,
    /// The last entry that was written.
    position: Position,
    next: u64,
    /// `next` leaves a gap behind `position`, which only the header of a new segment can state.
    gap: bool,
    /// The next frame begins a new segment though this one has room.
    closing: bool,
    /// The file before the current one; to be compressed once the current one has a frame.
    closed: Option<u64>,
}

impl Journal {
    /// Goes on at `offset` of segment `number`.
    pub(super) fn resume(
        ground: Ground,
        number: u64,
        offset: u64,
        position: Position,
        next: u64,
        gap: bool,
    ) -> io::Result<Self> {
        let file = Disk::open(&plain_path(&ground.folder, number))?;
        let bytes = file.len()?;
        let key = Key::of(ground.store);
        let current = Current {
            file: Arc::new(file),
            number,
            offset,
            bytes,
        };
        Ok(Self {
            ground,
            key,
            current,
            spare: None,
            position,
            next,
            gap,
            closing: false,
            closed: None,
        })
    }

    /// Writes a segment's header into a file that is there already, and makes it durable.
    pub(super) fn head_segment(
        ground: &Ground,
        file: &DiskFile,
        number: u64,
        position: Position,
        next: u64,
        now_ms: i64,
    ) -> Result<(), AppendError> {
        let header = SegmentHeader {
            format: FORMAT,
            store: ground.store,
            number,
            first: next,
            before: position.sequence,
            chain: position.chain,
            created_ms: now_ms,
            stripped: false,
        };
        // A header that arrives in part is no header, and its file no segment: nothing to clean.
        ground
            .disk
            .write_at(file, 0, &header.encode())
            .map_err(AppendError::Unwritten)?;
        ground.disk.sync(file).map_err(AppendError::Lost)
    }

    /// A preallocated file of zeros, durable under its name.
    pub(super) fn make_segment(ground: &Ground, number: u64) -> Result<DiskFile, AppendError> {
        let path = plain_path(&ground.folder, number);
        let file = ground
            .disk
            .create(&path, ground.segment_bytes)
            .map_err(AppendError::Unwritten)?;
        ground.disk.sync(&file).map_err(AppendError::Lost)?;
        ground
            .disk
            .sync_folder(&ground.folder)
            .map_err(AppendError::Lost)?;
        Ok(file)
    }

    pub(super) fn position(&self) -> Position {
        self.position
    }

    pub(super) fn next(&self) -> u64 {
        self.next
    }

    pub(super) fn number(&self) -> u64 {
        self.current.number
    }

    /// Whether the current segment has a frame of ours or of a process before us.
    pub(super) fn is_begun(&self) -> bool {
        self.current.offset > FIRST_FRAME as u64
    }

    /// How much of the current segment was written.
    pub(super) fn offset(&self) -> u64 {
        self.current.offset
    }

    /// The next frame goes into a new segment.
    pub(super) fn close_at_next(&mut self) {
        self.closing = true;
    }

    pub(super) fn has_spare(&self) -> bool {
        self.spare.is_some()
    }

    /// Makes the next file if it is missing; a file of zeros that is there already is taken as it is.
    pub(super) fn ensure_spare(&mut self) -> Result<(), AppendError> {
        if self.spare.is_some() {
            return Ok(());
        }
        let number = self.current.number + 1;
        let there = Disk::open(&plain_path(&self.ground.folder, number)).ok();
        let there =
            there.filter(|file| file.len().is_ok_and(|len| len >= self.ground.segment_bytes));
        self.spare = Some(match there {
            Some(file) => file,
            None => Self::make_segment(&self.ground, number)?,
        });
        Ok(())
    }

    /// The segment that was completed by the last append, once.
    pub(super) fn take_closed(&mut self) -> Option<u64> {
        self.closed.take()
    }

    /// Writes the group as one frame; the one before must have been synced. Returns its bytes.
    pub(super) fn write(&mut self, group: &mut Group, now_ms: i64) -> Result<u64, AppendError> {
        let frame = group.seal(&self.key);
        let len = frame.len() as u64;
        let full = self.current.offset + len > self.current.bytes;
        if self.gap || (full || self.closing) && self.is_begun() {
            self.roll(now_ms)?;
        }
        let Current { file, offset, .. } = &self.current;
        if let Err(error) = self.ground.disk.write_at(file, *offset, &frame) {
            return Err(self.clean(frame.len(), error));
        }
        self.ground.disk.step(Step::Written);
        self.current.offset += len;
        self.current.bytes = self.current.bytes.max(self.current.offset);
        self.position = Position {
            sequence: group.next() - 1,
            chain: group.chain(),
        };
        self.next = group.next();
        Ok(len)
    }

    /// What the last frame was written to.
    pub(super) fn file(&self) -> Arc<DiskFile> {
        Arc::clone(&self.current.file)
    }

    /// Goes on in the next file. The file before keeps its last frame; the new one counts once it has a frame.
    fn roll(&mut self, now_ms: i64) -> Result<(), AppendError> {
        self.ensure_spare()?;
        let Some(file) = self.spare.take() else {
            return Ok(());
        };
        let number = self.current.number + 1;
        if let Err(error) = Self::head_segment(
            &self.ground,
            &file,
            number,
            self.position,
            self.next,
            now_ms,
        ) {
            self.spare = Some(file);
            return Err(error);
        }
        let bytes = file.len().map_err(AppendError::Unwritten)?;
        self.closed = Some(self.current.number);
        (self.gap, self.closing) = (false, false);
        self.current = Current {
            file: Arc::new(file),
            number,
            offset: FIRST_FRAME as u64,
            bytes,
        };
        // Without it work goes on; the room that is left is the writer's to judge.
        match self.ensure_spare() {
            Err(AppendError::Unwritten(error)) => {
                tracing::warn!(segment = number + 1, %error, "the next journal segment could not be made");
                Ok(())
            }
            other => other,
        }
    }

    /// After a short or failed write: zeros over the place, durable, or nobody knows.
    fn clean(&mut self, len: usize, error: io::Error) -> AppendError {
        let Current { file, offset, .. } = &self.current;
        let cleaned = self
            .ground
            .disk
            .write_at(file, *offset, &vec![0; len])
            .and_then(|()| self.ground.disk.sync(file));
        match cleaned {
            Ok(()) => AppendError::Unwritten(error),
            Err(error) => AppendError::Lost(error),
        }
    }
}

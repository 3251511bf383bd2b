//! The end of the journal as a start finds it: made durable, made clean, opened for writing.
//!
//! Nothing in the last frame is believed before it has been written again and synced: a sync that failed earlier may
//! have left pages that only the cache holds. What is torn behind it goes to `aside/`, and zeros take its place.

use std::fs;
use std::io;

use super::disk::Disk;
use super::error::OpenError;
use super::identity;
use super::journal::{AppendError, Journal};
use super::recover::{Cut, Opening};
use super::segment::{FIRST_FRAME, FORMAT, plain_path};
use super::walk::{End, Position};

impl Opening<'_> {
    /// Makes the end of the journal durable and clean, and opens it for writing.
    pub(super) fn settle_end(&mut self, end: &End, known: u64) -> Result<Journal, OpenError> {
        if known > end.position.sequence {
            let why = "the journal ends before the state";
            self.identity = identity::withhold(
                &self.options.folder,
                &self.options.disk,
                self.identity.clone(),
                why,
                known,
            )?;
            self.opened.restored_copy = true;
        }
        for &number in end.spares.iter().rev() {
            self.clean_spare(number)?;
        }
        let folder = self.ground.folder.clone();
        self.rewrite_last(end).map_err(OpenError::io(&folder))?;
        let next = end.position.sequence.max(self.identity.floor) + 1;
        let goes_on = end.last.as_ref().filter(|last| {
            let header = &last.header;
            // A frame of ours in a segment of another format would be read in its shape.
            let same = header.store == self.ground.store && header.format == FORMAT;
            !last.compressed && same
        });
        if let Some(last) = goes_on {
            let gap = next != end.position.sequence + 1;
            let (number, offset) = (last.header.number, last.offset as u64);
            return Journal::resume(self.ground.clone(), number, offset, end.position, next, gap)
                .map_err(OpenError::io(&folder));
        }
        let number = end.last.as_ref().map_or(1, |last| last.header.number + 1);
        self.begin_segment(number, end.position, next)?;
        Journal::resume(
            self.ground.clone(),
            number,
            FIRST_FRAME as u64,
            end.position,
            next,
            false,
        )
        .map_err(OpenError::io(&folder))
    }

    fn begin_segment(&self, number: u64, position: Position, next: u64) -> Result<(), OpenError> {
        let path = plain_path(&self.ground.folder, number);
        let begun = match Disk::open(&path) {
            Ok(file) if file.len().is_ok_and(|len| len >= self.ground.segment_bytes) => Ok(file),
            _ => Journal::make_segment(&self.ground, number),
        }
        .and_then(|file| {
            let now_ms = (self.options.clock)();
            Journal::head_segment(&self.ground, &file, number, position, next, now_ms)
        });
        begun.map_err(|error| match error {
            AppendError::Unwritten(source) | AppendError::Lost(source) => {
                OpenError::io(&path)(source)
            }
        })
    }

    /// The last frame once more, and zeros over what is torn behind it.
    fn rewrite_last(&mut self, end: &End) -> io::Result<()> {
        let Some(last) = end.last.as_ref().filter(|last| !last.compressed) else {
            return Ok(());
        };
        let (number, offset) = (last.header.number, last.offset as u64);
        if !last.torn.is_empty() {
            self.keep_torn(number, offset, &last.torn)?;
        }
        let disk = &self.ground.disk;
        let file = Disk::open(&plain_path(&self.ground.folder, number))?;
        disk.write_at(
            &file,
            offset - last.last_frame.len() as u64,
            &last.last_frame,
        )?;
        disk.write_at(&file, offset, &vec![0; last.torn.len()])?;
        disk.sync(&file)?;
        disk.sync_folder(&self.ground.folder)
    }

    /// A file that holds no frame becomes zeros again, whatever a crash left in it.
    fn clean_spare(&mut self, number: u64) -> Result<(), OpenError> {
        let path = plain_path(&self.ground.folder, number);
        let cleaned = || -> io::Result<()> {
            let bytes = fs::read(&path)?;
            let used = bytes
                .iter()
                .rposition(|byte| *byte != 0)
                .map_or(0, |last| last + 1);
            if used > FIRST_FRAME {
                self.keep_torn(number, FIRST_FRAME as u64, &bytes[FIRST_FRAME..used])?;
            }
            let file = Disk::open(&path)?;
            self.ground.disk.write_at(&file, 0, &vec![0; used])?;
            self.ground.disk.sync(&file)
        };
        let mut cleaned = cleaned;
        cleaned().map_err(OpenError::io(&path))
    }

    fn keep_torn(&mut self, segment: u64, offset: u64, torn: &[u8]) -> io::Result<()> {
        let aside = self.options.folder.join("aside");
        let kept_in = aside.join("journal-tail");
        let disk = &self.options.disk;
        disk.replace(&kept_in, &aside.join("journal-tail.tmp"), |_| {
            Ok(torn.to_vec())
        })?;
        self.opened.cut = Some(Cut {
            segment,
            offset,
            bytes: torn.len() as u64,
            kept_in,
        });
        Ok(())
    }
}

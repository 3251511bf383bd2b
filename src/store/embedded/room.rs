//! Who may still write when the disk fills up.
//!
//! Intake stops first, by free space. Intents stop when the spare segment or sled's ballast is missing. Outcomes,
//! withdrawals and stops go on in the space that those two kept free, until the journal itself fails.

use std::io;
use std::path::PathBuf;

use super::disk::Disk;
use super::domain::Class;
use super::options::Options;

/// How much room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    Ample,
    /// No intake.
    Low,
    /// No intake, no intents.
    Scarce,
}

impl Room {
    pub fn admits(self, class: Class) -> bool {
        match class {
            Class::Settle => true,
            Class::Intent => self < Room::Scarce,
            Class::Intake => self < Room::Low,
        }
    }
}

/// 16 MiB that sled gets when nothing else is left: it cannot even be opened on a full disk.
#[derive(Debug)]
pub(super) struct Ballast {
    disk: Disk,
    data: PathBuf,
    bytes: u64,
    low_bytes: u64,
    segment_bytes: u64,
    there: bool,
}

impl Ballast {
    pub(super) fn new(options: &Options) -> Self {
        let file = options.folder.join("ballast").metadata();
        Self {
            disk: options.disk.clone(),
            data: options.folder.clone(),
            bytes: options.ballast_bytes,
            low_bytes: options.low_bytes,
            segment_bytes: options.segment_bytes,
            there: file.is_ok_and(|file| file.len() >= options.ballast_bytes),
        }
    }

    /// Gives its blocks back.
    pub(super) fn release(&mut self) -> io::Result<()> {
        self.there = false;
        self.disk.remove(&self.data.join("ballast"))
    }

    /// Free bytes now. Releases the ballast at the last moment, and makes it again once there is plenty.
    pub(super) fn tend(&mut self) -> Option<u64> {
        let free = self.disk.free(&self.data).ok()?;
        if self.there && free < self.bytes / 2 {
            tracing::warn!(
                free_bytes = free,
                "the disk is nearly full: the ballast is released"
            );
            if let Err(error) = self.release() {
                tracing::warn!(%error, "the ballast could not be removed");
            }
        }
        if !self.there && self.is_plenty(free) {
            self.there = self
                .disk
                .create(&self.data.join("ballast"), self.bytes)
                .is_ok();
        }
        Some(free)
    }

    /// Enough to set spare and ballast aside again.
    pub(super) fn is_plenty(&self, free: u64) -> bool {
        free >= self.low_bytes.max(2 * (self.segment_bytes + self.bytes))
    }

    /// Who may write, with so much free and the spare segment there or not.
    pub(super) fn room(&self, free: Option<u64>, has_spare: bool) -> Room {
        match free {
            _ if !has_spare || !self.there => Room::Scarce,
            Some(free) if free >= self.low_bytes => Room::Ample,
            // Nobody can say how much is free: as if it were little.
            Some(_) | None => Room::Low,
        }
    }
}

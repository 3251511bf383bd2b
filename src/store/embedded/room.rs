//! Who may still write when the disk fills up.
//!
//! Intake stops first, by free space. Intents stop when the spare segment or sled's ballast is missing. Outcomes,
//! withdrawals and stops go on in the space that those two kept free, until the journal itself fails.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::Disk;
use super::domain::Class;

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
    there: bool,
}

impl Ballast {
    pub(super) fn new(disk: &Disk, data: &Path, bytes: u64, low_bytes: u64) -> Self {
        let there = data
            .join("ballast")
            .metadata()
            .is_ok_and(|file| file.len() >= bytes);
        Self {
            disk: disk.clone(),
            data: data.to_owned(),
            bytes,
            low_bytes,
            there,
        }
    }

    /// Gives its blocks back.
    pub(super) fn release(&mut self) -> io::Result<()> {
        self.there = false;
        self.disk.remove(&self.data.join("ballast"))
    }

    /// What there is room for now. Releases the ballast at the last moment; once there is plenty again,
    /// makes it and, through `spare`, the next segment.
    pub(super) fn look(&mut self, segment_bytes: u64, spare: &mut dyn FnMut(bool) -> bool) -> Room {
        let Ok(free) = self.disk.free(&self.data) else {
            return Room::Low;
        };
        if self.there && free < self.bytes / 2 {
            tracing::warn!(
                free_bytes = free,
                "the disk is nearly full: the ballast is released"
            );
            if let Err(error) = self.release() {
                tracing::warn!(%error, "the ballast could not be removed");
            }
        }
        let plenty = free
            >= self
                .low_bytes
                .saturating_add(segment_bytes)
                .saturating_add(self.bytes);
        if plenty && !self.there {
            self.there = self
                .disk
                .create(&self.data.join("ballast"), self.bytes)
                .is_ok();
        }
        let has_spare = spare(plenty);
        match () {
            () if !has_spare || !self.there => Room::Scarce,
            () if free < self.low_bytes => Room::Low,
            () => Room::Ample,
        }
    }
}

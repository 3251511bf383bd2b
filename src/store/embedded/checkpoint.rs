//! Up to where sled is known to hold the journal, and under which boot.
//!
//! It bounds the start; safety does not hang on it. A page cache that outlived the process is to be trusted, one that
//! outlived the machine is not: under another boot id the state is rebuilt whatever it says.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::disk::Disk;
use super::record;
use super::state::Head;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    pub(super) head: Head,
    pub(super) boot_id: String,
}

fn path(data: &Path) -> PathBuf {
    data.join("checkpoint")
}

/// `None` where there is none, or none that can be read: both only mean a rebuild.
pub(super) fn read(data: &Path) -> io::Result<Option<Checkpoint>> {
    match fs::read(path(data)) {
        Ok(bytes) => Ok(record::decode(&bytes).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn write(data: &Path, disk: &Disk, checkpoint: &Checkpoint) -> io::Result<()> {
    let bytes = record::encode(checkpoint).map_err(io::Error::other)?;
    disk.replace(&path(data), &data.join("checkpoint.tmp"), |_| Ok(bytes))
}

/// Durable once this returns: from here on the state is not believed.
pub(super) fn remove(data: &Path, disk: &Disk) -> io::Result<()> {
    disk.remove(&path(data))?;
    disk.sync_folder(data)
}

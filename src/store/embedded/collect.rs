//! Removing blobs that no record names any more.
//!
//! Which blobs are named is learnt from the records, each time anew: a count kept beside them could drift. Spared are pins,
//! anything younger than a week, and while a backup runs everything. A blob is pinned before it is looked for, so whoever
//! named one after the scan began is known by the pin, even if it has been dropped since.
//!
//! The scan is no snapshot. It suffices, because a record is rewritten in its place: no act moves a name from a key that is
//! still to come to one that was passed, unless it pins it.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::blobs::{BlobError, BlobHash, Blobs};
use super::domain::{NamesOf, Unnamed};
use super::error::CareError;
use super::state::State;

/// What is younger is spared.
pub(super) const YOUNG: Duration = Duration::from_hours(7 * 24);
/// Files looked at in one go; the next one begins at another folder.
const MOST: usize = 100_000;

/// What no record names. Nothing has been removed yet.
#[derive(Debug)]
pub(super) struct Unneeded {
    pub(super) blobs: Vec<BlobHash>,
}

pub(super) struct Collect<'a> {
    pub(super) state: &'a State,
    pub(super) blobs: &'a Blobs,
    pub(super) names: NamesOf,
    pub(super) now_ms: i64,
    pub(super) stopped: &'a dyn Fn() -> bool,
}

impl Collect<'_> {
    pub(super) fn find(&self) -> Result<Unneeded, CareError> {
        self.blobs.watch_pins();
        let mut left = self.old()?;
        let borrowed = self.blobs.lent();
        if left.is_empty() && borrowed.is_empty() {
            return Ok(Unneeded { blobs: Vec::new() });
        }
        let mut named = HashSet::new();
        each_record(self.state, self.stopped, &mut |key, value| {
            for hash in self.names_of(key, value)? {
                left.remove(&hash);
                if borrowed.contains(&hash) {
                    named.insert(hash);
                }
            }
            Ok(())
        })?;
        self.blobs.settle_lent(&named, self.now_ms);
        let mut blobs: Vec<_> = left.into_iter().collect();
        blobs.sort_unstable();
        Ok(Unneeded { blobs })
    }

    fn names_of(&self, key: &[u8], value: &[u8]) -> Result<Vec<BlobHash>, CareError> {
        names_of(self.names, self.blobs, key, value)
    }

    /// Every blob that is old enough and not pinned.
    fn old(&self) -> Result<HashSet<BlobHash>, CareError> {
        let young = Duration::from_millis(u64::try_from(self.now_ms).unwrap_or(0));
        let young = UNIX_EPOCH + young.saturating_sub(YOUNG);
        let mut found = HashSet::new();
        let first = self.now_ms.div_euclid(86_400_000).rem_euclid(256);
        for folder in (0..256).map(|at| (first + at) % 256) {
            for entry in files(&self.blobs.folder().join(format!("{folder:02x}")))? {
                let (hash, file) = entry;
                if file.modified()? < young && !self.blobs.is_pinned(hash) {
                    found.insert(hash);
                }
            }
            if found.len() >= MOST || (self.stopped)() {
                break;
            }
        }
        Ok(found)
    }
}

/// Every blob in one of the 256 folders.
pub(super) fn files(folder: &Path) -> io::Result<Vec<(BlobHash, fs::Metadata)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let hash = entry.file_name().to_str().and_then(|it| it.parse().ok());
        if let Some(hash) = hash {
            found.push((hash, entry.metadata()?));
        }
    }
    Ok(found)
}

/// What one record needs, learnt from the domain.
pub(super) fn names_of(
    names: NamesOf,
    blobs: &Blobs,
    key: &[u8],
    value: &[u8],
) -> Result<Vec<BlobHash>, CareError> {
    let read = |hash| match blobs.get_blocking(hash) {
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(Unnamed::from(error)),
    };
    names(key, value, &read).map_err(|error| CareError::State(error.to_string()))
}

/// Who is given key and value.
pub(super) type EachRecord<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<(), CareError>;

/// The domain's records, one by one.
pub(super) fn each_record(
    state: &State,
    stopped: &dyn Fn() -> bool,
    each: EachRecord<'_>,
) -> Result<(), CareError> {
    for pair in state.scan(b"") {
        if stopped() {
            return Err(CareError::Stopped);
        }
        let (key, value) = pair.map_err(|error| CareError::State(error.to_string()))?;
        each(&key, &value)?;
    }
    Ok(())
}

/// Removes what nobody pinned since. Says how many went.
pub(super) fn remove(blobs: &Blobs, unneeded: &Unneeded) -> Result<u64, CareError> {
    let mut removed = 0;
    for hash in &unneeded.blobs {
        match blobs.remove_unpinned(*hash) {
            Ok(gone) => removed += u64::from(gone),
            Err(BlobError::Io(error)) => return Err(error.into()),
            Err(error) => return Err(io::Error::other(error).into()),
        }
    }
    Ok(removed)
}

//! sled: the state derived from the journal. Ordered, cached, disposable.
//!
//! One tree, key prefixes instead of trees (a key written costs about 13 µs). Keys that begin with a zero
//! byte are ours: `head` says up to which entry the journal has been applied, and is written in the
//! same batch. Everything sled gets wrong ends in one place: the state is thrown away and rebuilt.
//!
//! No flusher thread and no compression; a checkpoint flushes, and then syncs the file through
//! a handle of our own, because sled's flush asks the disk for nothing.

use std::any::Any;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use super::disk::{Disk, DiskFile, is_full};
use super::frame::Chain;
use super::record;
use super::value::Value;

const HEAD: &[u8] = b"\0head";
/// The first key that is not ours.
const FIRST_KEY: &[u8] = &[1];

/// Up to where the journal has been applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) store: Uuid,
    pub(super) sequence: u64,
    pub(super) chain: Chain,
}

/// Why sled did not open.
#[derive(Debug)]
pub(super) enum StateError {
    /// What it holds cannot be used: set aside and rebuild.
    Corrupt(String),
    Full,
    /// Anything else; the same folder may open later.
    Io(io::Error),
}

/// A read that failed. The state is in doubt; the journal is not.
#[derive(Clone, Debug, Error)]
#[error("read the state: {0}")]
pub struct ReadError(pub(super) String);

/// Pairs of key and value, with a look ahead.
pub(super) type Every<'a> =
    std::iter::Peekable<Box<dyn Iterator<Item = sled::Result<(sled::IVec, sled::IVec)>> + 'a>>;

#[derive(Clone)]
pub(super) struct State {
    db: sled::Db,
    disk: Disk,
    /// Our own handle to sled's file.
    file: Arc<DiskFile>,
}

pub(super) fn folder(data: &Path) -> PathBuf {
    data.join("sled")
}

impl State {
    pub(super) fn open(data: &Path, cache_bytes: u64, disk: &Disk) -> Result<Self, StateError> {
        let path = folder(data);
        drop_half_snapshots(&path).map_err(StateError::Io)?;
        let fresh = !path.join("db").exists();
        let config = sled::Config::new()
            .path(&path)
            .cache_capacity(cache_bytes)
            .mode(sled::Mode::HighThroughput)
            .flush_every_ms(None);
        // Opened on damaged files, sled can panic as well as refuse; both cost a rebuild and nothing else.
        let db = catch_unwind(AssertUnwindSafe(|| config.open()))
            .map_err(|panic| StateError::Corrupt(words_of(panic.as_ref())))?
            .map_err(sort)?;
        if fresh {
            sync_new(&path, data, disk).map_err(StateError::Io)?;
        }
        let file = Arc::new(Disk::open(&path.join("db")).map_err(StateError::Io)?);
        Ok(Self {
            db,
            disk: disk.clone(),
            file,
        })
    }

    /// `None` where nothing was ever applied.
    pub(super) fn head(&self) -> Result<Option<Head>, ReadError> {
        let Some(bytes) = self.get(HEAD)? else {
            return Ok(None);
        };
        record::decode(&bytes)
            .map(Some)
            .map_err(|error| ReadError(error.to_string()))
    }

    /// Changes and `head` together.
    pub(super) fn apply<'a>(
        &self,
        changes: impl Iterator<Item = (&'a [u8], Option<&'a sled::IVec>)>,
        head: &Head,
    ) -> Result<(), StateError> {
        let mut batch = sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key, value.clone()),
                None => batch.remove(key),
            }
        }
        let head = record::encode(head).map_err(|error| StateError::Corrupt(error.to_string()))?;
        batch.insert(HEAD, head);
        self.db.apply_batch(batch).map_err(sort)
    }

    /// Records in key order, without `head`.
    pub(super) fn fill(&self, records: Vec<(Vec<u8>, Vec<u8>)>) -> Result<(), StateError> {
        let mut batch = sled::Batch::default();
        for (key, value) in records {
            batch.insert(key, value);
        }
        self.db.apply_batch(batch).map_err(sort)
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Value>, ReadError> {
        let found = self
            .db
            .get(key)
            .map_err(|error| ReadError(error.to_string()))?;
        Ok(found.map(Value::new))
    }

    /// Every key that begins with `prefix`, ours left out, in order from either end.
    pub(super) fn scan(&self, prefix: &[u8]) -> sled::Iter {
        if prefix.is_empty() {
            self.db.range(FIRST_KEY..)
        } else {
            self.db.scan_prefix(prefix)
        }
    }

    /// Every key but `head`, in order.
    pub(super) fn every(&self) -> Every<'_> {
        let own = |pair: &sled::Result<(sled::IVec, sled::IVec)>| !matches!(pair, Ok((key, _)) if key == HEAD);
        let all: Box<dyn Iterator<Item = _>> = Box::new(self.db.iter().filter(own));
        all.peekable()
    }

    pub(super) fn range(
        &self,
        from: std::ops::Bound<&[u8]>,
        to: std::ops::Bound<&[u8]>,
    ) -> sled::Iter {
        self.db.range::<&[u8], _>((from, to))
    }

    /// Everything applied so far is on disk once this returns, as far as sled can be believed.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.db.flush()?;
        self.disk.sync(&self.file)
    }
}

/// A kill while sled writes its start-up snapshot leaves a file that it cannot open over.
fn drop_half_snapshots(path: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// sled syncs none of the folders and files it makes.
fn sync_new(path: &Path, data: &Path, disk: &Disk) -> io::Result<()> {
    for name in ["conf", "db"] {
        fs::File::open(path.join(name))?.sync_all()?;
    }
    if path.join("blobs").exists() {
        disk.sync_folder(&path.join("blobs"))?;
    }
    disk.sync_folder(path)?;
    disk.sync_folder(data)
}

fn sort(error: sled::Error) -> StateError {
    match error {
        sled::Error::Io(error) if is_full(&error) => StateError::Full,
        sled::Error::Io(error)
            if matches!(
                error.kind(),
                io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
            ) =>
        {
            StateError::Corrupt(error.to_string())
        }
        sled::Error::Io(error) => StateError::Io(error),
        sled::Error::Corruption { .. }
        | sled::Error::Unsupported(_)
        | sled::Error::ReportableBug(_)
        | sled::Error::CollectionNotFound(_) => StateError::Corrupt(error.to_string()),
    }
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<&str>().map(ToString::to_string);
    words
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic".to_owned())
}

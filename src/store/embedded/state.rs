//! sled: the state derived from the journal. Ordered, cached, disposable.
//!
//! One tree, key prefixes instead of trees (a key written costs about 13 µs). Keys that begin with a zero
//! byte are ours: `head` says up to which entry the journal has been applied, and is written in the
//! same batch. Everything sled gets wrong ends in one place: the state is thrown away and rebuilt.
//!
//! Under load a group's changes wait in memory, on top of sled, and go into it together with those of
//! the groups after it: most records are written twice within a few groups, and each batch costs
//! sled two buffers and the waking of seven threads. Nobody can tell: every read looks there first, and the
//! journal holds them already.
//!
//! No flusher thread and no compression; a checkpoint flushes, and then syncs the file through
//! a handle of our own, because sled's flush asks the disk for nothing.

use std::any::Any;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use super::disk::{Disk, DiskFile, is_full};
use super::frame::Chain;
use super::layers::{Changed, Layers};
use super::reader::Order;
use super::record;
use super::value::Value;
use super::walk::Position;

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

type Changes = BTreeMap<sled::IVec, Option<sled::IVec>>;

/// What waits for sled.
#[derive(Default)]
struct Pending {
    changes: Changes,
    /// Put into it since it was last emptied: no less than what it holds.
    bytes: usize,
    /// What sled is getting just now; it lies below `changes`.
    apart: Arc<Changes>,
}

impl Pending {
    fn get(&self, key: &[u8]) -> Option<&Option<sled::IVec>> {
        self.changes.get(key).or_else(|| self.apart.get(key))
    }

    fn range(&self, bounds: (Bound<&[u8]>, Bound<&[u8]>)) -> Changes {
        let copied =
            |(key, value): (&sled::IVec, &Option<sled::IVec>)| (key.clone(), value.clone());
        let apart = self.apart.range::<[u8], _>(bounds).map(copied);
        let changes = self.changes.range::<[u8], _>(bounds).map(copied);
        apart.chain(changes).collect()
    }
}

/// How much waits for sled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) changes: usize,
    pub(super) bytes: usize,
}

/// Changes that sled gets in one batch: while it takes one, nobody can read from it.
const BATCH: usize = 256;
/// What a scan yields, from both.
pub(super) type Pairs = Layers<std::vec::IntoIter<Changed>, Way>;

/// sled from either end.
pub(super) enum Way {
    Forward(sled::Iter),
    Reverse(std::iter::Rev<sled::Iter>),
}

impl Iterator for Way {
    type Item = sled::Result<(sled::IVec, sled::IVec)>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Forward(pairs) => pairs.next(),
            Self::Reverse(pairs) => pairs.next(),
        }
    }
}

impl Head {
    pub(super) fn at(store: Uuid, position: Position) -> Self {
        Self {
            store,
            sequence: position.sequence,
            chain: position.chain,
        }
    }
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
    /// In the journal and not yet in sled. Filled by the writer, emptied by the applier.
    pending: Arc<RwLock<Pending>>,
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
            pending: Arc::default(),
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
        self.end_batch(batch_of(changes), head)
    }

    fn end_batch(&self, mut batch: sled::Batch, head: &Head) -> Result<(), StateError> {
        let head = record::encode(head).map_err(|error| StateError::Corrupt(error.to_string()))?;
        batch.insert(HEAD, head);
        self.db.apply_batch(batch).map_err(sort)
    }

    /// Changes that every read sees from now on, and that sled gets later.
    pub(super) fn defer(&self, changes: impl Iterator<Item = Changed>) {
        let mut pending = self.write_pending();
        for (key, value) in changes {
            pending.bytes += key.len() + value.as_ref().map_or(0, |value| value.len());
            pending.changes.insert(key, value);
        }
    }

    pub(super) fn pending(&self) -> Waiting {
        let pending = self.read_pending();
        Waiting {
            changes: pending.changes.len(),
            bytes: pending.bytes,
        }
    }

    /// What was deferred so far is what `catch_up` brings into sled. The one before must have ended.
    pub(super) fn set_apart(&self) {
        let mut pending = self.write_pending();
        pending.bytes = 0;
        pending.apart = Arc::new(std::mem::take(&mut pending.changes));
    }

    /// sled gets all that was set apart, with `head` in the last batch. A death between two of them leaves the
    /// old head over some newer records: the next start writes the rest, and these once more.
    pub(super) fn catch_up(&self, head: &Head) -> Result<(), StateError> {
        let apart = Arc::clone(&self.read_pending().apart);
        let mut left = apart.iter().peekable();
        loop {
            let batch = left.by_ref().take(BATCH);
            let batch = batch_of(batch.map(|(key, value)| (key.as_ref(), value.as_ref())));
            if left.peek().is_none() {
                self.end_batch(batch, head)?;
                break;
            }
            self.db.apply_batch(batch).map_err(sort)?;
        }
        self.write_pending().apart = Arc::default();
        Ok(())
    }

    /// Nothing is left half done under this lock, so a poisoned one is as good as any.
    fn read_pending(&self) -> RwLockReadGuard<'_, Pending> {
        self.pending.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_pending(&self) -> RwLockWriteGuard<'_, Pending> {
        self.pending.write().unwrap_or_else(PoisonError::into_inner)
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
        let (found, _) = self.look_up(key)?;
        Ok(found.map(Value::new))
    }

    /// Also whether sled was asked: what waits for it is at hand anyway.
    pub(super) fn look_up(&self, key: &[u8]) -> Result<(Option<sled::IVec>, bool), ReadError> {
        if let Some(change) = self.read_pending().get(key) {
            return Ok((change.clone(), false));
        }
        let found = self.db.get(key);
        let found = found.map_err(|error| ReadError(error.to_string()))?;
        Ok((found, true))
    }

    /// Every key that begins with `prefix`, ours left out, in order.
    pub(super) fn scan(&self, prefix: &[u8]) -> Pairs {
        let from = if prefix.is_empty() { FIRST_KEY } else { prefix };
        let above = successor(prefix);
        let to = above.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        self.range(Bound::Included(from), to, Order::Forward)
    }

    /// Every key but `head`, in order.
    pub(super) fn every(&self) -> Every<'_> {
        let own = |pair: &sled::Result<(sled::IVec, sled::IVec)>| !matches!(pair, Ok((key, _)) if key == HEAD);
        let all: Box<dyn Iterator<Item = _>> = Box::new(self.db.iter().filter(own));
        all.peekable()
    }

    /// `from` must lie before `to`. What is deferred is looked at first: it may be in sled before
    /// sled is asked, and never the other way round.
    pub(super) fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, order: Order) -> Pairs {
        let deferred = self.read_pending().range((from, to));
        let mut deferred: Vec<Changed> = deferred.into_iter().collect();
        let pairs = self.db.range::<&[u8], _>((from, to));
        let way = match order {
            Order::Forward => Way::Forward(pairs),
            Order::Reverse => {
                deferred.reverse();
                Way::Reverse(pairs.rev())
            }
        };
        Layers::new(deferred.into_iter(), way, order)
    }

    /// Everything applied so far is on disk once this returns, as far as sled can be believed.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.db.flush()?;
        self.disk.sync(&self.file)
    }
}

fn batch_of<'a>(changes: impl Iterator<Item = (&'a [u8], Option<&'a sled::IVec>)>) -> sled::Batch {
    let mut batch = sled::Batch::default();
    for (key, value) in changes {
        match value {
            Some(value) => batch.insert(key, value.clone()),
            None => batch.remove(key),
        }
    }
    batch
}

/// The first key above every key with this prefix; `None` where there is no such key.
pub(super) fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut above = prefix[..=last].to_vec();
    above[last] += 1;
    Some(above)
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

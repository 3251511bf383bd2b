//! Bytes by their BLAKE3 hash, as files: bodies, drafts, replies, attachments, images.
//!
//! Written by the task that needs them, in parallel, before the act that names them. A blob is durable once `put` returns: its
//! bytes, its name, and its folder, also when somebody else wrote it a moment ago and has not synced yet.
//! A [`Pin`] keeps it from being collected until the act that names it is applied; it is taken before
//! the blob is looked for, or a collection could pass between the looking and the naming.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::Semaphore;

use super::disk::{Disk, is_full};
use super::fatal::Fatal;

/// The name of a blob: the BLAKE3 hash of its bytes, in text 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlobHash([u8; 32]);

impl BlobHash {
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl fmt::Debug for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("read a blob's name: it is not 64 hexadecimal digits")]
pub struct NotAHash;

impl FromStr for BlobHash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, NotAHash> {
        blake3::Hash::from_hex(text)
            .map(|hash| Self(*hash.as_bytes()))
            .map_err(|_| NotAHash)
    }
}

/// Reads after "failed to".
#[derive(Debug, Error)]
pub enum BlobError {
    #[error("read blob {0}: it is not there")]
    Missing(BlobHash),
    #[error("read blob {0}: its bytes do not have this hash; restore it from a backup")]
    Damaged(BlobHash),
    #[error("write a blob: the disk is full")]
    DiskFull,
    #[error("reach a blob's file")]
    Io(#[source] io::Error),
    #[error("reach a blob's file: the runtime is stopping")]
    Interrupted,
}

impl From<io::Error> for BlobError {
    fn from(error: io::Error) -> Self {
        if is_full(&error) {
            Self::DiskFull
        } else {
            Self::Io(error)
        }
    }
}

#[derive(Debug, Default)]
struct Pinned {
    counts: HashMap<BlobHash, usize>,
    /// Everything pinned since a collection began.
    since: Option<HashSet<BlobHash>>,
}

type Pins = Arc<Mutex<Pinned>>;

/// As long as it lives, its blob is not collected. Keep it until the act that names the blob is answered.
#[derive(Debug)]
pub struct Pin {
    hash: BlobHash,
    pins: Pins,
}

impl Pin {
    pub fn hash(&self) -> BlobHash {
        self.hash
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = pins.counts.get_mut(&self.hash) {
            *count -= 1;
            if *count == 0 {
                pins.counts.remove(&self.hash);
            }
        }
    }
}

/// Blobs that are written at once: more would wait for the same disk, each on a thread of its own that keeps memory.
const PUTTING: usize = 8;

/// The folder `blobs`. Clones share their pins.
#[derive(Clone, Debug)]
pub struct Blobs {
    folder: PathBuf,
    disk: Disk,
    fatal: Arc<Fatal>,
    pins: Pins,
    lent: Arc<Mutex<Vec<(Pin, i64)>>>,
    /// Tells the temporary files of one process apart.
    tickets: Arc<AtomicU64>,
    /// Which of the folders `00` to `ff` this process has made durable.
    named: Arc<[AtomicBool; 256]>,
    putting: Arc<Semaphore>,
}

impl Blobs {
    /// Clears what half-written blobs left behind.
    pub(super) fn open(data: &Path, disk: &Disk, fatal: &Arc<Fatal>) -> io::Result<Self> {
        let folder = data.join("blobs");
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "tmp") {
                fs::remove_file(path)?;
            }
        }
        Ok(Self {
            folder,
            disk: disk.clone(),
            fatal: Arc::clone(fatal),
            pins: Pins::default(),
            lent: Arc::default(),
            tickets: Arc::default(),
            named: Arc::new([const { AtomicBool::new(false) }; 256]),
            putting: Arc::new(Semaphore::new(PUTTING)),
        })
    }

    /// Keeps the blob from being collected, whether it is there or not.
    pub fn pin(&self, hash: BlobHash) -> Pin {
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        *pins.counts.entry(hash).or_default() += 1;
        if let Some(since) = &mut pins.since {
            since.insert(hash);
        }
        Pin {
            hash,
            pins: Arc::clone(&self.pins),
        }
    }

    pub fn is_pinned(&self, hash: BlobHash) -> bool {
        self.pins
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .counts
            .contains_key(&hash)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Keeps a pin whose owner cannot: it is let go once a collection has seen a record that names the blob.
    pub(super) fn lend(&self, pin: Pin, now_ms: i64) {
        let mut lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        lent.push((pin, now_ms));
    }

    pub(super) fn lent(&self) -> HashSet<BlobHash> {
        let lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        lent.iter().map(|(pin, _)| pin.hash).collect()
    }

    /// Lets go of lent pins whose blob is named, after a day, and of those that nobody used, after a week.
    pub(super) fn settle_lent(&self, named: &HashSet<BlobHash>, now_ms: i64) {
        const DAY: i64 = 86_400_000;
        let mut lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        lent.retain(|(pin, since)| {
            let age = now_ms.saturating_sub(*since);
            age < DAY || age < 7 * DAY && !named.contains(&pin.hash)
        });
    }

    /// From here on every pin is remembered, until the next call.
    pub(super) fn watch_pins(&self) {
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        let now = pins.counts.keys().copied().collect();
        pins.since = Some(now);
    }

    /// Removes a blob that nobody has pinned since [`Blobs::watch_pins`]. Under the lock that a pin takes: whoever looks for the blob
    /// later finds that it is gone, and writes it.
    pub(super) fn remove_unpinned(&self, hash: BlobHash) -> Result<bool, BlobError> {
        let pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        let pinned = pins.counts.contains_key(&hash)
            || pins
                .since
                .as_ref()
                .is_none_or(|since| since.contains(&hash));
        if pinned {
            return Ok(false);
        }
        self.disk.remove(&self.path(hash))?;
        Ok(true)
    }

    /// Durable once this returns. Blocks; see [`Blobs::put`] for async tasks.
    pub fn put_blocking(&self, bytes: &[u8]) -> Result<Pin, BlobError> {
        let hash = BlobHash::of(bytes);
        let pin = self.pin(hash);
        let path = self.path(hash);
        let folder = path.parent().unwrap_or(&self.folder);
        self.make_folder(folder, usize::from(hash.0[0]))?;
        // One that lies there with other bytes is damaged, and this is the cure.
        if fs::read(&path).is_ok_and(|there| there == bytes) {
            self.sync_name(folder)?;
            return Ok(pin);
        }
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        let temporary = self.folder.join(format!("{ticket}.tmp"));
        let file = self.disk.create(&temporary, 0)?;
        let written = self
            .disk
            .write_at(&file, 0, bytes)
            .and_then(|()| self.disk.sync(&file))
            .and_then(|()| self.disk.rename(&temporary, &path));
        if let Err(error) = written {
            drop(self.disk.remove(&temporary));
            return Err(error.into());
        }
        self.sync_name(folder)?;
        Ok(pin)
    }

    /// Made by whoever comes first, and synced by everyone who cannot tell that it was.
    fn make_folder(&self, folder: &Path, first: usize) -> Result<(), BlobError> {
        if self.named[first].load(Ordering::Acquire) {
            return Ok(());
        }
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
        self.sync_name(&self.folder)?;
        self.named[first].store(true, Ordering::Release);
        Ok(())
    }

    /// A name that failed to become durable once would seem so to the next who asks: the process ends.
    fn sync_name(&self, folder: &Path) -> Result<(), BlobError> {
        self.disk.sync_folder(folder).map_err(|error| {
            self.fatal
                .raise(&format!("a blob's name could not be made durable: {error}"));
            error.into()
        })
    }

    /// Durable once this returns.
    pub async fn put(&self, bytes: Vec<u8>) -> Result<Pin, BlobError> {
        let permit = Arc::clone(&self.putting).acquire_owned().await;
        let permit = permit.map_err(|_| BlobError::Interrupted)?;
        let blobs = self.clone();
        let put = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            blobs.put_blocking(&bytes)
        });
        put.await.map_err(|_| BlobError::Interrupted)?
    }

    /// Removes it whoever pinned it, durably. Says whether it was there.
    pub(super) fn erase(&self, hash: BlobHash) -> io::Result<bool> {
        let path = self.path(hash);
        let there = path.exists();
        self.disk.remove(&path)?;
        if let Some(folder) = path.parent().filter(|folder| folder.exists()) {
            self.disk.sync_folder(folder)?;
        }
        Ok(there)
    }

    /// Whether its file is there. Says nothing of its bytes.
    pub fn has(&self, hash: BlobHash) -> bool {
        self.path(hash).exists()
    }

    /// Its bytes, hashed again. Blocks; see [`Blobs::get`] for async tasks.
    pub fn get_blocking(&self, hash: BlobHash) -> Result<Vec<u8>, BlobError> {
        let bytes = fs::read(self.path(hash)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => BlobError::Missing(hash),
            _ => BlobError::Io(error),
        })?;
        if BlobHash::of(&bytes) == hash {
            Ok(bytes)
        } else {
            Err(BlobError::Damaged(hash))
        }
    }

    /// Its bytes, hashed again.
    pub async fn get(&self, hash: BlobHash) -> Result<Vec<u8>, BlobError> {
        let blobs = self.clone();
        let get = tokio::task::spawn_blocking(move || blobs.get_blocking(hash));
        get.await.map_err(|_| BlobError::Interrupted)?
    }

    fn path(&self, hash: BlobHash) -> PathBuf {
        let name = hash.to_string();
        self.folder.join(&name[..2]).join(name)
    }
}

//! Whose folder this is: the lock, and `store.toml`.
//!
//! `store.toml` names the machine and its own inode. A folder that was copied, or a disk that was cloned into
//! another machine, differs in one of them, and must not send until a person adopts it: its original may be sending.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use super::disk::Disk;
use super::error::OpenError;
use super::gap::Gap;
use super::options::Options;
use super::segment::FORMAT;

/// Held as long as the store is open.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Former {
    store: Uuid,
    last_sequence: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) format: u32,
    pub(super) store: Uuid,
    /// A hash of the machine id, which is not to be shown around; empty where there is none.
    machine: String,
    inode: u64,
    /// Why nothing may be sent until a person adopts the folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unadopted: Option<String>,
    /// The highest sequence that was ever heard of beyond the journal's end; new ones start above it.
    #[serde(default)]
    pub(super) floor: u64,
    #[serde(default)]
    former: Vec<Former>,
    /// Damage that a person accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) gaps: Vec<Gap>,
    /// What was done to the folder while nobody could write the journal; the next start puts it there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) pending: Vec<Pending>,
}

/// Something that a person did to the folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pending {
    pub(super) what: String,
    pub(super) by: String,
    pub(super) reason: String,
    pub(super) outcome: String,
}

impl Identity {
    /// Whether a head with this store id speaks of our journal.
    pub(super) fn knows(&self, store: Uuid) -> bool {
        self.store == store || self.former.iter().any(|former| former.store == store)
    }
}

fn path(data: &Path) -> PathBuf {
    data.join("store.toml")
}

/// Takes the folder for this process, making it if it is not there.
pub(super) fn lock(data: &Path) -> Result<Lock, OpenError> {
    make_folder(data)?;
    let path = data.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(OpenError::io(&path))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut text = String::new();
        let pid = file
            .read_to_string(&mut text)
            .ok()
            .and_then(|_| text.trim().parse().ok());
        return Err(OpenError::Locked { pid });
    }
    let written = file
        .set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    // The pid is for people; a full disk must not keep the store shut.
    if let Err(error) = written {
        tracing::warn!(%error, "the process id could not be written into the lock file");
    }
    Ok(Lock { _file: file })
}

fn make_folder(path: &Path) -> Result<(), OpenError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(OpenError::io(path)),
    }
}

/// Whether the folder is where it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Ours,
    /// Another inode or another machine than `store.toml` names.
    Copied,
    /// In its place, but not to be sent from until a person adopts it.
    Unadopted,
}

/// Reads who we are; a folder without a journal gets a new identity. Says whether it stands where it was made.
pub(super) fn establish(options: &Options) -> Result<(Identity, Standing), OpenError> {
    let data = &options.folder;
    for name in ["journal", "base", "blobs", "aside"] {
        make_folder(&data.join(name))?;
    }
    let machine = (options.machine_id)().map_or_else(String::new, |id| machine_hash(&id));
    let path = path(data);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return create(options, machine).map(|identity| (identity, Standing::Ours));
        }
        Err(error) => return Err(OpenError::io(&path)(error)),
    };
    let mut text = String::new();
    file.read_to_string(&mut text)
        .map_err(OpenError::io(&path))?;
    let format = toml::from_str::<Bare>(&text)
        .map_err(|_| OpenError::Identity(path.clone()))?
        .format;
    if format > FORMAT {
        return Err(OpenError::NewerFormat {
            found: format,
            known: FORMAT,
        });
    }
    let identity: Identity =
        toml::from_str(&text).map_err(|_| OpenError::Identity(path.clone()))?;
    let inode = file.metadata().map_err(OpenError::io(&path))?.ino();
    let standing = match &identity.unadopted {
        _ if inode != identity.inode || machine != identity.machine => Standing::Copied,
        Some(_) => Standing::Unadopted,
        None => Standing::Ours,
    };
    Ok((identity, standing))
}

/// What every format shares.
#[derive(Deserialize)]
struct Bare {
    format: u32,
}

fn machine_hash(id: &str) -> String {
    let hash = blake3::Hash::from_bytes(blake3::derive_key("lubu machine v1", id.as_bytes()));
    hash.to_hex()[..32].to_owned()
}

fn create(options: &Options, machine: String) -> Result<Identity, OpenError> {
    let data = &options.folder;
    let journal = data.join("journal");
    let mut files = fs::read_dir(&journal).map_err(OpenError::io(&journal))?;
    if files.next().is_some() {
        return Err(OpenError::Identity(path(data)));
    }
    let mut dice = [0; 10];
    (options.chance)(&mut dice).map_err(OpenError::io("/dev/urandom"))?;
    let millis = u64::try_from((options.clock)()).unwrap_or_default();
    let identity = Identity {
        format: FORMAT,
        store: Builder::from_unix_timestamp_millis(millis, &dice).into_uuid(),
        machine,
        inode: 0,
        unadopted: None,
        floor: 0,
        former: Vec::new(),
        gaps: Vec::new(),
        pending: Vec::new(),
    };
    write(data, &options.disk, identity)
}

/// Writes `store.toml` as given. Durable once this returns.
pub(super) fn keep(data: &Path, disk: &Disk, identity: Identity) -> Result<Identity, OpenError> {
    write(data, disk, identity)
}

/// Writes `store.toml` anew; the inode is that of the new file, so the machine must be known to be ours.
fn write(data: &Path, disk: &Disk, mut identity: Identity) -> Result<Identity, OpenError> {
    let path = path(data);
    let written = disk.replace(&path, &data.join("store.toml.tmp"), |file| {
        identity.inode = file.metadata()?.ino();
        toml::to_string(&identity)
            .map(String::into_bytes)
            .map_err(io::Error::other)
    });
    written.map_err(OpenError::io(&path))?;
    if let Some(parent) = data.parent() {
        let parent = if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        };
        disk.sync_folder(parent).map_err(OpenError::io(parent))?;
    }
    Ok(identity)
}

/// Nothing may be sent from here until a person adopts the folder, however often it is opened.
pub(super) fn withhold(
    data: &Path,
    disk: &Disk,
    identity: Identity,
    why: &str,
    floor: u64,
) -> Result<Identity, OpenError> {
    let floor = floor.max(identity.floor);
    write(
        data,
        disk,
        Identity {
            unadopted: Some(why.to_owned()),
            floor,
            ..identity
        },
    )
}

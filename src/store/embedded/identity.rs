//! Whose folder this is: the lock, and `store.toml`.
//!
//! `store.toml` names the machine and its own inode. A folder that was copied, or a disk that was cloned into
//! another machine, differs in one of them, and must not send until a person adopts it: its original may be sending.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use super::disk::Disk;
use super::erase::Erasing;
use super::error::OpenError;
use super::gap::Gap;
use super::options::Options;
use super::segment::FORMAT;

/// The folder, taken for this process as long as any clone of this is there.
#[derive(Clone, Debug)]
pub struct Lock {
    _file: Arc<File>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Former {
    pub(super) store: Uuid,
    pub(super) last_sequence: u64,
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
    pub(super) former: Vec<Former>,
    /// Damage that a person accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) gaps: Vec<Gap>,
    /// An erasure that is not finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) erasing: Option<Erasing>,
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

impl Pending {
    /// Something that the store did by itself.
    pub(super) fn of_ours(what: &str, outcome: String) -> Self {
        Self {
            what: what.to_owned(),
            by: super::own::WHO.to_owned(),
            reason: String::new(),
            outcome,
        }
    }
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

/// Takes the folder for this process, making it if it is not there. Its parent must be there.
pub fn lock(data: &Path) -> Result<Lock, OpenError> {
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
    Ok(Lock {
        _file: Arc::new(file),
    })
}

fn make_folder(path: &Path) -> Result<(), OpenError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(OpenError::io(path)),
    }
}

/// The folder as its opener holds it already, or taken now.
pub(super) fn hold(options: &Options) -> Result<Lock, OpenError> {
    match &options.held {
        Some(held) => Ok(held.clone()),
        None => lock(&options.folder),
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
    // Read before anything is made: a newer format is refused without a change.
    let known = if path(data).exists() {
        Some(read(data)?)
    } else {
        None
    };
    for name in ["journal", "base", "blobs", "aside"] {
        make_folder(&data.join(name))?;
    }
    let machine = machine(options);
    let Some((identity, inode)) = known else {
        return create(options, machine).map(|identity| (identity, Standing::Ours));
    };
    let standing = match &identity.unadopted {
        _ if inode != identity.inode || machine != identity.machine => Standing::Copied,
        Some(_) => Standing::Unadopted,
        None => Standing::Ours,
    };
    Ok((identity, standing))
}

/// `store.toml` as it stands, and its inode. A folder without one is not ours to make anything of.
pub(super) fn read(data: &Path) -> Result<(Identity, u64), OpenError> {
    let path = path(data);
    let mut file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(OpenError::Identity(path));
        }
        other => other.map_err(OpenError::io(&path))?,
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
    Ok((identity, inode))
}

/// The id of the store in this folder, if that can be read.
pub fn store_id(data: &Path) -> Option<String> {
    read(data)
        .ok()
        .map(|(identity, _)| identity.store.to_string())
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
    let identity = Identity {
        format: FORMAT,
        store: new_id(options)?,
        machine,
        inode: 0,
        unadopted: None,
        floor: 0,
        former: Vec::new(),
        gaps: Vec::new(),
        erasing: None,
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
    sync_name(data, disk)?;
    Ok(identity)
}

/// The folder's own name and those in it are on disk once this returns. A start before this one may have ended between
/// making them and making them last; what it left looks just the same.
pub(super) fn sync_names(data: &Path, disk: &Disk) -> Result<(), OpenError> {
    disk.sync_folder(data).map_err(OpenError::io(data))?;
    sync_name(data, disk)
}

fn sync_name(data: &Path, disk: &Disk) -> Result<(), OpenError> {
    let Some(parent) = data.parent() else {
        return Ok(());
    };
    let parent = if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    };
    disk.sync_folder(parent).map_err(OpenError::io(parent))
}

/// Sending is no longer withheld.
pub(super) fn adopt(data: &Path, disk: &Disk) -> Result<(), OpenError> {
    let (mut identity, _) = read(data)?;
    if identity.unadopted.take().is_none() {
        return Ok(());
    }
    write(data, disk, identity).map(|_| ())
}

/// A copied folder becomes a store of its own, here: its original may go on under the old id.
pub(super) fn become_own(options: &Options, mut identity: Identity) -> Result<Identity, OpenError> {
    identity.former.push(Former {
        store: identity.store,
        last_sequence: 0,
    });
    identity.unadopted = Some("the folder was copied".to_owned());
    settle_here(options, identity)
}

/// Gives a restored store a new id, this machine and its file.
pub(super) fn settle_here(
    options: &Options,
    mut identity: Identity,
) -> Result<Identity, OpenError> {
    identity.store = new_id(options)?;
    identity.machine = machine(options);
    write(&options.folder, &options.disk, identity)
}

/// Where the last of the former stores ended, once it is known.
pub(super) fn ended_at(
    options: &Options,
    mut identity: Identity,
    sequence: u64,
) -> Result<Identity, OpenError> {
    match identity.former.last_mut() {
        Some(former) if former.last_sequence == 0 && sequence > 0 => {
            former.last_sequence = sequence;
            write(&options.folder, &options.disk, identity)
        }
        _ => Ok(identity),
    }
}

fn machine(options: &Options) -> String {
    (options.machine_id)().map_or_else(String::new, |id| machine_hash(&id))
}

fn new_id(options: &Options) -> Result<Uuid, OpenError> {
    let mut dice = [0; 10];
    (options.chance)(&mut dice).map_err(OpenError::io("/dev/urandom"))?;
    let millis = u64::try_from((options.clock)()).unwrap_or_default();
    Ok(Builder::from_unix_timestamp_millis(millis, &dice).into_uuid())
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

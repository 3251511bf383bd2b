//! Opening the store: from what lies on the disk to a journal that can be appended and a state that agrees with it.
//!
//! The order is the recovery story:
//! 1. lock, identity; sled is opened and asked for its `head`;
//! 2. the journal's end is found, and written again in place before anything in it is believed: a sync that failed
//!    earlier may have left pages that only the cache holds;
//! 3. sled is believed only under the boot id of the checkpoint and if its head is in the journal. Then what it lacks is
//!    applied; else it is rebuilt. The checkpoint goes before a rebuild begins and comes back when it is done.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::base::{self, BadBase};
use super::checkpoint::{self, Checkpoint};
use super::disk::{Disk, is_full};
use super::error::OpenError;
use super::frame::{self, Key};
use super::identity::{self, Identity, Lock, Standing};
use super::journal::{AppendError, Ground, Journal};
use super::merge;
use super::migrate;
use super::options::Options;
use super::room::Ballast;
use super::segment::{self, FORMAT};
use super::state::{self, Head, ReadError, State, StateError};
use super::walk::{self, Damage, End};

/// Deaths while opening sled after which it is set aside.
const DEATHS: u8 = 3;

/// Why the state was rebuilt from the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rebuilt {
    /// There is no checkpoint: a rebuild or a flush had not come to its end.
    NoCheckpoint,
    /// The machine was started anew since.
    Rebooted,
    /// The folder was copied, perhaps while it was being written.
    Copied,
    /// The state was removed or is empty.
    NoState,
    /// The state could not be opened or read; it lies in `aside/`.
    Corrupt,
    /// The state is older than it is known to have been.
    BelowCheckpoint,
    /// The state says something that the journal does not.
    NotInJournal,
    /// It had an older format.
    Migrated { from: u32 },
    /// The journal ends before the state: it was replaced by an older one.
    JournalTooShort,
}

/// Bytes of a frame that never became whole. Nothing in it was ever acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    pub segment: u64,
    pub offset: u64,
    pub bytes: u64,
    /// Where they lie now.
    pub kept_in: PathBuf,
}

/// How opening went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// `None` if the state was believed, or the store is new.
    pub rebuilt: Option<Rebuilt>,
    /// Entries applied to the state.
    pub replayed: u64,
    /// The base that a rebuild began at.
    pub base: Option<u64>,
    /// Bases that could not be used: an alarm, since the one before, or the whole journal, was.
    pub bad_bases: Vec<BadBase>,
    pub cut: Option<Cut>,
    /// The journal is damaged here: nothing can be written until a person repairs it or accepts the gap.
    pub damage: Option<Damage>,
    /// When the newest entry was decided.
    pub newest_ms: Option<i64>,
    /// The folder was copied or went back in time: nothing may be sent until a person adopts it.
    pub restored_copy: bool,
}

/// Everything the writer needs.
pub(super) struct Recovered {
    pub(super) lock: Lock,
    pub(super) identity: Identity,
    pub(super) boot_id: String,
    pub(super) journal: Journal,
    pub(super) state: State,
    pub(super) ballast: Ballast,
    pub(super) opened: Opened,
}

impl fmt::Display for Rebuilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self {
            Rebuilt::Migrated { from } => return write!(f, "the folder had format {from}"),
            Rebuilt::NoCheckpoint => "there was no checkpoint",
            Rebuilt::Rebooted => "the machine was restarted",
            Rebuilt::Copied => "the folder was copied",
            Rebuilt::NoState => "there was no state",
            Rebuilt::Corrupt => "the state was corrupt",
            Rebuilt::BelowCheckpoint => "the state was older than its checkpoint",
            Rebuilt::NotInJournal => "the state did not agree with the journal",
            Rebuilt::JournalTooShort => "the journal ended before the state",
        };
        f.write_str(why)
    }
}

/// What is at work while opening.
pub(super) struct Opening<'a> {
    pub(super) options: &'a Options,
    pub(super) ground: Ground,
    pub(super) identity: Identity,
    pub(super) boot_id: String,
    pub(super) ballast: Ballast,
    pub(super) opened: Opened,
    standing: Standing,
}

pub(super) fn open(options: &Options) -> Result<Recovered, OpenError> {
    let data = &options.folder;
    let lock = identity::hold(options)?;
    let (identity, standing) = identity::establish(options)?;
    let older = identity.format;
    // Asked before anything is changed.
    let way = migrate::way(options.migrations, older)?;
    identity::sync_names(data, &options.disk)?;
    // Read before sled is opened: setting a corrupt one aside removes the file.
    let checkpoint = checkpoint::read(data).map_err(OpenError::io(data))?;
    let checkpoint = checkpoint.filter(|found| identity.knows(found.head.store));
    let identity = if standing == Standing::Copied {
        // Removed first: a death in between must not leave a copied state to be believed.
        checkpoint::remove(data, &options.disk).map_err(OpenError::io(data))?;
        identity::become_own(options, identity)?
    } else {
        identity
    };
    let mut opening = Opening::new(options, identity, standing);
    let (state, corrupt) = opening.open_state()?;
    let head = state.head();
    let known = opening.known(
        checkpoint.as_ref(),
        head.as_ref().ok().and_then(Option::as_ref),
    );
    merge::sweep(data, &options.disk).map_err(OpenError::io(data))?;
    remove_tree(&data.join("reading")).map_err(OpenError::io(data))?;
    let covered = base::covered(data).map_err(OpenError::io(data))?;
    let end = walk::find_end(opening.ground.trail(), known, covered)
        .map_err(OpenError::walk(&opening.ground.folder))?;
    // Under the id of the store that wrote it, which a restore may have changed since.
    opening.opened.newest_ms = end
        .last
        .as_ref()
        .and_then(|last| frame::last_time(&last.last_frame, &Key::of(last.header.store)));
    let mut journal = opening.settle_end(&end, known)?;
    opening.identity = identity::ended_at(options, opening.identity, end.position.sequence)?;
    if !way.is_empty() {
        opening.migrate(&end)?;
    }
    let doubt = if !way.is_empty() {
        Some(Rebuilt::Migrated { from: older })
    } else if corrupt {
        Some(Rebuilt::Corrupt)
    } else {
        opening.doubt(&end, checkpoint.as_ref(), &head)
    };
    let is_new = end.last.is_none() && known == 0;
    let state = match doubt {
        None => opening.catch_up(state, &end, head.ok().flatten())?,
        Some(reason) => opening.rebuild(state, &end, (!is_new).then_some(reason))?,
    };
    // Without a spare the store opens and takes only what settles.
    if let Err(AppendError::Lost(error)) = journal.ensure_spare() {
        return Err(OpenError::io(&opening.ground.folder)(error));
    }
    if opening.ballast.tend().is_none() {
        tracing::warn!("the free space of the disk cannot be read");
    }
    let Opening {
        identity,
        boot_id,
        ballast,
        opened,
        ..
    } = opening;
    Ok(Recovered {
        lock,
        identity,
        boot_id,
        journal,
        state,
        ballast,
        opened,
    })
}

/// A store whose journal is damaged: it can be read, and nothing else.
pub(super) struct Shut {
    pub(super) lock: Lock,
    pub(super) state: State,
    pub(super) opened: Opened,
}

/// Opens for reading what [`open`] refused for this damage. The folder stays as it is, so that whoever
/// repairs it finds what there was: a state that is not believed is read anew into a place of its own.
pub(super) fn open_shut(options: &Options, damage: Damage) -> Result<Shut, OpenError> {
    let data = &options.folder;
    let lock = identity::hold(options)?;
    let (identity, standing) = identity::establish(options)?;
    if identity.format != FORMAT {
        // Its records have another shape, and nothing can be written that has ours.
        return Err(OpenError::Damaged(damage));
    }
    let checkpoint = checkpoint::read(data).map_err(OpenError::io(data))?;
    let checkpoint = checkpoint.filter(|found| identity.knows(found.head.store));
    let mut opening = Opening::new(options, identity, standing);
    let state = match opening.believable(checkpoint.as_ref()) {
        Some(state) => state,
        None => opening.read_apart()?,
    };
    opening.opened.damage = Some(damage);
    Ok(Shut {
        lock,
        state,
        opened: opening.opened,
    })
}

impl<'a> Opening<'a> {
    fn new(options: &'a Options, identity: Identity, standing: Standing) -> Self {
        let ground = Ground {
            disk: options.disk.clone(),
            folder: options.folder.join("journal"),
            store: identity.store,
            segment_bytes: options.segment_bytes,
            gaps: identity.gaps.clone(),
        };
        let restored_copy = standing != Standing::Ours;
        Self {
            options,
            ground,
            identity,
            boot_id: (options.boot_id)().unwrap_or_default(),
            ballast: Ballast::new(options),
            opened: Opened {
                restored_copy,
                ..Opened::default()
            },
            standing,
        }
    }
}

impl Opening<'_> {
    pub(super) fn data(&self) -> &Path {
        &self.options.folder
    }

    /// sled, opened; and whether it had to be set aside first.
    fn open_state(&mut self) -> Result<(State, bool), OpenError> {
        let marker = self.data().join("opening");
        let deaths = fs::read(&marker)
            .ok()
            .and_then(|bytes| bytes.first().copied())
            .unwrap_or(0);
        let mut corrupt = deaths >= DEATHS;
        if corrupt {
            tracing::warn!(
                "the state database could not be opened {deaths} times, and is set aside"
            );
            self.set_state_aside()?;
        }
        let count = if corrupt { 1 } else { deaths + 1 };
        // On a full disk the count is lost and nothing else.
        drop(fs::write(&marker, [count]));
        let opened = match self.try_state() {
            Err(StateError::Full) => {
                self.ballast.release().map_err(OpenError::io(self.data()))?;
                self.try_state()
            }
            other => other,
        };
        let opened = match opened {
            Err(StateError::Corrupt(why)) => {
                tracing::warn!("the state database is corrupt, and is set aside: {why}");
                self.set_state_aside()?;
                corrupt = true;
                self.try_state()
            }
            other => other,
        };
        self.options
            .disk
            .remove(&marker)
            .map_err(OpenError::io(&marker))?;
        opened
            .map(|state| (state, corrupt))
            .map_err(Self::state_failed)
    }

    /// sled as it is, where nothing but the journal speaks against it. Its records may be newer than the damage.
    fn believable(&self, checkpoint: Option<&Checkpoint>) -> Option<State> {
        let checkpoint = checkpoint?;
        let same_boot = checkpoint.boot_id == self.boot_id && !self.boot_id.is_empty();
        if self.standing == Standing::Copied || !same_boot {
            return None;
        }
        let state = self.try_state().ok()?;
        let head = state.head().ok().flatten()?;
        let holds = self.identity.knows(head.store) && head.sequence >= checkpoint.head.sequence;
        holds.then_some(state)
    }

    /// The newest base and what can be read behind it, in `reading/`.
    fn read_apart(&mut self) -> Result<State, OpenError> {
        let apart = self.data().join("reading");
        remove_tree(&apart).map_err(OpenError::io(&apart))?;
        fs::create_dir(&apart).map_err(OpenError::io(&apart))?;
        let state = State::open(&apart, self.options.cache_bytes, &self.options.disk);
        let state = state.map_err(Self::state_failed)?;
        self.fill_readable(&state)?;
        Ok(state)
    }

    pub(super) fn try_state(&self) -> Result<State, StateError> {
        State::open(self.data(), self.options.cache_bytes, &self.options.disk)
    }

    pub(super) fn state_failed(error: StateError) -> OpenError {
        match error {
            StateError::Full => OpenError::DiskFull,
            StateError::Corrupt(why) => OpenError::State(why),
            StateError::Io(source) => {
                if is_full(&source) {
                    OpenError::DiskFull
                } else {
                    OpenError::State(source.to_string())
                }
            }
        }
    }

    /// One of each kind is kept, until a person clears it.
    fn set_state_aside(&self) -> Result<(), OpenError> {
        checkpoint::remove(self.data(), &self.options.disk).map_err(OpenError::io(self.data()))?;
        let aside = self.data().join("aside").join("sled");
        remove_tree(&aside).map_err(OpenError::io(&aside))?;
        match fs::rename(state::folder(self.data()), &aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(OpenError::io(&aside)(error))
            }
            _ => Ok(()),
        }
    }

    /// The highest sequence that anyone but the journal speaks of.
    fn known(&self, checkpoint: Option<&Checkpoint>, head: Option<&Head>) -> u64 {
        let heads = checkpoint.map(|found| &found.head).into_iter().chain(head);
        let ours = heads.filter(|head| self.identity.knows(head.store));
        ours.map(|head| head.sequence).max().unwrap_or(0)
    }

    /// Why the state is not to be believed, as far as that can be said without reading the journal.
    fn doubt(
        &self,
        end: &End,
        checkpoint: Option<&Checkpoint>,
        head: &Result<Option<Head>, ReadError>,
    ) -> Option<Rebuilt> {
        if self.standing == Standing::Copied {
            return Some(Rebuilt::Copied);
        }
        let Some(checkpoint) = checkpoint else {
            return Some(Rebuilt::NoCheckpoint);
        };
        let head = match head {
            Err(_) => return Some(Rebuilt::Corrupt),
            Ok(None) => return Some(Rebuilt::NoState),
            Ok(Some(head)) => head,
        };
        let highest = head.sequence.max(checkpoint.head.sequence);
        match () {
            () if highest > end.position.sequence => Some(Rebuilt::JournalTooShort),
            () if checkpoint.boot_id != self.boot_id || self.boot_id.is_empty() => {
                Some(Rebuilt::Rebooted)
            }
            () if !self.identity.knows(head.store) => Some(Rebuilt::NotInJournal),
            () if head.sequence < checkpoint.head.sequence => Some(Rebuilt::BelowCheckpoint),
            () => None,
        }
    }
}

pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Closed segments that still lie there uncompressed. A half-made or doubtful compressed twin goes first.
pub(super) fn uncompressed(journal: &Path, below: u64, disk: &Disk) -> io::Result<Vec<u64>> {
    let mut closed = Vec::new();
    for (number, forms) in segment::list(journal)? {
        if forms.plain && forms.compressed {
            disk.remove(&segment::compressed_path(journal, number))?;
        }
        if forms.plain && number < below {
            closed.push(number);
        }
    }
    Ok(closed)
}

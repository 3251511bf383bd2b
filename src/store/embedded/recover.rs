//! Opening the store: from what lies on the disk to a journal that can be appended and a state that agrees with it.
//!
//! The order is the recovery story:
//! 1. lock, identity; sled is opened and asked for its `head`;
//! 2. the journal's end is found, and written again in place before anything in it is believed: a sync that failed
//!    earlier may have left pages that only the cache holds;
//! 3. sled is believed only under the boot id of the checkpoint and if its head is in the journal. Then what it lacks is
//!    applied; else it is rebuilt. The checkpoint goes before a rebuild begins and comes back when it is done.
//!
//! Rebuilding starts from nothing, `Origin::of_journal`; a base would be another origin.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::checkpoint::{self, Checkpoint};
use super::disk::{Disk, is_full};
use super::error::OpenError;
use super::frame::Entry;
use super::identity::{self, Identity, Lock};
use super::journal::{AppendError, Ground, Journal};
use super::options::{Options, Progress};
use super::room::Ballast;
use super::segment::{self, FIRST_FRAME, plain_path};
use super::state::{self, Head, ReadError, State, StateError};
use super::view::Overlay;
use super::walk::{self, End, Flaw, Place, Position, WalkError};

/// Keys applied to sled at once while replaying.
const BATCH: usize = 2048;
/// Deaths while opening sled after which it is set aside.
const DEATHS: u8 = 3;

/// Why the state was rebuilt from the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rebuilt {
    /// There is no checkpoint: a rebuild or a flush had not come to its end.
    NoCheckpoint,
    /// The machine was started anew since.
    Rebooted,
    /// The state was removed or is empty.
    NoState,
    /// The state could not be opened or read; it lies in `aside/`.
    Corrupt,
    /// The state is older than it is known to have been.
    BelowCheckpoint,
    /// The state says something that the journal does not.
    NotInJournal,
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
    pub cut: Option<Cut>,
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
    /// The lowest segment number that is still written to; those below are closed.
    pub(super) last_segment: u64,
}

impl fmt::Display for Rebuilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rebuilt::NoCheckpoint => "there was no checkpoint",
            Rebuilt::Rebooted => "the machine was restarted",
            Rebuilt::NoState => "there was no state",
            Rebuilt::Corrupt => "the state was corrupt",
            Rebuilt::BelowCheckpoint => "the state was older than its checkpoint",
            Rebuilt::NotInJournal => "the state did not agree with the journal",
            Rebuilt::JournalTooShort => "the journal ended before the state",
        })
    }
}

/// What is at work while opening.
struct Opening<'a> {
    options: &'a Options,
    ground: Ground,
    identity: Identity,
    boot_id: String,
    ballast: Ballast,
    opened: Opened,
}

pub(super) fn open(options: &Options) -> Result<Recovered, OpenError> {
    let data = &options.folder;
    let lock = identity::lock(data)?;
    let (identity, restored_copy) = identity::establish(options)?;
    let disk = options.disk.clone();
    let ground = Ground {
        disk: disk.clone(),
        folder: data.join("journal"),
        store: identity.store,
        segment_bytes: options.segment_bytes,
    };
    let mut opening = Opening {
        options,
        ground,
        identity,
        boot_id: (options.boot_id)().unwrap_or_default(),
        ballast: Ballast::new(&disk, data, options.ballast_bytes, options.low_bytes),
        opened: Opened {
            restored_copy,
            ..Opened::default()
        },
    };
    let (state, corrupt) = opening.open_state()?;
    let (checkpoint, head) = opening.heads(&state)?;
    let known = opening.known(
        checkpoint.as_ref(),
        head.as_ref().ok().and_then(Option::as_ref),
    );
    let end = walk::find_end(&opening.ground.folder, opening.ground.store, known)
        .map_err(OpenError::walk(&opening.ground.folder))?;
    let mut journal = opening.settle_end(&end, known)?;
    let new = end.last.is_none() && known == 0;
    let reason = if corrupt {
        Some(Rebuilt::Corrupt)
    } else {
        opening.doubt(&end, checkpoint.as_ref(), &head)
    };
    let state = match reason {
        None => opening.catch_up(state, &end, head.ok().flatten())?,
        Some(reason) => opening.rebuild(state, &end, (!new).then_some(reason))?,
    };
    if let Err(AppendError::Lost(error)) = journal.ensure_spare() {
        return Err(OpenError::io(&opening.ground.folder)(error));
    }
    let last_segment = journal.number();
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
        last_segment,
    })
}

impl Opening<'_> {
    fn data(&self) -> &Path {
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

    fn try_state(&self) -> Result<State, StateError> {
        State::open(self.data(), self.options.cache_bytes, &self.options.disk)
    }

    fn state_failed(error: StateError) -> OpenError {
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

    #[expect(
        clippy::type_complexity,
        reason = "an unreadable head is a reason to rebuild, not an error"
    )]
    fn heads(
        &self,
        state: &State,
    ) -> Result<(Option<Checkpoint>, Result<Option<Head>, ReadError>), OpenError> {
        let checkpoint = checkpoint::read(self.data()).map_err(OpenError::io(self.data()))?;
        Ok((
            checkpoint.filter(|found| self.identity.knows(found.head.store)),
            state.head(),
        ))
    }

    /// The highest sequence that anyone but the journal speaks of.
    fn known(&self, checkpoint: Option<&Checkpoint>, head: Option<&Head>) -> u64 {
        let heads = checkpoint.map(|found| &found.head).into_iter().chain(head);
        let ours = heads.filter(|head| self.identity.knows(head.store));
        ours.map(|head| head.sequence).max().unwrap_or(0)
    }

    /// Makes the end of the journal durable and clean, and opens it for writing.
    fn settle_end(&mut self, end: &End, known: u64) -> Result<Journal, OpenError> {
        if known > end.position.sequence {
            let why = "the journal ends before the state";
            self.identity = identity::withhold(
                &self.options.folder,
                &self.options.disk,
                self.identity.clone(),
                why,
                known,
            )?;
            self.opened.restored_copy = true;
        }
        for &number in end.spares.iter().rev() {
            self.clean_spare(number)?;
        }
        let folder = self.ground.folder.clone();
        self.rewrite_last(end).map_err(OpenError::io(&folder))?;
        let next = end.position.sequence.max(self.identity.floor) + 1;
        let goes_on = end
            .last
            .as_ref()
            .filter(|last| !last.compressed && last.header.store == self.ground.store);
        if let Some(last) = goes_on {
            let gap = next != end.position.sequence + 1;
            let (number, offset) = (last.header.number, last.offset as u64);
            return Journal::resume(self.ground.clone(), number, offset, end.position, next, gap)
                .map_err(OpenError::io(&folder));
        }
        let number = end.last.as_ref().map_or(1, |last| last.header.number + 1);
        self.begin_segment(number, end.position, next)?;
        Journal::resume(
            self.ground.clone(),
            number,
            FIRST_FRAME as u64,
            end.position,
            next,
            false,
        )
        .map_err(OpenError::io(&folder))
    }

    fn begin_segment(&self, number: u64, position: Position, next: u64) -> Result<(), OpenError> {
        let path = plain_path(&self.ground.folder, number);
        let begun = match Disk::open(&path) {
            Ok(file) if file.len().is_ok_and(|len| len >= self.ground.segment_bytes) => Ok(file),
            _ => Journal::make_segment(&self.ground, number),
        }
        .and_then(|file| {
            let now_ms = (self.options.clock)();
            Journal::head_segment(&self.ground, &file, number, position, next, now_ms)
        });
        begun.map_err(|error| match error {
            AppendError::Unwritten(source) | AppendError::Lost(source) => {
                OpenError::io(&path)(source)
            }
        })
    }

    /// The last frame once more, and zeros over what is torn behind it.
    fn rewrite_last(&mut self, end: &End) -> io::Result<()> {
        let Some(last) = end.last.as_ref().filter(|last| !last.compressed) else {
            return Ok(());
        };
        let (number, offset) = (last.header.number, last.offset as u64);
        if !last.torn.is_empty() {
            self.keep_torn(number, offset, &last.torn)?;
        }
        let disk = &self.ground.disk;
        let file = Disk::open(&plain_path(&self.ground.folder, number))?;
        disk.write_at(
            &file,
            offset - last.last_frame.len() as u64,
            &last.last_frame,
        )?;
        disk.write_at(&file, offset, &vec![0; last.torn.len()])?;
        disk.sync(&file)?;
        disk.sync_folder(&self.ground.folder)
    }

    /// A file that holds no frame becomes zeros again, whatever a crash left in it.
    fn clean_spare(&mut self, number: u64) -> Result<(), OpenError> {
        let path = plain_path(&self.ground.folder, number);
        let cleaned = || -> io::Result<()> {
            let bytes = fs::read(&path)?;
            let used = bytes
                .iter()
                .rposition(|byte| *byte != 0)
                .map_or(0, |last| last + 1);
            if used > FIRST_FRAME {
                self.keep_torn(number, FIRST_FRAME as u64, &bytes[FIRST_FRAME..used])?;
            }
            let file = Disk::open(&path)?;
            self.ground.disk.write_at(&file, 0, &vec![0; used])?;
            self.ground.disk.sync(&file)
        };
        let mut cleaned = cleaned;
        cleaned().map_err(OpenError::io(&path))
    }

    fn keep_torn(&mut self, segment: u64, offset: u64, torn: &[u8]) -> io::Result<()> {
        let aside = self.options.folder.join("aside");
        let kept_in = aside.join("journal-tail");
        let disk = &self.options.disk;
        disk.replace(&kept_in, &aside.join("journal-tail.tmp"), |_| {
            Ok(torn.to_vec())
        })?;
        self.opened.cut = Some(Cut {
            segment,
            offset,
            bytes: torn.len() as u64,
            kept_in,
        });
        Ok(())
    }

    /// Why the state is not to be believed, as far as that can be said without reading the journal.
    fn doubt(
        &self,
        end: &End,
        checkpoint: Option<&Checkpoint>,
        head: &Result<Option<Head>, ReadError>,
    ) -> Option<Rebuilt> {
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

    /// Applies what the state lacks, if its head is in the journal; else rebuilds it.
    fn catch_up(
        &mut self,
        state: State,
        end: &End,
        head: Option<Head>,
    ) -> Result<State, OpenError> {
        let Some(head) = head else {
            return self.rebuild(state, end, Some(Rebuilt::NoState));
        };
        let from = walk::start_for(&self.ground.folder, end, head.sequence)
            .map_err(OpenError::io(&self.ground.folder))?;
        // Before the first entry there is nothing to agree on.
        let mut agrees = head.sequence == 0;
        let mut replay = Replay::new(&state, self, end);
        let walked = walk::walk(&self.ground.folder, from, end, &mut |entry, place| {
            if entry.sequence == head.sequence {
                agrees = entry.chain == head.chain;
            }
            if entry.sequence > head.sequence && agrees {
                replay.entry(entry, place)
            } else {
                Ok(())
            }
        });
        let done = walked.and_then(|()| replay.finish());
        let (count, failed) = (replay.count, replay.failed.take());
        drop(replay);
        self.replayed(done, failed)?;
        if !agrees {
            return self.rebuild(state, end, Some(Rebuilt::NotInJournal));
        }
        self.opened.replayed = count;
        Ok(state)
    }

    /// Throws the state away and makes it anew from the whole journal.
    fn rebuild(
        &mut self,
        state: State,
        end: &End,
        reason: Option<Rebuilt>,
    ) -> Result<State, OpenError> {
        if let Some(reason) = &reason {
            tracing::info!(
                entries = end.position.sequence,
                "the state is rebuilt from the journal: {reason}"
            );
        }
        checkpoint::remove(self.data(), &self.options.disk).map_err(OpenError::io(self.data()))?;
        drop(state);
        let folder = state::folder(self.data());
        remove_tree(&folder).map_err(OpenError::io(&folder))?;
        let state = self.try_state().map_err(Self::state_failed)?;
        let mut replay = Replay::new(&state, self, end);
        let walked = walk::walk(&self.ground.folder, 1, end, &mut |entry, place| {
            replay.entry(entry, place)
        });
        let done = walked.and_then(|()| replay.finish());
        let (count, failed) = (replay.count, replay.failed.take());
        drop(replay);
        self.replayed(done, failed)?;
        self.opened.replayed = count;
        self.opened.rebuilt = reason;
        state.flush().map_err(OpenError::io(&folder))?;
        let Position { sequence, chain } = end.position;
        let head = Head {
            store: self.ground.store,
            sequence,
            chain,
        };
        let checkpoint = Checkpoint {
            head,
            boot_id: self.boot_id.clone(),
        };
        checkpoint::write(self.data(), &self.options.disk, &checkpoint)
            .map_err(OpenError::io(self.data()))?;
        Ok(state)
    }

    fn replayed(
        &mut self,
        done: Result<(), WalkError>,
        failed: Option<StateError>,
    ) -> Result<(), OpenError> {
        let Some(failed) = failed else {
            return done.map_err(OpenError::walk(&self.ground.folder));
        };
        checkpoint::remove(self.data(), &self.options.disk).map_err(OpenError::io(self.data()))?;
        if matches!(failed, StateError::Full) {
            self.ballast.release().map_err(OpenError::io(self.data()))?;
        }
        Err(Self::state_failed(failed))
    }
}

/// Applies entries to the state, many at a time.
struct Replay<'a> {
    state: &'a State,
    options: &'a Options,
    store: uuid::Uuid,
    end: u64,
    overlay: Overlay,
    last: Position,
    count: u64,
    failed: Option<StateError>,
}

impl<'a> Replay<'a> {
    fn new(state: &'a State, opening: &Opening<'a>, end: &End) -> Self {
        Self {
            state,
            options: opening.options,
            store: opening.ground.store,
            end: end.position.sequence,
            overlay: Overlay::default(),
            last: Position {
                sequence: 0,
                chain: super::frame::Chain::genesis(opening.ground.store),
            },
            count: 0,
            failed: None,
        }
    }

    fn entry(&mut self, entry: &Entry<'_>, place: Place) -> Result<(), WalkError> {
        let Some(changes) = entry.changes() else {
            return Err(place.damaged(entry.sequence, Flaw::Entry));
        };
        self.overlay.add(changes);
        self.last = Position {
            sequence: entry.sequence,
            chain: entry.chain,
        };
        self.count += 1;
        if self.overlay.len() >= BATCH {
            self.apply()
        } else {
            Ok(())
        }
    }

    /// Everything is in the state, `head` too, even if the journal is empty.
    fn finish(&mut self) -> Result<(), WalkError> {
        if self.count == 0 && self.end > 0 {
            Ok(())
        } else {
            self.apply()
        }
    }

    fn apply(&mut self) -> Result<(), WalkError> {
        let Position { sequence, chain } = self.last;
        let head = Head {
            store: self.store,
            sequence,
            chain,
        };
        if let Err(error) = self.state.apply(self.overlay.iter(), &head) {
            self.failed = Some(error);
            return Err(io::Error::other("the state cannot be written").into());
        }
        self.overlay.clear();
        (self.options.on_progress)(Progress {
            sequence,
            of: self.end,
        });
        Ok(())
    }
}

fn remove_tree(path: &Path) -> io::Result<()> {
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

//! The one thread that changes anything: take, decide, write, sync, show, answer.
//!
//! sled gets what is shown as soon as no act comes for a moment, else with that of the groups after it, from a thread
//! beside this one. And where many acts came at once, more are about to: a thread of its own syncs the group, and the
//! next one is gathered for a moment and decided meanwhile, on top of it. It is not written before that sync ended, and
//! a sync that fails ends the process: a decision never rests on a group that came to nothing.
//!
//! The order of these steps is the recovery story. A death before the sync leaves a frame that is whole or not
//! there; after it, one that the next start applies. Nobody hears of an act before its
//! frame is synced and every read shows it, refusals included: one may rest on an act before it in its group or the
//! group before.
//!
//! Classes are decided in order, so what settles never rests on what may be thrown away when the disk is full.

use std::cell::RefCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use uuid::Uuid;

use super::applier::{Applier, Failed};
use super::care::Chore;
use super::disk::{Disk, Step, is_full};
use super::domain::{Change, Class, Domain, Stamp};
use super::error::{ActError, Unavailable};
use super::fatal::Fatal;
use super::frame::{self, Group, Key, MAX_ACTS, Mark, Misfit};
use super::hot::Hot;
use super::inbox::{Answer, Inbox, Job, Taken};
use super::journal::{AppendError, Journal};
use super::keeper::{Marks, Work};
use super::options::{Clock, Options};
use super::own::Note;
use super::post::{Letter, Post};
use super::room::{Ballast, Room};
use super::state::{Head, State};
use super::syncer::Syncer;
use super::view::{Below, Overlay, View};

/// Changes, or bytes of them, that may wait for sled while acts come.
const DEFERRED: usize = 4_096;
const DEFERRED_BYTES: usize = 4 << 20;
/// No act came for so long: sled gets what waits for it.
const PAUSE: Duration = Duration::from_millis(3);
/// So many pauses sled may be at the same stretch.
const PATIENCE: u32 = 1_000;
/// So many acts in one group mean that many are under way.
const MANY: usize = 8;
/// A part of what a sync takes; the acts that come meanwhile share the next group.
const GATHER: Duration = Duration::from_micros(300);

/// What the outside may read while the writer runs.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    pub(super) sequence: AtomicU64,
    room: AtomicU8,
}

impl Gauges {
    pub(super) fn at(sequence: u64) -> Arc<Self> {
        let gauges = Self::default();
        gauges.sequence.store(sequence, Ordering::Release);
        Arc::new(gauges)
    }

    pub(super) fn room(&self) -> Room {
        match self.room.load(Ordering::Relaxed) {
            0 => Room::Ample,
            1 => Room::Low,
            _ => Room::Scarce,
        }
    }

    fn set_room(&self, room: Room) {
        let value = match room {
            Room::Ample => 0,
            Room::Low => 1,
            Room::Scarce => 2,
        };
        self.room.store(value, Ordering::Relaxed);
    }
}

/// What ties the writer to the other threads.
pub(super) struct Ties<D: Domain> {
    pub(super) inbox: Arc<Inbox<D>>,
    pub(super) post: Arc<Post<D>>,
    pub(super) marks: Arc<Marks>,
    pub(super) gauges: Arc<Gauges>,
    pub(super) keeper: Sender<Work>,
    pub(super) care: Sender<Chore>,
    pub(super) fatal: Arc<Fatal>,
}

pub(super) struct Writer<D: Domain> {
    domain: D,
    ties: Ties<D>,
    pub(super) journal: Journal,
    state: State,
    ballast: Ballast,
    pub(super) store: Uuid,
    key: Key,
    clock: Clock,
    disk: Disk,
    data: PathBuf,
    checkpoint_bytes: u64,
    quiet: Duration,
    /// What the salts of this process come from.
    salts: [u8; 32],
    /// The group in the making, and its changes; kept for their memory.
    group: Group,
    overlay: Overlay,
    hot: RefCell<Hot>,
    /// The group before, while it is being synced, and its changes.
    flight: Option<Flight<D>>,
    flown: Overlay,
    syncer: Syncer,
    applier: Applier,
    /// The last entry that reads see, and the last one that sled has or is getting.
    shown: Head,
    handed: u64,
    /// Pauses since then.
    pauses: u32,
    /// Journal bytes since a checkpoint was last asked for.
    unflushed: u64,
}

/// The acts of one turn.
struct Turn<D: Domain> {
    decided: Vec<Letter<D>>,
    /// How many of them settle something, and where the group stands behind them.
    settled: usize,
    mark: Mark,
}

/// A group that is written and not yet synced.
struct Flight<D: Domain> {
    letters: Vec<Letter<D>>,
    head: Head,
}

/// The process must end; the reason has been given already.
pub(super) struct End;

impl<D: Domain> Writer<D> {
    pub(super) fn new(
        options: &Options,
        domain: D,
        ties: Ties<D>,
        store: Uuid,
        journal: Journal,
        state: State,
        ballast: Ballast,
    ) -> io::Result<Self> {
        let mut salts = [0; 32];
        (options.chance)(&mut salts)?;
        let shown = Head::at(store, journal.position());
        let applier = Applier::start(
            state.clone(),
            Arc::clone(&ties.marks),
            Arc::clone(&ties.fatal),
            options.folder.clone(),
            options.disk.clone(),
        )?;
        Ok(Self {
            domain,
            ties,
            journal,
            state,
            ballast,
            store,
            key: Key::of(store),
            clock: Arc::clone(&options.clock),
            disk: options.disk.clone(),
            data: options.folder.clone(),
            checkpoint_bytes: options.checkpoint_bytes,
            quiet: options.quiet,
            salts,
            group: Group::new(),
            overlay: Overlay::default(),
            hot: RefCell::default(),
            flight: None,
            flown: Overlay::default(),
            syncer: Syncer::start(&options.disk)?,
            applier,
            handed: shown.sequence,
            pauses: 0,
            shown,
            unflushed: 0,
        })
    }

    /// Until the inbox is closed and empty, or the process must end.
    pub(super) fn run(mut self) {
        let ran = catch_unwind(AssertUnwindSafe(|| self.turns()));
        match ran {
            Ok(Ok(())) => return,
            Ok(Err(End)) => {}
            Err(_) => self.ties.fatal.raise("the writer panicked"),
        }
        self.ties.inbox.abandon();
    }

    /// Raised before anyone's answer is dropped: who hears of it finds the store stopped.
    fn end(&self, why: &str) -> End {
        self.ties.fatal.raise(why);
        End
    }

    fn turns(&mut self) -> Result<(), End> {
        loop {
            let behind = self.is_behind();
            let wait = match &self.flight {
                Some(_) => Duration::ZERO,
                None if behind => PAUSE,
                None => self.quiet,
            };
            match self.ties.inbox.take(MAX_ACTS, wait, self.flight.is_some()) {
                Taken::Jobs(jobs) => {
                    self.turn(jobs)?;
                    if self.flight.is_some() {
                        gather();
                    }
                }
                Taken::Own(own) => {
                    self.apply()?;
                    self.own(own)?;
                }
                Taken::Quiet if self.flight.is_some() => self.land()?,
                Taken::Quiet if behind && self.leaves_alone() => {}
                Taken::Quiet if behind => self.hand_over()?,
                Taken::Quiet => self.ask_checkpoint(),
                Taken::Closed => return self.apply(),
            }
            if self.ties.fatal.is_dead() {
                self.ties.inbox.abandon();
                return Ok(());
            }
        }
    }

    fn ask_checkpoint(&mut self) {
        self.unflushed = 0;
        // A keeper that is gone has raised its own alarm.
        drop(self.ties.keeper.send(Work::Checkpoint(None)));
        drop(self.ties.care.send(Chore::Look));
    }

    /// An entry of the store's own, in a frame of its own.
    pub(super) fn note(&mut self, note: Note) -> Result<Result<Stamp, Unavailable>, End> {
        self.look()?;
        self.group
            .restart(self.journal.next(), self.journal.position().chain);
        self.overlay.clear();
        let stamp = Stamp {
            sequence: self.group.next(),
            time_ms: (self.clock)(),
        };
        let salt = self.salt(stamp.sequence);
        if self
            .group
            .push(stamp, &note.header, &note.changes, salt)
            .is_err()
        {
            return Ok(Err(Unavailable::Unwritable));
        }
        self.flown.clear();
        self.flown.add(note.changes);
        if let Some(error) = self.append()? {
            self.flown.clear();
            tracing::warn!(%error, "an act of the store's own could not be written");
            return Ok(Err(if is_full(&error) {
                Unavailable::DiskFull
            } else {
                Unavailable::Unwritable
            }));
        }
        self.sync()?;
        self.show(self.written());
        self.apply()?;
        self.house_keep();
        Ok(Ok(stamp))
    }

    fn turn(&mut self, jobs: Vec<Job<D>>) -> Result<(), End> {
        let room = self.look()?;
        self.group
            .restart(self.journal.next(), self.journal.position().chain);
        self.overlay.clear();
        let mut turn = self.decide(jobs, room)?;
        self.disk.step(Step::Decided);
        self.land()?;
        if self.group.count() > 0 {
            self.write(&mut turn)?;
        }
        let letters = turn.decided;
        if self.group.count() == 0 {
            self.answer(letters);
            return Ok(());
        }
        std::mem::swap(&mut self.overlay, &mut self.flown);
        let many = letters.len() >= MANY;
        let head = self.written();
        self.flight = Some(Flight { letters, head });
        if many {
            let begun = self.syncer.begin(self.journal.file());
            return begun.map_err(|error| self.undurable(&error));
        }
        self.sync()?;
        self.arrive()
    }

    /// The group before, if it is still under way: synced, shown and answered.
    fn land(&mut self) -> Result<(), End> {
        if self.flight.is_some() {
            let synced = self.syncer.finish();
            synced.map_err(|error| self.undurable(&error))?;
        }
        self.arrive()
    }

    /// What is synced is shown and answered.
    fn arrive(&mut self) -> Result<(), End> {
        let Some(Flight { letters, head }) = self.flight.take() else {
            return Ok(());
        };
        self.show(head);
        self.answer(letters);
        let waiting = self.state.pending();
        if waiting.changes >= DEFERRED || waiting.bytes >= DEFERRED_BYTES {
            let full = waiting.changes >= 2 * DEFERRED || waiting.bytes >= 2 * DEFERRED_BYTES;
            if full || !self.applier.is_busy() {
                self.hand_over()?;
            }
        }
        self.house_keep();
        Ok(())
    }

    fn answer(&self, letters: Vec<Letter<D>>) {
        self.ties.post.deliver(letters);
        self.disk.step(Step::Answered);
    }

    fn sync(&self) -> Result<(), End> {
        let synced = self.syncer.sync(&self.journal.file());
        synced.map_err(|error| self.undurable(&error))
    }

    fn undurable(&self, error: &io::Error) -> End {
        self.end(&format!("the journal could not be made durable: {error}"))
    }

    fn look(&mut self) -> Result<Room, End> {
        let free = self.ballast.tend();
        if !self.journal.has_spare() && free.is_some_and(|free| self.ballast.is_plenty(free)) {
            // Whether it could be made is asked below.
            if let Err(AppendError::Lost(error)) = self.journal.ensure_spare() {
                return Err(self.end(&format!(
                    "a journal segment could not be made durable: {error}"
                )));
            }
        }
        let room = self.ballast.room(free, self.journal.has_spare());
        self.ties.gauges.set_room(room);
        Ok(room)
    }

    /// Decides as many jobs as one frame holds, and puts the others back.
    fn decide(&mut self, jobs: Vec<Job<D>>, room: Room) -> Result<Turn<D>, End> {
        let mut turn = Turn {
            decided: Vec::with_capacity(jobs.len()),
            settled: 0,
            mark: self.group.mark(),
        };
        let mut jobs = jobs.into_iter();
        while self.group.has_room() {
            let Some(Job { act, class, answer }) = jobs.next() else {
                break;
            };
            if !room.admits(class) {
                drop(answer.send(Err(ActError::Unavailable(Unavailable::DiskFull))));
                continue;
            }
            let verdict = self.verdict(act)?;
            turn.decided.push(Letter { answer, verdict });
            if class == Class::Settle {
                turn.settled = turn.decided.len();
                turn.mark = self.group.mark();
            }
        }
        self.ties.inbox.put_back(jobs);
        Ok(turn)
    }

    fn verdict(&mut self, act: D::Act) -> Result<Answer<D>, End> {
        let stamp = Stamp {
            sequence: self.group.next(),
            time_ms: (self.clock)(),
        };
        let below = Below {
            state: &self.state,
            hot: &self.hot,
        };
        let view = View::new(below, &self.flown, &self.overlay);
        let decision = self.domain.decide(act, &view, stamp);
        if let Some(error) = view.failure() {
            return Err(self.distrust(&error.to_string()));
        }
        let decision = match decision {
            Ok(decision) => decision,
            Err(refusal) => return Ok(Err(ActError::Refused(refusal))),
        };
        let salt = self.salt(stamp.sequence);
        // Keys that begin with a zero byte are the store's own.
        let foreign = |change: &Change| change.key().first() == Some(&0);
        if decision.changes.iter().any(foreign) {
            return Ok(Err(ActError::TooLarge(Misfit::Key)));
        }
        if let Err(misfit) = self
            .group
            .push(stamp, &decision.header, &decision.changes, salt)
        {
            return Ok(Err(ActError::TooLarge(misfit)));
        }
        self.overlay.add(decision.changes);
        Ok(Ok(decision.answer))
    }

    /// From a secret that dies with the process, so that nobody can compute it later.
    fn salt(&self, sequence: u64) -> [u8; 16] {
        let mut salt = [0; 16];
        let hash = blake3::keyed_hash(&self.salts, &sequence.to_le_bytes());
        salt.copy_from_slice(&hash.as_bytes()[..16]);
        salt
    }

    /// Writes the group; if that fails, what settles alone, and the others hear that nothing of theirs happened.
    fn write(&mut self, turn: &mut Turn<D>) -> Result<(), End> {
        let Some(error) = self.append()? else {
            return Ok(());
        };
        tracing::warn!(%error, "a group of acts could not be written to the journal");
        let why = if is_full(&error) {
            Unavailable::DiskFull
        } else {
            Unavailable::Unwritable
        };
        for Letter { answer, .. } in turn.decided.drain(turn.settled..) {
            drop(answer.send(Err(ActError::Unavailable(why))));
        }
        self.group.cut(turn.mark);
        if self.group.count() == 0 || self.append_settling(why)? {
            return self.overlay_from_group();
        }
        for Letter { answer, .. } in turn.decided.drain(..) {
            drop(answer.send(Err(ActError::Unavailable(why))));
        }
        self.group.restart(self.group.first(), self.group.before());
        Ok(())
    }

    /// Tries what settles alone, once more in the space of the ballast if the disk is full.
    fn append_settling(&mut self, why: Unavailable) -> Result<bool, End> {
        if self.append()?.is_none() {
            return Ok(true);
        }
        if why != Unavailable::DiskFull || self.ballast.release().is_err() {
            return Ok(false);
        }
        Ok(self.append()?.is_none())
    }

    /// `Some` if nothing was written.
    fn append(&mut self) -> Result<Option<io::Error>, End> {
        match self.journal.write(&mut self.group, (self.clock)()) {
            Ok(len) => {
                self.unflushed += len;
                Ok(None)
            }
            Err(AppendError::Unwritten(error)) => Ok(Some(error)),
            Err(AppendError::Lost(error)) => Err(self.undurable(&error)),
        }
    }

    /// The changes that are left after the group was cut, read back from it. Rare, so nothing is kept for it.
    fn overlay_from_group(&mut self) -> Result<(), End> {
        self.overlay.clear();
        if self.group.count() == 0 {
            return Ok(());
        }
        let bytes = self.group.seal(&self.key);
        let entries = frame::read(&bytes, 0, &self.key)
            .and_then(|frame| frame.entries(self.group.before()))
            .map_err(|_| self.end("a frame just written cannot be read"))?;
        for entry in entries {
            self.overlay.add(entry.changes().unwrap_or_default());
        }
        Ok(())
    }

    /// The last entry that was written.
    fn written(&self) -> Head {
        Head::at(self.store, self.journal.position())
    }

    /// From here on every read sees what was decided up to there.
    fn show(&mut self, head: Head) {
        let hot = self.hot.get_mut();
        self.flown.iter().for_each(|(key, _)| hot.forget(key));
        self.state.defer(self.flown.take());
        self.shown = head;
        self.ties
            .gauges
            .sequence
            .store(head.sequence, Ordering::Release);
    }

    /// sled is still at what it was given: an act that comes meanwhile need not wait for it. Only for so long, or nobody
    /// would hear that it hangs.
    fn leaves_alone(&mut self) -> bool {
        self.pauses += 1;
        self.pauses <= PATIENCE && self.applier.is_busy()
    }

    fn is_behind(&self) -> bool {
        self.handed < self.shown.sequence
    }

    /// sled gets what is shown, with what the groups before left for it.
    fn hand_over(&mut self) -> Result<(), End> {
        self.pauses = 0;
        if self.is_behind() {
            self.applier.begin(self.shown).map_err(|Failed| End)?;
            self.handed = self.shown.sequence;
        }
        Ok(())
    }

    /// sled has all that was decided once this returns.
    fn apply(&mut self) -> Result<(), End> {
        self.land()?;
        self.hand_over()?;
        self.applier.finish().map_err(|Failed| End)
    }

    /// The next start rebuilds the state.
    fn distrust(&self, why: &str) -> End {
        self.ties.marks.distrust(&self.data, &self.disk);
        self.end(&format!("the state cannot be used: {why}"))
    }

    fn house_keep(&mut self) {
        if let Some(number) = self.journal.take_closed() {
            drop(self.ties.care.send(Chore::Closed(number)));
        }
        if self.unflushed >= self.checkpoint_bytes {
            self.ask_checkpoint();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the writer's own pace")]
fn gather() {
    std::thread::sleep(GATHER);
}

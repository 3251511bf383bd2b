//! Chores that take long and hurry nobody: compressing, bases, stripping, retiring, collecting. One thread, one at a time.
//!
//! Nothing here is needed for an act or for safety, so every chore may be cut off at any point and is tried again.
//! What must be in the journal goes through the writer, before the files change. A backup holds `hands` while it copies,
//! and every chore waits for it.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;

use super::base::{self, Base};
use super::blobs::Blobs;
use super::collect::{self, Collect};
use super::disk::Disk;
use super::domain::{NamesOf, Stamp};
use super::error::{CareError, Unavailable};
use super::fatal::Fatal;
use super::gap::Trail;
use super::identity::Identity;
use super::merge::Merge;
use super::options::{Clock, Options, Suspect};
use super::own::{self, Closed, Note, Own, Told};
use super::segment::{self, FORMAT};
use super::state::State;
use super::{pack, sorted, strip};

/// What is looked after when nobody asks for it.
const LOOK_EVERY_MS: i64 = 3_600_000;
const DAY_MS: i64 = 86_400_000;
/// A base is made at least so often.
const BASE_EVERY_MS: i64 = 30 * DAY_MS;

/// A chore that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Makes a base of everything answered so far. Gives its sequence.
    Base,
    /// Drops the redo of segments older than two bases. Gives how many.
    Strip,
    /// Removes stripped segments that are older than the audit log is kept. Gives how many.
    Retire,
    /// Removes blobs that no record names. Gives how many.
    Collect,
    /// Makes a base, reads it back, and leaves nothing older that holds records. Gives its sequence. For an erasure.
    Purge,
}

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Chore {
    /// The writer has completed this segment.
    Closed(u64),
    /// Nothing else is going on: see what is due.
    Look,
    Do(Deed, Sender<Result<u64, CareError>>),
    /// The same as [`Chore::Look`] without asking when it was done last; the sender is dropped at its end.
    LookNow(Sender<()>),
    Stop,
}

/// The way to the writer; gives the wish back once it is closed.
pub(super) type Door = Box<dyn Fn(Own) -> Result<(), Own> + Send>;

pub(super) struct Care {
    pub(super) data: PathBuf,
    pub(super) disk: Disk,
    pub(super) state: State,
    pub(super) blobs: Blobs,
    pub(super) names: NamesOf,
    pub(super) identity: Identity,
    pub(super) clock: Clock,
    pub(super) suspect: Suspect,
    pub(super) limits: Limits,
    pub(super) door: Door,
    pub(super) fatal: Arc<Fatal>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) hands: Arc<Mutex<()>>,
    /// The last segment that is known to be complete.
    pub(super) closed: u64,
    pub(super) looked_ms: i64,
    pub(super) collected_ms: i64,
}

/// When chores are due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    segment_bytes: u64,
    base_bytes: u64,
    keep: Duration,
    run_bytes: usize,
}

impl Limits {
    pub(super) fn of(options: &Options) -> Self {
        Self {
            segment_bytes: options.segment_bytes,
            base_bytes: options.base_bytes,
            keep: options.keep_audit.max(Options::KEEP_AUDIT_LEAST),
            run_bytes: options.run_bytes,
        }
    }
}

impl Care {
    pub(super) fn start(mut self) -> io::Result<(Sender<Chore>, JoinHandle<()>)> {
        let (tell, told) = channel();
        let thread = thread::Builder::new()
            .name("lubu-care".to_owned())
            .spawn(move || self.run(&told))?;
        Ok((tell, thread))
    }

    fn run(&mut self, told: &Receiver<Chore>) {
        while let Ok(chore) = told.recv() {
            if self.fatal.is_dead() {
                return;
            }
            let hands = Arc::clone(&self.hands);
            let _hands = hands.lock().unwrap_or_else(PoisonError::into_inner);
            match chore {
                Chore::Closed(number) => {
                    self.compress(number);
                    self.look();
                }
                Chore::Look => self.look_sometimes(),
                Chore::LookNow(done) => {
                    self.look();
                    drop(done);
                }
                Chore::Do(deed, done) => drop(done.send(self.deed(deed))),
                Chore::Stop => return,
            }
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.fatal.is_dead()
    }

    fn compress(&mut self, number: u64) {
        self.closed = self.closed.max(number);
        if let Err(error) = pack::compress(&self.disk, &self.data.join("journal"), number) {
            tracing::warn!(segment = number, %error, "journal segment {number} stays uncompressed");
        }
    }

    fn look_sometimes(&mut self) {
        let now = (self.clock)();
        if now.saturating_sub(self.looked_ms).abs() >= LOOK_EVERY_MS {
            self.look();
        }
    }

    /// Does what is due.
    fn look(&mut self) {
        self.looked_ms = (self.clock)();
        match self.base_is_due() {
            Ok(true) => self.report("make a base", Deed::Base),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "the bases could not be looked at"),
        }
        self.report("strip old segments", Deed::Strip);
        self.report("retire old segments", Deed::Retire);
        if self.looked_ms.saturating_sub(self.collected_ms) >= DAY_MS {
            self.collected_ms = self.looked_ms;
            self.report("collect blobs", Deed::Collect);
        }
    }

    fn report(&mut self, what: &'static str, deed: Deed) {
        match self.deed(deed) {
            Ok(0) | Err(CareError::Stopped) => {}
            Ok(count) => tracing::info!(count, "done: {what}"),
            Err(error) => tracing::warn!("failed to {what}, and tries again later: {error}"),
        }
    }

    fn deed(&mut self, deed: Deed) -> Result<u64, CareError> {
        if self.stopped() {
            return Err(CareError::Stopped);
        }
        match deed {
            Deed::Base => self.base(),
            Deed::Strip => self.strip(),
            Deed::Retire => self.retire(),
            Deed::Collect => self.collect(),
            Deed::Purge => self.purge(),
        }
    }

    fn ask<T>(&self, wish: impl FnOnce(Told<T>) -> Own) -> Result<T, CareError> {
        let (told, answer) = oneshot::channel();
        (self.door)(wish(told)).map_err(|_| Unavailable::Stopped)?;
        let answer = answer.blocking_recv().map_err(|_| Unavailable::Stopped)?;
        Ok(answer?)
    }

    fn note(&self, what: &str, outcome: String) -> Result<Stamp, CareError> {
        let note = Box::new(Note::from(own::header(what, outcome)));
        self.ask(|told| Own::Note(note, told))
    }

    /// Segments since weigh more than the base, or it is a month old.
    fn base_is_due(&self) -> Result<bool, CareError> {
        let newest = base::list(&self.data)?.first().copied();
        let newest = newest.and_then(|at| base::head(&self.data, at).ok());
        let through = newest.map_or(0, |head| head.through);
        if self.closed > through {
            let weight = newest.map_or(Ok(0), |head| {
                sorted::bytes(&base::path(&self.data, head.position.sequence))
            })?;
            let since = (self.closed - through).saturating_mul(self.limits.segment_bytes);
            if since > weight.max(self.limits.base_bytes) {
                return Ok(true);
            }
        }
        let made_ms = match newest {
            Some(head) => Some(head.made_ms),
            None => segment::load_header(&self.data.join("journal"), 1)
                .ok()
                .flatten()
                .map(|header| header.created_ms),
        };
        let age = made_ms.map_or(0, |made_ms| (self.clock)().saturating_sub(made_ms));
        Ok(age >= BASE_EVERY_MS)
    }

    fn base(&mut self) -> Result<u64, CareError> {
        let closed: Closed = self.ask(Own::Close)?;
        // What was closed just now is compressed by the next chore; it can be read in either form.
        self.closed = self.closed.max(closed.through);
        let until = closed.position.sequence;
        let fits = |head: &base::BaseHead| {
            head.format == FORMAT
                && head.position.sequence <= until
                && self.identity.knows(head.store)
        };
        let (before, bad) = base::newest(&self.data, u64::MAX, fits)?;
        for bad in bad {
            tracing::error!(
                sequence = bad.sequence,
                "base {} cannot be used: {}",
                bad.sequence,
                bad.why
            );
        }
        if until == 0
            || before
                .as_ref()
                .is_some_and(|it| it.head.position.sequence == until)
        {
            return Ok(until);
        }
        let merge = Merge {
            data: &self.data,
            disk: &self.disk,
            store: self.identity.store,
            gaps: &self.identity.gaps,
            run_bytes: self.limits.run_bytes,
            stopped: &|| self.stopped(),
            from: FORMAT,
            way: &[],
        };
        let nameless = merge.make(before.as_ref(), closed, (self.clock)())?;
        let hash = blake3::Hash::from_bytes(nameless.written.hash);
        self.note("base", format!("{until} {}", hash.to_hex()))?;
        let made = nameless.name(&self.data, &self.disk)?;
        self.forget_bases(&made, before.as_ref())?;
        Ok(until)
    }

    /// The newest two stay.
    fn forget_bases(&self, newest: &Base, before: Option<&Base>) -> Result<(), CareError> {
        let Some(before) = before else {
            return Ok(());
        };
        let oldest = before.head.position.sequence;
        for sequence in base::list(&self.data)? {
            if sequence < oldest || sequence > oldest && sequence < newest.head.position.sequence {
                self.disk.remove(&base::path(&self.data, sequence))?;
            }
        }
        Ok(self.disk.sync_folder(&base::folder(&self.data))?)
    }

    /// Up to the second newest base, both of them whole.
    fn strip(&mut self) -> Result<u64, CareError> {
        let journal = self.data.join("journal");
        let Some(&second) = base::list(&self.data)?.get(1) else {
            return Ok(0);
        };
        let through = base::head(&self.data, second)?.through;
        let forms = segment::list(&journal)?;
        let trail = Trail {
            folder: &journal,
            store: self.identity.store,
            gaps: &self.identity.gaps,
        };
        let mut wanted = Vec::new();
        for &number in forms.range(..=through).rev().map(|(number, _)| number) {
            // They were stripped from the oldest on: below one that was, all were.
            match segment::load_header(&journal, number)? {
                Some(header) if header.stripped => break,
                // Its gap is named by a place in the file as it is.
                _ if trail.touches(number) => {}
                _ => wanted.push(number),
            }
        }
        if wanted.is_empty() {
            return Ok(0);
        }
        for sequence in base::list(&self.data)?.into_iter().take(2) {
            base::open(&self.data, sequence)?;
        }
        let mut count = 0;
        for number in wanted.into_iter().rev() {
            if self.stopped() {
                return Err(CareError::Stopped);
            }
            count += u64::from(strip::strip(&self.disk, &journal, number)?);
        }
        Ok(count)
    }

    fn purge(&mut self) -> Result<u64, CareError> {
        let sequence = self.base()?;
        let through = base::open(&self.data, sequence)?.head.through;
        for older in base::list(&self.data)? {
            if older != sequence {
                self.disk.remove(&base::path(&self.data, older))?;
            }
        }
        self.disk.sync_folder(&base::folder(&self.data))?;
        let journal = self.data.join("journal");
        let listed = segment::list(&journal)?;
        for &number in listed.range(..=through).map(|(number, _)| number) {
            strip::strip(&self.disk, &journal, number)?;
        }
        Ok(sequence)
    }

    fn retire(&mut self) -> Result<u64, CareError> {
        if (self.suspect)() {
            return Ok(0);
        }
        let journal = self.data.join("journal");
        let keep = i64::try_from(self.limits.keep.as_millis()).unwrap_or(i64::MAX);
        let before_ms = (self.clock)().saturating_sub(keep);
        let Some(aged) = strip::aged(&journal, before_ms)? else {
            return Ok(0);
        };
        self.note("retire", format!("{} {}", aged.segment, aged.sequence))?;
        strip::remove(&self.disk, &journal, aged.segment)
    }

    fn collect(&mut self) -> Result<u64, CareError> {
        if (self.suspect)() {
            return Ok(0);
        }
        let collect = Collect {
            state: &self.state,
            blobs: &self.blobs,
            names: self.names,
            now_ms: (self.clock)(),
            stopped: &|| self.stopped(),
        };
        let unneeded = collect.find()?;
        if unneeded.blobs.is_empty() {
            return Ok(0);
        }
        self.note("collect", unneeded.blobs.len().to_string())?;
        collect::remove(&self.blobs, &unneeded)
    }
}

//! What was at work when the process died, and which of it kills (毒稿).
//!
//! A look, a draft or a file from the inbox leaves no intent in the journal, and some of them can take the process along: a
//! stack that overflows, an abort in a library, memory beyond the limit. So whatever is handed to an adapter or a
//! parser is named first in `at-work`, a small file that nobody syncs: it need only outlive the process. What a start finds
//! named there has died once more, and is a suspect until it got through.
//!
//! Suspects run one at a time, so that a second death points at one of them; one that died twice waits until the
//! process has lived for a while, so that somebody's `kill -9` in a row does not look like its doing. The third death is
//! proof enough: a delivery is held, a draft is refused, a file is moved aside, a channel that is not listed sends nothing
//! until a person lets it go on. Everything else goes on
//! beside them as always. A stop in order is no death; neither is a power cut, which the boot id tells, nor an end that
//! the store asked for.
//!
//! Work that never ends without giving its thread back kills nothing by itself; `watchdog` ends the process for it, and what
//! is named here then has died.
//!
//! On disk: a head of 32 bytes, then slots of 32: `used`, `at work`, `deaths`, kind, 20 bytes of name, zeros.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use lubu_channels::Timestamp;

use crate::ids::{ChannelNo, DeliveryId, ItemId};

/// Deaths, or panics in a row, after which something is set aside.
pub const MOST: u8 = 3;
/// So long the process must have lived before what died twice is tried a third time.
pub const QUIET: Duration = Duration::from_secs(10);
/// Until a suspect asks again for its turn.
const TURN: Duration = Duration::from_secs(1);

const MAGIC: &[u8; 16] = b"lubu at work v1\n";
const SLOT: usize = 32;
const NAME: usize = 20;

/// Something that is handed to an adapter or a parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Work {
    Delivery(DeliveryId),
    /// Drafts of one content, by the beginning of its hash.
    Drafts([u8; NAME]),
    /// An entry of the inbox, by its name and shape.
    Entry([u8; NAME]),
    /// What a platform lists of a channel.
    Survey(ChannelNo),
}

impl Work {
    pub fn drafts(content_hash: &str) -> Self {
        Self::Drafts(short(content_hash.as_bytes()))
    }

    pub fn entry(described: &str) -> Self {
        Self::Entry(short(described.as_bytes()))
    }

    fn encoded(self) -> (u8, [u8; NAME]) {
        match self {
            Self::Delivery(id) => {
                let mut name = [0; NAME];
                name[..16].copy_from_slice(id.item.bytes());
                name[16..18].copy_from_slice(&id.channel.0.to_be_bytes());
                (1, name)
            }
            Self::Drafts(name) => (2, name),
            Self::Entry(name) => (3, name),
            Self::Survey(channel) => {
                let mut name = [0; NAME];
                name[..2].copy_from_slice(&channel.0.to_be_bytes());
                (4, name)
            }
        }
    }

    fn decoded(kind: u8, name: [u8; NAME]) -> Option<Self> {
        match kind {
            1 => {
                let mut item = [0; 16];
                item.copy_from_slice(&name[..16]);
                Some(Self::Delivery(DeliveryId {
                    item: ItemId::from_bytes(item),
                    channel: ChannelNo(u16::from_be_bytes([name[16], name[17]])),
                }))
            }
            2 => Some(Self::Drafts(name)),
            3 => Some(Self::Entry(name)),
            4 => Some(Self::Survey(ChannelNo(u16::from_be_bytes([
                name[0], name[1],
            ])))),
            _ => None,
        }
    }
}

fn short(bytes: &[u8]) -> [u8; NAME] {
    let mut name = [0; NAME];
    name.copy_from_slice(&blake3::hash(bytes).as_bytes()[..NAME]);
    name
}

/// One slot.
#[derive(Debug, Clone, Copy)]
struct Record {
    slot: usize,
    at_work: bool,
    deaths: u8,
    /// Which entering of it this is.
    entered: u64,
}

#[derive(Debug, Default)]
struct Book {
    file: Option<File>,
    path: PathBuf,
    records: HashMap<Work, Record>,
    free: Vec<usize>,
    slots: usize,
    /// How often anything has entered.
    entered: u64,
    /// The suspect that has its turn.
    turn: Option<Work>,
    closed: bool,
    /// Before then nothing that died twice is tried.
    quiet_until: Option<Timestamp>,
}

/// The file, and what it says.
#[derive(Debug, Clone, Default)]
pub struct Suspects(Arc<Mutex<Book>>);

impl Suspects {
    /// Counts what the last process left at work. Where the file cannot be kept, nothing is suspected, and that is said.
    pub fn open(path: &Path, boot: &str, now: Timestamp) -> Self {
        let boot = short(boot.as_bytes());
        let records = match fs::read(path) {
            Ok(bytes) => left(&bytes, boot),
            Err(_) => HashMap::new(),
        };
        for (work, record) in &records {
            tracing::warn!(
                "{work:?} was at work at {} deaths of the process",
                record.deaths
            );
        }
        let file = begin(path, boot, &records);
        let file = file
            .inspect_err(|error| tracing::error!("{} cannot be kept: {error}", path.display()))
            .ok();
        Self(Arc::new(Mutex::new(Book {
            file,
            path: path.to_owned(),
            slots: records.len(),
            entered: 0,
            records,
            free: Vec::new(),
            turn: None,
            closed: false,
            quiet_until: Some(now + QUIET),
        })))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// At work from now until the guard is dropped; or when to ask again.
    pub fn enter(&self, work: Work, now: Timestamp) -> Result<AtWork, Timestamp> {
        let mut book = self.book();
        let deaths = book.deaths(work);
        if deaths > 0 {
            if book.turn.is_some() {
                return Err(now + TURN);
            }
            let quiet = book
                .quiet_until
                .filter(|until| deaths + 1 >= MOST && *until > now);
            if let Some(until) = quiet {
                return Err(until);
            }
            book.turn = Some(work);
        }
        book.at_work(work, true);
        Ok(AtWork {
            suspects: self.clone(),
            work,
            began: true,
        })
    }

    /// The same for what a person waits for, which has no turn to wait for; none once it died too often.
    pub fn enter_now(&self, work: Work) -> Option<AtWork> {
        let mut book = self.book();
        if book.deaths(work) >= MOST {
            return None;
        }
        book.at_work(work, true);
        drop(book);
        Some(AtWork {
            suspects: self.clone(),
            work,
            began: true,
        })
    }

    /// What is at work now, each with a number of its own.
    pub fn at_work(&self) -> Vec<(Work, u64)> {
        let book = self.book();
        let records = book.records.iter().filter(|(_, one)| one.at_work);
        records.map(|(work, one)| (*work, one.entered)).collect()
    }

    /// Deaths of the process with this at work, since it last got through.
    pub fn deaths(&self, work: Work) -> u8 {
        self.book().deaths(work)
    }

    /// It was set aside: whoever lets it go on gives it a fresh count.
    pub fn forget(&self, work: Work) {
        self.book().clear(work);
    }

    /// A stop in order: what is still at work then is no death.
    pub fn close(&self) {
        let mut book = self.book();
        let at_work: Vec<Work> = book
            .records
            .iter()
            .filter(|(_, one)| one.at_work)
            .map(|(work, _)| *work)
            .collect();
        for work in at_work {
            book.at_work(work, false);
        }
        book.closed = true;
    }

    /// The same where the store ends the process: a disk that fails is no doing of what is at work. Not
    /// waited for longer than that, since the disk may be what hangs.
    pub fn excuse(&self, within: Duration) {
        let (done, ended) = mpsc::channel();
        let suspects = self.clone();
        let excused = thread::Builder::new()
            .name("lubu-excuse".to_owned())
            .spawn(move || {
                suspects.close();
                let _late = done.send(());
            });
        if excused.is_ok() {
            let _late = ended.recv_timeout(within);
        }
    }
}

impl Book {
    fn deaths(&self, work: Work) -> u8 {
        self.records.get(&work).map_or(0, |one| one.deaths)
    }

    fn at_work(&mut self, work: Work, at_work: bool) {
        let known = self.records.get(&work).copied();
        self.entered += u64::from(at_work);
        let record = Record {
            at_work,
            entered: self.entered,
            ..known.unwrap_or_else(|| self.fresh())
        };
        if !at_work && record.deaths == 0 {
            return self.clear(work);
        }
        self.records.insert(work, record);
        self.write(record.slot, &slot(work, record));
    }

    fn fresh(&mut self) -> Record {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots += 1;
            self.slots - 1
        });
        Record {
            slot,
            at_work: false,
            deaths: 0,
            entered: 0,
        }
    }

    fn clear(&mut self, work: Work) {
        if let Some(record) = self.records.remove(&work) {
            self.free.push(record.slot);
            self.write(record.slot, &[0; SLOT]);
        }
    }

    /// In the page cache is enough. A disk that takes nothing costs the count, and the store says so anyway.
    fn write(&mut self, slot: usize, bytes: &[u8; SLOT]) {
        let at = ((slot + 1) * SLOT) as u64;
        let written = self.file.as_ref().map(|file| file.write_all_at(bytes, at));
        if let Some(Err(error)) = written {
            tracing::warn!("{} is not kept any more: {error}", self.path.display());
            self.file = None;
        }
    }
}

fn slot(work: Work, record: Record) -> [u8; SLOT] {
    let (kind, name) = work.encoded();
    let mut bytes = [0; SLOT];
    bytes[..4].copy_from_slice(&[1, u8::from(record.at_work), record.deaths, kind]);
    bytes[4..4 + NAME].copy_from_slice(&name);
    bytes
}

fn head(boot: [u8; NAME]) -> [u8; SLOT] {
    let mut bytes = [0; SLOT];
    bytes[..16].copy_from_slice(MAGIC);
    bytes[16..].copy_from_slice(&boot[..16]);
    bytes
}

/// The suspects after a death, or after whatever else ended the last process.
fn left(bytes: &[u8], boot: [u8; NAME]) -> HashMap<Work, Record> {
    let mut slots = bytes.chunks_exact(SLOT);
    let Some(before) = slots.next().filter(|head| head.starts_with(MAGIC)) else {
        return HashMap::new();
    };
    let died = before == head(boot);
    let suspects = slots.filter_map(|slot| {
        let mut name = [0; NAME];
        name.copy_from_slice(&slot[4..4 + NAME]);
        let work = Work::decoded(slot[3], name).filter(|_| slot[0] == 1)?;
        let deaths = slot[2].saturating_add(u8::from(died && slot[1] == 1));
        (deaths > 0).then_some((work, deaths))
    });
    let numbered = suspects.enumerate().map(|(slot, (work, deaths))| {
        let at_work = false;
        (
            work,
            Record {
                slot,
                at_work,
                deaths,
                entered: 0,
            },
        )
    });
    numbered.collect()
}

/// Written anew beside it: a death in between leaves the one or the other.
fn begin(path: &Path, boot: [u8; NAME], records: &HashMap<Work, Record>) -> io::Result<File> {
    let mut slots: Vec<_> = records.iter().collect();
    slots.sort_by_key(|(_, record)| record.slot);
    let mut bytes = head(boot).to_vec();
    for (work, record) in slots {
        bytes.extend_from_slice(&slot(*work, *record));
    }
    let beside = path.with_extension("new");
    File::create(&beside)?.write_all(&bytes)?;
    fs::rename(&beside, path)?;
    OpenOptions::new().write(true).open(path)
}

/// While it lives, its work is named in the file.
#[derive(Debug)]
pub struct AtWork {
    suspects: Suspects,
    work: Work,
    began: bool,
}

impl AtWork {
    /// Nothing of it was run: it is as suspect as before.
    pub fn not_begun(mut self) {
        self.began = false;
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let mut book = self.suspects.book();
        if book.turn == Some(self.work) {
            book.turn = None;
        }
        // Closed: what is cut off now neither died nor got through.
        if book.closed {
            return;
        }
        if self.began && !thread::panicking() {
            book.clear(self.work);
        } else {
            book.at_work(self.work, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: &str = "boot";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_timestamp(1_790_000_000 + seconds, 0).unwrap()
    }

    fn delivery(number: u8) -> Work {
        Work::Delivery(DeliveryId {
            item: ItemId::from_bytes([number; 16]),
            channel: ChannelNo(7),
        })
    }

    /// A process that dies with these at work. What was at work is left there, as nothing drops it.
    fn dies_with(path: &Path, boot: &str, works: &[Work]) {
        let suspects = Suspects::open(path, boot, at(0));
        for work in works {
            std::mem::forget(suspects.enter(*work, at(100)).unwrap());
        }
    }

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("at-work");
        (folder, path)
    }

    #[test]
    fn what_was_at_work_at_three_deaths_has_died_three_times() {
        let (_folder, path) = folder();
        for _ in 0..MOST {
            dies_with(&path, BOOT, &[delivery(1)]);
        }
        let suspects = Suspects::open(&path, BOOT, at(0));
        assert_eq!(suspects.deaths(delivery(1)), MOST);
        assert_eq!(suspects.deaths(delivery(2)), 0);
        suspects.forget(delivery(1));
        assert_eq!(Suspects::open(&path, BOOT, at(0)).deaths(delivery(1)), 0);
    }

    #[test]
    fn whatever_gets_through_is_cleared_and_what_panics_is_not() {
        let (_folder, path) = folder();
        dies_with(&path, BOOT, &[delivery(1), delivery(2), Work::drafts("a")]);
        let suspects = Suspects::open(&path, BOOT, at(0));
        drop(suspects.enter(delivery(1), at(0)).unwrap());
        assert_eq!(suspects.deaths(delivery(1)), 0);
        let guard = suspects.enter(delivery(2), at(0)).unwrap();
        let panicked = thread::spawn(move || {
            let _at_work = guard;
            std::panic::resume_unwind(Box::new("planted"));
        });
        assert!(panicked.join().is_err());
        assert_eq!(suspects.deaths(delivery(2)), 1);
        suspects
            .enter(Work::drafts("a"), at(0))
            .unwrap()
            .not_begun();
        assert_eq!(suspects.deaths(Work::drafts("a")), 1);
        let again = Suspects::open(&path, BOOT, at(0));
        let deaths = [delivery(1), delivery(2), Work::drafts("a")].map(|one| again.deaths(one));
        assert_eq!(deaths, [0, 1, 1]);
    }

    #[test]
    fn suspects_have_turns_and_others_do_not_wait() {
        let (_folder, path) = folder();
        dies_with(&path, BOOT, &[delivery(1), delivery(2)]);
        let suspects = Suspects::open(&path, BOOT, at(0));
        let first = suspects.enter(delivery(1), at(0)).unwrap();
        assert_eq!(suspects.enter(delivery(2), at(0)).unwrap_err(), at(1));
        let free = suspects.enter(delivery(3), at(0)).unwrap();
        drop(first);
        assert!(suspects.enter(delivery(2), at(1)).is_ok());
        drop(free);
    }

    #[test]
    fn what_died_twice_waits_until_the_process_has_lived_for_a_while() {
        let (_folder, path) = folder();
        for _ in 0..2 {
            dies_with(&path, BOOT, &[delivery(1)]);
        }
        let suspects = Suspects::open(&path, BOOT, at(0));
        assert_eq!(
            suspects.enter(delivery(1), at(9)).unwrap_err(),
            at(0) + QUIET
        );
        assert!(suspects.enter(delivery(1), at(0) + QUIET).is_ok());
    }

    #[test]
    fn a_power_cut_a_stop_in_order_and_an_end_by_the_store_are_no_deaths() {
        let (_folder, path) = folder();
        dies_with(&path, BOOT, &[delivery(1)]);
        assert_eq!(
            Suspects::open(&path, "another", at(0)).deaths(delivery(1)),
            0
        );
        let suspects = Suspects::open(&path, BOOT, at(0));
        let cut_off = suspects.enter(delivery(2), at(0)).unwrap();
        suspects.close();
        drop(cut_off);
        let suspects = Suspects::open(&path, BOOT, at(0));
        std::mem::forget(suspects.enter(delivery(2), at(0)).unwrap());
        suspects.excuse(QUIET);
        assert_eq!(Suspects::open(&path, BOOT, at(0)).deaths(delivery(2)), 0);
    }

    #[test]
    fn a_file_of_nonsense_suspects_nobody() {
        let (_folder, path) = folder();
        for bytes in [&b"nonsense"[..], &[0xff; 100], MAGIC] {
            fs::write(&path, bytes).unwrap();
            let suspects = Suspects::open(&path, BOOT, at(0));
            assert_eq!(suspects.deaths(delivery(1)), 0);
            assert!(suspects.enter(delivery(1), at(0)).is_ok());
        }
    }

    #[test]
    fn slots_are_used_again() {
        let (_folder, path) = folder();
        let suspects = Suspects::open(&path, BOOT, at(0));
        for number in 0..100 {
            drop(suspects.enter(delivery(number), at(0)).unwrap());
        }
        assert_eq!(fs::metadata(&path).unwrap().len(), (SLOT * 2) as u64);
    }
}

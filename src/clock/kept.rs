//! `data/clock`: what a process knew of time, for the next one.
//!
//! The boot, the two clocks, the time that was believed, and the doubt. Written anew when any of that changes, and every ten
//! minutes; a death in between costs nothing on the same boot, since both clocks run on. It belongs to the folder and the machine, so
//! that a backup does not hold it and a copied folder's is not believed.
//!
//! Fenced by two things in the journal: time stands never before the newest record, and a person's word on the
//! clock is counted there. A file that knows one word less was not written any more after it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::TimeDelta;
use lubu_channels::Timestamp;
use serde::{Deserialize, Serialize};

use super::faith::{Faith, Reading};
use crate::model::halt::SetBack;

const FORMAT: u32 = 1;
const EVERY: Duration = Duration::from_mins(10);
/// Smaller steps of the wall are not worth a write.
const STEP: TimeDelta = TimeDelta::seconds(5);

/// What the wall was doubted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Behind,
    Jumped,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    format: u32,
    store: String,
    /// How often a person's word had set time by then.
    set_back: u64,
    pub(super) boot_id: String,
    boot_ms: u64,
    wall: Timestamp,
    pub(super) time: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) doubt: Option<Kind>,
}

impl Record {
    /// Of what was read at this moment.
    pub(super) fn new(
        store: &str,
        set_back: u64,
        boot_id: &str,
        faith: &mut Faith,
        now: Reading,
    ) -> Self {
        Self {
            format: FORMAT,
            store: store.to_owned(),
            set_back,
            boot_id: boot_id.to_owned(),
            boot_ms: u64::try_from(now.boot.as_millis()).unwrap_or(u64::MAX),
            wall: now.wall,
            time: faith.read(now),
            doubt: faith.kind(),
        }
    }

    pub(super) fn boot(&self) -> Duration {
        Duration::from_millis(self.boot_ms)
    }

    /// How far time stood before the wall.
    pub(super) fn gap(&self) -> TimeDelta {
        self.time - self.wall
    }

    /// When the machine started, by the time that was believed: a constant as long as nothing is set.
    fn started(&self) -> Timestamp {
        self.time - self.boot()
    }

    /// Whether this says more than what was written last.
    fn is_news(&self, last: &Self) -> bool {
        let far = |one: TimeDelta| one.abs() > STEP;
        self.doubt != last.doubt
            || self.set_back != last.set_back
            || far(self.started() - last.started())
            || far(self.gap() - last.gap())
            || self.boot().saturating_sub(last.boot()) >= EVERY
    }

    /// The same, if it is of this store and knows what the journal knows, and how far a word that it missed set time back.
    fn of(mut self, store: &str, last: SetBack) -> Option<(Self, TimeDelta)> {
        if self.store != store {
            return None;
        }
        if self.set_back == last.finished() {
            return Some((self, TimeDelta::zero()));
        }
        // Died between the word and the file.
        let missed = last.is_finished() && self.set_back + 1 == last.finished();
        missed.then(|| {
            self.time -= last.by();
            self.doubt = None;
            (self, last.by())
        })
    }
}

/// The file as a start finds it.
#[derive(Debug, Clone, Default)]
pub struct Found {
    record: Option<Record>,
    /// Whether something stood there.
    there: bool,
}

impl Found {
    pub fn at(path: &Path) -> Self {
        match fs::read_to_string(path) {
            Ok(text) => Self {
                record: parse(&text),
                there: true,
            },
            Err(error) => Self {
                record: None,
                there: error.kind() != io::ErrorKind::NotFound,
            },
        }
    }

    pub fn kept(record: Option<Record>) -> Self {
        let there = record.is_some();
        Self { record, there }
    }

    /// Before the store is open: nothing is known yet of whose it is.
    pub(super) fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    /// With the store open: what can be believed of it, and the newest record's time in the same frame. Says once where
    /// nothing can be.
    pub(super) fn believed(
        self,
        store: &str,
        last: SetBack,
        newest: Timestamp,
    ) -> (Option<Record>, Timestamp) {
        let there = self.there;
        let ours = self.record.and_then(|record| record.of(store, last));
        if let Some((record, back)) = ours {
            return (Some(record), newest - back.max(TimeDelta::zero()));
        }
        if there {
            tracing::warn!(
                "`clock` in the data folder is damaged, out of date or of another folder; the wall clock is believed as far as the records let it"
            );
        }
        (None, newest)
    }
}

fn parse(text: &str) -> Option<Record> {
    let record: Record = toml::from_str(text).ok()?;
    (record.format == FORMAT).then_some(record)
}

/// Where it is kept, and what was written last.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) path: Option<PathBuf>,
    pub(super) store: String,
    pub(super) boot_id: String,
    pub(super) set_back: u64,
    /// A person's word is not in the journal to its end: until then the file stays as it is.
    pub(super) word: bool,
    pub(super) last: Option<Record>,
    /// It could not be written, and that was said.
    pub(super) failing: bool,
}

impl Keeper {
    /// What is to be written, if that is anything new.
    pub(super) fn news(&self, faith: &mut Faith, now: Reading) -> Option<Record> {
        let record = Record::new(&self.store, self.set_back, &self.boot_id, faith, now);
        let known = self.last.as_ref().is_some_and(|last| !record.is_news(last));
        (!known && !self.word).then_some(record)
    }
}

/// Durable once this returns without an error.
pub(super) fn write(path: &Path, record: &Record) -> io::Result<()> {
    let text = toml::to_string(record).map_err(io::Error::other)?;
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ChannelNo, DeliveryId, ItemId};

    fn at(wall: i64, boot: u64) -> Reading {
        Reading {
            wall: Timestamp::UNIX_EPOCH + TimeDelta::seconds(wall),
            boot: Duration::from_secs(boot),
        }
    }

    fn record(faith: &mut Faith, now: Reading) -> Record {
        Record::new("ours", 0, "boot", faith, now)
    }

    fn word(by: i64) -> SetBack {
        SetBack::default().next(TimeDelta::seconds(by))
    }

    #[test]
    fn it_comes_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clock");
        let mut faith = Faith::new(at(100_000, 10));
        let record = record(&mut faith, at(90_000, 11));
        write(&path, &record).unwrap();
        assert_eq!(Found::at(&path).record(), Some(&record));
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("doubt = \"jumped\""), "{text}");
    }

    #[test]
    fn what_is_damaged_newer_or_of_another_store_is_nothing() {
        let good = record(&mut Faith::new(at(1, 1)), at(1, 1));
        let text = toml::to_string(&good).unwrap();
        assert_eq!(parse(&text), Some(good.clone()));
        assert_eq!(parse(&text[..text.len() / 2]), None);
        assert_eq!(parse(&text.replace("format = 1", "format = 2")), None);
        assert_eq!(good.of("another", SetBack::default()), None);
    }

    #[test]
    fn a_word_that_the_file_missed_is_made_good_and_a_second_one_is_not_guessed() {
        let mut faith = Faith::new(at(100_000, 10));
        let doubted = record(&mut faith, at(96_400, 10));
        let (after, back) = doubted.clone().of("ours", word(3_600)).unwrap();
        assert_eq!((after.time, after.doubt), (after.wall, None));
        assert_eq!(back.num_seconds(), 3_600);
        assert_eq!(doubted.of("ours", word(1).next(TimeDelta::zero())), None);
    }

    #[test]
    fn a_word_that_was_cut_off_leaves_the_doubt() {
        let mut faith = Faith::new(at(100_000, 10));
        let doubted = record(&mut faith, at(96_400, 10));
        let upto = DeliveryId {
            item: ItemId::new(1, [0; 10]),
            channel: ChannelNo(1),
        };
        let cut = word(3_600).done(Some(upto));
        assert_eq!(cut.finished(), 0);
        let (after, _) = doubted.clone().of("ours", cut).unwrap();
        assert_eq!(after, doubted);
        assert_eq!(cut.next(TimeDelta::zero()).by().num_seconds(), 3_600);
    }

    #[test]
    fn it_is_written_anew_for_a_doubt_a_step_or_ten_minutes_and_for_nothing_less() {
        let mut faith = Faith::new(at(100_000, 10));
        let last = record(&mut faith, at(100_000, 10));
        let news = |wall, boot| {
            let mut faith = faith.clone();
            record(&mut faith, at(wall, boot)).is_news(&last)
        };
        assert!(!news(100_599, 609));
        assert!(news(100_600, 610), "ten minutes");
        assert!(!news(100_014, 20), "a drift");
        assert!(news(100_016, 20), "a step that is followed");
        assert!(news(90_000, 20), "a doubt");
    }
}

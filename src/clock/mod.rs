//! Waiting, beside knowing the time, and whether the time can be believed.
//!
//! The engine waits on instants. In production they are counted by boot time from when the wall
//! clock was last believed: a clock that is set shortens and stretches no wait. What it says is
//! compared at every asking, and where it cannot be right ([`Faith`]) nothing is sent until it is, or
//! until a person says that it is. What is believed outlives the process, in a small file (`data/clock`). In tests the machine
//! has clocks that a test sets ([`Rigged`]), and all else is the same.

mod faith;
mod kept;
mod steered;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use lubu_channels::{Clock, System, Timestamp, Words};

pub use faith::{Faith, Reading};
pub use kept::{Found, Record};
pub use steered::{Rigged, Steered};

use crate::model::halt::SetBack;
use kept::Keeper;

#[async_trait]
pub trait Time: Clock {
    /// Returns once it is `at`, at once if that has passed.
    async fn sleep_until(&self, at: Timestamp);

    /// What a record made now bears: never before the newest.
    fn stamp(&self) -> Timestamp {
        self.now()
    }

    /// Why the clock cannot be believed; none while it can.
    fn doubt(&self) -> Option<Doubt> {
        None
    }

    /// How far time goes back when a person says that the clock is right; less than nothing where it goes forward.
    fn gap(&self) -> TimeDelta {
        TimeDelta::zero()
    }

    /// A person says that the clock is right, and the journal has it: time was set so often by now.
    fn confirm(&self, _set_back: u64) {}

    /// The journal has an entry of the new time: the next process may know of the word.
    fn confirmed(&self) {}

    /// How often time was set so far; none where nothing is kept.
    fn set_back(&self) -> Option<u64> {
        None
    }

    /// Before this process time passed that nobody counted.
    fn uncounted(&self) -> bool {
        false
    }
}

/// Why the wall clock cannot be believed (时钟存疑).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// It stands before the newest record.
    Behind { wall: Timestamp, newest: Timestamp },
    /// It was set while we ran.
    Jumped {
        wall: Timestamp,
        expected: Timestamp,
    },
}

impl Doubt {
    pub fn words(&self) -> Words {
        let at = |time: &Timestamp| time.format("%Y-%m-%d %H:%M:%S UTC").to_string();
        match self {
            Self::Behind { wall, newest } => Words::new(
                format!(
                    "时钟存疑：系统时间 {} 早于最新记录 {}。请校准系统时间；若系统时间无误，由负责人执行 lubu confirm-clock --by 姓名",
                    at(wall),
                    at(newest)
                ),
                format!(
                    "the clock cannot be believed: it says {}, before the newest record of {}; set it right, or say that it is right by `lubu confirm-clock --by NAME`",
                    at(wall),
                    at(newest)
                ),
            ),
            Self::Jumped { wall, expected } => Words::new(
                format!(
                    "时钟存疑：系统时间跳到 {}，应为 {}。请校准系统时间；若系统时间无误，由负责人执行 lubu confirm-clock --by 姓名",
                    at(wall),
                    at(expected)
                ),
                format!(
                    "the clock cannot be believed: it jumped to {}, where {} was expected; set it right, or say that it is right by `lubu confirm-clock --by NAME`",
                    at(wall),
                    at(expected)
                ),
            ),
        }
    }
}

/// The two clocks of a machine.
pub trait Machine: Send + Sync + std::fmt::Debug {
    fn reading(&self) -> Reading;

    /// Another one after each start of the machine; empty where that cannot be known.
    fn boot_id(&self) -> String;
}

/// The machine that we run on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Here;

impl Machine for Here {
    fn reading(&self) -> Reading {
        let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Reading {
            wall: System.now(),
            boot: Duration::new(
                u64::try_from(boot.tv_sec).unwrap_or_default(),
                u32::try_from(boot.tv_nsec).unwrap_or_default(),
            ),
        }
    }

    fn boot_id(&self) -> String {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        id.map(|id| id.trim().to_owned()).unwrap_or_default()
    }
}

/// A machine's clocks, believed as far as they can be.
#[derive(Debug)]
pub struct Believed<M> {
    machine: M,
    inner: Mutex<Inner>,
    /// Held while the file is written: nobody who asks for the time waits for a disk.
    writing: Mutex<()>,
}

#[derive(Debug)]
struct Inner {
    faith: Faith,
    found: Found,
    /// None until the store is open, and where nothing is kept.
    keeper: Option<Keeper>,
}

/// Whose time it is, once the store is open.
#[derive(Debug, Clone)]
pub struct Opened {
    pub store: String,
    /// The time of the newest record.
    pub newest: Option<Timestamp>,
    /// The last time that a person's word set time.
    pub set_back: SetBack,
}

impl<M: Machine> Believed<M> {
    /// Goes on from what was found, as far as that can be believed before the store is open.
    pub fn new(machine: M, found: Found) -> Self {
        let none = Timestamp::UNIX_EPOCH;
        let faith = Faith::resume(found.record(), &machine.boot_id(), none, machine.reading());
        let inner = Mutex::new(Inner {
            faith,
            found,
            keeper: None,
        });
        Self {
            machine,
            inner,
            writing: Mutex::default(),
        }
    }

    fn with<T>(&self, f: impl FnOnce(&mut Inner, Reading) -> T) -> T {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        f(&mut inner, self.machine.reading())
    }

    /// The store is open: from now on what is believed is kept at this path.
    pub fn opened(&self, opened: Opened, path: Option<&Path>) {
        let boot_id = self.machine.boot_id();
        self.with(|inner, now| {
            // What was stamped while the store opened is of the same time as what was found.
            let stamped = inner.faith.newest();
            let newest = opened.newest.unwrap_or(Timestamp::UNIX_EPOCH).max(stamped);
            let found = std::mem::take(&mut inner.found);
            let (record, newest) = found.believed(&opened.store, opened.set_back, newest);
            inner.faith = Faith::resume(record.as_ref(), &boot_id, newest, now);
            inner.keeper = Some(Keeper {
                path: path.map(Path::to_owned),
                store: opened.store,
                boot_id,
                set_back: opened.set_back.finished(),
                word: false,
                last: None,
                failing: false,
            });
        });
        self.keep();
    }

    /// Writes down what has changed, if anything has. Blocks while it writes. What cannot be written is only missed by the
    /// next process, and the journal fences that.
    pub fn keep(&self) {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let news = self.with(|inner, now| {
            let keeper = inner.keeper.as_ref()?;
            let record = keeper.news(&mut inner.faith, now)?;
            Some((record, keeper.path.clone()))
        });
        let Some((record, path)) = news else { return };
        let written = path.map_or(Ok(()), |path| kept::write(&path, &record));
        let first = self.with(|inner, _| {
            let keeper = inner.keeper.as_mut()?;
            if written.is_ok() {
                keeper.last = Some(record);
            }
            let failed = std::mem::replace(&mut keeper.failing, written.is_err());
            written.err().filter(|_| !failed)
        });
        if let Some(error) = first {
            tracing::error!("`clock` in the data folder cannot be written: {error}");
        }
    }

    /// What the next process would find.
    pub fn kept(&self) -> Found {
        self.with(|inner, _| {
            let keeper = inner.keeper.as_ref();
            keeper.map_or_else(
                || inner.found.clone(),
                |keeper| Found::kept(keeper.last.clone()),
            )
        })
    }

    pub fn machine(&self) -> &M {
        &self.machine
    }

    pub fn now(&self) -> Timestamp {
        self.with(|inner, now| inner.faith.read(now))
    }

    pub fn stamp(&self) -> Timestamp {
        self.with(|inner, now| inner.faith.stamp(now))
    }

    pub fn doubt(&self) -> Option<Doubt> {
        self.with(|inner, now| {
            inner.faith.read(now);
            inner.faith.doubt(now)
        })
    }

    pub fn gap(&self) -> TimeDelta {
        self.with(|inner, now| inner.faith.gap(now))
    }

    /// Not kept yet: the newest record may still be of the time before, and a file that knows of the word would
    /// find a wall that stands before it.
    pub fn confirm(&self, set_back: u64) {
        self.with(|inner, now| {
            inner.faith.confirm(now);
            if let Some(keeper) = &mut inner.keeper {
                keeper.set_back = set_back;
                keeper.word = true;
            }
        });
    }

    pub fn confirmed(&self) {
        self.with(|inner, _| {
            if let Some(keeper) = &mut inner.keeper {
                keeper.word = false;
            }
        });
        self.keep();
    }

    pub fn set_back(&self) -> Option<u64> {
        self.with(|inner, _| inner.keeper.as_ref().map(|keeper| keeper.set_back))
    }

    pub fn uncounted(&self) -> bool {
        self.with(|inner, now| {
            inner.faith.read(now);
            inner.faith.uncounted()
        })
    }
}

/// The machine's clocks, believed as far as they can be, and the runtime's timer.
#[derive(Debug)]
pub struct Real(Believed<Here>);

impl Default for Real {
    fn default() -> Self {
        Self(Believed::new(Here, Found::default()))
    }
}

impl Real {
    /// Goes on from what the last process on this folder knew.
    pub fn of(data: &Path) -> Self {
        Self(Believed::new(Here, Found::at(&data.join(FILE))))
    }

    pub fn opened(&self, opened: Opened, data: &Path) {
        self.0.opened(opened, Some(&data.join(FILE)));
    }

    pub fn keep(&self) {
        self.0.keep();
    }
}

/// In the data folder.
const FILE: &str = "clock";

impl Clock for Real {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

#[async_trait]
impl Time for Real {
    fn stamp(&self) -> Timestamp {
        self.0.stamp()
    }

    fn doubt(&self) -> Option<Doubt> {
        self.0.doubt()
    }

    fn gap(&self) -> TimeDelta {
        self.0.gap()
    }

    fn confirm(&self, set_back: u64) {
        self.0.confirm(set_back);
    }

    fn confirmed(&self) {
        self.0.confirmed();
    }

    fn set_back(&self) -> Option<u64> {
        self.0.set_back()
    }

    fn uncounted(&self) -> bool {
        self.0.uncounted()
    }

    async fn sleep_until(&self, at: Timestamp) {
        let wait = (at - self.now()).to_std().unwrap_or_default();
        tokio::time::sleep(wait).await;
    }
}

/// The time that records bear: never before the newest, so that a wrong clock is known for one
/// after a restart, too.
#[derive(Debug, Clone)]
pub struct Stamps(pub Arc<dyn Time>);

impl Clock for Stamps {
    fn now(&self) -> Timestamp {
        self.0.stamp()
    }
}

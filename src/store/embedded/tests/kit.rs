//! A tiny domain, a folder to open, and a disk that fails where it is told to.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::super::*;

/// A plain key-value domain that refuses when asked to.
#[derive(Debug)]
pub struct Pairs;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    Put(Class, String, Vec<u8>),
    Remove(String),
    /// Puts the number of keys with the prefix, as this act sees it.
    Count(String, String),
    /// Removes every key with the prefix.
    Drop(String),
    Refuse,
    Panic,
}

pub fn put(key: &str, value: &str) -> Act {
    Act::Put(Class::Intake, key.to_owned(), value.as_bytes().to_vec())
}

pub fn settle(key: &str, value: &str) -> Act {
    Act::Put(Class::Settle, key.to_owned(), value.as_bytes().to_vec())
}

pub fn intent(key: &str, value: &str) -> Act {
    Act::Put(Class::Intent, key.to_owned(), value.as_bytes().to_vec())
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct No;

impl Domain for Pairs {
    type Act = Act;
    type Answer = Stamp;
    type Refusal = No;

    fn class(act: &Act) -> Class {
        match act {
            Act::Put(class, ..) => *class,
            _ => Class::Intake,
        }
    }

    /// A value of 64 hexadecimal digits names a blob, and a blob of such digits names another.
    fn names(_: &[u8], value: &[u8], blob: &ReadBlob<'_>) -> Result<Vec<BlobHash>, Unnamed> {
        let mut named: Vec<BlobHash> = Vec::new();
        let mut next = hash_in(value);
        while let Some(hash) = next {
            named.push(hash);
            next = hash_in(&blob(hash)?);
        }
        Ok(named)
    }

    /// A key of 64 hexadecimal digits carries the bytes of that hash.
    fn carries(key: &[u8]) -> Option<BlobHash> {
        hash_in(key)
    }

    fn decide(&mut self, act: Act, view: &View<'_>, stamp: Stamp) -> Result<Decision<Stamp>, No> {
        let change = match act {
            Act::Put(_, key, value) => Change::Put {
                key: key.into_bytes(),
                value,
            },
            Act::Remove(key) => Change::Remove {
                key: key.into_bytes(),
            },
            Act::Count(prefix, key) => {
                let count = view.scan_prefix(prefix.as_bytes()).count();
                Change::Put {
                    key: key.into_bytes(),
                    value: count.to_string().into_bytes(),
                }
            }
            Act::Drop(prefix) => {
                let keys = view.scan_prefix(prefix.as_bytes());
                let changes = keys.map(|(key, _)| Change::Remove { key: key.to_vec() });
                return Ok(Decision {
                    header: Header::default(),
                    changes: changes.collect(),
                    answer: stamp,
                });
            }
            Act::Refuse => return Err(No),
            Act::Panic => panic!("asked to"),
        };
        let header = Header {
            who: "u1".into(),
            what: "change".into(),
            ..Header::default()
        };
        Ok(Decision {
            header,
            changes: vec![change],
            answer: stamp,
        })
    }
}

fn hash_in(bytes: &[u8]) -> Option<BlobHash> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

pub type Reasons = Arc<Mutex<Vec<String>>>;

/// A folder that can be opened again and again.
pub struct Bench {
    _home: TempDir,
    pub options: Options,
    pub fatal: Reasons,
}

impl Bench {
    pub fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("data");
        let fatal = Reasons::default();
        let options = options(&folder, &fatal);
        Self {
            _home: home,
            options,
            fatal,
        }
    }

    pub fn open(&self) -> (Store<Pairs>, Opened) {
        patiently(&self.options)
    }

    pub fn refused(&self) -> OpenError {
        Store::open(&self.options, Pairs).unwrap_err()
    }

    pub fn folder(&self) -> &Path {
        &self.options.folder
    }

    pub fn segment(&self, number: u64) -> PathBuf {
        self.folder().join(format!("journal/{number:020}.log"))
    }

    /// A clock that stands where the test puts it, in UTC milliseconds.
    pub fn stand_clock(&mut self, at: i64) -> Arc<AtomicI64> {
        let time = Arc::new(AtomicI64::new(at));
        let read = Arc::clone(&time);
        self.options.clock = Arc::new(move || read.load(Ordering::Relaxed));
        time
    }

    /// The file names in one of the folders.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder().join(folder)).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The codes of the acts of the store's own, oldest first, each with its outcome.
    pub fn own_acts(&self) -> Vec<String> {
        let mut acts = Vec::new();
        audit::entries(self.folder(), 1, &mut |_, header| {
            if header.from == "store" {
                acts.push(format!("{} {}", header.what, header.outcome.unwrap()));
            }
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
        acts
    }

    pub fn died_of(&self) -> Vec<String> {
        self.fatal.lock().unwrap().clone()
    }
}

pub fn options(folder: &Path, fatal: &Reasons) -> Options {
    let time = AtomicI64::new(1_700_000_000_000);
    let fatal = Arc::clone(fatal);
    Options {
        segment_bytes: 64 * 1024,
        ballast_bytes: 64 * 1024,
        low_bytes: 64 * 1024,
        // Bases are made where a test asks for one.
        base_bytes: u64::MAX,
        cache_bytes: 1024 * 1024,
        quiet: Duration::from_hours(1),
        stuck: Duration::from_hours(1),
        watch_panics: false,
        boot_id: Arc::new(|| Some("boot-1".to_owned())),
        machine_id: Arc::new(|| Some("machine-1".to_owned())),
        on_fatal: Arc::new(move |why| fatal.lock().unwrap().push(why.to_owned())),
        ..Options::new(
            folder,
            Arc::new(move || time.fetch_add(1, Ordering::Relaxed)),
        )
    }
}

/// Everything in the state.
pub fn all(store: &Store<Pairs>) -> BTreeMap<String, Vec<u8>> {
    let scan = Scan {
        prefix: b"",
        after: None,
        limit: usize::MAX,
        order: Order::Forward,
    };
    let pairs = store
        .read_blocking(|reader| reader.scan_prefix(&scan))
        .unwrap();
    pairs
        .into_iter()
        .map(|(key, value)| (String::from_utf8(key.to_vec()).unwrap(), value.to_vec()))
        .collect()
}

/// So many acts of 10 kB: six a segment.
pub fn fill(store: &Store<Pairs>, from: u32, count: u32) {
    for n in from..from + count {
        let value = format!("{n:010}").repeat(1_000).into_bytes();
        store
            .act_blocking(Act::Put(Class::Intake, format!("k{n:04}"), value))
            .unwrap();
    }
}

pub fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

pub fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to)?;
        } else {
            match std::fs::copy(entry.path(), to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

type Plan = Box<dyn FnMut(&Op<'_>) -> Verdict + Send>;

/// A gate that does what a closure says.
pub struct Script {
    plan: Mutex<Plan>,
    pub free: Mutex<Option<u64>>,
}

impl Script {
    pub fn new(plan: impl FnMut(&Op<'_>) -> Verdict + Send + 'static) -> Arc<Self> {
        Arc::new(Self {
            plan: Mutex::new(Box::new(plan)),
            free: Mutex::new(None),
        })
    }

    pub fn set(&self, plan: impl FnMut(&Op<'_>) -> Verdict + Send + 'static) {
        *self.plan.lock().unwrap() = Box::new(plan);
    }
}

impl Gate for Script {
    fn before(&self, op: &Op<'_>) -> Verdict {
        (self.plan.lock().unwrap())(op)
    }

    fn after(&self, _: &Op<'_>) {}

    fn free(&self) -> Option<u64> {
        *self.free.lock().unwrap()
    }
}

pub fn full() -> io::Error {
    io::Error::from_raw_os_error(28)
}

pub fn broken() -> io::Error {
    io::Error::from_raw_os_error(5)
}

/// A write into a journal segment behind its header.
pub fn is_frame(op: &Op<'_>) -> bool {
    matches!(op, Op::Write { path, at, .. } if *at >= 4096 && path.extension().is_some_and(|end| end == "log"))
}

impl Bench {
    pub fn gated(gate: &Arc<Script>) -> Self {
        let mut bench = Self::new();
        bench.options.disk = Disk::gated(Arc::clone(gate) as Arc<dyn Gate>);
        bench
    }

    /// Opens without any gate.
    pub fn open_plain(&self) -> (Store<Pairs>, Opened) {
        let plain = Options {
            disk: Disk::default(),
            ..self.options.clone()
        };
        patiently(&plain)
    }
}

/// A store that was closed, or ended, in this same process may still hold sled's lock for a moment, on a thread of
/// sled's own; a process that is gone holds none.
fn patiently(options: &Options) -> (Store<Pairs>, Opened) {
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        match Store::open(options, Pairs) {
            Err(
                error @ (OpenError::State(_) | OpenError::Io { .. } | OpenError::Locked { .. }),
            ) if Instant::now() < patience => {
                tracing::debug!(%error, "not yet");
                std::thread::yield_now();
            }
            opened => return opened.unwrap(),
        }
    }
}

/// Puts these acts into one group: the writer is held at the end of a turn until all of them wait.
pub fn together(
    store: &Store<Pairs>,
    gate: &Script,
    acts: Vec<Act>,
    then: impl FnMut(&Op<'_>) -> Verdict + Send + 'static,
) -> Vec<Result<Stamp, ActError<No>>> {
    let (arrived, arrival) = std::sync::mpsc::channel();
    let (open, opened) = std::sync::mpsc::channel::<()>();
    let mut then = then;
    let mut held = false;
    gate.set(move |op| {
        if !held {
            if matches!(op, Op::Step(Step::Answered)) {
                held = true;
                arrived.send(()).unwrap();
                opened.recv().unwrap();
            }
            return Verdict::Go;
        }
        then(op)
    });
    let first = store.submit(settle("held", "x")).unwrap();
    arrival.recv().unwrap();
    let waiting: Vec<_> = acts
        .into_iter()
        .map(|act| store.submit(act).unwrap())
        .collect();
    open.send(()).unwrap();
    first.blocking_recv().unwrap().unwrap();
    waiting
        .into_iter()
        .map(|answer| {
            answer
                .blocking_recv()
                .unwrap_or(Err(ActError::Unavailable(Unavailable::Stopped)))
        })
        .collect()
}

//! The one state of this library: what is watched, what is planned, where the trace goes.
//!
//! One lock is held around each call and its record, so the order of records is the order of calls. Nothing here calls
//! a name that this library replaces, or it would wait for itself.

use std::env;
use std::ffi::CString;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use libc::{c_int, c_long};

use crate::plan::{Kind, Plans, Verb};
use crate::raw;
use crate::record::Record;

#[derive(Debug)]
pub struct Watch {
    under: String,
    /// While this file is there, the disk has only so many bytes left as it says.
    full: Option<CString>,
    trace: Option<c_int>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
pub struct Inner {
    plans: Plans,
    /// What the file said, and the bytes that are left of it.
    said: Option<i64>,
    left: i64,
}

/// How much of a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Whole,
    Half,
}

/// One call about to be made.
#[derive(Debug)]
pub struct Call<'a> {
    pub kind: Kind,
    pub path: &'a str,
    pub ino: u64,
    /// Bytes by which the folder grows.
    pub grows: i64,
}

static WATCH: OnceLock<Option<Watch>> = OnceLock::new();

/// `None` where nothing is to be watched.
pub fn watch() -> Option<&'static Watch> {
    WATCH.get_or_init(Watch::from_environment).as_ref()
}

impl Watch {
    fn from_environment() -> Option<Self> {
        let under = env::var("TORTURE_UNDER").ok()?;
        let name = |name| CString::new(env::var(name).ok()?).ok();
        let trace = name("TORTURE_TRACE").map(|path| {
            let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC;
            raw::open(&path, flags)
        });
        let plans = env::var("TORTURE_PLAN").unwrap_or_default();
        Some(Self {
            under: under.trim_end_matches('/').to_owned(),
            full: name("TORTURE_FULL"),
            trace: trace.filter(|fd| *fd >= 0),
            inner: Mutex::new(Inner {
                plans: Plans::read(&plans),
                said: None,
                left: 0,
            }),
        })
    }

    /// The path below the watched folder, `""` for the folder itself.
    pub fn below<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(&self.under)?;
        if rest.is_empty() {
            Some(rest)
        } else {
            rest.strip_prefix('/')
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, record: &Record) {
        if let Some(trace) = self.trace {
            let saved = raw::errno();
            raw::write_all(trace, &record.encode());
            raw::set_errno(saved);
        }
    }

    fn note_all(&self, records: &[Record]) {
        for record in records {
            self.note(record);
        }
    }

    /// A line on standard output, in its place among the calls.
    pub fn said(&self, bytes: &[u8], write: impl FnOnce() -> c_long) -> c_long {
        let mut inner = self.lock();
        let line = String::from_utf8_lossy(bytes).trim_end().to_owned();
        inner.plans.said(&line);
        // Before the write: whoever reads the line may kill us at once.
        self.note(&Record::Said { line });
        write()
    }

    pub fn unseen(&self, what: String) {
        let _inner = self.lock();
        self.note(&Record::Unseen { what });
    }

    /// Bytes left, where the disk is said to be full.
    pub fn left(&self) -> Option<i64> {
        let mut inner = self.lock();
        self.refresh(&mut inner);
        inner.said.map(|_| inner.left)
    }

    fn refresh(&self, inner: &mut Inner) {
        let Some(full) = &self.full else {
            return;
        };
        let said = raw::read_small(full).and_then(|text| text.parse().ok());
        if said != inner.said {
            inner.said = said;
            inner.left = said.unwrap_or(0);
        }
    }

    /// Makes the call, unless a plan says otherwise, and records what succeeded.
    pub fn around(
        &self,
        call: &Call<'_>,
        act: impl FnOnce(Part) -> c_long,
        record: impl FnOnce(c_long) -> Vec<Record>,
    ) -> c_long {
        let mut inner = self.lock();
        let Call {
            kind,
            path,
            ino,
            grows,
        } = *call;
        let part = match inner.plans.strike(kind, path, ino) {
            Some(Verb::Kill) => raw::die(),
            Some(Verb::Tear) if kind != Kind::Write => raw::die(),
            Some(Verb::Fail(errno)) => return self.fail(call, errno),
            Some(Verb::Short(errno)) if kind != Kind::Write => return self.fail(call, errno),
            Some(Verb::Skip) => {
                self.note(&Record::Skipped {
                    path: path.to_owned(),
                });
                return 0;
            }
            Some(Verb::Tear) => {
                let done = act(Part::Half);
                self.note_all(&record(done));
                raw::die()
            }
            Some(Verb::Short(errno)) => {
                self.note(&Record::Failed {
                    kind: "short".to_owned(),
                    path: path.to_owned(),
                    errno,
                });
                Part::Half
            }
            None => Part::Whole,
        };
        self.refresh(&mut inner);
        if inner.said.is_some() && grows > inner.left && grows > 0 {
            return self.fail(call, libc::ENOSPC);
        }
        let done = act(part);
        if done >= 0 {
            inner.left -= grows;
            self.note_all(&record(done));
        }
        done
    }

    fn fail(&self, call: &Call<'_>, errno: c_int) -> c_long {
        let kind = call.kind.name().to_owned();
        self.note(&Record::Failed {
            kind,
            path: call.path.to_owned(),
            errno,
        });
        raw::set_errno(errno);
        -1
    }

    pub fn has_work_with_output(&self) -> bool {
        self.trace.is_some() || !self.lock().plans.is_empty()
    }
}

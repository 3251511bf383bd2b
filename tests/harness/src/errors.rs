//! Every call that changes a file fails once: no space, a broken disk, a sync that fails, a write cut short.
//!
//! The sites are counted in a run without faults, then the n-th of each kind fails, for every n: in a new folder, in one that was
//! left in the middle, and in one whose state is rebuilt. The store may refuse, and it may end its process; it may not acknowledge
//! what is not there, nor say that nothing happened of what did, and the next start must open.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::dice::Dice;
use crate::judge::{copy_folder, judge_copy, pass_for_original};
use crate::preload::Preload;
use crate::process::{Effort, run_session};
use crate::record::Record;
use crate::session::{End, Session};
use crate::table::{Row, Tally, count, listed};
use crate::trace::Trace;

const ACTS: u64 = 24;
const ENOSPC: i32 = 28;
const EIO: i32 = 5;

/// What fails, how.
const FAULTS: [(&str, &str, i32); 13] = [
    ("fail", "write", ENOSPC),
    ("fail", "write", EIO),
    ("short", "write", ENOSPC),
    ("fail", "sync", EIO),
    ("fail", "folder-sync", EIO),
    ("fail", "allocate", ENOSPC),
    ("fail", "allocate", EIO),
    ("fail", "create", ENOSPC),
    ("fail", "rename", EIO),
    ("fail", "rename", ENOSPC),
    ("fail", "remove", EIO),
    ("fail", "truncate", EIO),
    ("fail", "folder", ENOSPC),
];

/// The folder in which the fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    New,
    LeftInTheMiddle,
    Rebuilt,
}

const STARTS: [Start; 3] = [Start::New, Start::LeftInTheMiddle, Start::Rebuilt];

impl Start {
    fn boot(self) -> &'static str {
        match self {
            Self::New | Self::LeftInTheMiddle => "boot-1",
            Self::Rebuilt => "boot-2",
        }
    }
}

/// One fault at one site.
#[derive(Clone, Debug)]
struct Case {
    start: Start,
    plan: String,
    name: String,
}

#[derive(Debug, Default)]
struct Sum {
    cases: u64,
    struck: Tally,
    ends: Tally,
    broken: Vec<String>,
}

/// What every case begins with.
struct Ground {
    room: PathBuf,
    seed: u64,
    /// A folder that was left in the middle, and what was said while it was made.
    left: PathBuf,
    said: String,
}

impl Ground {
    fn prepare(room: &Path, seed: u64) -> Result<Self, String> {
        let home = room.join("left");
        fs::create_dir_all(&home).map_err(|error| error.to_string())?;
        let session = session(&home, seed, 1, Start::LeftInTheMiddle, End::Exit)?;
        let run = run_session(&session, &Preload::over(&home)?, "")?;
        Ok(Self {
            room: room.to_owned(),
            seed,
            left: home.join("data"),
            said: run.out,
        })
    }

    /// A folder of its own for one case.
    fn home(&self, name: &str, start: Start) -> Result<PathBuf, String> {
        let home = self.room.join(name);
        drop(fs::remove_dir_all(&home));
        fs::create_dir_all(&home).map_err(|error| error.to_string())?;
        if start != Start::New {
            let data = home.join("data");
            copy_folder(&self.left, &data).map_err(|error| error.to_string())?;
            pass_for_original(&data).map_err(|error| error.to_string())?;
        }
        home.canonicalize().map_err(|error| error.to_string())
    }

    fn session(&self, home: &Path, start: Start) -> Result<Session, String> {
        session(home, self.seed, 1 + ACTS, start, End::Close)
    }

    /// How often each kind of call comes, in a run without faults.
    fn sites(&self, start: Start) -> Result<Tally, String> {
        let home = self.home("counted", start)?;
        let path = self.room.join(format!("counted-{start:?}"));
        let preload = Preload::over(&home)?.trace(&path);
        run_session(&self.session(&home, start)?, &preload, "")?;
        let trace = Trace::read(&path).map_err(|error| error.to_string())?;
        if let Some(flaw) = trace.flaw() {
            return Err(flaw);
        }
        let mut sites = Tally::new();
        for kind in trace.records.iter().filter_map(kind_of) {
            count(&mut sites, kind);
        }
        Ok(sites)
    }
}

fn session(home: &Path, seed: u64, from: u64, start: Start, end: End) -> Result<Session, String> {
    let folder = home
        .canonicalize()
        .map_err(|error| error.to_string())?
        .join("data");
    Ok(Session {
        folder,
        seed,
        from,
        count: ACTS,
        boot: start.boot().to_owned(),
        end,
    })
}

fn kind_of(record: &Record) -> Option<&'static str> {
    match record {
        Record::Create { .. } => Some("create"),
        Record::Write { .. } => Some("write"),
        Record::Allocate { .. } => Some("allocate"),
        Record::Truncate { .. } => Some("truncate"),
        Record::Sync { .. } => Some("sync"),
        Record::SyncFolder { .. } => Some("folder-sync"),
        Record::Folder { .. } => Some("folder"),
        Record::Rename { .. } => Some("rename"),
        Record::Remove { .. } => Some("remove"),
        _ => None,
    }
}

/// Every fault at every site; from then on at every eighth.
fn cases(ground: &Ground) -> Result<Vec<Case>, String> {
    let mut cases = Vec::new();
    for start in STARTS {
        let sites = ground.sites(start)?;
        for (verb, kind, errno) in FAULTS {
            let last = sites.get(kind).copied().unwrap_or(0);
            for n in 1..=last {
                let name = format!("{verb} {kind} {errno}");
                let plan = format!("{verb} kind={kind} n={n} errno={errno}");
                if verb == "fail" && n % 8 == 1 {
                    let (name, plan) = (format!("{name} from then on"), format!("{plan} on"));
                    cases.push(Case { start, plan, name });
                }
                cases.push(Case { start, plan, name });
            }
        }
    }
    Ok(cases)
}

fn run(ground: &Ground, case: &Case, job: usize, sum: &Mutex<Sum>) -> Result<(), String> {
    let home = ground.home(&format!("case-{job}"), case.start)?;
    let path = ground.room.join(format!("trace-{job}"));
    drop(fs::remove_file(&path));
    let preload = Preload::over(&home)?.trace(&path);
    let run = run_session(&ground.session(&home, case.start)?, &preload, &case.plan)?;
    let trace = Trace::read(&path).map_err(|error| error.to_string())?;
    let failed = |record: &Record| matches!(record, Record::Failed { .. });
    let struck = trace.records.iter().any(failed);
    let said = ground.room.join(format!("said-{job}"));
    let before = if case.start == Start::New {
        ""
    } else {
        &ground.said
    };
    fs::write(&said, format!("{before}{}", run.out)).map_err(|error| error.to_string())?;
    let scratch = ground.room.join(format!("judged-{job}"));
    let verdict = judge_copy(
        &home.join("data"),
        &scratch,
        case.start.boot(),
        ground.seed,
        &said,
    );
    let end = match () {
        () if run.hung => "hung",
        // sled unwraps what it cannot flush when it is dropped; the process dies, as it should.
        () if run.panicked && run.err.contains("/sled-") => "died in sled",
        () if run.panicked => "panicked",
        () if run.aborted => "ended its process",
        () if !run.opened() => "did not open, and said why",
        () if run.out.contains("\nNO ") || run.out.contains("\nMAYBE ") => {
            "refused acts and went on"
        }
        () => "went on",
    };
    let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
    if struck {
        sum.cases += 1;
        count(&mut sum.struck, &case.name);
        count(&mut sum.ends, end);
    } else {
        count(&mut sum.ends, "never came to the call");
    }
    let place = format!("{:?}, `{}`", case.start, case.plan);
    if matches!(end, "hung" | "panicked") {
        sum.broken.push(format!(
            "{place}: it {end}: {}",
            run.err.lines().last().unwrap_or_default()
        ));
    }
    if let Err(why) = verdict {
        sum.broken.push(format!("{place}: it {end}; then {why}"));
    }
    Ok(())
}

pub fn row(effort: &Effort) -> Result<Row, String> {
    let deadline = Instant::now() + effort.within;
    let mut dice = Dice::new(effort.seed);
    let ground = Ground::prepare(&effort.room, dice.roll())?;
    let mut cases = cases(&ground)?;
    let planned = cases.len();
    // Where time is short, a fair choice of all.
    for at in (1..cases.len()).rev() {
        cases.swap(at, dice.index(at + 1));
    }
    let cases = Mutex::new(cases);
    let (sum, failed) = (Mutex::new(Sum::default()), Mutex::new(None));
    std::thread::scope(|scope| {
        for job in 0..effort.jobs {
            let (cases, sum, failed, ground) = (&cases, &sum, &failed, &ground);
            scope.spawn(move || {
                while Instant::now() < deadline {
                    let next = cases.lock().unwrap_or_else(PoisonError::into_inner).pop();
                    let Some(case) = next else { return };
                    if let Err(error) = run(ground, &case, job, sum) {
                        *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        return;
                    }
                }
            });
        }
    });
    if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Row {
        name: "errors",
        figure: format!("{} failing calls, of {planned} sites", sum.cases),
        promise: "no false acknowledgement, no false refusal; the next start opens",
        seed: effort.seed,
        broken: sum.broken,
        notes: vec![
            format!("failed: {}", listed(&sum.struck)),
            format!("the store: {}", listed(&sum.ends)),
        ],
    })
}

//! Power cuts: a workload is recorded, and disks as they may be found after a cut at any point of it are opened.
//!
//! Cuts are drawn to where they hurt: right after a sync, right after an acknowledgement, in a folder that is new. Each disk is
//! opened as after a reboot; where nothing is lost also under the same boot, as after a kill, because sled is believed then.
//! Disks are opened in processes of their own: a store that ends its process is started again, as systemd would.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::dice::Dice;
use crate::judge::STARTS;
use crate::preload::Preload;
use crate::process::{Effort, run_session, this};
use crate::session::{End, Session};
use crate::table::{Row, Tally, listed};
use crate::trace::{Seen, Trace};

/// Images that one process opens before the clock is looked at.
const BATCH: u64 = 25;

/// What a workload looks like.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// A new folder and little else.
    Fresh,
    /// Opened and ended in every way.
    Sessions,
    /// Overwrites, so that sled uses its segments again.
    Overwrites,
    /// Another boot every time.
    Reboots,
    /// A sync that fails once: what it left in the cache alone must not be believed later.
    FailedSync,
}

const SHAPES: [Shape; 5] = [
    Shape::Fresh,
    Shape::Sessions,
    Shape::Overwrites,
    Shape::Reboots,
    Shape::FailedSync,
];

/// One recorded workload.
#[derive(Debug)]
pub struct Recorded {
    pub path: PathBuf,
    pub seed: u64,
    pub seen: Seen,
}

impl Recorded {
    /// Under which its trace is kept: `torture images --trace target/torture/NAME --seed SEED --first IMAGE` sees it again.
    fn name(&self) -> String {
        format!("trace-{}", self.seed)
    }
}

/// What went wrong while recording, on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    Nothing,
    /// Syncs of the journal do nothing and say that they did (B1).
    NoSync,
    /// The same with syncs of folders.
    NoFolderSync,
}

impl Planted {
    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing planted",
            Self::NoSync => "no sync of the journal",
            Self::NoFolderSync => "no sync of folders",
        }
    }

    fn plan(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::NoSync => "skip kind=sync path=/journal/ n=1 on;",
            Self::NoFolderSync => "skip kind=folder-sync n=1 on;",
        }
    }
}

/// Runs the sessions of one workload and records them.
pub fn record(room: &Path, seed: u64, number: u64, planted: Planted) -> Result<Recorded, String> {
    let mut dice = Dice::part(seed, number);
    let shape = SHAPES[usize::try_from(number).unwrap_or(0) % SHAPES.len()];
    let home = room.join(format!("work-{number}"));
    let path = room.join(format!("trace-{number}"));
    fs::create_dir_all(&home).map_err(|error| error.to_string())?;
    let preload = Preload::over(&home)?.trace(&path);
    let sessions: Vec<(u64, End, String, &str)> = match shape {
        Shape::Fresh => vec![(25, End::Close, String::new(), "boot-1")],
        Shape::Sessions => {
            let kill = format!("kill n={}", dice.between(60, 500));
            vec![
                (50, End::Close, String::new(), "boot-1"),
                (50, End::Exit, String::new(), "boot-1"),
                (50, End::Close, kill, "boot-1"),
                (50, End::Close, String::new(), "boot-1"),
            ]
        }
        Shape::FailedSync => {
            let fail = |dice: &mut Dice| {
                let kind = if dice.percent(70) {
                    "sync"
                } else {
                    "folder-sync"
                };
                format!("fail kind={kind} n={} errno=5", dice.between(1, 70))
            };
            vec![
                (40, End::Close, fail(&mut dice), "boot-1"),
                (40, End::Exit, fail(&mut dice), "boot-1"),
                (40, End::Exit, fail(&mut dice), "boot-1"),
                (40, End::Close, String::new(), "boot-1"),
            ]
        }
        Shape::Overwrites => vec![
            (700, End::Exit, String::new(), "boot-1"),
            (500, End::Close, String::new(), "boot-1"),
        ],
        Shape::Reboots => {
            let kill = format!("kill n={}", dice.between(5, 120));
            vec![
                (60, End::Exit, String::new(), "boot-1"),
                (40, End::Exit, kill, "boot-2"),
                (40, End::Exit, String::new(), "boot-2"),
                (40, End::Close, String::new(), "boot-3"),
            ]
        }
    };
    let mut from = 1;
    let seed = dice.roll();
    for (count, end, kill, boot) in sessions {
        let folder = preload_home(&home)?.join("data");
        let session = Session {
            folder,
            seed,
            from,
            count,
            boot: boot.to_owned(),
            end,
        };
        let run = run_session(&session, &preload, &format!("{}{kill}", planted.plan()))?;
        if (run.killed || run.aborted) && kill.is_empty() {
            return Err("a session died that was not to die".to_owned());
        }
        from += count;
    }
    fs::remove_dir_all(&home).map_err(|error| error.to_string())?;
    let trace = Trace::read(&path).map_err(|error| error.to_string())?;
    match trace.flaw() {
        Some(flaw) => Err(flaw),
        None => Ok(Recorded {
            path,
            seed,
            seen: trace.seen(),
        }),
    }
}

fn preload_home(home: &Path) -> Result<PathBuf, String> {
    home.canonicalize().map_err(|error| error.to_string())
}

/// What many images came to.
#[derive(Debug, Default)]
struct Sum {
    images: u64,
    broken: Vec<String>,
    kinds: Tally,
    opened: Tally,
    cut: usize,
    open_ms: u64,
    longest_ms: u64,
    restarts: u64,
}

/// Runs one batch, started again where the store ends its process.
fn batch(
    recorded: &Recorded,
    first: u64,
    count: u64,
    folder: &Path,
    sum: &Mutex<Sum>,
) -> Result<(), String> {
    let (mut next, mut starts) = (first, 0);
    while next < first + count {
        let mut command = this("images")?;
        command.args([
            "--seed",
            &recorded.seed.to_string(),
            "--first",
            &next.to_string(),
        ]);
        command.args(["--count", &(first + count - next).to_string()]);
        command
            .arg("--trace")
            .arg(&recorded.path)
            .arg("--folder")
            .arg(folder);
        if starts > 0 {
            command.arg("--again");
        }
        let log =
            fs::File::create(folder.with_extension("log")).map_err(|error| error.to_string())?;
        let child = command.stdout(Stdio::piped()).stderr(log).spawn();
        let mut child = child.map_err(|error| error.to_string())?;
        let out = child.stdout.take().ok_or("no output")?;
        let before = next;
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
            if sum.hear(&line, recorded) {
                next += 1;
            }
        }
        let status = child.wait().map_err(|error| error.to_string())?;
        starts = if next > before { 0 } else { starts };
        if next < first + count {
            starts += 1;
            let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
            sum.restarts += 1;
            if starts >= STARTS {
                let log = fs::read_to_string(folder.with_extension("log")).unwrap_or_default();
                let last = log.lines().last().unwrap_or_default().to_owned();
                sum.broken.push(format!(
                    "{}: image {next}: DOES NOT OPEN: {status} {starts} times: {last}",
                    recorded.name()
                ));
                sum.images += 1;
                (next, starts) = (next + 1, 0);
            }
        }
    }
    Ok(())
}

impl Sum {
    /// Takes in one line; whether an image is done with it.
    fn hear(&mut self, line: &str, recorded: &Recorded) -> bool {
        if let Some(why) = line.strip_prefix("BAD ") {
            self.images += 1;
            self.broken.push(format!(
                "{} seed {}: image {why}",
                recorded.path.display(),
                recorded.seed
            ));
            return true;
        }
        let Some((_, facts)) = line
            .strip_prefix("GOOD ")
            .and_then(|rest| rest.split_once(' '))
        else {
            return false;
        };
        let facts: Vec<&str> = facts.split('|').collect();
        let [ms, _acts, kind, opened, cut] = facts[..] else {
            return false;
        };
        let ms = ms.parse().unwrap_or(0);
        self.images += 1;
        self.open_ms += ms;
        self.longest_ms = self.longest_ms.max(ms);
        *self.kinds.entry(kind.to_owned()).or_default() += 1;
        *self.opened.entry(opened.to_owned()).or_default() += 1;
        self.cut += usize::from(cut == "true");
        true
    }
}

/// The row.
pub fn row(effort: &Effort, planted: Planted) -> Result<Row, String> {
    let deadline = Instant::now() + effort.within;
    let traces = (effort.count / 200).clamp(5, 20);
    let mut recorded = Vec::new();
    for number in 0..traces {
        recorded.push(record(&effort.room, effort.seed, number, planted)?);
    }
    let each = effort.count.div_ceil(traces);
    let mut queue = VecDeque::new();
    for first in (0..each).step_by(usize::try_from(BATCH).unwrap_or(1)) {
        for index in 0..recorded.len() {
            queue.push_back((index, first, BATCH.min(each - first)));
        }
    }
    let (queue, sum) = (Mutex::new(queue), Mutex::new(Sum::default()));
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        for job in 0..effort.jobs {
            let folder = effort.room.join(format!("image-{job}"));
            let (queue, sum, failed, recorded) = (&queue, &sum, &failed, &recorded);
            scope.spawn(move || {
                while Instant::now() < deadline {
                    let next = queue
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .pop_front();
                    let Some((index, first, count)) = next else {
                        return;
                    };
                    if let Err(error) = batch(&recorded[index], first, count, &folder, sum) {
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
    keep_traces(&sum, &recorded, &effort.keep);
    Ok(told(sum, &recorded, effort.seed))
}

/// A broken promise must be seen again: its trace stays.
fn keep_traces(sum: &Sum, recorded: &[Recorded], keep: &Path) {
    for one in recorded {
        let name = one.path.display().to_string();
        let broken = sum
            .broken
            .iter()
            .any(|why| why.contains(&format!("{name} ")));
        if let (true, Some(file)) = (broken, one.path.file_name()) {
            drop(fs::create_dir_all(keep));
            drop(fs::copy(&one.path, keep.join(file)));
        }
    }
}

/// The self-test: with a fault planted the row must go red, and for the right reason.
pub fn self_test(effort: &Effort, planted: Planted) -> Result<Row, String> {
    let row = row(effort, planted)?;
    let lost = row.broken.iter().filter(|why| why.contains("LOST")).count();
    let broken = match lost {
        0 => vec!["the judge did not see it".to_owned()],
        _ => Vec::new(),
    };
    Ok(Row {
        name: "self-test",
        figure: format!("{} with {}", row.figure, planted.name()),
        promise: "the judge goes red",
        seed: effort.seed,
        broken,
        notes: vec![format!("{lost} of them with acknowledged acts lost")],
    })
}

fn told(sum: Sum, recorded: &[Recorded], seed: u64) -> Row {
    let total = |of: fn(&Seen) -> usize| recorded.iter().map(|one| of(&one.seen)).sum::<usize>();
    let mut broken = sum.broken;
    if total(|seen| seen.reused) == 0 {
        broken.push("sled never used a segment again: the workload proves too little".to_owned());
    }
    let notes = vec![
        format!(
            "{} workloads: {} writes, {} syncs, {} folder syncs, {} preallocations, {} sync_file_range, {} into reused sled segments",
            recorded.len(),
            total(|seen| seen.writes),
            total(|seen| seen.syncs),
            total(|seen| seen.folder_syncs),
            total(|seen| seen.allocations),
            total(|seen| seen.ranges),
            total(|seen| seen.reused),
        ),
        format!("images: {}", listed(&sum.kinds)),
        format!(
            "opened: {}; {} torn ends cut, {} restarts",
            listed(&sum.opened),
            sum.cut,
            sum.restarts
        ),
        format!(
            "opening took {} ms on average, {} ms at most",
            sum.open_ms / sum.images.max(1),
            sum.longest_ms
        ),
    ];
    Row {
        name: "power",
        figure: format!("{} disks after a power cut", sum.images),
        promise: "0 acknowledged acts lost, 0 folders that do not open, state = journal",
        seed,
        broken,
        notes,
    }
}

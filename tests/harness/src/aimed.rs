//! Kills where they hurt: while the store opens, while it rebuilds, in checkpoints, snapshots, new segments, compression.
//!
//! A folder lives through many of them, with and without a good start in between: recovery is killed during
//! recovery. After each kill a copy of the folder is opened and judged; the original goes on as it was left.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::dice::Dice;
use crate::judge::judge_copy;
use crate::preload::Preload;
use crate::process::{Effort, Run, run_session};
use crate::session::{End, Session};
use crate::table::{Row, Tally, count, listed};

/// Kills that one folder lives through.
const LIVES: u64 = 25;
/// Acts of one session.
const ACTS: u64 = 45;

/// Where the kill is to strike: a name, the plan without its number, and the highest number.
const AIMS: [(&str, &str, u64); 12] = [
    ("opening", "kill", 40),
    ("opening", "kill", 15),
    ("rebuilding", "kill", 60),
    ("sled's snapshot", "kill path=.generating", 3),
    ("sled's snapshot", "tear kind=write path=.generating", 2),
    ("checkpoint", "kill arm=CHECKPOINT", 14),
    ("closing", "kill arm=CLOSING", 12),
    ("compressing", "kill path=compressing", 6),
    ("base", "kill path=base", 12),
    ("chore", "kill arm=CHORE", 30),
    ("collecting", "kill kind=remove path=blobs", 6),
    (
        "new segment",
        "kill kind=create,allocate,sync,folder-sync,write path=journal/ arm=ACK",
        120,
    ),
];

#[derive(Debug, Default)]
struct Sum {
    kills: u64,
    before_open: u64,
    aims: Tally,
    rebuilt: Tally,
    broken: Vec<String>,
}

/// One folder with its history.
struct Life {
    home: PathBuf,
    scratch: PathBuf,
    said: PathBuf,
    preload: Preload,
    dice: Dice,
    seed: u64,
    next: u64,
    boot: u64,
}

impl Life {
    fn begin(room: &Path, seed: u64, number: u64) -> Result<Self, String> {
        let home = room.join(format!("life-{number}"));
        fs::create_dir_all(&home).map_err(|error| error.to_string())?;
        let home = home.canonicalize().map_err(|error| error.to_string())?;
        let mut dice = Dice::part(seed, number);
        Ok(Self {
            scratch: room.join(format!("judged-{number}")),
            said: room.join(format!("said-{number}")),
            preload: Preload::over(&home)?,
            seed: dice.roll(),
            home,
            dice,
            next: 1,
            boot: 1,
        })
    }

    fn session(&mut self, plan: &str, end: End) -> Result<Run, String> {
        let session = Session {
            folder: self.home.join("data"),
            seed: self.seed,
            from: self.next,
            count: ACTS,
            boot: self.boot_id(),
            end,
        };
        self.next += ACTS;
        let run = run_session(&session, &self.preload, plan)?;
        let so_far = fs::read_to_string(&self.said).unwrap_or_default();
        fs::write(&self.said, so_far + &run.out).map_err(|error| error.to_string())?;
        Ok(run)
    }

    fn boot_id(&self) -> String {
        format!("boot-{}", self.boot)
    }

    /// One kill and its judgement.
    fn kill(&mut self, sum: &Mutex<Sum>) -> Result<(), String> {
        let (aim, plan, most) = AIMS[self.dice.index(AIMS.len())];
        if aim == "rebuilding" {
            self.boot += 1;
        }
        let plan = format!("{plan} n={}", self.dice.between(1, most));
        let end = if self.dice.percent(50) {
            End::Exit
        } else {
            End::Close
        };
        let run = self.session(&plan, end)?;
        if !run.killed && (run.aborted || !run.opened()) {
            let why = format!("after `{plan}` it did not open by itself: {}", run.err);
            lock(sum).broken.push(why);
        }
        if !run.killed {
            return Ok(());
        }
        let verdict = judge_copy(
            &self.home.join("data"),
            &self.scratch,
            &self.boot_id(),
            self.seed,
            &self.said,
        );
        let mut sum = lock(sum);
        sum.kills += 1;
        sum.before_open += u64::from(!run.opened());
        count(&mut sum.aims, aim);
        match verdict {
            Ok(how) => count(&mut sum.rebuilt, &how),
            Err(why) => sum
                .broken
                .push(format!("seed {}: after `{plan}`: {why}", self.seed)),
        }
        Ok(())
    }
}

fn lock(sum: &Mutex<Sum>) -> std::sync::MutexGuard<'_, Sum> {
    sum.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn row(effort: &Effort) -> Result<Row, String> {
    let deadline = Instant::now() + effort.within;
    let sum = Mutex::new(Sum::default());
    let (numbers, failed) = (Mutex::new(0..), Mutex::new(None));
    let enough = || lock(&sum).kills >= effort.count || Instant::now() >= deadline;
    let lives = || -> Result<(), String> {
        while !enough() {
            let number = numbers
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .next();
            let mut life = Life::begin(&effort.room, effort.seed, number.unwrap_or(0))?;
            life.session("", End::Exit)?;
            for _ in 0..LIVES {
                if enough() {
                    break;
                }
                life.kill(&sum)?;
            }
            drop(fs::remove_dir_all(&life.home));
            drop(fs::remove_dir_all(&life.scratch));
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        for _ in 0..effort.jobs {
            scope.spawn(|| {
                if let Err(error) = lives() {
                    *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
            });
        }
    });
    if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut broken = sum.broken;
    if sum.before_open == 0 {
        broken.push("no kill came while the store was opening: the row proves nothing".to_owned());
    }
    Ok(Row {
        name: "aimed",
        figure: format!("{} aimed kills", sum.kills),
        promise: "the next start opens, with everything acknowledged, and state = journal",
        seed: effort.seed,
        broken,
        notes: vec![
            format!(
                "{}; {} before the store was open",
                listed(&sum.aims),
                sum.before_open
            ),
            format!("state at the next start: {}", listed(&sum.rebuilt)),
        ],
    })
}

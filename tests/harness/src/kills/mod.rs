//! The built daemon is killed at random moments while the platforms misbehave, and started again, and so on.
//!
//! One data folder lives through a run of kills, with several items under way all the time; people go on submitting,
//! signing, withdrawing and opening paused channels. At the end the faults go off, everything must come to rest or to an owner, and
//! the sandbox's ledger says what really happened.

mod book;
mod door;
mod faults;
mod life;
mod office;
mod people;
pub mod space;
mod verdict;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use life::Life;
use office::Office;

use crate::process::Effort;
use crate::table::{Row, Tally, listed};

/// Kills that one folder lives through.
const LIVES: u64 = 100;
#[derive(Debug, Default)]
struct Sum {
    kills: u64,
    items: usize,
    /// Where the kills struck.
    moments: Tally,
    faults: Tally,
    states: Tally,
    facts: Tally,
    broken: Vec<String>,
}

impl Sum {
    fn add(&mut self, other: Sum) {
        self.kills += other.kills;
        self.items += other.items;
        for (into, from) in [
            (&mut self.moments, other.moments),
            (&mut self.faults, other.faults),
            (&mut self.states, other.states),
            (&mut self.facts, other.facts),
        ] {
            for (name, seen) in from {
                *into.entry(name).or_default() += seen;
            }
        }
        self.broken.extend(other.broken);
    }
}

/// The row.
pub fn row(effort: &Effort) -> Result<Row, String> {
    let begun = Instant::now();
    let until = begun + effort.within;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(2)
        .build()
        .map_err(|error| error.to_string())?;
    let sum = Mutex::new(Sum::default());
    let lives = async {
        let numbers = AtomicU64::new(0);
        let one = || async {
            loop {
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                let left = effort.count.saturating_sub(number * LIVES).min(LIVES);
                if left == 0 || number > 0 && Instant::now() >= until {
                    return Ok::<(), String>(());
                }
                let mut life = Life::begin(&effort.room, effort.seed, number).await?;
                let lived = life.live(left, until).await;
                let mut found = std::mem::take(&mut life.sum);
                if let Err(why) = lived {
                    found.broken.push(why);
                }
                if !found.broken.is_empty() {
                    keep(&life.office, &effort.keep, number);
                }
                let folder = life.office.folder.clone();
                drop(life);
                drop(std::fs::remove_dir_all(folder));
                let mut sum = sum
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                sum.add(found);
                let (kills, broken) = (sum.kills, sum.broken.len());
                eprintln!("kills: {kills} of {}, {broken} broken", effort.count);
            }
        };
        tokio::try_join!(one(), one())
    };
    runtime.block_on(lives)?;
    let sum = sum
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(told(sum, effort.seed, begun.elapsed()))
}

/// What is needed to understand a broken promise.
fn keep(office: &Office, keep: &Path, number: u64) {
    let folder: PathBuf = keep.join(format!("office-{number}"));
    drop(std::fs::create_dir_all(&folder));
    drop(std::fs::copy(office.log(), folder.join("lubu.log")));
    let rows: Vec<String> = office
        .sandbox
        .ledger()
        .iter()
        .map(|row| format!("{row:?}"))
        .collect();
    drop(std::fs::write(folder.join("ledger.txt"), rows.join("\n")));
    drop(crate::judge::copy_folder(
        &office.folder.join("data"),
        &folder.join("data"),
    ));
}

fn told(sum: Sum, seed: u64, took: Duration) -> Row {
    Row {
        name: "kills",
        figure: format!("{} kills of the daemon, {} items", sum.kills, sum.items),
        promise: "0 unapproved, 0 lost, 0 doubled, 0 repeats on doubt, the rest explained",
        seed,
        broken: sum.broken,
        notes: vec![
            format!(
                "killed: {}; {} s in all",
                listed(&sum.moments),
                took.as_secs()
            ),
            format!("faults: {}", listed(&sum.faults)),
            format!("deliveries: {}", listed(&sum.states)),
            format!("seen: {}", listed(&sum.facts)),
        ],
    }
}

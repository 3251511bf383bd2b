//! The built daemon under load, in a release build: fifty channels, of which some are sick.
//!
//! Here time is real and the disk a disk. What is judged is what a portal sees: when a call arrived, under which key, and
//! whether a second article was made.

mod fill;
mod halt;
mod isolation;
mod memory;
mod rig;
mod sink;
mod start;
mod stop;

use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant};

pub use fill::Fill;
use sink::{Arrival, Mood, Sink};

use crate::process::Effort;
use crate::table::Row;

/// Five of each kind are sick.
const SICK: usize = 5;
/// The channels before the sick ones.
const HEALTHY: usize = rig::CHANNELS - 3 * SICK;
const SLOW: Duration = Duration::from_secs(3);
/// What is under way is healed and finished in so much time.
const HEALING: Duration = Duration::from_mins(4);
const RATE: f64 = 120.0;

/// What one of these rows tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    Isolation,
    Memory,
    Start,
    Stop,
    Halt,
}

/// The row.
pub fn row(trial: Trial, effort: &Effort) -> Result<Row, String> {
    match trial {
        Trial::Isolation => run(isolation::row(effort)),
        Trial::Memory => run(memory::row(effort)),
        Trial::Start => run(start::row(effort)),
        Trial::Stop => run(stop::row(effort)),
        Trial::Halt => run(halt::row(effort)),
    }
}

fn run(row: impl Future<Output = Result<Row, String>>) -> Result<Row, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(2)
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(row)
}

/// Makes five hang, five refuse and five answer slowly.
fn sicken(sink: &Sink) {
    for at in 0..SICK {
        sink.set(HEALTHY + at, Mood::Hangs);
        sink.set(HEALTHY + SICK + at, Mood::Refuses);
        sink.set(HEALTHY + 2 * SICK + at, Mood::Slow(SLOW));
    }
}

/// Items that a channel was made to publish more than once: under another key each time.
fn doubled(arrivals: &[Arrival]) -> Vec<String> {
    let mut made: BTreeMap<(usize, u32), usize> = BTreeMap::new();
    for one in arrivals.iter().filter(|one| one.applied) {
        if let Some(item) = one.item {
            *made.entry((one.channel, item)).or_default() += 1;
        }
    }
    let twice = made.into_iter().filter(|(_, times)| *times > 1);
    twice
        .map(|((channel, item), times)| {
            format!("DOUBLED: NR-{item:06} on portal-{channel:02}, {times} times")
        })
        .collect()
}

/// Everything is well again and opened by a person: what was signed must come, each once.
async fn heal(rig: &rig::Rig, sink: &std::sync::Arc<Sink>, items: usize) -> Vec<String> {
    sink.set_all(Mood::Well);
    let expected = items * rig::CHANNELS;
    let until = Instant::now() + HEALING;
    while Instant::now() < until && sink.applied() < expected {
        rig.open_all().await;
        rig.until_applied(sink, expected, Duration::from_secs(5))
            .await;
    }
    let mut broken = doubled(&sink.arrivals());
    let made = sink.applied();
    if made < expected {
        broken.push(format!(
            "LOST or late: {} of {expected} did not arrive once all was well",
            expected - made
        ));
    }
    broken
}

/// A part of sorted values, in hundredths.
fn quantile(sorted: &[Duration], hundredths: usize) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted
        .get(last * hundredths / 100)
        .copied()
        .unwrap_or_default()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// A count as a float: never beyond what one holds.
fn real(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

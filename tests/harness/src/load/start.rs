//! From SIGKILL to the first new send, with years of work in the folder.
//!
//! The folder is made once and kept; a kill costs it a hundred of its ten thousand due deliveries. What a start reads is
//! in the page cache then, as after any crash of the process.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fill::Fill;
use super::rig::{CHANNELS, Rig, SHORT_CALLS, failed, on_disk};
use super::sink::{Mood, Sink};
use crate::process::Effort;
use crate::table::Row;

/// Starts after which the folder has lost too much of what was due.
const STARTS: usize = 12;
/// Kills in one row.
const COUNTED: usize = 5;
const FULL: u64 = 1_000_000;
/// What filling takes, about.
const FILLING: Duration = Duration::from_mins(4);
const CUT: u64 = 100_000;
const DUE: u64 = 10_000;
const WITHIN: Duration = Duration::from_secs(2);
const MEMORY: u64 = 200 << 20;
const PATIENCE: Duration = Duration::from_mins(2);
/// Between two kills: what a start leaves to be done is not begun anew.
const SETTLED: Duration = Duration::from_secs(3);

/// One start after a kill.
struct Started {
    took: Duration,
    peak: u64,
}

pub async fn row(effort: &Effort) -> Result<Row, String> {
    let begun = Instant::now();
    let count = fitting(effort)?;
    let folder = on_disk()?.join(format!("filled-{count}"));
    let (sink, filled) = ready(&folder, count).await?;
    let sink = Arc::new(sink);
    let mut rig = Rig::new(&folder, &sink, SHORT_CALLS)?;
    // One that is not counted, so that there is something to be killed; a fresh folder was killed already.
    if filled.is_none() {
        one(&mut rig, &sink).await?;
    }
    let mut all = Vec::new();
    while all.len() < COUNTED && (all.is_empty() || begun.elapsed() < effort.within) {
        all.push(one(&mut rig, &sink).await?);
    }
    rig.kill();
    note(&folder, all.len() + 1)?;
    Ok(told(effort, count, &all, filled))
}

/// Fewer where there is no time to fill the folder, and it is not there already.
fn fitting(effort: &Effort) -> Result<u64, String> {
    let there = on_disk()?.join(format!("filled-{}", effort.count)).exists();
    let short = !there && effort.within < FILLING;
    Ok(if short {
        effort.count.min(CUT)
    } else {
        effort.count
    })
}

/// From exec to the first call that changes something, and SIGKILL.
async fn one(rig: &mut Rig, sink: &Arc<Sink>) -> Result<Started, String> {
    rig.kill();
    rig.start()?;
    let until = rig.started + PATIENCE;
    let first = loop {
        if let Some(first) = sink.first_after(rig.started) {
            break first;
        }
        if Instant::now() > until {
            return Err("nothing was sent within two minutes of the start".to_owned());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    let peak = rig.memory("VmHWM").unwrap_or(0);
    tokio::time::sleep(SETTLED).await;
    Ok(Started {
        took: first - rig.started,
        peak,
    })
}

fn told(effort: &Effort, count: u64, all: &[Started], filled: Option<Duration>) -> Row {
    let mut broken = Vec::new();
    for (number, one) in all.iter().enumerate() {
        if one.took > WITHIN {
            broken.push(format!(
                "start {}: first send after {:.2} s",
                number + 1,
                one.took.as_secs_f64()
            ));
        }
        if one.peak > MEMORY {
            broken.push(format!(
                "start {}: {} MB at the first send",
                number + 1,
                one.peak >> 20
            ));
        }
    }
    let took = all.iter().map(|one| one.took.as_secs_f64());
    let took: Vec<String> = took.map(|seconds| format!("{seconds:.2}")).collect();
    let peak = all.iter().map(|one| one.peak >> 20).max().unwrap_or(0);
    let mut notes = vec![format!(
        "first send after {} s; peak {peak} MB",
        took.join(", ")
    )];
    if count < FULL {
        notes.push(format!("CUT: {count} of {FULL} finished deliveries"));
    }
    notes.extend(filled.map(|took| format!("filled in {} s", took.as_secs())));
    Row {
        name: "start",
        figure: format!("{} finished, {DUE} due, {} kills", count, all.len()),
        promise: "first new send within 2 s and 200 MB of a start after SIGKILL",
        seed: effort.seed,
        broken,
        notes,
    }
}

/// The folder and the portals at the addresses that it knows.
async fn ready(folder: &Path, finished: u64) -> Result<(Sink, Option<Duration>), String> {
    let ports = folder.join("ports");
    let known: Vec<SocketAddr> = fs::read_to_string(&ports)
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.parse().ok())
        .collect();
    let starts = fs::read_to_string(folder.join("starts")).unwrap_or_default();
    let starts = starts.trim().parse::<usize>().unwrap_or(0);
    if known.len() == CHANNELS
        && starts < STARTS
        && let Ok(sink) = Sink::open(CHANNELS, &known).await
    {
        sink.set_all(Mood::Slow(Duration::from_millis(500)));
        return Ok((sink, None));
    }
    drop(fs::remove_dir_all(folder));
    fs::create_dir_all(folder).map_err(failed)?;
    let sink = Sink::open(CHANNELS, &[]).await?;
    sink.set_all(Mood::Slow(Duration::from_millis(500)));
    // Writes the secret that the configuration names.
    drop(Rig::new(folder, &sink, SHORT_CALLS)?);
    let begun = Instant::now();
    let fill = Fill {
        folder: folder.to_owned(),
        finished,
        due: DUE,
    };
    tokio::task::block_in_place(|| fill.and_kill())?;
    let lines: Vec<String> = sink.addresses().iter().map(ToString::to_string).collect();
    fs::write(ports, lines.join("\n")).map_err(failed)?;
    Ok((sink, Some(begun.elapsed())))
}

fn note(folder: &Path, more: usize) -> Result<(), String> {
    let path = folder.join("starts");
    let before = fs::read_to_string(&path).unwrap_or_default();
    let before = before.trim().parse::<usize>().unwrap_or(0);
    fs::write(path, (before + more).to_string()).map_err(failed)
}

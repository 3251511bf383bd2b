//! A quarter of an hour of load, the sick channels included: what is kept for them must not add up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::rig::{CHANNELS, Rig, SHORT_CALLS, on_disk};
use super::sink::Sink;
use super::{RATE, doubled, sicken};
use crate::process::Effort;
use crate::table::Row;

const FULL: Duration = Duration::from_mins(15);
const EVERY: Duration = Duration::from_secs(5);
const MOST: u64 = 256 << 20;
/// After the first third: buffers and caches have their size by then.
const WARM: usize = 3;
const GROWTH: f64 = 0.05;
/// Samples whose middle one counts.
const WINDOW: usize = 12;

pub async fn row(effort: &Effort) -> Result<Row, String> {
    let lasts = effort.within.min(FULL);
    let place = tempfile::tempdir_in(on_disk()?).map_err(super::rig::failed)?;
    let sink = Arc::new(Sink::open(CHANNELS, &[]).await?);
    let mut rig = Rig::new(place.path(), &sink, SHORT_CALLS)?;
    rig.start()?;
    rig.ready().await?;
    sicken(&sink);
    let samples = {
        let load = load(&rig, lasts);
        let watch = watch(&rig, lasts);
        let (loaded, samples) = tokio::join!(load, watch);
        loaded?;
        samples
    };
    Ok(told(effort, &sink, &samples, lasts))
}

/// Half a minute of work.
const SHIFT: u32 = 72;

/// Comes in and is signed as it comes, as in an office: while one shift is signed the next one is submitted.
async fn load(rig: &Rig, lasts: Duration) -> Result<(), String> {
    let begun = Instant::now();
    let (mut from, mut ids) = (SHIFT, rig.submit(0, SHIFT).await?);
    while begun.elapsed() < lasts {
        let (_, next) = tokio::join!(rig.sign(&ids, RATE), rig.submit(from, SHIFT));
        ids = next?;
        from += SHIFT;
    }
    Ok(())
}

async fn watch(rig: &Rig, lasts: Duration) -> Vec<u64> {
    let begun = Instant::now();
    let mut samples = Vec::new();
    while begun.elapsed() < lasts {
        tokio::time::sleep(EVERY).await;
        samples.extend(rig.memory("VmRSS"));
    }
    samples
}

/// Between the window after the first third and the last one.
fn growth(samples: &[u64]) -> f64 {
    let window = WINDOW.min(samples.len() / WARM).max(1);
    let middle = |part: &[u64]| {
        let mut part = part.to_vec();
        part.sort_unstable();
        part.get(part.len() / 2).copied().unwrap_or(0)
    };
    let from = samples.len() / WARM;
    let early = middle(samples.get(from..from + window).unwrap_or_default());
    let late = middle(
        samples
            .get(samples.len().saturating_sub(window)..)
            .unwrap_or_default(),
    );
    let kilobytes = |bytes: u64| u32::try_from(bytes >> 10).map_or(f64::MAX, f64::from);
    kilobytes(late) / kilobytes(early).max(1.0) - 1.0
}

fn told(effort: &Effort, sink: &Sink, samples: &[u64], lasts: Duration) -> Row {
    let most = samples.iter().max().copied().unwrap_or(0);
    let growth = growth(samples);
    let mut broken = doubled(&sink.arrivals());
    if most == 0 || most >= MOST {
        broken.push(format!("{} MB", most >> 20));
    }
    if growth >= GROWTH {
        broken.push(format!(
            "it grew by {:.1} % after the first third",
            growth * 100.0
        ));
    }
    let minutes = samples.chunks(12).filter_map(|minute| minute.last());
    let minutes: Vec<String> = minutes.map(|bytes| (bytes >> 20).to_string()).collect();
    let mut notes = vec![
        format!("MB at each minute: {}", minutes.join(" ")),
        format!(
            "most {} MB, growth after the first third {:.1} %",
            most >> 20,
            growth * 100.0
        ),
    ];
    if lasts < FULL {
        notes.push(format!("CUT: {} s of {}", lasts.as_secs(), FULL.as_secs()));
    }
    Row {
        name: "memory",
        figure: format!(
            "{} s at {RATE:.0} deliveries/s, {} made",
            lasts.as_secs(),
            sink.applied()
        ),
        promise: "under 256 MB, and under 5 % more after minute 5",
        seed: effort.seed,
        broken,
        notes,
    }
}

#[cfg(test)]
mod tests {
    use super::growth;

    #[test]
    fn a_peak_at_the_beginning_is_no_growth_and_a_slope_is() {
        let flat: Vec<u64> = (0..180)
            .map(|at| if at < 30 { 200 << 20 } else { 100 << 20 })
            .collect();
        assert!(growth(&flat).abs() < 0.001);
        let slope: Vec<u64> = (0..180).map(|at| (100 << 20) + (at << 18)).collect();
        assert!(growth(&slope) > 0.1, "{}", growth(&slope));
    }
}

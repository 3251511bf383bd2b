//! Some channels hang, refuse or dawdle; the others must not notice.
//!
//! Pairs of runs: one without the sick ones, one with them. The latency of a delivery counts from the answer to the
//! signature to its first byte at the portal.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::rig::{CHANNELS, Rig, SHORT_CALLS, on_disk};
use super::sink::Sink;
use super::{HEALTHY, RATE, SLOW, doubled, heal, median, millis, quantile, real, sicken};
use crate::process::Effort;
use crate::table::Row;

/// What is not there by then does not count as delivered within the run.
const GRACE: Duration = Duration::from_secs(10);
const LEAST: f64 = 0.95;
const RATIO: f64 = 1.5;
const PAIRS: usize = 5;
/// [`RATE`], as a whole number.
const PACE: u64 = 120;
/// What a run takes beside its paced part.
const AROUND: Duration = Duration::from_secs(15);
/// With fewer, a p99 says nothing.
const LEAST_OF_ALL: u64 = 1_000;
const FULL: u64 = 20_000;

#[derive(Clone, Debug)]
struct Figures {
    delivered: f64,
    p50: Duration,
    p99: Duration,
    broken: Vec<String>,
}

pub async fn row(effort: &Effort) -> Result<Row, String> {
    let begun = Instant::now();
    let count = fitting(effort);
    let mut pairs: Vec<(Figures, Figures)> = Vec::new();
    let mut last = Duration::ZERO;
    while pairs.len() < PAIRS && (pairs.is_empty() || begun.elapsed() + last < effort.within) {
        let pair = Instant::now();
        let healthy = one(count, false).await?;
        let sick = one(count, true).await?;
        eprintln!(
            "isolation: p99 {:.0} ms, beside the sick {:.0} ms",
            millis(healthy.p99),
            millis(sick.p99)
        );
        pairs.push((healthy, sick));
        last = pair.elapsed();
    }
    Ok(told(effort, count, &pairs))
}

/// Deliveries of one run, so that every pair has its time.
fn fitting(effort: &Effort) -> u64 {
    let run = effort.within / (2 * u32::try_from(PAIRS).unwrap_or(1));
    let fits = run.saturating_sub(AROUND).as_secs() * PACE;
    effort.count.min((fits / 50 * 50).max(LEAST_OF_ALL))
}

async fn one(deliveries: u64, with_sick: bool) -> Result<Figures, String> {
    let items = u32::try_from(deliveries).unwrap_or(u32::MAX).div_ceil(50);
    let place = tempfile::tempdir_in(on_disk()?).map_err(super::rig::failed)?;
    let sink = Arc::new(Sink::open(CHANNELS, &[]).await?);
    let mut rig = Rig::new(place.path(), &sink, SHORT_CALLS)?;
    rig.start()?;
    rig.ready().await?;
    let ids = rig.submit(0, items).await?;
    if with_sick {
        sicken(&sink);
    }
    let signed = rig.sign(&ids, RATE).await;
    let over = Instant::now() + GRACE;
    let expected = HEALTHY * signed.iter().flatten().count();
    while Instant::now() < over && arrived(&sink) < expected {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut figures = measured(&sink, &signed);
    figures.broken = if with_sick {
        heal(&rig, &sink, ids.len()).await
    } else {
        doubled(&sink.arrivals())
    };
    let refused = signed.iter().filter(|one| one.is_none()).count();
    if refused > 0 {
        figures
            .broken
            .push(format!("{refused} signatures were not taken"));
    }
    Ok(figures)
}

fn arrived(sink: &Sink) -> usize {
    let arrivals = sink.arrivals();
    arrivals
        .iter()
        .filter(|one| one.applied && one.channel < HEALTHY)
        .count()
}

/// Only the channels that are well in both runs.
fn measured(sink: &Sink, signed: &[Option<Instant>]) -> Figures {
    let mut first: BTreeMap<(usize, u32), Instant> = BTreeMap::new();
    for one in sink.arrivals() {
        if let (Some(item), true) = (one.item, one.channel < HEALTHY && one.changes) {
            first.entry((one.channel, item)).or_insert(one.at);
        }
    }
    let mut times: Vec<Duration> = first
        .iter()
        .filter_map(|((_, item), at)| {
            let signed = signed.get(*item as usize).copied().flatten()?;
            Some(at.saturating_duration_since(signed))
        })
        .collect();
    times.sort();
    Figures {
        delivered: real(times.len()) / real(HEALTHY * signed.len()),
        p50: quantile(&times, 50),
        p99: quantile(&times, 99),
        broken: Vec::new(),
    }
}

fn told(effort: &Effort, count: u64, pairs: &[(Figures, Figures)]) -> Row {
    let delivered = median(pairs.iter().map(|(_, sick)| sick.delivered).collect());
    let ratios =
        |pair: &(Figures, Figures)| millis(pair.1.p99) / millis(pair.0.p99).max(f64::MIN_POSITIVE);
    let ratio = median(pairs.iter().map(ratios).collect());
    let mut broken: Vec<String> = pairs
        .iter()
        .flat_map(|(healthy, sick)| healthy.broken.iter().chain(&sick.broken).cloned())
        .collect();
    if delivered < LEAST {
        broken.push(format!(
            "the healthy delivered {:.1} % of what was due",
            delivered * 100.0
        ));
    }
    if ratio > RATIO {
        broken.push(format!("their p99 was {ratio:.2} times as long"));
    }
    let line = |name: &str, of: fn(&(Figures, Figures)) -> &Figures| {
        let all = pairs.iter().map(of);
        let each: Vec<String> = all
            .map(|one| format!("{:.1}/{:.1} ms", millis(one.p50), millis(one.p99)))
            .collect();
        format!("{name}: p50/p99 {}", each.join(", "))
    };
    let slow = SLOW.as_secs();
    Row {
        name: "isolation",
        figure: format!("{} deliveries at {RATE:.0}/s, {} pairs", count, pairs.len()),
        promise: "beside 15 sick of 50 the healthy deliver 95 %, p99 at most 1.5 times",
        seed: effort.seed,
        broken,
        notes: vec![
            line("without the sick", |pair| &pair.0),
            line("beside them", |pair| &pair.1),
            format!(
                "5 hang, 5 refuse, 5 answer after {slow} s: delivered {:.2} %, p99 {ratio:.2} times",
                delivered * 100.0
            ),
            cut(count, FULL, pairs.len(), PAIRS),
        ],
    }
}

/// Says so where a row did less than it promises.
fn cut(count: u64, full: u64, pairs: usize, all: usize) -> String {
    if count < full || pairs < all {
        format!("CUT: {count} of {full} deliveries, {pairs} of {all} pairs")
    } else {
        "at its full figures".to_owned()
    }
}

//! Told to stop in the middle of the load, with calls that never come back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::rig::{CHANNELS, Rig, on_disk};
use super::sink::Sink;
use super::{RATE, heal, sicken};
use crate::process::Effort;
use crate::table::Row;

const WITHIN: Duration = Duration::from_secs(25);
/// After that it is killed.
const PATIENCE: Duration = Duration::from_mins(1);
/// Items under way when it is told.
const ITEMS: u32 = 36;
const UNDER_LOAD: Duration = Duration::from_secs(10);

pub async fn row(effort: &Effort) -> Result<Row, String> {
    let begun = Instant::now();
    let (mut broken, mut took) = (Vec::new(), Vec::new());
    while (took.len() as u64) < effort.count && (took.is_empty() || begun.elapsed() < effort.within)
    {
        let (seconds, wrong) = one().await?;
        took.push(seconds);
        broken.extend(wrong);
    }
    let each: Vec<String> = took.iter().map(|seconds| format!("{seconds:.1}")).collect();
    Ok(Row {
        name: "stop",
        figure: format!("{} stops at {RATE:.0} deliveries/s", took.len()),
        promise: "it ends by itself within 25 s; nothing lost, nothing doubled",
        seed: effort.seed,
        broken,
        notes: vec![format!("ended after {} s", each.join(", "))],
    })
}

async fn one() -> Result<(f64, Vec<String>), String> {
    let place = tempfile::tempdir_in(on_disk()?).map_err(super::rig::failed)?;
    let sink = Arc::new(Sink::open(CHANNELS, &[]).await?);
    // Calls that hang outlast the stop: their time is a minute, as it is where nothing is configured.
    let mut rig = Rig::new(place.path(), &sink, "")?;
    rig.start()?;
    rig.ready().await?;
    let ids = rig.submit(0, ITEMS).await?;
    sicken(&sink);
    let signed = {
        let (signing, over) = (rig.sign(&ids, RATE), tokio::time::sleep(UNDER_LOAD));
        tokio::pin!(signing);
        tokio::select! {
            _ = &mut signing => None,
            () = over => Some(()),
        }
    };
    let mut broken = Vec::new();
    if signed.is_none() {
        broken.push("the load was over before the stop".to_owned());
    }
    let ended = rig.stop(PATIENCE).await?;
    let took = match ended {
        None => {
            broken.push("it did not end within a minute, and was killed".to_owned());
            PATIENCE
        }
        Some((status, took)) => {
            if !status.success() {
                broken.push(format!("it ended with {status}"));
            }
            if took > WITHIN {
                broken.push(format!("it took {:.1} s", took.as_secs_f64()));
            }
            took
        }
    };
    rig.start()?;
    rig.ready().await?;
    let signed = rig.sign_the_rest(&ids).await?;
    broken.extend(heal(&rig, &sink, signed).await);
    Ok((took.as_secs_f64(), broken))
}

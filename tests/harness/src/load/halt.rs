//! `lubu stop-sending` under load: from its answer to the last call that can begin.

use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::rig::{CHANNELS, Rig, SHORT_CALLS, failed, on_disk};
use super::sink::Sink;
use super::{RATE, heal, sicken};
use crate::process::Effort;
use crate::table::Row;

const WITHIN: Duration = Duration::from_secs(5);
/// How long is watched for what should not come.
const WATCHED: Duration = Duration::from_secs(20);
const UNDER_LOAD: Duration = Duration::from_secs(10);
const ITEMS: u32 = 60;

pub async fn row(effort: &Effort) -> Result<Row, String> {
    let begun = Instant::now();
    let (mut broken, mut last) = (Vec::new(), Vec::new());
    while (last.len() as u64) < effort.count && (last.is_empty() || begun.elapsed() < effort.within)
    {
        let (after, wrong) = one().await?;
        last.push(after);
        broken.extend(wrong);
    }
    let each: Vec<String> = last
        .iter()
        .map(|after| format!("{:.3}", after.as_secs_f64()))
        .collect();
    Ok(Row {
        name: "halt",
        figure: format!("{} orders at {RATE:.0} deliveries/s", last.len()),
        promise: "no call begins later than 5 s after `lubu stop-sending`",
        seed: effort.seed,
        broken,
        notes: vec![format!("the last one began after {} s", each.join(", "))],
    })
}

fn command(rig: &Rig, arguments: &[&str]) -> Result<(), String> {
    let status = rig.command(arguments).stdout(Stdio::null()).status();
    let status = status.map_err(failed)?;
    status
        .success()
        .then_some(())
        .ok_or_else(|| format!("lubu {} ended with {status}", arguments[0]))
}

async fn one() -> Result<(Duration, Vec<String>), String> {
    let place = tempfile::tempdir_in(on_disk()?).map_err(failed)?;
    let sink = Arc::new(Sink::open(CHANNELS, &[]).await?);
    let mut rig = Rig::new(place.path(), &sink, SHORT_CALLS)?;
    rig.start()?;
    rig.ready().await?;
    let ids = rig.submit(0, ITEMS).await?;
    sicken(&sink);
    // It goes on being signed while the order stands.
    let ordered = async {
        tokio::time::sleep(UNDER_LOAD).await;
        let before = sink.arrivals().len();
        tokio::task::block_in_place(|| {
            command(&rig, &["stop-sending", "--reason", "演练", "--by", "孙涛"])
        })?;
        Ok::<_, String>((Instant::now(), before))
    };
    let (signed, ordered) = tokio::join!(rig.sign(&ids, RATE), ordered);
    let (answered, before) = ordered?;
    tokio::time::sleep((answered + WATCHED).saturating_duration_since(Instant::now())).await;
    let mut broken = Vec::new();
    if before == 0 {
        broken.push("nothing was sent before the order".to_owned());
    }
    let arrivals = sink.arrivals();
    let later = arrivals
        .iter()
        .filter(|one| one.changes && one.at > answered);
    let last = later.map(|one| one.at - answered).max().unwrap_or_default();
    if last > WITHIN {
        broken.push(format!(
            "a call began {:.1} s after the order",
            last.as_secs_f64()
        ));
    }
    tokio::task::block_in_place(|| command(&rig, &["resume-sending", "--by", "孙涛"]))?;
    let taken = signed.iter().flatten().count();
    if taken < ids.len() {
        broken.push(format!(
            "{} signatures were not taken while it stood",
            ids.len() - taken
        ));
    }
    broken.extend(heal(&rig, &sink, taken).await);
    Ok((last, broken))
}

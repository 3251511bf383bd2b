//! How fast signed-off items fan out, beside a bare client in the same run.
//!
//! `cargo bench --bench fanout [-- --items 2000 --lane 16 --folder DIR]`. N items of 4 KB go to 4 channels on
//! a loopback sink: the real daemon, every act synced in the journal and applied to sled, on a real
//! disk. Then a bare reqwest client sends the same bodies to the same sink, equally many in flight.
//! The last line is `ratio: 0.00`.

#![expect(clippy::expect_used, reason = "a benchmark that cannot measure stops")]

mod sink;
mod sinkhole;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lubu::daemon::{self, Daemon};
use lubu::ids::ItemId;
use lubu::intake::{Handed, Submission};
use lubu::service::{Approve, Submit};
use lubu_channels::kit::http::{Http, HttpOptions};
use lubu_channels::{Request, Transport};
use sink::Sink;
use tokio::task::JoinSet;

const CHANNELS: usize = 4;
const LOW_RATE: usize = 200;

struct Plan {
    items: usize,
    /// So many at a time on each channel.
    lane: usize,
    folder: PathBuf,
}

impl Plan {
    fn in_flight(&self) -> usize {
        CHANNELS * self.lane
    }
}

fn plan() -> Plan {
    let args: Vec<String> = std::env::args().collect();
    let after = |name: &str| {
        args.iter()
            .position(|arg| arg == name)
            .and_then(|at| args.get(at + 1))
            .cloned()
    };
    let number = |name: &str, otherwise: usize| {
        after(name).map_or(otherwise, |text| text.parse().expect("a number"))
    };
    let items = number("--items", 2_000);
    let lane = number("--lane", 16);
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
    let folder = after("--folder").map_or_else(|| PathBuf::from(target), PathBuf::from);
    Plan {
        items,
        lane,
        folder,
    }
}

#[tokio::main]
async fn main() {
    let plan = plan();
    refuse_memory(&plan.folder);
    let sink = Sink::start().await;
    println!(
        "{} items of 4 KB to {CHANNELS} channels, {} in flight, on {}",
        plan.items,
        plan.in_flight(),
        plan.folder.display()
    );

    let kept = fan_out(&plan, &sink, "idempotent").await;
    let bare = bare(&plan, &sink, false).await;
    let public = fan_out(&plan, &sink, "public").await;
    let bare_fresh = self::bare(&plan, &sink, true).await;
    latency(&plan, &sink).await;

    println!(
        "peak RSS of this process, sink and bare client included: {} MB",
        peak_rss_mb()
    );
    println!("disk per delivery: {} bytes", kept.disk_per_delivery);
    println!(
        "public steps on fresh connections: {:.0} deliveries/s, bare {bare_fresh:.0}/s, ratio {:.2}",
        public.rate,
        public.rate / bare_fresh
    );
    println!(
        "idempotent steps, keep-alive: {:.0} deliveries/s, bare {bare:.0}/s",
        kept.rate
    );
    println!("ratio: {:.2}", kept.rate / bare);
}

struct Fanned {
    rate: f64,
    disk_per_delivery: u64,
}

async fn fan_out(plan: &Plan, sink: &Sink, effect: &str) -> Fanned {
    let folder = tempfile::tempdir_in(&plan.folder).expect("a folder");
    let daemon = start(plan, folder.path(), sink, effect).await;
    let items = hand_in(plan, &daemon, plan.items).await;
    let before = sink.count();
    let started = Instant::now();
    let mut signing = JoinSet::new();
    for item in items {
        while signing.len() >= plan.in_flight() {
            signing.join_next().await;
        }
        let service = Arc::clone(&daemon.service);
        signing.spawn(async move { service.approve(approval(item)).await.map(|_| ()) });
    }
    while let Some(done) = signing.join_next().await {
        done.expect("no panic").expect("approved");
    }
    let signed = started.elapsed();
    sink.reached(before + plan.items * CHANNELS).await;
    while !daemon
        .service
        .store
        .unsettled()
        .await
        .expect("readable")
        .is_empty()
    {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let took = started.elapsed();
    let deliveries = plan.items * CHANNELS;
    println!(
        "{effect}: {deliveries} deliveries in {:.2} s, all approvals signed after {:.2} s",
        took.as_secs_f64(),
        signed.as_secs_f64()
    );
    daemon.stop().await;
    let bytes = disk(folder.path());
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let rate = deliveries as f64 / took.as_secs_f64();
    Fanned {
        rate,
        disk_per_delivery: bytes / deliveries as u64,
    }
}

async fn start(plan: &Plan, folder: &Path, sink: &Sink, effect: &str) -> Daemon {
    let mut text = format!(
        "[daemon]\ndata = \"{}\"\nlisten = \"\"\nsocket = \"{}\"\n[office]\nname = \"Office\"\n",
        folder.join("data").display(),
        folder.join("s").display()
    );
    for at in 0..CHANNELS {
        text.push_str(&format!(
            "[[channel]]\nname = \"sink-{at}\"\nadapter = \"sink\"\nendpoint = \"{}\"\neffect = \"{effect}\"\nconcurrency = {}\n",
            sink.url(),
            plan.lane
        ));
    }
    let config = lubu::config::parse(&text, None, folder, &sinkhole::registry(), &|_| None)
        .unwrap_or_else(|bad| panic!("{bad}"));
    daemon::start(config)
        .await
        .unwrap_or_else(|why| panic!("{why}"))
}

async fn hand_in(plan: &Plan, daemon: &Daemon, count: usize) -> Vec<ItemId> {
    let mut items = Vec::new();
    let mut tasks = JoinSet::new();
    for at in 0..count {
        while tasks.len() >= plan.in_flight() {
            items.push(tasks.join_next().await.expect("one").expect("no panic"));
        }
        let service = Arc::clone(&daemon.service);
        tasks.spawn(async move {
            let body = prose(at);
            let text = format!("+++\ntitle = \"Item {at}\"\ncategory = \"0605\"\nscope = \"public\"\n+++\n\n{body}\n\nNo. {at}\n");
            let file = Handed { path: "item.md".into(), bytes: text.into_bytes() };
            let submission = Submission { main: 0, files: vec![file] };
            let submit =
                Submit { submission, by: "clerk".into(), from: "api", key: None, again: false };
            service.submit(submit).await.unwrap_or_else(|why| panic!("{:?}", why.problem())).accepted.item
        });
    }
    while let Some(item) = tasks.join_next().await {
        items.push(item.expect("no panic"));
    }
    items
}

/// 4 KB of characters without sense, so that nothing gains by compressing them.
fn prose(seed: usize) -> String {
    let mut state = u32::try_from(seed).unwrap_or(7) ^ 0x9e37_79b9;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from_u32(0x4e00 + (state >> 8) % 0x5000).unwrap_or('字')
    };
    (0..1_360).map(|_| next()).collect()
}

fn approval(item: ItemId) -> Approve {
    Approve {
        item,
        revision: None,
        scope: None,
        by: "leader".into(),
        opinion: String::new(),
        choices: Vec::new(),
        without: Vec::new(),
        from: "api",
    }
}

/// The same bodies from a client that keeps nothing.
async fn bare(plan: &Plan, sink: &Sink, fresh: bool) -> f64 {
    let (count, lanes) = (plan.items * CHANNELS, plan.in_flight());
    let http = Arc::new(Http::new(&HttpOptions::default()).expect("a client"));
    let body = Arc::new(vec![b'x'; 4_096]);
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for lane in 0..lanes {
        let (http, body, url) = (Arc::clone(&http), Arc::clone(&body), sink.url());
        let share = count / lanes + usize::from(lane < count % lanes);
        tasks.spawn(async move {
            for _ in 0..share {
                http.send(request(&url, body.as_ref().clone(), fresh))
                    .await
                    .expect("an answer");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("no panic");
    }
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let rate = count as f64 / started.elapsed().as_secs_f64();
    rate
}

fn request(url: &str, body: Vec<u8>, fresh: bool) -> Request {
    let request = Request::new(http::Method::POST, url).body("application/json", body);
    if fresh { request.fresh() } else { request }
}

/// From the call that approves to the first byte that arrives, one at a time.
async fn latency(plan: &Plan, sink: &Sink) {
    let folder = tempfile::tempdir_in(&plan.folder).expect("a folder");
    let daemon = start(plan, folder.path(), sink, "idempotent").await;
    let items = hand_in(plan, &daemon, LOW_RATE).await;
    let mut ours = Vec::new();
    for item in items {
        sink.arm();
        let before = sink.count();
        let started = Instant::now();
        daemon
            .service
            .approve(approval(item))
            .await
            .expect("approved");
        sink.reached(before + CHANNELS).await;
        ours.push(sink.first().duration_since(started));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    daemon.stop().await;
    let syncs = syncs(&plan.folder);
    let http = Http::new(&HttpOptions::default()).expect("a client");
    let mut requests = Vec::new();
    for _ in 0..LOW_RATE {
        let started = Instant::now();
        http.send(request(&sink.url(), vec![b'x'; 4_096], false))
            .await
            .expect("an answer");
        requests.push(started.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (ours, syncs, requests) = (quantiles(ours), quantiles(syncs), quantiles(requests));
    println!(
        "approval to first byte: p50 {:.2} ms, p99 {:.2} ms",
        ours.0, ours.1
    );
    println!(
        "one fdatasync: p50 {:.2} ms, p99 {:.2} ms; one bare request: p50 {:.2} ms, p99 {:.2} ms",
        syncs.0, syncs.1, requests.0, requests.1
    );
    println!(
        "p99 is {:.1} times (p99 of fdatasync plus p99 of a request)",
        ours.1 / (syncs.1 + requests.1)
    );
}

fn syncs(folder: &Path) -> Vec<Duration> {
    use std::io::Write as _;
    let mut file = tempfile::tempfile_in(folder).expect("a file");
    let mut times = Vec::new();
    for _ in 0..LOW_RATE {
        file.write_all(&[7; 4_096]).expect("written");
        let started = Instant::now();
        file.sync_data().expect("synced");
        times.push(started.elapsed());
        #[expect(
            clippy::disallowed_methods,
            reason = "a pace, not a wait for something"
        )]
        std::thread::sleep(Duration::from_millis(5));
    }
    times
}

/// p50 and p99 in milliseconds.
fn quantiles(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1000.0;
    (at(50), at(99))
}

fn peak_rss_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kb = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kb.unwrap_or_default() / 1024
}

/// What the folder takes on the disk, without what is set aside in advance.
fn disk(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let mut open = vec![folder.to_path_buf()];
    let mut bytes = 0;
    while let Some(path) = open.pop() {
        let Ok(meta) = path.symlink_metadata() else {
            continue;
        };
        if meta.is_dir() {
            open.extend(
                std::fs::read_dir(&path)
                    .into_iter()
                    .flatten()
                    .flatten()
                    .map(|e| e.path()),
            );
        } else if path.file_name().is_some_and(|name| name != "ballast") {
            bytes += meta.blocks() * 512;
        }
    }
    bytes
}

/// Memory pretends that a sync costs nothing.
fn refuse_memory(folder: &Path) {
    const TMPFS: i64 = 0x0102_1994;
    std::fs::create_dir_all(folder).expect("a folder");
    let stat = rustix::fs::statfs(folder).expect("a file system");
    assert!(
        stat.f_type != TMPFS,
        "{} is in memory: name a disk by --folder",
        folder.display()
    );
}

//! A million records rebuilt. Ignored: it measures, and claims nothing.

use std::time::Instant;

use super::super::*;
use super::kit::{Act, Bench};

const ITEMS: u32 = 1_000_000;

#[test]
#[ignore = "a measurement: run it with --release --nocapture"]
fn a_million_finished_items_are_rebuilt() {
    let mut bench = Bench::new();
    bench.options.segment_bytes = 64 * 1024 * 1024;
    bench.options.cache_bytes = 128 * 1024 * 1024;
    bench.options.checkpoint_bytes = 1024 * 1024 * 1024;
    let (store, _) = bench.open();
    let begun = Instant::now();
    let mut waiting = Vec::new();
    for n in 0..ITEMS {
        // As large as a finished item with its deliveries, and as little alike.
        let mut value = vec![0; 600];
        blake3::Hasher::new()
            .update(&n.to_le_bytes())
            .finalize_xof()
            .fill(&mut value[..300]);
        let key = format!("i{:016x}", u64::from(n) << 12);
        waiting.push(store.submit(Act::Put(Class::Intake, key, value)).unwrap());
        if waiting.len() == 4096 {
            for answer in waiting.drain(..) {
                answer.blocking_recv().unwrap().unwrap();
            }
        }
    }
    for answer in waiting {
        answer.blocking_recv().unwrap().unwrap();
    }
    println!("written in {:.1} s", begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    store.care_blocking(Deed::Base).unwrap();
    println!("base made in {:.1} s", begun.elapsed().as_secs_f64());
    store.close_blocking();
    for reason in ["from the base", "from the journal alone"] {
        if reason.ends_with("alone") {
            std::fs::remove_dir_all(bench.folder().join("base")).unwrap();
        }
        forget_state(&bench.options).unwrap();
        let begun = Instant::now();
        let (store, opened) = bench.open();
        println!(
            "{reason}: {:.1} s, base {:?}",
            begun.elapsed().as_secs_f64(),
            opened.base
        );
        store.close_blocking();
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM"));
    println!("{}", peak.unwrap_or_default());
}

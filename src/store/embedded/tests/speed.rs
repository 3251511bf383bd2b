//! How fast acts go through. Ignored: it measures, and claims nothing.

use std::time::Instant;

use super::kit::{Bench, put};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: run it with --release --nocapture"]
async fn acts_per_second_at_64_in_flight() {
    let mut bench = Bench::new();
    bench.options.segment_bytes = 64 * 1024 * 1024;
    bench.options.cache_bytes = 128 * 1024 * 1024;
    let (store, _) = bench.open();
    let value = "x".repeat(200);
    let started = Instant::now();
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let (store, value) = (store.clone(), value.clone());
            tokio::spawn(async move {
                for n in 0..500 {
                    store
                        .act(put(&format!("d/{task:02}/{n:05}"), &value))
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{:.0} acts a second", 32_000.0 / seconds);
    store.close().await;
}

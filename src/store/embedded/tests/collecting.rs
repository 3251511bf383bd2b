//! Blobs that no record names any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::super::*;
use super::kit::{Bench, Script, put};

const DAY: i64 = 86_400_000;

/// Now, since a file's own time is what it is.
#[expect(
    clippy::disallowed_methods,
    reason = "a blob's age is that of its file"
)]
fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

fn bench() -> (Bench, Arc<AtomicI64>) {
    let mut bench = Bench::new();
    let time = bench.stand_clock(now());
    (bench, time)
}

fn there(store: &Store<super::kit::Pairs>, bytes: &[u8]) -> bool {
    store.blobs().get_blocking(BlobHash::of(bytes)).is_ok()
}

fn write(store: &Store<super::kit::Pairs>, bytes: &[u8]) -> BlobHash {
    store.blobs().put_blocking(bytes).unwrap().hash()
}

#[test]
fn what_no_record_names_goes_after_a_week_and_what_one_names_stays() {
    let (bench, time) = bench();
    let (store, _) = bench.open();
    let inner = write(&store, b"named by a blob");
    let outer = write(&store, inner.to_string().as_bytes());
    store
        .act_blocking(put("record", &outer.to_string()))
        .unwrap();
    write(&store, b"nobody's");
    time.fetch_add(7 * DAY - 60_000, Ordering::Relaxed);
    assert_eq!(store.care_blocking(Deed::Collect).unwrap(), 0);
    time.fetch_add(120_000, Ordering::Relaxed);
    assert_eq!(store.care_blocking(Deed::Collect).unwrap(), 1);
    assert!(!there(&store, b"nobody's"));
    assert!(there(&store, b"named by a blob") && there(&store, inner.to_string().as_bytes()));
    store.close_blocking();
    assert_eq!(bench.own_acts(), ["collect 1"]);
}

#[test]
fn a_record_that_goes_lets_its_blob_go() {
    let (bench, time) = bench();
    let (store, _) = bench.open();
    let hash = write(&store, b"once needed");
    store
        .act_blocking(put("record", &hash.to_string()))
        .unwrap();
    time.fetch_add(8 * DAY, Ordering::Relaxed);
    assert_eq!(store.care_blocking(Deed::Collect).unwrap(), 0);
    store.act_blocking(put("record", "nothing")).unwrap();
    assert_eq!(store.care_blocking(Deed::Collect).unwrap(), 1);
}

#[test]
fn a_pinned_blob_is_spared_however_old_it_is() {
    let (bench, time) = bench();
    let (store, _) = bench.open();
    let pin = store.blobs().put_blocking(b"about to be named").unwrap();
    time.fetch_add(400 * DAY, Ordering::Relaxed);
    assert_eq!(store.care_blocking(Deed::Collect).unwrap(), 0);
    drop(pin);
    assert_eq!(store.care_blocking(Deed::Collect).unwrap(), 1);
}

#[test]
fn a_lent_pin_lasts_until_a_record_that_names_the_blob_was_seen() {
    let (bench, time) = bench();
    let (store, _) = bench.open();
    write(&store, b"old");
    time.fetch_add(8 * DAY, Ordering::Relaxed);
    // The same bytes come again, and the act that names them is still to come.
    store.lend(store.blobs().put_blocking(b"old").unwrap());
    assert_eq!(store.care_blocking(Deed::Collect).unwrap(), 0);
    store
        .act_blocking(put("record", &BlobHash::of(b"old").to_string()))
        .unwrap();
    time.fetch_add(2 * DAY, Ordering::Relaxed);
    assert_eq!(store.care_blocking(Deed::Collect).unwrap(), 0);
    assert!(!store.blobs().is_pinned(BlobHash::of(b"old")));
    assert!(there(&store, b"old"));
}

#[test]
fn a_blob_pinned_since_the_collection_began_is_spared_even_if_the_pin_is_gone_again() {
    let gate = Script::new(|_| Verdict::Go);
    let mut bench = Bench::gated(&gate);
    let time = bench.stand_clock(now());
    let (store, _) = bench.open();
    let hash = write(&store, b"found and named meanwhile");
    time.fetch_add(8 * DAY, Ordering::Relaxed);
    let blobs = store.blobs().clone();
    let mut once = Some(());
    // The collection's own entry is being written: the scan is over, nothing is removed yet.
    gate.set(move |op| {
        if matches!(op, Op::Step(Step::Written)) && once.take().is_some() {
            drop(blobs.pin(hash));
        }
        Verdict::Go
    });
    assert_eq!(store.care_blocking(Deed::Collect).unwrap(), 0);
    assert!(there(&store, b"found and named meanwhile"));
}

#[test]
fn nothing_is_collected_while_the_clock_is_suspect() {
    let (mut bench, time) = bench();
    let suspect = Arc::new(AtomicBool::new(true));
    let doubt = Arc::clone(&suspect);
    bench.options.clock_suspect = Arc::new(move || doubt.load(Ordering::Relaxed));
    let (store, _) = bench.open();
    write(&store, b"nobody's");
    time.fetch_add(8 * DAY, Ordering::Relaxed);
    assert_eq!(store.care_blocking(Deed::Collect).unwrap(), 0);
    suspect.store(false, Ordering::Relaxed);
    assert_eq!(store.care_blocking(Deed::Collect).unwrap(), 1);
}

#[test]
fn nothing_is_collected_when_it_cannot_be_said_what_is_named() {
    let (bench, time) = bench();
    let (store, _) = bench.open();
    store
        .act_blocking(put("record", &BlobHash::of(b"missing").to_string()))
        .unwrap();
    write(&store, b"perhaps named by the missing one");
    time.fetch_add(8 * DAY, Ordering::Relaxed);
    assert!(store.care_blocking(Deed::Collect).is_err());
    assert!(there(&store, b"perhaps named by the missing one"));
}

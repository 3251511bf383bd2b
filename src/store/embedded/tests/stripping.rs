//! Old segments: compressed, stripped, retired.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::super::*;
use super::kit::{Bench, all, fill, flip};

const DAY: i64 = 86_400_000;
const START: i64 = 1_700_000_000_000;

/// Every byte that the journal holds, unpacked.
fn journal(bench: &Bench) -> Vec<u8> {
    let mut bytes = Vec::new();
    for name in bench.names("journal") {
        let file = fs::read(bench.folder().join("journal").join(&name)).unwrap();
        if file.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            bytes.extend(zstd::stream::decode_all(file.as_slice()).unwrap());
        } else {
            bytes.extend(file);
        }
    }
    bytes
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

/// Eight acts, a base, eight acts, a base, eight acts.
fn with_two_bases(bench: &Bench) -> Store<super::kit::Pairs> {
    let (store, _) = bench.open();
    fill(&store, 0, 8);
    store.care_blocking(Deed::Base).unwrap();
    fill(&store, 100, 8);
    store.care_blocking(Deed::Base).unwrap();
    fill(&store, 200, 8);
    store
}

#[test]
fn segments_older_than_two_bases_lose_their_redo_and_the_chain_still_verifies() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    fill(&store, 0, 8);
    store.care_blocking(Deed::Base).unwrap();
    store.look_blocking();
    let before = audit::verify(bench.folder()).unwrap();
    assert!(holds(&journal(&bench), "0000000003"), "one base is not two");
    fill(&store, 100, 8);
    store.care_blocking(Deed::Base).unwrap();
    store.look_blocking();
    let bytes = journal(&bench);
    assert!(!holds(&bytes, "0000000003") && holds(&bytes, "0000000103"));
    let after = audit::verify(bench.folder()).unwrap();
    assert_eq!(after.entries, before.entries + 8 + 2);
    let mut entries = Vec::new();
    audit::entries(bench.folder(), 1, &mut |stamp, header| {
        entries.push((stamp.sequence, header.who));
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(entries[2], (3, "u1".to_owned()), "headers stay");
    assert_eq!(
        store.care_blocking(Deed::Strip).unwrap(),
        0,
        "once is enough"
    );
}

#[test]
fn a_stripped_journal_still_rebuilds_even_when_the_newest_base_is_damaged() {
    let bench = Bench::new();
    let store = with_two_bases(&bench);
    store.care_blocking(Deed::Strip).unwrap();
    let before = all(&store);
    store.close_blocking();
    let newest = bench.names("base").pop().unwrap();
    flip(&bench.folder().join("base").join(newest), 300);
    fs::remove_dir_all(bench.folder().join("sled")).unwrap();
    let (store, opened) = bench.open();
    assert_eq!(opened.base, Some(8));
    assert_eq!(all(&store), before);
}

#[test]
fn nothing_is_stripped_while_one_of_the_two_bases_is_damaged() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    fill(&store, 0, 8);
    store.care_blocking(Deed::Base).unwrap();
    let oldest = bench.names("base").remove(0);
    flip(&bench.folder().join("base").join(oldest), 300);
    fill(&store, 100, 8);
    store.care_blocking(Deed::Base).unwrap();
    assert!(store.care_blocking(Deed::Strip).is_err());
    assert!(holds(&journal(&bench), "0000000003"));
}

#[test]
fn a_changed_byte_of_a_stripped_segment_is_named() {
    let bench = Bench::new();
    let store = with_two_bases(&bench);
    store.care_blocking(Deed::Strip).unwrap();
    store.close_blocking();
    let path = bench.segment(1).with_extension("log.zst");
    let mut bytes = zstd::stream::decode_all(fs::File::open(&path).unwrap()).unwrap();
    let at = bytes.len() - 50;
    bytes[at] ^= 1;
    fs::write(
        &path,
        zstd::stream::encode_all(bytes.as_slice(), 1).unwrap(),
    )
    .unwrap();
    let Err(audit::Unverified::Broken(damage)) = audit::verify(bench.folder()) else {
        panic!("it must be noticed");
    };
    assert_eq!(damage.segment, 1);
}

/// Stripped at `START`; then so many days later, once with a doubtful clock.
fn retired_after(days: i64, keep: Option<u64>) -> (Bench, u64) {
    let mut bench = Bench::new();
    let suspect = Arc::new(AtomicBool::new(true));
    let time = bench.stand_clock(START);
    if let Some(keep) = keep {
        bench.options.keep_audit = Duration::from_hours(keep * 24);
    }
    let doubt = Arc::clone(&suspect);
    bench.options.clock_suspect = Arc::new(move || doubt.load(Ordering::Relaxed));
    let store = with_two_bases(&bench);
    store.care_blocking(Deed::Strip).unwrap();
    time.fetch_add(days * DAY, Ordering::Relaxed);
    assert_eq!(
        store.care_blocking(Deed::Retire).unwrap(),
        0,
        "the clock is suspect"
    );
    suspect.store(false, Ordering::Relaxed);
    let gone = store.care_blocking(Deed::Retire).unwrap();
    store.close_blocking();
    (bench, gone)
}

#[test]
fn the_audit_log_goes_back_three_years_and_then_its_oldest_segments_go() {
    assert_eq!(retired_after(3 * 365, None).1, 0);
    let (bench, gone) = retired_after(3 * 365 + 1, None);
    assert_eq!(gone, 2);
    let verified = audit::verify(bench.folder()).unwrap();
    assert_eq!((verified.retired, verified.entries), (2, 21));
    assert!(bench.own_acts().contains(&"retire 2 8".to_owned()));
    fs::remove_dir_all(bench.folder().join("sled")).unwrap();
    assert_eq!(all(&bench.open().0).len(), 24);
}

#[test]
fn the_audit_log_is_never_kept_for_less_than_180_days() {
    assert_eq!(retired_after(180, Some(1)).1, 0);
    assert_eq!(retired_after(181, Some(1)).1, 2);
}

#[test]
fn a_segment_that_is_gone_without_an_entry_that_says_so_is_damage() {
    let bench = Bench::new();
    let store = with_two_bases(&bench);
    store.close_blocking();
    fs::remove_file(bench.segment(1).with_extension("log.zst")).unwrap();
    let Err(audit::Unverified::Broken(damage)) = audit::verify(bench.folder()) else {
        panic!("it must be noticed");
    };
    assert_eq!((damage.segment, damage.why), (1, Flaw::SegmentMissing));
}

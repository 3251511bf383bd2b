//! Bases: what a rebuild begins at, and how they are made.

use std::fs;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use super::super::*;
use super::kit::{Act, Bench, Pairs, all, fill, flip, put, settle};

fn remove(store: &Store<Pairs>, key: &str) {
    store.act_blocking(Act::Remove(key.to_owned())).unwrap();
}

fn base(bench: &Bench, sequence: u64) -> std::path::PathBuf {
    bench.folder().join(format!("base/{sequence:020}.base"))
}

/// Two bases: the first at 20, the second at 25, and one act behind it.
fn with_two() -> Bench {
    let bench = Bench::new();
    let (store, _) = bench.open();
    fill(&store, 0, 20);
    assert_eq!(store.care_blocking(Deed::Base).unwrap(), 20);
    remove(&store, "k0003");
    fill(&store, 15, 2);
    assert_eq!(store.care_blocking(Deed::Base).unwrap(), 25);
    store.act_blocking(put("late", "x")).unwrap();
    store.close_blocking();
    bench
}

#[test]
fn a_rebuild_begins_at_the_newest_base_and_gives_the_state_that_was() {
    let bench = with_two();
    let (store, _) = bench.open();
    let before = all(&store);
    assert_eq!(before.len(), 20);
    store.close_blocking();
    fs::remove_dir_all(bench.folder().join("sled")).unwrap();
    let (store, opened) = bench.open();
    assert_eq!((opened.base, opened.replayed), (Some(25), 3));
    assert_eq!(all(&store), before);
}

#[test]
fn a_base_merged_from_many_runs_is_the_same_as_one_from_a_single_run() {
    let mut bench = Bench::new();
    bench.options.run_bytes = 1;
    let (store, _) = bench.open();
    fill(&store, 0, 12);
    fill(&store, 3, 4);
    remove(&store, "k0005");
    store.care_blocking(Deed::Base).unwrap();
    let before = all(&store);
    store.close_blocking();
    assert_eq!(bench.names("base").len(), 1, "runs must not stay");
    fs::remove_dir_all(bench.folder().join("sled")).unwrap();
    let (store, opened) = bench.open();
    assert_eq!(opened.base, Some(17));
    assert_eq!(all(&store), before);
}

#[test]
fn a_base_is_never_made_from_sled() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    store.act_blocking(put("key", "said")).unwrap();
    store.close_blocking();
    let db = sled::open(bench.folder().join("sled")).unwrap();
    db.insert("key", "invented").unwrap();
    db.flush().unwrap();
    drop(db);
    let (store, opened) = bench.open();
    assert_eq!(opened.rebuilt, None);
    assert_eq!(all(&store)["key"], b"invented");
    store.care_blocking(Deed::Base).unwrap();
    store.close_blocking();
    fs::remove_dir_all(bench.folder().join("sled")).unwrap();
    let (store, opened) = bench.open();
    assert_eq!(opened.base, Some(1));
    assert_eq!(all(&store)["key"], b"said");
}

#[test]
fn making_a_base_closes_the_open_segment_and_journals_its_hash() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    store.act_blocking(put("a", "x")).unwrap();
    assert_eq!(store.status().unwrap().segments, 2, "one and its spare");
    store.care_blocking(Deed::Base).unwrap();
    assert_eq!(store.status().unwrap().segments, 3);
    store.close_blocking();
    let bytes = fs::read(base(&bench, 1)).unwrap();
    let hash = blake3::Hash::from_slice(&bytes[bytes.len() - 32..]).unwrap();
    let acts = bench.own_acts();
    assert_eq!(
        acts,
        ["close 1".to_owned(), format!("base 1 {}", hash.to_hex())]
    );
    assert_eq!(audit::verify(bench.folder()).unwrap().entries, 3);
}

#[test]
fn the_newest_two_bases_stay() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    for n in 0..4 {
        fill(&store, n, 1);
        store.care_blocking(Deed::Base).unwrap();
    }
    store.close_blocking();
    assert_eq!(
        bench.names("base"),
        ["00000000000000000007.base", "00000000000000000010.base"]
    );
}

#[test]
fn a_base_whose_checksum_is_wrong_is_reported_and_the_one_before_is_used() {
    let bench = with_two();
    flip(&base(&bench, 25), 300);
    fs::remove_dir_all(bench.folder().join("sled")).unwrap();
    let (store, opened) = bench.open();
    assert_eq!((opened.base, opened.replayed), (Some(20), 8));
    let bad: Vec<_> = opened.bad_bases.iter().map(|bad| bad.sequence).collect();
    assert_eq!(bad, [25]);
    assert_eq!(all(&store).len(), 20);
}

#[test]
fn every_flipped_bit_of_a_base_is_noticed() {
    let bench = with_two();
    let path = base(&bench, 25);
    let good = fs::read(&path).unwrap();
    for at in (0..good.len())
        .step_by(41)
        .chain(good.len() - 60..good.len())
    {
        let mut bad = good.clone();
        bad[at] ^= 4;
        fs::write(&path, bad).unwrap();
        let (found, bad) = base::newest(bench.folder(), u64::MAX, |_| true).unwrap();
        let found = found.unwrap().head.position.sequence;
        assert_eq!((found, bad.len()), (20, 1), "byte {at}");
    }
}

#[test]
fn without_any_good_base_the_whole_journal_is_read() {
    let bench = with_two();
    for sequence in [20, 25] {
        flip(&base(&bench, sequence), 300);
    }
    fs::remove_dir_all(bench.folder().join("sled")).unwrap();
    let (store, opened) = bench.open();
    assert_eq!((opened.base, opened.replayed), (None, 28));
    assert_eq!(all(&store).len(), 20);
}

#[test]
fn a_base_of_another_history_is_not_believed() {
    let bench = with_two();
    let other = Bench::new();
    fs::remove_dir(other.folder()).unwrap_or_default();
    super::kit::copy_folder(bench.folder(), other.folder()).unwrap();
    // The copy goes another way from entry 27 on and makes a base of it.
    let (store, _) = other.open();
    fill(&store, 90, 2);
    let at = store.care_blocking(Deed::Base).unwrap();
    store.close_blocking();
    let (store, _) = bench.open();
    fill(&store, 70, 4);
    store.close_blocking();
    fs::copy(base(&other, at), base(&bench, at)).unwrap();
    fs::remove_dir_all(bench.folder().join("sled")).unwrap();
    let (store, opened) = bench.open();
    assert_eq!(opened.base, Some(25));
    assert_eq!(opened.bad_bases.len(), 1);
    assert!(all(&store).contains_key("k0073") && !all(&store).contains_key("k0090"));
}

#[test]
fn damage_older_than_the_newest_base_does_not_keep_the_store_shut() {
    let bench = with_two();
    fs::remove_file(bench.segment(2).with_extension("log.zst")).unwrap();
    fs::remove_dir_all(bench.folder().join("sled")).unwrap();
    let (store, opened) = bench.open();
    assert_eq!(opened.base, Some(25));
    assert_eq!(all(&store).len(), 20);
    store.close_blocking();
    let Err(audit::Unverified::Broken(damage)) = audit::verify(bench.folder()) else {
        panic!("it is damage all the same");
    };
    assert_eq!((damage.segment, damage.why), (2, Flaw::SegmentMissing));
}

/// Holds whoever syncs the merged file until it is let go; everybody else passes.
struct Barrier {
    arrived: Mutex<Sender<()>>,
    open: Mutex<Receiver<()>>,
}

impl Gate for Barrier {
    fn before(&self, op: &Op<'_>) -> Verdict {
        if matches!(op, Op::Sync { path } if path.ends_with("base/merged.tmp")) {
            self.arrived.lock().unwrap().send(()).unwrap();
            // Let go by a word, or by nobody being there any more.
            let _ = self.open.lock().unwrap().recv();
        }
        Verdict::Go
    }

    fn after(&self, _: &Op<'_>) {}

    fn free(&self) -> Option<u64> {
        None
    }
}

#[test]
fn acts_and_checkpoints_go_on_while_a_base_is_made() {
    let (arrived, arrival) = channel();
    let (open, opened) = channel();
    let mut bench = Bench::new();
    bench.options.disk = Disk::gated(Arc::new(Barrier {
        arrived: Mutex::new(arrived),
        open: Mutex::new(opened),
    }));
    let (store, _) = bench.open();
    fill(&store, 0, 3);
    let maker = {
        let store = store.clone();
        std::thread::spawn(move || store.care_blocking(Deed::Base))
    };
    arrival.recv().unwrap();
    let stamp = store.act_blocking(settle("meanwhile", "x")).unwrap();
    store.checkpoint_blocking();
    assert_eq!(store.status().unwrap().checkpoint, Some(stamp.sequence));
    open.send(()).unwrap();
    assert_eq!(maker.join().unwrap().unwrap(), 3);
}

#[test]
fn a_base_is_made_when_the_segments_since_weigh_more_than_it() {
    let mut bench = Bench::new();
    bench.options.base_bytes = 3 * bench.options.segment_bytes;
    let (store, _) = bench.open();
    // The segments are looked at when they are closed, one after the other; the last chore waits for all of them.
    fill(&store, 0, 18);
    assert_eq!(store.care_blocking(Deed::Retire).unwrap(), 0);
    assert!(bench.names("base").is_empty(), "three do not weigh more");
    fill(&store, 18, 12);
    store.care_blocking(Deed::Retire).unwrap();
    assert_eq!(bench.names("base").len(), 1);
}

#[test]
fn a_base_is_made_once_a_month_however_little_happened() {
    const DAY: i64 = 86_400_000;
    let mut bench = Bench::new();
    let time = bench.stand_clock(1_700_000_000_000);
    let (store, _) = bench.open();
    store.act_blocking(put("a", "x")).unwrap();
    time.fetch_add(29 * DAY, Ordering::Relaxed);
    store.look_blocking();
    assert!(bench.names("base").is_empty());
    time.fetch_add(DAY, Ordering::Relaxed);
    store.look_blocking();
    assert_eq!(bench.names("base").len(), 1);
    time.fetch_add(30 * DAY, Ordering::Relaxed);
    store.look_blocking();
    assert_eq!(bench.names("base").len(), 2);
}

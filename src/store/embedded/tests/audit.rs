//! Reading the journal without opening the store.

use std::fs;
use std::ops::ControlFlow;

use super::super::*;
use super::kit::{Act, Bench, put};

fn large(bench: &Bench, count: u32) -> Store<super::kit::Pairs> {
    let (store, _) = bench.open();
    for n in 0..count {
        let value = vec![u8::try_from(n % 251).unwrap(); 10_000];
        store
            .act_blocking(Act::Put(Class::Intake, format!("k{n}"), value))
            .unwrap();
    }
    store
}

#[test]
fn an_intact_journal_verifies_beside_the_daemon_and_after_it() {
    let bench = Bench::new();
    let store = large(&bench, 30);
    let beside = audit::verify(bench.folder()).unwrap();
    assert_eq!((beside.entries, beside.sequence), (30, 30));
    store.close_blocking();
    let after = audit::verify(bench.folder()).unwrap();
    assert_eq!(after, beside);
    assert_eq!(after.segments, 5);
}

#[test]
fn the_list_begins_and_ends_where_it_is_asked_to_and_holds_ids_only() {
    let bench = Bench::new();
    large(&bench, 30).close_blocking();
    let mut seen = Vec::new();
    audit::entries(bench.folder(), 25, &mut |stamp, header| {
        seen.push((stamp, header));
        if seen.len() == 4 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })
    .unwrap();
    assert_eq!(
        seen.iter()
            .map(|(stamp, _)| stamp.sequence)
            .collect::<Vec<_>>(),
        [25, 26, 27, 28]
    );
    assert!(
        seen.iter()
            .all(|(_, header)| header.who == "u1" && header.what == "change")
    );
}

#[test]
fn the_first_broken_entry_is_named_wherever_a_byte_is_flipped() {
    let bench = Bench::new();
    large(&bench, 4).close_blocking();
    let path = bench.segment(1);
    let good = fs::read(&path).unwrap();
    let used = good.iter().rposition(|byte| *byte != 0).unwrap();
    for at in (4096..=used).step_by(997) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        fs::write(&path, &bad).unwrap();
        let Err(audit::Unverified::Broken(damage)) = audit::verify(bench.folder()) else {
            panic!("byte {at} was not missed");
        };
        let offset = usize::try_from(damage.offset).unwrap();
        assert!(damage.segment == 1 && offset <= at, "byte {at}: {damage:?}");
        assert!(
            damage.sequence >= 1 && at - offset < 10_400,
            "byte {at}: {damage:?}"
        );
    }
    fs::write(&path, &good).unwrap();
    assert!(audit::verify(bench.folder()).is_ok());
}

#[test]
fn compressed_segments_give_the_bytes_that_were_written() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    let mut originals = Vec::new();
    for n in 0..8 {
        store
            .act_blocking(Act::Put(Class::Intake, format!("k{n}"), vec![n; 30_000]))
            .unwrap();
        originals.push(fs::read(bench.segment(1)).ok());
    }
    store.close_blocking();
    assert!(!bench.segment(1).exists());
    let packed = fs::File::open(bench.segment(1).with_extension("log.zst")).unwrap();
    let unpacked = zstd::stream::decode_all(packed).unwrap();
    // Two acts fill the first segment; from then on it does not change.
    assert_eq!(Some(unpacked), originals[1]);
}

#[test]
fn where_an_original_lies_beside_its_copy_the_original_counts() {
    let bench = Bench::new();
    large(&bench, 12).close_blocking();
    let packed = bench.segment(1).with_extension("log.zst");
    let bytes = zstd::stream::decode_all(fs::File::open(&packed).unwrap()).unwrap();
    fs::write(bench.segment(1), bytes).unwrap();
    fs::write(&packed, b"half a copy").unwrap();
    assert_eq!(audit::verify(bench.folder()).unwrap().entries, 12);
    let (store, _) = bench.open();
    store.act_blocking(put("more", "x")).unwrap();
    store.close_blocking();
    assert!(!bench.segment(1).exists());
    assert_eq!(audit::verify(bench.folder()).unwrap().entries, 13);
}

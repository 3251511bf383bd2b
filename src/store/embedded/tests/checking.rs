//! `check`: each thing that is wrong has its finding, and nothing else has.

use std::fs;

use super::super::*;
use super::kit::{Act, Bench, Pairs, all, fill, flip, put};

fn checked(bench: &Bench) -> Checked {
    check::<Pairs>(&bench.options, &|_, _| {}).unwrap()
}

/// A base in the middle, blobs that are named directly and through another, and one that a record carries.
fn filled() -> Bench {
    let bench = Bench::new();
    let (store, _) = bench.open();
    fill(&store, 0, 10);
    let inner = store.blobs().put_blocking(b"inner").unwrap().hash();
    let outer = store
        .blobs()
        .put_blocking(inner.to_string().as_bytes())
        .unwrap();
    store
        .act_blocking(put("names", &outer.hash().to_string()))
        .unwrap();
    let carried = BlobHash::of(b"carried").to_string();
    store.act_blocking(put(&carried, "bytes")).unwrap();
    store.care_blocking(Deed::Base).unwrap();
    store.act_blocking(Act::Remove("k0003".to_owned())).unwrap();
    fill(&store, 5, 2);
    store.close_blocking();
    bench
}

#[test]
fn a_whole_folder_has_no_findings_and_is_as_it_was_afterwards() {
    let bench = filled();
    let before = (bench.names("journal"), bench.names("base"));
    let checked = checked(&bench);
    assert_eq!(checked.findings, []);
    assert_eq!((checked.bases, checked.blobs), (1, 2));
    assert_eq!(checked.records, Some(11));
    assert_eq!((bench.names("journal"), bench.names("base")), before);
    let opened = Opened {
        newest_ms: None,
        ..bench.open().1
    };
    assert_eq!(opened, Opened::default());
}

#[test]
fn beside_a_running_store_everything_but_the_state_is_checked() {
    let bench = filled();
    let (_store, _) = bench.open();
    let checked = checked(&bench);
    assert_eq!((checked.findings, checked.records), (vec![], None));
}

#[test]
fn a_broken_journal_is_found() {
    let bench = filled();
    flip(&bench.segment(1).with_extension("log.zst"), 200);
    let found = checked(&bench).findings;
    assert!(
        matches!(&found[..], [Finding::Journal(damage)] if damage.segment == 1),
        "{found:?}"
    );
}

#[test]
fn a_base_that_is_damaged_or_was_exchanged_is_found() {
    let bench = filled();
    let path = bench.folder().join("base").join(&bench.names("base")[0]);
    let good = fs::read(&path).unwrap();
    flip(&path, 300);
    assert!(matches!(&checked(&bench).findings[..], [Finding::Base(_)]));
    // Whole in itself, and not what was made: another made-at time, hashed anew.
    let mut other = good;
    other[72] ^= 1;
    let end = other.len() - 32;
    let text = fs::read_to_string(bench.folder().join("store.toml")).unwrap();
    let id = text
        .lines()
        .find_map(|line| line.strip_prefix("store = \""))
        .unwrap();
    let id: uuid::Uuid = id.trim_end_matches('"').parse().unwrap();
    let key = blake3::derive_key("lubu journal checksum v1", id.as_bytes());
    let hash = *blake3::keyed_hash(&key, &other[..end]).as_bytes();
    other[end..].copy_from_slice(&hash);
    fs::write(&path, other).unwrap();
    assert!(matches!(&checked(&bench).findings[..], [Finding::Base(_)]));
}

#[test]
fn a_blob_that_is_damaged_or_missing_is_found() {
    let bench = filled();
    let name = BlobHash::of(b"inner").to_string();
    let path = bench.folder().join("blobs").join(&name[..2]).join(&name);
    fs::write(&path, b"other").unwrap();
    let hash = BlobHash::of(b"inner");
    assert_eq!(checked(&bench).findings, [Finding::BlobDamaged(hash)]);
    fs::remove_file(&path).unwrap();
    assert_eq!(checked(&bench).findings, [Finding::BlobMissing(hash)]);
}

#[test]
fn a_state_that_invented_changed_or_lost_a_key_is_found_key_by_key_and_a_rebuild_cures_it() {
    let bench = filled();
    let db = sled::open(bench.folder().join("sled")).unwrap();
    db.insert("k0001", "other").unwrap();
    db.insert("k0003", "back again").unwrap();
    db.insert("zzz", "invented").unwrap();
    db.remove("k0007").unwrap();
    db.flush().unwrap();
    drop(db);
    let keys: Vec<_> = checked(&bench)
        .findings
        .into_iter()
        .map(|finding| match finding {
            Finding::State { key } => key,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(keys, ["k0001", "k0003", "k0007", "zzz"]);
    forget_state(&bench.options).unwrap();
    let (store, opened) = bench.open();
    assert_eq!(opened.rebuilt, Some(Rebuilt::NoCheckpoint));
    assert_eq!(all(&store).len(), 11);
    store.close_blocking();
    assert_eq!(checked(&bench).findings, []);
}

#[test]
fn a_folder_that_is_no_store_is_not_made_into_one() {
    let bench = Bench::new();
    assert!(matches!(
        check::<Pairs>(&bench.options, &|_, _| {}),
        Err(OpenError::Identity(_))
    ));
    assert!(!bench.folder().exists());
}

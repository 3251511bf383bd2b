//! Bytes by hash.

use std::fs;
use std::sync::{Arc, Mutex};

use super::super::*;
use super::kit::{Bench, Script, broken, full};

#[test]
fn a_blob_comes_back_and_is_written_once() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    let pin = store.blobs().put_blocking("露布".as_bytes()).unwrap();
    let again = store.blobs().put_blocking("露布".as_bytes()).unwrap();
    assert_eq!(pin.hash(), again.hash());
    assert_eq!(
        store.blobs().get_blocking(pin.hash()).unwrap(),
        "露布".as_bytes()
    );
    let name = pin.hash().to_string();
    assert_eq!(name.parse(), Ok(pin.hash()));
    let folder = bench.folder().join("blobs").join(&name[..2]);
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
}

#[test]
fn a_blob_that_is_there_already_has_its_folder_synced_all_the_same() {
    let synced = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&synced);
    let gate = Script::new(|_| Verdict::Go);
    let bench = Bench::gated(&gate);
    let (store, _) = bench.open();
    let pin = store.blobs().put_blocking(b"x").unwrap();
    gate.set(move |op| {
        if let Op::SyncFolder { path } = op {
            seen.lock().unwrap().push(path.to_path_buf());
        }
        Verdict::Go
    });
    store.blobs().put_blocking(b"x").unwrap();
    let folder = bench
        .folder()
        .join("blobs")
        .join(&pin.hash().to_string()[..2]);
    assert_eq!(*synced.lock().unwrap(), [folder]);
}

#[test]
fn a_damaged_blob_is_never_given_out_and_is_cured_by_writing_it_again() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    let hash = store.blobs().put_blocking(b"right").unwrap().hash();
    let name = hash.to_string();
    fs::write(
        bench.folder().join("blobs").join(&name[..2]).join(&name),
        b"wrong",
    )
    .unwrap();
    assert!(
        matches!(store.blobs().get_blocking(hash), Err(BlobError::Damaged(found)) if found == hash)
    );
    store.blobs().put_blocking(b"right").unwrap();
    assert_eq!(store.blobs().get_blocking(hash).unwrap(), b"right");
    let missing = BlobHash::of(b"never written");
    assert!(matches!(
        store.blobs().get_blocking(missing),
        Err(BlobError::Missing(_))
    ));
}

#[test]
fn a_pin_lasts_as_long_as_anyone_holds_it() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    let first = store.blobs().put_blocking(b"x").unwrap();
    let hash = first.hash();
    let second = store.blobs().pin(hash);
    drop(first);
    assert!(store.blobs().is_pinned(hash));
    drop(second);
    assert!(!store.blobs().is_pinned(hash));
}

#[test]
fn a_full_disk_is_said_and_leaves_no_half_blob() {
    let gate = Script::new(|_| Verdict::Go);
    let bench = Bench::gated(&gate);
    let (store, _) = bench.open();
    gate.set(|op| match op {
        Op::Write { .. } => Verdict::Short(1, full()),
        _ => Verdict::Go,
    });
    assert!(matches!(
        store.blobs().put_blocking(b"xyz"),
        Err(BlobError::DiskFull)
    ));
    let missing = store.blobs().get_blocking(BlobHash::of(b"xyz"));
    assert!(matches!(missing, Err(BlobError::Missing(_))));
    assert!(!bench.folder().join("blobs/0.tmp").exists());
    assert!(bench.died_of().is_empty());
}

#[test]
fn a_name_that_cannot_be_made_durable_ends_the_process() {
    let gate = Script::new(|_| Verdict::Go);
    let bench = Bench::gated(&gate);
    let (store, _) = bench.open();
    gate.set(|op| match op {
        Op::SyncFolder { .. } => Verdict::Fail(broken()),
        _ => Verdict::Go,
    });
    assert!(store.blobs().put_blocking(b"xyz").is_err());
    assert_eq!(bench.died_of().len(), 1);
}

#[tokio::test]
async fn tasks_write_the_same_blob_at_the_same_time() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    let bytes = vec![5; 100_000];
    let puts: Vec<_> = (0..8)
        .map(|_| {
            let (blobs, bytes) = (store.blobs().clone(), bytes.clone());
            tokio::spawn(async move { blobs.put(bytes).await.unwrap().hash() })
        })
        .collect();
    for put in puts {
        let hash = put.await.unwrap();
        assert_eq!(store.blobs().get(hash).await.unwrap(), bytes);
    }
}

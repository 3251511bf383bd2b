//! Erasing: nothing of it is left in any file, and what is not part of it stays.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::super::*;
use super::kit::{Act, Bench, No, Pairs, Script, all, broken, fill, put};

const SECRET: &str = "the minister's own telephone number";

/// Four keys of one matter and others, before and after a base; a blob that only it needs, and one that another needs too.
fn filled(bench: &Bench) {
    let (store, _) = bench.open();
    let alone = store
        .blobs()
        .put_blocking(format!("{SECRET} 1").as_bytes())
        .unwrap();
    let shared = store.blobs().put_blocking(b"shared").unwrap();
    let act = |key: &str, value: &str| store.act_blocking(put(key, value)).unwrap();
    act("matter/1", SECRET);
    act("matter/alone", &alone.hash().to_string());
    act("matter/shared", &shared.hash().to_string());
    act("other/shared", &shared.hash().to_string());
    fill(&store, 0, 2);
    store.care_blocking(Deed::Base).unwrap();
    act("matter/2", &format!("{SECRET} 2"));
    fill(&store, 2, 2);
    act("matter/2", &format!("{SECRET} 3"));
    store.close_blocking();
    fs::write(bench.folder().join("aside/journal-tail"), SECRET).unwrap();
}

fn erasure(act: Act) -> Erasure<'static, Pairs> {
    Erasure {
        item: "matter",
        by: "zhang",
        reason: "privacy",
        act,
        belongs: &|key, _| key.starts_with(b"matter/"),
    }
}

fn run(options: &Options) -> Result<Erased, NotErased<No>> {
    erase(options, &|| Pairs, erasure(Act::Drop("matter/".to_owned())))
}

/// Whether any file under the folder holds the secret, packed or not.
fn holds_secret(folder: &Path) -> Option<String> {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if let Some(found) = holds_secret(&path) {
                return Some(found);
            }
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let unpacked = zstd::stream::decode_all(bytes.as_slice()).unwrap_or_default();
        // A base is made of packed blocks.
        let blocks = base_blocks(&bytes);
        let found = [&bytes, &unpacked, &blocks].iter().any(|bytes| {
            let mut windows = bytes.windows(SECRET.len());
            windows.any(|window| window == SECRET.as_bytes())
        });
        if found {
            return Some(path.display().to_string());
        }
    }
    None
}

fn base_blocks(bytes: &[u8]) -> Vec<u8> {
    let mut unpacked = Vec::new();
    let mut at = 128;
    while let Some(head) = bytes.get(at..at + 8) {
        let packed = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let Some(block) = bytes
            .get(at + 8..at + 8 + packed)
            .filter(|it| !it.is_empty())
        else {
            break;
        };
        unpacked.extend(zstd::stream::decode_all(block).unwrap_or_default());
        at += 8 + packed;
    }
    unpacked
}

fn judge(bench: &Bench, at: &str) {
    assert_eq!(holds_secret(bench.folder()), None, "{at}");
    let (store, opened) = bench.open();
    assert_eq!(
        opened.rebuilt, None,
        "{at}: the state was made anew already"
    );
    let found = all(&store);
    assert_eq!(found.len(), 5, "{at}");
    assert!(
        found.contains_key("other/shared") && found.contains_key("k0003"),
        "{at}"
    );
    let shared = store.blobs().get_blocking(BlobHash::of(b"shared"));
    assert_eq!(shared.unwrap(), b"shared", "{at}");
    store.close_blocking();
    assert_eq!(unfinished(bench.folder()).unwrap(), None);
    let done = erasures(bench.folder()).unwrap();
    assert!(
        done.iter().any(|(_, header)| header.who == "zhang"
            && header.outcome.as_deref() == Some("matter")),
        "{at}"
    );
}

#[test]
fn an_erasure_leaves_no_trace_in_any_file_and_the_chain_still_verifies() {
    let bench = Bench::new();
    filled(&bench);
    assert!(holds_secret(bench.folder()).is_some());
    let before = audit::verify(bench.folder()).unwrap();
    let erased = run(&bench.options).unwrap();
    assert_eq!((erased.records, erased.blobs), (true, 1));
    judge(&bench, "whole");
    assert!(audit::verify(bench.folder()).unwrap().entries > before.entries);
    assert!(bench.names("aside").is_empty());
    let checked = check::<Pairs>(&bench.options, &|_, _| {}).unwrap();
    assert_eq!(checked.findings, []);
}

#[test]
fn an_erasure_cut_off_at_any_change_is_finished_by_running_it_again() {
    let mut moment = 0;
    loop {
        let gate = Script::new(|_| Verdict::Go);
        let mut bench = Bench::new();
        filled(&bench);
        let plain = bench.options.clone();
        bench.options.disk = Disk::gated(Arc::clone(&gate) as Arc<dyn Gate>);
        let mut seen = 0;
        // From the moment on nothing reaches the disk any more.
        gate.set(move |op| {
            if matches!(op, Op::Step(_)) {
                return Verdict::Go;
            }
            seen += 1;
            if seen > moment {
                Verdict::Fail(broken())
            } else {
                Verdict::Go
            }
        });
        let whole = run(&bench.options).is_ok();
        bench.options = plain;
        // A store that ended by a failure may hold sled's lock for a moment.
        bench.open_plain().0.close_blocking();
        let again = run(&bench.options);
        assert!(again.is_ok(), "moment {moment}: {again:?}");
        judge(&bench, &format!("moment {moment}"));
        if whole {
            break;
        }
        moment += 1;
    }
    assert!(moment > 40, "only {moment} moments");
}

#[test]
fn a_refused_erasure_changes_nothing_and_is_not_under_way() {
    let bench = Bench::new();
    filled(&bench);
    let refused = erase(&bench.options, &|| Pairs, erasure(Act::Refuse));
    assert!(
        matches!(refused, Err(NotErased::Refused(No))),
        "{refused:?}"
    );
    assert_eq!(unfinished(bench.folder()).unwrap(), None);
    assert_eq!(all(&bench.open().0).len(), 9);
    assert!(bench.folder().join("aside/journal-tail").exists());
}

#[test]
fn what_is_not_there_needs_no_erasing() {
    let bench = Bench::new();
    filled(&bench);
    let absent = Erasure {
        item: "nothing",
        belongs: &|_, _| false,
        ..erasure(Act::Refuse)
    };
    let erased = erase(&bench.options, &|| Pairs, absent).unwrap();
    assert_eq!((erased.records, erased.blobs), (false, 0));
    assert_eq!(erasures(bench.folder()).unwrap(), []);
}

#[test]
fn one_erasure_is_finished_before_the_next_begins() {
    let bench = Bench::new();
    filled(&bench);
    let path = bench.folder().join("store.toml");
    let text = fs::read_to_string(&path).unwrap();
    let under_way =
        "\n[erasing]\nitem = \"another\"\nby = \"li\"\nreason = \"secrecy\"\nblobs = []\n";
    fs::write(&path, text.replace("former = []", "") + under_way).unwrap();
    assert_eq!(
        unfinished(bench.folder()).unwrap(),
        Some("another".to_owned())
    );
    let refused = run(&bench.options);
    assert!(
        matches!(&refused, Err(NotErased::Other(other)) if other == "another"),
        "{refused:?}"
    );
}

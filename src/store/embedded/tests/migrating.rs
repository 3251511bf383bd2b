//! A folder of an older format (fault catalogue 30 and 31): every record gets its new shape, a death at any change is
//! made good by the next start, and what no way leads from is refused.
//!
//! There is no older format yet. One is played: records in a shape that the table of steps knows, in files that say
//! format 0. The files themselves are as they are today.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::base;
use super::super::frame::Key;
use super::super::record::RecordError;
use super::super::segment::{self, FIRST_FRAME, SegmentHeader};
use super::super::sorted::{SortedReader, SortedWriter};
use super::super::*;
use super::kit::{Act, Bench, Script, all, broken, flip, put};

/// `old:` becomes `new:`, what begins with `a` goes to the other end, and `gone` goes.
fn modern(key: &[u8], value: &[u8]) -> Result<Change, RecordError> {
    let Some(rest) = value.strip_prefix(b"old:") else {
        return Err(RecordError::Shape);
    };
    let mut key = key.to_vec();
    if key.starts_with(b"gone") {
        return Ok(Change::Remove { key });
    }
    if key.first() == Some(&b'a') {
        key[0] = b'z';
    }
    let value = [b"new:", rest].concat();
    Ok(Change::Put { key, value })
}

const STEPS: &[Migration] = &[Migration {
    from: 0,
    change: modern,
}];

fn old(key: &str, len: usize) -> Act {
    Act::Put(Class::Intake, key.to_owned(), value("old:", key, len))
}

fn value(shape: &str, key: &str, len: usize) -> Vec<u8> {
    format!("{shape}{key}").repeat(len).into_bytes()
}

fn header_of_format_0(bytes: &mut [u8]) {
    if let Some(header) = SegmentHeader::decode(bytes) {
        let older = SegmentHeader {
            format: 0,
            ..header
        };
        bytes[..FIRST_FRAME].copy_from_slice(&older.encode());
    }
}

/// Makes every file say that it has format 0.
fn age(options: &Options) {
    let data = &options.folder;
    let path = data.join("store.toml");
    let text = fs::read_to_string(&path).unwrap();
    // In place, so that the inode stays.
    fs::write(&path, text.replace("format = 1", "format = 0")).unwrap();
    let journal = data.join("journal");
    for (number, forms) in segment::list(&journal).unwrap() {
        let mut bytes = segment::load(&journal, number).unwrap().bytes;
        header_of_format_0(&mut bytes);
        if forms.plain {
            fs::write(segment::plain_path(&journal, number), bytes).unwrap();
        } else {
            let packed = zstd::bulk::compress(&bytes, 1).unwrap();
            fs::write(segment::compressed_path(&journal, number), packed).unwrap();
        }
    }
    for sequence in base::list(data).unwrap() {
        let path = base::path(data, sequence);
        let head = base::BaseHead {
            format: 0,
            ..base::head(data, sequence).unwrap()
        };
        let aged = data.join("aged");
        let key = Key::of(head.store);
        let mut to = SortedWriter::create(&options.disk, &aged, &key, &head.encode()).unwrap();
        let mut from = SortedReader::open(&path).unwrap();
        while let Some((key, value)) = from.next().unwrap() {
            to.push(&key, value.as_deref()).unwrap();
        }
        to.finish().unwrap();
        fs::rename(aged, path).unwrap();
    }
}

/// A base, closed segments behind it and an open one, all of them in the older shape; and what must come of it.
fn older() -> (Bench, BTreeMap<String, Vec<u8>>) {
    let mut bench = Bench::new();
    let (store, _) = bench.open();
    let act = |act| store.act_blocking(act).unwrap();
    act(old("a1", 1));
    act(old("gone1", 1));
    act(old("m1", 3_000));
    store.care_blocking(Deed::Base).unwrap();
    act(old("a2", 6_000));
    act(old("m2", 6_000));
    act(old("gone2", 6_000));
    act(Act::Remove("m1".to_owned()));
    act(old("m3", 1));
    store.close_blocking();
    age(&bench.options);
    bench.options.migrations = STEPS;
    let mut expected = BTreeMap::new();
    for (key, from, len) in [
        ("z1", "a1", 1),
        ("z2", "a2", 6_000),
        ("m2", "m2", 6_000),
        ("m3", "m3", 1),
    ] {
        let shaped = String::from_utf8(value("old:", from, len)).unwrap();
        expected.insert(
            key.to_owned(),
            shaped.replacen("old:", "new:", 1).into_bytes(),
        );
    }
    (bench, expected)
}

fn formats(data: &Path) -> Vec<u32> {
    let journal = data.join("journal");
    let listed = segment::list(&journal).unwrap();
    let headers = listed
        .keys()
        .filter_map(|number| segment::load_header(&journal, *number).unwrap());
    headers.map(|header| header.format).collect()
}

/// The folder is of this format from one place on, whole, and stays so.
fn judge(bench: &Bench, expected: &BTreeMap<String, Vec<u8>>, at: &str) {
    let (store, opened) = bench.open_plain();
    assert!(!opened.restored_copy, "{at}");
    assert_eq!(&all(&store), expected, "{at}");
    store.act_blocking(put("after", "x")).unwrap();
    store.close_blocking();
    let formats = formats(bench.folder());
    assert!(
        formats.is_sorted() && formats.last() == Some(&1),
        "{at}: {formats:?}"
    );
    audit::verify(bench.folder()).unwrap();
    let acts = bench.own_acts();
    assert!(acts.contains(&"migrate 0 1".to_owned()), "{at}: {acts:?}");
    // Believed from now on; and rebuilt without the older records.
    let (store, opened) = bench.open_plain();
    assert_eq!(opened.rebuilt, None, "{at}");
    store.close_blocking();
    fs::remove_dir_all(bench.folder().join("sled")).unwrap();
    let (store, opened) = bench.open_plain();
    assert!(opened.base.is_some() && opened.bad_bases.is_empty(), "{at}");
    let mut expected = expected.clone();
    expected.insert("after".to_owned(), b"x".to_vec());
    assert_eq!(all(&store), expected, "{at}");
    store.close_blocking();
}

#[test]
fn an_older_folder_is_brought_up_record_by_record_and_goes_on_in_this_format() {
    let (bench, expected) = older();
    let (store, opened) = bench.open();
    assert_eq!(opened.rebuilt, Some(Rebuilt::Migrated { from: 0 }));
    assert_eq!(all(&store), expected);
    store.close_blocking();
    judge(&bench, &expected, "whole");
    // Two bases later nothing of the older format is needed, and the store looks whole to whoever checks it.
    let (store, _) = bench.open();
    store.care_blocking(Deed::Base).unwrap();
    store.act_blocking(put("later", "x")).unwrap();
    store.care_blocking(Deed::Base).unwrap();
    store.care_blocking(Deed::Strip).unwrap();
    store.close_blocking();
    let checked = check::<super::kit::Pairs>(&bench.options, &|_, _| {}).unwrap();
    assert_eq!(checked.findings, []);
}

#[test]
fn fault_30_a_migration_cut_off_at_any_change_ends_in_the_same_state_at_the_next_start() {
    let mut moment = 0;
    loop {
        let gate = Script::new(|_| Verdict::Go);
        let (mut bench, expected) = older();
        bench.options.disk = Disk::gated(Arc::clone(&gate) as Arc<dyn Gate>);
        let changes = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&changes);
        // From the moment on nothing reaches the disk any more; the first of it in part.
        gate.set(move |op| {
            if matches!(op, Op::Step(_)) {
                return Verdict::Go;
            }
            match counter.fetch_add(1, Ordering::Relaxed) {
                at if at < moment => Verdict::Go,
                at if at == moment => Verdict::Short(50, broken()),
                _ => Verdict::Fail(broken()),
            }
        });
        drop(Store::open(&bench.options, super::kit::Pairs));
        bench.options.disk = Disk::default();
        judge(&bench, &expected, &format!("moment {moment}"));
        if changes.load(Ordering::Relaxed) <= moment {
            break;
        }
        moment += 1;
    }
    assert!(moment > 30, "only {moment} changes: it proves nothing");
}

#[test]
fn a_base_of_a_migration_that_spoils_is_made_once_more() {
    let (bench, expected) = older();
    bench.open().0.close_blocking();
    let newest = base::list(bench.folder()).unwrap()[0];
    flip(&base::path(bench.folder(), newest), 140);
    fs::remove_dir_all(bench.folder().join("sled")).unwrap();
    let (store, opened) = bench.open();
    assert_eq!(all(&store), expected);
    assert_eq!(opened.base, Some(newest));
    assert_eq!(opened.bad_bases[0].sequence, newest);
    store.close_blocking();
    judge(&bench, &expected, "made again");
}

#[test]
fn a_format_that_no_way_leads_from_is_refused_and_nothing_is_changed() {
    let (mut bench, expected) = older();
    bench.options.migrations = &[];
    let refused = bench.refused();
    assert!(
        matches!(refused, OpenError::OlderFormat { found: 0, known: 1 }),
        "{refused}"
    );
    assert!(refused.zh().contains("中间版本") && !refused.passes());
    assert!(formats(bench.folder()).iter().all(|format| *format == 0));
    let unchecked = check::<super::kit::Pairs>(&bench.options, &|_, _| {});
    assert!(matches!(unchecked, Err(OpenError::NotMigrated { .. })));
    bench.options.migrations = STEPS;
    judge(&bench, &expected, "with the version in between");
}

#[test]
fn a_record_that_cannot_be_brought_over_leaves_the_older_folder_to_be_tried_again() {
    fn never(_: &[u8], _: &[u8]) -> Result<Change, RecordError> {
        Err(RecordError::Shape)
    }
    const NEVER: &[Migration] = &[Migration {
        from: 0,
        change: never,
    }];
    let (mut bench, expected) = older();
    bench.options.migrations = NEVER;
    let refused = bench.refused();
    assert!(matches!(refused, OpenError::Unmigrated { .. }), "{refused}");
    assert!(refused.to_string().contains("a1"), "{refused}");
    assert!(!refused.passes(), "a person has to know");
    bench.options.migrations = STEPS;
    judge(&bench, &expected, "tried again");
}

//! Files that are not as they were left: what is cut, what is rebuilt, what is refused with its place.

use std::fs;
use std::path::Path;

use super::super::*;
use super::kit::{Act, Bench, all, copy_folder, put};

/// So many acts of 10 kB: six a segment.
fn filled(count: u32) -> Bench {
    let bench = Bench::new();
    let (store, _) = bench.open();
    for n in 0..count {
        store
            .act_blocking(Act::Put(Class::Intake, format!("k{n}"), vec![9; 10_000]))
            .unwrap();
    }
    store.close_blocking();
    bench
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn used(path: &Path) -> usize {
    fs::read(path)
        .unwrap()
        .iter()
        .rposition(|byte| *byte != 0)
        .unwrap()
}

#[test]
fn a_frame_that_never_became_whole_is_cut_and_kept_aside() {
    let bench = filled(3);
    let path = bench.segment(1);
    let (end, mut bytes) = (used(&path), fs::read(&path).unwrap());
    let at = (end + 1).next_multiple_of(8);
    bytes[at..at + 300].fill(0xab);
    fs::write(&path, bytes).unwrap();
    let (store, opened) = bench.open();
    let cut = opened.cut.unwrap();
    assert_eq!((cut.segment, cut.offset, cut.bytes), (1, at as u64, 300));
    assert_eq!(fs::read(cut.kept_in).unwrap(), vec![0xab; 300]);
    assert_eq!(store.act_blocking(put("more", "x")).unwrap().sequence, 4);
    store.close_blocking();
    assert_eq!(audit::verify(bench.folder()).unwrap().entries, 4);
    assert_eq!(
        bench.open().1.cut,
        None,
        "nothing of it may be left behind the new frame"
    );
}

#[test]
fn a_segment_that_was_begun_and_got_no_frame_is_a_spare_and_is_cleaned() {
    let bench = filled(3);
    let mut bytes = fs::read(bench.segment(2)).unwrap();
    bytes[..20_000].fill(0xcd);
    fs::write(bench.segment(2), bytes).unwrap();
    let (store, opened) = bench.open();
    assert_eq!(
        opened.cut.map(|cut| (cut.segment, cut.bytes)),
        Some((2, 20_000 - 4096))
    );
    assert!(
        fs::read(bench.segment(2))
            .unwrap()
            .iter()
            .all(|byte| *byte == 0)
    );
    assert_eq!(all(&store).len(), 3);
}

#[test]
fn a_flipped_bit_before_the_end_is_damage_with_its_place() {
    let bench = filled(5);
    flip(&bench.segment(1), 4096 + 15_000);
    let OpenError::Damaged(damage) = bench.refused() else {
        panic!("must be damage");
    };
    assert_eq!(
        (damage.segment, damage.sequence, damage.why),
        (1, 2, Flaw::Frame)
    );
    assert!((4096 + 10_000..4096 + 15_000).contains(&damage.offset));
    let words = OpenError::Damaged(damage);
    assert!(words.zh().contains("第 1 段") && words.to_string().contains("segment 1"));
}

#[test]
fn the_last_frame_cannot_be_cut_once_it_is_known_to_have_been_there() {
    let bench = filled(3);
    flip(&bench.segment(1), used(&bench.segment(1)) - 100);
    let OpenError::Damaged(damage) = bench.refused() else {
        panic!("must be damage");
    };
    assert_eq!(
        (damage.segment, damage.sequence, damage.why),
        (1, 3, Flaw::EndLost)
    );
}

#[test]
fn a_missing_segment_is_named() {
    let bench = filled(25);
    fs::remove_file(bench.segment(2).with_extension("log.zst")).unwrap();
    let OpenError::Damaged(damage) = bench.refused() else {
        panic!("must be damage");
    };
    assert_eq!((damage.segment, damage.why), (2, Flaw::SegmentMissing));
}

#[test]
fn a_damaged_compressed_segment_is_named_when_it_is_read() {
    let bench = filled(25);
    let path = bench.segment(2).with_extension("log.zst");
    let middle = fs::metadata(&path).unwrap().len() / 2;
    flip(&path, usize::try_from(middle).unwrap());
    fs::remove_dir_all(bench.folder().join("sled")).unwrap();
    let OpenError::Damaged(damage) = bench.refused() else {
        panic!("must be damage");
    };
    assert_eq!(damage.segment, 2);
}

#[test]
fn an_older_journal_withholds_sending_until_adoption_and_numbers_above_what_was_known() {
    let bench = filled(3);
    let old = bench.folder().with_file_name("old");
    copy_folder(&bench.folder().join("journal"), &old).unwrap();
    let (store, _) = bench.open();
    store.act_blocking(put("later", "x")).unwrap();
    store.act_blocking(put("latest", "x")).unwrap();
    store.close_blocking();
    fs::remove_dir_all(bench.folder().join("journal")).unwrap();
    fs::rename(old, bench.folder().join("journal")).unwrap();
    let (store, opened) = bench.open();
    assert_eq!(opened.rebuilt, Some(Rebuilt::JournalTooShort));
    assert!(opened.restored_copy);
    assert_eq!(all(&store).len(), 3);
    store.close_blocking();
    let (store, opened) = bench.open();
    assert!(opened.restored_copy, "a second start must not forget");
    assert_eq!(store.act_blocking(put("new", "x")).unwrap().sequence, 6);
    store.close_blocking();
    let verified = audit::verify(bench.folder()).unwrap();
    assert_eq!((verified.entries, verified.sequence), (4, 6));
    assert_eq!(all(&bench.open().0).len(), 4);
}

#[test]
fn a_state_that_does_not_open_is_set_aside_and_rebuilt() {
    let bench = filled(20);
    fs::write(
        bench.folder().join("sled/snap.7FFFFFFFFFFFFFFF"),
        [0x5a; 100],
    )
    .unwrap();
    let (store, opened) = bench.open();
    assert_eq!(opened.rebuilt, Some(Rebuilt::Corrupt));
    assert_eq!(all(&store).len(), 20);
    assert!(bench.folder().join("aside/sled/db").exists());
}

#[test]
fn a_state_that_opens_and_has_forgotten_everything_is_rebuilt() {
    let bench = filled(20);
    let db = bench.folder().join("sled/db");
    let len = usize::try_from(fs::metadata(&db).unwrap().len()).unwrap();
    fs::write(&db, vec![0x5a; len]).unwrap();
    let (store, opened) = bench.open();
    assert!(
        matches!(opened.rebuilt, Some(Rebuilt::NoState | Rebuilt::Corrupt)),
        "{opened:?}"
    );
    assert_eq!(all(&store).len(), 20);
}

#[test]
fn a_state_older_than_its_checkpoint_is_rebuilt() {
    let bench = filled(2);
    let old = bench.folder().with_file_name("old");
    copy_folder(&bench.folder().join("sled"), &old).unwrap();
    let (store, _) = bench.open();
    store.act_blocking(put("later", "x")).unwrap();
    store.close_blocking();
    fs::remove_dir_all(bench.folder().join("sled")).unwrap();
    fs::rename(old, bench.folder().join("sled")).unwrap();
    let (store, opened) = bench.open();
    assert_eq!(opened.rebuilt, Some(Rebuilt::BelowCheckpoint));
    assert_eq!(all(&store).len(), 3);
}

#[test]
fn a_state_of_another_history_is_rebuilt() {
    let bench = filled(2);
    let parts = ["journal", "sled"];
    let (before, other) = (
        bench.folder().with_file_name("before"),
        bench.folder().with_file_name("other"),
    );
    let copy = |part: &str, from: &Path, to: &Path| {
        fs::remove_dir_all(to.join(part)).unwrap_or_default();
        copy_folder(&from.join(part), &to.join(part)).unwrap();
        fs::copy(from.join("checkpoint"), to.join("checkpoint")).unwrap();
    };
    for part in parts {
        copy(part, bench.folder(), &before);
    }
    let (store, _) = bench.open();
    store.act_blocking(put("one", "x")).unwrap();
    store.close_blocking();
    copy("sled", bench.folder(), &other);
    for part in parts {
        copy(part, &before, bench.folder());
    }
    let (store, _) = bench.open();
    store.act_blocking(put("two", "x")).unwrap();
    store.close_blocking();
    copy("sled", &other, bench.folder());
    let (store, opened) = bench.open();
    assert_eq!(opened.rebuilt, Some(Rebuilt::NotInJournal));
    let state = all(&store);
    assert!(state.contains_key("two") && !state.contains_key("one"));
}

#[test]
fn a_start_up_snapshot_that_sled_never_finished_does_not_keep_it_shut() {
    let bench = filled(2);
    fs::write(
        bench.folder().join("sled/snap.00000000000000FF.generating"),
        b"half",
    )
    .unwrap();
    let (_store, opened) = bench.open();
    assert_eq!(opened, Opened::default());
}

#[test]
fn the_third_death_while_opening_sets_the_state_aside_and_the_second_does_not() {
    let bench = filled(2);
    fs::write(bench.folder().join("opening"), [2]).unwrap();
    let (store, opened) = bench.open();
    assert_eq!(opened.rebuilt, None);
    store.close_blocking();
    fs::write(bench.folder().join("opening"), [3]).unwrap();
    let (store, opened) = bench.open();
    assert_eq!(opened.rebuilt, Some(Rebuilt::Corrupt));
    assert_eq!(all(&store).len(), 2);
    assert!(!bench.folder().join("opening").exists());
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let bench = filled(1);
    let path = bench.folder().join("store.toml");
    let text = fs::read_to_string(&path)
        .unwrap()
        .replace("format = 1", "format = 2\nfuture = true");
    fs::write(&path, text).unwrap();
    assert!(matches!(
        bench.refused(),
        OpenError::NewerFormat { found: 2, known: 1 }
    ));
}

#[test]
fn a_journal_without_its_identity_is_not_taken_for_a_new_store() {
    let bench = filled(1);
    fs::remove_file(bench.folder().join("store.toml")).unwrap();
    assert!(matches!(bench.refused(), OpenError::Identity(_)));
    assert!(bench.segment(1).exists());
}

#[test]
fn a_state_that_the_domain_distrusts_is_rebuilt_at_the_next_start() {
    let bench = filled(2);
    let (store, _) = bench.open();
    store.distrust("a record has a wrong checksum");
    assert_eq!(bench.died_of().len(), 1);
    drop(store);
    assert_eq!(bench.open().1.rebuilt, Some(Rebuilt::NoCheckpoint));
}

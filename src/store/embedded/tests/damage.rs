//! Files that are not as they were left: what is cut, what is rebuilt, what is refused with its place.

use std::fs;
use std::path::Path;

use super::super::*;
use super::kit::{Act, Bench, all, copy_folder, flip, put};

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
    assert!(opened.newest_ms.is_some());
    assert_eq!(
        Opened {
            newest_ms: None,
            ..opened
        },
        Opened::default()
    );
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

/// What can be read of a damaged folder.
fn shut(bench: &Bench) -> (Store<super::kit::Pairs>, Opened) {
    let OpenError::Damaged(damage) = bench.refused() else {
        panic!("must be damage");
    };
    Store::open_shut(&bench.options, damage).unwrap()
}

#[test]
fn a_damaged_journal_can_be_read_and_takes_no_act() {
    let bench = filled(8);
    flip(&bench.segment(2), 4096 + 5_000);
    let (store, opened) = shut(&bench);
    assert_eq!(store.health(), Health::Damaged);
    assert_eq!(store.damage().map(|at| at.segment), Some(2));
    assert_eq!(opened.damage.as_ref(), store.damage());
    // sled had everything; what it holds is the newest that is known.
    assert_eq!(all(&store).len(), 8);
    assert_eq!(
        store.act_blocking(put("more", "x")),
        Err(ActError::Unavailable(Unavailable::Damaged))
    );
    assert!(store.care_blocking(Deed::Base).is_err());
}

#[test]
fn without_a_state_to_believe_a_damaged_journal_is_read_up_to_its_damage_and_stays_as_it_was() {
    let bench = filled(8);
    flip(&bench.segment(2), 4096 + 5_000);
    fs::remove_dir_all(bench.folder().join("sled")).unwrap();
    let journal = bench.names("journal");
    let (store, _) = shut(&bench);
    assert_eq!(all(&store).len(), 6);
    drop(store);
    assert_eq!(bench.names("journal"), journal);
    assert!(
        matches!(bench.refused(), OpenError::Damaged(_)),
        "still damaged"
    );
}

#[test]
fn a_segment_put_back_from_a_backup_repairs_the_store() {
    let bench = filled(25);
    let path = bench.segment(2).with_extension("log.zst");
    let good = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    drop(shut(&bench));
    fs::write(&path, good).unwrap();
    let (store, opened) = bench.open();
    assert!(!opened.restored_copy);
    assert_eq!(all(&store).len(), 25);
}

/// Accepts what is damaged and opens; gives what was left of the keys.
fn accepted(bench: &Bench) -> (Vec<Damage>, Store<super::kit::Pairs>) {
    let found = accept_gap(&bench.options, "zhang", "磁盘坏道").unwrap();
    let (store, opened) = bench.open();
    assert!(
        opened.restored_copy,
        "the acts that are lost may have been sends"
    );
    (found, store)
}

#[test]
fn an_accepted_gap_keeps_what_is_before_and_behind_it_and_says_who_and_why() {
    let bench = filled(5);
    flip(&bench.segment(1), 4096 + 15_000);
    let (found, store) = accepted(&bench);
    assert_eq!((found.len(), found[0].sequence), (1, 2));
    let keys: Vec<_> = all(&store).into_keys().collect();
    assert_eq!(keys, ["k0", "k2", "k3", "k4"]);
    assert_eq!(store.act_blocking(put("new", "x")).unwrap().sequence, 7);
    store.close_blocking();
    let verified = audit::verify(bench.folder()).unwrap();
    assert_eq!((verified.entries, verified.sequence), (6, 7));
    let mut who = Vec::new();
    audit::entries(bench.folder(), 6, &mut |_, header| {
        who.push((header.who, header.what));
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(who[0], ("zhang".to_owned(), "accept-gap".to_owned()));
    assert!(bench.open().1.restored_copy, "until it is adopted");
}

#[test]
fn a_gap_of_whole_segments_is_passed_over_and_bases_are_made_across_it() {
    let bench = filled(25);
    for number in [2, 3] {
        fs::remove_file(bench.segment(number).with_extension("log.zst")).unwrap();
    }
    let (_, store) = accepted(&bench);
    assert_eq!(all(&store).len(), 13);
    store.care_blocking(Deed::Base).unwrap();
    let before = all(&store);
    store.close_blocking();
    audit::verify(bench.folder()).unwrap();
    fs::remove_dir_all(bench.folder().join("sled")).unwrap();
    let (store, opened) = bench.open();
    assert!(opened.base.is_some());
    assert_eq!(all(&store), before);
}

#[test]
fn a_lost_head_of_a_segment_costs_nothing_but_the_head() {
    let bench = filled(8);
    flip(&bench.segment(2), 20);
    let (_, store) = accepted(&bench);
    assert_eq!(all(&store).len(), 8);
    store.act_blocking(put("new", "x")).unwrap();
    store.close_blocking();
    audit::verify(bench.folder()).unwrap();
    fs::remove_dir_all(bench.folder().join("sled")).unwrap();
    assert_eq!(all(&bench.open().0).len(), 9);
}

#[test]
fn an_accepted_end_is_kept_aside_and_numbers_go_on_above_what_was_known() {
    let bench = filled(3);
    flip(&bench.segment(1), used(&bench.segment(1)) - 100);
    let (found, store) = accepted(&bench);
    assert_eq!(found[0].why, Flaw::EndLost);
    assert_eq!(all(&store).len(), 2);
    assert!(bench.folder().join("aside/journal-tail").exists());
    assert!(store.act_blocking(put("new", "x")).unwrap().sequence > 3);
    store.close_blocking();
    audit::verify(bench.folder()).unwrap();
}

#[test]
fn several_damaged_places_are_accepted_together() {
    let bench = filled(17);
    flip(&bench.segment(3), 4096 + 5_000);
    flip(&bench.segment(3), 4096 + 35_000);
    let path = bench.segment(1).with_extension("log.zst");
    let middle = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap() / 2;
    flip(&path, middle);
    let (found, store) = accepted(&bench);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(all(&store).len() >= 9);
    store.close_blocking();
    audit::verify(bench.folder()).unwrap();
}

#[test]
fn a_whole_journal_has_no_gap_to_accept() {
    let bench = filled(8);
    assert_eq!(accept_gap(&bench.options, "zhang", "x").unwrap(), []);
    assert!(!bench.open().1.restored_copy);
}

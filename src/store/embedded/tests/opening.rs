//! Opening again: what is believed, what is rebuilt, what is refused.

use std::fs;
use std::sync::{Arc, Mutex};

use super::super::*;
use super::kit::{Bench, Script, all, broken, copy_folder, options, put};

fn filled(count: usize) -> Bench {
    let bench = Bench::new();
    let (store, opened) = bench.open();
    assert_eq!(opened, Opened::default());
    for number in 0..count {
        store
            .act_blocking(put(&format!("k{number:04}"), "一二三"))
            .unwrap();
    }
    store.close_blocking();
    bench
}

#[test]
fn what_was_acknowledged_is_there_after_opening_again() {
    let bench = filled(100);
    let (store, opened) = bench.open();
    assert!(opened.newest_ms.is_some());
    assert_eq!(
        Opened {
            newest_ms: None,
            ..opened
        },
        Opened::default()
    );
    assert_eq!(all(&store).len(), 100);
    assert_eq!(store.act_blocking(put("more", "x")).unwrap().sequence, 101);
    assert_eq!(bench.died_of(), Vec::<String>::new());
}

#[test]
fn what_no_checkpoint_holds_is_replayed() {
    let bench = filled(10);
    let (store, _) = bench.open();
    store.act_blocking(put("late", "x")).unwrap();
    drop(store);
    let (store, opened) = bench.open();
    assert_eq!(opened.rebuilt, None);
    assert_eq!(all(&store).len(), 11);
}

#[test]
fn a_state_that_was_removed_is_rebuilt_from_the_journal() {
    let bench = filled(300);
    fs::remove_dir_all(bench.folder().join("sled")).unwrap();
    let (store, opened) = bench.open();
    assert_eq!(
        opened,
        Opened {
            rebuilt: Some(Rebuilt::NoState),
            replayed: 300,
            newest_ms: opened.newest_ms,
            ..Opened::default()
        }
    );
    assert_eq!(all(&store).len(), 300);
}

#[test]
fn a_state_from_before_a_reboot_is_rebuilt() {
    let mut bench = filled(30);
    bench.options.boot_id = Arc::new(|| Some("boot-2".to_owned()));
    let (store, opened) = bench.open();
    assert_eq!(opened.rebuilt, Some(Rebuilt::Rebooted));
    assert_eq!(all(&store).len(), 30);
}

#[test]
fn a_second_opener_is_told_who_has_the_folder() {
    let bench = filled(1);
    let (_store, _) = bench.open();
    let refusal = bench.refused();
    let pid = std::process::id();
    assert!(
        matches!(refusal, OpenError::Locked { pid: Some(found) } if found == pid),
        "{refusal}"
    );
    assert!(refusal.zh().contains(&pid.to_string()));
}

#[test]
fn a_copied_folder_opens_and_says_so() {
    let bench = filled(5);
    let copy = bench.folder().with_file_name("copy");
    copy_folder(bench.folder(), &copy).unwrap();
    let (_store, opened) = Store::open(&options(&copy, &bench.fatal), super::kit::Pairs).unwrap();
    assert!(opened.restored_copy);
    let mut moved = bench.options.clone();
    moved.machine_id = Arc::new(|| Some("machine-2".to_owned()));
    let (_store, opened) = Store::open(&moved, super::kit::Pairs).unwrap();
    assert!(opened.restored_copy);
}

#[test]
fn a_store_with_a_new_id_goes_on_in_a_new_segment_and_its_chain_holds() {
    let bench = filled(3);
    let path = bench.folder().join("store.toml");
    let text = fs::read_to_string(&path).unwrap();
    let old = text
        .lines()
        .find_map(|line| line.strip_prefix("store = "))
        .unwrap();
    let new = "\"01890000-0000-7000-8000-000000000001\"";
    let former = format!("[[former]]\nstore = {old}\nlast_sequence = 3\n");
    let adopted = text.replace(old, new).replace("former = []", "") + &former;
    // Written in place, so that the inode stays.
    fs::write(&path, adopted).unwrap();
    let (store, opened) = bench.open();
    assert!(opened.newest_ms.is_some());
    assert_eq!(
        Opened {
            newest_ms: None,
            ..opened
        },
        Opened::default()
    );
    assert_eq!(store.act_blocking(put("new", "x")).unwrap().sequence, 4);
    store.close_blocking();
    let verified = audit::verify(bench.folder()).unwrap();
    assert_eq!((verified.entries, verified.segments), (4, 2));
    fs::remove_dir_all(bench.folder().join("sled")).unwrap();
    let (store, opened) = bench.open();
    assert_eq!(opened.replayed, 4);
    assert_eq!(all(&store).len(), 4);
}

/// Else a power cut takes the whole folder, with everything acknowledged in it.
#[test]
fn names_that_a_first_start_could_not_make_last_are_made_last_by_the_next_before_any_act() {
    let failing = |op: &Op<'_>| match op {
        Op::SyncFolder { .. } => Verdict::Fail(broken()),
        _ => Verdict::Go,
    };
    let gate = Script::new(failing);
    let bench = Bench::gated(&gate);
    drop(bench.refused());
    assert!(bench.folder().join("store.toml").exists());
    let synced = Arc::new(Mutex::new(Vec::new()));
    let sees = Arc::clone(&synced);
    gate.set(move |op| {
        if let Op::SyncFolder { path } = op {
            sees.lock().unwrap().push(path.to_path_buf());
        }
        Verdict::Go
    });
    let (store, _) = bench.open();
    let before = synced.lock().unwrap().clone();
    for folder in [bench.folder().parent().unwrap(), bench.folder()] {
        assert!(before.iter().any(|one| one == folder), "{before:?}");
    }
    store.close_blocking();
}

//! Backups: made beside the running store, restored as a store of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use super::super::*;
use super::kit::{Bench, Pairs, Script, all, broken, fill, options, put};

fn quiet(_: u64) {}

/// Bases, closed segments, an open one, blobs.
fn filled() -> (Bench, Store<Pairs>) {
    let bench = Bench::new();
    let (store, _) = bench.open();
    fill(&store, 0, 8);
    store.care_blocking(Deed::Base).unwrap();
    fill(&store, 8, 8);
    drop(store.blobs().put_blocking(b"one").unwrap());
    drop(store.blobs().put_blocking(b"two").unwrap());
    // The writer tells of a closed segment after it has answered, and it is compressed by another thread: until then a copy
    // takes it as it is, and the next one would find it changed.
    store.checkpoint_blocking();
    store.look_blocking();
    (bench, store)
}

fn place(bench: &Bench, name: &str) -> PathBuf {
    bench.folder().with_file_name(name)
}

fn restored(bench: &Bench, from: &Path, name: &str) -> (Options, Copied) {
    let options = options(&place(bench, name), &bench.fatal);
    let copied = restore(from, &options, "zhang", &quiet).unwrap();
    (options, copied)
}

fn id_of(folder: &Path) -> String {
    let text = fs::read_to_string(folder.join("store.toml")).unwrap();
    let mut lines = text.lines();
    let id = lines
        .find_map(|line| line.strip_prefix("store = "))
        .unwrap();
    id.trim_matches('"').to_owned()
}

#[test]
fn a_backup_made_while_acts_go_on_restores_to_everything_answered_before_it() {
    let (bench, store) = filled();
    let to = place(&bench, "backup");
    let writer = {
        let store = store.clone();
        std::thread::spawn(move || {
            for n in 0..200 {
                store.act_blocking(put(&format!("w{n:04}"), "x")).unwrap();
            }
        })
    };
    let before = all(&store);
    let copied = store.backup_blocking(&to, &quiet).unwrap();
    writer.join().unwrap();
    let (options, back) = restored(&bench, &to, "restored");
    assert_eq!(copied.sequence, back.sequence);
    let (other, opened) = Store::open(&options, Pairs).unwrap();
    assert!(opened.restored_copy);
    let found = all(&other);
    assert!(
        before
            .iter()
            .all(|(key, value)| found.get(key) == Some(value))
    );
    // Nothing but a beginning of what was written meanwhile.
    let written = found.keys().filter(|key| key.starts_with('w'));
    assert!(
        written
            .enumerate()
            .all(|(n, key)| *key == format!("w{n:04}"))
    );
    let two = BlobHash::of(b"two");
    assert_eq!(other.blobs().get_blocking(two).unwrap(), b"two");
    other.close_blocking();
    assert_eq!(check::<Pairs>(&options, &|_, _| {}).unwrap().findings, []);
}

#[test]
fn a_restored_folder_is_a_store_of_its_own_and_sends_nothing_before_it_is_adopted() {
    let (bench, store) = filled();
    let to = place(&bench, "backup");
    let sequence = store.backup_blocking(&to, &quiet).unwrap().sequence;
    let (options, _) = restored(&bench, &to, "restored");
    let text = fs::read_to_string(options.folder.join("store.toml")).unwrap();
    assert_ne!(id_of(&options.folder), id_of(bench.folder()));
    assert!(
        text.contains(&id_of(bench.folder())),
        "the former id is kept"
    );
    assert!(text.contains(&format!("last_sequence = {sequence}")));
    for _ in 0..2 {
        let (other, opened) = Store::open(&options, Pairs).unwrap();
        assert!(opened.restored_copy, "a second start must not forget");
        other.close_blocking();
    }
    let (other, _) = Store::open(&options, Pairs).unwrap();
    assert!(other.act_blocking(put("new", "x")).unwrap().sequence > sequence);
    other.adopt_blocking().unwrap();
    other.close_blocking();
    let (other, opened) = Store::open(&options, Pairs).unwrap();
    assert!(!opened.restored_copy);
    assert_eq!(opened.rebuilt, None);
    other.close_blocking();
    audit::verify(&options.folder).unwrap();
    let mut acts = Vec::new();
    audit::entries(&options.folder, sequence + 1, &mut |_, header| {
        acts.push((header.who, header.what));
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(acts[0], ("zhang".to_owned(), "restore".to_owned()));
}

#[test]
fn a_second_backup_copies_what_is_new_and_drops_what_is_gone() {
    let (bench, store) = filled();
    let to = place(&bench, "backup");
    let first = store.backup_blocking(&to, &quiet).unwrap();
    drop(store.blobs().put_blocking(b"three").unwrap());
    fs::write(to.join("base/00000000000000000001.base"), b"old").unwrap();
    let second = store.backup_blocking(&to, &quiet).unwrap();
    // The new blob, and the segment that is written to.
    assert_eq!((second.files, second.kept), (2, first.files - 1));
    assert!(!to.join("base/00000000000000000001.base").exists());
    let third = store.backup_blocking(&to, &quiet).unwrap();
    assert_eq!(third.files, 1);
}

#[test]
fn a_segment_stripped_since_replaces_its_copy() {
    let (bench, store) = filled();
    let to = place(&bench, "backup");
    store.backup_blocking(&to, &quiet).unwrap();
    store.care_blocking(Deed::Base).unwrap();
    store.look_blocking();
    store.backup_blocking(&to, &quiet).unwrap();
    store.close_blocking();
    for name in bench
        .names("journal")
        .iter()
        .filter(|name| name.contains("zst"))
    {
        let same = |folder: &Path| fs::read(folder.join("journal").join(name)).unwrap();
        assert!(same(&to) == same(bench.folder()), "{name}");
    }
    restored(&bench, &to, "restored");
}

#[test]
fn a_backup_or_restore_that_fails_anywhere_is_never_taken_for_a_whole_one() {
    let (bench, store) = filled();
    let before = all(&store);
    store.close_blocking();
    let mut fail = 0;
    loop {
        let to = place(&bench, &format!("backup-{fail}"));
        let whole = failing_backup(&bench, &to, fail);
        let options = options(&place(&bench, &format!("restored-{fail}")), &bench.fatal);
        let back = restore(&to, &options, "zhang", &quiet);
        match back {
            Err(OpenError::NoBackup(_)) => assert!(!whole, "change {fail}"),
            Err(error) => panic!("change {fail}: {error}"),
            Ok(_) => {
                let (other, _) = Store::open(&options, Pairs).unwrap();
                assert_eq!(all(&other), before, "change {fail}");
            }
        }
        fs::remove_dir_all(&to).unwrap();
        if whole {
            break;
        }
        fail += 1;
    }
    assert!(fail > 20, "only {fail} changes");
}

/// A backup in which the `fail`-th change of the copy fails; whether it went through.
fn failing_backup(bench: &Bench, to: &Path, fail: usize) -> bool {
    let gate = Script::new(|_| Verdict::Go);
    let mut gated = bench.options.clone();
    gated.disk = Disk::gated(Arc::clone(&gate) as Arc<dyn Gate>);
    let (store, _) = Store::open(&gated, Pairs).unwrap();
    let (target, mut seen) = (to.to_owned(), 0);
    gate.set(move |op| {
        let path = match op {
            Op::Allocate { path, .. }
            | Op::Write { path, .. }
            | Op::Sync { path }
            | Op::SyncFolder { path }
            | Op::Rename { to: path, .. }
            | Op::Remove { path } => *path,
            Op::Step(_) => return Verdict::Go,
        };
        seen += usize::from(path.starts_with(&target));
        if path.starts_with(&target) && seen == fail + 1 {
            return Verdict::Fail(broken());
        }
        Verdict::Go
    });
    let whole = store.backup_blocking(to, &quiet).is_ok();
    store.close_blocking();
    whole
}

#[test]
fn a_restore_that_was_cut_off_leaves_nothing_that_opens() {
    let (bench, store) = filled();
    let to = place(&bench, "backup");
    store.backup_blocking(&to, &quiet).unwrap();
    let gate = Script::new(|op| match op {
        Op::Rename { to, .. } if to.ends_with("store.toml") => Verdict::Fail(broken()),
        _ => Verdict::Go,
    });
    let mut options = options(&place(&bench, "restored"), &bench.fatal);
    options.disk = Disk::gated(gate);
    assert!(restore(&to, &options, "zhang", &quiet).is_err());
    options.disk = Disk::default();
    assert!(matches!(
        Store::open(&options, Pairs),
        Err(OpenError::Identity(_))
    ));
    assert!(matches!(
        restore(&to, &options, "zhang", &quiet),
        Err(OpenError::NotEmpty(_))
    ));
}

#[test]
fn what_is_no_backup_of_this_store_is_not_written_over() {
    let (bench, store) = filled();
    let (other, others) = filled();
    let to = place(&bench, "backup");
    store.backup_blocking(&to, &quiet).unwrap();
    let refused = others.backup_blocking(&to, &quiet);
    assert!(matches!(refused, Err(CareError::Foreign(_))), "{refused:?}");
    let full = place(&other, "something");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("letter.txt"), "x").unwrap();
    assert!(matches!(
        others.backup_blocking(&full, &quiet),
        Err(CareError::Foreign(_))
    ));
    assert_eq!(fs::read(full.join("letter.txt")).unwrap(), b"x");
}

#[test]
fn a_damaged_blob_is_named_by_the_backup() {
    let (bench, store) = filled();
    let name = BlobHash::of(b"one").to_string();
    fs::write(
        bench.folder().join("blobs").join(&name[..2]).join(&name),
        b"eno",
    )
    .unwrap();
    let copied = store
        .backup_blocking(&place(&bench, "backup"), &quiet)
        .unwrap();
    assert_eq!(copied.damaged, [name]);
}

/// Holds whoever renames into the copy's journal.
struct Barrier {
    arrived: Mutex<Option<Sender<()>>>,
    open: Mutex<Receiver<()>>,
}

impl Gate for Barrier {
    fn before(&self, op: &Op<'_>) -> Verdict {
        let held =
            matches!(op, Op::Rename { to, .. } if to.to_string_lossy().contains("backup/journal"));
        if held && let Some(arrived) = self.arrived.lock().unwrap().take() {
            arrived.send(()).unwrap();
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
fn compression_waits_while_a_backup_runs_and_acts_do_not() {
    let (arrived, arrival) = channel();
    let (open, opened) = channel();
    let mut bench = Bench::new();
    bench.options.disk = Disk::gated(Arc::new(Barrier {
        arrived: Mutex::new(Some(arrived)),
        open: Mutex::new(opened),
    }));
    let (store, _) = bench.open();
    fill(&store, 0, 2);
    let to = place(&bench, "backup");
    let maker = {
        let store = store.clone();
        std::thread::spawn(move || store.backup_blocking(&to, &quiet).unwrap())
    };
    arrival.recv().unwrap();
    fill(&store, 2, 10);
    assert!(bench.segment(1).exists(), "it was closed, and must wait");
    open.send(()).unwrap();
    assert_eq!(maker.join().unwrap().sequence, 2);
    store.care_blocking(Deed::Retire).unwrap();
    assert!(!bench.segment(1).exists());
}

#[test]
fn a_copied_folder_becomes_a_store_of_its_own() {
    let (bench, store) = filled();
    store.close_blocking();
    let copy = place(&bench, "copy");
    super::kit::copy_folder(bench.folder(), &copy).unwrap();
    let options = options(&copy, &bench.fatal);
    let (other, opened) = Store::open(&options, Pairs).unwrap();
    assert!(opened.restored_copy);
    assert_eq!(opened.rebuilt, Some(Rebuilt::Copied));
    let next = other.act_blocking(put("new", "x")).unwrap().sequence;
    other.close_blocking();
    assert_ne!(id_of(&copy), id_of(bench.folder()));
    let text = fs::read_to_string(copy.join("store.toml")).unwrap();
    assert!(text.contains(&format!("last_sequence = {}", next - 1)));
    assert!(Store::open(&options, Pairs).unwrap().1.restored_copy);
    audit::verify(&copy).unwrap();
    assert!(!bench.open().1.restored_copy, "the original is as it was");
}

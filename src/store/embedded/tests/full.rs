//! A disk that fills up (fault catalogue 18): who still writes, and that it comes back.

use std::sync::Arc;

use super::super::*;
use super::kit::{Act, Bench, Script, all, broken, full, intent, is_frame, put, settle, together};

const PLENTY: u64 = 1024 * 1024;
const FULL: Result<Stamp, ActError<super::kit::No>> =
    Err(ActError::Unavailable(Unavailable::DiskFull));

fn go(_: &Op<'_>) -> Verdict {
    Verdict::Go
}

#[test]
fn intake_stops_first_then_intents_and_what_settles_never() {
    let gate = Script::new(go);
    *gate.free.lock().unwrap() = Some(PLENTY);
    let bench = Bench::gated(&gate);
    let (store, _) = bench.open();
    let ballast = bench.folder().join("ballast");
    assert!(store.act_blocking(put("a", "1")).is_ok());
    assert!(ballast.exists());

    *gate.free.lock().unwrap() = Some(bench.options.low_bytes - 1);
    assert_eq!(store.act_blocking(put("b", "1")), FULL);
    assert!(store.act_blocking(intent("c", "1")).is_ok());
    assert_eq!(store.health(), Health::Short(Room::Low));

    *gate.free.lock().unwrap() = Some(100);
    assert_eq!(store.act_blocking(intent("d", "1")), FULL);
    assert!(store.act_blocking(settle("e", "1")).is_ok());
    assert!(!ballast.exists());
    assert_eq!(store.health(), Health::Short(Room::Scarce));

    *gate.free.lock().unwrap() = Some(PLENTY);
    assert!(store.act_blocking(put("f", "1")).is_ok());
    assert!(ballast.exists());
    assert_eq!(all(&store).into_keys().collect::<String>(), "acef");
}

#[test]
fn without_a_next_segment_only_what_settles_is_written_until_the_last_is_full() {
    let gate = Script::new(go);
    let bench = Bench::gated(&gate);
    let (store, _) = bench.open();
    gate.set(|op| match op {
        Op::Allocate { len, .. } if *len > 0 => Verdict::Fail(full()),
        _ => Verdict::Go,
    });
    let large = |class, n: u32| Act::Put(class, format!("k{n}"), vec![1; 25_000]);
    // Two a segment: the third goes into the spare, and there is no other.
    for n in 0..3 {
        store.act_blocking(large(Class::Intake, n)).unwrap();
    }
    assert_eq!(store.act_blocking(large(Class::Intent, 3)), FULL);
    assert!(store.act_blocking(large(Class::Settle, 4)).is_ok());
    assert_eq!(store.act_blocking(large(Class::Settle, 5)), FULL);
    assert!(store.act_blocking(settle("small", "1")).is_ok());
    gate.set(go);
    assert!(store.act_blocking(large(Class::Intake, 6)).is_ok());
    let before = all(&store);
    assert_eq!(before.len(), 6);
    store.close_blocking();
    std::fs::remove_dir_all(bench.folder().join("sled")).unwrap();
    assert_eq!(all(&bench.open_plain().0), before);
    assert!(bench.died_of().is_empty());
}

/// The first write of a frame fails after `arrive` bytes; its outcomes are written alone.
fn a_frame_fails_after(arrive: usize) {
    let gate = Script::new(go);
    let bench = Bench::gated(&gate);
    let (store, _) = bench.open();
    let acts = vec![put("a", "1"), intent("b", "1"), settle("c", "1")];
    let mut failed = false;
    let answers = together(&store, &gate, acts, move |op| {
        if is_frame(op) && !failed {
            failed = true;
            return Verdict::Short(arrive, full());
        }
        Verdict::Go
    });
    assert_eq!(answers[0], FULL);
    assert_eq!(answers[1], FULL);
    assert_eq!(answers[2].as_ref().unwrap().sequence, 2);
    assert_eq!(store.act_blocking(put("d", "1")).unwrap().sequence, 3);
    let before = all(&store);
    assert_eq!(
        before.keys().map(String::as_str).collect::<Vec<_>>(),
        ["c", "d", "held"]
    );
    store.close_blocking();
    std::fs::remove_dir_all(bench.folder().join("sled")).unwrap();
    let (store, opened) = bench.open_plain();
    assert_eq!(all(&store), before);
    assert_eq!(opened.cut, None);
}

#[test]
fn a_failed_write_refuses_new_work_and_retries_what_settles() {
    a_frame_fails_after(0);
}

#[test]
fn a_short_write_leaves_nothing_behind() {
    a_frame_fails_after(150);
}

#[test]
fn a_place_that_cannot_be_cleaned_ends_the_process() {
    let gate = Script::new(go);
    let bench = Bench::gated(&gate);
    let (store, _) = bench.open();
    store.act_blocking(put("a", "1")).unwrap();
    let mut writes = 0;
    gate.set(move |op| {
        writes += usize::from(is_frame(op));
        match writes {
            1 if is_frame(op) => Verdict::Short(90, broken()),
            2 if is_frame(op) => Verdict::Fail(broken()),
            _ => Verdict::Go,
        }
    });
    let answer = store.act_blocking(put("b", "1"));
    assert_eq!(answer, Err(ActError::Unavailable(Unavailable::Stopped)));
    assert_eq!(bench.died_of().len(), 1);
    drop(store);
    gate.set(go);
    let (store, opened) = bench.open();
    assert_eq!(all(&store).len(), 1);
    let cut = opened.cut.unwrap();
    assert_eq!(cut.segment, 1);
    assert!(cut.kept_in.exists());
}

#[test]
fn a_failed_sync_ends_the_process_and_its_later_success_is_not_believed() {
    let gate = Script::new(go);
    let bench = Bench::gated(&gate);
    let (store, _) = bench.open();
    store.act_blocking(put("a", "1")).unwrap();
    gate.set(|op| match op {
        Op::Sync { path } if path.extension().is_some_and(|end| end == "log") => {
            Verdict::Fail(broken())
        }
        _ => Verdict::Go,
    });
    let answer = store.act_blocking(settle("b", "1"));
    assert_eq!(answer, Err(ActError::Unavailable(Unavailable::Stopped)));
    assert_eq!(bench.died_of().len(), 1);
    gate.set(go);
    assert_eq!(
        store.act_blocking(put("c", "1")),
        Err(ActError::Unavailable(Unavailable::Stopped))
    );
    drop(store);
    // The frame was written whole: the next start may keep it, and must make it durable first.
    let resynced = Arc::new(std::sync::Mutex::new(false));
    let seen = Arc::clone(&resynced);
    gate.set(move |op| {
        *seen.lock().unwrap() |= is_frame(op);
        Verdict::Go
    });
    let (store, _) = bench.open();
    assert!(*resynced.lock().unwrap());
    assert_eq!(all(&store).into_keys().collect::<String>(), "ab");
}

#[test]
fn what_was_done_to_the_folder_keeps_no_start_waiting_for_room_and_is_noted_once_a_start() {
    let gate = Script::new(go);
    let bench = Bench::gated(&gate);
    bench.open().0.close_blocking();
    let path = bench.folder().join("store.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let done = "\n[[pending]]\nwhat = \"repair\"\nby = \"ops\"\nreason = \"\"\noutcome = \"1\"\n";
    // Written in place, so that the inode stays.
    std::fs::write(&path, text + done).unwrap();
    let noted = || {
        let mut count = 0;
        audit::entries(bench.folder(), 1, &mut |_, header| {
            count += usize::from(header.what == "repair");
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
        count
    };
    gate.set(|op| match op {
        Op::Write { path, .. } if path.ends_with("store.toml.tmp") => Verdict::Fail(full()),
        _ => Verdict::Go,
    });
    let (store, _) = bench.open();
    assert!(store.act_blocking(put("a", "1")).is_ok());
    store.close_blocking();
    assert_eq!(noted(), 1);
    gate.set(go);
    bench.open().0.close_blocking();
    bench.open().0.close_blocking();
    assert_eq!(noted(), 2, "twice, and from then on no more");
}

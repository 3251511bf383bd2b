//! Every change of a file fails once, each in its turn (fault catalogue 18 and 20): what was acknowledged is there
//! afterwards, what was not is whole or absent.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::super::*;
use super::kit::{Act, Bench, Script, all, broken, full, is_frame};

const ACTS: u8 = 7;

fn act(n: u8) -> Act {
    // Two or three a segment, so that the journal rolls.
    Act::Put(Class::Settle, format!("k{n}"), vec![n; 24_000])
}

/// Runs the workload with the `fail`-th change failing; says whether there was one.
fn run(fail: usize, error: fn() -> io::Error) -> bool {
    let count = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&count);
    let gate = Script::new(move |op| {
        if matches!(op, Op::Step(_)) {
            return Verdict::Go;
        }
        let mut count = counter.lock().unwrap();
        *count += 1;
        if *count - 1 == fail {
            Verdict::Short(100, error())
        } else {
            Verdict::Go
        }
    });
    let bench = Bench::gated(&gate);
    let mut acknowledged = BTreeMap::new();
    if let Ok((store, _)) = Store::open(&bench.options, super::kit::Pairs) {
        for n in 0..ACTS {
            if store.act_blocking(act(n)).is_ok() {
                acknowledged.insert(format!("k{n}"), vec![n; 24_000]);
            }
        }
        store.close_blocking();
    }
    let (store, _) = bench.open_plain();
    let found = all(&store);
    for (key, value) in &acknowledged {
        assert_eq!(
            found.get(key),
            Some(value),
            "change {fail}: {key} was acknowledged"
        );
    }
    assert!(
        found.iter().all(|(_, value)| value.len() == 24_000),
        "change {fail}: half an act"
    );
    assert!(
        found.len() <= acknowledged.len() + 1,
        "change {fail}: more than was asked for"
    );
    store.close_blocking();
    std::fs::remove_dir_all(bench.folder().join("sled")).unwrap();
    assert_eq!(
        all(&bench.open_plain().0),
        found,
        "change {fail}: state and journal differ"
    );
    *count.lock().unwrap() > fail
}

fn each(error: fn() -> io::Error) {
    let mut fail = 0;
    while run(fail, error) {
        fail += 1;
    }
    assert!(
        fail > 30,
        "only {fail} changes: the workload proves nothing"
    );
}

#[test]
fn a_full_disk_at_any_change_loses_nothing_that_was_acknowledged() {
    each(full);
}

#[test]
fn an_input_output_error_at_any_change_loses_nothing_that_was_acknowledged() {
    each(broken);
}

#[test]
fn fault_88_acts_that_wait_for_a_writer_that_does_not_come_end_the_process() {
    let gate = Script::new(|_| Verdict::Go);
    let mut bench = Bench::gated(&gate);
    bench.options.stuck = Duration::from_millis(24);
    let (told, hears) = channel();
    let told = Mutex::new(told);
    bench.options.on_fatal = Arc::new(move |why| drop(told.lock().unwrap().send(why.to_owned())));
    let (store, _) = bench.open();
    let (arrived, arrival) = channel();
    let (open, opened) = channel::<()>();
    // The disk hangs in the middle of a write.
    gate.set(move |op| {
        if is_frame(op) {
            let _first = arrived.send(());
            let _until = opened.recv();
        }
        Verdict::Go
    });
    let first = store.submit(act(0)).unwrap();
    arrival.recv().unwrap();
    let second = store.submit(act(1)).unwrap();
    assert!(hears.recv().unwrap().contains("acts are waiting"));
    drop(open);
    drop((first, second));
}

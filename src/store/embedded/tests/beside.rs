//! sled is filled on a thread of its own: reads see everything at every moment of it, and acts do not wait for it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::super::frame::Chain;
use super::super::reader::Order;
use super::super::state::{Head, State};
use super::super::*;
use super::kit::{Bench, all, put};

type Changes = Vec<(sled::IVec, Option<sled::IVec>)>;

fn change(key: &str, value: Option<u32>) -> (sled::IVec, Option<sled::IVec>) {
    let value = value.map(|value| sled::IVec::from(&value.to_be_bytes()));
    (key.into(), value)
}

fn head(sequence: u64) -> Head {
    Head {
        store: uuid::Uuid::nil(),
        sequence,
        chain: Chain([0; 32]),
    }
}

fn number(value: &[u8]) -> u32 {
    u32::from_be_bytes(value.try_into().unwrap())
}

fn scanned(state: &State) -> Vec<(String, u32)> {
    let pairs = state.scan(b"k").map(Result::unwrap);
    pairs
        .map(|(key, value)| (String::from_utf8(key.to_vec()).unwrap(), number(&value)))
        .collect()
}

/// The same by every way of reading.
fn sees(state: &State, expected: &[(&str, u32)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(key, value)| ((*key).to_owned(), *value))
        .collect();
    assert_eq!(scanned(state), expected);
    let (from, to) = (
        std::ops::Bound::Included(&b"k"[..]),
        std::ops::Bound::Unbounded,
    );
    let keys = state.range(from, to, Order::Reverse);
    let keys: Vec<_> = keys.map(|pair| pair.unwrap().0.to_vec()).collect();
    assert!(
        keys.iter()
            .eq(expected.iter().rev().map(|(key, _)| key.as_bytes()))
    );
    for key in ["k1", "k2", "k3", "k4"] {
        let is = expected.iter().find(|(one, _)| one == key).map(|one| one.1);
        let found = state.get(key.as_bytes()).unwrap();
        assert_eq!(found.map(|value| number(&value)), is, "{key}");
    }
}

#[test]
fn what_comes_while_sled_is_filled_lies_above_what_it_gets_and_stays_there() {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.folder()).unwrap();
    let state = State::open(bench.folder(), 8 << 20, &Disk::default()).unwrap();
    let defer = |changes: Changes| state.defer(changes.into_iter());
    defer(vec![
        change("k1", Some(1)),
        change("k2", Some(1)),
        change("k3", Some(1)),
    ]);
    state.set_apart();
    state.catch_up(&head(1)).unwrap();
    sees(&state, &[("k1", 1), ("k2", 1), ("k3", 1)]);
    defer(vec![
        change("k1", Some(2)),
        change("k2", None),
        change("k4", Some(2)),
    ]);
    state.set_apart();
    let second = [("k1", 2), ("k3", 1), ("k4", 2)];
    sees(&state, &second);
    // On top of what is apart: a removal, a new value, and one that comes back.
    defer(vec![
        change("k1", None),
        change("k2", Some(3)),
        change("k4", Some(3)),
    ]);
    let third = [("k2", 3), ("k3", 1), ("k4", 3)];
    sees(&state, &third);
    assert_eq!(state.pending().changes, 3);
    state.catch_up(&head(2)).unwrap();
    sees(&state, &third);
    assert_eq!(state.head().unwrap(), Some(head(2)));
    state.set_apart();
    state.catch_up(&head(3)).unwrap();
    sees(&state, &third);
    assert_eq!(state.pending().changes, 0);
}

#[test]
fn no_read_misses_what_was_shown_before_it_began() {
    const KEYS: u32 = 600;
    const ROUNDS: u32 = 40;
    let bench = Bench::new();
    std::fs::create_dir_all(bench.folder()).unwrap();
    let state = State::open(bench.folder(), 8 << 20, &Disk::default()).unwrap();
    let (shown, over) = (AtomicU32::new(0), AtomicBool::new(false));
    let key = |n: u32| format!("k{n:04}");
    let show = |round: u32| {
        state.defer((0..KEYS).map(|n| change(&key(n), Some(round))));
        shown.store(round, Ordering::Release);
    };
    show(1);
    thread::scope(|scope| {
        let read = || {
            while !over.load(Ordering::Acquire) {
                let least = shown.load(Ordering::Acquire);
                let found = scanned(&state);
                assert_eq!(found.len(), KEYS as usize);
                assert!(found.iter().all(|(_, round)| *round >= least));
                let least = shown.load(Ordering::Acquire);
                let one = state.get(key(least % KEYS).as_bytes()).unwrap().unwrap();
                assert!(number(&one) >= least);
            }
        };
        let readers = [scope.spawn(read), scope.spawn(read)];
        for round in 2..ROUNDS {
            state.set_apart();
            let filling = scope.spawn(|| state.catch_up(&head(1)).unwrap());
            show(round);
            filling.join().unwrap();
        }
        over.store(true, Ordering::Release);
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

/// Holds the thread that fills sled at its first end of a stretch.
struct Holds(Mutex<Option<(Sender<()>, Receiver<()>)>>);

impl Gate for Holds {
    fn before(&self, op: &Op<'_>) -> Verdict {
        if matches!(op, Op::Step(Step::Applied))
            && let Some((held, go)) = self.0.lock().unwrap().take()
        {
            held.send(()).unwrap();
            // Gone where the test has failed.
            let _gone = go.recv();
        }
        Verdict::Go
    }

    fn after(&self, _: &Op<'_>) {}

    fn free(&self) -> Option<u64> {
        None
    }
}

#[test]
fn acts_are_answered_and_seen_while_sled_takes_its_time_and_a_close_waits_for_it() {
    let (held, is_held) = channel();
    let (go, goes) = channel();
    let mut bench = Bench::new();
    let gate = Holds(Mutex::new(Some((held, goes))));
    bench.options.disk = Disk::gated(Arc::new(gate) as Arc<dyn Gate>);
    let (store, _) = bench.open();
    // Dropped before the store: a failure must not wait for what is held.
    let go = go;
    store.act_blocking(put("a", "1")).unwrap();
    is_held.recv().unwrap();
    let turns = || store.turns();
    for key in ["b", "c"] {
        store.act_blocking(put(key, "1")).unwrap();
        // The writer has found nothing to do, and came again.
        let (before, patience) = (turns(), Instant::now() + Duration::from_secs(20));
        while turns() < before + 2 {
            assert!(Instant::now() < patience, "it waits for sled");
            thread::yield_now();
        }
    }
    assert_eq!(all(&store).len(), 3);
    let closing = thread::spawn(|| store.close_blocking());
    go.send(()).unwrap();
    closing.join().unwrap();
    let (store, opened) = bench.open_plain();
    assert_eq!((opened.rebuilt, opened.replayed), (None, 0));
    assert_eq!(all(&store).len(), 3);
}

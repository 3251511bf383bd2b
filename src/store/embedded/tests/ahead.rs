//! While a group is synced, the next one is decided on top of it; nobody hears of either before it is on disk.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use super::super::inbox::{Inbox, Job, Taken};
use super::super::*;
use super::kit::{Act, Bench, No, Pairs, all, broken, put};

/// Where a thread was stopped, and how it goes on.
struct Stop {
    came: Sender<()>,
    go: Receiver<Verdict>,
}

/// What the test holds of it.
struct Held {
    is_there: Receiver<()>,
    go: Sender<Verdict>,
}

fn stop() -> (Mutex<Option<Stop>>, Held) {
    let ((came, is_there), (tell, go)) = (channel(), channel());
    let held = Held { is_there, go: tell };
    (Mutex::new(Some(Stop { came, go })), held)
}

impl Stop {
    fn wait(self) -> Verdict {
        self.came.send(()).unwrap();
        // The test has failed where nobody answers.
        self.go.recv().unwrap_or(Verdict::Go)
    }
}

/// Stops the writer once behind its first answer and once behind its second decision, and the thread beside it before
/// its first sync.
struct Watched {
    answered: Mutex<Option<Stop>>,
    grouped: Mutex<Option<Stop>>,
    sync: Mutex<Option<Stop>>,
    turns: AtomicUsize,
    decided: Sender<()>,
}

impl Gate for Watched {
    fn before(&self, op: &Op<'_>) -> Verdict {
        let beside = thread::current().name() == Some("lubu-syncer");
        let stop = match op {
            Op::Step(Step::Decided) => match self.turns.fetch_add(1, Ordering::Relaxed) {
                0 => None,
                1 => self.grouped.lock().unwrap().take(),
                _ => {
                    // Nobody listens any more once the test has what it wants.
                    let _gone = self.decided.send(());
                    None
                }
            },
            Op::Step(Step::Answered) => self.answered.lock().unwrap().take(),
            Op::Sync { .. } if beside => self.sync.lock().unwrap().take(),
            _ => None,
        };
        stop.map_or(Verdict::Go, Stop::wait)
    }

    fn after(&self, _: &Op<'_>) {}

    fn free(&self) -> Option<u64> {
        None
    }
}

type Answer = oneshot::Receiver<Result<Stamp, ActError<No>>>;

struct Flight {
    bench: Bench,
    store: Store<Pairs>,
    /// Of the group that is being synced, and of the act that was decided on top of it.
    group: Vec<Answer>,
    ahead: Answer,
    sync: Held,
}

/// "a0" was there; a group that removes it and puts "a1" to "a8" is being synced; and a count of them is decided.
fn flight() -> Flight {
    let (answered, first) = stop();
    let (grouped, second) = stop();
    let (sync, sync_held) = stop();
    let (decided, was_decided) = channel();
    let mut bench = Bench::new();
    let gate = Watched {
        answered,
        grouped,
        sync,
        turns: AtomicUsize::new(0),
        decided,
    };
    bench.options.disk = Disk::gated(Arc::new(gate) as Arc<dyn Gate>);
    let (store, _) = bench.open();
    let before = store.submit(put("a0", "x")).unwrap();
    first.is_there.recv().unwrap();
    let puts = (1..=8).map(|n| put(&format!("a{n}"), "x"));
    let acts = std::iter::once(Act::Remove("a0".into())).chain(puts);
    let group: Vec<Answer> = acts.map(|act| store.submit(act).unwrap()).collect();
    first.go.send(Verdict::Go).unwrap();
    before.blocking_recv().unwrap().unwrap();
    // It waits before the group is written: with nothing to decide it would wait for the sync.
    second.is_there.recv().unwrap();
    let ahead = store.submit(Act::Count("a".into(), "count".into()));
    second.go.send(Verdict::Go).unwrap();
    sync_held.is_there.recv().unwrap();
    was_decided.recv().unwrap();
    Flight {
        bench,
        store,
        group,
        ahead: ahead.unwrap(),
        sync: sync_held,
    }
}

#[test]
fn the_next_group_sees_the_one_that_is_being_synced_and_nobody_else_does() {
    let mut flight = flight();
    let seen: Vec<String> = all(&flight.store).into_keys().collect();
    assert_eq!(seen, ["a0"]);
    assert!(flight.group.iter_mut().all(|one| one.try_recv().is_err()));
    assert!(flight.ahead.try_recv().is_err());
    flight.sync.go.send(Verdict::Go).unwrap();
    let last = flight.group.into_iter().map(|one| one.blocking_recv());
    let last = last.map(|one| one.unwrap().unwrap().sequence).max();
    let count = flight.ahead.blocking_recv().unwrap().unwrap();
    assert_eq!(Some(count.sequence - 1), last);
    assert_eq!(all(&flight.store)["count"], b"8");
    flight.store.close_blocking();
    let (store, _) = flight.bench.open_plain();
    assert_eq!(all(&store).len(), 9);
    assert_eq!(all(&store)["count"], b"8");
}

#[test]
fn fault_20_a_sync_that_fails_ends_it_all_and_neither_group_is_answered() {
    let flight = flight();
    flight.sync.go.send(Verdict::Fail(broken())).unwrap();
    let answers = flight.group.into_iter().chain([flight.ahead]);
    for answer in answers {
        let answer = answer.blocking_recv();
        let happened = matches!(answer, Ok(Ok(_)));
        assert!(!happened, "{answer:?}");
    }
    let died_of = flight.bench.died_of();
    assert!(died_of[0].contains("durable"), "{died_of:?}");
    drop(flight.store);
    // What was decided on top of it was never written.
    let (store, _) = flight.bench.open_plain();
    let found: Vec<String> = all(&store).into_keys().collect();
    let whole = found.len() == 8 && !found.contains(&"a0".to_owned());
    assert!(found == ["a0"] || whole, "{found:?}");
}

/// A sync that hangs may be all there is: every client waits for its answer, and no act is left to come.
#[test]
fn acts_that_were_taken_and_not_answered_count_as_waiting() {
    let inbox = Inbox::<Pairs>::new();
    let take = |under_way| inbox.take(9, Duration::ZERO, under_way);
    let waits = || inbox.pulse().1;
    assert!(!waits());
    let (answer, _answered) = oneshot::channel();
    let job = Job {
        act: put("a", "1"),
        class: Class::Intake,
        answer,
    };
    assert!(inbox.put(job).is_ok() && waits());
    assert!(matches!(take(false), Taken::Jobs(_)) && waits());
    assert!(matches!(take(true), Taken::Quiet) && waits());
    assert!(matches!(take(false), Taken::Quiet) && !waits());
}

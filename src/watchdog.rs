//! Ends the process when work does not give its thread back: an adapter that spins, a parser in a loop (fault 88).
//!
//! A thread of its own counts ticks; it asks no clock, so a machine that slept does not look stuck. On the runtime a
//! worker is suspect that neither parks nor comes round to its maintenance: so healthy ones do many times a second,
//! whatever the load. On the blocking threads, where drafts are rendered and files read, work may be long and owes
//! nobody a sign: there only its end counts, and it has five minutes, or an hour where it waits for others, too.
//!
//! Ending is all that can be done, since a thread cannot be taken back from what runs on it. What was at work stays named in
//! `at-work`: the next start counts a death for it, and the third sets it aside. The writer of the store has a watch
//! of its own; a process that cannot even run this thread is left to the supervisor.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use lubu_channels::Words;
use tokio::runtime::{Handle, RuntimeMetrics};

use crate::engine::suspects::{Suspects, Work};

/// Between two looks.
pub const TICK: Duration = Duration::from_secs(5);
/// Ticks in a row that a worker of the runtime may stand still.
const WORKER: u32 = 11;
/// Ticks that work on a blocking thread may take.
const BLOCKING: u32 = 60;
/// The same for an entry of the inbox, which may lie on a slow share and name a hundred pictures elsewhere, each of
/// which is waited for half a minute.
const ENTRY: u32 = 720;

/// What a worker has done so far; the same twice means that it did nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sign {
    parked: bool,
    parks: u64,
    busy: Duration,
}

fn signs(metrics: &RuntimeMetrics) -> Vec<Sign> {
    let sign = |worker| {
        let parks = metrics.worker_park_unpark_count(worker);
        Sign {
            parked: !parks.is_multiple_of(2),
            parks,
            busy: metrics.worker_total_busy_duration(worker),
        }
    };
    (0..metrics.num_workers()).map(sign).collect()
}

/// How long each of them has not moved.
#[derive(Debug, Default)]
struct Stillness {
    workers: HashMap<usize, (Sign, u32)>,
    works: HashMap<(Work, u64), u32>,
}

/// What does not give its thread back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stuck {
    Worker(usize),
    Work(Work),
}

impl Stillness {
    fn tick(&mut self, signs: &[Sign], at_work: &[(Work, u64)]) -> Option<Stuck> {
        let mut stuck = None;
        for (worker, sign) in signs.iter().enumerate() {
            let known = self.workers.get(&worker);
            let still = known.filter(|(before, _)| before == sign && !sign.parked);
            let ticks = still.map_or(0, |(_, ticks)| ticks + 1);
            self.workers.insert(worker, (*sign, ticks));
            if ticks >= WORKER {
                stuck = Some(Stuck::Worker(worker));
            }
        }
        let before = std::mem::take(&mut self.works);
        for one in at_work {
            let most = match one.0 {
                // It waits for its platform, and its call has a deadline of its own.
                Work::Delivery(_) | Work::Survey(_) => continue,
                Work::Drafts(_) => BLOCKING,
                Work::Entry(_) => ENTRY,
            };
            let ticks = before.get(one).map_or(0, |ticks| ticks + 1);
            self.works.insert(*one, ticks);
            if ticks >= most {
                stuck = stuck.or(Some(Stuck::Work(one.0)));
            }
        }
        stuck
    }
}

/// Watches until it is dropped.
#[derive(Debug)]
pub struct Watchdog(Sender<()>);

/// Called once, with what is wrong.
pub type End = Box<dyn FnOnce(&Words) + Send>;

/// The end of the process, said aloud.
pub fn abort() -> End {
    Box::new(|why| {
        tracing::error!(
            "the process ends, and its supervisor starts it again: {}",
            why.en
        );
        std::process::abort();
    })
}

impl Watchdog {
    pub fn start(
        runtime: &Handle,
        suspects: Suspects,
        tick: Duration,
        end: End,
    ) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let metrics = runtime.metrics();
        thread::Builder::new()
            .name("lubu-watchdog".to_owned())
            .spawn(move || watch(&metrics, &suspects, tick, &stopped, end))?;
        Ok(Self(stop))
    }

    /// Watches no longer: what stops in order may take its time.
    pub fn rest(self) {
        drop(self.0);
    }
}

fn watch(
    metrics: &RuntimeMetrics,
    suspects: &Suspects,
    tick: Duration,
    stopped: &Receiver<()>,
    end: End,
) {
    let mut stillness = Stillness::default();
    while stopped.recv_timeout(tick) == Err(RecvTimeoutError::Timeout) {
        let at_work = suspects.at_work();
        if let Some(stuck) = stillness.tick(&signs(metrics), &at_work) {
            return end(&words(stuck, &at_work));
        }
    }
}

fn words(stuck: Stuck, at_work: &[(Work, u64)]) -> Words {
    let (zh, en) = match stuck {
        Stuck::Worker(worker) => (
            format!("运行线程 {worker} 近一分钟没有交回"),
            format!("worker {worker} was not given back for a minute"),
        ),
        Stuck::Work(work) => (
            format!("{work:?} 过了时限还没有做完"),
            format!("{work:?} has not come to its end in its time"),
        ),
    };
    let works: Vec<String> = at_work
        .iter()
        .map(|(work, _)| format!("{work:?}"))
        .collect();
    let works = works.join(", ");
    Words::new(
        format!("{zh}；当时在处理：{works}"),
        format!("{en}; at work: {works}"),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use lubu_channels::Timestamp;

    use super::*;

    fn sign(parks: u64, busy_ms: u64) -> Sign {
        Sign {
            parked: parks % 2 == 1,
            parks,
            busy: Duration::from_millis(busy_ms),
        }
    }

    #[test]
    fn a_worker_that_parks_or_comes_round_is_left_alone_however_long() {
        let mut stillness = Stillness::default();
        for tick in 0..1_000 {
            let signs = [sign(7, 3), sign(8, tick), sign(2 * tick, 5)];
            assert_eq!(stillness.tick(&signs, &[]), None, "{tick}");
        }
    }

    #[test]
    fn a_worker_that_neither_parks_nor_comes_round_is_found_within_a_minute_and_not_before() {
        let mut stillness = Stillness::default();
        let signs = [sign(7, 3), sign(8, 3)];
        for _ in 0..WORKER {
            assert_eq!(stillness.tick(&signs, &[]), None);
        }
        assert_eq!(stillness.tick(&signs, &[]), Some(Stuck::Worker(1)));
        assert!(TICK * (WORKER + 1) <= Duration::from_mins(1));
    }

    #[test]
    fn a_draft_that_never_ends_is_found_and_one_that_is_begun_again_is_another() {
        let work = Work::drafts("one");
        let mut stillness = Stillness::default();
        for tick in 0..u64::from(BLOCKING) * 3 {
            assert_eq!(stillness.tick(&[], &[(work, tick / 50)]), None);
        }
        let mut stillness = Stillness::default();
        for _ in 0..BLOCKING {
            assert_eq!(stillness.tick(&[], &[(work, 1)]), None);
        }
        assert_eq!(stillness.tick(&[], &[(work, 1)]), Some(Stuck::Work(work)));
    }

    #[test]
    fn an_entry_of_the_inbox_may_wait_half_a_minute_for_each_of_a_hundred_pictures() {
        let work = Work::entry("one");
        let mut stillness = Stillness::default();
        let pictures = Duration::from_secs(30) * 100;
        assert!(TICK * ENTRY > pictures);
        for _ in 0..ENTRY {
            assert_eq!(stillness.tick(&[], &[(work, 1)]), None);
        }
        assert_eq!(stillness.tick(&[], &[(work, 1)]), Some(Stuck::Work(work)));
    }

    #[test]
    fn fault_88_a_task_that_spins_on_the_runtime_ends_the_process_and_is_named() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build();
        let runtime = runtime.expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let suspects = Suspects::open(&folder.path().join("at-work"), "boot", Timestamp::default());
        let work = Work::drafts("what spins");
        let at_work = suspects.enter_now(work).expect("no suspect");
        let (told, hears) = channel();
        let end: End = Box::new(move |why| told.send(why.en.clone()).expect("heard"));
        let tick = Duration::from_millis(2);
        let watchdog = Watchdog::start(runtime.handle(), suspects, tick, end);
        let watchdog = watchdog.expect("a thread");
        let over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&over);
        // It spins until somebody has noticed that it does.
        let spinning = runtime.spawn(async move {
            while !until.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        let why = hears.recv().expect("it is noticed");
        over.store(true, Ordering::Relaxed);
        assert!(
            why.contains("worker") && why.contains(&format!("{work:?}")),
            "{why}"
        );
        runtime.block_on(spinning).expect("it ends");
        drop(at_work);
        watchdog.rest();
    }
}

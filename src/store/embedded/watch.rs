//! Ends the process when acts wait and the writer does not come for them: a disk that hangs reports nothing.
//!
//! Counts ticks rather than asking a clock, so that a machine that slept does not look stuck.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::domain::Domain;
use super::fatal::Fatal;
use super::inbox::Inbox;

/// Ticks in a row without a turn.
const TICKS: u32 = 12;

/// How long the writer has not moved.
#[derive(Debug, Default)]
struct Stillness {
    turns: u64,
    ticks: u32,
}

impl Stillness {
    /// One tick; true once it has lasted too long.
    fn tick(&mut self, turns: u64, waiting: bool) -> bool {
        if !waiting || turns != self.turns {
            *self = Self { turns, ticks: 0 };
            return false;
        }
        self.ticks += 1;
        self.ticks >= TICKS
    }
}

/// Ends when the sender is dropped.
pub(super) fn start<D: Domain>(
    inbox: Arc<Inbox<D>>,
    fatal: Arc<Fatal>,
    stuck: Duration,
) -> io::Result<(Sender<()>, JoinHandle<()>)> {
    let (stop, stopped) = channel();
    let run = move || run(&inbox, &fatal, stuck / TICKS, &stopped);
    let thread = thread::Builder::new()
        .name("lubu-watch".to_owned())
        .spawn(run)?;
    Ok((stop, thread))
}

fn run<D: Domain>(inbox: &Inbox<D>, fatal: &Fatal, tick: Duration, stopped: &Receiver<()>) {
    let mut stillness = Stillness::default();
    while stopped.recv_timeout(tick) == Err(RecvTimeoutError::Timeout) {
        let (turns, waiting) = inbox.pulse();
        if stillness.tick(turns, waiting) {
            return fatal.raise("acts are waiting and the writer does not come for them");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_that_moves_or_has_nothing_to_do_is_left_alone() {
        let mut stillness = Stillness::default();
        assert!((0..100).all(|turn| !stillness.tick(turn, true)));
        assert!((0..100).all(|_| !stillness.tick(99, false)));
    }

    #[test]
    fn a_writer_that_stands_still_with_acts_waiting_ends_the_process_at_the_twelfth_tick() {
        let mut stillness = Stillness::default();
        stillness.tick(7, true);
        assert!((1..TICKS).all(|_| !stillness.tick(7, true)));
        assert!(stillness.tick(7, true));
    }
}

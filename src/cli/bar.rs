//! How far long work has come, on stderr: one line that moves on a terminal, one every ten seconds elsewhere.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Shared with whatever tells how far it is.
#[derive(Debug)]
pub struct Bar {
    begun: Instant,
    said: Mutex<Option<Instant>>,
    terminal: bool,
}

impl Bar {
    pub fn new() -> Self {
        Self {
            begun: Instant::now(),
            said: Mutex::new(None),
            terminal: std::io::stderr().is_terminal(),
        }
    }

    /// `of` is 0 where the end is not known.
    pub fn at(&self, what: &str, done: u64, of: u64) {
        let every = if self.terminal {
            Duration::from_millis(200)
        } else {
            Duration::from_secs(10)
        };
        let Ok(mut said) = self.said.lock() else {
            return;
        };
        if said.unwrap_or(self.begun).elapsed() < every {
            return;
        }
        *said = Some(Instant::now());
        let line = line(what, done, of, self.begun.elapsed());
        let mut out = std::io::stderr().lock();
        // A closed stderr must not end the work.
        let _ = if self.terminal {
            write!(out, "\r\x1b[K{line}")
        } else {
            writeln!(out, "{line}")
        };
    }

    /// Takes the moving line away.
    pub fn end(&self) {
        let said = self.said.lock().is_ok_and(|said| said.is_some());
        if self.terminal && said {
            eprint!("\r\x1b[K");
        }
    }
}

fn line(what: &str, done: u64, of: u64, passed: Duration) -> String {
    let seconds = passed.as_secs().max(1);
    let rate = done / seconds;
    if of == 0 {
        return format!("{what} {done}  {rate}/s");
    }
    let share = done.saturating_mul(100) / of;
    let left = of.saturating_sub(done) / rate.max(1);
    format!("{what} {share:>3} %  {done}/{of}  {rate}/s  剩余约 {left} 秒")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_count_rate_and_time_left() {
        let passed = Duration::from_secs(10);
        assert_eq!(
            line("重建", 500, 2_000, passed),
            "重建  25 %  500/2000  50/s  剩余约 30 秒"
        );
        assert_eq!(line("核对", 500, 0, passed), "核对 500  50/s");
    }
}

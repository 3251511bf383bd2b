//! The processes that rows start, and how much a row does.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::preload::Preload;
use crate::session::Session;

/// How much, how long, from which seed.
#[derive(Clone, Debug)]
pub struct Effort {
    pub count: u64,
    pub within: Duration,
    pub seed: u64,
    pub jobs: usize,
    /// Where images and traces are made.
    pub room: PathBuf,
    /// Where the trace of a broken promise is kept.
    pub keep: PathBuf,
}

/// This program with another task.
pub fn this(task: &str) -> Result<Command, String> {
    let me = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(me);
    command.arg(task).stdin(Stdio::null());
    Ok(command)
}

/// How a session ended, and what it said.
#[derive(Clone, Debug, Default)]
pub struct Run {
    pub killed: bool,
    /// It ended itself, as the store does when it cannot go on.
    pub aborted: bool,
    pub out: String,
    pub err: String,
}

impl Run {
    pub fn opened(&self) -> bool {
        self.out.lines().any(|line| line.starts_with("OPENED"))
    }
}

/// Runs one session under the preloaded library.
pub fn run_session(session: &Session, preload: &Preload, plan: &str) -> Result<Run, String> {
    use std::os::unix::process::ExitStatusExt as _;
    let mut command = this("session")?;
    command.args(session.arguments());
    preload.watch(&mut command, plan);
    let output = command.output().map_err(|error| error.to_string())?;
    let mut run = Run {
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
        ..Run::default()
    };
    match (output.status.code(), output.status.signal()) {
        (Some(0 | 2), _) => {}
        (_, Some(9)) => run.killed = true,
        (_, Some(6)) => run.aborted = true,
        _ => {
            return Err(format!(
                "a session ended with {}: {}",
                output.status, run.err
            ));
        }
    }
    Ok(run)
}

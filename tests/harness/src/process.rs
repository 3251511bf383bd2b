//! The processes that rows start, and how much a row does.

use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::preload::Preload;
use crate::session::Session;

/// A session that takes longer hangs.
const HANGS: Duration = Duration::from_secs(90);

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
    pub panicked: bool,
    pub hung: bool,
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
    let failed = |error: std::io::Error| format!("the harness failed: {error}");
    let beside = session.folder.parent().unwrap_or(&session.folder);
    let (out, err) = (beside.with_extension("out"), beside.with_extension("err"));
    let mut command = this("session")?;
    command.args(session.arguments());
    preload.watch(&mut command, plan);
    command.stdout(File::create(&out).map_err(failed)?);
    command.stderr(File::create(&err).map_err(failed)?);
    let mut child = command.spawn().map_err(failed)?;
    let status = wait(&mut child).map_err(failed)?;
    let read = |path| std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let mut run = Run {
        out: read(&out).map_err(failed)?,
        err: read(&err).map_err(failed)?,
        ..Run::default()
    };
    match status.map(|status| (status.code(), status.signal())) {
        None => run.hung = true,
        Some((Some(0 | 2), _)) => {}
        Some((_, Some(9))) => run.killed = true,
        Some((_, Some(6))) => run.aborted = true,
        Some(_) => run.panicked = true,
    }
    Ok(run)
}

/// `None` if it had to be killed because it hung.
fn wait(child: &mut Child) -> std::io::Result<Option<ExitStatus>> {
    let until = Instant::now() + HANGS;
    while Instant::now() < until {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::park_timeout(Duration::from_millis(3));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

//! Brings into sled what every read sees already, beside the writer: a batch takes sled some milliseconds, and
//! acts need not wait for it. One stretch at a time; what comes meanwhile is the next.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use super::disk::{Disk, Step};
use super::fatal::Fatal;
use super::keeper::Marks;
use super::state::{Head, State};

/// What was set apart in the state, up to this entry.
struct Stretch(Head);

/// The writer's end.
pub(super) struct Applier {
    state: State,
    tell: Option<Sender<Stretch>>,
    done: Receiver<()>,
    thread: Option<JoinHandle<()>>,
    busy: bool,
}

/// The process must end; the reason has been given already.
pub(super) struct Failed;

/// What the thread needs.
struct Applying {
    state: State,
    marks: Arc<Marks>,
    fatal: Arc<Fatal>,
    data: PathBuf,
    disk: Disk,
}

impl Applier {
    pub(super) fn start(
        state: State,
        marks: Arc<Marks>,
        fatal: Arc<Fatal>,
        data: PathBuf,
        disk: Disk,
    ) -> io::Result<Self> {
        let (tell, told) = channel();
        let (say, done) = channel();
        let applying = Applying {
            state: state.clone(),
            marks,
            fatal,
            data,
            disk,
        };
        let thread = thread::Builder::new()
            .name("lubu-applier".to_owned())
            .spawn(move || applying.run(&told, &say))?;
        Ok(Self {
            state,
            tell: Some(tell),
            done,
            thread: Some(thread),
            busy: false,
        })
    }

    /// Everything deferred so far goes into sled; waits only for what is under way.
    pub(super) fn begin(&mut self, head: Head) -> Result<(), Failed> {
        self.finish()?;
        self.state.set_apart();
        let told = self.tell.as_ref().map(|tell| tell.send(Stretch(head)));
        self.busy = matches!(told, Some(Ok(())));
        if self.busy { Ok(()) } else { Err(Failed) }
    }

    /// Whether something is under way. Never waits.
    pub(super) fn is_busy(&mut self) -> bool {
        self.busy = self.busy && self.done.try_recv().is_err();
        self.busy
    }

    /// Waits for what is under way.
    pub(super) fn finish(&mut self) -> Result<(), Failed> {
        if !self.busy {
            return Ok(());
        }
        self.busy = false;
        self.done.recv().map_err(|_| Failed)
    }
}

impl Drop for Applier {
    fn drop(&mut self) {
        self.tell = None;
        if let Some(thread) = self.thread.take() {
            // A panic has raised its own alarm.
            drop(thread.join());
        }
    }
}

impl Applying {
    fn run(&self, told: &Receiver<Stretch>, say: &Sender<()>) {
        while let Ok(Stretch(head)) = told.recv() {
            // sled may panic where it should refuse.
            let applied = catch_unwind(AssertUnwindSafe(|| self.state.catch_up(&head)));
            let error = match applied {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(format!("{error:?}")),
                Err(_) => Some("sled panicked".to_owned()),
            };
            if let Some(error) = error {
                // The next start rebuilds the state.
                self.marks.distrust(&self.data, &self.disk);
                let why = format!("the state cannot be used: {error}");
                return self.fatal.raise(&why);
            }
            self.disk.step(Step::Applied);
            self.marks.set_applied(head);
            if say.send(()).is_err() {
                return;
            }
        }
    }
}

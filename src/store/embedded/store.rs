//! The handle that everyone holds.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use thiserror::Error;
use tokio::sync::oneshot;

use super::backup::{self, Copied, Tell};
use super::blobs::{Blobs, Pin};
use super::care::{Chore, Deed};
use super::disk::Disk;
use super::domain::Domain;
use super::error::{ActError, CareError, OpenError, Unavailable};
use super::fatal::Fatal;
use super::hands::{Dropped, Hands};
use super::identity::{self, Identity, Lock};
use super::inbox::{Answer, Inbox, Job};
use super::keeper::{Last, Marks, Work};
use super::options::{Clock, Options};
use super::own::{Cut, Note, Own};
use super::post::Post;
use super::reader::Reader;
use super::recover::{self, Opened};
use super::room::Room;
use super::segment;
use super::start;
use super::state::{ReadError, State};
use super::walk::Damage;
use super::writer::Gauges;

/// The store. Clones are handles to the same one.
pub struct Store<D: Domain> {
    inner: Arc<Inner<D>>,
}

pub(super) struct Inner<D: Domain> {
    pub(super) inbox: Arc<Inbox<D>>,
    pub(super) post: Arc<Post<D>>,
    pub(super) state: State,
    pub(super) blobs: Blobs,
    pub(super) marks: Arc<Marks>,
    pub(super) gauges: Arc<Gauges>,
    pub(super) fatal: Arc<Fatal>,
    pub(super) readers: Hands,
    pub(super) disk: Disk,
    pub(super) data: PathBuf,
    pub(super) keeper: Sender<Work>,
    pub(super) care: Sender<Chore>,
    /// Tells a chore under way to leave off.
    pub(super) stop: Arc<AtomicBool>,
    /// Held by whoever changes files that are no longer written to, and by who copies them.
    pub(super) hands: Arc<Mutex<()>>,
    /// Ids that the store had before.
    pub(super) former: Vec<uuid::Uuid>,
    pub(super) clock: Clock,
    pub(super) threads: Mutex<Option<Threads>>,
    /// Why nothing can be written, and the lock that is held all the same.
    pub(super) shut: Option<(Damage, Lock)>,
}

/// What runs beside, and what must outlive it.
pub(super) struct Threads {
    pub(super) writer: JoinHandle<()>,
    pub(super) keeper: JoinHandle<()>,
    pub(super) care: JoinHandle<()>,
    pub(super) watch: (Sender<()>, JoinHandle<()>),
    pub(super) lock: Lock,
}

/// How the store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Well,
    /// Room is short; see [`Room::admits`].
    Short(Room),
    /// The journal is damaged: reading goes on, nothing else.
    Damaged,
    /// Closed, or ended by a failure.
    Stopped,
}

/// Figures for the status page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The last act that was applied.
    pub sequence: u64,
    pub segments: usize,
    pub journal_bytes: u64,
    pub free_bytes: u64,
    /// The sequence of the last checkpoint.
    pub checkpoint: Option<u64>,
    pub health: Health,
}

/// Why a read gave nothing.
#[derive(Debug, Error)]
pub enum Unread {
    #[error("read the state: the reader panicked or the runtime is stopping")]
    Interrupted,
    #[error(transparent)]
    State(#[from] ReadError),
}

impl<D: Domain> Clone for Store<D> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<D: Domain> fmt::Debug for Store<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.inner.data.display())
    }
}

impl<D: Domain> Store<D> {
    /// Opens the data folder. Blocks, and can take as long as a rebuild does.
    pub fn open(options: &Options, domain: D) -> Result<(Self, Opened), OpenError> {
        let recovered = recover::open(options)?;
        let (opened, identity) = (recovered.opened.clone(), recovered.identity.clone());
        let inner =
            start::start(options, domain, recovered).map_err(OpenError::io(&options.folder))?;
        inner.note_pending(options, identity);
        Ok((
            Self {
                inner: Arc::new(inner),
            },
            opened,
        ))
    }

    /// Opens for reading a folder whose journal is damaged, once [`Store::open`] has said so. Every act is refused.
    pub fn open_shut(options: &Options, damage: Damage) -> Result<(Self, Opened), OpenError> {
        let shut = recover::open_shut(options, damage)?;
        let opened = shut.opened.clone();
        let inner = start::shut_down(options, shut).map_err(OpenError::io(&options.folder))?;
        Ok((
            Self {
                inner: Arc::new(inner),
            },
            opened,
        ))
    }

    /// Where the journal is damaged, if that is why nothing can be written.
    pub fn damage(&self) -> Option<&Damage> {
        self.inner.shut.as_ref().map(|(damage, _)| damage)
    }

    /// Once this returns with an answer, the act is on disk and every later read sees it.
    /// An act that was handed over happens even if the caller goes away before the answer.
    pub async fn act(&self, act: D::Act) -> Answer<D> {
        self.inner.post.open();
        let answer = self.submit(act)?;
        answer
            .await
            .unwrap_or(Err(ActError::Unavailable(Unavailable::Stopped)))
    }

    /// The same for a thread that may wait; not to be called from an async task.
    pub fn act_blocking(&self, act: D::Act) -> Answer<D> {
        let answer = self.submit(act)?;
        answer
            .blocking_recv()
            .unwrap_or(Err(ActError::Unavailable(Unavailable::Stopped)))
    }

    pub(super) fn submit(
        &self,
        act: D::Act,
    ) -> Result<oneshot::Receiver<Answer<D>>, ActError<D::Refusal>> {
        if self.inner.shut.is_some() {
            return Err(ActError::Unavailable(Unavailable::Damaged));
        }
        let (answer, answered) = oneshot::channel();
        let job = Job {
            class: D::class(&act),
            act,
            answer,
        };
        let put = self.inner.inbox.put(job);
        put.map_err(|_| ActError::Unavailable(Unavailable::Stopped))?;
        Ok(answered)
    }

    /// Runs `f` on a thread that may wait. It sees every act that was answered before.
    pub async fn read<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Reader<'_>) -> T + Send + 'static,
    ) -> Result<T, Unread> {
        let state = self.inner.state.clone();
        let read = self.inner.readers.run(move || f(&Reader::new(&state)));
        read.await.map_err(|Dropped| Unread::Interrupted)
    }

    /// The same on this thread.
    pub fn read_blocking<T>(&self, f: impl FnOnce(&Reader<'_>) -> T) -> T {
        f(&Reader::new(&self.inner.state))
    }

    pub(super) fn state(&self) -> &State {
        &self.inner.state
    }

    #[cfg(test)]
    pub(super) fn turns(&self) -> u64 {
        self.inner.inbox.pulse().0
    }

    pub fn blobs(&self) -> &Blobs {
        &self.inner.blobs
    }

    /// Makes a checkpoint of everything answered so far and waits for it.
    pub fn checkpoint_blocking(&self) {
        let (told, answer) = oneshot::channel();
        if self.inner.inbox.put_own(Own::Cut(told)).is_ok() {
            // The state has caught up, or the writer is gone and there is no more to catch up with.
            let _ = answer.blocking_recv();
        }
        let (done, wait) = channel();
        if self.inner.keeper.send(Work::Checkpoint(Some(done))).is_ok() {
            // Nothing is ever sent: the keeper drops its end.
            let _ = wait.recv();
        }
    }

    /// Does a chore now and waits for it. What is due is done without being asked.
    pub fn care_blocking(&self, deed: Deed) -> Result<u64, CareError> {
        let (done, wait) = channel();
        let told = self.inner.care.send(Chore::Do(deed, done));
        told.map_err(|_| CareError::Stopped)?;
        wait.recv().map_err(|_| CareError::Stopped)?
    }

    /// Does whatever is due now, and waits for it.
    pub fn look_blocking(&self) {
        let (done, wait) = channel();
        if self.inner.care.send(Chore::LookNow(done)).is_ok() {
            // Nothing is ever sent: the sender is dropped.
            let _ = wait.recv();
        }
    }

    /// Copies everything answered so far into another folder, and waits for it. Acts go on meanwhile; chores wait.
    pub fn backup_blocking(&self, to: &Path, tell: Tell<'_>) -> Result<Copied, CareError> {
        let inner = &self.inner;
        if inner.shut.is_some() {
            return Err(CareError::Unavailable(Unavailable::Damaged));
        }
        let _hands = inner.hands.lock().unwrap_or_else(PoisonError::into_inner);
        let (told, answer) = oneshot::channel();
        let asked = inner.inbox.put_own(Own::Cut(told));
        asked.map_err(|_| Unavailable::Stopped)?;
        let cut = answer.blocking_recv().map_err(|_| Unavailable::Stopped)??;
        let stopped = || inner.stop.load(Ordering::Relaxed) || inner.fatal.is_dead();
        let now_ms = (inner.clock)();
        let former = inner.former.clone();
        let cut = Cut { former, ..cut };
        backup::copy(&inner.disk, &inner.data, &cut, to, now_ms, (&stopped, tell))
    }

    /// A person has taken the folder over: `store.toml` says so from now on. The journal must have said it before.
    pub async fn adopt(&self) -> Result<(), OpenError> {
        let store = self.clone();
        let adopted = tokio::task::spawn_blocking(move || store.adopt_blocking()).await;
        adopted.unwrap_or_else(|_| Err(OpenError::State("interrupted".to_owned())))
    }

    /// The same for a thread that may wait.
    pub fn adopt_blocking(&self) -> Result<(), OpenError> {
        identity::adopt(&self.inner.data, &self.inner.disk)
    }

    /// Keeps a blob from being collected until a record that names it has been seen.
    pub fn lend(&self, pin: Pin) {
        self.inner.blobs.lend(pin, (self.inner.clock)());
    }

    /// A record in the state has a wrong checksum: the next start rebuilds it, and that is now.
    pub fn distrust(&self, why: &str) {
        self.inner
            .marks
            .distrust(&self.inner.data, &self.inner.disk);
        self.inner
            .fatal
            .raise(&format!("the state cannot be used: {why}"));
        self.inner.inbox.abandon();
    }

    pub fn status(&self) -> io::Result<Status> {
        let journal = self.inner.data.join("journal");
        let segments = segment::list(&journal)?.len();
        let files = std::fs::read_dir(&journal)?;
        let lens = files.map(|file| {
            file.and_then(|file| file.metadata())
                .map_or(0, |it| it.len())
        });
        Ok(Status {
            sequence: self.inner.gauges.sequence.load(Ordering::Acquire),
            segments,
            journal_bytes: lens.sum(),
            free_bytes: self.inner.disk.free(&self.inner.data)?,
            checkpoint: self.inner.marks.checkpointed(),
            health: self.health(),
        })
    }

    pub fn health(&self) -> Health {
        let stopped = self.inner.fatal.is_dead()
            || self
                .inner
                .threads
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .is_none();
        match self.inner.gauges.room() {
            _ if self.inner.shut.is_some() => Health::Damaged,
            _ if stopped => Health::Stopped,
            Room::Ample => Health::Well,
            room @ (Room::Low | Room::Scarce) => Health::Short(room),
        }
    }

    /// Does what waits, makes a checkpoint, and lets go of the folder. Other handles find it closed.
    pub async fn close(self) {
        let inner = Arc::clone(&self.inner);
        let closed = tokio::task::spawn_blocking(move || inner.close(Last::Checkpoint)).await;
        if closed.is_err() {
            tracing::warn!("the store was not closed in order");
        }
    }

    /// The same for a thread that may wait.
    pub fn close_blocking(self) {
        self.inner.close(Last::Checkpoint);
    }
}

impl<D: Domain> Inner<D> {
    /// Puts into the journal what a person did to the folder while it was closed. Twice after a death in between, and where
    /// `store.toml` cannot be written: to fail here would note it again at each of a start's tries.
    fn note_pending(&self, options: &Options, mut identity: Identity) {
        for pending in &identity.pending {
            let (told, answer) = oneshot::channel();
            let note = Box::new(Note::from_pending(pending));
            let asked = self.inbox.put_own(Own::Note(note, told)).is_ok();
            let noted = asked && matches!(answer.blocking_recv(), Ok(Ok(_)));
            if !noted {
                tracing::warn!("what was done to the folder is noted at the next start");
                return;
            }
        }
        if identity.pending.is_empty() {
            return;
        }
        identity.pending.clear();
        if let Err(error) = identity::keep(&options.folder, &options.disk, identity) {
            tracing::warn!("what was done to the folder is noted at the next start, too: {error}");
        }
    }

    fn close(&self, last: Last) {
        let threads = self
            .threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(Threads {
            writer,
            keeper,
            care,
            watch: (stop, watch),
            lock,
        }) = threads
        else {
            return;
        };
        self.stop.store(true, Ordering::Relaxed);
        self.inbox.close();
        // A thread that panicked has raised its own alarm.
        drop(writer.join());
        drop(self.keeper.send(Work::Stop(last)));
        drop(keeper.join());
        drop(self.care.send(Chore::Stop));
        drop(care.join());
        drop(stop);
        drop(watch.join());
        drop(lock);
    }
}

/// Without `close`, only the checkpoint is missing: the next start applies more.
impl<D: Domain> Drop for Inner<D> {
    fn drop(&mut self) {
        self.close(Last::Nothing);
    }
}

//! The handle that everyone holds.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use thiserror::Error;
use tokio::sync::{Semaphore, oneshot};

use super::blobs::Blobs;
use super::checkpoint;
use super::disk::Disk;
use super::domain::Domain;
use super::error::{ActError, OpenError, Unavailable};
use super::fatal::{self, Fatal};
use super::identity::Lock;
use super::inbox::{Answer, Inbox, Job};
use super::keeper::{Keeper, Last, Marks, Work};
use super::options::Options;
use super::post::Post;
use super::reader::Reader;
use super::recover::{self, Opened, Recovered};
use super::room::Room;
use super::segment;
use super::state::{Head, ReadError, State};
use super::watch;
use super::writer::{Gauges, Ties, Writer};

/// Reads that run at the same time.
const READERS: usize = 4;

/// The store. Clones are handles to the same one.
pub struct Store<D: Domain> {
    inner: Arc<Inner<D>>,
}

struct Inner<D: Domain> {
    inbox: Arc<Inbox<D>>,
    post: Arc<Post<D>>,
    state: State,
    blobs: Blobs,
    marks: Arc<Marks>,
    gauges: Arc<Gauges>,
    fatal: Arc<Fatal>,
    readers: Arc<Semaphore>,
    disk: Disk,
    data: PathBuf,
    keeper: Sender<Work>,
    threads: Mutex<Option<Threads>>,
}

/// What runs beside, and what must outlive it.
struct Threads {
    writer: JoinHandle<()>,
    keeper: JoinHandle<()>,
    watch: (Sender<()>, JoinHandle<()>),
    lock: Lock,
}

/// How the store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Well,
    /// Room is short; see [`Room::admits`].
    Short(Room),
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
        let opened = recovered.opened.clone();
        let inner = start(options, domain, recovered).map_err(OpenError::io(&options.folder))?;
        Ok((
            Self {
                inner: Arc::new(inner),
            },
            opened,
        ))
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
        let permit = Arc::clone(&self.inner.readers).acquire_owned().await;
        let permit = permit.map_err(|_| Unread::Interrupted)?;
        let inner = Arc::clone(&self.inner);
        let read = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            f(&Reader::new(&inner.state))
        });
        read.await.map_err(|_| Unread::Interrupted)
    }

    /// The same on this thread.
    pub fn read_blocking<T>(&self, f: impl FnOnce(&Reader<'_>) -> T) -> T {
        f(&Reader::new(&self.inner.state))
    }

    pub fn blobs(&self) -> &Blobs {
        &self.inner.blobs
    }

    /// Makes a checkpoint now and waits for it.
    pub fn checkpoint_blocking(&self) {
        let (done, wait) = channel();
        if self.inner.keeper.send(Work::Checkpoint(Some(done))).is_ok() {
            // Nothing is ever sent: the keeper drops its end.
            let _ = wait.recv();
        }
    }

    /// A record in the state has a wrong checksum: the next start rebuilds it, and that is now.
    pub fn distrust(&self, why: &str) {
        drop(checkpoint::remove(&self.inner.data, &self.inner.disk));
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
    fn close(&self, last: Last) {
        let threads = self
            .threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(Threads {
            writer,
            keeper,
            watch: (stop, watch),
            lock,
        }) = threads
        else {
            return;
        };
        self.inbox.close();
        // A thread that panicked has raised its own alarm.
        drop(writer.join());
        drop(self.keeper.send(Work::Stop(last)));
        drop(keeper.join());
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

/// Starts the threads. From here on the journal is the writer's.
fn start<D: Domain>(options: &Options, domain: D, found: Recovered) -> io::Result<Inner<D>> {
    let (data, disk) = (options.folder.clone(), options.disk.clone());
    let fatal = Fatal::new(Arc::clone(&options.on_fatal));
    if options.watch_panics {
        fatal::end_on_sled_panic(&fatal);
    }
    let blobs = Blobs::open(&data, &disk, &fatal)?;
    let (position, open_segment) = (found.journal.position(), found.journal.number());
    let store = found.identity.store;
    let marks = Arc::new(Marks::at(Head {
        store,
        sequence: position.sequence,
        chain: position.chain,
    }));
    let gauges = Arc::new(Gauges::default());
    gauges.sequence.store(position.sequence, Ordering::Release);
    let (tell, keeper) = Keeper {
        data: data.clone(),
        disk: disk.clone(),
        state: found.state.clone(),
        marks: Arc::clone(&marks),
        boot_id: found.boot_id,
        fatal: Arc::clone(&fatal),
    }
    .start()?;
    // What a process before us closed and did not come to compress.
    for number in recover::uncompressed(&data.join("journal"), open_segment, &disk)? {
        drop(tell.send(Work::Compress(number)));
    }
    let inbox = Arc::new(Inbox::new());
    let post = Arc::new(Post::new());
    let ties = Ties {
        inbox: Arc::clone(&inbox),
        post: Arc::clone(&post),
        marks: Arc::clone(&marks),
        gauges: Arc::clone(&gauges),
        keeper: tell.clone(),
        fatal: Arc::clone(&fatal),
    };
    let state = found.state.clone();
    let writer = Writer::new(
        options,
        domain,
        ties,
        store,
        found.journal,
        found.state,
        found.ballast,
    )?;
    let writer = thread::Builder::new()
        .name("lubu-writer".to_owned())
        .spawn(|| writer.run())?;
    let watch = watch::start(Arc::clone(&inbox), Arc::clone(&fatal), options.stuck)?;
    let threads = Mutex::new(Some(Threads {
        writer,
        keeper,
        watch,
        lock: found.lock,
    }));
    let readers = Arc::new(Semaphore::new(READERS));
    Ok(Inner {
        inbox,
        post,
        state,
        blobs,
        marks,
        gauges,
        fatal,
        readers,
        disk,
        data,
        keeper: tell,
        threads,
    })
}

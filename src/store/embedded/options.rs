//! What the store is opened with. Time, chance, the machine's ids and the way out are all given.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::disk::Disk;
use super::identity::Lock;
use super::migrate::{MIGRATIONS, Migration};

/// UTC milliseconds.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;
/// Fills the slice with chance.
pub type Chance = Arc<dyn Fn(&mut [u8]) -> io::Result<()> + Send + Sync>;
/// An id of the running boot, or of the machine; `None` where there is none.
pub type IdSource = Arc<dyn Fn() -> Option<String> + Send + Sync>;
/// Called once when the process must end. Whoever returns from it gets a store that does nothing more.
pub type OnFatal = Arc<dyn Fn(&str) + Send + Sync>;
/// Whether the clock cannot be believed just now: nothing is deleted by age then.
pub type Suspect = Arc<dyn Fn() -> bool + Send + Sync>;
/// Called while the state is rebuilt or brought up to date.
pub type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The last sequence applied.
    pub sequence: u64,
    /// The sequence at the end of the journal.
    pub of: u64,
}

#[derive(Clone)]
pub struct Options {
    /// The data folder; made if it is missing, its parent is not.
    pub folder: PathBuf,
    pub segment_bytes: u64,
    pub ballast_bytes: u64,
    /// Free space below which no new work is taken in.
    pub low_bytes: u64,
    /// sled's cache.
    pub cache_bytes: u64,
    /// Journal bytes after which a checkpoint is made.
    pub checkpoint_bytes: u64,
    /// Journal bytes since the last base below which no new one is made for their sake.
    pub base_bytes: u64,
    /// Memory that making a base takes, about.
    pub run_bytes: usize,
    /// How long the audit log goes back; never under [`Options::KEEP_AUDIT_LEAST`].
    pub keep_audit: Duration,
    /// Time without an act after which a checkpoint is made.
    pub quiet: Duration,
    /// Time with acts waiting and no turn of the writer after which the process ends.
    pub stuck: Duration,
    /// Whether a panic on one of sled's threads ends the process. It takes the process's panic hook.
    pub watch_panics: bool,
    pub clock: Clock,
    pub chance: Chance,
    pub boot_id: IdSource,
    pub machine_id: IdSource,
    pub clock_suspect: Suspect,
    pub on_fatal: OnFatal,
    pub on_progress: OnProgress,
    /// The folder, where it was taken before. Given up with the last clone of it, so not to be kept.
    pub held: Option<Lock>,
    /// The way from older formats to this one.
    pub migrations: &'static [Migration],
    pub disk: Disk,
}

impl Options {
    /// What the law asks of a log at the least.
    pub const KEEP_AUDIT_LEAST: Duration = Duration::from_hours(180 * 24);

    pub fn new(folder: impl Into<PathBuf>, clock: Clock) -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            folder: folder.into(),
            segment_bytes: 64 * MIB,
            ballast_bytes: 16 * MIB,
            low_bytes: 256 * MIB,
            cache_bytes: 128 * MIB,
            checkpoint_bytes: 64 * MIB,
            base_bytes: 256 * MIB,
            run_bytes: 64 << 20,
            keep_audit: Duration::from_hours(3 * 365 * 24),
            quiet: Duration::from_secs(5),
            stuck: Duration::from_mins(1),
            watch_panics: true,
            clock,
            chance: Arc::new(|bytes| fs::File::open("/dev/urandom")?.read_exact(bytes)),
            boot_id: Arc::new(|| line("/proc/sys/kernel/random/boot_id")),
            machine_id: Arc::new(|| line("/etc/machine-id")),
            clock_suspect: Arc::new(|| false),
            on_fatal: Arc::new(|reason| {
                tracing::error!("the store cannot go on, and the process ends: {reason}");
                std::process::abort();
            }),
            on_progress: Arc::new(|_| {}),
            held: None,
            migrations: MIGRATIONS,
            disk: Disk::default(),
        }
    }
}

fn line(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("folder", &self.folder)
            .field("segment_bytes", &self.segment_bytes)
            .finish_non_exhaustive()
    }
}

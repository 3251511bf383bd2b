//! One run of the workload on a store: open, act from several threads, end in some way.
//!
//! A process of its own, because it is to be killed. What it says on standard output is its word: `ACK n` after act `n` was
//! answered, `NO n` after it was refused with the promise that nothing of it is there.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use lubu::store::embedded::{ActError, BlobError, Deed, Options, Store, Unavailable};

use crate::notes::{Note, Notes};

const THREADS: u64 = 3;
/// An act in so many asks for a checkpoint first, or for a chore.
const CHECKPOINT_EVERY: u64 = 40;
const CHORES: [(Deed, u64); 4] = [
    (Deed::Base, 19),
    (Deed::Strip, 29),
    (Deed::Collect, 31),
    (Deed::Retire, 47),
];
/// The store's clock stands later than the files: no blob is too young to be collected.
const NOW_MS: i64 = 1_900_000_000_000;

/// How a session ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum End {
    /// In order, with a checkpoint.
    Close,
    /// The process just goes.
    Exit,
}

/// What one session does.
#[derive(Clone, Debug, clap::Args)]
pub struct Session {
    #[arg(long)]
    pub folder: PathBuf,
    #[arg(long)]
    pub seed: u64,
    /// The number of the first act.
    #[arg(long)]
    pub from: u64,
    #[arg(long)]
    pub count: u64,
    /// The boot that it pretends to run under.
    #[arg(long)]
    pub boot: String,
    #[arg(long, value_enum)]
    pub end: End,
}

/// The store as this harness opens it: small segments, so that much happens.
pub fn options(folder: &Path, boot: &str) -> Options {
    let time = AtomicI64::new(NOW_MS);
    let boot = boot.to_owned();
    Options {
        segment_bytes: 256 * 1024,
        ballast_bytes: 64 * 1024,
        low_bytes: 128 * 1024,
        cache_bytes: 1024 * 1024,
        checkpoint_bytes: 512 * 1024,
        base_bytes: 256 * 1024,
        run_bytes: 64 * 1024,
        quiet: Duration::from_hours(1),
        stuck: Duration::from_secs(20),
        boot_id: Arc::new(move || Some(boot.clone())),
        machine_id: Arc::new(|| Some("machine-1".to_owned())),
        ..Options::new(
            folder,
            Arc::new(move || time.fetch_add(1, Ordering::Relaxed)),
        )
    }
}

/// One line, in one write. A harness that has gone cannot be told.
pub fn say(line: &str) {
    let mut out = io::stdout().lock();
    drop(out.write_all(format!("{line}\n").as_bytes()));
    drop(out.flush());
}

impl Session {
    /// Its arguments for the command line.
    pub fn arguments(&self) -> Vec<String> {
        let end = match self.end {
            End::Close => "close",
            End::Exit => "exit",
        };
        let words = [
            ("--folder", self.folder.display().to_string()),
            ("--seed", self.seed.to_string()),
            ("--from", self.from.to_string()),
            ("--count", self.count.to_string()),
            ("--boot", self.boot.clone()),
            ("--end", end.to_owned()),
        ];
        words
            .into_iter()
            .flat_map(|(name, value)| [name.to_owned(), value])
            .collect()
    }

    pub fn run(&self) -> Result<(), String> {
        say(&format!("BOOT {}", self.boot));
        let options = options(&self.folder, &self.boot);
        let (store, opened) = Store::open(&options, Notes).map_err(|error| error.to_string())?;
        say(&format!("OPENED {opened:?}"));
        let next = Arc::new(AtomicU64::new(self.from));
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| self.acts(&store, &next));
            }
        });
        say("CLOSING");
        match self.end {
            End::Close => store.close_blocking(),
            End::Exit => std::process::exit(0),
        }
        say("CLOSED");
        Ok(())
    }

    fn acts(&self, store: &Store<Notes>, next: &AtomicU64) {
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= self.from + self.count {
                return;
            }
            if n.is_multiple_of(CHECKPOINT_EVERY) {
                say("CHECKPOINT");
                store.checkpoint_blocking();
            }
            for (deed, _) in CHORES.iter().filter(|(_, every)| n.is_multiple_of(*every)) {
                say(&format!("CHORE {deed:?}"));
                if let Err(error) = store.care_blocking(*deed) {
                    say(&format!("CHORE {deed:?} failed: {error}"));
                }
            }
            say(&self.act(store, n));
        }
    }

    fn act(&self, store: &Store<Notes>, n: u64) -> String {
        let note = Note { seed: self.seed, n };
        let blob = note
            .blob()
            .map(|bytes| store.blobs().put_blocking(&bytes))
            .transpose();
        let _pin = match blob {
            Ok(pin) => pin,
            // The act was never asked for.
            Err(BlobError::DiskFull | BlobError::Io(_)) => return format!("NO {n}"),
            Err(error) => return format!("MAYBE {n} {error}"),
        };
        match store.act_blocking(note) {
            Ok(_) => format!("ACK {n}"),
            Err(ActError::Unavailable(Unavailable::DiskFull | Unavailable::Unwritable)) => {
                format!("NO {n}")
            }
            Err(error) => format!("MAYBE {n} {error:?}"),
        }
    }
}

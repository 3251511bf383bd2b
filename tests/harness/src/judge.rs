//! Opens a folder and says whether it holds what was acknowledged.
//!
//! Three readings must agree: what the store shows, what follows from the seed for the acts that it says happened, and
//! what a second store shows that has nothing but the journal. Then one more act must go in.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use lubu::store::embedded::{BlobHash, Order, Scan, Store, audit};

use crate::notes::{Note, Notes, Records, Said, expected, happened};
use crate::process::this;
use crate::session::{options, say};

/// Starts of one folder after which it counts as one that does not open: systemd would go on.
pub const STARTS: u32 = 5;

/// The act that the judge adds itself.
const MORE: u64 = 9_000_000_000;

/// How a folder was opened.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    pub rebuilt: Option<String>,
    pub cut: bool,
    pub replayed: u64,
    pub open_ms: u64,
    pub acts: usize,
}

/// Opens the folder under this boot, twice, and compares.
pub fn judge(folder: &Path, boot: &str, seed: u64, said: &Said) -> Result<Verdict, String> {
    let start = Instant::now();
    let options = options(folder, boot);
    let (store, opened) = Store::open(&options, Notes)
        .map_err(|error| format!("DOES NOT OPEN: failed to {error}"))?;
    let open_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    if opened.restored_copy {
        return Err("WITHHELD: it takes itself for a copy and would send nothing".to_owned());
    }
    let found = records(&store)?;
    let acts = happened(&found)?;
    said.judge(&acts)?;
    same(
        "the state and the acts",
        &found,
        &expected(seed, &acts, &found),
    )?;
    blobs(&store, &found)?;
    let more = acts.iter().max().map_or(MORE, |last| MORE.max(last + 1));
    store
        .act_blocking(Note { seed, n: more })
        .map_err(|error| format!("takes no further act: {error:?}"))?;
    let before = records(&store)?;
    store.close_blocking();
    audit::verify(folder).map_err(|error| format!("the journal does not verify: {error}"))?;
    forget_state(folder).map_err(|error| error.to_string())?;
    let (store, _) = Store::open(&options, Notes)
        .map_err(|error| format!("DOES NOT REBUILD: failed to {error}"))?;
    let after = records(&store)?;
    store.close_blocking();
    same("the state and the journal", &before, &after)?;
    Ok(Verdict {
        rebuilt: opened.rebuilt.map(|why| format!("{why:?}")),
        cut: opened.cut.is_some(),
        replayed: opened.replayed,
        open_ms,
        acts: acts.len(),
    })
}

/// Everything that the store shows.
fn records(store: &Store<Notes>) -> Result<Records, String> {
    let scan = Scan {
        prefix: b"",
        after: None,
        limit: usize::MAX,
        order: Order::Forward,
    };
    let pairs = store
        .read_blocking(|reader| reader.scan_prefix(&scan))
        .map_err(|error| format!("cannot be read: {error}"))?;
    Ok(pairs
        .into_iter()
        .map(|(key, value)| (key.to_vec(), value.to_vec()))
        .collect())
}

fn same(what: &str, left: &Records, right: &Records) -> Result<(), String> {
    if left == right {
        return Ok(());
    }
    let differs = |one: &Records, other: &Records| -> Vec<String> {
        let keys = one
            .iter()
            .filter(|(key, value)| other.get(*key) != Some(*value));
        keys.take(4)
            .map(|(key, _)| String::from_utf8_lossy(key).into_owned())
            .collect()
    };
    Err(format!(
        "{what} DIFFER: {} and {} records, at {:?} and {:?}",
        left.len(),
        right.len(),
        differs(left, right),
        differs(right, left)
    ))
}

/// Every blob that a record names is there and whole.
fn blobs(store: &Store<Notes>, found: &Records) -> Result<(), String> {
    for (key, hash) in found.iter().filter(|(key, _)| key.starts_with(b"b/")) {
        let bytes: [u8; 32] = hash
            .as_slice()
            .try_into()
            .map_err(|_| "a hash is cut short")?;
        let blob = store.blobs().get_blocking(BlobHash::from_bytes(bytes));
        blob.map_err(|error| {
            format!("LOST the blob of {}: {error}", String::from_utf8_lossy(key))
        })?;
    }
    Ok(())
}

fn forget_state(folder: &Path) -> std::io::Result<()> {
    fs::remove_dir_all(folder.join("sled"))?;
    match fs::remove_file(folder.join("checkpoint")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// An image stands where its original stood: its identity file must not name the original's inode.
pub fn pass_for_original(folder: &Path) -> std::io::Result<()> {
    let path = folder.join("store.toml");
    let Ok(text) = fs::read_to_string(&path) else {
        return Ok(());
    };
    let ino = fs::metadata(&path)?.ino();
    let line = |line: &str| match line.strip_prefix("inode = ") {
        Some(_) => format!("inode = {ino}\n"),
        None => format!("{line}\n"),
    };
    fs::write(&path, text.lines().map(line).collect::<String>())
}

/// A folder as it lies there, elsewhere.
pub fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()? {
            kind if kind.is_dir() => copy_folder(&entry.path(), &target)?,
            kind if kind.is_file() => drop(fs::copy(entry.path(), target)?),
            // A socket of a process that is gone.
            _ => {}
        }
    }
    Ok(())
}

/// The process that judges one folder: a store that ends its process must not end the harness.
#[derive(Clone, Debug, clap::Args)]
pub struct Judge {
    #[arg(long)]
    pub folder: PathBuf,
    #[arg(long)]
    pub boot: String,
    #[arg(long)]
    pub seed: u64,
    /// A file with what the sessions said.
    #[arg(long)]
    pub said: PathBuf,
}

impl Judge {
    pub fn run(&self) -> Result<(), String> {
        let text = fs::read_to_string(&self.said).map_err(|error| error.to_string())?;
        match judge(
            &self.folder,
            &self.boot,
            self.seed,
            &Said::from_lines(text.lines()),
        ) {
            Ok(verdict) => say(&format!(
                "GOOD {}",
                verdict.rebuilt.as_deref().unwrap_or("Believed")
            )),
            Err(why) => say(&format!("BAD {why}")),
        }
        Ok(())
    }
}

/// Judges a copy of the folder in a process of its own; how its state was come by, or what is wrong.
pub fn judge_copy(
    folder: &Path,
    scratch: &Path,
    boot: &str,
    seed: u64,
    said: &Path,
) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("the harness failed: {error}");
    drop(fs::remove_dir_all(scratch));
    fs::create_dir_all(scratch).map_err(failed)?;
    if folder.exists() {
        copy_folder(folder, scratch).map_err(failed)?;
    }
    pass_for_original(scratch).map_err(failed)?;
    let mut ended = String::new();
    for _ in 0..STARTS {
        let mut command = this("judge")?;
        command.args(["--boot", boot, "--seed", &seed.to_string()]);
        command.arg("--folder").arg(scratch).arg("--said").arg(said);
        let output = command.output().map_err(failed)?;
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = out
            .lines()
            .find(|line| line.starts_with("GOOD ") || line.starts_with("BAD "));
        match line.and_then(|line| line.split_once(' ')) {
            Some(("GOOD", how)) => return Ok(how.to_owned()),
            Some((_, why)) => return Err(why.to_owned()),
            None => {
                let words = String::from_utf8_lossy(&output.stderr);
                words
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .clone_into(&mut ended);
            }
        }
    }
    Err(format!("DOES NOT OPEN in {STARTS} starts: {ended}"))
}

//! A copy of the folder that can be restored, made while the store runs.
//!
//! The writer names a cut: a segment and how much of it is synced. Then bases, the journal up to the cut, and blobs are
//! copied, in this order: every blob that the cut names was on disk before it. Nothing is compressed, stripped or
//! collected meanwhile. What is there already with the right size is not copied again; what the store has no longer goes
//! from the copy too, or an erasure would not reach it.
//!
//! `backup.toml` is removed first and written last: without it a copy is not whole, and is not restored.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::collect;
use super::disk::Disk;
use super::error::{CareError, OpenError};
use super::identity::{self, Former, Pending};
use super::options::Options;
use super::own::Cut;
use super::segment::{self, FORMAT};

const PIECE: usize = 1024 * 1024;

/// What a whole copy says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Label {
    format: u32,
    store: Uuid,
    sequence: u64,
    chain: String,
    made_ms: i64,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// The last entry in it.
    pub sequence: u64,
    pub files: u64,
    pub bytes: u64,
    /// Files that were there already.
    pub kept: u64,
    /// Blobs whose bytes do not have their hash: copied as they are, and to be looked into.
    pub damaged: Vec<String>,
}

/// Said on the way: how many files have been looked at.
pub type Tell<'a> = &'a (dyn Fn(u64) + Sync);

struct Copy<'a> {
    disk: &'a Disk,
    from: &'a Path,
    to: &'a Path,
    stopped: &'a dyn Fn() -> bool,
    tell: Tell<'a>,
    done: Copied,
}

/// Makes the copy, or brings an earlier one up to date.
pub(super) fn copy(
    disk: &Disk,
    data: &Path,
    cut: &Cut,
    to: &Path,
    made_ms: i64,
    (stopped, tell): (&dyn Fn() -> bool, Tell<'_>),
) -> Result<Copied, CareError> {
    let label = to.join("backup.toml");
    make_folder(to)?;
    is_ours(to, cut)?;
    disk.remove(&label)?;
    disk.sync_folder(to)?;
    let mut copy = Copy {
        disk,
        from: data,
        to,
        stopped,
        tell,
        done: Copied::default(),
    };
    copy.bases()?;
    copy.journal(Some(cut))?;
    copy.blobs()?;
    let identity = fs::read(data.join("store.toml"))?;
    disk.replace(&to.join("store.toml"), &to.join("store.toml.tmp"), |_| {
        Ok(identity)
    })?;
    let text = toml::to_string(&Label {
        format: FORMAT,
        store: cut.store,
        sequence: cut.position.sequence,
        chain: cut.position.chain.to_string(),
        made_ms,
    })
    .map_err(io::Error::other)?;
    disk.replace(&label, &to.join("backup.toml.tmp"), |_| {
        Ok(text.into_bytes())
    })?;
    copy.done.sequence = cut.position.sequence;
    Ok(copy.done)
}

/// An earlier copy of this store, or an empty folder; nothing else is written over.
fn is_ours(to: &Path, cut: &Cut) -> Result<(), CareError> {
    let known = if let Ok((identity, _)) = identity::read(to) {
        identity.knows(cut.store) || cut.former.contains(&identity.store)
    } else {
        let mut others = fs::read_dir(to)?.filter_map(Result::ok);
        !others.any(|entry| !["base", "journal", "blobs"].contains(&name(&entry).as_str()))
    };
    if known {
        Ok(())
    } else {
        Err(CareError::Foreign(to.to_owned()))
    }
}

fn name(entry: &fs::DirEntry) -> String {
    entry.file_name().to_string_lossy().into_owned()
}

fn make_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

impl Copy<'_> {
    fn bases(&mut self) -> Result<(), CareError> {
        let names = names_in(&self.from.join("base"), |name| {
            Path::new(name).extension().is_some_and(|it| it == "base")
        })?;
        for name in &names {
            self.file(&Path::new("base").join(name), None, Again::IfSizeDiffers)?;
        }
        self.only("base", &names)
    }

    /// Every segment, and of the one that is written to only what is synced.
    fn journal(&mut self, cut: Option<&Cut>) -> Result<(), CareError> {
        let folder = self.from.join("journal");
        let mut names = BTreeSet::new();
        for (number, forms) in segment::list(&folder)? {
            if cut.is_some_and(|cut| number > cut.segment) {
                break;
            }
            let path = if forms.plain {
                segment::plain_path(&folder, number)
            } else {
                segment::compressed_path(&folder, number)
            };
            let name = path.file_name().unwrap_or_default().to_owned();
            let relative = Path::new("journal").join(&name);
            let most = cut.filter(|cut| cut.segment == number && forms.plain);
            let again = if forms.plain || self.was_stripped_since(number)? {
                Again::Always
            } else {
                Again::IfSizeDiffers
            };
            self.file(&relative, most.map(|cut| cut.offset), again)?;
            names.extend(name.into_string().ok());
        }
        self.only("journal", &names)
    }

    fn was_stripped_since(&self, number: u64) -> io::Result<bool> {
        let stripped = |folder: &Path| match segment::load_header(folder, number) {
            Ok(header) => Ok(header.map(|header| header.stripped)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        Ok(stripped(&self.from.join("journal"))? != stripped(&self.to.join("journal"))?)
    }

    fn blobs(&mut self) -> Result<(), CareError> {
        for folder in 0..256 {
            let relative = Path::new("blobs").join(format!("{folder:02x}"));
            let mut names = BTreeSet::new();
            for (hash, _) in collect::files(&self.from.join(&relative))? {
                let name = hash.to_string();
                let copied = self.file(&relative.join(&name), None, Again::IfSizeDiffers)?;
                if copied == Some(false) {
                    self.done.damaged.push(name.clone());
                }
                names.insert(name);
            }
            self.only(&relative.to_string_lossy(), &names)?;
        }
        Ok(())
    }

    /// Copies one file unless it is there. `Some` says whether what was copied has the hash it is named by, if it is a blob.
    fn file(
        &mut self,
        path: &Path,
        most: Option<u64>,
        again: Again,
    ) -> Result<Option<bool>, CareError> {
        if (self.stopped)() {
            return Err(CareError::Stopped);
        }
        let (from, to) = (self.from.join(path), self.to.join(path));
        let source = match File::open(&from) {
            // Collected or erased between the listing and now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let len = source.metadata()?.len();
        let len = most.map_or(len, |most| most.min(len));
        (self.tell)(self.done.files + self.done.kept);
        let there = fs::metadata(&to).is_ok_and(|file| file.len() == len);
        if there && again == Again::IfSizeDiffers {
            self.done.kept += 1;
            return Ok(None);
        }
        make_folder(to.parent().unwrap_or(self.to))?;
        let temporary = to.with_extension("tmp");
        let target = self.disk.create(&temporary, 0)?;
        let (mut at, mut piece) = (0, vec![0; PIECE]);
        let mut hasher = blake3::Hasher::new();
        let mut source = source.take(len);
        loop {
            let count = source.read(&mut piece)?;
            if count == 0 {
                break;
            }
            hasher.update(&piece[..count]);
            self.disk.write_at(&target, at, &piece[..count])?;
            at += count as u64;
        }
        self.disk.sync(&target)?;
        self.disk.rename(&temporary, &to)?;
        self.done.files += 1;
        self.done.bytes += at;
        let named = hasher.finalize().to_hex();
        Ok(Some(
            to.file_name().is_some_and(|name| name == named.as_str()),
        ))
    }

    /// Removes what the store has no longer, and makes the names durable.
    fn only(&self, folder: &str, names: &BTreeSet<String>) -> Result<(), CareError> {
        let folder = self.to.join(folder);
        if !folder.exists() {
            return Ok(());
        }
        for other in names_in(&folder, |name| !names.contains(name))? {
            self.disk.remove(&folder.join(other))?;
        }
        Ok(self.disk.sync_folder(&folder)?)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    Always,
    IfSizeDiffers,
}

fn names_in(folder: &Path, keep: impl Fn(&str) -> bool) -> io::Result<BTreeSet<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        other => other?,
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        let name = name(&entry?);
        if keep(&name) {
            names.insert(name);
        }
    }
    Ok(names)
}

/// Makes a data folder from a copy: a store of its own, which sends nothing before a person adopts it.
///
/// `store.toml` is written last: a restore that was cut off leaves nothing that opens.
pub fn restore(
    from: &Path,
    options: &Options,
    by: &str,
    tell: Tell<'_>,
) -> Result<Copied, OpenError> {
    let to: &PathBuf = &options.folder;
    let text = fs::read_to_string(from.join("backup.toml"));
    let text = text.map_err(|_| OpenError::NoBackup(from.to_owned()))?;
    let label: Label = toml::from_str(&text).map_err(|_| OpenError::NoBackup(from.to_owned()))?;
    if label.format > FORMAT {
        return Err(OpenError::NewerFormat {
            found: label.format,
            known: FORMAT,
        });
    }
    if fs::read_dir(to).is_ok_and(|mut files| files.next().is_some()) {
        return Err(OpenError::NotEmpty(to.clone()));
    }
    let (mut identity, _) = identity::read(from)?;
    let copied = || -> Result<Copied, CareError> {
        for folder in ["base", "journal", "blobs", "aside"] {
            make_folder(&to.join(folder))?;
        }
        let mut copy = Copy {
            disk: &options.disk,
            from,
            to,
            stopped: &|| false,
            tell,
            done: Copied::default(),
        };
        copy.bases()?;
        copy.journal(None)?;
        copy.blobs()?;
        options.disk.sync_folder(&to.join("blobs"))?;
        options.disk.sync_folder(to)?;
        Ok(copy.done)
    };
    let mut copied = copied().map_err(|error| match error {
        CareError::Io(error) => OpenError::io(to)(error),
        other => OpenError::State(other.to_string()),
    })?;
    copied.sequence = label.sequence;
    identity.former.push(Former {
        store: identity.store,
        last_sequence: label.sequence,
    });
    identity.pending.push(Pending {
        what: "restore".to_owned(),
        by: by.to_owned(),
        reason: String::new(),
        outcome: format!("store {} sequence {}", identity.store, label.sequence),
    });
    identity.unadopted = Some("restored from a backup".to_owned());
    identity.floor = identity.floor.max(label.sequence);
    identity::settle_here(options, identity)?;
    Ok(copied)
}

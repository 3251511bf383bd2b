//! The only way the store changes a file of its own.
//!
//! In production a thin layer over `std::fs` and four system calls. A `Gate` can stand in front
//! of every change: tests use it to fail the n-th write, to cut one short, and to take an image of the
//! folder between two steps of the writer, as a kill or a power cut would leave it.
//! Reading needs no gate. sled writes by itself and is not seen here; nothing rests on it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::planted::{Bug, bug};
use rustix::fs::{FallocateFlags, fallocate, fdatasync, statvfs};
use rustix::io::Errno;

/// Where the writer stands. A kill may come between any two of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Decided,
    Written,
    Synced,
    Applied,
    Answered,
}

/// One change about to be made, or just made.
#[derive(Clone, Copy, Debug)]
pub enum Op<'a> {
    Allocate {
        path: &'a Path,
        len: u64,
    },
    Write {
        path: &'a Path,
        at: u64,
        bytes: &'a [u8],
    },
    Sync {
        path: &'a Path,
    },
    SyncFolder {
        path: &'a Path,
    },
    Rename {
        from: &'a Path,
        to: &'a Path,
    },
    Remove {
        path: &'a Path,
    },
    Step(Step),
}

/// What becomes of a change.
#[derive(Debug)]
pub enum Verdict {
    Go,
    Fail(io::Error),
    /// Only so many bytes of a write arrive.
    Short(usize, io::Error),
}

/// Stands in front of every change. Tests only.
pub trait Gate: Send + Sync + 'static {
    fn before(&self, op: &Op<'_>) -> Verdict;
    fn after(&self, op: &Op<'_>);
    /// Free bytes, if the gate wants to lie about them.
    fn free(&self) -> Option<u64>;
}

/// The disk. Cheap to clone.
#[derive(Clone, Default)]
pub struct Disk {
    gate: Option<Arc<dyn Gate>>,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.gate.is_some() {
            "Disk(gated)"
        } else {
            "Disk"
        })
    }
}

/// A file that is open for writing, and where it stands.
#[derive(Debug)]
pub(super) struct DiskFile {
    file: File,
    path: PathBuf,
}

impl Disk {
    pub fn gated(gate: Arc<dyn Gate>) -> Self {
        Self { gate: Some(gate) }
    }

    fn around<T>(&self, op: &Op<'_>, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let Some(gate) = &self.gate else {
            return act();
        };
        match gate.before(op) {
            Verdict::Go => {}
            Verdict::Fail(error) | Verdict::Short(_, error) => return Err(error),
        }
        let done = act()?;
        gate.after(op);
        Ok(done)
    }

    pub(super) fn step(&self, step: Step) {
        if let Some(gate) = &self.gate {
            gate.before(&Op::Step(step));
        }
    }

    /// An empty file in place of whatever stood there, `len` bytes of it preallocated.
    pub(super) fn create(&self, path: &Path, len: u64) -> io::Result<DiskFile> {
        self.around(&Op::Allocate { path, len }, || {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .open(path)?;
            match reserve(&file, len) {
                Ok(()) => Ok(DiskFile {
                    file,
                    path: path.to_owned(),
                }),
                Err(error) => {
                    // A half-allocated file would eat the space that the error complains of.
                    drop(fs::remove_file(path));
                    Err(error)
                }
            }
        })
    }

    pub(super) fn open(path: &Path) -> io::Result<DiskFile> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(DiskFile {
            file,
            path: path.to_owned(),
        })
    }

    pub(super) fn write_at(&self, to: &DiskFile, at: u64, bytes: &[u8]) -> io::Result<()> {
        let op = Op::Write {
            path: &to.path,
            at,
            bytes,
        };
        if let Some(gate) = &self.gate {
            match gate.before(&op) {
                Verdict::Go => {}
                Verdict::Fail(error) => return Err(error),
                Verdict::Short(arrive, error) => {
                    to.file
                        .write_all_at(&bytes[..arrive.min(bytes.len())], at)?;
                    return Err(error);
                }
            }
        }
        to.file.write_all_at(bytes, at)?;
        if let Some(gate) = &self.gate {
            gate.after(&op);
        }
        Ok(())
    }

    /// `fdatasync`: data, and the length where it grew.
    pub(super) fn sync(&self, file: &DiskFile) -> io::Result<()> {
        if bug(Bug::B1) {
            return Ok(());
        }
        self.around(&Op::Sync { path: &file.path }, || {
            Ok(fdatasync(&file.file)?)
        })
    }

    pub(super) fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.around(&Op::SyncFolder { path }, || File::open(path)?.sync_all())
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.around(&Op::Rename { from, to }, || fs::rename(from, to))
    }

    /// Removes a file; one that is not there is no error.
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        self.around(&Op::Remove { path }, || match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        })
    }

    /// A whole small file, durable under its name once this returns: temporary, sync, rename, folder sync.
    /// The inode is that of the file that stays, so that the bytes may name it.
    pub(super) fn replace(
        &self,
        path: &Path,
        temporary: &Path,
        bytes: impl FnOnce(&File) -> io::Result<Vec<u8>>,
    ) -> io::Result<()> {
        let file = self.create(temporary, 0)?;
        let written = bytes(&file.file)
            .and_then(|bytes| self.write_at(&file, 0, &bytes))
            .and_then(|()| self.sync(&file))
            .and_then(|()| self.rename(temporary, path));
        if let Err(error) = written {
            drop(self.remove(temporary));
            return Err(error);
        }
        path.parent()
            .map_or(Ok(()), |folder| self.sync_folder(folder))
    }

    /// Bytes that this user may still write on the file system of `path`.
    pub(super) fn free(&self, path: &Path) -> io::Result<u64> {
        if let Some(free) = self.gate.as_ref().and_then(|gate| gate.free()) {
            return Ok(free);
        }
        let stat = statvfs(path)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

impl DiskFile {
    pub(super) fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

/// Blocks, not a promise of blocks: where the file system cannot preallocate, zeros are written.
fn reserve(file: &File, len: u64) -> io::Result<()> {
    if len == 0 {
        return Ok(());
    }
    match fallocate(file, FallocateFlags::empty(), 0, len) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => zero(file, len),
        Err(error) => Err(error.into()),
    }
}

fn zero(file: &File, len: u64) -> io::Result<()> {
    let zeros = vec![0; 64 * 1024];
    let mut at = 0;
    while at < len {
        let piece = usize::try_from(len - at)
            .unwrap_or(usize::MAX)
            .min(zeros.len());
        file.write_all_at(&zeros[..piece], at)?;
        at += piece as u64;
    }
    Ok(())
}

/// Whether an error means that the disk, or our share of it, is full.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

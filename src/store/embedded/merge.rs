//! Making a base: the base before and every segment since, merged.
//!
//! Bounded memory, whatever the store weighs: the changes of the journal are gathered up to some megabytes, written out
//! in key order as a run, and all runs are then read side by side with the base before, one block of each. Where
//! a key stands in several, the youngest counts.
//!
//! The order of the last steps is the recovery story: temporary, sync, read back, the hash as an entry of the
//! journal, the name, the folder. A death before the name leaves no base; after it, one that the journal knows.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::base::{self, Base, BaseHead};
use super::disk::Disk;
use super::domain::Change;
use super::frame::{Entry, Key};
use super::gap::{Gap, Trail};
use super::migrate::{self, Migration};
use super::segment::FORMAT;
use super::sorted::{self, SortedReader, SortedWriter, Written};
use super::walk::{self, Flaw, Place, Position, Until};
use super::{error::CareError, own::Closed};

/// What a key costs in memory beside its bytes.
const OVERHEAD: usize = 96;
const MERGED: &str = "merged.tmp";

/// What a merge works with.
pub(super) struct Merge<'a> {
    pub(super) data: &'a Path,
    pub(super) disk: &'a Disk,
    pub(super) store: uuid::Uuid,
    pub(super) gaps: &'a [Gap],
    /// Changes gathered before they are written out.
    pub(super) run_bytes: usize,
    /// Asked between blocks; a merge that is stopped leaves nothing.
    pub(super) stopped: &'a dyn Fn() -> bool,
    /// The format of what is merged, and the way from it to ours; empty where it is ours.
    pub(super) from: u32,
    pub(super) way: &'a [Migration],
}

/// A base that is written, synced and read back, and has no name yet.
#[derive(Debug)]
pub(super) struct Nameless {
    temporary: PathBuf,
    pub(super) head: BaseHead,
    pub(super) written: Written,
}

/// What was left half-made. Nothing else is ever called `.tmp` there.
pub(super) fn sweep(data: &Path, disk: &Disk) -> io::Result<()> {
    let entries = match fs::read_dir(base::folder(data)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "tmp") {
            disk.remove(&path)?;
        }
    }
    Ok(())
}

impl Merge<'_> {
    /// Everything up to the end of a closed segment.
    pub(super) fn make(
        &self,
        before: Option<&Base>,
        closed: Closed,
        made_ms: i64,
    ) -> Result<Nameless, CareError> {
        sweep(self.data, self.disk)?;
        let made = self.merge(before, closed, made_ms);
        if made.is_err() {
            // The next one sweeps again.
            drop(sweep(self.data, self.disk));
        }
        made
    }

    fn merge(
        &self,
        before: Option<&Base>,
        closed: Closed,
        made_ms: i64,
    ) -> Result<Nameless, CareError> {
        let mut runs = self.runs(before, closed)?;
        let mut sources = Vec::new();
        sources.extend(before.map(Base::records).transpose()?);
        for run in &runs {
            sources.push(SortedReader::open(run)?);
        }
        if !self.way.is_empty() {
            let moved = self.moved(sources)?;
            sources = moved
                .iter()
                .map(|run| SortedReader::open(run))
                .collect::<Result<_, _>>()?;
            runs.extend(moved);
        }
        let head = BaseHead {
            format: FORMAT,
            store: self.store,
            position: closed.position,
            made_ms,
            through: closed.through,
        };
        let temporary = base::folder(self.data).join(MERGED);
        let key = Key::of(self.store);
        let mut to = SortedWriter::create(self.disk, &temporary, &key, &head.encode())?;
        side_by_side(sources, &mut |key, value| match value {
            _ if (self.stopped)() => Err(CareError::Stopped),
            Some(value) => Ok(to.push(key, Some(value))?),
            None => Ok(()),
        })?;
        let (written, file) = to.finish()?;
        self.disk.sync(&file)?;
        for run in &runs {
            self.disk.remove(run)?;
        }
        if sorted::verify(&temporary, &key)? != written {
            return Err(CareError::ReadBack);
        }
        Ok(Nameless {
            temporary,
            head,
            written,
        })
    }

    /// Everything in the shape of our format. A record may go to another key, so the order is made anew.
    fn moved(&self, sources: Vec<SortedReader>) -> Result<Vec<PathBuf>, CareError> {
        let mut runs = Runs::new(self, "moved");
        side_by_side(sources, &mut |key, value| {
            if (self.stopped)() {
                return Err(CareError::Stopped);
            }
            let Some(value) = value else {
                return Ok(());
            };
            match migrate::moved(self.way, key, value)? {
                Some((key, value)) => runs.put(key, Some(value)),
                None => Ok(()),
            }
        })?;
        runs.spill()?;
        Ok(runs.done)
    }

    fn runs(&self, before: Option<&Base>, closed: Closed) -> Result<Vec<PathBuf>, CareError> {
        let mut runs = Runs::new(self, "run");
        let until = Until {
            segment: closed.through,
            sequence: closed.position.sequence,
        };
        let base = before.map(|base| base.head.position);
        let journal = self.data.join("journal");
        let trail = Trail {
            folder: &journal,
            store: self.store,
            gaps: self.gaps,
        };
        let mut last = base;
        let agrees =
            walk::walk_behind(trail, base, Some(until), self.from, &mut |entry, place| {
                last = Some(Position {
                    sequence: entry.sequence,
                    chain: entry.chain,
                });
                runs.entry(entry, place)
            })?;
        if !agrees || last != Some(closed.position) {
            return Err(CareError::Disagrees);
        }
        runs.spill()?;
        Ok(runs.done)
    }
}

/// The changes of the journal, as files in key order, the oldest first.
struct Runs<'a> {
    merge: &'a Merge<'a>,
    name: &'static str,
    key: Key,
    changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    bytes: usize,
    done: Vec<PathBuf>,
}

impl<'a> Runs<'a> {
    fn new(merge: &'a Merge<'a>, name: &'static str) -> Self {
        Self {
            merge,
            name,
            key: Key::of(merge.store),
            changes: BTreeMap::new(),
            bytes: 0,
            done: Vec::new(),
        }
    }
}

impl Runs<'_> {
    fn entry(&mut self, entry: &Entry<'_>, place: Place) -> Result<(), CareError> {
        if (self.merge.stopped)() {
            return Err(CareError::Stopped);
        }
        let changes = entry
            .changes()
            .ok_or_else(|| place.damaged(entry.sequence, Flaw::Entry))?;
        for change in changes {
            let (key, value) = match change {
                Change::Put { key, value } => (key, Some(value)),
                Change::Remove { key } => (key, None),
            };
            self.put(key, value)?;
        }
        Ok(())
    }

    fn put(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) -> Result<(), CareError> {
        self.bytes += key.len() + value.as_ref().map_or(0, Vec::len) + OVERHEAD;
        self.changes.insert(key, value);
        if self.bytes >= self.merge.run_bytes {
            self.spill()?;
        }
        Ok(())
    }

    fn spill(&mut self) -> Result<(), CareError> {
        if self.changes.is_empty() {
            return Ok(());
        }
        let name = format!("{}-{}.tmp", self.name, self.done.len());
        let path = base::folder(self.merge.data).join(name);
        let mut to = SortedWriter::create(self.merge.disk, &path, &self.key, &[])?;
        for (key, value) in &self.changes {
            to.push(key, value.as_deref())?;
        }
        to.finish()?;
        self.changes.clear();
        self.bytes = 0;
        self.done.push(path);
        Ok(())
    }
}

/// By key, and of equal keys the youngest source first.
type Next = Reverse<(Vec<u8>, Reverse<usize>, Option<Vec<u8>>)>;

type EachKey<'a> = &'a mut dyn FnMut(&[u8], Option<&[u8]>) -> Result<(), CareError>;

/// Gives every key once, in order, with the value of the youngest source that has it.
fn side_by_side(mut sources: Vec<SortedReader>, each: EachKey<'_>) -> Result<(), CareError> {
    let mut heap: BinaryHeap<Next> = BinaryHeap::new();
    for (index, source) in sources.iter_mut().enumerate() {
        heap.extend(pull(source, index)?);
    }
    let mut last: Option<Vec<u8>> = None;
    while let Some(Reverse((key, Reverse(index), value))) = heap.pop() {
        heap.extend(pull(&mut sources[index], index)?);
        if last.as_ref() != Some(&key) {
            each(&key, value.as_deref())?;
            last = Some(key);
        }
    }
    Ok(())
}

fn pull(source: &mut SortedReader, index: usize) -> io::Result<Option<Next>> {
    let next = source.next()?;
    Ok(next.map(|(key, value)| Reverse((key, Reverse(index), value))))
}

impl Nameless {
    pub(super) fn path(&self) -> &Path {
        &self.temporary
    }

    /// Gives it its name; durable once this returns. Its hash must be in the journal before.
    pub(super) fn name(self, data: &Path, disk: &Disk) -> io::Result<Base> {
        let path = base::path(data, self.head.position.sequence);
        disk.rename(&self.temporary, &path)?;
        disk.sync_folder(&base::folder(data))?;
        disk.sync_folder(data)?;
        Ok(Base {
            path,
            head: self.head,
            written: self.written,
        })
    }
}

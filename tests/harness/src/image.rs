//! What a disk may hold after a power cut, from the trace of what was asked of it.
//!
//! A file's bytes and its name are two things: bytes last once the file is synced, a name once its folder is. What
//! was not synced may have arrived or not, in pieces of a page. `sync_file_range` counts as nothing. This is what POSIX
//! allows, not what one file system does: ext4 would often save more, a lying disk less.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::Path;

use crate::dice::Dice;
use crate::record::Record;

const PAGE: u64 = 4096;
const SECTOR: u64 = 512;

/// Which of the bytes that were not synced are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bytes {
    Synced,
    /// Of each page, any number of the first writes to it.
    Pages,
    /// All, but of the very last write only some sectors at its front.
    TornLast,
    /// Of the very last write some sectors at its front; else only what was synced.
    OnlyTornLast,
    All,
}

/// Which of the names that were not synced are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    Synced,
    Some,
    All,
}

/// What is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    pub bytes: Bytes,
    pub names: Names,
}

impl Loss {
    /// The five models, with the lesser choices by chance.
    pub const MODELS: [&'static str; 5] = ["lazy", "subset", "torn", "all", "no-dirent"];

    pub fn of(model: &str, dice: &mut Dice) -> Self {
        let names = |dice: &mut Dice| match dice.below(3) {
            0 => Names::Synced,
            1 => Names::Some,
            _ => Names::All,
        };
        match model {
            "lazy" => Self {
                bytes: Bytes::Synced,
                names: names(dice),
            },
            "subset" => Self {
                bytes: Bytes::Pages,
                names: names(dice),
            },
            "torn" if dice.percent(50) => Self {
                bytes: Bytes::TornLast,
                names: names(dice),
            },
            "torn" => Self {
                bytes: Bytes::OnlyTornLast,
                names: names(dice),
            },
            "no-dirent" if dice.percent(50) => Self {
                bytes: Bytes::All,
                names: Names::Synced,
            },
            "no-dirent" => Self {
                bytes: Bytes::All,
                names: Names::Some,
            },
            _ => Self {
                bytes: Bytes::All,
                names: Names::All,
            },
        }
    }

    /// Nothing is lost, as after a kill.
    pub fn is_none(self) -> bool {
        self == Self {
            bytes: Bytes::All,
            names: Names::All,
        }
    }
}

/// A folder tree as it would be found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Image {
    pub folders: Vec<String>,
    pub files: BTreeMap<String, Vec<u8>>,
}

#[derive(Clone, Debug)]
enum Change {
    Write {
        at: u64,
        bytes: Vec<u8>,
        number: usize,
    },
    Allocate(u64),
    Truncate(u64),
}

/// One file's bytes: what is sure, and what is not.
#[derive(Debug, Default)]
struct Object {
    sure: Vec<u8>,
    pending: Vec<Change>,
    /// As the process sees it.
    now: Vec<u8>,
    /// Pages that a failed sync left in the cache alone: later syncs pass over them until they are written again.
    doomed: BTreeSet<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Folder,
    File(usize),
}

type Tree = BTreeMap<String, Node>;

/// A change of names that happens whole or not at all.
#[derive(Clone, Debug)]
struct Naming {
    /// The folder whose sync makes it last.
    folder: String,
    erase: Option<String>,
    insert: Option<(String, Node)>,
}

/// The disk as far as the trace has been followed.
#[derive(Debug, Default)]
pub struct Disk {
    objects: Vec<Object>,
    inodes: HashMap<u64, usize>,
    /// As the process sees it.
    now: Tree,
    sure: Tree,
    pending: Vec<Naming>,
    /// The number of the last write.
    last: usize,
}

impl Disk {
    pub fn after(records: &[Record]) -> Self {
        let mut disk = Self::default();
        for record in records {
            disk.follow(record);
        }
        disk
    }

    fn follow(&mut self, record: &Record) {
        match record {
            Record::Create { ino, path } => {
                self.objects.push(Object::default());
                let object = self.objects.len() - 1;
                self.inodes.insert(*ino, object);
                self.name(None, Some((path.clone(), Node::File(object))));
            }
            Record::Write { ino, at, bytes } => {
                self.last += 1;
                let number = self.last;
                self.change(
                    *ino,
                    Change::Write {
                        at: *at,
                        bytes: bytes.clone(),
                        number,
                    },
                );
            }
            Record::Allocate { ino, end } => self.change(*ino, Change::Allocate(*end)),
            Record::Truncate { ino, len } => self.change(*ino, Change::Truncate(*len)),
            Record::Sync { ino } => {
                if let Some(object) = self.object(*ino) {
                    object.settle();
                }
            }
            Record::SyncFolder { path } => self.sync_folder(path),
            Record::Folder { path } => self.name(None, Some((path.clone(), Node::Folder))),
            Record::RemoveFolder { path } | Record::Remove { path } => {
                self.name(Some(path.clone()), None);
            }
            Record::Rename { from, to } => self.rename(from, to),
            Record::Failed { kind, path, .. } if kind == "sync" => {
                if let Some(Node::File(object)) = self.now.get(path) {
                    self.objects[*object].doom();
                }
            }
            Record::Range { .. }
            | Record::Said { .. }
            | Record::Failed { .. }
            | Record::Skipped { .. }
            | Record::Unseen { .. } => {}
        }
    }

    fn object(&mut self, ino: u64) -> Option<&mut Object> {
        let object = *self.inodes.get(&ino)?;
        self.objects.get_mut(object)
    }

    fn change(&mut self, ino: u64, change: Change) {
        if let Some(object) = self.object(ino) {
            change.apply(&mut object.now);
            object.pending.push(change);
        }
    }

    fn name(&mut self, erase: Option<String>, insert: Option<(String, Node)>) {
        let named = insert.as_ref().map(|(path, _)| path).or(erase.as_ref());
        let folder = parent(named.map_or("", String::as_str)).to_owned();
        let naming = Naming {
            folder,
            erase,
            insert,
        };
        naming.apply(&mut self.now);
        self.pending.push(naming);
    }

    /// Within a folder it is one change; between two it is two, each as sure as its folder.
    fn rename(&mut self, from: &str, to: &str) {
        let moved: Vec<(String, Node)> = self
            .now
            .iter()
            .filter(|(path, _)| *path == from || path.starts_with(&format!("{from}/")))
            .map(|(path, node)| (path.clone(), *node))
            .collect();
        for (path, node) in moved {
            let target = format!("{to}{}", &path[from.len()..]);
            if parent(from) == parent(to) {
                let folder = parent(to).to_owned();
                let naming = Naming {
                    folder,
                    erase: Some(path),
                    insert: Some((target, node)),
                };
                naming.apply(&mut self.now);
                self.pending.push(naming);
            } else {
                self.name(None, Some((target, node)));
                self.name(Some(path), None);
            }
        }
    }

    fn sync_folder(&mut self, path: &str) {
        let (sure, pending) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition::<Vec<_>, _>(|naming| naming.folder == path);
        self.pending = pending;
        for naming in sure {
            naming.apply(&mut self.sure);
        }
    }

    /// What is found after this loss.
    pub fn lose(&self, loss: Loss, dice: &mut Dice) -> Image {
        let mut tree = self.sure.clone();
        for naming in &self.pending {
            let kept = match loss.names {
                Names::Synced => false,
                Names::Some => dice.percent(50),
                Names::All => true,
            };
            if kept {
                naming.apply(&mut tree);
            }
        }
        let mut image = Image::default();
        for (path, node) in &tree {
            let reached =
                parent(path).is_empty() || image.folders.iter().any(|it| it == parent(path));
            match node {
                _ if !reached => {}
                Node::Folder => image.folders.push(path.clone()),
                Node::File(object) => {
                    let bytes = self.objects[*object].lose(loss.bytes, self.last, dice);
                    image.files.insert(path.clone(), bytes);
                }
            }
        }
        image
    }
}

impl Naming {
    fn apply(&self, tree: &mut Tree) {
        if let Some(path) = &self.erase {
            tree.remove(path);
        }
        if let Some((path, node)) = &self.insert {
            tree.insert(path.clone(), *node);
        }
    }
}

impl Object {
    fn settle(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            change.apply(&mut self.sure);
            if let Change::Write { at, bytes, .. } = &change {
                for (page, ..) in pieces(*at, bytes) {
                    self.redeem(page);
                }
            }
        }
    }

    /// What the kernel does when it cannot write: the pages are as good as written, to it.
    fn doom(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            if let Change::Write { at, bytes, .. } = &change {
                self.doomed
                    .extend(pieces(*at, bytes).iter().map(|(page, ..)| *page));
            }
        }
    }

    /// A page that is written again goes to the disk whole.
    fn redeem(&mut self, page: u64) {
        if self.doomed.remove(&page) {
            let start = usize::try_from(page * PAGE).unwrap_or(0);
            let end = self
                .now
                .len()
                .min(start + usize::try_from(PAGE).unwrap_or(0));
            let whole = self.now[start.min(end)..end].to_vec();
            lay(&mut self.sure, page * PAGE, &whole);
        }
    }

    fn lose(&self, loss: Bytes, last: usize, dice: &mut Dice) -> Vec<u8> {
        let mut bytes = self.sure.clone();
        match loss {
            Bytes::Synced => {}
            Bytes::All => bytes.clone_from(&self.now),
            Bytes::Pages => self.some_pages(&mut bytes, dice),
            Bytes::TornLast | Bytes::OnlyTornLast => {
                for change in &self.pending {
                    match change {
                        Change::Write {
                            at,
                            bytes: written,
                            number,
                        } if *number == last => {
                            let sectors = (written.len() as u64).div_ceil(SECTOR);
                            let end = (at / SECTOR + dice.below(sectors)) * SECTOR;
                            let front = usize::try_from(end.saturating_sub(*at)).unwrap_or(0);
                            let front = &written[..front.min(written.len())];
                            lay(&mut bytes, *at, front);
                        }
                        change if loss == Bytes::TornLast => change.apply(&mut bytes),
                        _ => {}
                    }
                }
            }
        }
        bytes
    }

    /// A page goes to the disk whole, as it was at some moment since the last sync.
    fn some_pages(&self, bytes: &mut Vec<u8>, dice: &mut Dice) {
        // A new length arrives as the changes before it did: all of them up to one.
        let resized = self
            .pending
            .iter()
            .rposition(|change| matches!(change, Change::Truncate(_)));
        let whole = resized.map_or(0, |at| dice.index(at + 2));
        for change in &self.pending[..whole] {
            change.apply(bytes);
        }
        let mut pages: BTreeMap<u64, Vec<(u64, &[u8])>> = BTreeMap::new();
        let mut len = bytes.len() as u64;
        for change in &self.pending[whole..] {
            match change {
                Change::Write { at, bytes, .. } => {
                    len = len.max(at + bytes.len() as u64);
                    for (page, at, piece) in pieces(*at, bytes) {
                        pages.entry(page).or_default().push((at, piece));
                    }
                }
                Change::Allocate(end) => len = len.max(*end),
                Change::Truncate(_) => break,
            }
        }
        for writes in pages.values() {
            let kept = dice.index(writes.len() + 1);
            for (at, piece) in &writes[..kept] {
                lay(bytes, *at, piece);
            }
        }
        // The length may be there before the bytes are.
        if dice.percent(50) && bytes.len() as u64 <= len {
            bytes.resize(usize::try_from(len).unwrap_or(0), 0);
        }
    }
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes, .. } => lay(file, *at, bytes),
            Self::Allocate(end) => {
                let end = usize::try_from(*end).unwrap_or(0);
                file.resize(file.len().max(end), 0);
            }
            Self::Truncate(len) => file.resize(usize::try_from(*len).unwrap_or(0), 0),
        }
    }
}

fn lay(file: &mut Vec<u8>, at: u64, bytes: &[u8]) {
    let at = usize::try_from(at).unwrap_or(0);
    if bytes.is_empty() {
        return;
    }
    if file.len() < at + bytes.len() {
        file.resize(at + bytes.len(), 0);
    }
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

/// A write cut at the borders of pages: page, place in the file, bytes.
fn pieces(at: u64, bytes: &[u8]) -> Vec<(u64, u64, &[u8])> {
    let (mut at, mut rest, mut cut) = (at, bytes, Vec::new());
    while !rest.is_empty() {
        let room = usize::try_from(PAGE - at % PAGE).unwrap_or(rest.len());
        let (piece, more) = rest.split_at(room.min(rest.len()));
        cut.push((at / PAGE, at, piece));
        at += piece.len() as u64;
        rest = more;
    }
    cut
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl Image {
    pub fn write(&self, to: &Path) -> io::Result<()> {
        fs::create_dir_all(to)?;
        for folder in &self.folders {
            fs::create_dir(to.join(folder))?;
        }
        for (path, bytes) in &self.files {
            fs::write(to.join(path), bytes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;

//! A base: every record as it stood after one entry, in one file in key order.
//!
//! ```text
//!  0 magic · 8 format u32 · 12 zero u32 · 16 store id [16] · 32 sequence u64 · 40 chain hash [32]
//! 72 made ms i64 · 80 the last segment it covers u64 · zeros to 128, then as in `sorted`
//! ```
//! Merged from the base before and the segments since, never from sled: what sled lost or invented must
//! not become the truth. A rebuild begins at the newest one that is whole, so its length follows what was written since,
//! not the age of the store. The one before is kept: a base whose checksum is wrong is reported, and that one is used.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::frame::{Chain, Key, u32_at, u64_at};
use super::segment::FORMAT;
use super::sorted::{self, SortedReader, Written};
use super::walk::Position;

const MAGIC: [u8; 8] = *b"lubuBAS1";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BaseHead {
    pub(super) format: u32,
    pub(super) store: Uuid,
    /// The last entry that it contains.
    pub(super) position: Position,
    pub(super) made_ms: i64,
    /// The segment that ends with this entry.
    pub(super) through: u64,
}

impl BaseHead {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(sorted::HEAD);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&self.format.to_le_bytes());
        bytes.extend_from_slice(&0_u32.to_le_bytes());
        bytes.extend_from_slice(self.store.as_bytes());
        bytes.extend_from_slice(&self.position.sequence.to_le_bytes());
        bytes.extend_from_slice(&self.position.chain.0);
        bytes.extend_from_slice(&self.made_ms.to_le_bytes());
        bytes.extend_from_slice(&self.through.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..sorted::HEAD)?;
        let (mut store, mut chain) = ([0; 16], Chain([0; 32]));
        store.copy_from_slice(&bytes[16..32]);
        chain.0.copy_from_slice(&bytes[40..72]);
        (bytes[..8] == MAGIC).then(|| Self {
            format: u32_at(bytes, 8),
            store: Uuid::from_bytes(store),
            position: Position {
                sequence: u64_at(bytes, 32),
                chain,
            },
            made_ms: u64_at(bytes, 72).cast_signed(),
            through: u64_at(bytes, 80),
        })
    }
}

/// A base that was read from front to back and is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Base {
    pub(super) path: PathBuf,
    pub(super) head: BaseHead,
    pub(super) written: Written,
}

pub(super) fn folder(data: &Path) -> PathBuf {
    data.join("base")
}

pub(super) fn path(data: &Path, sequence: u64) -> PathBuf {
    folder(data).join(format!("{sequence:020}.base"))
}

/// The sequences of all bases, the newest first. None of them has been looked at.
pub(super) fn list(data: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(folder(data)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        other => other?,
    };
    for entry in entries {
        let name = entry?.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(".base"));
        found.extend(stem.and_then(|digits| digits.parse::<u64>().ok()));
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

/// Its head alone, believed as it stands.
pub(super) fn head(data: &Path, sequence: u64) -> io::Result<BaseHead> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "it is no base");
    let head = BaseHead::decode(&sorted::read_head(&path(data, sequence))?).ok_or_else(wrong)?;
    if head.format > FORMAT || head.position.sequence != sequence {
        return Err(wrong());
    }
    Ok(head)
}

/// Reads the whole file and its checksum.
pub(super) fn open(data: &Path, sequence: u64) -> io::Result<Base> {
    let (path, head) = (path(data, sequence), head(data, sequence)?);
    let written = sorted::verify(&path, &Key::of(head.store))?;
    Ok(Base {
        path,
        head,
        written,
    })
}

/// The newest base below `above` that is whole and for which `fits` holds, and what is wrong with those above it.
pub(super) fn newest(
    data: &Path,
    above: u64,
    fits: impl Fn(&BaseHead) -> bool,
) -> io::Result<(Option<Base>, Vec<BadBase>)> {
    let mut bad = Vec::new();
    for sequence in list(data)?.into_iter().filter(|at| *at < above) {
        match open(data, sequence) {
            Ok(base) if fits(&base.head) => return Ok((Some(base), bad)),
            Ok(_) => bad.push(BadBase {
                sequence,
                why: "it does not belong to this journal".to_owned(),
            }),
            Err(error) => bad.push(BadBase {
                sequence,
                why: error.to_string(),
            }),
        }
    }
    Ok((None, bad))
}

/// A base that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadBase {
    pub sequence: u64,
    pub why: String,
}

impl Base {
    pub(super) fn records(&self) -> io::Result<SortedReader> {
        SortedReader::open(&self.path)
    }
}

/// Up to which segment the newest base reaches whose head can be read; 0 without one.
pub(super) fn covered(data: &Path) -> io::Result<u64> {
    let heads = list(data)?;
    let heads = heads.into_iter().filter_map(|at| head(data, at).ok());
    Ok(heads.map(|head| head.through).max().unwrap_or(0))
}

//! How a group of acts lies in the journal: the frame, its entries, and the chain through them.
//!
//! ```text
//! frame   0 magic · 8 first sequence u64 · 16 entries u32 · 20 body bytes u32 · 24 chain before [32]
//!        56 flags u32 · 60 zero u32 · 64 checksum of 0..64 [16] · 80 body · checksum of all before [16]
//!         · zeros up to a multiple of 8
//! entry   0 redo bytes u32 · 4 header bytes u16 · 6 flags u8 (1: redo is there) · 7 zero u8
//!         · 8 redo hash [32] · 40 header · redo
//! header  version byte, postcard of (sequence, time, audit header)
//! redo    salt [16], then per change: tag u8 (1 put, 2 remove) · key bytes u16 · value bytes u32 · key · value
//! ```
//! All numbers little-endian.
//!
//! - The chain hash of an entry covers its header, the *hash* of its redo and the chain hash before it.
//!   Redo can be dropped (flag and length 0) and the chain still verifies. The salt inside the
//!   redo keeps the hash that stays from being a way to guess what went.
//! - Checksums are BLAKE3 keyed by the store id, 16 bytes of it. A submitter who writes a
//!   frame's look-alike into a record cannot make one that passes: the search for life behind a torn end reads
//!   records too.
//! - The frame's header has a checksum of its own, so a length is believed only when it is true, and a torn
//!   body still says that a frame was meant here.

use std::fmt;

use super::domain::{Change, Header, Stamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Acts in one frame, at most.
pub(super) const MAX_ACTS: usize = 512;
/// Bytes of one frame's entries, at most.
pub(super) const MAX_BODY: usize = 1024 * 1024;
/// Bytes of one act's redo, at most.
pub const MAX_REDO: usize = 512 * 1024;
/// Bytes of one act's audit header, at most.
pub const MAX_HEADER: usize = 4 * 1024;
/// Bytes of one value: sled's recovery refuses a log with values near 128 KiB.
pub const MAX_VALUE: usize = 64 * 1024;
/// Bytes of one key.
pub const MAX_KEY: usize = 1024;
/// What one more act may need at worst.
pub(super) const MAX_ENTRY: usize = ENTRY + MAX_HEADER + MAX_REDO;

pub(super) const ALIGN: usize = 8;
const MAGIC: [u8; 8] = *b"lubuFRM1";
const FRAME: usize = 80;
const SUMMED: usize = 64;
const SUM: usize = 16;
const ENTRY: usize = 40;
const SALT: usize = 16;
const HEADER_VERSION: u8 = 1;
const REDO_HERE: u8 = 1;
const PUT: u8 = 1;
const REMOVE: u8 = 2;

/// The running hash after one entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Chain(pub [u8; 32]);

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Chain {
    /// What stands before the first entry of a store.
    pub(super) fn genesis(store: Uuid) -> Self {
        Self(blake3::derive_key(
            "lubu journal genesis v1",
            store.as_bytes(),
        ))
    }

    fn next(self, header: &[u8], redo_hash: &[u8; 32]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"lubu entry v1\0\0\0");
        hasher.update(&self.0);
        hasher.update(redo_hash);
        hasher.update(header);
        Self(*hasher.finalize().as_bytes())
    }
}

/// The key of a store's checksums.
#[derive(Clone, Copy)]
pub(super) struct Key([u8; 32]);

impl Key {
    pub(super) fn of(store: Uuid) -> Self {
        Self(blake3::derive_key(
            "lubu journal checksum v1",
            store.as_bytes(),
        ))
    }

    /// For what is too long to be summed at once.
    pub(super) fn hasher(&self) -> blake3::Hasher {
        blake3::Hasher::new_keyed(&self.0)
    }

    pub(super) fn sum(&self, bytes: &[u8]) -> [u8; SUM] {
        let mut sum = [0; SUM];
        sum.copy_from_slice(&blake3::keyed_hash(&self.0, bytes).as_bytes()[..SUM]);
        sum
    }
}

/// An act too large for the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    #[error("write an act: its audit header is longer than {MAX_HEADER} bytes")]
    Header,
    #[error("write an act: its changes are longer than {MAX_REDO} bytes")]
    Redo,
    #[error("write an act: a value is longer than {MAX_VALUE} bytes")]
    Value,
    #[error(
        "write an act: a key is empty, longer than {MAX_KEY} bytes, or begins with a zero byte"
    )]
    Key,
}

/// A frame in the making.
pub(super) struct Group {
    bytes: Vec<u8>,
    redo: Vec<u8>,
    first: u64,
    count: u32,
    before: Chain,
    chain: Chain,
}

/// Where a group can be cut back to.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    len: usize,
    count: u32,
    chain: Chain,
}

impl Group {
    pub(super) fn new() -> Self {
        let nothing = Chain([0; 32]);
        Self {
            bytes: Vec::new(),
            redo: Vec::new(),
            first: 0,
            count: 0,
            before: nothing,
            chain: nothing,
        }
    }

    /// Empty again, to follow the entry with this chain hash.
    pub(super) fn restart(&mut self, first: u64, before: Chain) {
        self.bytes.clear();
        self.bytes.resize(FRAME, 0);
        self.first = first;
        self.count = 0;
        self.before = before;
        self.chain = before;
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn first(&self) -> u64 {
        self.first
    }

    pub(super) fn before(&self) -> Chain {
        self.before
    }

    /// The sequence of the next entry.
    pub(super) fn next(&self) -> u64 {
        self.first + u64::from(self.count)
    }

    pub(super) fn chain(&self) -> Chain {
        self.chain
    }

    /// Whether one more act fits, however large.
    pub(super) fn has_room(&self) -> bool {
        self.bytes.len() - FRAME + MAX_ENTRY <= MAX_BODY
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            len: self.bytes.len(),
            count: self.count,
            chain: self.chain,
        }
    }

    pub(super) fn cut(&mut self, mark: Mark) {
        self.bytes.truncate(mark.len);
        self.count = mark.count;
        self.chain = mark.chain;
    }

    /// Adds an entry; a misfit leaves the group as it was.
    pub(super) fn push(
        &mut self,
        stamp: Stamp,
        header: &Header,
        changes: &[Change],
        salt: [u8; SALT],
    ) -> Result<(), Misfit> {
        self.redo.clear();
        self.redo.extend_from_slice(&salt);
        write_redo(&mut self.redo, changes)?;
        let header = postcard::to_extend(
            &(stamp.sequence, stamp.time_ms, header),
            vec![HEADER_VERSION],
        )
        .map_err(|_| Misfit::Header)?;
        let header_len = u16::try_from(header.len()).map_err(|_| Misfit::Header)?;
        if header.len() > MAX_HEADER {
            return Err(Misfit::Header);
        }
        let redo_len = u32::try_from(self.redo.len()).map_err(|_| Misfit::Redo)?;
        let hash = *blake3::hash(&self.redo).as_bytes();
        self.bytes.extend_from_slice(&redo_len.to_le_bytes());
        self.bytes.extend_from_slice(&header_len.to_le_bytes());
        self.bytes.extend_from_slice(&[REDO_HERE, 0]);
        self.bytes.extend_from_slice(&hash);
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(&self.redo);
        self.chain = self.chain.next(&header, &hash);
        self.count += 1;
        Ok(())
    }

    /// Adds an entry that is in the journal already, without its redo.
    pub(super) fn push_bare(&mut self, entry: &Entry<'_>) {
        let header_len = u16::try_from(entry.header.len()).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&0_u32.to_le_bytes());
        self.bytes.extend_from_slice(&header_len.to_le_bytes());
        self.bytes.extend_from_slice(&[0, 0]);
        self.bytes.extend_from_slice(&entry.redo_hash);
        self.bytes.extend_from_slice(entry.header);
        self.chain = entry.chain;
        self.count += 1;
    }

    /// The finished frame. The group stays as it is, so that it can be cut and sealed again.
    pub(super) fn seal(&mut self, key: &Key) -> Vec<u8> {
        let body = u32::try_from(self.bytes.len() - FRAME).unwrap_or(u32::MAX);
        let head = &mut self.bytes[..FRAME];
        head[..8].copy_from_slice(&MAGIC);
        head[8..16].copy_from_slice(&self.first.to_le_bytes());
        head[16..20].copy_from_slice(&self.count.to_le_bytes());
        head[20..24].copy_from_slice(&body.to_le_bytes());
        head[24..56].copy_from_slice(&self.before.0);
        let sum = key.sum(&head[..SUMMED]);
        head[SUMMED..].copy_from_slice(&sum);
        let mut frame = Vec::with_capacity(self.bytes.len() + SUM + ALIGN);
        frame.extend_from_slice(&self.bytes);
        frame.extend_from_slice(&key.sum(&self.bytes));
        frame.resize(frame.len().next_multiple_of(ALIGN), 0);
        frame
    }
}

fn write_redo(redo: &mut Vec<u8>, changes: &[Change]) -> Result<(), Misfit> {
    for change in changes {
        let key = change.key();
        let key_len = u16::try_from(key.len()).map_err(|_| Misfit::Key)?;
        if key.is_empty() || key.len() > MAX_KEY {
            return Err(Misfit::Key);
        }
        let (tag, value): (u8, &[u8]) = match change {
            Change::Put { value, .. } => (PUT, value),
            Change::Remove { .. } => (REMOVE, &[]),
        };
        if value.len() > MAX_VALUE {
            return Err(Misfit::Value);
        }
        let value_len = u32::try_from(value.len()).map_err(|_| Misfit::Value)?;
        redo.push(tag);
        redo.extend_from_slice(&key_len.to_le_bytes());
        redo.extend_from_slice(&value_len.to_le_bytes());
        redo.extend_from_slice(key);
        redo.extend_from_slice(value);
        if redo.len() > MAX_REDO {
            return Err(Misfit::Redo);
        }
    }
    Ok(())
}

/// Why no frame stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Invalid {
    /// No frame begins here.
    Absent,
    /// A frame was meant here and is not whole.
    Torn,
    /// A whole frame that does not follow what is before it.
    Astray,
}

/// A frame that passed its checksums and follows the one before.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) first: u64,
    pub(super) len: usize,
    before: Chain,
    body: &'a [u8],
    count: u32,
}

/// One entry as it lies in the journal.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) sequence: u64,
    /// After this entry.
    pub(super) chain: Chain,
    header: &'a [u8],
    redo_hash: [u8; 32],
    /// `None` once it was dropped.
    redo: Option<&'a [u8]>,
}

/// Whether a frame's header stands here. Its body is not looked at.
pub(super) fn is_header(bytes: &[u8], at: usize, key: &Key) -> bool {
    let Some(head) = bytes.get(at..at + FRAME) else {
        return false;
    };
    head[..8] == MAGIC && head[SUMMED..] == key.sum(&head[..SUMMED])
}

/// The frame at `at`, if it is whole.
pub(super) fn read<'a>(bytes: &'a [u8], at: usize, key: &Key) -> Result<Frame<'a>, Invalid> {
    if !is_header(bytes, at, key) {
        return Err(Invalid::Absent);
    }
    let body_len = usize::try_from(u32_at(bytes, at + 20)).map_err(|_| Invalid::Torn)?;
    let body_end = at + FRAME + body_len;
    let len = (FRAME + body_len + SUM).next_multiple_of(ALIGN);
    if bytes.len() < at + len {
        return Err(Invalid::Torn);
    }
    let sum = &bytes[body_end..body_end + SUM];
    if key.sum(&bytes[at..body_end]) != *sum {
        return Err(Invalid::Torn);
    }
    let mut before = Chain([0; 32]);
    before.0.copy_from_slice(&bytes[at + 24..at + 56]);
    Ok(Frame {
        first: u64_at(bytes, at + 8),
        len,
        before,
        body: &bytes[at + FRAME..body_end],
        count: u32_at(bytes, at + 16),
    })
}

/// When the last entry of a whole frame was decided.
pub(super) fn last_time(bytes: &[u8], key: &Key) -> Option<i64> {
    let frame = read(bytes, 0, key).ok()?;
    let entries = frame.entries(frame.before).ok()?;
    let (stamp, _) = entries.last()?.header()?;
    Some(stamp.time_ms)
}

impl<'a> Frame<'a> {
    /// The chain hash that it says came before it.
    pub(super) fn before(&self) -> Chain {
        self.before
    }

    /// Its entries, if they follow the chain hash before them and lie as they should.
    pub(super) fn entries(&self, before: Chain) -> Result<Vec<Entry<'a>>, Invalid> {
        if before != self.before {
            return Err(Invalid::Astray);
        }
        let mut entries = Vec::new();
        let (mut rest, mut chain) = (self.body, before);
        while let Some(head) = rest.get(..ENTRY) {
            let redo_len = usize::try_from(u32_at(head, 0)).map_err(|_| Invalid::Astray)?;
            let header_len = usize::from(u16::from_le_bytes([head[4], head[5]]));
            let mut hash = [0; 32];
            hash.copy_from_slice(&head[8..ENTRY]);
            let header = rest.get(ENTRY..ENTRY + header_len).ok_or(Invalid::Astray)?;
            let end = ENTRY + header_len + redo_len;
            let redo = rest.get(ENTRY + header_len..end).ok_or(Invalid::Astray)?;
            let redo = (head[6] & REDO_HERE != 0).then_some(redo);
            if redo.is_some_and(|redo| *blake3::hash(redo).as_bytes() != hash) {
                return Err(Invalid::Astray);
            }
            chain = chain.next(header, &hash);
            entries.push(Entry {
                sequence: self.first + entries.len() as u64,
                chain,
                header,
                redo_hash: hash,
                redo,
            });
            rest = &rest[end..];
        }
        if !rest.is_empty() || u32::try_from(entries.len()) != Ok(self.count) || entries.is_empty()
        {
            return Err(Invalid::Astray);
        }
        Ok(entries)
    }
}

impl Entry<'_> {
    /// Stamp and audit header; `None` if they are of a version we do not know or name another sequence.
    pub(super) fn header(&self) -> Option<(Stamp, Header)> {
        let (HEADER_VERSION, rest) = self
            .header
            .split_first()
            .map(|(version, rest)| (*version, rest))?
        else {
            return None;
        };
        let (sequence, time_ms, header) = postcard::from_bytes::<(u64, i64, Header)>(rest).ok()?;
        (sequence == self.sequence).then_some((Stamp { sequence, time_ms }, header))
    }

    /// What it changed; `None` if its redo was dropped or cannot be read.
    pub(super) fn changes(&self) -> Option<Vec<Change>> {
        let mut rest = self.redo?.get(SALT..)?;
        let mut changes = Vec::new();
        while !rest.is_empty() {
            let head = rest.get(..7)?;
            let key_end = 7 + usize::from(u16::from_le_bytes([head[1], head[2]]));
            let end = key_end + usize::try_from(u32_at(head, 3)).ok()?;
            let key = rest.get(7..key_end)?.to_vec();
            let value = rest.get(key_end..end)?.to_vec();
            changes.push(match head[0] {
                PUT => Change::Put { key, value },
                REMOVE => Change::Remove { key },
                _ => return None,
            });
            rest = &rest[end..];
        }
        Some(changes)
    }
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(four)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(eight)
}

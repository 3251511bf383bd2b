//! Files of records in key order: a base, and the runs it is merged from.
//!
//! ```text
//! file    head [128] · blocks · end
//! block   unpacked bytes u32 · packed bytes u32 · zstd of its records
//! record  tag u8 (1 put, 2 removed) · key bytes u16 · value bytes u32 · key · value
//! end     8 zero bytes · records u64 · unpacked bytes u64 · hash of all before [32]
//! ```
//! Little-endian. The hash is BLAKE3 keyed by the store id. Written from front to back and read the same way, so
//! that neither side ever holds more than a block.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::disk::{Disk, DiskFile};
use super::frame::{Key, u32_at, u64_at};

/// What stands before the blocks.
pub(super) const HEAD: usize = 128;
/// The end mark, counts and hash.
const TAIL: usize = 8 + 16 + HASH;
const HASH: usize = 32;
/// Unpacked bytes of a block; the record that reaches it is the last one.
const BLOCK: usize = 256 * 1024;
/// No block is larger: a lying file must not fill the memory.
const MAX_BLOCK: usize = 4 * 1024 * 1024;
const RECORD: usize = 7;
const PUT: u8 = 1;
const REMOVED: u8 = 2;
const LEVEL: i32 = 1;

/// A key with its value; `None` says that it was removed.
pub(super) type Record = (Vec<u8>, Option<Vec<u8>>);

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) records: u64,
    /// Before compression.
    pub(super) bytes: u64,
    pub(super) hash: [u8; HASH],
}

pub(super) struct SortedWriter {
    disk: Disk,
    file: DiskFile,
    at: u64,
    hasher: blake3::Hasher,
    block: Vec<u8>,
    records: u64,
    bytes: u64,
}

impl SortedWriter {
    pub(super) fn create(disk: &Disk, path: &Path, key: &Key, head: &[u8]) -> io::Result<Self> {
        let mut writer = Self {
            disk: disk.clone(),
            file: disk.create(path, 0)?,
            at: 0,
            hasher: key.hasher(),
            block: Vec::with_capacity(BLOCK + BLOCK / 4),
            records: 0,
            bytes: 0,
        };
        let mut padded = head.to_vec();
        padded.resize(HEAD, 0);
        writer.append(&padded)?;
        Ok(writer)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.write_at(&self.file, self.at, bytes)?;
        self.hasher.update(bytes);
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Keys must come in rising order.
    pub(super) fn push(&mut self, key: &[u8], value: Option<&[u8]>) -> io::Result<()> {
        let key_len = u16::try_from(key.len()).map_err(io::Error::other)?;
        let len = value.map_or(0, <[u8]>::len);
        let len = u32::try_from(len).map_err(io::Error::other)?;
        self.block.push(if value.is_some() { PUT } else { REMOVED });
        self.block.extend_from_slice(&key_len.to_le_bytes());
        self.block.extend_from_slice(&len.to_le_bytes());
        self.block.extend_from_slice(key);
        self.block.extend_from_slice(value.unwrap_or_default());
        self.records += 1;
        if self.block.len() >= BLOCK {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let packed = zstd::bulk::compress(&self.block, LEVEL)?;
        let mut bytes = Vec::with_capacity(packed.len() + 8);
        for len in [self.block.len(), packed.len()] {
            let len = u32::try_from(len).map_err(io::Error::other)?;
            bytes.extend_from_slice(&len.to_le_bytes());
        }
        bytes.extend_from_slice(&packed);
        self.bytes += self.block.len() as u64;
        self.block.clear();
        self.append(&bytes)
    }

    /// Writes the end. The file is not synced: whoever keeps it does that.
    pub(super) fn finish(mut self) -> io::Result<(Written, DiskFile)> {
        if !self.block.is_empty() {
            self.flush()?;
        }
        let mut end = vec![0; 8];
        end.extend_from_slice(&self.records.to_le_bytes());
        end.extend_from_slice(&self.bytes.to_le_bytes());
        self.append(&end)?;
        let hash = *self.hasher.finalize().as_bytes();
        self.disk.write_at(&self.file, self.at, &hash)?;
        let written = Written {
            records: self.records,
            bytes: self.bytes,
            hash,
        };
        Ok((written, self.file))
    }
}

/// Whether the file is whole: read from front to back and hashed. Says what was written when it was made.
pub(super) fn verify(path: &Path, key: &Key) -> io::Result<Written> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    let Some(body) = len
        .checked_sub(HASH as u64)
        .filter(|body| *body >= (HEAD + TAIL - HASH) as u64)
    else {
        return Err(damaged("it is too short"));
    };
    let mut reader = BufReader::with_capacity(BLOCK, file);
    let (mut hasher, mut left) = (key.hasher(), body);
    let mut piece = vec![0; BLOCK];
    let mut counts = [0; TAIL - HASH];
    while left > 0 {
        // The last piece is the end mark with its counts, alone.
        let before_end = left - counts.len() as u64;
        let want = if before_end == 0 { left } else { before_end };
        let want = usize::try_from(want).unwrap_or(usize::MAX).min(BLOCK);
        reader.read_exact(&mut piece[..want])?;
        hasher.update(&piece[..want]);
        left -= want as u64;
        if left == 0 {
            counts.copy_from_slice(&piece[..want]);
        }
    }
    let mut hash = [0; HASH];
    reader.read_exact(&mut hash)?;
    if *hasher.finalize().as_bytes() != hash {
        return Err(damaged("its checksum is wrong"));
    }
    Ok(Written {
        records: u64_at(&counts, 8),
        bytes: u64_at(&counts, 16),
        hash,
    })
}

/// How many bytes its records have before compression, as the file says itself.
pub(super) fn bytes(path: &Path) -> io::Result<u64> {
    let file = File::open(path)?;
    let at = file.metadata()?.len().checked_sub((HASH + 8) as u64);
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, at.ok_or_else(|| damaged("it is too short"))?)?;
    Ok(u64::from_le_bytes(bytes))
}

/// The bytes before the blocks.
pub(super) fn read_head(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = vec![0; HEAD];
    File::open(path)?.read_exact(&mut head)?;
    Ok(head)
}

/// Records in key order. Believes what it reads: [`verify`] comes first, where it matters.
pub(super) struct SortedReader {
    file: BufReader<File>,
    block: Vec<u8>,
    at: usize,
    over: bool,
}

impl SortedReader {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut file = BufReader::with_capacity(64 * 1024, File::open(path)?);
        file.read_exact(&mut [0; HEAD])?;
        Ok(Self {
            file,
            block: Vec::new(),
            at: 0,
            over: false,
        })
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut head = [0; 8];
        self.file.read_exact(&mut head)?;
        let len = |at| usize::try_from(u32_at(&head, at)).unwrap_or(usize::MAX);
        let (unpacked, packed) = (len(0), len(4));
        self.at = 0;
        if packed == 0 {
            self.block.clear();
            self.over = true;
            return Ok(());
        }
        if unpacked > MAX_BLOCK || packed > MAX_BLOCK {
            return Err(damaged("a block is too large"));
        }
        let mut bytes = vec![0; packed];
        self.file.read_exact(&mut bytes)?;
        self.block = zstd::bulk::decompress(&bytes, unpacked)?;
        Ok(())
    }

    /// The next record.
    pub(super) fn next(&mut self) -> io::Result<Option<Record>> {
        if self.at == self.block.len() && !self.over {
            self.fill()?;
        }
        if self.over {
            return Ok(None);
        }
        let rest = &self.block[self.at..];
        let short = || damaged("a record is cut short");
        let head = rest.get(..RECORD).ok_or_else(short)?;
        let key_end = RECORD + usize::from(u16::from_le_bytes([head[1], head[2]]));
        let end = key_end + usize::try_from(u32_at(head, 3)).unwrap_or(usize::MAX / 2);
        let key = rest.get(RECORD..key_end).ok_or_else(short)?.to_vec();
        let value = rest.get(key_end..end).ok_or_else(short)?;
        let value = (head[0] == PUT).then(|| value.to_vec());
        self.at += end;
        Ok(Some((key, value)))
    }
}

fn damaged(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

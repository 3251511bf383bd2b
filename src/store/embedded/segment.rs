//! The files of the journal: their names, their headers, and reading one whole.
//!
//! ```text
//!  0 magic · 8 format u32 · 12 flags u32 (1: without redo) · 16 store id [16] · 32 number u64 · 40 first sequence u64
//! 48 sequence before u64 · 56 chain before [32] · 88 created ms i64 · 96 checksum of 0..96 [16] · zeros to 4096
//! ```
//! Little-endian. A file is named by its number, not by its first sequence: it is made and
//! preallocated before anyone knows where it will begin. The store id stands in each, so a journal that
//! went through a restore still says which part came from where, and the checksums of old segments
//! still have their key. `first` above `before + 1` is a gap that a person accepted.
//!
//! A segment is read into memory whole (64 MiB by default), but for the zeros at its end: the search for life behind a
//! torn end needs it, and memory-mapping needs `unsafe`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::frame::{Chain, Key, u32_at, u64_at};

/// The format of everything under the data folder.
pub const FORMAT: u32 = 1;
/// Where the first frame begins.
pub(super) const FIRST_FRAME: usize = 4096;

const MAGIC: [u8; 8] = *b"lubuSEG1";
const SUMMED: usize = 96;
const SUM: usize = 16;
const STRIPPED: u32 = 1;
/// No segment is larger, compressed or not: a lying archive must not fill the memory.
const MAX_BYTES: u64 = 4 * 1024 * 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) format: u32,
    pub(super) store: Uuid,
    pub(super) number: u64,
    pub(super) first: u64,
    pub(super) before: u64,
    pub(super) chain: Chain,
    pub(super) created_ms: i64,
    /// Its entries have no redo any more.
    pub(super) stripped: bool,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FIRST_FRAME);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&self.format.to_le_bytes());
        let flags = if self.stripped { STRIPPED } else { 0 };
        bytes.extend_from_slice(&flags.to_le_bytes());
        bytes.extend_from_slice(self.store.as_bytes());
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.first.to_le_bytes());
        bytes.extend_from_slice(&self.before.to_le_bytes());
        bytes.extend_from_slice(&self.chain.0);
        bytes.extend_from_slice(&self.created_ms.to_le_bytes());
        let sum = Key::of(self.store).sum(&bytes);
        bytes.extend_from_slice(&sum);
        bytes.resize(FIRST_FRAME, 0);
        bytes
    }

    /// `None` where no whole header stands.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..SUMMED + SUM)?;
        let mut store = [0; 16];
        store.copy_from_slice(&bytes[16..32]);
        let store = Uuid::from_bytes(store);
        if bytes[..8] != MAGIC || Key::of(store).sum(&bytes[..SUMMED]) != bytes[SUMMED..] {
            return None;
        }
        let mut chain = Chain([0; 32]);
        chain.0.copy_from_slice(&bytes[56..88]);
        Some(Self {
            format: u32_at(bytes, 8),
            store,
            number: u64_at(bytes, 32),
            first: u64_at(bytes, 40),
            before: u64_at(bytes, 48),
            chain,
            created_ms: u64_at(bytes, 88).cast_signed(),
            stripped: u32_at(bytes, 12) & STRIPPED != 0,
        })
    }
}

/// In which forms a segment lies there. If both, the original counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Forms {
    pub(super) plain: bool,
    pub(super) compressed: bool,
}

pub(super) fn plain_path(journal: &Path, number: u64) -> PathBuf {
    journal.join(format!("{number:020}.log"))
}

pub(super) fn compressed_path(journal: &Path, number: u64) -> PathBuf {
    journal.join(format!("{number:020}.log.zst"))
}

/// Every segment, by number.
pub(super) fn list(journal: &Path) -> io::Result<BTreeMap<u64, Forms>> {
    let mut found: BTreeMap<u64, Forms> = BTreeMap::new();
    for entry in fs::read_dir(journal)? {
        let name = entry?.file_name();
        let Some((digits, end)) = name.to_str().and_then(|name| name.split_once('.')) else {
            continue;
        };
        let Ok(number) = digits.parse::<u64>() else {
            continue;
        };
        let forms = match end {
            "log" => Forms {
                plain: true,
                compressed: false,
            },
            "log.zst" => Forms {
                plain: false,
                compressed: true,
            },
            _ => continue,
        };
        let known = found.entry(number).or_default();
        known.plain |= forms.plain;
        known.compressed |= forms.compressed;
    }
    Ok(found)
}

/// One segment in memory.
pub(super) struct Loaded {
    /// Without the zeros at its end, but for [`KEPT`] of them.
    pub(super) bytes: Vec<u8>,
    /// What it is on disk, zeros included.
    pub(super) len: usize,
    pub(super) header: Option<SegmentHeader>,
    pub(super) compressed: bool,
}

/// Reads a segment in whichever form it lies there. Between listing and reading it may have been compressed.
pub(super) fn load(journal: &Path, number: u64) -> io::Result<Loaded> {
    read_up_to(journal, number, MAX_BYTES)
}

/// Only its header.
pub(super) fn load_header(journal: &Path, number: u64) -> io::Result<Option<SegmentHeader>> {
    Ok(read_up_to(journal, number, FIRST_FRAME as u64)?.header)
}

fn read_up_to(journal: &Path, number: u64, most: u64) -> io::Result<Loaded> {
    let mut read = Trimmed::default();
    let compressed = match File::open(plain_path(journal, number)) {
        Ok(file) => {
            let len = file.metadata()?.len().min(most);
            read.make_room(len);
            read.take_in(file.take(most))?;
            false
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let file = File::open(compressed_path(journal, number))?;
            read.make_room(most.min(USUAL));
            // What cannot be unpacked is missing, and the frame that ends there names the place.
            let unpacked = zstd::stream::read::Decoder::new(file)
                .and_then(|packed| read.take_in(packed.take(most)));
            if let Err(error) = unpacked {
                tracing::warn!(segment = number, %error, "a compressed journal segment is damaged");
            }
            true
        }
        Err(error) => return Err(error),
    };
    let (bytes, len) = read.finish();
    let header = SegmentHeader::decode(&bytes);
    Ok(Loaded {
        bytes,
        len,
        header,
        compressed,
    })
}

/// What is read at once, and passed over at once where it is blank.
const PIECE: usize = 256 * 1024;
/// Zeros that stay at the end: a frame's padding may lie in a piece that is otherwise blank.
const KEPT: usize = 4096;
/// Room for a segment whose length nobody states. Memory that is not touched costs nothing.
const USUAL: u64 = 64 << 20;
static BLANK: [u8; PIECE] = [0; PIECE];

/// Bytes being read, without the zeros at their end: most of a preallocated file is nothing else.
#[derive(Default)]
struct Trimmed {
    bytes: Vec<u8>,
    /// Zeros that were read and not kept.
    blanks: usize,
}

impl Trimmed {
    /// Room at once: a growing vector holds what it read twice. Where so much is not to be had it grows all the same.
    fn make_room(&mut self, len: u64) {
        let len = usize::try_from(len).unwrap_or(0);
        let _grows = self.bytes.try_reserve_exact(len);
    }

    /// What came before an error is kept.
    fn take_in(&mut self, mut from: impl Read) -> io::Result<()> {
        let mut piece = vec![0; PIECE.min(self.bytes.capacity().max(FIRST_FRAME))];
        loop {
            let count = match from.read(&mut piece) {
                Ok(0) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            let read = &piece[..count];
            if read == &BLANK[..count] {
                self.blanks += count;
            } else {
                self.bytes.resize(self.bytes.len() + self.blanks, 0);
                self.bytes.extend_from_slice(read);
                self.blanks = 0;
            }
        }
    }

    /// The bytes, and how many there were.
    fn finish(mut self) -> (Vec<u8>, usize) {
        let len = self.bytes.len() + self.blanks;
        let kept = self.bytes.len() + self.blanks.min(KEPT);
        self.bytes.resize(kept, 0);
        (self.bytes, len)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::{KEPT, PIECE, Trimmed};

    fn read(bytes: &[u8]) -> (Vec<u8>, usize) {
        let mut read = Trimmed::default();
        read.make_room(PIECE as u64);
        read.take_in(Cursor::new(bytes)).unwrap();
        read.finish()
    }

    #[test]
    fn zeros_at_the_end_of_a_segment_are_not_kept_in_memory() {
        let mut file = vec![7; PIECE + 5];
        file.resize(9 * PIECE + 3, 0);
        let (bytes, len) = read(&file);
        assert_eq!(len, file.len());
        assert_eq!(bytes, file[..2 * PIECE + KEPT]);
    }

    #[test]
    fn zeros_between_frames_stay_where_they_are() {
        let mut file = vec![0; 6 * PIECE];
        file.push(1);
        let (bytes, len) = read(&file);
        assert_eq!((bytes, len), (file.clone(), file.len()));
        assert_eq!(read(&[]), (Vec::new(), 0));
    }

    #[test]
    fn padding_behind_the_last_byte_of_a_full_piece_is_there() {
        let mut file = vec![1; PIECE];
        file.resize(PIECE + 8, 0);
        assert_eq!(read(&file), (file.clone(), file.len()));
    }
}

//! Reading the journal: entry by entry, and where it ends.
//!
//! Start-up, rebuild and audit all read through here, so they cannot disagree on what is valid.
//! Nothing here writes; the daemon may be appending meanwhile.
//!
//! The end is the first place where no valid frame stands and nothing valid follows it. Each frame is
//! synced before the next is begun, so a power cut leaves at most one that is not whole: a frame's
//! header behind a hole proves damage.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::Path;

use thiserror::Error;
use uuid::Uuid;

use super::frame::{self, ALIGN, Chain, Entry, Invalid, Key};
use super::segment::{self, FIRST_FRAME, FORMAT, Forms, Loaded, SegmentHeader};

/// The last entry that was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub sequence: u64,
    pub chain: Chain,
}

/// Where the journal is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub segment: u64,
    pub offset: u64,
    /// The first sequence that cannot be read; 0 where that is not known.
    pub sequence: u64,
    pub why: Flaw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    SegmentMissing,
    SegmentHeader,
    NewerFormat,
    Order,
    Frame,
    Chain,
    Entry,
    EndLost,
}

impl Flaw {
    pub(super) fn words(self) -> (&'static str, &'static str) {
        match self {
            Flaw::SegmentMissing => ("the file is missing", "文件缺失"),
            Flaw::SegmentHeader => ("the head of the file is not valid", "文件头无效"),
            Flaw::NewerFormat => (
                "the file was written by a newer version",
                "文件由更新的版本写成",
            ),
            Flaw::Order => (
                "the file does not follow the one before it",
                "与前一个文件不衔接",
            ),
            Flaw::Frame => (
                "bytes are damaged, and valid ones follow",
                "此处字节损坏，其后仍有有效内容",
            ),
            Flaw::Chain => ("the hash chain is broken", "哈希链断裂"),
            Flaw::Entry => ("an entry cannot be read", "有记录无法读取"),
            Flaw::EndLost => (
                "an entry that had been confirmed is damaged",
                "已确认写入的记录损坏",
            ),
        }
    }
}

#[derive(Debug, Error)]
pub(super) enum WalkError {
    #[error("read the journal: it is damaged")]
    Damaged(Damage),
    #[error("read the journal")]
    Io(#[from] io::Error),
}

/// Where a segment stops being valid.
struct Stop {
    offset: usize,
    position: Position,
    last_frame: Option<Range<usize>>,
    why: Invalid,
}

/// The end of the journal.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) position: Position,
    /// The last segment that counts; `None` in a journal without any frame.
    pub(super) last: Option<LastSegment>,
    /// Later files. They hold no frame.
    pub(super) spares: Vec<u64>,
}

#[derive(Clone, Debug)]
pub(super) struct LastSegment {
    pub(super) header: SegmentHeader,
    /// Where the next frame goes.
    pub(super) offset: usize,
    /// The last frame that is whole.
    pub(super) last_frame: Vec<u8>,
    /// What is behind it and not zero.
    pub(super) torn: Vec<u8>,
    pub(super) compressed: bool,
}

/// Passes the entries of one segment to `visit`, which may end the walk by an error.
fn pass<E>(
    loaded: &Loaded,
    header: &SegmentHeader,
    visit: &mut dyn FnMut(&Entry<'_>, usize) -> Result<(), E>,
) -> Result<Stop, E> {
    let key = Key::of(header.store);
    let mut position = header.continues();
    let (mut offset, mut next, mut last_frame) = (FIRST_FRAME, header.first, None);
    let why = loop {
        let frame = match frame::read(&loaded.bytes, offset, &key) {
            Ok(frame) if frame.first == next => frame,
            Ok(_) => break Invalid::Astray,
            Err(why) => break why,
        };
        let entries = match frame.entries(position.chain) {
            Ok(entries) => entries,
            Err(why) => break why,
        };
        for entry in &entries {
            visit(entry, offset)?;
            position = Position {
                sequence: entry.sequence,
                chain: entry.chain,
            };
        }
        next = position.sequence + 1;
        last_frame = Some(offset..offset + frame.len);
        offset += frame.len;
    };
    Ok(Stop {
        offset,
        position,
        last_frame,
        why,
    })
}

/// Most of a preallocated file is zeros, and no header begins in them: they are passed over by the page.
const PAGE: usize = 4096;

fn is_blank(page: &[u8]) -> bool {
    page == &[0; PAGE][..page.len()]
}

/// Whether a frame's header stands anywhere behind `from`.
fn lives_behind(bytes: &[u8], from: usize, key: &Key) -> bool {
    let mut at = from;
    while at < bytes.len() {
        let end = (at + PAGE).min(bytes.len());
        let lives = || {
            (at..end)
                .step_by(ALIGN)
                .any(|at| frame::is_header(bytes, at, key))
        };
        if !is_blank(&bytes[at..end]) && lives() {
            return true;
        }
        at = end;
    }
    false
}

/// From `from` to the last byte that is not zero.
fn leftover(bytes: &[u8], from: usize) -> Vec<u8> {
    let rest = bytes.get(from..).unwrap_or_default();
    let last = rest
        .chunks(PAGE)
        .enumerate()
        .rev()
        .find_map(|(number, page)| {
            let last = || page.iter().rposition(|byte| *byte != 0);
            if is_blank(page) {
                None
            } else {
                last().map(|at| number * PAGE + at)
            }
        });
    rest[..last.map_or(0, |last| last + 1)].to_vec()
}

/// Numbers run from 1 without a hole. (A base will let them begin later.)
fn whole_row(listed: &BTreeMap<u64, Forms>) -> Result<(), WalkError> {
    let hole = (1_u64..)
        .zip(listed.keys())
        .find(|(number, found)| number != *found);
    match hole {
        Some((number, _)) => {
            let before = Place {
                segment: number,
                offset: 0,
            };
            Err(before.damaged(0, Flaw::SegmentMissing))
        }
        None => Ok(()),
    }
}

/// Finds the end. `known` is the highest sequence that checkpoint and state speak of: it must not be cut.
pub(super) fn find_end(journal: &Path, store: Uuid, known: u64) -> Result<End, WalkError> {
    let mut spares = Vec::new();
    let listed = segment::list(journal)?;
    whole_row(&listed)?;
    for &number in listed.keys().rev() {
        let loaded = segment::load(journal, number)?;
        let key = Key::of(loaded.header.map_or(store, |header| header.store));
        let damaged = |offset: usize, sequence, why| {
            Err(Place {
                segment: number,
                offset: offset as u64,
            }
            .damaged(sequence, why))
        };
        let Some(header) = loaded.header else {
            if lives_behind(&loaded.bytes, FIRST_FRAME, &key) {
                return damaged(0, 0, Flaw::SegmentHeader);
            }
            spares.push(number);
            continue;
        };
        if header.format > FORMAT {
            return damaged(0, header.first, Flaw::NewerFormat);
        }
        let Ok(stop) = pass::<std::convert::Infallible>(&loaded, &header, &mut |_, _| Ok(()));
        let missing = stop.position.sequence.max(header.first.saturating_sub(1)) + 1;
        if stop.why == Invalid::Astray {
            return damaged(stop.offset, missing, Flaw::Chain);
        }
        if lives_behind(&loaded.bytes, stop.offset + ALIGN, &key) {
            return damaged(stop.offset, missing, Flaw::Frame);
        }
        let torn = leftover(&loaded.bytes, stop.offset);
        if !torn.is_empty() && missing <= known {
            return damaged(stop.offset, missing, Flaw::EndLost);
        }
        let Some(last) = stop.last_frame else {
            spares.push(number);
            continue;
        };
        return Ok(End {
            position: stop.position,
            last: Some(LastSegment {
                header,
                offset: stop.offset,
                last_frame: loaded.bytes[last].to_vec(),
                torn,
                compressed: loaded.compressed,
            }),
            spares,
        });
    }
    let position = Position {
        sequence: 0,
        chain: Chain::genesis(store),
    };
    Ok(End {
        position,
        last: None,
        spares,
    })
}

/// Where a walk begins: the first file there is, or the one that holds a given sequence.
pub(super) fn start_for(journal: &Path, end: &End, after: u64) -> io::Result<u64> {
    let Some(last) = &end.last else {
        return Ok(1);
    };
    for number in (1..=last.header.number).rev() {
        match segment::load_header(journal, number) {
            Ok(Some(header)) if header.first <= after => return Ok(number),
            Ok(_) => {}
            // The walk itself will name what is missing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(number),
            Err(error) => return Err(error),
        }
    }
    Ok(1)
}

/// A place in the journal, for who is told of an entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) offset: u64,
}

/// Passes every entry from the beginning of segment `from` to `end`.
///
/// Before the end every byte must be valid: whatever is not, is damage.
pub(super) fn walk<E: From<WalkError>>(
    journal: &Path,
    from: u64,
    end: &End,
    visit: &mut dyn FnMut(&Entry<'_>, Place) -> Result<(), E>,
) -> Result<(), E> {
    let Some(last) = &end.last else {
        return Ok(());
    };
    let mut before: Option<(Position, Place)> = None;
    for number in from..=last.header.number {
        let (loaded, header) = enter(journal, number, before)?;
        let mut relay = |entry: &Entry<'_>, offset: usize| {
            visit(
                entry,
                Place {
                    segment: number,
                    offset: offset as u64,
                },
            )
        };
        let stop = pass(&loaded, &header, &mut relay)?;
        let place = Place {
            segment: number,
            offset: stop.offset as u64,
        };
        let is_last = number == last.header.number;
        let whole = if is_last {
            stop.position.sequence >= end.position.sequence
        } else {
            stop.last_frame.is_some() && leftover(&loaded.bytes, stop.offset).is_empty()
        };
        if !whole {
            let why = if stop.why == Invalid::Astray {
                Flaw::Chain
            } else {
                Flaw::Frame
            };
            let sequence = stop.position.sequence.max(header.first.saturating_sub(1)) + 1;
            return Err(place.damaged(sequence, why).into());
        }
        before = Some((stop.position, place));
    }
    Ok(())
}

/// Loads a segment and checks that it continues what was read before it; the very first begins at nothing.
fn enter(
    journal: &Path,
    number: u64,
    before: Option<(Position, Place)>,
) -> Result<(Loaded, SegmentHeader), WalkError> {
    let sequence = before.map_or(1, |(position, _)| position.sequence + 1);
    let start = Place {
        segment: number,
        offset: 0,
    };
    let loaded = match segment::load(journal, number) {
        Ok(loaded) => loaded,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(start.damaged(sequence, Flaw::SegmentMissing));
        }
        Err(error) => return Err(error.into()),
    };
    let Some(header) = loaded.header else {
        return Err(start.damaged(sequence, Flaw::SegmentHeader));
    };
    if header.format > FORMAT {
        return Err(start.damaged(header.first, Flaw::NewerFormat));
    }
    if header.number != number || header.first <= header.before {
        return Err(start.damaged(sequence, Flaw::Order));
    }
    let begins = header.before == 0 && header.chain == Chain::genesis(header.store);
    match before {
        // The frames that are missing stood at the end of the file before this one.
        Some((position, place)) if position.sequence < header.before => {
            Err(place.damaged(position.sequence + 1, Flaw::Frame))
        }
        Some((position, _)) if position != header.continues() => {
            Err(start.damaged(sequence, Flaw::Order))
        }
        None if number == 1 && !begins => Err(start.damaged(1, Flaw::Order)),
        Some(_) | None => Ok((loaded, header)),
    }
}

impl Place {
    pub(super) fn damaged(self, sequence: u64, why: Flaw) -> WalkError {
        WalkError::Damaged(Damage {
            segment: self.segment,
            offset: self.offset,
            sequence,
            why,
        })
    }
}

impl SegmentHeader {
    fn continues(&self) -> Position {
        Position {
            sequence: self.before,
            chain: self.chain,
        }
    }
}

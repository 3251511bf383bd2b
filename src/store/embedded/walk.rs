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

use super::frame::{self, ALIGN, Chain, Entry, Invalid, Key};
use super::gap::Trail;
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
    OtherFormat,
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
            Flaw::OtherFormat => (
                "the file has an older format, and no base follows it",
                "文件为旧格式，其后没有可用的基准文件",
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
    /// A gap begins here and ends in a later segment.
    leapt: bool,
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

/// Where the frames of a segment begin, and what came before them.
struct Begin {
    header: SegmentHeader,
    offset: usize,
    position: Position,
    next: u64,
}

/// `None` where no header stands and no gap lands.
fn begin(loaded: &Loaded, number: u64, trail: Trail<'_>) -> Option<Begin> {
    let Some(gap) = trail.lands_in(number) else {
        let header = loaded.header?;
        return Some(Begin {
            header,
            offset: FIRST_FRAME,
            position: header.continues(),
            next: header.first,
        });
    };
    let position = gap.to.position();
    // A gap that swallowed the head leaves only what the frames say themselves.
    let header = loaded.header.unwrap_or(SegmentHeader {
        format: FORMAT,
        store: trail.store,
        number,
        first: position.sequence + 1,
        before: position.sequence,
        chain: position.chain,
        created_ms: 0,
        stripped: false,
    });
    Some(Begin {
        header,
        offset: usize::try_from(gap.to.offset).unwrap_or(FIRST_FRAME),
        position,
        next: position.sequence + 1,
    })
}

/// Passes the entries of one segment to `visit`, which may end the walk by an error.
fn pass<E>(
    loaded: &Loaded,
    begin: &Begin,
    trail: Trail<'_>,
    visit: &mut dyn FnMut(&Entry<'_>, usize) -> Result<(), E>,
) -> Result<Stop, E> {
    let (key, number) = (Key::of(begin.header.store), begin.header.number);
    let (mut offset, mut next) = (begin.offset, begin.next);
    let (mut position, mut last_frame) = (begin.position, None);
    let (leapt, why) = loop {
        let found = frame::read(&loaded.bytes, offset, &key).and_then(|frame| {
            let entries = frame.entries(position.chain)?;
            if frame.first == next {
                Ok((frame.len, entries))
            } else {
                Err(Invalid::Astray)
            }
        });
        let (len, entries) = match found {
            Ok(found) => found,
            Err(why) => match trail.gap_at(number, offset) {
                Some(gap) if gap.to.segment == number => {
                    position = gap.to.position();
                    next = position.sequence + 1;
                    offset = usize::try_from(gap.to.offset).unwrap_or(usize::MAX);
                    continue;
                }
                gap => break (gap.is_some(), why),
            },
        };
        for entry in &entries {
            visit(entry, offset)?;
            position = Position {
                sequence: entry.sequence,
                chain: entry.chain,
            };
        }
        next = position.sequence + 1;
        last_frame = Some(offset..offset + len);
        offset += len;
    };
    Ok(Stop {
        offset,
        position,
        last_frame,
        leapt,
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

/// Numbers run without a hole from the first segment that no base covers.
fn whole_row(
    listed: &BTreeMap<u64, Forms>,
    covered: u64,
    trail: Trail<'_>,
) -> Result<(), WalkError> {
    let mut expected = covered + 1;
    for (number, _) in listed.range(expected..) {
        if let Some(missing) = (expected..*number).find(|missing| !trail.skips(*missing)) {
            let place = Place {
                segment: missing,
                offset: 0,
            };
            return Err(place.damaged(0, Flaw::SegmentMissing));
        }
        expected = number + 1;
    }
    Ok(())
}

/// Finds the end. `known` is the highest sequence that checkpoint and state speak of: it must not be cut. What a base
/// covers, up to segment `covered`, is not needed for that.
pub(super) fn find_end(trail: Trail<'_>, known: u64, covered: u64) -> Result<End, WalkError> {
    let (journal, store) = (trail.folder, trail.store);
    let mut spares = Vec::new();
    let listed = segment::list(journal)?;
    whole_row(&listed, covered, trail)?;
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
        let Some(begin) = begin(&loaded, number, trail) else {
            if lives_behind(&loaded.bytes, FIRST_FRAME, &key) {
                return damaged(0, 0, Flaw::SegmentHeader);
            }
            spares.push(number);
            continue;
        };
        let header = begin.header;
        if header.format > FORMAT {
            return damaged(0, header.first, Flaw::NewerFormat);
        }
        let Ok(stop) = pass::<std::convert::Infallible>(&loaded, &begin, trail, &mut |_, _| Ok(()));
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
pub(super) fn start_for(journal: &Path, until: Option<Until>, after: u64) -> io::Result<u64> {
    for number in (1..=until.map_or(0, |until| until.segment)).rev() {
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

/// How far a walk goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Until {
    pub(super) segment: u64,
    pub(super) sequence: u64,
}

impl End {
    /// `None` in a journal without any frame.
    pub(super) fn until(&self) -> Option<Until> {
        self.last.as_ref().map(|last| Until {
            segment: last.header.number,
            sequence: self.position.sequence,
        })
    }
}

/// A place in the journal, for who is told of an entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) offset: u64,
}

/// Passes every entry from the beginning of segment `from` to `until`.
///
/// Before the end every byte must be valid: whatever is not, is damage.
pub(super) fn walk<E: From<WalkError>>(
    trail: Trail<'_>,
    from: u64,
    until: Option<Until>,
    visit: &mut dyn FnMut(&Entry<'_>, Place) -> Result<(), E>,
) -> Result<(), E> {
    let Some(until) = until else {
        return Ok(());
    };
    let mut before: Option<(Position, Place)> = None;
    for number in (from..=until.segment).filter(|number| !trail.skips(*number)) {
        let (loaded, begin) = enter(trail, number, before)?;
        let mut relay = |entry: &Entry<'_>, offset: usize| {
            visit(
                entry,
                Place {
                    segment: number,
                    offset: offset as u64,
                },
            )
        };
        let stop = pass(&loaded, &begin, trail, &mut relay)?;
        let place = Place {
            segment: number,
            offset: stop.offset as u64,
        };
        let is_last = number == until.segment;
        let whole = if is_last {
            stop.position.sequence >= until.sequence
        } else {
            stop.leapt
                || stop.last_frame.is_some() && leftover(&loaded.bytes, stop.offset).is_empty()
        };
        if !whole {
            let why = if stop.why == Invalid::Astray {
                Flaw::Chain
            } else {
                Flaw::Frame
            };
            let sequence = stop.position.sequence.max(begin.next.saturating_sub(1)) + 1;
            return Err(place.damaged(sequence, why).into());
        }
        before = Some((stop.position, place));
    }
    Ok(())
}

/// Passes every entry behind `base` up to `until`; without a base, every entry there is. Says whether the
/// journal agrees with the base: nothing is passed from one that does not.
///
/// Begins at the first segment that is needed: what lies before the base may be damaged or gone. Only entries of `format`
/// are passed: one of another is damage, since it speaks of records in another shape.
pub(super) fn walk_behind<E: From<WalkError> + From<io::Error>>(
    trail: Trail<'_>,
    base: Option<Position>,
    until: Option<Until>,
    format: u32,
    visit: &mut dyn FnMut(&Entry<'_>, Place) -> Result<(), E>,
) -> Result<bool, E> {
    let mut seen = 0;
    let visit = &mut |entry: &Entry<'_>, place: Place| -> Result<(), E> {
        if seen != place.segment {
            seen = place.segment;
            let header = segment::load_header(trail.folder, seen)?;
            if header.is_some_and(|header| header.format != format) {
                return Err(place.damaged(entry.sequence, Flaw::OtherFormat).into());
            }
        }
        visit(entry, place)
    };
    let Some(base) = base.filter(|base| base.sequence > 0) else {
        return walk(trail, 1, until, visit).map(|()| true);
    };
    let from = start_for(trail.folder, until, base.sequence + 1)?;
    let begins = segment::load_header(trail.folder, from).ok().flatten();
    let mut agrees = begins.is_some_and(|header| header.continues() == base);
    walk(trail, from, until, &mut |entry, place| {
        if entry.sequence == base.sequence {
            agrees = entry.chain == base.chain;
        }
        if entry.sequence > base.sequence && agrees {
            visit(entry, place)
        } else {
            Ok(())
        }
    })?;
    Ok(agrees)
}

/// Loads a segment and checks that it continues what was read before it; the very first begins at nothing.
fn enter(
    trail: Trail<'_>,
    number: u64,
    before: Option<(Position, Place)>,
) -> Result<(Loaded, Begin), WalkError> {
    let sequence = before.map_or(1, |(position, _)| position.sequence + 1);
    let start = Place {
        segment: number,
        offset: 0,
    };
    let loaded = match segment::load(trail.folder, number) {
        Ok(loaded) => loaded,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(start.damaged(sequence, Flaw::SegmentMissing));
        }
        Err(error) => return Err(error.into()),
    };
    let Some(begin) = begin(&loaded, number, trail) else {
        return Err(start.damaged(sequence, Flaw::SegmentHeader));
    };
    let header = &begin.header;
    if header.format > FORMAT {
        return Err(start.damaged(header.first, Flaw::NewerFormat));
    }
    if header.number != number || header.first <= header.before {
        return Err(start.damaged(sequence, Flaw::Order));
    }
    if trail.lands_in(number).is_some() {
        return Ok((loaded, begin));
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
        Some(_) | None => Ok((loaded, begin)),
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

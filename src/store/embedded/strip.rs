//! Segments that no rebuild needs any more: first without their redo, at last without themselves.
//!
//! What is older than two bases is written anew with headers and redo hashes only, marked as such in the
//! segment's head. The chain covers hashes, not redo, so it still verifies: that is the audit log. It is kept for
//! years; then the oldest segments go, and an entry of the journal says up to where, so that a verification can
//! tell what was retired from what was taken.

use std::io;
use std::path::Path;

use super::disk::Disk;
use super::error::CareError;
use super::frame::{self, Entry, Group, Key};
use super::pack;
use super::segment::{self, FIRST_FRAME, SegmentHeader};
use super::walk::{Flaw, Place, Position, Until, WalkError};

/// Writes one closed segment anew without its redo. `false` if it was so already.
pub(super) fn strip(disk: &Disk, journal: &Path, number: u64) -> Result<bool, CareError> {
    let loaded = segment::load(journal, number)?;
    let place = Place {
        segment: number,
        offset: 0,
    };
    let header = loaded
        .header
        .ok_or_else(|| place.damaged(0, Flaw::SegmentHeader))?;
    if header.stripped {
        return Ok(false);
    }
    let bytes = bare(&loaded.bytes, &header)?;
    pack::replace(disk, journal, number, &bytes)?;
    disk.remove(&segment::plain_path(journal, number))?;
    disk.sync_folder(journal)?;
    Ok(true)
}

/// The same frames without redo, checked entry by entry against those they replace.
fn bare(bytes: &[u8], header: &SegmentHeader) -> Result<Vec<u8>, CareError> {
    let key = Key::of(header.store);
    let marked = SegmentHeader {
        stripped: true,
        ..*header
    };
    let mut kept = marked.encode();
    let mut was = Vec::new();
    for_frames(bytes, header, &key, &mut |first, before, entries| {
        let mut group = Group::new();
        group.restart(first, before.chain);
        for entry in entries {
            group.push_bare(entry);
            was.push(entry.chain);
        }
        kept.extend_from_slice(&group.seal(&key));
    })?;
    let mut is = Vec::new();
    for_frames(&kept, &marked, &key, &mut |_, _, entries| {
        is.extend(entries.iter().map(|entry| entry.chain));
    })?;
    if is == was && !is.is_empty() {
        Ok(kept)
    } else {
        Err(CareError::ReadBack)
    }
}

/// Every frame of one segment, with the position before it. All bytes must be valid.
fn for_frames(
    bytes: &[u8],
    header: &SegmentHeader,
    key: &Key,
    each: &mut dyn FnMut(u64, Position, &[Entry<'_>]),
) -> Result<(), WalkError> {
    let mut before = Position {
        sequence: header.before,
        chain: header.chain,
    };
    let mut offset = FIRST_FRAME;
    loop {
        let damaged = |why| {
            Place {
                segment: header.number,
                offset: offset as u64,
            }
            .damaged(before.sequence + 1, why)
        };
        let frame = match frame::read(bytes, offset, key) {
            Ok(frame) => frame,
            Err(_)
                if bytes[offset.min(bytes.len())..]
                    .iter()
                    .all(|byte| *byte == 0) =>
            {
                return Ok(());
            }
            Err(_) => return Err(damaged(Flaw::Frame)),
        };
        let entries = frame
            .entries(before.chain)
            .map_err(|_| damaged(Flaw::Chain))?;
        each(frame.first, before, &entries);
        offset += frame.len;
        if let Some(last) = entries.last() {
            before = Position {
                sequence: last.sequence,
                chain: last.chain,
            };
        }
    }
}

/// What can go because of its age: the last of the stripped segments that were closed before then, and its last entry.
pub(super) fn aged(journal: &Path, before_ms: i64) -> io::Result<Option<Until>> {
    let mut last = None;
    for number in segment::list(journal)?.into_keys() {
        let header = segment::load_header(journal, number)?;
        if !header.is_some_and(|header| header.stripped) {
            break;
        }
        // The next one was begun when this one was closed.
        match segment::load_header(journal, number + 1)? {
            Some(next) if next.created_ms < before_ms => {
                last = Some(Until {
                    segment: number,
                    sequence: next.before,
                });
            }
            _ => break,
        }
    }
    Ok(last)
}

/// Removes every segment up to `through`, the oldest first: whatever is left is in one piece.
pub(super) fn remove(disk: &Disk, journal: &Path, through: u64) -> Result<u64, CareError> {
    let mut removed = 0;
    for number in segment::list(journal)?
        .into_keys()
        .take_while(|number| *number <= through)
    {
        disk.remove(&segment::plain_path(journal, number))?;
        disk.remove(&segment::compressed_path(journal, number))?;
        disk.sync_folder(journal)?;
        removed += 1;
    }
    Ok(removed)
}

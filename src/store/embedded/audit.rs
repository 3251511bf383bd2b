//! Checking and listing the journal without opening the store.
//!
//! Reads only, and takes no lock: it also runs beside the daemon. What looks like damage may then be a frame
//! that was being written while we read over it, so a place is read again until it stops moving.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use serde::Deserialize;
use thiserror::Error;
use uuid::Uuid;

use super::checkpoint;
use super::domain::{Header, Stamp};
use super::frame::Chain;
use super::gap::{Gap, Trail};
use super::own;
use super::segment;
use super::walk::{self, Damage, End, Flaw, Place, WalkError};

/// A journal in which every byte that counts was read and agrees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub entries: u64,
    pub segments: u64,
    /// Segments before these that were removed for their age; an entry says so.
    pub retired: u64,
    /// Chain hash of the last entry.
    pub head: Chain,
    /// Its sequence.
    pub sequence: u64,
}

/// Why a journal was not verified.
#[derive(Debug, Error)]
pub enum Unverified {
    #[error(
        "verify the journal: segment {} at byte {} (sequence {}): {}",
        .0.segment, .0.offset, .0.sequence, .0.why.words().0
    )]
    Broken(Damage),
    #[error("read the journal")]
    Io(#[from] io::Error),
}

impl From<WalkError> for Unverified {
    fn from(error: WalkError) -> Self {
        match error {
            WalkError::Damaged(damage) => Self::Broken(damage),
            WalkError::Io(error) => Self::Io(error),
        }
    }
}

/// Why a pass through the journal ended early.
enum Halt {
    Walk(WalkError),
    Enough,
}

impl From<WalkError> for Halt {
    fn from(error: WalkError) -> Self {
        Self::Walk(error)
    }
}

/// Reads every entry of the data folder's journal and checks the chain from its beginning.
pub fn verify(data: &Path) -> Result<Verified, Unverified> {
    let mut entries = 0;
    let (end, retired) = pass(data, 0, &mut |_, _| {
        entries += 1;
        ControlFlow::Continue(())
    })?;
    let last = end.last.as_ref().map_or(0, |last| last.header.number);
    let segments = last.saturating_sub(retired);
    Ok(Verified {
        retired,
        entries,
        segments,
        head: end.position.chain,
        sequence: end.position.sequence,
    })
}

/// Gives the entries from `from` on to `each`, oldest first, until it breaks off. The end is that at the time
/// of the call.
pub fn entries(
    data: &Path,
    from: u64,
    each: &mut dyn FnMut(Stamp, Header) -> ControlFlow<()>,
) -> Result<(), Unverified> {
    pass(data, from, each).map(|_| ())
}

/// Where the journal ends now.
pub(super) fn end(data: &Path) -> Result<End, WalkError> {
    let journal = data.join("journal");
    let known = checkpoint::read(data)?.map_or(0, |found| found.head.sequence);
    let id = identity(data)?;
    let trail = Trail {
        folder: &journal,
        store: id.store,
        gaps: &id.gaps,
    };
    steady_end(trail, known)
}

fn pass(
    data: &Path,
    from: u64,
    each: &mut dyn FnMut(Stamp, Header) -> ControlFlow<()>,
) -> Result<(End, u64), Unverified> {
    let journal = data.join("journal");
    // Read before the end is looked for: it can only have been passed since.
    let known = checkpoint::read(data)?.map_or(0, |found| found.head.sequence);
    let id = identity(data)?;
    let trail = Trail {
        folder: &journal,
        store: id.store,
        gaps: &id.gaps,
    };
    let end = steady_end(trail, known)?;
    if end.position.sequence < known {
        let last = end.last.as_ref();
        let segment = last.map_or(1, |last| last.header.number);
        let place = Place {
            segment,
            offset: last.map_or(0, |last| last.offset as u64),
        };
        return Err(place
            .damaged(end.position.sequence + 1, Flaw::EndLost)
            .into());
    }
    let lowest = segment::list(&journal)?.into_keys().next().unwrap_or(1);
    let first = if from > 1 {
        walk::start_for(&journal, end.until(), from)?.max(lowest)
    } else {
        lowest
    };
    // What an entry of the journal says was removed for its age; whatever else is missing was taken.
    let mut retired = 0;
    let walked = walk::walk(trail, first, end.until(), &mut |entry, place| {
        let Some((stamp, header)) = entry.header() else {
            return Err(place.damaged(entry.sequence, Flaw::Entry).into());
        };
        if own::is(&header, "retire") {
            retired = retired.max(retired_through(&header));
        }
        if entry.sequence < from || entry.sequence > end.position.sequence {
            return Ok(());
        }
        match each(stamp, header) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Halt::Enough),
        }
    });
    match walked {
        Ok(()) if retired < lowest - 1 && from <= 1 => {
            let place = Place {
                segment: lowest - 1,
                offset: 0,
            };
            Err(place.damaged(0, Flaw::SegmentMissing).into())
        }
        Ok(()) | Err(Halt::Enough) => Ok((end, lowest - 1)),
        Err(Halt::Walk(error)) => Err(error.into()),
    }
}

fn retired_through(header: &Header) -> u64 {
    let outcome = header.outcome.as_deref().unwrap_or_default();
    let number = outcome.split(' ').next().and_then(|text| text.parse().ok());
    number.unwrap_or(0)
}

/// The end, looked for again as long as the place of the damage moves on.
fn steady_end(trail: Trail<'_>, known: u64) -> Result<End, WalkError> {
    let mut before: Option<Damage> = None;
    loop {
        let listed = segment::list(trail.folder)?;
        let lowest = listed.into_keys().next().unwrap_or(1);
        match walk::find_end(trail, known, lowest - 1) {
            Err(WalkError::Damaged(damage)) if before.as_ref() != Some(&damage) => {
                before = Some(damage);
            }
            // Compressed between the listing and the reading: the next listing shows it.
            Err(WalkError::Io(error))
                if error.kind() == io::ErrorKind::NotFound && before.is_none() => {}
            other => return other,
        }
    }
}

/// Who wrote the journal, and what of it is known to be missing.
#[derive(Deserialize)]
struct Id {
    store: Uuid,
    #[serde(default)]
    gaps: Vec<Gap>,
}

fn identity(data: &Path) -> io::Result<Id> {
    let text = fs::read_to_string(data.join("store.toml"))?;
    toml::from_str(&text)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "store.toml cannot be read"))
}

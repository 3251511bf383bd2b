//! Damage in the journal that a person accepted: where reading stops, and where it goes on.
//!
//! Nothing is rewritten: the damaged bytes stay where they are, `store.toml` names the place, and every reader goes over it in
//! the same way. What was acknowledged in between is lost, so the folder counts as a restored copy from then on.

use std::path::Path;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::frame::{self, ALIGN, Chain, Key};
use super::segment::{self, FIRST_FRAME};
use super::walk::{Damage, Position};

/// Where reading goes on: a frame that is whole, and what it says came before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landing {
    pub segment: u64,
    pub offset: u64,
    before: u64,
    chain: String,
}

impl Landing {
    pub(super) fn position(&self) -> Position {
        let mut chain = Chain([0; 32]);
        if let Ok(hash) = blake3::Hash::from_hex(&self.chain) {
            chain.0 = *hash.as_bytes();
        }
        Position {
            sequence: self.before,
            chain,
        }
    }
}

/// One accepted gap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The first place that cannot be read.
    pub segment: u64,
    pub offset: u64,
    pub to: Landing,
}

/// The journal's folder, and what is known to be missing in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trail<'a> {
    pub(super) folder: &'a Path,
    /// The store's own id; the segments of a former one name theirs.
    pub(super) store: Uuid,
    pub(super) gaps: &'a [Gap],
}

impl Trail<'_> {
    /// The gap that begins here.
    pub(super) fn gap_at(&self, segment: u64, offset: usize) -> Option<&Gap> {
        self.gaps
            .iter()
            .find(|gap| gap.segment == segment && gap.offset == offset as u64)
    }

    /// Whether a gap swallows the whole segment.
    pub(super) fn skips(&self, segment: u64) -> bool {
        self.gaps.iter().any(|gap| {
            let begins = gap.segment < segment || gap.segment == segment && gap.offset == 0;
            begins && segment < gap.to.segment
        })
    }

    /// The gap that ends in this segment, having begun in one before it.
    pub(super) fn lands_in(&self, segment: u64) -> Option<&Gap> {
        self.gaps
            .iter()
            .find(|gap| gap.to.segment == segment && (gap.segment < segment || gap.offset == 0))
    }

    /// Whether a gap begins or ends in this segment.
    pub(super) fn touches(&self, segment: u64) -> bool {
        self.gaps
            .iter()
            .any(|gap| (gap.segment..=gap.to.segment).contains(&segment))
    }
}

/// The first whole frame behind the damage; `None` where nothing follows it.
pub(super) fn landing(
    journal: &Path,
    store: Uuid,
    damage: &Damage,
) -> std::io::Result<Option<Landing>> {
    let begin = usize::try_from(damage.offset).unwrap_or(usize::MAX);
    for number in segment::list(journal)?.into_keys() {
        if number < damage.segment {
            continue;
        }
        let loaded = match segment::load(journal, number) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            other => other?,
        };
        let key = Key::of(loaded.header.map_or(store, |header| header.store));
        let first = if number == damage.segment {
            (begin + ALIGN).max(FIRST_FRAME)
        } else {
            FIRST_FRAME
        };
        for at in (first..loaded.bytes.len()).step_by(ALIGN) {
            let Ok(frame) = frame::read(&loaded.bytes, at, &key) else {
                continue;
            };
            return Ok(Some(Landing {
                segment: number,
                offset: at as u64,
                before: frame.first - 1,
                chain: frame.before().to_string(),
            }));
        }
    }
    Ok(None)
}

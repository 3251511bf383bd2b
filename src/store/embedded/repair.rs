//! Accepting a gap: a person says that what is damaged is lost, and the store goes on without it.
//!
//! Offline, under the lock. Nothing in the journal is rewritten but an end behind which nothing follows; that goes to
//! `aside/`. The folder is a restored copy afterwards: the acts that are lost may have been sends, so nothing leaves until it is
//! adopted, and new sequences begin above the highest that was ever heard of.

use std::path::Path;

use super::base;
use super::checkpoint;
use super::disk::Disk;
use super::error::OpenError;
use super::gap::{self, Gap, Trail};
use super::identity::{self, Identity, Pending};
use super::options::Options;
use super::recover::remove_tree;
use super::segment;
use super::state::{self, State};
use super::walk::{self, Damage, End, Flaw, Place, WalkError};

/// Places looked at before it is given up: more than anyone would accept.
const MOST: usize = 10_000;

/// Accepts everything in the journal that cannot be read. Gives the places; none if the journal is whole.
pub fn accept_gap(options: &Options, by: &str, reason: &str) -> Result<Vec<Damage>, OpenError> {
    let data = &options.folder;
    let (identity, _) = identity::read(data)?;
    let _lock = identity::lock(data)?;
    let mut survey = Survey {
        options,
        identity,
        found: Vec::new(),
        known: 0,
        end_is_lost: false,
    };
    survey.known = survey.highest()?;
    let highest = survey.known;
    survey.all()?;
    let Survey {
        mut identity,
        found,
        ..
    } = survey;
    if found.is_empty() {
        return Ok(found);
    }
    identity.unadopted = Some("a gap in the journal was accepted".to_owned());
    identity.floor = identity.floor.max(highest);
    let outcome = found.iter().map(place).collect::<Vec<_>>().join(", ");
    identity.pending.push(Pending {
        what: "accept-gap".to_owned(),
        by: by.to_owned(),
        reason: reason.to_owned(),
        outcome: outcome.chars().take(1_000).collect(),
    });
    identity::keep(data, &options.disk, identity)?;
    // From here on nothing speaks of what is lost; a death before leaves the damage to be accepted again.
    checkpoint::remove(data, &options.disk).map_err(OpenError::io(data))?;
    let aside = data.join("aside").join("sled");
    remove_tree(&aside).map_err(OpenError::io(&aside))?;
    let folder = state::folder(data);
    if folder.exists() {
        std::fs::rename(&folder, &aside).map_err(OpenError::io(&aside))?;
    }
    Ok(found)
}

/// Makes the next start rebuild the state from base and journal, whatever it holds.
pub fn forget_state(options: &Options) -> Result<(), OpenError> {
    let data = &options.folder;
    identity::read(data)?;
    let _lock = identity::lock(data)?;
    checkpoint::remove(data, &options.disk).map_err(OpenError::io(data))
}

fn place(damage: &Damage) -> String {
    format!("segment {} byte {}", damage.segment, damage.offset)
}

struct Survey<'a> {
    options: &'a Options,
    identity: Identity,
    found: Vec<Damage>,
    known: u64,
    end_is_lost: bool,
}

impl Survey<'_> {
    fn journal(&self) -> std::path::PathBuf {
        self.options.folder.join("journal")
    }

    /// The highest sequence that checkpoint or state speak of, as far as they can be read.
    fn highest(&self) -> Result<u64, OpenError> {
        let data = &self.options.folder;
        let checkpoint = checkpoint::read(data).map_err(OpenError::io(data))?;
        let state = State::open(data, self.options.cache_bytes, &self.options.disk).ok();
        let head = state.and_then(|state| state.head().ok().flatten());
        let heads = checkpoint.map(|found| found.head).into_iter().chain(head);
        let ours = heads.filter(|head| self.identity.knows(head.store));
        Ok(ours.map(|head| head.sequence).max().unwrap_or(0))
    }

    /// Finds one place after the other until the journal can be read to its end.
    fn all(&mut self) -> Result<(), OpenError> {
        while self.found.len() < MOST {
            match self.read() {
                Ok(_) => return Ok(()),
                Err(WalkError::Damaged(damage)) => self.take(damage)?,
                Err(error) => return Err(OpenError::walk(self.journal())(error)),
            }
        }
        Err(OpenError::Damaged(self.found.swap_remove(0)))
    }

    fn read(&self) -> Result<End, WalkError> {
        let journal = self.journal();
        let trail = Trail {
            folder: &journal,
            store: self.identity.store,
            gaps: &self.identity.gaps,
        };
        let listed = segment::list(&journal)?;
        let lowest = listed.into_keys().next().unwrap_or(1);
        let covered = base::covered(&self.options.folder)?;
        if lowest > covered + 1 && !trail.skips(1) {
            let place = Place {
                segment: 1,
                offset: 0,
            };
            return Err(place.damaged(1, Flaw::SegmentMissing));
        }
        let known = if self.end_is_lost { 0 } else { self.known };
        let end = walk::find_end(trail, known, lowest - 1)?;
        walk::walk::<WalkError>(trail, lowest, end.until(), &mut |_, _| Ok(()))?;
        Ok(end)
    }

    fn take(&mut self, damage: Damage) -> Result<(), OpenError> {
        let journal = self.journal();
        if damage.why == Flaw::NewerFormat {
            return Err(OpenError::Damaged(damage));
        }
        let landing = match damage.why {
            Flaw::EndLost => None,
            _ => gap::landing(&journal, self.identity.store, &damage)
                .map_err(OpenError::io(&journal))?,
        };
        match landing {
            Some(to) => self.identity.gaps.push(Gap {
                segment: damage.segment,
                offset: damage.offset,
                to,
            }),
            // The start cuts it, and keeps it aside.
            None if damage.why == Flaw::EndLost => self.end_is_lost = true,
            None => cut(&self.options.disk, &self.options.folder, &damage)
                .map_err(OpenError::io(&journal))?,
        }
        self.found.push(damage);
        Ok(())
    }
}

/// Takes away what stands behind the damage where nothing valid follows. It lies in `aside/` afterwards.
fn cut(disk: &Disk, data: &Path, damage: &Damage) -> std::io::Result<()> {
    let journal = data.join("journal");
    let aside = data.join("aside");
    let loaded = match segment::load(&journal, damage.segment) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let at = usize::try_from(damage.offset).unwrap_or(usize::MAX);
    let at = at.min(loaded.bytes.len());
    let tail = loaded.bytes[at..].to_vec();
    disk.replace(
        &aside.join("journal-cut"),
        &aside.join("journal-cut.tmp"),
        |_| Ok(tail),
    )?;
    let mut kept = loaded.bytes;
    kept[at..].fill(0);
    kept.resize(loaded.len, 0);
    let plain = segment::plain_path(&journal, damage.segment);
    disk.replace(&plain, &journal.join("cutting.tmp"), |_| Ok(kept))?;
    disk.remove(&segment::compressed_path(&journal, damage.segment))?;
    disk.sync_folder(&journal)
}

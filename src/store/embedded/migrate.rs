//! Bringing a folder of an older format up to this one.
//!
//! What changes between two formats is a table: for each older one, what becomes of a record. The journal is never written
//! anew and never replayed across formats. Instead the order of the steps is the recovery story:
//! 1. the open segment takes nothing more; the next one has this format in its header;
//! 2. `checkpoint` goes, so that no state in the older shape is believed any more;
//! 3. a base in this format is made of the older one and the segments since, record by record, synced and read back;
//! 4. `store.toml` names this format, and what is to be noted in the journal, last.
//!
//! A death before 4 leaves a folder of the older format with a spare segment and a base that it does not look at: the next
//! start does the same again, into the same files. After 4 the state is rebuilt from the base. The older base and
//! segments stay until newer bases have made them superfluous, so that a base that spoils can be made once more.

use super::base::{self, Base};
use super::checkpoint;
use super::domain::Change;
use super::error::{CareError, OpenError};
use super::identity::{self, Pending};
use super::merge::Merge;
use super::own::Closed;
use super::record::RecordError;
use super::recover::Opening;
use super::segment::{self, FORMAT};
use super::walk::{End, Position};

/// What becomes of one record in the next format. The store's own records are not asked about.
pub type Migrate = fn(&[u8], &[u8]) -> Result<Change, RecordError>;

/// The step from one format to the next.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    pub from: u32,
    pub change: Migrate,
}

/// Every step that this version knows, oldest first. There is one format so far, so there is none.
pub const MIGRATIONS: &[Migration] = &[];

/// The steps from a format to ours, in order; none where it is ours.
pub(super) fn way(known: &'static [Migration], from: u32) -> Result<Vec<Migration>, OpenError> {
    let step = |from| known.iter().find(|step| step.from == from).copied();
    let steps: Option<Vec<Migration>> = (from..FORMAT).map(step).collect();
    steps.ok_or(OpenError::OlderFormat {
        found: from,
        known: FORMAT,
    })
}

type Pair = (Vec<u8>, Vec<u8>);

/// What a record becomes at the end of the way. The store's own stay as they are.
pub(super) fn moved(
    way: &[Migration],
    key: &[u8],
    value: &[u8],
) -> Result<Option<Pair>, CareError> {
    let (mut key, mut value) = (key.to_vec(), value.to_vec());
    if key.first() == Some(&0) {
        return Ok(Some((key, value)));
    }
    for step in way {
        let changed = (step.change)(&key, &value).map_err(|why| CareError::Unmigrated {
            key: key.escape_ascii().to_string(),
            why,
        })?;
        match changed {
            Change::Put { key: to, value: it } => (key, value) = (to, it),
            Change::Remove { .. } => return Ok(None),
        }
    }
    Ok(Some((key, value)))
}

/// Where one format ends.
struct Boundary {
    from: u32,
    closed: Closed,
}

impl Opening<'_> {
    /// The whole of it, where the folder has an older format. The new segment is there already, and has no frame.
    pub(super) fn migrate(&mut self, end: &End) -> Result<(), OpenError> {
        let from = self.identity.format;
        tracing::warn!("the data folder has format {from} and is brought to format {FORMAT}");
        checkpoint::remove(self.data(), &self.options.disk).map_err(OpenError::io(self.data()))?;
        let mut identity = self.identity.clone();
        if let Some(last) = &end.last {
            let closed = Closed {
                through: last.header.number,
                position: end.position,
            };
            let made = self.base_across(&Boundary { from, closed })?;
            let hash = blake3::Hash::from_bytes(made.written.hash);
            let noted = format!("{} {}", end.position.sequence, hash.to_hex());
            identity.pending.push(Pending::of_ours("base", noted));
        }
        let noted = format!("{from} {FORMAT}");
        identity.pending.push(Pending::of_ours("migrate", noted));
        identity.format = FORMAT;
        self.identity = identity::keep(self.data(), &self.options.disk, identity)?;
        tracing::warn!("the data folder has format {FORMAT} now");
        Ok(())
    }

    /// A base of this format made once more, where the one of the migration cannot be used. `None` where the journal
    /// knows one format only, or what is asked for lies before the boundary.
    pub(super) fn base_again(&mut self, end: &End, above: u64) -> Result<Option<Base>, OpenError> {
        let Some(boundary) = self.boundary(end)? else {
            return Ok(None);
        };
        if boundary.closed.position.sequence >= above {
            return Ok(None);
        }
        tracing::error!(
            "no base of format {FORMAT} can be used: it is made again from what format {} left",
            boundary.from
        );
        self.base_across(&boundary).map(Some)
    }

    /// The last segment of another format, and where it ends.
    fn boundary(&self, end: &End) -> Result<Option<Boundary>, OpenError> {
        let journal = &self.ground.folder;
        let failed = || OpenError::io(journal);
        let mut after = end.position;
        let last = end.last.as_ref().map_or(0, |last| last.header.number);
        let listed = segment::list(journal).map_err(failed())?;
        // Formats only rise: where the oldest is ours, all are.
        let oldest = listed.keys().next().copied().unwrap_or(0);
        let oldest = match end.last {
            Some(_) => segment::load_header(journal, oldest).map_err(failed())?,
            None => None,
        };
        if oldest.is_none_or(|header| header.format == FORMAT) {
            return Ok(None);
        }
        for &number in listed.range(..=last).rev().map(|(number, _)| number) {
            let Some(header) = segment::load_header(journal, number).map_err(failed())? else {
                continue;
            };
            if header.format != FORMAT {
                let closed = Closed {
                    through: number,
                    position: after,
                };
                let from = header.format;
                return Ok(Some(Boundary { from, closed }));
            }
            after = Position {
                sequence: header.before,
                chain: header.chain,
            };
        }
        Ok(None)
    }

    fn base_across(&self, boundary: &Boundary) -> Result<Base, OpenError> {
        let Boundary { from, closed } = *boundary;
        let way = way(self.options.migrations, from)?;
        let until = closed.position.sequence;
        let fits = |head: &base::BaseHead| {
            head.format == from
                && head.position.sequence <= until
                && self.identity.knows(head.store)
        };
        let found = base::newest(self.data(), u64::MAX, fits);
        let (before, _) = found.map_err(OpenError::io(base::folder(self.data())))?;
        let merge = Merge {
            data: self.data(),
            disk: &self.options.disk,
            store: self.identity.store,
            gaps: &self.identity.gaps,
            run_bytes: self.options.run_bytes,
            stopped: &|| false,
            from,
            way: &way,
        };
        let made = merge
            .make(before.as_ref(), closed, (self.options.clock)())
            .and_then(|nameless| Ok(nameless.name(self.data(), &self.options.disk)?));
        made.map_err(|error| match error {
            CareError::Io(error) => OpenError::io(base::folder(self.data()))(error),
            CareError::Damaged(damage) => OpenError::Damaged(damage),
            other => OpenError::Unmigrated {
                found: from,
                known: FORMAT,
                why: other.to_string(),
            },
        })
    }
}

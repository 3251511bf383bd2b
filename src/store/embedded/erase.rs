//! Erasing what must not be kept: not only the records, but every trace that the folder has of them.
//!
//! Offline. Records go by an act of the domain. Then a base is made and read back, all older ones are removed, every
//! segment it covers is stripped, blobs that nobody else needs are removed, sled is thrown away, `aside/` is cleared. Last,
//! the journal says that it is done. `store.toml` names the erasure until then: cut off anywhere, it is finished by running
//! it again, and every start says that it is not finished.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::blobs::{BlobError, BlobHash};
use super::care::Deed;
use super::checkpoint;
use super::collect;
use super::domain::{Domain, Header, Stamp, Unnamed};
use super::error::{ActError, CareError, OpenError, Unavailable};
use super::frame::Misfit;
use super::identity::{self, Pending};
use super::options::Options;
use super::recover::remove_tree;
use super::state;
use super::store::Store;
use super::{audit, own};

/// An erasure under way, as `store.toml` names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Erasing {
    pub(super) item: String,
    by: String,
    reason: String,
    blobs: Vec<String>,
}

/// What is to go.
pub struct Erasure<'a, D: Domain> {
    /// What the journal calls it.
    pub item: &'a str,
    pub by: &'a str,
    pub reason: &'a str,
    /// Removes its records, or refuses.
    pub act: D::Act,
    /// Whether a record is one of them.
    pub belongs: &'a dyn Fn(&[u8], &[u8]) -> bool,
}

impl<D: Domain> std::fmt::Debug for Erasure<'_, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Erasure({})", self.item)
    }
}

/// What went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erased {
    /// False where no record was there any more.
    pub records: bool,
    pub blobs: u64,
}

/// Reads after "failed to".
#[derive(Debug, Error)]
pub enum NotErased<R> {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Care(#[from] CareError),
    #[error("erase it: it was refused")]
    Refused(R),
    #[error(transparent)]
    Unavailable(Unavailable),
    #[error(transparent)]
    TooLarge(Misfit),
    #[error("erase it: the erasure of {0} is not finished; run that one first")]
    Other(String),
}

/// Removes the records and whatever else the folder has of them; nothing where there are none.
///
/// True on disk afterwards: nothing of it is in the folder but its id in the audit log.
pub fn erase<D: Domain>(
    options: &Options,
    domain: &dyn Fn() -> D,
    erasure: Erasure<'_, D>,
) -> Result<Erased, NotErased<D::Refusal>> {
    let data = &options.folder;
    identity::read(data)?;
    let (store, _) = Store::open(options, domain())?;
    let done = purge(options, &store, erasure);
    store.close_blocking();
    let Some(done) = done? else {
        return Ok(Erased {
            records: false,
            blobs: 0,
        });
    };
    finish(options)?;
    // Makes the state anew from the base, and writes the completion.
    let (store, _) = Store::open(options, domain())?;
    store.close_blocking();
    Ok(done)
}

fn purge<D: Domain>(
    options: &Options,
    store: &Store<D>,
    erasure: Erasure<'_, D>,
) -> Result<Option<Erased>, NotErased<D::Refusal>> {
    let data = &options.folder;
    let (mut identity, _) = identity::read(data)?;
    let needs = needs(store, erasure.belongs)?;
    match &mut identity.erasing {
        Some(other) if other.item != erasure.item => {
            return Err(NotErased::Other(other.item.clone()));
        }
        // What was found the first time may be named by nothing any more.
        Some(_) => {}
        None if !needs.records => return Ok(None),
        None => {
            identity.erasing = Some(Erasing {
                item: erasure.item.to_owned(),
                by: erasure.by.to_owned(),
                reason: erasure.reason.to_owned(),
                blobs: needs.alone.iter().map(ToString::to_string).collect(),
            });
            identity::keep(data, &options.disk, identity.clone())?;
        }
    }
    if needs.records {
        store.act_blocking(erasure.act).map_err(|error| {
            // Nothing happened: nothing is under way.
            if let ActError::Refused(_) = &error {
                identity.erasing = None;
                drop(identity::keep(data, &options.disk, identity.clone()));
            }
            match error {
                ActError::Refused(refusal) => NotErased::Refused(refusal),
                ActError::Unavailable(why) => NotErased::Unavailable(why),
                ActError::TooLarge(why) => NotErased::TooLarge(why),
            }
        })?;
    }
    store.care_blocking(Deed::Purge)?;
    let blobs = identity.erasing.map_or_else(Vec::new, |it| it.blobs);
    let removed = remove_blobs(store, &blobs).map_err(CareError::from)?;
    Ok(Some(Erased {
        records: needs.records,
        blobs: removed,
    }))
}

/// What the records of the erasure need and no other does.
struct NeedsAlone {
    records: bool,
    alone: BTreeSet<BlobHash>,
}

fn needs<D: Domain>(
    store: &Store<D>,
    belongs: &dyn Fn(&[u8], &[u8]) -> bool,
) -> Result<NeedsAlone, CareError> {
    let (mut records, mut alone, mut others) = (false, BTreeSet::new(), BTreeSet::new());
    store.each_record(&mut |key, value| {
        let mine = belongs(key, value);
        records |= mine;
        let read = |hash| store.blobs().get_blocking(hash).map_err(Unnamed::from);
        match D::names(key, value, &read) {
            Ok(named) if mine => alone.extend(named),
            Ok(named) => others.extend(named),
            // What it named in turn cannot be known, and nobody needs it any more.
            Err(Unnamed::Blob(BlobError::Missing(hash) | BlobError::Damaged(hash))) if mine => {
                alone.insert(hash);
            }
            Err(error) => return Err(CareError::State(error.to_string())),
        }
        Ok(())
    })?;
    alone.retain(|hash| !others.contains(hash));
    Ok(NeedsAlone { records, alone })
}

fn remove_blobs<D: Domain>(store: &Store<D>, names: &[String]) -> io::Result<u64> {
    let mut removed = 0;
    for hash in names.iter().filter_map(|name| name.parse().ok()) {
        removed += u64::from(store.blobs().erase(hash)?);
    }
    Ok(removed)
}

/// Everything derived goes; then the completion is due at the next start.
fn finish(options: &Options) -> Result<(), OpenError> {
    let data = &options.folder;
    let _lock = identity::lock(data)?;
    checkpoint::remove(data, &options.disk).map_err(OpenError::io(data))?;
    for folder in [state::folder(data), data.join("reading")] {
        remove_tree(&folder).map_err(OpenError::io(&folder))?;
    }
    clear(&data.join("aside")).map_err(OpenError::io(data))?;
    options
        .disk
        .sync_folder(data)
        .map_err(OpenError::io(data))?;
    let (mut identity, _) = identity::read(data)?;
    let Some(done) = identity.erasing.take() else {
        return Ok(());
    };
    identity.pending.push(Pending {
        what: "erase".to_owned(),
        by: done.by,
        reason: done.reason,
        outcome: done.item,
    });
    identity::keep(data, &options.disk, identity).map(|_| ())
}

fn clear(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            fs::remove_dir_all(path)?;
        } else {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Every erasure that was finished, the oldest first: who, what, when.
pub fn erasures(data: &Path) -> Result<Vec<(Stamp, Header)>, audit::Unverified> {
    let mut done = Vec::new();
    audit::entries(data, 1, &mut |stamp, header| {
        if own::is_from_store(&header, "erase") {
            done.push((stamp, header));
        }
        std::ops::ControlFlow::Continue(())
    })?;
    Ok(done)
}

/// An erasure that was begun and not finished, if there is one.
pub fn unfinished(data: &Path) -> Result<Option<String>, OpenError> {
    let (identity, _) = identity::read(data)?;
    Ok(identity.erasing.map(|it| it.item))
}

impl<D: Domain> Store<D> {
    /// The domain's records, one by one, as they stand.
    fn each_record(&self, each: collect::EachRecord<'_>) -> Result<(), CareError> {
        collect::each_record(self.state(), &|| false, each)
    }
}

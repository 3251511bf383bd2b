//! Which blobs a record needs.
//!
//! A revision names its content, and the content its media; an approval names its drafts, and so do the
//! deliveries that want them or are sending them. Small drafts travel in the state itself: those are no blob and not looked for.

use std::str::FromStr;

use crate::model::approval::Approval;
use crate::model::delivery::{Delivery, Wanted};
use crate::model::item::{Content, Revision};
use crate::store::embedded::record;
use crate::store::embedded::{BlobHash, ReadBlob, Unnamed};
use crate::store::keys;

pub(super) fn of(key: &[u8], value: &[u8], blob: &ReadBlob<'_>) -> Result<Vec<BlobHash>, Unnamed> {
    match key.get(..1) {
        Some(keys::REVISIONS) => revision(&record::decode(value)?, blob),
        Some(keys::APPROVALS) => {
            let approval: Approval = record::decode(value)?;
            Ok(hashes([&approval.drafts]))
        }
        Some(keys::DELIVERIES) => {
            let delivery: Delivery = record::decode(value)?;
            let wanted = match &delivery.wanted {
                Wanted::Revision(wanted) => Some(&wanted.blob),
                Wanted::Nothing { .. } | Wanted::Keep { .. } => None,
            };
            let job = delivery.job.as_ref().map(|job| &job.blob);
            Ok(hashes(wanted.into_iter().chain(job)))
        }
        _ => Ok(Vec::new()),
    }
}

/// Small drafts, by their hash.
pub(super) fn carried(key: &[u8]) -> Option<BlobHash> {
    keys::drafts_hash(key)?.parse().ok()
}

fn revision(revision: &Revision, blob: &ReadBlob<'_>) -> Result<Vec<BlobHash>, Unnamed> {
    let mut named = hashes([&revision.hash]);
    let Some(hash) = named.first() else {
        return Ok(named);
    };
    let content: Content =
        serde_json::from_slice(&blob(*hash)?).map_err(|_| Unnamed::Shape("a revision"))?;
    named.extend(hashes(content.media().map(|media| &media.hash)));
    Ok(named)
}

fn hashes<'a>(texts: impl IntoIterator<Item = &'a String>) -> Vec<BlobHash> {
    texts
        .into_iter()
        .filter_map(|text| BlobHash::from_str(text).ok())
        .collect()
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ItemId;

    fn revision_record(hash: &str) -> Vec<u8> {
        let revision = Revision {
            item: ItemId::new(1, [1; 10]),
            number: 1,
            hash: hash.to_owned(),
            title: "标题".to_owned(),
            proposed: None,
            by: "clerk".to_owned(),
            at: lubu_channels::Timestamp::default(),
        };
        record::encode(&revision).unwrap()
    }

    fn content(cover: &str) -> Vec<u8> {
        let media = |hash: &str| {
            serde_json::json!({
                "hash": hash, "mime": "image/png", "bytes": 1, "name": "a.png",
                "width": 1, "height": 1, "alt": "",
            })
        };
        serde_json::to_vec(&serde_json::json!({
            "title": "标题", "category": "0604", "scope": null, "section": "", "source": "",
            "document_number": null, "formed_on": null, "summary": "", "keywords": [],
            "validity": "in_force", "body": "", "cover": media(cover), "images": [],
            "attachments": [], "related": [], "correction": null, "channels": {}, "schedule": null,
        }))
        .unwrap()
    }

    #[test]
    fn a_revision_names_its_content_and_the_media_in_it() {
        let cover = BlobHash::of(b"cover");
        let content = content(&cover.to_string());
        let hash = BlobHash::of(&content);
        let record = revision_record(&hash.to_string());
        let read = |asked: BlobHash| {
            assert_eq!(asked, hash);
            Ok(content.clone())
        };
        let key = keys::revision(ItemId::new(1, [1; 10]), 1);
        assert_eq!(of(&key, &record, &read).unwrap(), [hash, cover]);
    }

    #[test]
    fn what_cannot_be_read_is_said_and_not_taken_for_nothing() {
        let record = revision_record(&BlobHash::of(b"content").to_string());
        let key = keys::revision(ItemId::new(1, [1; 10]), 1);
        assert!(of(&key, &record, &|_| Ok(b"no content".to_vec())).is_err());
        assert!(of(&key, b"no record", &|_| Ok(Vec::new())).is_err());
    }

    #[test]
    fn small_drafts_are_carried_under_their_own_key() {
        let hash = BlobHash::of(b"drafts");
        let key = keys::drafts(ItemId::new(1, [1; 10]), 1, &hash.to_string());
        assert_eq!(carried(&key), Some(hash));
        assert_eq!(carried(&keys::item(ItemId::new(1, [1; 10]))), None);
    }
}

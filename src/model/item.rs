//! Items and their revisions.
//!
//! A revision is immutable: a number and a hash over its whole content, images included. An item
//! only gathers: which revision is the newest, which is approved, whether it was withdrawn, and on
//! which channels it has deliveries.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use lubu_channels::{Attachment, Link, MediaRef, Relation, Timestamp, Validity};
use serde::{Deserialize, Serialize};

use super::scope::Scope;
use crate::ids::{ChannelNo, ItemId};

/// One thing to disclose (信息).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub id: ItemId,
    /// Counts every change; a stale one is refused.
    pub version: u64,
    /// 索引号, given once and never again (CAT-01).
    pub index_no: Option<String>,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub received_at: Timestamp,
    pub title: String,
    pub category: String,
    /// The newest revision.
    pub latest: u32,
    /// The revision that channels should show.
    pub approved: Option<u32>,
    pub withdrawal: Option<Withdrawal>,
    /// Channels that have a delivery of it.
    pub channels: Vec<ChannelNo>,
    /// What earlier corrections changed, for the page.
    pub corrections: Vec<CorrectionNote>,
    /// The schedule that releases it once approved; `None` releases it at once.
    pub schedule: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    pub by: String,
    pub reason: String,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorrectionNote {
    pub revision: u32,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub at: Timestamp,
    pub note: String,
}

/// An immutable snapshot (版本).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    pub item: ItemId,
    pub number: u32,
    /// BLAKE3 of the content's canonical JSON, which is the blob of the same name.
    pub hash: String,
    pub title: String,
    /// What the drafter proposes; the leader signs the scope that holds.
    pub proposed: Option<Scope>,
    pub by: String,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub at: Timestamp,
}

/// All that an approval covers. Its canonical form is JSON in this field order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    pub title: String,
    pub category: String,
    pub scope: Option<Scope>,
    pub section: String,
    pub source: String,
    pub document_number: Option<String>,
    pub formed_on: Option<NaiveDate>,
    pub summary: String,
    pub keywords: Vec<String>,
    pub validity: Validity,
    /// Sanitised HTML; images by `media:HASH`.
    pub body: String,
    pub cover: Option<MediaRef>,
    pub images: Vec<MediaRef>,
    pub attachments: Vec<Attachment>,
    pub related: Vec<RelatedTo>,
    /// What this revision corrects (更正说明).
    pub correction: Option<String>,
    /// Per channel name or adapter name: what it shows instead.
    pub channels: BTreeMap<String, BTreeMap<String, String>>,
    pub schedule: Option<String>,
}

/// A link to another item of ours or to a page elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelatedTo {
    pub relation: Relation,
    pub link: Link,
}

impl Content {
    /// The bytes that the revision's hash covers.
    pub fn canonical(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Every medium it names, once.
    pub fn media(&self) -> impl Iterator<Item = &MediaRef> {
        self.cover
            .iter()
            .chain(&self.images)
            .chain(self.attachments.iter().map(|attachment| &attachment.media))
    }
}

//! What an adapter is asked to show: one revision of one item, finished and approved.
//!
//! The text is already sanitised HTML. Media are named by content hash; bytes are asked for through
//! [`super::Media`]. Inline images stand in the text as `<img src="media:HASH" alt="…">`.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::Timestamp;

/// One revision of one item (信息), as every channel gets it. All of it is covered by the approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// The item's id: 32 lower-case hex digits. Public addresses are a function of it alone.
    pub item: String,
    /// Counts from 1.
    pub revision: u32,
    /// When the item was first received.
    pub received_at: Timestamp,
    /// 名称. Plain text, never empty.
    pub title: String,
    /// 内容概述. Plain text; may be empty.
    pub summary: String,
    /// Sanitised HTML fragment; images by `media:HASH`.
    pub body: String,
    pub category: Category,
    /// 发布机构, the full legal name.
    pub publisher: String,
    /// 责任科室.
    pub section: String,
    /// 信息来源, as printed on the page.
    pub source: String,
    /// 索引号.
    pub index_no: Option<String>,
    /// 发文字号.
    pub document_number: Option<String>,
    /// 成文日期.
    pub formed_on: Option<NaiveDate>,
    /// 有效性.
    pub validity: Validity,
    pub keywords: Vec<String>,
    pub cover: Option<MediaRef>,
    /// Every image the text names, in order of first appearance.
    pub images: Vec<MediaRef>,
    pub attachments: Vec<Attachment>,
    /// The policy of an interpretation, the interpretation of a policy, a predecessor or successor.
    pub related: Vec<Related>,
    /// What earlier corrections changed, oldest first; empty for a first revision.
    pub corrections: Vec<Correction>,
    /// The item's permanent address on the office's own site, where such a channel is configured.
    pub canonical: Option<String>,
    /// What the author wrote for this channel alone, such as `title` for WeChat's short titles.
    /// Keys are those of [`super::Caps::overrides`].
    pub overrides: BTreeMap<String, String>,
}

impl Document {
    /// The title this channel shows: the author's own for this channel, else the official one.
    pub fn title_here(&self) -> &str {
        self.overrides
            .get("title")
            .map_or(&self.title, String::as_str)
    }

    /// The summary this channel shows.
    pub fn summary_here(&self) -> &str {
        self.overrides
            .get("summary")
            .map_or(&self.summary, String::as_str)
    }

    /// Finds an image, cover or attachment by content hash.
    pub fn media(&self, hash: &str) -> Option<&MediaRef> {
        self.images
            .iter()
            .chain(self.cover.iter())
            .chain(self.attachments.iter().map(|attachment| &attachment.media))
            .find(|media| media.hash == hash)
    }
}

/// 信息分类: a leaf of the taxonomy, with the names down to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Category {
    /// Such as `0604`.
    pub code: String,
    /// Such as 重大项目.
    pub name: String,
    /// First-level name, such as 行政执法(业务类); equal to `name` for a first-level leaf.
    pub parent: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaRef {
    /// BLAKE3 of the bytes, lower-case hex.
    pub hash: String,
    /// The author's file name, without folder.
    pub name: String,
    /// Decided by magic bytes, never by the name.
    pub mime: String,
    pub bytes: u64,
    /// Pixels, for images.
    pub width: u32,
    pub height: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// What the link says.
    pub label: String,
    pub media: MediaRef,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// 政策原文
    Policy,
    /// 政策解读
    Interpretation,
    /// 被本文取代
    Replaces,
    /// 取代本文
    ReplacedBy,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Related {
    pub relation: Relation,
    pub link: Link,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub title: String,
    pub url: String,
}

/// 有效性.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Validity {
    /// 有效
    #[default]
    InForce,
    /// 已修改
    Amended,
    /// 失效
    Lapsed,
    /// 废止
    Repealed,
}

/// One earlier correction (更正): what a reader is told about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    /// The revision that made it.
    pub revision: u32,
    pub at: Timestamp,
    pub note: String,
}

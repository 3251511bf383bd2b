//! Sign-off (签发): a named leader's decision on one content hash and one scope.

use std::collections::BTreeMap;

use lubu_channels::Timestamp;
use serde::{Deserialize, Serialize};

use super::scope::Scope;
use crate::ids::{ChannelNo, ItemId};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    pub item: ItemId,
    pub revision: u32,
    /// The revision's content hash. An approval of other bytes is none.
    pub hash: String,
    pub scope: Scope,
    pub by: String,
    pub opinion: String,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub at: Timestamp,
    /// The blob that holds all drafts rendered when it was signed.
    pub drafts: String,
    /// Each channel's draft by hash: what is sent is what was signed.
    pub routed: BTreeMap<ChannelNo, String>,
}

/// What to do with a copy that its channel cannot correct in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnCorrection {
    /// Wait for the person who corrects.
    Ask,
    /// Leave the old copy as it is.
    Leave,
    /// Withdraw the old copy, then publish anew.
    Replace,
}

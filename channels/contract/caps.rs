//! What a channel can do and its limits, as data.
//!
//! Read by the engine, by the pages and by the conformance suite, so that the three cannot
//! disagree. Limits come from the configuration with the documented defaults.

use std::time::Duration;

use super::{Cost, Evidence};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caps {
    /// The account or site behind this entry, such as an app id: quotas and tokens belong to it.
    pub account: String,
    pub update: UpdateBy,
    pub withdraw: WithdrawBy,
    pub look: LookCaps,
    /// The account's newest posts can be listed; the same as [`super::Channel::surveys`].
    pub survey: Option<SurveyCaps>,
    /// The platform or its editors review before readers see anything.
    pub reviews: bool,
    /// After two covering looks agree that a `Public` step left nothing, repeat it once unasked.
    pub repeat_when_absent: bool,
    /// Documents that one post can hold.
    pub gathers: u8,
    pub limits: Vec<Limit>,
    pub quotas: Vec<Quota>,
    /// Keys that [`super::Document::overrides`] may hold.
    pub overrides: Vec<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateBy {
    /// The same remote object shows the new revision at the same address.
    InPlace,
    /// Only by withdrawing and publishing anew, which a person decides.
    Replace,
    /// Neither.
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithdrawBy {
    /// A notice stands in its place.
    Notice,
    /// The remote object is deleted.
    Delete,
    /// Only a person can, on the platform.
    Person,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookCaps {
    /// The strongest evidence that a look can bring.
    pub evidence: Evidence,
    /// How many of the newest posts a look can see; `None` for looks by id or address.
    pub rows: Option<u32>,
    /// How long to wait after an unknown outcome before a look may count.
    pub settle: Duration,
    /// When to look after an unknown outcome, counted from its end.
    pub unknown_plan: Vec<Duration>,
    /// When to look after the last step, until it is live; the last one repeats.
    pub review_plan: Vec<Duration>,
    /// What one look spends of the quotas.
    pub costs: Vec<Cost>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SurveyCaps {
    /// How many of the newest posts it lists at most.
    pub rows: u32,
    /// What one survey spends of the quotas at most.
    pub costs: Vec<Cost>,
}

/// A limit of the platform that `draft` enforces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// As in [`super::Finding::field`].
    pub field: &'static str,
    pub max: u64,
    pub unit: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Unicode scalar values.
    Characters,
    /// Weibo's own: a character above U+00FF weighs 2 halves, others 1; rounded up.
    WeiboCharacters,
    Bytes,
    Pieces,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// As in [`super::Cost::quota`]. Unique in the account.
    pub name: String,
    pub window: Window,
    pub limit: u32,
    /// Units that only withdrawals and looks may spend.
    pub reserve: u32,
}

/// Windows begin on the boundary in the platform's own zone, UTC+8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    Hour,
    Day,
    Month,
}

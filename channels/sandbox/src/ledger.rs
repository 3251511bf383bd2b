//! What reached the sandbox and what it did: the judge of "never twice, never lost".
//!
//! Append-only. A row is written for every API call, also for one that was cut off
//! before it was applied, and for what a platform did by itself later (a publish job
//! finished, a review ended). `effects` says what was applied; an empty list says that
//! nothing was. Query strings, bodies and headers never enter, so no secret can.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One of the platforms played here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Platform {
    Wechat,
    Weibo,
    Portal,
}

impl Platform {
    pub const ALL: [Self; 3] = [Self::Wechat, Self::Weibo, Self::Portal];

    pub fn name(self) -> &'static str {
        match self {
            Self::Wechat => "wechat",
            Self::Weibo => "weibo",
            Self::Portal => "portal",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|platform| platform.name() == name)
    }
}

/// Whether readers could see something after an effect that they could not before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sight {
    Unchanged,
    Appeared,
    Vanished,
}

/// One thing that was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Effect {
    /// Verb and noun, e.g. `draft added`.
    pub what: String,
    /// The remote object's id.
    pub object: String,
    /// What tells copies of one thing apart from others: source link, idempotency key.
    pub marker: String,
    pub sight: Sight,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    pub seq: u64,
    pub at_ms: i64,
    pub at: String,
    pub platform: Platform,
    /// Empty when the platform moved by itself.
    pub method: String,
    pub path: String,
    /// What was meant to be answered; a fault may have kept it from arriving.
    pub status: u16,
    pub code: Option<String>,
    pub fault: Option<String>,
    pub effects: Vec<Effect>,
}

/// Something that readers can see now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PublicPost {
    pub platform: Platform,
    pub id: String,
    pub title: String,
    pub text: String,
    pub url: String,
    /// The link back to the original, as the platform shows it.
    pub link: String,
    pub marker: String,
    pub first_visible_ms: i64,
    pub first_visible: String,
    /// How many posts of this platform share the marker, this one included.
    pub copies: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    rows: Vec<Row>,
}

impl Ledger {
    pub fn push(&mut self, mut row: Row) {
        row.seq = self.rows.len() as u64 + 1;
        row.at = crate::clock::beijing(row.at_ms).to_rfc3339();
        self.rows.push(row);
    }

    pub fn rows(&self, platform: Option<Platform>) -> Vec<Row> {
        let wanted = |row: &&Row| platform.is_none_or(|platform| row.platform == platform);
        self.rows.iter().filter(wanted).cloned().collect()
    }
}

/// Fills in `copies`, so that a reader of one row sees a twin at once.
pub(crate) fn count_copies(posts: &mut [PublicPost]) {
    let mut markers: BTreeMap<(Platform, String), usize> = BTreeMap::new();
    for post in posts.iter() {
        *markers
            .entry((post.platform, post.marker.clone()))
            .or_default() += 1;
    }
    for post in posts {
        let marker = (post.platform, post.marker.clone());
        post.copies = markers.get(&marker).copied().unwrap_or(1);
    }
}

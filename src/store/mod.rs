//! Where everything that must survive is kept.
//!
//! [`Store`] is the trait: domain acts in, answers out, and reads of the present state. Its
//! embedded implementation, [`local`], is a journal with sled behind it. Nothing outside this
//! module knows a key, a file or a sequence.

pub mod act;
pub mod embedded;
mod keys;
pub mod local;
pub mod memory;
pub mod office;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use lubu_channels::Words;

use crate::ids::{ChannelNo, DeliveryId, ItemId};
use crate::model::approval::Approval;
use crate::model::channel::ChannelRecord;
use crate::model::delivery::Delivery;
use crate::model::finding::Watch;
use crate::model::halt::{SetBack, StopOrder};
use crate::model::item::{Item, Revision};
use crate::model::patrol::Patrol;
use crate::model::survey::Census;

pub use act::{Act, Actor, Answer, Refusal};
pub use embedded::Copied;
pub use office::{Rules, Run};

/// Why the store did not do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// The act was decided against.
    Refused(Refusal),
    /// The act cannot be written: nothing of it happened.
    Unavailable(Words),
    /// The state cannot be read.
    Unread(String),
}

impl StoreError {
    pub fn words(&self) -> Words {
        match self {
            Self::Refused(refusal) => refusal.words(),
            Self::Unavailable(words) => words.clone(),
            Self::Unread(why) => Words::new(
                format!("状态库读不出来：{why}"),
                format!("the state cannot be read: {why}"),
            ),
        }
    }
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.words().en)
    }
}

impl std::error::Error for StoreError {}

pub type Stored<T> = Result<T, StoreError>;

/// What the store holds of an item, read together.
#[derive(Debug, Clone)]
pub struct Dossier {
    pub item: Item,
    pub revisions: Vec<Revision>,
    pub approvals: Vec<Approval>,
    pub deliveries: Vec<Delivery>,
}

/// What is about to be signed: the item, the revision meant, and its content's bytes.
#[derive(Debug, Clone)]
pub struct Desk {
    pub item: Item,
    pub revision: Option<Revision>,
    /// None where the blob is missing.
    pub content: Option<Arc<Vec<u8>>>,
}

/// A part of what a channel shows.
#[derive(Debug, Clone, Default)]
pub struct Stretch {
    pub deliveries: Vec<Delivery>,
    /// Where the next stretch begins; none after the oldest.
    pub next: Option<DeliveryId>,
}

/// How the store stands.
#[derive(Debug, Clone)]
pub struct Standing {
    pub healthy: bool,
    /// Whether anything may be sent: not from a folder that was restored or copied, before a person adopts it.
    pub adopted: bool,
    pub words: Words,
    pub sequence: u64,
    pub journal_bytes: u64,
    pub free_bytes: u64,
}

/// Everything durable, by domain acts.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Decides and records one act. It is on disk, and every later read sees it, before this
    /// returns `Ok`; after `Err` nothing of it happened.
    async fn act(&self, act: Act) -> Stored<Answer>;

    async fn item(&self, id: ItemId) -> Stored<Option<Item>>;

    /// Newest first, beginning before `before`.
    async fn items(&self, before: Option<ItemId>, limit: usize) -> Stored<Vec<Item>>;

    /// Items whose id begins so; at most `limit`.
    async fn named(&self, beginning: &str, limit: usize) -> Stored<Vec<ItemId>>;

    async fn dossier(&self, id: ItemId) -> Stored<Option<Dossier>>;

    /// One revision, the newest where none is named, read with its content in one go.
    async fn desk(&self, id: ItemId, number: Option<u32>) -> Stored<Option<Desk>>;

    async fn revision(&self, id: ItemId, number: u32) -> Stored<Option<Revision>>;

    async fn delivery(&self, id: DeliveryId) -> Stored<Option<Delivery>>;

    async fn deliveries(&self, item: ItemId) -> Stored<Vec<Delivery>>;

    /// Every delivery that is not at rest, for the start.
    async fn unsettled(&self) -> Stored<Vec<Delivery>>;

    /// What rests as published on a channel, newest item first, beginning before `before`. A bounded
    /// stretch of all records is read: it may hold nothing, and `next` says where to go on.
    async fn published(&self, channel: ChannelNo, before: Option<DeliveryId>) -> Stored<Stretch>;

    /// The same of whatever is on record of a channel, in any state.
    async fn recorded(&self, channel: ChannelNo, before: Option<DeliveryId>) -> Stored<Stretch>;

    /// What is on record of a published copy beside its delivery.
    async fn watch(&self, id: DeliveryId) -> Stored<Option<Watch>>;

    async fn watches_of(&self, item: ItemId) -> Stored<Vec<Watch>>;

    /// All of it, in the order of items, beginning after `after`.
    async fn watches(&self, after: Option<DeliveryId>, limit: usize) -> Stored<Vec<Watch>>;

    /// The last pass over each channel, or the one under way.
    async fn patrols(&self) -> Stored<Vec<Patrol>>;

    /// What surveys found, by channel.
    async fn censuses(&self) -> Stored<Vec<Census>>;

    async fn channels(&self) -> Stored<Vec<ChannelRecord>>;

    /// A person's order to send nothing, if it stands.
    async fn stop_order(&self) -> Stored<Option<StopOrder>>;

    /// The last time that a person's word on the clock set time; an empty one before the first.
    async fn set_back(&self) -> Stored<SetBack>;

    /// A schedule's runs, the latest period first.
    async fn runs(&self, schedule: &str, limit: usize) -> Stored<Vec<Run>>;

    /// Every item approved and waiting for this schedule.
    async fn waiting_for(&self, schedule: &str) -> Stored<Vec<ItemId>>;

    /// Keeps bytes by their hash; they are on disk once this returns.
    async fn put_blob(&self, bytes: Vec<u8>) -> Stored<String>;

    /// The bytes, checked against their hash.
    async fn blob(&self, hash: &str) -> Stored<Option<Arc<Vec<u8>>>>;

    /// The packed drafts that an approval of this revision named, checked against their hash.
    async fn drafts(&self, id: ItemId, revision: u32, hash: &str) -> Stored<Option<Arc<Vec<u8>>>>;

    fn standing(&self) -> Standing;

    /// Copies everything that was answered so far into another folder; acts go on meanwhile.
    async fn backup(&self, to: PathBuf) -> Stored<Copied>;

    /// Finishes what waits, makes a checkpoint and lets go of the folder.
    async fn close(&self);
}

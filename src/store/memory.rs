//! The store without a disk, for simulations: the office's own rules over a table in memory.
//!
//! Every act is decided at once and every read answers at once, so a run depends on nothing but its
//! seed. What a process leaves behind is [`Kept`]; a dead process's handle is [`Memory::die`]d and
//! neither reads nor writes any more.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use lubu_channels::{Clock, Words};
use serde::de::DeserializeOwned;

use super::act::{Act, Answer};
use super::embedded::{Header, Table, View, record};
use super::office::{Office, Rules, Run};
use super::{Copied, Desk, Dossier, Standing, Store, StoreError, Stored, Stretch, keys};
use crate::ids::{ChannelNo, DeliveryId, ItemId};
use crate::model::channel::ChannelRecord;
use crate::model::delivery::{Delivery, Hold, State};
use crate::model::finding::Watch;
use crate::model::halt::{SetBack, StopOrder};
use crate::model::item::{Item, Revision};
use crate::model::patrol::Patrol;
use crate::model::survey::Census;

/// What outlives a process.
#[derive(Debug, Clone, Default)]
pub struct Kept(Arc<Mutex<Shelves>>);

#[derive(Debug, Clone, Default)]
struct Shelves {
    table: Table,
    blobs: BTreeMap<String, Arc<Vec<u8>>>,
    audit: Vec<Header>,
}

impl Kept {
    fn lock(&self) -> MutexGuard<'_, Shelves> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As it stands now, apart: what a snapshot of the machine holds.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        Self(Arc::new(Mutex::new(self.lock().clone())))
    }

    /// Every act so far, as the audit log keeps it.
    pub fn audit(&self) -> Vec<Header> {
        self.lock().audit.clone()
    }
}

/// One process's handle.
#[derive(Debug)]
pub struct Memory {
    kept: Kept,
    office: Mutex<Office>,
    clock: Arc<dyn Clock>,
    dead: AtomicBool,
}

impl Memory {
    pub fn open(kept: &Kept, clock: Arc<dyn Clock>, rules: Rules) -> Self {
        Self {
            kept: kept.clone(),
            office: Mutex::new(Office::new(rules)),
            clock,
            dead: AtomicBool::new(false),
        }
    }

    /// The process is gone: what still holds this handle changes nothing.
    pub fn die(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    fn alive(&self) -> Stored<MutexGuard<'_, Shelves>> {
        if self.dead.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable(stopped()));
        }
        Ok(self.kept.lock())
    }

    fn read<T>(&self, f: impl FnOnce(&View<'_>) -> Stored<T>) -> Stored<T> {
        f(&self.alive()?.table.view())
    }
}

fn stopped() -> Words {
    Words::new("存储已停止", "the store has stopped")
}

fn decoded<T: DeserializeOwned>(value: &[u8]) -> Stored<T> {
    record::decode(value).map_err(|error| StoreError::Unread(error.to_string()))
}

fn get<T: DeserializeOwned>(view: &View<'_>, key: &[u8]) -> Stored<Option<T>> {
    view.get(key).map(|value| decoded(&value)).transpose()
}

fn all<T: DeserializeOwned>(view: &View<'_>, prefix: &[u8]) -> Stored<Vec<T>> {
    view.scan_prefix(prefix)
        .map(|(_, value)| decoded(&value))
        .collect()
}

#[async_trait]
impl Store for Memory {
    async fn act(&self, act: Act) -> Stored<Answer> {
        let mut kept = self.alive()?;
        let now = self.clock.now().timestamp_millis();
        let mut office = self.office.lock().unwrap_or_else(PoisonError::into_inner);
        let acted = kept.table.act(&mut *office, act, now);
        let (header, answer) = acted.map_err(StoreError::Refused)?;
        kept.audit.push(header);
        Ok(answer)
    }

    async fn item(&self, id: ItemId) -> Stored<Option<Item>> {
        self.read(|view| get(view, &keys::item(id)))
    }

    async fn items(&self, before: Option<ItemId>, limit: usize) -> Stored<Vec<Item>> {
        let mut items: Vec<Item> = self.read(|view| all(view, keys::ITEMS))?;
        items.retain(|item| before.is_none_or(|before| item.id < before));
        items.reverse();
        items.truncate(limit);
        Ok(items)
    }

    async fn named(&self, beginning: &str, limit: usize) -> Stored<Vec<ItemId>> {
        let items: Vec<Item> = self.read(|view| all(view, keys::ITEMS))?;
        let ids = items.into_iter().map(|item| item.id);
        Ok(ids
            .filter(|id| id.to_string().starts_with(beginning))
            .take(limit)
            .collect())
    }

    async fn dossier(&self, id: ItemId) -> Stored<Option<Dossier>> {
        self.read(|view| {
            let Some(item) = get::<Item>(view, &keys::item(id))? else {
                return Ok(None);
            };
            let mut approvals = Vec::new();
            for number in 1..=item.latest {
                approvals.extend(get(view, &keys::approval(id, number))?);
            }
            Ok(Some(Dossier {
                item,
                revisions: all(view, &keys::revisions(id))?,
                approvals,
                deliveries: all(view, &keys::deliveries(id))?,
            }))
        })
    }

    async fn desk(&self, id: ItemId, number: Option<u32>) -> Stored<Option<Desk>> {
        let Some(item) = self.item(id).await? else {
            return Ok(None);
        };
        let number = number.unwrap_or(item.latest);
        let revision = self.revision(id, number).await?;
        let content = match &revision {
            Some(revision) => self.blob(&revision.hash).await?,
            None => None,
        };
        Ok(Some(Desk {
            item,
            revision,
            content,
        }))
    }

    async fn revision(&self, id: ItemId, number: u32) -> Stored<Option<Revision>> {
        self.read(|view| get(view, &keys::revision(id, number)))
    }

    async fn delivery(&self, id: DeliveryId) -> Stored<Option<Delivery>> {
        self.read(|view| get(view, &keys::delivery(id)))
    }

    async fn deliveries(&self, item: ItemId) -> Stored<Vec<Delivery>> {
        self.read(|view| all(view, &keys::deliveries(item)))
    }

    async fn unsettled(&self) -> Stored<Vec<Delivery>> {
        self.read(|view| {
            let mut found = Vec::new();
            for (key, value) in view.scan_prefix(keys::UNSETTLED) {
                let ids = keys::unsettled_in(&key, decoded(&value)?);
                for id in ids {
                    found.extend(get(view, &keys::delivery(id))?);
                }
            }
            Ok(found)
        })
    }

    async fn published(&self, channel: ChannelNo, before: Option<DeliveryId>) -> Stored<Stretch> {
        let mut deliveries: Vec<Delivery> = self.read(|view| all(view, keys::DELIVERIES))?;
        deliveries.retain(|one| {
            let own = one.id.channel == channel && matches!(one.state, State::Live);
            own && before.is_none_or(|before| one.id < before)
        });
        deliveries.reverse();
        let next = None;
        Ok(Stretch { deliveries, next })
    }

    async fn recorded(&self, channel: ChannelNo, before: Option<DeliveryId>) -> Stored<Stretch> {
        let mut deliveries: Vec<Delivery> = self.read(|view| all(view, keys::DELIVERIES))?;
        deliveries
            .retain(|one| one.id.channel == channel && before.is_none_or(|before| one.id < before));
        deliveries.reverse();
        let next = None;
        Ok(Stretch { deliveries, next })
    }

    async fn watch(&self, id: DeliveryId) -> Stored<Option<Watch>> {
        self.read(|view| get(view, &keys::watch(id)))
    }

    async fn watches_of(&self, item: ItemId) -> Stored<Vec<Watch>> {
        self.read(|view| all(view, &keys::watches(item)))
    }

    async fn watches(&self, after: Option<DeliveryId>, limit: usize) -> Stored<Vec<Watch>> {
        let mut watches: Vec<Watch> = self.read(|view| all(view, keys::WATCHES))?;
        watches.retain(|one| after.is_none_or(|after| one.id > after));
        watches.truncate(limit);
        Ok(watches)
    }

    async fn patrols(&self) -> Stored<Vec<Patrol>> {
        self.read(|view| all(view, keys::PATROLS))
    }

    async fn censuses(&self) -> Stored<Vec<Census>> {
        self.read(|view| all(view, keys::CENSUSES))
    }

    async fn channels(&self) -> Stored<Vec<ChannelRecord>> {
        self.read(|view| all(view, keys::CHANNELS))
    }

    async fn stop_order(&self) -> Stored<Option<StopOrder>> {
        self.read(|view| get(view, keys::STOP_ORDER))
    }

    async fn set_back(&self) -> Stored<SetBack> {
        let last = self.read(|view| get(view, keys::SET_BACK))?;
        Ok(last.unwrap_or_default())
    }

    async fn runs(&self, schedule: &str, limit: usize) -> Stored<Vec<Run>> {
        let mut runs: Vec<Run> = self.read(|view| all(view, &keys::runs(schedule)))?;
        runs.reverse();
        runs.truncate(limit);
        Ok(runs)
    }

    async fn waiting_for(&self, schedule: &str) -> Stored<Vec<ItemId>> {
        let all = self.unsettled().await?;
        let waits = |one: &Delivery| matches!(&one.state, State::Held { why: Hold::Schedule(name), .. } if name == schedule);
        let mut items: Vec<ItemId> = all
            .iter()
            .filter(|one| waits(one))
            .map(|one| one.id.item)
            .collect();
        items.dedup();
        Ok(items)
    }

    async fn put_blob(&self, bytes: Vec<u8>) -> Stored<String> {
        let hash = blake3::hash(&bytes).to_hex().to_string();
        self.alive()?.blobs.insert(hash.clone(), Arc::new(bytes));
        Ok(hash)
    }

    async fn blob(&self, hash: &str) -> Stored<Option<Arc<Vec<u8>>>> {
        Ok(self.alive()?.blobs.get(hash).cloned())
    }

    async fn drafts(&self, id: ItemId, revision: u32, hash: &str) -> Stored<Option<Arc<Vec<u8>>>> {
        let kept = self.alive()?;
        let key = keys::drafts(id, revision, hash);
        let inline: Option<Vec<u8>> = get(&kept.table.view(), &key)?;
        Ok(inline
            .map(Arc::new)
            .or_else(|| kept.blobs.get(hash).cloned()))
    }

    fn standing(&self) -> Standing {
        let healthy = !self.dead.load(Ordering::SeqCst);
        Standing {
            healthy,
            adopted: true,
            words: if healthy {
                Words::new("正常", "well")
            } else {
                stopped()
            },
            sequence: self.kept.lock().table.sequence(),
            journal_bytes: 0,
            free_bytes: u64::MAX,
        }
    }

    async fn backup(&self, _to: PathBuf) -> Stored<Copied> {
        Err(StoreError::Unavailable(Words::new(
            "内存中的存储没有备份",
            "a store in memory has no backup",
        )))
    }

    async fn close(&self) {
        self.die();
    }
}

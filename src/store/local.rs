//! The embedded store: one folder, one process.

mod reads;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use lubu_channels::{Clock, Words};

use super::act::{Act, Answer, Refusal};
use super::embedded::{
    ActError, BlobError, BlobHash, Blobs, CareError, Copied, Health, OpenError, Opened, Options,
    Order, Reader, Scan, Tell, Unavailable,
};
use super::office::{Office, Rules, Run};
use super::{Desk, Dossier, Standing, Store, StoreError, Stored, Stretch, keys};
use crate::ids::{ChannelNo, DeliveryId, ItemId};
use crate::model::channel::ChannelRecord;
use crate::model::delivery::{Delivery, Hold, State};
use crate::model::finding::Watch;
use crate::model::halt::{SetBack, StopOrder};
use crate::model::item::{Item, Revision};
use crate::model::patrol::Patrol;
use crate::model::survey::Census;

use reads::{all, get, item_prefix, missing, scan, stretch, unread, unsettled};

/// Deliveries in one act, which has an end to its length.
const NOTED_AT_ONCE: usize = 4096;

#[derive(Debug, Clone)]
pub struct Local {
    inner: super::embedded::Store<Office>,
    /// Nothing may be sent.
    withheld: Arc<AtomicBool>,
}

/// With what the office's store is opened.
pub fn options(folder: &Path, clock: Arc<dyn Clock>) -> Options {
    let now = Arc::new(move || clock.now().timestamp_millis());
    let mut options = Options::new(folder, now);
    // Enough for what is in flight; finished items are read when somebody asks.
    options.cache_bytes = 8 << 20;
    options
}

impl Local {
    /// Opens or makes the data folder; one whose journal is damaged only for reading, which `Opened` says. Blocks.
    pub fn open(
        folder: &Path,
        clock: Arc<dyn Clock>,
        rules: Rules,
    ) -> Result<(Self, Opened), OpenError> {
        let mut options = options(folder, clock);
        let doubting = rules.clone();
        options.clock_suspect = Arc::new(move || doubting.doubt().is_some());
        Self::open_with(&options, rules)
    }

    /// The same as [`Store::backup`] for a thread that may wait.
    pub fn backup_blocking(&self, to: &Path, tell: Tell<'_>) -> Result<Copied, CareError> {
        self.inner.backup_blocking(to, tell)
    }

    /// Lets go of the folder; for a thread that may wait.
    pub fn close_blocking(self) {
        self.inner.close_blocking();
    }

    /// The same with every option.
    pub fn open_with(options: &Options, rules: Rules) -> Result<(Self, Opened), OpenError> {
        let opened = super::embedded::Store::open(options, Office::new(rules));
        let (inner, opened) = match opened {
            Err(OpenError::Damaged(damage)) => super::embedded::Store::open_shut(options, damage)?,
            other => other?,
        };
        let withheld = Arc::new(AtomicBool::new(opened.restored_copy));
        let store = Self { inner, withheld };
        if opened.damage.is_none() {
            store.withhold(opened.restored_copy)?;
            store.note_unsettled()?;
        }
        Ok((store, opened))
    }

    /// Refuses every intent from now on, if the folder is not where it was; nobody else has it yet.
    fn withhold(&self, restored: bool) -> Result<(), OpenError> {
        let there = self
            .inner
            .read_blocking(|reader| reader.get(keys::WITHHELD))
            .map_err(|error| OpenError::State(error.to_string()))?;
        if there.is_some() {
            self.withheld.store(true, Ordering::Release);
        } else if restored {
            let act = self.inner.act_blocking(Act::Withhold);
            act.map_err(|error| not_noted(&error))?;
        }
        Ok(())
    }

    /// A store that was begun before it kept this learns once which deliveries are not at rest.
    fn note_unsettled(&self) -> Result<(), OpenError> {
        let failed = |why: String| OpenError::State(why);
        let missing = self.inner.read_blocking(missing);
        let Some(ids) = missing.map_err(|error| failed(error.to_string()))? else {
            return Ok(());
        };
        let mut chunks: Vec<&[DeliveryId]> = ids.chunks(NOTED_AT_ONCE).collect();
        let last = chunks.pop().unwrap_or_default();
        let acts = chunks.into_iter().map(|ids| (ids, false));
        for (ids, all) in acts.chain([(last, true)]) {
            let unsettled = ids.to_vec();
            let act = self.inner.act_blocking(Act::Note { unsettled, all });
            act.map_err(|error| not_noted(&error))?;
        }
        Ok(())
    }

    /// The journal says that a person took the folder over; now the folder does.
    async fn adopted(&self) -> Stored<()> {
        self.inner.adopt().await.map_err(|error| {
            StoreError::Unavailable(Words::new(error.zh(), format!("failed to {error}")))
        })?;
        self.withheld.store(false, Ordering::Release);
        Ok(())
    }

    async fn read<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Reader<'_>) -> Stored<T> + Send + 'static,
    ) -> Stored<T> {
        let read = self.inner.read(f).await.map_err(unread)?;
        if let Err(StoreError::Unread(why)) = &read {
            self.inner.distrust(why);
        }
        read
    }
}

#[async_trait]
impl Store for Local {
    async fn act(&self, act: Act) -> Stored<Answer> {
        let adopting = matches!(act, Act::Adopt { .. });
        let answer = self.inner.act(act).await.map_err(|error| match error {
            ActError::Refused(refusal) => StoreError::Refused(refusal),
            ActError::Unavailable(why) => {
                StoreError::Unavailable(Words::new(why.zh(), why.to_string()))
            }
            ActError::TooLarge(why) => {
                StoreError::Unavailable(Words::new("一次改动太大，写不进日志", why.to_string()))
            }
        })?;
        if adopting {
            self.adopted().await?;
        }
        Ok(answer)
    }

    async fn item(&self, id: ItemId) -> Stored<Option<Item>> {
        self.read(move |reader| get(reader, &keys::item(id))).await
    }

    async fn items(&self, before: Option<ItemId>, limit: usize) -> Stored<Vec<Item>> {
        self.read(move |reader| {
            let after = before.map(keys::item);
            let order = Order::Reverse;
            scan(
                reader,
                &Scan {
                    prefix: keys::ITEMS,
                    after: after.as_deref(),
                    limit,
                    order,
                },
            )
        })
        .await
    }

    async fn named(&self, beginning: &str, limit: usize) -> Stored<Vec<ItemId>> {
        let beginning = beginning.to_owned();
        let Some(prefix) = item_prefix(&beginning) else {
            return Ok(Vec::new());
        };
        self.read(move |reader| {
            let order = Order::Forward;
            let page = Scan {
                prefix: &prefix,
                after: None,
                limit: limit * 16,
                order,
            };
            let items: Vec<Item> = scan(reader, &page)?;
            let fits = items.into_iter().map(|item| item.id);
            Ok(fits
                .filter(|id| id.to_string().starts_with(&beginning))
                .take(limit)
                .collect())
        })
        .await
    }

    async fn dossier(&self, id: ItemId) -> Stored<Option<Dossier>> {
        self.read(move |reader| {
            let Some(item) = get::<Item>(reader, &keys::item(id))? else {
                return Ok(None);
            };
            let mut approvals = Vec::new();
            for number in 1..=item.latest {
                approvals.extend(get(reader, &keys::approval(id, number))?);
            }
            let revisions = all(reader, &keys::revisions(id))?;
            let deliveries = all(reader, &keys::deliveries(id))?;
            Ok(Some(Dossier {
                item,
                revisions,
                approvals,
                deliveries,
            }))
        })
        .await
    }

    async fn desk(&self, id: ItemId, number: Option<u32>) -> Stored<Option<Desk>> {
        let blobs = self.inner.blobs().clone();
        self.read(move |reader| {
            let Some(item) = get::<Item>(reader, &keys::item(id))? else {
                return Ok(None);
            };
            let key = keys::revision(id, number.unwrap_or(item.latest));
            let revision: Option<Revision> = get(reader, &key)?;
            let content = match &revision {
                Some(revision) => bytes_of(&blobs, &revision.hash)?,
                None => None,
            };
            Ok(Some(Desk {
                item,
                revision,
                content,
            }))
        })
        .await
    }

    async fn revision(&self, id: ItemId, number: u32) -> Stored<Option<Revision>> {
        self.read(move |reader| get(reader, &keys::revision(id, number)))
            .await
    }

    async fn delivery(&self, id: DeliveryId) -> Stored<Option<Delivery>> {
        self.read(move |reader| get(reader, &keys::delivery(id)))
            .await
    }

    async fn deliveries(&self, item: ItemId) -> Stored<Vec<Delivery>> {
        self.read(move |reader| all(reader, &keys::deliveries(item)))
            .await
    }

    async fn unsettled(&self) -> Stored<Vec<Delivery>> {
        self.read(unsettled).await
    }

    async fn published(&self, channel: ChannelNo, before: Option<DeliveryId>) -> Stored<Stretch> {
        let live = |one: &Delivery| matches!(one.state, State::Live);
        self.read(move |reader| stretch(reader, channel, before, live))
            .await
    }

    async fn recorded(&self, channel: ChannelNo, before: Option<DeliveryId>) -> Stored<Stretch> {
        self.read(move |reader| stretch(reader, channel, before, |_| true))
            .await
    }

    async fn watch(&self, id: DeliveryId) -> Stored<Option<Watch>> {
        self.read(move |reader| get(reader, &keys::watch(id))).await
    }

    async fn watches_of(&self, item: ItemId) -> Stored<Vec<Watch>> {
        self.read(move |reader| all(reader, &keys::watches(item)))
            .await
    }

    async fn watches(&self, after: Option<DeliveryId>, limit: usize) -> Stored<Vec<Watch>> {
        self.read(move |reader| {
            let after = after.map(keys::watch);
            let order = Order::Forward;
            scan(
                reader,
                &Scan {
                    prefix: keys::WATCHES,
                    after: after.as_deref(),
                    limit,
                    order,
                },
            )
        })
        .await
    }

    async fn patrols(&self) -> Stored<Vec<Patrol>> {
        self.read(|reader| all(reader, keys::PATROLS)).await
    }

    async fn censuses(&self) -> Stored<Vec<Census>> {
        self.read(|reader| all(reader, keys::CENSUSES)).await
    }

    async fn channels(&self) -> Stored<Vec<ChannelRecord>> {
        self.read(|reader| all(reader, keys::CHANNELS)).await
    }

    async fn stop_order(&self) -> Stored<Option<StopOrder>> {
        self.read(|reader| get(reader, keys::STOP_ORDER)).await
    }

    async fn set_back(&self) -> Stored<SetBack> {
        let last = self.read(|reader| get(reader, keys::SET_BACK)).await?;
        Ok(last.unwrap_or_default())
    }

    async fn runs(&self, schedule: &str, limit: usize) -> Stored<Vec<Run>> {
        let prefix = keys::runs(schedule);
        self.read(move |reader| {
            let order = Order::Reverse;
            scan(
                reader,
                &Scan {
                    prefix: &prefix,
                    after: None,
                    limit,
                    order,
                },
            )
        })
        .await
    }

    async fn waiting_for(&self, schedule: &str) -> Stored<Vec<ItemId>> {
        let schedule = schedule.to_owned();
        self.read(move |reader| {
            let mut waiting = unsettled(reader)?;
            waiting.retain(|one| {
                matches!(&one.state, State::Held { why: Hold::Schedule(name), .. } if *name == schedule)
            });
            let mut items: Vec<ItemId> = waiting.iter().map(|one| one.id.item).collect();
            items.dedup();
            Ok(items)
        })
        .await
    }

    async fn put_blob(&self, bytes: Vec<u8>) -> Stored<String> {
        let put = self.inner.blobs().put(bytes).await;
        let pin = put.map_err(|error| blob_error(&error))?;
        let hash = pin.hash().to_string();
        // The act that names it comes later, from whoever asked.
        self.inner.lend(pin);
        Ok(hash)
    }

    async fn blob(&self, hash: &str) -> Stored<Option<Arc<Vec<u8>>>> {
        let hash = hash.to_owned();
        let blobs = self.inner.blobs().clone();
        self.read(move |_| bytes_of(&blobs, &hash)).await
    }

    async fn drafts(&self, id: ItemId, revision: u32, hash: &str) -> Stored<Option<Arc<Vec<u8>>>> {
        let hash = hash.to_owned();
        let blobs = self.inner.blobs().clone();
        self.read(move |reader| {
            let mut small: Option<serde_bytes::ByteBuf> =
                get(reader, &keys::drafts(id, revision, &hash))?;
            if small.is_none() {
                small = get(reader, &keys::first_drafts(&hash))?;
            }
            let Some(bytes) = small else {
                return bytes_of(&blobs, &hash);
            };
            let bytes = bytes.into_vec();
            let whole = blake3::hash(&bytes).to_hex().as_str() == hash;
            Ok(whole.then(|| Arc::new(bytes)))
        })
        .await
    }

    fn standing(&self) -> Standing {
        let health = self.inner.health();
        let adopted = !self.withheld.load(Ordering::Acquire);
        let words = match health {
            Health::Well if !adopted => Refusal::NotAdopted.words(),
            Health::Well => Words::new("正常", "well"),
            Health::Short(_) => {
                Words::new("磁盘空间不足，暂停接收或发送", "the disk is nearly full")
            }
            Health::Damaged => self.inner.damage().map_or_else(
                || Words::new("日志损坏", "the journal is damaged"),
                |damage| {
                    let damaged = OpenError::Damaged(damage.clone());
                    Words::new(damaged.zh(), format!("failed to {damaged}"))
                },
            ),
            Health::Stopped => Words::new("存储已停止", "the store has stopped"),
        };
        let status = self.inner.status().ok();
        Standing {
            healthy: health == Health::Well,
            adopted,
            words,
            sequence: status.as_ref().map_or(0, |status| status.sequence),
            journal_bytes: status.as_ref().map_or(0, |status| status.journal_bytes),
            free_bytes: status.as_ref().map_or(0, |status| status.free_bytes),
        }
    }

    async fn backup(&self, to: PathBuf) -> Stored<Copied> {
        let store = self.inner.clone();
        let copied = tokio::task::spawn_blocking(move || store.backup_blocking(&to, &|_| {})).await;
        let copied = copied.map_err(unread)?;
        copied.map_err(|error| {
            StoreError::Unavailable(Words::new(
                format!("备份失败：{error}"),
                format!("failed to {error}"),
            ))
        })
    }

    async fn close(&self) {
        self.inner.clone().close().await;
    }
}

/// An act of the opening itself that was not done.
fn not_noted(error: &ActError<Refusal>) -> OpenError {
    match error {
        ActError::Unavailable(Unavailable::DiskFull) => OpenError::DiskFull,
        ActError::Unavailable(why) => OpenError::State(why.to_string()),
        other => OpenError::State(format!("{other:?}")),
    }
}

/// Bytes by their hash, checked against it.
fn bytes_of(blobs: &Blobs, hash: &str) -> Stored<Option<Arc<Vec<u8>>>> {
    let Ok(hash) = BlobHash::from_str(hash) else {
        return Ok(None);
    };
    match blobs.get_blocking(hash) {
        Ok(bytes) => Ok(Some(Arc::new(bytes))),
        Err(BlobError::Missing(_)) => Ok(None),
        Err(error) => Err(blob_error(&error)),
    }
}

fn blob_error(error: &BlobError) -> StoreError {
    StoreError::Unavailable(Words::new(
        format!("文件存取失败：{error}"),
        format!("failed to {error}"),
    ))
}

//! The drafts of one approval, as one blob, and the few that are in use.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lubu_channels::Draft;
use serde::{Deserialize, Serialize};

use crate::ids::{ChannelNo, ItemId};
use crate::model::delivery::JobNow;
use crate::store::{Store, StoreError, Stored};

/// Every channel's draft of one approval: the bytes that are sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Drafts(BTreeMap<ChannelNo, Hashed>);

/// A draft, and the hash of exactly these bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Hashed {
    pub draft: Arc<Draft>,
    pub hash: String,
}

impl Serialize for Drafts {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let plain: BTreeMap<ChannelNo, &Draft> = self
            .0
            .iter()
            .map(|(no, one)| (*no, one.draft.as_ref()))
            .collect();
        plain.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Drafts {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        BTreeMap::<ChannelNo, Draft>::deserialize(from).map(Self::new)
    }
}

impl Drafts {
    pub fn new(drafts: impl IntoIterator<Item = (ChannelNo, Draft)>) -> Self {
        let hashed = |draft: Draft| Hashed {
            hash: draft.hash(),
            draft: Arc::new(draft),
        };
        let drafts = drafts.into_iter();
        Self(drafts.map(|(no, draft)| (no, hashed(draft))).collect())
    }

    pub fn get(&self, channel: ChannelNo) -> Option<&Hashed> {
        self.0.get(&channel)
    }

    pub fn iter(&self) -> impl Iterator<Item = (ChannelNo, &Hashed)> {
        self.0.iter().map(|(no, one)| (*no, one))
    }

    fn weight(&self) -> usize {
        let one = |draft: &Draft| {
            let media: usize = draft.media.iter().map(|media| media.bytes.len()).sum();
            draft.content.len() + draft.preview.len() + media
        };
        self.0.values().map(|hashed| one(&hashed.draft)).sum()
    }
}

/// Drafts as they are kept.
#[derive(Debug)]
pub struct Packed {
    pub hash: String,
    /// What the approval's act carries along; none when it is a blob.
    pub inline: Option<Vec<u8>>,
}

/// Well under what a record may weigh in the state.
const INLINE_MOST: usize = 16 << 10;
/// A bound for unpacking, far above what intake lets in.
const UNPACKED_MOST: usize = 1 << 30;

thread_local! {
    // A context is some hundred kilobytes to make and clear: once a thread, not once an approval.
    static PACKER: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    static UNPACKER: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

fn pack(drafts: &Drafts) -> Stored<Vec<u8>> {
    // With its room from the start: growing piece by piece copies it a dozen times.
    let room = Vec::with_capacity(drafts.weight() + 1024);
    let bytes = postcard::to_extend(drafts, room).map_err(unreadable)?;
    PACKER.with_borrow_mut(|packer| {
        let packer = match packer {
            Some(packer) => packer,
            None => packer.insert(zstd::bulk::Compressor::new(1).map_err(unreadable)?),
        };
        packer.compress(&bytes).map_err(unreadable)
    })
}

fn unpack(bytes: &[u8]) -> Stored<Drafts> {
    let bytes = UNPACKER.with_borrow_mut(|unpacker| {
        let unpacker = match unpacker {
            Some(unpacker) => unpacker,
            None => unpacker.insert(zstd::bulk::Decompressor::new().map_err(unreadable)?),
        };
        unpacker
            .decompress(bytes, unpacked_size(bytes)?)
            .map_err(unreadable)
    })?;
    postcard::from_bytes(&bytes).map_err(unreadable)
}

/// As the packer wrote it: room is made for so much, and a gigabyte asked for each time is felt.
fn unpacked_size(bytes: &[u8]) -> Stored<usize> {
    let stated = zstd::zstd_safe::get_frame_content_size(bytes);
    let stated = stated.ok().flatten().and_then(|size| size.try_into().ok());
    let size = stated.filter(|size| *size <= UNPACKED_MOST);
    size.ok_or_else(|| unreadable("their packing does not say how much is in it"))
}

fn unreadable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unread(format!("drafts: {error}"))
}

/// Keeps drafts in use, up to a weight, so that four lanes and many steps read one blob once.
///
/// Lanes serve the oldest approval first. So under a backlog it is the newest that is not kept: to
/// let go of the oldest would mean that every one of them is read again. Where some lanes stand still, what only
/// they have not had makes room: else the others would read every newer one from disk, each for itself. What finds
/// no room lies beside it as it was packed, a tenth of the weight, until it is asked for.
#[derive(Debug)]
pub struct Shelf {
    kept: Mutex<Kept>,
    most: Most,
}

/// What the shelf may hold, in bytes.
#[derive(Debug, Clone, Copy)]
struct Most {
    open: usize,
    packed: usize,
}

#[derive(Debug, Default)]
struct Kept {
    packed: Beside,
    by_hash: HashMap<String, Place>,
    /// By age; a name whose place is gone is passed over.
    order: VecDeque<String>,
    /// Every channel has had these: the first to go.
    spent: VecDeque<String>,
    weight: usize,
    /// Counts uses, to tell what nobody asks for.
    ticks: u64,
}

#[derive(Debug)]
struct Place {
    drafts: Arc<Drafts>,
    weight: usize,
    /// How often it may be asked for until every channel has had it.
    left: usize,
    touched: u64,
}

/// Uses of the shelf after which a place that nobody asked for goes before newer ones: held by a
/// schedule, say.
const FORGOTTEN: u64 = 4_096;
/// The same for one that some channels have had: the others stand still, or lag far behind.
const LEFT_BEHIND: u64 = 512;
/// Places that are asked, from the oldest.
const SEARCHED: usize = 64;

impl Place {
    fn is_idle(&self, ticks: u64) -> bool {
        let begun = self.left < self.drafts.0.len();
        ticks - self.touched > if begun { LEFT_BEHIND } else { FORGOTTEN }
    }
}

impl Default for Shelf {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            most: Most {
                open: 8 << 20,
                packed: 6 << 20,
            },
        }
    }
}

/// Packed drafts, the oldest first.
#[derive(Debug, Default)]
struct Beside {
    by_hash: HashMap<String, (Vec<u8>, u64)>,
    order: VecDeque<String>,
    weight: usize,
}

impl Beside {
    /// Where there is no room, only what nobody has asked for in a long time makes some.
    fn put(&mut self, hash: String, bytes: Vec<u8>, now: u64, most: usize) {
        if self.by_hash.contains_key(&hash) {
            return;
        }
        while self.weight + bytes.len() > most {
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            let since = self.by_hash.get(&oldest).map(|(_, since)| *since);
            if since.is_some_and(|since| now - since <= FORGOTTEN) {
                self.order.push_front(oldest);
                return;
            }
            self.take(&oldest);
        }
        self.weight += bytes.len();
        self.order.push_back(hash.clone());
        self.by_hash.insert(hash, (bytes, now));
        if self.order.len() > 2 * self.by_hash.len() + 64 {
            self.order.retain(|name| self.by_hash.contains_key(name));
        }
    }

    fn take(&mut self, hash: &str) -> Option<Vec<u8>> {
        let (bytes, _) = self.by_hash.remove(hash)?;
        self.weight -= bytes.len();
        Some(bytes)
    }
}

impl Shelf {
    /// Packs drafts for an approval; their hash names them from now on. Small ones travel in the
    /// approval's own act, which is synced anyway: a file of their own would cost two more syncs.
    /// Larger ones are a blob before this returns.
    pub async fn put(&self, store: &dyn Store, drafts: Drafts) -> Stored<Packed> {
        let packed = pack(&drafts)?;
        let (hash, inline) = if packed.len() <= INLINE_MOST {
            (blake3::hash(&packed).to_hex().to_string(), Some(packed))
        } else {
            (store.put_blob(packed).await?, None)
        };
        let drafts = Arc::new(drafts);
        let mut kept = self.lock();
        if !kept.put(hash.clone(), drafts, self.most.open)
            && let Some(packed) = &inline
        {
            let now = kept.ticks;
            let packed = packed.clone();
            kept.packed.put(hash.clone(), packed, now, self.most.packed);
        }
        drop(kept);
        Ok(Packed { hash, inline })
    }

    /// The drafts, checked against the blob's hash when they are read from disk.
    pub async fn get(
        &self,
        store: &dyn Store,
        item: ItemId,
        job: &JobNow,
    ) -> Stored<Option<Arc<Drafts>>> {
        let hash = job.blob.as_str();
        let beside = {
            let mut kept = self.lock();
            if let Some(found) = kept.find(hash) {
                return Ok(Some(found));
            }
            kept.packed.take(hash)
        };
        if let Some(bytes) = beside {
            let drafts = Arc::new(unpack(&bytes)?);
            let mut kept = self.lock();
            if !kept.put(hash.to_owned(), Arc::clone(&drafts), self.most.open) {
                let now = kept.ticks;
                kept.packed
                    .put(hash.to_owned(), bytes, now, self.most.packed);
            }
            return Ok(Some(drafts));
        }
        let Some(bytes) = store.drafts(item, job.revision, hash).await? else {
            return Ok(None);
        };
        let drafts = Arc::new(unpack(&bytes)?);
        self.lock()
            .put(hash.to_owned(), Arc::clone(&drafts), self.most.open);
        Ok(Some(drafts))
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn find(&mut self, hash: &str) -> Option<Arc<Drafts>> {
        self.ticks += 1;
        let place = self.by_hash.get_mut(hash)?;
        place.touched = self.ticks;
        if place.left > 0 {
            place.left -= 1;
            if place.left == 0 {
                self.spent.push_back(hash.to_owned());
            }
        }
        Some(Arc::clone(&place.drafts))
    }

    /// Whether it is there now.
    fn put(&mut self, hash: String, drafts: Arc<Drafts>, most: usize) -> bool {
        self.ticks += 1;
        if self.by_hash.contains_key(&hash) {
            return true;
        }
        let weight = drafts.weight();
        while self.weight + weight > most {
            let Some(victim) = self.victim() else {
                return false;
            };
            if let Some(gone) = self.by_hash.remove(&victim) {
                self.weight -= gone.weight;
            }
        }
        self.weight += weight;
        let place = Place {
            left: drafts.0.len(),
            drafts,
            weight,
            touched: self.ticks,
        };
        if self.order.len() > 2 * self.by_hash.len() + 64 {
            self.order.retain(|name| self.by_hash.contains_key(name));
        }
        self.order.push_back(hash.clone());
        self.by_hash.insert(hash, place);
        true
    }

    /// What may go for something newer: what every channel has had, then what nobody asks for.
    fn victim(&mut self) -> Option<String> {
        if let Some(spent) = self.spent.pop_front() {
            return Some(spent);
        }
        while let Some(oldest) = self.order.front()
            && !self.by_hash.contains_key(oldest)
        {
            self.order.pop_front();
        }
        let idle = |name: &String| {
            let place = self.by_hash.get(name);
            place.is_some_and(|place| place.is_idle(self.ticks))
        };
        // The oldest may be in use by the one lane that lags, and those behind it by none.
        let at = self.order.iter().take(SEARCHED).position(idle)?;
        self.order.remove(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lubu_channels::DraftMedia;

    #[test]
    fn drafts_come_back_from_their_blob_byte_for_byte() {
        let draft = Draft {
            content: "{\"title\":\"进展\"}".into(),
            preview: "<p>进展</p>".into(),
            media: vec![DraftMedia::new(
                "a.png".into(),
                "image/png".into(),
                vec![1, 2, 3],
            )],
        };
        let drafts = Drafts::new([(ChannelNo(1), draft.clone()), (ChannelNo(4), draft)]);
        let packed = pack(&drafts).unwrap();
        assert_eq!(unpack(&packed).unwrap(), drafts);
        let plain = postcard::to_stdvec(&drafts).unwrap();
        assert_eq!(unpacked_size(&packed).unwrap(), plain.len());
    }

    #[test]
    fn what_is_no_packing_of_ours_is_refused_before_room_is_made_for_it() {
        let refused = unpacked_size(b"not a packing").unwrap_err();
        assert!(refused.to_string().contains("drafts"), "{refused}");
    }

    fn named(at: u8, bytes: usize) -> (String, Arc<Drafts>) {
        let draft = Draft {
            content: "x".repeat(bytes),
            preview: String::new(),
            media: Vec::new(),
        };
        let drafts = Drafts::new([(ChannelNo(1), draft.clone()), (ChannelNo(2), draft)]);
        (format!("{at:02}"), Arc::new(drafts))
    }

    #[test]
    fn under_a_backlog_the_oldest_drafts_stay_and_the_newest_is_read_again() {
        let mut kept = Kept::default();
        for at in 0..3 {
            let (hash, drafts) = named(at, 100);
            kept.put(hash, drafts, 400);
        }
        assert!(kept.find("00").is_some() && kept.find("01").is_some());
        assert!(kept.find("02").is_none());
    }

    #[test]
    fn drafts_that_every_channel_has_had_make_room() {
        let mut kept = Kept::default();
        for at in 0..2 {
            let (hash, drafts) = named(at, 100);
            kept.put(hash, drafts, 400);
        }
        assert!(kept.find("01").is_some() && kept.find("01").is_some());
        let (hash, drafts) = named(2, 100);
        kept.put(hash, drafts, 400);
        assert!(kept.find("00").is_some() && kept.find("02").is_some());
        assert!(kept.find("01").is_none());
        assert_eq!(kept.weight, 400);
    }

    #[test]
    fn packed_drafts_make_room_only_once_nobody_asks_for_them() {
        let mut beside = Beside::default();
        for (at, name) in ["00", "01", "02"].into_iter().enumerate() {
            beside.put(name.to_owned(), vec![7; 100], at as u64, 200);
        }
        assert!(beside.by_hash.contains_key("01") && !beside.by_hash.contains_key("02"));
        beside.put("03".to_owned(), vec![7; 100], 1 + FORGOTTEN, 200);
        assert!(!beside.by_hash.contains_key("00") && beside.by_hash.contains_key("03"));
        assert_eq!(
            (beside.take("01").map(|one| one.len()), beside.weight),
            (Some(100), 100)
        );
    }

    #[test]
    fn drafts_that_only_a_channel_that_stands_still_has_not_had_make_room() {
        let mut kept = Kept::default();
        for at in 0..2 {
            let (hash, drafts) = named(at, 100);
            kept.put(hash, drafts, 400);
        }
        assert!(kept.find("00").is_some());
        for _ in 0..=LEFT_BEHIND {
            kept.find("none");
        }
        let (hash, drafts) = named(2, 100);
        kept.put(hash, drafts, 400);
        assert!(kept.find("00").is_none() && kept.find("02").is_some());
        assert!(kept.find("01").is_some(), "nobody has had it yet");
    }

    #[test]
    fn drafts_that_nobody_asks_for_do_not_keep_the_shelf_for_ever() {
        let mut kept = Kept::default();
        let (held, drafts) = named(0, 200);
        kept.put(held, drafts, 400);
        for _ in 0..=FORGOTTEN {
            kept.find("none");
        }
        let (hash, drafts) = named(1, 200);
        kept.put(hash, drafts, 400);
        assert!(kept.find("00").is_none() && kept.find("01").is_some());
    }
}

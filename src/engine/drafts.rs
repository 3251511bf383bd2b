//! The drafts of one approval, as one blob, and the few that are in use.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use lubu_channels::Draft;
use serde::{Deserialize, Serialize};

use crate::ids::ChannelNo;
use crate::store::{Store, StoreError, Stored};

/// Every channel's draft of one approval: the bytes that are sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Drafts(BTreeMap<ChannelNo, Arc<Draft>>);

impl Serialize for Drafts {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let plain: BTreeMap<ChannelNo, &Draft> = self
            .0
            .iter()
            .map(|(no, draft)| (*no, draft.as_ref()))
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
        Self(
            drafts
                .into_iter()
                .map(|(no, draft)| (no, Arc::new(draft)))
                .collect(),
        )
    }

    pub fn get(&self, channel: ChannelNo) -> Option<&Arc<Draft>> {
        self.0.get(&channel)
    }

    pub fn iter(&self) -> impl Iterator<Item = (ChannelNo, &Arc<Draft>)> {
        self.0.iter().map(|(no, draft)| (*no, draft))
    }

    fn weight(&self) -> usize {
        let one = |draft: &Draft| {
            let media: usize = draft.media.iter().map(|media| media.bytes.len()).sum();
            draft.content.len() + draft.preview.len() + media
        };
        self.0.values().map(|draft| one(draft)).sum()
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

fn pack(drafts: &Drafts) -> Stored<Vec<u8>> {
    let bytes = postcard::to_stdvec(drafts).map_err(unreadable)?;
    zstd::bulk::compress(&bytes, 1).map_err(unreadable)
}

fn unpack(bytes: &[u8]) -> Stored<Drafts> {
    let size = zstd::bulk::Decompressor::upper_bound(bytes).unwrap_or(UNPACKED_MOST);
    let bytes = zstd::bulk::decompress(bytes, size.min(UNPACKED_MOST)).map_err(unreadable)?;
    postcard::from_bytes(&bytes).map_err(unreadable)
}

fn unreadable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unread(format!("drafts: {error}"))
}

/// Keeps the last drafts read, up to a weight, so that four lanes read one blob once.
#[derive(Debug)]
pub struct Shelf {
    kept: Mutex<VecDeque<(String, Arc<Drafts>)>>,
    most_bytes: usize,
}

impl Default for Shelf {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            most_bytes: 8 << 20,
        }
    }
}

impl Shelf {
    /// Packs drafts for an approval; their hash names them from now on. Small ones travel in the
    /// approval's own act, which is synced anyway: a file of their own would cost two more syncs.
    /// Larger ones are a blob before this returns.
    pub async fn put(&self, store: &dyn Store, drafts: Drafts) -> Stored<Packed> {
        let packed = pack(&drafts)?;
        let hash = if packed.len() <= INLINE_MOST {
            blake3::hash(&packed).to_hex().to_string()
        } else {
            store.put_blob(packed.clone()).await?
        };
        self.keep(hash.clone(), Arc::new(drafts));
        let inline = (packed.len() <= INLINE_MOST).then_some(packed);
        Ok(Packed { hash, inline })
    }

    /// The drafts, checked against the blob's hash when they are read from disk.
    pub async fn get(&self, store: &dyn Store, hash: &str) -> Stored<Option<Arc<Drafts>>> {
        if let Some(kept) = self.find(hash) {
            return Ok(Some(kept));
        }
        let Some(bytes) = store.blob(hash).await? else {
            return Ok(None);
        };
        let drafts = Arc::new(unpack(&bytes)?);
        self.keep(hash.to_owned(), Arc::clone(&drafts));
        Ok(Some(drafts))
    }

    fn find(&self, hash: &str) -> Option<Arc<Drafts>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter()
            .rev()
            .find(|(name, _)| name == hash)
            .map(|(_, drafts)| Arc::clone(drafts))
    }

    fn keep(&self, hash: String, drafts: Arc<Drafts>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back((hash, drafts));
        let mut weight: usize = kept.iter().map(|(_, drafts)| drafts.weight()).sum();
        while weight > self.most_bytes && kept.len() > 1 {
            if let Some((_, gone)) = kept.pop_front() {
                weight -= gone.weight();
            }
        }
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
        assert_eq!(unpack(&pack(&drafts).unwrap()).unwrap(), drafts);
    }
}

//! Exactly what a channel would show of one document, made without network.
//!
//! A draft is rendered once, when the leader is about to sign; its findings are shown then, and its
//! bytes are kept by hash. Delivery sends these bytes and fills named slots only. So a draft holds
//! the re-encoded images too, and nothing in it depends on the clock, on chance or on a neighbour.

use std::fmt::Debug;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Words;

/// 稿样. `content` is the adapter's own format (UTF-8 JSON by custom); only the adapter reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    pub content: String,
    /// What a person is shown before signing: a whole HTML page that needs nothing from outside.
    pub preview: String,
    /// Images and files as they will be sent, re-encoded where the platform wants it.
    pub media: Vec<DraftMedia>,
}

impl Draft {
    /// BLAKE3 over everything that will be sent, lower-case hex. The preview is not part of it.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(self.content.len() as u64).to_le_bytes());
        hasher.update(self.content.as_bytes());
        for media in &self.media {
            hasher.update(media.hash.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    pub fn media(&self, hash: &str) -> Option<&DraftMedia> {
        self.media.iter().find(|media| media.hash == hash)
    }
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftMedia {
    /// BLAKE3 of `bytes`, lower-case hex.
    pub hash: String,
    /// ASCII file name that is safe in any multipart form, extension by the real type.
    pub name: String,
    pub mime: String,
    pub bytes: Vec<u8>,
}

impl DraftMedia {
    pub fn new(name: String, mime: String, bytes: Vec<u8>) -> Self {
        Self {
            hash: blake3::hash(&bytes).to_hex().to_string(),
            name,
            mime,
            bytes,
        }
    }
}

impl Debug for DraftMedia {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "DraftMedia({}, {} B, {})",
            self.name,
            self.bytes.len(),
            self.hash
        )
    }
}

/// One reason why a document cannot be shown on this channel as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The field a person can change: `title`, `body`, `cover`, `attachments[1]`, …
    pub field: String,
    /// The platform's limit and what the document has, in the unit the sentence names.
    pub limit: Option<u64>,
    pub actual: Option<u64>,
    /// What is wrong and what to do about it.
    pub words: Words,
}

/// The bytes of media that a document names, by content hash.
pub trait Media: Send + Sync {
    /// `None` only when the hash is unknown; bytes are already checked against it.
    fn get(&self, hash: &str) -> Option<MediaBytes>;
}

pub type MediaBytes = Arc<Vec<u8>>;

/// For documents without images.
#[derive(Debug, Clone, Copy)]
pub struct NoMedia;

impl Media for NoMedia {
    fn get(&self, _hash: &str) -> Option<MediaBytes> {
        None
    }
}

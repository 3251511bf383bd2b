//! What a configuration may say, noted while it is read: the source of its schema.
//!
//! The reading code is the only place that knows its keys, so it is read once more without a
//! configuration, and every key that is asked for leaves its shape here. No second list of keys exists that
//! could fall behind.

use std::sync::{Mutex, PoisonError};

/// What may stand under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    Text,
    /// `http://` or `https://`.
    Address,
    Flag,
    Count {
        least: u64,
        most: u64,
    },
    /// `90s`, `10m`, `2h`, `1d`.
    Duration,
    /// Durations, shortest first.
    Plan,
    Choice(Vec<String>),
    /// Where a secret is.
    Secret,
    Texts,
    /// `[key]`
    Table,
    /// `[[key]]`
    Tables,
    /// A table with keys of the user's own.
    Open,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Dotted, with the tables around it.
    pub path: String,
    pub shape: Shape,
    pub required: bool,
    /// What holds when it is not set, as TOML writes it.
    pub usual: Option<toml::Value>,
}

/// All keys that were asked for, in that order.
#[derive(Debug, Default)]
pub struct Keys(Mutex<Vec<Key>>);

impl Keys {
    /// Notes a key; one that is asked for again stays as it was first.
    pub fn note(&self, key: Key) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !keys.iter().any(|known| known.path == key.path) {
            keys.push(key);
        }
    }

    pub fn into_vec(self) -> Vec<Key> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

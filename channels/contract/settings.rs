//! How an adapter gets its settings: its own table of the configuration, checked by itself.

use std::path::PathBuf;

use chrono_tz::Tz;

use super::{Secret, Words};
use crate::kit::keys::Keys;

/// One `[[channel]]` table, as an adapter's constructor gets it.
///
/// The keys that every channel has (`name`, `adapter`, `after`, `concurrency`, …) are taken out
/// before; what is left belongs to the adapter, which refuses what it does not know.
pub struct Entry<'a> {
    pub name: &'a str,
    pub settings: toml::Table,
    /// Relative paths in settings start here: the configuration file's folder.
    pub base: PathBuf,
    pub timezone: Tz,
    /// 发布机构, for mastheads and for the source line.
    pub publisher: &'a str,
    pub secrets: &'a dyn ResolveSecret,
    /// Where the keys that are asked for are noted; none but for the schema.
    pub keys: Option<&'a Keys>,
}

impl std::fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Entry({})", self.name)
    }
}

/// Reads `{ env = "NAME" }`, `{ file = "path" }` or `{ credential = "name" }`.
pub trait ResolveSecret {
    fn resolve(&self, key: &str, value: &toml::Value) -> Result<Secret, Problem>;
}

/// One thing wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key inside the channel's table, dotted: `signing.secret`.
    pub key: String,
    /// What is wrong and what to write instead.
    pub words: Words,
}

impl Problem {
    pub fn new(key: impl Into<String>, words: Words) -> Self {
        Self {
            key: key.into(),
            words,
        }
    }
}

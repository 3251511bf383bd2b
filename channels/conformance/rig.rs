//! What an adapter brings to the suite: its channel, a document, and its platform in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::contract::{
    Channel, Document, Limit, Media, MediaBytes, Problem, Reply, Request, ResolveSecret, Secret,
    Timestamp, Unit, Words,
};

/// One adapter under test. A fresh one, with an empty platform, is made for every trial.
pub trait Rig: Send + Sync {
    /// The channel, with these settings laid over the rig's own.
    fn build(&self, more: toml::Table) -> Result<Arc<dyn Channel>, Vec<Problem>>;

    /// The first or second revision of a document that uses whatever the adapter can show.
    fn document(&self, revision: u32) -> Document;

    fn media(&self) -> &dyn Media;

    /// The document, changed so that it breaks this limit; [`stretched`] does the usual fields.
    fn beyond(&self, limit: &Limit) -> Document;

    /// Plays the platform.
    fn answer(&self, request: &Request, now: Timestamp) -> Reply;

    /// Whether a request would change something on the platform.
    fn changes(&self, request: &Request) -> bool;

    /// How many copies readers can see now; a notice in the place of one is none.
    fn copies(&self) -> usize;

    /// The platform finishes what it has accepted: review, replication.
    fn settle(&self);

    /// A person does what the channel asked one to do.
    fn person(&self, now: Timestamp);

    /// Someone removes every public copy on the platform itself.
    fn remove(&self);

    /// What was removed last is to be seen again, as after a late call or a stale copy.
    fn comes_back(&self);

    /// Others post so much that a look which sees only the newest rows sees nothing else.
    fn crowd(&self, now: Timestamp);

    /// Everything that must never be seen in an answer, tokens issued later included. Empty for
    /// channels that know none.
    fn secrets(&self) -> Vec<String>;

    /// A documented refusal under a success status, quoting `said`, if the platform has such.
    fn refusal(&self, said: &str) -> Option<Reply>;
}

/// Images by hash.
#[derive(Debug, Clone, Default)]
pub struct Album(pub BTreeMap<String, MediaBytes>);

impl Media for Album {
    fn get(&self, hash: &str) -> Option<MediaBytes> {
        self.0.get(hash).cloned()
    }
}

/// Takes a secret as it stands in the table, for rigs.
#[derive(Debug, Clone, Copy)]
pub struct Literal;

impl ResolveSecret for Literal {
    fn resolve(&self, key: &str, value: &toml::Value) -> Result<Secret, Problem> {
        let text = value.as_str().map(Secret::new);
        text.ok_or_else(|| Problem::new(key, Words::new("读不到。", "cannot be read.")))
    }
}

/// The document with one field made longer than the limit allows. Fields it does not know stay.
pub fn stretched(mut document: Document, limit: &Limit) -> Document {
    let more = usize::try_from(limit.max)
        .unwrap_or(usize::MAX)
        .saturating_add(1);
    let filler = match limit.unit {
        Unit::Characters | Unit::WeiboCharacters | Unit::Pieces => "字".repeat(more),
        Unit::Bytes => "a".repeat(more),
    };
    document.overrides.clear();
    match limit.field {
        "title" => document.title = filler,
        "summary" => document.summary = filler,
        "source" => document.source = filler,
        "publisher" => document.publisher = filler,
        "body" => document.body = format!("<p>{filler}</p>"),
        "canonical" => document.canonical = Some(format!("https://fgw.example.gov.cn/{filler}")),
        field => {
            document.overrides.insert(field.to_owned(), filler);
        }
    }
    document
}

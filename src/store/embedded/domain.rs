//! What the store asks of the domain, and what it gives it: acts in, decisions out.
//!
//! The store knows no items, approvals or channels. The domain knows no files, frames or
//! threads. Between them stand keys and values, and a header of ids for the audit log.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::blobs::{BlobError, BlobHash};
use super::record::RecordError;
use super::view::View;

/// Which acts go first, and which are still written when the disk is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// An outcome, a withdrawal, a stop. First in every group; written until the journal itself cannot be.
    Settle,
    /// The intent of a step. Stops when the spare segment or the ballast is missing.
    Intent,
    /// Everything that makes new work. Stops first.
    Intake,
}

impl Class {
    /// In the order in which they are decided.
    pub const ALL: [Class; 3] = [Class::Settle, Class::Intent, Class::Intake];

    pub(super) fn index(self) -> usize {
        match self {
            Class::Settle => 0,
            Class::Intent => 1,
            Class::Intake => 2,
        }
    }
}

/// The place of an act in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Rises by one with every act, but for gaps that a person accepted.
    pub sequence: u64,
    /// UTC milliseconds.
    pub time_ms: i64,
}

/// What the audit log keeps of an act for good: ids and codes only. Names, reasons, titles and
/// content belong into the changes, which can be erased without breaking the chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Account id.
    pub who: String,
    /// Where the wish came from: a code or an address.
    pub from: String,
    /// Code of the act.
    pub what: String,
    pub item: Option<String>,
    pub delivery: Option<String>,
    pub outcome: Option<String>,
}

/// One key of the state, written or removed. A key must not be empty nor begin with a zero byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Put { key: Vec<u8>, value: Vec<u8> },
    Remove { key: Vec<u8> },
}

impl Change {
    pub fn key(&self) -> &[u8] {
        match self {
            Change::Put { key, .. } | Change::Remove { key } => key,
        }
    }

    pub fn bytes(&self) -> usize {
        match self {
            Change::Put { key, value } => key.len() + value.len(),
            Change::Remove { key } => key.len(),
        }
    }
}

/// An act that may happen: its audit header, what it changes, and the answer for who asked.
#[derive(Clone, Debug)]
pub struct Decision<A> {
    pub header: Header,
    pub changes: Vec<Change>,
    pub answer: A,
}

/// Why it cannot be said which blobs a record names. Nothing is removed then.
#[derive(Debug, Error)]
pub enum Unnamed {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error("read which blobs {0} names")]
    Shape(&'static str),
}

/// Gives the bytes of a blob.
pub type ReadBlob<'a> = dyn Fn(BlobHash) -> Result<Vec<u8>, Unnamed> + 'a;
/// [`Domain::names`] of some domain.
pub(super) type NamesOf = fn(&[u8], &[u8], &ReadBlob<'_>) -> Result<Vec<BlobHash>, Unnamed>;

/// What the domain decides. Runs only on the writer thread.
///
/// `decide` is pure but for the view: a decision is thrown away when its frame cannot be
/// written, so nothing in `self` may remember it. What must be remembered is a `Change`.
pub trait Domain: Send + 'static {
    type Act: Send + 'static;
    type Answer: Send + 'static;
    type Refusal: Send + 'static;

    fn class(act: &Self::Act) -> Class;

    /// Every blob that the record under this key needs: those it names, and those that these name in turn.
    ///
    /// An act that makes a record name a blob must hold a pin on it, also where another record names it already.
    fn names(key: &[u8], value: &[u8], blob: &ReadBlob<'_>) -> Result<Vec<BlobHash>, Unnamed>;

    /// The hash of the bytes that the record under this key carries itself, where a blob would be named otherwise.
    fn carries(key: &[u8]) -> Option<BlobHash>;

    fn decide(
        &mut self,
        act: Self::Act,
        view: &View<'_>,
        stamp: Stamp,
    ) -> Result<Decision<Self::Answer>, Self::Refusal>;
}

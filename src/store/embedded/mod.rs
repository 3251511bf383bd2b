//! The embedded store: a hash-chained journal that is the truth, and sled as the state derived from it.
//!
//! Why two: sled alone can lose, after a power cut, keys written long ago, and nothing from outside can
//! prevent it. So every act goes into a file that we write ourselves in the simplest way there is, and sled does
//! what it is good at. What is not in the journal did not happen; what sled gets wrong costs a rebuild and never data.
//!
//! Generic over the domain: acts and decisions come in through [`Domain`], keys and values are all that is known here.
//! One writer thread decides and writes (`writer`); reads go through a small blocking pool, because
//! sled's flush holds a lock that readers can meet.
//!
//! In reading order: `domain record disk frame segment gap walk journal state view reader checkpoint identity room
//! recover
//! ending sorted base replay migrate inbox writer own start keeper watch fatal blobs pack merge strip collect care audit
//! repair check backup
//! erase`.

mod backup;
mod base;
mod blobs;
mod care;
mod check;
mod checkpoint;
mod collect;
mod disk;
mod domain;
mod ending;
mod erase;
mod error;
mod fatal;
mod frame;
mod gap;
mod hands;
mod hot;
mod identity;
mod inbox;
mod journal;
mod keeper;
mod layers;
mod memory;
mod merge;
mod migrate;
mod options;
mod own;
mod pack;
mod post;
mod reader;
mod recover;
mod repair;
mod replay;
mod room;
mod segment;
mod sorted;
mod start;
mod state;
mod store;
mod strip;
mod syncer;
mod value;
mod view;
mod walk;
mod watch;
mod writer;

mod applier;
pub mod audit;
pub mod record;

#[cfg(test)]
mod tests;

pub use backup::{Copied, Tell, restore};
pub use base::BadBase;
pub use blobs::{BlobError, BlobHash, Blobs, NotAHash, Pin};
pub use care::Deed;
pub use check::{Checked, Finding, check};
pub use disk::{Disk, Gate, Op, Step, Verdict};
pub use domain::{Change, Class, Decision, Domain, Header, ReadBlob, Stamp, Unnamed};
pub use erase::{Erased, Erasure, NotErased, erase, erasures, unfinished};
pub use error::{ActError, CareError, OpenError, Unavailable, passes};
pub use frame::{Chain, MAX_HEADER, MAX_KEY, MAX_REDO, MAX_VALUE, Misfit};
pub use gap::{Gap, Landing};
pub use identity::{Lock, lock, store_id};
pub use memory::Table;
pub use migrate::{Migrate, Migration};
pub use options::{Chance, Clock, IdSource, OnFatal, OnProgress, Options, Progress, Suspect};
pub use reader::{Order, Reader, Scan};
pub use recover::{Cut, Opened, Rebuilt};
pub use repair::{accept_gap, forget_state};
pub use room::Room;
pub use segment::FORMAT;
pub use state::ReadError;
pub use store::{Health, Status, Store, Unread};
pub use value::Value;
pub use view::View;
pub use walk::{Damage, Flaw, Position};

//! The proof from outside: the built binary and the store's own files are killed, robbed of what was not synced and
//! given failing disks, and then judged by what the platforms' ledger and a second reading of the journal say.
//!
//! Nothing here reaches into the daemon. The store rows run a small program of their own on the store's public interface
//! (`session`), watched by the preloaded library; the daemon rows run `lubu serve` against the sandbox.
//!
//! In reading order: `dice record trace image` (what a disk may hold), `notes session judge` (a workload and its
//! judge), then one file a row, and `table`.

pub mod aimed;
pub mod dice;
pub mod errors;
pub mod image;
pub mod images;
pub mod judge;
pub mod kills;
pub mod load;
pub mod notes;
pub mod power;
pub mod preload;
pub mod process;
#[path = "../preload/src/record.rs"]
pub mod record;
pub mod session;
pub mod table;
pub mod trace;

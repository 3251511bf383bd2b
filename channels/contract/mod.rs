//! The adapter contract: what an adapter is told, what it answers, what it promises.
//!
//! An adapter is told *what* to show and says *how*, one step at a time. It keeps no state that
//! must survive: [`Progress`] does, and the engine saves it after every step. Every step declares
//! what a repeat would do ([`Effect`]); every failure says what it means for the next try
//! ([`Fate`]); every look at the platform answers in one vocabulary ([`Verdict`]). With these
//! three, one engine can publish, correct, withdraw, reconcile and verify on any platform.

mod caps;
mod channel;
mod clock;
mod document;
mod draft;
mod fate;
mod job;
mod secret;
mod settings;
mod sighting;
mod step;
mod survey;
mod transport;
mod words;

pub use caps::{Caps, Limit, LookCaps, Quota, SurveyCaps, Unit, UpdateBy, Window, WithdrawBy};
pub use channel::{Call, Channel, Pages, Purse, Surveys};
pub use clock::{Clock, Manual, System, Timestamp};
pub use document::{
    Attachment, Category, Correction, Document, Link, MediaRef, Related, Relation, Validity,
};
pub use draft::{Draft, DraftMedia, Finding, Media, MediaBytes, NoMedia};
pub use fate::{Failure, Fate, Kind, Reach};
pub use job::{Copy, Goal, Job, Progress, Subject, Target};
pub use secret::Secret;
pub use settings::{Entry, Problem, ResolveSecret};
pub use sighting::{Evidence, Health, Match, Receipt, RemovedBy, Seen, Sighting, Truth, Verdict};
pub use step::{Cost, Effect, Next, Step};
pub use survey::{Posted, Sign, Stands, Surveyed};
pub use transport::{Body, Part, Reply, Request, Transport, Trouble};
pub use words::Words;

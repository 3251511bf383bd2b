//! What is true and what may happen next, without any I/O.
//!
//! Nothing here asks for the time, rolls dice or reads a file: all three are arguments. The store
//! keeps these records; the engine and the services ask these functions and act on the answers.

pub mod approval;
pub mod attempt;
pub mod calendar;
pub mod channel;
pub mod delivery;
pub mod finding;
pub mod halt;
pub mod item;
pub mod limit;
pub mod patrol;
pub mod policy;
pub mod quiet;
pub mod retry;
pub mod scope;
pub mod survey;

//! The daemon as a library, so that tests and tools reach every part of it. `main.rs` only starts it.

pub mod store;

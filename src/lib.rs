//! lubu 露布 publishes a government office's signed-off items and shows what is where.
//!
//! The daemon as a library, so that tests and tools reach every part of it. Modules stand in
//! dependency order: each uses only what stands above it.

pub mod clock;
pub mod config;
pub mod engine;
pub mod ids;
pub mod intake;
pub mod model;
pub mod service;
pub mod store;

//! lubu 露布 publishes a government office's signed-off items and shows what is where.
//!
//! Modules stand in dependency order: each uses only what stands above it.

pub mod ids;
pub mod model;

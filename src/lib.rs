//! lubu 露布 publishes a government office's signed-off items and shows what is where.
//!
//! The daemon as a library, so that tests and tools reach every part of it.

pub mod clock;
pub mod config;
pub mod daemon;
pub mod doors;
pub mod engine;
pub mod http;
pub mod ids;
pub mod inbox;
pub mod intake;
pub mod model;
pub mod planted;
pub mod service;
pub mod store;
pub mod supervisor;
pub mod telemetry;
pub mod watchdog;

/// Deliveries are made in one thread and freed in another; glibc's arenas stand in each other's way there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

//! The surfaces, as an office meets them: the built binary on a folder of its own, the platforms
//! played in this process, and the sandbox's ledger as the judge. One story a file.
//!
//! Real processes, so these stories wait: always for a condition, with a deadline, and the evidence
//! is what is found then, never that time has passed.

#![expect(
    clippy::expect_used,
    reason = "a story that cannot be set up must stop"
)]

mod audit;
mod clock;
mod commands;
mod configuration;
mod desk;
mod inbox;
mod interface;
mod keeping;
mod killed;
mod main_road;
mod office;
mod opening;
mod poison;
mod reload;
mod schedules;
mod secrets;
mod set_back;
mod supervised;
mod verify;

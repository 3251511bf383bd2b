//! The proof from the inside: every boundary at which a process can die, and seeded lives of a
//! whole office, judged by the platforms' own ledgers and the design's invariants.

#![expect(
    clippy::expect_used,
    reason = "a simulation that cannot be set up must stop"
)]

mod chance;
mod channel;
mod clock;
mod house;
mod many;
mod matrix;
mod person;
mod platform;
mod set_back;
mod simulator;
mod watch;

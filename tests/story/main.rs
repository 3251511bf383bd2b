//! Failure stories, one a file, on the real store and engine with a clock that only tests move.

#![expect(
    clippy::expect_used,
    reason = "a story that cannot be set up must stop"
)]

mod approval_gate;
mod burst;
mod clock;
mod door;
mod format;
mod halts;
mod house;
mod lanes;
mod order_between_channels;
mod overlap;
mod poison;
mod quiet_hours;
mod quota_and_pause;
mod recovery;
mod reload;
mod restored;
mod scripted;
mod set_back;
mod unknown_outcome;
mod verify;
mod withdrawal;

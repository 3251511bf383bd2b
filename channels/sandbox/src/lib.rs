//! The platforms played on loopback.

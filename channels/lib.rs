//! Everything an adapter needs, and every adapter.
//!
//! Reading order: [`contract`] says what an adapter is told and what it owes; [`kit`] holds the
//! tools adapters share; [`conformance`] checks the debts offline; [`registry`] is the list of
//! adapters by the name used in the configuration. Nothing here knows items, approvals, stores or
//! schedules: an adapter is handed documents and says how to show them.

pub mod conformance;
pub mod contract;
pub mod kit;
pub mod planted;
pub mod portal;
pub mod registry;
pub mod site;
pub mod wechat;
pub mod weibo;

pub use contract::*;

//! Tools that adapters share.

pub mod form;
pub mod http;

//! Tools that adapters share.

pub mod exchange;
pub mod form;
pub mod html;
pub mod http;
pub mod json;
pub mod keys;
pub mod media;
pub mod redact;
pub mod retry_after;
pub mod settings;
pub mod text;
pub mod token;

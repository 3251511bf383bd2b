//! The publishing platforms played on loopback, as strict as their references say.
//!
//! One server plays a WeChat Official Account, a Weibo account and a municipal portal
//! under `/wechat`, `/weibo` and `/portal`, with the pages that readers would see, a
//! ledger that says what really happened, and faults that can be switched on. It
//! shares no code with the adapters it is used to test: a belief that is wrong in both
//! would cancel itself out. Nothing is kept across a restart.

mod admin;
mod clock;
mod faults;
mod html;
mod ledger;
mod multipart;
mod options;
mod pages;
mod portal;
mod server;
mod settings;
#[cfg(test)]
mod tests;
mod wechat;
mod weibo;
mod wire;
mod world;

pub use clock::{Clock, Manual, Wall};
pub use faults::{Fault, Kind, Switched};
pub use ledger::{Effect, Platform, PublicPost, Row, Sight};
pub use options::{
    Options, PORTAL_APP_ID, PORTAL_SECRET, WECHAT_APP_ID, WECHAT_SECRET, WEIBO_TOKEN, WEIBO_UID,
};
pub use server::{Running, start};
pub use settings::{
    Algorithm, Leaves, Place, PortalSettings, Review, Settings, SignNames, Signing, WechatSettings,
    WeiboSettings,
};

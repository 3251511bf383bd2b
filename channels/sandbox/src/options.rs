//! What the sandbox is started with: address, credentials, clock, first settings.
//!
//! The default credentials are made up and public, so that a demo needs no set-up;
//! they still never appear in the ledger or in `Debug`, because a caller may pass others.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use crate::clock::{Clock, Wall};
use crate::settings::Settings;

pub const WECHAT_APP_ID: &str = "wx-sandbox";
pub const WECHAT_SECRET: &str = "sandbox-secret";
pub const WEIBO_TOKEN: &str = "sandbox-token";
pub const WEIBO_UID: u64 = 1_234_567_890;
pub const PORTAL_APP_ID: &str = "portal-sandbox";
/// `whsec_` and the base64 of 32 bytes.
pub const PORTAL_SECRET: &str = "whsec_bHVidS1zYW5kYm94LXBvcnRhbC1zZWNyZXQtMDAwMDE=";

#[derive(Clone)]
pub struct Options {
    /// Port 0 picks a free one.
    pub listen: SocketAddr,
    /// The address readers and replies use; by default the one it listens on.
    pub public_base: Option<String>,
    pub wechat_app_id: String,
    pub wechat_secret: String,
    pub weibo_token: String,
    pub weibo_uid: u64,
    pub portal_app_id: String,
    pub portal_secret: String,
    /// Ids are a hash of this, the start time and a counter.
    pub seed: String,
    pub settings: Settings,
    pub clock: Arc<dyn Clock>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8030)),
            public_base: None,
            wechat_app_id: WECHAT_APP_ID.into(),
            wechat_secret: WECHAT_SECRET.into(),
            weibo_token: WEIBO_TOKEN.into(),
            weibo_uid: WEIBO_UID,
            portal_app_id: PORTAL_APP_ID.into(),
            portal_secret: PORTAL_SECRET.into(),
            seed: "lubu-sandbox".into(),
            settings: Settings::default(),
            clock: Arc::new(Wall),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("listen", &self.listen)
            .field("public_base", &self.public_base)
            .field("wechat_app_id", &self.wechat_app_id)
            .field("weibo_uid", &self.weibo_uid)
            .field("portal_app_id", &self.portal_app_id)
            .field("settings", &self.settings)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

//! The knobs of the three platforms, read and changed at `/settings` while it runs.
//!
//! Defaults are what the platforms document; where their documents and the field
//! disagree (length limits, when a draft leaves the box) it is a knob and the
//! stricter reading is the default. Credentials are not here: they are options.
//! Units: as the names say.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub wechat: WechatSettings,
    pub weibo: WeiboSettings,
    pub portal: PortalSettings,
}

impl Settings {
    /// These settings with the fields of `change` laid over them; objects are merged, all else replaced.
    pub fn with(&self, change: &Value) -> Result<Self, serde_json::Error> {
        let mut whole = serde_json::to_value(self)?;
        merge(&mut whole, change);
        serde_json::from_value(whole)
    }
}

fn merge(into: &mut Value, change: &Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, change) => *into = change.clone(),
    }
}

/// When a published draft disappears from the draft box: the platform does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leaves {
    Submit,
    Completion,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WechatSettings {
    /// Addresses that may call; `null` lets everyone in.
    pub ip_whitelist: Option<Vec<String>>,
    pub freepublish: bool,
    pub mass: bool,
    pub comments: bool,
    pub title_max: usize,
    pub author_max: usize,
    pub digest_max: usize,
    /// Count the three limits above in UTF-8 bytes instead of characters.
    pub count_bytes: bool,
    pub content_max_chars: usize,
    pub content_max_bytes: usize,
    pub token_seconds: i64,
    /// A publish job is done when both this time has passed and it was polled so often.
    pub publish_seconds: i64,
    pub publish_polls: u32,
    /// What a publish job ends in: 0 success, 2 originality, 3 failure, 4 review.
    pub publish_result: i64,
    pub draft_leaves: Leaves,
    pub mass_seconds: i64,
    pub mass_per_day: u32,
    /// The platform's own retry: the first send is applied and answered with 45065.
    pub mass_first_45065: bool,
    /// A fresh cover is refused with 40007 for so long.
    pub material_settle_seconds: i64,
    pub material_max: usize,
    pub image_min_side: u32,
    pub image_max_side: u32,
    /// `publish_id` and `msg_id` as numbers instead of strings.
    pub numeric_ids: bool,
    /// Raw control characters inside the strings of list replies.
    pub control_chars: bool,
    pub drop_div: bool,
    /// Calls per day by path, over the documented figures.
    pub quotas: BTreeMap<String, u32>,
}

impl Default for WechatSettings {
    fn default() -> Self {
        Self {
            ip_whitelist: None,
            freepublish: true,
            mass: true,
            comments: false,
            title_max: 32,
            author_max: 16,
            digest_max: 128,
            count_bytes: false,
            content_max_chars: 20_000,
            content_max_bytes: 1 << 20,
            token_seconds: 7200,
            publish_seconds: 3,
            publish_polls: 0,
            publish_result: 0,
            draft_leaves: Leaves::Completion,
            mass_seconds: 3,
            mass_per_day: 1,
            mass_first_45065: false,
            material_settle_seconds: 0,
            material_max: 100_000,
            image_min_side: 2,
            image_max_side: 10_000,
            numeric_ids: false,
            control_chars: false,
            drop_div: false,
            quotas: BTreeMap::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WeiboSettings {
    /// Hosts bound to the app; empty means none is bound.
    pub safe_domains: Vec<String>,
    pub share: bool,
    /// Ordinary apps cannot delete any more; an elevated grant can.
    pub destroy: bool,
    /// Headline articles are for government accounts with the grant.
    pub article: bool,
    pub text_max: usize,
    pub calls_per_day: u32,
    pub posts_per_hour: u32,
    /// Posts closer together than this are refused with 20016.
    pub spacing_seconds: i64,
    /// A post like a recent one, punctuation and case aside, is refused with 20017 for so long.
    pub similar_seconds: i64,
    pub pic_max_bytes: usize,
    pub token_seconds: i64,
    /// `id`, `error_code` and figures as strings.
    pub stringly: bool,
}

impl Default for WeiboSettings {
    fn default() -> Self {
        Self {
            safe_domains: ["127.0.0.1", "localhost", "fgw.example.gov.cn"]
                .map(String::from)
                .into(),
            share: true,
            destroy: false,
            article: false,
            text_max: 140,
            calls_per_day: 100,
            posts_per_hour: 30,
            spacing_seconds: 0,
            similar_seconds: 600,
            pic_max_bytes: 5 << 20,
            token_seconds: 157_679_471,
            stringly: false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Review {
    /// Published when the time has passed and the polls have been made.
    Auto,
    /// Sent back, with the reason, when the time has passed.
    Return,
    /// Stays pending until someone decides on the portal's page.
    Manual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    Md5,
    Sha256,
    Sm3,
    HmacSha256,
    HmacSm3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    Header,
    Query,
    Body,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Signing {
    StandardWebhooks,
    /// All parameters sorted by name, `a=1&b=2&key=SECRET`.
    Sorted {
        algorithm: Algorithm,
        place: Place,
    },
    /// A template over `{method} {path} {query} {app_id} {timestamp} {nonce} {body} {body_hash} {secret}`.
    Canonical {
        algorithm: Algorithm,
        place: Place,
        template: String,
    },
}

/// What the four signing fields are called, wherever they travel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SignNames {
    pub app_id: String,
    pub timestamp: String,
    pub nonce: String,
    pub sign: String,
}

impl Default for SignNames {
    fn default() -> Self {
        Self {
            app_id: "appId".into(),
            timestamp: "timestamp".into(),
            nonce: "nonce".into(),
            sign: "sign".into(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PortalSettings {
    pub signing: Signing,
    pub names: SignNames,
    pub upper_hex: bool,
    pub tolerance_seconds: i64,
    /// How long a delivery id is remembered; 0 switches de-duplication off.
    pub dedup_seconds: i64,
    pub columns: Vec<String>,
    pub review: Review,
    pub return_reason: String,
    pub adopt_seconds: i64,
    pub publish_seconds: i64,
    pub publish_polls: u32,
    pub title_max: usize,
    pub file_max_bytes: usize,
}

impl Default for PortalSettings {
    fn default() -> Self {
        let columns = [
            "tzgg", "zcwj", "zcjd", "gzdt", "ghjh", "tjsj", "xzxk", "101", "102", "103",
        ];
        Self {
            signing: Signing::StandardWebhooks,
            names: SignNames::default(),
            upper_hex: false,
            tolerance_seconds: 300,
            dedup_seconds: 86_400,
            columns: columns.map(String::from).into(),
            review: Review::Auto,
            return_reason: "标题与正文不符，请核对后重报".into(),
            adopt_seconds: 1,
            publish_seconds: 3,
            publish_polls: 0,
            title_max: 120,
            file_max_bytes: 20 << 20,
        }
    }
}

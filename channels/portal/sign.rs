//! How a portal knows that a call is ours.
//!
//! Three families cover what is seen on government gateways: Standard Webhooks (id, time and body
//! under an HMAC), sorted parameters with the key at the end, and a string put together by the
//! portal's own recipe. Where the pieces go (header, query, body) and what they are called is
//! configuration. A nonce is made of the clock and of chance, both of which come in.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha2::{Digest, Sha256};
use sm3::Sm3;
use standardwebhooks::Webhook;

use crate::contract::{Secret, Timestamp, Words};
use crate::kit::settings::Reader;

#[derive(Debug, Clone)]
pub enum Signing {
    None,
    StandardWebhooks {
        secret: Secret,
        /// `next_secret`: signs too while the key is being changed.
        next: Option<Secret>,
    },
    Sorted(Own),
    /// With the recipe of the string that is signed.
    Canonical(Own, String),
}

/// What the two home-made families share.
#[derive(Debug, Clone)]
pub struct Own {
    pub secret: Secret,
    pub app_id: String,
    pub algorithm: Algorithm,
    pub upper: bool,
    pub place: Place,
    pub names: Names,
    pub time: TimeFormat,
    /// `key_name`: how the secret is called at the end of sorted parameters.
    pub key_name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Md5,
    Sha256,
    Sm3,
    HmacMd5,
    HmacSha256,
    HmacSm3,
}

/// Where signature, time, nonce and app id go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Header,
    Query,
    Body,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeFormat {
    Seconds,
    Millis,
    /// `20261123090000`, in UTC+8 as these platforms expect.
    Text,
}

/// What they are called; an empty name leaves one out.
#[derive(Debug, Clone)]
pub struct Names {
    pub app_id: String,
    pub time: String,
    pub nonce: String,
    pub sign: String,
}

/// One call's own moment.
#[derive(Debug, Clone)]
pub struct Moment {
    pub now: Timestamp,
    pub nonce: String,
}

impl Moment {
    /// `dice` is uniform in `0.0..1.0`; the same time and chance give the same nonce.
    pub fn new(now: Timestamp, dice: f64, id: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&now.timestamp_micros().to_le_bytes());
        hasher.update(&dice.to_le_bytes());
        hasher.update(id.as_bytes());
        let nonce = hasher.finalize().to_hex()[..24].to_owned();
        Self { now, nonce }
    }
}

/// The call as a recipe sees it.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub body: &'a [u8],
}

impl Signing {
    pub fn read(read: &mut Reader<'_>) -> Self {
        #[derive(Clone, Copy)]
        enum Kind {
            None,
            Webhooks,
            Sorted,
            Canonical,
        }
        let kinds = [
            ("none", Kind::None),
            ("standard-webhooks", Kind::Webhooks),
            ("sorted-parameters", Kind::Sorted),
            ("canonical", Kind::Canonical),
        ];
        match read.choice("kind", &kinds, Kind::None) {
            Kind::None => Self::None,
            Kind::Webhooks => Self::StandardWebhooks {
                secret: read.secret("secret"),
                next: read.secret_if_set("next_secret"),
            },
            Kind::Sorted => Self::Sorted(Own::read(read)),
            Kind::Canonical => {
                let recipe = read.required("template");
                unknown_holes(read, &recipe);
                Self::Canonical(Own::read(read), recipe)
            }
        }
    }

    pub fn secrets(&self) -> Vec<&Secret> {
        match self {
            Self::None => Vec::new(),
            Self::StandardWebhooks { secret, next } => {
                std::iter::once(secret).chain(next.as_ref()).collect()
            }
            Self::Sorted(own) | Self::Canonical(own, _) => vec![&own.secret],
        }
    }
}

/// The names that a recipe may hold.
const HOLES: [&str; 9] = [
    "method",
    "path",
    "query",
    "app_id",
    "timestamp",
    "nonce",
    "body",
    "body_hash",
    "secret",
];

fn unknown_holes(read: &mut Reader<'_>, recipe: &str) {
    for piece in recipe.split('{').skip(1) {
        let name = piece.split('}').next().unwrap_or_default();
        if !HOLES.contains(&name) {
            let known = HOLES.join("、");
            read.problem(
                "template",
                format!("{{{name}}} 不认识，可以写 {known}。"),
                format!("{{{name}}} is unknown; write one of {}.", HOLES.join(", ")),
            );
        }
    }
}

impl Own {
    fn read(read: &mut Reader<'_>) -> Self {
        let algorithms = [
            ("md5", Algorithm::Md5),
            ("sha256", Algorithm::Sha256),
            ("sm3", Algorithm::Sm3),
            ("hmac-md5", Algorithm::HmacMd5),
            ("hmac-sha256", Algorithm::HmacSha256),
            ("hmac-sm3", Algorithm::HmacSm3),
        ];
        let places = [
            ("header", Place::Header),
            ("query", Place::Query),
            ("body", Place::Body),
        ];
        let times = [
            ("s", TimeFormat::Seconds),
            ("ms", TimeFormat::Millis),
            ("text", TimeFormat::Text),
        ];
        Self {
            secret: read.secret("secret"),
            app_id: read.text_or("app_id", ""),
            algorithm: read.choice("algorithm", &algorithms, Algorithm::HmacSha256),
            upper: read.flag("upper", false),
            place: read.choice("place", &places, Place::Header),
            time: read.choice("time", &times, TimeFormat::Seconds),
            key_name: read.text_or("key_name", "key"),
            names: Names {
                app_id: read.text_or("app_id_name", "appId"),
                time: read.text_or("time_name", "timestamp"),
                nonce: read.text_or("nonce_name", "nonce"),
                sign: read.text_or("sign_name", "sign"),
            },
        }
    }

    pub fn time(&self, now: Timestamp) -> String {
        match self.time {
            TimeFormat::Seconds => now.timestamp().to_string(),
            TimeFormat::Millis => now.timestamp_millis().to_string(),
            TimeFormat::Text => now
                .with_timezone(&chrono_tz::Asia::Shanghai)
                .format("%Y%m%d%H%M%S")
                .to_string(),
        }
    }

    /// What is sent besides the signature.
    pub fn pieces(&self, moment: &Moment) -> Vec<(String, String)> {
        let pieces = [
            (&self.names.app_id, self.app_id.clone()),
            (&self.names.time, self.time(moment.now)),
            (&self.names.nonce, moment.nonce.clone()),
        ];
        let sent = pieces
            .into_iter()
            .filter(|(name, value)| !name.is_empty() && !value.is_empty());
        sent.map(|(name, value)| (name.clone(), value)).collect()
    }

    /// Over all parameters, sorted by name, empty ones left out, the secret at the end or as key.
    pub fn sorted(&self, parameters: &BTreeMap<String, String>) -> String {
        let mut text = parameters
            .iter()
            .filter(|(name, value)| !value.is_empty() && **name != self.names.sign)
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join("&");
        if !self.algorithm.is_keyed() {
            text.push_str(&format!("&{}={}", self.key_name, self.secret.reveal()));
        }
        self.digest(text.as_bytes())
    }

    /// Over the recipe's string.
    pub fn canonical(&self, recipe: &str, seen: &Seen<'_>, moment: &Moment) -> String {
        let mut text: Vec<u8> = Vec::new();
        let mut rest = recipe;
        while let Some((before, after)) = rest.split_once('{') {
            text.extend_from_slice(before.as_bytes());
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            match name {
                "method" => text.extend_from_slice(seen.method.as_bytes()),
                "path" => text.extend_from_slice(seen.path.as_bytes()),
                "query" => text.extend_from_slice(seen.query.as_bytes()),
                "app_id" => text.extend_from_slice(self.app_id.as_bytes()),
                "timestamp" => text.extend_from_slice(self.time(moment.now).as_bytes()),
                "nonce" => text.extend_from_slice(moment.nonce.as_bytes()),
                "body" => text.extend_from_slice(seen.body),
                "body_hash" => text.extend_from_slice(self.cased(self.plain(seen.body)).as_bytes()),
                "secret" => text.extend_from_slice(self.secret.reveal().as_bytes()),
                _ => {}
            }
            rest = after;
        }
        text.extend_from_slice(rest.as_bytes());
        self.digest(&text)
    }

    fn plain(&self, bytes: &[u8]) -> String {
        match self.algorithm {
            Algorithm::Md5 | Algorithm::HmacMd5 => hex(&Md5::digest(bytes)),
            Algorithm::Sha256 | Algorithm::HmacSha256 => hex(&Sha256::digest(bytes)),
            Algorithm::Sm3 | Algorithm::HmacSm3 => hex(&Sm3::digest(bytes)),
        }
    }

    fn digest(&self, bytes: &[u8]) -> String {
        let key = self.secret.reveal().as_bytes();
        let digest = match self.algorithm {
            Algorithm::Md5 | Algorithm::Sha256 | Algorithm::Sm3 => self.plain(bytes),
            Algorithm::HmacMd5 => keyed::<Hmac<Md5>>(key, bytes),
            Algorithm::HmacSha256 => keyed::<Hmac<Sha256>>(key, bytes),
            Algorithm::HmacSm3 => keyed::<Hmac<Sm3>>(key, bytes),
        };
        self.cased(digest)
    }

    fn cased(&self, digest: String) -> String {
        if self.upper {
            digest.to_uppercase()
        } else {
            digest
        }
    }
}

impl Algorithm {
    fn is_keyed(self) -> bool {
        matches!(self, Self::HmacMd5 | Self::HmacSha256 | Self::HmacSm3)
    }
}

/// An HMAC takes keys of any length, so there is always one.
fn keyed<M: Mac + KeyInit>(key: &[u8], bytes: &[u8]) -> String {
    <M as KeyInit>::new_from_slice(key)
        .map(|mac| hex(&mac.chain_update(bytes).finalize().into_bytes()))
        .unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// Whether the secret is of the kind its signature needs.
pub fn check(signing: &Signing) -> Result<(), Words> {
    let Signing::StandardWebhooks { .. } = signing else {
        return Ok(());
    };
    let bad = signing
        .secrets()
        .iter()
        .any(|secret| !secret.reveal().is_empty() && Webhook::new(secret.reveal()).is_err());
    if bad {
        return Err(Words::new(
            "不是 Standard Webhooks 密钥，应是 whsec_ 加 base64。",
            "is no Standard Webhooks secret: whsec_ and base64.",
        ));
    }
    Ok(())
}

/// The three headers of Standard Webhooks. `id` is the same in every try, the time is not.
pub fn webhook(
    secrets: &[&Secret],
    id: &str,
    now: Timestamp,
    body: &[u8],
) -> Option<[(&'static str, String); 3]> {
    let seconds = now.timestamp();
    let sign = |secret: &&Secret| webhook_signature(secret, id, seconds, body);
    let signatures: Option<Vec<String>> = secrets.iter().map(sign).collect();
    Some([
        (standardwebhooks::HEADER_WEBHOOK_ID, id.to_owned()),
        (
            standardwebhooks::HEADER_WEBHOOK_TIMESTAMP,
            seconds.to_string(),
        ),
        (
            standardwebhooks::HEADER_WEBHOOK_SIGNATURE,
            signatures?.join(" "),
        ),
    ])
}

/// The crate signs text; a body that is none, such as a file, is signed the same way here.
fn webhook_signature(secret: &Secret, id: &str, seconds: i64, body: &[u8]) -> Option<String> {
    if std::str::from_utf8(body).is_ok() {
        return Webhook::new(secret.reveal())
            .ok()?
            .sign(id, seconds, body)
            .ok();
    }
    binary_signature(secret, id, seconds, body)
}

pub fn binary_signature(secret: &Secret, id: &str, seconds: i64, body: &[u8]) -> Option<String> {
    let plain = secret.reveal();
    let key = BASE64
        .decode(plain.strip_prefix("whsec_").unwrap_or(plain))
        .ok()?;
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&key).ok()?;
    let mac = mac
        .chain_update(format!("{id}.{seconds}."))
        .chain_update(body);
    let signed = BASE64.encode(mac.finalize().into_bytes());
    Some(format!("v1,{signed}"))
}

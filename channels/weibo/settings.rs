//! What the configuration may say about a Weibo account, and what holds when it says nothing.

use std::net::IpAddr;
use std::time::Duration;

use crate::contract::{Entry, Problem, Quota, Secret, Window};
use crate::kit::media::Wish;
use crate::kit::settings::Reader;

/// Which call posts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `statuses/share`: 140 characters with a link to the item's own page.
    Share,
    /// 头条文章： the whole text, for accounts that Weibo has let in.
    Article,
}

#[derive(Debug, Clone)]
pub struct Settings {
    /// `api`, default `https://api.weibo.com`.
    pub api: String,
    /// `web`, default `https://weibo.com`: where readers find posts.
    pub web: String,
    pub access_token: Secret,
    /// Digits; the account that granted the token.
    pub uid: String,
    /// `mode`, default `share`.
    pub mode: Mode,
    /// The domain registered with the app, without scheme: `fgw.example.gov.cn`.
    pub safe_domain: String,
    /// The office's public IP address, which the platform wants to be told.
    pub rip: String,
    /// `picture`, default true: send the cover or the first image along.
    pub picture: bool,
    /// `cover_url`, the picture of articles; only mode `article` needs it.
    pub cover_url: String,
    /// `encode_content`, default true: the vendor's own sample encodes an article's text once more.
    pub encode_content: bool,
    /// `repeat_when_absent`, default true: the platform refuses identical posts in a row as well.
    pub repeat_when_absent: bool,
    pub limits: Limits,
    pub image: Wish,
    pub quotas: Vec<Quota>,
    /// `settle`, default 3m: copies lag by one or two minutes.
    pub settle: Duration,
    /// `unknown_plan`, default 3m, 10m, 30m, 2h.
    pub unknown_plan: Vec<Duration>,
    /// `review_plan`, default 3m, 10m, 1h, 1d: every look spends one of 100 calls a day.
    pub review_plan: Vec<Duration>,
}

/// `[limits]`.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// 140 Weibo characters; 1900 for the post that carries an article.
    pub text: u64,
    /// 32 characters, articles only.
    pub title: u64,
    /// 90,000 characters, articles only.
    pub body: u64,
}

impl Settings {
    pub fn read(entry: &Entry<'_>) -> Result<Self, Vec<Problem>> {
        let mut read = Reader::new(entry);
        let modes = [("share", Mode::Share), ("article", Mode::Article)];
        let mode = read.choice("mode", &modes, Mode::Share);
        let settings = Self {
            api: read.base_url("api", Some("https://api.weibo.com")),
            web: read.base_url("web", Some("https://weibo.com")),
            access_token: read.secret("access_token"),
            uid: uid(&mut read),
            mode,
            safe_domain: safe_domain(&mut read),
            rip: rip(&mut read),
            picture: read.flag("picture", true),
            cover_url: match mode {
                Mode::Share => read.text_or("cover_url", ""),
                Mode::Article => read.base_url("cover_url", None),
            },
            encode_content: read.flag("encode_content", true),
            repeat_when_absent: read.flag("repeat_when_absent", true),
            limits: read.nested("limits", |read| limits(read, mode)),
            image: read.nested("image", image),
            quotas: read.nested("quotas", quotas),
            settle: read.duration("settle", minutes(3)),
            unknown_plan: read.plan("unknown_plan", &[3, 10, 30, 120].map(minutes)),
            review_plan: read.plan("review_plan", &[3, 10, 60, 1_440].map(minutes)),
        };
        read.finish(settings)
    }

    /// Whether an address lies on the domain registered with the app.
    pub fn is_safe(&self, address: &str) -> bool {
        let Ok(url) = url::Url::parse(address) else {
            return false;
        };
        let Some(host) = url.host_str() else {
            return false;
        };
        let inside = host
            .strip_suffix(&self.safe_domain)
            .is_some_and(|rest| rest.ends_with('.'));
        matches!(url.scheme(), "http" | "https") && (host == self.safe_domain || inside)
    }
}

fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}

fn uid(read: &mut Reader<'_>) -> String {
    let uid = read.required("uid");
    if !uid.bytes().all(|b| b.is_ascii_digit()) {
        read.problem("uid", "应是一串数字。", "must be digits.");
    }
    uid
}

fn safe_domain(read: &mut Reader<'_>) -> String {
    let domain = read.required("safe_domain").to_lowercase();
    if domain.contains(['/', ':', ' ']) {
        let zh = "只写域名，如 fgw.example.gov.cn，不带 https://。";
        read.problem(
            "safe_domain",
            zh,
            "write the domain alone, without https://.",
        );
    }
    domain
}

fn rip(read: &mut Reader<'_>) -> String {
    let rip = read.required("rip");
    let public = rip
        .parse::<IpAddr>()
        .is_ok_and(|ip| !ip.is_loopback() && !ip.is_unspecified());
    if !rip.is_empty() && !public {
        read.problem(
            "rip",
            "应是本单位出口的公网 IP。",
            "must be the office's public IP address.",
        );
    }
    rip
}

fn limits(read: &mut Reader<'_>, mode: Mode) -> Limits {
    let text = match mode {
        Mode::Share => read.count("text", 140, 20..=140),
        Mode::Article => read.count("text", 1_900, 20..=1_900),
    };
    Limits {
        text,
        title: read.count("title", 32, 1..=32),
        body: read.count("body", 90_000, 100..=90_000),
    }
}

/// `[image]`: JPEG, GIF or PNG under 5 MB.
fn image(read: &mut Reader<'_>) -> Wish {
    let side = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    Wish {
        max_bytes: read.count("max_bytes", 4_900_000, 10_000..=5_242_879),
        max_width: side(read.count("max_width", 2_048, 100..=8_192)),
        max_height: side(read.count("max_height", 8_192, 100..=16_384)),
        png: read.flag("png", true),
    }
}

/// `[quotas]`: reads and writes count together.
fn quotas(read: &mut Reader<'_>) -> Vec<Quota> {
    [
        ("calls", 100, 20, Window::Day),
        ("posts", 30, 0, Window::Hour),
    ]
    .into_iter()
    .map(|(name, default, reserve, window)| {
        let limit = u32::try_from(read.count(name, default, 1..=50_000)).unwrap_or(u32::MAX);
        Quota {
            name: name.to_owned(),
            window,
            limit,
            reserve: reserve.min(limit),
        }
    })
    .collect()
}

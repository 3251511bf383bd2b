//! What the configuration may say about a WeChat account, and what holds when it says nothing.
//!
//! Every figure here is documented by the platform or, where its documents and its behaviour
//! differ, the smaller of the two. Figures are settings because accounts differ and the platform
//! changes them without notice.

use std::sync::LazyLock;
use std::time::Duration;

use crate::contract::{DraftMedia, Entry, Problem, Quota, Secret, Window};
use crate::kit::media::{self, BadImage, Wish};
use crate::kit::settings::Reader;

/// How an article gets out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// 发布： a permanent page, not pushed to followers.
    Publish,
    /// 群发： pushed to followers.
    Mass,
    /// The article waits in the draft box; a person presses publish.
    Draft,
}

/// `account_type`, default `subscription`: how many mass sends there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AccountType {
    /// 公众号 (formerly 订阅号): one mass send a day.
    Subscription,
    /// 服务号： four mass sends a month.
    Service,
}

#[derive(Debug, Clone)]
pub struct Settings {
    /// `api`, default `https://api.weixin.qq.com`.
    pub api: String,
    pub app_id: String,
    pub app_secret: Secret,
    /// `mode`, default `publish`.
    pub mode: Mode,
    /// `author`, default the office's name.
    pub author: String,
    /// `gather`, default 1: documents in one post.
    pub gather: u8,
    /// `default_cover`, a file; default a plain picture.
    pub default_cover: DraftMedia,
    /// `open_comment`, default false.
    pub open_comment: bool,
    /// `fans_only_comment`, default false.
    pub fans_only_comment: bool,
    /// `tag_id`: the group a mass send goes to; default everyone.
    pub tag_id: Option<u64>,
    /// `repeat_when_absent`, default false: what a second submit of one draft does is unknown.
    pub repeat_when_absent: bool,
    pub limits: Limits,
    pub image: Wish,
    pub quotas: Vec<Quota>,
    /// `settle`, default 10m.
    pub settle: Duration,
    /// `unknown_plan`, default 10m, 25m, 1h, 4h.
    pub unknown_plan: Vec<Duration>,
    /// `review_plan`, default 20s, 1m, 3m, 10m, 30m, 2h.
    pub review_plan: Vec<Duration>,
}

/// `[limits]`, in characters unless said otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// 32, as documented since 2025-12; some accounts take 64.
    pub title: u64,
    /// 16.
    pub author: u64,
    /// 120; documented are 128, clients report 120.
    pub summary: u64,
    /// 19,999: fewer than 20,000.
    pub body: u64,
    /// 1,000,000 bytes.
    pub body_bytes: u64,
    /// 1,024 bytes of address.
    pub link_bytes: u64,
}

/// What 900×383 shows uncut in lists.
const COVER: (u32, u32) = (900, 383);
const BLUE: [u8; 3] = [0x0b, 0x4a, 0x8f];
const RED: [u8; 3] = [0x9f, 0x1d, 0x1d];

/// A constant, made once because encoding it takes a while.
static PLAIN: LazyLock<Result<DraftMedia, BadImage>> =
    LazyLock::new(|| media::plain_cover(COVER.0, COVER.1, BLUE, RED));

impl Settings {
    pub fn read(entry: &Entry<'_>) -> Result<Self, Vec<Problem>> {
        let mut read = Reader::new(entry);
        let modes = [
            ("publish", Mode::Publish),
            ("mass", Mode::Mass),
            ("draft", Mode::Draft),
        ];
        let types = [
            ("subscription", AccountType::Subscription),
            ("service", AccountType::Service),
        ];
        let account_type = read.choice("account_type", &types, AccountType::Subscription);
        let image = read.nested("image", image);
        let settings = Self {
            api: read.base_url("api", Some("https://api.weixin.qq.com")),
            app_id: read.required("app_id"),
            app_secret: read.secret("app_secret"),
            mode: read.choice("mode", &modes, Mode::Publish),
            author: read.text_or("author", entry.publisher),
            gather: u8::try_from(read.count("gather", 1, 1..=8)).unwrap_or(1),
            default_cover: default_cover(&mut read, entry, &image),
            open_comment: read.flag("open_comment", false),
            fans_only_comment: read.flag("fans_only_comment", false),
            tag_id: Some(read.count("tag_id", 0, 0..=u64::from(u32::MAX))).filter(|tag| *tag > 0),
            repeat_when_absent: read.flag("repeat_when_absent", false),
            limits: read.nested("limits", limits),
            image,
            quotas: read.nested("quotas", |read| quotas(read, account_type)),
            settle: read.duration("settle", minutes(10)),
            unknown_plan: read.plan("unknown_plan", &[10, 25, 60, 240].map(minutes)),
            review_plan: read.plan(
                "review_plan",
                &[20, 60, 180, 600, 1_800, 7_200].map(Duration::from_secs),
            ),
        };
        read.finish(settings)
    }
}

fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}

fn limits(read: &mut Reader<'_>) -> Limits {
    Limits {
        title: read.count("title", 32, 1..=64),
        author: read.count("author", 16, 1..=64),
        summary: read.count("summary", 120, 1..=128),
        body: read.count("body", 19_999, 100..=50_000),
        body_bytes: read.count("body_bytes", 1_000_000, 1_000..=1_048_576),
        link_bytes: read.count("link_bytes", 1_024, 100..=1_024),
    }
}

/// `[image]`: under 1 MB, jpg or png; extreme sides are refused by the platform.
fn image(read: &mut Reader<'_>) -> Wish {
    let side = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    Wish {
        max_bytes: read.count("max_bytes", 1_000_000, 10_000..=1_048_575),
        max_width: side(read.count("max_width", 1_080, 100..=4_096)),
        max_height: side(read.count("max_height", 4_096, 100..=8_192)),
        png: read.flag("png", true),
    }
}

/// `[quotas]`: calls a day as documented for a new account; the console shows the real figures.
fn quotas(read: &mut Reader<'_>, account_type: AccountType) -> Vec<Quota> {
    let (mass_window, mass) = match account_type {
        AccountType::Subscription => (Window::Day, 1),
        AccountType::Service => (Window::Month, 4),
    };
    let rows = [
        ("upload", 5_000, 0, Window::Day),
        ("draft_add", 1_000, 0, Window::Day),
        ("draft_update", 1_000, 0, Window::Day),
        ("draft_get", 500, 50, Window::Day),
        ("draft_list", 1_000, 50, Window::Day),
        ("draft_delete", 1_000, 50, Window::Day),
        ("submit", 100, 0, Window::Day),
        ("publish_get", 100, 10, Window::Day),
        ("publish_list", 100, 10, Window::Day),
        ("publish_read", 100, 10, Window::Day),
        ("delete", 10, 10, Window::Day),
        ("mass", mass, 0, mass_window),
    ];
    rows.into_iter()
        .map(|(name, default, reserve, window)| {
            let limit = read.count(name, default, 0..=10_000_000);
            let limit = u32::try_from(limit).unwrap_or(u32::MAX);
            Quota {
                name: name.to_owned(),
                window,
                limit,
                reserve: reserve.min(limit),
            }
        })
        .collect()
}

fn default_cover(read: &mut Reader<'_>, entry: &Entry<'_>, wish: &Wish) -> DraftMedia {
    let cover = match read.text("default_cover") {
        None => PLAIN.clone(),
        Some(path) => {
            let bytes = std::fs::read(entry.base.join(&path)).unwrap_or_default();
            media::fit(&bytes, wish)
        }
    };
    cover.unwrap_or_else(|bad| {
        let why = bad.words();
        read.problem(
            "default_cover",
            format!("这个文件不能作封面：{}。", why.zh),
            format!("this file cannot be a cover: {}.", why.en),
        );
        DraftMedia::new(String::new(), String::new(), Vec::new())
    })
}

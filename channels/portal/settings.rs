//! What the configuration says about a portal: addresses, names, codes, all of it as data.
//!
//! The defaults speak plain REST. `calls = "push"` takes all calls away but the first, for portals
//! that only take in; each call then has its own table.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::Value;

use super::MINUTE;
use super::answer::{Answers, Judgement, Rule, States};
use super::article::Fields;
use super::call::{Calls, Defaults};
use super::sign::Signing;
use super::template::Templates;
use crate::contract::{Effect, Entry, Limit, Problem, Secret, Unit};
use crate::kit::settings::{Reader, parse_duration};

#[derive(Debug)]
pub struct Settings {
    /// `endpoint`: where articles are sent.
    pub endpoint: String,
    /// `name`: what the portal is called in messages; default 门户.
    pub name: String,
    pub signing: Signing,
    pub calls: Calls,
    pub templates: Templates,
    pub fields: Fields,
    pub columns: Columns,
    /// `deduplicates`: how long the portal drops a second push with the same id; default never.
    pub create: Effect,
    pub answers: Answers,
    pub judgement: Judgement,
    pub states: States,
    /// `throttle_applied`, default true: a call answered with 429 may have been applied.
    pub throttle_applied: bool,
    /// `read_page`, default false: read the public page before calling an article published.
    pub read_page: bool,
    /// `page_hosts`: where public pages may be read; default the endpoint's host.
    pub page_hosts: Vec<String>,
    /// `reviews`, default true.
    pub reviews: bool,
    /// `repeat_when_absent`, default false.
    pub repeat_when_absent: bool,
    pub limits: Vec<Limit>,
    pub settle: Duration,
    pub unknown_plan: Vec<Duration>,
    pub review_plan: Vec<Duration>,
}

/// 栏目: which column of the portal a category goes to.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    by_code: BTreeMap<String, String>,
    /// `default_column`
    pub default: Option<String>,
}

impl Columns {
    /// The column of a category; `None` where neither it nor a default is configured.
    pub fn of(&self, code: &str) -> Option<&str> {
        let found = self.by_code.get(code).or(self.default.as_ref());
        found.map(String::as_str)
    }

    pub fn is_named(&self) -> bool {
        !self.by_code.is_empty()
    }
}

impl Settings {
    pub fn read(entry: &Entry<'_>) -> Result<Self, Vec<Problem>> {
        let mut read = Reader::new(entry);
        let endpoint = read.base_url("endpoint", None);
        let signing = read.nested("signing", Signing::read);
        let rest = [("rest", true), ("push", false)];
        let defaults = Defaults {
            rest: read.choice("calls", &rest, true),
            envelope: matches!(signing, Signing::StandardWebhooks { .. }),
        };
        let mut templates = Templates::default();
        let calls = Calls::read(&mut read, defaults, &mut templates);
        let settings = Self {
            name: read.text_or("title", "门户"),
            calls,
            fields: Fields::read(&mut read, defaults, &mut templates),
            columns: columns(&mut read),
            create: effect(&mut read),
            answers: read.nested("answer", Answers::read),
            judgement: judgement(&mut read),
            states: read.nested("states", States::read),
            throttle_applied: read.flag("throttle_applied", true),
            read_page: read.flag("read_page", false),
            page_hosts: read.texts("page_hosts").unwrap_or_else(|| host(&endpoint)),
            reviews: read.flag("reviews", true),
            repeat_when_absent: read.flag("repeat_when_absent", false),
            limits: read.nested("limits", limits),
            settle: read.duration("settle", MINUTE * 2),
            unknown_plan: read.plan("unknown_plan", &[2, 10, 60, 240].map(|n| MINUTE * n)),
            review_plan: read.plan(
                "review_plan",
                &[10, 60, 300, 1_800, 7_200].map(Duration::from_secs),
            ),
            endpoint,
            signing,
            templates,
        };
        if let Err(wrong) = super::sign::check(&settings.signing) {
            read.problem("signing.secret", wrong.zh, wrong.en);
        }
        read.finish(settings)
    }

    /// Everything that may never be quoted.
    pub fn secrets(&self) -> Vec<&Secret> {
        self.signing.secrets()
    }
}

fn host(endpoint: &str) -> Vec<String> {
    let url = url::Url::parse(endpoint).ok();
    let host = url.and_then(|url| url.host_str().map(ToOwned::to_owned));
    host.into_iter().collect()
}

/// A table of texts whose keys are free.
pub fn texts(read: &mut Reader<'_>, key: &str) -> BTreeMap<String, String> {
    let table = read.nested(key, Reader::rest);
    let mut texts = BTreeMap::new();
    for (name, value) in table {
        match value {
            Value::String(text) => drop(texts.insert(name, text)),
            Value::Integer(number) => drop(texts.insert(name, number.to_string())),
            other => {
                let given = other.type_str();
                read.problem(
                    &format!("{key}.{name}"),
                    format!("应是一段文字，现在是 {given}。"),
                    format!("must be a string, not {given}."),
                );
            }
        }
    }
    texts
}

fn columns(read: &mut Reader<'_>) -> Columns {
    Columns {
        by_code: texts(read, "columns"),
        default: read.text("default_column"),
    }
}

fn effect(read: &mut Reader<'_>) -> Effect {
    let pause = read.duration("pause", MINUTE);
    let Some(text) = read.text("deduplicates") else {
        return Effect::Public;
    };
    match parse_duration(&text) {
        Some(window) if window > pause => Effect::Keyed { window, pause },
        _ => {
            read.problem(
                "deduplicates",
                format!("“{text}”应是比 pause 长的时长，如 24h。"),
                format!("`{text}` must be a duration longer than `pause`, such as 24h."),
            );
            Effect::Public
        }
    }
}

fn judgement(read: &mut Reader<'_>) -> Judgement {
    let success = read.nested("success", |read| {
        Rule::read(read, &["2xx"], "/code", &["0", "200", "success"])
    });
    let duplicate = read.nested("duplicate", |read| Rule::read(read, &[], "", &[]));
    let failures = texts(read, "failures");
    let (failures, wrong) = super::fate::meanings(failures);
    for key in wrong {
        read.problem(
            &format!("failures.{key}"),
            "只能写 again、never、blocked、goal、missing、duplicate 或 unsure。",
            "must be again, never, blocked, goal, missing, duplicate or unsure.",
        );
    }
    Judgement {
        success,
        duplicate,
        failures,
    }
}

fn limits(read: &mut Reader<'_>) -> Vec<Limit> {
    let mut limits = Vec::new();
    for field in ["title", "summary", "source", "body"] {
        let max = read.count(field, 0, 1..=10_000_000);
        if max > 0 {
            limits.push(Limit {
                field,
                max,
                unit: Unit::Characters,
            });
        }
    }
    limits
}

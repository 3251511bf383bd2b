//! The verdict on one office, once everything is at rest or has an owner.
//!
//! What the platforms hold is read from the sandbox's ledger and what readers see, never from the daemon; the site is read
//! over HTTP and from its folder. The daemon is asked only what it says of itself, to be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, FixedOffset};
use lubu_sandbox::{PublicPost, Row as LedgerRow, Sight};
use reqwest::Method;
use serde_json::Value;

use super::book::{Book, Item};
use super::office::{Office, Said, Ways};
use crate::table::{Tally, count};

/// `settle` of the channels: two looks that agree are at least so far apart. Looks that agree stand in one line.
const SETTLE: Duration = Duration::from_secs(3);

/// What was found.
#[derive(Debug, Default)]
pub struct Verdict {
    pub broken: Vec<String>,
    pub states: Tally,
    pub facts: Tally,
}

/// The platforms' side of one item.
#[derive(Debug, Default)]
struct Outside {
    /// Public copies that readers can see now.
    visible: BTreeMap<&'static str, usize>,
    /// How often a copy became visible.
    appeared: BTreeMap<&'static str, usize>,
    /// Where the platform itself applied a call twice.
    twins: BTreeSet<&'static str>,
    first_effect_ms: Option<i64>,
}

pub async fn judge(office: &Office, book: &Book) -> Verdict {
    let mut verdict = Verdict::default();
    let listed = match office.ask(Method::GET, "/v1/items?limit=500", None).await {
        Said::Yes(listed) => listed,
        other => {
            verdict
                .broken
                .push(format!("the items cannot be listed: {other:?}"));
            return verdict;
        }
    };
    let empty = Vec::new();
    let rows = listed["items"].as_array().unwrap_or(&empty);
    let public = office.sandbox.public();
    let ledger = office.sandbox.ledger();
    for item in &book.items {
        let named: Vec<&Value> = rows
            .iter()
            .filter(|row| {
                row["title"]
                    .as_str()
                    .is_some_and(|title| title.ends_with(&item.token))
            })
            .collect();
        if named.len() > 1 {
            verdict.broken.push(format!(
                "{} was taken in {} times under one key",
                item.token,
                named.len()
            ));
        }
        let id = named.first().and_then(|row| row["id"].as_str());
        if item.id.is_some() && id != item.id.as_deref() {
            verdict.broken.push(format!(
                "LOST: {} was taken in and is not there",
                item.token
            ));
        }
        let Some(id) = id else { continue };
        let outside = Outside::of(item, id, &public, &ledger);
        verdict.unapproved(item, id, &outside, office);
        if item.signed.asked_at().is_some() {
            verdict.item(office, item, id, &outside).await;
        }
    }
    verdict
}

impl Outside {
    fn of(item: &Item, id: &str, public: &[PublicPost], ledger: &[LedgerRow]) -> Self {
        let mut outside = Self::default();
        let mut markers = BTreeSet::new();
        for post in public {
            if post.title.contains(&item.token)
                || post.text.contains(&item.token)
                || post.link.contains(id)
            {
                *outside.visible.entry(post.platform.name()).or_default() += 1;
                // The portal's marker is the key, which does not tell the item.
                markers.insert((post.platform, post.marker.clone()));
            }
        }
        for row in ledger {
            let ours = |marker: &str| {
                marker.contains(id) || markers.contains(&(row.platform, marker.to_owned()))
            };
            for effect in row.effects.iter().filter(|effect| ours(&effect.marker)) {
                let first = outside.first_effect_ms.get_or_insert(row.at_ms);
                *first = (*first).min(row.at_ms);
                if row.fault.as_deref() == Some("applied_twice") {
                    outside.twins.insert(row.platform.name());
                }
                if effect.sight == Sight::Appeared {
                    *outside.appeared.entry(row.platform.name()).or_default() += 1;
                }
            }
        }
        outside
    }
}

impl Verdict {
    /// Harm 1: nothing leaves without an approval, and nothing before it.
    fn unapproved(&mut self, item: &Item, id: &str, outside: &Outside, office: &Office) {
        let first = outside.first_effect_ms;
        match item.signed.asked_at() {
            Some(asked) if first.is_some_and(|first| first < asked) => {
                self.broken.push(format!(
                    "UNAPPROVED: {} left before it was signed",
                    item.token
                ));
            }
            None if first.is_some() || !outside.visible.is_empty() => {
                self.broken
                    .push(format!("UNAPPROVED: {} left: {outside:?}", item.token));
            }
            None if is_named_below(&office.folder.join("public"), id) => {
                self.broken
                    .push(format!("UNAPPROVED: {} stands on the site", item.token));
            }
            _ => {}
        }
    }

    async fn item(&mut self, office: &Office, item: &Item, id: &str, outside: &Outside) {
        let show = match office
            .ask(Method::GET, &format!("/v1/items/{id}"), None)
            .await
        {
            Said::Yes(show) => show,
            other => {
                self.broken
                    .push(format!("LOST: {id} cannot be shown: {other:?}"));
                return;
            }
        };
        if item.signed.is_granted() && show["item"]["approved_revision"] != 1 {
            self.broken
                .push(format!("LOST: the approval of {}", item.token));
        }
        if item.withdrawn.is_granted() && show["item"]["withdrawn"].is_null() {
            self.broken
                .push(format!("LOST: the withdrawal of {}", item.token));
        }
        let empty = Vec::new();
        let parts = show["timeline"].as_array().unwrap_or(&empty);
        if item.signed.is_granted() && parts.len() != 4 {
            self.broken.push(format!(
                "LOST: {} has {} of 4 deliveries",
                item.token,
                parts.len()
            ));
        }
        for part in parts {
            self.delivery(office, item, part, outside).await;
        }
    }

    async fn delivery(&mut self, office: &Office, item: &Item, part: &Value, outside: &Outside) {
        let one = &part["delivery"];
        let channel = one["channel"].as_str().unwrap_or_default();
        let state = one["state"].as_str().unwrap_or_default();
        let owned = one["needs_person"] == true;
        let name = format!(
            "{} on {channel} ({state}): {}",
            item.token, one["reason_en"]
        );
        count(
            &mut self.states,
            &if owned {
                format!("{state}, a person's")
            } else {
                state.to_owned()
            },
        );
        let visible = match channel {
            "site" => self.on_site(office, item, one).await,
            platform => outside.visible.get(platform).copied().unwrap_or(0),
        };
        // Whoever kills the daemon, it is none of these.
        if one["reason_en"]
            .as_str()
            .is_some_and(|why| why.contains("it is set aside"))
        {
            self.broken.push(format!("SET ASIDE: {name}"));
        }
        let twin = outside.twins.contains(channel);
        if visible > 1
            || outside
                .appeared
                .get(channel)
                .is_some_and(|count| *count > 1)
        {
            let noticed = if owned { "noticed" } else { "not noticed" };
            if twin {
                count(
                    &mut self.facts,
                    &format!("doubled by the platform itself on {channel}, {noticed}"),
                );
            } else {
                self.broken
                    .push(format!("DOUBLED: {name}: {visible} visible, {outside:?}"));
            }
        }
        match state {
            "published" if visible == 0 => self
                .broken
                .push(format!("LOST: {name}: readers do not see it")),
            "withdrawn" if visible > 0 && !twin => {
                self.broken
                    .push(format!("LOST: {name}: readers still see it"));
            }
            "published" | "withdrawn" => {}
            // Withdrawn before it ever left.
            "skipped" if item.withdrawn != super::book::Wish::Unasked && visible == 0 => {}
            _ if !owned => self
                .broken
                .push(format!("STUCK: {name}: neither at rest nor with an owner")),
            _ => {}
        }
        self.attempts(office.ways, channel, &name, state, part);
    }

    /// What the daemon says it did must explain what it does not know, and must hold no repeat on doubt.
    fn attempts(&mut self, ways: Ways, channel: &str, name: &str, state: &str, part: &Value) {
        let empty = Vec::new();
        let attempts = part["attempts"].as_array().unwrap_or(&empty);
        let outcome = |one: &Value| one["outcome"].as_str().unwrap_or_default().to_owned();
        let doubtful = |one: &&Value| matches!(outcome(one).as_str(), "open" | "unsure");
        if state == "unconfirmed" {
            count(&mut self.facts, "unconfirmed");
            if !attempts.iter().any(|one| doubtful(&one)) {
                self.broken.push(format!(
                    "UNEXPLAINED: {name}: no attempt without an outcome: {}",
                    told(attempts)
                ));
            }
        }
        let public = match (channel, ways) {
            ("weibo", _) => "share",
            ("wechat", Ways::Public) => "submit",
            ("portal", Ways::Public) => "create",
            _ => return,
        };
        let (mut doubt, mut absent, mut repeats) = (false, Absence::default(), 0);
        for one in attempts {
            if one["step"] == public {
                if doubt {
                    repeats += 1;
                    count(&mut self.facts, &format!("automatic repeats on {channel}"));
                    if channel != "weibo" || absent.lasted() < SETTLE || repeats > 1 {
                        self.broken
                            .push(format!("REPEATED on doubt: {name}: {}", told(attempts)));
                    }
                }
                (doubt, absent) = (doubtful(&one), Absence::default());
                count(
                    &mut self.facts,
                    &format!("{channel} {public}: {}", outcome(one)),
                );
            } else if one["step"] == "look" {
                if outcome(one) == "absent" {
                    absent.add(one);
                }
                doubt &= outcome(one) != "found";
            }
        }
    }

    /// Whether a reader of the site finds the item at its address.
    async fn on_site(&mut self, office: &Office, item: &Item, one: &Value) -> usize {
        let Some(url) = one["url"].as_str() else {
            return 0;
        };
        match office.page(url).await {
            Some((200, html)) if html.contains(&item.token) => 1,
            _ => 0,
        }
    }
}

/// From the first look that found nothing to the last one.
#[derive(Debug, Default)]
struct Absence {
    first: Option<DateTime<FixedOffset>>,
    last: Option<DateTime<FixedOffset>>,
}

impl Absence {
    /// A line of the log: looks that agree stand in one.
    fn add(&mut self, look: &Value) {
        let at = |key: &str| DateTime::parse_from_rfc3339(look[key].as_str()?).ok();
        self.first = self.first.or(at("began"));
        self.last = at("ended");
    }

    fn lasted(&self) -> Duration {
        let span = self.first.zip(self.last).map(|(first, last)| last - first);
        span.and_then(|span| span.to_std().ok()).unwrap_or_default()
    }
}

/// Attempts in a few words.
fn told(attempts: &[Value]) -> String {
    let one = |one: &Value| {
        let word = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        format!("{} {} {}", word("began"), word("step"), word("outcome"))
    };
    attempts.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn is_named_below(folder: &Path, id: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let named = entry.file_name().to_string_lossy().contains(id);
        named || entry.path().is_dir() && is_named_below(&entry.path(), id)
    })
}

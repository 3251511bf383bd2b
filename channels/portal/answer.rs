//! Reading what a portal answers, by the places its manual names.
//!
//! A place is a JSON pointer such as `/data/id`, or, where answers are XML, an element such as
//! `<IDS>`. A status alone never means success: most of these platforms say no under 200.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fate::Meaning;
use crate::contract::Reply;
use crate::kit::settings::Reader;
use crate::kit::{html, json};

/// A reply, read once.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    json: Option<Value>,
    text: String,
}

impl Answer {
    pub fn of(reply: &Reply) -> Self {
        Self {
            status: reply.status,
            json: json::parse(&reply.body),
            text: String::from_utf8_lossy(&reply.body).into_owned(),
        }
    }

    /// What stands at a place; numbers and flags as they are written.
    pub fn text(&self, place: &str) -> Option<String> {
        if let Some(element) = place.strip_prefix('<') {
            return self.element(element.trim_end_matches('>'));
        }
        scalar(self.value(place)?)
    }

    pub fn value(&self, place: &str) -> Option<&Value> {
        if place.is_empty() {
            return None;
        }
        self.json.as_ref()?.pointer(place)
    }

    /// The text of the first element of this name, without looking at name spaces.
    fn element(&self, name: &str) -> Option<String> {
        let start = self.text.match_indices(name).find(|(at, _)| {
            let before = self.text[..*at].chars().next_back();
            let after = self.text[at + name.len()..].chars().next();
            matches!(before, Some('<' | ':')) && matches!(after, Some('>' | ' '))
        })?;
        let rest = &self.text[start.0..];
        let (_, inner) = rest.split_once('>')?;
        let (inner, _) = inner.split_once("</")?;
        let inner = inner.trim();
        let plain = inner
            .strip_prefix("<![CDATA[")
            .and_then(|inner| inner.strip_suffix("]]>"));
        let text = plain.map_or_else(|| html::unescape(inner), ToOwned::to_owned);
        let text = text.trim().to_owned();
        (!text.is_empty()).then_some(text)
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// `[answer]`: the places.
#[derive(Debug, Clone)]
pub struct Answers {
    pub id: String,
    pub address: String,
    pub message: String,
    pub code: String,
    pub state: String,
    /// Why an editor sent it back.
    pub reason: String,
    /// Where a lookup lists what it found.
    pub rows: String,
    pub file_id: String,
    pub file_address: String,
    pub request_id: String,
}

impl Answers {
    pub fn read(read: &mut Reader<'_>) -> Self {
        Self {
            id: place(read, "id", "/data/id"),
            address: place(read, "address", "/data/url"),
            message: place(read, "message", "/message"),
            code: place(read, "code", "/code"),
            state: place(read, "state", "/data/status"),
            reason: place(read, "reason", "/data/reason"),
            rows: place(read, "rows", "/data"),
            file_id: place(read, "file_id", "/data/id"),
            file_address: place(read, "file_address", "/data/url"),
            request_id: place(read, "request_id", ""),
        }
    }
}

fn place(read: &mut Reader<'_>, key: &str, default: &str) -> String {
    let text = read.text_or(key, default);
    let element = text.starts_with('<') && text.ends_with('>') && text.len() > 2;
    if !(text.is_empty() || text.starts_with('/') || element) {
        read.problem(
            key,
            format!("“{text}”应是 /data/id 这样的 JSON 指针，或 <ID> 这样的元素名。"),
            format!(
                "`{text}` must be a JSON pointer such as /data/id, or an element such as <ID>."
            ),
        );
    }
    text
}

/// A test of an answer. Without any condition it never holds.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    /// Such as `2xx` or `201`.
    status: Vec<String>,
    pointer: String,
    values: Vec<String>,
    contains: String,
}

/// How a test came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    Yes,
    No,
    /// The place it asks about is not in the answer.
    Unreadable,
}

impl Rule {
    pub fn read(read: &mut Reader<'_>, status: &[&str], pointer: &str, values: &[&str]) -> Self {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let status: Vec<String> = read.texts("status").unwrap_or_else(|| owned(status));
        let good = |text: &String| {
            let (first, rest) = text.split_at_checked(1).unwrap_or_default();
            let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
            text.len() == 3 && digits(first) && (rest == "xx" || digits(rest))
        };
        if let Some(bad) = status.iter().find(|text| !good(text)) {
            read.problem(
                "status",
                format!("“{bad}”应写成 200 或 2xx。"),
                format!("`{bad}` must be written as 200 or 2xx."),
            );
        }
        Self {
            pointer: place(read, "pointer", pointer),
            values: read.texts("values").unwrap_or_else(|| owned(values)),
            contains: read.text_or("contains", ""),
            status,
        }
    }

    pub fn holds(&self, answer: &Answer) -> Held {
        let asks = !(self.pointer.is_empty() && self.contains.is_empty());
        if self.status.is_empty() && !asks {
            return Held::No;
        }
        let status = answer.status.to_string();
        let matches = |wanted: &String| {
            *wanted == status || wanted[1..] == *"xx" && wanted[..1] == status[..1]
        };
        if !self.status.is_empty() && !self.status.iter().any(matches) {
            return Held::No;
        }
        if !self.contains.is_empty() && !answer.text.contains(&self.contains) {
            return Held::No;
        }
        if self.pointer.is_empty() {
            return Held::Yes;
        }
        match answer.text(&self.pointer) {
            None => Held::Unreadable,
            Some(found) if self.values.contains(&found) => Held::Yes,
            Some(_) => Held::No,
        }
    }
}

/// What answers mean.
#[derive(Debug, Clone)]
pub struct Judgement {
    pub success: Rule,
    pub duplicate: Rule,
    /// By status or by the code in the body; a pattern may end in `*`.
    pub failures: BTreeMap<String, Meaning>,
}

impl Judgement {
    /// The meaning of a code: written out, else by the longest pattern that fits.
    pub fn meaning(&self, code: &str) -> Option<Meaning> {
        if let Some(meaning) = self.failures.get(code) {
            return Some(*meaning);
        }
        let patterns = self.failures.iter().filter_map(|(pattern, meaning)| {
            let start = pattern.strip_suffix('*')?;
            code.starts_with(start).then_some((start.len(), *meaning))
        });
        patterns
            .max_by_key(|(length, _)| *length)
            .map(|(_, meaning)| meaning)
    }
}

/// What an article's state over there means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Pending,
    Published,
    Returned,
    Withdrawn,
}

/// `[states]`: the platform's words or numbers for them.
#[derive(Debug, Clone)]
pub struct States(Vec<(String, State)>);

impl States {
    pub fn read(read: &mut Reader<'_>) -> Self {
        let mut states = Vec::new();
        let usual: [(&str, State, &[&str]); 4] = [
            (
                "pending",
                State::Pending,
                &["pending", "adopted", "reviewing"],
            ),
            ("published", State::Published, &["published"]),
            ("returned", State::Returned, &["returned", "rejected"]),
            ("withdrawn", State::Withdrawn, &["withdrawn", "deleted"]),
        ];
        for (key, state, words) in usual {
            let default = || words.iter().map(|word| (*word).to_owned()).collect();
            let words = read.texts(key).unwrap_or_else(default);
            for word in words {
                if states.iter().any(|(other, _)| *other == word) {
                    read.problem(
                        key,
                        format!("“{word}”已经归在另一种状态下。"),
                        format!("`{word}` stands under another state already."),
                    );
                }
                states.push((word, state));
            }
        }
        Self(states)
    }

    pub fn of(&self, word: &str) -> Option<State> {
        let found = self.0.iter().find(|(known, _)| known == word);
        found.map(|(_, state)| *state)
    }
}

/// The rows of a lookup: a list, one object, or nothing. `None` when there is no such place.
pub fn rows<'a>(answer: &'a Answer, place: &str) -> Option<Vec<&'a Value>> {
    let found = answer.value(place)?;
    let list = ["items", "list", "rows", "records"]
        .iter()
        .find_map(|name| found.get(name).and_then(Value::as_array));
    match (found, list) {
        (Value::Array(rows), _) | (_, Some(rows)) => Some(rows.iter().collect()),
        (Value::Null, _) => Some(Vec::new()),
        (Value::Object(fields), _) if fields.is_empty() => Some(Vec::new()),
        (Value::Object(_), _) => Some(vec![found]),
        _ => None,
    }
}

/// The same place inside one row: `/data/id` is `/id` there.
pub fn in_row(row: &Value, rows: &str, place: &str) -> Option<String> {
    let inner = place
        .strip_prefix(rows)
        .filter(|inner| inner.starts_with('/'));
    scalar(row.pointer(inner.unwrap_or(place))?)
}

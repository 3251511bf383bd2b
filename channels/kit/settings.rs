//! Reading an adapter's table strictly: every problem at once, with the key it belongs to.
//!
//! A reader takes keys out one by one; what is left at the end was never asked for and is refused,
//! with the nearest known key as a hint. Reading goes on after a problem, with a stand-in value
//! that never gets out, because [`Reader::finish`] hands over nothing but the problems then.

use std::collections::BTreeSet;
use std::time::Duration;

use toml::{Table, Value};

use super::keys::{Key, Keys, Shape};
use crate::contract::{Entry, Problem, ResolveSecret, Secret, Words};

pub struct Reader<'a> {
    table: Table,
    /// `""`, or `"limits."` inside a table of that name.
    prefix: String,
    known: BTreeSet<String>,
    problems: Vec<Problem>,
    secrets: &'a dyn ResolveSecret,
    /// Where what is asked for is noted, when it is read for its schema.
    keys: Option<&'a Keys>,
}

impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reader({}…)", self.prefix)
    }
}

impl<'a> Reader<'a> {
    pub fn new(entry: &Entry<'a>) -> Self {
        Self::over(entry.settings.clone(), String::new(), entry.secrets).noting(entry.keys)
    }

    /// Over any table; problems are reported under `prefix`.
    pub fn over(table: Table, prefix: String, secrets: &'a dyn ResolveSecret) -> Self {
        Self {
            table,
            prefix,
            known: BTreeSet::new(),
            problems: Vec::new(),
            secrets,
            keys: None,
        }
    }

    /// The same, and notes what it is asked for.
    #[must_use]
    pub fn noting(mut self, keys: Option<&'a Keys>) -> Self {
        self.keys = keys;
        self
    }

    /// Over a table inside this one, for tables whose names are the user's own.
    #[must_use]
    pub fn within(&self, table: Table, key: &str) -> Self {
        let prefix = format!("{}{key}.", self.prefix);
        Self::over(table, prefix, self.secrets).noting(self.keys)
    }

    fn note(&self, key: &str, shape: Shape) {
        self.noted(key, shape, false, None);
    }

    fn note_usual(&self, key: &str, shape: Shape, usual: impl Into<Value>) {
        self.noted(key, shape, false, Some(usual.into()));
    }

    fn noted(&self, key: &str, shape: Shape, required: bool, usual: Option<Value>) {
        if let Some(keys) = self.keys {
            keys.note(Key {
                path: format!("{}{key}", self.prefix),
                shape,
                required,
                usual,
            });
        }
    }

    /// Says that a value is wrong, for rules that only the adapter knows.
    pub fn problem(&mut self, key: &str, zh: impl Into<String>, en: impl Into<String>) {
        let key = format!("{}{key}", self.prefix);
        self.problems.push(Problem::new(key, Words::new(zh, en)));
    }

    fn take(&mut self, key: &str) -> Option<Value> {
        self.known.insert(key.to_owned());
        self.table.remove(key)
    }

    fn missing(&mut self, key: &str) {
        self.problem(key, "必须填写。", "must be set.");
    }

    pub fn text(&mut self, key: &str) -> Option<String> {
        self.note(key, Shape::Text);
        self.said(key)
    }

    fn said(&mut self, key: &str) -> Option<String> {
        match self.take(key)? {
            Value::String(text) => Some(text.trim().to_owned()),
            other => {
                self.wrong_type(key, &other, "一段文字", "a string");
                None
            }
        }
    }

    pub fn text_or(&mut self, key: &str, default: &str) -> String {
        self.note_usual(key, Shape::Text, default);
        self.said(key).unwrap_or_else(|| default.to_owned())
    }

    /// A text that must be there and not be empty.
    pub fn required(&mut self, key: &str) -> String {
        self.noted(key, Shape::Text, true, None);
        if !self.table.contains_key(key) {
            self.known.insert(key.to_owned());
            self.missing(key);
            return String::new();
        }
        let text = self.said(key).unwrap_or_default();
        if text.is_empty() && !self.complained_of(key) {
            self.missing(key);
        }
        text
    }

    fn complained_of(&self, key: &str) -> bool {
        let key = format!("{}{key}", self.prefix);
        self.problems.iter().any(|problem| problem.key == key)
    }

    /// A base address: `http` or `https`, no query, given back without a slash at its end.
    pub fn base_url(&mut self, key: &str, default: Option<&str>) -> String {
        let usual = default.map(Value::from);
        self.noted(key, Shape::Address, default.is_none(), usual);
        let text = match default {
            Some(default) => self.text_or(key, default),
            None => self.required(key),
        };
        let good = url::Url::parse(&text).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.query().is_none()
                && url.fragment().is_none()
        });
        if !good && !self.complained_of(key) {
            // Where an address has more than a place, a token may be in it.
            let text = text.split(['?', '#']).next().unwrap_or_default();
            let text = text.rsplit('@').next().unwrap_or_default();
            self.problem(
                key,
                format!("“{text}”不是网址，应以 https:// 开头，不带参数。"),
                format!("`{text}` is no address; it starts with https:// and has no query."),
            );
        }
        text.trim_end_matches('/').to_owned()
    }

    pub fn flag(&mut self, key: &str, default: bool) -> bool {
        self.note_usual(key, Shape::Flag, default);
        match self.take(key) {
            None => default,
            Some(Value::Boolean(flag)) => flag,
            Some(other) => {
                self.wrong_type(key, &other, "true 或 false", "true or false");
                default
            }
        }
    }

    pub fn count(&mut self, key: &str, default: u64, range: std::ops::RangeInclusive<u64>) -> u64 {
        let (least, most) = (*range.start(), *range.end());
        let usual = i64::try_from(default)
            .ok()
            .filter(|_| range.contains(&default));
        let shape = Shape::Count { least, most };
        self.noted(key, shape, false, usual.map(Value::from));
        let given = match self.take(key) {
            None => return default,
            Some(Value::Integer(given)) => given,
            Some(other) => {
                self.wrong_type(key, &other, "一个整数", "a whole number");
                return default;
            }
        };
        match u64::try_from(given) {
            Ok(count) if range.contains(&count) => count,
            _ => {
                self.problem(
                    key,
                    format!("{given} 不在 {least} 到 {most} 之间。"),
                    format!("{given} is not between {least} and {most}."),
                );
                default
            }
        }
    }

    /// Such as `"90s"`, `"10m"`, `"2h"`, `"1d"`.
    pub fn duration(&mut self, key: &str, default: Duration) -> Duration {
        self.note_usual(key, Shape::Duration, write_duration(default));
        let Some(text) = self.said(key) else {
            return default;
        };
        parse_duration(&text).unwrap_or_else(|| {
            self.problem(
                key,
                format!("“{text}”不是时长，应写成 90s、10m、2h 或 1d。"),
                format!("`{text}` is no duration; write 90s, 10m, 2h or 1d."),
            );
            default
        })
    }

    /// A list of durations, shortest first.
    pub fn plan(&mut self, key: &str, default: &[Duration]) -> Vec<Duration> {
        let usual: Vec<String> = default.iter().copied().map(write_duration).collect();
        self.note_usual(key, Shape::Plan, usual);
        let Some(value) = self.take(key) else {
            return default.to_vec();
        };
        let plan: Option<Vec<Duration>> = value.as_array().and_then(|waits| {
            waits
                .iter()
                .map(|wait| parse_duration(wait.as_str()?))
                .collect()
        });
        match plan {
            Some(plan) if plan.is_sorted() => plan,
            _ => {
                self.problem(
                    key,
                    "应是由短到长的时长，如 [\"3m\", \"10m\", \"2h\"]。",
                    "must be durations, shortest first, such as [\"3m\", \"10m\", \"2h\"].",
                );
                default.to_vec()
            }
        }
    }

    pub fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)], default: T) -> T {
        let names = choices.iter().map(|(name, _)| (*name).to_owned());
        self.note(key, Shape::Choice(names.collect()));
        let Some(text) = self.said(key) else {
            return default;
        };
        if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == text) {
            return *choice;
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        self.problem(
            key,
            format!("“{text}”不认识，可以写 {}。", names.join("、")),
            format!("`{text}` is unknown; write {}.", names.join(", ")),
        );
        default
    }

    /// A secret that must be there; `None` only after a problem.
    pub fn secret(&mut self, key: &str) -> Secret {
        self.noted(key, Shape::Secret, true, None);
        let Some(value) = self.take(key) else {
            self.missing(key);
            return Secret::new("");
        };
        self.resolve(key, &value)
    }

    pub fn secret_if_set(&mut self, key: &str) -> Option<Secret> {
        self.note(key, Shape::Secret);
        let value = self.take(key)?;
        Some(self.resolve(key, &value))
    }

    fn resolve(&mut self, key: &str, value: &Value) -> Secret {
        let full = format!("{}{key}", self.prefix);
        match self.secrets.resolve(&full, value) {
            Ok(secret) if secret.reveal().is_empty() => {
                self.problem(key, "是空的。", "is empty.");
                secret
            }
            Ok(secret) => secret,
            Err(problem) => {
                self.problems.push(problem);
                Secret::new("")
            }
        }
    }

    /// A table inside this one. Its problems and unknown keys are reported with the rest.
    pub fn nested<T>(&mut self, key: &str, read: impl FnOnce(&mut Reader<'a>) -> T) -> T {
        self.note(key, Shape::Table);
        let table = match self.take(key) {
            None => Table::new(),
            Some(Value::Table(table)) => table,
            Some(other) => {
                self.wrong_type(key, &other, "一张表", "a table");
                Table::new()
            }
        };
        let mut inner = self.within(table, key);
        let read = read(&mut inner);
        inner.refuse_the_rest();
        self.problems.append(&mut inner.problems);
        read
    }

    fn wrong_type(&mut self, key: &str, value: &Value, zh: &str, en: &str) {
        let given = value.type_str();
        self.problem(
            key,
            format!("应是{zh}，现在是 {given}。"),
            format!("must be {en}, not {given}."),
        );
    }

    fn refuse_the_rest(&mut self) {
        let unknown: Vec<String> = self.table.keys().cloned().collect();
        for key in unknown {
            let known = self.known.iter().map(String::as_str);
            let (zh, en) = match nearest(&key, known) {
                Some(near) => (
                    format!("没有这一项，是不是 {near}？"),
                    format!("is unknown; did you mean `{near}`?"),
                ),
                None => ("没有这一项。".to_owned(), "is unknown.".to_owned()),
            };
            self.problem(&key, zh, en);
        }
    }

    /// A list of texts; none where the key is missing.
    pub fn texts(&mut self, key: &str) -> Option<Vec<String>> {
        self.note(key, Shape::Texts);
        let list = match self.take(key)? {
            Value::Array(list) => list,
            other => {
                self.wrong_type(key, &other, "一组文字", "a list of strings");
                return None;
            }
        };
        let mut texts = Vec::new();
        for value in list {
            match value {
                Value::String(text) => texts.push(text.trim().to_owned()),
                other => self.wrong_type(key, &other, "一组文字", "a list of strings"),
            }
        }
        Some(texts)
    }

    /// `[[key]]`, in order.
    pub fn tables(&mut self, key: &str) -> Vec<Table> {
        self.note(key, Shape::Tables);
        let list = match self.take(key) {
            None => return Vec::new(),
            Some(Value::Array(list)) => list,
            Some(other) => {
                self.wrong_type(key, &other, "[[…]] 表", "a list of tables");
                return Vec::new();
            }
        };
        let mut tables = Vec::new();
        for value in list {
            match value {
                Value::Table(table) => tables.push(table),
                other => self.wrong_type(key, &other, "[[…]] 表", "a list of tables"),
            }
        }
        tables
    }

    /// Takes what is left, for another reader to judge.
    pub fn rest(&mut self) -> Table {
        self.note("*", Shape::Open);
        std::mem::take(&mut self.table)
    }

    /// Takes over another reader's problems.
    pub fn adopt(&mut self, problems: Vec<Problem>) {
        self.problems.extend(problems);
    }

    /// `value`, if nothing was wrong and nothing was left over.
    pub fn finish<T>(mut self, value: T) -> Result<T, Vec<Problem>> {
        self.refuse_the_rest();
        if self.problems.is_empty() {
            Ok(value)
        } else {
            Err(self.problems)
        }
    }
}

/// A number and one of s, m, h, d.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let number: u64 = number.parse().ok()?;
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// As [`parse_duration`] reads it, by the largest unit that fits.
fn write_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let unit = [(86_400, 'd'), (3_600, 'h'), (60, 'm')];
    let fits = unit
        .iter()
        .find(|(length, _)| seconds > 0 && seconds.is_multiple_of(*length));
    let (length, name) = fits.copied().unwrap_or((1, 's'));
    format!("{}{name}", seconds / length)
}

/// The known key that is at most a third of its length away.
fn nearest<'k>(key: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known
        .map(|near| (distance(key, near), near))
        .filter(|(far, near)| *far <= near.chars().count().div_ceil(3))
        .min()
        .map(|(_, near)| near)
}

/// Levenshtein's.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let change = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Plain;

    impl ResolveSecret for Plain {
        fn resolve(&self, key: &str, value: &Value) -> Result<Secret, Problem> {
            match value {
                Value::String(text) => Ok(Secret::new(text.clone())),
                _ => Err(Problem::new(key, Words::new("读不到。", "cannot be read."))),
            }
        }
    }

    fn reader(text: &str) -> Reader<'static> {
        Reader::over(text.parse().unwrap(), String::new(), &Plain)
    }

    fn keys(problems: Result<(), Vec<Problem>>) -> Vec<String> {
        problems
            .unwrap_err()
            .into_iter()
            .map(|problem| problem.key)
            .collect()
    }

    #[test]
    fn all_problems_come_at_once_each_with_its_key() {
        let mut reader = reader(
            "mode = 'loud'\nwait = '10x'\napi = 'ftp://x'\ncover = 3\nsecrte = 'x'\n[limits]\ntitel = 3\ntitle = 0",
        );
        reader.choice("mode", &[("calm", 1)], 1);
        reader.duration("wait", Duration::ZERO);
        reader.base_url("api", None);
        reader.text("cover");
        reader.required("name");
        reader.secret("secret");
        reader.nested("limits", |limits| limits.count("title", 32, 1..=64));
        assert_eq!(
            keys(reader.finish(())),
            [
                "mode",
                "wait",
                "api",
                "cover",
                "name",
                "secret",
                "limits.title",
                "limits.titel",
                "secrte"
            ]
        );
    }

    #[test]
    fn what_follows_a_question_mark_in_an_address_is_not_said_again() {
        for address in [
            "https://h.example/api?token=hunter2",
            "https://h.example/api#hunter2",
            "ftp://clerk:hunter2@h.example/api",
        ] {
            let mut reader = reader(&format!("api = '{address}'"));
            reader.base_url("api", None);
            let said = format!("{:?}", reader.finish(()).unwrap_err());
            assert!(said.contains("h.example/api"), "{said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_known_one() {
        let mut reader = reader("app_di = 'x'");
        reader.text("app_id");
        let problems = reader.finish(()).unwrap_err();
        assert!(problems[0].words.en.contains("`app_id`"), "{problems:?}");
    }

    #[test]
    fn durations_are_a_number_and_a_unit() {
        assert_eq!(parse_duration("10m"), Some(Duration::from_mins(10)));
        assert_eq!(parse_duration("90s"), Some(Duration::from_secs(90)));
        assert_eq!(parse_duration("1d"), Some(Duration::from_hours(24)));
        for bad in [
            "",
            "m",
            "10",
            "-1s",
            "1.5h",
            "10 m",
            "9999999999999999999d",
            "十分",
        ] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }
}

//! What was said in the front matter or in the JSON object, each value with its place.
//!
//! One small tree for both forms, because their rules are the same; only the places differ: a line
//! of the file, or a JSON pointer. Nothing is judged here but the syntax.

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use toml::de::{DeTable, DeValue};

use super::Report;
use super::encoding::line_at;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub place: String,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Nothing,
    Text(String),
    /// A TOML date, as written.
    Date(String),
    /// A number or a truth value: no field is one, but the answer quotes it.
    Other(String),
    List(Vec<Node>),
    Table(Vec<(String, Node)>),
}

/// The front matter's table. What stands after a mistake of syntax may be missing from it.
pub fn from_toml(name: &str, text: &str, first_line: usize, report: &mut Report) -> Node {
    let text = &with_quoted_keys(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let place = |at: usize| format!("{name}:{}", first_line + line_at(text, at) - 1);
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        let message = error.message().lines().collect::<Vec<_>>().join(" ");
        report.broken = true;
        report.wrong(
            place(at),
            format!("TOML 写法有误（{message}）。文字要放在英文双引号里，如 title = \"…\"。"),
            format!("is not valid TOML: {message}. Texts stand in quotes: title = \"…\"."),
        );
    }
    let entries = toml_entries(table.get_ref(), &place, "");
    Node {
        place: format!("{name}:1"),
        value: Value::Table(entries),
    }
}

/// TOML takes bare keys in Latin letters only. Chinese ones get their quotes here, line by line, so
/// that a clerk may write 标题 = "…".
fn with_quoted_keys(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    let mut inside: Option<&str> = None;
    for line in text.split_inclusive('\n') {
        match inside {
            None => quoted.push_str(&with_quoted_key(line)),
            Some(_) => quoted.push_str(line),
        }
        for fence in ["\"\"\"", "'''"] {
            let is_open = inside == Some(fence);
            if (is_open || inside.is_none()) && line.matches(fence).count() % 2 == 1 {
                inside = if is_open { None } else { Some(fence) };
            }
        }
    }
    quoted
}

fn with_quoted_key(line: &str) -> String {
    let is_header = line.trim_start().starts_with('[');
    let end = line.find(if is_header { ']' } else { '=' }).unwrap_or(0);
    let (keys, rest) = line.split_at(end);
    if keys.is_ascii() || keys.contains(['"', '\'', '#']) {
        return line.to_owned();
    }
    let mut quoted = String::new();
    for piece in keys.split_inclusive(['.', '[']) {
        let word = piece.trim_end_matches(['.', '[']).trim();
        if word.is_ascii() {
            quoted.push_str(piece);
        } else {
            quoted.push_str(&piece.replacen(word, &format!("\"{word}\""), 1));
        }
    }
    quoted + rest
}

fn toml_entries(
    table: &DeTable<'_>,
    place: &impl Fn(usize) -> String,
    prefix: &str,
) -> Vec<(String, Node)> {
    let mut entries: Vec<(usize, (String, Node))> = Vec::new();
    for (key, value) in table {
        let path = format!("{prefix}{}", key.get_ref());
        let start = key.span().start;
        let node = toml_node(value.get_ref(), place(start), place, &path);
        entries.push((start, (key.get_ref().to_string(), node)));
    }
    // The order of the file, so that problems come in that order.
    entries.sort_by_key(|(start, _)| *start);
    entries.into_iter().map(|(_, entry)| entry).collect()
}

fn toml_node(
    value: &DeValue<'_>,
    at: String,
    place: &impl Fn(usize) -> String,
    path: &str,
) -> Node {
    let value = match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Integer(number) => Value::Other(number.to_string()),
        DeValue::Float(number) => Value::Other(number.to_string()),
        DeValue::Boolean(flag) => Value::Other(flag.to_string()),
        DeValue::Array(list) => {
            let nodes = list.iter().enumerate().map(|(index, one)| {
                let path = format!("{path}[{index}]");
                let at = format!("{} {path}", place(one.span().start));
                toml_node(one.get_ref(), at, place, &path)
            });
            Value::List(nodes.collect())
        }
        DeValue::Table(table) => Value::Table(toml_entries(table, place, &format!("{path}."))),
    };
    Node { place: at, value }
}

/// The object of a JSON submission, or `None` after a complaint.
pub fn from_json(name: &str, text: &str, report: &mut Report) -> Option<Node> {
    let mut node: Node = match serde_json::from_str(text) {
        Ok(node) => node,
        Err(error) => {
            report.wrong(
                format!("{name}:{}", error.line()),
                format!("JSON 写法有误：{error}。"),
                format!("is not valid JSON: {error}."),
            );
            return None;
        }
    };
    if !matches!(node.value, Value::Table(_)) {
        report.wrong(
            "/",
            "应是一个 JSON 对象，如 {\"title\": \"…\", \"category\": \"0604\", \"body\": \"…\"}。",
            "must be a JSON object such as {\"title\": \"…\", \"category\": \"0604\", \"body\": \"…\"}.",
        );
        return None;
    }
    locate(&mut node, String::new(), report);
    Some(node)
}

/// Gives every node its pointer and refuses a key that stands twice.
fn locate(node: &mut Node, pointer: String, report: &mut Report) {
    match &mut node.value {
        Value::List(nodes) => {
            for (index, one) in nodes.iter_mut().enumerate() {
                locate(one, format!("{pointer}/{index}"), report);
            }
        }
        Value::Table(entries) => {
            let mut seen = std::collections::BTreeSet::new();
            for (key, one) in entries.iter_mut() {
                let pointer = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
                if !seen.insert(key.clone()) {
                    report.wrong(
                        pointer.clone(),
                        format!("“{key}”写了两次，请只留一个。"),
                        format!("`{key}` stands twice; keep one."),
                    );
                }
                locate(one, pointer, report);
            }
        }
        Value::Nothing | Value::Text(_) | Value::Date(_) | Value::Other(_) => {}
    }
    node.place = pointer;
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = deserializer.deserialize_any(Anything)?;
        Ok(Self {
            place: String::new(),
            value,
        })
    }
}

/// Takes any JSON value and, unlike a map, keeps a key that stands twice.
struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Nothing)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Other(flag.to_string()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Other(number.to_string()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Other(number.to_string()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Other(number.to_string()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element()? {
            nodes.push(node);
        }
        Ok(Value::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Table(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(node: &Node) -> Vec<(&str, &str)> {
        let Value::Table(entries) = &node.value else {
            panic!("{node:?}");
        };
        entries
            .iter()
            .map(|(key, node)| (key.as_str(), node.place.as_str()))
            .collect()
    }

    #[test]
    fn every_key_knows_its_line_of_the_file() {
        let mut report = Report::default();
        let node = from_toml(
            "a.md",
            "title = \"甲\"\n\nscope = \"public\"\n",
            2,
            &mut report,
        );
        assert_eq!(keys(&node), [("title", "a.md:2"), ("scope", "a.md:4")]);
    }

    #[test]
    fn chinese_keys_need_no_quotes_and_texts_are_left_alone() {
        let mut report = Report::default();
        let text =
            "标题 = \"甲 = 乙\"\n摘要 = \"\"\"\n子 = 丑\n\"\"\"\n[渠道.wechat]\n标题.a = \"丙\"\n";
        let node = from_toml("a.md", text, 2, &mut report);
        assert!(report.complaints.is_empty(), "{report:?}");
        assert_eq!(
            keys(&node),
            [("标题", "a.md:2"), ("摘要", "a.md:3"), ("渠道", "a.md:6")]
        );
        let Value::Table(entries) = node.value else {
            panic!()
        };
        assert_eq!(entries[1].1.value, Value::Text("子 = 丑\n".into()));
    }

    #[test]
    fn all_mistakes_of_syntax_are_told_not_only_the_first() {
        let mut report = Report::default();
        from_toml(
            "a.md",
            "title = 甲\nscope = \"public\"\ncategory = 0604\n",
            2,
            &mut report,
        );
        let places: Vec<&str> = report
            .complaints
            .iter()
            .map(|one| one.place.as_str())
            .collect();
        assert!(
            places.contains(&"a.md:2") && places.contains(&"a.md:4"),
            "{report:?}"
        );
    }

    #[test]
    fn a_json_key_that_stands_twice_is_refused_at_any_depth() {
        let mut report = Report::default();
        let text = r#"{"title": "甲", "title": "乙", "channels": {"a/b": {"x": "1", "x": "2"}}}"#;
        from_json("item.json", text, &mut report);
        let places: Vec<&str> = report
            .complaints
            .iter()
            .map(|one| one.place.as_str())
            .collect();
        assert_eq!(places, ["/title", "/channels/a~1b/x"]);
    }

    #[test]
    fn json_that_nests_without_end_is_refused_not_followed() {
        let mut report = Report::default();
        assert_eq!(
            from_json("item.json", &"[".repeat(100_000), &mut report),
            None
        );
        assert_eq!(report.complaints.len(), 1);
    }
}

//! Taking known keys out of a table, under any of their names; what is left is refused.

use lubu_channels::kit::text::one_line;

use super::Report;
use super::fields::{Node, Value};

/// A key and the labels that offices write for it (CAT-09).
pub type Key = (&'static str, &'static [&'static str]);

#[derive(Debug)]
pub struct Keys<'r> {
    entries: Vec<(String, Node)>,
    known: Vec<Key>,
    /// Before the name of a field that is not there: `/` in a JSON pointer.
    pub root: &'static str,
    pub report: &'r mut Report,
}

impl<'r> Keys<'r> {
    /// Over the entries of a table; a key given under two of its names is refused.
    pub fn new(entries: Vec<(String, Node)>, known: &[Key], report: &'r mut Report) -> Self {
        let mut kept: Vec<(String, Node)> = Vec::new();
        for (said, node) in entries {
            if node.value == Value::Nothing {
                continue;
            }
            let key = canonical(known, &said).map_or_else(|| said.clone(), str::to_owned);
            if kept.iter().any(|(other, _)| *other == key) {
                report.wrong(
                    node.place,
                    format!("“{said}”和前面的“{key}”是同一栏，请只留一个。"),
                    format!("`{said}` is the same field as `{key}` above; keep one."),
                );
            } else {
                kept.push((key, node));
            }
        }
        Self {
            entries: kept,
            known: known.to_vec(),
            root: "",
            report,
        }
    }

    /// Where a field stands, or what to call it where it does not.
    pub fn place(&self, key: &str) -> String {
        let found = self.entries.iter().find(|(name, _)| name == key);
        found.map_or_else(
            || format!("{}{key}", self.root),
            |(_, node)| node.place.clone(),
        )
    }

    pub fn take(&mut self, key: &str) -> Option<Node> {
        let at = self.entries.iter().position(|(name, _)| name == key)?;
        Some(self.entries.remove(at).1)
    }

    /// One line of text that is not empty, and its place.
    pub fn line(&mut self, key: &str) -> Option<(String, String)> {
        let (text, place) = self.text(key)?;
        Some((one_line(&text), place))
    }

    /// A text that is not empty, and its place.
    pub fn text(&mut self, key: &str) -> Option<(String, String)> {
        let node = self.take(key)?;
        let place = node.place.clone();
        let text = plain(node, key, self.report)?;
        if text.is_empty() {
            return None;
        }
        Some((text, place))
    }

    /// Refuses what nobody asked for.
    pub fn finish(self) {
        for (key, node) in self.entries {
            let names = self
                .known
                .iter()
                .flat_map(|(code, labels)| std::iter::once(*code).chain(labels.iter().copied()));
            let (zh, en) = match nearest(&key, names) {
                Some(near) => (
                    format!("是不是“{near}”？"),
                    format!("; did you mean `{near}`?"),
                ),
                None => (
                    "请删去，各栏见 docs/items.md。".into(),
                    "; docs/items.md lists all.".into(),
                ),
            };
            self.report.wrong(
                node.place,
                format!("不认识“{key}”这一栏。{zh}"),
                format!("there is no field `{key}`{en}"),
            );
        }
    }
}

fn canonical(known: &[Key], said: &str) -> Option<&'static str> {
    let found = known
        .iter()
        .find(|(code, labels)| *code == said || labels.contains(&said));
    found.map(|(code, _)| *code)
}

/// A trimmed text, or a complaint about what stands there instead.
pub fn plain(node: Node, key: &str, report: &mut Report) -> Option<String> {
    let (zh, en) = match node.value {
        Value::Text(text) => return Some(text.trim().to_owned()),
        Value::Nothing => return None,
        Value::Date(said) | Value::Other(said) => (
            format!("，现在是 {said}"),
            format!(", not {said} without quotes"),
        ),
        Value::List(_) => ("，现在是列表".into(), ", not a list".into()),
        Value::Table(_) => ("，现在是一组栏目".into(), ", not a table".into()),
    };
    report.wrong(
        node.place,
        format!("{key} 应是一段加英文双引号的文字{zh}。"),
        format!("{key} must be a text in quotes{en}."),
    );
    None
}

/// The name that is at most a third of its length away.
pub fn nearest<'k>(said: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known
        .map(|near| (distance(said, near), near))
        .filter(|(far, near)| *far <= near.chars().count().div_ceil(3))
        .min()
        .map(|(_, near)| near)
}

/// Levenshtein's, case aside.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.to_lowercase().chars().enumerate() {
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

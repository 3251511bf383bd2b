//! Where in the file each key stands.

use std::collections::BTreeMap;

use lubu_channels::{Problem, Words};
use toml::de::{DeTable, DeValue};

use super::Placed;

/// The file as a table, or its first mistake with its line.
pub fn table(text: &str) -> Result<toml::Table, Placed> {
    text.parse::<toml::Table>().map_err(|error| {
        let line = error.span().map(|span| line_at(text, span.start));
        let message = error.message().to_owned();
        let words = Words::new(
            format!("TOML 写法有误：{message}。"),
            format!("is not valid TOML: {message}."),
        );
        Placed {
            line,
            problem: Problem::new("toml", words),
        }
    })
}

fn line_at(text: &str, at: usize) -> usize {
    text[..text.floor_char_boundary(at)].matches('\n').count() + 1
}

/// Lines by dotted key; `channel[1].name` for the second `[[channel]]`.
#[derive(Debug)]
pub struct Lines(BTreeMap<String, usize>);

pub fn lines(text: &str) -> Lines {
    let mut lines = BTreeMap::new();
    if let Ok(table) = DeTable::parse(text) {
        walk(text, table.get_ref(), "", &mut lines);
    }
    Lines(lines)
}

fn walk(text: &str, table: &DeTable<'_>, prefix: &str, lines: &mut BTreeMap<String, usize>) {
    for (key, value) in table {
        let path = format!("{prefix}{}", key.get_ref());
        lines.insert(path.clone(), line_at(text, key.span().start));
        match value.get_ref() {
            DeValue::Table(inner) => walk(text, inner, &format!("{path}."), lines),
            DeValue::Array(list) => {
                for (at, value) in list.iter().enumerate() {
                    let path = format!("{path}[{at}]");
                    lines.insert(path.clone(), line_at(text, value.span().start));
                    if let DeValue::Table(inner) = value.get_ref() {
                        walk(text, inner, &format!("{path}."), lines);
                    }
                }
            }
            _ => {}
        }
    }
}

impl Lines {
    /// The line of the key, or of the nearest table around it.
    pub fn of(&self, key: &str) -> Option<usize> {
        let mut key = key;
        loop {
            if let Some(line) = self.0.get(key) {
                return Some(*line);
            }
            key = &key[..key.rfind(['.', '['])?];
        }
    }
}

//! The configuration as a JSON Schema, so that editors complete it and say what a key means.
//!
//! Made by reading samples: every key that the reading code asks for notes its shape, so a key cannot be
//! read and missing here. A sample is needed only for keys that are asked for under a condition. Those of the adapters, and
//! what a key means in both languages, stand in `config/keys.toml`: nothing here knows an adapter's name.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::path::{Path, PathBuf};

use chrono_tz::Tz;
use lubu_channels::Entry;
use lubu_channels::kit::keys::{Key, Keys, Shape};
use lubu_channels::kit::settings::Reader;
use lubu_channels::registry::Build;
use serde_json::{Map, Value, json};
use toml::Table;

use super::{DEFAULT, Registry, Secrets};

/// What every key means.
const MEANINGS: &str = include_str!("../../config/keys.toml");

/// The table beside the meanings.
const SAMPLES_OF: &str = "samples";

/// Everything but the adapters' own keys.
const SAMPLES: [&str; 2] = [
    "[daemon]\ndata = 'data'\n[[channel]]\n[[route]]\n[[schedule]]\ndo = 'release'",
    "[daemon]\ndata = 'data'\n[[channel]]\n[[route]]\n[[schedule]]\ndo = 'build'",
];

/// The schema, as it stands in `config/schema.json`.
pub fn schema(registry: &Registry) -> String {
    let meanings = Meanings::read();
    let defaults: Table = DEFAULT.parse().unwrap_or_default();
    let root = tree(&daemon_keys());
    let channel = root.children.get("channel").cloned().unwrap_or_default();
    let says = |path: &str| meanings.of("lubu", path);
    let mut schema = object(&root, "", &says, &defaults);
    let variants: Vec<Value> = registry
        .iter()
        .map(|(name, build)| variant(&channel, name, *build, &meanings))
        .collect();
    let items = json!({ "oneOf": variants });
    if let Some(channels) = schema.pointer_mut("/properties/channel/items") {
        *channels = items;
    }
    if let Some(map) = schema.as_object_mut() {
        let draft = "http://json-schema.org/draft-07/schema#";
        map.insert("$schema".to_owned(), draft.into());
        map.insert("title".to_owned(), "lubu.toml".into());
    }
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// One adapter's `[[channel]]`.
fn variant(channel: &Node, name: &str, build: Build, meanings: &Meanings) -> Value {
    let none = Table::new();
    let common = |path: &str| meanings.of("lubu", &format!("channel.{path}"));
    let mut whole = object(channel, "", &common, &none);
    let own = |path: &str| meanings.of(name, path);
    let own = object(&tree(&keys_of(name, build, meanings)), "", &own, &none);
    for part in ["properties", "required"] {
        match (whole.get_mut(part), own.get(part)) {
            (Some(Value::Object(all)), Some(Value::Object(more))) => all.extend(more.clone()),
            (Some(Value::Array(all)), Some(Value::Array(more))) => all.extend(more.clone()),
            _ => {}
        }
    }
    if let Some(adapter) = whole.pointer_mut("/properties/adapter") {
        *adapter = json!({ "const": name, "description": common("adapter") });
    }
    whole["title"] = name.into();
    whole
}

fn daemon_keys() -> Vec<Key> {
    let read = |text: &&str| {
        let mut table: Table = text.parse().unwrap_or_default();
        super::merge(&mut table, DEFAULT.parse().unwrap_or_default());
        let (keys, base) = (Keys::default(), Path::new("."));
        let nowhere = |_: &str| None;
        let secrets = Secrets::new(base, &nowhere);
        let reader = Reader::over(table, String::new(), &secrets).noting(Some(&keys));
        // It is wrong, and read to its end all the same.
        let _wrong = super::read(reader, None, base, &Registry::new(), &secrets);
        keys.into_vec()
    };
    let mut keys = together(&SAMPLES.iter().map(read).collect::<Vec<_>>());
    // What a channel leaves to its adapter is told by the adapter.
    keys.retain(|key| key.path != "channel[0].*");
    keys
}

fn keys_of(adapter: &str, build: Build, meanings: &Meanings) -> Vec<Key> {
    let read = |text: &str| {
        let keys = Keys::default();
        let nowhere = |_: &str| None;
        let secrets = Secrets::new(Path::new("."), &nowhere);
        let entry = Entry {
            name: adapter,
            settings: text.parse().unwrap_or_default(),
            base: PathBuf::from("."),
            timezone: Tz::Asia__Shanghai,
            // Stands for a default that is not known here.
            publisher: "",
            secrets: &secrets,
            keys: Some(&keys),
        };
        let _wrong = build(&entry);
        keys.into_vec()
    };
    let more = meanings.samples(adapter).map(read);
    let samples: Vec<Vec<Key>> = iter::once(read("")).chain(more).collect();
    together(&samples)
}

/// Required is what every sample requires.
fn together(samples: &[Vec<Key>]) -> Vec<Key> {
    let asked = |path: &str, keys: &[Key]| keys.iter().any(|key| key.path == path && key.required);
    let mut all: Vec<Key> = Vec::new();
    for key in samples.iter().flatten() {
        if !all.iter().any(|known| known.path == key.path) {
            let required = samples.iter().all(|keys| asked(&key.path, keys));
            all.push(Key {
                required,
                ..key.clone()
            });
        }
    }
    all
}

/// A key, and those within its table; `*` for names of the user's own.
#[derive(Debug, Clone, Default)]
struct Node {
    key: Option<Key>,
    children: BTreeMap<String, Node>,
}

fn tree(keys: &[Key]) -> Node {
    let mut root = Node::default();
    for key in keys {
        let mut node = &mut root;
        for part in key.path.split('.') {
            let name = part.split('[').next().unwrap_or(part);
            node = node.children.entry(name.to_owned()).or_default();
        }
        node.key = Some(key.clone());
    }
    root
}

fn object(node: &Node, path: &str, says: &dyn Fn(&str) -> String, defaults: &Table) -> Value {
    let mut properties = Map::new();
    let mut required = BTreeSet::new();
    let mut others = Value::Bool(false);
    for (name, child) in &node.children {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let default = defaults.get(name);
        let value = property(child, &path, says, default);
        if name == "*" {
            others = value;
            continue;
        }
        properties.insert(name.clone(), value);
        let needed = child.key.as_ref().is_some_and(|key| key.required);
        if needed && default.is_none() {
            required.insert(name.clone());
        }
    }
    json!({
        "type": "object", "properties": properties, "required": required,
        "additionalProperties": others,
    })
}

fn property(
    node: &Node,
    path: &str,
    says: &dyn Fn(&str) -> String,
    default: Option<&toml::Value>,
) -> Value {
    let empty = Table::new();
    let inside = default.and_then(toml::Value::as_table).unwrap_or(&empty);
    let shape = node.key.as_ref().map(|key| &key.shape);
    let mut value = match shape {
        Some(Shape::Tables) => {
            json!({ "type": "array", "items": object(node, path, says, inside) })
        }
        Some(Shape::Table) | None => object(node, path, says, inside),
        Some(Shape::Open) if !node.children.is_empty() => object(node, path, says, inside),
        Some(shape) => plain(shape),
    };
    let usual = default.cloned();
    let usual = usual.or_else(|| node.key.as_ref().and_then(|key| key.usual.clone()));
    let usual = usual.and_then(|usual| serde_json::to_value(usual).ok());
    if let Some(usual) = usual.filter(|usual| !usual.is_object() && *usual != json!("")) {
        value["default"] = usual;
    }
    value["description"] = says(path).into();
    value
}

fn plain(shape: &Shape) -> Value {
    let duration = json!({ "type": "string", "pattern": "^[0-9]+[smhd]$" });
    match shape {
        Shape::Text => json!({ "type": "string" }),
        Shape::Address => json!({ "type": "string", "pattern": "^https?://" }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Count { least, most } => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Shape::Duration => duration,
        Shape::Plan => json!({ "type": "array", "items": duration }),
        Shape::Choice(names) => json!({ "type": "string", "enum": names }),
        Shape::Secret => {
            let places = ["env", "file", "credential"];
            let places = places.map(|place| (place.to_owned(), json!({ "type": "string" })));
            json!({
                "type": "object", "properties": Map::from_iter(places),
                "additionalProperties": false, "minProperties": 1, "maxProperties": 1,
            })
        }
        Shape::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Shape::Open => json!({ "type": ["string", "integer"] }),
        Shape::Table | Shape::Tables => json!({ "type": "object" }),
    }
}

/// What a key means, in both languages; by its whole path, or by its last name where several tables have it.
struct Meanings(Table);

impl Meanings {
    fn read() -> Self {
        Self(MEANINGS.parse().unwrap_or_default())
    }

    /// One for each condition under which an adapter asks for more than without any setting.
    fn samples(&self, adapter: &str) -> impl Iterator<Item = &str> {
        let samples = self.0.get(SAMPLES_OF).and_then(|all| all.get(adapter));
        let samples = samples.and_then(toml::Value::as_array).into_iter();
        samples.flatten().filter_map(toml::Value::as_str)
    }

    fn of(&self, part: &str, path: &str) -> String {
        self.find(part, path)
            .unwrap_or_default()
            .replace(" | ", "\n")
    }

    fn find(&self, part: &str, path: &str) -> Option<&str> {
        let table = self.0.get(part)?.as_table()?;
        let last = path.rsplit('.').next().unwrap_or(path);
        let found = table.get(path).or_else(|| table.get(&format!("*.{last}")));
        found.and_then(toml::Value::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything() -> Vec<(String, Vec<String>)> {
        let plain = |keys: Vec<Key>| {
            let mut paths = Vec::new();
            for key in keys {
                let parts = key
                    .path
                    .split('.')
                    .map(|part| part.split('[').next().unwrap());
                paths.push(parts.collect::<Vec<_>>().join("."));
            }
            paths
        };
        let meanings = Meanings::read();
        let mut all = vec![("lubu".to_owned(), plain(daemon_keys()))];
        for (name, build) in lubu_channels::registry::adapters() {
            all.push((name.to_owned(), plain(keys_of(name, build, &meanings))));
        }
        all
    }

    #[test]
    fn every_key_says_what_it_means_in_both_languages() {
        let meanings = Meanings::read();
        let mut silent = Vec::new();
        for (part, keys) in everything() {
            for key in keys {
                let told = meanings.find(&part, &key).unwrap_or_default();
                let chinese = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
                let (zh, en) = told.split_once(" | ").unwrap_or_default();
                if !zh.contains(chinese) || en.is_empty() {
                    silent.push(format!("{part}: {key}"));
                }
            }
        }
        assert!(silent.is_empty(), "{}", silent.join("\n"));
    }

    fn committed() -> Value {
        serde_json::from_str(include_str!("../../config/schema.json")).unwrap()
    }

    #[test]
    fn the_schema_in_the_tree_is_the_one_that_is_read() {
        let made = schema(&lubu_channels::registry::adapters());
        let kept = include_str!("../../config/schema.json");
        assert!(made == kept, "run: lubu config schema > config/schema.json");
    }

    /// As much of JSON Schema as is used here; the first place that does not fit.
    fn misfit(schema: &Value, value: &Value, at: &str) -> Option<String> {
        if let Some(variants) = schema["oneOf"].as_array() {
            let why: Vec<Option<String>> =
                variants.iter().map(|one| misfit(one, value, at)).collect();
            let fit = why.iter().filter(|why| why.is_none()).count();
            return (fit != 1).then(|| format!("{at}: {fit} variants fit, {why:?}"));
        }
        let kind = match value {
            Value::Object(_) => "object",
            Value::Array(_) => "array",
            Value::String(_) => "string",
            Value::Bool(_) => "boolean",
            _ => "integer",
        };
        let types = match &schema["type"] {
            Value::Array(many) => many.clone(),
            Value::Null => Vec::new(),
            one => vec![one.clone()],
        };
        let wrong = !types.is_empty() && !types.contains(&json!(kind))
            || schema.get("const").is_some_and(|only| only != value)
            || schema["enum"]
                .as_array()
                .is_some_and(|all| !all.contains(value))
            || schema["minimum"].as_i64() > value.as_i64().or(Some(i64::MAX))
            || schema["maximum"]
                .as_i64()
                .is_some_and(|most| value.as_i64() > Some(most));
        if wrong {
            return Some(format!("{at}: {value}"));
        }
        let inside = value.as_array().into_iter().flatten().enumerate();
        let mut inside =
            inside.map(|(no, one)| misfit(&schema["items"], one, &format!("{at}[{no}]")));
        if let Some(why) = inside.find_map(|why| why) {
            return Some(why);
        }
        let table = value.as_object()?;
        let needed = schema["required"].as_array().into_iter().flatten();
        let missing = { needed }.find(|key| !table.contains_key(key.as_str().unwrap()));
        if let Some(missing) = missing {
            return Some(format!("{at}: {missing} is missing"));
        }
        table.iter().find_map(|(key, value)| {
            let at = format!("{at}.{key}");
            let known = schema["properties"].get(key);
            match known.unwrap_or(&schema["additionalProperties"]) {
                Value::Bool(false) => Some(format!("{at} is unknown")),
                schema => misfit(schema, value, &at),
            }
        })
    }

    #[test]
    fn the_configurations_in_the_tree_fit_the_schema_and_a_wrong_one_does_not() {
        let uncommented: String = super::super::EXAMPLE
            .lines()
            .filter(|line| !line.starts_with("# ") || line.contains(" = ") || line.contains("[["))
            .map(|line| line.strip_prefix("# ").unwrap_or(line))
            .filter(|line| !line.starts_with("稿件") && !line.contains("──"))
            .fold(String::new(), |text, line| text + line + "\n");
        let good = [
            super::super::EXAMPLE,
            DEFAULT,
            include_str!("../cli/demo/demo.toml"),
            include_str!("../../tests/surface/lubu.toml"),
            &uncommented,
        ];
        for text in good {
            let table: Table = text
                .parse()
                .unwrap_or_else(|error| panic!("{error}\n{text}"));
            let value = serde_json::to_value(table).unwrap();
            assert_eq!(misfit(&committed(), &value, ""), None, "{text}");
        }
        let demo = include_str!("../cli/demo/demo.toml");
        for (from, to) in [
            ("author = ", "auhtor = "),
            ("mode = \"publish\"", "mode = \"publihs\""),
            ("rip = \"203.0.113.7\"", ""),
            ("adapter = \"weibo\"", "adapter = \"weixin\""),
            ("data = \"data\"", "data = 3"),
        ] {
            let table: Table = demo.replacen(from, to, 1).parse().unwrap();
            let value = serde_json::to_value(table).unwrap();
            assert!(misfit(&committed(), &value, "").is_some(), "{to}");
        }
    }

    #[test]
    fn nothing_is_explained_that_is_not_read() {
        let all: BTreeMap<String, Vec<String>> = everything().into_iter().collect();
        let meanings = Meanings::read();
        let parts = meanings.0.iter().filter(|(part, _)| *part != SAMPLES_OF);
        for (part, table) in parts {
            for key in table.as_table().unwrap().keys() {
                let read = all[part]
                    .iter()
                    .any(|path| path == key || key.strip_prefix("*.") == path.rsplit('.').next());
                assert!(read, "{part}: {key}");
            }
        }
    }
}

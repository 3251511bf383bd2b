//! The taxonomy (信息分类规范表): two levels, as data.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Debug, Clone, Default)]
pub struct Categories(BTreeMap<String, Leaf>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    pub code: String,
    pub name: String,
    /// The first level's name; the same for a leaf of the first level.
    pub parent: String,
    /// Closed leaves keep what they have and take nothing new.
    pub closed: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    category: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    code: String,
    name: String,
    parent: Option<String>,
    #[serde(default)]
    closed: bool,
}

impl Categories {
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        let mut leaves = BTreeMap::new();
        for row in file.category {
            let Row {
                code,
                name,
                parent,
                closed,
            } = row;
            let parent = parent.unwrap_or_else(|| name.clone());
            let leaf = Leaf {
                code: code.clone(),
                name,
                parent,
                closed,
            };
            if leaves.insert(code.clone(), leaf).is_some() {
                return Err(format!("the code {code} stands twice"));
            }
        }
        Ok(Self(leaves))
    }

    /// By code, or by name where only one leaf has it.
    pub fn find(&self, text: &str) -> Option<&Leaf> {
        let named = || {
            let mut named = self.0.values().filter(|leaf| leaf.name == text);
            named.next().filter(|_| named.next().is_none())
        };
        self.0.get(text).or_else(named)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Leaf> {
        self.0.values()
    }
}

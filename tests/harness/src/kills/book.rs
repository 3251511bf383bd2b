//! What the harness asked of the daemon, and what it was told: its own book, which no kill touches.

use serde_json::{Value, json};

use crate::dice::Dice;

/// How far a wish has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Not wanted, or not yet.
    Unasked,
    /// Asked since this instant; whether it was done is not known.
    Asked(i64),
    /// Asked since then, and acknowledged.
    Granted(i64),
}

impl Wish {
    pub fn asked_at(self) -> Option<i64> {
        match self {
            Self::Unasked => None,
            Self::Asked(at) | Self::Granted(at) => Some(at),
        }
    }

    pub fn is_granted(self) -> bool {
        matches!(self, Self::Granted(_))
    }
}

/// One item, by its token in title and text.
#[derive(Clone, Debug)]
pub struct Item {
    pub token: String,
    /// Some items nobody signs: they must never leave.
    pub to_be_signed: bool,
    pub to_be_withdrawn: bool,
    /// Known once the submission was acknowledged.
    pub id: Option<String>,
    pub signed: Wish,
    pub withdrawn: Wish,
}

#[derive(Debug, Default)]
pub struct Book {
    pub items: Vec<Item>,
}

impl Book {
    pub fn begin(&mut self, seed: u64, dice: &mut Dice) -> usize {
        let number = self.items.len();
        self.items.push(Item {
            to_be_signed: dice.percent(88),
            to_be_withdrawn: dice.percent(10),
            ..Item::new(&format!("T{:05x}N{number:04}", seed & 0xf_ffff))
        });
        number
    }
}

impl Item {
    pub fn new(token: &str) -> Self {
        Self {
            token: token.to_owned(),
            to_be_signed: true,
            to_be_withdrawn: false,
            id: None,
            signed: Wish::Unasked,
            withdrawn: Wish::Unasked,
        }
    }

    pub fn body(&self) -> Value {
        let token = &self.token;
        json!({
            "title": format!("重点项目进展通报{token}"),
            "category": "0604",
            "scope": "public",
            "body": format!("东部产业园标准厂房三期主体结构封顶，编号{token}。配套道路同步施工。"),
        })
    }
}

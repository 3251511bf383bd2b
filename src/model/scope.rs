//! Release scope (发布范围): who may read an item.
//!
//! The plan of 2017 names four values and no default at signing (SEED-39). Only `Public` may ever
//! reach a channel; the legal attribute of the regulation is another field for another day.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// 主动公开
    Public,
    /// 内网公开
    Intranet,
    /// 限制阅读
    Restricted,
    /// 不公开
    Withheld,
}

impl Scope {
    pub const ALL: [Self; 4] = [
        Self::Public,
        Self::Intranet,
        Self::Restricted,
        Self::Withheld,
    ];

    pub fn code(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Intranet => "intranet",
            Self::Restricted => "restricted",
            Self::Withheld => "withheld",
        }
    }

    pub fn zh(self) -> &'static str {
        match self {
            Self::Public => "主动公开",
            Self::Intranet => "内网公开",
            Self::Restricted => "限制阅读",
            Self::Withheld => "不公开",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Not one of the four.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no release scope: public, intranet, restricted or withheld")]
pub struct BadScope(String);

impl FromStr for Scope {
    type Err = BadScope;

    /// Takes the code or the Chinese word.
    fn from_str(text: &str) -> Result<Self, BadScope> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.code() == text || scope.zh() == text)
            .ok_or_else(|| BadScope(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_39_a_fifth_value_is_refused() {
        assert!("internal".parse::<Scope>().is_err());
        for scope in Scope::ALL {
            assert_eq!(scope.code().parse(), Ok(scope));
            assert_eq!(scope.zh().parse(), Ok(scope));
        }
    }
}

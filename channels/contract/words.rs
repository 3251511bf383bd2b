//! A sentence for people, in both languages of the product.
//!
//! Chinese first: the clerks read it. English says the same sentence, for logs and for the
//! engineer who did not grow up with the other one. Neither ever holds a secret.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One sentence, twice. `Display` is the Chinese one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    pub zh: String,
    pub en: String,
}

impl Words {
    pub fn new(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self {
            zh: zh.into(),
            en: en.into(),
        }
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.zh)
    }
}

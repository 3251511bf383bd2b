//! What a look says about a post, in the sentences that more than one rule uses.

use std::time::Duration;

use lubu_channels::{RemovedBy, Words};

/// Readers see something that was not signed.
pub fn differs() -> Words {
    Words::new(
        "平台上的内容与签发的不一致，请核实",
        "what the platform shows is not what was signed; please check",
    )
}

pub fn several(ids: &[String]) -> Words {
    Words::new(
        format!("平台上有 {} 条相同内容：{}", ids.len(), ids.join("、")),
        format!("{} public copies: {}", ids.len(), ids.join(", ")),
    )
}

pub fn removed(by: RemovedBy) -> Words {
    match by {
        RemovedBy::Owner => Words::new("已在平台上被删除", "it was deleted on the platform"),
        RemovedBy::Platform => Words::new("已被平台下架", "the platform took it down"),
        RemovedBy::Unknown => Words::new("平台上已经没有", "it is gone from the platform"),
    }
}

/// A configured wait, as long as time can be.
pub fn delta(wait: Duration) -> chrono::TimeDelta {
    chrono::TimeDelta::from_std(wait).unwrap_or(chrono::TimeDelta::MAX)
}

//! Where an item stands on the site: a function of configuration and item id alone.
//!
//! The id is a UUIDv7, so the month in the path is the month the id was made: it never moves, and
//! no folder grows without end. A text may link to an address long before its page exists.

use chrono::{TimeZone, Utc};

use super::settings::Settings;

/// Enough of a hash for a file name inside one item's folder.
const SHORT: usize = 16;

pub fn short(hash: &str) -> &str {
    hash.get(..SHORT).unwrap_or(hash)
}

/// `t/202611`, without slashes at its ends.
fn folder(settings: &Settings, item: &str) -> String {
    let ms = item
        .get(..12)
        .and_then(|time| i64::from_str_radix(time, 16).ok())
        .unwrap_or_default();
    let month = Utc.timestamp_millis_opt(ms).single().unwrap_or_default();
    let month = month.with_timezone(&settings.timezone).format("%Y%m");
    format!("t/{month}")
}

/// The page's file below the root, which is also its path below the site's base.
pub fn page_file(settings: &Settings, item: &str) -> String {
    format!("{}/{item}.html", folder(settings, item))
}

/// A picture or attachment beside its page.
pub fn media_file(settings: &Settings, item: &str, name: &str) -> String {
    format!("{}/{item}/{name}", folder(settings, item))
}

/// The permanent public address.
pub fn page(settings: &Settings, item: &str) -> String {
    format!("{}/{}", settings.base_url, page_file(settings, item))
}

/// A file's path on the site.
pub fn path(settings: &Settings, file: &str) -> String {
    format!("{}/{file}", settings.facts.path)
}

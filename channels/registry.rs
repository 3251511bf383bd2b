//! Every adapter, by the name used in the configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::contract::{Channel, Entry, Problem};

/// Makes a channel of its table in the configuration, or says all that is wrong with it.
pub type Build = fn(&Entry<'_>) -> Result<Arc<dyn Channel>, Vec<Problem>>;

/// Keep sorted.
pub fn adapters() -> BTreeMap<&'static str, Build> {
    BTreeMap::from([
        ("portal", crate::portal::build as Build),
        ("site", crate::site::build),
        ("wechat", crate::wechat::build),
        ("weibo", crate::weibo::build),
    ])
}

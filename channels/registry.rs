//! Adapters by the name used in the configuration.
use crate::contract::{Channel, Entry, Problem};
use std::collections::BTreeMap;
use std::sync::Arc;
pub type Build = fn(&Entry<'_>) -> Result<Arc<dyn Channel>, Vec<Problem>>;
pub fn adapters() -> BTreeMap<&'static str, Build> {
    BTreeMap::new()
}

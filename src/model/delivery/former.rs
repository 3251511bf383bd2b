//! Posts that the record named and names no more (曾用的帖子): taken down, replaced, or denied by a person.
//!
//! A platform's list may show one for a while after every record of it is closed, and a survey that knew nothing of it
//! would stop the channel. It lies among the facts of the progress, where adapters do not look, and outlives them.

use super::Delivery;

const FORMER: &str = "former";
/// A list that lags shows the last one or two.
const KEPT: usize = 4;

impl Delivery {
    /// Their ids, the oldest first.
    pub fn former(&self) -> impl Iterator<Item = &str> {
        let ids = self.progress.get(FORMER).unwrap_or_default();
        ids.split_whitespace()
    }

    /// Whether an adapter has written down anything of what it did.
    pub(super) fn has_facts(&self) -> bool {
        self.progress.iter().any(|(fact, _)| fact != FORMER)
    }

    /// The posts that its record names, and has named.
    pub(super) fn posts(&self) -> Vec<String> {
        let former = self.former().map(str::to_owned);
        let copy = self.copy.iter().filter_map(|copy| copy.remote_id.clone());
        former.chain(self.twins()).chain(copy).collect()
    }
}

/// What was named before a transition and is not after it stays on record.
pub(super) fn keep(d: &mut Delivery, before: Vec<String>) {
    let copy = d.copy.as_ref().and_then(|copy| copy.remote_id.clone());
    let named = [d.twins(), copy.into_iter().collect()].concat();
    let mut former: Vec<String> = Vec::new();
    for id in before {
        if !named.contains(&id) && !former.contains(&id) {
            former.push(id);
        }
    }
    if former.iter().map(String::as_str).eq(d.former()) {
        return;
    }
    if former.is_empty() {
        d.progress = std::mem::take(&mut d.progress).without(FORMER);
        return;
    }
    former.drain(..former.len().saturating_sub(KEPT));
    d.progress.set(FORMER, former.join(" "));
}

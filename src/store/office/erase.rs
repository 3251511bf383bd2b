//! Which records are an item's, and when they may go for good.

use super::intake::Key;
use super::{Decided, Desk, header};
use crate::ids::{DeliveryId, ItemId};
use crate::model::approval::Approval;
use crate::model::delivery::{Delivery, State};
use crate::store::act::{Actor, Answer, Refusal};
use crate::store::embedded::{Change, record};
use crate::store::keys;

/// Whether a record is this item's. Numbers that were given out stay: they are never given again.
pub fn belongs(item: ItemId, key: &[u8], value: &[u8]) -> bool {
    if keys::is_under(item, key) {
        return true;
    }
    match key.get(..1) {
        Some(keys::SUBMITTERS) => {
            record::decode::<Key>(value).is_ok_and(|found| found.item == item)
        }
        Some(keys::CONTENTS) => record::decode::<ItemId>(value).is_ok_and(|found| found == item),
        _ => false,
    }
}

impl Desk<'_> {
    /// True on disk afterwards: no record of the item is left.
    pub(super) fn erase(&mut self, actor: &Actor, id: ItemId, outdated: bool) -> Decided {
        let item = self.item(id)?;
        for channel in item.channels {
            let delivery = self.delivery(DeliveryId { item: id, channel })?;
            if !outdated && !is_gone(&delivery) {
                return Err(Refusal::NotGone(delivery.id));
            }
        }
        let mut first = Vec::new();
        for number in 1..=item.latest {
            let approval: Option<Approval> = self.get(&keys::approval(id, number), "approval")?;
            first.extend(approval.map(|approval| keys::first_drafts(&approval.drafts)));
        }
        let keys: Vec<Vec<u8>> = self
            .view
            .scan_prefix(b"")
            .map(|(key, value)| (key.to_vec(), value))
            .filter(|(key, value)| belongs(id, key, value) || first.contains(key))
            .map(|(key, _)| key)
            .collect();
        let removals = keys.into_iter().map(|key| Change::Remove { key });
        self.changes.extend(removals);
        self.forget_in_surveys(id)?;
        Ok((header(actor, "erase-records", Some(id)), Answer::Done))
    }
}

/// Nothing of it is public, under way or in doubt.
fn is_gone(delivery: &Delivery) -> bool {
    let rests = matches!(delivery.state, State::Withdrawn | State::Skipped { .. });
    rests && !delivery.shown && delivery.copy.is_none() && delivery.doubt.is_none()
}

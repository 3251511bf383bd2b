//! Which deliveries are not at rest, beside their records: a start finds them without reading what is finished.
//!
//! Kept by every act that writes a delivery, in the same act. A store that was begun before this was kept, or kept it in
//! another way, is told once.

use std::collections::BTreeMap;

use super::{Decided, Desk, header};
use crate::ids::DeliveryId;
use crate::model::delivery::Delivery;
use crate::store::act::{Actor, Answer, Refusal};
use crate::store::embedded::Change;
use crate::store::keys;

impl Desk<'_> {
    /// Several of one record may come in one act: what becomes of it is written at the act's end.
    pub(super) fn note_unsettled(&mut self, delivery: &Delivery) {
        let at_rest = delivery.public_state().at_rest();
        self.rests.insert(delivery.id, at_rest);
    }

    /// Written only where it changes: most acts leave a delivery as unsettled as it was.
    pub(super) fn write_unsettled(&mut self) -> Result<(), Refusal> {
        let mut records: BTreeMap<Vec<u8>, (u16, u16)> = BTreeMap::new();
        for (id, at_rest) in std::mem::take(&mut self.rests) {
            let (key, bit) = (keys::unsettled(id), keys::unsettled_bit(id));
            let (before, after) = if let Some(known) = records.get(&key) {
                *known
            } else {
                let bits: u16 = self.get(&key, "unsettled")?.unwrap_or_default();
                (bits, bits)
            };
            let after = if at_rest { after & !bit } else { after | bit };
            records.insert(key, (before, after));
        }
        for (key, (before, after)) in records {
            if after == 0 && before != 0 {
                self.changes.push(Change::Remove { key });
            } else if after != before {
                self.put(key, &after, "unsettled")?;
            }
        }
        Ok(())
    }

    /// True on disk afterwards: what is not at rest among these is noted; with `all`, that they are all.
    pub(super) fn note_all(&mut self, unsettled: &[DeliveryId], all: bool) -> Decided {
        for id in unsettled {
            match self.delivery(*id) {
                Ok(delivery) => self.note_unsettled(&delivery),
                // Erased since.
                Err(Refusal::NoDelivery(_)) => {}
                Err(other) => return Err(other),
            }
            let key = keys::first_unsettled(*id);
            if self.view.get(&key).is_some() {
                self.changes.push(Change::Remove { key });
            }
        }
        if all {
            self.all_noted();
        }
        Ok((header(&Actor::engine(), "note", None), Answer::Done))
    }

    pub(super) fn all_noted(&mut self) {
        self.changes.push(Change::Put {
            key: keys::ALL_UNSETTLED.to_vec(),
            value: Vec::new(),
        });
        let key = keys::FIRST_ALL_UNSETTLED.to_vec();
        // Gone, so that an older lubu looks for itself.
        if self.view.get(&key).is_some() {
            self.changes.push(Change::Remove { key });
        }
    }
}

//! Which deliveries are not at rest, beside their records: a start finds them without reading what is finished.
//!
//! Kept by every act that writes a delivery, in the same act. A store that was begun before this was kept is told once.

use super::{Decided, Desk, header};
use crate::ids::DeliveryId;
use crate::model::delivery::Delivery;
use crate::store::act::{Actor, Answer};
use crate::store::embedded::Change;
use crate::store::keys;

impl Desk<'_> {
    /// Written only where it changes: most acts leave a delivery as unsettled as it was.
    pub(super) fn note_unsettled(&mut self, delivery: &Delivery) {
        let key = keys::unsettled(delivery.id);
        let noted = self.view.get(&key).is_some();
        match (noted, delivery.public_state().at_rest()) {
            (true, true) => self.changes.push(Change::Remove { key }),
            (false, false) => self.changes.push(Change::Put {
                key,
                value: Vec::new(),
            }),
            (true, false) | (false, true) => {}
        }
    }

    /// True on disk afterwards: what is not at rest among these is noted; with `all`, that they are all.
    pub(super) fn note_all(&mut self, unsettled: &[DeliveryId], all: bool) -> Decided {
        for id in unsettled {
            let delivery = self.delivery(*id)?;
            self.note_unsettled(&delivery);
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
    }
}

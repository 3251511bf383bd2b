//! Whether this folder may send at all.
//!
//! One that was restored, copied, or lost acts may not, until a person takes it over: its original may still be
//! sending, or what it was about to send may be out already. The record is in the journal like any other, so the
//! decision of an intent sees it, and no restart forgets it.

use lubu_channels::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Decided, Desk, header};
use crate::store::act::{Actor, Answer, Refusal};
use crate::store::embedded::Change;
use crate::store::keys;

#[derive(Debug, Serialize, Deserialize)]
struct Withheld {
    #[serde(with = "chrono::serde::ts_milliseconds")]
    since: Timestamp,
}

impl Desk<'_> {
    /// Asked by every intent.
    pub(super) fn may_send(&self) -> Result<(), Refusal> {
        match self.view.get(keys::WITHHELD) {
            Some(_) => Err(Refusal::NotAdopted),
            None => Ok(()),
        }
    }

    /// True on disk afterwards: no intent is granted.
    pub(super) fn withhold(&mut self) -> Decided {
        let since = self.now;
        self.put(keys::WITHHELD.to_vec(), &Withheld { since }, "adoption")?;
        Ok((header(&Actor::engine(), "withhold", None), Answer::Done))
    }

    /// True on disk afterwards: intents are granted again. What was held stays held.
    pub(super) fn adopt(&mut self, actor: &Actor) -> Decided {
        if self.may_send().is_ok() {
            return Err(Refusal::AdoptedAlready);
        }
        let key = keys::WITHHELD.to_vec();
        self.changes.push(Change::Remove { key });
        Ok((header(actor, "adopt", None), Answer::Done))
    }
}

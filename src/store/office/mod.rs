//! The domain behind the embedded store: decides each act against the state.
//!
//! Pure but for the view. Every rule that must never be broken stands here and nowhere else,
//! because only here is the state known to be the newest: an approval of exactly these bytes, the
//! release scope, the withdrawal, the pause, the quota, the version.

mod adopt;
mod approve;
mod clock;
mod erase;
mod intake;
mod lane;
mod names;
mod send;
mod survey;
mod unsettled;
mod verify;

pub use erase::belongs;
pub use lane::Run;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use lubu_channels::{Goal, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::act::{Act, Actor, Answer, Refusal};
use super::embedded::record;
use super::embedded::{
    BlobHash, Change, Class, Decision, Domain, Header, ReadBlob, Stamp, Unnamed, View,
};
use super::keys;
use crate::clock::{Doubt, Time};
use crate::ids::{ChannelNo, DeliveryId, ItemId};
use crate::model::delivery::Delivery;
use crate::model::item::{Item, Revision};
use crate::model::policy::Policy;
use crate::planted::{Bug, bug};

/// The policies in force, shared with the writer; replaced whole on a reload.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    policies: Arc<RwLock<Arc<Vec<Policy>>>>,
    /// Asked before anything is sent; without one it is believed.
    clock: Option<Arc<dyn Time>>,
}

impl Rules {
    pub fn timed_by(clock: Arc<dyn Time>) -> Self {
        Self {
            clock: Some(clock),
            ..Self::default()
        }
    }

    /// Why the clock cannot be believed; none while it can.
    pub fn doubt(&self) -> Option<Doubt> {
        self.clock.as_ref().and_then(|clock| clock.doubt())
    }

    /// How often a person's word had set time, as far as the clock knows. None while it is believed: then it knows all.
    fn set_back(&self) -> Option<u64> {
        let clock = self.clock.as_ref()?;
        clock.doubt().and_then(|_| clock.set_back())
    }

    pub fn replace(&self, policies: Vec<Policy>) {
        match self.policies.write() {
            Ok(mut rules) => *rules = Arc::new(policies),
            Err(poisoned) => *poisoned.into_inner() = Arc::new(policies),
        }
    }

    pub fn all(&self) -> Arc<Vec<Policy>> {
        match self.policies.read() {
            Ok(rules) => Arc::clone(&rules),
            Err(poisoned) => Arc::clone(&poisoned.into_inner()),
        }
    }
}

/// Decides acts.
#[derive(Debug)]
pub struct Office {
    rules: Rules,
}

impl Office {
    pub fn new(rules: Rules) -> Self {
        Self { rules }
    }
}

impl Domain for Office {
    type Act = Act;
    type Answer = Answer;
    type Refusal = Refusal;

    fn class(act: &Act) -> Class {
        match act {
            Act::Settle { .. }
            | Act::Verify { .. }
            | Act::Decide { .. }
            | Act::Withdraw { .. }
            | Act::Lane { .. }
            | Act::Survey { .. }
            | Act::Sending { .. }
            | Act::SetBack { .. }
            | Act::ClockRight { .. }
            | Act::Reload { .. }
            | Act::Note { .. }
            | Act::Withhold
            | Act::Erase { .. }
            | Act::Adopt { .. } => Class::Settle,
            // A take-down goes on as long as the journal can be written.
            Act::Intent { job, .. } if job.goal == Goal::Withdraw => Class::Settle,
            Act::Intent { .. } | Act::Spend { .. } => Class::Intent,
            Act::Register { .. }
            | Act::Accept(_)
            | Act::Revise { .. }
            | Act::Approve(_)
            | Act::Release { .. }
            | Act::Fire { .. }
            | Act::Fired { .. }
            | Act::Patrol(_) => Class::Intake,
        }
    }

    fn names(key: &[u8], value: &[u8], blob: &ReadBlob<'_>) -> Result<Vec<BlobHash>, Unnamed> {
        names::of(key, value, blob)
    }

    fn carries(key: &[u8]) -> Option<BlobHash> {
        names::carried(key)
    }

    fn decide(
        &mut self,
        act: Act,
        view: &View<'_>,
        stamp: Stamp,
    ) -> Result<Decision<Answer>, Refusal> {
        let rules = self.rules.all();
        let now = Timestamp::from_timestamp_millis(stamp.time_ms).unwrap_or_default();
        let mut desk = Desk {
            view,
            now,
            rules: &rules,
            clock: &self.rules,
            changes: Vec::new(),
            rests: BTreeMap::new(),
        };
        desk.heed_the_word()?;
        let (header, answer) = desk.decide(act)?;
        desk.write_unsettled()?;
        Ok(Decision {
            header,
            changes: desk.changes,
            answer,
        })
    }
}

/// One act on the desk: what it may read, and what it has written so far.
struct Desk<'a> {
    view: &'a View<'a>,
    now: Timestamp,
    rules: &'a [Policy],
    clock: &'a Rules,
    changes: Vec<Change>,
    /// Whether what it has written of each delivery rests.
    rests: BTreeMap<DeliveryId, bool>,
}

type Decided = Result<(Header, Answer), Refusal>;

impl Desk<'_> {
    fn decide(&mut self, act: Act) -> Decided {
        match act {
            Act::Register {
                name,
                adapter,
                account,
            } => self.register(name, adapter, account),
            Act::Accept(accept) => self.accept(*accept),
            Act::Revise {
                actor,
                revision,
                note,
                schedule,
            } => self.revise(&actor, *revision, note, schedule),
            Act::Approve(approve) => self.approve(*approve),
            Act::Release { actor, items } => self.release(&actor, &items),
            Act::Withdraw {
                actor,
                item,
                reason,
            } => self.withdraw(&actor, item, &reason),
            Act::Intent {
                id,
                version,
                job,
                step,
            } => self.intent(id, version, *job, step),
            Act::Settle {
                id,
                version,
                event,
                dice,
                lane,
            } => self.settle(id, version, *event, dice, lane),
            Act::Decide { actor, id, event } => self.person(&actor, id, *event),
            Act::Verify { id, version, look } => self.verify(id, version, *look),
            Act::Patrol(patrol) => self.patrol(&patrol),
            Act::Survey {
                channel,
                found,
                latest,
            } => self.survey(channel, found, latest),
            Act::Spend {
                channel,
                costs,
                share,
            } => self.spend_for_look(channel, &costs, share),
            Act::Lane {
                actor,
                channel,
                news,
            } => self.lane(&actor, channel, news),
            Act::Sending { actor, stop } => self.sending(&actor, stop),
            Act::SetBack { actor, by } => self.set_back(&actor, by),
            Act::ClockRight { actor } => {
                Ok((header(&actor, "clock-confirmed", None), Answer::Done))
            }
            Act::Reload { actor } => Ok((header(&actor, "reload", None), Answer::Done)),
            Act::Fire {
                schedule,
                period,
                due,
            } => self.fire(&schedule, &period, due),
            Act::Fired {
                schedule,
                period,
                done,
            } => self.fired(&schedule, &period, done),
            Act::Note { unsettled, all } => self.note_all(&unsettled, all),
            Act::Withhold => self.withhold(),
            Act::Adopt { actor } => self.adopt(&actor),
            Act::Erase {
                actor,
                item,
                outdated,
            } => self.erase(&actor, item, outdated),
        }
    }

    fn get<T: DeserializeOwned>(
        &self,
        key: &[u8],
        what: &'static str,
    ) -> Result<Option<T>, Refusal> {
        let Some(bytes) = self.view.get(key) else {
            return Ok(None);
        };
        record::decode(&bytes)
            .map(Some)
            .map_err(|_| Refusal::Damaged(what))
    }

    fn put<T: Serialize>(
        &mut self,
        key: Vec<u8>,
        value: &T,
        what: &'static str,
    ) -> Result<(), Refusal> {
        let value = record::encode(value).map_err(|_| Refusal::Damaged(what))?;
        self.changes.push(Change::Put { key, value });
        Ok(())
    }

    fn item(&self, id: ItemId) -> Result<Item, Refusal> {
        self.get(&keys::item(id), "item")?
            .ok_or(Refusal::NoItem(id))
    }

    fn put_item(&mut self, mut item: Item) -> Result<(), Refusal> {
        item.version += 1;
        self.put(keys::item(item.id), &item, "item")
    }

    fn revision(&self, id: ItemId, number: u32) -> Result<Revision, Refusal> {
        self.get(&keys::revision(id, number), "revision")?
            .ok_or(Refusal::NoRevision(id, number))
    }

    fn delivery(&self, id: DeliveryId) -> Result<Delivery, Refusal> {
        self.get(&keys::delivery(id), "delivery")?
            .ok_or(Refusal::NoDelivery(id))
    }

    fn put_delivery(&mut self, delivery: &Delivery) -> Result<(), Refusal> {
        self.keep_watch(delivery)?;
        self.note_unsettled(delivery);
        if bug(Bug::B12) {
            let mut forgetful = delivery.clone();
            forgetful.tries = 0;
            return self.put(keys::delivery(delivery.id), &forgetful, "delivery");
        }
        self.put(keys::delivery(delivery.id), delivery, "delivery")
    }
}

/// Borrowed from the rules alone, so that the desk can be written meanwhile.
fn policy(rules: &[Policy], number: ChannelNo) -> Result<&Policy, Refusal> {
    rules
        .iter()
        .find(|policy| policy.number == number)
        .ok_or(Refusal::NoChannel(number))
}

/// The same; for a channel that is no longer configured, rules by which nothing is sent.
fn policy_or_retired(rules: &[Policy], number: ChannelNo) -> Cow<'_, Policy> {
    policy(rules, number).map_or_else(|_| Cow::Owned(Policy::retired(number)), Cow::Borrowed)
}

fn header(actor: &Actor, what: &str, item: Option<ItemId>) -> Header {
    Header {
        who: actor.who.clone(),
        from: actor.from.to_owned(),
        what: what.to_owned(),
        item: item.map(|id| id.to_string()),
        ..Header::default()
    }
}

fn about(actor: &Actor, what: &str, id: DeliveryId, outcome: &str) -> Header {
    Header {
        delivery: Some(id.channel.0.to_string()),
        outcome: Some(outcome.to_owned()),
        ..header(actor, what, Some(id.item))
    }
}

#[cfg(test)]
mod tests {
    use lubu_channels::{Effect, Step};

    use super::*;
    use crate::model::delivery::JobNow;

    fn intent(goal: Goal) -> Act {
        Act::Intent {
            id: DeliveryId {
                item: ItemId::new(1, [0; 10]),
                channel: ChannelNo(1),
            },
            version: 1,
            job: Box::new(JobNow {
                goal,
                revision: 1,
                draft: "d".repeat(64),
                blob: "b".repeat(64),
                round: 1,
            }),
            step: Step::new("remove", Effect::Idempotent),
        }
    }

    #[test]
    fn a_take_down_is_written_where_a_publication_no_longer_is() {
        assert_eq!(Office::class(&intent(Goal::Withdraw)), Class::Settle);
        for goal in [Goal::Publish, Goal::Update] {
            assert_eq!(Office::class(&intent(goal)), Class::Intent);
        }
    }
}

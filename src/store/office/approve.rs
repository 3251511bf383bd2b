//! Sign-off, release and withdrawal: the acts that change what channels should show.

use lubu_channels::Words;

use super::{Decided, Desk, header, policy, policy_or_retired};
use crate::ids::{DeliveryId, ItemId};
use crate::model::approval::Approval;
use crate::model::delivery::{
    Delivery, Event, Hold, State, Wanted, WantedRevision, Why, transition,
};
use crate::model::item::{Item, Withdrawal};
use crate::model::policy::Policy;
use crate::model::scope::Scope;
use crate::store::act::{Actor, Answer, Approve, Refusal};
use crate::store::keys;

impl Desk<'_> {
    /// True on disk afterwards: the approval, bound to the content hash and scope, and a delivery
    /// for each channel it is routed to, which wants exactly the draft that was signed.
    pub(super) fn approve(&mut self, approve: Approve) -> Decided {
        let Approve {
            actor,
            approval,
            inline,
            choices,
        } = approve;
        let mut item = self.item(approval.item)?;
        self.may_sign(&item, &approval)?;
        let mut deliveries = Vec::new();
        if approval.scope == Scope::Public {
            for (channel, draft) in &approval.routed {
                let choice = choices.iter().find(|(no, _)| no == channel);
                let policy = policy(self.rules, *channel)?;
                let wanted = WantedRevision {
                    number: approval.revision,
                    draft: draft.clone(),
                    blob: approval.drafts.clone(),
                    on_correction: choice.map_or(policy.on_correction, |(_, choice)| *choice),
                    schedule: item.schedule.clone(),
                };
                deliveries.push(self.route(&item, wanted, policy, &approval.by)?);
            }
            deliveries.extend(self.unrouted(&item, &approval)?);
            item.approved = Some(approval.revision);
        }
        for delivery in &deliveries {
            if !item.channels.contains(&delivery.id.channel) {
                item.channels.push(delivery.id.channel);
            }
            self.put_delivery(delivery)?;
        }
        if let Some(bytes) = inline {
            let bytes = serde_bytes::Bytes::new(&bytes);
            let key = keys::drafts(item.id, approval.revision, &approval.drafts);
            self.put(key, &bytes, "drafts")?;
        }
        self.put(
            keys::approval(item.id, approval.revision),
            &approval,
            "approval",
        )?;
        let mut header = header(&actor, "approve", Some(item.id));
        header.outcome = Some(approval.scope.code().to_owned());
        self.put_item(item)?;
        Ok((header, Answer::Deliveries(deliveries)))
    }

    fn may_sign(&self, item: &Item, approval: &Approval) -> Result<(), Refusal> {
        if item.withdrawal.is_some() {
            return Err(Refusal::Withdrawn);
        }
        if approval.revision != item.latest {
            return Err(Refusal::Superseded {
                latest: item.latest,
            });
        }
        let revision = self.revision(item.id, approval.revision)?;
        if revision.hash != approval.hash {
            return Err(Refusal::OtherContent);
        }
        if revision.by == approval.by {
            return Err(Refusal::OwnWork);
        }
        if approval.scope != Scope::Public && !item.channels.is_empty() {
            return Err(Refusal::StillPublic);
        }
        Ok(())
    }

    /// What one channel should show from now on.
    fn route(
        &self,
        item: &Item,
        wanted: WantedRevision,
        policy: &Policy,
        by: &str,
    ) -> Result<Delivery, Refusal> {
        let id = DeliveryId {
            item: item.id,
            channel: policy.number,
        };
        let before: Option<Delivery> = self.get(&keys::delivery(id), "delivery")?;
        let Some(before) = before else {
            let state = match &item.schedule {
                Some(name) => State::Held {
                    why: Hold::Schedule(name.clone()),
                    at: None,
                },
                None => State::Due {
                    at: self.now,
                    why: Why::Fresh,
                },
            };
            let fresh = Delivery::new(id, Wanted::Revision(wanted), state, self.now);
            // Signed before, sent, and forgotten with the machine that was set back: it is looked for first.
            let census = self.census(policy.number)?;
            return if census.is_some_and(|census| census.shows(item.id)) {
                transition(fresh, Event::Restored, self.now, policy, 0.5).map_err(Refusal::Illegal)
            } else {
                Ok(fresh)
            };
        };
        // Signing again orders the next send as a retry does.
        if before.said_absent.as_deref() == Some(by) {
            return Err(Refusal::NeedsAnother { by: by.to_owned() });
        }
        let event = Event::Approved(wanted);
        transition(before, event, self.now, policy, 0.5).map_err(Refusal::Illegal)
    }

    /// Channels that show an earlier revision and are no longer routed to keep it.
    fn unrouted(&self, item: &Item, approval: &Approval) -> Result<Vec<Delivery>, Refusal> {
        let mut kept = Vec::new();
        for channel in item
            .channels
            .iter()
            .filter(|no| !approval.routed.contains_key(no))
        {
            let id = DeliveryId {
                item: item.id,
                channel: *channel,
            };
            let policy = policy_or_retired(self.rules, *channel);
            let event = Event::Kept { why: not_routed() };
            let delivery = transition(self.delivery(id)?, event, self.now, &policy, 0.5)
                .map_err(Refusal::Illegal)?;
            kept.push(delivery);
        }
        Ok(kept)
    }

    /// True on disk afterwards: what waited for its schedule is due.
    pub(super) fn release(&mut self, actor: &Actor, items: &[ItemId]) -> Decided {
        let mut released = Vec::new();
        for id in items {
            for channel in self.item(*id)?.channels {
                let before = self.delivery(DeliveryId { item: *id, channel })?;
                let State::Held {
                    why: Hold::Schedule(_),
                    ..
                } = before.state
                else {
                    continue;
                };
                let policy = policy_or_retired(self.rules, channel);
                let after = transition(before, Event::Released, self.now, &policy, 0.5)
                    .map_err(Refusal::Illegal)?;
                self.put_delivery(&after)?;
                released.push(after);
            }
        }
        Ok((
            header(actor, "release", items.first().copied()),
            Answer::Deliveries(released),
        ))
    }

    /// Whether something that links to it is on its way down; it follows that, in reverse order of
    /// publication.
    pub(super) fn has_dependents(&self, one: &Delivery, all: &[Delivery]) -> bool {
        let due = one.withdrawing() && matches!(one.state, State::Due { .. });
        due && all.iter().any(|other| {
            let policy = policy_or_retired(self.rules, other.id.channel);
            other.is_going_down() && policy.after.contains(&one.id.channel)
        })
    }

    /// True on disk afterwards: no channel wants it, nothing new of it starts anywhere.
    pub(super) fn withdraw(&mut self, actor: &Actor, id: ItemId, reason: &str) -> Decided {
        let mut item = self.item(id)?;
        let mut deliveries = Vec::new();
        for channel in item.channels.clone() {
            let before = self.delivery(DeliveryId { item: id, channel })?;
            // A channel that left the configuration must not keep the others public.
            let policy = policy_or_retired(self.rules, channel);
            let event = Event::Withdrawn {
                by: actor.who.clone(),
                reason: reason.to_owned(),
            };
            let after =
                transition(before, event, self.now, &policy, 0.5).map_err(Refusal::Illegal)?;
            deliveries.push(after);
        }
        for at in 0..deliveries.len() {
            if self.has_dependents(&deliveries[at], &deliveries) {
                let policy = policy_or_retired(self.rules, deliveries[at].id.channel);
                let event = Event::Postponed {
                    until: self.now + DEPENDENTS,
                    why: Why::Dependents,
                };
                deliveries[at] = transition(deliveries[at].clone(), event, self.now, &policy, 0.5)
                    .map_err(Refusal::Illegal)?;
            }
            self.put_delivery(&deliveries[at])?;
        }
        if item.withdrawal.is_none() {
            item.withdrawal = Some(Withdrawal {
                by: actor.who.clone(),
                reason: reason.to_owned(),
                at: self.now,
            });
        }
        self.put_item(item)?;
        Ok((
            header(actor, "withdraw", Some(id)),
            Answer::Deliveries(deliveries),
        ))
    }
}

/// For so long, at most, a page waits for what links to it: a channel that cannot be reached must not
/// keep it public.
const DEPENDENTS: chrono::TimeDelta = chrono::TimeDelta::seconds(60);

fn not_routed() -> Words {
    Words::new(
        "新版不再发布到此渠道，旧稿保留",
        "the new revision is not routed here; the old copy stays",
    )
}

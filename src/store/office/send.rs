//! Intents, outcomes and persons' words.
//!
//! The intent is the one gate that everything passes on its way out. Approval, scope, withdrawal,
//! pause, order between channels and quota are all checked in this act, against the newest state:
//! what is revoked before it never leaves, what is revoked after it is withdrawn again.

use lubu_channels::{Cost, Effect, Goal, Quota, Step, Timestamp};

use super::{Decided, Desk, about, policy, policy_or_retired};
use crate::ids::{ChannelNo, DeliveryId};
use crate::model::approval::Approval;
use crate::model::channel::ChannelRecord;
use crate::model::delivery::{Delivery, Event, Hold, JobNow, State, Wanted, Why, transition};
use crate::model::halt::{Halt, StopOrder};
use crate::model::limit::{Used, window};
use crate::model::policy::Policy;
use crate::model::scope::Scope;
use crate::planted::{Bug, bug};
use crate::store::act::{Actor, Answer, LaneNews, Refusal, Share};
use crate::store::embedded::Change;
use crate::store::keys;

impl Desk<'_> {
    /// True on disk afterwards: either the intent with its quota spent (`Go`), or the reason why it
    /// waits (`Moved`).
    pub(super) fn intent(
        &mut self,
        id: DeliveryId,
        version: u64,
        job: JobNow,
        step: Step,
    ) -> Decided {
        let before = self.delivery(id)?;
        if before.version != version && !bug(Bug::B9) {
            return Err(Refusal::Stale);
        }
        // Whoever asks thinks that it is due, by a time that was set since.
        if matches!(before.state, State::Due { at, .. } if at > self.now) {
            return Err(Refusal::Stale);
        }
        self.may_send()?;
        let rules = self.rules;
        let policy = policy(rules, id.channel)?;
        if job.goal != Goal::Withdraw {
            self.not_halted()?;
            if !bug(Bug::B11) {
                self.may_leave(&before, &job)?;
            }
            if let Some(missing) = self.missing(&before, &job, policy)? {
                return self.moved(before, Event::Waits(Hold::After(missing)), policy);
            }
        }
        if let Some(until) = self.quiet_until(&before, &job, policy) {
            let why = Why::Quiet { asked: self.now };
            return self.moved(before, Event::Postponed { until, why }, policy);
        }
        let name = step.name.clone();
        // A repeat that the platform drops spends nothing.
        let repeat = matches!(step.effect, Effect::Keyed { .. })
            && before
                .doubt
                .as_ref()
                .is_some_and(|doubt| doubt.may_double() && doubt.step.name == name);
        let costs = if repeat {
            Vec::new()
        } else {
            step.costs.clone()
        };
        let goal = job.goal;
        let after = self.step(before.clone(), Event::Intent { job, step }, policy, 0.5)?;
        if !matches!(after.state, State::Working { .. }) {
            // Its key has run out meanwhile: it is looked for instead.
            return self.waits(after);
        }
        if let Err(refusal) = self.spend(policy, &costs, |quota| ceiling(quota, goal)) {
            let Refusal::QuotaUsed { name, until } = refusal else {
                return Err(refusal);
            };
            self.changes.clear();
            let why = Why::Quota { name };
            return self.moved(before, Event::Postponed { until, why }, policy);
        }
        self.put_delivery(&after)?;
        let header = about(&Actor::engine(), "intent", id, &name);
        Ok((header, Answer::Go(Box::new(after))))
    }

    fn moved(&mut self, before: Delivery, event: Event, policy: &Policy) -> Decided {
        let after = self.step(before, event, policy, 0.5)?;
        self.waits(after)
    }

    fn waits(&mut self, after: Delivery) -> Decided {
        self.put_delivery(&after)?;
        let header = about(
            &Actor::engine(),
            "wait",
            after.id,
            after.public_state().code(),
        );
        Ok((header, Answer::Moved(Box::new(after))))
    }

    /// No person has stopped all sending, and the clock is believed.
    fn not_halted(&self) -> Result<(), Refusal> {
        if let Some(order) = self.get::<StopOrder>(keys::STOP_ORDER, "stop order")? {
            return Err(Refusal::Halted(Halt::Ordered(order)));
        }
        let doubt = self.clock.doubt().map(Halt::Clock);
        doubt.map_or(Ok(()), |halt| Err(Refusal::Halted(halt)))
    }

    /// True on disk afterwards: no intent but a withdrawal's is granted until the order is lifted.
    pub(super) fn sending(&mut self, actor: &Actor, stop: Option<String>) -> Decided {
        let key = keys::STOP_ORDER.to_vec();
        let what = if let Some(reason) = stop {
            let order = StopOrder {
                by: actor.who.clone(),
                reason,
                at: self.now,
            };
            self.put(key, &order, "stop order")?;
            "stop-sending"
        } else {
            self.changes.push(Change::Remove { key });
            "resume-sending"
        };
        Ok((super::header(actor, what, None), Answer::Done))
    }

    /// Invariant 1: an approval of exactly this content and draft, with scope `public`, in force.
    fn may_leave(&self, delivery: &Delivery, job: &JobNow) -> Result<(), Refusal> {
        let Wanted::Revision(wanted) = &delivery.wanted else {
            return Err(Refusal::Withdrawn);
        };
        if wanted.number != job.revision || wanted.draft != job.draft {
            return Err(Refusal::Stale);
        }
        let item = delivery.id.item;
        let approval: Approval = self
            .get(&keys::approval(item, job.revision), "approval")?
            .ok_or(Refusal::NotApproved)?;
        let revision = self.revision(item, job.revision)?;
        let signed = approval.routed.get(&delivery.id.channel);
        let holds = approval.scope == Scope::Public
            && approval.hash == revision.hash
            && signed == Some(&job.draft)
            && approval.drafts == job.blob;
        if !holds {
            return Err(Refusal::NotApproved);
        }
        let channel: Option<ChannelRecord> =
            self.get(&keys::channel(delivery.id.channel), "channel")?;
        match channel.and_then(|channel| channel.pause) {
            Some(pause) if pause.until.is_none_or(|until| until > self.now) => Err(Refusal::Paused),
            _ => Ok(()),
        }
    }

    /// The end of quiet hours. They are for what readers would get: a withdrawal goes on, and one that clears
    /// the way for a new post waits with it, unless it has begun.
    fn quiet_until(&self, before: &Delivery, job: &JobNow, policy: &Policy) -> Option<Timestamp> {
        let begun = before.job.as_ref().map(|job| job.goal) == Some(Goal::Withdraw);
        if job.goal == Goal::Withdraw && (before.withdrawing() || begun) {
            return None;
        }
        policy.quiet.as_ref()?.opens(self.now)
    }

    /// Channels that must show this revision, or a later one, before this one may.
    fn missing(
        &self,
        delivery: &Delivery,
        job: &JobNow,
        policy: &Policy,
    ) -> Result<Option<Vec<ChannelNo>>, Refusal> {
        let mut missing = Vec::new();
        for channel in &policy.after {
            let id = DeliveryId {
                item: delivery.id.item,
                channel: *channel,
            };
            // An item that is not routed there has nothing to wait for.
            let Some(other) = self.get::<Delivery>(&keys::delivery(id), "delivery")? else {
                continue;
            };
            // Neither has one that keeps what it shows, or shows nothing, whatever comes.
            let expected = matches!(other.wanted, Wanted::Revision(_));
            if expected && !shows(&other, job.revision) {
                missing.push(*channel);
            }
        }
        Ok((!missing.is_empty()).then_some(missing))
    }

    /// True on disk afterwards: the outcome, what it released, and what the lane learnt from it.
    pub(super) fn settle(
        &mut self,
        id: DeliveryId,
        version: u64,
        event: Event,
        dice: f64,
        lane: Option<LaneNews>,
    ) -> Decided {
        let before = self.delivery(id)?;
        if before.version != version && !arrives(&before, &event) {
            return Err(Refusal::Stale);
        }
        let rules = self.rules;
        let policy = policy_or_retired(rules, id.channel);
        let what = event.name();
        let looked = matches!(event, Event::Looked { .. });
        let after = self.step(before.clone(), event, &policy, dice)?;
        self.put_delivery(&after)?;
        if looked {
            self.note_strayed(&before, &after)?;
        }
        let mut released = self.released_by(&after)?;
        released.extend(self.follows_down(&after)?);
        if let Some(news) = lane {
            let news = self.heed_survey(&Actor::engine(), id.channel, news)?;
            self.note_lane(id.channel, news)?;
        }
        let header = about(&Actor::engine(), what, id, after.public_state().code());
        Ok((header, Answer::Settled(Box::new(after), released)))
    }

    /// A person's word.
    pub(super) fn person(&mut self, actor: &Actor, id: DeliveryId, event: Event) -> Decided {
        let before = self.delivery(id)?;
        if let (Event::Retry { by }, Some(said)) = (&event, &before.said_absent)
            && by == said
        {
            return Err(Refusal::NeedsAnother { by: said.clone() });
        }
        let rules = self.rules;
        let policy = policy_or_retired(rules, id.channel);
        if let (Event::SaidAbsent { .. }, Some(until)) = (&event, before.may_arrive_until(&policy))
            && until > self.now
        {
            return Err(Refusal::TooEarly { until });
        }
        let what = event.name();
        let after = self.step(before, event, &policy, 0.5)?;
        self.put_delivery(&after)?;
        let released = self.released_by(&after)?;
        let header = about(actor, what, id, after.public_state().code());
        Ok((header, Answer::Settled(Box::new(after), released)))
    }

    pub(super) fn step(
        &self,
        before: Delivery,
        event: Event,
        policy: &Policy,
        dice: f64,
    ) -> Result<Delivery, Refusal> {
        transition(before, event, self.now, policy, dice).map_err(Refusal::Illegal)
    }

    /// Deliveries of the same item that waited for this one to be seen.
    pub(super) fn released_by(&mut self, live: &Delivery) -> Result<Vec<Delivery>, Refusal> {
        let State::Live = live.state else {
            return Ok(Vec::new());
        };
        let rules = self.rules;
        let mut released = Vec::new();
        for waiting in rules
            .iter()
            .filter(|policy| policy.after.contains(&live.id.channel))
        {
            let id = DeliveryId {
                item: live.id.item,
                channel: waiting.number,
            };
            let Some(before) = self.get::<Delivery>(&keys::delivery(id), "delivery")? else {
                continue;
            };
            let State::Held {
                why: Hold::After(_),
                ..
            } = before.state
            else {
                continue;
            };
            // Whether everything is there by now is asked again by its own intent.
            let after = self.step(before, Event::Released, waiting, 0.5)?;
            self.put_delivery(&after)?;
            released.push(after);
        }
        Ok(released)
    }

    /// Withdrawals of the same item that waited for this one, which links to them.
    fn follows_down(&mut self, gone: &Delivery) -> Result<Vec<Delivery>, Refusal> {
        if !gone.withdrawing() || gone.is_going_down() {
            return Ok(Vec::new());
        }
        let item = self.item(gone.id.item)?;
        let mut all = Vec::new();
        for channel in item.channels {
            let id = DeliveryId {
                item: item.id,
                channel,
            };
            all.push(if id == gone.id {
                gone.clone()
            } else {
                self.delivery(id)?
            });
        }
        let waits = |one: &&Delivery| {
            let State::Due {
                why: Why::Dependents,
                ..
            } = one.state
            else {
                return false;
            };
            !self.has_dependents(one, &all)
        };
        let free: Vec<Delivery> = all.iter().filter(waits).cloned().collect();
        let mut released = Vec::new();
        for before in free {
            let policy = policy_or_retired(self.rules, before.id.channel);
            let after = self.step(before, Event::Released, &policy, 0.5)?;
            self.put_delivery(&after)?;
            released.push(after);
        }
        Ok(released)
    }

    /// True on disk afterwards: the look's quota is spent.
    pub(super) fn spend_for_look(
        &mut self,
        channel: ChannelNo,
        costs: &[Cost],
        share: Share,
    ) -> Decided {
        let rules = self.rules;
        let policy = policy(rules, channel)?;
        let most = |quota: &Quota| match share {
            Share::Whole => quota.limit,
            Share::Percent(percent) => {
                let part = u64::from(quota.limit) * u64::from(percent) / 100;
                let part = u32::try_from(part).unwrap_or(quota.limit);
                part.min(quota.limit.saturating_sub(quota.reserve))
            }
        };
        self.spend(policy, costs, most)?;
        let mut header = super::header(&Actor::engine(), "spend", None);
        header.delivery = Some(channel.0.to_string());
        Ok((header, Answer::Done))
    }

    /// `most` is the part of a quota that may be used up.
    fn spend(
        &mut self,
        policy: &Policy,
        costs: &[Cost],
        most: impl Fn(&Quota) -> u32,
    ) -> Result<(), Refusal> {
        for cost in costs {
            let Some(quota) = policy.quotas.iter().find(|quota| quota.name == cost.quota) else {
                continue;
            };
            let (label, until) = window(quota.window, self.now);
            let key = keys::quota(&policy.account, &quota.name, &label);
            let Used(used) = self.get(&key, "quota")?.unwrap_or_default();
            if used + cost.units > most(quota) {
                return Err(Refusal::QuotaUsed {
                    name: quota.name.clone(),
                    until,
                });
            }
            self.put(key, &Used(used + cost.units), "quota")?;
        }
        Ok(())
    }
}

/// Looks and withdrawals may use the reserve too.
fn ceiling(quota: &Quota, goal: Goal) -> u32 {
    match goal {
        Goal::Withdraw => quota.limit,
        Goal::Publish | Goal::Update => quota.limit.saturating_sub(quota.reserve),
    }
}

/// Seen live with that revision or a later one.
fn shows(delivery: &Delivery, revision: u32) -> bool {
    matches!(delivery.state, State::Live)
        && delivery
            .copy
            .as_ref()
            .is_some_and(|copy| copy.revision >= revision)
}

/// The outcome of a step arrives though `wanted` was changed while it ran. A look does not: it is
/// cheap, and what it looked at may have been settled by a person meanwhile.
fn arrives(before: &Delivery, event: &Event) -> bool {
    let outcome = matches!(
        event,
        Event::Done { .. } | Event::Failed { .. } | Event::Unsent { .. } | Event::Lost
    );
    outcome && matches!(before.state, State::Working { .. })
}

//! What a lane starts, and in which order: withdrawals before all else, a burst and a second look only where nothing
//! else is due.

use std::sync::Arc;

use lubu_channels::Timestamp;

use super::{Burst, Done, Lane, Running, reread};
use crate::engine::attempt::{PublicSteps, work};
use crate::engine::burst::{self, Waiting};
use crate::engine::queue::Door;
use crate::engine::suspects::{AtWork, Work};
use crate::engine::verify::{self, Looked};
use crate::ids::DeliveryId;

impl Lane {
    /// Starts what may start; says when to look again.
    pub(super) async fn start_due(&mut self) -> Option<Timestamp> {
        let now = self.bench.shared.time.now();
        let open = self.is_open(now).await;
        let survey = self.start_survey(open, now);
        let sends = open && !self.halted && !self.survey.is_owed();
        let may = match (open || self.only_sends_wait(now), sends) {
            (false, _) => Door::Withdrawal,
            // Looks go on: they tell what happened before.
            (true, false) => Door::Look,
            (true, true) => Door::Send,
        };
        let (wake, skipped) = self.fill(may, now);
        let due = self.queue.first(may).is_some_and(|(at, _)| at <= now);
        let turn = self.start_burst(sends, due);
        self.start_verify(open, due, now);
        let next = self.next(may, now, skipped);
        [wake, turn, next, survey, self.reopens(now)]
            .into_iter()
            .flatten()
            .min()
    }

    pub(super) fn start_withdrawals(&mut self) -> Option<Timestamp> {
        let now = self.bench.shared.time.now();
        let (wake, skipped) = self.fill(Door::Withdrawal, now);
        let next = self.next(Door::Withdrawal, now, skipped);
        [wake, next].into_iter().flatten().min()
    }

    fn next(&mut self, may: Door, now: Timestamp, skipped: Vec<DeliveryId>) -> Option<Timestamp> {
        let next = self.queue.first(may).map(|(at, _)| at);
        self.queue.put_back(skipped);
        next.filter(|at| *at > now)
    }

    /// Gives the free places away. When to ask again for what was passed over, and what that is.
    fn fill(&mut self, may: Door, now: Timestamp) -> (Option<Timestamp>, Vec<DeliveryId>) {
        let mut wake: Option<Timestamp> = None;
        let mut skipped = Vec::new();
        // What is being withdrawn goes first, and does not wait behind what waits for the pace.
        let mut passes = may;
        while self.running.len() < self.bench.policy.concurrency && self.bursting.is_none() {
            let due = |door| self.queue.first(door).filter(|(at, _)| *at <= now);
            let Some((_, id)) = due(Door::Withdrawal).or_else(|| due(passes)) else {
                break;
            };
            let entered = self.bench.shared.suspects.enter(Work::Delivery(id), now);
            let at_work = match entered {
                Ok(at_work) => at_work,
                Err(turn) => {
                    self.queue.pass_over(id);
                    skipped.push(id);
                    wake = Some(wake.map_or(turn, |wake| wake.min(turn)));
                    continue;
                }
            };
            let urgent = self.queue.is_withdrawal(id);
            if let (Some(bucket), false) = (&mut self.bucket, urgent)
                && let Err(until) = bucket.take(now)
            {
                at_work.not_begun();
                self.queue.pass_over(id);
                skipped.push(id);
                passes = Door::Withdrawal;
                wake = Some(wake.map_or(until, |wake| wake.min(until)));
                continue;
            }
            self.start(id, at_work);
        }
        (wake, skipped)
    }

    fn start(&mut self, id: DeliveryId, at_work: AtWork) {
        let Some(waits) = self.queue.remove(id) else {
            return;
        };
        self.run_on(id, waits.version);
        let public = self.public_steps(id);
        let bench = Arc::clone(&self.bench);
        // What starts though these settings are over is taken down under them, to its end.
        let over = if self.coming.is_some() {
            bench.shared.stop.child_token()
        } else {
            self.over.clone()
        };
        let task = self.tasks.spawn(async move {
            let delivery = match waits.delivery {
                Some(delivery) => Some(delivery),
                None => reread(&bench, id).await.map(Box::new),
            };
            let Some(delivery) = delivery else {
                return Done::Went(Vec::new());
            };
            let report = work(&bench, delivery, public, &over).await;
            if report.burst.is_some() {
                // It is not through before the burst is.
                at_work.not_begun();
            }
            Done::Went(vec![report])
        });
        self.by_task.insert(task.id(), vec![id]);
    }

    /// The lowest there is: only where nothing runs or is due, one at a time. It takes no place from
    /// what comes meanwhile.
    fn start_verify(&mut self, open: bool, due: bool, now: Timestamp) {
        if !self.can_look(now) {
            for ask in self.asked.drain(..) {
                let _gone = ask.answer.send(Looked::Closed);
            }
            return;
        }
        let busy = due || !open || !self.running.is_empty() || self.verifying.is_some();
        if busy {
            return;
        }
        if let Some(ask) = self.asked.pop_front() {
            let bench = Arc::clone(&self.bench);
            let task = self.tasks.spawn(async move {
                verify::answer(&bench, ask).await;
                Done::Went(Vec::new())
            });
            self.verifying = Some(task.id());
        }
    }

    fn run_on(&mut self, id: DeliveryId, version: u64) {
        let newer = None;
        self.running.insert(id, Running { version, newer });
    }

    /// Posts wait before a burst until nothing else runs or is due: then one run serves all. When to ask again, where
    /// a suspect waits for its turn.
    fn start_burst(&mut self, open: bool, due: bool) -> Option<Timestamp> {
        let now = self.bench.shared.time.now();
        if !self.running.is_empty() || due {
            return None;
        }
        let (ids, at_work) = match self.next_burst(open, now)? {
            Ok(next) => next,
            Err(turn) => return Some(turn),
        };
        let waiting: Vec<Waiting> = ids
            .iter()
            .filter_map(|id| self.waiting.remove(id))
            .collect();
        for one in &waiting {
            self.run_on(one.delivery.id, one.delivery.version);
        }
        let bench = Arc::clone(&self.bench);
        let task = self.tasks.spawn(async move {
            let _at_work = at_work;
            Done::Went(burst::run(&bench, waiting).await)
        });
        self.bursting = Some(task.id());
        self.by_task.insert(task.id(), ids);
        None
    }

    /// All that wait; what ended a process or a task before goes after them, alone.
    fn next_burst(&self, open: bool, now: Timestamp) -> Option<Result<Burst, Timestamp>> {
        let suspects = &self.bench.shared.suspects;
        let may = self.waiting.values();
        let may = may.filter(|one| open || one.delivery.withdrawing());
        let ids = may.map(|one| one.delivery.id);
        let suspect = |id: &DeliveryId| {
            self.panics.contains_key(id) || suspects.deaths(Work::Delivery(*id)) > 0
        };
        let (alone, mut together): (Vec<_>, Vec<_>) = ids.partition(suspect);
        if together.is_empty() {
            together.extend(alone.first());
        }
        if together.is_empty() {
            return None;
        }
        let entered = together
            .iter()
            .map(|id| suspects.enter(Work::Delivery(*id), now));
        let entered: Result<Vec<AtWork>, Timestamp> = entered.collect();
        Some(entered.map(|at_work| (together, at_work)))
    }

    fn public_steps(&self, id: DeliveryId) -> PublicSteps {
        if self.bench.policy.look_rows.is_none() {
            return PublicSteps::Free;
        }
        let now = self.bench.shared.time.now();
        let other = self
            .unknown
            .iter()
            .filter(|(other, _)| **other != id)
            .map(|(_, at)| *at)
            .max();
        match other {
            Some(at) => PublicSteps::Until(at.max(now) + chrono::TimeDelta::seconds(5)),
            None => PublicSteps::Free,
        }
    }
}

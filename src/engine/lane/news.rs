//! What a lane is told: deliveries, and what an operator decided.

use std::sync::Arc;

use lubu_channels::Timestamp;

use super::{Lane, Message};
use crate::engine::Bench;
use crate::ids::DeliveryId;
use crate::model::delivery::{Delivery, State};
use crate::model::limit::Bucket;

impl Lane {
    pub(super) fn receive(&mut self, message: Message) {
        match message {
            Message::Look(delivery) => self.hear(delivery),
            Message::Record(record) => {
                self.pause = record.pause;
                self.breaker = record.breaker;
                if self.pause.is_none() {
                    self.pardon_survey(self.bench.shared.time.now());
                }
                // What was refused meanwhile need not wait out its delay.
                self.queue.hurry();
            }
            Message::Halt(halted) => {
                // Time that jumped may be that of a machine set back as it stood, this process with it.
                if self.halted && !halted {
                    self.survey.again(self.bench.channel.as_ref());
                }
                self.halted = halted;
                self.queue.hurry();
            }
            Message::Verify(ask) => self.asked.push_back(ask),
            Message::Survey => self.survey.ask(self.bench.shared.time.now()),
            Message::Bench(bench, begun) => {
                self.over.cancel();
                self.coming = Some(bench);
                self.told.push(begun);
            }
        }
    }

    pub(super) fn take_over(&mut self, bench: Arc<Bench>) {
        let now = bench.shared.time.now();
        self.bucket = match (self.bucket.take(), bench.policy.rate) {
            (Some(bucket), Some(rate)) => Some(bucket.at_rate(rate, now)),
            (_, rate) => rate.map(|rate| Bucket::new(rate, now)),
        };
        self.bench = bench;
        self.over = self.bench.shared.stop.child_token();
        // What waits before a burst was prepared by the adapter before.
        for one in std::mem::take(&mut self.waiting).into_values() {
            self.queue(one.delivery, None);
        }
        self.queue.hurry();
        for begun in self.told.drain(..) {
            let _gone = begun.send(());
        }
    }

    /// Messages may come late: what is known already and newer stands.
    fn hear(&mut self, delivery: Box<Delivery>) {
        if let Some(running) = self.running.get_mut(&delivery.id) {
            if running
                .newer
                .as_ref()
                .is_none_or(|newer| newer.version < delivery.version)
            {
                running.newer = Some(delivery);
            }
            return;
        }
        let queued = self.queue.version(delivery.id);
        let waiting = self
            .waiting
            .get(&delivery.id)
            .map(|one| one.delivery.version);
        if queued
            .max(waiting)
            .is_none_or(|known| known < delivery.version)
        {
            self.queue(delivery, None);
        }
    }

    pub(super) fn queue(&mut self, delivery: Box<Delivery>, not_before: Option<Timestamp>) {
        let id = delivery.id;
        self.unqueue(id);
        match &delivery.state {
            State::Unknown(unknown) => {
                // Past its look plan a person owns it, and it no longer keeps others waiting.
                match unknown.at {
                    Some(at) => self.unknown.insert(id, at),
                    None => self.unknown.remove(&id),
                };
            }
            _ => {
                self.unknown.remove(&id);
            }
        }
        self.queue.put(delivery, not_before, self.hub.room());
    }

    pub(super) fn unqueue(&mut self, id: DeliveryId) {
        self.waiting.remove(&id);
        self.queue.remove(id);
    }
}

//! The worker of one channel (通道): what is due in order, no more at once than allowed.
//!
//! The queue is memory, rebuilt from the store at every start. A lane that is paused, or whose
//! breaker is open, still runs what is being withdrawn. The breaker probes with `check`, which
//! changes nothing on the platform, and closes by itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use lubu_channels::Timestamp;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};

use super::attempt::{Behaved, PublicSteps, Report, work};
use super::burst::{self, Waiting};
use super::{Bench, Hub};
use crate::ids::DeliveryId;
use crate::model::channel::{Breaker, ChannelRecord, Pause};
use crate::model::delivery::{Delivery, Event, State};
use crate::model::limit::Bucket;
use crate::store::act::{Actor, LaneNews};
use crate::store::{Act, Answer};

#[derive(Debug)]
pub enum Message {
    /// A delivery that may be due.
    Look(Box<Delivery>),
    /// What an operator decided about the channel.
    Record(Box<ChannelRecord>),
}

pub struct Lane {
    bench: Arc<Bench>,
    hub: Hub,
    inbox: mpsc::UnboundedReceiver<Message>,
    due: BTreeSet<(Timestamp, DeliveryId)>,
    queued: HashMap<DeliveryId, Delivery>,
    /// What runs, and what came in about it meanwhile.
    running: HashMap<DeliveryId, Option<Box<Delivery>>>,
    tasks: JoinSet<Vec<Report>>,
    by_task: HashMap<Id, Vec<DeliveryId>>,
    waiting: BTreeMap<DeliveryId, Waiting>,
    bursting: bool,
    bucket: Option<Bucket>,
    pause: Option<Pause>,
    breaker: Breaker,
    /// Posts whose outcome is unknown, with their next look.
    unknown: BTreeMap<DeliveryId, Timestamp>,
}

impl Lane {
    pub fn new(
        bench: Arc<Bench>,
        hub: Hub,
        record: Option<ChannelRecord>,
        inbox: mpsc::UnboundedReceiver<Message>,
    ) -> Self {
        let now = bench.shared.time.now();
        let (pause, breaker) = record.map_or((None, Breaker::default()), |record| {
            (record.pause, record.breaker)
        });
        Self {
            bucket: bench.policy.rate.map(|rate| Bucket::new(rate, now)),
            bench,
            hub,
            inbox,
            due: BTreeSet::new(),
            queued: HashMap::new(),
            running: HashMap::new(),
            tasks: JoinSet::new(),
            by_task: HashMap::new(),
            waiting: BTreeMap::new(),
            bursting: false,
            pause,
            breaker,
            unknown: BTreeMap::new(),
        }
    }

    pub async fn run(mut self) {
        let stop = self.bench.shared.stop.clone();
        loop {
            let next = self.start_due().await;
            let time = Arc::clone(&self.bench.shared.time);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                done = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => {
                    if let Some(done) = done {
                        self.finished(done).await;
                    }
                }
                message = self.inbox.recv() => match message {
                    Some(message) => self.receive(message),
                    None => break,
                },
                () = sleep(time.as_ref(), next), if next.is_some() => {}
            }
        }
        // Running calls are never dropped; the engine's stop limits how long this may take.
        while let Some(done) = self.tasks.join_next_with_id().await {
            self.finished(done).await;
        }
    }

    fn receive(&mut self, message: Message) {
        match message {
            Message::Look(delivery) => match self.running.get_mut(&delivery.id) {
                Some(newer) => *newer = Some(delivery),
                None => self.queue(*delivery),
            },
            Message::Record(record) => {
                self.pause = record.pause;
                self.breaker = record.breaker;
            }
        }
        while let Ok(message) = self.inbox.try_recv() {
            self.receive(message);
        }
    }

    fn queue(&mut self, delivery: Delivery) {
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
        if let Some(at) = delivery.next_at() {
            self.due.insert((at, id));
            self.queued.insert(id, delivery);
        }
    }

    fn unqueue(&mut self, id: DeliveryId) {
        self.waiting.remove(&id);
        if let Some(at) = self.queued.remove(&id).and_then(|old| old.next_at()) {
            self.due.remove(&(at, id));
        }
    }

    /// Starts what may start; says when to look again.
    async fn start_due(&mut self) -> Option<Timestamp> {
        let now = self.bench.shared.time.now();
        let open = self.is_open(now).await;
        let mut wake: Option<Timestamp> = None;
        let mut skipped = Vec::new();
        while self.running.len() < self.bench.policy.concurrency && !self.bursting {
            let Some((at, id)) = self.due.first().copied() else {
                break;
            };
            if at > now {
                break;
            }
            self.due.pop_first();
            let urgent = self.queued.get(&id).is_some_and(Delivery::withdrawing);
            if !open && !urgent {
                skipped.push((at, id));
                continue;
            }
            if let (Some(bucket), false) = (&mut self.bucket, urgent)
                && let Err(until) = bucket.take(now)
            {
                skipped.push((at, id));
                wake = Some(until);
                break;
            }
            self.start(id);
        }
        self.start_burst();
        let next = self.due.first().map(|(at, _)| *at).filter(|at| *at > now);
        self.due.extend(skipped);
        [wake, next, self.reopens(now)].into_iter().flatten().min()
    }

    fn start(&mut self, id: DeliveryId) {
        let Some(delivery) = self.queued.remove(&id) else {
            return;
        };
        let public = self.public_steps(id);
        let bench = Arc::clone(&self.bench);
        let task = self
            .tasks
            .spawn(async move { vec![work(&bench, delivery, public).await] });
        self.by_task.insert(task.id(), vec![id]);
        self.running.insert(id, None);
    }

    /// Posts wait before a burst until nothing else runs or is due: then one run serves all.
    fn start_burst(&mut self) {
        let now = self.bench.shared.time.now();
        let due = self.due.first().is_some_and(|(at, _)| *at <= now);
        if self.waiting.is_empty() || !self.running.is_empty() || self.bursting || due {
            return;
        }
        let waiting: Vec<Waiting> = std::mem::take(&mut self.waiting).into_values().collect();
        let ids: Vec<DeliveryId> = waiting.iter().map(|one| one.delivery.id).collect();
        for id in &ids {
            self.running.insert(*id, None);
        }
        let bench = Arc::clone(&self.bench);
        let task = self
            .tasks
            .spawn(async move { burst::run(&bench, waiting).await });
        self.by_task.insert(task.id(), ids);
        self.bursting = true;
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

    async fn finished(&mut self, done: Result<(Id, Vec<Report>), tokio::task::JoinError>) {
        let reports = match done {
            Ok((task, reports)) => {
                self.by_task.remove(&task);
                reports
            }
            Err(error) => self.crashed(&error).await,
        };
        if reports.iter().any(|report| report.burst.is_none())
            && self.running.len() <= reports.len()
        {
            self.bursting = false;
        }
        for report in reports {
            self.take(report).await;
        }
    }

    async fn take(&mut self, report: Report) {
        let Report {
            delivery,
            released,
            health,
            pause,
            burst,
        } = report;
        let newer = self.running.remove(&delivery.id).flatten();
        self.hub.wake(&released);
        if let Some(pause) = pause {
            tracing::error!(channel = self.bench.policy.name, "paused: {}", pause.why.en);
            self.pause = Some(pause);
        }
        self.behaved(health).await;
        let newest = match newer {
            Some(newer) if newer.version > delivery.version => *newer,
            _ => delivery,
        };
        match burst {
            Some(ready) if newest.version_is(&ready.now) => {
                self.waiting.insert(
                    newest.id,
                    Waiting {
                        delivery: newest,
                        ready: *ready,
                    },
                );
            }
            Some(_) | None => self.queue(newest),
        }
    }

    /// A task that panicked leaves its step open: the outcome is unknown.
    async fn crashed(&mut self, error: &tokio::task::JoinError) -> Vec<Report> {
        let ids = self.by_task.remove(&error.id()).unwrap_or_default();
        self.bursting = false;
        for id in ids {
            tracing::error!(delivery.id = %id, "delivery {id}: its task ended by a panic");
            self.running.remove(&id);
            let Ok(Some(mut delivery)) = self.bench.shared.store.delivery(id).await else {
                continue;
            };
            if let State::Working { .. } = delivery.state {
                let act = Act::Settle {
                    id,
                    version: delivery.version,
                    event: Box::new(Event::Lost),
                    dice: 0.5,
                    lane: None,
                };
                if let Ok(Answer::Settled(after, _)) = self.bench.shared.store.act(act).await {
                    delivery = *after;
                }
            }
            self.queue(delivery);
        }
        Vec::new()
    }

    /// Whether new work may start; probes when an open breaker's time is over.
    async fn is_open(&mut self, now: Timestamp) -> bool {
        if let Some(pause) = &self.pause {
            if pause.until.is_none_or(|until| until > now) {
                return false;
            }
            self.pause = None;
            self.tell(LaneNews::Resumed).await;
        }
        let Some(until) = self.breaker.until else {
            return true;
        };
        if until > now || self.due.is_empty() {
            return false;
        }
        let checked = self.bench.channel.check(&self.bench.call(false)).await;
        self.breaker = match &checked {
            Ok(_) => self.breaker.clone().worked(),
            Err(_) => self
                .breaker
                .clone()
                .probe_failed(self.bench.shared.time.now()),
        };
        self.tell(LaneNews::Breaker(self.breaker.clone())).await;
        checked.is_ok()
    }

    fn reopens(&self, now: Timestamp) -> Option<Timestamp> {
        let pause = self.pause.as_ref().and_then(|pause| pause.until);
        [pause, self.breaker.until]
            .into_iter()
            .flatten()
            .filter(|until| *until > now)
            .min()
    }

    async fn behaved(&mut self, health: Behaved) {
        match health {
            Behaved::Unasked => {}
            Behaved::Well => {
                if self.breaker != Breaker::default() {
                    let was_open = !self.breaker.is_closed();
                    self.breaker = Breaker::default();
                    if was_open {
                        self.tell(LaneNews::Breaker(Breaker::default())).await;
                    }
                }
            }
            Behaved::Badly => {
                self.breaker = self.breaker.clone().failed(self.bench.shared.time.now());
                if !self.breaker.is_closed() {
                    let name = &self.bench.policy.name;
                    tracing::error!(channel = name, "the breaker of {name} opened");
                    self.tell(LaneNews::Breaker(self.breaker.clone())).await;
                }
            }
        }
    }

    async fn tell(&self, news: LaneNews) {
        let act = Act::Lane {
            actor: Actor::engine(),
            channel: self.bench.policy.number,
            news,
        };
        if let Err(error) = self.bench.shared.store.act(act).await {
            tracing::error!(channel = self.bench.policy.name, "{error}");
        }
    }
}

async fn sleep(time: &dyn crate::clock::Time, until: Option<Timestamp>) {
    match until {
        Some(until) => time.sleep_until(until).await,
        None => std::future::pending().await,
    }
}

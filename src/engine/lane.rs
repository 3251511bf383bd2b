//! The worker of one channel (通道): what is due in order, no more at once than allowed.
//!
//! The queue is memory, rebuilt from the store at every start. A lane that is paused, or whose
//! breaker is open, still runs what is being withdrawn. The breaker probes with `check`, which
//! changes nothing on the platform, and closes by itself.
//!
//! Before the first send of a life the platform is asked what it shows ([`census`]): until that is answered
//! the lane looks and takes down, and sends nothing.
//!
//! Two rules keep a delivery from being lost or spun: a message older than what is queued is
//! dropped, and a go that changed nothing is not repeated at once.

mod census;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use lubu_channels::{Timestamp, Words};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use super::attempt::{Behaved, PublicSteps, Report, work};
use super::burst::{self, Waiting};
use super::queue::{Door, Queue};
use super::survey::Came;
use super::suspects::{self, AtWork, Work};
use super::verify::{self, Ask, Looked};
use super::{Bench, Hub, recover};
use crate::ids::DeliveryId;
use crate::model::channel::{Breaker, ChannelRecord, Pause};
use crate::model::delivery::{Delivery, State};
use crate::model::limit::Bucket;
use crate::store::act::{Actor, LaneNews};
use crate::store::{Act, Stored};
use census::Owed;

/// After a go that changed nothing: the store refused, or could not write.
const AGAIN: Duration = Duration::from_secs(5);
/// After a panic, which would likely come again.
const CRASHED: Duration = Duration::from_mins(1);
/// The wall clock may be set while a lane sleeps.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub enum Message {
    /// A delivery that may be due.
    Look(Box<Delivery>),
    /// What an operator decided about the channel.
    Record(Box<ChannelRecord>),
    /// Nothing is sent anywhere, or no longer so.
    Halt(bool),
    /// Other settings are in force; to be answered once the lane goes by them.
    Bench(Arc<Bench>, oneshot::Sender<()>),
    /// Something at rest is to be looked at again, once nothing else is to be done.
    Verify(Ask),
    /// The platform is to be asked again what it shows.
    Survey,
}

pub struct Lane {
    bench: Arc<Bench>,
    /// Settings to go on by, once nothing runs under these, and who waits for that.
    coming: Option<Arc<Bench>>,
    told: Vec<oneshot::Sender<()>>,
    /// These settings are over, or the engine stops: what runs begins no further step.
    over: CancellationToken,
    hub: Hub,
    inbox: mpsc::UnboundedReceiver<Message>,
    queue: Queue,
    running: HashMap<DeliveryId, Running>,
    tasks: JoinSet<Done>,
    by_task: HashMap<Id, Vec<DeliveryId>>,
    waiting: BTreeMap<DeliveryId, Waiting>,
    bursting: Option<Id>,
    /// Looks that can wait, and the one under way.
    asked: VecDeque<Ask>,
    verifying: Option<Id>,
    /// Whether the platform was asked what it shows.
    survey: Owed,
    bucket: Option<Bucket>,
    pause: Option<Pause>,
    halted: bool,
    breaker: Breaker,
    /// Posts whose outcome is unknown, with their next look.
    unknown: BTreeMap<DeliveryId, Timestamp>,
    /// Panics in a row.
    panics: HashMap<DeliveryId, u8>,
}

/// What a task of the lane brings back.
#[derive(Debug)]
enum Done {
    Went(Vec<Report>),
    Surveyed(Stored<Came>),
}

/// The posts of a burst, and that they are at work.
type Burst = (Vec<DeliveryId>, Vec<AtWork>);

/// What runs: the version it began with, and what came in about it meanwhile.
struct Running {
    version: u64,
    newer: Option<Box<Delivery>>,
}

impl Lane {
    /// All that the store knows is queued before anything starts: an unconfirmed post must be
    /// known before the next one goes out.
    pub fn new(
        bench: Arc<Bench>,
        hub: Hub,
        record: Option<ChannelRecord>,
        unsettled: Vec<Delivery>,
        inbox: mpsc::UnboundedReceiver<Message>,
    ) -> Self {
        let now = bench.shared.time.now();
        let (pause, breaker) = record.map_or((None, Breaker::default()), |record| {
            (record.pause, record.breaker)
        });
        let mut lane = Self {
            bucket: bench.policy.rate.map(|rate| Bucket::new(rate, now)),
            over: bench.shared.stop.child_token(),
            survey: Owed::by(bench.channel.as_ref()),
            coming: None,
            told: Vec::new(),
            queue: Queue::new(bench.policy.number),
            bench,
            hub,
            inbox,
            running: HashMap::new(),
            tasks: JoinSet::new(),
            by_task: HashMap::new(),
            waiting: BTreeMap::new(),
            bursting: None,
            asked: VecDeque::new(),
            verifying: None,
            pause,
            halted: false,
            breaker,
            unknown: BTreeMap::new(),
            panics: HashMap::new(),
        };
        for delivery in unsettled {
            lane.queue(Box::new(delivery), None);
        }
        lane
    }

    pub async fn run(mut self) {
        let stop = self.bench.shared.stop.clone();
        loop {
            let time = Arc::clone(&self.bench.shared.time);
            let next = self.go_on().await;
            let next = next.map(|next| next.min(time.now() + LONGEST_SLEEP));
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                done = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => {
                    if let Some(done) = done {
                        self.finished(done).await;
                    }
                }
                message = self.inbox.recv() => match message {
                    Some(message) => {
                        self.receive(message);
                        while let Ok(message) = self.inbox.try_recv() {
                            self.receive(message);
                        }
                    }
                    None => break,
                },
                () = sleep(time.as_ref(), next), if next.is_some() => {}
            }
        }
        // Running calls are never dropped; the engine's stop limits how long this may take. The channel may
        // have left the configuration: then they are its last.
        self.over.cancel();
        while let Some(done) = self.tasks.join_next_with_id().await {
            self.finished(done).await;
        }
    }

    fn receive(&mut self, message: Message) {
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

    /// Starts what may start. While other settings wait for what still runs under these only withdrawals do, under
    /// these as well: an adapter may keep something in memory, so that two of one account are never at work together.
    async fn go_on(&mut self) -> Option<Timestamp> {
        if self.coming.is_some() && !self.tasks.is_empty() {
            return self.start_withdrawals();
        }
        if let Some(bench) = self.coming.take() {
            self.take_over(bench);
        }
        self.start_due().await
    }

    fn take_over(&mut self, bench: Arc<Bench>) {
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

    fn queue(&mut self, delivery: Box<Delivery>, not_before: Option<Timestamp>) {
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

    fn unqueue(&mut self, id: DeliveryId) {
        self.waiting.remove(&id);
        self.queue.remove(id);
    }

    /// Starts what may start; says when to look again.
    async fn start_due(&mut self) -> Option<Timestamp> {
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

    fn start_withdrawals(&mut self) -> Option<Timestamp> {
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

    /// Neither paused nor broken. An open breaker is not probed for this.
    fn can_look(&self, now: Timestamp) -> bool {
        let paused = self.pause.as_ref().is_some_and(|pause| pause.holds(now));
        !paused && self.breaker.is_closed()
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

    async fn finished(&mut self, done: Result<(Id, Done), tokio::task::JoinError>) {
        let task = done
            .as_ref()
            .map_or_else(tokio::task::JoinError::id, |(task, _)| *task);
        self.bursting.take_if(|burst| *burst == task);
        self.verifying.take_if(|look| *look == task);
        let ids = self.by_task.remove(&task).unwrap_or_default();
        match done {
            Ok((_, Done::Surveyed(came))) => self.surveyed(came).await,
            Ok((_, Done::Went(reports))) => {
                for report in reports {
                    self.take(report).await;
                }
                // Erased since it was queued.
                for id in ids {
                    self.running.remove(&id);
                }
            }
            Err(_) if self.survey.ran_as(task) => {
                let again = self.bench.shared.time.now() + CRASHED;
                let why = Words::new(
                    "列出平台内容时程序出错",
                    "listing what the platform shows ended by a panic",
                );
                self.survey.failed(again, why);
                self.tell_unlisted();
            }
            Err(_) => self.crashed(ids).await,
        }
    }

    async fn take(&mut self, report: Report) {
        let Report {
            delivery,
            released,
            health,
            pause,
            burst,
            missed,
        } = report;
        if missed {
            self.survey.again(self.bench.channel.as_ref());
        }
        let ran = self.running.remove(&delivery.id);
        if burst.is_none() {
            self.panics.remove(&delivery.id);
        }
        self.hub.wake(&released);
        if let Some(pause) = pause {
            tracing::error!(channel = self.bench.policy.name, "paused: {}", pause.why.en);
            self.pause = Some(pause);
        }
        self.behaved(health).await;
        let (began, newer) = ran.map_or((None, None), |ran| (Some(ran.version), ran.newer));
        if let Some(newer) = newer.filter(|newer| newer.version > delivery.version) {
            self.queue(newer, None);
            return;
        }
        if let Some(ready) = burst {
            self.unqueue(delivery.id);
            let ready = *ready;
            self.waiting
                .insert(delivery.id, Waiting { delivery, ready });
            return;
        }
        self.hub.went_live(&delivery, self.bench.shared.time.now());
        let unchanged = began == Some(delivery.version);
        let wait = unchanged.then(|| self.bench.shared.time.now() + AGAIN);
        self.queue(delivery, wait);
    }

    /// A task that panicked leaves its step open: the outcome is unknown.
    async fn crashed(&mut self, ids: Vec<DeliveryId>) {
        for id in ids {
            tracing::error!(delivery.id = %id, "delivery {id}: its task ended by a panic");
            self.running.remove(&id);
            if let Some(delivery) = reread(&self.bench, id).await {
                let delivery = self.set_aside_if_guilty(delivery).await;
                let wait = self.bench.shared.time.now() + CRASHED;
                self.queue(Box::new(delivery), Some(wait));
            }
        }
    }

    /// The third panic in a row is proof enough.
    async fn set_aside_if_guilty(&mut self, delivery: Delivery) -> Delivery {
        let id = delivery.id;
        let panics = self.panics.entry(id).or_default();
        *panics += 1;
        if *panics < suspects::MOST {
            return delivery;
        }
        self.panics.remove(&id);
        let words = Words::new(
            "处理它时程序连续三次出错，已单独搁置，其余照常。排除原因后 lubu retry，或撤下",
            "working on it ended by a panic three times in a row; it is set aside, and `lubu retry` lets it go on",
        );
        let held = recover::set_aside(&self.bench.shared, &delivery, words).await;
        held.unwrap_or_else(|error| {
            tracing::error!(delivery.id = %id, "delivery {id}: {error}");
            delivery
        })
    }

    /// Whether new work may start; probes when an open breaker's time is over.
    async fn is_open(&mut self, now: Timestamp) -> bool {
        if let Some(pause) = &self.pause {
            if pause.holds(now) {
                return false;
            }
            self.pause = None;
            self.tell(LaneNews::Resumed).await;
        }
        let Some(until) = self.breaker.until else {
            return true;
        };
        if until > now || self.queue.first(Door::Send).is_none_or(|(at, _)| at > now) {
            return false;
        }
        let checked = self.bench.check().await;
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

/// As it stands after a panic, with an open step settled. Asked until the store answers: what
/// no lane knows of would wait for the next start.
async fn reread(bench: &Bench, id: DeliveryId) -> Option<Delivery> {
    let shared = &bench.shared;
    loop {
        match recover::reread(shared, id).await {
            Ok(delivery) => return delivery,
            Err(_) if shared.stop.is_cancelled() => return None,
            Err(error) => tracing::error!(delivery.id = %id, "delivery {id}: {error}"),
        }
        shared.time.sleep_until(shared.time.now() + AGAIN).await;
    }
}

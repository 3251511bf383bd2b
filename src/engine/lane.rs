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
mod doors;
mod ends;
mod news;
mod starts;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use lubu_channels::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use super::attempt::Report;
use super::burst::Waiting;
use super::queue::Queue;
use super::survey::Came;
use super::suspects::AtWork;
use super::verify::Ask;
use super::{Bench, Hub, recover};
use crate::ids::DeliveryId;
use crate::model::channel::{Breaker, ChannelRecord, Pause};
use crate::model::delivery::Delivery;
use crate::model::limit::Bucket;
use crate::store::Stored;
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

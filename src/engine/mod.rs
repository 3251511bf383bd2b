//! The only code that calls adapters: it makes every copy agree with what was approved.
//!
//! One lane a channel, each a task of its own, so that one channel's trouble never slows another.
//! A lane picks what is due and runs it through [`attempt`], whose order of lines is the recovery
//! story; `recover` tells at the start what a dead process may have done. The engine keeps
//! nothing that must survive: it rebuilds its queues from the store.

pub mod attempt;
mod burst;
mod compose;
mod drafts;
mod fresh;
mod lane;
mod look;
mod patrol;
mod queue;
mod recover;
mod reload;
pub mod render;
mod survey;
pub mod suspects;
mod till;
mod verify;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use chrono::TimeDelta;
use lubu_channels::{Channel, Failure, Health, Timestamp, Transport, Words};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Time;
use crate::ids::ChannelNo;
use crate::model::channel::ChannelRecord;
use crate::model::delivery::Delivery;
use crate::model::policy::Policy;
use crate::store::act::Share;
use crate::store::{Act, Actor, Store, Stored};

pub use drafts::{Drafts, Packed, Shelf};
use fresh::Fresh;
use lane::Message;
pub use patrol::Which;
use suspects::Suspects;
use verify::{Ask, Looked};

/// What every attempt needs of one channel.
#[derive(Debug)]
pub struct Bench {
    pub channel: Arc<dyn Channel>,
    pub policy: Policy,
    /// The total time of one call.
    pub call_within: Duration,
    pub shared: Arc<Shared>,
    /// Other settings are in force, though something may still run under these.
    pub replaced: CancellationToken,
}

/// What all lanes share.
#[derive(Debug)]
pub struct Shared {
    pub store: Arc<dyn Store>,
    pub http: Arc<dyn Transport>,
    pub time: Arc<dyn Time>,
    pub shelf: Shelf,
    pub dice: Dice,
    pub stop: CancellationToken,
    /// What is at work, for the start after a death.
    pub suspects: Suspects,
}

/// Chance from a seed, so that a run can be repeated.
#[derive(Debug)]
pub struct Dice(Mutex<u64>);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }

    /// Uniform in `0.0..1.0` (splitmix64).
    pub fn roll(&self) -> f64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        // The top 53 bits fill a double exactly.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let unit = (z >> 11) as f64 / (1_u64 << 53) as f64;
        unit
    }
}

#[derive(Debug, Default)]
struct Lanes {
    by_number: BTreeMap<ChannelNo, mpsc::UnboundedSender<Message>>,
    /// Nothing is sent anywhere: a lane that opens later is told, too.
    halted: bool,
}

/// Sends deliveries to the lanes that own them.
#[derive(Debug, Clone, Default)]
pub struct Hub {
    lanes: Arc<Mutex<Lanes>>,
    fresh: Arc<Mutex<Fresh>>,
    /// Channels that are sites of the office's own: other platforms link there.
    sites: Arc<RwLock<Vec<Arc<dyn Channel>>>>,
    unlisted: Arc<Mutex<BTreeMap<ChannelNo, Unlisted>>>,
}

/// Why nothing is sent on a channel though it is open: its platform does not list what it shows.
#[derive(Debug, Clone)]
pub struct Unlisted {
    /// Failures in a row.
    pub tries: u32,
    pub why: Words,
    /// When it is asked again.
    pub next: Option<Timestamp>,
}

impl Hub {
    pub fn wake(&self, deliveries: &[Delivery]) {
        let lanes = self.lanes();
        for delivery in deliveries {
            if let Some(lane) = lanes.by_number.get(&delivery.id.channel) {
                // A lane that is gone finds it again at the next start.
                let _gone = lane.send(Message::Look(Box::new(delivery.clone())));
            }
        }
    }

    /// Deliveries that one lane keeps whole.
    fn room(&self) -> usize {
        queue::room(self.lanes().by_number.len())
    }

    /// Tells a lane what an operator decided about it.
    pub fn news(&self, record: ChannelRecord) {
        let lanes = self.lanes();
        if let Some(lane) = lanes.by_number.get(&record.number) {
            let _gone = lane.send(Message::Record(Box::new(record)));
        }
    }

    /// Tells every lane that nothing is sent anywhere, or no longer so.
    pub fn halt(&self, halted: bool) {
        let mut lanes = self.lanes();
        lanes.halted = halted;
        for lane in lanes.by_number.values() {
            let _gone = lane.send(Message::Halt(halted));
        }
    }

    /// Asks the delivery's lane for a look; none when there is no lane, or it ends before that.
    async fn ask(&self, delivery: &Delivery, share: Share) -> Option<Looked> {
        let (answer, looked) = oneshot::channel();
        let delivery = Box::new(delivery.clone());
        let number = delivery.id.channel;
        let ask = Message::Verify(Ask {
            delivery,
            share,
            answer,
        });
        let lane = {
            let lanes = self.lanes();
            lanes.by_number.get(&number).cloned()
        };
        lane?.send(ask).ok()?;
        looked.await.ok()
    }

    /// From now on these are the office's own sites.
    fn know_sites(&self, benches: &Benches) {
        let channels = benches.values().map(|bench| &bench.channel);
        let own = channels.filter(|channel| channel.pages().is_some());
        let own = own.cloned().collect();
        let mut sites = self.sites.write().unwrap_or_else(PoisonError::into_inner);
        *sites = own;
    }

    fn sites(&self) -> Vec<Arc<dyn Channel>> {
        let sites = self.sites.read().unwrap_or_else(PoisonError::into_inner);
        sites.clone()
    }

    /// Asks a lane to see what its platform shows, once it may; nobody waits for it.
    fn survey(&self, number: ChannelNo) {
        if let Some(lane) = self.lanes().by_number.get(&number) {
            let _gone = lane.send(Message::Survey);
        }
    }

    /// None: what is sent there waits for no survey that failed.
    pub fn unlisted(&self, number: ChannelNo) -> Option<Unlisted> {
        self.all_unlisted().get(&number).cloned()
    }

    fn tell_unlisted(&self, number: ChannelNo, trouble: Option<Unlisted>) {
        let mut all = self.all_unlisted();
        match trouble {
            Some(trouble) => all.insert(number, trouble),
            None => all.remove(&number),
        };
    }

    fn all_unlisted(&self) -> MutexGuard<'_, BTreeMap<ChannelNo, Unlisted>> {
        self.unlisted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(&self) -> MutexGuard<'_, Fresh> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Other settings for its lane. Answered once it goes by them, and nothing runs under those before.
    fn settings(&self, bench: &Arc<Bench>) -> oneshot::Receiver<()> {
        let (over, begun) = oneshot::channel();
        if let Some(lane) = self.lanes().by_number.get(&bench.policy.number) {
            let _gone = lane.send(Message::Bench(Arc::clone(bench), over));
        }
        begun
    }

    /// Its lane ends once its running steps have.
    fn remove(&self, number: ChannelNo) {
        self.lanes().by_number.remove(&number);
    }

    fn add(&self, number: ChannelNo) -> mpsc::UnboundedReceiver<Message> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut lanes = self.lanes();
        if lanes.halted {
            let _own = sender.send(Message::Halt(true));
        }
        lanes.by_number.insert(number, sender);
        receiver
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub struct Engine {
    pub shared: Arc<Shared>,
    hub: Hub,
    benches: RwLock<Benches>,
    tasks: TaskTracker,
    /// When each channel's lane, the present or the last one, has ended.
    ended: Mutex<BTreeMap<ChannelNo, CancellationToken>>,
    /// Until when the present settings are in force.
    term: Mutex<CancellationToken>,
}

type Benches = BTreeMap<ChannelNo, Arc<Bench>>;

impl Engine {
    /// Settles what the last process left open, then starts the lanes.
    pub async fn start(shared: Arc<Shared>, benches: Vec<Bench>) -> Stored<Self> {
        let benches = by_number(benches);
        let mut unsettled = recover::settle(&shared, &benches).await?;
        let records = shared.store.channels().await?;
        let engine = Self::new(shared, benches.clone());
        for (number, bench) in benches {
            let record = records.iter().find(|record| record.number == number);
            let own = unsettled.remove(&number).unwrap_or_default();
            engine.open(bench, record.cloned(), own);
        }
        Ok(engine)
    }

    /// Without lanes: nothing is sent or looked at. For a store that can only be read.
    pub fn idle(shared: Arc<Shared>, benches: Vec<Bench>) -> Self {
        Self::new(shared, by_number(benches))
    }

    fn new(shared: Arc<Shared>, benches: Benches) -> Self {
        let tasks = TaskTracker::new();
        tasks.close();
        let hub = Hub::default();
        hub.know_sites(&benches);
        Self {
            term: Mutex::new(shared.stop.child_token()),
            shared,
            hub,
            benches: RwLock::new(benches),
            tasks,
            ended: Mutex::default(),
        }
    }

    /// A person says that the clock is right. What waits keeps its length, whichever way time goes.
    ///
    /// The doubt is over once everything is set with it, on disk: a death before that leaves it as it was. Whoever goes
    /// away in the middle has said it all the same, and it is not said twice.
    pub async fn confirm_clock(&self, actor: Actor) -> Stored<()> {
        let Shared { store, time, .. } = self.shared.as_ref();
        let mut left = time.gap();
        let mut last = store.set_back().await?;
        let unheard = time.set_back().map(|heard| heard + 1) == Some(last.finished());
        let mut said = unheard && last.is_finished();
        loop {
            if said {
                left -= last.by();
                // An earlier word that was cut off went another way.
                if left.abs() < TimeDelta::seconds(1) {
                    break;
                }
            }
            let (actor, by) = (actor.clone(), left);
            store.act(Act::SetBack { actor, by }).await?;
            last = store.set_back().await?;
            said = last.is_finished();
        }
        let after = store.unsettled().await?;
        let records = store.channels().await?;
        let _told = Told::that(time.as_ref(), last.finished());
        // Not before: by the time that was doubted all of it might be due.
        self.hub.wake(&after);
        for record in records {
            self.hub.news(record);
        }
        store.act(Act::ClockRight { actor }).await.map(drop)
    }

    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    pub fn bench(&self, number: ChannelNo) -> Option<Arc<Bench>> {
        let benches = self.benches.read().unwrap_or_else(PoisonError::into_inner);
        benches.get(&number).cloned()
    }

    /// Tries a channel's credentials, permissions and connection.
    pub async fn check(&self, number: ChannelNo) -> Option<Result<Health, Failure>> {
        let bench = self.bench(number)?;
        Some(bench.check().await)
    }

    /// No new step starts; running ones get `within`. What still runs then is an unknown outcome
    /// for the next start.
    pub async fn stop(&self, within: Duration) {
        self.shared.stop.cancel();
        if tokio::time::timeout(within, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                "some steps were still running at the stop; they are looked at next time"
            );
        }
    }
}

/// The clock has heard a person's word, and may keep it once this is dropped.
struct Told<'a>(&'a dyn Time);

impl<'a> Told<'a> {
    fn that(time: &'a dyn Time, set_back: u64) -> Self {
        time.confirm(set_back);
        Self(time)
    }
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.0.confirmed();
    }
}

fn by_number(benches: Vec<Bench>) -> Benches {
    let number = |bench: Bench| (bench.policy.number, Arc::new(bench));
    benches.into_iter().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_that_opens_while_nothing_is_sent_is_told_so_before_anything_else() {
        let hub = Hub::default();
        hub.halt(true);
        let mut late = hub.add(ChannelNo(1));
        assert!(matches!(late.try_recv(), Ok(Message::Halt(true))));
        hub.halt(false);
        assert!(matches!(late.try_recv(), Ok(Message::Halt(false))));
        assert!(hub.add(ChannelNo(2)).try_recv().is_err());
    }
}

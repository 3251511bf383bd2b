//! The daemon without sockets: one process life after the other over what the store keeps.
//!
//! A life is a runtime of its own. Killing it drops every task where it stands; the next one begins
//! with what the store holds and with nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lubu::clock::{Stamps, Time};
use lubu::config::Verify;
use lubu::engine::{Bench, Dice, Drafts, Engine, Shared, Shelf, Which};
use lubu::ids::{ChannelNo, DeliveryId, ItemId};
use lubu::model::approval::{Approval, OnCorrection};
use lubu::model::channel::ChannelRecord;
use lubu::model::delivery::{Delivery, Event};
use lubu::model::item::{Item, Revision};
use lubu::model::policy::{Policy, Tuning};
use lubu::model::quiet::QuietHours;
use lubu::model::retry::Backoff;
use lubu::model::scope::Scope;
use lubu::store::act::{Accept, Actor, Approve, LaneNews};
use lubu::store::embedded::Options;
use lubu::store::local::Local;
use lubu::store::memory::{Kept, Memory};
use lubu::store::{Act, Answer, Rules, Store, StoreError};
use lubu_channels::{
    Category, Channel, Clock, Document, Draft, NoMedia, Reply, Request, Timestamp, Transport,
    Trouble, Validity,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::channel::Played;
use crate::clock::Jump;
use crate::watch::{Watch, Watched};

#[derive(Debug)]
struct NoNetwork;

#[async_trait]
impl Transport for NoNetwork {
    async fn send(&self, _request: Request) -> Result<Reply, Trouble> {
        Err(Trouble::NotSent("no network here".into()))
    }
}

/// One configured channel.
#[derive(Debug, Clone)]
pub struct Wired {
    pub channel: Arc<Played>,
    pub after: Vec<&'static str>,
    pub on_correction: OnCorrection,
    pub concurrency: usize,
    pub quiet: Option<QuietHours>,
}

/// What outlives a process.
#[derive(Debug)]
pub enum Disk {
    Memory(Kept),
    Folder(TempDir),
}

impl Disk {
    /// A folder on a disk that syncs at once, where there is one.
    pub fn folder() -> Self {
        let quick = tempfile::tempdir_in("/dev/shm");
        Self::Folder(quick.or_else(|_| tempfile::tempdir()).expect("a folder"))
    }
}

#[derive(Debug)]
pub struct House {
    pub time: Arc<Jump>,
    pub watch: Arc<Watch>,
    disk: Disk,
    wired: Vec<Wired>,
    life: Option<Life>,
    made: u8,
    seed: u64,
}

/// One process.
#[derive(Debug)]
struct Life {
    runtime: Runtime,
    store: Arc<dyn Store>,
    memory: Option<Arc<Memory>>,
    engine: Engine,
    rules: Rules,
    numbers: BTreeMap<&'static str, ChannelNo>,
}

impl House {
    pub fn new(
        disk: Disk,
        watch: Arc<Watch>,
        time: Arc<Jump>,
        wired: Vec<Wired>,
        seed: u64,
    ) -> Self {
        let mut house = Self {
            time,
            watch,
            disk,
            wired,
            life: None,
            made: 0,
            seed,
        };
        house.start();
        house
    }

    pub fn start(&mut self) {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().build().expect("a runtime");
        self.watch.reborn();
        self.time.restart();
        self.seed += 1;
        let life = open(self, runtime);
        self.life = Some(life);
    }

    /// The process dies where it stands.
    pub fn kill(&mut self) {
        let Some(Life {
            runtime,
            store,
            memory,
            engine,
            ..
        }) = self.life.take()
        else {
            return;
        };
        if let Some(memory) = memory {
            memory.die();
        }
        self.time.dies();
        drop(runtime);
        drop(engine);
        drop(store);
    }

    /// Other settings are in force, as a reload does it; so they are for every process after this one.
    pub fn reload(&mut self, change: impl FnOnce(&mut [Wired])) {
        change(&mut self.wired);
        let life = self.life();
        let policies = policies(&self.wired, &life.numbers);
        let benches = benches(&self.wired, policies.clone(), &life.engine.shared);
        // Lanes come to know of it on the runtime that they run on.
        let _on = life.runtime.enter();
        life.rules.replace(policies);
        life.engine.reload(benches);
    }

    /// The machine is set back: the process is gone, and its disk is as it was then.
    pub fn set_back(&mut self, disk: Disk) {
        self.kill();
        self.disk = disk;
    }

    fn life(&self) -> &Life {
        self.life.as_ref().expect("alive")
    }

    fn on<T>(&self, f: impl Future<Output = T>) -> T {
        self.life().runtime.block_on(f)
    }

    /// Lets everything take so many turns, and no more.
    pub fn turns(&self, turns: u32) {
        self.on(async {
            for _ in 0..turns {
                if self.watch.is_dead() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        });
    }

    pub fn is_dead(&self) -> bool {
        self.watch.is_dead()
    }

    /// Lets everything run until nothing moves, or the process is dead.
    pub fn rest(&self) {
        let sign = || (self.watch.life(), self.time.waits());
        self.on(async {
            let (mut last, mut quiet) = (sign(), 0);
            while quiet < 12 && !self.watch.is_dead() {
                tokio::task::yield_now().await;
                let now = sign();
                let ((_, waiting), _) = now;
                quiet = if now == last && waiting == 0 {
                    quiet + 1
                } else {
                    0
                };
                last = now;
            }
        });
    }

    /// Looks again at all that a channel shows. A second look that is owed is left to the next call.
    pub fn patrol(&self, name: &str) {
        let orders = Verify {
            cron: None,
            expression: String::new(),
            zone: chrono_tz::UTC,
            gap: Duration::ZERO,
            within: None,
            share: 100,
            first_after: Duration::ZERO,
        };
        let number = self.no(name);
        let told = |_: &_| {};
        let engine = &self.life().engine;
        self.on(async {
            tokio::select! {
                _ = engine.patrol(number, Which::All, &orders, &told) => {}
                () = async {
                    for _ in 0..5_000 {
                        tokio::task::yield_now().await;
                    }
                } => {}
            }
        });
    }

    pub fn no(&self, name: &str) -> ChannelNo {
        self.life().numbers[name]
    }

    pub fn act(&self, act: Act) -> Result<Answer, StoreError> {
        let store = Arc::clone(&self.life().store);
        let answer = self.on(store.act(act));
        match &answer {
            Ok(Answer::Deliveries(all)) => self.life().engine.hub().wake(all),
            Ok(Answer::Settled(one, released)) => {
                let hub = self.life().engine.hub();
                hub.wake(std::slice::from_ref(one.as_ref()));
                hub.wake(released);
            }
            _ => {}
        }
        answer
    }

    pub fn submit(&mut self, title: &str) -> (ItemId, Revision) {
        self.made = self.made.wrapping_add(1);
        let id = ItemId::new(self.time.now().timestamp_millis(), [self.made; 10]);
        let revision = self.revision(id, 1, title);
        let item = Item {
            id,
            version: 0,
            index_no: None,
            received_at: self.time.now(),
            title: title.into(),
            category: "0604".into(),
            latest: 1,
            approved: None,
            withdrawal: None,
            channels: Vec::new(),
            corrections: Vec::new(),
            schedule: None,
        };
        let accept = Accept {
            actor: Actor::new("clerk", "cli"),
            item,
            revision: revision.clone(),
            key: None,
            again: false,
            index: None,
        };
        self.act(Act::Accept(Box::new(accept))).expect("accepted");
        (id, revision)
    }

    fn revision(&self, item: ItemId, number: u32, title: &str) -> Revision {
        Revision {
            item,
            number,
            hash: blake3::hash(format!("{item}{number}{title}").as_bytes())
                .to_hex()
                .to_string(),
            title: title.into(),
            proposed: Some(Scope::Public),
            by: "clerk".into(),
            at: self.time.now(),
        }
    }

    pub fn revise(&self, item: ItemId, number: u32, title: &str) -> Result<Revision, StoreError> {
        let revision = self.revision(item, number, title);
        let act = Act::Revise {
            actor: Actor::new("clerk", "cli"),
            revision: Box::new(revision.clone()),
            note: "figures".into(),
            schedule: None,
        };
        self.act(act).map(|_| revision)
    }

    /// The leader signs it for these channels.
    pub fn approve(&self, revision: &Revision, routed: &[&str]) -> Result<(), StoreError> {
        self.sign(revision, routed, Vec::new())
    }

    /// The same, with what is decided about copies that cannot be corrected in place.
    pub fn sign(
        &self,
        revision: &Revision,
        routed: &[&str],
        choices: Vec<(ChannelNo, OnCorrection)>,
    ) -> Result<(), StoreError> {
        let to = self
            .wired
            .iter()
            .filter(|one| routed.contains(&one.channel.name));
        let drafts: Vec<(ChannelNo, Draft)> = to
            .map(|one| (self.no(one.channel.name), draft(&one.channel, revision)))
            .collect();
        let routed = drafts
            .iter()
            .map(|(no, draft)| (*no, draft.hash()))
            .collect();
        let engine = &self.life().engine.shared;
        let kept = self.on(engine
            .shelf
            .put(self.life().store.as_ref(), Drafts::new(drafts)))?;
        let approval = Approval {
            item: revision.item,
            revision: revision.number,
            hash: revision.hash.clone(),
            scope: Scope::Public,
            by: "leader".into(),
            opinion: "同意".into(),
            at: self.time.now(),
            drafts: kept.hash,
            routed,
        };
        let approve = Approve {
            actor: Actor::new("leader", "cli"),
            approval,
            inline: kept.inline,
            choices,
        };
        self.act(Act::Approve(Box::new(approve))).map(drop)
    }

    pub fn withdraw(&self, item: ItemId) -> Result<(), StoreError> {
        let act = Act::Withdraw {
            actor: Actor::new("leader", "cli"),
            item,
            reason: "figures were wrong".into(),
        };
        self.act(act).map(drop)
    }

    /// A person's word.
    pub fn word(&self, who: &str, id: DeliveryId, event: Event) -> Result<(), StoreError> {
        let act = Act::Decide {
            actor: Actor::new(who, "cli"),
            id,
            event: Box::new(event),
        };
        self.act(act).map(drop)
    }

    pub fn lane(&self, name: &str, news: LaneNews) {
        let act = Act::Lane {
            actor: Actor::new("ops", "cli"),
            channel: self.no(name),
            news,
        };
        if self.act(act).is_ok()
            && let Some(record) = self
                .records()
                .into_iter()
                .find(|one| one.number == self.no(name))
        {
            self.life().engine.hub().news(record);
        }
    }

    pub fn records(&self) -> Vec<ChannelRecord> {
        let store = Arc::clone(&self.life().store);
        self.on(store.channels()).unwrap_or_default()
    }

    pub fn revision_of(&self, item: ItemId, number: u32) -> Option<Revision> {
        let store = Arc::clone(&self.life().store);
        self.on(store.revision(item, number)).ok().flatten()
    }

    pub fn delivery(&self, item: ItemId, name: &str) -> Option<Delivery> {
        let id = DeliveryId {
            item,
            channel: self.no(name),
        };
        let store = Arc::clone(&self.life().store);
        self.on(store.delivery(id)).ok().flatten()
    }

    pub fn deliveries(&self, item: ItemId) -> Vec<Delivery> {
        let store = Arc::clone(&self.life().store);
        self.on(store.deliveries(item)).unwrap_or_default()
    }

    pub fn name(&self, number: ChannelNo) -> &'static str {
        let known = self.life().numbers.iter().find(|(_, no)| **no == number);
        known.map_or("?", |(name, _)| *name)
    }

    pub fn channel(&self, name: &str) -> &Arc<Played> {
        let one = self.wired.iter().find(|one| one.channel.name == name);
        &one.expect("wired").channel
    }

    pub fn on_correction(&self, name: &str) -> OnCorrection {
        let one = self.wired.iter().find(|one| one.channel.name == name);
        one.map_or(OnCorrection::Ask, |one| one.on_correction)
    }

    /// When something can happen next: a due delivery, a delayed request, an end of a pause.
    pub fn next(&self, items: &[ItemId]) -> Option<Timestamp> {
        let (now, skew) = (self.time.now(), self.time.skew());
        let mut coming: Vec<Timestamp> = Vec::new();
        for wired in &self.wired {
            coming.extend(wired.channel.platform.lock().expect("unpoisoned").next());
        }
        let mut times: Vec<Timestamp> = Vec::new();
        let mut waits = false;
        for one in items.iter().flat_map(|item| self.deliveries(*item)) {
            let at = one.next_at();
            waits |= at.is_some_and(|at| at <= now);
            times.extend(at.filter(|at| *at > now));
        }
        if waits {
            // Due, and its lane waits for something of its own.
            times.extend(self.time.earliest());
            for record in self.records() {
                times.extend(record.breaker.until);
                times.extend(record.pause.and_then(|pause| pause.until));
            }
        }
        // What the daemon waits for, it waits for by its own time.
        let times = times.into_iter().map(|at| at - skew);
        let truth = self.time.truth();
        times.chain(coming).filter(|at| *at > truth).min()
    }

    /// Nothing is sent, or no longer so: the lanes hear of it as the daemon tells them.
    pub fn tell_lanes(&self) {
        let ordered = self.on(self.life().store.stop_order());
        let halted = ordered.is_ok_and(|order| order.is_some()) || self.time.doubt().is_some();
        self.life().engine.hub().halt(halted);
    }

    /// A person's order to send nothing, or that it is lifted.
    pub fn sending(&self, stop: Option<&str>) {
        let actor = Actor::new("leader", "cli");
        let stop = stop.map(str::to_owned);
        // A dead process does not hear it.
        let _heard = self.act(Act::Sending { actor, stop });
        self.tell_lanes();
    }

    /// A person says that the clock is right: what waits keeps its length.
    pub fn confirm_clock(&self) {
        let actor = Actor::new("leader", "cli");
        // A dead process does not hear it to the end.
        let _heard = self.on(self.life().engine.confirm_clock(actor));
        self.tell_lanes();
    }

    /// Moves the clock; what was on its way arrives first.
    pub fn move_to(&self, at: Timestamp) {
        for wired in &self.wired {
            let mut platform = wired.channel.platform.lock().expect("unpoisoned");
            platform.settle(at);
            platform.time = Some(at);
        }
        self.time.set(at);
    }

    pub fn wait(&self, by: Duration) {
        self.move_to(self.time.truth() + by);
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.kill();
    }
}

fn draft(channel: &Played, revision: &Revision) -> Draft {
    let document = Document {
        item: revision.item.to_string(),
        revision: revision.number,
        received_at: revision.at,
        title: revision.title.clone(),
        summary: String::new(),
        body: "<p>正文</p>".into(),
        category: Category {
            code: "0604".into(),
            name: "重大项目".into(),
            parent: "业务".into(),
        },
        publisher: "发展和改革委员会".into(),
        section: "综合科".into(),
        source: "发展和改革委员会".into(),
        index_no: None,
        document_number: None,
        formed_on: None,
        validity: Validity::InForce,
        keywords: Vec::new(),
        cover: None,
        images: Vec::new(),
        attachments: Vec::new(),
        related: Vec::new(),
        corrections: Vec::new(),
        canonical: None,
        overrides: BTreeMap::new(),
    };
    channel.draft(&document, &NoMedia).expect("it fits")
}

fn open(house: &House, runtime: Runtime) -> Life {
    let rules = Rules::timed_by(Arc::clone(&house.time) as _);
    let clock: Arc<dyn Clock> = Arc::new(Stamps(Arc::clone(&house.time) as _));
    let mut memory = None;
    let inner: Arc<dyn Store> = match &house.disk {
        Disk::Memory(kept) => {
            let opened = Arc::new(Memory::open(kept, clock, rules.clone()));
            memory = Some(Arc::clone(&opened));
            opened
        }
        Disk::Folder(folder) => {
            let now = Arc::new(move || clock.now().timestamp_millis());
            let mut options = Options::new(folder.path().join("data"), now);
            options.segment_bytes = 1 << 18;
            options.ballast_bytes = 1 << 12;
            options.low_bytes = 0;
            options.cache_bytes = 4 << 20;
            options.watch_panics = false;
            Arc::new(reopen(&options, &rules))
        }
    };
    let store: Arc<dyn Store> = Arc::new(Watched::new(inner, Arc::clone(&house.watch)));
    let (numbers, engine) = runtime.block_on(start(house, Arc::clone(&store), &rules));
    Life {
        runtime,
        store,
        memory,
        engine,
        rules,
        numbers,
    }
}

/// A dead process lets go of its files at once; a thread of sled's may hold on for a moment.
fn reopen(options: &Options, rules: &Rules) -> Local {
    for _ in 0..100_000 {
        match Local::open_with(options, rules.clone()) {
            Ok((local, _)) => return local,
            Err(error) if error.to_string().contains("lock") => std::thread::yield_now(),
            Err(error) => unreachable!("the store does not open: {error}"),
        }
    }
    unreachable!("the store stays locked")
}

async fn start(
    house: &House,
    store: Arc<dyn Store>,
    rules: &Rules,
) -> (BTreeMap<&'static str, ChannelNo>, Engine) {
    house.time.opened(store.set_back().await.expect("read"));
    let mut numbers = BTreeMap::new();
    for one in &house.wired {
        let name = one.channel.name;
        let act = Act::Register {
            name: name.into(),
            adapter: "played".into(),
            account: name.into(),
        };
        if let Answer::Channel(number) = store.act(act).await.expect("registered") {
            house.watch.number(number, name);
            numbers.insert(name, number);
        }
    }
    let policies = policies(&house.wired, &numbers);
    rules.replace(policies.clone());
    let time: Arc<dyn Time> = Arc::clone(&house.time) as _;
    let shared = Arc::new(Shared {
        store: Arc::clone(&store),
        http: Arc::new(NoNetwork),
        time,
        shelf: Shelf::default(),
        dice: Dice::new(house.seed),
        stop: CancellationToken::new(),
        suspects: lubu::engine::suspects::Suspects::default(),
    });
    let benches = benches(&house.wired, policies, &shared);
    let engine = Engine::start(Arc::clone(&shared), benches).await;
    (numbers, engine.expect("starts"))
}

fn policies(wired: &[Wired], numbers: &BTreeMap<&'static str, ChannelNo>) -> Vec<Policy> {
    let policy = |one: &Wired| {
        let name = one.channel.name;
        let tuning = Tuning {
            backoff: Backoff::default(),
            on_correction: one.on_correction,
            after: one.after.iter().map(|name| numbers[name]).collect(),
            concurrency: one.concurrency,
            rate: None,
            quiet: one.quiet.clone(),
        };
        Policy::new(numbers[name], name, "played", one.channel.caps(), tuning)
    };
    wired.iter().map(policy).collect()
}

fn benches(wired: &[Wired], policies: Vec<Policy>, shared: &Arc<Shared>) -> Vec<Bench> {
    let benches = wired.iter().zip(policies).map(|(one, policy)| Bench {
        channel: Arc::clone(&one.channel) as _,
        policy,
        call_within: Duration::from_mins(1),
        shared: Arc::clone(shared),
        replaced: CancellationToken::new(),
    });
    benches.collect()
}

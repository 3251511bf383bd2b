//! A daemon without sockets: store, engine and service on a folder of their own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use lubu::clock::{self, Stamps, Steered, Time};
use lubu::engine::suspects::Suspects;
use lubu::engine::{Bench, Dice, Engine, Shared, Shelf};
use lubu::ids::{ChannelNo, DeliveryId, ItemId};
use lubu::model::approval::{Approval, OnCorrection};
use lubu::model::channel::{ChannelRecord, Pause};
use lubu::model::delivery::{Delivery, PublicState};
use lubu::model::item::{Item, Revision};
use lubu::model::limit::Rate;
use lubu::model::policy::{Policy, Tuning};
use lubu::model::quiet::QuietHours;
use lubu::model::retry::Backoff;
use lubu::model::scope::Scope;
use lubu::store::act::{Accept, Accepted, Actor, Approve, LaneNews};
use lubu::store::embedded::{self, Options};
use lubu::store::local::Local;
use lubu::store::{Act, Answer, Rules, Store, StoreError};
use lubu_channels::{
    Channel, Clock, Document, Draft, NoMedia, Reply, Request, Timestamp, Transport, Trouble,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::scripted::World;

/// Nothing here talks to a network.
#[derive(Debug)]
struct NoNetwork;

#[async_trait]
impl Transport for NoNetwork {
    async fn send(&self, _request: Request) -> Result<Reply, Trouble> {
        Err(Trouble::NotSent("no network in stories".into()))
    }
}

/// One configured channel of a story.
#[derive(Clone)]
pub struct Wired {
    pub name: &'static str,
    pub channel: Arc<dyn Channel>,
    pub after: Vec<&'static str>,
    pub on_correction: OnCorrection,
    pub rate: Option<Rate>,
    pub quiet: Option<QuietHours>,
}

impl Wired {
    pub fn new(name: &'static str, channel: Arc<dyn Channel>) -> Self {
        Self {
            name,
            channel,
            after: Vec::new(),
            on_correction: OnCorrection::Ask,
            rate: None,
            quiet: None,
        }
    }
}

pub struct House {
    folder: TempDir,
    wired: Vec<Wired>,
    pub time: Arc<Steered>,
    pub store: Arc<dyn Store>,
    pub engine: Engine,
    rules: Rules,
    numbers: BTreeMap<&'static str, ChannelNo>,
    made: u8,
}

/// What outlives a process.
pub struct Left {
    folder: TempDir,
    wired: Vec<Wired>,
    time: Arc<Steered>,
    made: u8,
}

impl Left {
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub async fn start(self) -> House {
        self.time.restart(&self.folder.path().join("data"));
        let opened = open(self.folder.path(), &self.time, &self.wired).await;
        House {
            folder: self.folder,
            wired: self.wired,
            time: self.time,
            store: opened.store,
            engine: opened.engine,
            rules: opened.rules,
            numbers: opened.numbers,
            made: self.made,
        }
    }
}

impl House {
    pub async fn new(wired: Vec<Wired>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let time = Arc::new(Steered::default());
        let opened = open(folder.path(), &time, &wired).await;
        Self {
            folder,
            wired,
            time,
            store: opened.store,
            engine: opened.engine,
            rules: opened.rules,
            numbers: opened.numbers,
            made: 0,
        }
    }

    /// Other settings are in force, as a reload does it.
    pub async fn reload(&mut self, wired: Vec<Wired>) {
        self.numbers = register(self.store.as_ref(), &wired).await;
        let policies = policies(&wired, &self.numbers);
        let benches = benches(&wired, &policies, &self.engine.shared);
        self.rules.replace(policies);
        self.engine.reload(benches);
        self.wired = wired;
    }

    /// The process dies where it stands and starts again: nothing is finished, nothing is told.
    pub async fn crash(self, world: &Arc<Mutex<World>>) -> Self {
        self.crash_without(world, "").await
    }

    /// The same, and this happens to the machine before it starts again.
    pub async fn crash_while(
        self,
        world: &Arc<Mutex<World>>,
        meanwhile: impl FnOnce(&Steered),
    ) -> Self {
        // As it is within a second.
        self.time.keep();
        let left = self.die(world).await;
        meanwhile(&left.time);
        left.start().await
    }

    /// A person says that the clock is right.
    pub async fn confirm_clock(&self) {
        let actor = Actor::new("leader", "cli");
        self.engine.confirm_clock(actor).await.expect("confirmed");
        self.engine.hub().halt(false);
    }

    /// The same, and this channel is no longer configured afterwards.
    pub async fn crash_without(self, world: &Arc<Mutex<World>>, name: &str) -> Self {
        let mut left = self.die(world).await;
        left.wired.retain(|one| one.name != name);
        left.start().await
    }

    /// The same, and these are configured afterwards.
    pub async fn crash_with(self, world: &Arc<Mutex<World>>, wired: Vec<Wired>) -> Self {
        let mut left = self.die(world).await;
        left.wired = wired;
        left.start().await
    }

    /// The same, and it starts again on a copy of its folder.
    pub async fn crash_and_copy(self, world: &Arc<Mutex<World>>) -> Self {
        let mut left = self.die(world).await;
        let copy = tempfile::tempdir().expect("a folder");
        copy_folder(&left.folder.path().join("data"), &copy.path().join("data"));
        left.folder = copy;
        left.start().await
    }

    async fn die(self, world: &Arc<Mutex<World>>) -> Left {
        let at_work = self.folder.path().join("data/at-work");
        let named = std::fs::read(&at_work).expect("kept");
        // Lanes are dropped with their steps; what the store has answered is all that is left.
        self.engine.shared.stop.cancel();
        self.store.close().await;
        // The call under way dies with the process: what it brings can no longer be written.
        world.lock().expect("unpoisoned").dead.cancel();
        self.engine.stop(Duration::from_secs(20)).await;
        // What ended after that moment ended in no process.
        std::fs::write(&at_work, named).expect("kept");
        Left {
            folder: self.folder,
            wired: self.wired,
            time: self.time,
            made: self.made,
        }
    }

    /// The process dies where it stands; something is to happen to what it leaves.
    pub async fn leave_as_it_is(self, world: &Arc<Mutex<World>>) -> Left {
        self.die(world).await
    }

    /// The process dies where it stands; the folder is left.
    pub async fn leave_dead(self, world: &Arc<Mutex<World>>) -> TempDir {
        self.die(world).await.folder
    }

    /// Everything ends in order; something is done to the folder; it starts again.
    pub async fn beside(self, offline: impl FnOnce(&Path) + Send + 'static) -> Self {
        let (wired, time, made) = (self.wired.clone(), Arc::clone(&self.time), self.made);
        let folder = self.leave().await;
        let data = folder.path().join("data");
        let done = tokio::task::spawn_blocking(move || offline(&data));
        done.await.expect("done");
        let left = Left {
            folder,
            wired,
            time,
            made,
        };
        left.start().await
    }

    /// Everything ends in order; the folder is left.
    pub async fn leave(self) -> TempDir {
        self.engine.stop(Duration::from_secs(20)).await;
        self.store.close().await;
        self.folder
    }

    pub fn no(&self, name: &str) -> ChannelNo {
        self.numbers[name]
    }

    pub fn id(&self, item: ItemId, name: &str) -> DeliveryId {
        DeliveryId {
            item,
            channel: self.no(name),
        }
    }

    /// Takes an item in, drafted by the clerk.
    pub async fn submit(&mut self, title: &str) -> (ItemId, Revision) {
        let (accepted, revision) = self.hand_in(title, None, false, None).await;
        (accepted.expect("accepted").item, revision)
    }

    /// For a schedule that will release it.
    pub async fn submit_for(&mut self, title: &str, schedule: &str) -> (ItemId, Revision) {
        let (accepted, revision) = self.hand_in(title, None, false, Some(schedule)).await;
        (accepted.expect("accepted").item, revision)
    }

    /// At the door, with the submitter's key and the hash of what came with it.
    pub async fn hand_in(
        &mut self,
        title: &str,
        key: Option<(&str, &str)>,
        again: bool,
        schedule: Option<&str>,
    ) -> (Result<Accepted, StoreError>, Revision) {
        // Content is known by its bytes, whoever hands it in.
        let hash = blake3::hash(title.as_bytes()).to_hex().to_string();
        self.accept(title, hash, key, again, schedule).await
    }

    /// The same with its content kept, as an erasure and a check ask for it.
    pub async fn submit_kept(&mut self, title: &str) -> (ItemId, Revision) {
        let content = serde_json::json!({
            "title": title, "category": "0604", "scope": null, "section": "", "source": "",
            "document_number": null, "formed_on": null, "summary": "", "keywords": [],
            "validity": "in_force", "body": "<p>正文</p>", "cover": null, "images": [],
            "attachments": [], "related": [], "correction": null, "channels": {}, "schedule": null,
        });
        let kept = self.store.put_blob(content.to_string().into_bytes()).await;
        let hash = kept.expect("kept");
        let (accepted, revision) = self.accept(title, hash, None, false, None).await;
        (accepted.expect("accepted").item, revision)
    }

    async fn accept(
        &mut self,
        title: &str,
        hash: String,
        key: Option<(&str, &str)>,
        again: bool,
        schedule: Option<&str>,
    ) -> (Result<Accepted, StoreError>, Revision) {
        self.made += 1;
        let id = ItemId::new(self.time.now().timestamp_millis(), [self.made; 10]);
        let mut revision = revision(id, 1, title, self.time.now());
        revision.hash = hash;
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
            schedule: schedule.map(str::to_owned),
        };
        let accept = Accept {
            actor: Actor::new("clerk", "cli"),
            item,
            revision: revision.clone(),
            key: key.map(|(key, body)| (key.to_owned(), body.to_owned())),
            again,
            index: None,
        };
        let answer = self.store.act(Act::Accept(Box::new(accept))).await;
        let accepted = answer.map(|answer| match answer {
            Answer::Accepted(accepted) => accepted,
            other => unreachable!("{other:?}"),
        });
        (accepted, revision)
    }

    /// An operator's word on a channel.
    pub async fn tell(&self, name: &str, news: LaneNews) {
        let act = Act::Lane {
            actor: Actor::new("ops", "cli"),
            channel: self.no(name),
            news,
        };
        self.store.act(act).await.expect("told");
        self.engine.hub().news(self.record(name).await);
    }

    pub async fn pause(&self, name: &str) {
        let pause = Pause {
            why: lubu_channels::Words::new("演练", "drill"),
            by: Some("ops".into()),
            at: self.time.now(),
            until: None,
        };
        self.tell(name, LaneNews::Paused(pause)).await;
    }

    /// Resumed in the store, and the lane not told.
    pub async fn resume_untold(&self, name: &str) {
        let act = Act::Lane {
            actor: Actor::new("ops", "cli"),
            channel: self.no(name),
            news: LaneNews::Resumed,
        };
        self.store.act(act).await.expect("told");
    }

    pub async fn resume(&self, name: &str) {
        self.tell(name, LaneNews::Resumed).await;
    }

    pub async fn record(&self, name: &str) -> ChannelRecord {
        let records = self.store.channels().await.expect("read");
        let mut records = records.into_iter();
        records
            .find(|record| record.number == self.numbers[name])
            .expect("there")
    }

    /// Waits until the story's own condition holds, by the same rule as [`Self::until`].
    pub async fn once<F: Future<Output = bool>>(&self, what: &str, mut holds: impl FnMut() -> F) {
        let waiting = async {
            while !holds().await {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting)
            .await
            .unwrap_or_else(|_| unreachable!("it never came to this: {what}"));
    }

    /// A new revision of it.
    pub async fn revise(&self, id: ItemId, title: &str) -> Revision {
        self.revise_for(id, title, None).await
    }

    pub async fn revise_for(&self, id: ItemId, title: &str, schedule: Option<&str>) -> Revision {
        let number = self
            .store
            .item(id)
            .await
            .expect("read")
            .expect("there")
            .latest
            + 1;
        let revision = revision(id, number, title, self.time.now());
        let act = Act::Revise {
            actor: Actor::new("clerk", "cli"),
            revision: Box::new(revision.clone()),
            note: "figures".into(),
            schedule: schedule.map(str::to_owned),
        };
        self.store.act(act).await.expect("revised");
        revision
    }

    /// The leader signs it for every channel of the story.
    pub async fn approve(&self, revision: &Revision) -> Result<(), StoreError> {
        self.sign(revision, Scope::Public, "leader", Vec::new())
            .await
    }

    pub async fn sign(
        &self,
        revision: &Revision,
        scope: Scope,
        by: &str,
        choices: Vec<(ChannelNo, OnCorrection)>,
    ) -> Result<(), StoreError> {
        let deliveries = self.sign_untold(revision, scope, by, choices).await?;
        self.engine.hub().wake(&deliveries);
        Ok(())
    }

    /// Signed, and the lanes not told yet.
    pub async fn sign_untold(
        &self,
        revision: &Revision,
        scope: Scope,
        by: &str,
        choices: Vec<(ChannelNo, OnCorrection)>,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.sign_for(revision, scope, by, choices, |_| true).await
    }

    /// The leader signs it for this channel alone.
    pub async fn approve_for(&self, revision: &Revision, name: &str) -> Result<(), StoreError> {
        let only = |one: &str| one == name;
        let signing = self.sign_for(revision, Scope::Public, "leader", Vec::new(), only);
        self.engine.hub().wake(&signing.await?);
        Ok(())
    }

    async fn sign_for(
        &self,
        revision: &Revision,
        scope: Scope,
        by: &str,
        choices: Vec<(ChannelNo, OnCorrection)>,
        routed: impl Fn(&str) -> bool,
    ) -> Result<Vec<Delivery>, StoreError> {
        let drafts: Vec<(ChannelNo, Draft)> = self
            .wired
            .iter()
            .filter(|one| routed(one.name))
            .map(|one| (self.no(one.name), draft(one.channel.as_ref(), revision)))
            .collect();
        let routed = drafts
            .iter()
            .map(|(no, draft)| (*no, draft.hash()))
            .collect();
        let drafts = lubu::engine::Drafts::new(drafts);
        let put = self.engine.shared.shelf.put(self.store.as_ref(), drafts);
        let kept = put.await.expect("kept");
        let approval = Approval {
            item: revision.item,
            revision: revision.number,
            hash: revision.hash.clone(),
            scope,
            by: by.into(),
            opinion: "同意".into(),
            at: self.time.now(),
            drafts: kept.hash,
            routed,
        };
        let approve = Approve {
            actor: Actor::new(by, "cli"),
            approval,
            inline: kept.inline,
            choices,
        };
        match self.store.act(Act::Approve(Box::new(approve))).await? {
            Answer::Deliveries(deliveries) => Ok(deliveries),
            other => unreachable!("{other:?}"),
        }
    }

    pub async fn release(&self, item: ItemId) {
        let act = Act::Release {
            actor: Actor::new("monthly", "schedule"),
            items: vec![item],
        };
        if let Answer::Deliveries(deliveries) = self.store.act(act).await.expect("released") {
            self.engine.hub().wake(&deliveries);
        }
    }

    pub async fn withdraw(&self, item: ItemId) {
        let actor = Actor::new("leader", "cli");
        let act = Act::Withdraw {
            actor,
            item,
            reason: "figures were wrong".into(),
        };
        if let Answer::Deliveries(deliveries) = self.store.act(act).await.expect("withdrawn") {
            self.engine.hub().wake(&deliveries);
        }
    }

    pub async fn delivery(&self, item: ItemId, name: &str) -> Delivery {
        self.store
            .delivery(self.id(item, name))
            .await
            .expect("read")
            .expect("there")
    }

    /// Waits until it stands still for something that has a time, and gives it.
    pub async fn waits(&self, item: ItemId, name: &str) -> Delivery {
        let waits = || async {
            let now = self.delivery(item, name).await;
            now.next_at().is_some_and(|at| at > self.time.now())
        };
        self.once("it waits", waits).await;
        self.delivery(item, name).await
    }

    /// Lets the lanes work until this delivery stands so. Fails when it rests anywhere else for
    /// long: the only real time in a story, and it never decides anything but failure.
    pub async fn until(&self, item: ItemId, name: &str, state: PublicState) -> Delivery {
        let id = self.id(item, name);
        let waiting = async {
            loop {
                let now = self.store.delivery(id).await.expect("read");
                if let Some(now) = now.filter(|now| now.public_state() == state) {
                    return now;
                }
                tokio::task::yield_now().await;
            }
        };
        if let Ok(delivery) = tokio::time::timeout(Duration::from_secs(20), waiting).await {
            return delivery;
        }
        let now = self.delivery(item, name).await;
        assert_eq!(now.public_state(), state, "{name} rests at {:?}", now.state);
        now
    }

    /// Moves the clock to the delivery's next time, and lets its lane know.
    pub async fn step_to_next(&self, item: ItemId, name: &str) -> Delivery {
        let before = self.delivery(item, name).await;
        let at = before.next_at().expect("something is to come");
        self.time.set(at);
        let waiting = async {
            loop {
                let now = self.delivery(item, name).await;
                if now.version != before.version && !is_working(&now) {
                    return now;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting)
            .await
            .expect("it moves")
    }
}

pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("read") {
        let entry = entry.expect("read");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("read").is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("copied");
        }
    }
}

fn is_working(delivery: &Delivery) -> bool {
    delivery.public_state() == PublicState::Sending
}

fn revision(item: ItemId, number: u32, title: &str, at: Timestamp) -> Revision {
    Revision {
        item,
        number,
        hash: blake3::hash(format!("{item}{number}{title}").as_bytes())
            .to_hex()
            .to_string(),
        title: title.into(),
        proposed: Some(Scope::Public),
        by: "clerk".into(),
        at,
    }
}

fn draft(channel: &dyn Channel, revision: &Revision) -> Draft {
    let document = Document {
        item: revision.item.to_string(),
        revision: revision.number,
        received_at: revision.at,
        title: revision.title.clone(),
        summary: String::new(),
        body: "<p>正文</p>".into(),
        category: lubu_channels::Category {
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
        validity: lubu_channels::Validity::InForce,
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

struct Opened {
    store: Arc<dyn Store>,
    engine: Engine,
    rules: Rules,
    numbers: BTreeMap<&'static str, ChannelNo>,
}

async fn open(folder: &Path, time: &Arc<Steered>, wired: &[Wired]) -> Opened {
    let doubting: Arc<dyn Time> = Arc::clone(time) as _;
    let rules = Rules::timed_by(doubting);
    let clock = Stamps(Arc::clone(time) as _);
    let now = Arc::new(move || clock.now().timestamp_millis());
    let mut options = Options::new(folder.join("data"), now);
    options.segment_bytes = 1 << 20;
    options.ballast_bytes = 1 << 16;
    options.low_bytes = 0;
    options.cache_bytes = 8 << 20;
    options.watch_panics = false;
    let own = rules.clone();
    let opening = tokio::task::spawn_blocking(move || Local::open_with(&options, own));
    let (store, opened) = opening.await.expect("opens").expect("opens");
    let store: Arc<dyn Store> = Arc::new(store);
    let data = folder.join("data");
    let known = clock::Opened {
        store: embedded::store_id(&data).expect("it has one"),
        newest: opened.newest_ms.and_then(Timestamp::from_timestamp_millis),
        set_back: store.set_back().await.expect("read"),
    };
    time.opened(known, &data);
    let numbers = register(store.as_ref(), wired).await;
    let policies = policies(wired, &numbers);
    rules.replace(policies.clone());
    let steered: Arc<dyn Time> = Arc::clone(time) as _;
    let shared = Arc::new(Shared {
        store: Arc::clone(&store),
        http: Arc::new(NoNetwork),
        time: steered,
        shelf: Shelf::default(),
        dice: Dice::new(1),
        stop: CancellationToken::new(),
        suspects: Suspects::open(&folder.join("data/at-work"), "boot", time.now()),
    });
    let benches = benches(wired, &policies, &shared);
    let engine = Engine::start(shared, benches).await.expect("starts");
    Opened {
        store,
        engine,
        rules,
        numbers,
    }
}

async fn register(store: &dyn Store, wired: &[Wired]) -> BTreeMap<&'static str, ChannelNo> {
    let mut numbers = BTreeMap::new();
    for one in wired {
        let act = Act::Register {
            name: one.name.into(),
            adapter: "scripted".into(),
            account: one.channel.caps().account.clone(),
        };
        if let Answer::Channel(number) = store.act(act).await.expect("registered") {
            numbers.insert(one.name, number);
        }
    }
    numbers
}

fn policies(wired: &[Wired], numbers: &BTreeMap<&'static str, ChannelNo>) -> Vec<Policy> {
    wired
        .iter()
        .map(|one| {
            let tuning = Tuning {
                backoff: Backoff::default(),
                on_correction: one.on_correction,
                after: one.after.iter().map(|name| numbers[name]).collect(),
                concurrency: 4,
                rate: one.rate,
                quiet: one.quiet.clone(),
            };
            Policy::new(
                numbers[one.name],
                one.name,
                "scripted",
                one.channel.caps(),
                tuning,
            )
        })
        .collect()
}

fn benches(wired: &[Wired], policies: &[Policy], shared: &Arc<Shared>) -> Vec<Bench> {
    let benches = wired.iter().zip(policies).map(|(one, policy)| Bench {
        channel: Arc::clone(&one.channel),
        policy: policy.clone(),
        call_within: Duration::from_mins(1),
        shared: Arc::clone(shared),
        replaced: CancellationToken::new(),
    });
    benches.collect()
}

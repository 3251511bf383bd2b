//! Looks over the daemon's shoulder: every act, every call, every sighting.
//!
//! It judges by the design's invariants and by the platforms' ledgers alone, and it can make the
//! process die at a chosen line.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use chrono::Timelike;
use lubu::ids::{ChannelNo, DeliveryId, ItemId};
use lubu::model::channel::ChannelRecord;
use lubu::model::delivery::{Delivery, Event, PublicState, State, Wanted};
use lubu::model::item::{Item, Revision};
use lubu::store::{Act, Answer, Desk, Dossier, Run, Standing, Store, Stored};
use lubu_channels::{Effect, Fate, Goal, Job, Match, Sighting, Step, Timestamp, Truth, Verdict};

use crate::chance::Rng;
use crate::platform::{Origin, Platform};

/// A line at which the process can die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    BeforeIntent,
    AfterIntent,
    BeforeOutcome,
    AfterOutcome,
}

/// Where to die: at this line of this step of this revision.
#[derive(Debug, Clone)]
pub struct Cut {
    pub line: Line,
    pub step: String,
    pub revision: u32,
}

/// One delivery, as everyone but the store calls it.
type Place = (String, String);

/// A call of a step whose repeat may make a second public copy.
#[derive(Debug, Clone, PartialEq)]
struct Doubled {
    step: String,
    revision: u32,
    key: String,
    at: Timestamp,
    effect: Effect,
}

#[derive(Debug, Default)]
struct Known {
    life: u64,
    waiting: u32,
    dead: bool,
    cut: Option<Cut>,
    names: BTreeMap<ChannelNo, String>,
    worlds: BTreeMap<String, Arc<Mutex<Platform>>>,
    /// The newest approval of each item: its revision and drafts.
    approved: BTreeMap<String, (u32, BTreeMap<ChannelNo, String>)>,
    ever: BTreeSet<(String, String)>,
    withdrawn: BTreeSet<String>,
    /// A person has stopped all sending.
    halted: bool,
    /// Channels with quiet hours, in minutes of the day in UTC.
    hushed: BTreeMap<String, std::ops::Range<u32>>,
    open: BTreeMap<Place, (Step, Goal, u32)>,
    seen: BTreeMap<Place, (u32, Verdict)>,
    said: BTreeMap<Place, bool>,
    states: BTreeMap<Place, (u64, PublicState)>,
    /// Calls that may have made a public copy, since a person last ordered one.
    calls: BTreeMap<Place, Vec<Doubled>>,
    /// Channels that may repeat a public call once when two looks found nothing.
    repeats: BTreeSet<String>,
    /// Posts whose text somebody changed before the daemon knew where they are: nothing tells whose they are.
    strange: BTreeSet<(String, String)>,
    absences: BTreeMap<Place, u32>,
    breaches: Vec<String>,
    trace: Vec<String>,
    keep_trace: bool,
    /// What decides how long each step of the daemon takes; nothing takes time without it.
    pace: Option<Rng>,
}

#[derive(Debug, Default)]
pub struct Watch(Mutex<Known>);

impl Watch {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().expect("unpoisoned")
    }

    pub fn traced() -> Self {
        let watch = Self::default();
        watch.lock().keep_trace = true;
        watch
    }

    pub fn world(&self, name: &str, world: Arc<Mutex<Platform>>) {
        self.lock().worlds.insert(name.to_owned(), world);
    }

    /// Everything takes a turn more or less, as this chance has it.
    pub fn pace(&self, rng: Rng) {
        self.lock().pace = Some(rng);
    }

    pub async fn dawdle(&self) {
        let turns = self.lock().pace.as_mut().map_or(0, |rng| rng.below(4));
        for _ in 0..turns {
            tokio::task::yield_now().await;
            self.lock().life += 1;
        }
    }

    pub fn repeats(&self, name: &str) {
        self.lock().repeats.insert(name.to_owned());
    }

    pub fn is_strange(&self, name: &str, id: u32) {
        let post = (name.to_owned(), id.to_string());
        self.lock().strange.insert(post);
    }

    pub fn hush(&self, name: &str, minutes: std::ops::Range<u32>) {
        self.lock().hushed.insert(name.to_owned(), minutes);
    }

    pub fn number(&self, number: ChannelNo, name: &str) {
        self.lock().names.insert(number, name.to_owned());
    }

    pub fn cut(&self, cut: Cut) {
        self.lock().cut = Some(cut);
    }

    /// A sign of life for whoever waits until nothing moves any more.
    pub fn life(&self) -> (u64, u32) {
        let known = self.lock();
        (known.life, known.waiting)
    }

    pub fn die(&self) {
        self.lock().dead = true;
    }

    pub fn is_dead(&self) -> bool {
        self.lock().dead
    }

    pub fn reborn(&self) {
        let mut known = self.lock();
        known.dead = false;
        known.waiting = 0;
    }

    pub fn breaches(&self) -> Vec<String> {
        self.lock().breaches.clone()
    }

    pub fn say(&self, line: impl fmt::Display) {
        self.lock().say(line);
    }

    pub fn trace(&self) -> Vec<String> {
        self.lock().trace.clone()
    }

    /// A call is about to leave.
    pub fn performs(&self, channel: &str, job: &Job, step: &Step, now: Timestamp) {
        let mut known = self.lock();
        known.life += 1;
        let place = (job.subjects[0].item.clone(), channel.to_owned());
        known.say(format_args!(
            "call {} {} {:?} r{}",
            short(&place),
            step.name,
            job.goal,
            job.subjects[0].revision
        ));
        if step.effect == Effect::Read {
            return;
        }
        let revision = job.subjects[0].revision;
        let intended = known.open.get(&place).is_some_and(|(open, goal, of)| {
            open.name == step.name && *goal == job.goal && *of == revision
        });
        if !intended {
            known.breach(format!("{} called without an intent on disk", step.name));
        }
        let bytes = job.subjects[0].draft.hash();
        if job.goal != Goal::Withdraw && !known.ever.contains(&(place.0.clone(), bytes)) {
            known.breach(format!("{} sends bytes that nobody signed", step.name));
        }
        if job.goal != Goal::Withdraw
            && matches!(step.effect, Effect::Public | Effect::Keyed { .. })
        {
            known.doubles(
                place,
                &Doubled {
                    step: step.name.clone(),
                    revision,
                    key: job.key.clone(),
                    at: now,
                    effect: step.effect,
                },
            );
        }
    }

    /// What a look told the daemon.
    pub fn sees(&self, channel: &str, job: &Job, sighting: &Sighting) {
        let mut known = self.lock();
        known.life += 1;
        let place = (job.subjects[0].item.clone(), channel.to_owned());
        known.say(format_args!(
            "look {} {:?} {:?}",
            short(&place),
            sighting.truth,
            sighting.seen.first().map(|seen| &seen.verdict)
        ));
        if sighting.truth == Truth::Absent {
            *known.absences.entry(place.clone()).or_default() += 1;
        }
        if let Some(seen) = sighting.seen.first() {
            let what = (job.subjects[0].revision, seen.verdict.clone());
            known.seen.insert(place, what);
        }
    }
}

fn short(place: &Place) -> String {
    format!("{}@{}", &place.0[place.0.len() - 4..], place.1)
}

impl Known {
    fn breach(&mut self, what: impl Into<String>) {
        let what = what.into();
        self.say(format_args!("BREACH {what}"));
        self.breaches.push(what);
    }

    fn say(&mut self, line: impl fmt::Display) {
        if self.keep_trace {
            self.trace.push(line.to_string());
        }
    }

    fn place(&self, id: DeliveryId) -> Place {
        let name = self.names.get(&id.channel).cloned().unwrap_or_default();
        (id.item.to_string(), name)
    }

    /// Invariant 4: what may be called again, and when.
    fn doubles(&mut self, place: Place, call: &Doubled) {
        let absences = self.absences.get(&place).copied().unwrap_or_default();
        let allowed = self.repeats.contains(&place.1) && absences >= 2;
        let calls = self.calls.entry(place).or_default();
        let same = calls
            .iter()
            .filter(|one| one.step == call.step && one.revision == call.revision);
        let same: Vec<Doubled> = same.cloned().collect();
        calls.push(call.clone());
        let (Some(first), Some(last)) = (same.first(), same.last()) else {
            return;
        };
        if let Effect::Keyed { window, pause } = call.effect
            && call.at < first.at + window
        {
            if same.iter().any(|one| one.key != call.key) {
                self.breach("another key while the first call is in doubt");
            }
            if call.at < last.at + pause {
                self.breach("the key is used again before its pause is over");
            }
            return;
        }
        if !allowed || same.len() > 1 {
            self.breach(format!(
                "{} of r{} called again on a doubt",
                call.step, call.revision
            ));
        }
    }

    fn is_cut(&mut self, act: &Act, before: bool) -> bool {
        let Some(cut) = &self.cut else { return false };
        let hit = match act {
            Act::Intent { job, step, .. } => {
                let line = if before {
                    Line::BeforeIntent
                } else {
                    Line::AfterIntent
                };
                cut.line == line && cut.step == step.name && cut.revision == job.revision
            }
            Act::Settle { id, event, .. } if is_outcome(event) => {
                let line = if before {
                    Line::BeforeOutcome
                } else {
                    Line::AfterOutcome
                };
                let open = self.open.get(&self.place(*id));
                let same = open.is_some_and(|(step, _, revision)| {
                    step.name == cut.step && *revision == cut.revision
                });
                // After the outcome the intent is closed: its line was marked before.
                cut.line == line && same
            }
            _ => false,
        };
        if hit {
            self.cut = None;
        }
        hit
    }

    /// What everyone may conclude from an answered act.
    fn learn(&mut self, told: &Told, answer: &Answer) {
        match (told, answer) {
            (Told::Sending { halted }, Answer::Done) => self.halted = *halted,
            (
                Told::Approved {
                    item,
                    revision,
                    routed,
                },
                Answer::Deliveries(_),
            ) => {
                self.approved
                    .insert(item.clone(), (*revision, routed.clone()));
                // Who signs after a person's "not there" orders the next send.
                let denied: Vec<Place> = self
                    .said
                    .iter()
                    .filter(|((of, _), live)| of == item && !**live)
                    .map(|(place, _)| place.clone())
                    .collect();
                // So does who signs again what is known to have failed: nothing of it is there.
                let failed = self
                    .states
                    .iter()
                    .filter(|((of, _), (_, state))| of == item && *state == PublicState::Failed)
                    .map(|(place, _)| place.clone());
                let ordered: Vec<Place> = denied.into_iter().chain(failed).collect();
                for place in ordered {
                    self.calls.remove(&place);
                    self.absences.remove(&place);
                }
                for draft in routed.values() {
                    self.ever.insert((item.clone(), draft.clone()));
                }
            }
            (Told::Withdrawn { item }, Answer::Deliveries(_)) => {
                self.withdrawn.insert(item.clone());
            }
            _ => {}
        }
        match answer {
            Answer::Go(after) => {
                self.goes(after);
                self.stands(after);
            }
            Answer::Moved(after) => self.stands(after),
            Answer::Settled(after, released) => {
                let place = self.place(after.id);
                match told {
                    Told::Outcome { not_applied } => {
                        let Some((step, ..)) = self.open.remove(&place) else {
                            return self.breach("an outcome without an intent");
                        };
                        let calls = self.calls.entry(place).or_default();
                        calls.pop_if(|last| *not_applied && last.step == step.name);
                    }
                    Told::Said { live } => {
                        self.said.insert(place, *live);
                    }
                    Told::Ordered => {
                        self.calls.remove(&place);
                        self.absences.remove(&place);
                    }
                    _ => {}
                }
                self.stands(after);
                for one in released {
                    self.stands(one);
                }
            }
            Answer::Verified(verified) => {
                self.stands(&verified.delivery);
                for one in &verified.released {
                    self.stands(one);
                }
            }
            Answer::Deliveries(all) => all.iter().for_each(|one| self.stands(one)),
            Answer::Surveyed(surveyed) => {
                let name = self.names.get(&surveyed.census.channel).cloned();
                let name = name.unwrap_or_default();
                let mut open = surveyed.census.open.iter();
                let strange = |id: &str| self.strange.contains(&(name.clone(), id.to_owned()));
                if let Some(one) = open.find(|one| !strange(&one.remote_id)) {
                    self.breach(format!("a post of ours is called nobody's: {one:?}"));
                }
            }
            Answer::Channel(_) | Answer::Accepted(_) | Answer::Done => {}
        }
    }

    /// Invariants 1, 2, 9 and 11: what may leave.
    fn goes(&mut self, after: &Delivery) {
        let place = self.place(after.id);
        let (State::Working { step, began }, Some(job)) = (&after.state, &after.job) else {
            return self.breach("a go that is not working");
        };
        let open = (step.clone(), job.goal, job.revision);
        if self.open.insert(place.clone(), open).is_some() {
            self.breach("a second intent while the first is open");
        }
        if job.goal == Goal::Withdraw {
            return;
        }
        if self.halted {
            self.breach("an intent to publish after all sending was stopped");
        }
        let minute = began.hour() * 60 + began.minute();
        let hushed = self.hushed.get(&place.1);
        if hushed.is_some_and(|quiet| quiet.contains(&minute)) {
            self.breach("an intent to publish within quiet hours");
        }
        if self.withdrawn.contains(&place.0) {
            self.breach("I5: an intent to publish after the withdrawal");
        }
        let signed = self.approved.get(&place.0).is_some_and(|(newest, routed)| {
            *newest == job.revision && routed.get(&after.id.channel) == Some(&job.draft)
        });
        if !signed {
            self.breach(format!(
                "I1: an intent for revision {} that is not the one signed",
                job.revision
            ));
        }
    }

    /// Invariant 13, and that nobody says more than was seen.
    fn stands(&mut self, after: &Delivery) {
        let place = self.place(after.id);
        let public = after.public_state();
        self.say(format_args!(
            "{} v{} {}",
            short(&place),
            after.version,
            public.code()
        ));
        let name = &place.1;
        self.strange
            .retain(|(channel, id)| channel != name || !is_on_record(after, id));
        let before = self.states.insert(place.clone(), (after.version, public));
        if before.is_some_and(|(version, _)| after.version < version) {
            self.breach("a version that goes back");
        }
        let owned = public.at_rest() || public.needs_person() || public == PublicState::Sending;
        if !owned && after.next_at().is_none() {
            self.breach(format!(
                "I3: {} with neither a time nor an owner",
                public.code()
            ));
        }
        if before.is_some_and(|(_, was)| was == public) {
            return;
        }
        match public {
            PublicState::Published => self.is_seen(after, &place),
            PublicState::Withdrawn => self.is_gone(&place),
            PublicState::Failed => self.is_known_absent(after, &place),
            _ => {}
        }
    }

    fn is_seen(&mut self, after: &Delivery, place: &Place) {
        let said = self.said.get(place) == Some(&true);
        let copy = after.copy.as_ref().map(|copy| copy.revision);
        let seen = self.seen.get(place).is_some_and(|(revision, verdict)| {
            let same = matches!(verdict, Verdict::Live(Match::Same | Match::Unread));
            // A copy that shall stay may be older than what was on its way.
            let kept = matches!(after.wanted, Wanted::Keep { .. });
            let earlier =
                kept && *verdict == Verdict::Live(Match::Earlier) && copy < Some(*revision);
            (same && Some(*revision) == copy) || earlier
        });
        if !said && !seen {
            self.breach(format!(
                "I4: published without a sighting, last {:?}",
                self.seen.get(place)
            ));
        }
        if let Wanted::Revision(wanted) = &after.wanted
            && Some(wanted.number) != copy
        {
            self.breach("published with another revision than is wanted");
        }
    }

    fn is_gone(&mut self, place: &Place) {
        let said = self.said.get(place) == Some(&false);
        let seen = self.seen.get(place).map(|(_, verdict)| verdict);
        let gone = matches!(
            seen,
            Some(Verdict::Absent | Verdict::Removed(_) | Verdict::Notice)
        );
        if !said && !gone {
            self.breach("I4: withdrawn without a sighting");
        }
        let left = self.public(place);
        if left > 0 {
            self.breach(format!("I4: withdrawn, and readers see {left}"));
        }
    }

    /// "Known not applied" is a claim about the platform.
    fn is_known_absent(&mut self, after: &Delivery, place: &Place) {
        let Some(job) = after.job.as_ref().filter(|job| job.goal != Goal::Withdraw) else {
            return;
        };
        let revision = job.revision;
        let there = self.worlds.get(&place.1).is_some_and(|world| {
            let world = world.lock().expect("unpoisoned");
            let mut public = world.public(&place.0);
            public.any(|one| one.now().is_some_and(|shown| shown.revision == revision))
        });
        let withdrawing = after.withdrawing();
        if there && !withdrawing && after.copy.is_none() {
            self.breach("I4: failed, and readers see it");
        }
    }

    /// Copies that calls of ours made: a twin of the platform's may be out of every look's sight.
    fn public(&self, place: &Place) -> usize {
        let Some(world) = self.worlds.get(&place.1) else {
            return 0;
        };
        let world = world.lock().expect("unpoisoned");
        let ours = world
            .public(&place.0)
            .filter(|one| one.origin == Origin::Call);
        ours.count()
    }
}

fn is_outcome(event: &Event) -> bool {
    matches!(
        event,
        Event::Done { .. } | Event::Failed { .. } | Event::Unsent { .. } | Event::Lost
    )
}

/// What an act was about, kept while the store has it.
#[derive(Debug)]
enum Told {
    Approved {
        item: String,
        revision: u32,
        routed: BTreeMap<ChannelNo, String>,
    },
    Withdrawn {
        item: String,
    },
    Sending {
        halted: bool,
    },
    Outcome {
        not_applied: bool,
    },
    Said {
        live: bool,
    },
    Ordered,
    Other,
}

impl Told {
    fn of(act: &Act) -> Self {
        match act {
            Act::Approve(approve) => Self::Approved {
                item: approve.approval.item.to_string(),
                revision: approve.approval.revision,
                routed: approve.approval.routed.clone(),
            },
            Act::Withdraw { item, .. } => Self::Withdrawn {
                item: item.to_string(),
            },
            Act::Sending { stop, .. } => Self::Sending {
                halted: stop.is_some(),
            },
            Act::Settle { event, .. } if is_outcome(event) => {
                let not_applied = match event.as_ref() {
                    Event::Failed { failure } => failure.fate != Fate::Unsure,
                    Event::Unsent { .. } => true,
                    _ => false,
                };
                Self::Outcome { not_applied }
            }
            Act::Decide { event, .. } => match event.as_ref() {
                Event::SaidLive { .. } => Self::Said { live: true },
                Event::SaidAbsent { .. } => Self::Said { live: false },
                Event::Retry { .. } => Self::Ordered,
                _ => Self::Other,
            },
            _ => Self::Other,
        }
    }
}

/// The store under watch.
#[derive(Debug)]
pub struct Watched {
    inner: Arc<dyn Store>,
    watch: Arc<Watch>,
    turn: tokio::sync::Mutex<()>,
}

impl Watched {
    pub fn new(inner: Arc<dyn Store>, watch: Arc<Watch>) -> Self {
        let turn = tokio::sync::Mutex::default();
        Self { inner, watch, turn }
    }

    async fn dies(&self) -> ! {
        self.watch.die();
        std::future::pending::<()>().await;
        unreachable!("a dead process goes on")
    }

    async fn read<T>(&self, f: impl Future<Output = Stored<T>>) -> Stored<T> {
        self.enter();
        let read = f.await;
        self.leave();
        read
    }

    fn enter(&self) {
        let mut known = self.watch.lock();
        known.life += 1;
        known.waiting += 1;
    }

    fn leave(&self) {
        let mut known = self.watch.lock();
        known.life += 1;
        known.waiting -= 1;
    }
}

#[async_trait]
impl Store for Watched {
    async fn act(&self, act: Act) -> Stored<Answer> {
        let told = Told::of(&act);
        let (before, after) = {
            let mut known = self.watch.lock();
            let before = known.is_cut(&act, true);
            (before, !before && known.is_cut(&act, false))
        };
        if before {
            self.dies().await;
        }
        let words = format!("{act:?}");
        // One after the other, so that they are learnt of in the order they were decided in.
        self.enter();
        self.watch.dawdle().await;
        let turn = self.turn.lock().await;
        let answer = self.inner.act(act).await;
        {
            let mut known = self.watch.lock();
            match &answer {
                Ok(answer) => known.learn(&told, answer),
                Err(error) => {
                    let what = words.chars().take(40).collect::<String>();
                    known.say(format_args!("refused {what}: {error}"));
                }
            }
        }
        drop(turn);
        self.watch.dawdle().await;
        self.leave();
        if after {
            self.dies().await;
        }
        answer
    }

    async fn item(&self, id: ItemId) -> Stored<Option<Item>> {
        self.read(self.inner.item(id)).await
    }

    async fn items(&self, before: Option<ItemId>, limit: usize) -> Stored<Vec<Item>> {
        self.read(self.inner.items(before, limit)).await
    }

    async fn named(&self, beginning: &str, limit: usize) -> Stored<Vec<ItemId>> {
        self.read(self.inner.named(beginning, limit)).await
    }

    async fn dossier(&self, id: ItemId) -> Stored<Option<Dossier>> {
        self.read(self.inner.dossier(id)).await
    }

    async fn desk(&self, id: ItemId, number: Option<u32>) -> Stored<Option<Desk>> {
        self.read(self.inner.desk(id, number)).await
    }

    async fn revision(&self, id: ItemId, number: u32) -> Stored<Option<Revision>> {
        self.read(self.inner.revision(id, number)).await
    }

    async fn delivery(&self, id: DeliveryId) -> Stored<Option<Delivery>> {
        self.read(self.inner.delivery(id)).await
    }

    async fn deliveries(&self, item: ItemId) -> Stored<Vec<Delivery>> {
        self.read(self.inner.deliveries(item)).await
    }

    async fn unsettled(&self) -> Stored<Vec<Delivery>> {
        self.read(self.inner.unsettled()).await
    }

    async fn published(
        &self,
        channel: ChannelNo,
        before: Option<DeliveryId>,
    ) -> Stored<lubu::store::Stretch> {
        self.read(self.inner.published(channel, before)).await
    }

    async fn recorded(
        &self,
        channel: ChannelNo,
        before: Option<DeliveryId>,
    ) -> Stored<lubu::store::Stretch> {
        self.read(self.inner.recorded(channel, before)).await
    }

    async fn censuses(&self) -> Stored<Vec<lubu::model::survey::Census>> {
        self.read(self.inner.censuses()).await
    }

    async fn watch(&self, id: DeliveryId) -> Stored<Option<lubu::model::finding::Watch>> {
        self.read(self.inner.watch(id)).await
    }

    async fn watches_of(&self, item: ItemId) -> Stored<Vec<lubu::model::finding::Watch>> {
        self.read(self.inner.watches_of(item)).await
    }

    async fn watches(
        &self,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> Stored<Vec<lubu::model::finding::Watch>> {
        self.read(self.inner.watches(after, limit)).await
    }

    async fn patrols(&self) -> Stored<Vec<lubu::model::patrol::Patrol>> {
        self.read(self.inner.patrols()).await
    }

    async fn channels(&self) -> Stored<Vec<ChannelRecord>> {
        self.read(self.inner.channels()).await
    }

    async fn runs(&self, schedule: &str, limit: usize) -> Stored<Vec<Run>> {
        self.read(self.inner.runs(schedule, limit)).await
    }

    async fn waiting_for(&self, schedule: &str) -> Stored<Vec<ItemId>> {
        self.read(self.inner.waiting_for(schedule)).await
    }

    async fn put_blob(&self, bytes: Vec<u8>) -> Stored<String> {
        self.read(self.inner.put_blob(bytes)).await
    }

    async fn stop_order(&self) -> Stored<Option<lubu::model::halt::StopOrder>> {
        self.read(self.inner.stop_order()).await
    }

    async fn set_back(&self) -> Stored<lubu::model::halt::SetBack> {
        self.read(self.inner.set_back()).await
    }

    async fn blob(&self, hash: &str) -> Stored<Option<Arc<Vec<u8>>>> {
        self.read(self.inner.blob(hash)).await
    }

    async fn drafts(&self, id: ItemId, revision: u32, hash: &str) -> Stored<Option<Arc<Vec<u8>>>> {
        self.read(self.inner.drafts(id, revision, hash)).await
    }

    fn standing(&self) -> Standing {
        self.inner.standing()
    }

    async fn backup(&self, to: std::path::PathBuf) -> Stored<lubu::store::Copied> {
        self.inner.backup(to).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

/// Whether its record names the post.
pub fn is_on_record(delivery: &Delivery, id: &str) -> bool {
    let copy = delivery.copy.as_ref();
    copy.is_some_and(|copy| copy.remote_id.as_deref() == Some(id))
        || delivery.twins().iter().any(|twin| twin == id)
        || delivery.progress.iter().any(|(_, fact)| fact == id)
}

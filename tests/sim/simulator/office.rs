//! One life of an office: people order, platforms fail, processes die, and then it all calms down.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chrono::TimeDelta;
use lubu::clock::Time as _;
use lubu::ids::{DeliveryId, ItemId};
use lubu::model::approval::OnCorrection;
use lubu::model::channel::Pause;
use lubu::model::delivery::{Delivery, Doubt, Event, Hold, State};
use lubu::model::item::Revision;
use lubu::model::quiet::{QuietHours, Span};
use lubu::store::act::LaneNews;
use lubu::store::memory::Kept;
use lubu_channels::{Clock, Quota, Timestamp, Window, Words};

use super::readers::Readers;
use super::weather::Weather;
use crate::chance::Rng;
use crate::channel::{Played, ROWS, Shape, caps};
use crate::clock::Jump;
use crate::house::{Disk, House, Wired};
use crate::person;
use crate::platform::Platform;
use crate::watch::Watch;

const SITE: &str = "site";
const WEIBO: &str = "weibo";
pub(super) const NAMES: [&str; 5] = [SITE, "portal", "wechat", "mass", WEIBO];
/// Publishes nothing at night.
const HUSHED: &str = "wechat";
const ITEMS: usize = 4;

struct Known {
    id: ItemId,
    latest: Revision,
    routed: Vec<&'static str>,
    withdrawn: bool,
}

pub struct Office {
    pub(super) house: House,
    pub(super) rng: Rng,
    weather: Arc<Mutex<Weather>>,
    readers: Readers,
    items: Vec<Known>,
    /// What becomes of the machine, of a chance of its own: the others keep theirs.
    pub(super) machine: Rng,
    /// What came to be lived later, of another: lives that failed before go on as they did. None for those.
    pub(super) later: Option<Rng>,
}

/// How much happened, and the whole trace.
pub struct Lived {
    pub trace: Vec<String>,
    pub posts: usize,
}

/// Channels that unknown posts may stop once all is calm: one for each time that somebody meddled, at most.
const MOST_STOPS: usize = 8;

/// What happens in a life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habits {
    /// As when the kept seeds failed: the same seed is the same life.
    First,
    All,
}

pub fn live(seed: u64, events: u32, habits: Habits) -> Result<Lived, (String, Vec<String>)> {
    let mut office = Office::new(seed, habits);
    let ended = office.through(events);
    let trace = office.house.watch.trace();
    match ended {
        Ok(()) => Ok(Lived {
            trace,
            posts: office.posts(),
        }),
        Err(why) => Err((why, trace)),
    }
}

fn wired(name: &'static str, watch: &Arc<Watch>, weather: &Arc<Mutex<Weather>>) -> Wired {
    let shape = match name {
        SITE => Shape::Page,
        "portal" => Shape::StagedFlip,
        "wechat" => Shape::StagedPublic,
        "mass" => Shape::Keyed,
        _ => Shape::Public,
    };
    let mut caps = caps(name, shape);
    if name == WEIBO {
        caps.look.rows = u32::try_from(ROWS).ok();
        caps.repeat_when_absent = true;
        watch.repeats(name);
    }
    if matches!(shape, Shape::StagedPublic | Shape::Public) {
        caps.quotas = vec![Quota {
            name: "send".into(),
            window: Window::Day,
            limit: 3,
            reserve: 1,
        }];
    }
    let platform = Arc::new(Mutex::new(Platform::default()));
    watch.world(name, Arc::clone(&platform));
    let channel = Played {
        name,
        shape,
        caps,
        platform,
        director: Arc::clone(weather) as _,
        watch: Arc::clone(watch),
    };
    Wired {
        channel: Arc::new(channel),
        after: if name == SITE { Vec::new() } else { vec![SITE] },
        on_correction: match name {
            "wechat" => OnCorrection::Ask,
            "mass" => OnCorrection::Leave,
            _ => OnCorrection::Replace,
        },
        concurrency: if name == SITE { 4 } else { 2 },
        quiet: (name == HUSHED).then(|| night(watch)).flatten(),
    }
}

/// From 22:00 to 07:30 in Shanghai, which the watch is told as minutes of the day in UTC.
fn night(watch: &Watch) -> Option<QuietHours> {
    watch.hush(HUSHED, 14 * 60..23 * 60 + 30);
    let span = Span::new([true; 7], 22 * 60, 7 * 60 + 30)?;
    QuietHours::new(chrono_tz::Asia::Shanghai, vec![span], Vec::new())
}

impl Office {
    fn new(seed: u64, habits: Habits) -> Self {
        let mut rng = Rng::new(seed);
        let watch = Arc::new(Watch::traced());
        watch.pace(Rng::new(rng.next()));
        let weather = Arc::new(Mutex::new(Weather::new(Rng::new(rng.next()), WEIBO)));
        let wired = NAMES.map(|name| wired(name, &watch, &weather)).to_vec();
        let time = Arc::new(Jump::default());
        let disk = Disk::Memory(Kept::default());
        Self {
            house: House::new(disk, watch, time, wired, seed),
            rng,
            weather,
            readers: Readers::default(),
            items: Vec::new(),
            machine: Rng::new(!seed),
            later: (habits == Habits::All).then(|| Rng::new(seed.rotate_left(32))),
        }
    }

    fn through(&mut self, events: u32) -> Result<(), String> {
        for event in 0..events {
            self.happens();
            self.judge()
                .map_err(|why| format!("event {event}: {why}"))?;
        }
        self.calm_down()
    }

    pub(super) fn platform(&self, name: &str) -> MutexGuard<'_, Platform> {
        self.house
            .channel(name)
            .platform
            .lock()
            .expect("unpoisoned")
    }

    pub(super) fn say(&self, what: &str) {
        let at = self.house.time.now().format("%d %H:%M:%S");
        self.house.watch.say(format_args!("{at} {what}"));
    }

    fn happens(&mut self) {
        match self.rng.below(100) {
            0..10 => self.submits(),
            10..18 => self.corrects(),
            18..22 => self.withdraws(),
            22..36 => self.answers(),
            36..39 => self.pauses(),
            39..43 => self.resumes(),
            43..48 => self.crashes(),
            48..51 => self.others_post(),
            51..53 => self.somebody_meddles(),
            53..57 => self.jumps(),
            57..62 => self.sets_the_clock(),
            62..65 => self.orders(),
            _ => self.moves_on(),
        }
        if self.rng.percent(60) {
            self.house.rest();
        } else {
            let turns = self.rng.below(40);
            self.house.turns(u32::try_from(turns).unwrap_or_default());
        }
        self.buries();
        self.happens_later();
    }

    fn happens_later(&mut self) {
        let Some(later) = &mut self.later else { return };
        match later.below(100) {
            0..4 => self.goes_down_in_doubt(),
            4..10 => self.reloads(),
            _ => {}
        }
    }

    /// Other limits are in force while the lanes work, by adapters made anew.
    fn reloads(&mut self) {
        let Some(later) = &mut self.later else { return };
        let limit = 2 + u32::try_from(later.below(4)).unwrap_or_default();
        let concurrency = 1 + usize::try_from(later.below(3)).unwrap_or_default();
        self.say(&format!(
            "a reload: {limit} posts a day, {concurrency} at once"
        ));
        self.house.reload(|wired| {
            for one in wired {
                one.concurrency = concurrency;
                one.channel = Arc::new(one.channel.limited(limit));
            }
        });
        if self.later.as_mut().is_some_and(|later| later.percent(50)) {
            self.house.rest();
            self.buries();
        }
    }

    /// The clock is set back, and the machine goes down after that, while somebody waits to hear what came of a call.
    fn goes_down_in_doubt(&mut self) {
        let unheard = |one: &Delivery| one.doubt.as_ref().is_some_and(Doubt::may_double);
        if !self.deliveries().iter().any(unheard) {
            return;
        }
        if self.house.time.doubt().is_none() {
            self.say("the wall clock is set back two hours");
            self.house.time.set_wall(-TimeDelta::hours(2));
            self.house.tell_lanes();
        }
        self.house.watch.die();
        self.buries();
    }

    /// The process may have died of what happened.
    fn buries(&mut self) {
        while self.house.is_dead() {
            self.say("the process is dead");
            self.house.kill();
            let down = match self.rng.below(10) {
                0..6 => self.rng.below(60),
                6..9 => self.rng.below(3 * 3600),
                _ => self.rng.below(40 * 3600),
            };
            self.house.wait(Duration::from_secs(down));
            self.machine_starts(down);
            self.house.start();
            self.house.tell_lanes();
            if self.rng.percent(70) {
                self.house.rest();
            }
        }
    }

    fn routes(&mut self) -> Vec<&'static str> {
        let rng = &mut self.rng;
        let mut routed = NAMES.to_vec();
        routed.retain(|name| rng.percent(if *name == SITE { 92 } else { 55 }));
        if routed.is_empty() {
            routed.push(SITE);
        }
        routed
    }

    fn submits(&mut self) {
        if self.items.len() >= ITEMS {
            return self.moves_on();
        }
        let title = format!("信息 {}", self.items.len());
        let (id, latest) = self.house.submit(&title);
        let routed = self.routes();
        self.items.push(Known {
            id,
            latest,
            routed,
            withdrawn: false,
        });
        self.signs(self.items.len() - 1);
    }

    fn any_item(&mut self) -> Option<usize> {
        let open: Vec<usize> = (0..self.items.len())
            .filter(|place| !self.items[*place].withdrawn)
            .collect();
        self.rng.pick(&open).copied()
    }

    fn corrects(&mut self) {
        let Some(place) = self.any_item() else { return };
        let (id, number) = (self.items[place].id, self.items[place].latest.number + 1);
        self.say(&format!("revision {number}"));
        let title = format!("信息 {place} 第 {number} 版");
        if let Ok(revision) = self.house.revise(id, number, &title) {
            self.items[place].latest = revision;
        }
        if self.rng.percent(12) {
            self.items[place].routed = self.routes();
        }
        if self.rng.percent(90) {
            self.signs(place);
        }
    }

    fn signs(&mut self, place: usize) {
        let mut choices = Vec::new();
        for name in NAMES {
            let choice = match self.rng.below(10) {
                0..2 => OnCorrection::Replace,
                2 => OnCorrection::Leave,
                _ => continue,
            };
            choices.push((self.house.no(name), choice));
        }
        self.signs_with(place, choices);
    }

    fn signs_with(&mut self, place: usize, choices: Vec<(lubu::ids::ChannelNo, OnCorrection)>) {
        let item = &self.items[place];
        self.say(&format!(
            "signed {} for {:?}",
            item.latest.number, item.routed
        ));
        // The readers' judge knows first: the daemon may be quick.
        let left: Vec<&str> = NAMES
            .into_iter()
            .filter(|name| {
                let no = self.house.no(name);
                let choice = choices.iter().find(|(one, _)| *one == no);
                let choice = choice.map_or(self.house.on_correction(name), |(_, choice)| *choice);
                choice == OnCorrection::Leave
            })
            .collect();
        let (id, revision) = (item.id.to_string(), item.latest.number);
        self.readers.sign(&id, revision, &item.routed, &left);
        let signed = self.house.sign(&item.latest, &item.routed, choices);
        if let Err(error) = signed {
            self.house.watch.say(format_args!("not signed: {error}"));
        }
    }

    fn withdraws(&mut self) {
        let Some(place) = self.any_item() else { return };
        self.say(&format!("withdrawn {place}"));
        let id = self.items[place].id;
        if self.house.withdraw(id).is_ok() {
            self.items[place].withdrawn = true;
            self.readers.withdraw(&id.to_string());
        }
    }

    fn deliveries(&self) -> Vec<Delivery> {
        let ids = self.items.iter().map(|item| item.id);
        ids.flat_map(|id| self.house.deliveries(id)).collect()
    }

    /// A person answers for something that waits for one, or speaks up unasked.
    fn answers(&mut self) {
        let all = self.deliveries();
        let open: Vec<&Delivery> = all
            .iter()
            .filter(|one| !one.public_state().at_rest())
            .collect();
        let Some(one) = self.rng.pick(&open) else {
            return;
        };
        let asked = one.public_state().needs_person();
        if asked || self.rng.percent(20) {
            self.answers_for(one);
        }
    }

    fn answers_for(&mut self, delivery: &Delivery) {
        let name = self.house.name(delivery.id.channel);
        // Whoever looks at a platform waits until nothing is on its way there.
        if self.platform(name).next().is_some() {
            return;
        }
        if let State::Held {
            why: Hold::Correction,
            ..
        } = &delivery.state
        {
            return self.decides(delivery);
        }
        let item = delivery.id.item.to_string();
        let now = self.house.time.truth();
        let asked = delivery.public_state().needs_person();
        let tidied = asked && person::tidies(&mut self.platform(name), now, &item);
        if tidied {
            self.readers.touch(&item, name);
        }
        let says = person::says(&self.platform(name), delivery);
        let Some((who, event)) = says else { return };
        self.says(who, delivery.id, event);
    }

    fn says(&self, who: &str, id: DeliveryId, event: Event) {
        let what = event.name();
        let said = self.house.word(who, id, event);
        let came = said
            .err()
            .map_or_else(|| "heard".to_owned(), |error| error.to_string());
        self.say(&format!("{who} {what}: {came}"));
    }

    /// What becomes of the old copy, where it cannot be corrected in place.
    fn decides(&mut self, delivery: &Delivery) {
        let choice = if self.rng.percent(60) {
            OnCorrection::Replace
        } else {
            OnCorrection::Leave
        };
        let place = self
            .items
            .iter()
            .position(|item| item.id == delivery.id.item);
        if let Some(place) = place.filter(|place| !self.items[*place].withdrawn) {
            self.signs_with(place, vec![(delivery.id.channel, choice)]);
        }
    }

    fn pauses(&mut self) {
        let Some(name) = self.rng.pick(&NAMES).copied() else {
            return;
        };
        let now = self.house.time.now();
        let until = self.rng.percent(60).then(|| now + Duration::from_mins(30));
        self.say(&format!("{name} paused"));
        let pause = Pause {
            why: Words::new("演练", "drill"),
            by: Some("ops".into()),
            at: now,
            until,
        };
        self.house.lane(name, LaneNews::Paused(pause));
    }

    fn resumes(&mut self) {
        let Some(name) = self.rng.pick(&NAMES).copied() else {
            return;
        };
        self.say(&format!("{name} resumed"));
        self.house.lane(name, LaneNews::Resumed);
    }

    /// What stopped a channel was looked at, and the channel goes on.
    fn looks_at_what_is_unknown(&mut self) -> usize {
        let mut resumed = 0;
        for name in NAMES {
            let number = self.house.no(name);
            let stopped = self.house.records().into_iter().any(|one| {
                let pause = one.pause.as_ref().and_then(|pause| pause.by.as_deref());
                one.number == number && pause == Some(Pause::OURS)
            });
            if stopped {
                self.say(&format!("{name} resumed, somebody has looked"));
                self.house.lane(name, LaneNews::Resumed);
                resumed += 1;
            }
        }
        resumed
    }

    fn crashes(&mut self) {
        let turns = self.rng.below(30);
        self.house.turns(u32::try_from(turns).unwrap_or_default());
        self.house.watch.die();
    }

    fn others_post(&mut self) {
        let now = self.house.time.truth();
        let many = self.rng.below(4);
        let mut platform = self.platform(WEIBO);
        for _ in 0..many {
            platform.other(now);
        }
    }

    /// Somebody edits or deletes a post on the platform.
    fn somebody_meddles(&mut self) {
        let Some(name) = self.rng.pick(&NAMES).copied() else {
            return;
        };
        let ids: Vec<String> = self.items.iter().map(|item| item.id.to_string()).collect();
        let Some(item) = self.rng.pick(&ids).cloned() else {
            return;
        };
        let edits = self.rng.percent(50);
        let now = self.house.time.truth();
        let mut known = self.deliveries();
        known.retain(|one| self.house.name(one.id.channel) == name);
        let found = {
            let mut platform = self.platform(name);
            let found = platform.public(&item).next().map(|one| one.id);
            match found {
                Some(id) if edits => {
                    // Of the others each post names its item.
                    let id_of = id.to_string();
                    if name == WEIBO
                        && !known
                            .iter()
                            .any(|one| crate::watch::is_on_record(one, &id_of))
                    {
                        self.house.watch.is_strange(name, id);
                    }
                    platform.edit(now, id);
                }
                Some(id) => platform.take_away(now, id),
                None => {}
            }
            found
        };
        if found.is_some() {
            self.say(&format!("somebody meddles on {name}"));
            self.readers.touch(&item, name);
        }
    }

    fn jumps(&mut self) {
        let most = if self.rng.percent(80) {
            3600
        } else {
            3 * 86_400
        };
        let by = Duration::from_secs(1 + self.rng.below(most));
        self.say(&format!("the clock jumps by {} s", by.as_secs()));
        self.house.wait(by);
    }

    fn moves_on(&mut self) {
        let ids: Vec<ItemId> = self.items.iter().map(|item| item.id).collect();
        if let Some(next) = self.house.next(&ids) {
            self.house.move_to(next);
        } else {
            self.house.wait(Duration::from_mins(1));
        }
        self.say("on");
    }

    fn judge(&mut self) -> Result<(), String> {
        if let Some(breach) = self.house.watch.breaches().first() {
            return Err(breach.clone());
        }
        for name in NAMES {
            let platform = Arc::clone(&self.house.channel(name).platform);
            self.readers
                .watch(name, &platform.lock().expect("unpoisoned"))?;
        }
        for delivery in self.deliveries() {
            let name = self.house.name(delivery.id.channel);
            self.readers.claims(&delivery, name, &self.platform(name))?;
        }
        Ok(())
    }

    /// Faults are over: everything comes to rest, or a person is asked and it comes to rest then (F14).
    fn calm_down(&mut self) -> Result<(), String> {
        self.say("calm");
        self.weather.lock().expect("unpoisoned").calm = true;
        self.all_is_right();
        for name in NAMES {
            self.house.lane(name, LaneNews::Resumed);
        }
        let calm = self.house.time.now();
        let (mut looked, mut resumed) = (0, 0);
        for _ in 0..1_500 {
            self.house.rest();
            self.buries();
            resumed += self.looks_at_what_is_unknown();
            if resumed > MOST_STOPS {
                return Err(format!("stopped {resumed} times in the calm"));
            }
            self.judge()
                .map_err(|why| format!("after the calm: {why}"))?;
            let ids: Vec<ItemId> = self.items.iter().map(|item| item.id).collect();
            let open: Vec<Delivery> = self.deliveries();
            let open = open.into_iter().filter(|one| !one.public_state().at_rest());
            let open: Vec<Delivery> = open.collect();
            if open.is_empty() && looked < 2 {
                looked += 1;
                self.looks_again()?;
                continue;
            }
            if open.is_empty() {
                return self.ends();
            }
            let coming = NAMES
                .iter()
                .any(|name| self.platform(name).next().is_some());
            let next = self.house.next(&ids);
            let now = self.house.time.now();
            let waits = open.iter().find(|one| is_owned(one, now, calm));
            match (waits, next) {
                (Some(one), _) if !coming => {
                    let one = one.clone();
                    self.answers_for(&one);
                    // Refused: what was sent may still arrive. It is said again later.
                    if self.deliveries().contains(&one) {
                        self.house.wait(Duration::from_mins(1));
                    }
                }
                (_, Some(next)) => self.house.move_to(next),
                (_, None) => return Err(format!("lost: {:?}", open[0].state)),
            }
        }
        let open = self.deliveries();
        let open = open.iter().find(|one| !one.public_state().at_rest());
        Err(format!(
            "F14: it never comes to rest: {:?}",
            open.map(|one| &one.state)
        ))
    }

    /// Two passes, a settle time apart, over everything published. Whatever was edited or deleted by
    /// then is found, and nothing is sent for it. Calls are counted: an earlier one's bytes may still come.
    fn looks_again(&mut self) -> Result<(), String> {
        self.say("looks again");
        let before = self.calls();
        for _ in 0..2 {
            for name in NAMES {
                self.house.patrol(name);
                self.house.rest();
            }
            self.house.wait(Duration::from_mins(10));
            self.house.rest();
        }
        if self.calls() == before {
            Ok(())
        } else {
            Err("looking again sent something".to_owned())
        }
    }

    fn ends(&mut self) -> Result<(), String> {
        for delivery in self.deliveries() {
            let name = self.house.name(delivery.id.channel);
            self.readers.ends(&delivery, name, &self.platform(name))?;
        }
        Ok(())
    }

    fn calls(&self) -> usize {
        let trace = self.house.watch.trace();
        trace
            .iter()
            .filter(|line| line.starts_with("call "))
            .count()
    }

    fn posts(&self) -> usize {
        NAMES
            .iter()
            .map(|name| self.platform(name).objects.len())
            .sum()
    }
}

/// A person is waited for, and nothing else; or what was sent has not been seen for long.
fn is_owned(delivery: &Delivery, now: Timestamp, calm: Timestamp) -> bool {
    match &delivery.state {
        State::Review { since, .. } => return now > *since + Duration::from_hours(24),
        // Its looks go on, but it is a person who ends it.
        State::Held {
            why: Hold::Unseen(_),
            ..
        } => return true,
        // Looks that agree may end it first.
        State::Held {
            why: Hold::Restored,
            ..
        } => return now > calm + Duration::from_hours(24),
        _ => {}
    }
    let for_others = matches!(
        &delivery.state,
        State::Held {
            why: Hold::After(_),
            ..
        }
    );
    delivery.public_state().needs_person() && delivery.next_at().is_none() && !for_others
}

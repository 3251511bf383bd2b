//! Seeded lives of an office whose machine is set back to a snapshot that somebody took, and is told by nobody.
//!
//! What happened after the snapshot happened: the platforms show it, and the store does not know it. Readers must
//! never see anything twice, and what is signed afterwards must still go out.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use lubu::ids::ItemId;
use lubu::model::approval::OnCorrection;
use lubu::model::delivery::{Event, PublicState, State};
use lubu::model::item::Revision;
use lubu::store::act::LaneNews;
use lubu::store::memory::Kept;

use lubu_channels::Effect;

use crate::chance::Rng;
use crate::channel::{Played, ROWS, Shape, address, caps};
use crate::clock::Jump;
use crate::house::{Disk, House, Wired};
use crate::platform::Platform;
use crate::simulator::Weather;
use crate::watch::Watch;

const SITE: &str = "site";
const WEIBO: &str = "weibo";
/// Those that list what they show.
const NAMES: [&str; 3] = [SITE, "wechat", WEIBO];
const LIVES: std::ops::Range<u64> = 1..101;
/// The longest that a call of a dead process is on its way.
const ON_ITS_WAY: Duration = Duration::from_mins(5);

struct Office {
    house: House,
    kept: Kept,
    rng: Rng,
    weather: Arc<Mutex<Weather>>,
    items: Vec<(ItemId, Revision)>,
}

fn wired(name: &'static str, watch: &Arc<Watch>, weather: &Arc<Mutex<Weather>>) -> Wired {
    let shape = match name {
        SITE => Shape::Page,
        WEIBO => Shape::Public,
        _ => Shape::StagedPublic,
    };
    let mut caps = caps(name, shape);
    if name == WEIBO {
        caps.look.rows = u32::try_from(ROWS).ok();
        caps.repeat_when_absent = true;
        watch.repeats(name);
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
        on_correction: OnCorrection::Replace,
        concurrency: 2,
        quiet: None,
    }
}

impl Office {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let watch = Arc::new(Watch::traced());
        watch.pace(Rng::new(rng.next()));
        let weather = Arc::new(Mutex::new(Weather::new(Rng::new(rng.next()), WEIBO)));
        let wired = NAMES.map(|name| wired(name, &watch, &weather)).to_vec();
        let kept = Kept::default();
        let (disk, time) = (Disk::Memory(kept.clone()), Arc::new(Jump::default()));
        Self {
            house: House::new(disk, watch, time, wired, seed),
            kept,
            rng,
            weather,
            items: Vec::new(),
        }
    }

    fn platform(&self, name: &str) -> MutexGuard<'_, Platform> {
        let channel = self.house.channel(name);
        channel.platform.lock().expect("unpoisoned")
    }

    fn buries(&mut self) {
        while self.house.is_dead() {
            self.house.kill();
            self.house.wait(Duration::from_secs(self.rng.below(600)));
            self.house.start();
            self.house.tell_lanes();
        }
    }

    fn submits(&mut self) {
        let title = format!("信息 {}", self.items.len());
        let (id, revision) = self.house.submit(&title);
        let _dead = self.house.approve(&revision, &NAMES);
        self.items.push((id, revision));
    }

    fn corrects(&mut self) {
        let place = self.rng.below(self.items.len() as u64);
        let Some((id, latest)) = self.items.get(usize::try_from(place).unwrap_or_default()) else {
            return;
        };
        let title = format!("信息 {place} 第 {} 版", latest.number + 1);
        let id = *id;
        if let Ok(revision) = self.house.revise(id, latest.number + 1, &title) {
            let _dead = self.house.approve(&revision, &NAMES);
            self.items.retain(|(one, _)| *one != id);
            self.items.push((id, revision));
        }
    }

    fn moves_on(&self) -> bool {
        let ids: Vec<ItemId> = self.items.iter().map(|(id, _)| *id).collect();
        let next = self.house.next(&ids);
        if let Some(next) = next {
            self.house.move_to(next);
        }
        next.is_some()
    }

    fn happens(&mut self) {
        match self.rng.below(12) {
            0..3 if self.items.len() < 6 => self.submits(),
            3 => self.corrects(),
            4 => self.house.watch.die(),
            5 => self.house.wait(Duration::from_secs(self.rng.below(7_200))),
            _ => {
                self.moves_on();
            }
        }
        if self.rng.percent(60) {
            self.house.rest();
        } else {
            let turns = self.rng.below(40);
            self.house.turns(u32::try_from(turns).unwrap_or_default());
        }
        self.buries();
    }

    fn stages(&self) -> bool {
        let ids = self.items.iter().map(|(id, _)| *id);
        let mut all = ids.flat_map(|id| self.house.deliveries(id));
        all.any(|one| match one.state {
            State::Unknown(unknown) => unknown.step.effect == Effect::Staged,
            State::Working { step, .. } => step.effect == Effect::Staged,
            _ => false,
        })
    }

    /// Everything runs until nothing is to come.
    fn settles(&mut self) -> Result<(), String> {
        for _ in 0..60 {
            self.house.rest();
            self.buries();
            self.judge()?;
            if !self.moves_on() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// No platform shows two posts of one item that calls made.
    fn judge(&self) -> Result<(), String> {
        for (name, (id, _)) in NAMES
            .iter()
            .flat_map(|name| self.items.iter().map(move |item| (*name, item)))
        {
            let copies = self.platform(name).copies(&id.to_string());
            if copies > 1 {
                return Err(format!("{name} shows {id} {copies} times"));
            }
        }
        Ok(())
    }

    fn stopped(&self) -> usize {
        let records = self.house.records();
        let ours = records.iter().filter_map(|one| one.pause.as_ref());
        ours.filter(|pause| pause.lets_look()).count()
    }

    /// A person looks at each platform, says what is there, lets go what is not, and then lets the channel go on.
    fn resumes(&self) {
        for delivery in self
            .items
            .iter()
            .flat_map(|(id, _)| self.house.deliveries(*id))
        {
            let held =
                delivery.is_restored() || delivery.public_state() == PublicState::Unconfirmed;
            if !held {
                continue;
            }
            let name = self.house.name(delivery.id.channel);
            let item = delivery.id.item.to_string();
            let shown = self.platform(name).public(&item).next().map(|one| one.id);
            let by = "张".to_owned();
            let event = match shown {
                Some(id) => Event::SaidLive {
                    by,
                    url: Some(address(id)),
                },
                None if delivery.is_restored() => Event::Freed { by },
                None => Event::SaidAbsent { by },
            };
            let _moved = self.house.word("张", delivery.id, event);
        }
        for name in NAMES {
            self.house.lane(name, LaneNews::Resumed);
        }
    }

    fn set_back(&mut self, snapshot: Kept) {
        self.house.set_back(Disk::Memory(snapshot));
        self.weather.lock().expect("unpoisoned").calm = true;
        self.house.wait(ON_ITS_WAY);
        self.house.start();
        self.house.tell_lanes();
    }
}

/// How many channels were stopped, and the whole trace where something is wrong.
fn live(seed: u64) -> Result<usize, (String, Vec<String>)> {
    let mut office = Office::new(seed);
    let lived = through(&mut office);
    lived.map_err(|why| (why, office.house.watch.trace()))
}

fn through(office: &mut Office) -> Result<usize, String> {
    for _ in 0..25 {
        office.happens();
    }
    // The played platform shows its copies to whoever looks for a draft, which no adapter does.
    for _ in 0..40 {
        if !office.stages() {
            break;
        }
        office.happens();
    }
    if office.stages() {
        return Ok(0);
    }
    let snapshot = office.kept.snapshot();
    for _ in 0..15 {
        office.happens();
    }
    office.judge()?;
    let say = |what: &str| office.house.watch.say(format_args!("{what}"));
    say("the machine is set back");
    office.set_back(snapshot);
    office.settles()?;
    let mut stopped = office.stopped();
    office.resumes();
    office.settles()?;
    // Signed now, it goes out once, whatever was forgotten.
    office.submits();
    for _ in 0..4 {
        office.settles()?;
        stopped = stopped.max(office.stopped());
        office.resumes();
    }
    let (new, _) = office.items.last().expect("just now");
    for name in NAMES {
        if office.platform(name).copies(&new.to_string()) != 1 {
            let delivery = office.house.delivery(*new, name);
            let state = delivery.map(|one| one.state);
            return Err(format!("{name} never showed what was signed: {state:?}"));
        }
    }
    Ok(stopped)
}

#[test]
fn no_machine_that_is_set_back_posts_again() {
    if let Some(seed) = crate::simulator::number("LUBU_SIM_SEED") {
        if let Err((why, trace)) = live(seed) {
            panic!("{}\n{why}", trace.join("\n"));
        }
        return;
    }
    let (mut failed, mut stopped) = (Vec::new(), 0);
    for seed in LIVES {
        match live(seed) {
            Ok(channels) => stopped += usize::from(channels > 0),
            Err((why, _)) => failed.push(format!("{seed} # {why}")),
        }
    }
    assert!(failed.is_empty(), "{}\n{}", failed.len(), failed.join("\n"));
    assert!(
        stopped > 25,
        "most lives have something to forget: {stopped}"
    );
}

//! One cell: struck once, started again, and followed until nothing moves any more.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lubu::ids::{DeliveryId, ItemId};
use lubu::model::approval::OnCorrection;
use lubu::model::delivery::{Delivery, PublicState};
use lubu::store::memory::Kept;
use lubu_channels::{Clock, Fate, Job, Step, Timestamp};

use super::cell::{Aim, Cell, Look, Point, Then, Truth, Way};
use super::expect;
use crate::channel::{Deed, Director, Played, Real, Reply, Sight, caps};
use crate::clock::Jump;
use crate::house::{Disk, House, Wired};
use crate::person;
use crate::platform::{Origin, Platform};
use crate::watch::{Cut, Line, Watch};

const NAME: &str = "here";
/// Within the settle time.
const SOON: Duration = Duration::from_secs(170);
/// After the first look that counts.
const AFTER_A_LOOK: Duration = Duration::from_mins(4);
const BEHIND: Duration = Duration::from_secs(10);
/// How long a person waits for the daemon to find out by itself.
const PATIENCE: Duration = Duration::from_hours(12);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    Published,
    PublishedByPerson,
    Gone,
    GoneByPerson,
}

/// What the platform does in this cell.
#[derive(Debug)]
struct Script {
    cell: Cell,
    armed: bool,
    struck: bool,
}

impl Script {
    fn real(&self, now: Timestamp) -> Real {
        let cell = self.cell;
        let on_the_way = cell.look == Look::Late || cell.then != Then::Nothing;
        let wait = if on_the_way { SOON } else { AFTER_A_LOOK };
        let down = match cell.point {
            Point::AnswerLost => Duration::ZERO,
            _ => cell.way.down(),
        };
        match (cell.truth, cell.point) {
            // The kernel still has the bytes; they arrive though nobody waits for the answer.
            (Truth::Applied, Point::MidSend) => Real::Late(now + Duration::from_secs(1)),
            (Truth::Applied, _) => Real::Applied,
            (Truth::Not, _) => Real::Not,
            (Truth::Late, _) => Real::Late(now + down + wait),
            (Truth::Twice, _) => Real::Twice,
        }
    }
}

impl Director for Script {
    fn deed(&mut self, _channel: &str, job: &Job, step: &Step, now: Timestamp) -> Deed {
        let cell = self.cell;
        let here = step.name == cell.step() && job.subjects[0].revision == cell.revision();
        if !self.armed || self.struck || !here {
            return Deed::WELL;
        }
        let reply = match (cell.point, cell.truth) {
            (Point::BeforeIntent | Point::AfterIntent, _) => return Deed::WELL,
            (Point::MidSend | Point::AfterSend, _) => Reply::Dies,
            (Point::AnswerLost, _) => Reply::Lost,
            (Point::BeforeOutcome | Point::AfterOutcome, Truth::Not) => {
                Reply::Refused(Fate::Again { not_before: None })
            }
            (Point::BeforeOutcome | Point::AfterOutcome, _) => Reply::Told,
        };
        self.struck = true;
        let real = self.real(now);
        Deed { real, reply }
    }

    fn sight(&mut self, _channel: &str, _now: Timestamp) -> Sight {
        if !self.struck {
            return Sight::Good;
        }
        match self.cell.look {
            Look::Good => Sight::Good,
            Look::Late => Sight::Behind(BEHIND),
            Look::Broken => Sight::Fails(Fate::Again { not_before: None }),
            Look::Window => Sight::Window,
        }
    }

    fn check(&mut self, _channel: &str) -> bool {
        true
    }

    fn survey(&mut self, _channel: &str) -> Sight {
        Sight::Good
    }
}

struct Stage {
    cell: Cell,
    house: House,
    script: Arc<Mutex<Script>>,
    item: ItemId,
    /// What a person had to do.
    words: u32,
    struck_at: Timestamp,
    /// Two copies were shown to a person, both named.
    both_named: bool,
}

/// How it ended, or what is wrong with it.
pub fn run(cell: Cell, on_disk: bool, loud: bool) -> Result<End, String> {
    let watch = Arc::new(if loud {
        Watch::traced()
    } else {
        Watch::default()
    });
    let ended = follow(cell, on_disk, &watch);
    if loud {
        println!("{}", watch.trace().join("\n"));
    }
    ended
}

fn follow(cell: Cell, on_disk: bool, watch: &Arc<Watch>) -> Result<End, String> {
    let mut stage = Stage::set(cell, on_disk, watch);
    stage.strike()?;
    stage.then()?;
    stage.come_to_rest(true)?;
    let end = stage.judge()?;
    expect::judge(cell, stage.words, stage.both_named)?;
    Ok(end)
}

impl Stage {
    fn set(cell: Cell, on_disk: bool, watch: &Arc<Watch>) -> Self {
        let script = Arc::new(Mutex::new(Script {
            cell,
            armed: false,
            struck: false,
        }));
        let platform = Arc::new(Mutex::new(Platform::default()));
        watch.world(NAME, Arc::clone(&platform));
        let shape = cell.way.shape();
        let mut caps = caps(NAME, shape);
        caps.repeat_when_absent = cell.way == Way::PublicOn;
        if caps.repeat_when_absent {
            watch.repeats(NAME);
        }
        let channel = Played {
            name: NAME,
            shape,
            caps,
            platform,
            director: Arc::clone(&script) as _,
            watch: Arc::clone(watch),
        };
        let wired = Wired {
            channel: Arc::new(channel),
            after: Vec::new(),
            on_correction: OnCorrection::Replace,
            concurrency: 4,
            quiet: None,
        };
        let disk = if on_disk {
            Disk::folder()
        } else {
            Disk::Memory(Kept::default())
        };
        let time = Arc::new(Jump::default());
        let mut house = House::new(disk, Arc::clone(watch), time, vec![wired], 1);
        let (item, _) = house.submit("第一版");
        Self {
            cell,
            struck_at: house.time.now(),
            house,
            script,
            item,
            words: 0,
            both_named: false,
        }
    }

    fn arm(&mut self) {
        self.script.lock().expect("unpoisoned").armed = true;
        self.struck_at = self.house.time.now();
        let line = match self.cell.point {
            Point::BeforeIntent => Line::BeforeIntent,
            Point::AfterIntent => Line::AfterIntent,
            Point::BeforeOutcome => Line::BeforeOutcome,
            Point::AfterOutcome => Line::AfterOutcome,
            Point::MidSend | Point::AfterSend | Point::AnswerLost => return,
        };
        self.house.watch.cut(Cut {
            line,
            step: self.cell.step().to_owned(),
            revision: self.cell.revision(),
        });
    }

    fn sign(&self, revision: u32) {
        let titles = ["第一版", "第二版", "第三版"];
        let title = titles[revision as usize - 1];
        let dossier = self.house.revision_of(self.item, revision);
        let revision = dossier.unwrap_or_else(|| {
            let revised = self.house.revise(self.item, revision, title);
            revised.expect("revised")
        });
        self.house.approve(&revision, &[NAME]).expect("signed");
    }

    /// Brings it to where it strikes, and through it.
    fn strike(&mut self) -> Result<(), String> {
        if self.cell.aim == Aim::Publish {
            self.arm();
            self.sign(1);
        } else {
            self.sign(1);
            self.come_to_rest(false)?;
            self.arm();
            if self.cell.aim == Aim::Update {
                self.sign(2);
            } else {
                self.house.withdraw(self.item).expect("withdrawn");
            }
        }
        if self.cell.point == Point::AnswerLost {
            self.until(|stage| stage.script.lock().expect("unpoisoned").struck)?;
            return Ok(());
        }
        self.until(|stage| stage.house.watch.is_dead())?;
        self.house.kill();
        self.script.lock().expect("unpoisoned").struck = true;
        self.house.watch.say("the process is dead");
        self.push_out_of_sight();
        self.house.wait(self.cell.way.down());
        self.house.start();
        Ok(())
    }

    /// Moves on until it holds.
    fn until(&mut self, holds: impl Fn(&Self) -> bool) -> Result<(), String> {
        for _ in 0..200 {
            self.house.rest();
            if holds(self) {
                return Ok(());
            }
            let Some(next) = self.house.next(&[self.item]) else {
                break;
            };
            self.house.move_to(next);
        }
        Err("it was never struck".to_owned())
    }

    /// Others post as soon as the process is gone.
    fn push_out_of_sight(&self) {
        if self.cell.look != Look::Window {
            return;
        }
        let now = self.house.time.now() + Duration::from_secs(2);
        let mut platform = self.platform();
        platform.settle(now);
        for _ in 0..crate::channel::ROWS {
            platform.other(now);
        }
    }

    fn then(&mut self) -> Result<(), String> {
        match self.cell.then {
            Then::Nothing => return Ok(()),
            Then::Withdraw | Then::Correct => {}
            Then::WithdrawSoon | Then::CorrectSoon => self.until_late()?,
        }
        match self.cell.then {
            Then::Withdraw | Then::WithdrawSoon => {
                self.house.withdraw(self.item).expect("withdrawn");
            }
            _ => self.sign(self.cell.revision() + 1),
        }
        Ok(())
    }

    /// As far as it comes before what is late arrives.
    fn until_late(&mut self) -> Result<(), String> {
        let end = self.house.time.now() + Duration::from_secs(75);
        loop {
            self.house.rest();
            self.copies()?;
            let Some(next) = self.house.next(&[self.item]).filter(|at| *at <= end) else {
                return Ok(());
            };
            self.house.move_to(next);
        }
    }

    fn platform(&self) -> std::sync::MutexGuard<'_, Platform> {
        self.house
            .channel(NAME)
            .platform
            .lock()
            .expect("unpoisoned")
    }

    fn delivery(&self) -> Result<Delivery, String> {
        self.house
            .delivery(self.item, NAME)
            .ok_or_else(|| "the delivery is lost".to_owned())
    }

    /// Lets time pass until it is at rest; a person answers where it has an owner.
    fn come_to_rest(&mut self, person: bool) -> Result<(), String> {
        for _ in 0..600 {
            self.house.rest();
            self.copies()?;
            let delivery = self.delivery()?;
            let state = delivery.public_state();
            let coming = self.platform().next();
            if state.at_rest() && coming.is_none() {
                return Ok(());
            }
            let late = self.house.time.now() > self.struck_at + self.cell.way.down() + PATIENCE;
            match self.house.next(&[self.item]) {
                Some(next) if !late => self.house.move_to(next),
                None if !state.needs_person() => {
                    return Err(format!("lost: {} with nobody to turn to it", state.code()));
                }
                _ if !person || self.words > 12 => {
                    return Err(format!("stuck: {:?}", delivery.state));
                }
                _ => self.person(&delivery)?,
            }
        }
        Err(format!("it never rests: {:?}", self.delivery()?.state))
    }

    /// Never two copies but by the platform's own doing.
    fn copies(&self) -> Result<(), String> {
        let copies = self.platform().copies(&self.item.to_string());
        if copies > 1 {
            let all = format!("{:?}", self.platform().objects);
            self.house.watch.say(all);
            return Err(format!("{copies} public copies by calls of ours"));
        }
        Ok(())
    }

    /// What somebody who looks at the platform with their own eyes does.
    fn person(&mut self, delivery: &Delivery) -> Result<(), String> {
        self.words += 1;
        let ids = self.public();
        self.house.watch.say(format_args!(
            "a person at {:?}, public {ids:?}",
            delivery.state
        ));
        self.note_both(delivery, &ids);
        let now = self.house.time.now();
        person::tidies(&mut self.platform(), now, &self.item.to_string());
        let Some((who, event)) = person::says(&self.platform(), delivery) else {
            return Err(format!("nothing to say at {:?}", delivery.state));
        };
        let id = DeliveryId {
            item: self.item,
            channel: self.house.no(NAME),
        };
        let said = self.house.word(who, id, event);
        said.map_err(|error| format!("the person is refused: {error} at {:?}", delivery.state))
    }

    fn public(&self) -> Vec<(u32, u32)> {
        let platform = self.platform();
        let item = self.item.to_string();
        let public = platform.public(&item);
        public
            .map(|one| (one.id, one.now().map_or(0, |shown| shown.revision)))
            .collect()
    }

    fn note_both(&mut self, delivery: &Delivery, ids: &[(u32, u32)]) {
        let said = format!("{:?}", delivery.state);
        let held = delivery.public_state() == PublicState::Held;
        let named = ids.iter().all(|(id, _)| said.contains(&id.to_string()));
        self.both_named |= ids.len() > 1 && held && named;
    }

    /// What readers see in the end is what was wanted, and lubu says so.
    fn judge(&self) -> Result<End, String> {
        let breaches = self.house.watch.breaches();
        if !breaches.is_empty() {
            return Err(breaches.join("; "));
        }
        let platform = self.platform();
        let item = self.item.to_string();
        let shown: Vec<(Origin, u32)> = platform
            .public(&item)
            .map(|one| (one.origin, one.now().map_or(0, |shown| shown.revision)))
            .collect();
        drop(platform);
        let state = self.delivery()?.public_state();
        let by_person = self.words > 0;
        match (self.cell.wanted(), state) {
            (Some(_), PublicState::Published) => {
                self.is_right(&shown)?;
                Ok(if by_person {
                    End::PublishedByPerson
                } else {
                    End::Published
                })
            }
            (None, PublicState::Withdrawn | PublicState::Skipped) => {
                self.is_right(&shown)?;
                Ok(if by_person {
                    End::GoneByPerson
                } else {
                    End::Gone
                })
            }
            (wanted, state) => Err(format!("{wanted:?} is wanted, and it is {}", state.code())),
        }
    }

    fn is_right(&self, shown: &[(Origin, u32)]) -> Result<(), String> {
        let wanted: Vec<u32> = self.cell.wanted().into_iter().collect();
        let seen: Vec<u32> = shown.iter().map(|(_, revision)| *revision).collect();
        // A twin that no look could have shown stays for a person who comes across it.
        if seen == wanted || (expect::hides_a_twin(self.cell) && seen.len() > wanted.len()) {
            return Ok(());
        }
        Err(format!("readers see {seen:?}, wanted is {wanted:?}"))
    }
}

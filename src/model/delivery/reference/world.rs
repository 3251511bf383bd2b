//! The platform: objects, what is on its way, and what it remembers. It never lies.

use std::time::Duration;

use lubu_channels::{
    Effect, Evidence, Goal, Match, Progress, RemovedBy, Seen, Sighting, Step, Timestamp, Truth,
    UpdateBy, Verdict,
};

pub const WINDOW: Duration = Duration::from_hours(24);
pub const PAUSE: Duration = Duration::from_mins(1);

/// The way from draft to live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One page, written and cleared.
    Page,
    /// One call under a key; a copy cannot be changed.
    Keyed,
    /// One call and no key.
    Post,
    /// An invisible draft, then a call that shows it.
    StagedPost,
}

/// What really happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Real {
    Applied,
    Not,
    /// It arrives so many seconds later, within the settle time.
    Late(u64),
}

#[derive(Debug, Clone, Copy)]
pub struct Object {
    pub id: u64,
    pub revision: u32,
    pub born: Timestamp,
    /// Readers see it.
    pub public: bool,
}

/// A call, as the platform gets it.
#[derive(Debug, Clone)]
pub struct Call {
    pub step: String,
    pub goal: Goal,
    pub revision: u32,
    pub key: String,
    /// The ids that it names.
    pub ids: Vec<u64>,
}

#[derive(Debug)]
pub struct World {
    pub shape: Shape,
    pub objects: Vec<Object>,
    pub drafts: Vec<(u64, u32)>,
    pub coming: Vec<(Timestamp, Call, Option<u64>)>,
    keys: Vec<(String, Timestamp, u64)>,
    serial: u64,
    /// The newest revision that readers ever saw.
    pub newest: u32,
    /// Breaches of order that readers saw.
    pub disorder: Option<String>,
}

impl World {
    pub fn new(shape: Shape) -> Self {
        Self {
            shape,
            objects: Vec::new(),
            drafts: Vec::new(),
            coming: Vec::new(),
            keys: Vec::new(),
            serial: 0,
            newest: 0,
            disorder: None,
        }
    }

    pub fn public(&self) -> impl Iterator<Item = &Object> {
        self.objects.iter().filter(|one| one.public)
    }

    pub fn update(&self) -> UpdateBy {
        match self.shape {
            Shape::Page => UpdateBy::InPlace,
            Shape::Keyed => UpdateBy::None,
            Shape::Post | Shape::StagedPost => UpdateBy::Replace,
        }
    }

    pub fn settle(&mut self, now: Timestamp) {
        while let Some(place) = self.coming.iter().position(|(at, ..)| *at <= now) {
            let (at, call, id) = self.coming.remove(place);
            match id {
                Some(id) => self.appear(id),
                None => drop(self.apply(&call, at)),
            }
        }
    }

    /// Taken at once under an id, and seen only later.
    pub fn accept(&mut self, call: &Call, now: Timestamp, at: Timestamp) -> Option<u64> {
        if matches!(call.step.as_str(), "page" | "stage" | "remove") {
            return self.apply(call, now);
        }
        let id = self.apply(call, now)?;
        let hidden = self.objects.iter_mut().find(|one| one.id == id)?;
        if hidden.born == now {
            hidden.public = false;
            self.coming.push((at, call.clone(), Some(id)));
        }
        Some(id)
    }

    fn appear(&mut self, id: u64) {
        if let Some(one) = self.objects.iter_mut().find(|one| one.id == id) {
            one.public = true;
            let revision = one.revision;
            self.seen(revision);
        }
    }

    fn seen(&mut self, revision: u32) {
        if revision < self.newest {
            let newest = self.newest;
            self.disorder = Some(format!(
                "I9: readers see revision {revision} after {newest}"
            ));
        }
        self.newest = self.newest.max(revision);
    }

    pub fn post(&mut self, revision: u32, born: Timestamp) -> u64 {
        self.serial += 1;
        let (id, public) = (self.serial, true);
        self.objects.push(Object {
            id,
            revision,
            born,
            public,
        });
        self.seen(revision);
        id
    }

    /// The object or draft that it made or changed.
    pub fn apply(&mut self, call: &Call, now: Timestamp) -> Option<u64> {
        match call.step.as_str() {
            "page" => {
                self.objects.clear();
                Some(self.post(call.revision, now))
            }
            "stage" => {
                self.serial += 1;
                self.drafts.push((self.serial, call.revision));
                Some(self.serial)
            }
            "submit" => {
                let place = self
                    .drafts
                    .iter()
                    .position(|(id, _)| call.ids.contains(id))?;
                let (_, revision) = self.drafts.remove(place);
                Some(self.post(revision, now))
            }
            "send" if self.shape == Shape::Keyed => {
                let known = self
                    .keys
                    .iter()
                    .find(|(key, at, _)| *key == call.key && now < *at + WINDOW);
                if let Some((_, _, id)) = known {
                    return Some(*id);
                }
                let id = self.post(call.revision, now);
                self.keys.push((call.key.clone(), now, id));
                Some(id)
            }
            "send" => Some(self.post(call.revision, now)),
            _ => {
                let page = self.shape == Shape::Page;
                self.objects
                    .retain(|one| !page && !call.ids.contains(&one.id));
                self.drafts.retain(|(id, _)| !call.ids.contains(id));
                self.coming
                    .retain(|(_, _, id)| id.is_none_or(|id| !call.ids.contains(&id)));
                None
            }
        }
    }

    pub fn meddle(&mut self) {
        self.objects.retain(|one| !one.public);
    }

    /// A look, for a step or for the copies.
    pub fn look(
        &self,
        step: Option<(&Step, Timestamp)>,
        goal: Goal,
        revision: u32,
        progress: &Progress,
    ) -> Sighting {
        let mut facts = progress.clone();
        let truth = match step {
            None => Truth::NotAsked,
            Some((step, began)) => self.truth(&step.name, began, revision, &mut facts),
        };
        let all: Vec<&Object> = self.public().collect();
        let known = progress.get("post").is_some();
        let verdict = match all.as_slice() {
            [] if self.coming.iter().any(|(_, _, id)| id.is_some()) => Verdict::Reviewing,
            [] if known => Verdict::Removed(RemovedBy::Unknown),
            [] => Verdict::Absent,
            [one] => Verdict::Live(match one.revision.cmp(&revision) {
                std::cmp::Ordering::Equal => Match::Same,
                std::cmp::Ordering::Less => Match::Earlier,
                std::cmp::Ordering::Greater => Match::Differs,
            }),
            many => Verdict::Several(many.iter().map(|one| one.id.to_string()).collect()),
        };
        if let [one] = all.as_slice() {
            if goal == Goal::Withdraw || step.is_none() {
                facts.set("post", one.id.to_string());
            }
            if goal == Goal::Withdraw {
                facts = facts.without("did/remove");
            }
        }
        let seen = Seen {
            place: 0,
            verdict,
            remote_id: None,
            address: all.first().map(|one| one.id.to_string()),
            evidence: Evidence::ReadBack,
        };
        Sighting {
            progress: facts,
            truth,
            seen: vec![seen],
        }
    }

    fn truth(&self, step: &str, began: Timestamp, revision: u32, facts: &mut Progress) -> Truth {
        let mut public = self.public();
        let found = match step {
            "stage" => {
                let mut drafts = self.drafts.iter();
                let draft = drafts.rfind(|(_, of)| *of == revision);
                draft.map(|(id, _)| ("draft", *id))
            }
            "remove" => {
                return if public.next().is_none() {
                    facts.set("did/remove", "1");
                    Truth::Applied
                } else {
                    Truth::Absent
                };
            }
            _ => {
                let ours = public.find(|one| one.revision == revision && one.born >= began);
                ours.map(|one| ("post", one.id))
            }
        };
        let Some((fact, id)) = found else {
            return Truth::Absent;
        };
        facts.set(fact, id.to_string());
        facts.set(format!("did/{step}"), revision.to_string());
        Truth::Applied
    }
}

/// The next step, as an adapter of this shape has it; none when nothing is left to send.
pub fn next(shape: Shape, goal: Goal, revision: u32, facts: &Progress) -> Option<Step> {
    let revision = revision.to_string();
    let did = |step: &str| facts.get(&format!("did/{step}")) == Some(&revision);
    if goal == Goal::Withdraw {
        let gone = facts.has("did/remove");
        return (!gone).then(|| Step::new("remove", Effect::Idempotent).shows());
    }
    let keyed = Effect::Keyed {
        window: WINDOW,
        pause: PAUSE,
    };
    let (name, effect) = match shape {
        Shape::Page => ("page", Effect::Idempotent),
        Shape::Keyed => ("send", keyed),
        Shape::Post => ("send", Effect::Public),
        Shape::StagedPost if did("submit") => return None,
        Shape::StagedPost if !did("stage") => return Some(Step::new("stage", Effect::Staged)),
        Shape::StagedPost => ("submit", Effect::Public),
    };
    (!did(name)).then(|| Step::new(name, effect).shows())
}

//! Channels of every shape, on a platform that a director steers.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use lubu_channels::{
    Call, Caps, Channel, Document, Draft, Effect, Evidence, Failure, Fate, Finding, Goal, Health,
    Job, Kind, LookCaps, Match, Media, Next, Pages, Posted, Receipt, RemovedBy, Seen, Sighting,
    Sign, Stands, Step, SurveyCaps, Surveyed, Surveys, Target, Timestamp, Truth, UpdateBy, Verdict,
    WithdrawBy, Words,
};

use crate::platform::{Ask, Object, Origin, Platform, Shown};
use crate::watch::Watch;

/// The way from draft to live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// A page of a site, written by item.
    Page,
    /// The same after a poll.
    PolledPage,
    /// Created invisible, then shown by id.
    StagedFlip,
    /// Created invisible, then submitted: each submission is a post.
    StagedPublic,
    /// One call under a key.
    Keyed,
    /// One call and no key.
    Public,
}

pub const WINDOW: Duration = Duration::from_hours(24);
pub const PAUSE: Duration = Duration::from_mins(1);
pub const SETTLE: Duration = Duration::from_mins(3);
/// Rows that a look through a list can see.
pub const ROWS: usize = 5;

/// What really happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Real {
    Applied,
    Not,
    /// It arrives only then.
    Late(Timestamp),
    Twice,
}

/// What the caller hears of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    Told,
    Lost,
    Refused(Fate),
    /// The process dies while it waits.
    Dies,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deed {
    pub real: Real,
    pub reply: Reply,
}

impl Deed {
    pub const WELL: Self = Self {
        real: Real::Applied,
        reply: Reply::Told,
    };
}

/// How a look sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    Good,
    /// What was there so long ago.
    Behind(Duration),
    Fails(Fate),
    /// The newest rows only, and others have posted since.
    Window,
}

/// Who decides what the platform does.
pub trait Director: Send + Debug {
    fn deed(&mut self, channel: &str, job: &Job, step: &Step, now: Timestamp) -> Deed;
    fn sight(&mut self, channel: &str, now: Timestamp) -> Sight;
    fn check(&mut self, channel: &str) -> bool;
    /// What a survey comes to.
    fn survey(&mut self, channel: &str) -> Sight;
}

#[derive(Debug)]
pub struct Played {
    pub name: &'static str,
    pub shape: Shape,
    pub caps: Caps,
    pub platform: Arc<Mutex<Platform>>,
    pub director: Arc<Mutex<dyn Director>>,
    pub watch: Arc<Watch>,
}

pub fn caps(name: &str, shape: Shape) -> Caps {
    let minutes = |list: &[u64]| list.iter().map(|one| Duration::from_mins(*one)).collect();
    Caps {
        account: name.to_owned(),
        update: match shape {
            Shape::Page | Shape::PolledPage | Shape::StagedFlip => UpdateBy::InPlace,
            Shape::StagedPublic | Shape::Keyed | Shape::Public => UpdateBy::Replace,
        },
        withdraw: WithdrawBy::Delete,
        look: LookCaps {
            evidence: Evidence::ReadBack,
            rows: None,
            settle: SETTLE,
            unknown_plan: minutes(&[3, 10, 30, 120]),
            review_plan: minutes(&[1, 5, 30]),
            costs: Vec::new(),
        },
        // A platform that pushes to followers, and one that only takes in, list nothing.
        survey: match shape {
            Shape::Page | Shape::StagedPublic | Shape::Public => Some(SurveyCaps {
                rows: 20,
                costs: Vec::new(),
            }),
            Shape::PolledPage | Shape::StagedFlip | Shape::Keyed => None,
        },
        reviews: false,
        repeat_when_absent: false,
        gathers: 1,
        limits: Vec::new(),
        quotas: Vec::new(),
        overrides: Vec::new(),
    }
}

pub fn failure(fate: Fate) -> Failure {
    let kind = match fate {
        Fate::Again { .. } => Kind::Throttled,
        Fate::Never => Kind::Content,
        Fate::Blocked(_) => Kind::Account,
        Fate::Unsure => Kind::Garbled,
    };
    Failure::new(kind, fate, Words::new("演练", "as the test has it"))
}

/// No answer: as every adapter says it, `Again` where a repeat leaves the same end state.
fn lost(effect: Effect) -> Failure {
    let fate = match effect {
        Effect::Read | Effect::Idempotent => Fate::Again { not_before: None },
        Effect::Staged | Effect::Keyed { .. } | Effect::Public => Fate::Unsure,
    };
    let words = Words::new("没有回音", "no answer");
    Failure::new(Kind::Transport, fate, words)
}

/// A wait that the platform named, by the daemon's time.
fn by_ours(fate: Fate, skew: chrono::TimeDelta) -> Fate {
    match fate {
        Fate::Again { not_before } => Fate::Again {
            not_before: not_before.map(|at| at + skew),
        },
        other => other,
    }
}

impl Played {
    /// By the platform's own clock.
    fn now(&self, call: &Call<'_>) -> Timestamp {
        self.world().time.unwrap_or_else(|| call.now())
    }

    fn world(&self) -> MutexGuard<'_, Platform> {
        self.platform.lock().expect("unpoisoned")
    }

    fn ask(&self, job: &Job, step: &Step) -> Option<Ask> {
        let subject = &job.subjects[0];
        let item = subject.item.clone();
        let content = Shown {
            revision: subject.revision,
            draft: subject.draft.hash(),
        };
        let draft = number(job, "draft");
        Some(match (step.name.as_str(), self.shape) {
            ("page", _) => Ask::Put { item, content },
            ("stage", _) => Ask::Stage { item, content },
            ("flip", _) => {
                let from = draft?;
                let id = number(job, "post").unwrap_or(from);
                Ask::Flip { id, from }
            }
            ("submit", _) => Ask::Submit { id: draft? },
            ("send", Shape::Keyed) => {
                let key = Some((job.key.clone(), WINDOW));
                Ask::Share { item, content, key }
            }
            ("send", _) => {
                let key = None;
                Ask::Share { item, content, key }
            }
            ("remove", Shape::Page | Shape::PolledPage) => Ask::Clear { item },
            ("remove", _) => Ask::Remove { ids: known(job) },
            _ => return None,
        })
    }

    fn facts(&self, job: &Job, step: &Step, made: Option<u32>) -> lubu_channels::Progress {
        let mut facts = job.progress.clone();
        let hash = job.subjects[0].draft_hash.clone();
        let mut note = |fact: &str, id: Option<u32>| {
            if let Some(id) = id {
                facts.set(fact, id.to_string());
            }
        };
        match step.name.as_str() {
            "stage" => {
                // The first object is the post itself; later ones only bring content.
                let post = number(job, "post").or(made);
                if self.shape == Shape::StagedFlip {
                    note("post", post);
                }
                note("draft", made);
            }
            "send" | "submit" => note("post", made),
            _ => {}
        }
        let done = match step.name.as_str() {
            "remove" => "removed",
            other => other,
        };
        facts.set(format!("did/{done}"), hash);
        facts
    }
}

fn for_step(
    world: &Platform,
    job: &Job,
    step: &Step,
    began: Timestamp,
    eyes: Eyes,
) -> (Truth, Option<u32>) {
    let subject = &job.subjects[0];
    if step.name == "stage" {
        let drafts = world.of(&subject.item).filter(|one| {
            let held = one
                .staged
                .as_ref()
                .is_some_and(|held| held.draft == subject.draft_hash);
            held && !one.gone && one.born <= eyes.when && one.at(eyes.when).is_none()
        });
        let newest = drafts.map(|one| one.id).max();
        let truth = if newest.is_some() {
            Truth::Applied
        } else {
            Truth::Absent
        };
        return (truth, newest);
    }
    let mut found = visible(world, &subject.item, eyes);
    found.retain(|one| {
        let holds = one
            .at(eyes.when)
            .is_some_and(|shown| shown.draft == subject.draft_hash);
        holds && one.shows.iter().any(|(from, _)| *from >= began)
    });
    // Something of the item came up since, and it is not what was sent: somebody changed it.
    let strange = visible(world, &subject.item, eyes)
        .iter()
        .any(|one| one.born >= began);
    match (step.name.as_str(), found.as_slice()) {
        ("remove", _) if visible(world, &subject.item, eyes).is_empty() && !eyes.window => {
            (Truth::Applied, None)
        }
        ("remove", _) => (Truth::CannotTell(words()), None),
        (_, []) if eyes.window || strange => (Truth::CannotTell(words()), None),
        (_, []) => (Truth::Absent, None),
        (_, [one]) => (Truth::Applied, Some(one.id)),
        (_, many) => (
            Truth::Several(many.iter().map(|one| one.id.to_string()).collect()),
            None,
        ),
    }
}

fn copies(world: &Platform, job: &Job, eyes: Eyes) -> Seen {
    let subject = &job.subjects[0];
    let listed = visible(world, &subject.item, eyes);
    let by_id = number(job, "post").and_then(|id| world.object(id));
    let by_id = by_id.filter(|one| one.at(eyes.when).is_some());
    let known_gone = number(job, "post").is_some_and(|id| was_seen(world, id, eyes.when));
    let coming = number(job, "post").is_some_and(|id| world.is_coming(id));
    let one = listed.first().copied().or(by_id);
    let verdict = match (listed.len(), one) {
        (2.., _) => Verdict::Several(listed.iter().map(|one| one.id.to_string()).collect()),
        (_, Some(one)) => Verdict::Live(match one.at(eyes.when) {
            Some(shown) if shown.draft == subject.draft_hash => Match::Same,
            Some(shown) if shown.revision < subject.revision => Match::Earlier,
            _ => Match::Differs,
        }),
        (_, None) if eyes.window && number(job, "post").is_none() => Verdict::CannotTell(words()),
        (_, None) if coming => Verdict::Reviewing,
        (_, None) if known_gone => Verdict::Removed(RemovedBy::Unknown),
        (_, None) => Verdict::Absent,
    };
    Seen {
        place: 0,
        verdict,
        remote_id: one.map(|one| one.id.to_string()),
        address: one.map(|one| address(one.id)),
        evidence: Evidence::ReadBack,
    }
}

#[derive(Debug, Clone, Copy)]
struct Eyes {
    when: Timestamp,
    window: bool,
}

/// Public posts as a look sees them, of this item.
fn visible<'a>(world: &'a Platform, item: &'a str, eyes: Eyes) -> Vec<&'a Object> {
    let seen = world
        .objects
        .iter()
        .filter(|one| one.at(eyes.when).is_some());
    let mut seen: Vec<&Object> = seen.collect();
    if eyes.window {
        seen.sort_by_key(|one| std::cmp::Reverse(one.born));
        seen.truncate(ROWS);
    }
    seen.retain(|one| one.item == item);
    seen
}

/// Readers could see it before.
fn was_seen(world: &Platform, id: u32, when: Timestamp) -> bool {
    let past = |one: &Object| {
        let mut shows = one.shows.iter();
        shows.any(|(from, shown)| *from <= when && shown.is_some())
    };
    world.object(id).is_some_and(past)
}

pub fn address(id: u32) -> String {
    format!("https://platform.example/{id}")
}

fn words() -> Words {
    Words::new(
        "列表看不到那么久以前",
        "the list does not reach back that far",
    )
}

fn number(job: &Job, fact: &str) -> Option<u32> {
    job.progress.get(fact)?.parse().ok()
}

/// Every id that a withdrawal can name; a person may have given one as an address.
fn known(job: &Job) -> Vec<u32> {
    let copy = job.subjects[0].copy.as_ref();
    let said = copy.and_then(|copy| copy.address.as_deref());
    let said = said.and_then(|address| address.rsplit('/').next()?.parse().ok());
    let ids = [number(job, "post"), number(job, "draft"), said];
    ids.into_iter().flatten().collect()
}

#[async_trait]
impl Channel for Played {
    fn caps(&self) -> &Caps {
        &self.caps
    }

    fn draft(&self, document: &Document, _media: &dyn Media) -> Result<Draft, Vec<Finding>> {
        Ok(Draft {
            content: format!("{}: {}", self.name, document.title),
            preview: String::new(),
            media: Vec::new(),
        })
    }

    fn next(&self, job: &Job, now: Timestamp) -> Next {
        let hash = job.subjects[0].draft_hash.as_str();
        let did = |step: &str| job.progress.get(&format!("did/{step}")) == Some(hash);
        let page = || Next::Run(Step::new("page", Effect::Idempotent).shows());
        let stage = || Next::Run(Step::new("stage", Effect::Staged));
        let run = |name: &str, effect| Next::Run(self.cost(Step::new(name, effect).shows()));
        if job.goal == Goal::Withdraw {
            if job.progress.has("did/removed") {
                return Next::Done;
            }
            let page = matches!(self.shape, Shape::Page | Shape::PolledPage);
            if !page && known(job).is_empty() {
                return Next::Person {
                    todo: Words::new("请到平台上删除", "delete it on the platform"),
                    look_at: now + Duration::from_hours(2),
                };
            }
            return Next::Run(Step::new("remove", Effect::Idempotent).shows());
        }
        match self.shape {
            Shape::Page | Shape::PolledPage if did("page") => Next::Done,
            Shape::PolledPage if !did("poll") => Next::Run(Step::new("poll", Effect::Read)),
            Shape::Page | Shape::PolledPage => page(),
            Shape::StagedFlip if did("flip") => Next::Done,
            Shape::StagedPublic if did("submit") => Next::Done,
            Shape::StagedFlip | Shape::StagedPublic if !did("stage") => stage(),
            Shape::StagedFlip => run("flip", Effect::Idempotent),
            Shape::StagedPublic => run("submit", Effect::Public),
            Shape::Keyed | Shape::Public if did("send") => Next::Done,
            Shape::Keyed => run(
                "send",
                Effect::Keyed {
                    window: WINDOW,
                    pause: PAUSE,
                },
            ),
            Shape::Public => run("send", Effect::Public),
        }
    }

    async fn perform(&self, job: &Job, step: &Step, call: &Call<'_>) -> Result<Receipt, Failure> {
        let now = self.now(call);
        self.watch.performs(self.name, job, step, now);
        let deed = self
            .director
            .lock()
            .expect("unpoisoned")
            .deed(self.name, job, step, now);
        let made = self.ask(job, step).and_then(|ask| {
            let mut world = self.world();
            match deed.real {
                Real::Applied => world.apply(now, ask),
                Real::Twice => world.double(now, &ask),
                Real::Late(at) if deed.reply == Reply::Told => world.accept(now, at, ask),
                Real::Late(at) => {
                    world.later(at, ask);
                    None
                }
                Real::Not => None,
            }
        });
        match deed.reply {
            Reply::Told => {}
            Reply::Lost => return Err(lost(step.effect)),
            Reply::Refused(fate) => return Err(failure(by_ours(fate, call.now() - now))),
            Reply::Dies => {
                self.watch.die();
                std::future::pending::<()>().await;
            }
        }
        self.watch.dawdle().await;
        Ok(Receipt {
            progress: self.facts(job, step, made),
            seen: Vec::new(),
            request_id: None,
        })
    }

    async fn look(&self, job: &Job, at: Target<'_>, call: &Call<'_>) -> Result<Sighting, Failure> {
        self.watch.dawdle().await;
        let now = self.now(call);
        let sight = self
            .director
            .lock()
            .expect("unpoisoned")
            .sight(self.name, now);
        let eyes = match sight {
            Sight::Good => Eyes {
                when: now,
                window: false,
            },
            Sight::Behind(by) => Eyes {
                when: now - by,
                window: false,
            },
            Sight::Fails(fate) => return Err(failure(by_ours(fate, call.now() - now))),
            Sight::Window => Eyes {
                when: now,
                window: true,
            },
        };
        let sighting = {
            let world = self.world();
            let mut progress = job.progress.clone();
            let truth = match at {
                Target::Copies | Target::Unrecorded { .. } => Truth::NotAsked,
                Target::Step { step, began, .. } => {
                    // Two clocks: what can be told by them is told with their difference.
                    let began = began - world.ahead;
                    let (truth, made) = for_step(&world, job, step, began, eyes);
                    if truth == Truth::Applied {
                        progress = self.facts(job, step, made);
                    }
                    truth
                }
            };
            let seen = vec![copies(&world, job, eyes)];
            let there = matches!(seen[0].verdict, Verdict::Live(_) | Verdict::Several(_));
            if job.goal == Goal::Withdraw && there {
                // What is still to be seen is asked for again, under the id that is seen.
                progress = progress.without("did/removed");
                if let Some(id) = &seen[0].remote_id {
                    progress.set("post", id.clone());
                }
            }
            Sighting {
                progress,
                truth,
                seen,
            }
        };
        self.watch.sees(self.name, job, &sighting);
        self.watch.dawdle().await;
        Ok(sighting)
    }

    async fn check(&self, _call: &Call<'_>) -> Result<Health, Failure> {
        if self.director.lock().expect("unpoisoned").check(self.name) {
            return Ok(Health {
                lines: Vec::new(),
                expires: None,
            });
        }
        Err(failure(Fate::Again { not_before: None }))
    }

    fn pages(&self) -> Option<&dyn Pages> {
        None
    }

    fn surveys(&self) -> Option<&dyn Surveys> {
        self.caps.survey.as_ref().map(|_| self as &dyn Surveys)
    }
}

#[async_trait]
impl Surveys for Played {
    async fn survey(&self, call: &Call<'_>) -> Result<Surveyed, Failure> {
        let now = self.now(call);
        let sight = self.director.lock().expect("unpoisoned").survey(self.name);
        let (when, rows) = match sight {
            Sight::Good => (now, usize::MAX),
            Sight::Behind(by) => (now - by, usize::MAX),
            Sight::Window => (now, ROWS),
            Sight::Fails(fate) => return Err(failure(by_ours(fate, call.now() - now))),
        };
        let world = self.world();
        let mut shown: Vec<&Object> = world.objects.iter().collect();
        shown.retain(|one| one.origin != Origin::Other && one.at(when).is_some());
        shown.sort_by_key(|one| std::cmp::Reverse(one.born));
        let post = |one: &&Object| Posted {
            remote_id: one.id.to_string(),
            address: Some(address(one.id)),
            at: Some(one.born),
            title: String::new(),
            sign: self.sign(one, when),
            stands: Stands::Public,
        };
        let posts = shown.iter().take(rows).map(post).collect();
        Ok(Surveyed::Posts(posts))
    }

    fn reads_as(&self, posted: &Posted, draft: &Draft) -> bool {
        matches!(&posted.sign, Sign::Text { essence, .. } if *essence == draft.hash())
    }
}

impl Played {
    /// Where a post goes out in one call, only its text tells whose it is.
    fn sign(&self, one: &Object, when: Timestamp) -> Sign {
        match (self.shape, one.at(when)) {
            (Shape::Public, Some(shown)) => Sign::Text {
                essence: shown.draft.clone(),
                own_app: true,
            },
            _ => Sign::Item(one.item.clone()),
        }
    }
}

impl Played {
    /// The same account by other settings.
    pub fn limited(&self, a_day: u32) -> Self {
        let mut caps = self.caps.clone();
        for quota in &mut caps.quotas {
            quota.limit = a_day;
        }
        Self {
            name: self.name,
            shape: self.shape,
            caps,
            platform: Arc::clone(&self.platform),
            director: Arc::clone(&self.director),
            watch: Arc::clone(&self.watch),
        }
    }

    fn cost(&self, step: Step) -> Step {
        if self.caps.quotas.is_empty() {
            step
        } else {
            step.costs("send", 1)
        }
    }
}

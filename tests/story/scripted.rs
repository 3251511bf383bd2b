//! A channel that does what a story tells it, and counts what readers could see.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use lubu_channels::{
    Call, Caps, Channel, Cost, Document, Draft, Effect, Evidence, Failure, Fate, Finding, Goal,
    Health, Job, Kind, LookCaps, Match, Media, Next, Pages, Posted, Quota, Reach, Receipt, Seen,
    Sighting, Sign, Stands, Step, SurveyCaps, Surveyed, Surveys, Target, Timestamp, Truth,
    UpdateBy, Verdict, WithdrawBy, Words,
};
use tokio_util::sync::CancellationToken;

/// What the platform does with the next call of the step that sends.
#[derive(Debug, Clone)]
pub enum Does {
    /// Applies it and says so.
    Works,
    /// Applies it; the answer is lost.
    LosesAnswer,
    /// Does not apply it; no answer either.
    LosesCall,
    Refuses(Fate),
    /// Never returns: the process is about to die.
    Hangs,
    /// Applies it once the story opens the gate, and says so.
    Waits,
    /// Does not apply it once the gate is open; it may work later.
    WaitsAndRefuses,
    /// Does not apply it once the gate is open: the account is blocked.
    WaitsAndIsBlocked,
    /// Applies it once the gate is open; the answer is lost.
    WaitsAndIsUnsure,
    Panics,
}

#[derive(Debug, Default)]
pub struct World {
    /// Public copies that exist: (key, revision).
    pub public: Vec<(String, u32)>,
    pub calls: Vec<String>,
    pub script: VecDeque<Does>,
    /// What looks answer; what is really there when it is empty.
    pub looks: VecDeque<Truth>,
    pub checks_fail: bool,
    /// What looks at copies say, whatever is there.
    pub said: Option<Verdict>,
    /// Looks fail.
    pub unread: bool,
    /// Looks at these items fail.
    pub lost: Vec<String>,
    /// Looks that were made.
    pub looked: usize,
    /// Whether each look got the one more call that it asked for, where the story lets it ask.
    pub beside: Option<Vec<bool>>,
    /// Looks wait for it, where the story sets one.
    pub look_gate: Option<CancellationToken>,
    /// Finished steps say themselves that it is live, and no more than that.
    pub status_only: bool,
    /// A look by content is not possible here.
    pub unlisted: bool,
    /// What a survey lists beside the public copies.
    pub others: Vec<Posted>,
    /// Listed posts name no item: only their text tells.
    pub texts: bool,
    /// Surveys that were made, and what the next ones come to instead of a list.
    pub surveyed: usize,
    pub surveys: VecDeque<Fate>,
    /// Surveys do not end before the process does.
    pub survey_hangs: bool,
    /// The account has no right to its list.
    pub no_list: bool,
    /// Removals that are answered with yes and do not hold.
    pub removals_undone: u32,
    /// Opened by the story.
    pub gate: CancellationToken,
    /// Cancelled when the process dies.
    pub dead: CancellationToken,
}

/// One step `send` of a chosen effect, and one step `remove`.
#[derive(Debug)]
pub struct Scripted {
    pub world: Arc<Mutex<World>>,
    effect: Effect,
    caps: Caps,
    /// Lists are rebuilt once for all that wait.
    burst: bool,
}

impl Scripted {
    pub fn with_lists() -> (Arc<Self>, Arc<Mutex<World>>) {
        let (plain, world) = Self::new(Effect::Idempotent, |_| {});
        let caps = plain.caps.clone();
        let channel = Self {
            world: Arc::clone(&world),
            effect: Effect::Idempotent,
            caps,
            burst: true,
        };
        (Arc::new(channel), world)
    }

    pub fn new(effect: Effect, adjust: impl FnOnce(&mut Caps)) -> (Arc<Self>, Arc<Mutex<World>>) {
        let mut caps = Caps {
            account: "scripted".into(),
            update: UpdateBy::InPlace,
            withdraw: WithdrawBy::Delete,
            look: LookCaps {
                evidence: Evidence::ReadBack,
                rows: None,
                settle: Duration::from_mins(3),
                unknown_plan: [3, 10, 30].map(Duration::from_mins).to_vec(),
                review_plan: [1, 5].map(Duration::from_mins).to_vec(),
                costs: Vec::new(),
            },
            survey: None,
            reviews: false,
            repeat_when_absent: false,
            gathers: 1,
            limits: Vec::new(),
            quotas: Vec::new(),
            overrides: Vec::new(),
        };
        adjust(&mut caps);
        let world = Arc::new(Mutex::new(World::default()));
        (
            Arc::new(Self {
                world: Arc::clone(&world),
                effect,
                caps,
                burst: false,
            }),
            world,
        )
    }

    /// The same platform, by other settings.
    pub fn otherwise(&self, adjust: impl FnOnce(&mut Caps)) -> Arc<Self> {
        let mut caps = self.caps.clone();
        adjust(&mut caps);
        Arc::new(Self {
            world: Arc::clone(&self.world),
            effect: self.effect,
            caps,
            burst: self.burst,
        })
    }

    /// It lists what it shows.
    pub fn listing(caps: &mut Caps) {
        let costs = Vec::new();
        caps.survey = Some(SurveyCaps { rows: 20, costs });
    }

    pub fn quota(caps: &mut Caps, limit: u32) {
        let name = "send".to_owned();
        caps.quotas = vec![Quota {
            name,
            window: lubu_channels::Window::Day,
            limit,
            reserve: 0,
        }];
    }

    fn seen(&self, job: &Job) -> Seen {
        let world = self.world.lock().expect("unpoisoned");
        let wanted = job.subjects[0].revision;
        let here: Vec<_> = world
            .public
            .iter()
            .filter(|(key, _)| *key == item(job))
            .collect();
        let verdict = match here.as_slice() {
            [] => Verdict::Absent,
            [(_, revision)] if *revision == wanted => Verdict::Live(Match::Same),
            [_] => Verdict::Live(Match::Earlier),
            many => Verdict::Several(many.iter().map(|(key, _)| key.clone()).collect()),
        };
        let verdict = world.said.clone().unwrap_or(verdict);
        let evidence = if world.status_only {
            Evidence::Status
        } else {
            Evidence::ReadBack
        };
        let address = Some(format!("http://127.0.0.1/{}", item(job)));
        Seen {
            place: 0,
            verdict,
            remote_id: None,
            address,
            evidence,
        }
    }

    fn apply(&self, job: &Job, step: &Step) {
        if step.burst {
            return;
        }
        let mut world = self.world.lock().expect("unpoisoned");
        let (key, revision) = (item(job), job.subjects[0].revision);
        if step.name == "remove" && world.removals_undone > 0 {
            world.removals_undone -= 1;
            return;
        }
        if step.name == "remove" {
            world.public.retain(|(other, _)| *other != key);
            return;
        }
        // What a repeat does is what the effect says.
        if self.effect != Effect::Public {
            world.public.retain(|(other, _)| *other != key);
        }
        world.public.push((key, revision));
    }
}

fn item(job: &Job) -> String {
    job.subjects[0].item.clone()
}

pub fn failure(fate: Fate) -> Failure {
    let kind = match fate {
        Fate::Again { .. } => Kind::Platform,
        Fate::Never => Kind::Content,
        Fate::Blocked(_) => Kind::Account,
        Fate::Unsure => Kind::Transport,
    };
    Failure::new(kind, fate, Words::new("剧本如此", "as the story has it"))
}

#[async_trait]
impl Channel for Scripted {
    fn caps(&self) -> &Caps {
        &self.caps
    }

    fn draft(&self, document: &Document, _media: &dyn Media) -> Result<Draft, Vec<Finding>> {
        if document.title.contains("太长") {
            let words = Words::new("标题太长", "the title is too long");
            return Err(vec![Finding {
                field: "title".into(),
                limit: Some(1),
                actual: Some(2),
                words,
            }]);
        }
        let content = format!("{} {}", document.title, document.body);
        Ok(Draft {
            content,
            preview: String::new(),
            media: Vec::new(),
        })
    }

    fn next(&self, job: &Job, _now: Timestamp) -> Next {
        let draft = &job.subjects[0].draft_hash;
        let sent = match job.goal {
            Goal::Withdraw => job.progress.has("removed"),
            Goal::Publish | Goal::Update => job.progress.get("sent") == Some(draft),
        };
        if self.burst && sent && job.progress.get("lists") != Some(&job.key) {
            return Next::Run(Step::new("lists", Effect::Idempotent).burst());
        }
        match job.goal {
            Goal::Withdraw if job.progress.has("removed") => Next::Done,
            Goal::Withdraw => Next::Run(Step::new("remove", Effect::Idempotent).shows()),
            Goal::Publish | Goal::Update if job.progress.get("sent") == Some(draft) => Next::Done,
            Goal::Publish | Goal::Update => {
                let step = Step::new(format!("send/{draft}"), self.effect).shows();
                Next::Run(if self.caps.quotas.is_empty() {
                    step
                } else {
                    step.costs("send", 1)
                })
            }
        }
    }

    async fn perform(&self, job: &Job, step: &Step, _call: &Call<'_>) -> Result<Receipt, Failure> {
        let does = {
            let mut world = self.world.lock().expect("unpoisoned");
            world
                .calls
                .push(step.name.split('/').next().unwrap_or_default().to_owned());
            world.script.pop_front().unwrap_or(Does::Works)
        };
        match does {
            Does::Works => self.apply(job, step),
            Does::LosesAnswer => {
                self.apply(job, step);
                return Err(failure(Fate::Unsure));
            }
            Does::LosesCall => return Err(failure(Fate::Unsure)),
            Does::Refuses(fate) => return Err(failure(fate)),
            Does::Waits => {
                let gate = self.world.lock().expect("unpoisoned").gate.clone();
                gate.cancelled().await;
                self.apply(job, step);
            }
            Does::WaitsAndRefuses => {
                let gate = self.world.lock().expect("unpoisoned").gate.clone();
                gate.cancelled().await;
                return Err(failure(Fate::Again { not_before: None }));
            }
            Does::WaitsAndIsBlocked => {
                let gate = self.world.lock().expect("unpoisoned").gate.clone();
                gate.cancelled().await;
                return Err(failure(Fate::Blocked(Reach::Account)));
            }
            Does::WaitsAndIsUnsure => {
                let gate = self.world.lock().expect("unpoisoned").gate.clone();
                gate.cancelled().await;
                self.apply(job, step);
                return Err(failure(Fate::Unsure));
            }
            Does::Panics => panic!("as the story has it"),
            Does::Hangs => {
                let dead = self.world.lock().expect("unpoisoned").dead.clone();
                dead.cancelled().await;
                return Err(failure(Fate::Unsure));
            }
        }
        let fact = if step.name == "remove" {
            "removed"
        } else {
            "sent"
        };
        let progress = job
            .progress
            .clone()
            .with(fact, job.subjects[0].draft_hash.clone());
        Ok(Receipt {
            progress,
            // Where lists follow, a page alone is not the end of it.
            seen: (!self.burst).then(|| self.seen(job)).into_iter().collect(),
            request_id: None,
        })
    }

    async fn look(&self, job: &Job, at: Target<'_>, call: &Call<'_>) -> Result<Sighting, Failure> {
        if self.world.lock().expect("unpoisoned").beside.is_some() {
            let granted = call.purse.spend(Cost::one("send")).await;
            let mut world = self.world.lock().expect("unpoisoned");
            world.beside.iter_mut().for_each(|all| all.push(granted));
        }
        let (scripted, gate, unread) = {
            let mut world = self.world.lock().expect("unpoisoned");
            world.looked += 1;
            let gate = world.look_gate.clone();
            let unread = world.unread || world.lost.contains(&item(job));
            (world.looks.pop_front(), gate, unread)
        };
        if let Some(gate) = gate {
            gate.cancelled().await;
        }
        if unread {
            return Err(failure(Fate::Again { not_before: None }));
        }
        let mut seen = self.seen(job);
        let unknown = job.goal == Goal::Publish && !job.progress.has("sent");
        if matches!(at, Target::Copies) && unknown {
            // Nothing is known by which it could be found.
            seen.verdict = Verdict::Absent;
            seen.evidence = Evidence::Status;
        }
        let there = matches!(seen.verdict, Verdict::Live(_));
        let mut progress = job.progress.clone();
        let truth = match (at, scripted) {
            (Target::Copies | Target::Unrecorded { .. }, _) => Truth::NotAsked,
            (Target::Step { .. }, Some(truth)) => truth,
            (Target::Step { .. }, None) if there => Truth::Applied,
            (Target::Step { .. }, None) => Truth::Absent,
        };
        let unrecorded = matches!(at, Target::Unrecorded { .. });
        if self.world.lock().expect("unpoisoned").unlisted && unrecorded {
            let words = Words::new("没有可查的列表", "nothing lists it");
            seen.verdict = Verdict::CannotTell(words);
        }
        if job.goal == Goal::Withdraw && there {
            progress = progress.without("removed");
        }
        if truth == Truth::Applied || unrecorded && there {
            progress.set("sent", job.subjects[0].draft_hash.clone());
        }
        Ok(Sighting {
            progress,
            truth,
            seen: vec![seen],
        })
    }

    async fn check(&self, _call: &Call<'_>) -> Result<Health, Failure> {
        if self.world.lock().expect("unpoisoned").checks_fail {
            return Err(failure(Fate::Again { not_before: None }));
        }
        Ok(Health {
            lines: Vec::new(),
            expires: None,
        })
    }

    fn pages(&self) -> Option<&dyn Pages> {
        None
    }

    fn surveys(&self) -> Option<&dyn Surveys> {
        self.caps.survey.as_ref().map(|_| self as &dyn Surveys)
    }
}

#[async_trait]
impl Surveys for Scripted {
    async fn survey(&self, _call: &Call<'_>) -> Result<Surveyed, Failure> {
        let (hangs, dead) = {
            let mut world = self.world.lock().expect("unpoisoned");
            world.surveyed += 1;
            (world.survey_hangs, world.dead.clone())
        };
        if hangs {
            dead.cancelled().await;
        }
        let mut world = self.world.lock().expect("unpoisoned");
        if let Some(fate) = world.surveys.pop_front() {
            return Err(failure(fate));
        }
        if world.no_list {
            let words = Words::new("无权查看列表", "no right to the list");
            return Ok(Surveyed::CannotTell(words));
        }
        let own = world.public.iter().map(|(key, _)| Posted {
            remote_id: format!("post of {key}"),
            address: Some(format!("http://127.0.0.1/{key}")),
            at: None,
            title: "标题".to_owned(),
            sign: if world.texts {
                Sign::Text {
                    essence: key.clone(),
                    own_app: true,
                }
            } else {
                Sign::Item(key.clone())
            },
            stands: Stands::Public,
        });
        let mut posts: Vec<Posted> = own.collect();
        posts.extend(world.others.iter().cloned());
        Ok(Surveyed::Posts(posts))
    }

    fn reads_as(&self, posted: &Posted, draft: &Draft) -> bool {
        let Sign::Text { essence, .. } = &posted.sign else {
            return false;
        };
        draft.content.contains(essence.as_str())
    }
}

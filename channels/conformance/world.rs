//! The smallest engine that keeps the contract: it runs steps, saves progress, looks.
//!
//! It is not the engine of the daemon. It decides nothing that the contract leaves open, so that a
//! case that fails here fails because of the adapter.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;

use super::peer::{Peer, Trick};
use super::rig::Rig;
use super::tally::Tally;
use crate::contract::{
    Call, Caps, Channel, Clock, Copy, Effect, Evidence, Failure, Fate, Goal, Job, Manual, Match,
    Next, Posted, Progress, Purse, Receipt, Sighting, Sign, Step, Subject, Surveyed, Target,
    Timestamp, Truth, Verdict,
};

/// A claim that does not hold, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub String);

pub type Outcome = Result<(), Broken>;

/// Fails the case with this sentence unless the condition holds.
pub fn claim(holds: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if holds {
        Ok(())
    } else {
        Err(Broken(otherwise()))
    }
}

/// How a way ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    Done,
    Person,
}

/// More steps than any way has.
const MOST_STEPS: usize = 64;

pub struct World {
    pub rig: Arc<dyn Rig>,
    pub channel: Arc<dyn Channel>,
    pub clock: Arc<Manual>,
    pub peer: Peer,
    pub job: Job,
    /// What calls spend beyond their price.
    pub purse: Arc<Tally>,
    /// Everything the adapter said, as `Debug` shows it.
    said: Mutex<Vec<String>>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("job", &self.job.key)
            .finish_non_exhaustive()
    }
}

impl World {
    /// An empty platform and a job that publishes the first revision.
    pub fn new(rig: Arc<dyn Rig>) -> Result<Self, Broken> {
        let channel = rig
            .build(toml::Table::new())
            .map_err(|problems| Broken(format!("the rig's settings are refused: {problems:?}")))?;
        let clock = Arc::new(Manual::default());
        let platform = Arc::clone(&rig);
        let answer = Box::new(move |request: &_, now| platform.answer(request, now));
        let job = Job {
            key: String::new(),
            goal: Goal::Publish,
            subjects: Vec::new(),
            progress: Progress::default(),
            first_live: None,
            reason: None,
        };
        let peer = Peer::new(Arc::clone(&clock) as Arc<dyn Clock>, answer);
        let mut world = Self {
            rig,
            channel,
            clock,
            peer,
            job,
            purse: Arc::default(),
            said: Mutex::default(),
        };
        world.go(Goal::Publish, 1)?;
        Ok(world)
    }

    pub fn caps(&self) -> &Caps {
        self.channel.caps()
    }

    /// A new job on the same post: progress stays, the key is another.
    pub fn go(&mut self, goal: Goal, revision: u32) -> Outcome {
        let document = self.rig.document(revision);
        let draft = self
            .channel
            .draft(&document, self.rig.media())
            .map_err(|findings| Broken(format!("the sample is refused: {findings:?}")))?;
        let copy = self.job.sole().and_then(|subject| subject.copy.clone());
        let draft_hash = draft.hash();
        let round = format!("{goal:?}{revision}{}", self.job.key);
        blake3::hash(round.as_bytes()).to_hex()[..32].clone_into(&mut self.job.key);
        self.job.goal = goal;
        self.job.reason = (goal == Goal::Withdraw).then(|| "内容有误".to_owned());
        self.job.subjects = vec![Subject {
            place: 0,
            item: document.item,
            revision,
            draft: Arc::new(draft),
            draft_hash,
            copy,
        }];
        Ok(())
    }

    pub fn next(&self) -> Next {
        self.channel.next(&self.job, self.clock.now())
    }

    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Runs a step, saving nothing.
    pub async fn perform(&self, step: &Step, repeat: bool) -> Result<Receipt, Failure> {
        let outcome = self
            .channel
            .perform(&self.job, step, &self.call(repeat))
            .await;
        self.note(&outcome);
        outcome
    }

    /// Looks, adopting nothing.
    pub async fn look(&self, at: Target<'_>) -> Result<Sighting, Failure> {
        let outcome = self.channel.look(&self.job, at, &self.call(false)).await;
        self.note(&outcome);
        outcome
    }

    /// What a look says of the first subject, and what it found; nothing is adopted.
    pub async fn first_seen(&self, at: Target<'_>) -> Result<(Progress, Verdict), Broken> {
        let looked = self.look(at).await;
        let sighting = looked.map_err(|failure| Broken(format!("the look fails: {failure:?}")))?;
        let first = sighting.seen.into_iter().next();
        let seen = first.ok_or_else(|| Broken("a look that saw nothing at all".into()))?;
        Ok((sighting.progress, seen.verdict))
    }

    /// What the platform lists.
    pub async fn survey(&self) -> Result<Surveyed, Failure> {
        let Some(surveys) = self.channel.surveys() else {
            return Ok(Surveyed::Posts(Vec::new()));
        };
        let outcome = surveys.survey(&self.call(false)).await;
        self.note(&outcome);
        outcome
    }

    /// The posts of a survey that works.
    pub async fn posts(&self) -> Result<Vec<Posted>, Broken> {
        match self.survey().await {
            Ok(Surveyed::Posts(posts)) => Ok(posts),
            other => Err(Broken(format!("the survey brings no list: {other:?}"))),
        }
    }

    /// Whether a listed post can be told for this job's document.
    pub fn is_told(&self, posted: &Posted) -> bool {
        let Some(sole) = self.job.sole() else {
            return false;
        };
        match &posted.sign {
            Sign::Item(item) => *item == sole.item,
            Sign::Link(link) => {
                let document = self.rig.document(sole.revision);
                document.canonical.as_deref() == Some(link.as_str())
            }
            Sign::Text { .. } => {
                let surveys = self.channel.surveys();
                surveys.is_some_and(|surveys| surveys.reads_as(posted, &sole.draft))
            }
        }
    }

    /// The store is older than the world: nothing is known of what was done.
    pub fn forget(&mut self) {
        self.job.progress = Progress::default();
        self.job.first_live = None;
        for subject in &mut self.job.subjects {
            subject.copy = None;
        }
    }

    pub async fn check(&self) {
        let outcome = self.channel.check(&self.call(false)).await;
        self.note(&outcome);
    }

    fn call(&self, repeat: bool) -> Call<'_> {
        Call {
            deadline: self.clock.now() + TimeDelta::seconds(60),
            http: &self.peer,
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            dice: 0.5,
            repeat,
            purse: Arc::clone(&self.purse) as Arc<dyn Purse>,
        }
    }

    fn note(&self, said: &impl std::fmt::Debug) {
        let mut all = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(format!("{said:?} {:?}", self.channel));
    }

    pub fn said(&self) -> Vec<String> {
        self.said
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The next step, waits passed over; `None` at the end of the way.
    pub fn step(&self) -> Result<Result<Step, Ended>, Broken> {
        for _ in 0..MOST_STEPS {
            match self.next() {
                Next::Run(step) => return Ok(Ok(step)),
                Next::Done => return Ok(Err(Ended::Done)),
                Next::Person { .. } => return Ok(Err(Ended::Person)),
                Next::Wait { until, .. } => self.clock.set(until),
            }
        }
        Err(Broken("it waits for ever".into()))
    }

    /// Runs up to `most` steps, saving progress; the way's end, or `None` when there is more.
    pub async fn run_steps(&mut self, most: usize) -> Result<Option<Ended>, Broken> {
        for _ in 0..most {
            let step = match self.step()? {
                Ok(step) => step,
                Err(ended) => return Ok(Some(ended)),
            };
            let publishes = self.job.goal == Goal::Withdraw && step.effect == Effect::Public;
            claim(!publishes, || {
                format!("a withdrawal runs the public step {}", step.name)
            })?;
            self.advance(Duration::from_secs(1));
            self.run_step(&step, false).await?;
        }
        Ok(None)
    }

    /// Runs one step to its end: a wait that the platform asks for is granted, a few times.
    pub async fn run_step(&mut self, step: &Step, repeat: bool) -> Outcome {
        for _ in 0..6 {
            let failure = match self.perform(step, repeat).await {
                Ok(receipt) => {
                    self.job.progress = receipt.progress;
                    return Ok(());
                }
                Err(failure) => failure,
            };
            let Fate::Again { not_before } = failure.fate else {
                return Err(Broken(format!("step {} fails: {failure:?}", step.name)));
            };
            if let Some(progress) = failure.progress {
                self.job.progress = progress;
                return Ok(());
            }
            let soon = self.clock.now() + TimeDelta::minutes(1);
            self.clock.set(not_before.unwrap_or(soon).max(soon));
            self.rig.settle();
        }
        Err(Broken(format!("step {} is never done", step.name)))
    }

    /// Runs to the end of the way, a person's part included.
    pub async fn run(&mut self) -> Result<Ended, Broken> {
        let Some(ended) = self.run_steps(MOST_STEPS).await? else {
            return Err(Broken(format!("more than {MOST_STEPS} steps")));
        };
        if ended == Ended::Person {
            self.rig.person(self.clock.now());
        }
        Ok(ended)
    }

    /// Looks at the copies and adopts what is seen.
    pub async fn see(&mut self) -> Result<Verdict, Broken> {
        let sighting = self
            .look(Target::Copies)
            .await
            .map_err(|failure| Broken(format!("the look fails: {failure:?}")))?;
        self.job.progress = sighting.progress;
        let Some(seen) = sighting.seen.into_iter().next() else {
            return Err(Broken("a look at the copies saw nothing at all".into()));
        };
        if let (Verdict::Live(_), Some(subject)) = (&seen.verdict, self.job.subjects.first_mut()) {
            subject.copy = Some(Copy {
                place: seen.place,
                revision: subject.revision,
                remote_id: seen.remote_id.clone(),
                address: seen.address.clone(),
                evidence: seen.evidence,
                seen_at: self.clock.now(),
            });
        }
        Ok(seen.verdict)
    }

    /// Publishes the first revision and lets the platform finish, until it is seen live.
    pub async fn publish(&mut self) -> Outcome {
        self.run().await?;
        self.seen_live().await
    }

    pub async fn seen_live(&mut self) -> Outcome {
        let mut verdicts = Vec::new();
        for _ in 0..4 {
            let verdict = self.see().await?;
            let live = matches!(verdict, Verdict::Live(Match::Same | Match::Unread));
            if live || self.only_a_person_sees(&verdict) {
                return Ok(());
            }
            verdicts.push(verdict);
            self.advance(Duration::from_mins(5));
            self.rig.settle();
        }
        Err(Broken(format!("it is never seen live: {verdicts:?}")))
    }

    /// Where no look can see what readers see, not knowing is all that a look owes.
    pub fn only_a_person_sees(&self, verdict: &Verdict) -> bool {
        let unseen = matches!(verdict, Verdict::Reviewing | Verdict::CannotTell(_));
        unseen && self.caps().look.evidence == Evidence::Person
    }

    /// Plays a trick on the next request that changes the platform.
    pub fn trick(&self, trick: Trick) {
        let rig = Arc::clone(&self.rig);
        self.peer
            .arm(Box::new(move |request| rig.changes(request)), 1, trick);
    }

    /// Plays it on the next request of any kind.
    pub fn trick_any(&self, trick: Trick) {
        self.peer.arm(Box::new(|_| true), 1, trick);
    }

    /// How many requests so far would have changed the platform.
    pub fn changes(&self) -> usize {
        self.peer
            .log()
            .iter()
            .filter(|request| self.rig.changes(request))
            .count()
    }

    /// What a daemon does with a step whose outcome it does not know. `true` when the way may go on.
    pub async fn reconcile(&mut self, step: &Step, began: Timestamp) -> Result<bool, Broken> {
        let ended = self.clock.now();
        match step.effect {
            Effect::Read | Effect::Idempotent => self.run_step(step, true).await.map(|()| true),
            Effect::Keyed { pause, .. } => {
                self.advance(pause);
                self.run_step(step, true).await.map(|()| true)
            }
            Effect::Staged => {
                let truth = self.truth(step, began, ended).await?;
                if truth != Truth::Applied {
                    self.run_step(step, true).await?;
                }
                Ok(true)
            }
            Effect::Public => {
                self.advance(self.caps().look.settle);
                self.rig.settle();
                Ok(self.truth(step, began, ended).await? == Truth::Applied)
            }
        }
    }

    /// Looks for one step and adopts what it left.
    pub async fn truth(
        &mut self,
        step: &Step,
        began: Timestamp,
        ended: Timestamp,
    ) -> Result<Truth, Broken> {
        let target = Target::Step { step, began, ended };
        let sighting = self
            .look(target)
            .await
            .map_err(|failure| Broken(format!("the look for {} fails: {failure:?}", step.name)))?;
        if sighting.truth == Truth::Applied {
            self.job.progress = sighting.progress;
        }
        Ok(sighting.truth)
    }
}

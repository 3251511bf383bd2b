//! What the engine, people and time do, and what is judged after it.

use std::fmt::Write as _;
use std::time::Duration;

use chrono::TimeDelta;
use lubu_channels::{
    Effect, Failure, Fate, Goal, Kind, Progress, Reach, Receipt, Step, Timestamp, WithdrawBy, Words,
};

use super::world::{Call, PAUSE, Real, Shape, WINDOW, World, next};
use super::{Choice, Op, Reply};
use crate::ids::{ChannelNo, DeliveryId, ItemId};
use crate::model::approval::OnCorrection;
use crate::model::attempt::Outcome;
use crate::model::delivery::{
    Delivery, Event, Hold, JobNow, PublicState, State, Wanted, WantedRevision, Why, transition,
};
use crate::model::policy::Policy;
use crate::model::retry::Backoff;

const SETTLE: Duration = Duration::from_mins(3);

/// A call that may make a public copy, since a person last ordered one.
#[derive(Debug, Clone)]
struct Sent {
    key: String,
    revision: u32,
    at: Timestamp,
}

/// What people ordered last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Revision(u32),
    Nothing,
    Keep,
}

#[derive(Debug)]
pub struct Drive {
    pub world: World,
    policy: Policy,
    now: Timestamp,
    d: Delivery,
    order: Order,
    /// Revisions that were ever signed.
    signed: u32,
    /// Somebody meddled, or the store was older: no claim can be held against the model since.
    touched: bool,
    calls: Vec<Sent>,
    absences: u32,
    backup: Option<(Delivery, Order, u32)>,
    trace: String,
}

fn words() -> Words {
    Words::new("演练", "drill")
}

fn wanted(number: u32, choice: Choice) -> WantedRevision {
    WantedRevision {
        number,
        draft: format!("draft {number}"),
        blob: format!("blob {number}"),
        on_correction: match choice {
            Choice::Ask | Choice::Scheduled => OnCorrection::Ask,
            Choice::Leave => OnCorrection::Leave,
            Choice::Replace => OnCorrection::Replace,
        },
        schedule: (choice == Choice::Scheduled).then(|| "monthly".to_owned()),
    }
}

impl Drive {
    pub fn new(shape: Shape, repeats: bool, now: Timestamp) -> Self {
        let world = World::new(shape);
        let policy = Policy {
            retired: false,
            update: world.update(),
            withdraw: WithdrawBy::Delete,
            backoff: Backoff::default(),
            settle: SETTLE,
            unknown_plan: [3, 10, 30].map(Duration::from_mins).to_vec(),
            review_plan: [1, 5].map(Duration::from_mins).to_vec(),
            repeat_when_absent: repeats,
            ..Policy::retired(ChannelNo(1))
        };
        let id = DeliveryId {
            item: ItemId::new(now.timestamp_millis(), [7; 10]),
            channel: policy.number,
        };
        let (at, why) = (now, Why::Fresh);
        let first = Wanted::Revision(wanted(1, Choice::Ask));
        Self {
            world,
            policy,
            now,
            d: Delivery::new(id, first, State::Due { at, why }, now),
            order: Order::Revision(1),
            signed: 1,
            touched: false,
            calls: Vec::new(),
            absences: 0,
            backup: None,
            trace: String::new(),
        }
    }

    pub fn trace(&self) -> &str {
        &self.trace
    }

    fn say(&mut self, what: impl std::fmt::Debug) {
        let at = self.now.format("%d %H:%M:%S");
        let state = self.d.public_state().code();
        let _written = writeln!(self.trace, "{at} {state} {what:?}");
    }

    pub fn through(&mut self, ops: &[Op]) -> Result<(), String> {
        for op in ops {
            self.happens(op)?;
            self.say(op);
            self.judge()?;
        }
        self.calm()
    }

    fn happens(&mut self, op: &Op) -> Result<(), String> {
        match op {
            Op::Turn(real, reply) => self.turn(*real, *reply)?,
            Op::Blind => self.blind(),
            Op::Minutes(minutes) => self.wait(TimeDelta::minutes(i64::from(*minutes))),
            Op::Next => {
                let next = self.d.next_at().unwrap_or(self.now);
                self.wait((next - self.now).max(TimeDelta::zero()));
            }
            Op::Approve(choice) => self.approve(*choice),
            Op::Withdraw => {
                self.order = Order::Nothing;
                let (by, reason) = ("leader".to_owned(), "wrong".to_owned());
                self.does(Event::Withdrawn { by, reason });
            }
            Op::Keep if self.order != Order::Nothing && !self.is_ambiguous() => {
                self.order = Order::Keep;
                self.does(Event::Kept { why: words() });
            }
            Op::Person => self.person(),
            Op::Waits => {
                let after = Hold::After(vec![ChannelNo(2)]);
                self.does(Event::Waits(after));
            }
            Op::Released => self.does(Event::Released),
            Op::Meddle if self.world.public().next().is_some() => {
                self.world.meddle();
                self.touched = true;
            }
            Op::Backup if self.d.goes_on() => {
                self.backup = Some((self.d.clone(), self.order, self.signed));
            }
            Op::Restore => self.restore(),
            Op::Keep | Op::Meddle | Op::Backup => {}
        }
        Ok(())
    }

    /// A limit of the model, left out here: of two texts tried on one page since the last that was applied,
    /// it cannot tell which stands there when neither shall be sent any more and an older one is seen.
    fn is_ambiguous(&self) -> bool {
        let since = self.d.log.iter().rev();
        let since = since.take_while(|one| one.outcome != Outcome::Done);
        let tried = since.filter(|one| one.step == "page");
        let tried: std::collections::BTreeSet<u32> = tried.map(|one| one.revision).collect();
        self.world.shape == Shape::Page && tried.len() > 1
    }

    /// What is not legal now is not done.
    fn does(&mut self, event: Event) {
        if let Ok(after) = transition(self.d.clone(), event, self.now, &self.policy, 0.5) {
            self.d = after;
        }
    }

    fn wait(&mut self, by: TimeDelta) {
        self.now += by;
        self.world.settle(self.now);
    }

    fn approve(&mut self, choice: Choice) {
        if self.order == Order::Nothing {
            return;
        }
        self.signed += 1;
        self.order = Order::Revision(self.signed);
        // Who signs after something was denied, or has failed, orders it anew.
        if self.d.said_absent.is_some() || self.d.public_state() == PublicState::Failed {
            self.ordered();
        }
        self.does(Event::Approved(wanted(self.signed, choice)));
    }

    fn ordered(&mut self) {
        self.calls.clear();
        self.absences = 0;
    }

    /// A restart from an older folder; what was on its way has arrived by then.
    fn restore(&mut self) {
        let Some((then, order, signed)) = self.backup.clone() else {
            return;
        };
        self.wait(TimeDelta::minutes(10));
        (self.d, self.order, self.signed) = (then, order, signed);
        self.touched = true;
        self.ordered();
        self.does(Event::Restored);
    }

    fn due(&self) -> bool {
        self.d.next_at().is_some_and(|at| at <= self.now)
    }

    fn turn(&mut self, real: Real, reply: Reply) -> Result<(), String> {
        if !self.due() {
            return Ok(());
        }
        if !matches!(self.d.state, State::Due { .. }) {
            self.look();
            return Ok(());
        }
        let Some(job) = self.d.plan(&self.policy) else {
            return Err("I13: due with nothing to do".to_owned());
        };
        let step = next(self.world.shape, job.goal, job.revision, &self.d.progress);
        let Some(step) = step else {
            self.does(Event::Finished);
            return Ok(());
        };
        if job.goal == Goal::Withdraw && self.world.shape != Shape::Page && self.ids().is_empty() {
            let look_at = self.now + Duration::from_hours(2);
            let todo = words();
            self.does(Event::Person { todo, look_at });
            return Ok(());
        }
        self.does(Event::Intent {
            job: job.clone(),
            step: step.clone(),
        });
        if !matches!(self.d.state, State::Working { .. }) {
            return Ok(());
        }
        self.call(&job, &step, real, reply)
    }

    /// Every id that a call can name.
    fn ids(&self) -> Vec<u64> {
        let copy = self.d.copy.as_ref();
        let said = copy.and_then(|copy| copy.address.as_deref());
        let facts = &self.d.progress;
        let ids = [facts.get("post"), facts.get("draft"), said];
        let ids = ids.into_iter().flatten();
        ids.filter_map(|id| id.parse().ok()).collect()
    }

    fn call(&mut self, job: &JobNow, step: &Step, real: Real, reply: Reply) -> Result<(), String> {
        let call = Call {
            step: step.name.clone(),
            goal: job.goal,
            revision: job.revision,
            key: self.d.key(job),
            ids: self.ids(),
        };
        self.may_leave(&call, step, reply)?;
        let made = match (reply, real) {
            (Reply::Told, Real::Late(seconds)) => {
                let at = self.now + Duration::from_secs(seconds);
                self.world.accept(&call, self.now, at)
            }
            (Reply::Told, _) | (Reply::Lost | Reply::Dies, Real::Applied) => {
                self.world.apply(&call, self.now)
            }
            (Reply::Lost | Reply::Dies, Real::Late(seconds)) => {
                let at = self.now + Duration::from_secs(seconds);
                self.world.coming.push((at, call.clone(), None));
                None
            }
            _ => None,
        };
        let repeats = matches!(step.effect, Effect::Idempotent | Effect::Read);
        let event = match reply {
            Reply::Told => Event::Done {
                receipt: self.receipt(&call, made),
            },
            Reply::Lost if repeats => failed(Kind::Transport, Fate::Again { not_before: None }),
            Reply::Lost => failed(Kind::Transport, Fate::Unsure),
            Reply::Dies => Event::Lost,
            Reply::Unsent => Event::Unsent { why: words() },
            Reply::Again => failed(Kind::Throttled, Fate::Again { not_before: None }),
            // A removal is not refused for its content.
            Reply::Never if job.goal == Goal::Withdraw => {
                failed(Kind::Throttled, Fate::Again { not_before: None })
            }
            Reply::Never => failed(Kind::Content, Fate::Never),
            Reply::BlockedGoal => failed(Kind::Account, Fate::Blocked(Reach::Goal)),
            Reply::BlockedAccount => failed(Kind::Account, Fate::Blocked(Reach::Account)),
        };
        self.does(event);
        Ok(())
    }

    fn receipt(&self, call: &Call, made: Option<u64>) -> Receipt {
        let mut facts: Progress = self.d.progress.clone();
        facts.set(format!("did/{}", call.step), call.revision.to_string());
        if let Some(id) = made {
            let fact = if call.step == "stage" {
                "draft"
            } else {
                "post"
            };
            facts.set(fact, id.to_string());
        }
        Receipt {
            progress: facts,
            ..Receipt::default()
        }
    }

    fn look(&mut self) {
        let Some(job) = self.d.job.clone() else {
            return;
        };
        let target = match &self.d.state {
            State::Unknown(unknown) => Some((unknown.step.clone(), unknown.began)),
            _ => None,
        };
        let step = target.as_ref().map(|(step, began)| (step, *began));
        let facts = &self.d.progress;
        let sighting = self.world.look(step, job.goal, job.revision, facts);
        if sighting.truth == lubu_channels::Truth::Absent {
            self.absences += 1;
        }
        self.does(Event::Looked { sighting });
    }

    fn blind(&mut self) {
        if self.due() && !matches!(self.d.state, State::Due { .. }) {
            let failure = Failure::new(Kind::Transport, Fate::Again { not_before: None }, words());
            self.does(Event::LookFailed { failure });
        }
    }

    /// Invariants 1, 4 and 11: whether this call may leave.
    fn may_leave(&mut self, call: &Call, step: &Step, reply: Reply) -> Result<(), String> {
        if call.goal == Goal::Withdraw {
            return Ok(());
        }
        if self.order != Order::Revision(call.revision) {
            let order = self.order;
            return Err(format!(
                "I1, I11: revision {} leaves, ordered is {order:?}",
                call.revision
            ));
        }
        let keyed = matches!(step.effect, Effect::Keyed { .. });
        if !keyed && step.effect != Effect::Public {
            return Ok(());
        }
        let calls = self.calls.iter();
        let same: Vec<&Sent> = calls.filter(|one| one.revision == call.revision).collect();
        if let (Some(first), Some(last)) = (same.first(), same.last()) {
            let within = keyed && self.now < first.at + WINDOW;
            if within && (last.key != call.key || self.now < last.at + PAUSE) {
                return Err("I4: another key, or the same before its pause is over".to_owned());
            }
            let repeats = self.policy.repeat_when_absent && same.len() == 1;
            if !within && (!repeats || self.absences < 2) {
                let count = self.absences;
                return Err(format!("I4: sent again on {count} absences"));
            }
        }
        // What certainly was not applied is no call.
        if matches!(reply, Reply::Told | Reply::Lost | Reply::Dies) {
            self.calls.push(Sent {
                key: call.key.clone(),
                revision: call.revision,
                at: self.now,
            });
        }
        Ok(())
    }

    /// Somebody looks at the platform with their own eyes, once nothing is on its way there.
    fn person(&mut self) {
        if !self.world.coming.is_empty() {
            return;
        }
        let sent = self.d.job.as_ref().map(|job| job.revision);
        let strange = |one: &super::world::Object| Some(one.revision) > sent;
        if self.touched && self.world.public().any(strange) {
            // What this store knows nothing of is taken down by hand.
            self.world.meddle();
        }
        let going = self.d.withdrawing();
        let relevant = |one: &&super::world::Object| going || Some(one.revision) == sent;
        let url = self.world.public().find(relevant);
        let url = url.map(|one| one.id.to_string());
        let (zhang, li) = ("张".to_owned(), "李".to_owned());
        match &self.d.state {
            State::Held {
                why: Hold::Correction,
                ..
            } => self.approve(Choice::Replace),
            State::Held {
                why: Hold::Restored,
                ..
            } => self.frees(url),
            State::Held {
                why: Hold::After(_) | Hold::Schedule(_),
                ..
            } => {}
            State::Failed { .. }
            | State::Held {
                why: Hold::Blocked(_),
                ..
            } if url.is_none() || going => {
                self.ordered();
                self.does(Event::Retry { by: li });
            }
            _ if url.is_some() => self.does(Event::SaidLive { by: zhang, url }),
            _ if self.d.may_arrive_until(&self.policy) > Some(self.now) => {}
            _ => self.does(Event::SaidAbsent { by: zhang }),
        }
    }

    /// What looks have told of is let go; of the rest somebody says what they see.
    fn frees(&mut self, url: Option<String>) {
        let by = "张".to_owned();
        let told = self.d.look_since_restored().map(|look| look.outcome);
        match (told, url) {
            (_, Some(url)) if !self.d.withdrawing() => {
                let url = Some(url);
                self.does(Event::SaidLive { by, url });
            }
            (Some(Outcome::Absent | Outcome::Found), _) => self.does(Event::Freed { by }),
            _ if self.d.withdrawing() && self.d.unrecorded_since().is_none() => {
                self.does(Event::Freed { by });
            }
            _ => {}
        }
    }

    pub fn judge(&mut self) -> Result<(), String> {
        if let (Some(disorder), false) = (self.world.disorder.take(), self.touched) {
            return Err(disorder);
        }
        let copies = self.world.public().count();
        if copies > 1 {
            return Err(format!("I4: readers see {copies} copies"));
        }
        let state = self.d.public_state();
        let owned = state.at_rest() || state.needs_person() || state == PublicState::Sending;
        if !owned && self.d.next_at().is_none() {
            return Err(format!(
                "I13: {} with neither a time nor an owner",
                state.code()
            ));
        }
        self.d.sweep(&self.policy)?;
        self.claims(state)
    }

    /// What it says of a place that is at rest is what readers see.
    fn claims(&self, state: PublicState) -> Result<(), String> {
        let shown = self.world.public().next().map(|one| one.revision);
        let told = match state {
            PublicState::Published => self.d.copy.as_ref().map(|copy| copy.revision),
            PublicState::Withdrawn | PublicState::Skipped => None,
            _ => return Ok(()),
        };
        if shown == told || self.touched {
            return Ok(());
        }
        let said = state.code();
        Err(format!("{said} with {told:?}, and readers see {shown:?}"))
    }

    /// Nothing fails any more: it comes to rest, as it was last ordered.
    fn calm(&mut self) -> Result<(), String> {
        self.trace.push_str("calm\n");
        for _ in 0..400 {
            let state = self.d.public_state();
            if state.at_rest() && self.world.coming.is_empty() {
                return self.ends(state);
            }
            self.turn(Real::Applied, Reply::Told)?;
            self.say("calm");
            self.judge()?;
            let waits = self.d.public_state().needs_person();
            let for_other = matches!(
                self.d.state,
                State::Held {
                    why: Hold::After(_) | Hold::Schedule(_),
                    ..
                }
            );
            if for_other {
                self.does(Event::Released);
            } else if waits {
                self.person();
                self.say("person");
                self.judge()?;
            }
            let coming = self.world.coming.iter().map(|(at, ..)| *at);
            let next = self.d.next_at().into_iter().chain(coming).min();
            let next = next.unwrap_or(self.now + Duration::from_mins(1));
            self.wait((next - self.now).max(TimeDelta::seconds(1)));
        }
        Err(format!("I13: it never comes to rest: {:?}", self.d.state))
    }

    fn ends(&self, state: PublicState) -> Result<(), String> {
        let shown = self.world.public().next().map(|one| one.revision);
        let right = match self.order {
            Order::Nothing => shown.is_none() && state != PublicState::Published,
            Order::Revision(number) => {
                let kept = matches!(self.d.wanted, Wanted::Keep { .. });
                kept || self.touched || shown == Some(number)
            }
            Order::Keep => true,
        };
        if right {
            return Ok(());
        }
        let (said, order) = (state.code(), self.order);
        Err(format!(
            "it ends {said} with {shown:?}, and {order:?} was ordered"
        ))
    }
}

fn failed(kind: Kind, fate: Fate) -> Event {
    Event::Failed {
        failure: Failure::new(kind, fate, words()),
    }
}

//! When a lane asks its platform what it shows, and what it does with the answer.
//!
//! Owed once in the life of a process, before the first send: a store that was set back opens without complaint
//! and is about to send again what is out. A survey that fails is tried again like a failing call and counts for
//! the breaker; what is sent waits, what is looked for or taken down does not. One that was only asked for, by the
//! nightly pass, keeps nothing waiting.

use std::sync::Arc;

use chrono::TimeDelta;
use lubu_channels::{Channel, Fate, Timestamp, Words};
use tokio::task::Id;

use super::{AGAIN, Done, Lane};
use crate::engine::Unlisted;
use crate::engine::attempt::{Behaved, behaved, blocked};
use crate::engine::survey::{Came, survey};
use crate::engine::suspects::{self, Work};
use crate::store::Stored;
use crate::store::act::LaneNews;

/// Failures in a row that are an alarm.
const ALARMED: u32 = 3;
/// Until what ended the process too often is looked at again: a person may have let it go on.
const ASIDE: TimeDelta = TimeDelta::hours(1);

/// Whether a survey must come before the next send, and when the next may begin.
#[derive(Debug)]
pub(super) struct Owed {
    before_sends: bool,
    /// None: as soon as something would be sent.
    at: Option<Timestamp>,
    running: Option<Id>,
    /// Another is owed once the one under way has ended: what it read may be older than the reason for it.
    once_more: bool,
    tries: u32,
    /// Why the last one failed.
    why: Option<Words>,
}

impl Owed {
    pub(super) fn by(channel: &dyn Channel) -> Self {
        Self {
            before_sends: channel.surveys().is_some(),
            at: None,
            running: None,
            once_more: false,
            tries: 0,
            why: None,
        }
    }

    pub(super) fn is_owed(&self) -> bool {
        self.before_sends
    }

    pub(super) fn again(&mut self, channel: &dyn Channel) {
        self.before_sends = channel.surveys().is_some();
        self.once_more = self.before_sends && self.running.is_some();
    }

    /// Without keeping anything waiting.
    pub(super) fn ask(&mut self, now: Timestamp) {
        self.at = self.at.or(Some(now));
    }

    /// Sends have waited for it so often that somebody must hear of it.
    fn keeps_waiting(&self) -> bool {
        self.before_sends && self.tries >= ALARMED
    }

    pub(super) fn ran_as(&mut self, task: Id) -> bool {
        self.running.take_if(|running| *running == task).is_some()
    }

    /// What people are told while sends wait for one that failed.
    fn trouble(&self) -> Option<Unlisted> {
        let why = self.why.clone().filter(|_| self.before_sends)?;
        Some(Unlisted {
            tries: self.tries,
            why,
            next: self.at,
        })
    }

    pub(super) fn failed(&mut self, again: Timestamp, why: Words) {
        self.running = None;
        self.tries = self.tries.saturating_add(1);
        self.why = Some(why);
        // One that was asked for is left to the next night.
        self.at = self.before_sends.then_some(again);
    }

    fn done(&mut self) {
        self.running = None;
        self.tries = 0;
        self.why = None;
        self.at = None;
        self.before_sends = std::mem::take(&mut self.once_more);
    }
}

impl Lane {
    /// Starts a survey that is due; says when to ask again.
    pub(super) fn start_survey(&mut self, open: bool, now: Timestamp) -> Option<Timestamp> {
        let owed = &self.survey;
        if owed.running.is_some() || !open || self.bench.channel.surveys().is_none() {
            return None;
        }
        // What is ready for a burst is in the queue no more.
        let mut ready = self.waiting.values().map(|one| &one.delivery);
        let ready = ready.any(|one| !one.withdrawing()).then_some(now);
        let send = self.queue.first_send().into_iter().chain(ready).min();
        let send = send.filter(|_| owed.before_sends);
        let at = match (owed.at, send) {
            // Tried before, or asked for.
            (Some(at), _) => at,
            (None, Some(at)) if !self.halted => at,
            (None, _) => return None,
        };
        if at > now {
            return Some(at);
        }
        // Nothing is sent before it is adopted, and looks for what is held go first.
        if !self.bench.shared.store.standing().adopted {
            return Some(now + AGAIN);
        }
        let work = Work::Survey(self.bench.policy.number);
        if self.bench.shared.suspects.deaths(work) >= suspects::MOST {
            let why = Words::new(
                "列出平台内容时程序连续三次中断，不再自动尝试；排除原因后执行 lubu channels resume",
                "the process ended three times in a row while it was listed, and it is not tried again by itself; once the reason is gone, `lubu channels resume`",
            );
            self.survey.failed(now + ASIDE, why);
            self.tell_unlisted();
            return Some(now + ASIDE);
        }
        let at_work = match self.bench.shared.suspects.enter(work, now) {
            Ok(at_work) => at_work,
            Err(turn) => return Some(turn),
        };
        let (bench, hub) = (Arc::clone(&self.bench), self.hub.clone());
        let task = self.tasks.spawn(async move {
            let came = survey(&bench, &hub).await;
            if matches!(came, Ok(Came::Later(_) | Came::Stopped) | Err(_)) {
                // It was not read to its end: it is as suspect as before.
                at_work.not_begun();
            }
            Done::Surveyed(came)
        });
        self.survey.running = Some(task.id());
        None
    }

    /// A person lets the channel go on: what ended the process is tried again, with a fresh count.
    pub(super) fn pardon_survey(&mut self, now: Timestamp) {
        let (suspects, work) = (
            &self.bench.shared.suspects,
            Work::Survey(self.bench.policy.number),
        );
        if suspects.deaths(work) >= suspects::MOST {
            suspects.forget(work);
            self.survey.at = Some(now);
        }
    }

    /// Stopped by posts that nobody knows, and by nothing else.
    pub(super) fn only_sends_wait(&self, now: Timestamp) -> bool {
        let pause = self.pause.as_ref().filter(|pause| pause.holds(now));
        self.breaker.is_closed() && pause.is_some_and(crate::model::channel::Pause::lets_look)
    }

    pub(super) async fn surveyed(&mut self, came: Stored<Came>) {
        self.judge_survey(came).await;
        self.tell_unlisted();
    }

    pub(super) fn tell_unlisted(&self) {
        let number = self.bench.policy.number;
        self.hub.tell_unlisted(number, self.survey.trouble());
    }

    async fn judge_survey(&mut self, came: Stored<Came>) {
        let now = self.bench.shared.time.now();
        match came {
            Ok(Came::Judged(surveyed)) => {
                self.behaved(Behaved::Well).await;
                self.survey.done();
                if surveyed.pause.is_some() {
                    self.pause = surveyed.pause;
                    // Once more when a person lets it go on: what was found may not have been all.
                    self.survey.again(self.bench.channel.as_ref());
                }
            }
            Ok(Came::Blind(words)) => {
                let channel = &self.bench.policy.name;
                tracing::warn!(
                    channel,
                    "what {channel} shows cannot be listed: {}",
                    words.en
                );
                self.survey.done();
            }
            Ok(Came::Failed(failure)) => {
                let channel = &self.bench.policy.name;
                tracing::warn!(
                    channel,
                    code = failure.code,
                    private = failure.private,
                    "the survey of {channel} failed: {}",
                    failure.public.en
                );
                let dice = self.bench.shared.dice.roll();
                let tries = self.survey.tries.saturating_add(1);
                let ours = now + self.bench.policy.backoff.wait(tries, dice);
                let again = match failure.fate {
                    Fate::Again { not_before } => not_before.map_or(ours, |at| at.max(ours)),
                    Fate::Never | Fate::Blocked(_) | Fate::Unsure => ours,
                };
                self.survey.failed(again, failure.public.clone());
                if self.survey.keeps_waiting() {
                    tracing::error!(
                        channel,
                        "nothing is sent on {channel} until it can be listed what it shows: see its settings and its rights"
                    );
                }
                self.behaved(behaved(&failure)).await;
                if let Some(pause) = blocked(&self.bench, &failure, now) {
                    self.pause = Some(pause.clone());
                    self.tell(LaneNews::Paused(pause)).await;
                }
            }
            Ok(Came::Later(until)) => {
                let why = Words::new("查询配额已用完", "the quota for looks is used up");
                self.survey.failed(until.max(now + AGAIN), why);
            }
            Ok(Came::Stopped) => {
                let why = Words::new("正在停止", "the daemon is stopping");
                self.survey.failed(now + AGAIN, why);
            }
            Err(error) => {
                tracing::error!(channel = self.bench.policy.name, "{error}");
                let why = Words::new("状态库没有应答", "the store did not answer");
                self.survey.failed(now + AGAIN, why);
            }
        }
    }
}

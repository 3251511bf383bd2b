//! Whether a lane may work: pauses, and the breaker that opens after failures and probes by itself.

use lubu_channels::Timestamp;

use super::Lane;
use crate::engine::attempt::Behaved;
use crate::engine::queue::Door;
use crate::model::channel::Breaker;
use crate::store::Act;
use crate::store::act::{Actor, LaneNews};

impl Lane {
    /// Neither paused nor broken. An open breaker is not probed for this.
    pub(super) fn can_look(&self, now: Timestamp) -> bool {
        let paused = self.pause.as_ref().is_some_and(|pause| pause.holds(now));
        !paused && self.breaker.is_closed()
    }

    /// Whether new work may start; probes when an open breaker's time is over.
    pub(super) async fn is_open(&mut self, now: Timestamp) -> bool {
        if let Some(pause) = &self.pause {
            if pause.holds(now) {
                return false;
            }
            self.pause = None;
            self.tell(LaneNews::Resumed).await;
        }
        let Some(until) = self.breaker.until else {
            return true;
        };
        if until > now || self.queue.first(Door::Send).is_none_or(|(at, _)| at > now) {
            return false;
        }
        let checked = self.bench.check().await;
        self.breaker = match &checked {
            Ok(_) => self.breaker.clone().worked(),
            Err(_) => self
                .breaker
                .clone()
                .probe_failed(self.bench.shared.time.now()),
        };
        self.tell(LaneNews::Breaker(self.breaker.clone())).await;
        checked.is_ok()
    }

    pub(super) fn reopens(&self, now: Timestamp) -> Option<Timestamp> {
        let pause = self.pause.as_ref().and_then(|pause| pause.until);
        [pause, self.breaker.until]
            .into_iter()
            .flatten()
            .filter(|until| *until > now)
            .min()
    }

    pub(super) async fn behaved(&mut self, health: Behaved) {
        match health {
            Behaved::Unasked => {}
            Behaved::Well => {
                if self.breaker != Breaker::default() {
                    let was_open = !self.breaker.is_closed();
                    self.breaker = Breaker::default();
                    if was_open {
                        self.tell(LaneNews::Breaker(Breaker::default())).await;
                    }
                }
            }
            Behaved::Badly => {
                self.breaker = self.breaker.clone().failed(self.bench.shared.time.now());
                if !self.breaker.is_closed() {
                    let name = &self.bench.policy.name;
                    tracing::error!(channel = name, "the breaker of {name} opened");
                    self.tell(LaneNews::Breaker(self.breaker.clone())).await;
                }
            }
        }
    }

    pub(super) async fn tell(&self, news: LaneNews) {
        let act = Act::Lane {
            actor: Actor::engine(),
            channel: self.bench.policy.number,
            news,
        };
        if let Err(error) = self.bench.shared.store.act(act).await {
            tracing::error!(channel = self.bench.policy.name, "{error}");
        }
    }
}

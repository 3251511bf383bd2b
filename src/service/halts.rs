//! Stopping all sending at once, and a clock that cannot be believed.

use lubu_channels::Words;

use super::approve::wrong;
use super::view::{HaltView, time};
use super::{Done, Service};
use crate::model::halt::Halt;
use crate::store::Act;
use crate::store::act::Actor;

impl Service {
    /// Why nothing is sent anywhere; empty while sending goes on.
    pub async fn halts(&self) -> Done<Vec<Halt>> {
        let ordered = self.store.stop_order().await?.map(Halt::Ordered);
        let doubted = self.time.doubt().map(Halt::Clock);
        Ok(ordered.into_iter().chain(doubted).collect())
    }

    pub async fn halt_views(&self) -> Done<Vec<HaltView>> {
        let view = |halt: &Halt| {
            let Words { zh, en } = halt.words();
            let at = match halt {
                Halt::Ordered(order) => Some(time(order.at)),
                Halt::Clock(_) => None,
            };
            HaltView {
                kind: halt.code().to_owned(),
                at,
                reason: zh,
                reason_en: en,
            }
        };
        Ok(self.halts().await?.iter().map(view).collect())
    }

    /// On disk once this returns: no step that publishes or corrects gets its intent any more. One
    /// that has it begins within five seconds or not at all. Withdrawals and looks go on.
    pub async fn stop_sending(&self, by: &str, reason: &str, from: &'static str) -> Done<()> {
        if reason.trim().is_empty() {
            return Err(wrong(
                "停发必须写明理由（--reason）。",
                "stopping all sending needs its reason (--reason).",
            ));
        }
        let stop = Some(reason.trim().to_owned());
        self.order(by, stop, from).await
    }

    pub async fn resume_sending(&self, by: &str, from: &'static str) -> Done<()> {
        self.order(by, None, from).await
    }

    async fn order(&self, by: &str, stop: Option<String>, from: &'static str) -> Done<()> {
        let actor = Actor::new(by, from);
        self.store.act(Act::Sending { actor, stop }).await?;
        self.tell_lanes().await
    }

    /// Lets the lanes know how things stand.
    pub async fn tell_lanes(&self) -> Done<()> {
        self.engine.hub().halt(!self.halts().await?.is_empty());
        Ok(())
    }

    /// A person says that the clock is right. What waits keeps its length, whichever way time went.
    pub async fn confirm_clock(&self, by: &str, from: &'static str) -> Done<()> {
        if self.time.doubt().is_none() {
            return Err(wrong(
                "时钟没有疑问，无需确认。",
                "the clock is not in doubt; there is nothing to confirm.",
            ));
        }
        self.engine.confirm_clock(Actor::new(by, from)).await?;
        self.tell_lanes().await
    }
}

//! Other settings while the lanes work.
//!
//! A channel is its number: what stays configured keeps its lane, which goes on by the new settings once
//! nothing runs under the old ones; until then only withdrawals begin, under the old ones, since they wait for nobody.
//! An answer that comes by then to a call under the old ones pauses no lane: it is about other credentials. What leaves begins nothing more, and its lane ends with its running
//! steps. What comes, or comes back, has its lane opened after that, as at a start: no two lanes ever
//! work for one channel. The rules that intents are decided by are replaced before this is called.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::lane::Lane;
use super::{Bench, Benches, Engine, Hub, by_number, recover};
use crate::ids::ChannelNo;
use crate::model::channel::ChannelRecord;
use crate::model::delivery::{Delivery, Event, Hold, State, Why};
use crate::model::policy::Policy;
use crate::store::{Act, Answer, Refusal, StoreError, Stored};

/// Before the store is asked again.
const AGAIN: Duration = Duration::from_secs(5);

impl Engine {
    /// Replaces all settings. Steps that run finish under the old ones.
    pub fn reload(&self, benches: Vec<Bench>) {
        let after = by_number(benches);
        let before = {
            let mut benches = self.benches.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *benches, after.clone())
        };
        for bench in before.values() {
            bench.replaced.cancel();
        }
        self.hub.know_sites(&after);
        for number in before.keys().filter(|number| !after.contains_key(number)) {
            self.hub.remove(*number);
        }
        let leaving = self.leaving(&after);
        for (number, bench) in after {
            match before.get(&number) {
                Some(old) => {
                    let begun = self.hub.settings(&bench);
                    if waits_otherwise(&old.policy, &bench.policy) {
                        self.ask_again(number, begun);
                    }
                }
                None => self.open_after(bench, leaving.clone()),
            }
        }
        let mut term = self.term.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *term, self.shared.stop.child_token()).cancel();
    }

    /// Cancelled when other settings are in force, or the engine stops.
    pub fn term(&self) -> CancellationToken {
        let term = self.term.lock().unwrap_or_else(PoisonError::into_inner);
        term.clone()
    }

    pub(super) fn open(
        &self,
        bench: Arc<Bench>,
        record: Option<ChannelRecord>,
        unsettled: Vec<Delivery>,
    ) {
        let number = bench.policy.number;
        let inbox = self.hub.add(number);
        let (ended, _) = self.end_of(number);
        let lane = Lane::new(bench, self.hub.clone(), record, unsettled, inbox);
        self.tasks.spawn(async move {
            let _ended = ended.drop_guard();
            lane.run().await;
        });
    }

    /// Once those that leave have ended, and its own lane of before.
    fn open_after(&self, bench: Arc<Bench>, leaving: Vec<CancellationToken>) {
        let number = bench.policy.number;
        // From here on nothing said of it is missed; what is read below may be older.
        let inbox = self.hub.add(number);
        let (ended, former) = self.end_of(number);
        let hub = self.hub.clone();
        self.tasks.spawn(async move {
            let _ended = ended.drop_guard();
            for one in leaving.iter().chain(&former) {
                one.cancelled().await;
            }
            if let Some((record, unsettled)) = known(&bench).await {
                Lane::new(bench, hub, record, unsettled, inbox).run().await;
            }
        });
    }

    /// The sign that its next lane has ended, and that of its last.
    fn end_of(&self, number: ChannelNo) -> (CancellationToken, Option<CancellationToken>) {
        let ended = CancellationToken::new();
        let mut all = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let former = all.insert(number, ended.clone());
        (ended, former)
    }

    /// Lanes of channels that are not configured any more. They may have left by an earlier reload and still be at
    /// work, for an account that a new channel has now.
    fn leaving(&self, after: &Benches) -> Vec<CancellationToken> {
        let mut all = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|number, ended| after.contains_key(number) || !ended.is_cancelled());
        let gone = all.iter().filter(|(number, _)| !after.contains_key(number));
        gone.map(|(_, ended)| ended.clone()).collect()
    }

    /// Asks for what waits on this channel, once its lane goes by the new settings: what was decided by the old ones is on
    /// record by then. Until the store answers, since what waits for another channel has no time of its own.
    fn ask_again(&self, number: ChannelNo, begun: oneshot::Receiver<()>) {
        let (hub, shared) = (self.hub.clone(), Arc::clone(&self.shared));
        self.tasks.spawn(async move {
            if begun.await.is_err() {
                // Its lane ended first.
                return;
            }
            while let Err(error) = ask_again(&shared, &hub, number).await {
                tracing::error!("what waits is asked about again later: {error}");
                tokio::select! {
                    () = shared.stop.cancelled() => return,
                    () = shared.time.sleep_until(shared.time.now() + AGAIN) => {}
                }
            }
        });
    }
}

/// What the store knows of a channel, asked until it answers; none at a stop.
async fn known(bench: &Arc<Bench>) -> Option<(Option<ChannelRecord>, Vec<Delivery>)> {
    let shared = &bench.shared;
    while !shared.stop.is_cancelled() {
        let records = shared.store.channels().await;
        let read = match records {
            Ok(records) => recover::settle_channel(shared, bench)
                .await
                .map(|unsettled| (records, unsettled)),
            Err(error) => Err(error),
        };
        match read {
            Ok((records, unsettled)) => {
                let number = bench.policy.number;
                let record = records.into_iter().find(|one| one.number == number);
                return Some((record, unsettled));
            }
            // Somebody decided about one of them meanwhile.
            Err(StoreError::Refused(Refusal::Stale | Refusal::Illegal(_))) => {}
            Err(error) => {
                tracing::error!(channel = bench.policy.name, "{error}");
                tokio::select! {
                    () = shared.stop.cancelled() => {}
                    () = shared.time.sleep_until(shared.time.now() + AGAIN) => {}
                }
            }
        }
    }
    None
}

/// What held a delivery back may not any more.
fn waits_otherwise(before: &Policy, after: &Policy) -> bool {
    before.after != after.after || before.quotas != after.quotas || before.quiet != after.quiet
}

/// Lets what waits for other channels or for a limit ask for its intent again, which decides by the new rules.
async fn ask_again(shared: &super::Shared, hub: &Hub, number: ChannelNo) -> Stored<()> {
    for delivery in shared.store.unsettled().await? {
        if shared.stop.is_cancelled() {
            return Ok(());
        }
        if delivery.id.channel != number {
            continue;
        }
        let event = match &delivery.state {
            State::Held {
                why: Hold::After(_),
                ..
            } => Event::Released,
            State::Due {
                why: why @ (Why::Quota { .. } | Why::Quiet { .. }),
                ..
            } => Event::Postponed {
                until: shared.time.now(),
                why: why.clone(),
            },
            _ => continue,
        };
        let act = Act::Settle {
            id: delivery.id,
            version: delivery.version,
            event: Box::new(event),
            dice: 0.5,
            lane: None,
        };
        match shared.store.act(act).await {
            Ok(Answer::Settled(after, released)) => {
                hub.wake(&[*after]);
                hub.wake(&released);
            }
            // It moved by itself, or is asked about at the next start.
            Ok(_) | Err(StoreError::Refused(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

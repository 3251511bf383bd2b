//! What came of a task, and what the lane learns from it.

use lubu_channels::Words;
use tokio::task::{Id, JoinError};

use super::{AGAIN, CRASHED, Done, Lane, reread};
use crate::engine::attempt::Report;
use crate::engine::burst::Waiting;
use crate::engine::{recover, suspects};
use crate::ids::DeliveryId;
use crate::model::delivery::Delivery;

impl Lane {
    pub(super) async fn finished(&mut self, done: Result<(Id, Done), JoinError>) {
        let task = done.as_ref().map_or_else(JoinError::id, |(task, _)| *task);
        self.bursting.take_if(|burst| *burst == task);
        self.verifying.take_if(|look| *look == task);
        let ids = self.by_task.remove(&task).unwrap_or_default();
        match done {
            Ok((_, Done::Surveyed(came))) => self.surveyed(came).await,
            Ok((_, Done::Went(reports))) => {
                for report in reports {
                    self.take(report).await;
                }
                // Erased since it was queued.
                for id in ids {
                    self.running.remove(&id);
                }
            }
            Err(_) if self.survey.ran_as(task) => {
                let again = self.bench.shared.time.now() + CRASHED;
                let why = Words::new(
                    "列出平台内容时程序出错",
                    "listing what the platform shows ended by a panic",
                );
                self.survey.failed(again, why);
                self.tell_unlisted();
            }
            Err(_) => self.crashed(ids).await,
        }
    }

    async fn take(&mut self, report: Report) {
        let Report {
            delivery,
            released,
            health,
            pause,
            burst,
            missed,
        } = report;
        if missed {
            self.survey.again(self.bench.channel.as_ref());
        }
        let ran = self.running.remove(&delivery.id);
        if burst.is_none() {
            self.panics.remove(&delivery.id);
        }
        self.hub.wake(&released);
        if let Some(pause) = pause {
            tracing::error!(channel = self.bench.policy.name, "paused: {}", pause.why.en);
            self.pause = Some(pause);
        }
        self.behaved(health).await;
        let (began, newer) = ran.map_or((None, None), |ran| (Some(ran.version), ran.newer));
        if let Some(newer) = newer.filter(|newer| newer.version > delivery.version) {
            self.queue(newer, None);
            return;
        }
        if let Some(ready) = burst {
            self.unqueue(delivery.id);
            let ready = *ready;
            self.waiting
                .insert(delivery.id, Waiting { delivery, ready });
            return;
        }
        self.hub.went_live(&delivery, self.bench.shared.time.now());
        let unchanged = began == Some(delivery.version);
        let wait = unchanged.then(|| self.bench.shared.time.now() + AGAIN);
        self.queue(delivery, wait);
    }

    /// A task that panicked leaves its step open: the outcome is unknown.
    async fn crashed(&mut self, ids: Vec<DeliveryId>) {
        for id in ids {
            tracing::error!(delivery.id = %id, "delivery {id}: its task ended by a panic");
            self.running.remove(&id);
            if let Some(delivery) = reread(&self.bench, id).await {
                let delivery = self.set_aside_if_guilty(delivery).await;
                let wait = self.bench.shared.time.now() + CRASHED;
                self.queue(Box::new(delivery), Some(wait));
            }
        }
    }

    /// The third panic in a row is proof enough.
    async fn set_aside_if_guilty(&mut self, delivery: Delivery) -> Delivery {
        let id = delivery.id;
        let panics = self.panics.entry(id).or_default();
        *panics += 1;
        if *panics < suspects::MOST {
            return delivery;
        }
        self.panics.remove(&id);
        let words = Words::new(
            "处理它时程序连续三次出错，已单独搁置，其余照常。排除原因后 lubu retry，或撤下",
            "working on it ended by a panic three times in a row; it is set aside, and `lubu retry` lets it go on",
        );
        let held = recover::set_aside(&self.bench.shared, &delivery, words).await;
        held.unwrap_or_else(|error| {
            tracing::error!(delivery.id = %id, "delivery {id}: {error}");
            delivery
        })
    }
}

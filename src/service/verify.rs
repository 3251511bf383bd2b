//! Looking again at what is published: findings, and passes that a person orders.
//!
//! A pass runs in the daemon and not in the request: whoever ordered it may go, and comes back to ask
//! how far it is. One at a time, since two would only wait for each other's pace.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lubu_channels::Words;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::view::{DeliveryView, PatrolView, split, time};
use super::{Done, Page, Service, Trouble};
use crate::engine::Which;
use crate::ids::{ChannelNo, DeliveryId, ItemId};
use crate::model::calendar;
use crate::model::finding::{Kind, Watch};
use crate::model::patrol::{Counts, Patrol};

/// What a person wants looked at: an item, a channel, both, or everything.
#[derive(Debug, Clone, Default)]
pub struct Inspect {
    pub item: Option<ItemId>,
    pub channel: Option<ChannelNo>,
}

/// The last pass that a person ordered.
#[derive(Debug, Default)]
pub struct Inspection(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    running: bool,
    parts: Vec<Part>,
    trouble: Option<Words>,
}

#[derive(Debug)]
struct Part {
    number: ChannelNo,
    counts: Counts,
    stopped: Option<Words>,
}

impl Inspection {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How far it is, and what every channel said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InspectionView {
    pub running: bool,
    pub counts: Counts,
    pub channels: Vec<PartView>,
    pub trouble: Option<String>,
    pub trouble_en: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartView {
    pub channel: String,
    pub counts: Counts,
    /// Why not everything was looked at.
    pub stopped: Option<String>,
    pub stopped_en: Option<String>,
}

/// The passes that begin by themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NightView {
    pub cron: String,
    pub timezone: String,
    pub next: Option<String>,
    pub last: Vec<PatrolView>,
}

impl Service {
    /// Everything that stands as found, in the order of items; what a person accepted is left out.
    pub async fn strays(
        &self,
        after: Option<DeliveryId>,
        limit: usize,
        fits: impl Fn(&Watch) -> bool,
    ) -> Done<Page<DeliveryView>> {
        let limit = limit.clamp(1, 500);
        let names = self.view_names();
        let mut rows = Vec::new();
        let mut after = after;
        loop {
            let page = self.store.watches(after, 500).await?;
            let Some(last) = page.last().map(|watch| watch.id) else {
                return Ok(Page { rows, next: None });
            };
            for watch in &page {
                if watch.finding().is_none() || !fits(watch) {
                    continue;
                }
                let id = watch.id;
                let (Some(item), Some(delivery)) = (
                    self.store.item(id.item).await?,
                    self.store.delivery(id).await?,
                ) else {
                    continue;
                };
                rows.push(names.watched(&delivery, &item.title, Some(watch)));
                if rows.len() == limit {
                    let next = Some(cursor(id));
                    return Ok(Page { rows, next });
                }
            }
            after = Some(last);
        }
    }

    /// Sets the figure of every kind on every channel.
    pub async fn measure_findings(&self) -> Done<()> {
        let mut counts = std::collections::BTreeMap::new();
        let mut after = None;
        loop {
            let page = self.store.watches(after, 1000).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for watch in &page {
                if let Some(finding) = watch.finding() {
                    *counts
                        .entry((watch.id.channel, finding.kind))
                        .or_insert(0_u32) += 1;
                }
            }
        }
        for (number, name) in &self.setup().names {
            for kind in Kind::ALARMS {
                let count = counts.get(&(*number, kind)).copied().unwrap_or_default();
                let labels = [("channel", name.clone()), ("kind", kind.code().to_owned())];
                metrics::gauge!("lubu_findings", &labels).set(f64::from(count));
            }
        }
        Ok(())
    }

    /// Begins a pass; refused while one is under way.
    pub async fn inspect(self: &Arc<Self>, wish: Inspect) -> Done<()> {
        let parts = self.parts(&wish).await?;
        {
            let mut state = self.inspection.lock();
            if state.running {
                return Err(Trouble::Busy(Words::new(
                    "已有一次人工巡查在进行，请等它结束（lubu verify --status 看进度）。",
                    "a pass is under way already; wait for its end (`lubu verify --status`).",
                )));
            }
            *state = State {
                running: true,
                parts: parts.iter().map(|(number, _)| Part::new(*number)).collect(),
                trouble: None,
            };
        }
        let service = Arc::clone(self);
        let state = Arc::clone(&self.inspection.0);
        // It outlives the request that ordered it, and ends with the engine's stop.
        tokio::spawn(async move {
            let mut channels = JoinSet::new();
            for (number, which) in parts {
                let service = Arc::clone(&service);
                channels.spawn(async move { service.part(number, which).await });
            }
            while channels.join_next().await.is_some() {}
            lock(&state).running = false;
        });
        Ok(())
    }

    async fn parts(&self, wish: &Inspect) -> Done<Vec<(ChannelNo, Which)>> {
        let wanted = |number: ChannelNo| wish.channel.is_none_or(|one| one == number);
        let Some(item) = wish.item else {
            let setup = self.setup();
            let all = setup.names.iter().map(|(number, _)| *number);
            return Ok(all
                .filter(|number| wanted(*number))
                .map(|number| (number, Which::All))
                .collect());
        };
        let deliveries = self.store.deliveries(item).await?;
        let ids = deliveries.iter().map(|one| one.id);
        Ok(ids
            .filter(|id| wanted(id.channel))
            .map(|id| (id.channel, Which::One(id)))
            .collect())
    }

    async fn part(&self, number: ChannelNo, which: Which) {
        let told = |counts: &Counts| {
            let mut state = self.inspection.lock();
            if let Some(part) = state.parts.iter_mut().find(|one| one.number == number) {
                part.counts = *counts;
            }
        };
        let config = self.config();
        let orders = &config.verify;
        let done = self.engine.patrol(number, which, orders, &told).await;
        let mut state = self.inspection.lock();
        match done {
            Ok(Some(patrol)) => {
                if let Some(part) = state.parts.iter_mut().find(|one| one.number == number) {
                    part.counts = patrol.counts;
                    part.stopped = patrol.stopped;
                }
            }
            Ok(None) => {}
            Err(error) => state.trouble = Some(error.words()),
        }
    }

    pub fn inspection(&self) -> InspectionView {
        let names = self.view_names();
        let state = self.inspection.lock();
        let mut counts = Counts::default();
        for part in &state.parts {
            counts.add(&part.counts);
        }
        let (trouble, trouble_en) = split(state.trouble.clone());
        InspectionView {
            running: state.running,
            counts,
            channels: state
                .parts
                .iter()
                .map(|part| {
                    let (stopped, stopped_en) = split(part.stopped.clone());
                    PartView {
                        channel: names.channel(part.number),
                        counts: part.counts,
                        stopped,
                        stopped_en,
                    }
                })
                .collect(),
            trouble,
            trouble_en,
        }
    }

    /// When passes begin by themselves, and how the last ones went.
    pub async fn nights(&self) -> Done<NightView> {
        let setup = self.setup();
        let orders = &setup.config.verify;
        let next = orders.cron.as_ref().and_then(|cron| {
            let next = calendar::next(cron, orders.zone, self.time.now(), 1);
            next.first().map(|at| time(at.to_utc()))
        });
        let names = self.view_names();
        let mut last = Vec::new();
        for patrol in self.store.patrols().await? {
            let configured = setup.is_configured(patrol.channel);
            // What only marks the beginning of the schedule has looked at nothing.
            let marks = patrol.ended == Some(patrol.began) && patrol.counts == Counts::default();
            if configured && !marks {
                last.push(patrol_view(&patrol, names.channel(patrol.channel)));
            }
        }
        Ok(NightView {
            cron: orders.expression.clone(),
            timezone: orders.zone.name().to_owned(),
            next,
            last,
        })
    }
}

impl Part {
    fn new(number: ChannelNo) -> Self {
        Self {
            number,
            counts: Counts::default(),
            stopped: None,
        }
    }
}

fn patrol_view(patrol: &Patrol, channel: String) -> PatrolView {
    let (stopped, stopped_en) = split(patrol.stopped.clone());
    PatrolView {
        channel,
        began: time(patrol.began),
        ended: patrol.ended.map(time),
        counts: patrol.counts,
        stopped,
        stopped_en,
    }
}

/// `ITEM:NUMBER`, as a delivery's own name is.
fn cursor(id: DeliveryId) -> String {
    id.to_string()
}

/// Where a page of findings ended.
pub fn parse_cursor(text: &str) -> Option<DeliveryId> {
    let (item, channel) = text.split_once(':')?;
    Some(DeliveryId {
        item: item.parse().ok()?,
        channel: ChannelNo(channel.parse().ok()?),
    })
}

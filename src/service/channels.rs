//! Channels: how they stand, and what an operator does about them.

use std::collections::BTreeMap;

use lubu_channels::Words;

use super::view::{ChannelView, CheckView, split, time};
use super::{Done, Service};
use crate::ids::ChannelNo;
use crate::model::channel::{ChannelRecord, Pause};
use crate::model::delivery::PublicState;
use crate::store::Act;
use crate::store::act::{Actor, LaneNews};

impl Service {
    pub async fn channels(&self) -> Done<Vec<ChannelView>> {
        let records = self.store.channels().await?;
        let mut counts: BTreeMap<(ChannelNo, PublicState), usize> = BTreeMap::new();
        for delivery in self.store.unsettled().await? {
            *counts
                .entry((delivery.id.channel, delivery.public_state()))
                .or_default() += 1;
        }
        let now = self.time.now();
        let view = |config: &crate::config::ChannelConfig| {
            let number = self.number(&config.name)?;
            let record = records.iter().find(|record| record.number == number);
            let (state, why, until) = standing(record, now);
            let (reason, reason_en) = split(why);
            Ok(ChannelView {
                name: config.name.clone(),
                adapter: config.adapter.clone(),
                state: state.to_owned(),
                reason,
                reason_en,
                until: until.map(time),
                after: config.after.clone(),
                counts: counts
                    .iter()
                    .filter(|((no, _), _)| *no == number)
                    .map(|((_, state), count)| (*state, *count))
                    .collect(),
            })
        };
        self.config.channels.iter().map(view).collect()
    }

    /// Tries the credentials of one channel, or of all.
    pub async fn check(&self, name: Option<&str>) -> Done<Vec<CheckView>> {
        if let Some(name) = name {
            self.number(name)?;
        }
        let mut views = Vec::new();
        for config in self
            .config
            .channels
            .iter()
            .filter(|one| name.is_none_or(|n| one.name == n))
        {
            let number = self.number(&config.name)?;
            let Some(checked) = self.engine.check(number).await else {
                continue;
            };
            views.push(match checked {
                Ok(health) => CheckView {
                    channel: config.name.clone(),
                    ok: true,
                    lines: health.lines,
                    expires: health.expires.map(time),
                },
                Err(failure) => CheckView {
                    channel: config.name.clone(),
                    ok: false,
                    lines: vec![failure.public],
                    expires: None,
                },
            });
        }
        Ok(views)
    }

    pub async fn pause(
        &self,
        name: &str,
        by: &str,
        reason: &str,
        until: Option<lubu_channels::Timestamp>,
        from: &'static str,
    ) -> Done<()> {
        let why = Words::new(
            format!("{by} 暂停：{reason}"),
            format!("paused by {by}: {reason}"),
        );
        let pause = Pause {
            why,
            by: Some(by.to_owned()),
            at: self.time.now(),
            until,
        };
        self.tell(name, by, LaneNews::Paused(pause), from).await
    }

    pub async fn resume(&self, name: &str, by: &str, from: &'static str) -> Done<()> {
        self.tell(name, by, LaneNews::Resumed, from).await
    }

    async fn tell(&self, name: &str, by: &str, news: LaneNews, from: &'static str) -> Done<()> {
        let channel = self.number(name)?;
        self.store
            .act(Act::Lane {
                actor: Actor::new(by, from),
                channel,
                news,
            })
            .await?;
        let records = self.store.channels().await?;
        if let Some(record) = records.into_iter().find(|record| record.number == channel) {
            self.engine.hub().news(record);
        }
        Ok(())
    }
}

type Standing = (
    &'static str,
    Option<Words>,
    Option<lubu_channels::Timestamp>,
);

fn standing(record: Option<&ChannelRecord>, now: lubu_channels::Timestamp) -> Standing {
    let Some(record) = record else {
        return ("open", None, None);
    };
    if let Some(pause) = &record.pause
        && pause.until.is_none_or(|until| until > now)
    {
        return ("paused", Some(pause.why.clone()), pause.until);
    }
    match record.breaker.until {
        Some(until) => {
            let why = Words::new(
                "连续多次连不上或平台故障，暂停尝试",
                "several failures of the channel in a row; waiting before the next probe",
            );
            ("broken", Some(why), Some(until))
        }
        None => ("open", None, None),
    }
}

//! Channels: how they stand, and what an operator does about them.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use lubu_channels::{Timestamp, Words};

use super::view::{ChannelView, CheckView, SurveyView, UnknownPost, split, time};
use super::{Done, Service, Setup};
use crate::engine::Unlisted;
use crate::ids::ChannelNo;
use crate::model::channel::{ChannelRecord, Pause};
use crate::model::delivery::PublicState;
use crate::model::quiet::QuietHours;
use crate::model::survey::{Census, Stranger};
use crate::store::Act;
use crate::store::act::{Actor, LaneNews};

impl Service {
    pub async fn channels(&self) -> Done<Vec<ChannelView>> {
        let records = self.store.channels().await?;
        let censuses = self.store.censuses().await?;
        let mut counts: BTreeMap<(ChannelNo, PublicState), usize> = BTreeMap::new();
        for delivery in self.store.unsettled().await? {
            *counts
                .entry((delivery.id.channel, delivery.public_state()))
                .or_default() += 1;
        }
        let now = self.time.now();
        let setup = self.setup();
        let view = |config: &crate::config::ChannelConfig| {
            let number = setup
                .number(&config.name)
                .ok_or_else(|| super::no_channel(&config.name))?;
            let record = records.iter().find(|record| record.number == number);
            let quiet = config.quiet.as_ref();
            let unlisted = self.engine.hub().unlisted(number);
            let (state, why, until) = match (standing(record, now), unlisted) {
                (("open" | "broken", ..), Some(unlisted)) => waits(&unlisted),
                (("open", ..), None) => hushed(quiet, now, setup.config.zone()),
                (standing, _) => standing,
            };
            let (reason, reason_en) = split(why);
            Ok(ChannelView {
                name: config.name.clone(),
                adapter: config.adapter.clone(),
                state: state.to_owned(),
                reason,
                reason_en,
                until: until.map(time),
                after: config.after.clone(),
                quiet_hours: quiet.map(|quiet| quiet.said().to_vec()).unwrap_or_default(),
                counts: counts
                    .iter()
                    .filter(|((no, _), _)| *no == number)
                    .map(|((_, state), count)| (*state, *count))
                    .collect(),
                survey: censuses
                    .iter()
                    .find(|one| one.channel == number)
                    .map(surveyed),
            })
        };
        let mut views = setup
            .config
            .channels
            .iter()
            .map(view)
            .collect::<Done<Vec<_>>>()?;
        views.extend(left_behind(&setup, &counts));
        Ok(views)
    }

    /// Sets how many unknown posts stop each channel, and how often its survey failed while sends wait for it.
    pub async fn measure_surveys(&self) -> Done<()> {
        let censuses = self.store.censuses().await?;
        for (number, name) in &self.setup().names {
            let census = censuses.iter().find(|one| one.channel == *number);
            let open = census.map_or(0, |census| census.open.len());
            let open = u32::try_from(open).unwrap_or(u32::MAX);
            metrics::gauge!("lubu_unknown_posts", "channel" => name.clone()).set(f64::from(open));
            let unlisted = self.engine.hub().unlisted(*number);
            let failures = unlisted.map_or(0, |unlisted| unlisted.tries);
            metrics::gauge!("lubu_survey_failures", "channel" => name.clone())
                .set(f64::from(failures));
        }
        Ok(())
    }

    /// Tries the credentials of one channel, or of all.
    pub async fn check(&self, name: Option<&str>) -> Done<Vec<CheckView>> {
        if let Some(name) = name {
            self.number(name)?;
        }
        let mut views = Vec::new();
        let setup = self.setup();
        for config in setup
            .config
            .channels
            .iter()
            .filter(|one| name.is_none_or(|n| one.name == n))
        {
            let Some(number) = setup.number(&config.name) else {
                continue;
            };
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
        until: Option<Timestamp>,
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

/// Channels that are no longer configured, and still have something unfinished.
fn left_behind(
    setup: &Setup,
    counts: &BTreeMap<(ChannelNo, PublicState), usize>,
) -> Vec<ChannelView> {
    let left = |(number, name): &(ChannelNo, String)| {
        let own = counts.iter().filter(|((no, _), _)| no == number);
        let count: usize = own.map(|(_, count)| *count).sum();
        (count > 0).then(|| ChannelView {
            name: name.clone(),
            adapter: String::new(),
            state: "removed".to_owned(),
            reason: Some(format!(
                "已不在配置里，{count} 条没有做完的停在原处；把它加回配置就会继续"
            )),
            reason_en: Some(format!(
                "no longer configured; {count} unfinished deliveries stay as they are, and go on once it is configured again"
            )),
            until: None,
            after: Vec::new(),
            quiet_hours: Vec::new(),
            counts: vec![(PublicState::Held, count)],
            survey: None,
        })
    };
    setup.former.iter().filter_map(left).collect()
}

fn surveyed(census: &Census) -> SurveyView {
    let unknown = |one: &Stranger| UnknownPost {
        remote_id: one.remote_id.clone(),
        url: one.address.clone(),
        published: one.at.map(time),
        title: one.title.clone(),
        item: one.item.map(|item| item.to_string()),
        unsent: one.unsent,
    };
    SurveyView {
        at: time(census.at),
        former: census.former,
        unknown: census.open.iter().map(unknown).collect(),
    }
}

type Standing = (&'static str, Option<Words>, Option<Timestamp>);

/// Nothing is sent before the platform was asked what it shows.
fn waits(unlisted: &Unlisted) -> Standing {
    let (tries, why) = (unlisted.tries, &unlisted.why);
    let words = Words::new(
        format!(
            "发送前要列出平台上的内容，已 {tries} 次没有列出：{}。列出后自动发送；请检查该渠道的设置和权限",
            why.zh.trim_end_matches('。')
        ),
        format!(
            "what it shows must be listed before anything is sent, which failed {tries} times: {}; it goes on by itself once it is listed: see its settings and its rights",
            why.en.trim_end_matches('.')
        ),
    );
    ("unlisted", Some(words), unlisted.next)
}

/// In its quiet hours, or open.
fn hushed(quiet: Option<&QuietHours>, now: Timestamp, zone: Tz) -> Standing {
    let Some(until) = quiet.and_then(|quiet| quiet.opens(now)) else {
        return ("open", None, None);
    };
    let when = until.with_timezone(&zone).format("%Y-%m-%d %H:%M");
    let why = Words::new(
        format!("静默时段，{when} 后继续；撤下和核对照常"),
        format!("quiet hours until {when}; withdrawals and looks go on"),
    );
    ("quiet", Some(why), Some(until))
}

fn standing(record: Option<&ChannelRecord>, now: Timestamp) -> Standing {
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

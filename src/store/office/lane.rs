//! Channels' numbers, pauses and breakers; schedules' runs.

use lubu_channels::{Timestamp, Words};
use serde::{Deserialize, Serialize};

use super::{Decided, Desk, header};
use crate::ids::ChannelNo;
use crate::model::channel::{Breaker, ChannelRecord};
use crate::store::act::{Actor, Answer, LaneNews, Refusal};
use crate::store::embedded::record;
use crate::store::keys;

/// One run of a schedule for one period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub schedule: String,
    pub period: String,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub due: Timestamp,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub at: Timestamp,
    /// What came of it; none when the process ended in between.
    pub done: Option<Words>,
}

impl Desk<'_> {
    /// True on disk afterwards: the name has a number, and the number this account.
    pub(super) fn register(&mut self, name: String, adapter: String, account: String) -> Decided {
        let all = self.channels()?;
        let own = format!("{name} ({account})");
        let known = all.iter().find(|channel| {
            let named = channel.name == name || channel.name == own;
            named && channel.adapter == adapter && channel.account == account
        });
        let header = header(&Actor::engine(), "register", None);
        if let Some(known) = known
            && known.name == name
        {
            return Ok((header, Answer::Channel(known.number)));
        }
        // The name may have meant another account before: that one keeps its number and loses the name.
        for mut former in all.iter().filter(|channel| channel.name == name).cloned() {
            former.name = format!("{name} ({})", former.account);
            self.put(keys::channel(former.number), &former, "channel")?;
        }
        // An account that lost the name before, and has it again.
        if let Some(mut known) = known.cloned() {
            known.name = name;
            self.put(keys::channel(known.number), &known, "channel")?;
            return Ok((header, Answer::Channel(known.number)));
        }
        if all.is_empty() {
            // Without channels there are no deliveries: whatever comes is noted from the first.
            self.all_noted();
        }
        let number = ChannelNo(
            all.iter()
                .map(|channel| channel.number.0)
                .max()
                .unwrap_or(0)
                + 1,
        );
        let record = ChannelRecord {
            number,
            name,
            adapter,
            account,
            pause: None,
            breaker: Breaker::default(),
        };
        self.put(keys::channel(number), &record, "channel")?;
        Ok((header, Answer::Channel(number)))
    }

    pub(super) fn channels(&self) -> Result<Vec<ChannelRecord>, Refusal> {
        self.view
            .scan_prefix(keys::CHANNELS)
            .map(|(_, value)| record::decode(&value).map_err(|_| Refusal::Damaged("channel")))
            .collect()
    }

    pub(super) fn lane(&mut self, actor: &Actor, channel: ChannelNo, news: LaneNews) -> Decided {
        let what = match &news {
            LaneNews::Paused(_) => "pause",
            LaneNews::Resumed => "resume",
            LaneNews::Breaker(_) => "breaker",
        };
        let news = self.heed_survey(actor, channel, news)?;
        self.note_lane(channel, news)?;
        let mut header = header(actor, what, None);
        header.delivery = Some(channel.0.to_string());
        Ok((header, Answer::Done))
    }

    pub(super) fn note_lane(&mut self, number: ChannelNo, news: LaneNews) -> Result<(), Refusal> {
        let mut channel: ChannelRecord = self
            .get(&keys::channel(number), "channel")?
            .ok_or(Refusal::NoChannel(number))?;
        match news {
            LaneNews::Paused(pause) => channel.pause = Some(pause),
            LaneNews::Resumed => {
                channel.pause = None;
                channel.breaker = Breaker::default();
            }
            LaneNews::Breaker(breaker) => channel.breaker = breaker,
        }
        self.put(keys::channel(number), &channel, "channel")
    }

    /// True on disk afterwards: this period has its run, and will have no second.
    pub(super) fn fire(&mut self, schedule: &str, period: &str, due: Timestamp) -> Decided {
        let key = keys::run(schedule, period);
        if let Some(run) = self.get::<Run>(&key, "run")?
            && run.done.is_some()
        {
            return Err(Refusal::Ran);
        }
        let run = Run {
            schedule: schedule.to_owned(),
            period: period.to_owned(),
            due,
            at: self.now,
            done: None,
        };
        self.put(key, &run, "run")?;
        Ok((
            header(&Actor::new(schedule, "schedule"), "fire", None),
            Answer::Done,
        ))
    }

    /// True on disk afterwards: what the run did.
    pub(super) fn fired(&mut self, schedule: &str, period: &str, done: Words) -> Decided {
        let key = keys::run(schedule, period);
        let Some(mut run) = self.get::<Run>(&key, "run")? else {
            return Err(Refusal::Ran);
        };
        run.done = Some(done);
        self.put(key, &run, "run")?;
        Ok((
            header(&Actor::new(schedule, "schedule"), "fired", None),
            Answer::Done,
        ))
    }
}

//! Public posts that nothing on record explains: they stop their channel here, in the same act that records them.

use super::{Decided, Desk, header, policy_or_retired};
use crate::ids::{ChannelNo, ItemId};
use crate::model::channel::{ChannelRecord, Pause};
use crate::model::survey::{Census, Found, judge};
use crate::store::act::{Actor, Answer, LaneNews, Refusal, Surveyed};
use crate::store::embedded::record;
use crate::store::keys;
use lubu_channels::Timestamp;

impl Desk<'_> {
    pub(super) fn census(&self, channel: ChannelNo) -> Result<Option<Census>, Refusal> {
        self.get(&keys::census(channel), "survey")
    }

    /// True on disk afterwards: what the survey found; while anything of it is open, the channel is paused.
    pub(super) fn survey(
        &mut self,
        channel: ChannelNo,
        found: Vec<Found>,
        latest: Option<Timestamp>,
    ) -> Decided {
        let before = self.census(channel)?;
        let known = before.as_ref().map_or(0, |census| census.open.len());
        let census = judge(before, channel, found, latest, self.now);
        let news = census.open.len().saturating_sub(known);
        self.put(keys::census(channel), &census, "survey")?;
        let pause = self.stop_for(&census)?;
        let mut header = header(&Actor::engine(), "survey", None);
        header.delivery = Some(channel.0.to_string());
        header.outcome = Some(format!(
            "unknown {} former {}",
            census.open.len(),
            census.former
        ));
        let surveyed = Surveyed {
            census,
            news,
            pause,
        };
        Ok((header, Answer::Surveyed(Box::new(surveyed))))
    }

    /// A pause of an operator's is kept in words: resuming ends both.
    fn stop_for(&mut self, census: &Census) -> Result<Option<Pause>, Refusal> {
        let number = census.channel;
        let name = policy_or_retired(self.rules, number).name.clone();
        let Some(pause) = census.pause(&name, self.now) else {
            return Ok(None);
        };
        let mut channel: ChannelRecord = self
            .get(&keys::channel(number), "channel")?
            .ok_or(Refusal::NoChannel(number))?;
        let pause = match channel.pause.take() {
            Some(former) if !former.lets_look() => beside(pause, &former),
            Some(_) | None => pause,
        };
        channel.pause = Some(pause.clone());
        self.put(keys::channel(number), &channel, "channel")?;
        Ok(Some(pause))
    }

    /// What is kept in words of an item that is erased, beside its own records.
    pub(super) fn forget_in_surveys(&mut self, item: ItemId) -> Result<(), Refusal> {
        let all: Vec<Census> = self
            .view
            .scan_prefix(keys::CENSUSES)
            .map(|(_, value)| record::decode(&value).map_err(|_| Refusal::Damaged("survey")))
            .collect::<Result<_, _>>()?;
        for mut census in all {
            if !census.forget(item) {
                continue;
            }
            let number = census.channel;
            self.put(keys::census(number), &census, "survey")?;
            let channel: Option<ChannelRecord> = self.get(&keys::channel(number), "channel")?;
            let Some(mut channel) = channel else { continue };
            let name = policy_or_retired(self.rules, number).name.clone();
            if channel.pause.as_ref().is_some_and(Pause::lets_look) {
                channel.pause = census.pause(&name, self.now);
                self.put(keys::channel(number), &channel, "channel")?;
            }
        }
        Ok(())
    }

    /// What an operator, or a lane, says of a channel that unknown posts have stopped: only a person lets it go on,
    /// and by that accepts them.
    pub(super) fn heed_survey(
        &mut self,
        actor: &Actor,
        channel: ChannelNo,
        news: LaneNews,
    ) -> Result<LaneNews, Refusal> {
        let Some(mut census) = self.census(channel)? else {
            return Ok(news);
        };
        let name = policy_or_retired(self.rules, channel).name.clone();
        let Some(ours) = census.pause(&name, self.now) else {
            return Ok(news);
        };
        Ok(match news {
            LaneNews::Resumed if actor.from == Actor::engine().from => LaneNews::Paused(ours),
            LaneNews::Resumed => {
                census.accept(&actor.who, self.now);
                self.put(keys::census(channel), &census, "survey")?;
                LaneNews::Resumed
            }
            // It would end by itself otherwise.
            LaneNews::Paused(pause) => LaneNews::Paused(beside(ours, &pause)),
            LaneNews::Breaker(breaker) => LaneNews::Breaker(breaker),
        })
    }
}

fn beside(mut ours: Pause, other: &Pause) -> Pause {
    ours.why.zh = format!("{}；{}", other.why.zh, ours.why.zh);
    ours.why.en = format!("{}; {}", other.why.en, ours.why.en);
    // An account that is blocked cannot be looked at either.
    ours.by.clone_from(&other.by);
    ours
}

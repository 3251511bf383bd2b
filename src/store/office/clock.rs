//! A person's word on the clock: everything that waits is set with time.

use chrono::TimeDelta;

use super::{Decided, Desk, header, policy_or_retired};
use crate::ids::DeliveryId;
use crate::model::delivery::{Delivery, Event, transition};
use crate::model::halt::SetBack;
use crate::store::act::{Actor, Answer, Refusal};
use crate::store::embedded::{Change, record};
use crate::store::keys;

/// Of changes in one act, which has an end to its length.
const BYTES: usize = 128 * 1024;

impl Desk<'_> {
    /// True on disk afterwards: so many deliveries as one act holds are set, and where to go on, if there is more. An
    /// unfinished one is finished first, by what it was begun with.
    pub(super) fn set_back(&mut self, actor: &Actor, by: TimeDelta) -> Decided {
        let last: Option<SetBack> = self.get(keys::SET_BACK, "set back")?;
        let set = last.unwrap_or_default().next(by);
        let (mut after, mut upto, mut bytes) = (Vec::new(), None, 0);
        for id in self.unsettled_after(set.upto())? {
            if bytes > BYTES {
                upto = after.last().map(|one: &Delivery| one.id);
                break;
            }
            let before = self.delivery(id)?;
            let policy = policy_or_retired(self.rules, id.channel);
            let event = Event::ClockBack { by: set.by() };
            let one = transition(before, event, self.now - set.by(), &policy, 0.5)
                .map_err(Refusal::Illegal)?;
            let known = self.changes.len();
            self.put_delivery(&one)?;
            bytes += self.changes[known..]
                .iter()
                .map(Change::bytes)
                .sum::<usize>();
            after.push(one);
        }
        if upto.is_none() {
            self.set_breakers_back(set.by())?;
        }
        self.put(keys::SET_BACK.to_vec(), &set.done(upto), "set back")?;
        let mut header = header(actor, "clock-back", None);
        header.outcome = Some(format!("{} s", set.by().num_seconds()));
        Ok((header, Answer::Deliveries(after)))
    }

    /// An open breaker waits for a length; the end of a pause is a time of day that a person chose.
    fn set_breakers_back(&mut self, by: TimeDelta) -> Result<(), Refusal> {
        for mut channel in self.channels()? {
            if let Some(until) = &mut channel.breaker.until {
                *until -= by;
                self.put(keys::channel(channel.number), &channel, "channel")?;
            }
        }
        Ok(())
    }

    /// Between a person's word and the clock's hearing of it, what is decided is decided by the time that was set: by the
    /// other it would wait so much longer, or be over so much sooner, than it should.
    pub(super) fn heed_the_word(&mut self) -> Result<(), Refusal> {
        let Some(heard) = self.clock.set_back() else {
            return Ok(());
        };
        let last: Option<SetBack> = self.get(keys::SET_BACK, "set back")?;
        if let Some(last) = last
            && last.is_finished()
            && last.finished() == heard + 1
        {
            self.now -= last.by();
        }
        Ok(())
    }

    fn unsettled_after(&self, upto: Option<DeliveryId>) -> Result<Vec<DeliveryId>, Refusal> {
        let mut after = Vec::new();
        for (key, value) in self.view.scan_prefix(keys::UNSETTLED) {
            let bits = record::decode(&value).map_err(|_| Refusal::Damaged("unsettled"))?;
            let ids = keys::unsettled_in(&key, bits);
            after.extend(ids.filter(|id| upto.is_none_or(|upto| *id > upto)));
        }
        Ok(after)
    }
}

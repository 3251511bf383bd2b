//! What looking again found, beside the delivery that it was found on.

use lubu_channels::{Sighting, Truth, Words};

use super::{Decided, Desk, about, header, policy_or_retired};
use crate::ids::DeliveryId;
use crate::model::delivery::{Delivery, Event};
use crate::model::finding::{self, Finding, Look, News, Standing, Watch};
use crate::model::patrol::Patrol;
use crate::store::act::{Actor, Answer, Refusal, Verified};
use crate::store::embedded::Change;
use crate::store::keys;

impl Desk<'_> {
    /// True on disk afterwards: the finding, or that there is none, and the delivery as that leaves
    /// it. Judged here, against the newest state: whatever moved the delivery meanwhile wins.
    pub(super) fn verify(&mut self, id: DeliveryId, version: u64, look: Look) -> Decided {
        let before = self.delivery(id)?;
        let watch: Option<Watch> = self.get(&keys::watch(id), "finding")?;
        if before.version != version || !finding::is_watched(&before, watch.as_ref()) {
            return Err(Refusal::Stale);
        }
        let policy = policy_or_retired(self.rules, id.channel);
        let judged = finding::judge(&before, watch.as_ref(), &look, self.now, &policy);
        let words = match &judged.news {
            Some(News::New(finding)) => finding.words.clone(),
            Some(News::Cleared(_)) | None => Words::new("", ""),
        };
        let mut after = before;
        let mut released = Vec::new();
        if let Some(moves) = judged.moves {
            let sighting = match look {
                Look::Saw(sighting) => *sighting,
                Look::Failed(_) => Sighting {
                    progress: after.progress.clone(),
                    truth: Truth::NotAsked,
                    seen: Vec::new(),
                },
            };
            let event = Event::Verified {
                moves,
                sighting,
                words,
            };
            after = self.step(after, event, &policy, 0.5)?;
            self.put_delivery(&after)?;
            released = self.released_by(&after)?;
        }
        self.put_watch(id, judged.watch.as_ref())?;
        let outcome = match &judged.news {
            Some(News::New(finding)) => finding.kind.code(),
            Some(News::Cleared(_)) => "cleared",
            None => after.public_state().code(),
        };
        let header = about(&Actor::engine(), "verify", id, outcome);
        let verified = Verified {
            delivery: after,
            watch: judged.watch,
            news: judged.news,
            released,
        };
        Ok((header, Answer::Verified(Box::new(verified))))
    }

    /// The first look after publishing may find it too: other text than was signed, or two copies.
    pub(super) fn note_strayed(
        &mut self,
        before: &Delivery,
        after: &Delivery,
    ) -> Result<(), Refusal> {
        if finding::strayed(before).is_some() {
            return Ok(());
        }
        let Some(finding) = finding::strayed(after) else {
            return Ok(());
        };
        let since = self.now;
        let standing = Standing::Found(Finding { since, ..finding });
        let id = after.id;
        self.put_watch(id, Some(&Watch { id, standing }))
    }

    fn put_watch(&mut self, id: DeliveryId, watch: Option<&Watch>) -> Result<(), Refusal> {
        let key = keys::watch(id);
        if let Some(watch) = watch {
            return self.put(key, watch, "finding");
        }
        self.changes.push(Change::Remove { key });
        Ok(())
    }

    /// A delivery that moves takes its finding along, or leaves it behind. One that nobody could ever
    /// see has none.
    pub(super) fn keep_watch(&mut self, after: &Delivery) -> Result<(), Refusal> {
        if after.first_live.is_none() && !after.shown {
            return Ok(());
        }
        let Some(watch) = self.get::<Watch>(&keys::watch(after.id), "finding")? else {
            return Ok(());
        };
        let beside = watch.clone().beside(after);
        if beside.as_ref() == Some(&watch) {
            return Ok(());
        }
        self.put_watch(after.id, beside.as_ref())
    }

    /// True on disk afterwards: how far this pass has got.
    pub(super) fn patrol(&mut self, patrol: &Patrol) -> Decided {
        self.put(keys::patrol(patrol.channel), patrol, "pass")?;
        let mut header = header(&Actor::engine(), "patrol", None);
        header.delivery = Some(patrol.channel.0.to_string());
        let counts = patrol.counts;
        let state = if patrol.ended.is_some() {
            "ended"
        } else {
            "goes on"
        };
        header.outcome = Some(format!(
            "{state}: looked {} found {} cleared {} left {}",
            counts.looked, counts.found, counts.cleared, counts.left
        ));
        Ok((header, Answer::Done))
    }
}

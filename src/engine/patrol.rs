//! Looking again at everything published (巡查): every night, at a person's word, and once soon after
//! something went live on an answer alone.
//!
//! One at a time on a channel, at a pace, within a share of the platform's quota, and after whatever
//! the lane has to do. What a pass must not lose is where it is: that is on record ([`Patrol`]), so a
//! restart goes on and a night slept through is made up for once.
//!
//! Three looks in a row that fail mean that the channel is out of reach and not that its copies are: the
//! pass ends, and only those three count. What is known not to answer may bring it to the brink of that
//! and no further: a few dead addresses must not keep a pass from all the others.

use std::time::Duration;

use lubu_channels::{Timestamp, Words};
use tokio_util::sync::CancellationToken;

use super::verify::{Checked, What, check, pay};
use super::{Bench, Engine};
use crate::config::Verify;
use crate::ids::{ChannelNo, DeliveryId};
use crate::model::calendar;
use crate::model::delivery::Delivery;
use crate::model::finding::{News, Standing, Watch};
use crate::model::patrol::{Counts, Patrol};
use crate::store::act::Share;
use crate::store::{Act, Stored};

/// Failed looks in a row after which a channel is out of reach.
const OUT_OF_REACH: u8 = 3;
/// Looks between two records of how far a pass is.
const RECORDED: u64 = 200;
/// Looks that are paid for at once, where the quota is large.
const BLOCK: u32 = 10;
const LARGE: u32 = 1000;
/// Second looks that a pass owes at most; what is more waits for the next pass.
const OWED: usize = 1000;
const PAGE: usize = 500;

/// Which deliveries a person wants looked at, on one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    All,
    One(DeliveryId),
}

impl Engine {
    /// Keeps looking at a channel, while it is configured, until the daemon stops. `orders` is asked again
    /// when other settings are in force: a pass under way goes on by them.
    pub async fn keep_watch(&self, number: ChannelNo, orders: impl Fn() -> Verify) {
        let time = &self.shared.time;
        while !self.shared.stop.is_cancelled() {
            let (term, orders) = (self.term(), orders());
            let Some(bench) = self.bench(number) else {
                term.cancelled().await;
                continue;
            };
            self.hub().expect_fresh(number, orders.first_after);
            let minute = time.now() + Duration::from_mins(1);
            let mut walk = Walk::new(self, &bench, &orders, Share::Percent(orders.share));
            walk.stop = term.clone();
            if let Err(error) = walk.turn(&orders).await {
                tracing::error!(channel = bench.policy.name, "looking again: {error}");
            }
            let fresh = self.hub().next_fresh(number);
            let at = fresh.map_or(minute, |at| at.min(minute));
            tokio::select! {
                () = term.cancelled() => {}
                () = time.sleep_until(at) => {}
            }
        }
    }

    /// A person's own pass over one channel; `told` hears how far it is.
    pub async fn patrol(
        &self,
        number: ChannelNo,
        which: Which,
        orders: &Verify,
        told: &(dyn Fn(&Counts) + Send + Sync),
    ) -> Stored<Option<Patrol>> {
        let Some(bench) = self.bench(number) else {
            return Ok(None);
        };
        // One item is a person's question, and may use what is kept for looks.
        let share = match which {
            Which::All => Share::Percent(orders.share),
            Which::One(_) => Share::Whole,
        };
        let mut walk = Walk::new(self, &bench, orders, share);
        walk.told = Some(told);
        walk.patrol = Patrol::new(number, None, self.shared.time.now());
        match which {
            Which::One(id) => walk.look(id).await?,
            Which::All => walk.everything().await?,
        }
        walk.second_looks().await?;
        walk.patrol.ended = Some(self.shared.time.now());
        Ok(Some(walk.patrol))
    }
}

struct Walk<'a> {
    engine: &'a Engine,
    bench: &'a Bench,
    orders: &'a Verify,
    share: Share,
    /// It goes on at the next start, or by other settings.
    stop: CancellationToken,
    patrol: Patrol,
    /// Looks that are paid for.
    paid: u32,
    failed: u8,
    /// Still with what is on record, before all the others.
    known: bool,
    /// When the last look began.
    last: Option<Timestamp>,
    owed: Vec<(Timestamp, DeliveryId)>,
    told: Option<&'a (dyn Fn(&Counts) + Send + Sync)>,
}

impl<'a> Walk<'a> {
    fn new(engine: &'a Engine, bench: &'a Bench, orders: &'a Verify, share: Share) -> Self {
        let now = engine.shared.time.now();
        Self {
            engine,
            bench,
            orders,
            share,
            stop: engine.shared.stop.clone(),
            patrol: Patrol::new(bench.policy.number, None, now),
            paid: 0,
            failed: 0,
            known: false,
            last: None,
            owed: Vec::new(),
            told: None,
        }
    }

    fn now(&self) -> Timestamp {
        self.engine.shared.time.now()
    }

    /// Whatever is to be looked at by now.
    async fn turn(&mut self, orders: &Verify) -> Stored<()> {
        self.fresh().await?;
        let Some(cron) = &orders.cron else {
            return Ok(());
        };
        let shared = &self.engine.shared;
        // A clock in doubt begins nothing, and a store that may be older than the world finds nothing.
        if shared.time.doubt().is_some() || !shared.store.standing().adopted {
            return Ok(());
        }
        let number = self.bench.policy.number;
        let patrols = shared.store.patrols().await?;
        let Some(last) = patrols.into_iter().find(|one| one.channel == number) else {
            // Seen for the first time: what was due before has nothing to do with it.
            return self.record(Patrol::marks(number, self.now())).await;
        };
        if last.ended.is_none() {
            self.patrol = last;
            return self.night().await;
        }
        let since = last.due.unwrap_or(last.began);
        let Some(missed) = calendar::missed(cron, orders.zone, since, self.now()) else {
            return Ok(());
        };
        self.patrol = last.next(missed.due.to_utc(), self.now());
        self.record(self.patrol.clone()).await?;
        self.night().await
    }

    async fn record(&self, patrol: Patrol) -> Stored<()> {
        let act = Act::Patrol(Box::new(patrol));
        self.engine.shared.store.act(act).await.map(drop)
    }

    /// One pass, with its beginning on record, to its end.
    async fn night(&mut self) -> Stored<()> {
        // What nobody here knows of is not among what is walked over.
        self.engine.hub().survey(self.bench.policy.number);
        self.everything().await?;
        self.second_looks().await?;
        if self.is_stopped() {
            return self.record(self.patrol.clone()).await;
        }
        self.patrol.ended = Some(self.now());
        let (name, counts) = (&self.bench.policy.name, self.patrol.counts);
        let why = self.patrol.stopped.as_ref().map(|words| &words.en);
        tracing::info!(
            channel = name,
            looked = counts.looked,
            found = counts.found,
            left = counts.left,
            "{name}: looked again at {}, new findings {}, not looked at {} {}",
            counts.looked,
            counts.found,
            counts.left,
            why.map_or("", String::as_str)
        );
        self.record(self.patrol.clone()).await
    }

    fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    fn is_over(&self) -> bool {
        self.is_stopped() || self.patrol.stopped.is_some()
    }

    /// What is on record already, then all that rests as published.
    async fn everything(&mut self) -> Stored<()> {
        self.known = true;
        self.on_record().await?;
        self.known = false;
        loop {
            let before = self.patrol.at.map(|item| self.id(item));
            if self.downwards(before).await? || self.is_over() {
                break;
            }
            self.patrol.turned = true;
            self.patrol.at = None;
        }
        if self.patrol.stopped.is_some() {
            self.patrol.counts.left = self.rest().await?;
        }
        Ok(())
    }

    fn id(&self, item: crate::ids::ItemId) -> DeliveryId {
        DeliveryId {
            item,
            channel: self.bench.policy.number,
        }
    }

    async fn on_record(&mut self) -> Stored<()> {
        let mut after = None;
        loop {
            let page = self.engine.shared.store.watches(after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.id);
            let number = self.bench.policy.number;
            for watch in page.iter().filter(|one| one.id.channel == number) {
                if self.is_over() {
                    return Ok(());
                }
                if is_pressing(watch) {
                    self.look(watch.id).await?;
                }
            }
        }
    }

    /// From there to the oldest; whether the whole round is done by that.
    async fn downwards(&mut self, mut before: Option<DeliveryId>) -> Stored<bool> {
        let number = self.bench.policy.number;
        loop {
            let store = &self.engine.shared.store;
            let stretch = store.published(number, before).await?;
            for delivery in &stretch.deliveries {
                if self.patrol.is_round(delivery.id.item) {
                    return Ok(true);
                }
                let looked = self.patrol.counts.looked;
                if self.is_young_enough(delivery) && !self.is_known(delivery.id).await? {
                    self.look(delivery.id).await?;
                }
                let over = self.is_over();
                if !over || self.patrol.counts.looked > looked {
                    self.patrol.at = Some(delivery.id.item);
                }
                if over {
                    return Ok(false);
                }
            }
            match stretch.next {
                Some(next) => before = Some(next),
                None => return Ok(self.patrol.turned || self.patrol.from.is_none()),
            }
        }
    }

    /// Looked at already, with what is on record.
    async fn is_known(&self, id: DeliveryId) -> Stored<bool> {
        let watch = self.engine.shared.store.watch(id).await?;
        Ok(watch.is_some_and(|watch| is_pressing(&watch)))
    }

    fn is_young_enough(&self, delivery: &Delivery) -> bool {
        let Some(within) = self.orders.within else {
            return true;
        };
        let since = delivery.first_live.unwrap_or(delivery.since);
        self.now() - since <= within
    }

    /// How many this pass leaves.
    async fn rest(&self) -> Stored<u64> {
        let number = self.bench.policy.number;
        let mut left = 0;
        let mut patrol = self.patrol.clone();
        loop {
            let mut before = patrol.at.map(|item| self.id(item));
            loop {
                let store = &self.engine.shared.store;
                let stretch = store.published(number, before).await?;
                for delivery in &stretch.deliveries {
                    let round = patrol.is_round(delivery.id.item);
                    left += u64::from(!round && self.is_young_enough(delivery));
                }
                let Some(next) = stretch.next else { break };
                before = Some(next);
            }
            if patrol.turned || patrol.from.is_none() {
                return Ok(left);
            }
            (patrol.turned, patrol.at) = (true, None);
        }
    }

    /// One look, at the pace; second looks that are due, and what has just gone live, come first.
    async fn look(&mut self, id: DeliveryId) -> Stored<()> {
        let number = self.bench.policy.number;
        self.breathe().await;
        let now = self.now();
        while let Some(place) = self.owed.iter().position(|(at, _)| *at <= now) {
            let (_, owed) = self.owed.remove(place);
            self.one(owed).await?;
            self.breathe().await;
        }
        while let Some(fresh) = self.engine.hub().take_fresh(number, self.now()) {
            self.one(fresh).await?;
            self.breathe().await;
        }
        self.one(id).await
    }

    /// One look, within the quota.
    async fn one(&mut self, id: DeliveryId) -> Stored<()> {
        if self.is_over() || !self.pay().await? {
            return Ok(());
        }
        let checked = check(self.bench, self.engine.hub(), id, self.share).await?;
        self.count(id, checked);
        if let Some(told) = self.told {
            told(&self.patrol.counts);
        }
        let nightly = self.patrol.due.is_some();
        if nightly && self.patrol.counts.looked % RECORDED == RECORDED - 1 {
            self.record(self.patrol.clone()).await?;
        }
        Ok(())
    }

    fn count(&mut self, id: DeliveryId, checked: Checked) {
        let counts = &mut self.patrol.counts;
        match checked.news {
            Some(News::New(_)) => counts.found += 1,
            Some(News::Cleared(_)) => counts.cleared += 1,
            None => {}
        }
        let failed = matches!(checked.what, What::Blind);
        match checked.what {
            What::Moved => return,
            What::Shut(why) => {
                self.patrol.stopped = Some(why);
                return;
            }
            What::Well => counts.well += 1,
            What::Untold | What::Blind => counts.blind += 1,
            What::Suspect(at) if self.owed.len() < OWED => self.owed.push((at, id)),
            What::Found(_) | What::Suspect(_) => {}
        }
        counts.looked += 1;
        self.failed = match (failed, self.known) {
            (false, _) => 0,
            (true, true) => (self.failed + 1).min(OUT_OF_REACH - 1),
            (true, false) => self.failed + 1,
        };
        if self.failed >= OUT_OF_REACH {
            self.patrol.stopped = Some(Words::new(
                "连续三次核对失败，渠道可能连不上，余下的下次再核对",
                "three looks in a row failed; the rest is left to the next pass",
            ));
        }
    }

    /// What was seen gone once is looked at again a settle time later.
    async fn second_looks(&mut self) -> Stored<()> {
        let owed = std::mem::take(&mut self.owed);
        for (at, id) in owed {
            if self.is_over() {
                return Ok(());
            }
            tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                () = self.engine.shared.time.sleep_until(at) => {}
            }
            self.look(id).await?;
        }
        Ok(())
    }

    /// Waits out the pace; the first look waits for nothing.
    async fn breathe(&mut self) {
        let rate = self.bench.policy.rate;
        // Half of what the lane may do at most: sends find the other half free.
        let lane = rate.map(|rate| rate.per.div_f64(f64::from(rate.count.max(1))) * 2);
        let gap = self.orders.gap.max(lane.unwrap_or_default());
        let at = self.last.map(|last| last + gap);
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.engine.shared.time.sleep_until(at.unwrap_or_default()) => {}
        }
        self.last = Some(self.now());
    }

    /// Whether another look may be paid for.
    async fn pay(&mut self) -> Stored<bool> {
        if self.paid > 0 || self.bench.policy.look_costs.is_empty() {
            self.paid = self.paid.saturating_sub(1);
            return Ok(true);
        }
        let large = self
            .bench
            .policy
            .quotas
            .iter()
            .all(|one| one.limit >= LARGE);
        for looks in [if large { BLOCK } else { 1 }, 1] {
            match pay(self.bench, self.share, looks).await? {
                None => {
                    self.paid = looks - 1;
                    return Ok(true);
                }
                Some(_) if looks > 1 => {}
                Some(until) => {
                    self.patrol.stopped = Some(no_quota(until));
                    return Ok(false);
                }
            }
        }
        Ok(false)
    }

    /// What went live on an answer alone and has not been looked at since.
    async fn fresh(&mut self) -> Stored<()> {
        let number = self.bench.policy.number;
        while let Some(id) = self.engine.hub().take_fresh(number, self.now()) {
            self.one(id).await?;
            self.breathe().await;
        }
        self.second_looks().await?;
        self.patrol.stopped = None;
        Ok(())
    }
}

/// Worth a look before all others: a suspicion, or a finding that may be over.
fn is_pressing(watch: &Watch) -> bool {
    match &watch.standing {
        Standing::Suspect { .. } => true,
        Standing::Found(finding) => finding.kind.is_alarm(),
        Standing::Accepted(_) => false,
    }
}

fn no_quota(until: Timestamp) -> Words {
    let when = until.format("%Y-%m-%d %H:%M UTC");
    Words::new(
        format!("平台配额中留给巡查的部分已用完（{when} 恢复），余下的下次再核对"),
        format!(
            "the share of the quota for looking again is used up until {when}; the rest is left to the next pass"
        ),
    )
}

//! Asking a platform what it shows, and holding that against the store.
//!
//! Made by a lane before its first send in the life of the process, and with every nightly pass. A list is read
//! first and the store after it: whatever the list can show had its intent on disk by then. Posts that name an item
//! are told by it. Others are told by the remote ids on record, and only where one is on no record are the texts of
//! what waits compared: so an ordinary start reads the list and a few records.

use std::collections::BTreeSet;
use std::sync::Arc;

use lubu_channels::{
    Draft, Failure, Fate, Kind, Posted, Sign, Stands, Surveyed as Listed, Surveys, Timestamp, Words,
};

use super::attempt::Stumble;
use super::compose::compose;
use super::{Bench, Hub};
use crate::ids::{ChannelNo, DeliveryId, ItemId};
use crate::model::delivery::{Delivery, Event, JobNow};
use crate::model::survey::{Census, Found, Stranger, Whose, explains, judge, names, whose};
use crate::store::act::{Share, Surveyed};
use crate::store::{Act, Answer, Refusal, StoreError, Stored};

/// Texts that are compared with posts that no record names: of what waits, and of what was sent without a
/// word of where it is.
const COMPARED: usize = 500;

/// What a survey came to.
#[derive(Debug)]
pub(super) enum Came {
    /// It is on record; what it holds back is said by the pause in it.
    Judged(Box<Surveyed>),
    /// The account has no right to its list: nothing can be told.
    Blind(Words),
    Failed(Box<Failure>),
    /// Its quota is used up.
    Later(Timestamp),
    /// The engine stops.
    Stopped,
}

pub(super) async fn survey(bench: &Bench, hub: &Hub) -> Stored<Came> {
    let Some(surveys) = bench.channel.surveys() else {
        return Ok(Came::Stopped);
    };
    if let Some(until) = pay(bench).await? {
        return Ok(Came::Later(until));
    }
    let listed = tokio::select! {
        biased;
        () = bench.shared.stop.cancelled() => return Ok(Came::Stopped),
        listed = list(bench, surveys) => listed,
    };
    let posts = match listed {
        Ok(Listed::Posts(posts)) => posts,
        Ok(Listed::CannotTell(words)) => return Ok(Came::Blind(words)),
        Err(failure) => return Ok(Came::Failed(Box::new(failure))),
    };
    let channel = bench.policy.number;
    let censuses = bench.shared.store.censuses().await?;
    let census = censuses.into_iter().find(|one| one.channel == channel);
    let numbers = of_the_account(bench).await?;
    let (found, latest) = identify(bench, hub, surveys, &numbers, posts, census.as_ref()).await?;
    let now = bench.shared.time.now();
    // First, and one act each: a crash in between leaves them held, and the next survey finds as much.
    hold_back(
        bench,
        hub,
        &judge(census, channel, found.clone(), latest, now),
    )
    .await?;
    let act = Act::Survey {
        channel,
        found,
        latest,
    };
    match bench.shared.store.act(act).await? {
        Answer::Surveyed(surveyed) => {
            tell(bench, &surveyed);
            Ok(Came::Judged(surveyed))
        }
        _ => Ok(Came::Stopped),
    }
}

/// As in a store that was restored: what may be out already does not go out by itself, and is looked for.
async fn hold_back(bench: &Bench, hub: &Hub, census: &Census) -> Stored<()> {
    let (store, channel) = (&bench.shared.store, bench.policy.number);
    if let Some(items) = census.in_question() {
        for item in items {
            while !is_held(bench, hub, DeliveryId { item, channel }).await? {}
        }
        return Ok(());
    }
    // What had failed, too: a person who does not know what was sent since would send it once more.
    let mut before = None;
    loop {
        let stretch = store.recorded(channel, before).await?;
        for delivery in stretch.deliveries.iter().filter(|one| one.would_go_on()) {
            while !is_held(bench, hub, delivery.id).await? {}
        }
        let Some(next) = stretch.next else {
            return Ok(());
        };
        before = Some(next);
    }
}

/// False where it moved meanwhile, such as by a look, and must be asked about again.
async fn is_held(bench: &Bench, hub: &Hub, id: DeliveryId) -> Stored<bool> {
    let store = &bench.shared.store;
    let Some(delivery) = store.delivery(id).await? else {
        return Ok(true);
    };
    let due = delivery.would_go_on() && !explains(&delivery, Stands::Public);
    if !due || delivery.withdrawing() || delivery.is_restored() {
        return Ok(true);
    }
    let act = Act::Settle {
        id,
        version: delivery.version,
        event: Box::new(Event::Restored),
        dice: 0.5,
        lane: None,
    };
    match store.act(act).await {
        Ok(Answer::Settled(after, _)) => hub.wake(&[*after]),
        Ok(_) | Err(StoreError::Refused(Refusal::Illegal(_))) => {}
        Err(StoreError::Refused(Refusal::Stale)) => return Ok(false),
        Err(error) => return Err(error),
    }
    Ok(true)
}

async fn list(bench: &Bench, surveys: &dyn Surveys) -> Result<Listed, Failure> {
    let call = bench.call(false);
    let grace = bench.call_within + std::time::Duration::from_secs(5);
    let listed = tokio::time::timeout(grace, surveys.survey(&call)).await;
    listed.unwrap_or_else(|_| {
        let words = Words::new("列表没有按时读完", "the list was not read in time");
        let again = Fate::Again { not_before: None };
        Err(Failure::new(Kind::Transport, again, words))
    })
}

async fn pay(bench: &Bench) -> Stored<Option<Timestamp>> {
    let caps = bench.channel.caps().survey.as_ref();
    let costs = caps.map(|survey| survey.costs.clone()).unwrap_or_default();
    if costs.is_empty() {
        return Ok(None);
    }
    let act = Act::Spend {
        channel: bench.policy.number,
        costs,
        share: Share::Whole,
    };
    match bench.shared.store.act(act).await {
        Ok(_) => Ok(None),
        Err(StoreError::Refused(Refusal::QuotaUsed { until, .. })) => Ok(Some(until)),
        Err(error) => Err(error),
    }
}

fn tell(bench: &Bench, surveyed: &Surveyed) {
    let channel = &bench.policy.name;
    let Surveyed {
        census,
        news,
        pause,
        ..
    } = surveyed;
    let count = u64::try_from(*news).unwrap_or(u64::MAX);
    metrics::counter!("lubu_unknown_posts_total", "channel" => channel.clone()).increment(count);
    if let Some(pause) = pause.as_ref().filter(|_| *news > 0) {
        tracing::error!(
            channel,
            unknown = census.open.len(),
            "{channel} is stopped: {}",
            pause.why.en
        );
    }
    if census.former > 0 && census.at == census.since {
        tracing::warn!(
            channel,
            former = census.former,
            "{channel}: the first survey found {} posts of former times that nothing is on record of",
            census.former
        );
    }
}

/// This channel, and every other of its account: a list shows what any of them posted.
async fn of_the_account(bench: &Bench) -> Stored<Vec<ChannelNo>> {
    let own = bench.policy.number;
    let others = bench.shared.store.channels().await?.into_iter();
    let others = others.filter(|one| one.account == bench.policy.account && one.number != own);
    Ok(std::iter::once(own)
        .chain(others.map(|one| one.number))
        .collect())
}

/// What the store makes of each post; and, before the first survey, when the newest one on record came up.
async fn identify(
    bench: &Bench,
    hub: &Hub,
    surveys: &dyn Surveys,
    numbers: &[ChannelNo],
    posts: Vec<Posted>,
    census: Option<&Census>,
) -> Stored<(Vec<Found>, Option<Timestamp>)> {
    let mut found = Vec::new();
    let mut texts = Vec::new();
    for post in posts {
        let settled = |census: &Census| census.has_accepted(&post.remote_id);
        if census.is_some_and(settled) {
            continue;
        }
        match named(hub, &post) {
            Some(item) => found.extend(by_item(bench, numbers, post, item).await?),
            None if matches!(post.sign, Sign::Text { .. }) => texts.push(post),
            // It links to somewhere else: an editor's own work.
            None => {}
        }
    }
    let former = |post: &Posted| census.is_some_and(|one| one.is_former(post.at));
    texts.retain(|post| !former(post));
    let mut latest = None;
    if census.is_none() || !texts.is_empty() {
        let mut walk = Walk {
            bench,
            surveys,
            numbers,
            texts,
            found: &mut found,
            latest: None,
        };
        walk.records(census.is_none()).await?;
        latest = walk.latest.filter(|_| census.is_none());
    }
    Ok((found, latest))
}

fn named(hub: &Hub, post: &Posted) -> Option<ItemId> {
    match &post.sign {
        Sign::Item(item) => item.parse().ok(),
        Sign::Link(link) => hub.item_at(link),
        Sign::Text { .. } => None,
    }
}

fn found(post: Posted, item: Option<ItemId>, whose: Whose) -> Found {
    let post = Stranger {
        remote_id: post.remote_id,
        address: post.address,
        at: post.at,
        title: post.title,
        item,
        unsent: false,
    };
    Found { post, whose }
}

async fn by_item(
    bench: &Bench,
    numbers: &[ChannelNo],
    post: Posted,
    item: ItemId,
) -> Stored<Option<Found>> {
    let mut whose = None;
    for &channel in numbers {
        let id = DeliveryId { item, channel };
        let Some(delivery) = bench.shared.store.delivery(id).await? else {
            continue;
        };
        if channel == bench.policy.number {
            whose = Some(of_item(&delivery, &post));
        } else if is_of_another(&delivery, &post) {
            whose = Some(Whose::Explained);
        }
        if whose == Some(Whose::Explained) {
            break;
        }
    }
    // Readers get nothing of a notice, and the item may have been erased since.
    if whose.is_none() && post.stands == Stands::Notice {
        return Ok(None);
    }
    let whose = whose.unwrap_or(Whose::Nobodys);
    Ok(Some(found(post, Some(item), whose)))
}

/// Whether another channel of the account posted it: by its record, or, while that names no post yet, perhaps. What
/// came up beside a post that is known may be one of this channel's.
fn is_of_another(delivery: &Delivery, post: &Posted) -> bool {
    let known = delivery.copy.as_ref();
    let known = known.is_some_and(|copy| copy.remote_id.is_some());
    names(delivery, &post.remote_id, post.address.as_deref())
        || delivery.once_named(&post.remote_id, post.at)
        || !known && explains(delivery, post.stands)
}

/// A walk over what is on record of the channel, newest item first, for posts that name no item.
struct Walk<'a> {
    bench: &'a Bench,
    surveys: &'a dyn Surveys,
    numbers: &'a [ChannelNo],
    texts: Vec<Posted>,
    found: &'a mut Vec<Found>,
    latest: Option<Timestamp>,
}

impl Walk<'_> {
    /// Ends as soon as every post is named; with a post that nobody knows it goes to the end, which stops the
    /// channel and so comes once.
    async fn records(&mut self, first: bool) -> Stored<()> {
        let own = self.bench.policy.number;
        let mut numbers = self.numbers.iter().copied();
        let (mut number, mut before) = (numbers.next(), None);
        let mut compared = Vec::new();
        while let Some(channel) = number {
            let stretch = self.bench.shared.store.recorded(channel, before).await?;
            for delivery in stretch.deliveries {
                self.name(&delivery);
                let sent = explains(&delivery, Stands::Public);
                if sent {
                    let up = delivery.first_live.unwrap_or(delivery.since);
                    self.latest = self.latest.max(Some(up));
                }
                let may = channel == own && (sent || !delivery.public_state().at_rest());
                if may && compared.len() < COMPARED {
                    compared.push(delivery.id);
                }
            }
            let ended = self.texts.is_empty() && (!first || self.latest.is_some());
            if ended {
                break;
            }
            before = stretch.next;
            if before.is_none() {
                number = numbers.next();
            }
        }
        for id in compared {
            if self.texts.is_empty() {
                break;
            }
            self.compare(id).await?;
        }
        for post in std::mem::take(&mut self.texts) {
            if matches!(post.sign, Sign::Text { own_app: true, .. }) {
                self.found.push(found(post, None, Whose::Nobodys));
            }
        }
        Ok(())
    }

    fn name(&mut self, delivery: &Delivery) {
        self.take(delivery, |_, post| {
            let is = names(delivery, &post.remote_id, post.address.as_deref())
                || delivery.once_named(&post.remote_id, post.at);
            is.then_some(Whose::Explained)
        });
    }

    /// Those that this tells whose they are.
    fn take(
        &mut self,
        delivery: &Delivery,
        whose: impl Fn(&dyn Surveys, &Posted) -> Option<Whose>,
    ) {
        for post in std::mem::take(&mut self.texts) {
            match whose(self.surveys, &post) {
                Some(whose) => self.found.push(found(post, Some(delivery.id.item), whose)),
                None => self.texts.push(post),
            }
        }
    }

    /// Its signed texts, and which of the posts read like them: like what was sent, or what is wanted.
    async fn compare(&mut self, id: DeliveryId) -> Stored<()> {
        let Some(delivery) = self.bench.shared.store.delivery(id).await? else {
            return Ok(());
        };
        let job = delivery.job.clone();
        let plan = delivery.plan(&self.bench.policy);
        let other = plan.filter(|plan| Some(&plan.draft) != job.as_ref().map(|job| &job.draft));
        for (now, ran) in [(job, true), (other, false)] {
            let Some(now) = now else { continue };
            let Some(draft) = signed(self.bench, &delivery, &now).await? else {
                continue;
            };
            self.take(&delivery, |surveys, post| {
                let like = surveys.reads_as(post, &draft);
                like.then(|| {
                    if ran {
                        of_item(&delivery, post)
                    } else {
                        Whose::Unsent
                    }
                })
            });
        }
        Ok(())
    }
}

fn of_item(delivery: &Delivery, post: &Posted) -> Whose {
    let (id, address) = (&post.remote_id, post.address.as_deref());
    whose(delivery, id, address, post.at, post.stands)
}

async fn signed(bench: &Bench, delivery: &Delivery, now: &JobNow) -> Stored<Option<Arc<Draft>>> {
    match compose(bench, delivery, now).await {
        Ok(job) => Ok(job.subjects.into_iter().next().map(|one| one.draft)),
        Err(Stumble::NoDraft) => Ok(None),
        Err(Stumble::Store(error)) => Err(error),
    }
}

impl Hub {
    /// The item whose page on one of our sites stands at this address.
    pub(super) fn item_at(&self, link: &str) -> Option<ItemId> {
        let place = place(link);
        let ids: BTreeSet<ItemId> = place
            .split(|one: char| !one.is_ascii_hexdigit())
            .filter_map(|part| part.parse().ok())
            .collect();
        let sites = self.sites();
        ids.into_iter().find(|id| {
            let page = id.to_string();
            let at = sites.iter().filter_map(|site| site.pages());
            let mut at = at.map(|pages| pages.address(&page));
            at.any(|address| self::place(&address) == place)
        })
    }
}

/// Without its scheme, its query and its fragment, which platforms change.
fn place(address: &str) -> &str {
    let bare = address.split_once("://").map_or(address, |(_, rest)| rest);
    bare.split(['?', '#']).next().unwrap_or_default().trim()
}

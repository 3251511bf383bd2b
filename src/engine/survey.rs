//! Asking a platform what it shows, and holding that against the store.
//!
//! Made by a lane before its first send in the life of the process, and with every nightly pass. A list is read
//! first and the store after it: whatever the list can show had its intent on disk by then. Posts that name an item
//! are told by it. Others are told by the remote ids on record, and only where one is on no record are the texts of
//! what waits compared: so an ordinary start reads the list and a few records.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use lubu_channels::{
    Draft, Failure, Fate, Kind, Posted, Sign, Stands, Surveyed as Listed, Surveys, Timestamp, Words,
};

use super::attempt::Stumble;
use super::compose::compose;
use super::{Bench, Hub};
use crate::ids::{DeliveryId, ItemId};
use crate::model::delivery::Delivery;
use crate::model::survey::{Census, Found, Stranger, Whose, explains, names};
use crate::store::act::{Share, Surveyed};
use crate::store::{Act, Answer, Refusal, StoreError, Stored};

/// Texts that are compared with posts that no record names: of what waits, and of what was sent without a
/// word of where it is.
const COMPARED: usize = 500;
/// So far from its own post a second one of the same call may come up; the same text later is another item's.
const DAY: TimeDelta = TimeDelta::days(1);

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
    let (found, latest) = identify(bench, hub, surveys, posts).await?;
    let channel = bench.policy.number;
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

/// What the store makes of each post; and, before the first survey, when the newest one on record came up.
async fn identify(
    bench: &Bench,
    hub: &Hub,
    surveys: &dyn Surveys,
    posts: Vec<Posted>,
) -> Stored<(Vec<Found>, Option<Timestamp>)> {
    let store = &bench.shared.store;
    let censuses = store.censuses().await?;
    let number = bench.policy.number;
    let census = censuses.into_iter().find(|one| one.channel == number);
    let mut found = Vec::new();
    let mut texts = Vec::new();
    for post in posts {
        let settled = |census: &Census| census.has_accepted(&post.remote_id);
        if census.as_ref().is_some_and(settled) {
            continue;
        }
        match named(hub, &post) {
            Some(item) => found.extend(by_item(bench, post, item).await?),
            None if matches!(post.sign, Sign::Text { .. }) => texts.push(post),
            // It links to somewhere else: an editor's own work.
            None => {}
        }
    }
    let former = |post: &Posted| census.as_ref().is_some_and(|one| one.is_former(post.at));
    texts.retain(|post| !former(post));
    let mut latest = None;
    if census.is_none() || !texts.is_empty() {
        let mut walk = Walk {
            bench,
            surveys,
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

async fn by_item(bench: &Bench, post: Posted, item: ItemId) -> Stored<Option<Found>> {
    let channel = bench.policy.number;
    let id = DeliveryId { item, channel };
    let whose = match bench.shared.store.delivery(id).await? {
        Some(delivery) if explains(&delivery, post.stands) => Whose::Explained,
        Some(_) => Whose::Unsent,
        // Readers get nothing of it, and the item may have been erased since.
        None if post.stands == Stands::Notice => return Ok(None),
        None => Whose::Nobodys,
    };
    Ok(Some(found(post, Some(item), whose)))
}

/// What a text may be compared with.
#[derive(Clone, Copy)]
enum Known {
    /// Not on record as sent, and not at rest.
    Unsent,
    /// Sent without a word of where it is.
    Nameless,
    /// Sent, and its post is on record; the platform may have made a second one at about that time.
    Named(Timestamp),
}

/// A walk over what is on record of the channel, newest item first, for posts that name no item.
struct Walk<'a> {
    bench: &'a Bench,
    surveys: &'a dyn Surveys,
    texts: Vec<Posted>,
    found: &'a mut Vec<Found>,
    latest: Option<Timestamp>,
}

impl Walk<'_> {
    /// Ends as soon as every post is named; with a post that nobody knows it goes to the end, which stops the
    /// channel and so comes once.
    async fn records(&mut self, first: bool) -> Stored<()> {
        let number = self.bench.policy.number;
        let mut before = None;
        let mut compared = Vec::new();
        loop {
            let stretch = self.bench.shared.store.recorded(number, before).await?;
            for delivery in stretch.deliveries {
                self.name(&delivery);
                let known = known(&delivery);
                if let Some(Known::Named(up)) = known {
                    self.latest = self.latest.max(Some(up));
                } else if matches!(known, Some(Known::Nameless)) {
                    self.latest = self.latest.max(Some(delivery.since));
                }
                let more = known.filter(|_| compared.len() < COMPARED);
                compared.extend(more.map(|known| (delivery.id, known)));
            }
            let ended = self.texts.is_empty() && (!first || self.latest.is_some());
            match stretch.next {
                Some(next) if !ended => before = Some(next),
                Some(_) | None => break,
            }
        }
        for (id, known) in compared {
            if self.texts.is_empty() {
                break;
            }
            self.compare(id, known).await?;
        }
        for post in std::mem::take(&mut self.texts) {
            if matches!(post.sign, Sign::Text { own_app: true, .. }) {
                self.found.push(found(post, None, Whose::Nobodys));
            }
        }
        Ok(())
    }

    fn name(&mut self, delivery: &Delivery) {
        let is = |post: &Posted| names(delivery, &post.remote_id, post.address.as_deref());
        self.take(delivery.id.item, Whose::Explained, is);
    }

    fn take(&mut self, item: ItemId, whose: Whose, is: impl Fn(&Posted) -> bool) {
        let (taken, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.texts).into_iter().partition(is);
        self.texts = others;
        let taken = taken.into_iter();
        self.found
            .extend(taken.map(|post| found(post, Some(item), whose)));
    }

    /// Its signed text, and which of the posts read like it.
    async fn compare(&mut self, id: DeliveryId, known: Known) -> Stored<()> {
        let Some(delivery) = self.bench.shared.store.delivery(id).await? else {
            return Ok(());
        };
        let Some(draft) = signed(self.bench, &delivery).await? else {
            return Ok(());
        };
        let surveys = self.surveys;
        let like = |post: &Posted| surveys.reads_as(post, &draft);
        let near = |post: &Posted, up: Timestamp| post.at.is_none_or(|at| (at - up).abs() <= DAY);
        match known {
            Known::Unsent => self.take(id.item, Whose::Unsent, like),
            Known::Nameless => self.take(id.item, Whose::Explained, like),
            Known::Named(up) => {
                self.take(id.item, Whose::Explained, |post| {
                    near(post, up) && like(post)
                });
            }
        }
        Ok(())
    }
}

fn known(delivery: &Delivery) -> Option<Known> {
    if !explains(delivery, Stands::Public) {
        let waits = !delivery.public_state().at_rest();
        return waits.then_some(Known::Unsent);
    }
    let copy = delivery.copy.as_ref();
    let named = copy.is_some_and(|copy| copy.remote_id.is_some());
    let up = delivery.first_live.unwrap_or(delivery.since);
    Some(if named {
        Known::Named(up)
    } else {
        Known::Nameless
    })
}

async fn signed(bench: &Bench, delivery: &Delivery) -> Stored<Option<std::sync::Arc<Draft>>> {
    let plan = delivery
        .job
        .clone()
        .or_else(|| delivery.plan(&bench.policy));
    let Some(plan) = plan else { return Ok(None) };
    match compose(bench, delivery, &plan).await {
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

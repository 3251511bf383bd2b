//! What is where: lists and one item's whole story.

use super::view::{DeliveryView, ItemView, ShowView, TimelineView};
use super::{Done, Service, view};
use crate::ids::ItemId;
use crate::model::delivery::PublicState;

/// Which items a list shows.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub before: Option<ItemId>,
    pub limit: usize,
    pub item: Option<ItemId>,
    pub channel: Option<String>,
    pub state: Option<PublicState>,
}

/// A page of a list, and where the next begins.
#[derive(Debug, Clone)]
pub struct Page<T> {
    pub rows: Vec<T>,
    pub next: Option<String>,
}

impl Service {
    /// Newest first.
    pub async fn items(&self, filter: &Filter) -> Done<Page<ItemView>> {
        let limit = filter.limit.clamp(1, 500);
        let items = match filter.item {
            Some(id) => self.store.item(id).await?.into_iter().collect(),
            None => self.store.items(filter.before, limit).await?,
        };
        let names = self.view_names();
        let full = filter.item.is_none() && items.len() == limit;
        let next = items
            .last()
            .filter(|_| full)
            .map(|item| item.id.to_string());
        let mut rows = Vec::new();
        for item in &items {
            let deliveries = self.store.deliveries(item.id).await?;
            let watches = self.store.watches_of(item.id).await?;
            let category = self.category(&item.category).name;
            let mut row = names.item(item, category, &deliveries, &watches);
            row.deliveries.retain(|one| fits(one, filter));
            // Asked for a channel or a state, an item without one of them is no answer.
            if row.deliveries.is_empty() && (filter.channel.is_some() || filter.state.is_some()) {
                continue;
            }
            rows.push(row);
        }
        Ok(Page { rows, next })
    }

    /// One row for each item on each channel.
    pub async fn deliveries(&self, filter: &Filter) -> Done<Page<DeliveryView>> {
        let Page { rows, next } = self.items(filter).await?;
        Ok(Page {
            rows: rows.into_iter().flat_map(|item| item.deliveries).collect(),
            next,
        })
    }

    pub async fn show(&self, id: ItemId) -> Done<ShowView> {
        let dossier = self.dossier(id).await?;
        let names = self.view_names();
        let item = &dossier.item;
        let category = self.category(&item.category).name;
        let watches = self.store.watches_of(id).await?;
        let timeline = dossier.deliveries.iter().map(|delivery| TimelineView {
            delivery: names.watched(delivery, &item.title, view::of(delivery, &watches)),
            attempts: delivery.log.iter().map(view::attempt).collect(),
        });
        Ok(ShowView {
            item: names.item(item, category, &dossier.deliveries, &watches),
            revisions: dossier
                .revisions
                .iter()
                .map(|one| view::revision(one, &dossier.approvals))
                .collect(),
            timeline: timeline.collect(),
        })
    }
}

fn fits(delivery: &DeliveryView, filter: &Filter) -> bool {
    filter
        .channel
        .as_ref()
        .is_none_or(|channel| delivery.channel == *channel)
        && filter.state.is_none_or(|state| delivery.state == state)
}

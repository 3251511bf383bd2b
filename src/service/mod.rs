//! The use-cases: the one door for the HTTP interface, the pages and the command line.

mod approve;
mod channels;
mod halts;
pub mod opening;
mod read;
mod reload;
mod schedules;
mod setup;
mod store;
mod submit;
mod trouble;
mod verify;
pub mod view;

use std::sync::Arc;

use lubu_channels::{Category, Transport, Words};

use crate::clock::Time;
use crate::config::Config;
use crate::engine::{Engine, Shelf};
use crate::ids::{ChannelNo, DeliveryId, ItemId};
use crate::store::act::Actor;
use crate::store::{Act, Answer, Store};

pub use approve::{Approve, Approved};
pub use read::{Filter, Page};
pub use reload::{Asked, Reloaded, Reloads};
pub use setup::{InForce, Setup};
pub use store::{HeldView, Released, StoreView};
pub use submit::{Submit, Submitted};
pub use trouble::{Problem, Trouble};
pub use verify::{Inspect, Inspection, InspectionView, NightView, parse_cursor};

/// Everything a request needs.
#[derive(Debug)]
pub struct Service {
    pub in_force: InForce,
    pub store: Arc<dyn Store>,
    pub engine: Engine,
    pub time: Arc<dyn Time>,
    /// For addresses that content names.
    pub guarded: Arc<dyn Transport>,
    /// A person's pass over what is published: the last one, or the one under way.
    pub inspection: Inspection,
    /// Where another configuration is asked for.
    pub reloads: Reloads,
}

pub type Done<T> = Result<T, Trouble>;

/// What a person says of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    Retry,
    Live { url: Option<String> },
    Absent,
}

impl Service {
    pub fn shelf(&self) -> &Shelf {
        &self.engine.shared.shelf
    }

    pub fn setup(&self) -> Arc<Setup> {
        self.in_force.now()
    }

    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.setup().config)
    }

    pub fn number(&self, name: &str) -> Done<ChannelNo> {
        let found = self.setup().number(name);
        found.ok_or_else(|| no_channel(name))
    }

    /// The same where a channel that was configured once will do.
    pub fn known(&self, name: &str) -> Done<ChannelNo> {
        let found = self.setup().known(name);
        found.ok_or_else(|| no_channel(name))
    }

    fn category(&self, code: &str) -> Category {
        match self.config().categories.find(code) {
            Some(leaf) => Category {
                code: leaf.code.clone(),
                name: leaf.name.clone(),
                parent: leaf.parent.clone(),
            },
            None => Category {
                code: code.to_owned(),
                name: code.to_owned(),
                parent: String::new(),
            },
        }
    }

    /// An item by its id or any unique beginning of it.
    pub async fn find(&self, text: &str) -> Done<ItemId> {
        if let Ok(id) = text.parse() {
            return Ok(id);
        }
        let found = self.store.named(text, 2).await?;
        match found.as_slice() {
            [one] => Ok(*one),
            [] => Err(Trouble::NotFound(Words::new(
                format!("没有编号以“{text}”开头的信息。"),
                format!("no item's id begins with `{text}`."),
            ))),
            _ => Err(Trouble::Wrong(Words::new(
                format!("“{text}”对应不止一条信息，请多写几位编号。"),
                format!("`{text}` fits more than one item; write more of its id."),
            ))),
        }
    }

    /// A delivery as people write it: `ITEM:CHANNEL`.
    pub async fn find_delivery(&self, text: &str) -> Done<DeliveryId> {
        let Some((item, channel)) = text.split_once(':') else {
            return Err(Trouble::Wrong(Words::new(
                format!("“{text}”不是投递编号，应写成 信息编号:渠道名。"),
                format!("`{text}` is no delivery; write ITEM:CHANNEL."),
            )));
        };
        // A person may still have a word on what a channel of before left behind.
        Ok(DeliveryId {
            item: self.find(item).await?,
            channel: self.known(channel)?,
        })
    }

    /// Takes an item down from every channel that ever had it.
    pub async fn withdraw(
        &self,
        id: ItemId,
        by: &str,
        reason: &str,
        from: &'static str,
    ) -> Done<()> {
        if reason.trim().is_empty() {
            return Err(Trouble::Wrong(Words::new(
                "撤下必须写明理由（--reason）。",
                "a withdrawal needs its reason (--reason).",
            )));
        }
        let actor = Actor::new(by, from);
        let act = Act::Withdraw {
            actor,
            item: id,
            reason: reason.trim().to_owned(),
        };
        if let Answer::Deliveries(deliveries) = self.store.act(act).await? {
            self.engine.hub().wake(&deliveries);
        }
        Ok(())
    }

    /// Records a person's word on a delivery, and lets the engine act on it.
    pub async fn say(&self, id: DeliveryId, by: &str, word: Word, from: &'static str) -> Done<()> {
        use crate::model::delivery::Event;
        let by_whom = by.to_owned();
        let event = match word {
            Word::Retry => Event::Retry { by: by_whom },
            Word::Live { url } => Event::SaidLive {
                by: by_whom,
                url: checked(url)?,
            },
            Word::Absent => Event::SaidAbsent { by: by_whom },
        };
        let act = Act::Decide {
            actor: Actor::new(by, from),
            id,
            event: Box::new(event),
        };
        if let Answer::Settled(delivery, released) = self.store.act(act).await? {
            self.engine.hub().wake(&[*delivery]);
            self.engine.hub().wake(&released);
        }
        Ok(())
    }
}

fn no_channel(name: &str) -> Trouble {
    Trouble::NotFound(Words::new(
        format!("没有名为“{name}”的渠道。lubu channels 列出全部渠道。"),
        format!("there is no channel `{name}`; `lubu channels` lists them."),
    ))
}

fn checked(url: Option<String>) -> Done<Option<String>> {
    let Some(text) = url.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let good = url::Url::parse(&text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if good {
        return Ok(Some(text));
    }
    Err(Trouble::Wrong(Words::new(
        format!("“{text}”不是网址，应以 https:// 开头。"),
        format!("`{text}` is no address; it starts with https://."),
    )))
}

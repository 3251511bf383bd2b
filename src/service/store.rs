//! The store as a person meets it: how it stands, taking a restored folder over, releasing what was held, backups.

use std::path::PathBuf;

use lubu_channels::Words;
use serde::{Deserialize, Serialize};

use super::{Done, Service, Trouble};
use crate::model::attempt::Outcome;
use crate::model::delivery::{Delivery, Event};
use crate::store::act::Actor;
use crate::store::{Act, Answer, Copied, Refusal, StoreError};

/// How the store stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreView {
    pub healthy: bool,
    /// False where the folder was restored or copied and nothing is sent until somebody adopts it.
    pub adopted: bool,
    /// Chinese, then English.
    pub words: String,
    pub words_en: String,
    /// What is held because the store may be older than what was sent.
    pub held: Vec<HeldView>,
}

/// One delivery that waits for a person, with what the look found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldView {
    /// `ITEM:CHANNEL`.
    pub id: String,
    pub title: String,
    pub channel: String,
    /// Null while it has not been looked for.
    pub look: Option<Outcome>,
    pub words: Option<String>,
    pub words_en: Option<String>,
}

/// What a release did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    pub released: u64,
    /// Those that moved on meanwhile.
    pub passed: u64,
    /// Those that no look could tell of: they may be public already, and are decided one by one.
    pub left: Vec<String>,
}

impl Service {
    pub async fn store_view(&self) -> Done<StoreView> {
        let standing = self.store.standing();
        Ok(StoreView {
            healthy: standing.healthy,
            adopted: standing.adopted,
            words: standing.words.zh,
            words_en: standing.words.en,
            held: self.held().await?,
        })
    }

    async fn restored(&self) -> Done<Vec<Delivery>> {
        let mut unsettled = self.store.unsettled().await?;
        unsettled.retain(Delivery::is_restored);
        Ok(unsettled)
    }

    async fn held(&self) -> Done<Vec<HeldView>> {
        let names = self.view_names();
        let mut views = Vec::new();
        for delivery in self.restored().await? {
            let item = self.store.item(delivery.id.item).await?;
            let title = item.map_or_else(String::new, |item| item.title);
            let look = delivery.look_since_restored();
            let words = look.and_then(|look| look.words.clone());
            let view = names.delivery(&delivery, &title);
            views.push(HeldView {
                id: view.id,
                title,
                channel: view.channel,
                look: look.map(|look| look.outcome),
                words: words.as_ref().map(|words| words.zh.clone()),
                words_en: words.map(|words| words.en),
            });
        }
        Ok(views)
    }

    /// Takes a restored or copied folder over. Refused while something that is held has not been looked for, unless that
    /// is said to be known. What is held stays held.
    pub async fn adopt(&self, by: &str, unseen: bool, from: &'static str) -> Done<StoreView> {
        let unlooked = self
            .restored()
            .await?
            .iter()
            .filter(|one| one.look_since_restored().is_none() && one.next_at().is_some())
            .count();
        if !self.store.standing().adopted && unlooked > 0 && !unseen {
            return Err(Trouble::Wrong(Words::new(
                format!(
                    "还有 {unlooked} 条投递没有到平台核对过。请稍后再试；平台连不上时可用 --unseen 先接管，它们仍然暂缓。"
                ),
                format!(
                    "{unlooked} deliveries have not been looked for yet; try again later, or say --unseen: they stay held."
                ),
            )));
        }
        let actor = Actor::new(named(by)?, from);
        self.store.act(Act::Adopt { actor }).await?;
        self.tell_lanes().await?;
        self.store_view().await
    }

    /// Lets go on what was held because the store was restored and was found absent, or is to go. What no look could tell
    /// of stays held: sent in bulk it could be public a second time.
    pub async fn release_held(&self, by: &str, from: &'static str) -> Done<Released> {
        let by = named(by)?;
        if !self.store.standing().adopted {
            return Err(Trouble::Store(StoreError::Refused(Refusal::NotAdopted)));
        }
        let mut done = Released::default();
        let names = self.view_names();
        for delivery in self.restored().await? {
            if !is_told(&delivery) {
                done.left.push(names.delivery(&delivery, "").id);
                continue;
            }
            let act = Act::Decide {
                actor: Actor::new(&by, from),
                id: delivery.id,
                event: Box::new(Event::Freed { by: by.clone() }),
            };
            match self.store.act(act).await {
                Ok(Answer::Settled(after, others)) => {
                    self.engine.hub().wake(&[*after]);
                    self.engine.hub().wake(&others);
                    done.released += 1;
                }
                Ok(_) => {}
                Err(StoreError::Refused(Refusal::Illegal(_) | Refusal::Stale)) => done.passed += 1,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(done)
    }

    /// Copies everything into another folder of this machine.
    pub async fn backup(&self, to: PathBuf) -> Done<Copied> {
        if !to.is_absolute() {
            return Err(Trouble::Wrong(Words::new(
                "备份目录须是绝对路径。",
                "the backup folder is named by an absolute path.",
            )));
        }
        Ok(self.store.backup(to).await?)
    }
}

/// Whether a look said what is there, or what is to go is known.
fn is_told(delivery: &Delivery) -> bool {
    let looked = delivery.look_since_restored();
    let known = delivery.unrecorded_since().is_none();
    delivery.withdrawing() && known
        || looked.is_some_and(|look| look.outcome != Outcome::CannotTell)
}

fn named(by: &str) -> Done<String> {
    let by = by.trim();
    if by.is_empty() {
        return Err(Trouble::Wrong(Words::new(
            "须写明是谁决定的（--by）。",
            "say who decides (--by).",
        )));
    }
    Ok(by.to_owned())
}

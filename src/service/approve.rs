//! Sign-off: every channel's draft is rendered and shown before anything is signed.

use lubu_channels::{Draft, Words};

use super::submit::unexpected;
use super::view::DeliveryView;
use super::{Done, Service, Trouble, view};
use crate::engine::Drafts;
use crate::ids::{ChannelNo, ItemId};
use crate::model::approval::{Approval, OnCorrection};
use crate::model::item::{Content, Item, Revision};
use crate::model::scope::Scope;
use crate::store::act::{Actor, Approve as ApproveAct};
use crate::store::{Act, Answer, Dossier, Refusal, StoreError};

/// A leader's decision.
#[derive(Debug, Clone)]
pub struct Approve {
    pub item: ItemId,
    /// The newest where none is named.
    pub revision: Option<u32>,
    /// What the drafter proposed where none is named; refused where neither did.
    pub scope: Option<Scope>,
    pub by: String,
    pub opinion: String,
    pub choices: Vec<(String, OnCorrection)>,
    /// Channels that this revision knowingly skips.
    pub without: Vec<String>,
    pub from: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    pub item: String,
    pub revision: u32,
    pub scope: Scope,
    pub deliveries: Vec<DeliveryView>,
}

impl Service {
    /// On disk once this returns; deliveries begin at once.
    pub async fn approve(&self, approve: Approve) -> Done<Approved> {
        let by = approve.by.trim().to_owned();
        if by.is_empty() {
            return Err(wrong(
                "签发必须写明签发人（--by）。",
                "an approval names who signs (--by).",
            ));
        }
        let (item, revision, content) = self.desk(approve.item, approve.revision).await?;
        let Some(scope) = approve.scope.or(content.scope) else {
            return Err(wrong(
                "签发必须写明发布范围：--scope public（主动公开）、intranet（内网公开）、restricted（限制阅读）或 withheld（不公开）。",
                "an approval names the scope: --scope public, intranet, restricted or withheld.",
            ));
        };
        let drafts = match scope {
            Scope::Public => {
                self.fitting(&item, &revision, &content, &approve.without)
                    .await?
            }
            Scope::Intranet | Scope::Restricted | Scope::Withheld => Vec::new(),
        };
        let drafts = Drafts::new(drafts);
        let routed = drafts.iter().map(|(no, one)| (no, one.hash.clone()));
        let routed = routed.collect();
        let packed = self.shelf().put(self.store.as_ref(), drafts).await?;
        let mut choices = Vec::new();
        for (name, choice) in &approve.choices {
            choices.push((self.number(name)?, *choice));
        }
        let approval = Approval {
            item: approve.item,
            revision: revision.number,
            hash: revision.hash.clone(),
            scope,
            by: by.clone(),
            opinion: approve.opinion.trim().to_owned(),
            at: self.time.now(),
            drafts: packed.hash,
            routed,
        };
        let actor = Actor::new(by, approve.from);
        let act = Act::Approve(Box::new(ApproveAct {
            actor,
            approval,
            inline: packed.inline,
            choices,
        }));
        let Answer::Deliveries(deliveries) = self.store.act(act).await? else {
            return Err(unexpected());
        };
        self.engine.hub().wake(&deliveries);
        let names = self.view_names();
        let title = &revision.title;
        Ok(Approved {
            item: approve.item.to_string(),
            revision: revision.number,
            scope,
            deliveries: deliveries
                .iter()
                .map(|one| names.delivery(one, title))
                .collect(),
        })
    }

    /// Every routed channel's draft; refused where one cannot show it, before anything is signed.
    async fn fitting(
        &self,
        item: &Item,
        revision: &Revision,
        content: &Content,
        without: &[String],
    ) -> Done<Vec<(ChannelNo, Draft)>> {
        for name in without {
            self.number(name)?;
        }
        let (drafts, findings) = self.drafts(item, revision, content, without).await?;
        if !findings.is_empty() {
            return Err(Trouble::Unfit(findings));
        }
        if drafts.is_empty() {
            return Err(wrong(
                "没有任何渠道可发。",
                "no channel is left to publish on.",
            ));
        }
        Ok(drafts)
    }

    /// What a channel would show of a revision: a whole HTML page, made without network.
    pub async fn preview(&self, id: ItemId, revision: Option<u32>, channel: &str) -> Done<String> {
        self.number(channel)?;
        let (item, revision, content) = self.desk(id, revision).await?;
        let draft = self.draft_for(channel, &item, &revision, &content).await?;
        draft.map(|draft| draft.preview).map_err(Trouble::Unfit)
    }

    /// A revision, the newest where none is named, with its content checked against its hash.
    async fn desk(&self, id: ItemId, number: Option<u32>) -> Done<(Item, Revision, Content)> {
        let Some(desk) = self.store.desk(id, number).await? else {
            return Err(Trouble::Store(StoreError::Refused(Refusal::NoItem(id))));
        };
        let number = number.unwrap_or(desk.item.latest);
        let Some(revision) = desk.revision else {
            let refusal = Refusal::NoRevision(id, number);
            return Err(Trouble::Store(StoreError::Refused(refusal)));
        };
        let content = read_content(desk.content.as_deref())?;
        Ok((desk.item, revision, content))
    }

    pub(super) async fn dossier(&self, id: ItemId) -> Done<Dossier> {
        let dossier = self.store.dossier(id).await?;
        dossier.ok_or(Trouble::Store(StoreError::Refused(Refusal::NoItem(id))))
    }

    pub(super) fn view_names(&self) -> view::Names {
        view::Names {
            setup: self.setup(),
        }
    }
}

fn read_content(bytes: Option<&Vec<u8>>) -> Done<Content> {
    let content = bytes.and_then(|bytes| serde_json::from_slice(bytes).ok());
    content.ok_or_else(|| {
        wrong(
            "这一版的正文读不出来，请从备份恢复。",
            "this revision's content cannot be read; restore it from a backup.",
        )
    })
}

pub(super) fn wrong(zh: &str, en: &str) -> Trouble {
    Trouble::Wrong(Words::new(zh, en))
}

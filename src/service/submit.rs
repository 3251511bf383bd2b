//! Taking an item in, or a new revision of one.

use std::sync::Arc;

use lubu_channels::Words;

use super::view::FindingView;
use super::{Done, Service, Setup, Trouble, no_channel};
use crate::config::Config;
use crate::engine::render::{self, Loaded};
use crate::engine::suspects::{AtWork, Work};
use crate::ids::{ChannelNo, ItemId};
use crate::intake::{self, Desk, Prepared, Submission};
use crate::model::item::{Content, Item, Revision};
use crate::store::act::{Accept, Accepted, Actor, IndexRule};
use crate::store::{Act, Answer};

/// A request to take something in.
#[derive(Debug)]
pub struct Submit {
    pub submission: Submission,
    pub by: String,
    pub from: &'static str,
    /// The submitter's `Idempotency-Key`, and the hash of the body it came with.
    pub key: Option<(String, String)>,
    /// Take it though the same content is here already.
    pub again: bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    pub accepted: Accepted,
    /// What will not fit where, seen before anyone signs.
    pub findings: Vec<FindingView>,
    pub notes: Vec<Words>,
}

impl Service {
    /// On disk once this returns.
    pub async fn submit(&self, submit: Submit) -> Done<Submitted> {
        let prepared = self.prepare(submit.submission).await?;
        let (content, hash) = self.keep(&prepared).await?;
        let now = self.time.now();
        let id = ItemId::new(now.timestamp_millis(), self.chance());
        let item = Item {
            id,
            version: 0,
            index_no: None,
            received_at: now,
            title: content.title.clone(),
            category: content.category.clone(),
            latest: 1,
            approved: None,
            withdrawal: None,
            channels: Vec::new(),
            corrections: Vec::new(),
            schedule: content.schedule.clone(),
        };
        let act = Act::Accept(Box::new(Accept {
            actor: Actor::new(&submit.by, submit.from),
            revision: self.revision(id, 1, hash, &content, &submit.by),
            item,
            key: submit.key,
            again: submit.again,
            index: self.index_rule(&content),
        }));
        self.answer(act, &content, prepared.notes).await
    }

    /// A new revision of an item that exists; it needs its own approval.
    pub async fn revise(&self, id: ItemId, submit: Submit, note: &str) -> Done<Submitted> {
        let mut prepared = self.prepare(submit.submission).await?;
        let note = note.trim();
        let said = prepared.content.correction.clone().unwrap_or_default();
        let note = if note.is_empty() {
            said
        } else {
            note.to_owned()
        };
        if note.is_empty() {
            return Err(Trouble::Wrong(Words::new(
                "更正必须说明改了什么（--note，或稿件里的 correction）。",
                "a correction says what it changes (--note, or `correction` in the item).",
            )));
        }
        prepared.content.correction = Some(note.clone());
        let (content, hash) = self.keep(&prepared).await?;
        let act = Act::Revise {
            actor: Actor::new(&submit.by, submit.from),
            revision: Box::new(self.revision(id, 0, hash, &content, &submit.by)),
            note,
            schedule: content.schedule.clone(),
        };
        self.answer(act, &content, prepared.notes).await
    }

    async fn prepare(&self, submission: Submission) -> Done<Prepared> {
        let config = self.config();
        let channels = config.channels.iter().map(|one| {
            (
                one.name.clone(),
                one.adapter.clone(),
                one.channel.caps().overrides.clone(),
            )
        });
        let desk = Desk {
            limits: &config.intake,
            categories: &config.categories,
            office: &config.office,
            channels: channels.collect(),
            schedules: config
                .schedules
                .iter()
                .map(|one| one.name.clone())
                .collect(),
            fetch: self.guarded.as_ref(),
        };
        intake::prepare(submission, &desk)
            .await
            .map_err(Trouble::Invalid)
    }

    /// Content and media as blobs, before anything names them.
    async fn keep(&self, prepared: &Prepared) -> Done<(Content, String)> {
        for bytes in prepared.media.values() {
            self.store.put_blob(bytes.clone()).await?;
        }
        let hash = self.store.put_blob(prepared.content.canonical()).await?;
        Ok((prepared.content.clone(), hash))
    }

    fn revision(
        &self,
        item: ItemId,
        number: u32,
        hash: String,
        content: &Content,
        by: &str,
    ) -> Revision {
        Revision {
            item,
            number,
            hash,
            title: content.title.clone(),
            proposed: content.scope,
            by: by.to_owned(),
            at: self.time.now(),
        }
    }

    fn index_rule(&self, content: &Content) -> Option<IndexRule> {
        let config = self.config();
        let office = &config.office;
        let today = self.time.now().with_timezone(&config.zone()).date_naive();
        office.org_code.as_ref().map(|org| IndexRule {
            template: office.index_template.clone(),
            org: org.clone(),
            formed_on: content.formed_on.unwrap_or(today),
        })
    }

    async fn answer(&self, act: Act, content: &Content, notes: Vec<Words>) -> Done<Submitted> {
        let Answer::Accepted(accepted) = self.store.act(act).await? else {
            return Err(unexpected());
        };
        let findings = self.findings(accepted.item, content).await?;
        Ok(Submitted {
            accepted,
            findings,
            notes,
        })
    }

    /// What will not fit on the channels that a public release would go to.
    async fn findings(&self, id: ItemId, content: &Content) -> Done<Vec<FindingView>> {
        let Some(dossier) = self.store.dossier(id).await? else {
            return Ok(Vec::new());
        };
        let Some(revision) = dossier.revisions.last() else {
            return Ok(Vec::new());
        };
        let (_, findings) = self.drafts(&dossier.item, revision, content, &[]).await?;
        Ok(findings)
    }

    /// Every routed channel's draft, or what will not fit.
    pub(super) async fn drafts(
        &self,
        item: &Item,
        revision: &Revision,
        content: &Content,
        without: &[String],
    ) -> Done<(Vec<(ChannelNo, lubu_channels::Draft)>, Vec<FindingView>)> {
        let media = Arc::new(Loaded::read(self.store.as_ref(), content).await?);
        let setup = self.setup();
        let mut names = setup.config.routing.channels(&content.category);
        names.retain(|name| !without.iter().any(|skipped| skipped == name));
        let mut papers = Vec::new();
        for name in &names {
            papers.push(self.paper(&setup, name, item, revision, content)?);
        }
        let mut drafts = Vec::new();
        let mut findings = Vec::new();
        let _at_work = self.rendering(revision)?;
        for (name, rendered) in names.iter().zip(render::drafts(papers, media).await) {
            match rendered {
                Ok(draft) => {
                    let number = setup.number(name).ok_or_else(|| no_channel(name))?;
                    drafts.push((number, draft));
                }
                Err(theirs) => findings.extend(theirs.into_iter().map(|one| found(name, one))),
            }
        }
        Ok((drafts, findings))
    }

    /// Refused for content that ended the process too often while its drafts were made.
    fn rendering(&self, revision: &Revision) -> Done<AtWork> {
        let work = Work::drafts(&revision.hash);
        self.engine.shared.suspects.enter_now(work).ok_or_else(|| {
            Trouble::Wrong(Words::new(
                "生成这一稿的稿样时程序已连续三次中断。请改动稿件后重新提交（lubu revise），并把这一稿交给运维。",
                "the process died three times in a row while drafts of this content were made; change it (lubu revise), and hand it to the engineer.",
            ))
        })
    }

    /// One channel's draft of a revision.
    pub(super) async fn draft_for(
        &self,
        name: &str,
        item: &Item,
        revision: &Revision,
        content: &Content,
    ) -> Done<Result<lubu_channels::Draft, Vec<FindingView>>> {
        let media = Arc::new(Loaded::read(self.store.as_ref(), content).await?);
        let paper = self.paper(&self.setup(), name, item, revision, content)?;
        let _at_work = self.rendering(revision)?;
        let rendered = render::drafts(vec![paper], media).await.pop();
        let rendered = rendered.unwrap_or_else(|| Err(Vec::new()));
        Ok(rendered.map_err(|theirs| theirs.into_iter().map(|one| found(name, one)).collect()))
    }

    /// A channel and the document it is to show.
    fn paper(
        &self,
        setup: &Setup,
        name: &str,
        item: &Item,
        revision: &Revision,
        content: &Content,
    ) -> Done<(Arc<dyn lubu_channels::Channel>, lubu_channels::Document)> {
        let office = &setup.config.office;
        let config = setup.config.channels.iter().find(|one| one.name == name);
        let config = config.ok_or_else(|| no_channel(name))?;
        let frame = render::Frame {
            publisher: &office.name,
            category: self.category(&content.category),
            canonical: canonical(&setup.config, item.id),
        };
        let document = render::document(item, revision, content, &frame, name, &config.adapter);
        Ok((Arc::clone(&config.channel), document))
    }

    /// The item's address on the office's own site, where there is one.
    pub fn canonical(&self, id: ItemId) -> Option<String> {
        canonical(&self.config(), id)
    }

    fn chance(&self) -> [u8; 10] {
        let mut bytes = [0; 10];
        for byte in &mut bytes {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "0..256"
            )]
            let one = (self.engine.shared.dice.roll() * 256.0) as u8;
            *byte = one;
        }
        bytes
    }
}

fn canonical(config: &Config, id: ItemId) -> Option<String> {
    let mut channels = config.channels.iter();
    let site = channels.find_map(|one| one.channel.pages());
    site.map(|pages| pages.address(&id.to_string()))
}

fn found(channel: &str, one: lubu_channels::Finding) -> FindingView {
    FindingView {
        channel: channel.to_owned(),
        field: one.field,
        limit: one.limit,
        actual: one.actual,
        reason: one.words.zh,
        reason_en: one.words.en,
    }
}

pub(super) fn unexpected() -> Trouble {
    Trouble::Wrong(Words::new(
        "程序内部答非所问，请把日志交给运维。",
        "an internal answer was of the wrong kind; hand the log to the engineer.",
    ))
}

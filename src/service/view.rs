//! What is told of items, deliveries, channels and schedules: the shapes of version 1.
//!
//! The same types are written by the daemon and read by the command line. Version 1 only ever adds
//! fields. Ids are strings, times RFC 3339, states the English words of the design.

use std::sync::Arc;

use chrono::SecondsFormat;
use lubu_channels::{Evidence, Timestamp, Words};
use serde::{Deserialize, Serialize};

use super::Setup;
use crate::ids::ChannelNo;
use crate::model::attempt::{Attempt, Outcome};
use crate::model::delivery::{Delivery, Hold, PublicState, State};
use crate::model::finding::{Kind, Watch};
use crate::model::item::{Item, Revision};
use crate::model::patrol::Counts;
use crate::model::scope::Scope;

pub fn time(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// One item on one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryView {
    /// `ITEM:CHANNEL`.
    pub id: String,
    pub item: String,
    pub title: String,
    pub channel: String,
    pub state: PublicState,
    /// The wanted revision; null while it is wanted gone.
    pub revision: Option<u32>,
    /// What readers see meanwhile.
    pub live: Option<LiveView>,
    /// Where readers find it.
    pub url: Option<String>,
    pub remote_id: Option<String>,
    pub attempts: u32,
    pub next_at: Option<String>,
    /// Why it stands where it stands; Chinese, then English.
    pub reason: Option<String>,
    pub reason_en: Option<String>,
    /// Nothing moves until a person acts; waiting for another channel or a schedule is not that.
    #[serde(default)]
    pub needs_person: bool,
    /// When a reader could first see it; never moves.
    pub first_live: Option<String>,
    /// When it was last wanted otherwise.
    pub since: String,
    /// What looking again found.
    #[serde(default)]
    pub finding: Option<StrayView>,
}

/// What was found about something published: not what it should be, or not to be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrayView {
    pub kind: Kind,
    /// First seen so.
    pub since: String,
    pub reason: String,
    pub reason_en: String,
    /// What a person can do about it.
    pub advice: String,
    pub advice_en: String,
    /// A person let it stand.
    pub accepted: bool,
}

/// The last pass over a channel, or the one under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatrolView {
    pub channel: String,
    pub began: String,
    pub ended: Option<String>,
    pub counts: Counts,
    /// Why it did not look at everything.
    pub stopped: Option<String>,
    pub stopped_en: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveView {
    pub revision: u32,
    pub url: Option<String>,
    pub seen_at: String,
    pub evidence: Evidence,
}

/// One try of one step, one look, or one person's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptView {
    pub number: u32,
    pub round: u32,
    pub revision: u32,
    pub step: String,
    pub outcome: Outcome,
    pub began: String,
    pub ended: Option<String>,
    pub code: Option<String>,
    pub request_id: Option<String>,
    pub reason: Option<String>,
    pub reason_en: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemView {
    pub id: String,
    pub title: String,
    pub category: String,
    pub category_name: String,
    pub index_no: Option<String>,
    pub received_at: String,
    pub revision: u32,
    pub approved_revision: Option<u32>,
    pub withdrawn: Option<String>,
    pub schedule: Option<String>,
    pub deliveries: Vec<DeliveryView>,
}

/// Everything about one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShowView {
    pub item: ItemView,
    pub revisions: Vec<RevisionView>,
    pub timeline: Vec<TimelineView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineView {
    pub delivery: DeliveryView,
    pub attempts: Vec<AttemptView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionView {
    pub number: u32,
    pub hash: String,
    pub title: String,
    pub proposed_scope: Option<Scope>,
    pub by: String,
    pub at: String,
    pub approval: Option<ApprovalView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalView {
    pub by: String,
    pub opinion: String,
    pub scope: Scope,
    pub at: String,
}

/// Why nothing is sent anywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaltView {
    /// `ordered` by a person, or `clock_suspect`.
    pub kind: String,
    pub at: Option<String>,
    pub reason: String,
    pub reason_en: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelView {
    pub name: String,
    pub adapter: String,
    /// `open`, `paused`, `broken` (its breaker is open), `quiet` (in its quiet hours), `unlisted` (what it shows could
    /// not be listed, and nothing is sent before), or `removed` (no longer configured, with something unfinished).
    pub state: String,
    pub reason: Option<String>,
    pub reason_en: Option<String>,
    pub until: Option<String>,
    pub after: Vec<String>,
    /// When nothing is published or corrected there, as configured.
    #[serde(default)]
    pub quiet_hours: Vec<String>,
    /// Deliveries not at rest, by state.
    pub counts: Vec<(PublicState, usize)>,
    /// What the platform was last seen to show; none where it has no list, or was not asked yet.
    #[serde(default)]
    pub survey: Option<SurveyView>,
}

/// The last survey of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SurveyView {
    pub at: String,
    /// Posts of former times that the first one found, and that nothing is on record of.
    pub former: u32,
    /// Public posts of which nothing is on record: they stop the channel.
    pub unknown: Vec<UnknownPost>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownPost {
    pub remote_id: String,
    pub url: Option<String>,
    pub published: Option<String>,
    pub title: String,
    pub item: Option<String>,
    /// The item is here, and not on record as sent.
    pub unsent: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckView {
    pub channel: String,
    pub ok: bool,
    pub lines: Vec<Words>,
    pub expires: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleView {
    pub name: String,
    pub cron: String,
    pub timezone: String,
    /// `release` or `build`, or `gone`: it is no longer configured, and items wait for it.
    pub does: String,
    pub next: Vec<String>,
    pub last: Option<RunView>,
    /// Items approved and waiting for it.
    pub waiting: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunView {
    pub period: String,
    pub due: String,
    pub at: String,
    pub result: Option<String>,
}

/// Why a channel cannot show an item as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingView {
    pub channel: String,
    pub field: String,
    pub limit: Option<u64>,
    pub actual: Option<u64>,
    pub reason: String,
    pub reason_en: String,
}

/// Names for what the records call by number.
#[derive(Debug)]
pub struct Names {
    pub setup: Arc<Setup>,
}

impl Names {
    pub fn channel(&self, number: ChannelNo) -> String {
        let all = self.setup.names.iter().chain(&self.setup.former);
        let found = { all }.find(|(no, _)| *no == number);
        found.map_or_else(|| format!("#{}", number.0), |(_, name)| name.clone())
    }

    pub fn delivery(&self, delivery: &Delivery, title: &str) -> DeliveryView {
        let plain = self.plain(delivery, title);
        // Nobody turns to it while its channel is not configured, whatever it waits for.
        let left = !self.setup.is_configured(delivery.id.channel) && !plain.state.at_rest();
        let words = match self.setup.lost_schedule(delivery) {
            _ if left => removed(plain.state),
            Some(schedule) => never_released(schedule),
            None => return plain,
        };
        DeliveryView {
            state: PublicState::Held,
            next_at: None,
            reason: Some(words.zh),
            reason_en: Some(words.en),
            needs_person: true,
            ..plain
        }
    }

    fn plain(&self, delivery: &Delivery, title: &str) -> DeliveryView {
        let channel = self.channel(delivery.id.channel);
        let zone = self.setup.config.zone();
        let (reason, reason_en) = split(delivery.reason(|number| self.channel(number), zone));
        let copy = delivery.copy.as_ref();
        DeliveryView {
            id: format!("{}:{channel}", delivery.id.item),
            item: delivery.id.item.to_string(),
            title: title.to_owned(),
            channel,
            state: delivery.public_state(),
            revision: delivery.wanted_revision(),
            live: copy.map(|copy| LiveView {
                revision: copy.revision,
                url: copy.address.clone(),
                seen_at: time(copy.seen_at),
                evidence: copy.evidence,
            }),
            url: copy.and_then(|copy| copy.address.clone()),
            remote_id: copy.and_then(|copy| copy.remote_id.clone()),
            attempts: delivery.attempts,
            next_at: delivery.next_at().map(time),
            reason,
            reason_en,
            needs_person: needs_person(delivery),
            first_live: delivery.first_live.map(time),
            since: time(delivery.since),
            finding: None,
        }
    }

    /// The same with what looking again found, where that is more than a suspicion.
    pub fn watched(&self, delivery: &Delivery, title: &str, watch: Option<&Watch>) -> DeliveryView {
        let plain = self.delivery(delivery, title);
        let found = watch.and_then(|watch| {
            let accepted = watch.accepted();
            let finding = watch.finding().or(accepted)?;
            let advice = advice(finding.kind, &plain);
            Some(StrayView {
                kind: finding.kind,
                since: time(finding.since),
                reason: finding.words.zh.clone(),
                reason_en: finding.words.en.clone(),
                advice: advice.zh,
                advice_en: advice.en,
                accepted: accepted.is_some(),
            })
        });
        DeliveryView {
            finding: found,
            ..plain
        }
    }

    pub fn item(
        &self,
        item: &Item,
        category_name: String,
        deliveries: &[Delivery],
        watches: &[Watch],
    ) -> ItemView {
        ItemView {
            id: item.id.to_string(),
            title: item.title.clone(),
            category: item.category.clone(),
            category_name,
            index_no: item.index_no.clone(),
            received_at: time(item.received_at),
            revision: item.latest,
            approved_revision: item.approved,
            withdrawn: item.withdrawal.as_ref().map(|one| time(one.at)),
            schedule: item.schedule.clone(),
            deliveries: deliveries
                .iter()
                .map(|one| self.watched(one, &item.title, of(one, watches)))
                .collect(),
        }
    }
}

fn removed(state: PublicState) -> Words {
    Words::new(
        format!(
            "渠道已不在配置里，这条停在原处（{}）。把渠道加回配置就会继续；不再加回的，到平台上处理后用 lubu confirm 说明",
            state.zh()
        ),
        format!(
            "its channel is no longer configured, and it stays as it is ({}); it goes on once the channel is configured again, or say with `lubu confirm` what is on the platform",
            state.code()
        ),
    )
}

fn never_released(schedule: &str) -> Words {
    Words::new(
        format!(
            "已签发，但所等的定期计划“{schedule}”已不在配置里，不会自己发出。把计划加回配置，或用 lubu revise 交一版不写 schedule 的稿件并重新签发"
        ),
        format!(
            "approved, but the schedule `{schedule}` that it waits for is no longer configured and will not release it: configure it again, or hand in a revision without `schedule` (`lubu revise`) and approve that"
        ),
    )
}

/// The ways out. None of them is taken by itself.
fn advice(kind: Kind, delivery: &DeliveryView) -> Words {
    let (id, item) = (&delivery.id, &delivery.item);
    match kind {
        Kind::Changed => Words::new(
            format!(
                "正常的编辑修改：lubu confirm {id} --published；要改回签发的内容：lubu retry {id}（不能在原处更正的渠道请到平台上改）；不再公开：lubu withdraw {item}"
            ),
            format!(
                "an edit that may stand: `lubu confirm {id} --published`; put right: `lubu retry {id}` (or by hand, where nothing is corrected in place); take down: `lubu withdraw {item}`"
            ),
        ),
        Kind::Removed => Words::new(
            format!(
                "要重新发布：lubu retry {id}；就这样不再补发：lubu confirm {id} --absent；其实还在：lubu confirm {id} --published 网址"
            ),
            format!(
                "publish anew: `lubu retry {id}`; leave it gone: `lubu confirm {id} --absent`; it is there after all: `lubu confirm {id} --published URL`"
            ),
        ),
        Kind::Duplicate => Words::new(
            format!(
                "请在平台上删除多余的，然后 lubu confirm {id} --published；全部撤下：lubu withdraw {item}；没有被撤下的请在平台上逐条删除，然后 lubu confirm {id} --absent"
            ),
            format!(
                "delete the spare ones on the platform, then `lubu confirm {id} --published`; take all down: `lubu withdraw {item}`, delete by hand what it leaves, and say `lubu confirm {id} --absent`"
            ),
        ),
        Kind::Unreachable | Kind::Uncheckable => Words::new(
            format!("请打开网址人工看一眼；还在：lubu confirm {id} --published"),
            format!("please look yourself; if it is there: `lubu confirm {id} --published`"),
        ),
    }
}

pub fn of<'a>(delivery: &Delivery, watches: &'a [Watch]) -> Option<&'a Watch> {
    watches.iter().find(|watch| watch.id == delivery.id)
}

fn needs_person(delivery: &Delivery) -> bool {
    match &delivery.state {
        State::Held { why, .. } => !matches!(why, Hold::After(_) | Hold::Schedule(_)),
        State::Unknown(unknown) => unknown.at.is_none(),
        _ => delivery.public_state().needs_person(),
    }
}

pub fn split(words: Option<Words>) -> (Option<String>, Option<String>) {
    words.map_or((None, None), |words| (Some(words.zh), Some(words.en)))
}

pub fn attempt(attempt: &Attempt) -> AttemptView {
    let (reason, reason_en) = split(attempt.words.clone());
    AttemptView {
        number: attempt.number,
        round: attempt.round,
        revision: attempt.revision,
        step: attempt.step.clone(),
        outcome: attempt.outcome,
        began: time(attempt.began),
        ended: attempt.ended.map(time),
        code: attempt.code.clone(),
        request_id: attempt.request_id.clone(),
        reason,
        reason_en,
    }
}

pub fn revision(
    revision: &Revision,
    approvals: &[crate::model::approval::Approval],
) -> RevisionView {
    let approval = approvals.iter().find(|one| one.revision == revision.number);
    RevisionView {
        number: revision.number,
        hash: revision.hash.clone(),
        title: revision.title.clone(),
        proposed_scope: revision.proposed,
        by: revision.by.clone(),
        at: time(revision.at),
        approval: approval.map(|one| ApprovalView {
            by: one.by.clone(),
            opinion: one.opinion.clone(),
            scope: one.scope,
            at: time(one.at),
        }),
    }
}

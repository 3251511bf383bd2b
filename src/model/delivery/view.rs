//! How a delivery's state is told: the ten public words, and the reason beside them.

use chrono_tz::Tz;
use lubu_channels::{Timestamp, Words};
use serde::{Deserialize, Serialize};

use super::{Delivery, Hold, State, Wanted, Why};

/// The public delivery states of API, CLI and pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PublicState {
    Pending,
    Sending,
    InReview,
    Retrying,
    Unconfirmed,
    Held,
    Published,
    Withdrawn,
    Failed,
    Superseded,
    Skipped,
}

impl PublicState {
    pub const ALL: [Self; 11] = [
        Self::Pending,
        Self::Sending,
        Self::InReview,
        Self::Retrying,
        Self::Unconfirmed,
        Self::Held,
        Self::Published,
        Self::Withdrawn,
        Self::Failed,
        Self::Superseded,
        Self::Skipped,
    ];

    pub fn code(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sending => "sending",
            Self::InReview => "in_review",
            Self::Retrying => "retrying",
            Self::Unconfirmed => "unconfirmed",
            Self::Held => "held",
            Self::Published => "published",
            Self::Withdrawn => "withdrawn",
            Self::Failed => "failed",
            Self::Superseded => "superseded",
            Self::Skipped => "skipped",
        }
    }

    pub fn zh(self) -> &'static str {
        match self {
            Self::Pending => "待发布",
            Self::Sending => "发布中",
            Self::InReview => "平台审核中",
            Self::Retrying => "待重试",
            Self::Unconfirmed => "待核实",
            Self::Held => "暂缓",
            Self::Published => "已发布",
            Self::Withdrawn => "已撤下",
            Self::Failed => "需处理",
            Self::Superseded => "已被新版取代",
            Self::Skipped => "不再发布",
        }
    }

    pub fn glyph(self) -> &'static str {
        match self {
            Self::Pending => "○",
            Self::Sending => "◐",
            Self::InReview => "◔",
            Self::Retrying => "↻",
            Self::Unconfirmed => "?",
            Self::Held => "‖",
            Self::Published => "●",
            Self::Withdrawn | Self::Superseded | Self::Skipped => "⊘",
            Self::Failed => "✕",
        }
    }

    /// Nothing moves any more unless a person orders it.
    pub fn at_rest(self) -> bool {
        matches!(
            self,
            Self::Published | Self::Withdrawn | Self::Superseded | Self::Skipped
        )
    }

    /// A person must act.
    pub fn needs_person(self) -> bool {
        matches!(self, Self::Failed | Self::Unconfirmed | Self::Held)
    }
}

impl Delivery {
    pub fn public_state(&self) -> PublicState {
        match &self.state {
            State::Due {
                why: Why::Failed(_),
                ..
            } => PublicState::Retrying,
            State::Due {
                why: Why::Onward, ..
            }
            | State::Working { .. } => PublicState::Sending,
            State::Due { .. } => PublicState::Pending,
            State::Unknown(_) => PublicState::Unconfirmed,
            State::Review { .. } => PublicState::InReview,
            State::Failed { .. }
            | State::Held {
                why: Hold::FailedBefore(_),
                ..
            } => PublicState::Failed,
            State::Held { .. } => PublicState::Held,
            State::Live => PublicState::Published,
            State::Withdrawn => PublicState::Withdrawn,
            State::Skipped { .. } => PublicState::Skipped,
        }
    }

    /// The revision that is wanted; none while it is wanted gone.
    pub fn wanted_revision(&self) -> Option<u32> {
        match &self.wanted {
            Wanted::Revision(wanted) => Some(wanted.number),
            Wanted::Nothing { .. } => None,
            Wanted::Keep { .. } => self.copy.as_ref().map(|copy| copy.revision),
        }
    }

    /// Why it stands where it stands, for a person. `name` gives a channel's name.
    pub fn reason(
        &self,
        name: impl Fn(crate::ids::ChannelNo) -> String,
        zone: Tz,
    ) -> Option<Words> {
        match &self.state {
            State::Due { at, why } => due_reason(*at, why, zone),
            State::Unknown(unknown) => Some(unknown.why.clone()),
            State::Review { why, .. } => why.clone(),
            State::Held { why, .. } => Some(hold_reason(why, name)),
            State::Failed { why } => Some(why.words.clone()),
            State::Skipped { why } => Some(why.clone()),
            State::Live => match &self.wanted {
                Wanted::Keep { why } => Some(why.clone()),
                Wanted::Revision(_) | Wanted::Nothing { .. } => None,
            },
            State::Withdrawn => match &self.wanted {
                Wanted::Nothing { by, reason } => Some(Words::new(
                    format!("{by} 撤下：{reason}"),
                    format!("withdrawn by {by}: {reason}"),
                )),
                Wanted::Revision(_) | Wanted::Keep { .. } => None,
            },
            State::Working { step, .. } => Some(Words::new(
                format!("正在执行 {}", step.name),
                format!("running {}", step.name),
            )),
        }
    }
}

fn due_reason(at: Timestamp, why: &Why, zone: Tz) -> Option<Words> {
    let when = at.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S");
    match why {
        Why::Fresh | Why::Onward => None,
        Why::Failed(told) => Some(told.words.clone()),
        Why::Quota { name } => Some(Words::new(
            format!("平台配额 {name} 已用完，{when} 恢复后继续"),
            format!("the quota {name} is used up until {when}"),
        )),
        Why::Quiet { asked } => Some(quiet_reason(*asked, at, zone)),
        Why::Platform(words) => Some(words.clone()),
        Why::Dependents => Some(Words::new(
            "先撤下链接到它的渠道，随后撤下",
            "what links to it is taken down first",
        )),
        Why::OtherUnknown => Some(Words::new(
            "同一账号有一条结果不明，核实之前不再发新内容",
            "another post of this account is unconfirmed; nothing new is sent before it is cleared up",
        )),
        Why::Absent => Some(Words::new(
            "两次核对都没有找到，按渠道规则补发一次",
            "two looks agree that it is not there; sent once more, as the channel allows",
        )),
        Why::Retried { by } => Some(Words::new(
            format!("{by} 要求重发"),
            format!("retry ordered by {by}"),
        )),
    }
}

/// The day too where the time of day alone could mean another one.
fn quiet_reason(asked: Timestamp, opens: Timestamp, zone: Tz) -> Words {
    let soon = opens - asked < chrono::TimeDelta::days(1);
    let shape = if soon { "%H:%M" } else { "%Y-%m-%d %H:%M" };
    let when = opens.with_timezone(&zone).format(shape);
    Words::new(
        format!("静默时段，{when} 后继续"),
        format!("quiet hours until {when}"),
    )
}

fn hold_reason(why: &Hold, name: impl Fn(crate::ids::ChannelNo) -> String) -> Words {
    match why {
        Hold::After(channels) => {
            let names: Vec<String> = channels.iter().map(|no| name(*no)).collect();
            Words::new(
                format!("等待 {} 上线后发布", names.join("、")),
                format!("waits until {} shows it", names.join(", ")),
            )
        }
        Hold::Person(todo) => todo.clone(),
        Hold::Blocked(told) => told.words.clone(),
        Hold::Correction => Words::new(
            "此渠道不能在原处更正。请重新签发并注明 --on-correction 渠道=leave(保留旧稿)或 =replace(先撤后发)",
            "this channel cannot be corrected in place: approve again with --on-correction CHANNEL=leave or =replace",
        ),
        Hold::Differs(words) | Hold::Poison(words) => words.clone(),
        Hold::Restored => Words::new(
            "数据是恢复来的，可能已经发过或撤过；核对结果见下方记录。确认无误后 lubu release 放行",
            "the data was restored, and this may have been sent or withdrawn since; `lubu release` lets it go on",
        ),
        Hold::FailedBefore(told) => Words::new(
            format!(
                "备份时已失败：{}；备份之后可能已重发过。lubu retry 先到平台核对，核对后再放行",
                told.words.zh
            ),
            format!(
                "had failed when the backup was made: {}; it may have been sent since. `lubu retry` looks for it first",
                told.words.en
            ),
        ),
        Hold::Unseen(words) => Words::new(
            format!(
                "{}；核对计划已走完，请到平台上核实后用 lubu confirm 说明",
                words.zh
            ),
            format!(
                "{}; the look plan is over: look on the platform, then say so with `lubu confirm`",
                words.en
            ),
        ),
        Hold::Removed => Words::new(
            "此渠道已不在配置中；把它加回配置就会继续，否则请到平台上人工处理后用 lubu confirm 说明",
            "this channel is no longer configured; it goes on once it is, or act on the platform by hand and say so with `lubu confirm`",
        ),
        Hold::Schedule(name) => Words::new(
            format!("已签发，等待定期发布 {name}"),
            format!("approved; the schedule {name} releases it"),
        ),
    }
}

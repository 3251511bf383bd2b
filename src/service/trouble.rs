//! Why a request was not done, in a sentence that says what the person can do.

use lubu_channels::Words;
use serde::{Deserialize, Serialize};

use super::view::FindingView;
use crate::config::BadConfig;
use crate::intake::Complaint;
use crate::store::{Refusal, StoreError};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    NotFound(Words),
    /// The submission has these problems; nothing was kept.
    Invalid(Vec<Complaint>),
    /// These channels cannot show it as it is; nothing was signed.
    Unfit(Vec<FindingView>),
    Wrong(Words),
    /// It is under way already.
    Busy(Words),
    /// The configuration has these problems; the old one stays.
    Config(BadConfig),
    Store(StoreError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// `application/problem+json` (RFC 9457), with both languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    /// Chinese.
    pub detail: String,
    pub detail_en: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Complaint>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<FindingView>,
}

impl Trouble {
    fn code(&self) -> (&'static str, u16) {
        match self {
            Self::NotFound(_) => ("not-found", 404),
            Self::Invalid(_) => ("invalid-submission", 422),
            Self::Unfit(_) => ("does-not-fit", 422),
            Self::Wrong(_) => ("wrong-request", 422),
            Self::Config(_) => ("bad-configuration", 422),
            Self::Busy(_) => ("conflict", 409),
            Self::Store(StoreError::Refused(refusal)) => match refusal {
                Refusal::NoItem(_)
                | Refusal::NoRevision(..)
                | Refusal::NoDelivery(_)
                | Refusal::NoChannel(_) => ("not-found", 404),
                Refusal::Stale
                | Refusal::Illegal(_)
                | Refusal::KeyReused(_)
                | Refusal::Superseded { .. }
                | Refusal::Withdrawn
                | Refusal::StillPublic
                | Refusal::Paused
                | Refusal::Halted(_)
                | Refusal::NotAdopted
                | Refusal::AdoptedAlready
                | Refusal::NotGone(_)
                | Refusal::TooEarly { .. }
                | Refusal::Ran => ("conflict", 409),
                Refusal::NotApproved
                | Refusal::OtherContent
                | Refusal::OwnWork
                | Refusal::NeedsAnother { .. } => ("not-allowed", 403),
                Refusal::QuotaUsed { .. } => ("quota", 429),
                Refusal::Damaged(_) => ("store", 503),
            },
            Self::Store(StoreError::Unavailable(_) | StoreError::Unread(_)) => ("store", 503),
        }
    }

    fn words(&self) -> Words {
        match self {
            Self::NotFound(words) | Self::Wrong(words) | Self::Busy(words) => words.clone(),
            Self::Invalid(complaints) => Words::new(
                format!(
                    "稿件有 {} 处问题，没有收下。请改好后重新提交。",
                    complaints.len()
                ),
                format!(
                    "the submission has {} problems; nothing was kept.",
                    complaints.len()
                ),
            ),
            Self::Unfit(findings) => Words::new(
                format!(
                    "有 {} 处不符合渠道的要求，没有签发。请修改稿件，或用 --without 渠道名 说明本次不发该渠道。",
                    findings.len()
                ),
                format!(
                    "{} findings: channels cannot show it as it is, and nothing was signed; edit the item, or say --without CHANNEL.",
                    findings.len()
                ),
            ),
            Self::Config(BadConfig { problems, .. }) => Words::new(
                format!(
                    "新配置有 {} 处不能用，仍按原配置运行。请改好后再加载。",
                    problems.len()
                ),
                format!(
                    "the new configuration has {} problems; the old one stays in force.",
                    problems.len()
                ),
            ),
            Self::Store(error) => error.words(),
        }
    }

    pub fn problem(&self) -> Problem {
        let (kind, status) = self.code();
        let words = self.words();
        let (problems, findings) = match self {
            Self::Invalid(complaints) => (complaints.clone(), Vec::new()),
            Self::Unfit(findings) => (Vec::new(), findings.clone()),
            Self::Config(bad) => (complaints(bad), Vec::new()),
            Self::NotFound(_) | Self::Wrong(_) | Self::Busy(_) | Self::Store(_) => {
                (Vec::new(), Vec::new())
            }
        };
        Problem {
            kind: format!("urn:lubu:problem:{kind}"),
            title: kind.replace('-', " "),
            status,
            detail: words.zh,
            detail_en: words.en,
            problems,
            findings,
        }
    }
}

fn complaints(bad: &BadConfig) -> Vec<Complaint> {
    let placed = bad.problems.iter();
    placed
        .map(|placed| Complaint {
            place: bad.place(placed),
            words: placed.problem.words.clone(),
        })
        .collect()
}

//! Faults that can be switched on, and the choice of the one that strikes a call.
//!
//! A fault names a platform, a method and part of a path; it lets `after` calls pass
//! and then strikes `times` calls (always, without a number). Choosing is pure
//! bookkeeping here; `server.rs` does the cutting and stalling. Without a path a
//! fault strikes API calls only, so that reader pages stay readable.
//! Lagging reads are no strike: they combine with any other fault.

use serde::{Deserialize, Serialize};

use crate::ledger::Platform;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// TCP reset once the head is read.
    ResetBeforeBody,
    /// TCP reset after half of the body.
    ResetInBody,
    /// Applied, then TCP reset instead of an answer.
    ResetAfterBody,
    /// Read to the end, not applied, TCP reset instead of an answer.
    NotAppliedLost,
    /// No answer for `seconds` (default 600), then closed. Applied unless `applied` is false.
    Stall,
    /// Applied; the answer stops in the middle of its body (of its head with `body = "head"`).
    HalfReply,
    /// Applied; a 200 that is no JSON. `body`: html (default), empty, gbk, bom, control, raw (no HTTP at all).
    Garbage,
    /// The platform's own error envelope with `code` and `message`. Not applied unless `applied`.
    #[serde(rename = "failure_under_200")]
    FailureUnder200,
    /// `status` (default 502) with an HTML page. Not applied unless `applied`.
    HttpStatus,
    /// 429 with `retry_after`. Not applied unless `applied`.
    TooMany,
    /// Applied; the answer comes one byte every `interval_ms` (default 1000).
    SlowDrip,
    /// The connection is reset now, the call is applied `seconds` later (default 30).
    AppliedLate,
    /// Applied twice; one answer.
    AppliedTwice,
    /// Reads do not see what is newer than `seconds` (default 60).
    ReadLag,
    /// `status` (default 302) to `location`. Not applied unless `applied`.
    Redirect,
    /// The token is refused. Not applied.
    StaleToken,
    /// The caller's address is refused. Not applied.
    IpRefused,
}

impl Kind {
    pub const ALL: [Self; 17] = [
        Self::ResetBeforeBody,
        Self::ResetInBody,
        Self::ResetAfterBody,
        Self::NotAppliedLost,
        Self::Stall,
        Self::HalfReply,
        Self::Garbage,
        Self::FailureUnder200,
        Self::HttpStatus,
        Self::TooMany,
        Self::SlowDrip,
        Self::AppliedLate,
        Self::AppliedTwice,
        Self::ReadLag,
        Self::Redirect,
        Self::StaleToken,
        Self::IpRefused,
    ];

    pub fn name(self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(name)) => name,
            _ => format!("{self:?}"),
        }
    }

    /// Whether the call is carried out when the fault does not say.
    fn applies(self) -> bool {
        match self {
            Self::ResetAfterBody
            | Self::Stall
            | Self::HalfReply
            | Self::Garbage
            | Self::SlowDrip
            | Self::AppliedLate
            | Self::AppliedTwice
            | Self::ReadLag => true,
            Self::ResetBeforeBody
            | Self::ResetInBody
            | Self::NotAppliedLost
            | Self::FailureUnder200
            | Self::HttpStatus
            | Self::TooMany
            | Self::Redirect
            | Self::StaleToken
            | Self::IpRefused => false,
        }
    }
}

/// One switched-on fault. Fields that a kind does not use are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub platform: Platform,
    pub kind: Kind,
    #[serde(default)]
    pub method: Option<String>,
    /// Part of the path, e.g. `freepublish/submit`.
    #[serde(default)]
    pub path: String,
    /// How many calls it strikes; `null` means all.
    #[serde(default)]
    pub times: Option<u32>,
    /// How many matching calls pass first.
    #[serde(default)]
    pub after: u32,
    #[serde(default)]
    pub applied: Option<bool>,
    #[serde(default)]
    pub code: Option<i64>,
    #[serde(default)]
    pub message: Option<String>,
    #[serde(default)]
    pub status: Option<u16>,
    #[serde(default)]
    pub seconds: Option<u64>,
    #[serde(default)]
    pub interval_ms: Option<u64>,
    #[serde(default)]
    pub retry_after: Option<String>,
    #[serde(default)]
    pub location: Option<String>,
    #[serde(default)]
    pub body: Option<String>,
}

impl Fault {
    pub fn new(platform: Platform, kind: Kind, path: &str) -> Self {
        Self {
            platform,
            kind,
            method: None,
            path: path.into(),
            times: None,
            after: 0,
            applied: None,
            code: None,
            message: None,
            status: None,
            seconds: None,
            interval_ms: None,
            retry_after: None,
            location: None,
            body: None,
        }
    }

    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    pub(crate) fn applies(&self) -> bool {
        match self.kind {
            Kind::Stall
            | Kind::FailureUnder200
            | Kind::HttpStatus
            | Kind::TooMany
            | Kind::Redirect
            | Kind::Garbage
            | Kind::HalfReply => self.applied.unwrap_or(self.kind.applies()),
            kind => kind.applies(),
        }
    }

    fn matches(&self, platform: Platform, method: &str, path: &str, api: bool) -> bool {
        let named = self.method.as_deref().filter(|method| !method.is_empty());
        self.platform == platform
            && named.is_none_or(|named| named.eq_ignore_ascii_case(method))
            && if self.path.is_empty() {
                api
            } else {
                path.contains(&self.path)
            }
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct Switched {
    pub id: u64,
    #[serde(flatten)]
    pub fault: Fault,
    /// Matching calls so far.
    pub seen: u32,
    pub struck: u32,
}

impl Switched {
    fn strike(&mut self) -> bool {
        self.seen += 1;
        let due = self.seen > self.fault.after
            && self.fault.times.is_none_or(|times| self.struck < times);
        self.struck += u32::from(due);
        due
    }
}

/// What strikes one call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strike {
    pub fault: Option<Fault>,
    pub lag_ms: i64,
}

#[derive(Debug, Default)]
pub(crate) struct Faults {
    list: Vec<Switched>,
    last: u64,
}

impl Faults {
    pub fn add(&mut self, fault: Fault) -> u64 {
        self.last += 1;
        self.list.push(Switched {
            id: self.last,
            fault,
            seen: 0,
            struck: 0,
        });
        self.last
    }

    pub fn remove(&mut self, id: u64) -> bool {
        let before = self.list.len();
        self.list.retain(|switched| switched.id != id);
        self.list.len() < before
    }

    pub fn clear(&mut self) {
        self.list.clear();
    }

    pub fn list(&self) -> &[Switched] {
        &self.list
    }

    /// The first fault that strikes; those behind it have not seen the call.
    pub fn strike(&mut self, platform: Platform, method: &str, path: &str, api: bool) -> Strike {
        let mut strike = Strike::default();
        for switched in &mut self.list {
            if !switched.fault.matches(platform, method, path, api) {
                continue;
            }
            if switched.fault.kind == Kind::ReadLag {
                if switched.strike() {
                    let seconds = switched.fault.seconds.unwrap_or(60);
                    strike.lag_ms = i64::try_from(seconds).unwrap_or(i64::MAX / 1000) * 1000;
                }
            } else if strike.fault.is_none() && switched.strike() {
                strike.fault = Some(switched.fault.clone());
            }
        }
        strike
    }
}

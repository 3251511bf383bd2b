//! What was seen of a post, by whichever source could tell.
//!
//! Only a [`Seen`] or a person makes a delivery published or withdrawn; "nothing left to send"
//! does not. A verdict that could not be reached is `CannotTell`, never a guess: [`Verdict::Absent`]
//! is a claim that the look reached back far enough, on the right account, to exclude the copy.

use serde::{Deserialize, Serialize};

use super::{Progress, Words};

/// What a finished step leaves, and what it already proves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Replaces the job's progress.
    pub progress: Progress,
    /// What the answer itself proves about the subjects; often nothing.
    pub seen: Vec<Seen>,
    /// The platform's own id of the request, for its support line.
    pub request_id: Option<String>,
}

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Replaces the job's progress: what was found may be adopted into it.
    pub progress: Progress,
    /// Whether the step that was asked about was applied.
    pub truth: Truth,
    pub seen: Vec<Seen>,
}

/// The answer to [`super::Target::Step`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Truth {
    /// The look was for copies.
    NotAsked,
    /// Applied; what it left is in the progress.
    Applied,
    /// Certainly not applied: the look covered the whole time in question.
    Absent,
    /// Applied more than once; the remote ids.
    Several(Vec<String>),
    CannotTell(Words),
}

/// What was seen of one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub place: u8,
    pub verdict: Verdict,
    pub remote_id: Option<String>,
    /// Where readers find it.
    pub address: Option<String>,
    pub evidence: Evidence,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Readers can see it.
    Live(Match),
    /// Accepted; the platform or its editors have not let it out yet.
    Reviewing,
    /// The platform looked at it and said no.
    Refused(Words),
    /// It was there and is gone.
    Removed(RemovedBy),
    /// A notice stands in its place (our own site's withdrawn pages).
    Notice,
    /// Certainly not there.
    Absent,
    /// More than one public copy; the remote ids.
    Several(Vec<String>),
    CannotTell(Words),
}

/// How what is seen compares with what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Match {
    Same,
    /// An earlier revision of ours.
    Earlier,
    /// Something that we did not send.
    Differs,
    /// It is there, its text was not read.
    Unread,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemovedBy {
    Owner,
    Platform,
    Unknown,
}

/// How strong a sighting is; a later variant is stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// A person said so.
    Person,
    /// The platform's status says so.
    Status,
    /// Read back through the platform's interface.
    ReadBack,
    /// The public page was read.
    PublicPage,
}

/// What `check` found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// One line each: what was tried and how it stands.
    pub lines: Vec<Words>,
    /// When the credentials end, where the platform says so.
    pub expires: Option<super::Timestamp>,
}

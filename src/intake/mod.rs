//! From what a clerk hands in to a finished revision, or to every reason why not.
//!
//! Nothing here knows the store: it makes [`Content`] and the bytes of its media, both complete,
//! or one answer that names every problem with its place.

use std::collections::BTreeMap;

use lubu_channels::{Transport, Words};
use serde::{Deserialize, Serialize};

use crate::config::{Categories, Intake, Office};
use crate::model::item::Content;

/// One file of a submission, as it was handed in.
#[derive(Debug, Clone)]
pub struct Handed {
    /// Relative to the submission, `/` between folders.
    pub path: String,
    pub bytes: Vec<u8>,
}

/// What a clerk hands in: one text with front matter, and what it names.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Which of the files is the text.
    pub main: usize,
    pub files: Vec<Handed>,
}

/// What intake is run by.
#[derive(Debug)]
pub struct Desk<'a> {
    pub limits: &'a Intake,
    pub categories: &'a Categories,
    pub office: &'a Office,
    /// Every channel's name, its adapter's name, and the overrides it knows.
    pub channels: Vec<(String, String, Vec<&'static str>)>,
    pub schedules: Vec<String>,
    /// For images that the text names by address; refuses private hosts.
    pub fetch: &'a dyn Transport,
}

/// A complete revision and the bytes of its media by hash.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub content: Content,
    pub media: BTreeMap<String, Vec<u8>>,
    /// What was changed on the way, such as a converted encoding.
    pub notes: Vec<Words>,
}

/// One thing wrong with a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complaint {
    /// File and line, or the field: `item.md:3`, `attachments[1]`.
    pub place: String,
    pub words: Words,
}

/// Makes a complete revision, or says everything that is wrong.
#[expect(clippy::unused_async, reason = "images are fetched here")]
pub async fn prepare(
    _submission: Submission,
    _desk: &Desk<'_>,
) -> Result<Prepared, Vec<Complaint>> {
    Err(Vec::new())
}

impl Submission {
    /// A text alone, or a folder with one text and what it names.
    pub fn from_path(path: &std::path::Path) -> Result<Self, Complaint> {
        let bytes = std::fs::read(path).map_err(|error| Complaint {
            place: path.display().to_string(),
            words: Words::new(error.to_string(), error.to_string()),
        })?;
        Ok(Self {
            main: 0,
            files: vec![Handed {
                path: path.display().to_string(),
                bytes,
            }],
        })
    }
}

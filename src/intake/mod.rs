//! From what a clerk hands in to a finished revision, or to every reason why not.
//!
//! Nothing here knows the store: it makes [`Content`] and the bytes of its media, both complete,
//! or one answer that names every problem with its place.

mod addresses;
mod body;
mod choices;
mod clean;
mod encoding;
mod fields;
mod files;
mod folder;
mod gallery;
mod head;
mod keys;
mod markdown;
mod paths;
mod pictures;
mod source;
mod values;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use lubu_channels::{Transport, Words};
use serde::{Deserialize, Serialize};

use crate::config::{Categories, Intake, Office};
use crate::model::item::Content;
use gallery::Gallery;

pub use folder::texts_in;

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

impl Complaint {
    fn new(place: impl Into<String>, words: Words) -> Self {
        Self {
            place: place.into(),
            words,
        }
    }
}

/// What reading has found so far. It goes on after a complaint, so that one answer names all.
#[derive(Debug, Default)]
struct Report {
    complaints: Vec<Complaint>,
    notes: Vec<Words>,
    /// A mistake of syntax may have swallowed fields: what is missing is not complained of.
    broken: bool,
}

impl Report {
    fn wrong(&mut self, place: impl Into<String>, zh: impl Into<String>, en: impl Into<String>) {
        self.complaints
            .push(Complaint::new(place, Words::new(zh, en)));
    }

    fn complain(&mut self, place: &str, words: Words) {
        self.complaints.push(Complaint::new(place, words));
    }

    fn note(&mut self, zh: impl Into<String>, en: impl Into<String>) {
        self.notes.push(Words::new(zh, en));
    }
}

/// Makes a complete revision, or says everything that is wrong.
pub async fn prepare(submission: Submission, desk: &Desk<'_>) -> Result<Prepared, Vec<Complaint>> {
    let mut report = Report::default();
    let Some(source) = source::read(submission, desk.limits, &mut report) else {
        return Err(report.complaints);
    };
    let head = head::read(source.fields, desk, &mut report);
    let raw = body::raw(source.format, &source.text, &head.title);
    let fragment = body::fragment(&source.name, raw.as_deref(), &head.title, &mut report);
    let mut gallery = Gallery::new(source.bundle, desk);
    let (body, images) = gallery.hang(&fragment, &mut report).await;
    let cover = match head.cover {
        Some(named) => gallery.cover(named, &mut report).await,
        None => None,
    };
    let links = raw.map(|raw| body::loose_links(&raw)).unwrap_or_default();
    let linked = gallery.linked(&links, &head.attachments, &mut report);
    let attachments = gallery.attach([head.attachments, linked].concat(), &mut report);
    gallery.tell_left(&mut report);
    if !report.complaints.is_empty() {
        return Err(report.complaints);
    }
    let content = Content {
        title: head.title,
        category: head.category,
        scope: head.scope,
        section: head.section,
        source: head.source,
        document_number: head.document_number,
        formed_on: head.formed_on,
        summary: head.summary,
        keywords: head.keywords,
        validity: head.validity,
        body,
        cover,
        images,
        attachments,
        related: head.related,
        correction: head.correction,
        channels: head.channels,
        schedule: head.schedule,
    };
    Ok(Prepared {
        content,
        media: gallery.media,
        notes: report.notes,
    })
}

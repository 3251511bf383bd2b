//! The site's truth: one small file per item, from which every list is derived.

use serde::{Deserialize, Serialize};

use super::content::Content;
use super::disk::Disk;
use super::fate;
use super::marker::Marker;
use crate::contract::{Category, Failure};

/// No server gives out names that begin with a dot.
pub const FOLDER: &str = ".items";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub item: String,
    pub revision: u32,
    pub draft: String,
    /// First publication, in milliseconds. Printed on the page and never changed again.
    pub first: i64,
    /// The last change that readers are told of, in milliseconds.
    pub updated: i64,
    /// BLAKE3 of the page as it was written.
    pub page: String,
    pub title: String,
    pub summary: String,
    pub category: Category,
    /// `corrected`, `superseded`, `invalid` or nothing: shown in lists.
    pub mark: String,
    /// The mark's word.
    pub mark_label: String,
    /// Set while a notice stands in the page's place.
    pub withdrawn: Option<Withdrawn>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawn {
    pub at: i64,
    pub reason: String,
}

impl Record {
    pub fn new(content: &Content, marker: &Marker, page: &str) -> Self {
        let mark = content.banners.first();
        let of = |part: fn(&super::content::Banner) -> &String| mark.map(part).cloned();
        Self {
            item: content.item.clone(),
            revision: content.revision,
            draft: marker.draft.clone(),
            first: marker.first,
            updated: content.corrected.unwrap_or_default().max(marker.first),
            page: hash(page),
            title: content.title.clone(),
            summary: content.summary.chars().take(200).collect(),
            category: content.category.clone(),
            mark: of(|banner| &banner.kind).unwrap_or_default(),
            mark_label: of(|banner| &banner.label).unwrap_or_default(),
            withdrawn: None,
        }
    }

    pub fn is_live(&self) -> bool {
        self.withdrawn.is_none()
    }

    pub fn write(&self, disk: &Disk) -> Result<(), Failure> {
        let name = file(&self.item);
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        disk.write(&name, &bytes)
            .map_err(|error| fate::disk(&name, &error))
    }
}

/// A page's hash, as records keep it.
pub fn hash(page: &str) -> String {
    blake3::hash(page.as_bytes()).to_hex().to_string()
}

fn file(item: &str) -> String {
    format!("{FOLDER}/{item}.json")
}

/// `None` where there is none, or where what is there cannot be read: it is written anew then.
pub fn read(disk: &Disk, item: &str) -> Result<Option<Record>, Failure> {
    let name = file(item);
    let bytes = disk
        .read(&name)
        .map_err(|error| fate::disk(&name, &error))?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// Every record, in no order.
pub fn all(disk: &Disk) -> Result<Vec<Record>, Failure> {
    let names = disk
        .names(FOLDER)
        .map_err(|error| fate::disk(FOLDER, &error))?;
    let items = names.iter().filter_map(|name| name.strip_suffix(".json"));
    let mut records = Vec::new();
    for item in items.filter(|item| !item.starts_with('.')) {
        records.extend(read(disk, item)?);
    }
    Ok(records)
}

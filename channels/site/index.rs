//! Which items stand in which list, kept in memory and derived from the records at any time.
//!
//! An item keeps its place for good: lists are cut into pages from the oldest end, and a withdrawn
//! item leaves a gap. So a new item changes the newest page only, and publishing costs the same
//! whether a column holds a hundred items or a hundred thousand.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::disk::Disk;
use super::record::{self, Record};
use super::settings::{Column, Settings};
use crate::contract::Failure;

/// Items on one page of a list.
pub const PAGE: usize = 20;
/// Addresses in one file of the site map.
pub const PART: usize = 1_000;

#[derive(Debug, Default)]
pub struct Index {
    /// By first publication, oldest first; withdrawn ones keep their place.
    pub records: Vec<Record>,
    at: HashMap<String, usize>,
    pub boards: BTreeMap<String, Board>,
    pub dirty: Dirty,
}

/// One column with its items.
#[derive(Debug)]
pub struct Board {
    pub column: Column,
    /// Positions in [`Index::records`], ascending.
    pub items: Vec<usize>,
}

/// What the lists on disk do not show yet.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Dirty {
    /// Compare everything: after a start, and when items changed places.
    pub all: bool,
    /// Column and page.
    pub pages: BTreeSet<(String, usize)>,
    pub parts: BTreeSet<usize>,
}

impl Dirty {
    pub fn merge(&mut self, other: Self) {
        self.all |= other.all;
        self.pages.extend(other.pages);
        self.parts.extend(other.parts);
    }
}

impl Board {
    /// The number of the newest page, which may not be full.
    pub fn newest(&self) -> usize {
        self.items.len().saturating_sub(1) / PAGE
    }

    /// The front shows the newest page and the full one before it.
    pub fn front(&self) -> impl Iterator<Item = usize> + '_ {
        let start = self.newest().saturating_sub(1) * PAGE;
        self.items[start..].iter().rev().copied()
    }

    /// A page behind the front, newest item first.
    pub fn page(&self, number: usize) -> impl Iterator<Item = usize> + '_ {
        let end = self.items.len().min((number + 1) * PAGE);
        let start = end.min(number * PAGE);
        self.items[start..end].iter().rev().copied()
    }

    /// How many pages stand behind the front.
    pub fn behind(&self) -> usize {
        self.newest().saturating_sub(1)
    }
}

impl Index {
    pub fn load(settings: &Settings, disk: &Disk) -> Result<Self, Failure> {
        let mut index = Self {
            records: record::all(disk)?,
            ..Self::default()
        };
        index.arrange(settings);
        Ok(index)
    }

    /// Sorts everything anew.
    fn arrange(&mut self, settings: &Settings) {
        self.records
            .sort_by(|a, b| (a.first, &a.item).cmp(&(b.first, &b.item)));
        self.at.clear();
        self.boards.clear();
        for position in 0..self.records.len() {
            self.list(settings, position);
        }
        self.dirty.all = true;
    }

    fn list(&mut self, settings: &Settings, position: usize) {
        let record = &self.records[position];
        self.at.insert(record.item.clone(), position);
        let column = settings.column(&record.category);
        let board = self.boards.entry(column.slug.clone());
        let board = board.or_insert_with(|| Board {
            column,
            items: Vec::new(),
        });
        board.items.push(position);
    }

    /// Takes in a new or changed record.
    pub fn put(&mut self, settings: &Settings, record: Record) {
        let slug = settings.column(&record.category).slug;
        if let Some(position) = self.at.get(&record.item).copied() {
            let before = &self.records[position];
            let stays =
                settings.column(&before.category).slug == slug && before.first == record.first;
            self.records[position] = record;
            if stays {
                self.touch(&slug, position);
            } else {
                self.arrange(settings);
            }
            return;
        }
        let last = self.records.last();
        let in_order = last.is_none_or(|last| last.first <= record.first);
        self.records.push(record);
        if in_order {
            let position = self.records.len() - 1;
            self.list(settings, position);
            self.touch(&slug, position);
        } else {
            self.arrange(settings);
        }
    }

    fn touch(&mut self, slug: &str, position: usize) {
        self.dirty.parts.insert(position / PART);
        let Some(board) = self.boards.get(slug) else {
            return;
        };
        let place = board.items.partition_point(|item| *item < position);
        let page = place / PAGE;
        let mut mark = |page: usize| {
            self.dirty.pages.insert((slug.to_owned(), page));
        };
        mark(page);
        if place.is_multiple_of(PAGE) {
            // A page begins: one leaves the front, and the one behind it gets a newer neighbour.
            (1..=3).for_each(|back| mark(page.saturating_sub(back)));
        }
    }
}

//! Column pages, home, feed and site map: everything that names more than one item.
//!
//! Only files whose content differs are written. Dates are cut to `MM-DD` where the year is the
//! current one, so the turn of the year makes every front page new.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, TimeZone, Utc};
use minijinja::{Value, context};
use serde::Serialize;

use super::content::iso;
use super::index::{Board, Dirty, Index, PART};
use super::record::Record;
use super::render::Around;
use super::settings::Column;
use super::{Core, address, fate};
use crate::contract::{Failure, Timestamp};

/// What home and feed show at most.
const LATEST: usize = 12;
const FEED: usize = 20;
const IN_COLUMN: usize = 6;

/// One line of a list.
#[derive(Debug, Serialize)]
struct Line<'a> {
    title: &'a str,
    summary: &'a str,
    href: String,
    address: String,
    date: String,
    iso: String,
    published: String,
    updated: String,
    mark: &'a str,
    mark_label: &'a str,
    column: String,
}

/// Whose dates may be short.
#[derive(Clone, Copy)]
enum Dates {
    Full,
    /// This year's without the year.
    Since(i32),
}

struct Writer<'a> {
    core: &'a Core,
    index: &'a Index,
    year: i32,
    /// One file of each folder that something was put in.
    folders: RefCell<BTreeMap<String, String>>,
}

/// Writes what `dirty` says and differs from what is there.
pub fn write(core: &Core, index: &Index, dirty: &Dirty, now: Timestamp) -> Result<(), Failure> {
    let year = now.with_timezone(&core.settings.timezone).year();
    let writer = Writer {
        core,
        index,
        year,
        folders: RefCell::default(),
    };
    core.ensure_assets()?;
    if dirty.all {
        for board in index.boards.values() {
            writer.front(board)?;
            (0..board.behind()).try_for_each(|page| writer.behind(board, page))?;
        }
        let parts = index.records.len().div_ceil(PART);
        (0..parts).try_for_each(|part| writer.part(part))?;
        writer.fixed()?;
    } else {
        let slugs: BTreeSet<&String> = dirty.pages.iter().map(|(slug, _)| slug).collect();
        for board in slugs.iter().filter_map(|slug| index.boards.get(*slug)) {
            writer.front(board)?;
        }
        for (slug, page) in &dirty.pages {
            if let Some(board) = index
                .boards
                .get(slug)
                .filter(|board| *page < board.behind())
            {
                writer.behind(board, *page)?;
            }
        }
        dirty.parts.iter().try_for_each(|part| writer.part(*part))?;
    }
    writer.home()?;
    writer.columns()?;
    writer.feed()?;
    writer.map()?;
    writer.sync()
}

impl<'a> Writer<'a> {
    fn put(&self, file: &str, content: &str) -> Result<(), Failure> {
        let disk = &self.core.disk;
        let failed = |error: std::io::Error| fate::disk(file, &error);
        if disk.read(file).map_err(failed)?.as_deref() == Some(content.as_bytes()) {
            return Ok(());
        }
        disk.put(file, content.as_bytes()).map_err(failed)?;
        let (folder, _) = file.rsplit_once('/').unwrap_or_default();
        let mut folders = self.folders.borrow_mut();
        folders.insert(folder.to_owned(), file.to_owned());
        Ok(())
    }

    fn sync(&self) -> Result<(), Failure> {
        let disk = &self.core.disk;
        self.folders.borrow().values().try_for_each(|file| {
            let synced = disk.sync_folder_of(file);
            synced.map_err(|error| fate::disk(file, &error))
        })
    }

    fn fill(&self, name: &str, more: Value) -> Result<String, Failure> {
        self.core.frame.fill(&self.core.settings, name, more)
    }

    fn page(&self, file: &str, main: &str, around: Around<'_>) -> Result<(), Failure> {
        let page = self.core.frame.around(&self.core.settings, main, around)?;
        self.put(file, &page)
    }

    fn line(&self, record: &'a Record, dates: Dates) -> Line<'a> {
        let settings = &self.core.settings;
        let time = |ms: i64| Utc.timestamp_millis_opt(ms).single().unwrap_or_default();
        let day = time(record.first).with_timezone(&settings.timezone);
        let format = match dates {
            Dates::Since(year) if day.year() == year => "%m-%d",
            Dates::Since(_) | Dates::Full => "%Y-%m-%d",
        };
        let file = address::page_file(settings, &record.item);
        Line {
            title: &record.title,
            summary: &record.summary,
            href: address::path(settings, &file),
            address: address::page(settings, &record.item),
            date: day.format(format).to_string(),
            iso: day.format("%Y-%m-%d").to_string(),
            published: iso(time(record.first), settings.timezone),
            updated: iso(time(record.updated), settings.timezone),
            mark: &record.mark,
            mark_label: &record.mark_label,
            column: settings.column(&record.category).title,
        }
    }

    fn lines(
        &self,
        positions: impl Iterator<Item = usize>,
        most: usize,
        dates: Dates,
    ) -> Vec<Line<'a>> {
        let records = positions.map(|position| &self.index.records[position]);
        let live = records.filter(|record| record.is_live()).take(most);
        live.map(|record| self.line(record, dates)).collect()
    }

    fn latest(&self, most: usize, dates: Dates) -> Vec<Line<'a>> {
        self.lines((0..self.index.records.len()).rev(), most, dates)
    }

    fn column_head(column: &Column) -> String {
        use crate::kit::html::escape;
        format!(
            "<meta name=\"ColumnName\" content=\"{}\">\n\
             <meta name=\"ColumnDescription\" content=\"{}\">\n\
             <meta name=\"ColumnKeywords\" content=\"{}\">\n\
             <meta name=\"ColumnType\" content=\"{}\">\n",
            escape(&column.title),
            escape(&column.description),
            escape(&column.keywords),
            escape(&column.kind),
        )
    }

    fn list(
        &self,
        file: &str,
        column: &Column,
        lines: &[Line<'_>],
        (older, newer): (Option<String>, Option<String>),
    ) -> Result<(), Failure> {
        let span = match (lines.last(), lines.first(), &newer) {
            (Some(first), Some(last), Some(_)) => format!("{} 至 {}", first.iso, last.iso),
            _ => String::new(),
        };
        let title = if span.is_empty() {
            column.title.clone()
        } else {
            format!("{}（{span}）", column.title)
        };
        let main = self.fill("list.html", context! { column, lines, older, newer, span })?;
        let around = Around {
            title: &title,
            head: &Self::column_head(column),
            here: &column.slug,
            standalone: false,
        };
        self.page(file, &main, around)
    }

    fn front(&self, board: &Board) -> Result<(), Failure> {
        let file = format!("c/{}/index.html", board.column.slug);
        let lines = self.lines(board.front(), usize::MAX, Dates::Since(self.year));
        let older = board.behind().checked_sub(1);
        let older = older.map(|page| behind_name(&board.column, page));
        self.list(&file, &board.column, &lines, (older, None))
    }

    fn behind(&self, board: &Board, page: usize) -> Result<(), Failure> {
        let column = &board.column;
        let file = format!("c/{}/{}.html", column.slug, page + 1);
        let lines = self.lines(board.page(page), usize::MAX, Dates::Full);
        let older = page.checked_sub(1).map(|page| behind_name(column, page));
        let newer = if page + 1 < board.behind() {
            behind_name(column, page + 1)
        } else {
            column.href.clone()
        };
        self.list(&file, column, &lines, (older, Some(newer)))
    }

    /// Shelves in the order of the navigation, then the others.
    fn boards(&self) -> Vec<&'a Board> {
        let named = self.core.settings.navigation();
        let mut boards: Vec<&Board> = self.index.boards.values().collect();
        let rank = |board: &&Board| {
            let place = named
                .iter()
                .position(|column| column.slug == board.column.slug);
            place.unwrap_or(usize::MAX)
        };
        boards.sort_by_key(rank);
        boards
    }

    fn home(&self) -> Result<(), Failure> {
        let dates = Dates::Since(self.year);
        let columns: Vec<Value> = self
            .boards()
            .into_iter()
            .map(|board| {
                let items = board.items.iter().rev().copied();
                let lines = self.lines(items, IN_COLUMN, dates);
                context! { column => &board.column, lines }
            })
            .collect();
        let latest = self.latest(LATEST, dates);
        let main = self.fill("home.html", context! { latest, columns })?;
        let facts = &self.core.settings.facts;
        let around = Around {
            title: &facts.name,
            here: "home",
            ..Around::default()
        };
        self.page("index.html", &main, around)
    }

    fn columns(&self) -> Result<(), Failure> {
        let columns: Vec<Value> = self
            .boards()
            .into_iter()
            .map(|board| {
                let live = |item: &&usize| self.index.records[**item].is_live();
                let count = board.items.iter().filter(live).count();
                context! { column => &board.column, count }
            })
            .collect();
        let main = self.fill("columns.html", context! { columns })?;
        let around = Around {
            title: "全部栏目",
            here: "columns",
            ..Around::default()
        };
        self.page("columns.html", &main, around)
    }

    fn feed(&self) -> Result<(), Failure> {
        let lines = self.latest(FEED, Dates::Full);
        let newest = self.index.records.iter().rev().take(FEED);
        let updated = newest
            .map(|record| record.updated)
            .max()
            .unwrap_or_default();
        let updated = Utc
            .timestamp_millis_opt(updated)
            .single()
            .unwrap_or_default();
        let updated = iso(updated, self.core.settings.timezone);
        let feed = self.fill("feed.xml", context! { lines, updated })?;
        self.put("feed.xml", &feed)
    }

    /// One file of addresses.
    fn part(&self, part: usize) -> Result<(), Failure> {
        let end = self.index.records.len().min((part + 1) * PART);
        let lines = self.lines(part * PART..end, PART, Dates::Full);
        let urls: Vec<Value> = lines
            .iter()
            .map(|line| context! { loc => line.address, lastmod => line.updated })
            .collect();
        let file = format!("sitemap-{}.xml", part + 1);
        let map = self.fill("sitemap.xml", context! { urls })?;
        self.put(&file, &map)
    }

    /// The list of those files; the first names home and columns.
    fn map(&self) -> Result<(), Failure> {
        let settings = &self.core.settings;
        let base = &settings.base_url;
        let mut places = vec![context! { loc => format!("{base}/") }];
        for board in self.index.boards.values() {
            let loc = format!("{base}/c/{}/", board.column.slug);
            places.push(context! { loc });
        }
        let first = self.fill("sitemap.xml", context! { urls => places })?;
        self.put("sitemap-0.xml", &first)?;
        let parts = self.index.records.len().div_ceil(PART);
        let parts: Vec<Value> = (0..=parts)
            .map(|part| context! { loc => format!("{base}/sitemap-{part}.xml") })
            .collect();
        let map = self.fill("sitemap.xml", context! { parts })?;
        self.put("sitemap.xml", &map)
    }

    /// Files that no item changes.
    fn fixed(&self) -> Result<(), Failure> {
        let settings = &self.core.settings;
        self.put("404.html", &self.core.frame.missing(settings)?)?;
        let base = &settings.base_url;
        let robots = format!("User-agent: *\nAllow: /\nSitemap: {base}/sitemap.xml\n");
        self.put("robots.txt", &robots)
    }
}

fn behind_name(column: &Column, page: usize) -> String {
    format!("{}{}.html", column.href, page + 1)
}

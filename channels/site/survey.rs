//! Which pages stand in the folder, whoever wrote them, by the small records beside them.
//!
//! The newest two hundred by item, whose ids begin with the time they were made: a folder of years is not read at
//! every start, and what was written since a copy of last week is among the newest.

use super::disk::Disk;
use super::settings::Settings;
use super::{address, fate, record};
use crate::contract::{Failure, Posted, Sign, Stands, Timestamp};

pub const ROWS: u32 = 200;

pub fn survey(settings: &Settings, disk: &Disk) -> Result<Vec<Posted>, Failure> {
    let names = disk.names(record::FOLDER);
    let names = names.map_err(|error| fate::disk(record::FOLDER, &error))?;
    let mut items: Vec<&str> = names
        .iter()
        .filter_map(|name| name.strip_suffix(".json"))
        .filter(|item| !item.starts_with('.'))
        .collect();
    items.sort_unstable_by(|one, other| other.cmp(one));
    let mut posts = Vec::new();
    for item in items.into_iter().take(ROWS as usize) {
        let Some(known) = record::read(disk, item)? else {
            continue;
        };
        let page = address::page_file(settings, &known.item);
        let there = disk.is_there(&page);
        if !there.map_err(|error| fate::disk(&page, &error))? {
            continue;
        }
        posts.push(Posted {
            remote_id: known.item.clone(),
            address: Some(address::page(settings, &known.item)),
            at: Timestamp::from_timestamp_millis(known.first),
            stands: if known.is_live() {
                Stands::Public
            } else {
                Stands::Notice
            },
            sign: Sign::Item(known.item),
            title: known.title,
        });
    }
    Ok(posts)
}

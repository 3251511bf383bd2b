//! The steps. Each leaves the same end state however often it is run.
//!
//! The order of writing is the recovery story: pictures and files, then the page that names them,
//! then the item's record from which lists link to it. A crash in between leaves a whole page that
//! no list names yet, and the step is run again.

use chrono::{TimeZone, Utc};

use super::address::{media_file, page_file};
use super::content::{self, Content};
use super::marker::Marker;
use super::record::{self, Record, Withdrawn};
use super::{Core, fate, way};
use crate::contract::{Draft, Failure, Job, Progress, Subject, Timestamp};

pub fn perform(core: &Core, job: &Job, step: &str, now: Timestamp) -> Result<Progress, Failure> {
    let subject = job.sole().ok_or_else(|| fate::bug("the job is empty"))?;
    match step.split('/').next().unwrap_or_default() {
        way::PAGE => page(core, job, subject, now),
        way::NOTICE => notice(core, job, subject, now),
        way::LISTS => {
            core.lists(now)?;
            Ok(way::after_lists(job))
        }
        _ => Err(fate::bug(&format!("no step is called {step}"))),
    }
}

fn page(core: &Core, job: &Job, subject: &Subject, now: Timestamp) -> Result<Progress, Failure> {
    let content = content::read(&subject.draft).ok_or_else(|| fate::bug("the draft is no page"))?;
    let known = record::read(&core.disk, &subject.item)?;
    let first = match &known {
        Some(record) => time(record.first),
        None => first_time(core, job, &content, now)?,
    };
    core.ensure_assets()?;
    put_media(core, &content.item, &subject.draft)?;
    let page = core
        .frame
        .page(&core.settings, &content, &subject.draft_hash, first)?;
    write(core, &content.item, &page.html)?;
    let record = Record::new(&content, &page.marker, &page.html);
    record.write(&core.disk)?;
    core.note(record);
    if known.is_some() {
        drop_media(core, &content.item, Some(&subject.draft))?;
    }
    Ok(way::after_page(job))
}

/// Pictures and attachments beside their page, one sync of the folder for all of them.
fn put_media(core: &Core, item: &str, draft: &Draft) -> Result<(), Failure> {
    let mut last_put = None;
    for media in &draft.media {
        let file = media_file(&core.settings, item, &media.name);
        let put = core.disk.put_once(&file, &media.bytes);
        if put.map_err(|error| fate::disk(&file, &error))? {
            last_put = Some(file);
        }
    }
    match last_put {
        None => Ok(()),
        Some(file) => core
            .disk
            .sync_folder_of(&file)
            .map_err(|error| fate::disk(&file, &error)),
    }
}

/// When readers could first see it: what the page itself says, what is known elsewhere, or now.
fn first_time(
    core: &Core,
    job: &Job,
    content: &Content,
    now: Timestamp,
) -> Result<Timestamp, Failure> {
    let printed = printed(core, &content.item)?.map(|marker| time(marker.first));
    Ok(printed.or(job.first_live).unwrap_or(now))
}

fn time(ms: i64) -> Timestamp {
    Utc.timestamp_millis_opt(ms).single().unwrap_or_default()
}

/// The marker of the page that stands there now.
fn printed(core: &Core, item: &str) -> Result<Option<Marker>, Failure> {
    let file = page_file(&core.settings, item);
    let bytes = core
        .disk
        .read(&file)
        .map_err(|error| fate::disk(&file, &error))?;
    Ok(bytes.and_then(|bytes| Marker::of(&String::from_utf8_lossy(&bytes))))
}

fn write(core: &Core, item: &str, html: &str) -> Result<(), Failure> {
    let file = page_file(&core.settings, item);
    core.disk
        .write(&file, html.as_bytes())
        .map_err(|error| fate::disk(&file, &error))
}

/// Takes away the item's files that `keep` does not name: what was corrected or withdrawn is not
/// to be had any more.
fn drop_media(core: &Core, item: &str, keep: Option<&Draft>) -> Result<(), Failure> {
    let folder = media_file(&core.settings, item, "");
    let failed = |error: std::io::Error| fate::disk(&folder, &error);
    let folder_name = folder.trim_end_matches('/');
    for name in core.disk.names(folder_name).map_err(failed)? {
        let kept = keep.is_some_and(|draft| draft.media.iter().any(|media| media.name == name));
        if !kept {
            let file = format!("{folder_name}/{name}");
            core.disk.remove(&file).map_err(failed)?;
        }
    }
    Ok(())
}

/// Puts a notice where the page was. Where nothing ever was, nothing is put.
fn notice(core: &Core, job: &Job, subject: &Subject, now: Timestamp) -> Result<Progress, Failure> {
    let known = record::read(&core.disk, &subject.item)?;
    let printed = match &known {
        Some(_) => None,
        None => printed(core, &subject.item)?,
    };
    if known.is_none() && printed.is_none() {
        let facts = way::after_notice(job);
        return Ok(facts.with(way::LISTS, &*job.key));
    }
    let content = content::read(&subject.draft).ok_or_else(|| fate::bug("the draft is no page"))?;
    let first = known.as_ref().map(|record| record.first);
    let first = first.or(printed.map(|marker| marker.first));
    let withdrawn = match known.as_ref().and_then(|record| record.withdrawn.clone()) {
        Some(earlier) => earlier,
        None => Withdrawn {
            at: now.timestamp_millis(),
            reason: job.reason.clone().unwrap_or_default(),
        },
    };
    core.ensure_assets()?;
    let page = core.frame.notice(
        &core.settings,
        subject.revision,
        time(withdrawn.at),
        first.unwrap_or(withdrawn.at),
        &withdrawn.reason,
    )?;
    write(core, &subject.item, &page.html)?;
    drop_media(core, &subject.item, None)?;
    let record = Record {
        page: record::hash(&page.html),
        withdrawn: Some(withdrawn),
        ..known.unwrap_or_else(|| Record::new(&content, &page.marker, &page.html))
    };
    record.write(&core.disk)?;
    core.note(record);
    Ok(way::after_notice(job))
}

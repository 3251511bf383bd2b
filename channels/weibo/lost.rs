//! Looking for a post of which no record is left: the store is older than the world.
//!
//! Nothing but the text can tell. A post that reads the same is ours; one that only begins the same may be a
//! later revision, of which nothing is known here, or another item's: it is not adopted, and absence is not
//! claimed beside it. Absence needs a list that reaches back to when the item came in.

use super::look::{Row, SKEW, Timeline, adopted, essence, seen, timeline};
use super::post;
use super::settings::Mode;
use super::wire::Api;
use crate::contract::{Evidence, Failure, Job, Match, Sighting, Timestamp, Verdict, Words};

/// Letters that two texts begin with alike, where no title stands in brackets.
const OPENING: usize = 12;

pub async fn look(api: &Api<'_>, job: &Job, since: Timestamp) -> Result<Sighting, Failure> {
    let facts = job.progress.clone();
    let Some(sent) = job.sole().and_then(|sole| post::read(&sole.draft)) else {
        return Ok(seen(facts, cannot_tell(), Evidence::Status));
    };
    let sent = essence(&sent.text);
    let list = timeline(api).await?;
    let same = |row: &&Row| match api.settings.mode {
        Mode::Share => row.essence == sent,
        Mode::Article => row.essence.contains(&sent),
    };
    let found: Vec<&Row> = list.rows.iter().filter(same).collect();
    let late = |row: &Row| row.at.is_none_or(|at| at >= since - SKEW);
    Ok(match found.as_slice() {
        [one] if late(one) => {
            let at = one.at.unwrap_or_else(|| api.call.now());
            let facts = adopted(api, job, one.id, at);
            seen(facts, Verdict::Live(Match::Same), Evidence::ReadBack)
        }
        // Older than the item, by its clock or by ours.
        [_] => seen(facts, cannot_tell(), Evidence::ReadBack),
        [] => {
            let verdict = missing(api, &list, opening(&sent), since);
            seen(facts, verdict, Evidence::ReadBack)
        }
        several => {
            let ids = several.iter().map(|row| row.id.to_string()).collect();
            seen(facts, Verdict::Several(ids), Evidence::ReadBack)
        }
    })
}

/// An article can exist without its post, so its absence is never certain.
fn missing(api: &Api<'_>, list: &Timeline, opening: &str, since: Timestamp) -> Verdict {
    if let Some(row) = list
        .rows
        .iter()
        .find(|row| row.essence.starts_with(opening))
    {
        let id = row.id;
        return Verdict::CannotTell(Words::new(
            format!("微博上有一条开头相同的（{id}），可能是后来的版本，请到微博上核实。"),
            format!("A post that begins the same ({id}) may be a later revision; look on Weibo."),
        ));
    }
    if covers(list, since) && api.settings.mode == Mode::Share {
        return Verdict::Absent;
    }
    cannot_tell()
}

/// Whether nothing since then can have been missed. The last row counts: one that is pinned stands first.
fn covers(list: &Timeline, since: Timestamp) -> bool {
    let read = i64::try_from(list.rows.len()).unwrap_or(i64::MAX);
    let all = list.total.is_some_and(|total| read >= total);
    let oldest = list.rows.last().and_then(|row| row.at);
    all || oldest.is_some_and(|at| at < since - SKEW)
}

/// The title in its brackets, without the closing one; else the first letters.
fn opening(essence: &str) -> &str {
    let titled = essence
        .starts_with('【')
        .then(|| essence.find('】'))
        .flatten();
    let first = essence.char_indices().nth(OPENING).map(|(at, _)| at);
    let end = titled.or(first).unwrap_or(essence.len());
    essence.get(..end).unwrap_or(essence)
}

fn cannot_tell() -> Verdict {
    Verdict::CannotTell(Words::new(
        "微博只能看到最新五条，看不到这一条可能发出的时候；请到微博上核实。",
        "Only the five newest posts can be seen, not as far back as this one may have been sent; look on Weibo.",
    ))
}

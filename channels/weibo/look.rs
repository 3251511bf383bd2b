//! Reading the platform back.
//!
//! The timeline shows the five newest posts of the account, of this app where the platform can tell.
//! A post of ours is one that is newer than the baseline, was made within the attempt, and reads
//! the same once links are taken out, since the platform shortens them. Its absence is proved only
//! by a list that reaches back to the baseline, or that holds every post there is.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::settings::Mode;
use super::wire::Api;
use super::{LAG, ROWS, act, lost, post};
use crate::contract::{
    Cost, Evidence, Failure, Fate, Job, Kind, Match, Progress, RemovedBy, Seen, Sighting, Step,
    Target, Timestamp, Truth, Verdict, Words,
};
use crate::kit::{html, json, text};
use crate::planted::{Bug, bug};

/// How far the two clocks may disagree.
pub(super) const SKEW: TimeDelta = TimeDelta::minutes(2);

/// How long a twin is looked for beside a post.
const YOUNG: TimeDelta = TimeDelta::hours(1);

/// One row of the timeline.
pub(super) struct Row {
    pub(super) id: u64,
    pub(super) at: Option<Timestamp>,
    pub(super) essence: String,
}

pub struct Timeline {
    pub(super) rows: Vec<Row>,
    /// How many posts the platform says there are.
    pub(super) total: Option<i64>,
}

impl Timeline {
    /// Id of the newest post; "0" for an empty list.
    pub fn newest(&self) -> String {
        self.rows
            .iter()
            .map(|row| row.id)
            .max()
            .unwrap_or(0)
            .to_string()
    }

    /// Whether nothing after the baseline can have been missed.
    fn covers(&self, baseline: &str) -> bool {
        let Ok(baseline) = baseline.parse::<u64>() else {
            return false;
        };
        let read = i64::try_from(self.rows.len()).unwrap_or(i64::MAX);
        let all = self.total.is_some_and(|total| read >= total);
        let newer = self.rows.iter().filter(|row| row.id > baseline).count();
        // The last row, since one that is pinned stands first however old it is.
        let reaches_back = self.rows.last().is_some_and(|row| row.id <= baseline);
        bug(Bug::B8) || newer < ROWS as usize && (all || reaches_back)
    }
}

pub async fn timeline(api: &Api<'_>) -> Result<Timeline, Failure> {
    let count = ROWS.to_string();
    // An article's post is not known to carry the app's name.
    let base_app = if api.settings.mode == Mode::Share {
        "1"
    } else {
        "0"
    };
    let query = [
        ("uid", api.settings.uid.as_str()),
        ("count", count.as_str()),
        ("base_app", base_app),
        ("trim_user", "1"),
    ];
    let body = api.get("/2/statuses/user_timeline.json", &query).await?;
    let listed = body.get("statuses").and_then(Value::as_array);
    let listed = listed.ok_or_else(|| api.incomplete("statuses"))?;
    let rows: Option<Vec<Row>> = listed.iter().map(row).collect();
    let rows = rows.ok_or_else(|| api.incomplete("idstr"))?;
    Ok(Timeline {
        rows,
        total: json::number(&body, "total_number"),
    })
}

fn row(status: &Value) -> Option<Row> {
    let id = json::id(status, "idstr").or_else(|| json::id(status, "id"))?;
    Some(Row {
        id: id.parse().ok()?,
        at: created(status),
        essence: essence(json::text(status, "text")),
    })
}

/// `Wed Oct 24 23:49:17 +0800 2012`.
fn created(status: &Value) -> Option<Timestamp> {
    let text = json::text(status, "created_at");
    let at = DateTime::parse_from_str(text, "%a %b %d %H:%M:%S %z %Y").ok()?;
    Some(at.with_timezone(&Utc))
}

pub(super) fn essence(said: &str) -> String {
    text::essence(&html::unescape(said))
}

pub async fn look(api: &Api<'_>, job: &Job, at: Target<'_>) -> Result<Sighting, Failure> {
    let outcome = match at {
        Target::Step { step, began, ended } => for_step(api, job, step, began, ended).await,
        Target::Copies => copies(api, job).await,
        Target::Unrecorded { since } => lost::look(api, job, since).await,
    };
    match (outcome, at) {
        // A look refused for want of a right could not tell; it did not fail.
        (Err(failure), _) if is_right_missing(&failure) => Ok(blind(job, at, failure.public)),
        (other, _) => other,
    }
}

pub(super) fn is_right_missing(failure: &Failure) -> bool {
    let auth = failure
        .code
        .as_deref()
        .is_some_and(|code| matches!(code, "10014" | "21335" | "21337"));
    auth && matches!(failure.fate, Fate::Blocked(_))
}

fn blind(job: &Job, at: Target<'_>, why: Words) -> Sighting {
    match at {
        Target::Step { .. } => sighting(job.progress.clone(), Truth::CannotTell(why), None),
        Target::Copies | Target::Unrecorded { .. } => seen(
            job.progress.clone(),
            Verdict::CannotTell(why),
            Evidence::Status,
        ),
    }
}

fn sighting(progress: Progress, truth: Truth, seen: Option<Seen>) -> Sighting {
    Sighting {
        progress,
        truth,
        seen: seen.into_iter().collect(),
    }
}

pub(super) fn seen(progress: Progress, verdict: Verdict, evidence: Evidence) -> Sighting {
    let seen = Seen {
        place: 0,
        verdict,
        remote_id: progress.get("post").map(ToOwned::to_owned),
        address: progress.get("url").map(ToOwned::to_owned),
        evidence,
    };
    sighting(progress, Truth::NotAsked, Some(seen))
}

/// The window in which a post of this job may have appeared.
#[derive(Clone, Copy)]
struct Span {
    from: Timestamp,
    to: Timestamp,
}

impl Span {
    fn holds(self, row: &Row) -> bool {
        row.at.is_none_or(|at| self.from <= at && at <= self.to)
    }
}

async fn for_step(
    api: &Api<'_>,
    job: &Job,
    step: &Step,
    began: Timestamp,
    ended: Timestamp,
) -> Result<Sighting, Failure> {
    if !matches!(step.name.as_str(), "share" | "article") {
        let words = Words::new("这一步再做一次即可。", "This step can simply be repeated.");
        return Ok(sighting(
            job.progress.clone(),
            Truth::CannotTell(words),
            None,
        ));
    }
    let span = Span {
        from: began - SKEW,
        to: ended + LAG,
    };
    let timeline = timeline(api).await?;
    let found = matching(api, job, &timeline, span);
    Ok(match found.as_slice() {
        [] => sighting(job.progress.clone(), absence(api, job, &timeline), None),
        [one] => sighting(adopted(api, job, *one, began), Truth::Applied, None),
        several => {
            let ids = several.iter().map(u64::to_string).collect();
            sighting(job.progress.clone(), Truth::Several(ids), None)
        }
    })
}

pub(super) fn adopted(api: &Api<'_>, job: &Job, id: u64, at: Timestamp) -> Progress {
    let mut facts = job.progress.clone().with("shared_at", act::millis(at));
    if let Some(sole) = job.sole() {
        facts.set("holds", &sole.draft_hash);
    }
    act::posted(api.settings, facts, &id.to_string())
}

/// An article can exist without its post, so its absence is never certain.
fn absence(api: &Api<'_>, job: &Job, timeline: &Timeline) -> Truth {
    let covered = timeline.covers(baseline(job));
    if covered && api.settings.mode == Mode::Share {
        return Truth::Absent;
    }
    Truth::CannotTell(Words::new(
        "微博只能看到最新五条，看不到那么早；请到微博上核实。",
        "Only the five newest posts can be seen, which is not far enough; look on Weibo.",
    ))
}

/// Of this job; of another round when this one shared nothing, as in a withdrawal.
fn baseline(job: &Job) -> &str {
    let own = job.progress.get(&act::baseline_fact(job));
    let newest = job
        .progress
        .iter()
        .filter(|(fact, _)| fact.starts_with("baseline/"));
    own.or(newest.map(|(_, id)| id).next()).unwrap_or("?")
}

fn matching(api: &Api<'_>, job: &Job, timeline: &Timeline, span: Span) -> Vec<u64> {
    let Some(sent) = job.sole().and_then(|sole| post::read(&sole.draft)) else {
        return Vec::new();
    };
    let sent = essence(&sent.text);
    let baseline: u64 = baseline(job).parse().unwrap_or(0);
    let reads_same = |row: &Row| match api.settings.mode {
        Mode::Share => row.essence == sent,
        Mode::Article => row.essence.contains(&sent),
    };
    timeline
        .rows
        .iter()
        .filter(|row| row.id > baseline && reads_same(row))
        .filter(|row| span.holds(row))
        .map(|row| row.id)
        .collect()
}

pub fn shared_at(job: &Job) -> Option<Timestamp> {
    DateTime::from_timestamp_millis(job.progress.get("shared_at")?.parse().ok()?)
}

/// The id of a post that was taken without one.
pub async fn unnamed(api: &Api<'_>, job: &Job) -> Result<Option<String>, Failure> {
    let at = shared_at(job).unwrap_or_else(|| api.call.now());
    let span = Span {
        from: at - SKEW - SKEW,
        to: at + LAG,
    };
    let found = matching(api, job, &timeline(api).await?, span);
    Ok(found.first().map(u64::to_string))
}

async fn copies(api: &Api<'_>, job: &Job) -> Result<Sighting, Failure> {
    let facts = job.progress.clone();
    if facts.get("gone") == Some("owner") && !facts.has("post") {
        return Ok(seen(
            facts,
            Verdict::Removed(RemovedBy::Owner),
            Evidence::Status,
        ));
    }
    if let Some(id) = job.progress.get("post") {
        return show(api, job, id).await;
    }
    let Some(shared) = shared_at(job) else {
        return unshared(api, job).await;
    };
    if let Some(id) = unnamed(api, job).await? {
        let facts = act::posted(api.settings, facts, &id);
        return Ok(seen(facts, Verdict::Live(Match::Same), Evidence::ReadBack));
    }
    if api.call.now() < shared + LAG {
        return Ok(seen(facts, Verdict::Reviewing, Evidence::Status));
    }
    let words = Words::new(
        "微博收下了这一条，但列表里看不到；请到微博上核实。",
        "Weibo took the post, but it is not to be seen in the list; look on Weibo.",
    );
    Ok(seen(facts, Verdict::CannotTell(words), Evidence::Status))
}

/// Nothing is known to have been shared; if a share was begun, only the list can tell.
async fn unshared(api: &Api<'_>, job: &Job) -> Result<Sighting, Failure> {
    let facts = job.progress.clone();
    if baseline(job) == "?" && !facts.iter().any(|(fact, _)| fact.starts_with("baseline/")) {
        return Ok(seen(facts, Verdict::Absent, Evidence::Status));
    }
    let timeline = timeline(api).await?;
    let any = Span {
        from: DateTime::<Utc>::MIN_UTC,
        to: api.call.now() + SKEW,
    };
    let found = matching(api, job, &timeline, any);
    Ok(match found.as_slice() {
        [one] => {
            let facts = adopted(api, job, *one, api.call.now());
            seen(facts, Verdict::Live(Match::Same), Evidence::ReadBack)
        }
        [] => match absence(api, job, &timeline) {
            Truth::CannotTell(words) => seen(facts, Verdict::CannotTell(words), Evidence::Status),
            _ => seen(facts, Verdict::Absent, Evidence::ReadBack),
        },
        several => {
            let ids = several.iter().map(u64::to_string).collect();
            seen(facts, Verdict::Several(ids), Evidence::ReadBack)
        }
    })
}

/// Reads one post. Taken is not shown: the platform may hide what it accepted.
async fn show(api: &Api<'_>, job: &Job, id: &str) -> Result<Sighting, Failure> {
    let facts = job.progress.clone();
    let status = match api.get("/2/statuses/show.json", &[("id", id)]).await {
        Ok(status) => status,
        Err(failure) if failure.kind == Kind::Gone => {
            return Ok(seen(facts, missing(api, job), Evidence::ReadBack));
        }
        Err(failure) if failure.code.as_deref() == Some("20132") => {
            let verdict = Verdict::Removed(RemovedBy::Platform);
            return Ok(seen(facts, verdict, Evidence::ReadBack));
        }
        Err(failure) => return Err(failure),
    };
    if json::id(&status, "idstr")
        .or_else(|| json::id(&status, "id"))
        .is_none()
    {
        return Err(api.incomplete("idstr"));
    }
    // A removal that did not hold is asked for again.
    let facts = facts.without("gone").without("lost");
    let hidden = status
        .get("visible")
        .and_then(|visible| json::number(visible, "type"));
    if hidden.is_some_and(|kind| kind != 0) || json::number(&status, "hide_flag").unwrap_or(0) != 0
    {
        return Ok(seen(facts, Verdict::Reviewing, Evidence::ReadBack));
    }
    let verdict = match twins(api, job).await {
        Some(ids) => Verdict::Several(ids),
        None => Verdict::Live(compared(api, job, &status)),
    };
    Ok(seen(facts, verdict, Evidence::ReadBack))
}

/// Whether the platform made more than one post of it. Only the list can tell, and only while it still
/// reaches back so far: one more call, for a young post. A list that cannot be read, or paid for, says nothing.
async fn twins(api: &Api<'_>, job: &Job) -> Option<Vec<String>> {
    let at = shared_at(job)?;
    if api.call.now() - at > YOUNG || !api.call.purse.spend(Cost::one("calls")).await {
        return None;
    }
    let span = Span {
        from: at - SKEW - SKEW,
        to: at + LAG,
    };
    let found = matching(api, job, &timeline(api).await.ok()?, span);
    (found.len() > 1).then(|| found.iter().map(u64::to_string).collect())
}

/// Not there: taken down by us, or by others; or not yet there.
fn missing(api: &Api<'_>, job: &Job) -> Verdict {
    if job.progress.get("gone") == Some("owner") {
        return Verdict::Removed(RemovedBy::Owner);
    }
    let was_seen = job.first_live.is_some() || job.sole().is_some_and(|sole| sole.copy.is_some());
    let young = shared_at(job).is_some_and(|at| api.call.now() < at + LAG);
    if young && !was_seen {
        return Verdict::Reviewing;
    }
    Verdict::Removed(RemovedBy::Unknown)
}

fn compared(api: &Api<'_>, job: &Job, status: &Value) -> Match {
    let Some(sole) = job.sole() else {
        return Match::Unread;
    };
    let Some(sent) = post::read(&sole.draft) else {
        return Match::Unread;
    };
    let (sent, shown) = (essence(&sent.text), essence(json::text(status, "text")));
    let same = match api.settings.mode {
        Mode::Share => shown == sent,
        Mode::Article => shown.contains(&sent),
    };
    if same {
        return Match::Same;
    }
    let ours = job
        .progress
        .get("holds")
        .is_some_and(|held| held != sole.draft_hash);
    if ours { Match::Earlier } else { Match::Differs }
}

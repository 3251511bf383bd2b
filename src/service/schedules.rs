//! Scheduled disclosure (定期公开): releasing approved items, and making items that still need
//! their approval.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use chrono::NaiveDate;
use lubu_channels::{Timestamp, Words};
use serde::Serialize;

use super::approve::wrong;
use super::submit::Submit;
use super::view::{RunView, ScheduleView, time};
use super::{Done, Service, Trouble};
use crate::config::{Build, Doing, ScheduleConfig};
use crate::ids::ItemId;
use crate::intake::{Handed, Submission};
use crate::model::calendar::{self, Missed};
use crate::store::act::Actor;
use crate::store::{Act, Answer, Refusal, StoreError};

/// The name of the run that marks when a schedule was first seen; sorts before all periods.
const FIRST_SEEN: &str = "0";

/// The files of a scheduled item are read by then, or not this time.
const READ_WITHIN: Duration = Duration::from_mins(1);

/// One period's figures, for a template.
#[derive(Debug, Serialize)]
struct Figures {
    /// Such as `2026-10`.
    period: String,
    /// Such as 2026年10月.
    period_words: String,
    /// Of the run, such as 2026-11-10.
    date: String,
    /// The data file's rows of this period.
    rows: Vec<BTreeMap<String, String>>,
    /// All its rows, in order.
    all: Vec<BTreeMap<String, String>>,
}

impl Service {
    pub async fn schedules(&self) -> Done<Vec<ScheduleView>> {
        let mut views = Vec::new();
        let config = self.config();
        for schedule in &config.schedules {
            let runs = self.store.runs(&schedule.name, 1).await?;
            let last = runs.into_iter().find(|run| run.period != FIRST_SEEN);
            let next = calendar::next(&schedule.cron, schedule.zone, self.time.now(), 3);
            views.push(ScheduleView {
                name: schedule.name.clone(),
                cron: schedule.expression.clone(),
                timezone: schedule.zone.name().to_owned(),
                does: match schedule.doing {
                    Doing::Release => "release".to_owned(),
                    Doing::Build(_) => "build".to_owned(),
                },
                next: next.iter().map(|at| time(at.to_utc())).collect(),
                last: last.map(|run| RunView {
                    period: run.period,
                    due: time(run.due),
                    at: time(run.at),
                    result: run.done.map(|words| words.zh),
                }),
                waiting: self.store.waiting_for(&schedule.name).await?.len(),
            });
        }
        for (name, waiting) in self.lost_schedules().await? {
            if views.iter().all(|view| view.name != name) {
                views.push(gone(name, waiting));
            }
        }
        Ok(views)
    }

    /// Schedules that items wait for and that let nothing go, as the configuration stands now.
    async fn lost_schedules(&self) -> Done<BTreeMap<String, usize>> {
        let setup = self.setup();
        let mut items: BTreeMap<String, BTreeSet<ItemId>> = BTreeMap::new();
        for delivery in self.store.unsettled().await? {
            if let Some(name) = setup.lost_schedule(&delivery) {
                let waiting = items.entry(name.to_owned()).or_default();
                waiting.insert(delivery.id.item);
            }
        }
        let counted = items.into_iter();
        Ok(counted
            .map(|(name, waiting)| (name, waiting.len()))
            .collect())
    }

    /// Says of each, at the start and after a reload: nothing else will ever turn to what waits for it.
    pub async fn name_lost_schedules(&self) {
        match self.lost_schedules().await {
            Ok(lost) => {
                for (name, waiting) in lost {
                    tracing::error!(
                        schedule = name,
                        waiting,
                        "{waiting} approved items wait for the schedule {name}, which is no longer configured: configure it again, or approve a revision without `schedule`"
                    );
                }
            }
            Err(trouble) => {
                tracing::error!("schedules: {}", trouble.problem().detail_en);
            }
        }
    }

    /// Runs every schedule that is due. Says when the next one is.
    pub async fn run_due(&self) -> Option<Timestamp> {
        let mut next = None;
        let config = self.config();
        for schedule in &config.schedules {
            if let Err(error) = self.catch_up(schedule).await {
                let problem = error.problem();
                tracing::error!(schedule = schedule.name, "schedule: {}", problem.detail_en);
            }
            let coming = calendar::next(&schedule.cron, schedule.zone, self.time.now(), 1);
            next = coming
                .first()
                .map(chrono::DateTime::to_utc)
                .into_iter()
                .chain(next)
                .min();
        }
        next
    }

    async fn catch_up(&self, schedule: &ScheduleConfig) -> Done<()> {
        let now = self.time.now();
        let Some(last) = self.store.runs(&schedule.name, 1).await?.into_iter().next() else {
            // Seen for the first time: what was due before has nothing to do with it.
            return self.mark(schedule, FIRST_SEEN, now, first_seen()).await;
        };
        let from = if last.done.is_some() {
            last.due
        } else {
            just_before(last.due)
        };
        let Some(missed) = calendar::missed(&schedule.cron, schedule.zone, from, now) else {
            return Ok(());
        };
        self.run_one(schedule, &missed, now).await
    }

    async fn run_one(&self, schedule: &ScheduleConfig, due: &Missed, now: Timestamp) -> Done<()> {
        let period = calendar::period_key(&due.due);
        let at = due.due.to_utc();
        let late = (now - at).to_std().unwrap_or_default();
        if late > schedule.catch_up {
            let words = Words::new(
                format!("停机期间错过，已超过补跑时限，未执行（{period}）"),
                format!("missed by more than the catch-up time; not run ({period})"),
            );
            tracing::error!(schedule = schedule.name, "{}", words.en);
            return self.mark(schedule, &period, at, words).await;
        }
        let act = Act::Fire {
            schedule: schedule.name.clone(),
            period: period.clone(),
            due: at,
        };
        match self.store.act(act).await {
            Ok(_) => {}
            Err(StoreError::Refused(Refusal::Ran)) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        // A crash from here on runs it again under the same key, which makes nothing twice.
        let done = match self.carry_out(schedule, due).await {
            Ok(words) => words,
            Err(trouble) => told(&trouble),
        };
        tracing::info!(
            schedule = schedule.name,
            "schedule {}: {}",
            schedule.name,
            done.en
        );
        let act = Act::Fired {
            schedule: schedule.name.clone(),
            period,
            done,
        };
        self.store.act(act).await?;
        Ok(())
    }

    async fn mark(
        &self,
        schedule: &ScheduleConfig,
        period: &str,
        due: Timestamp,
        done: Words,
    ) -> Done<()> {
        let (name, period) = (schedule.name.clone(), period.to_owned());
        let fire = Act::Fire {
            schedule: name.clone(),
            period: period.clone(),
            due,
        };
        self.store.act(fire).await?;
        self.store
            .act(Act::Fired {
                schedule: name,
                period,
                done,
            })
            .await?;
        Ok(())
    }

    async fn carry_out(&self, schedule: &ScheduleConfig, due: &Missed) -> Done<Words> {
        match &schedule.doing {
            Doing::Release => self.release(&schedule.name).await,
            Doing::Build(build) => self.build(&schedule.name, build, due).await,
        }
    }

    async fn release(&self, name: &str) -> Done<Words> {
        let items = self.store.waiting_for(name).await?;
        let count = items.len();
        if count > 0 {
            let act = Act::Release {
                actor: Actor::new(name, "schedule"),
                items,
            };
            if let Answer::Deliveries(deliveries) = self.store.act(act).await? {
                self.engine.hub().wake(&deliveries);
            }
        }
        Ok(Words::new(
            format!("放行 {count} 条"),
            format!("released {count} items"),
        ))
    }

    /// Makes this period's item; it waits for its approval like any other.
    async fn build(&self, name: &str, build: &Build, due: &Missed) -> Done<Words> {
        let (period, words) = calendar::period(build.cadence, due.due.date_naive());
        let (build, date) = (build.clone(), due.due.date_naive());
        let about = About {
            period: period.clone(),
            words: words.clone(),
            date,
        };
        let text = apart(move || fill(&build.template, &figures(&build, about)?)).await?;
        let key = format!("schedule/{name}/{period}");
        let submission = Submission {
            main: 0,
            files: vec![Handed {
                path: format!("{name}.md"),
                bytes: text.into_bytes(),
            }],
        };
        let submit = Submit {
            submission,
            by: format!("schedule:{name}"),
            from: "schedule",
            key: Some((key.clone(), key)),
            again: true,
        };
        let submitted = self.submit(submit).await?;
        let id = submitted.accepted.item;
        Ok(Words::new(
            format!("已生成 {words} 的稿件 {id}，等待签发"),
            format!("made item {id} for {period}; it waits for approval"),
        ))
    }
}

fn gone(name: String, waiting: usize) -> ScheduleView {
    ScheduleView {
        name,
        cron: String::new(),
        timezone: String::new(),
        does: "gone".to_owned(),
        next: Vec::new(),
        last: None,
        waiting,
    }
}

fn first_seen() -> Words {
    Words::new("首次启用", "seen for the first time")
}

fn just_before(at: Timestamp) -> Timestamp {
    at - chrono::TimeDelta::seconds(1)
}

fn told(trouble: &Trouble) -> Words {
    let problem = trouble.problem();
    let more: Vec<String> = problem
        .problems
        .iter()
        .map(|one| format!("{}：{}", one.place, one.words.zh))
        .chain(
            problem
                .findings
                .iter()
                .map(|one| format!("{}：{}", one.channel, one.reason)),
        )
        .collect();
    Words::new(
        format!("未成功：{} {}", problem.detail, more.join("；")),
        format!("failed: {}", problem.detail_en),
    )
}

/// What an item is made about.
struct About {
    period: String,
    words: String,
    date: NaiveDate,
}

/// Reads on a thread that may stand still for as long as a dead network folder takes, and waits no longer than this: the
/// other schedules have their times, too.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> Done<T> + Send + 'static) -> Done<T> {
    let reading = tokio::task::spawn_blocking(work);
    match tokio::time::timeout(READ_WITHIN, reading).await {
        Ok(Ok(read)) => read,
        Ok(Err(_)) => Err(super::submit::unexpected()),
        Err(_) => Err(wrong(
            "数据文件或模板一分钟内没有读出来，请检查它所在的目录；这一期请用 lubu submit 提交，以后各期照常。",
            "the data file or the template could not be read within a minute; look at the folder it lies in, and hand this one in with `lubu submit`.",
        )),
    }
}

fn figures(build: &Build, about: About) -> Done<Figures> {
    let About {
        period,
        words,
        date,
    } = about;
    let all = read(&build.data)?;
    let of_period = |row: &BTreeMap<String, String>| {
        row.get("period")
            .or(row.get("期间"))
            .is_some_and(|value| *value == period)
    };
    let rows: Vec<_> = all.iter().filter(|row| of_period(row)).cloned().collect();
    if rows.is_empty() {
        let data = build.data.display();
        return Err(wrong(
            &format!(
                "数据文件 {data} 里没有 {period} 的数据（period 列），本期未生成。补上后请用 lubu submit 提交这一期，以后各期照常。"
            ),
            &format!(
                "the data file {data} has no row whose `period` is {period}; hand this one in with `lubu submit`."
            ),
        ));
    }
    Ok(Figures {
        period,
        period_words: words,
        date: date.format("%Y-%m-%d").to_string(),
        rows,
        all,
    })
}

fn read(path: &Path) -> Done<Vec<BTreeMap<String, String>>> {
    let shown = path.display();
    let bytes = std::fs::read(path).map_err(|error| {
        wrong(
            &format!("读不到数据文件 {shown}：{error}。"),
            &format!("cannot read {shown}: {error}."),
        )
    })?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut rows = Vec::new();
    for (at, row) in csv::Reader::from_reader(bytes).deserialize().enumerate() {
        let row: BTreeMap<String, String> = row.map_err(|error| {
            wrong(
                &format!("数据文件 {shown} 第 {} 行有误：{error}。", at + 2),
                &format!("{shown} line {}: {error}.", at + 2),
            )
        })?;
        rows.push(row);
    }
    Ok(rows)
}

fn fill(template: &Path, figures: &Figures) -> Done<String> {
    let shown = template.display();
    let bad = |why: String| {
        wrong(
            &format!("模板 {shown} 有误：{why}。"),
            &format!("the template {shown}: {why}."),
        )
    };
    let text = std::fs::read_to_string(template).map_err(|error| bad(error.to_string()))?;
    let mut engine = minijinja::Environment::new();
    // A figure that is not there stops the run; it never becomes a gap in an official text.
    engine.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    engine.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    engine
        .render_str(&text, figures)
        .map_err(|error| bad(format!("{error:#}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_data_file_that_comes_slowly_keeps_nobody_from_his_work() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("data.csv");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).expect("a pipe");
        let slow = path.clone();
        // One thread: whoever waited on it for the pipe would wait for ever.
        let reading = apart(move || read(&slow));
        let writing = async { tokio::fs::write(&path, "period,value\n2026-10,5\n").await };
        let (rows, written) = tokio::join!(reading, writing);
        written.expect("written");
        let rows = rows.unwrap_or_else(|why| panic!("{:?}", why.problem()));
        assert_eq!(rows[0]["value"], "5");
    }
}

//! What the daemon is at before it can work, for whoever asks meanwhile.
//!
//! Opening takes as long as a rebuild does, and may have to wait: for space on the disk, for a file handle. The doors
//! are there by then, and behind all of them stands the sentence that is kept here. Only what can pass by itself is waited
//! for; anything else ends the process with its reason, since it needs a person.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono_tz::Tz;
use lubu_channels::{Timestamp, Words};
use serde::Serialize;

use super::Problem;
use crate::clock::Time;
use crate::store::StoreError;
use crate::store::embedded::{OpenError, Progress};

/// Between two tries.
pub const AGAIN: Duration = Duration::from_secs(5);
/// The `type` of the problem that every door answers with meanwhile.
pub const OPENING: &str = "urn:lubu:problem:opening";

/// Why a try did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotYet {
    /// It may pass by itself.
    Again(Words),
    Never(Words),
}

impl NotYet {
    pub fn of(words: Words, passes: bool) -> Self {
        if passes {
            Self::Again(words)
        } else {
            Self::Never(words)
        }
    }
}

impl From<OpenError> for NotYet {
    fn from(error: OpenError) -> Self {
        let words = Words::new(error.zh(), format!("failed to {error}"));
        Self::of(words, error.passes())
    }
}

impl From<StoreError> for NotYet {
    fn from(error: StoreError) -> Self {
        let passes = matches!(error, StoreError::Unavailable(_));
        Self::of(error.words(), passes)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    Reading,
    Rebuilding(Progress),
    Waiting { why: Words },
}

#[derive(Debug)]
struct Seen {
    stage: Stage,
    /// Since when it has not gone on, and how often it was tried.
    trouble: Option<(Timestamp, u64)>,
}

/// At which stage the start is. Shared by who opens and by who answers.
#[derive(Debug)]
pub struct Opening {
    zone: Tz,
    seen: Mutex<Seen>,
}

/// The same as an answer: a problem, with its figures beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpeningView {
    #[serde(flatten)]
    pub problem: Problem,
    pub ready: bool,
    pub doing: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
    /// Since when it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

fn percent(at: Progress) -> u64 {
    let share = u128::from(at.sequence) * 100 / u128::from(at.of.max(1));
    u64::try_from(share).unwrap_or(100).min(100)
}

impl Opening {
    pub fn new(zone: Tz) -> Self {
        let seen = Seen {
            stage: Stage::Reading,
            trouble: None,
        };
        Self {
            zone,
            seen: Mutex::new(seen),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state is being made from the journal.
    pub fn progress(&self, at: Progress) {
        self.seen().stage = Stage::Rebuilding(at);
    }

    /// Tries until it is done, or until it is known that it never will be.
    pub async fn insist<T, F>(
        &self,
        time: &dyn Time,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, Words>
    where
        F: Future<Output = Result<T, NotYet>>,
    {
        loop {
            let why = match attempt().await {
                Ok(done) => {
                    self.passed();
                    return Ok(done);
                }
                Err(NotYet::Never(why)) => return Err(why),
                Err(NotYet::Again(why)) => why,
            };
            self.failed(why, time.now());
            time.sleep_until(time.now() + AGAIN).await;
        }
    }

    fn passed(&self) {
        let mut seen = self.seen();
        seen.stage = Stage::Reading;
        if seen.trouble.take().is_some() {
            tracing::warn!("what the start waited for has come, and it goes on");
        }
    }

    /// Said once for each reason.
    fn failed(&self, why: Words, now: Timestamp) {
        let mut seen = self.seen();
        let (since, tries) = seen.trouble.unwrap_or((now, 0));
        if tries == 0 || !matches!(&seen.stage, Stage::Waiting { why: before } if *before == why) {
            tracing::error!(
                "not ready, and tried again every {} s: {}",
                AGAIN.as_secs(),
                why.en
            );
        }
        seen.trouble = Some((since, tries + 1));
        seen.stage = Stage::Waiting { why };
    }

    pub fn words(&self) -> Words {
        let seen = self.seen();
        match &seen.stage {
            Stage::Reading => Words::new(
                "守护进程正在打开数据目录，暂不接收也不发送。",
                "the daemon is opening its data folder; nothing is taken in or sent yet.",
            ),
            Stage::Rebuilding(at) => {
                let Progress { sequence, of } = at;
                let percent = percent(*at);
                Words::new(
                    format!(
                        "正在由日志重建状态库：{percent}%（第 {sequence} 条，共 {of} 条），此前不接收也不发送。"
                    ),
                    format!(
                        "the state is being rebuilt from the journal: {percent} % (entry {sequence} of {of}); nothing is taken in or sent before."
                    ),
                )
            }
            Stage::Waiting { why } => {
                let (since, tries) = seen.trouble.unwrap_or_default();
                let since = since
                    .with_timezone(&self.zone)
                    .format("%Y-%m-%d %H:%M:%S %:z");
                let every = AGAIN.as_secs();
                Words::new(
                    format!(
                        "还不能开始工作：{}（{since} 起，每 {every} 秒重试，已试 {tries} 次）",
                        why.zh
                    ),
                    format!(
                        "not ready: {} (since {since}, tried every {every} s, {tries} times so far)",
                        why.en
                    ),
                )
            }
        }
    }

    pub fn view(&self) -> OpeningView {
        let words = self.words();
        let seen = self.seen();
        let at = match &seen.stage {
            Stage::Rebuilding(at) => Some(*at),
            Stage::Reading | Stage::Waiting { .. } => None,
        };
        let waits = matches!(seen.stage, Stage::Waiting { .. });
        let since = seen.trouble.filter(|_| waits);
        OpeningView {
            problem: Problem {
                kind: OPENING.to_owned(),
                title: "opening".to_owned(),
                status: 503,
                detail: words.zh,
                detail_en: words.en,
                problems: Vec::new(),
                findings: Vec::new(),
            },
            ready: false,
            doing: match seen.stage {
                Stage::Reading => "reading",
                Stage::Rebuilding(_) => "rebuilding",
                Stage::Waiting { .. } => "waiting",
            },
            percent: at.map(percent),
            entries: at.map(|at| at.sequence),
            of: at.map(|at| at.of),
            since: since.map(|(since, _)| super::view::time(since)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use lubu_channels::Clock as _;

    use chrono_tz::Asia::Shanghai;

    use super::*;
    use crate::clock::Steered;

    fn full() -> NotYet {
        OpenError::DiskFull.into()
    }

    #[tokio::test]
    async fn a_full_disk_is_waited_for_and_said_and_the_first_try_with_space_is_the_last() {
        let (time, opening) = (Steered::default(), Opening::new(Shanghai));
        let began = time.now();
        let tries = Cell::new(0);
        let insisting = opening.insist(&time, || async {
            tries.set(tries.get() + 1);
            if tries.get() < 4 { Err(full()) } else { Ok(7) }
        });
        let passing = async {
            for _ in 0..3 {
                while time.next_wake() != Some(time.now() + AGAIN) {
                    tokio::task::yield_now().await;
                }
                let view = opening.view();
                assert_eq!((view.doing, view.ready), ("waiting", false));
                assert_eq!(view.since, Some(super::super::view::time(began)));
                assert!(view.problem.detail.contains("磁盘已满"), "{view:?}");
                time.advance(AGAIN);
            }
        };
        let (done, ()) = tokio::join!(insisting, passing);
        assert_eq!((done, tries.get()), (Ok(7), 4));
        assert_eq!(opening.view().doing, "reading");
    }

    #[tokio::test]
    async fn what_needs_a_person_is_not_tried_twice() {
        let (time, opening) = (Steered::default(), Opening::new(Shanghai));
        let tries = Cell::new(0);
        let done: Result<(), Words> = opening
            .insist(&time, || async {
                tries.set(tries.get() + 1);
                Err(OpenError::Locked { pid: Some(4711) }.into())
            })
            .await;
        assert!(done.is_err_and(|why| why.zh.contains("4711") && why.en.contains("4711")));
        assert_eq!(tries.get(), 1);
    }

    #[test]
    fn a_rebuild_is_told_in_percent_and_in_entries() {
        let opening = Opening::new(Shanghai);
        opening.progress(Progress {
            sequence: 420,
            of: 1_000,
        });
        let view = opening.view();
        assert_eq!(
            (view.percent, view.entries, view.of),
            (Some(42), Some(420), Some(1_000))
        );
        assert!(view.problem.detail.contains("42%"), "{view:?}");
        // A new store has nothing to bring up to date.
        opening.progress(Progress { sequence: 0, of: 0 });
        assert_eq!(opening.view().percent, Some(0));
    }
}

//! The office's own static site (自有网站): whole pages, written into a folder.
//!
//! Every item has one permanent address, a function of configuration and item id, so that other
//! channels can link to it before it exists. Each page is written whole or not at all; a
//! correction changes it in place; a withdrawal puts a notice where it stood. Lists, feed and site
//! map are derived from one small record per item, and written once for all items that wait.
//!
//! Writes only what it is told to show. Knows no accounts, comments or search.

mod act;
mod address;
mod content;
mod disk;
mod dress;
mod fate;
mod index;
mod lists;
mod look;
mod marker;
mod record;
mod render;
mod serve;
mod settings;
mod survey;
mod way;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::Datelike;

use self::disk::Disk;
use self::index::Index;
use self::record::Record;
use self::render::Frame;
use self::settings::{LookBy, Settings};
use crate::contract::{
    Call, Caps, Channel, Document, Draft, Entry, Evidence, Failure, Finding, Health, Job, LookCaps,
    Media, Next, Pages, Posted, Problem, Receipt, Sighting, Step, SurveyCaps, Surveyed, Surveys,
    Target, Timestamp, UpdateBy, WithdrawBy, Words,
};

/// Pictures and attachments as this site keeps them, for adapters that link to them.
pub use self::content::{WISH as PICTURES, file_name};

/// The address of a file beside the page at `canonical`, which this adapter gave out.
pub fn beside(canonical: &str, name: &str) -> String {
    let folder = canonical.strip_suffix(".html").unwrap_or(canonical);
    format!("{folder}/{name}")
}

pub struct Site {
    core: Arc<Core>,
    caps: Caps,
}

/// What steps, looks and the server share.
#[derive(Debug)]
struct Core {
    settings: Settings,
    frame: Frame,
    disk: Disk,
    assets_written: AtomicBool,
    /// `None` until lists are first wanted.
    index: Mutex<Option<Index>>,
    /// The year that the lists' dates were written in.
    year: AtomicI32,
}

/// Names no folder of this machine: `Debug` texts end up in logs.
impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Site({})", self.core.settings.base_url)
    }
}

pub fn build(entry: &Entry<'_>) -> Result<Arc<dyn Channel>, Vec<Problem>> {
    let settings = Settings::read(entry)?;
    let frame = Frame::new(&settings).map_err(|words| vec![Problem::new("templates", words)])?;
    let caps = caps(&settings);
    let core = Arc::new(Core::new(frame, settings));
    Ok(Arc::new(Site { core, caps }))
}

fn caps(settings: &Settings) -> Caps {
    let plan: Vec<Duration> = [0, 5, 60, 600, 3_600].map(Duration::from_secs).into();
    Caps {
        account: format!("site:{}", settings.base_url),
        update: UpdateBy::InPlace,
        withdraw: WithdrawBy::Notice,
        look: LookCaps {
            evidence: match settings.look {
                LookBy::Disk => Evidence::ReadBack,
                LookBy::Http(_) => Evidence::PublicPage,
            },
            rows: None,
            settle: Duration::ZERO,
            unknown_plan: plan.clone(),
            review_plan: plan,
            costs: Vec::new(),
        },
        survey: Some(SurveyCaps {
            rows: survey::ROWS,
            costs: Vec::new(),
        }),
        reviews: false,
        repeat_when_absent: true,
        gathers: 1,
        limits: Vec::new(),
        quotas: Vec::new(),
        overrides: Vec::new(),
    }
}

impl Core {
    fn new(frame: Frame, settings: Settings) -> Self {
        Self {
            disk: Disk::new(settings.root.clone()),
            settings,
            frame,
            assets_written: AtomicBool::new(false),
            index: Mutex::default(),
            year: AtomicI32::new(0),
        }
    }

    /// Runs work on files apart from the tasks that must not wait for a disk.
    async fn on_disk<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let core = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || work(&core)).await;
        done.unwrap_or_else(|_| Err(fate::bug("work on the folder broke off")))
    }

    /// Style and script, once a process.
    fn ensure_assets(&self) -> Result<(), Failure> {
        if self.assets_written.load(Ordering::Acquire) {
            return Ok(());
        }
        for asset in [&self.frame.style, &self.frame.script] {
            let put = self.disk.put_once(&asset.file, asset.content.as_bytes());
            let put = put.and_then(|put| {
                if put {
                    self.disk.sync_folder_of(&asset.file)
                } else {
                    Ok(())
                }
            });
            put.map_err(|error| fate::disk(&asset.file, &error))?;
        }
        self.assets_written.store(true, Ordering::Release);
        Ok(())
    }

    fn index(&self) -> MutexGuard<'_, Option<Index>> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a record into the lists' memory, where there is one; else it is read from disk later.
    fn note(&self, record: Record) {
        if let Some(index) = &mut *self.index() {
            index.put(&self.settings, record);
        }
    }

    /// Brings every list up to date.
    fn lists(&self, now: Timestamp) -> Result<(), Failure> {
        let mut kept = self.index();
        let mut index = match kept.take() {
            Some(index) => index,
            None => Index::load(&self.settings, &self.disk)?,
        };
        let year = now.with_timezone(&self.settings.timezone).year();
        let turned = self.year.swap(year, Ordering::Relaxed) != year;
        let mut dirty = std::mem::take(&mut index.dirty);
        dirty.all |= turned;
        let written = lists::write(self, &index, &dirty, now);
        if written.is_err() {
            index.dirty.merge(dirty);
        }
        *kept = Some(index);
        written
    }
}

#[async_trait]
impl Channel for Site {
    fn caps(&self) -> &Caps {
        &self.caps
    }

    fn draft(&self, document: &Document, media: &dyn Media) -> Result<Draft, Vec<Finding>> {
        content::write(&self.core.settings, &self.core.frame, document, media)
    }

    fn next(&self, job: &Job, _now: Timestamp) -> Next {
        way::next(job)
    }

    async fn perform(&self, job: &Job, step: &Step, call: &Call<'_>) -> Result<Receipt, Failure> {
        let (job, name, now) = (job.clone(), step.name.clone(), call.now());
        let work = move |core: &Core| act::perform(core, &job, &name, now);
        let progress = self.core.on_disk(work).await?;
        Ok(Receipt {
            progress,
            ..Receipt::default()
        })
    }

    async fn look(&self, job: &Job, at: Target<'_>, call: &Call<'_>) -> Result<Sighting, Failure> {
        look::look(&self.core, job, at, call).await
    }

    async fn check(&self, call: &Call<'_>) -> Result<Health, Failure> {
        let probe = |core: &Core| core.disk.probe().map_err(|error| fate::disk(".", &error));
        self.core.on_disk(probe).await?;
        let mut lines = vec![Words::new(
            "网站目录可写。",
            "The site's folder can be written.",
        )];
        if let LookBy::Http(base) = &self.core.settings.look {
            look::reach(base, call).await?;
            lines.push(Words::new(
                "回读地址能连上。",
                "The read-back address answers.",
            ));
        }
        lines.extend(self.core.settings.wanting());
        Ok(Health {
            lines,
            expires: None,
        })
    }

    fn pages(&self) -> Option<&dyn Pages> {
        Some(self)
    }

    fn surveys(&self) -> Option<&dyn Surveys> {
        Some(self)
    }
}

#[async_trait]
impl Surveys for Site {
    async fn survey(&self, _call: &Call<'_>) -> Result<Surveyed, Failure> {
        let survey = |core: &Core| survey::survey(&core.settings, &core.disk);
        self.core.on_disk(survey).await.map(Surveyed::Posts)
    }

    fn reads_as(&self, _posted: &Posted, _draft: &Draft) -> bool {
        // Every page names its item.
        false
    }
}

impl Pages for Site {
    fn address(&self, item: &str) -> String {
        address::page(&self.core.settings, item)
    }

    fn listen(&self) -> Option<SocketAddr> {
        self.core.settings.serve
    }

    fn router(&self) -> axum::Router {
        serve::router(Arc::clone(&self.core))
    }
}

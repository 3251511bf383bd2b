//! A data folder with years of work in it: a million finished deliveries and ten thousand due ones.
//!
//! Made by the daemon's own code in this process: items come in, are signed, rendered and fanned out, every intent and
//! outcome is an act in the journal. Only the portal's answer is not waited for: the adapter is the real one, but for
//! `perform`, which says what a portal that publishes at once would say.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lubu::config::Registry;
use lubu::daemon::{self, Daemon};
use lubu::ids::ItemId;
use lubu::intake::{Handed, Submission};
use lubu::service::{Approve, Submit};
use lubu::store::Act;
use lubu::store::act::Actor;
use lubu_channels::registry::Build;
use lubu_channels::{
    Call, Caps, Channel, Document, Draft, Entry, Evidence, Failure, Finding, Health, Job, Match,
    Media, Next, Pages, Problem, Receipt, Seen, Sighting, Step, Surveys, Target, Timestamp,
    Verdict,
};
use tokio::task::JoinSet;

use super::rig::{self, CHANNELS, failed};
use crate::session::say;

/// Items at the same time on their way in.
const HANDS: usize = 16;

fn registry() -> Registry {
    BTreeMap::from([("portal", build as Build)])
}

fn build(entry: &Entry<'_>) -> Result<Arc<dyn Channel>, Vec<Problem>> {
    let portal = lubu_channels::portal::build(entry)?;
    Ok(Arc::new(Answered(portal)))
}

/// A portal whose answer is there already.
#[derive(Debug)]
struct Answered(Arc<dyn Channel>);

#[async_trait]
impl Channel for Answered {
    fn caps(&self) -> &Caps {
        self.0.caps()
    }

    fn draft(&self, document: &Document, media: &dyn Media) -> Result<Draft, Vec<Finding>> {
        self.0.draft(document, media)
    }

    fn next(&self, job: &Job, now: Timestamp) -> Next {
        self.0.next(job, now)
    }

    async fn perform(&self, job: &Job, _: &Step, _: &Call<'_>) -> Result<Receipt, Failure> {
        let (id, url) = (&job.key[..8], format!("http://127.0.0.1/{}", job.key));
        let progress = job.progress.clone().with("created", &*job.key);
        let seen = Seen {
            place: job.sole().map_or(0, |sole| sole.place),
            verdict: Verdict::Live(Match::Unread),
            remote_id: Some(id.to_owned()),
            address: Some(url.clone()),
            evidence: Evidence::Status,
        };
        Ok(Receipt {
            progress: progress.with("id", id).with("url", url),
            seen: vec![seen],
            request_id: None,
        })
    }

    async fn look(&self, job: &Job, at: Target<'_>, call: &Call<'_>) -> Result<Sighting, Failure> {
        self.0.look(job, at, call).await
    }

    async fn check(&self, call: &Call<'_>) -> Result<Health, Failure> {
        self.0.check(call).await
    }

    fn pages(&self) -> Option<&dyn Pages> {
        None
    }

    fn surveys(&self) -> Option<&dyn Surveys> {
        None
    }
}

/// A process of its own, because it is to be killed: what a start finds then is what a crash after years of work leaves.
#[derive(Clone, Debug, clap::Args)]
pub struct Fill {
    #[arg(long)]
    pub folder: PathBuf,
    #[arg(long)]
    pub finished: u64,
    #[arg(long)]
    pub due: u64,
}

/// What it says when all is there.
const FILLED: &str = "FILLED";

impl Fill {
    /// Runs it and kills it.
    pub fn and_kill(&self) -> Result<(), String> {
        let mut command = Command::new(rig::released("torture")?);
        command.arg("fill").stdin(Stdio::null());
        command.arg("--folder").arg(&self.folder);
        command.args(["--finished", &self.finished.to_string()]);
        command.args(["--due", &self.due.to_string()]);
        let mut child = command.stdout(Stdio::piped()).spawn().map_err(failed)?;
        let out = child.stdout.take().ok_or("no output")?;
        let filled = BufReader::new(out)
            .lines()
            .map_while(Result::ok)
            .any(|line| line == FILLED);
        drop(child.kill());
        drop(child.wait());
        filled
            .then_some(())
            .ok_or_else(|| "the folder could not be filled".to_owned())
    }

    pub fn run(&self) -> Result<(), String> {
        let runtime = tokio::runtime::Runtime::new().map_err(failed)?;
        runtime.block_on(self.fill())
    }

    async fn fill(&self) -> Result<(), String> {
        let items = |deliveries: u64| usize::try_from(deliveries).unwrap_or(0).div_ceil(CHANNELS);
        let daemon = start(&self.folder).await?;
        hand_in(&daemon, 0, items(self.finished)).await?;
        at_rest(&daemon).await?;
        // What is signed from here on stays due.
        let stop = |stop: Option<&str>| Act::Sending {
            actor: Actor::new("孙涛", "cli"),
            stop: stop.map(ToOwned::to_owned),
        };
        let store = &daemon.service.store;
        store.act(stop(Some("fill"))).await.map_err(failed)?;
        hand_in(&daemon, items(self.finished), items(self.due)).await?;
        daemon.service.engine.stop(Duration::from_secs(20)).await;
        store.act(stop(None)).await.map_err(failed)?;
        say(FILLED);
        std::future::pending().await
    }
}

async fn start(folder: &Path) -> Result<Daemon, String> {
    lubu_channels::kit::http::install_provider();
    let text = std::fs::read_to_string(folder.join("lubu.toml")).map_err(failed)?;
    // Only here: a group of acts costs one sync, however many they are.
    let text = text.replace("[[channel]]\n", "[[channel]]\nconcurrency = 32\n");
    let config = lubu::config::parse(&text, None, folder, &registry(), &|_| None);
    let config = config.map_err(failed)?;
    daemon::start(config).await.map_err(failed)
}

/// Submitted and signed.
async fn hand_in(daemon: &Daemon, from: usize, count: usize) -> Result<(), String> {
    let mut tasks: JoinSet<Result<(), String>> = JoinSet::new();
    for number in from..from + count {
        if number % 2000 == 0 {
            eprintln!("start: {number} items are in");
        }
        while tasks.len() >= HANDS {
            tasks
                .join_next()
                .await
                .transpose()
                .map_err(failed)?
                .transpose()?;
        }
        let service = Arc::clone(&daemon.service);
        tasks.spawn(async move {
            let submitted = service.submit(submission(number)).await;
            let submitted = submitted.map_err(|why| format!("{:?}", why.problem()))?;
            let signed = service.approve(approval(submitted.accepted.item)).await;
            signed
                .map(drop)
                .map_err(|why| format!("{:?}", why.problem()))
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.map_err(failed)??;
    }
    Ok(())
}

fn submission(number: usize) -> Submit {
    let item = rig::item(u32::try_from(number).unwrap_or(0));
    let word = |key: &str| item[key].as_str().unwrap_or_default().to_owned();
    let text = format!(
        "+++\ntitle = \"{}\"\ncategory = \"{}\"\nscope = \"public\"\n+++\n\n{}\n",
        word("title"),
        word("category"),
        word("body")
    );
    let file = Handed {
        path: "item.md".into(),
        bytes: text.into_bytes(),
    };
    Submit {
        submission: Submission {
            main: 0,
            files: vec![file],
        },
        by: "赵晓".into(),
        from: "api",
        key: None,
        again: false,
    }
}

fn approval(item: ItemId) -> Approve {
    Approve {
        item,
        revision: None,
        scope: None,
        by: "陈主任".into(),
        opinion: String::new(),
        choices: Vec::new(),
        without: Vec::new(),
        from: "api",
    }
}

async fn at_rest(daemon: &Daemon) -> Result<(), String> {
    loop {
        let left = daemon
            .service
            .store
            .unsettled()
            .await
            .map_err(failed)?
            .len();
        if left == 0 {
            return Ok(());
        }
        eprintln!("start: {left} deliveries on their way");
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

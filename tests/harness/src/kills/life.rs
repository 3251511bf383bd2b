//! One data folder, from its first start through all its kills to the verdict.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lubu_sandbox::{Fault, Kind};

use super::book::Book;
use super::office::{Office, Ways, was_killed};
use super::{Sum, faults, verdict};
use crate::dice::Dice;
use crate::preload::Preload;
use crate::table::count;

/// After the last kill everything must be at rest or with an owner by then.
const PATIENCE: Duration = Duration::from_mins(6);

/// One folder from its first start to its verdict.
pub(super) struct Life {
    pub(super) office: Office,
    pub(super) book: Book,
    pub(super) dice: Dice,
    pub(super) seed: u64,
    pub(super) sum: Sum,
    pub(super) under_way: usize,
    pub(super) looked: Option<Instant>,
}

impl Life {
    pub(super) async fn begin(room: &Path, seed: u64, number: u64) -> Result<Self, String> {
        let mut dice = Dice::part(seed, number);
        let ways = if number % 3 == 2 {
            Ways::Keyed
        } else {
            Ways::Public
        };
        let folder = room.join(format!("office-{number}"));
        let seed = dice.roll();
        let office = Office::new(&folder, seed, ways).await?;
        Ok(Self {
            office,
            book: Book::default(),
            dice,
            seed,
            sum: Sum::default(),
            under_way: 0,
            looked: None,
        })
    }

    pub(super) async fn live(&mut self, kills: u64, until: Instant) -> Result<(), String> {
        while self.sum.kills < kills && Instant::now() < until && self.sum.broken.is_empty() {
            self.weather();
            self.one_start().await?;
        }
        self.come_to_rest().await?;
        let verdict = verdict::judge(&self.office, &self.book).await;
        self.sum.broken.extend(verdict.broken);
        self.sum.states = verdict.states;
        self.sum.facts.extend(verdict.facts);
        self.sum.items = self.book.items.len();
        if let Err(why) = self.office.stop().await {
            self.sum.broken.push(why);
        }
        self.read_log();
        self.verify_chain();
        Ok(())
    }

    /// Faults come and go between two starts.
    fn weather(&mut self) {
        if self.dice.percent(70) {
            self.office.clear_faults();
        }
        for _ in 0..self.dice.below(4) {
            let (fault, name) = faults::draw(&mut self.dice);
            self.office.sandbox.inject(fault);
            count(&mut self.sum.faults, &name);
        }
        if self.dice.percent(12) {
            let door = self.dice.index(self.office.doors.len());
            self.office.doors[door].1.shut(true);
            count(&mut self.sum.faults, "refused");
        }
    }

    /// Starts the daemon, works with it, kills it.
    async fn one_start(&mut self) -> Result<(), String> {
        let moment = self.dice.below(100);
        let data = self.office.folder.join("data");
        match moment {
            // By the library, at the n-th change of a file: most of them while it opens.
            0..15 if data.exists() => {
                let preload = Preload::over(&data)?;
                let plan = format!("kill n={}", self.dice.between(1, 40));
                self.office.start(Some((&preload, &plan)))?;
                let wait = Duration::from_millis(self.dice.between(500, 1500));
                self.work(wait).await?;
                let named = if self.ended_by_plan() {
                    "at a change of a file"
                } else {
                    "at work"
                };
                self.killed(named);
            }
            0..35 => {
                self.office.start(None)?;
                let wait = Duration::from_millis(self.dice.between(0, 400));
                tokio::time::sleep(wait).await;
                self.killed("while starting");
            }
            35..60 => {
                self.office.start(None)?;
                self.until_a_call_hangs().await?;
                self.killed("in a call");
            }
            60..65 => {
                self.office.start(None)?;
                let wait = Duration::from_millis(self.dice.between(300, 1500));
                // Before it is ready SIGTERM is as good as SIGKILL.
                self.office.ready().await?;
                self.work(wait).await?;
                if let Err(why) = self.office.stop().await {
                    self.sum.broken.push(why);
                }
                count(&mut self.sum.moments, "told to stop");
            }
            _ => {
                self.office.start(None)?;
                let wait = Duration::from_millis(self.dice.between(200, 2500));
                self.work(wait).await?;
                self.killed("at work");
            }
        }
        Ok(())
    }

    fn ended_by_plan(&mut self) -> bool {
        self.office.ended().is_some_and(was_killed)
    }

    fn killed(&mut self, moment: &str) {
        match self.office.kill() {
            Some(status) if !was_killed(status) => {
                let log = std::fs::read_to_string(self.office.log()).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(5).collect();
                self.sum
                    .broken
                    .push(format!("ENDED by itself with {status}: {tail:?}"));
            }
            _ => {
                self.sum.kills += 1;
                count(&mut self.sum.moments, moment);
            }
        }
    }

    /// Waits until a call that readers will see hangs at a platform, then a little.
    async fn until_a_call_hangs(&mut self) -> Result<(), String> {
        let paths = [
            "/api/articles",
            "freepublish/submit",
            "message/mass/sendall",
            "statuses/share",
            "draft/add",
        ];
        let before = self.office.sandbox.faults().len();
        for (platform, _) in &self.office.doors {
            for path in paths {
                let mut fault = Fault::new(*platform, Kind::Stall, path).times(1);
                fault.method = Some("POST".to_owned());
                fault.seconds = Some(600);
                fault.applied = Some(self.dice.percent(60));
                self.office.sandbox.inject(fault);
            }
        }
        let sandbox = Arc::clone(&self.office.sandbox);
        let hangs = async {
            while sandbox
                .faults()
                .iter()
                .skip(before)
                .all(|fault| fault.struck == 0)
            {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::select! {
            () = hangs => {}
            worked = self.work(Duration::from_secs(4)) => worked?,
        }
        let more = self.dice.between(0, 60);
        tokio::time::sleep(Duration::from_millis(more)).await;
        self.office.sandbox.clear_faults();
        Ok(())
    }

    /// Faults off; what people began is ended; then only waiting.
    async fn come_to_rest(&mut self) -> Result<(), String> {
        self.office.clear_faults();
        self.office.start(None)?;
        if self.office.ready().await?.is_none() {
            self.killed("at work");
            return Err(format!("the daemon did not start: {:?}", self.sum.broken));
        }
        let patience = Instant::now() + PATIENCE;
        while self.one_wish(false).await {}
        let mut moving = self.moving().await;
        while moving.as_ref().is_none_or(|moving| !moving.is_empty()) && Instant::now() < patience {
            self.look_around().await;
            while self.one_wish(false).await {}
            tokio::time::sleep(Duration::from_millis(700)).await;
            moving = self.moving().await;
            if self.office.ended().is_some() {
                self.killed("at work");
                return Err(format!("the daemon ended: {:?}", self.sum.broken));
            }
        }
        for one in moving.unwrap_or_default() {
            let (id, state) = (&one["id"], &one["state"]);
            let why = format!(
                "STUCK: {id} is {state} after {PATIENCE:?} without faults: {}",
                one["reason_en"]
            );
            self.sum.broken.push(why);
        }
        Ok(())
    }

    /// The daemon's own complaints about itself.
    fn read_log(&mut self) {
        let log = std::fs::read_to_string(self.office.log()).unwrap_or_default();
        for word in ["panicked", "report this to the makers"] {
            let lines: Vec<&str> = log.lines().filter(|line| line.contains(word)).collect();
            if let Some(first) = lines.first() {
                self.sum
                    .broken
                    .push(format!("{} lines of the log say: {first}", lines.len()));
            }
        }
    }

    fn verify_chain(&mut self) {
        match self.office.command(&["audit", "verify"]).output() {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                let words = String::from_utf8_lossy(&output.stderr).into_owned();
                self.sum
                    .broken
                    .push(format!("the audit log does not verify: {words}"));
            }
            Err(error) => self
                .sum
                .broken
                .push(format!("the audit log cannot be verified: {error}")),
        }
    }
}

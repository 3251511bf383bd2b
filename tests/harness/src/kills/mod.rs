//! The built daemon is killed at random moments while the platforms misbehave, and started again, and so on.
//!
//! One data folder lives through a run of kills, with several items under way all the time; people go on submitting,
//! signing, withdrawing and opening paused channels. At the end the faults go off, everything must come to rest or to an owner, and
//! the sandbox's ledger says what really happened.

mod book;
mod door;
mod faults;
mod office;
pub mod space;
mod verdict;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lubu_sandbox::{Fault, Kind};
use reqwest::Method;
use serde_json::{Value, json};

use book::{Book, Wish};
use office::{Office, Said, Ways, was_killed};

use crate::dice::Dice;
use crate::preload::Preload;
use crate::process::Effort;
use crate::table::{Row, Tally, count, listed};

/// Kills that one folder lives through.
const LIVES: u64 = 100;
/// Deliveries under way at which no new one is begun.
const UNDER_WAY: usize = 20;
/// A folder takes no more items: they are listed on one page.
const MOST_ITEMS: usize = 450;
/// After the last kill everything must be at rest or with an owner by then.
const PATIENCE: Duration = Duration::from_mins(6);
/// How often the operator looks at channels and deliveries.
const ROUND: Duration = Duration::from_millis(1500);

#[derive(Debug, Default)]
struct Sum {
    kills: u64,
    items: usize,
    /// Where the kills struck.
    moments: Tally,
    faults: Tally,
    states: Tally,
    facts: Tally,
    broken: Vec<String>,
}

/// One folder from its first start to its verdict.
struct Life {
    office: Office,
    book: Book,
    dice: Dice,
    seed: u64,
    sum: Sum,
    under_way: usize,
    looked: Option<Instant>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the sandbox's ledger is on the wall clock, and is compared with it here"
)]
fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

impl Life {
    async fn begin(room: &Path, seed: u64, number: u64) -> Result<Self, String> {
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

    async fn live(&mut self, kills: u64, until: Instant) -> Result<(), String> {
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

    /// People at work, for so long; cut off wherever they are.
    async fn work(&mut self, wait: Duration) -> Result<(), String> {
        let over = tokio::time::sleep(wait);
        tokio::pin!(over);
        tokio::select! {
            () = &mut over => Ok(()),
            worked = self.people() => worked,
        }
    }

    /// Never ends by itself while the daemon lives.
    async fn people(&mut self) -> Result<(), String> {
        if self.office.ready().await?.is_none() {
            return Ok(());
        }
        loop {
            if self.office.ended().is_some() {
                return Ok(());
            }
            if self.looked.is_none_or(|looked| looked.elapsed() > ROUND) {
                self.look_around().await;
            }
            if !self.one_wish(true).await {
                tokio::time::sleep(Duration::from_millis(60)).await;
            }
        }
    }

    /// The operator: opens what was paused, counts what is under way.
    async fn look_around(&mut self) {
        self.looked = Some(Instant::now());
        if let Said::Yes(channels) = self.office.ask(Method::GET, "/v1/channels", None).await {
            for channel in channels["channels"].as_array().unwrap_or(&Vec::new()) {
                let name = channel["name"].as_str().unwrap_or_default();
                if channel["state"] != "open" {
                    count(&mut self.sum.facts, "channels opened again by a person");
                    let by = json!({ "by": "孙涛" });
                    let path = format!("/v1/channels/{name}/resume");
                    self.office.ask(Method::POST, &path, Some(&by)).await;
                }
            }
        }
        if let Some(moving) = self.moving().await {
            self.under_way = moving.len();
        }
    }

    /// Deliveries that neither rest nor have an owner; `None` if nobody can say.
    async fn moving(&self) -> Option<Vec<Value>> {
        let Said::Yes(all) = self
            .office
            .ask(Method::GET, "/v1/deliveries?limit=500", None)
            .await
        else {
            return None;
        };
        let moving = |one: &&Value| {
            let at_rest = ["published", "withdrawn", "skipped", "superseded"];
            let state = one["state"].as_str().unwrap_or_default();
            !at_rest.contains(&state) && one["needs_person"] != true
        };
        Some(
            all["deliveries"]
                .as_array()?
                .iter()
                .filter(moving)
                .cloned()
                .collect(),
        )
    }

    /// One thing that a person wants; false if there is nothing to want.
    async fn one_wish(&mut self, new_ones: bool) -> bool {
        let waiting =
            self.book.items.iter().position(|item| {
                item.id.is_none() || item.to_be_signed && !item.signed.is_granted()
            });
        if let Some(index) = waiting {
            return if self.book.items[index].id.is_none() {
                self.submit(index).await
            } else {
                self.sign(index).await
            };
        }
        if let Some(index) = self.next_withdrawal(new_ones) {
            return self.withdraw(index).await;
        }
        if new_ones && self.under_way < UNDER_WAY && self.book.items.len() < MOST_ITEMS {
            let index = self.book.begin(self.seed, &mut self.dice);
            // Four deliveries come of it; what really is under way is counted later.
            self.under_way += 3;
            return self.submit(index).await;
        }
        false
    }

    /// An item whose withdrawal was begun, or one that has been signed for a while.
    fn next_withdrawal(&mut self, new_ones: bool) -> Option<usize> {
        let old = now_ms() - i64::try_from(self.dice.between(0, 15_000)).unwrap_or(0);
        self.book
            .items
            .iter()
            .position(|item| match (item.withdrawn, item.signed) {
                (Wish::Asked(_), _) => true,
                (Wish::Unasked, Wish::Granted(at)) => new_ones && item.to_be_withdrawn && at < old,
                _ => false,
            })
    }

    async fn submit(&mut self, index: usize) -> bool {
        let item = &self.book.items[index];
        let (body, key) = (item.body(), item.token.clone());
        let path = "/v1/items?by=%E8%B5%B5%E6%99%93";
        match self
            .office
            .ask_with_key(Method::POST, path, Some(&body), Some(&key))
            .await
        {
            Said::Yes(answer) => {
                self.book.items[index].id = answer["id"].as_str().map(ToOwned::to_owned);
                true
            }
            Said::No(status, text) => self.refused("submission", status, &text),
            Said::Nothing => false,
        }
    }

    fn refused(&mut self, what: &str, status: u16, text: &str) -> bool {
        // 503: it is not ready, or stopping.
        if status != 503 {
            self.sum
                .broken
                .push(format!("a {what} was refused with {status}: {text}"));
        }
        false
    }

    async fn sign(&mut self, index: usize) -> bool {
        let item = self.book.items[index].clone();
        let id = item.id.unwrap_or_default();
        if let Wish::Asked(at) = item.signed {
            let Said::Yes(show) = self
                .office
                .ask(Method::GET, &format!("/v1/items/{id}"), None)
                .await
            else {
                return false;
            };
            if show["item"]["approved_revision"] == 1 {
                self.book.items[index].signed = Wish::Granted(at);
                return true;
            }
        }
        let at = item.signed.asked_at().unwrap_or_else(now_ms);
        self.book.items[index].signed = Wish::Asked(at);
        let body = json!({ "by": "陈主任", "opinion": "同意公开" });
        match self
            .office
            .ask(
                Method::POST,
                &format!("/v1/items/{id}/approval"),
                Some(&body),
            )
            .await
        {
            Said::Yes(_) => {
                self.book.items[index].signed = Wish::Granted(at);
                true
            }
            Said::No(status, text) => self.refused("signature", status, &text),
            Said::Nothing => false,
        }
    }

    async fn withdraw(&mut self, index: usize) -> bool {
        let item = self.book.items[index].clone();
        let id = item.id.unwrap_or_default();
        let at = item.withdrawn.asked_at().unwrap_or_else(now_ms);
        if let Wish::Asked(_) = item.withdrawn {
            let Said::Yes(show) = self
                .office
                .ask(Method::GET, &format!("/v1/items/{id}"), None)
                .await
            else {
                return false;
            };
            if !show["item"]["withdrawn"].is_null() {
                self.book.items[index].withdrawn = Wish::Granted(at);
                return true;
            }
        }
        self.book.items[index].withdrawn = Wish::Asked(at);
        let body = json!({ "by": "陈主任", "reason": "数据有误" });
        match self
            .office
            .ask(
                Method::POST,
                &format!("/v1/items/{id}/withdrawal"),
                Some(&body),
            )
            .await
        {
            Said::Yes(_) => {
                self.book.items[index].withdrawn = Wish::Granted(at);
                true
            }
            Said::No(status, text) => self.refused("withdrawal", status, &text),
            Said::Nothing => false,
        }
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

impl Sum {
    fn add(&mut self, other: Sum) {
        self.kills += other.kills;
        self.items += other.items;
        for (into, from) in [
            (&mut self.moments, other.moments),
            (&mut self.faults, other.faults),
            (&mut self.states, other.states),
            (&mut self.facts, other.facts),
        ] {
            for (name, seen) in from {
                *into.entry(name).or_default() += seen;
            }
        }
        self.broken.extend(other.broken);
    }
}

/// The row.
pub fn row(effort: &Effort) -> Result<Row, String> {
    let begun = Instant::now();
    let until = begun + effort.within;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(2)
        .build()
        .map_err(|error| error.to_string())?;
    let sum = Mutex::new(Sum::default());
    let lives = async {
        let numbers = std::sync::atomic::AtomicU64::new(0);
        let one = || async {
            loop {
                let number = numbers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let left = effort.count.saturating_sub(number * LIVES).min(LIVES);
                if left == 0 || number > 0 && Instant::now() >= until {
                    return Ok::<(), String>(());
                }
                let mut life = Life::begin(&effort.room, effort.seed, number).await?;
                let lived = life.live(left, until).await;
                let mut found = std::mem::take(&mut life.sum);
                if let Err(why) = lived {
                    found.broken.push(why);
                }
                if !found.broken.is_empty() {
                    keep(&life.office, &effort.keep, number);
                }
                let folder = life.office.folder.clone();
                drop(life);
                drop(std::fs::remove_dir_all(folder));
                sum.lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
                    .add(found);
            }
        };
        tokio::try_join!(one(), one())
    };
    runtime.block_on(lives)?;
    let sum = sum
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(told(sum, effort.seed, begun.elapsed()))
}

/// What is needed to understand a broken promise.
fn keep(office: &Office, keep: &Path, number: u64) {
    let folder: PathBuf = keep.join(format!("office-{number}"));
    drop(std::fs::create_dir_all(&folder));
    drop(std::fs::copy(office.log(), folder.join("lubu.log")));
    let rows: Vec<String> = office
        .sandbox
        .ledger()
        .iter()
        .map(|row| format!("{row:?}"))
        .collect();
    drop(std::fs::write(folder.join("ledger.txt"), rows.join("\n")));
    drop(crate::judge::copy_folder(
        &office.folder.join("data"),
        &folder.join("data"),
    ));
}

fn told(sum: Sum, seed: u64, took: Duration) -> Row {
    Row {
        name: "kills",
        figure: format!("{} kills of the daemon, {} items", sum.kills, sum.items),
        promise: "0 unapproved, 0 lost, 0 doubled, 0 repeats on doubt, the rest explained",
        seed,
        broken: sum.broken,
        notes: vec![
            format!(
                "killed: {}; {} s in all",
                listed(&sum.moments),
                took.as_secs()
            ),
            format!("faults: {}", listed(&sum.faults)),
            format!("deliveries: {}", listed(&sum.states)),
            format!("seen: {}", listed(&sum.facts)),
        ],
    }
}

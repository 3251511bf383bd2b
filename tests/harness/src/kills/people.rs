//! The people around the daemon: they submit, sign, withdraw, and open what was paused. A kill cuts them off anywhere.
//!
//! What was asked and not answered is asked again after the next start, as a program with an idempotency key would.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::book::Wish;
use super::life::Life;
use super::office::Said;
use crate::table::count;

/// Deliveries under way at which no new item is begun.
const UNDER_WAY: usize = 20;
/// A folder takes no more items: they are listed on one page.
const MOST_ITEMS: usize = 450;
/// How often the operator looks at channels and deliveries.
const ROUND: Duration = Duration::from_millis(1500);

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
    /// People at work, for so long; cut off wherever they are.
    pub(super) async fn work(&mut self, wait: Duration) -> Result<(), String> {
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
    pub(super) async fn look_around(&mut self) {
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
    pub(super) async fn moving(&self) -> Option<Vec<Value>> {
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
    pub(super) async fn one_wish(&mut self, new_ones: bool) -> bool {
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
}

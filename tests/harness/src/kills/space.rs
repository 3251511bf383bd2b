//! The disk fills up under the built daemon, and is freed again.
//!
//! The preloaded library plays the disk: from one moment on there are only so many bytes left, and what asks for more is told so.
//! Intake must stop first, with a reason a person can read; then sending; withdrawals go on; and all of it comes back by itself.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::book::Item;
use super::office::{Office, Said, Ways};
use crate::preload::Preload;
use crate::process::Effort;
use crate::table::Row;

/// Each wait for something that must come.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long nothing may happen before it counts as stopped: several rounds of every lane.
const STILL: Duration = Duration::from_secs(8);
/// Under what intake needs, over what sending needs.
const LITTLE: &str = "100000000";
/// Under what sending needs.
const NEXT_TO_NOTHING: &str = "300000";

struct Story {
    office: Office,
    preload: Preload,
    full: PathBuf,
    broken: Vec<String>,
    notes: Vec<String>,
}

impl Story {
    fn claim(&mut self, holds: bool, what: &str) {
        if !holds {
            self.broken.push(what.to_owned());
        }
    }

    fn disk(&self, left: Option<&str>) -> Result<(), String> {
        let done = match left {
            Some(left) => fs::write(&self.full, left),
            None => fs::remove_file(&self.full),
        };
        done.map_err(|error| error.to_string())
    }

    async fn start(&mut self) -> Result<bool, String> {
        self.office.start(Some((&self.preload, "")))?;
        Ok(self.office.ready().await?.is_some())
    }

    async fn submit(&self, token: &str) -> Said {
        let item = Item::new(token);
        let path = "/v1/items?by=%E8%B5%B5%E6%99%93";
        self.office
            .ask_with_key(Method::POST, path, Some(&item.body()), Some(token))
            .await
    }

    async fn sign(&self, id: &str) -> Said {
        let body = json!({ "by": "陈主任", "opinion": "同意公开" });
        self.office
            .ask(
                Method::POST,
                &format!("/v1/items/{id}/approval"),
                Some(&body),
            )
            .await
    }

    /// Taken in and signed; its id.
    async fn item(&mut self, token: &str) -> Result<String, String> {
        let Said::Yes(answer) = self.submit(token).await else {
            return Err(format!("{token} was not taken in"));
        };
        let id = answer["id"].as_str().unwrap_or_default().to_owned();
        match self.sign(&id).await {
            Said::Yes(_) => Ok(id),
            other => Err(format!("{token} was not signed: {other:?}")),
        }
    }

    async fn lane(&self, channel: &str, what: &str) -> Said {
        let body = json!({ "by": "孙涛", "reason": "值班核对" });
        let body = if what == "pause" {
            body
        } else {
            json!({ "by": "孙涛" })
        };
        self.office
            .ask(
                Method::POST,
                &format!("/v1/channels/{channel}/{what}"),
                Some(&body),
            )
            .await
    }

    async fn state(&self, id: &str, channel: &str) -> Option<String> {
        let path = format!("/v1/deliveries?item={id}&channel={channel}");
        let Said::Yes(answer) = self.office.ask(Method::GET, &path, None).await else {
            return None;
        };
        answer["deliveries"][0]["state"]
            .as_str()
            .map(ToOwned::to_owned)
    }

    /// Waits until these channels show this state of the item.
    async fn reaches(&mut self, id: &str, channels: &[&str], state: &str, when: &str) {
        let until = Instant::now() + PATIENCE;
        for channel in channels {
            let mut seen = None;
            while Instant::now() < until && seen.as_deref() != Some(state) {
                tokio::time::sleep(Duration::from_millis(150)).await;
                seen = self.state(id, channel).await;
            }
            let what = format!("{when}: on {channel} it is {seen:?}, not {state}");
            self.claim(seen.as_deref() == Some(state), &what);
        }
    }

    fn copies(&self, id: &str) -> usize {
        self.office
            .sandbox
            .public()
            .iter()
            .filter(|post| post.link.contains(id))
            .count()
    }

    async fn readiness(&self) -> Value {
        match self.office.ask(Method::GET, "/readyz", None).await {
            Said::Yes(value) => value,
            Said::No(_, text) => serde_json::from_str(&text).unwrap_or(Value::Null),
            Said::Nothing => Value::Null,
        }
    }

    async fn tell(&mut self) -> Result<(), String> {
        let all = ["site", "portal", "wechat", "weibo"];
        let late = ["wechat", "weibo"];
        self.start().await?;
        let first = self.item("SPACE-1").await?;
        self.reaches(&first, &all, "published", "with space").await;
        for channel in late {
            self.lane(channel, "pause").await;
        }
        let second = self.item("SPACE-2").await?;
        self.reaches(&second, &["site", "portal"], "published", "with space")
            .await;

        self.disk(Some(LITTLE))?;
        let refused = self.submit("SPACE-3").await;
        let clear = matches!(&refused, Said::No(500.., text) if text.contains("磁盘") && text.contains("disk"));
        self.claim(
            clear,
            &format!("with little space a submission was answered with {refused:?}"),
        );
        let ready = self.readiness().await;
        let said = ready["ready"] == false
            && ready["store_zh"]
                .as_str()
                .is_some_and(|it| it.contains("磁盘"));
        self.claim(
            said,
            &format!("with little space it says of itself {ready}"),
        );

        self.disk(Some(NEXT_TO_NOTHING))?;
        for channel in late {
            self.lane(channel, "resume").await;
        }
        let before = self.copies(&second);
        tokio::time::sleep(STILL).await;
        self.claim(
            self.copies(&second) == before,
            "with no space left it went on publishing",
        );
        let body = json!({ "by": "陈主任", "reason": "数据有误" });
        let path = format!("/v1/items/{first}/withdrawal");
        let taken_down = self.office.ask(Method::POST, &path, Some(&body)).await;
        self.claim(
            matches!(taken_down, Said::Yes(_)),
            &format!("with no space left a withdrawal was answered with {taken_down:?}"),
        );
        // Looks that spend quota wait for space; the take-down itself does not.
        self.reaches(
            &first,
            &["site", "portal"],
            "withdrawn",
            "with no space left",
        )
        .await;
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until && self.copies(&first) > 0 {
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        self.claim(
            self.copies(&first) == 0,
            "with no space left a withdrawal is not done",
        );

        // Killed now, it starts on the full disk, or stays up and says what it waits for.
        self.office.kill();
        let up = self.start().await?;
        let ready = self.readiness().await;
        let waits = ready["doing"] == "waiting";
        let said = ready["ready"] == false && ready.to_string().contains("磁盘");
        self.claim(
            up && said,
            &format!("started on the full disk it says of itself {ready}"),
        );
        self.notes.push(format!(
            "killed and started on the full disk it {}",
            if waits { "waits for space" } else { "opens" }
        ));

        self.disk(None)?;
        self.reaches(&second, &all, "published", "once space is back")
            .await;
        self.reaches(&first, &all, "withdrawn", "once space is back")
            .await;
        let third = self.item("SPACE-3").await?;
        self.reaches(&third, &all, "published", "once space is back")
            .await;
        for (id, copies) in [(first, 0), (second, 3), (third, 3)] {
            let seen = self.copies(&id);
            self.claim(
                seen == copies,
                &format!("at the end readers see {seen} copies, not {copies}"),
            );
        }
        let ready = self.readiness().await;
        self.claim(
            ready["ready"] == true,
            &format!("once space is back it says of itself {ready}"),
        );
        self.office.stop().await
    }
}

/// The row.
pub fn row(effort: &Effort) -> Result<Row, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(2)
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let folder = effort.room.join("space");
        let office = Office::new(&folder, effort.seed, Ways::Public).await?;
        let data = office.folder.join("data");
        fs::create_dir_all(&data).map_err(|error| error.to_string())?;
        let full = office.folder.join("full");
        let preload = Preload::over(&data)?.full(&full);
        let mut story = Story {
            office,
            preload,
            full,
            broken: Vec::new(),
            notes: Vec::new(),
        };
        if let Err(why) = story.tell().await {
            story.broken.push(why);
        }
        Ok(Row {
            name: "space",
            figure: "a disk that fills up and is freed".to_owned(),
            promise: "intake stops, then sending, never a withdrawal; back by itself",
            seed: effort.seed,
            broken: std::mem::take(&mut story.broken),
            notes: std::mem::take(&mut story.notes),
        })
    })
}

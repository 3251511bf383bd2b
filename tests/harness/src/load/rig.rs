//! An office under load: a folder on a disk, the release binary, people who sign at a pace.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::sink::Sink;

/// Deliveries of one item.
pub const CHANNELS: usize = 50;
const REQUEST: Duration = Duration::from_secs(30);
const START: Duration = Duration::from_mins(2);
/// Submissions at the same time, before the load begins.
const HANDS: usize = 8;

pub fn failed(error: impl std::fmt::Display) -> String {
    format!("the harness failed: {error}")
}

/// The binary that load is put on: `LUBU_BIN`, or the release build that `tests/torture` makes.
pub fn binary() -> Result<PathBuf, String> {
    let named = std::env::var_os("LUBU_BIN").map(PathBuf::from);
    let path = match named {
        Some(named) => named,
        None => released("lubu")?,
    };
    path.canonicalize()
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// A program of the release build beside this one, whichever build this is.
pub fn released(name: &str) -> Result<PathBuf, String> {
    let me = std::env::current_exe().map_err(failed)?;
    let builds = me
        .parent()
        .and_then(Path::parent)
        .ok_or("no target folder")?;
    Ok(builds.join("release").join(name))
}

/// Where a disk is: what is measured includes its syncs.
pub fn on_disk() -> Result<PathBuf, String> {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let place = target.join("torture");
    fs::create_dir_all(&place).map_err(failed)?;
    place.canonicalize().map_err(failed)
}

/// Calls that hang are given up before the run is over.
pub const SHORT_CALLS: &str = "call_within = \"10s\"\n";

/// The configuration of fifty portals that keep what they promise about repeats.
pub fn configuration(sink: &Sink, more: &str) -> String {
    let mut text = String::from(
        "[daemon]\ndata = \"data\"\nlisten = \"\"\n[office]\nname = \"云川市发展和改革委员会\"\norg_code = \"005452559\"\n",
    );
    for (number, address) in sink.addresses().iter().enumerate() {
        text.push_str(&format!(
            "[[channel]]\nname = \"portal-{number:02}\"\nadapter = \"portal\"\nendpoint = \"http://{address}/api/articles\"\n\
             signing = {{ kind = \"standard-webhooks\", secret = {{ file = \"portal.secret\" }} }}\ndefault_column = \"gzdt\"\n\
             deduplicates = \"24h\"\npause = \"2s\"\nsettle = \"3s\"\nunknown_plan = [\"3s\", \"6s\", \"9s\", \"12s\", \"15s\", \"20s\"]\n\
             backoff = {{ first = \"1s\", factor = 2, longest = \"30s\", most_tries = 1000 }}\n{more}"
        ));
    }
    text
}

#[derive(Debug)]
pub struct Rig {
    pub folder: PathBuf,
    binary: PathBuf,
    client: Client,
    daemon: Option<Child>,
    pub pid: u32,
    /// When it was last started.
    pub started: Instant,
}

impl Rig {
    pub fn new(folder: &Path, sink: &Sink, more: &str) -> Result<Self, String> {
        lubu_channels::kit::http::install_provider();
        fs::create_dir_all(folder).map_err(failed)?;
        let secret = folder.join("portal.secret");
        fs::write(&secret, lubu_sandbox::PORTAL_SECRET).map_err(failed)?;
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        fs::write(folder.join("lubu.toml"), configuration(sink, more)).map_err(failed)?;
        let client = Client::builder().unix_socket(folder.join("data/lubu.sock"));
        let client = client.no_proxy().timeout(REQUEST).build().map_err(failed)?;
        Ok(Self {
            folder: folder.to_owned(),
            binary: binary()?,
            client,
            daemon: None,
            pid: 0,
            started: Instant::now(),
        })
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.current_dir(&self.folder).stdin(Stdio::null());
        command.env("USER", "赵晓");
        for name in ["LUBU_CONFIG", "LUBU_DATA", "LUBU_LISTEN", "LUBU_SOCKET"] {
            command.env_remove(name);
        }
        command.arg("--config").arg(self.folder.join("lubu.toml"));
        command.args(arguments);
        command
    }

    pub fn start(&mut self) -> Result<(), String> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("lubu.log"))
            .map_err(failed)?;
        let mut command = self.command(&["serve"]);
        command
            .stdout(Stdio::null())
            .stderr(log)
            .env("LUBU_LOG", "error");
        self.started = Instant::now();
        let child = command.spawn().map_err(failed)?;
        self.pid = child.id();
        self.daemon = Some(child);
        Ok(())
    }

    pub async fn ready(&mut self) -> Result<(), String> {
        let until = Instant::now() + START;
        while Instant::now() < until {
            if let Some(status) = self.ended() {
                return Err(format!(
                    "the daemon ended with {status}: {}",
                    self.log_end()
                ));
            }
            if self.ask(Method::GET, "/readyz", None).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err("the daemon did not come up".to_owned())
    }

    fn log_end(&self) -> String {
        let text = fs::read_to_string(self.folder.join("lubu.log")).unwrap_or_default();
        text.lines().next_back().unwrap_or_default().to_owned()
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.daemon.as_mut()?.try_wait().ok().flatten()
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.daemon.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// SIGTERM. How it ended, and how long that took; `None` if it had to be killed after `patience`.
    pub async fn stop(
        &mut self,
        patience: Duration,
    ) -> Result<Option<(ExitStatus, Duration)>, String> {
        let id = i32::try_from(self.pid)
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        let id = id.ok_or("no process id")?;
        let begun = Instant::now();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).map_err(failed)?;
        while begun.elapsed() < patience {
            if let Some(status) = self.ended() {
                self.daemon = None;
                return Ok(Some((status, begun.elapsed())));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.kill();
        Ok(None)
    }

    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, String> {
        ask(&self.client, method, path, body).await
    }

    /// Items that nobody has signed yet; their ids.
    pub async fn submit(&self, from: u32, count: u32) -> Result<Vec<String>, String> {
        let mut ids = vec![String::new(); count as usize];
        let mut tasks = JoinSet::new();
        for at in 0..count {
            while tasks.len() >= HANDS {
                take(&mut ids, tasks.join_next().await)?;
            }
            let client = self.client.clone();
            tasks.spawn(async move {
                let (path, body) = ("/v1/items?by=%E8%B5%B5%E6%99%93", item(from + at));
                let answer = ask(&client, Method::POST, path, Some(&body)).await?;
                let id = answer["id"].as_str().unwrap_or_default().to_owned();
                Ok((at as usize, id))
            });
        }
        while let Some(done) = tasks.join_next().await {
            take(&mut ids, Some(done))?;
        }
        Ok(ids)
    }

    /// Signed one after the other, so many deliveries a second; when each was answered. What the daemon no longer answers
    /// is left out.
    pub async fn sign(&self, ids: &[String], rate: f64) -> Vec<Option<Instant>> {
        let mut pace = tokio::time::interval(Duration::from_secs_f64(50.0 / rate));
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
        let mut tasks = JoinSet::new();
        for (at, id) in ids.iter().cloned().enumerate() {
            pace.tick().await;
            let client = self.client.clone();
            tasks.spawn(async move {
                let body = json!({ "by": "陈主任", "opinion": "同意公开" });
                let path = format!("/v1/items/{id}/approval");
                let answer = ask(&client, Method::POST, &path, Some(&body)).await;
                (at, answer.is_ok().then(Instant::now))
            });
        }
        let mut signed = vec![None; ids.len()];
        for (at, answered) in tasks.join_all().await {
            signed[at] = answered;
        }
        signed
    }

    /// What a stop cut off: whatever is not signed yet. How many items are signed now.
    pub async fn sign_the_rest(&self, ids: &[String]) -> Result<usize, String> {
        let mut rest = Vec::new();
        for id in ids {
            let show = self
                .ask(Method::GET, &format!("/v1/items/{id}"), None)
                .await?;
            if show["item"]["approved_revision"].is_null() {
                rest.push(id.clone());
            }
        }
        let signed = self.sign(&rest, 1e4).await;
        let missing = signed.iter().filter(|one| one.is_none()).count();
        Ok(ids.len() - missing)
    }

    /// A line of /proc/PID/status, in bytes.
    pub fn memory(&self, line: &str) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status.lines().find_map(|one| one.strip_prefix(line))?;
        let kilobytes = line.trim_start_matches(':').trim().trim_end_matches(" kB");
        kilobytes
            .parse::<u64>()
            .ok()
            .map(|kilobytes| kilobytes * 1024)
    }

    /// Opens every channel again, as an operator does once the platform is repaired.
    pub async fn open_all(&self) {
        for number in 0..CHANNELS {
            let path = format!("/v1/channels/portal-{number:02}/resume");
            drop(
                self.ask(Method::POST, &path, Some(&json!({ "by": "孙涛" })))
                    .await,
            );
        }
    }

    /// Until so many articles were made, or the patience is over.
    pub async fn until_applied(&self, sink: &Arc<Sink>, count: usize, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        while Instant::now() < until {
            if sink.applied() >= count {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        false
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.kill();
    }
}

type Submitted = Result<(usize, String), String>;

fn take(
    ids: &mut [String],
    done: Option<Result<Submitted, tokio::task::JoinError>>,
) -> Result<(), String> {
    if let Some(done) = done {
        let (at, id) = done.map_err(failed)??;
        ids[at] = id;
    }
    Ok(())
}

async fn ask(
    client: &Client,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, String> {
    let mut request = client.request(method, format!("http://lubu{path}"));
    if let Some(body) = body {
        request = request
            .header("content-type", "application/json")
            .body(body.to_string());
    }
    let answer = request.send().await.map_err(failed)?;
    let status = answer.status();
    let text = answer.text().await.map_err(failed)?;
    if status.is_success() {
        return Ok(serde_json::from_str(&text).unwrap_or(Value::Null));
    }
    Err(format!("{path}: {status}: {text}"))
}

/// About as long as a notice.
pub fn item(number: u32) -> Value {
    let line = "东部产业园标准厂房三期主体结构封顶，配套道路同步施工，年内交付使用。";
    json!({
        "title": format!("重点项目进展通报 NR-{number:06}"),
        "category": "0604",
        "scope": "public",
        "body": format!("{}\n\n编号 {number:06}。", line.repeat(12)),
    })
}

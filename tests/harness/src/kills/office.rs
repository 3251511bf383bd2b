//! One office: a folder, a sandbox behind three doors, and the built daemon, which is killed and started again.

use std::fs::{self, OpenOptions};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use lubu_sandbox::{Options, Platform, Running};
use reqwest::{Client, Method};
use serde_json::Value;

use super::door::Door;
use crate::preload::Preload;

/// A request to the daemon takes no longer, or it is as if it had been killed.
const REQUEST: Duration = Duration::from_secs(10);
/// A start that takes longer has failed.
const START: Duration = Duration::from_mins(1);

/// What the channels are told about repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ways {
    /// WeChat publishes, the portal has no key: a repeat would be a second copy.
    Public,
    /// WeChat sends to all by key, the portal drops what it had within a day.
    Keyed,
}

#[derive(Debug)]
pub struct Office {
    pub folder: PathBuf,
    pub sandbox: Arc<Running>,
    pub doors: [(Platform, Door); 3],
    pub ways: Ways,
    site: SocketAddr,
    client: Client,
    binary: PathBuf,
    daemon: Option<Child>,
}

/// What the daemon answered, if it did.
#[derive(Clone, Debug)]
pub enum Said {
    Yes(Value),
    No(u16, String),
    /// Nobody knows whether it was done.
    Nothing,
}

fn failed(error: impl std::fmt::Display) -> String {
    format!("the harness failed: {error}")
}

impl Office {
    pub async fn new(folder: &Path, seed: u64, ways: Ways) -> Result<Self, String> {
        fs::create_dir_all(folder.join("secrets")).map_err(failed)?;
        let folder = folder.canonicalize().map_err(failed)?;
        let sandbox = lubu_sandbox::start(Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            seed: format!("torture-{seed}"),
            ..Options::default()
        });
        let sandbox = sandbox.await.map_err(failed)?;
        strict(&sandbox, ways);
        let to = sandbox.address();
        let doors = [
            (Platform::Portal, Door::open(to).await.map_err(failed)?),
            (Platform::Wechat, Door::open(to).await.map_err(failed)?),
            (Platform::Weibo, Door::open(to).await.map_err(failed)?),
        ];
        lubu_channels::kit::http::install_provider();
        let socket = folder.join("data/lubu.sock");
        let client = Client::builder()
            .unix_socket(socket)
            .no_proxy()
            .timeout(REQUEST);
        let me = std::env::current_exe().map_err(failed)?;
        let site = TcpListener::bind("127.0.0.1:0")
            .and_then(|it| it.local_addr())
            .map_err(failed)?;
        let office = Self {
            folder,
            sandbox: Arc::new(sandbox),
            doors,
            ways,
            site,
            client: client.build().map_err(failed)?,
            binary: me.with_file_name("lubu"),
            daemon: None,
        };
        office.write_configuration().map_err(failed)?;
        Ok(office)
    }

    fn write_configuration(&self) -> std::io::Result<()> {
        let secrets = [
            ("portal", lubu_sandbox::PORTAL_SECRET),
            ("wechat", lubu_sandbox::WECHAT_SECRET),
            ("weibo", lubu_sandbox::WEIBO_TOKEN),
        ];
        for (name, text) in secrets {
            let path = self.folder.join("secrets").join(name);
            fs::write(&path, text)?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        }
        let mut text = include_str!("lubu.toml").replace("SITE", &self.site.to_string());
        for (platform, door) in &self.doors {
            let base = format!("http://{}/{}", door.address(), platform.name());
            text = text.replace(&format!("{}_BASE", platform.name().to_uppercase()), &base);
        }
        let (wechat, portal) = match self.ways {
            Ways::Public => ("publish", ""),
            Ways::Keyed => ("mass", "deduplicates = \"24h\"\npause = \"2s\""),
        };
        let text = text
            .replace("APP_ID", lubu_sandbox::WECHAT_APP_ID)
            .replace("UID", &lubu_sandbox::WEIBO_UID.to_string())
            .replace("MODE", wechat)
            .replace("# PORTAL-MORE", portal);
        fs::write(self.folder.join("lubu.toml"), text)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .env("USER", "赵晓");
        for name in ["LUBU_CONFIG", "LUBU_DATA", "LUBU_LISTEN", "LUBU_SOCKET"] {
            command.env_remove(name);
        }
        command
            .arg("--config")
            .arg(self.folder.join("lubu.toml"))
            .args(arguments);
        command
    }

    /// Starts the daemon, watched by the preloaded library if there is a plan for it.
    pub fn start(&mut self, watched: Option<(&Preload, &str)>) -> Result<(), String> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())
            .map_err(failed)?;
        let mut command = self.command(&["serve"]);
        command
            .stdout(Stdio::null())
            .stderr(log)
            .env("LUBU_LOG", "warn");
        if let Some((preload, plan)) = watched {
            preload.watch(&mut command, plan);
        }
        self.daemon = Some(command.spawn().map_err(failed)?);
        Ok(())
    }

    pub fn log(&self) -> PathBuf {
        self.folder.join("lubu.log")
    }

    /// Whether it came up, or waits for what the machine lacks; `None` if it ended first.
    pub async fn ready(&mut self) -> Result<Option<()>, String> {
        let waited = tokio::time::timeout(START, async {
            loop {
                if let Some(child) = &mut self.daemon
                    && child.try_wait().ok().flatten().is_some()
                {
                    return None;
                }
                // Not while it still opens.
                match self.ask(Method::GET, "/readyz", None).await {
                    Said::Yes(_) => return Some(()),
                    Said::No(_, text)
                        if !text.contains("problem:opening") || text.contains("\"waiting\"") =>
                    {
                        return Some(());
                    }
                    Said::No(..) | Said::Nothing => {}
                }
                tokio::time::sleep(Duration::from_millis(15)).await;
            }
        });
        waited
            .await
            .map_err(|_| "the daemon did not come up within a minute".to_owned())
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let child = self.daemon.as_mut()?;
        child.try_wait().ok().flatten()
    }

    /// SIGKILL. What it had come to by itself, if it had ended before.
    pub fn kill(&mut self) -> Option<ExitStatus> {
        let mut child = self.daemon.take()?;
        let before = child.try_wait().ok().flatten();
        drop(child.kill());
        drop(child.wait());
        before
    }

    /// SIGTERM, and whether it ended well.
    pub async fn stop(&mut self) -> Result<(), String> {
        let Some(mut child) = self.daemon.take() else {
            return Ok(());
        };
        let id = i32::try_from(child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        let id = id.ok_or("no process id")?;
        rustix::process::kill_process(id, rustix::process::Signal::TERM).map_err(failed)?;
        let ended = tokio::task::spawn_blocking(move || child.wait())
            .await
            .map_err(failed)?;
        let status = ended.map_err(failed)?;
        if status.success() {
            return Ok(());
        }
        Err(format!("told to stop, the daemon ended with {status}"))
    }

    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Said {
        self.ask_with_key(method, path, body, None).await
    }

    pub async fn ask_with_key(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Said {
        let mut request = self.client.request(method, format!("http://lubu{path}"));
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let Ok(answer) = request.send().await else {
            return Said::Nothing;
        };
        let status = answer.status();
        let Ok(text) = answer.text().await else {
            return Said::Nothing;
        };
        if status.is_success() {
            return Said::Yes(serde_json::from_str(&text).unwrap_or(Value::Null));
        }
        Said::No(status.as_u16(), text)
    }

    /// The public page, as a reader gets it.
    pub async fn page(&self, address: &str) -> Option<(u16, String)> {
        let client = Client::builder().no_proxy().timeout(REQUEST).build().ok()?;
        let answer = client.get(address).send().await.ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.text().await.ok()?))
    }

    pub fn clear_faults(&self) {
        self.sandbox.clear_faults();
        for (_, door) in &self.doors {
            door.shut(false);
        }
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether a process was ended by SIGKILL.
pub fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(9)
}

/// The platforms as unforgiving as they can be: no quota, no guard of their own against a repeat but the promised keys.
fn strict(sandbox: &Running, ways: Ways) {
    sandbox.change_settings(|settings| {
        let wechat = &mut settings.wechat;
        wechat.publish_seconds = 0;
        wechat.mass_seconds = 0;
        wechat.mass_per_day = u32::MAX;
        for path in [
            "draft/add",
            "draft/batchget",
            "draft/count",
            "draft/delete",
            "draft/get",
            "draft/update",
            "freepublish/batchget",
            "freepublish/delete",
            "freepublish/get",
            "freepublish/getarticle",
            "freepublish/submit",
            "material/add_material",
            "material/batchget_material",
            "material/del_material",
            "message/mass/delete",
            "message/mass/get",
            "message/mass/sendall",
            "token",
        ] {
            wechat.quotas.insert(path.to_owned(), u32::MAX);
        }
        settings.weibo.destroy = true;
        settings.weibo.similar_seconds = 0;
        settings.weibo.calls_per_day = u32::MAX;
        settings.weibo.posts_per_hour = u32::MAX;
        settings.portal.adopt_seconds = 0;
        settings.portal.publish_seconds = 0;
        if ways == Ways::Public {
            settings.portal.dedup_seconds = 0;
        }
    });
}

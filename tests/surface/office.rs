//! An office on a folder of its own: configuration, secrets, daemon, command line, HTTP client.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lubu_sandbox::{Options, Platform, PublicPost, Running};
use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use tempfile::TempDir;

/// The whole of any one wait; a story that needs more has failed.
const PATIENCE: Duration = Duration::from_secs(40);
pub const TOKEN: &str = "surface-token-5b1f";
pub const SITE: &str = "委网站";
pub const PORTAL: &str = "市政府门户";
pub const WECHAT: &str = "微信公众号";
pub const WEIBO: &str = "微博";

pub struct Office {
    pub folder: TempDir,
    pub sandbox: Running,
    pub site: SocketAddr,
    pub api: SocketAddr,
    pub http: Client,
    daemon: Option<Child>,
    /// What the daemon finds in its environment.
    pub env: Vec<(&'static str, String)>,
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.out, self.err))
    }

    /// The command did it.
    pub fn done(self) -> Self {
        assert_eq!(self.code, 0, "{} {}", self.out, self.err);
        self
    }

    /// The command did not, and said why on stderr alone.
    pub fn refused(self) -> String {
        assert_eq!(self.code, 1, "{} {}", self.out, self.err);
        assert_eq!(self.out, "");
        assert_ne!(self.err, "");
        self.err
    }
}

impl Office {
    /// Everything is written; the daemon does not run yet. `more` is added to the configuration.
    pub async fn new(more: &str) -> Self {
        let sandbox = lubu_sandbox::start(Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            ..Options::default()
        })
        .await
        .expect("the sandbox starts");
        sandbox.change_settings(|settings| {
            settings.wechat.publish_seconds = 0;
            settings.portal.adopt_seconds = 0;
            settings.portal.publish_seconds = 0;
            settings.weibo.destroy = true;
        });
        let (site, api) = (free(), free());
        let folder = tempfile::tempdir().expect("a folder");
        lubu_channels::kit::http::install_provider();
        let http = Client::builder().no_proxy().build().expect("a client");
        let office = Self {
            folder,
            sandbox,
            site,
            api,
            http,
            daemon: None,
            env: Vec::new(),
        };
        office.secret("token", TOKEN);
        office.secret("portal", lubu_sandbox::PORTAL_SECRET);
        office.secret("wechat", lubu_sandbox::WECHAT_SECRET);
        office.secret("weibo", lubu_sandbox::WEIBO_TOKEN);
        office.configure(more);
        office
    }

    /// The same with the daemon running.
    pub async fn open(more: &str) -> Self {
        let mut office = Self::new(more).await;
        office.serve().await;
        office
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder around it")).expect("made");
        std::fs::write(&path, bytes).expect("written");
        path
    }

    fn secret(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.write(&format!("secrets/{name}"), text);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("closed");
    }

    pub fn configure(&self, more: &str) {
        let text = include_str!("lubu.toml")
            .replace("LISTEN", &self.api.to_string())
            .replace("SITE", &self.site.to_string())
            .replace("PORTAL", &self.sandbox.base(Platform::Portal))
            .replace("WECHAT", &self.sandbox.base(Platform::Wechat))
            .replace("WEIBO", &self.sandbox.base(Platform::Weibo))
            .replace("APP_ID", lubu_sandbox::WECHAT_APP_ID)
            .replace("UID", &lubu_sandbox::WEIBO_UID.to_string())
            .replace(
                "# MORE DAEMON",
                more.split("\n\n").next().unwrap_or_default(),
            );
        let rest = more.split_once("\n\n").map_or("", |(_, rest)| rest);
        self.write("lubu.toml", format!("{text}\n{rest}"));
    }

    /// Starts the daemon and waits until it says that it is ready.
    pub async fn serve(&mut self) {
        self.spawn();
        let ready = format!("http://{}/readyz", self.api);
        self.until("ready", || async {
            let answer = self.http.get(&ready).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    /// The same for a daemon that works and sends nothing: its data was restored, or is damaged.
    pub async fn serve_withheld(&mut self) {
        self.spawn();
        self.until("open", || async {
            let answer = self.readiness().await?;
            answer["adopted"].is_boolean().then_some(())
        })
        .await;
    }

    /// What it says of itself.
    pub async fn readiness(&self) -> Option<Value> {
        let ready = format!("http://{}/readyz", self.api);
        let answer = self.http.get(&ready).send().await.ok()?;
        serde_json::from_slice(&answer.bytes().await.ok()?).ok()
    }

    /// Starts the daemon and waits for nothing.
    pub fn spawn(&mut self) {
        assert!(self.daemon.is_none(), "one daemon at a time");
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("lubu.log"))
            .expect("a log");
        let daemon = self
            .command(&["serve"])
            .stdout(Stdio::null())
            .stderr(log)
            .env("LUBU_LOG", "info,lubu=debug")
            .envs(self.env.iter().cloned())
            .spawn();
        self.daemon = Some(daemon.expect("the daemon starts"));
    }

    /// SIGKILL: nothing is finished, nothing is told.
    pub fn kill(&mut self) {
        let mut daemon = self.daemon.take().expect("it runs");
        daemon.kill().expect("killed");
        daemon.wait().expect("gone");
    }

    /// SIGHUP: the file is to be read again.
    pub fn hang_up(&self) {
        let daemon = self.daemon.as_ref().expect("it runs");
        let id = i32::try_from(daemon.id()).expect("an id");
        let id = rustix::process::Pid::from_raw(id).expect("an id");
        rustix::process::kill_process(id, rustix::process::Signal::HUP).expect("told");
    }

    /// SIGTERM, and the exit code.
    pub fn stop(&mut self) -> i32 {
        let mut daemon = self.daemon.take().expect("it runs");
        let id = i32::try_from(daemon.id()).expect("an id");
        let id = rustix::process::Pid::from_raw(id).expect("an id");
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("told");
        daemon.wait().expect("gone").code().unwrap_or(-1)
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = bare(self.folder.path());
        command
            .arg("--config")
            .arg(self.path("lubu.toml"))
            .args(args);
        command
    }

    /// Runs the command line.
    pub fn lubu(&self, args: &[&str]) -> Said {
        said(&mut self.command(args))
    }

    /// The same with `--json`, done.
    pub fn json(&self, args: &[&str]) -> Value {
        let mut all = args.to_vec();
        all.push("--json");
        self.lubu(&all).done().json()
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.http
            .get(format!("http://{}{path}", self.api))
            .bearer_auth(TOKEN)
    }

    pub fn post(&self, path: &str) -> RequestBuilder {
        self.http
            .post(format!("http://{}{path}", self.api))
            .bearer_auth(TOKEN)
    }

    /// The deliveries of one item by channel.
    pub fn delivery(&self, item: &str, channel: &str) -> Value {
        let listed = self.json(&["status", item, "--channel", channel]);
        listed["deliveries"][0].clone()
    }

    /// Waits until a delivery is in this state, and gives it.
    pub async fn reaches(&self, item: &str, channel: &str, state: &str) -> Value {
        self.until(&format!("{channel} {state}"), || async {
            let one = self.delivery(item, channel);
            (one["state"] == state).then_some(one)
        })
        .await
    }

    /// Waits for something to be there.
    pub async fn until<T, F: Future<Output = Option<T>>>(
        &self,
        what: &str,
        look: impl Fn() -> F,
    ) -> T {
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(found) = look().await {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(60)).await;
            }
        })
        .await;
        if let Ok(found) = found {
            return found;
        }
        let status = self.lubu(&["status"]);
        let log = std::fs::read_to_string(self.path("lubu.log")).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(40).collect();
        panic!(
            "waited in vain for {what}\n{}\n{}",
            status.out,
            tail.join("\n")
        );
    }

    /// What readers see now on a played platform.
    pub fn public(&self, platform: Platform) -> Vec<PublicPost> {
        let mut posts = self.sandbox.public();
        posts.retain(|post| post.platform == platform);
        posts
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _gone = daemon.kill();
            let _gone = daemon.wait();
        }
    }
}

/// The binary in a folder, with nothing of this process's environment that it reads.
pub fn bare(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lubu"));
    command.current_dir(folder).stdin(Stdio::null());
    for name in [
        "LUBU_CONFIG",
        "LUBU_DATA",
        "LUBU_LISTEN",
        "LUBU_SOCKET",
        "COLUMNS",
        "NO_COLOR",
    ] {
        command.env_remove(name);
    }
    command.env("USER", "赵晓");
    command
}

pub fn said(command: &mut Command) -> Said {
    let output = command.output().expect("the binary runs");
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

fn free() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

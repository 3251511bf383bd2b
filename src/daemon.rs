//! The daemon: opens the store, starts the lanes, listens, and stops in order.

mod reload;
mod sites;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use lubu_channels::kit::http::Http;
use lubu_channels::{Timestamp, Words};
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::{Real, Stamps, Time};
use crate::config::{ChannelConfig, Config};
use crate::engine::suspects::Suspects;
use crate::engine::{Bench, Dice, Engine, Shared, Shelf};
use crate::http::{self, App};
use crate::ids::ChannelNo;
use crate::model::policy::{Policy, Tuning};
use crate::service::{InForce, Inspection, Reloads, Service, Setup};
use crate::store::act::Actor;
use crate::store::embedded;
use crate::store::local::Local;
use crate::store::{Act, Answer, Rules, Store, StoreError};
use crate::{inbox, telemetry};
use reload::Reloader;
use sites::Sites;

/// So long the end of the process waits at most until what was at work is excused.
const EXCUSED_WITHIN: Duration = Duration::from_secs(1);

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    pub service: Arc<Service>,
    /// Where TCP is listened on, when it is.
    pub address: Option<std::net::SocketAddr>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Why it did not start: a sentence, in both languages.
#[derive(Debug, Clone)]
pub struct NotStarted(pub Words);

impl std::fmt::Display for NotStarted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\n{}", self.0.zh, self.0.en)
    }
}

impl std::error::Error for NotStarted {}

impl From<StoreError> for NotStarted {
    fn from(error: StoreError) -> Self {
        Self(error.words())
    }
}

fn cannot(what: &str, what_zh: &str, error: &impl std::fmt::Display) -> NotStarted {
    NotStarted(Words::new(
        format!("{what_zh}失败：{error}"),
        format!("failed to {what}: {error}"),
    ))
}

/// Starts everything and returns once it is ready for work.
pub async fn start(config: Config) -> Result<Daemon, NotStarted> {
    let clock = Arc::new(Real::default());
    let time: Arc<dyn Time> = Arc::clone(&clock) as _;
    let rules = Rules::timed_by(Arc::clone(&time));
    let at_work: Arc<OnceLock<Suspects>> = Arc::default();
    let (store, access) = open(&config, &clock, rules.clone(), &at_work).await?;
    let store: Arc<dyn Store> = Arc::new(store);
    let names = match access {
        Access::Full => register(store.as_ref(), &config.channels).await?,
        Access::Reading => registered(store.as_ref(), &config.channels).await?,
    };
    let policies = policies(&config.channels, &names);
    rules.replace(policies.clone());
    let setup = Setup::new(Arc::new(config), names, &store.channels().await?);
    let config = Arc::clone(&setup.config);
    let stop = CancellationToken::new();
    let http = Http::new(&config.http)
        .map_err(|error| cannot("start the HTTP client", "启动 HTTP 客户端", &error))?;
    let guarded = Http::guarded(&config.http)
        .map_err(|error| cannot("start the HTTP client", "启动 HTTP 客户端", &error))?;
    let shared = Arc::new(Shared {
        store: Arc::clone(&store),
        http: Arc::new(http),
        time: Arc::clone(&time),
        shelf: Shelf::default(),
        dice: Dice::new(seed()),
        stop: stop.clone(),
        suspects: at_work
            .get_or_init(|| suspects(&config, time.now()))
            .clone(),
    });
    let benches = benches(&config.channels, &policies, &shared);
    let engine = match access {
        Access::Full => Engine::start(Arc::clone(&shared), benches).await?,
        Access::Reading => Engine::idle(Arc::clone(&shared), benches),
    };
    let (reloads, asked) = Reloads::new();
    let service = Arc::new(Service {
        in_force: InForce::new(setup),
        store,
        engine,
        time,
        guarded: Arc::new(guarded),
        inspection: Inspection::default(),
        reloads,
    });
    let tasks = TaskTracker::new();
    let address = listen(&config, &service, &stop, &tasks).await?;
    let mut sites = Sites::default();
    let bound = sites.bind(&config).await.map_err(NotStarted)?;
    sites
        .serve(bound, &config, &stop, &tasks)
        .map_err(|error| cannot("serve the site", "提供网站", &error))?;
    let mut reloader = Reloader {
        service: Arc::clone(&service),
        rules,
        sites,
        access,
        stop: stop.clone(),
        tasks: tasks.clone(),
        watched: BTreeSet::new(),
    };
    if access == Access::Full {
        if let Some(folder) = &config.daemon.inbox {
            tasks.spawn(inbox::watch(
                Arc::clone(&service),
                folder.clone(),
                stop.clone(),
            ));
        }
        tasks.spawn(run_schedules(Arc::clone(&service), stop.clone()));
        let names = &service.setup().names;
        reloader.watch(names.iter().map(|(number, _)| *number).collect());
        tasks.spawn(watch_clock(Arc::clone(&service), stop.clone()));
    }
    tasks.spawn(reloader.run(asked));
    Ok(Daemon {
        service,
        address,
        stop,
        tasks,
    })
}

/// What the last process left at work. After a restart of the machine nothing of it is a death.
fn suspects(config: &Config, now: Timestamp) -> Suspects {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Suspects::open(&config.daemon.data.join("at-work"), boot.trim(), now)
}

/// What the store lets us do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Full,
    /// Its journal is damaged: pages and status go on, nothing is taken in or sent.
    Reading,
}

async fn open(
    config: &Config,
    clock: &Arc<Real>,
    rules: Rules,
    at_work: &Arc<OnceLock<Suspects>>,
) -> Result<(Local, Access), NotStarted> {
    let folder = config.daemon.data.clone();
    if let Some(parent) = folder.parent() {
        std::fs::create_dir_all(parent)
            .map_err(|error| cannot("make the data folder", "建立数据目录", &error))?;
    }
    let stamps = Arc::new(Stamps(Arc::clone(clock)));
    let at_work = Arc::clone(at_work);
    let excuse = Arc::new(move || {
        if let Some(suspects) = at_work.get() {
            suspects.excuse(EXCUSED_WITHIN);
        }
    });
    let opening =
        tokio::task::spawn_blocking(move || Local::open_ending(&folder, stamps, rules, excuse));
    let opened = opening
        .await
        .map_err(|error| cannot("open the store", "打开存储", &error))?;
    let (store, opened) =
        opened.map_err(|error| NotStarted(Words::new(error.zh(), format!("failed to {error}"))))?;
    let newest = opened.newest_ms.and_then(Timestamp::from_timestamp_millis);
    if let Some(newest) = newest {
        clock.recorded(newest);
    }
    if let Some(rebuilt) = &opened.rebuilt {
        tracing::warn!(
            "the state was rebuilt from the journal ({rebuilt:?}), {} acts",
            opened.replayed
        );
    }
    for bad in &opened.bad_bases {
        tracing::error!(
            "base {} of the store cannot be used: {}",
            bad.sequence,
            bad.why
        );
    }
    if opened.damage.is_some() {
        tracing::error!("nothing is taken in or sent: {}", store.standing().words.en);
        return Ok((store, Access::Reading));
    }
    if let Some(cut) = &opened.cut {
        tracing::warn!("an unfinished end of the journal was set aside: {cut:?}");
    }
    if let Ok(Some(item)) = embedded::unfinished(&config.daemon.data) {
        tracing::error!("the erasure of {item} is not finished: run `lubu erase {item}` again");
    }
    if !store.standing().adopted {
        tracing::warn!("{}", store.standing().words.en);
    }
    Ok((store, Access::Full))
}

/// The channels' numbers as they are known, where none can be given.
async fn registered(
    store: &dyn Store,
    channels: &[ChannelConfig],
) -> Result<Vec<(ChannelNo, String)>, StoreError> {
    let known = store.channels().await?;
    let number = |config: &ChannelConfig| {
        let same = known.iter().find(|one| {
            one.name == config.name
                && one.adapter == config.adapter
                && one.account == config.channel.caps().account
        });
        same.map(|one| (one.number, config.name.clone()))
    };
    Ok(channels.iter().filter_map(number).collect())
}

/// The same for a configuration that comes later: nothing is written where nothing is new.
async fn register_new(
    store: &dyn Store,
    channels: &[ChannelConfig],
) -> Result<Vec<(ChannelNo, String)>, StoreError> {
    let known = registered(store, channels).await?;
    if known.len() == channels.len() {
        return Ok(known);
    }
    register(store, channels).await
}

/// Every configured channel's number in this store.
async fn register(
    store: &dyn Store,
    channels: &[ChannelConfig],
) -> Result<Vec<(ChannelNo, String)>, StoreError> {
    let mut names = Vec::new();
    for config in channels {
        let act = Act::Register {
            name: config.name.clone(),
            adapter: config.adapter.clone(),
            account: config.channel.caps().account.clone(),
        };
        if let Answer::Channel(number) = store.act(act).await? {
            names.push((number, config.name.clone()));
        }
    }
    Ok(names)
}

fn policies(channels: &[ChannelConfig], names: &[(ChannelNo, String)]) -> Vec<Policy> {
    let number = |name: &String| {
        names
            .iter()
            .find(|(_, known)| known == name)
            .map(|(no, _)| *no)
    };
    let policy = |config: &ChannelConfig| {
        let tuning = Tuning {
            backoff: config.backoff.clone(),
            on_correction: config.on_correction,
            after: config.after.iter().filter_map(number).collect(),
            concurrency: config.concurrency,
            rate: config.rate,
            quiet: config.quiet.clone(),
        };
        let caps = config.channel.caps();
        number(&config.name).map(|no| Policy::new(no, &config.name, &config.adapter, caps, tuning))
    };
    channels.iter().filter_map(policy).collect()
}

fn benches(channels: &[ChannelConfig], policies: &[Policy], shared: &Arc<Shared>) -> Vec<Bench> {
    channels
        .iter()
        .filter_map(|config| {
            let policy = policies
                .iter()
                .find(|policy| policy.name == config.name)?
                .clone();
            Some(Bench {
                channel: Arc::clone(&config.channel),
                policy,
                call_within: config.call_within,
                shared: Arc::clone(shared),
            })
        })
        .collect()
}

async fn listen(
    config: &Config,
    service: &Arc<Service>,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> Result<Option<std::net::SocketAddr>, NotStarted> {
    let app = App {
        service: Arc::clone(service),
        metrics: telemetry::metrics(),
    };
    let socket = bind_socket(&config.daemon.socket)
        .map_err(|error| cannot("listen on the socket", "监听本机套接字", &error))?;
    serve(socket, http::socket(app.clone()), stop, tasks);
    let Some(address) = config.daemon.listen else {
        return Ok(None);
    };
    let listener = TcpListener::bind(address).await.map_err(|error| {
        NotStarted(Words::new(
            format!("监听 {address} 失败：{error}。端口可能被占用，请改 [daemon] listen。"),
            format!("failed to listen on {address}: {error}; change [daemon] listen."),
        ))
    })?;
    let bound = listener.local_addr().ok();
    serve(listener, http::tcp(app), stop, tasks);
    Ok(bound)
}

/// The socket of a process that is gone is replaced; the store's lock has excluded a living one.
fn bind_socket(path: &Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt as _;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn serve<L>(listener: L, router: Router, stop: &CancellationToken, tasks: &TaskTracker)
where
    L: axum::serve::Listener,
    L::Addr: std::fmt::Debug,
{
    let stop = stop.clone();
    tasks.spawn(async move {
        let ended = axum::serve(listener, router)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await;
        if let Err(error) = ended {
            tracing::error!("a listener ended: {error}");
        }
    });
}

/// Says aloud when sending stops and when it goes on; what is sent is decided at each intent.
async fn watch_clock(service: Arc<Service>, stop: CancellationToken) {
    let mut stopped = false;
    loop {
        let halts = service.halts().await.unwrap_or_default();
        if stopped == halts.is_empty() {
            stopped = !stopped;
            service.engine.hub().halt(stopped);
            for halt in &halts {
                tracing::error!(halt = halt.code(), "nothing is sent: {}", halt.words().en);
            }
            if !stopped {
                tracing::warn!("sending goes on");
            }
        }
        let next = service.time.now() + Duration::from_secs(1);
        tokio::select! {
            () = stop.cancelled() => return,
            () = service.time.sleep_until(next) => {}
        }
    }
}

async fn run_schedules(service: Arc<Service>, stop: CancellationToken) {
    loop {
        let term = service.engine.term();
        // A clock in doubt fires nothing: not early, and not twice.
        let next = match service.time.doubt() {
            None => service.run_due().await,
            Some(_) => None,
        };
        // Looked at every minute too: a clock that was set must not delay a run for days.
        let minute = service.time.now() + Duration::from_mins(1);
        let at = next.map_or(minute, |next| next.min(minute));
        tokio::select! {
            () = stop.cancelled() => return,
            () = term.cancelled() => {}
            () = service.time.sleep_until(at) => {}
        }
    }
}

fn seed() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
}

impl Daemon {
    /// Has the configuration read again, as by SIGHUP. What comes of it is in the log.
    pub fn reload(&self) {
        // The answer is for whoever waits.
        let _unheard = self.service.reloads.ask(Actor::new("SIGHUP", "signal"));
    }

    /// Stops in order: no new work, running steps finish, the store makes its checkpoint.
    pub async fn stop(self) {
        self.stop.cancel();
        let config = self.service.config();
        let within = config.daemon.stop_within;
        self.service.engine.stop(within).await;
        self.tasks.close();
        if tokio::time::timeout(Duration::from_secs(3), self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("some connections were still open at the stop");
        }
        self.service.engine.shared.suspects.close();
        self.service.store.close().await;
        drop(std::fs::remove_file(&config.daemon.socket));
    }
}

/// Waits for SIGTERM or SIGINT.
pub async fn told_to_stop() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}

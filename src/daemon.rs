//! The daemon: opens the store, starts the lanes, listens, and stops in order.

mod reload;
mod sites;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lubu_channels::kit::http::Http;
use lubu_channels::{Timestamp, Words};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::{self, Real, Stamps, Time};
use crate::config::{ChannelConfig, Config};
use crate::doors::{Doors, Hall, SocketFile};
use crate::engine::suspects::Suspects;
use crate::engine::{Bench, Dice, Engine, Shared, Shelf};
use crate::http::App;
use crate::ids::ChannelNo;
use crate::model::policy::{Policy, Tuning};
use crate::service::opening::{AGAIN, NotYet, Opening};
use crate::service::{Asked, InForce, Inspection, Reloads, Service, Setup};
use crate::store::act::Actor;
use crate::store::embedded::{self, Lock, Opened, Options};
use crate::store::local::{self, Local};
use crate::store::{Act, Answer, Rules, Store, StoreError};
use crate::supervisor::Supervisor;
use crate::watchdog::Watchdog;
use crate::{inbox, telemetry, watchdog};
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
    clock: Arc<Real>,
    stop: CancellationToken,
    tasks: TaskTracker,
    socket: SocketFile,
    watchdog: Watchdog,
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

/// Starts everything and returns once it is ready for work. Who asks meanwhile is told what it is at.
pub async fn start(config: Config) -> Result<Daemon, NotStarted> {
    start_under(config, Arc::default()).await
}

/// The same under a supervisor, who is told as well.
pub async fn start_under(
    config: Config,
    supervisor: Arc<Supervisor>,
) -> Result<Daemon, NotStarted> {
    let clock = Arc::new(Real::of(&config.daemon.data));
    let time: Arc<dyn Time> = Arc::clone(&clock) as _;
    let rules = Rules::timed_by(Arc::clone(&time));
    let at_work: Arc<OnceLock<Suspects>> = Arc::default();
    let stop = CancellationToken::new();
    let hall = Hall {
        stop: stop.clone(),
        tasks: TaskTracker::new(),
    };
    // A start that fails, or is given up, closes what it opened.
    let given_up = stop.clone().drop_guard();
    let opening = Arc::new(Opening::new(config.daemon.timezone));
    let telling = stop.child_token();
    let told = tell_of_opening(Arc::clone(&opening), supervisor, Arc::clone(&time));
    let told = telling.clone().run_until_cancelled_owned(told);
    hall.tasks.spawn(told);
    // Ends with the opening, however that ends.
    let telling = telling.drop_guard();
    let (doors, held) = Doors::open(&config, &opening, time.as_ref(), &hall).await?;
    // Readers read on while the store opens.
    let sites = serve_sites(&config, &hall).await?;
    let way = Opener {
        data: config.daemon.data.clone(),
        clock: Arc::clone(&clock),
        rules: rules.clone(),
        at_work: Arc::clone(&at_work),
        opening: Arc::clone(&opening),
        held,
    };
    let opened = opening.insist(time.as_ref(), || way.open()).await;
    drop(way);
    let (store, access) = opened.map_err(NotStarted)?;
    let store: Arc<dyn Store> = Arc::new(store);
    let registering = opening.insist(time.as_ref(), || async {
        Ok(register(store.as_ref(), &config.channels, access).await?)
    });
    let names = registering.await.map_err(NotStarted)?;
    let policies = policies(&config.channels, &names);
    rules.replace(policies.clone());
    let setup = Setup::new(Arc::new(config), names, &store.channels().await?);
    let config = Arc::clone(&setup.config);
    let suspects = at_work
        .get_or_init(|| suspects(&config, time.now()))
        .clone();
    let shared = Arc::new(Shared {
        store: Arc::clone(&store),
        http: Arc::new(client(Http::new(&config.http))?),
        time: Arc::clone(&time),
        shelf: Shelf::default(),
        dice: Dice::new(seed()),
        stop: stop.clone(),
        suspects,
    });
    let starting = opening.insist(time.as_ref(), || async {
        let benches = benches(&config.channels, &policies, &shared);
        match access {
            Access::Full => Ok(Engine::start(Arc::clone(&shared), benches).await?),
            Access::Reading => Ok(Engine::idle(Arc::clone(&shared), benches)),
        }
    });
    let engine = starting.await.map_err(NotStarted)?;
    let (reloads, asked) = Reloads::new();
    let service = Arc::new(Service {
        in_force: InForce::new(setup),
        store,
        engine,
        time,
        guarded: Arc::new(client(Http::guarded(&config.http))?),
        inspection: Inspection::default(),
        reloads,
    });
    drop(telling);
    doors.admit(&App {
        service: Arc::clone(&service),
        metrics: telemetry::metrics(),
    });
    let reloader = Reloader {
        service: Arc::clone(&service),
        rules,
        sites,
        access,
        hall: hall.clone(),
        watched: BTreeSet::new(),
    };
    work(reloader, asked, &clock);
    let tasks = hall.tasks;
    let watchdog = watch_over(&service)?;
    Ok(Daemon {
        service,
        watchdog,
        address: doors.address,
        clock,
        stop: given_up.disarm(),
        tasks,
        socket: doors.socket,
    })
}

async fn serve_sites(config: &Config, hall: &Hall) -> Result<Sites, NotStarted> {
    let mut sites = Sites::default();
    let bound = sites.bind(config).await.map_err(NotStarted)?;
    sites
        .serve(bound, config, hall)
        .map_err(|error| cannot("serve the site", "提供网站", &error))?;
    Ok(sites)
}

fn client<E: std::fmt::Display>(made: Result<Http, E>) -> Result<Http, NotStarted> {
    made.map_err(|error| cannot("start the HTTP client", "启动 HTTP 客户端", &error))
}

fn watch_over(service: &Service) -> Result<Watchdog, NotStarted> {
    let suspects = service.engine.shared.suspects.clone();
    let runtime = tokio::runtime::Handle::current();
    Watchdog::start(&runtime, suspects, watchdog::TICK, watchdog::abort())
        .map_err(|error| cannot("start the watchdog", "启动看门线程", &error))
}

/// What goes on beside the lanes; where nothing may be written that is only the refusal of a reload.
fn work(mut reloader: Reloader, asked: UnboundedReceiver<Asked>, clock: &Arc<Real>) {
    let Hall { stop, tasks } = reloader.hall.clone();
    let service = Arc::clone(&reloader.service);
    if reloader.access == Access::Full {
        if let Some(folder) = &service.config().daemon.inbox {
            tasks.spawn(inbox::watch(
                Arc::clone(&service),
                folder.clone(),
                stop.clone(),
            ));
        }
        tasks.spawn(run_schedules(Arc::clone(&service), stop.clone()));
        let names = &service.setup().names;
        reloader.watch(names.iter().map(|(number, _)| *number).collect());
        let clock = Arc::clone(clock);
        tasks.spawn(watch_clock(service, clock, stop));
    }
    tasks.spawn(reloader.run(asked));
}

/// Every few seconds as long as it takes: a supervisor ends what starts too slowly and says nothing.
async fn tell_of_opening(opening: Arc<Opening>, supervisor: Arc<Supervisor>, time: Arc<dyn Time>) {
    loop {
        let status = format!("STATUS={}", opening.words());
        supervisor.say(&[&status, "EXTEND_TIMEOUT_USEC=60000000"]);
        time.sleep_until(time.now() + AGAIN).await;
    }
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

/// What the store is opened with, as often as it takes.
struct Opener {
    data: PathBuf,
    clock: Arc<Real>,
    rules: Rules,
    at_work: Arc<OnceLock<Suspects>>,
    opening: Arc<Opening>,
    held: Lock,
}

impl Opener {
    fn options(&self) -> Options {
        let mut options =
            local::options(&self.data, Arc::new(Stamps(Arc::clone(&self.clock) as _)));
        let (at_work, end) = (Arc::clone(&self.at_work), Arc::clone(&options.on_fatal));
        options.on_fatal = Arc::new(move |why| {
            if let Some(suspects) = at_work.get() {
                suspects.excuse(EXCUSED_WITHIN);
            }
            end(why);
        });
        let doubting = self.rules.clone();
        options.clock_suspect = Arc::new(move || doubting.doubt().is_some());
        let opening = Arc::clone(&self.opening);
        options.on_progress = Arc::new(move |at| opening.progress(at));
        options.held = Some(self.held.clone());
        options
    }

    async fn open(&self) -> Result<(Local, Access), NotYet> {
        let (options, rules) = (self.options(), self.rules.clone());
        let opening = tokio::task::spawn_blocking(move || Local::open_with(&options, rules));
        let opened = opening
            .await
            .map_err(|error| NotYet::Never(cannot("open the store", "打开存储", &error).0))?;
        let (store, opened) = opened?;
        self.timed(&store, &opened).await;
        let access = told(&self.data, &store, &opened);
        Ok((store, access))
    }

    /// From here on the clock knows what was recorded, and what was believed before.
    async fn timed(&self, store: &Local, opened: &Opened) {
        let known = clock::Opened {
            store: embedded::store_id(&self.data).unwrap_or_default(),
            newest: opened.newest_ms.and_then(Timestamp::from_timestamp_millis),
            // One that cannot be read fits no file that was kept.
            set_back: store.set_back().await.unwrap_or_default(),
        };
        self.clock.opened(known, &self.data);
    }
}

/// Says what an opening found, and what may be done with it.
fn told(data: &Path, store: &Local, opened: &Opened) -> Access {
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
        return Access::Reading;
    }
    if let Some(cut) = &opened.cut {
        tracing::warn!("an unfinished end of the journal was set aside: {cut:?}");
    }
    if let Ok(Some(item)) = embedded::unfinished(data) {
        tracing::error!("the erasure of {item} is not finished: run `lubu erase {item}` again");
    }
    if !store.standing().adopted {
        tracing::warn!("{}", store.standing().words.en);
    }
    Access::Full
}

/// Every configured channel's number in this store. Asks for one only where none is known: a full disk gives no new ones.
async fn register(
    store: &dyn Store,
    channels: &[ChannelConfig],
    access: Access,
) -> Result<Vec<(ChannelNo, String)>, StoreError> {
    let known = store.channels().await?;
    let mut names = Vec::new();
    for config in channels {
        let account = config.channel.caps().account.clone();
        let same = known.iter().find(|one| {
            one.name == config.name && one.adapter == config.adapter && one.account == account
        });
        if let Some(same) = same {
            names.push((same.number, config.name.clone()));
            continue;
        }
        if access == Access::Reading {
            continue;
        }
        let act = Act::Register {
            name: config.name.clone(),
            adapter: config.adapter.clone(),
            account,
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
                replaced: CancellationToken::new(),
            })
        })
        .collect()
}

/// Says aloud when sending stops and when it goes on, and keeps what is believed of the clock; what is sent is decided at each
/// intent.
async fn watch_clock(service: Arc<Service>, clock: Arc<Real>, stop: CancellationToken) {
    let mut stopped = false;
    loop {
        let keeping = Arc::clone(&clock);
        // A write that panics is none.
        drop(tokio::task::spawn_blocking(move || keeping.keep()).await);
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
    let mut named: Option<CancellationToken> = None;
    loop {
        let term = service.engine.term();
        // At the start and after each reload.
        if named.is_none_or(|named| named.is_cancelled()) {
            service.name_lost_schedules().await;
        }
        named = Some(term.clone());
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
    /// Tells a supervisor that asks for it that the runtime turns. Never ends.
    pub fn alive(&self, supervisor: Arc<Supervisor>) -> impl Future<Output = ()> + use<> {
        let time = Arc::clone(&self.service.time);
        async move {
            let Some(patience) = supervisor.patience else {
                return std::future::pending().await;
            };
            // A task of its own: the one that calls may run where no worker does.
            let saying = tokio::spawn(async move {
                loop {
                    supervisor.say(&["WATCHDOG=1"]);
                    time.sleep_until(time.now() + patience / 3).await;
                }
            });
            drop(saying.await);
        }
    }

    /// Has the configuration read again, as by SIGHUP. What comes of it is in the log.
    pub fn reload(&self) {
        // The answer is for whoever waits.
        let _unheard = self.service.reloads.ask(Actor::new("SIGHUP", "signal"));
    }

    /// Stops in order: no new work, running steps finish, the store makes its checkpoint.
    pub async fn stop(self) {
        self.stop.cancel();
        self.watchdog.rest();
        let within = self.service.config().daemon.stop_within;
        self.service.engine.stop(within).await;
        self.tasks.close();
        if tokio::time::timeout(Duration::from_secs(3), self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("some connections were still open at the stop");
        }
        self.service.engine.shared.suspects.close();
        self.clock.keep();
        // Before the folder is given up: what lies there afterwards may be another daemon's.
        drop(self.socket);
        self.service.store.close().await;
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

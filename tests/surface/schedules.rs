//! Scheduled disclosure on a clock that only the story moves, through the service alone.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lubu::clock::{Steered, Time};
use lubu::config::{self, Config};
use lubu::engine::{Dice, Engine, Shared, Shelf};
use lubu::intake::{Handed, Submission};
use lubu::model::delivery::PublicState;
use lubu::model::policy::{Policy, Tuning};
use lubu::service::view::ScheduleView;
use lubu::service::{Approve, Filter, InForce, Service, Setup, Submit};
use lubu::store::embedded::Options;
use lubu::store::local::Local;
use lubu::store::{Act, Answer, Rules, Store};
use lubu_channels::Clock;
use lubu_channels::kit::http::Http;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::desk;

const BUILD: &str = "[[schedule]]\nname = \"每月投资数据\"\ncron = \"0 9 10 * *\"\ndo = \"build\"\n\
                     category = \"0605\"\ntemplate = \"monthly.md\"\ndata = \"monthly.csv\"\nperiod = \"month\"\n";
const RELEASE: &str = "[[schedule]]\nname = \"每日放行\"\ncron = \"0 9 * * *\"\ndo = \"release\"\n";
const TEMPLATE: &str = "+++\ntitle = \"{{ period_words }}投资情况\"\ncategory = \"0605\"\nscope = \"public\"\n+++\n\n\
                        {% for row in rows %}{{ row['指标'] }}增长{{ row['增速'] }}%。\n{% endfor %}\n";
const DATA: &str = "\u{feff}period,指标,增速\n2026-11,固定资产投资,8.0\n2026-11,民间投资,9.4\n";

/// A daemon without doors: its service on a steered clock. Channels have no lanes here, so what is
/// released stays where the release put it.
struct Bureau {
    folder: TempDir,
    time: Arc<Steered>,
    service: Arc<Service>,
}

impl Bureau {
    async fn open(schedules: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let text = format!(
            "[office]\nname = \"云川市发展和改革委员会\"\n[daemon]\ninbox = \"inbox\"\n\
             [[channel]]\nname = \"委网站\"\nadapter = \"site\"\nroot = \"public\"\n\
             base_url = \"https://fgw.example.gov.cn\"\n{schedules}"
        );
        std::fs::write(folder.path().join("lubu.toml"), text).expect("written");
        let time = Arc::new(Steered::default());
        let service = service(folder.path(), &time).await;
        Self {
            folder,
            time,
            service,
        }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).expect("written");
    }

    /// Down until `to`, then started again.
    async fn down_until(self, to: &str) -> Self {
        let Self {
            folder,
            time,
            service,
        } = self;
        service.engine.stop(Duration::from_secs(1)).await;
        service.store.close().await;
        drop(service);
        time.set(to.parse().expect("a time"));
        let service = service_of(folder.path(), &time).await;
        Self {
            folder,
            time,
            service,
        }
    }

    async fn tick(&self, to: &str) {
        self.time.set(to.parse().expect("a time"));
        self.service.run_due().await;
    }

    async fn schedule(&self) -> ScheduleView {
        let mut all = self.service.schedules().await.expect("listed");
        all.remove(0)
    }

    async fn result(&self) -> String {
        let last = self.schedule().await.last.expect("it ran");
        last.result.expect("it ended")
    }

    async fn items(&self) -> Vec<lubu::service::view::ItemView> {
        let filter = Filter {
            limit: 100,
            ..Filter::default()
        };
        self.service.items(&filter).await.expect("listed").rows
    }

    async fn approved(&self, title: &str) {
        let more = "schedule = \"每日放行\"";
        let text = desk::text(title, more, "主体结构施工到七层。");
        let submission = Submission {
            main: 0,
            files: vec![Handed {
                path: "item.md".into(),
                bytes: text.into_bytes(),
            }],
        };
        let submit = Submit {
            submission,
            by: "赵晓".into(),
            from: "cli",
            key: None,
            again: false,
        };
        let taken = self.service.submit(submit).await.expect("taken");
        let approve = Approve {
            item: taken.accepted.item,
            revision: None,
            scope: None,
            by: "陈主任".into(),
            opinion: "同意".into(),
            choices: Vec::new(),
            without: Vec::new(),
            from: "cli",
        };
        self.service.approve(approve).await.expect("signed");
    }
}

use service as service_of;

async fn service(base: &Path, time: &Arc<Steered>) -> Arc<Service> {
    let registry = lubu_channels::registry::adapters();
    let config = config::load(&base.join("lubu.toml"), &registry).expect("it holds");
    let (clock, rules) = (Arc::clone(time), Rules::default());
    let now = Arc::new(move || clock.now().timestamp_millis());
    let mut options = Options::new(base.join("data"), now);
    options.low_bytes = 0;
    options.watch_panics = false;
    let (store, _) = Local::open_with(&options, rules.clone()).expect("opens");
    let store: Arc<dyn Store> = Arc::new(store);
    let mut names = Vec::new();
    for one in &config.channels {
        let act = Act::Register {
            name: one.name.clone(),
            adapter: one.adapter.clone(),
            account: one.channel.caps().account.clone(),
        };
        let Answer::Channel(number) = store.act(act).await.expect("registered") else {
            panic!("a channel's answer is its number");
        };
        names.push((number, one.name.clone()));
    }
    rules.replace(policies(&config, &names));
    lubu_channels::kit::http::install_provider();
    let shared = Arc::new(Shared {
        store: Arc::clone(&store),
        http: Arc::new(Http::new(&config.http).expect("a client")),
        time: Arc::clone(time) as Arc<dyn Time>,
        shelf: Shelf::default(),
        dice: Dice::new(time.now().timestamp_millis().unsigned_abs()),
        stop: CancellationToken::new(),
        suspects: lubu::engine::suspects::Suspects::default(),
    });
    Arc::new(Service {
        guarded: Arc::new(Http::guarded(&config.http).expect("a client")),
        engine: Engine::start(shared, Vec::new()).await.expect("starts"),
        time: Arc::clone(time) as Arc<dyn Time>,
        in_force: InForce::new(Setup::new(Arc::new(config), names, &[])),
        store,
        inspection: lubu::service::Inspection::default(),
        reloads: lubu::service::Reloads::default(),
    })
}

fn policies(config: &Config, names: &[(lubu::ids::ChannelNo, String)]) -> Vec<Policy> {
    let policy = |(one, (number, name)): (&config::ChannelConfig, &(_, String))| {
        let tuning = Tuning {
            backoff: one.backoff.clone(),
            on_correction: one.on_correction,
            after: Vec::new(),
            concurrency: one.concurrency,
            rate: one.rate,
            quiet: one.quiet.clone(),
        };
        Policy::new(*number, name, &one.adapter, one.channel.caps(), tuning)
    };
    config.channels.iter().zip(names).map(policy).collect()
}

#[tokio::test]
async fn an_item_is_built_from_template_and_data_and_waits_for_its_approval() {
    let bureau = Bureau::open(BUILD).await;
    bureau.write("monthly.md", TEMPLATE);
    bureau.write("monthly.csv", DATA);
    bureau.service.run_due().await;
    assert!(
        bureau.items().await.is_empty(),
        "what was due before it existed is not made up for"
    );
    assert_eq!(bureau.schedule().await.last, None);
    bureau.tick("2026-12-10T00:59:59Z").await;
    assert!(bureau.items().await.is_empty());
    bureau.tick("2026-12-10T01:00:00Z").await;
    bureau.tick("2026-12-10T01:00:01Z").await;
    let items = bureau.items().await;
    let [item] = items.as_slice() else {
        panic!("one run, one item: {items:#?}");
    };
    assert_eq!(item.title, "2026年11月投资情况");
    assert_eq!(item.category, "0605");
    assert_eq!(item.approved_revision, None);
    assert!(item.deliveries.is_empty());
    let view = bureau.schedule().await;
    assert_eq!(view.next[0], "2027-01-10T01:00:00.000Z");
    assert_eq!(
        view.last.as_ref().map(|last| last.due.as_str()),
        Some("2026-12-10T01:00:00.000Z")
    );
    assert!(bureau.result().await.contains(&item.id));
}

#[tokio::test]
async fn a_run_missed_while_down_happens_once_at_start_and_never_twice() {
    let bureau = Bureau::open(BUILD).await;
    bureau.write("monthly.md", TEMPLATE);
    bureau.write("monthly.csv", DATA);
    bureau.service.run_due().await;
    let bureau = bureau.down_until("2026-12-10T05:00:00Z").await;
    bureau.service.run_due().await;
    assert_eq!(bureau.items().await.len(), 1);
    let bureau = bureau.down_until("2026-12-10T05:01:00Z").await;
    bureau.service.run_due().await;
    bureau.service.run_due().await;
    assert_eq!(bureau.items().await.len(), 1);
    // The clock set back does not make it due again.
    let bureau = bureau.down_until("2026-12-10T05:01:30Z").await;
    bureau
        .time
        .set("2026-12-10T05:01:00Z".parse().expect("a time"));
    bureau.service.run_due().await;
    assert_eq!(bureau.items().await.len(), 1);
}

#[tokio::test]
async fn a_run_missed_by_too_much_is_told_and_not_made_up_for() {
    let bureau = Bureau::open(BUILD).await;
    bureau.write("monthly.md", TEMPLATE);
    bureau.write("monthly.csv", DATA);
    bureau.service.run_due().await;
    let bureau = bureau.down_until("2026-12-12T01:00:00Z").await;
    bureau.service.run_due().await;
    assert!(bureau.items().await.is_empty());
    assert!(bureau.result().await.contains("未执行"));
}

#[tokio::test]
async fn without_figures_for_the_period_nothing_is_made_and_the_schedule_says_why() {
    let bureau = Bureau::open(BUILD).await;
    bureau.write("monthly.md", TEMPLATE);
    bureau.service.run_due().await;
    bureau.tick("2026-12-10T01:00:00Z").await;
    let why = bureau.result().await;
    assert!(why.contains("monthly.csv"), "{why}");
    bureau.write("monthly.csv", DATA);
    bureau.tick("2027-01-10T01:00:00Z").await;
    let why = bureau.result().await;
    assert!(
        why.contains("monthly.csv") && why.contains("2026-12"),
        "{why}"
    );
    bureau.write("monthly.csv", &format!("{DATA}2027-01,固定资产投资,\n"));
    bureau.write("monthly.md", &TEMPLATE.replace("增速", "没有的列"));
    bureau.tick("2027-02-10T01:00:00Z").await;
    let why = bureau.result().await;
    assert!(why.contains("monthly.md"), "{why}");
    assert!(bureau.items().await.is_empty());
}

#[tokio::test]
async fn what_is_approved_and_marked_goes_when_its_time_comes_and_not_before() {
    let bureau = Bureau::open(RELEASE).await;
    bureau.service.run_due().await;
    bureau.approved("甲通知").await;
    bureau.approved("乙通知").await;
    let states = |items: &[lubu::service::view::ItemView]| -> Vec<PublicState> {
        items
            .iter()
            .flat_map(|item| &item.deliveries)
            .map(|one| one.state)
            .collect()
    };
    assert_eq!(states(&bureau.items().await), [PublicState::Held; 2]);
    let waiting = bureau.items().await;
    assert!(
        waiting
            .iter()
            .flat_map(|item| &item.deliveries)
            .all(|one| !one.needs_person)
    );
    assert_eq!(bureau.schedule().await.waiting, 2);
    let bureau = bureau.down_until("2026-11-24T03:00:00Z").await;
    assert_eq!(states(&bureau.items().await), [PublicState::Held; 2]);
    bureau.service.run_due().await;
    assert_eq!(states(&bureau.items().await), [PublicState::Pending; 2]);
    assert!(bureau.result().await.contains("2 条"));
    let bureau = bureau.down_until("2026-11-24T03:01:00Z").await;
    bureau.service.run_due().await;
    assert_eq!(bureau.schedule().await.waiting, 0);
    assert!(
        bureau.result().await.contains("2 条"),
        "it did not run again"
    );
}

impl Bureau {
    fn without_schedules(&self) {
        let path = self.folder.path().join("lubu.toml");
        let text = std::fs::read_to_string(&path).expect("read");
        let kept = text.split("[[schedule]]").next().expect("all before it");
        std::fs::write(&path, kept).expect("written");
    }
}

#[tokio::test]
async fn what_waits_for_a_schedule_that_left_the_configuration_is_named_with_the_way_out() {
    let bureau = Bureau::open(RELEASE).await;
    bureau.service.run_due().await;
    bureau.approved("甲通知").await;
    bureau.without_schedules();
    let bureau = bureau.down_until("2026-11-23T05:00:00Z").await;
    let view = bureau.schedule().await;
    assert_eq!(
        (view.name.as_str(), view.does.as_str(), view.waiting),
        ("每日放行", "gone", 1)
    );
    let items = bureau.items().await;
    let held = &items[0].deliveries[0];
    assert!(held.needs_person && held.state == PublicState::Held);
    let reason = held.reason.as_deref().expect("a reason");
    assert!(
        reason.contains("每日放行") && reason.contains("重新签发"),
        "{reason}"
    );
    let english = held.reason_en.as_deref().expect("a reason");
    assert!(english.contains("no longer configured"), "{english}");
}

//! The `torture` command: rows, and the processes that rows start.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use lubu_torture::images::Images;
use lubu_torture::judge::Judge;
use lubu_torture::load::{self, Fill, Trial};
use lubu_torture::power::Planted;
use lubu_torture::process::Effort;
use lubu_torture::session::Session;
use lubu_torture::table::Row;
use lubu_torture::{aimed, errors, kills, power};

#[derive(Debug, Parser)]
#[command(about = "Kills, power cuts and broken disks, from outside.")]
struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
    /// All rows, in so much time: `1h` for the full figures, `15m` for what a change must pass.
    #[arg(long = "for", value_parser = span, default_value = "1h")]
    within: Duration,
    /// To see the same again.
    #[arg(long)]
    seed: Option<u64>,
}

/// Every row, with its thousandths of the time. A row that is done early leaves its time unused; one that has too little
/// does less, and says how much.
const ROWS: [(Kind, u64); 11] = [
    (Kind::SelfTest, 10),
    (Kind::Power, 70),
    (Kind::Aimed, 30),
    (Kind::Errors, 80),
    (Kind::Space, 20),
    (Kind::Load(Trial::Start), 75),
    (Kind::Load(Trial::Halt), 25),
    (Kind::Load(Trial::Stop), 25),
    (Kind::Load(Trial::Isolation), 210),
    (Kind::Load(Trial::Memory), 250),
    (Kind::Kills, 200),
];

fn span(text: &str) -> Result<Duration, String> {
    let (digits, unit) = text.split_at(text.len().saturating_sub(1));
    let number: u64 = digits
        .parse()
        .map_err(|_| "like 90s, 15m or 1h".to_owned())?;
    match unit {
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_mins(number)),
        "h" => Ok(Duration::from_hours(number)),
        _ => Err("like 90s, 15m or 1h".to_owned()),
    }
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Disks as they may be found after a power cut, opened.
    Power(Figures),
    /// Kills while the store opens, rebuilds, makes a checkpoint.
    Aimed(Figures),
    /// The built daemon killed at random while the platforms misbehave.
    Kills(Figures),
    /// Every change of a file fails once.
    Errors(Figures),
    /// The disk fills up under the built daemon.
    Space(Figures),
    /// Sick channels beside healthy ones, at a pace.
    Isolation(Figures),
    /// A quarter of an hour of load.
    Memory(Figures),
    /// A start after SIGKILL with a million finished deliveries.
    Start(Figures),
    /// SIGTERM under load.
    Stop(Figures),
    /// `lubu stop-sending` under load.
    Halt(Figures),
    /// Power cuts with a fault planted: the judge must go red.
    SelfTest(Figures),
    #[command(hide = true)]
    Fill(Fill),
    #[command(hide = true)]
    Session(Session),
    #[command(hide = true)]
    Images(Images),
    #[command(hide = true)]
    Judge(Judge),
}

/// What a row tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Power,
    Aimed,
    Kills,
    Errors,
    Space,
    SelfTest,
    Load(Trial),
}

#[derive(Clone, Debug, clap::Args)]
struct Figures {
    /// How many; by default the full figure.
    #[arg(long)]
    count: Option<u64>,
    /// Seconds after which no more is begun.
    #[arg(long, default_value_t = 3600)]
    seconds: u64,
    /// To see the same again.
    #[arg(long)]
    seed: Option<u64>,
    #[arg(long, default_value_t = 2)]
    jobs: usize,
}

impl Figures {
    fn effort(&self, full: u64, room: &Path) -> Effort {
        use std::hash::{BuildHasher as _, Hasher as _};
        let fresh = std::hash::RandomState::new().build_hasher().finish() % 1_000_000_000;
        Effort {
            count: self.count.unwrap_or(full),
            within: Duration::from_secs(self.seconds),
            seed: self.seed.unwrap_or(fresh),
            jobs: self.jobs,
            room: room.to_owned(),
            keep: PathBuf::from("target/torture"),
        }
    }
}

/// In memory where that is possible: what is lost is decided here, not by the disk.
fn room() -> Result<tempfile::TempDir, String> {
    let memory = Path::new("/dev/shm");
    let mut builder = tempfile::Builder::new();
    builder.prefix("lubu-torture-");
    let built = if memory.is_dir() {
        builder.tempdir_in(memory)
    } else {
        builder.tempdir()
    };
    built.map_err(|error| error.to_string())
}

/// All of them, one after the other; the table once more at the end.
fn all(within: Duration, seed: Option<u64>) -> Result<ExitCode, String> {
    let mut table = Vec::new();
    for (kind, share) in ROWS {
        let seconds = within.as_secs() * share / 1000;
        let figures = Figures {
            count: None,
            seconds,
            seed,
            jobs: 2,
        };
        let rows = rows(kind, &figures)?;
        print(&rows);
        table.extend(rows);
    }
    println!();
    for row in &table {
        println!("{}", row.line());
    }
    Ok(code(&table))
}

fn print(rows: &[Row]) {
    for row in rows {
        println!("{row}");
    }
}

fn code(rows: &[Row]) -> ExitCode {
    if rows.iter().all(Row::kept) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn one(kind: Kind, figures: &Figures) -> Result<ExitCode, String> {
    let rows = rows(kind, figures)?;
    print(&rows);
    Ok(code(&rows))
}

fn rows(kind: Kind, figures: &Figures) -> Result<Vec<Row>, String> {
    let room = room()?;
    let place = |name: &str| -> Result<PathBuf, String> {
        let place = room.path().join(name);
        fs::create_dir_all(&place).map_err(|error| error.to_string())?;
        Ok(place)
    };
    Ok(match kind {
        Kind::Power => vec![power::row(
            &figures.effort(4000, &place("power")?),
            Planted::Nothing,
        )?],
        Kind::Aimed => vec![aimed::row(&figures.effort(200, &place("aimed")?))?],
        Kind::Kills => vec![kills::row(&figures.effort(1000, &place("kills")?))?],
        Kind::Errors => vec![errors::row(&figures.effort(0, &place("errors")?))?],
        Kind::Space => vec![kills::space::row(&figures.effort(1, &place("space")?))?],
        Kind::Load(trial) => vec![load::row(
            trial,
            &figures.effort(full_figure(trial), room.path()),
        )?],
        Kind::SelfTest => {
            let test = |name: &str, planted| {
                power::self_test(&figures.effort(100, &place(name)?), planted)
            };
            vec![
                test("no-sync", Planted::NoSync)?,
                test("no-folder-sync", Planted::NoFolderSync)?,
            ]
        }
    })
}

fn full_figure(trial: Trial) -> u64 {
    match trial {
        Trial::Isolation => 20_000,
        Trial::Start => 1_000_000,
        Trial::Memory => 1,
        Trial::Stop | Trial::Halt => 3,
    }
}

fn run(task: &Task) -> Result<ExitCode, String> {
    let done = |()| ExitCode::SUCCESS;
    match task {
        Task::Fill(fill) => fill.run().map(done),
        Task::Session(session) => session.run().map(done),
        Task::Images(images) => images.run().map(done),
        Task::Judge(judge) => judge.run().map(done),
        Task::Power(figures) => one(Kind::Power, figures),
        Task::Aimed(figures) => one(Kind::Aimed, figures),
        Task::Kills(figures) => one(Kind::Kills, figures),
        Task::Errors(figures) => one(Kind::Errors, figures),
        Task::Space(figures) => one(Kind::Space, figures),
        Task::Isolation(figures) => one(Kind::Load(Trial::Isolation), figures),
        Task::Memory(figures) => one(Kind::Load(Trial::Memory), figures),
        Task::Start(figures) => one(Kind::Load(Trial::Start), figures),
        Task::Stop(figures) => one(Kind::Load(Trial::Stop), figures),
        Task::Halt(figures) => one(Kind::Load(Trial::Halt), figures),
        Task::SelfTest(figures) => one(Kind::SelfTest, figures),
    }
}

fn main() -> ExitCode {
    let Arguments { task, within, seed } = Arguments::parse();
    let ran = task.map_or_else(|| all(within, seed), |task| run(&task));
    match ran {
        Ok(code) => code,
        Err(error) => {
            eprintln!("torture: {error}");
            ExitCode::from(2)
        }
    }
}

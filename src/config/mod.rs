//! The configuration: read, checked, explained.
//!
//! Three layers make one table: the embedded `config/default.toml`, the user's file, and the few
//! environment variables named there. It is then read strictly, once, into types that hold nothing
//! unset; every problem is reported at once, with its line. Secrets are never in the file: it says
//! where they are.

mod categories;
mod change;
mod channel;
mod places;
mod quiet;
mod routing;
mod schedule;
mod schema;
mod secrets;
mod sections;
mod verify;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use chrono_tz::Tz;
use lubu_channels::Problem;
use lubu_channels::kit::settings::Reader;

pub use categories::{Categories, Leaf};
pub use change::reload;
pub use channel::{ChannelConfig, Registry};
pub use routing::Routing;
pub use schedule::{Build, Cadence, Doing, ScheduleConfig, cron};
pub use schema::schema;
pub use secrets::Secrets;
pub use sections::{Daemon, Intake, LogFormat, Office, UNNAMED};
pub use verify::Verify;

/// The defaults, commented: the user's template too.
pub const DEFAULT: &str = include_str!("../../config/default.toml");
/// What `lubu init` writes.
pub const EXAMPLE: &str = include_str!("../../config/example.toml");
const CATEGORIES: &str = include_str!("../../config/categories.toml");

#[derive(Debug)]
pub struct Config {
    /// The user's file, when there is one.
    pub path: Option<PathBuf>,
    /// Relative paths start here.
    pub base: PathBuf,
    pub daemon: Daemon,
    pub office: Office,
    pub intake: Intake,
    pub http: lubu_channels::kit::http::HttpOptions,
    pub categories: Categories,
    pub channels: Vec<ChannelConfig>,
    pub routing: Routing,
    pub schedules: Vec<ScheduleConfig>,
    pub verify: Verify,
}

/// The configuration cannot be used. All problems, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadConfig {
    pub path: Option<PathBuf>,
    pub problems: Vec<Placed>,
}

/// A problem and its line, where the file has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    pub line: Option<usize>,
    pub problem: Problem,
}

impl std::fmt::Display for BadConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, placed) in self.problems.iter().enumerate() {
            let place = self.place(placed);
            let end = if at + 1 < self.problems.len() {
                "\n"
            } else {
                ""
            };
            let words = &placed.problem.words;
            write!(f, "{place}: {}\n    {}{end}", words.zh, words.en)?;
        }
        Ok(())
    }
}

impl BadConfig {
    /// File, line and key: `lubu.toml:6 office.nmae`.
    pub fn place(&self, placed: &Placed) -> String {
        let file = self.path.as_ref();
        let file = file.map_or("config".into(), |path| path.display().to_string());
        let line = placed.line.map_or(String::new(), |line| format!(":{line}"));
        format!("{file}{line} {}", placed.problem.key)
    }
}

impl std::error::Error for BadConfig {}

/// Reads and checks the file at `path`.
pub fn load(path: &Path, registry: &Registry) -> Result<Config, BadConfig> {
    from_file(&read_file(path)?, path, registry)
}

fn from_file(text: &str, path: &Path, registry: &Registry) -> Result<Config, BadConfig> {
    let base = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    parse(text, Some(path), &base, registry, &|name| {
        std::env::var(name).ok()
    })
}

fn read_file(path: &Path) -> Result<String, BadConfig> {
    std::fs::read_to_string(path).map_err(|error| {
        let words = lubu_channels::Words::new(
            format!("读不到配置文件：{error}。可用 lubu init 生成一份。"),
            format!("cannot be read: {error}; `lubu init` writes one."),
        );
        bad(
            Some(path),
            vec![Placed {
                line: None,
                problem: Problem::new("file", words),
            }],
        )
    })
}

fn bad(path: Option<&Path>, problems: Vec<Placed>) -> BadConfig {
    BadConfig {
        path: path.map(Path::to_path_buf),
        problems,
    }
}

/// The same from a text. `env` answers for environment variables.
pub fn parse(
    text: &str,
    path: Option<&Path>,
    base: &Path,
    registry: &Registry,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, BadConfig> {
    let mut table = places::table(text).map_err(|placed| bad(path, vec![placed]))?;
    let defaults = places::table(DEFAULT).map_err(|placed| bad(None, vec![placed]))?;
    merge(&mut table, defaults);
    sections::from_environment(&mut table, env);
    let secrets = Secrets::new(base, env);
    let reader = Reader::over(table, String::new(), &secrets);
    read(reader, path, base, registry, &secrets).map_err(|problems| {
        let lines = places::lines(text);
        let mut placed: Vec<Placed> = problems
            .into_iter()
            .map(|problem| place(problem, &lines, env))
            .collect();
        placed.sort_by_key(|placed| placed.line.unwrap_or(usize::MAX));
        bad(path, placed)
    })
}

/// The line that is to be changed, or the variable.
fn place(
    mut problem: Problem,
    lines: &places::Lines,
    env: &dyn Fn(&str) -> Option<String>,
) -> Placed {
    let Some(name) = sections::variable_of(&problem.key, env) else {
        return Placed {
            line: lines.of(&problem.key),
            problem,
        };
    };
    problem.words.zh = format!("环境变量 {name} 的值有误：{}", problem.words.zh);
    problem.words.en = format!("from the variable {name}: {}", problem.words.en);
    Placed {
        line: None,
        problem,
    }
}

/// What the user says wins, key by key; lists are taken whole.
fn merge(into: &mut toml::Table, defaults: toml::Table) {
    for (key, value) in defaults {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(mine)), toml::Value::Table(theirs)) => merge(mine, theirs),
            (Some(_), _) => {}
            (None, value) => {
                into.insert(key, value);
            }
        }
    }
}

fn read(
    mut reader: Reader<'_>,
    path: Option<&Path>,
    base: &Path,
    registry: &Registry,
    secrets: &Secrets<'_>,
) -> Result<Config, Vec<Problem>> {
    let daemon = reader.nested("daemon", |section| sections::daemon(section, base));
    let office = reader.nested("office", sections::office);
    let intake = reader.nested("intake", sections::intake);
    let http = reader.nested("http", sections::http);
    let verify = reader.nested("verify", |section| verify::read(section, daemon.timezone));
    let categories = sections::categories(&mut reader, base, CATEGORIES);
    let setting = channel::Setting {
        base,
        zone: daemon.timezone,
        office: &office,
        secrets,
    };
    let channels = channel::read(&mut reader, registry, &setting);
    let routing = routing::read(&mut reader, &channels, &categories);
    let schedules = schedule::read(&mut reader, base, daemon.timezone, &categories);
    let config = Config {
        path: path.map(Path::to_path_buf),
        base: base.to_path_buf(),
        daemon,
        office,
        intake,
        http,
        categories,
        channels: channels.into_iter().flatten().collect(),
        routing,
        schedules,
        verify,
    };
    reader.finish(config)
}

impl Config {
    pub fn zone(&self) -> Tz {
        self.daemon.timezone
    }
}

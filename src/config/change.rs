//! What a running daemon cannot take over from another configuration.
//!
//! Everything that is bound to something opened once: the data folder, the listeners, the log, the HTTP
//! client. And the time zone, by which dates that stand in index numbers were reckoned. Whoever changes one of them
//! is told so, with its line, before anything is taken over.

use lubu_channels::{Problem, Words};

use super::{BadConfig, Config, Placed, Registry, bad, places, read_file};

/// Reads the file again. Refused with every problem: what is wrong in it, or what only a restart can change.
pub fn reload(running: &Config, registry: &Registry) -> Result<Config, BadConfig> {
    let Some(path) = &running.path else {
        let words = Words::new(
            "这个进程不是由配置文件启动的，不能重新读取。",
            "this process was not started from a file, so there is none to read again.",
        );
        let problem = Problem::new("file", words);
        return Err(bad(
            None,
            vec![Placed {
                line: None,
                problem,
            }],
        ));
    };
    let text = read_file(path)?;
    let config = super::from_file(&text, path, registry)?;
    let fixed = fixed(running, &config);
    if fixed.is_empty() {
        return Ok(config);
    }
    Err(bad(Some(path), placed(fixed, &text)))
}

fn placed(keys: Vec<&str>, text: &str) -> Vec<Placed> {
    let lines = places::lines(text);
    let place = |key: &str| Placed {
        line: lines.of(key),
        problem: Problem::new(key, needs_restart()),
    };
    let mut placed: Vec<Placed> = keys.into_iter().map(place).collect();
    placed.sort_by_key(|one| one.line.unwrap_or(usize::MAX));
    placed
}

fn needs_restart() -> Words {
    Words::new(
        "这一项要重启才能改（systemctl restart lubu）。改回原值后可以重新加载。",
        "changes only by a restart (`systemctl restart lubu`); with the old value here, the rest can be reloaded.",
    )
}

/// Keys that differ and cannot.
fn fixed(old: &Config, new: &Config) -> Vec<&'static str> {
    let (was, is) = (&old.daemon, &new.daemon);
    let differs = [
        ("daemon.data", was.data != is.data),
        ("daemon.listen", was.listen != is.listen),
        ("daemon.socket", was.socket != is.socket),
        ("daemon.timezone", was.timezone != is.timezone),
        ("daemon.log", was.log != is.log),
        ("daemon.inbox", was.inbox != is.inbox),
        (
            "intake.total_max_mib",
            old.intake.total_max_bytes != new.intake.total_max_bytes,
        ),
        ("http", old.http != new.http),
    ];
    let keys = differs.into_iter().filter(|(_, differs)| *differs);
    keys.map(|(key, _)| key).collect()
}

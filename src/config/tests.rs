//! Every mistake is told with its line and what to write instead, and all at once.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;

/// A configuration that holds: one site.
const GOOD: &str = r#"[daemon]
data = "data"

[office]
name = "云川市发展和改革委员会"

[[channel]]
name = "site"
adapter = "site"
root = "public"
base_url = "https://fgw.example.gov.cn"
"#;

fn env(name: &str) -> Option<String> {
    (name == "WEIBO_TOKEN").then(|| "token-in-the-environment".to_owned())
}

fn read_at(base: &Path, text: &str) -> Result<Config, BadConfig> {
    parse(text, None, base, &lubu_channels::registry::adapters(), &env)
}

fn read(text: &str) -> Result<Config, BadConfig> {
    let base = tempfile::tempdir().unwrap();
    read_at(base.path(), text)
}

/// The one problem of a text, as `line key words`.
fn complaint(text: &str) -> String {
    let bad = read(text).unwrap_err();
    let [Placed { line, problem }] = bad.problems.as_slice() else {
        panic!("one mistake, one problem: {bad}");
    };
    let line = line.map_or("-".to_owned(), |line| line.to_string());
    let words = &problem.words;
    let chinese = |text: &str| text.contains(|c: char| ('\u{4e00}'..='\u{9fff}').contains(&c));
    assert!(chinese(&words.zh), "{words:?}");
    format!("{line} {} {} {}", problem.key, words.zh, words.en)
}

fn lines_of(text: &str) -> Vec<Option<usize>> {
    let bad = read(text).unwrap_err();
    bad.problems.iter().map(|placed| placed.line).collect()
}

#[test]
fn the_smallest_configuration_holds_with_the_defaults() {
    let config = read(GOOD).unwrap();
    assert_eq!(config.zone(), Tz::Asia__Shanghai);
    assert_eq!(config.daemon.listen.unwrap().to_string(), "127.0.0.1:8020");
    assert!(config.daemon.socket.ends_with("data/lubu.sock"));
    assert!(config.daemon.token.is_none());
    assert_eq!(config.routing.channels("0604"), ["site"]);
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_match() {
    let cases = [
        (
            "[daemon]",
            "[daemon]\nlisen = \"127.0.0.1:1\"",
            "2 daemon.lisen",
            "listen",
        ),
        (
            "[office]",
            "[office]\nsectoin = \"综合科\"",
            "5 office.sectoin",
            "section",
        ),
        ("[office]", "[ofice]\n[office]", "4 ofice", "office"),
        ("root =", "rot = \"x\"\nroot =", "10 channel[0].rot", "root"),
        (
            "root =",
            "afters = []\nroot =",
            "10 channel[0].afters",
            "after",
        ),
        (
            "[[channel]]",
            "[[route]]\ncategry = [\"0604\"]\ncategory = [\"0701\"]\nchannels = [\"site\"]\n[[channel]]",
            "8 route[0].categry",
            "category",
        ),
        (
            "[[channel]]",
            "[[schedule]]\nname = \"a\"\ncron = \"0 9 * * Mon\"\ntimzone = \"Asia/Shanghai\"\n[[channel]]",
            "10 schedule[0].timzone",
            "timezone",
        ),
        (
            "[[channel]]",
            "[intake]\ntext_max_mb = 4\n[[channel]]",
            "8 intake.text_max_mb",
            "text_max_mib",
        ),
    ];
    for (from, to, place, nearest) in cases {
        let told = complaint(&GOOD.replacen(from, to, 1));
        assert!(told.starts_with(place), "{told}");
        assert!(told.contains(nearest), "{told}");
    }
}

#[test]
fn a_value_that_cannot_be_is_told_at_its_line_with_what_to_write() {
    let cases = [
        (
            "[daemon]",
            "[daemon]\nlisten = \"0.0.0.0:8020\"",
            "2 daemon.listen",
            "127.0.0.1",
        ),
        (
            "[daemon]",
            "[daemon]\nlisten = \"8020\"",
            "2 daemon.listen",
            "127.0.0.1:8020",
        ),
        (
            "[daemon]",
            "[daemon]\ntimezone = \"Beijing\"",
            "2 daemon.timezone",
            "Asia/Shanghai",
        ),
        (
            "[daemon]",
            "[daemon]\nlog = \"xml\"",
            "2 daemon.log",
            "json",
        ),
        (
            "[daemon]",
            "[daemon]\nstop_within = \"soon\"",
            "2 daemon.stop_within",
            "soon",
        ),
        (
            "[daemon]",
            "[daemon]\ntoken = \"abc\"",
            "2 daemon.token",
            "file",
        ),
        (
            "[daemon]",
            "[daemon]\ntoken = { env = \"NOT_SET\" }",
            "2 daemon.token",
            "NOT_SET",
        ),
        (
            "[daemon]",
            "[daemon]\ntoken = { file = \"secrets/none\" }",
            "2 daemon.token",
            "secrets/none",
        ),
        (
            "[daemon]",
            "[daemon]\ntoken = { credential = \"token\" }",
            "2 daemon.token",
            "LoadCredential",
        ),
        (
            "adapter = \"site\"",
            "adapter = \"fax\"",
            "9 channel[0].adapter",
            "wechat",
        ),
        (
            "root =",
            "after = [\"sight\"]\nroot =",
            "10 channel[0].after",
            "sight",
        ),
        (
            "root =",
            "after = [\"site\"]\nroot =",
            "10 channel[0].after",
            "site",
        ),
        (
            "root =",
            "on_correction = \"perhaps\"\nroot =",
            "10 channel[0].on_correction",
            "replace",
        ),
    ];
    for (from, to, place, said) in cases {
        let told = complaint(&GOOD.replacen(from, to, 1));
        assert!(told.starts_with(place), "{told}");
        assert!(told.contains(said), "{told}");
    }
}

#[test]
fn a_secret_in_plain_sight_is_refused_without_being_repeated() {
    let weibo = "\n[[channel]]\nname = \"weibo\"\nadapter = \"weibo\"\nuid = \"1\"\n\
                 safe_domain = \"example.gov.cn\"\nrip = \"203.0.113.7\"\naccess_token = ";
    let told = complaint(&format!("{GOOD}{weibo}\"2.00AbCdEf\"\n"));
    assert!(told.starts_with("19 channel[1].access_token"), "{told}");
    assert!(!told.contains("2.00AbCdEf"), "{told}");
    let config = read(&format!("{GOOD}{weibo}{{ env = \"WEIBO_TOKEN\" }}\n")).unwrap();
    assert!(!format!("{config:?}").contains("token-in-the-environment"));
}

#[test]
fn a_secret_file_that_everybody_can_read_is_refused() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("token");
    std::fs::write(&path, "s3cret\n").unwrap();
    let text = GOOD.replacen("[daemon]", "[daemon]\ntoken = { file = \"token\" }", 1);
    for (mode, good) in [(0o600, true), (0o640, true), (0o644, false), (0o602, false)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        match read_at(base.path(), &text) {
            Ok(config) => {
                assert!(good, "{mode:o}");
                assert_eq!(config.daemon.token.unwrap().reveal(), "s3cret");
            }
            Err(bad) => {
                assert!(!good, "{mode:o} {bad}");
                assert!(bad.to_string().contains("chmod 600"), "{bad}");
                assert!(!bad.to_string().contains("s3cret"), "{bad}");
            }
        }
    }
}

#[test]
fn all_problems_are_reported_at_once_in_the_order_of_the_file() {
    let text = "[daemon]\nlisten = \"0.0.0.0:1\"\nsocet = \"x\"\n\n[office]\nname = 5\n\n\
                [[channel]]\nname = \"a\"\nadapter = \"fax\"\n\n\
                [[channel]]\nname = \"b\"\nadapter = \"site\"\n\n\
                [[schedule]]\nname = \"s\"\ncron = \"0 9 * * 1\"\n";
    let lines: Vec<usize> = lines_of(text).into_iter().flatten().collect();
    for line in [2, 3, 6, 10, 12, 18] {
        assert!(
            lines.contains(&line),
            "nothing is told of line {line}: {lines:?}"
        );
    }
    assert!(lines.is_sorted(), "{lines:?}");
}

#[test]
fn what_is_no_toml_is_told_with_its_line() {
    let told = complaint("[daemon]\ndata = \"data\n");
    assert!(told.starts_with("2 toml"), "{told}");
    let told = complaint(&format!("{GOOD}name = \"again\"\nname = \"again\"\n"));
    assert!(told.starts_with("12 toml"), "{told}");
}

#[test]
fn channels_that_wait_for_each_other_in_a_circle_are_refused() {
    let more = |name: &str, after: &str| {
        format!(
            "\n[[channel]]\nname = \"{name}\"\nadapter = \"site\"\nroot = \"{name}\"\n\
             base_url = \"https://{name}.example.gov.cn\"\nafter = [\"{after}\"]\n"
        )
    };
    let text = format!(
        "{GOOD}{}{}{}",
        more("a", "b"),
        more("b", "c"),
        more("c", "a")
    );
    let bad = read(&text).unwrap_err();
    let keys: Vec<&str> = bad
        .problems
        .iter()
        .map(|one| one.problem.key.as_str())
        .collect();
    assert_eq!(
        keys,
        ["channel[1].after", "channel[2].after", "channel[3].after"]
    );
    assert_eq!(lines_of(&text), [Some(18), Some(25), Some(32)]);
}

#[test]
fn quiet_hours_that_cannot_be_meant_are_told_at_their_line() {
    let with = |hours: &str| format!("{GOOD}quiet_hours = {hours}\n");
    let config = read(&with("[\"22:00-07:30\", \"Sat,Sun 00:00-24:00\"]")).unwrap();
    let quiet = config.channels[0].quiet.as_ref().unwrap();
    assert_eq!(quiet.said(), ["22:00-07:30", "Sat,Sun 00:00-24:00"]);
    let told = complaint(&with("[\n\"22:00-07:30\",\n\"08:00-08:00\",\n]"));
    assert!(
        told.starts_with("14 channel[0].quiet_hours[1] “08:00-08:00”起止相同"),
        "{told}"
    );
    let told = complaint(&with("[\"00:00-24:00\"]"));
    assert!(
        told.starts_with("12 channel[0].quiet_hours 静默时段占满"),
        "{told}"
    );
    let told = complaint(&with("[\"1 22:00-07:30\"]"));
    assert!(told.contains("by name"), "{told}");
    assert!(read(&with("[]")).unwrap().channels[0].quiet.is_none());
}

#[test]
fn a_name_stands_for_one_channel_and_one_schedule() {
    let twice = format!("{GOOD}{}", &GOOD[GOOD.find("[[channel]]").unwrap()..]);
    assert!(complaint(&twice).starts_with("13 channel[1].name"));
    let schedule = "\n[[schedule]]\nname = \"s\"\ncron = \"0 9 * * Mon\"\n";
    assert!(complaint(&format!("{GOOD}{schedule}{schedule}")).starts_with("18 schedule[1].name"));
}

#[test]
fn a_route_names_channels_and_categories_that_exist() {
    let route = |text: &str| complaint(&format!("{GOOD}\n[[route]]\n{text}\n"));
    let told = route("category = [\"0604\"]\nchannels = [\"sight\"]");
    assert!(
        told.starts_with("15 route[0].channels") && told.contains("sight"),
        "{told}"
    );
    let told = route("category = [\"0699\"]\nchannels = [\"site\"]");
    assert!(
        told.starts_with("14 route[0].category") && told.contains("0699"),
        "{told}"
    );
    let told = route("category = \"0604\"\nchannels = [\"site\"]");
    assert!(told.starts_with("14 route[0].category"), "{told}");
    let told = route("category = [604]\nchannels = [\"site\"]");
    assert!(told.starts_with("14 route[0].category"), "{told}");
    let told = route("category = [\"0604\"]");
    assert!(
        told.starts_with("13 route[0]") && told.contains("channels"),
        "{told}"
    );
}

#[test]
fn the_site_and_the_portal_are_never_routed_around() {
    let other = "\n[[channel]]\nname = \"second\"\nadapter = \"site\"\nroot = \"second\"\n\
                 base_url = \"https://second.example.gov.cn\"\n";
    let weibo = "\n[[channel]]\nname = \"weibo\"\nadapter = \"weibo\"\nuid = \"1\"\n\
                 safe_domain = \"example.gov.cn\"\nrip = \"203.0.113.7\"\n\
                 access_token = { env = \"WEIBO_TOKEN\" }\n";
    let route = "\n[[route]]\ncategory = [\"07*\"]\nchannels = [\"second\"]\n";
    let config = read(&format!("{GOOD}{other}{weibo}{route}")).unwrap();
    assert_eq!(config.routing.channels("0701"), ["site", "second"]);
    assert_eq!(config.routing.channels("0604"), ["site", "second", "weibo"]);
}

#[test]
fn a_schedule_that_cannot_run_as_meant_is_refused() {
    let schedule = |text: &str| complaint(&format!("{GOOD}\n[[schedule]]\nname = \"s\"\n{text}\n"));
    let build = "do = \"build\"\ntemplate = \"a.md\"\ndata = \"a.csv\"";
    for (text, place, said) in [
        ("cron = \"0 9 * * 1-5\"", "15 schedule[0].cron", "Mon"),
        ("cron = \"0 9 30 2 *\"", "15 schedule[0].cron", "30"),
        ("cron = \"0 9 * *\"", "15 schedule[0].cron", "4"),
        (
            "cron = \"0 9 * * Mon\"\ntimezone = \"Asia/Beijing\"",
            "16 schedule[0].timezone",
            "Asia/Beijing",
        ),
        (
            "cron = \"0 9 * * Mon\"\ndo = \"delete\"",
            "16 schedule[0].do",
            "release",
        ),
    ] {
        let told = schedule(text);
        assert!(told.starts_with(place) && told.contains(said), "{told}");
    }
    let closed = schedule(&format!(
        "cron = \"0 9 1 * *\"\n{build}\ncategory = \"0401\""
    ));
    assert!(closed.starts_with("19 schedule[0].category"), "{closed}");
    let unknown = schedule(&format!(
        "cron = \"0 9 1 * *\"\n{build}\ncategory = \"9999\""
    ));
    assert!(unknown.starts_with("19 schedule[0].category"), "{unknown}");
    let bare =
        schedule("cron = \"0 9 1 * *\"\ndo = \"build\"\ncategory = \"0605\"\ndata = \"a.csv\"");
    assert!(bare.contains("template"), "{bare}");
}

#[test]
fn the_environment_wins_over_the_file() {
    let env = |name: &str| match name {
        "LUBU_DATA" => Some("/srv/lubu".to_owned()),
        "LUBU_LISTEN" => Some("127.0.0.1:9000".to_owned()),
        _ => None,
    };
    let registry = lubu_channels::registry::adapters();
    let base = tempfile::tempdir().unwrap();
    let config = parse(GOOD, None, base.path(), &registry, &env).unwrap();
    assert_eq!(config.daemon.data, Path::new("/srv/lubu"));
    assert_eq!(config.daemon.socket, Path::new("/srv/lubu/lubu.sock"));
    assert_eq!(config.daemon.listen.unwrap().to_string(), "127.0.0.1:9000");
    let open = |name: &str| (name == "LUBU_LISTEN").then(|| "0.0.0.0:9000".to_owned());
    let bad = parse(GOOD, None, base.path(), &registry, &open).unwrap_err();
    assert_eq!(bad.problems[0].problem.key, "daemon.listen");
    assert!(bad.to_string().contains("LUBU_LISTEN"), "{bad}");
}

#[test]
fn the_example_holds_as_it_is_written_out() {
    let base = tempfile::tempdir().unwrap();
    let bad = read_at(base.path(), EXAMPLE).unwrap_err();
    let keys: Vec<&str> = bad
        .problems
        .iter()
        .map(|one| one.problem.key.as_str())
        .collect();
    assert_eq!(keys, ["daemon.token"], "{bad}");
    std::fs::create_dir(base.path().join("secrets")).unwrap();
    let token = base.path().join("secrets/token");
    std::fs::write(&token, "x").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    let config = read_at(base.path(), EXAMPLE).unwrap();
    let names: Vec<&str> = config
        .channels
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(names, ["commission-site"]);
}

/// Every commented part of the example is right too, once its hashes are taken away.
#[test]
fn the_example_holds_with_everything_in_it_switched_on() {
    let base = tempfile::tempdir().unwrap();
    std::fs::create_dir(base.path().join("secrets")).unwrap();
    for (name, secret) in [
        ("token", "x"),
        (
            "portal",
            "whsec_bHVidS1zYW5kYm94LXBvcnRhbC1zZWNyZXQtMDAwMDE=",
        ),
        ("wechat", "x"),
        ("weibo", "x"),
    ] {
        let path = base.path().join("secrets").join(name);
        std::fs::write(&path, secret).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let switched_on = |line: &str| match line.strip_prefix("# ") {
        Some(rest) if rest.starts_with("[[") || rest.contains(" = ") => rest.to_owned(),
        _ => line.to_owned(),
    };
    let text: Vec<String> = EXAMPLE.lines().map(switched_on).collect();
    let config = read_at(base.path(), &text.join("\n")).unwrap_or_else(|bad| panic!("{bad}"));
    assert_eq!(config.channels.len(), 4);
    assert_eq!(config.schedules.len(), 2);
}

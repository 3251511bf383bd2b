//! `lubu init` and `lubu config check`, from an empty folder.

use std::os::unix::fs::PermissionsExt as _;

use crate::office::{Office, bare, said};

#[test]
fn init_writes_what_check_accepts_and_never_writes_over_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let lubu = |args: &[&str]| said(bare(folder.path()).args(args));
    lubu(&["init"]).done();
    let file = folder.path().join("lubu.toml");
    let token = folder.path().join("secrets/token");
    let text = std::fs::read_to_string(&file).expect("written");
    assert!(
        text.lines().filter(|line| line.contains('#')).count() > 20,
        "it is commented"
    );
    let mode =
        |path: &std::path::Path| path.metadata().expect("there").permissions().mode() & 0o777;
    assert_eq!(
        (mode(&token), mode(&folder.path().join("secrets"))),
        (0o600, 0o700)
    );
    let secret = std::fs::read_to_string(&token).expect("written");
    assert!(secret.len() >= 32);

    let checked = lubu(&["config", "check"]).done();
    assert!(checked.out.contains("commission-site") && !checked.out.contains(secret.trim()));
    let told = lubu(&["config", "check", "--json"]).done().json();
    assert_eq!(told["channels"][0]["name"], "commission-site");
    assert_eq!(told["token"], true);

    std::fs::write(&file, format!("{text}# 我的\n")).expect("written");
    lubu(&["init"]).refused();
    assert_eq!(
        std::fs::read_to_string(&file).expect("there"),
        format!("{text}# 我的\n")
    );
    assert_eq!(std::fs::read_to_string(&token).expect("there"), secret);
}

#[test]
fn every_mistake_is_told_at_once_on_stderr_with_file_and_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "[daemon]\nlisten = \"0.0.0.0:80\"\ntoken = \"abc\"\n\n[office]\nnmae = \"委\"\n\n\
                [[channel]]\nname = \"site\"\nadapter = \"site\"\nroot = \"public\"\n\
                base_url = \"https://fgw.example.gov.cn\"\n";
    std::fs::write(folder.path().join("lubu.toml"), text).expect("written");
    for command in [
        &["config", "check"][..],
        &["config", "check", "--json"],
        &["serve"],
    ] {
        let why = said(bare(folder.path()).args(command)).refused();
        for place in [
            "lubu.toml:2 daemon.listen",
            "lubu.toml:3 daemon.token",
            "lubu.toml:6 office.nmae",
        ] {
            assert!(why.contains(place), "{place}: {why}");
        }
        assert!(why.contains("name"), "{why}");
    }
    let none = tempfile::tempdir().expect("a folder");
    let why = said(bare(none.path()).args(["config", "check"])).refused();
    assert!(why.contains("lubu init"), "{why}");
}

#[tokio::test]
async fn check_explains_channels_routes_and_the_next_three_runs() {
    let office = Office::new(
        "\n\n[[schedule]]\nname = \"每周放行\"\ncron = \"0 9 * * Mon\"\ndo = \"release\"\n\
         timezone = \"Asia/Shanghai\"\n",
    )
    .await;
    let told = office.lubu(&["config", "check"]).done().out;
    for said in [
        "微信公众号（wechat）",
        "等待 委网站",
        "0604 重大项目",
        "每周放行",
    ] {
        assert!(told.contains(said), "{said}: {told}");
    }
    assert_eq!(told.matches("09:00:00 CST").count(), 3, "{told}");
    let told = office.json(&["config", "check"]);
    let next = told["schedules"][0]["next"].as_array().expect("a list");
    assert_eq!(next.len(), 3);
    for at in next {
        use chrono::Datelike as _;
        let at = at
            .as_str()
            .expect("a time")
            .parse::<chrono::DateTime<chrono::FixedOffset>>();
        assert_eq!(at.expect("RFC 3339").weekday(), chrono::Weekday::Mon);
    }
}

//! No secret leaves its file: not into logs, answers, pages or the data folder.

use std::path::Path;

use lubu_sandbox::{Fault, Kind, Platform};

use crate::office::{Office, PORTAL, SITE, TOKEN, WECHAT, WEIBO};

const SECRETS: [&str; 4] = [
    TOKEN,
    lubu_sandbox::PORTAL_SECRET,
    lubu_sandbox::WECHAT_SECRET,
    lubu_sandbox::WEIBO_TOKEN,
];

fn clean(place: &str, bytes: &[u8]) {
    for secret in SECRETS {
        let found = bytes
            .windows(secret.len())
            .any(|part| part == secret.as_bytes());
        assert!(!found, "{secret} stands in {place}");
    }
}

fn clean_folder(folder: &Path) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "secrets") {
                files += clean_folder(&path);
            }
        } else if path.is_file() {
            clean(
                &path.display().to_string(),
                &std::fs::read(&path).expect("read"),
            );
            files += 1;
        }
    }
    files
}

/// With success, a refusal, a lost reply and a stale token behind it.
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_anywhere_but_in_its_own_file() {
    let mut office = Office::open("log = \"json\"").await;
    let lost = |platform, path| Fault::new(platform, Kind::ResetAfterBody, path).times(1);
    office
        .sandbox
        .inject(lost(Platform::Weibo, "statuses/share"));
    office
        .sandbox
        .inject(lost(Platform::Portal, "api/articles"));
    office
        .sandbox
        .inject(Fault::new(Platform::Wechat, Kind::StaleToken, "draft/add").times(1));
    let item = office.notice("通知", "防汛值班安排", "各单位实行二十四小时值班。");
    office.approve(&item);
    for channel in [SITE, PORTAL, WECHAT, WEIBO] {
        office.reaches(&item, channel, "published").await;
    }
    office.json(&["channels", "check"]);
    office
        .sandbox
        .inject(Fault::new(Platform::Wechat, Kind::IpRefused, "").times(3));
    let checked = office.lubu(&["channels", "check", WECHAT]);
    clean("channels check", checked.out.as_bytes());
    for args in [
        &["status"][..],
        &["status", "--json"],
        &["show", &item, "--json"],
        &["channels", "--json"],
        &["config", "check"],
        &["config", "check", "--json"],
        &["audit", "list"],
    ] {
        let said = office.lubu(args);
        clean(
            &args.join(" "),
            format!("{}{}", said.out, said.err).as_bytes(),
        );
    }
    let story = format!("/v1/items/{item}");
    let page = format!("/items/{item}");
    for path in [
        "/",
        "/v1/items",
        "/v1/deliveries",
        "/v1/channels",
        "/metrics",
        &story,
        &page,
    ] {
        let answer = office.get(path).send().await.expect("it answers");
        clean(path, &answer.bytes().await.expect("bytes"));
    }
    assert_eq!(office.stop(), 0);
    let log = std::fs::read_to_string(office.path("lubu.log")).expect("a log");
    for line in log.lines() {
        assert!(
            serde_json::from_str::<serde_json::Value>(line).is_ok(),
            "no JSON: {line}"
        );
    }
    assert!(clean_folder(office.folder.path()) > 10);
}

//! `lubu verify` by the built binary: what was edited or deleted over there is named, and not sent again.

use std::path::{Path, PathBuf};

use lubu_sandbox::{Fault, Kind, Platform};
use serde_json::{Value, json};

use crate::office::{Office, PORTAL, SITE, WECHAT, WEIBO};

/// Looks follow each other without the pace of a night.
const FAST: &str = "\n\n[verify]\nper_minute = 6000\n";

fn shares(office: &Office) -> usize {
    let ledger = office.sandbox.ledger();
    let shared = ledger.iter().filter(|row| row.path.contains("share"));
    shared.count()
}

fn page_with(folder: &Path, text: &str) -> Option<PathBuf> {
    for entry in std::fs::read_dir(folder).ok()? {
        let path = entry.ok()?.path();
        if path.is_dir() {
            if let Some(found) = page_with(&path, text) {
                return Some(found);
            }
        } else if path.extension().is_some_and(|kind| kind == "html") {
            let html = std::fs::read_to_string(&path).unwrap_or_default();
            if html.contains(text) {
                return Some(path);
            }
        }
    }
    None
}

async fn deleted_on_weibo(office: &Office, post: &Value) {
    let id = post["remote_id"].as_str().expect("an id");
    let base = office.sandbox.base(Platform::Weibo);
    let delete = office.http.post(format!("{base}/office/{id}/delete"));
    let answer = delete.send().await.expect("it answers");
    assert!(answer.status().is_success(), "{}", answer.status());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_or_edited_is_named_once_and_only_a_person_publishes_it_again() {
    let office = Office::open(FAST).await;
    let item = office.notice("通知", "停水通知", "明日九时起停水检修。");
    office.approve(&item);
    for channel in [SITE, PORTAL, WECHAT, WEIBO] {
        office.reaches(&item, channel, "published").await;
    }
    let well = office.lubu(&["verify"]).done();
    assert!(well.out.contains("没有发现问题"), "{}", well.out);
    let sent = shares(&office);
    deleted_on_weibo(&office, &office.delivery(&item, WEIBO)).await;
    let page = page_with(&office.path("public"), "明日九时起").expect("the page");
    let html = std::fs::read_to_string(&page).expect("read");
    std::fs::write(&page, html.replace("九时", "十时")).expect("written");

    let said = office.lubu(&["verify"]);
    assert_eq!(said.code, 1, "{} {}", said.out, said.err);
    for told in [
        "停水通知",
        WEIBO,
        SITE,
        "已不在平台",
        "内容不一致",
        "lubu retry",
    ] {
        assert!(said.out.contains(told), "no {told}: {}", said.out);
    }
    let alone = office.lubu(&["verify", &item, "--channel", WECHAT]);
    assert_eq!(alone.code, 0, "{}", alone.out);
    it_is_told_everywhere(&office, &item).await;
    assert_eq!(shares(&office), sent, "no automatic repost");

    let (site, weibo) = (format!("{item}:{SITE}"), format!("{item}:{WEIBO}"));
    office.lubu(&["retry", &site]).done();
    office.lubu(&["retry", &weibo]).done();
    for channel in [SITE, WEIBO] {
        let one = office.reaches(&item, channel, "published").await;
        assert_eq!(one["finding"], Value::Null);
    }
    let html = std::fs::read_to_string(&page).expect("read");
    assert!(
        html.contains("九时") && !html.contains("十时"),
        "put right in place"
    );
    assert_eq!(shares(&office), sent + 1);
    assert_eq!(office.public(Platform::Weibo).len(), 1);
    office.lubu(&["verify"]).done();
}

async fn it_is_told_everywhere(office: &Office, item: &str) {
    let weibo = office.delivery(item, WEIBO);
    assert_eq!(
        (&weibo["state"], &weibo["finding"]["kind"]),
        (&json!("failed"), &json!("removed"))
    );
    let site = office.delivery(item, SITE);
    assert_eq!(
        (&site["state"], &site["finding"]["kind"]),
        (&json!("held"), &json!("changed"))
    );
    let answer = office
        .get("/v1/findings?limit=1")
        .send()
        .await
        .expect("it answers");
    let page: Value = serde_json::from_str(&answer.text().await.expect("a text")).expect("JSON");
    assert_eq!(page["findings"].as_array().map(Vec::len), Some(1));
    let next = page["next"].as_str().expect("there is more");
    let rest = office
        .get(&format!("/v1/findings?cursor={next}"))
        .send()
        .await
        .expect("it answers");
    let rest: Value = serde_json::from_str(&rest.text().await.expect("a text")).expect("JSON");
    assert_eq!(rest["findings"].as_array().map(Vec::len), Some(1));
    assert_ne!(
        rest["findings"][0]["channel"],
        page["findings"][0]["channel"]
    );
    let show = office.lubu(&["show", item]).done();
    assert!(show.out.contains("! 已不在平台"), "{}", show.out);
    let status = office.lubu(&["status"]).done();
    assert!(status.out.contains("lubu retry"), "{}", status.out);
    let text = async |path: &str| {
        let answer = office.get(path).send().await.expect("it answers");
        answer.text().await.expect("a text")
    };
    let html = text("/").await;
    assert!(
        html.contains("巡查发现") && html.contains("已不在平台"),
        "{html}"
    );
    assert!(text(&format!("/items/{item}")).await.contains("内容不一致"));
    let figures = text("/metrics").await;
    let told = format!("lubu_findings{{channel=\"{WEIBO}\",kind=\"removed\"}} 1");
    assert!(figures.contains(&told), "{figures}");
    let listed = office.lubu(&["verify", "--status", "--json"]);
    assert_eq!(listed.code, 1, "{}", listed.err);
    let json = listed.json();
    assert_eq!(json["findings"].as_array().map(Vec::len), Some(2));
    let stale = office
        .get("/v1/findings?cursor=nonsense")
        .send()
        .await
        .expect("it answers");
    assert_eq!(stale.status(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_applies_one_call_twice_is_an_alarm_and_a_withdrawal_asks_for_the_twin() {
    let office = Office::open(FAST).await;
    let twice = Fault::new(Platform::Weibo, Kind::AppliedTwice, "share").times(1);
    office.sandbox.inject(twice);
    let item = office.notice("通知", "停水通知", "明日九时起停水检修。");
    office.approve(&item);
    let alarm = office.until("the alarm", || async {
        let one = office.delivery(&item, WEIBO);
        let two = one["reason"]
            .as_str()
            .is_some_and(|why| why.contains("2 条"));
        (two && one["finding"]["kind"] == "duplicate").then_some(one)
    });
    assert_eq!(alarm.await["state"], "held");
    assert_eq!(office.lubu(&["verify", "--status"]).code, 1);
    assert_eq!(shares(&office), 1, "lubu called once");
    for channel in [SITE, PORTAL, WECHAT] {
        office.reaches(&item, channel, "published").await;
    }
    office
        .lubu(&["withdraw", &item, "--reason", "数据有误"])
        .done();
    let asks = office.until("it asks for the twin", || async {
        let one = office.delivery(&item, WEIBO);
        let asks = one["reason"]
            .as_str()
            .is_some_and(|why| why.contains("--absent"));
        (one["state"] == "held" && asks).then_some(one)
    });
    asks.await;
    let copies = office.public(Platform::Weibo).len();
    assert_eq!(copies, 1, "what is known by id is taken down");
    let weibo = format!("{item}:{WEIBO}");
    office.lubu(&["confirm", &weibo, "--absent"]).done();
    office.reaches(&item, WEIBO, "withdrawn").await;
}

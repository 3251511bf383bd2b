//! A machine set back to last night's snapshot: its store opens without complaint and knows nothing of this morning.

use std::fs;
use std::path::Path;

use lubu_sandbox::{Fault, Kind, Platform};
use serde_json::Value;

use crate::office::{Office, PORTAL, SITE, WECHAT, WEIBO};

const ALL: [&str; 4] = [SITE, PORTAL, WECHAT, WEIBO];
/// The portal has no list: it cannot tell.
const TOLD: [&str; 3] = [SITE, WECHAT, WEIBO];

async fn published(office: &Office, name: &str, title: &str, on: &[&str]) -> String {
    let item = office.notice(name, title, &format!("{title}，正文一段。"));
    office.approve(&item);
    for channel in on {
        office.reaches(&item, channel, "published").await;
    }
    item
}

fn copy(from: &Path, to: &Path, but: &str) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("read") {
        let entry = entry.expect("read");
        let place = to.join(entry.file_name());
        if entry.file_type().expect("known").is_dir() {
            copy(&entry.path(), &place, "");
        } else if entry.file_type().expect("known").is_file() && entry.file_name() != but {
            fs::copy(entry.path(), place).expect("copied");
        }
    }
}

/// Everything in the folder is as it was; the folder itself, and the file that names its own inode, stay.
fn set_back(data: &Path, snapshot: &Path) {
    let identity = |folder: &Path| fs::read(folder.join("store.toml")).expect("there");
    assert_eq!(identity(data), identity(snapshot), "no copied folder");
    for entry in fs::read_dir(data).expect("read") {
        let entry = entry.expect("read");
        if entry.file_type().expect("known").is_dir() {
            fs::remove_dir_all(entry.path()).expect("gone");
        } else if entry.file_name() != "store.toml" {
            fs::remove_file(entry.path()).expect("gone");
        }
    }
    copy(snapshot, data, "store.toml");
}

fn posts(office: &Office) -> [usize; 3] {
    [Platform::Portal, Platform::Wechat, Platform::Weibo]
        .map(|platform| office.public(platform).len())
}

fn channel(office: &Office, name: &str) -> Value {
    let listed = office.json(&["channels"]);
    let all = listed["channels"].as_array().expect("a list");
    let found = all.iter().find(|one| one["name"] == name);
    found.expect("configured").clone()
}

fn resume(office: &Office, name: &str) {
    office
        .lubu(&["channels", "resume", name, "--by", "张一鸣"])
        .done();
}

/// Last night's snapshot knows `late` as signed and not sent, and `morning` not at all. Both are out.
async fn this_morning_forgotten() -> (Office, String, String) {
    let mut office = Office::open("").await;
    published(&office, "甲", "昨天发布", &ALL).await;
    for name in ALL {
        let pause = ["channels", "pause", name, "--reason", "下班"];
        office.lubu(&pause).done();
    }
    let late = published(&office, "乙", "昨晚签发今早发布", &[]).await;
    assert_eq!(office.stop(), 0);
    let (data, snapshot) = (office.path("data"), office.path("snapshot"));
    copy(&data, &snapshot, "");
    office.serve().await;
    for name in ALL {
        resume(&office, name);
    }
    for name in ALL {
        office.reaches(&late, name, "published").await;
    }
    let morning = published(&office, "丙", "今早签发发布", &ALL).await;
    assert_eq!(posts(&office), [3, 3, 3]);
    assert_eq!(office.stop(), 0);
    set_back(&data, &snapshot);
    office.serve().await;
    (office, late, morning)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_set_back_to_last_nights_snapshot_does_not_post_again() {
    let (office, late, morning) = this_morning_forgotten().await;
    let ready = office.readiness().await.expect("answered");
    assert_eq!(ready["adopted"], true, "nothing in the folder tells");
    for name in TOLD {
        resume(&office, name);
    }
    for name in TOLD {
        let stopped = office
            .until("it stops", || async {
                let one = channel(&office, name);
                let unknown = one["survey"]["unknown"].as_array().map(Vec::len);
                (one["state"] == "paused" && unknown == Some(2)).then_some(one)
            })
            .await;
        let reason = stopped["reason"].as_str().expect("a reason");
        assert!(reason.contains("平台上有 2 条"), "{reason}");
        assert!(reason.contains("昨晚签发今早发布"), "{reason}");
        let confirm = format!("lubu confirm {late}:{name}");
        assert!(reason.contains(&confirm), "{reason}");
        let unknown = stopped["survey"]["unknown"].as_array().expect("a list");
        let of = |item: &str| unknown.iter().find(|post| post["item"] == item);
        assert_eq!(of(&late).expect("named")["unsent"], true);
        // Weibo shortens links: of a text that no store knows nobody can say whose it is.
        assert_eq!(of(&morning).is_some(), name != WEIBO, "{unknown:?}");
        // It was signed here and is out: a look brings its id.
        office.reaches(&late, name, "published").await;
    }
    let page = office.get("/").send().await.expect("answered");
    let page = page.text().await.expect("a text");
    assert!(page.contains("微博 已停发") && page.contains("今早签发发布"));
    let status = office.lubu(&["status"]).done().out;
    assert!(status.contains("✕ 微信公众号 已停发"), "{status}");
    let metrics = office.get("/metrics").send().await.expect("answered");
    let metrics = metrics.text().await.expect("a text");
    assert!(
        metrics.contains("lubu_unknown_posts{channel=\"微博\"} 2"),
        "{metrics}"
    );

    assert_eq!(posts(&office), [3, 3, 3]);
    for name in TOLD {
        resume(&office, name);
    }
    let new = published(&office, "丁", "核实之后发布", &TOLD).await;
    assert_eq!(posts(&office), [3, 4, 4], "once, and nothing else");
    for name in TOLD {
        let open = channel(&office, name);
        assert_eq!(open["state"], "open", "{new}: {open}");
        assert_eq!(open["survey"]["unknown"], Value::Array(vec![]));
    }
}

/// What is withdrawn goes, whatever stands still.
#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_unknown_posts_have_stopped_still_takes_down() {
    let (office, late, _) = this_morning_forgotten().await;
    resume(&office, WEIBO);
    office.reaches(&late, WEIBO, "published").await;
    assert_eq!(channel(&office, WEIBO)["state"], "paused");
    let withdraw = ["withdraw", &late, "--reason", "数据有误", "--by", "陈主任"];
    office.lubu(&withdraw).done();
    office.reaches(&late, WEIBO, "withdrawn").await;
    assert_eq!(posts(&office), [3, 3, 2]);
}

/// Nothing is sent before the platform was asked what it shows; where that fails, the channel says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_cannot_be_listed_says_why_nothing_is_sent() {
    let office = Office::open("").await;
    let fault = Fault::new(Platform::Wechat, Kind::HttpStatus, "freepublish/batchget");
    office.sandbox.inject(fault);
    let item = published(&office, "甲", "今天发布", &[SITE, PORTAL, WEIBO]).await;
    let waits = office
        .until("it is told", || async {
            let one = channel(&office, WECHAT);
            (one["state"] == "unlisted").then_some(one)
        })
        .await;
    let reason = waits["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("发送前要列出平台上的内容"), "{reason}");
    assert!(waits["until"].is_string(), "it says when it asks again");
    office.reaches(&item, WECHAT, "pending").await;
    assert_eq!(posts(&office), [1, 0, 1]);
    let page = office.get("/").send().await.expect("answered");
    let page = page.text().await.expect("a text");
    assert!(page.contains("微信公众号 暂不发送"), "{page}");
    let status = office.lubu(&["status"]).done().out;
    assert!(status.contains("↻ 微信公众号 暂不发送"), "{status}");
    let metrics = office.get("/metrics").send().await.expect("answered");
    let metrics = metrics.text().await.expect("a text");
    let failures = "lubu_survey_failures{channel=\"微信公众号\"} ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(failures));
    assert!(line.is_some_and(|count| count != "0"), "{metrics}");
}

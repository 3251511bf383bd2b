//! A clock that was set back while the daemon was down, as the office meets it. The machine's clock is not ours to set: instead
//! the daemon finds that it had kept a later time, on the same boot, which comes to the same.

use chrono::{DateTime, TimeDelta, Utc};

use crate::office::{Office, SITE};

/// What was kept of time is moved by so much.
fn kept_time_was(office: &Office, by: TimeDelta) {
    let path = office.path("data/clock");
    let text = std::fs::read_to_string(&path).expect("kept");
    let mut record: toml::Table = text.parse().expect("TOML");
    let time = record["time"].as_str().expect("a time");
    let time: DateTime<Utc> = time.parse().expect("a time");
    record.insert("time".into(), (time + by).to_rfc3339().into());
    std::fs::write(path, record.to_string()).expect("written");
}

fn has_doubt(office: &Office) -> bool {
    let text = std::fs::read_to_string(office.path("data/clock")).expect("kept");
    text.contains("doubt")
}

async fn halts(office: &Office) -> Vec<String> {
    let answer = office.get("/readyz").send().await.expect("answered");
    let text = answer.text().await.expect("a text");
    let ready: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let halts = ready["halts"].as_array().expect("a list");
    let kind = |halt: &serde_json::Value| halt["kind"].as_str().unwrap_or_default().to_owned();
    halts.iter().map(kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_back_while_the_daemon_is_down_stops_sending_until_a_person_confirms_it() {
    let mut office = Office::open("").await;
    assert_eq!(office.stop(), 0);
    kept_time_was(&office, TimeDelta::hours(1));
    office.serve().await;
    assert_eq!(halts(&office).await, ["clock_suspect"]);
    let status = office.lubu(&["status"]).done().out;
    assert!(status.contains("时钟存疑"), "{status}");
    let item = office.notice("甲", "时钟存疑时签发", "正文一段。");
    office.approve(&item);
    // The doubt goes on in the next process, however that one ended.
    office.kill();
    office.serve().await;
    assert_eq!(halts(&office).await, ["clock_suspect"]);
    assert!(has_doubt(&office));
    assert_eq!(office.delivery(&item, SITE)["state"], "pending");
    office.lubu(&["confirm-clock", "--by", "张一鸣"]).done();
    assert!(halts(&office).await.is_empty());
    assert!(!has_doubt(&office));
    office.reaches(&item, SITE, "published").await;
    assert_eq!(office.stop(), 0);
    office.serve().await;
    assert!(halts(&office).await.is_empty(), "the word holds");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_file_that_cannot_be_read_is_said_once_and_does_no_harm() {
    let mut office = Office::open("").await;
    assert_eq!(office.stop(), 0);
    office.write("data/clock", "nonsense");
    office.serve().await;
    assert!(halts(&office).await.is_empty());
    let log = std::fs::read_to_string(office.path("lubu.log")).expect("a log");
    assert_eq!(
        log.matches("`clock` in the data folder is damaged").count(),
        1
    );
    let copied = office.lubu(&["backup", "--to", "backup"]);
    copied.done();
    assert!(!office.path("backup/clock").exists(), "no backup holds it");
}

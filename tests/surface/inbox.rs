//! The watched folder of a running daemon.

use std::path::PathBuf;

use crate::desk;
use crate::office::Office;

fn entries(office: &Office, folder: &str) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(office.path(folder))
        .expect("a folder")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

async fn lies(office: &Office, path: &str) -> PathBuf {
    let path = office.path(path);
    office
        .until(&path.display().to_string(), || async {
            path.exists().then(|| path.clone())
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_in_whole_is_taken_once_and_what_is_wrong_comes_back_with_reasons() {
    let office = Office::open("inbox = \"inbox\"").await;
    let more = "[channels.wechat]\ntitle = \"重大项目进展\"";
    desk::folder(
        &office,
        "inbox/进展",
        "重大项目进展",
        more,
        "主体结构施工到七层。",
    );
    office.write(
        "inbox/坏.md",
        "+++\ntitle = \"没有类别\"\nscope = \"全世界\"\n+++\n\n正文。\n",
    );
    office.write("inbox/未完.md.part", "+++\n");
    lies(&office, "inbox/taken/进展/item.md").await;
    let note = lies(&office, "inbox/refused/坏.md.问题.txt").await;
    let note = std::fs::read_to_string(note).expect("read");
    for said in ["category", "全世界", "坏.md:3"] {
        assert!(note.contains(said), "{said}: {note}");
    }
    assert_eq!(
        entries(&office, "inbox"),
        ["refused", "taken", "未完.md.part"]
    );
    let items = || office.json(&["status"]);
    let listed = office.get("/v1/items").send().await.expect("it answers");
    let listed: serde_json::Value =
        serde_json::from_str(&listed.text().await.expect("a text")).expect("JSON");
    let all = listed["items"].as_array().expect("a list");
    assert_eq!(all.len(), 1);
    assert_eq!(
        all[0]["approved_revision"],
        serde_json::Value::Null,
        "it waits for its approval"
    );
    assert_eq!(items()["deliveries"], serde_json::json!([]));

    // The same put in again is known: it is shelved, and nothing new is made.
    desk::folder(
        &office,
        "inbox/进展",
        "重大项目进展",
        more,
        "主体结构施工到七层。",
    );
    lies(&office, "inbox/taken/1-进展/item.md").await;
    let listed = office.get("/v1/items").send().await.expect("it answers");
    assert_eq!(
        listed
            .text()
            .await
            .expect("a text")
            .matches("\"received_at\"")
            .count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_that_hangs_keeps_nobody_else_waiting() {
    let mut office = Office::new("inbox = \"inbox\"").await;
    // One worker: whoever keeps it keeps everything.
    let one = ("TOKIO_WORKER_THREADS", "1".to_owned());
    office.env.push(one);
    // Whoever writes here waits for a reader, as before a dead share.
    std::fs::create_dir_all(office.path("inbox/refused")).expect("made");
    let note = office.path("inbox/refused/坏.md.问题.txt");
    let made = std::process::Command::new("mkfifo").arg(&note).status();
    assert!(made.expect("it runs").success());
    office.serve().await;
    office.write("inbox/坏.md", "+++\ntitle = \"没有类别\"\n+++\n\n正文。\n");
    lies(&office, "inbox/refused/坏.md").await;
    let path = desk::folder(&office, "进展", "云川市十月进展", "", "正文。");
    let item = desk::id(&office.submit(&path));
    office.approve(&item);
    office
        .reaches(&item, crate::office::PORTAL, "published")
        .await;
    // It is still waiting, and goes on once somebody reads.
    let told = tokio::task::spawn_blocking(move || std::fs::read_to_string(note));
    let told = told.await.expect("read").expect("read");
    assert!(told.contains("category"), "{told}");
}

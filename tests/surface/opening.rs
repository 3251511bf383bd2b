//! The daemon before its store is open: what it says of itself, and to whom.

use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use lubu_sandbox::Platform;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::Value;

use crate::office::{Office, PORTAL, Said, WEIBO};

/// Waits until it says that it is doing this.
async fn doing(office: &Office, what: &str) -> Value {
    office
        .until(what, || async {
            let said = office.readiness().await?;
            (said["doing"] == what).then_some(said)
        })
        .await
}

/// Alive, not ready, nothing else; the same sentence everywhere.
async fn says_so_at_every_door(office: &Office, said: &Value) {
    assert_eq!(said["type"], "urn:lubu:problem:opening");
    assert_eq!(
        (&said["ready"], &said["status"]),
        (&false.into(), &503.into())
    );
    let alive = office.get("/healthz").send().await.expect("answered");
    assert_eq!(alive.status(), 200);
    for path in ["/readyz", "/v1/items", "/"] {
        let answer = office.get(path).send().await.expect("answered");
        assert_eq!(answer.status(), 503, "{path}");
        assert_eq!(answer.headers()["retry-after"], "5", "{path}");
        let kind = &answer.headers()["content-type"];
        assert_eq!(kind, "application/problem+json", "{path}");
    }
    let Said { code, out, err } = office.lubu(&["status"]);
    assert_eq!((code, out.as_str()), (3, ""), "{err}");
    let sentence = |language: &str| {
        let whole = said[language].as_str().expect("a sentence");
        whole.split('：').next().expect("its beginning").to_owned()
    };
    let (zh, en) = err.split_once('\n').expect("both languages");
    assert!(zh.starts_with(&sentence("detail")), "{err}");
    assert!(
        en.is_ascii() && en.contains("nothing is taken in") || en.contains("not ready"),
        "{err}"
    );
}

/// Data whose journal has a closed segment: what a restored folder writes goes into a new one.
async fn restored() -> (Office, String) {
    let mut office = Office::open("").await;
    let item = office.notice("甲", "重建之前", "正文一段。");
    office.approve(&item);
    office.reaches(&item, WEIBO, "published").await;
    office.reaches(&item, PORTAL, "published").await;
    office.lubu(&["backup", "--to", "backup"]).done();
    assert_eq!(office.stop(), 0);
    std::fs::remove_dir_all(office.path("data")).expect("lost");
    let restore = [
        "restore",
        "--from",
        "backup",
        "--to",
        "data",
        "--no-erasures",
    ];
    office.lubu(&restore).done();
    office.serve_withheld().await;
    office
        .until("adopted", || async {
            let adopted = office.lubu(&["adopt", "--by", "张一鸣"]);
            (adopted.code == 0).then_some(())
        })
        .await;
    // Both are read to the end at a rebuild; the first is compressed once it is closed.
    let closed = office.path("data/journal/00000000000000000001.log.zst");
    office
        .until("the closed segment packed", || async {
            let plain = closed.with_extension("");
            (closed.exists() && !plain.exists()).then_some(())
        })
        .await;
    assert_eq!(office.stop(), 0);
    std::fs::rename(office.path("data/sled"), office.path("sled-aside")).expect("set aside");
    (office, item)
}

/// The segment becomes a pipe: who reads it waits until somebody writes.
fn hold_back(segment: &Path) -> Vec<u8> {
    let bytes = std::fs::read(segment).expect("read");
    std::fs::remove_file(segment).expect("removed");
    let mode = Mode::RUSR | Mode::WUSR;
    mknodat(CWD, segment, FileType::Fifo, mode, 0).expect("a pipe");
    bytes
}

/// Who waits gets the bytes, and who comes later finds the file as it was.
fn let_through(segment: &Path, bytes: &[u8]) {
    let pipe = std::fs::OpenOptions::new().write(true).open(segment);
    put_back(segment, bytes);
    pipe.expect("a reader").write_all(bytes).expect("written");
}

fn put_back(segment: &Path, bytes: &[u8]) {
    std::fs::remove_file(segment).expect("removed");
    std::fs::write(segment, bytes).expect("put back");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_state_is_rebuilt_it_says_so_and_then_it_works_on_the_same_doors() {
    let (mut office, item) = restored().await;
    let segment = office.path("data/journal/00000000000000000001.log.zst");
    let bytes = hold_back(&segment);
    office.spawn();
    let said = doing(&office, "rebuilding").await;
    assert_eq!(said["percent"], 0, "{said}");
    assert!(said["of"].as_u64().is_some_and(|of| of > 10), "{said}");
    assert!(
        said["detail"]
            .as_str()
            .is_some_and(|zh| zh.contains("重建") && zh.contains("0%")),
        "{said}"
    );
    says_so_at_every_door(&office, &said).await;
    let second = office.lubu(&["serve"]).refused();
    assert!(second.contains("另一个 lubu"), "{second}");
    // The second one has taken nothing away from the first.
    assert_eq!(office.lubu(&["status"]).code, 3);

    let_through(&segment, &bytes);
    office
        .until("ready", || async {
            let said = office.readiness().await?;
            (said["ready"] == true).then_some(())
        })
        .await;
    assert_eq!(office.delivery(&item, WEIBO)["state"], "published");
    assert_eq!(office.public(Platform::Weibo).len(), 1);
    assert_eq!(office.stop(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_in_the_middle_of_a_rebuild_it_stops_at_once_and_the_next_start_begins_again()
{
    let (mut office, item) = restored().await;
    let segment = office.path("data/journal/00000000000000000001.log.zst");
    let bytes = hold_back(&segment);
    office.spawn();
    doing(&office, "rebuilding").await;
    assert_eq!(office.stop(), 0);
    assert!(!office.path("data/lubu.sock").exists());
    put_back(&segment, &bytes);
    office.serve().await;
    assert_eq!(office.delivery(&item, PORTAL)["state"], "published");
}

/// `/dev/full` plays the disk: what is written there finds no space. The store clears a file away that it could not
/// write, so it is put there again as long as the disk is to be full.
struct FullDisk {
    over: mpsc::Sender<()>,
    planting: thread::JoinHandle<()>,
}

impl FullDisk {
    fn at(path: PathBuf) -> Self {
        symlink("/dev/full", &path).expect("full");
        let (over, told) = mpsc::channel();
        let planting = thread::spawn(move || {
            // Every millisecond, where the next try is seconds away.
            while told.recv_timeout(Duration::from_millis(1)) == Err(RecvTimeoutError::Timeout) {
                drop(symlink("/dev/full", &path));
            }
            drop(std::fs::remove_file(&path));
        });
        Self { over, planting }
    }

    fn has_space_again(self) {
        drop(self.over);
        self.planting.join().expect("cleared");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn started_on_a_full_disk_it_stays_up_and_says_so_and_starts_by_itself_when_there_is_space() {
    let mut office = Office::new("").await;
    std::fs::create_dir(office.path("data")).expect("made");
    let disk = FullDisk::at(office.path("data/store.toml.tmp"));
    office.spawn();
    let said = doing(&office, "waiting").await;
    assert!(said["since"].is_string(), "{said}");
    let sentence = said["detail"].as_str();
    assert!(sentence.is_some_and(|zh| zh.contains("磁盘已满")), "{said}");
    says_so_at_every_door(&office, &said).await;

    disk.has_space_again();
    office
        .until("ready", || async {
            let said = office.readiness().await?;
            (said["ready"] == true).then_some(())
        })
        .await;
    let item = office.notice("甲", "有空间之后", "正文一段。");
    office.approve(&item);
    office.reaches(&item, WEIBO, "published").await;
    assert_eq!(office.public(Platform::Weibo).len(), 1);
    assert_eq!(office.stop(), 0);
}

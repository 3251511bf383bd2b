//! Keeping the data, starting again from a copy of it, and not keeping it.

use lubu_sandbox::Platform;

use crate::office::{Office, PORTAL, SITE, WECHAT, WEIBO};

const ALL: [&str; 4] = [SITE, PORTAL, WECHAT, WEIBO];

async fn published(office: &Office, name: &str, title: &str) -> String {
    let item = office.notice(name, title, "正文一段。");
    office.approve(&item);
    for channel in ALL {
        office.reaches(&item, channel, "published").await;
    }
    item
}

/// Restored from a backup that is older than what was sent: nothing goes out twice, and a person decides.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_office_sends_nothing_twice() {
    let mut office = Office::open("").await;
    published(&office, "甲", "备份之前发布").await;
    // Approved before the backup, sent after it.
    for channel in ALL {
        office
            .lubu(&["channels", "pause", channel, "--reason", "演练"])
            .done();
    }
    let later = office.notice("乙", "备份之后发布", "正文一段。");
    office.approve(&later);
    let made = office.lubu(&["backup", "--to", "backup"]).done();
    assert!(made.out.contains("已备份"), "{}", made.out);
    for channel in ALL {
        office.lubu(&["channels", "resume", channel]).done();
    }
    for channel in ALL {
        office.reaches(&later, channel, "published").await;
    }
    let before: Vec<_> = [Platform::Portal, Platform::Wechat, Platform::Weibo]
        .map(|platform| office.public(platform).len())
        .to_vec();
    assert_eq!(before, [2, 2, 2]);
    assert_eq!(office.stop(), 0);

    let asked = office.lubu(&["restore", "--from", "backup", "--to", "data"]);
    assert_eq!(asked.code, 2, "a restore asks what was erased since");
    std::fs::remove_dir_all(office.path("data")).expect("lost");
    let restore = [
        "restore",
        "--from",
        "backup",
        "--to",
        "data",
        "--no-erasures",
    ];
    let restored = office.lubu(&restore).done();
    assert!(restored.out.contains("lubu adopt"), "{}", restored.out);
    office.serve_withheld().await;
    let ready = office.get("/readyz").send().await.expect("answered");
    assert_eq!(ready.status(), 503);
    let status = office.lubu(&["status"]).done().out;
    assert!(status.contains("尚未接管"), "{status}");
    assert!(status.contains("因数据恢复而暂缓"), "{status}");
    for channel in ALL {
        office.lubu(&["channels", "resume", channel]).done();
    }
    office
        .until("adopted", || async {
            let adopted = office.lubu(&["adopt", "--by", "张一鸣"]);
            (adopted.code == 0).then_some(())
        })
        .await;
    for platform in [Platform::Portal, Platform::Wechat, Platform::Weibo] {
        assert_eq!(office.public(platform).len(), 2, "held, adopted or not");
    }
    // Posts that this store never began are found by what readers see: nobody has to speak for them.
    for channel in ALL {
        office.reaches(&later, channel, "published").await;
    }
    let released = office.lubu(&["release", "--all-held", "--by", "张一鸣"]);
    assert!(!released.done().out.contains(&later), "nothing is left");
    for platform in [Platform::Portal, Platform::Wechat, Platform::Weibo] {
        let posts = office.public(platform);
        assert_eq!(posts.len(), 2, "{posts:#?}");
        assert!(posts.iter().all(|post| post.copies == 1), "{posts:#?}");
    }
    assert_eq!(office.stop(), 0);
    let checked = office.lubu(&["store", "check"]).done();
    assert!(checked.out.contains("没有发现问题"), "{}", checked.out);
    let rebuilt = office.lubu(&["store", "rebuild"]).done();
    assert!(rebuilt.out.contains("已重建"), "{}", rebuilt.out);
    office.serve().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_is_erased_only_once_it_is_gone_everywhere_and_then_wholly() {
    let mut office = Office::open("").await;
    let item = published(&office, "甲", "误公开的名单").await;
    let erase = ["erase", &item, "--reason", "个人隐私", "--by", "张一鸣"];
    let why = office.lubu(&erase).refused();
    assert!(why.contains("停止守护进程"), "{why}");
    assert_eq!(office.stop(), 0);
    let why = office.lubu(&erase).refused();
    assert!(why.contains("lubu withdraw"), "{why}");
    office.serve().await;
    office
        .lubu(&["withdraw", &item, "--reason", "误公开"])
        .done();
    for channel in ALL {
        if office.delivery(&item, channel)["needs_person"] == true {
            office
                .lubu(&["confirm", &format!("{item}:{channel}"), "--absent"])
                .done();
        }
        office.reaches(&item, channel, "withdrawn").await;
    }
    assert_eq!(office.stop(), 0);
    office.lubu(&erase).done();
    let listed = office.lubu(&["erase", "--list"]).done().out;
    assert!(listed.starts_with(&item), "{listed}");
    office.lubu(&["store", "check"]).done();
    office.lubu(&["audit", "verify"]).done();
    office.serve().await;
    office.lubu(&["show", &item]).refused();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_journal_is_read_and_nothing_is_taken_in_until_the_gap_is_accepted() {
    let mut office = Office::open("").await;
    let item = published(&office, "甲", "损坏之前").await;
    assert_eq!(office.stop(), 0);
    let segment = office.path("data/journal/00000000000000000001.log");
    let mut bytes = std::fs::read(&segment).expect("read");
    bytes[4096 + 200] ^= 1;
    std::fs::write(&segment, bytes).expect("written");
    office.serve_withheld().await;
    let status = office.lubu(&["status"]).done().out;
    assert!(
        status.contains("第 1 段") && status.contains("损坏之前"),
        "{status}"
    );
    office.lubu(&["show", &item]).done();
    let page = office.get("/").send().await.expect("answered");
    assert!(page.status().is_success());
    let why = office
        .lubu(&["withdraw", &item, "--reason", "试一试"])
        .refused();
    assert!(why.contains("日志损坏"), "{why}");
    assert_eq!(office.stop(), 0);
    let found = office.lubu(&["store", "check"]);
    assert_eq!(found.code, 1);
    assert!(found.out.contains("第 1 段"), "{}", found.out);
    office
        .lubu(&[
            "store",
            "accept-gap",
            "--by",
            "张一鸣",
            "--reason",
            "磁盘坏道",
        ])
        .done();
    office.serve_withheld().await;
    office
        .until("adopted", || async {
            let adopted = office.lubu(&["adopt", "--by", "张一鸣"]);
            (adopted.code == 0).then_some(())
        })
        .await;
    let ready = office.get("/readyz").send().await.expect("answered");
    assert!(ready.status().is_success());
}

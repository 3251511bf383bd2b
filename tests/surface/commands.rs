//! The command line as people and scripts meet it.

use unicode_width::UnicodeWidthStr as _;

use crate::desk;
use crate::office::{Office, SITE, WECHAT, WEIBO, bare, said};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_done_is_told_on_stderr_with_1_and_wrong_usage_with_2() {
    let office = Office::open("").await;
    let item = office.notice("通知", "停水通知", "明日停水检修。");
    for args in [
        &["show", "0192"][..],
        &["show", &format!("{item}:电视台")],
        &["approve", &item, "--by", " "],
        &["approve", &item, "--by", "陈主任", "--revision", "7"],
        &[
            "approve",
            &item,
            "--by",
            "陈主任",
            "--on-correction",
            "电视台=leave",
        ],
        &["preview", &item, "--channel", "电视台"],
        &["preview", "../channels", "--channel", SITE],
        &["withdraw", &item, "--reason", " "],
        &["retry", &item],
        &[
            "confirm",
            &format!("{item}:{SITE}"),
            "--published",
            "不是网址",
        ],
        &["channels", "pause", "电视台", "--reason", "无"],
        &["submit", "没有的.md"],
        &["status", "--channel", "电视台"],
    ] {
        let why = office.lubu(args).refused();
        let chinese = why.contains(|c: char| ('\u{4e00}'..='\u{9fff}').contains(&c));
        assert!(chinese && !why.contains("panicked"), "{args:?}: {why}");
    }
    for args in [
        &["publish"][..],
        &["submit"],
        &["approve", &item],
        &["approve", &item, "--by", "陈", "--scope", "world"],
        &["approve", &item, "--by", "陈", "--on-correction", "微博"],
        &["confirm", &format!("{item}:{SITE}")],
        &[
            "confirm",
            &format!("{item}:{SITE}"),
            "--absent",
            "--published",
            "https://a.cn",
        ],
    ] {
        let told = office.lubu(args);
        assert_eq!(
            (told.code, told.out.as_str()),
            (2, ""),
            "{args:?} {}",
            told.err
        );
    }
    let listed = office.json(&["show", &item]);
    assert_eq!(listed["item"]["approved_revision"], serde_json::Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_answers_in_json() {
    let office = Office::open(
        "\n\n[[schedule]]\nname = \"每周放行\"\ncron = \"0 9 * * Mon\"\ndo = \"release\"\n",
    )
    .await;
    let path = office.write("通知.md", desk::text("停水通知", "", "明日停水检修。"));
    let path = path.to_str().expect("UTF-8").to_owned();
    let taken = office.json(&["submit", &path]);
    assert_eq!(taken["known"], false);
    let item = desk::id(&taken);
    assert_eq!(office.json(&["submit", &path])["known"], true);
    let prefix = &item[..16];
    assert_eq!(office.json(&["show", prefix])["item"]["id"], item.as_str());
    assert!(office.json(&["preview", prefix, "--channel", SITE])["html"].is_string());
    let signed = office.json(&["approve", prefix, "--by", "陈主任", "--without", WEIBO]);
    assert_eq!(signed["item"], item.as_str());
    office.reaches(&item, SITE, "published").await;
    office.reaches(&item, WECHAT, "published").await;
    let part = office.json(&["show", &format!("{item}:{WECHAT}")]);
    let timeline = part["timeline"].as_array().expect("a list");
    assert_eq!(timeline.len(), 1);
    assert_eq!(timeline[0]["delivery"]["channel"], WECHAT);
    let text = office
        .lubu(&["show", &format!("{item}:{WECHAT}")])
        .done()
        .out;
    assert!(text.contains(WECHAT) && !text.contains(SITE), "{text}");
    let schedules = office.json(&["schedules"]);
    assert_eq!(
        schedules["schedules"][0]["next"].as_array().map(Vec::len),
        Some(3)
    );
    for one in office.json(&["channels", "check"])["checks"]
        .as_array()
        .expect("a list")
    {
        assert_eq!(one["ok"], true, "{one}");
    }
    let paused = office.json(&["channels", "pause", WEIBO, "--reason", "核对"]);
    assert_eq!(paused["channels"][3]["state"], "paused");
    let resumed = office.json(&["channels", "resume", WEIBO]);
    assert_eq!(resumed["channels"][3]["state"], "open");
    let revised = office.json(&["revise", &item, &path, "--note", "无改动"]);
    assert!(revised["revision"].is_u64(), "{revised}");
    let withdrawn = office.json(&["withdraw", &item, "--reason", "数据有误"]);
    assert!(withdrawn["item"]["withdrawn"].is_string(), "{withdrawn}");
    assert_eq!(office.json(&["audit", "verify"])["whole"], true);
    assert!(office.json(&["config", "check"])["channels"].is_array());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_fits_the_terminal_and_pipes_get_no_colour() {
    let office = Office::open("").await;
    let title = "云川市2026年10月重大项目建设进展情况和下一步工作安排";
    let item = office.notice("进展", title, "主体结构施工到七层。");
    office.approve_without_wechat(&item);
    office.reaches(&item, SITE, "published").await;
    for columns in [80, 200] {
        for plain in [true, false] {
            let mut command = office.command(&["status"]);
            command.env("COLUMNS", columns.to_string());
            if plain {
                command.env("NO_COLOR", "1");
            }
            let told = said(&mut command).done().out;
            assert!(!told.contains('\u{1b}'), "{told}");
            let table: Vec<&str> = told.lines().take(3).collect();
            assert!(table.iter().all(|line| line.width() <= columns), "{told}");
            assert!(told.contains("● 已发布"), "{told}");
            assert_eq!(told.contains(title), columns == 200, "{told}");
        }
    }
}

#[test]
fn without_a_daemon_the_first_step_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let why = said(bare(folder.path()).arg("status")).refused();
    assert!(why.contains("--config"), "{why}");
    said(bare(folder.path()).arg("init")).done();
    let why = said(bare(folder.path()).arg("status")).refused();
    assert!(why.contains("lubu serve"), "{why}");
    let version = said(bare(folder.path()).arg("--version")).done().out;
    assert!(version.starts_with("lubu "), "{version}");
}

impl Office {
    /// The title is too long for WeChat, and the office knows.
    fn approve_without_wechat(&self, item: &str) {
        self.lubu(&["approve", item, "--by", "陈主任", "--without", WECHAT])
            .done();
    }
}

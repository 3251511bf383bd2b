//! From a folder on a clerk's desk to four channels, through a correction, to the withdrawal.

use lubu_sandbox::Platform;
use serde_json::Value;

use crate::desk::{self, id};
use crate::office::{Office, PORTAL, SITE, WECHAT, WEIBO};

const ALL: [&str; 4] = [SITE, PORTAL, WECHAT, WEIBO];
const LONG: &str =
    "云川市发展和改革委员会关于2026年10月全市重大项目建设进展情况和下一步工作安排的通报";
const SHORT: &str = "云川市10月重大项目进展";

/// What WeChat and Weibo show instead of the long title. A post whose bytes stay the same under a
/// new revision needs no correction, so the floor is told on Weibo too.
fn own_words(floor: &str) -> String {
    format!(
        "[channels.wechat]\ntitle = \"{SHORT}\"\n[channels.weibo]\n\
         text = \"云川市10月重大项目进展：主体结构施工到{floor}。\""
    )
}

async fn page(office: &Office, delivery: &Value) -> (u16, String) {
    let url = delivery["url"].as_str().expect("an address");
    let answer = office.http.get(url).send().await.expect("it answers");
    (
        answer.status().as_u16(),
        answer.text().await.expect("a text"),
    )
}

fn copies(office: &Office) -> [usize; 3] {
    [Platform::Portal, Platform::Wechat, Platform::Weibo]
        .map(|platform| office.public(platform).len())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_goes_the_whole_way_and_readers_never_see_it_twice() {
    let office = Office::open("").await;
    let item = what_does_not_fit_is_told_before_it_is_signed(&office);
    signed_it_is_published_everywhere(&office, &item).await;
    a_preview_is_a_page_without_network(&office, &item);
    a_correction_is_made_in_place_where_that_is_possible(&office, &item).await;
    withdrawn_it_is_gone_and_the_site_says_so(&office, &item).await;
}

/// The long title is refused for WeChat alone; with one of its own it goes.
fn what_does_not_fit_is_told_before_it_is_signed(office: &Office) -> String {
    let path = desk::folder(office, "进展", LONG, "", "主体结构施工到七层。");
    let first = office.submit(&path);
    assert_eq!(first["revision"], 1);
    let findings = first["findings"].as_array().expect("findings");
    let title = findings
        .iter()
        .find(|one| one["channel"] == WECHAT && one["field"] == "title")
        .expect("WeChat cannot show a title of 40 characters");
    assert!(title["actual"].as_u64() > title["limit"].as_u64());
    let item = id(&first);
    let why = office
        .lubu(&["approve", &item, "--by", "陈主任", "--opinion", "同意"])
        .refused();
    assert!(why.contains(WECHAT) && why.contains("title"), "{why}");
    assert_eq!(
        office.json(&["show", &item])["timeline"],
        Value::Array(vec![])
    );
    assert_eq!(office.sandbox.ledger(), []);
    let more = own_words("七层");
    let path = desk::folder(office, "进展", LONG, &more, "主体结构施工到七层。");
    let again = office.submit(&path);
    assert_eq!(again["findings"], Value::Array(vec![]));
    id(&again)
}

async fn signed_it_is_published_everywhere(office: &Office, item: &str) {
    let signed = office.approve(item);
    assert_eq!(signed["revision"], 1);
    assert_eq!(signed["scope"], "public");
    for channel in ALL {
        let one = office.reaches(item, channel, "published").await;
        assert_eq!(one["item"], item);
        assert_eq!(one["channel"], channel);
        assert_eq!(one["revision"], 1);
        assert_eq!(one["live"]["revision"], 1);
        assert!(one["attempts"].as_u64() > Some(0));
        for key in ["url", "remote_id", "next_at", "reason"] {
            assert!(one.get(key).is_some(), "{channel} tells no {key}");
        }
        let (status, html) = page(office, &one).await;
        assert_eq!(status, 200, "{channel} {html}");
        let said = if channel == SITE || channel == PORTAL {
            LONG
        } else {
            "重大项目"
        };
        assert!(html.contains(said), "{channel} {html}");
    }
    assert_eq!(copies(office), [1, 1, 1]);
}

fn a_preview_is_a_page_without_network(office: &Office, item: &str) {
    let before = office.sandbox.ledger().len();
    for channel in ALL {
        let shown = office.lubu(&["preview", item, "--channel", channel]).done();
        assert!(
            shown.out.contains("<html") || shown.out.contains("<!doctype"),
            "{}",
            shown.out
        );
    }
    let file = office.path("微信.html");
    let file = file.to_str().expect("UTF-8");
    office
        .lubu(&["preview", item, "--channel", WECHAT, "-o", file])
        .done();
    let written = std::fs::read_to_string(file).expect("written");
    assert!(written.contains(SHORT), "{written}");
    assert_eq!(office.sandbox.ledger().len(), before);
}

async fn a_correction_is_made_in_place_where_that_is_possible(office: &Office, item: &str) {
    let more = own_words("八层");
    let path = desk::folder(office, "更正", LONG, &more, "主体结构施工到八层。");
    let path = path.to_str().expect("UTF-8");
    let why = office.lubu(&["revise", item, path]).refused();
    assert!(why.contains("--note"), "{why}");
    let revised = office.json(&["revise", item, path, "--note", "楼层由七层改为八层"]);
    assert_eq!(revised["revision"], 2);
    // Without a choice the sites are corrected, and the others wait for a person's word.
    office.approve(item);
    for channel in [SITE, PORTAL] {
        let one = office.until("corrected", || async {
            let one = office.delivery(item, channel);
            (one["state"] == "published" && one["live"]["revision"] == 2).then_some(one)
        });
        let one = one.await;
        let (status, html) = page(office, &one).await;
        assert_eq!(status, 200);
        assert!(
            html.contains("八层") && !html.contains("施工到七层"),
            "{channel} {html}"
        );
    }
    for channel in [WECHAT, WEIBO] {
        let one = office.reaches(item, channel, "held").await;
        assert_eq!(one["live"]["revision"], 1);
        assert!(
            one["reason"]
                .as_str()
                .is_some_and(|why| why.contains("--on-correction"))
        );
    }
    let status = office.lubu(&["status"]).done();
    assert!(status.out.contains("--on-correction"), "{}", status.out);
    office
        .lubu(&[
            "approve",
            item,
            "--by",
            "陈主任",
            "--opinion",
            "保留旧稿",
            "--on-correction",
            "微信公众号=leave",
            "--on-correction",
            "微博=leave",
        ])
        .done();
    for channel in [WECHAT, WEIBO] {
        let one = office.reaches(item, channel, "published").await;
        assert_eq!(one["live"]["revision"], 1, "{one}");
    }
    assert_eq!(copies(office), [1, 1, 1]);
}

async fn withdrawn_it_is_gone_and_the_site_says_so(office: &Office, item: &str) {
    let site = office.delivery(item, SITE);
    office
        .lubu(&["withdraw", item, "--reason", "数据有误"])
        .done();
    for channel in ALL {
        office.reaches(item, channel, "withdrawn").await;
    }
    assert_eq!(copies(office), [0, 0, 0]);
    let (status, html) = page(office, &site).await;
    assert!(matches!(status, 200 | 410), "{status}");
    assert!(
        html.contains("数据有误") && !html.contains("八层"),
        "{html}"
    );
}

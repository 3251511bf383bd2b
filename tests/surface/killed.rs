//! The daemon dies in the middle of a fan-out. What it had sent is found, not sent again.

use lubu_sandbox::{Fault, Kind, Platform};

use crate::office::{Office, PORTAL, SITE, WECHAT, WEIBO};

const PLATFORMS: [(Platform, &str); 3] = [
    (Platform::Portal, "/api/articles"),
    (Platform::Wechat, "freepublish/submit"),
    (Platform::Weibo, "statuses/share"),
];

/// The first call that readers would see is applied on each platform, and never answered.
#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_everything_is_published_once() {
    let mut office = Office::open("").await;
    for (platform, path) in PLATFORMS {
        let mut fault = Fault::new(platform, Kind::Stall, path).times(1);
        fault.method = Some("POST".into());
        fault.seconds = Some(600);
        office.sandbox.inject(fault);
    }
    let items: Vec<String> = [
        (
            "施工",
            "东部产业园封顶",
            "东部产业园标准厂房三期主体结构封顶。",
        ),
        (
            "并网",
            "北山光伏首批并网",
            "北山百兆瓦光伏基地首批五十兆瓦并网发电。",
        ),
        (
            "招生",
            "实验学校开始招生",
            "滨河实验学校今秋面向全市招收新生。",
        ),
    ]
    .into_iter()
    .map(|(name, title, body)| office.notice(name, title, body))
    .collect();
    for item in &items {
        office.approve(item);
    }
    office
        .until("a call under way on every platform", || async {
            let struck = office.sandbox.faults();
            struck.iter().all(|fault| fault.struck == 1).then_some(())
        })
        .await;
    office.kill();
    office.serve().await;
    for item in &items {
        for channel in [SITE, PORTAL, WECHAT, WEIBO] {
            let one = office.reaches(item, channel, "published").await;
            assert_eq!(one["live"]["revision"], 1);
        }
    }
    for (platform, _) in PLATFORMS {
        let posts = office.public(platform);
        assert_eq!(posts.len(), items.len(), "{posts:#?}");
        assert!(posts.iter().all(|post| post.copies == 1), "{posts:#?}");
        for item in &items {
            let of_item = posts
                .iter()
                .filter(|post| post.link.contains(item.as_str()));
            assert_eq!(of_item.count(), 1, "{posts:#?}");
        }
    }
}

/// Told to stop, it ends by itself with 0, and what waited goes on at the next start.
#[tokio::test(flavor = "multi_thread")]
async fn stopped_and_started_again_it_goes_on_where_it_was() {
    let mut office = Office::open("").await;
    office
        .lubu(&["channels", "pause", WEIBO, "--reason", "值班核对"])
        .done();
    let item = office.notice("防汛", "防汛值班安排", "各单位实行二十四小时值班。");
    office.approve(&item);
    office.reaches(&item, SITE, "published").await;
    assert_eq!(office.stop(), 0);
    assert!(!office.path("data/lubu.sock").exists());
    let why = office.lubu(&["status"]).refused();
    assert!(why.contains("lubu serve"), "{why}");
    office.serve().await;
    let channels = office.json(&["channels"]);
    let paused = channels["channels"].as_array().expect("a list");
    let paused = paused.iter().find(|one| one["name"] == WEIBO).expect("it");
    assert_eq!(paused["state"], "paused");
    assert!(
        paused["reason"]
            .as_str()
            .is_some_and(|why| why.contains("值班核对"))
    );
    assert_eq!(office.public(Platform::Weibo), []);
    office.lubu(&["channels", "resume", WEIBO]).done();
    office.reaches(&item, WEIBO, "published").await;
    assert_eq!(office.public(Platform::Weibo).len(), 1);
}

//! The judge itself: what it counts, what it never holds, and the knobs over HTTP.

use serde_json::json;

use super::{world, world_with};
use crate::{Fault, Kind, Platform, Settings};

#[tokio::test]
async fn the_ledger_is_served_as_json_by_platform_and_holds_no_secret() {
    let world = world().await;
    let token = world.token().await;
    world.draft().await;
    let fields = [
        ("access_token", "sandbox-token"),
        ("status", "x"),
        ("rip", "203.0.113.7"),
    ];
    world.form("/weibo/2/statuses/share.json", &fields).await;
    world
        .get("/weibo/2/statuses/show.json?access_token=sandbox-token&id=1")
        .await;
    let all = world.get("/ledger").await;
    for secret in [
        token.as_str(),
        "sandbox-token",
        "sandbox-secret",
        "access_token",
    ] {
        assert!(!all.text().contains(secret), "{secret}");
    }
    let rows = world.get("/ledger?platform=weibo").await.json()["rows"].clone();
    assert_eq!(rows.as_array().unwrap().len(), 2);
    assert_eq!(rows[0]["code"], "10017");
    assert_eq!(rows[0]["effects"], json!([]), "a refusal applied nothing");
    assert_eq!(rows[0]["at"], "2026-11-23T09:00:00+08:00");
}

#[tokio::test]
async fn what_is_public_now_is_served_with_the_number_of_its_copies() {
    let world = world().await;
    world
        .running
        .inject(Fault::new(Platform::Weibo, Kind::AppliedTwice, "share").times(1));
    let status = "公告 https://fgw.example.gov.cn/a/1.html";
    let fields = [
        ("access_token", "sandbox-token"),
        ("status", status),
        ("rip", "203.0.113.7"),
    ];
    world.form("/weibo/2/statuses/share.json", &fields).await;
    let posts = world.get("/ledger/public?platform=weibo").await.json()["posts"].clone();
    assert_eq!(posts.as_array().unwrap().len(), 2);
    assert_eq!(
        (&posts[0]["copies"], &posts[1]["copies"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(posts[0]["marker"], "https://fgw.example.gov.cn/a/1.html");
    let none = world.get("/ledger/public?platform=portal").await.json();
    assert_eq!(none["posts"], json!([]));
}

#[tokio::test]
async fn settings_are_merged_and_a_wrong_name_is_refused_whole() {
    let world = world().await;
    let change = json!({"wechat": {"publish_seconds": 60, "quotas": {"draft/add": 1}}});
    let now = world.post("/settings", &change).await.json();
    assert_eq!(now["wechat"]["publish_seconds"], 60);
    assert_eq!(now["wechat"]["title_max"], 32);
    let bad = json!({"wechat": {"publish_seconds": 1, "publish_secnods": 2}});
    let refused = world.post("/settings", &bad).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("publish_secnods"));
    assert_eq!(world.running.settings().wechat.publish_seconds, 60);
}

#[test]
fn settings_survive_the_way_through_json() {
    let settings = Settings::default();
    let value = serde_json::to_value(&settings).unwrap();
    assert_eq!(Settings::default().with(&value).unwrap(), settings);
}

#[tokio::test]
async fn pages_answer_and_what_was_typed_is_escaped() {
    let world = world_with(|s| s.weibo.safe_domains = vec!["a.example".into()]).await;
    let text = "<b>甲</b> https://a.example/\"><script>x()</script>";
    let fields = [
        ("access_token", "sandbox-token"),
        ("status", text),
        ("rip", "203.0.113.7"),
    ];
    assert_eq!(
        world
            .form("/weibo/2/statuses/share.json", &fields)
            .await
            .status,
        200
    );
    for path in ["/", "/wechat/", "/weibo/u/1234567890", "/portal/"] {
        let page = world.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.text().contains("lang=\"zh-CN\""), "{path}");
        assert!(
            !page.text().contains("<script") && !page.text().contains("<b>甲"),
            "{path}"
        );
        assert!(
            page.head
                .contains("content-security-policy: default-src 'none'")
        );
    }
    assert_eq!(world.get("/nothing").await.status, 404);
    assert_eq!(world.get("/wechat").await.status, 303);
}

#[tokio::test]
async fn a_connection_is_used_again_and_ends_when_the_sandbox_stops() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let world = world().await;
    let address = world.running.address();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let two = b"GET /settings HTTP/1.1\r\nhost: a\r\n\r\n".repeat(2);
    stream.write_all(&two).await.unwrap();
    let mut seen = Vec::new();
    while seen.windows(9).filter(|nine| nine == b"HTTP/1.1 ").count() < 2 {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await.unwrap();
        assert!(read > 0, "closed after one answer");
        seen.extend_from_slice(&chunk[..read]);
    }
    world.running.stop().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

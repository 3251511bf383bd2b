//! reliability.md §5 (rows 40 to 55, 71): each fault on the wire, and what it leaves behind.

use std::io::ErrorKind;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{World, article, request, world};
use crate::{Fault, Kind, Platform};

/// A `draft/add` whose bytes are ready to be sent, and the token already fetched.
async fn ready(world: &World) -> Vec<u8> {
    let body = json!({"articles": [article(&world.cover().await)]}).to_string();
    let target = format!(
        "/wechat/cgi-bin/draft/add?access_token={}",
        world.token().await
    );
    request(
        "POST",
        &target,
        &[("content-type", "application/json")],
        body.as_bytes(),
    )
}

fn on(kind: Kind) -> Fault {
    Fault::new(Platform::Wechat, kind, "draft/add")
}

fn drafts(world: &World) -> usize {
    world
        .applied(Platform::Wechat)
        .iter()
        .filter(|what| *what == "draft added")
        .count()
}

#[tokio::test]
async fn resets_are_real_and_apply_what_they_say() {
    for (kind, applied) in [
        (Kind::ResetBeforeBody, 0),
        (Kind::ResetInBody, 0),
        (Kind::ResetAfterBody, 1),
        (Kind::NotAppliedLost, 0),
    ] {
        let world = world().await;
        let call = ready(&world).await;
        world.running.inject(on(kind).times(1));
        let error = world.raw(&call).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{kind:?}");
        assert_eq!(drafts(&world), applied, "{kind:?}");
        let last = world.running.ledger().pop().unwrap();
        assert_eq!(last.fault, Some(kind.name()), "the ledger names the fault");
        world.raw(&call).await.unwrap();
        assert_eq!(drafts(&world), applied + 1, "{kind:?} strikes once");
    }
}

#[tokio::test]
async fn a_reset_before_the_body_comes_while_the_body_is_still_at_home() {
    let world = world().await;
    let call = ready(&world).await;
    world.running.inject(on(Kind::ResetBeforeBody));
    let head = call
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap()
        + 4;
    let mut stream = TcpStream::connect(world.running.address()).await.unwrap();
    stream.write_all(&call[..head]).await.unwrap();
    let error = stream.read(&mut [0; 64]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_half_reply_is_applied_and_shorter_than_it_promises() {
    for (body, has_head) in [(None, true), (Some("head"), false)] {
        let world = world().await;
        let call = ready(&world).await;
        let mut fault = on(Kind::HalfReply);
        fault.body = body.map(str::to_owned);
        world.running.inject(fault);
        let got = world.raw(&call).await.unwrap();
        let end = got.windows(4).position(|four| four == b"\r\n\r\n");
        assert_eq!(end.is_some(), has_head);
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&got[..end]).into_owned();
            let line = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .unwrap();
            assert!(got.len() - end - 4 < line.parse().unwrap());
        }
        assert_eq!(drafts(&world), 1);
    }
}

#[tokio::test]
async fn garbage_calls_itself_a_success_and_cannot_be_read() {
    for form in ["html", "empty", "gbk", "bom", "control", "raw"] {
        let world = world().await;
        let call = ready(&world).await;
        let mut fault = on(Kind::Garbage);
        fault.body = Some(form.to_owned());
        world.running.inject(fault);
        let got = world.raw(&call).await.unwrap();
        if form == "raw" {
            assert!(!got.starts_with(b"HTTP/"));
        } else {
            let answer = super::parse(&got);
            assert_eq!(answer.status, 200);
            assert!(
                serde_json::from_slice::<Value>(&answer.body).is_err(),
                "{form}"
            );
        }
        assert_eq!(drafts(&world), 1, "{form}");
    }
}

#[tokio::test]
async fn answers_in_place_of_the_platforms_own_apply_only_when_told_to() {
    for (kind, status, needle) in [
        (Kind::FailureUnder200, 200, "\"errcode\":-1"),
        (Kind::HttpStatus, 502, "<html"),
        (Kind::TooMany, 429, "<html"),
        (Kind::Redirect, 302, ""),
    ] {
        for applied in [false, true] {
            let world = world().await;
            let call = ready(&world).await;
            let mut fault = on(kind);
            fault.applied = Some(applied);
            fault.retry_after = Some("7".into());
            fault.location = Some("http://127.0.0.1:1/elsewhere".into());
            world.running.inject(fault);
            let answer = super::parse(&world.raw(&call).await.unwrap());
            assert_eq!(answer.status, status, "{kind:?}");
            assert!(answer.text().contains(needle), "{kind:?}");
            assert_eq!(
                answer.head.contains("retry-after: 7"),
                kind == Kind::TooMany
            );
            let moved = answer
                .head
                .contains("location: http://127.0.0.1:1/elsewhere");
            assert_eq!(moved, kind == Kind::Redirect);
            assert_eq!(drafts(&world), usize::from(applied), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn each_platform_refuses_token_and_address_in_its_own_words() {
    let world = world().await;
    for (platform, target, stale, address, key) in [
        (
            Platform::Wechat,
            "/wechat/cgi-bin/draft/count",
            40001,
            40164,
            "errcode",
        ),
        (
            Platform::Weibo,
            "/weibo/2/statuses/show.json",
            21332,
            10004,
            "error_code",
        ),
        (
            Platform::Portal,
            "/portal/api/articles?key=k",
            40101,
            40301,
            "code",
        ),
    ] {
        world
            .running
            .inject(Fault::new(platform, Kind::StaleToken, "").times(1));
        world
            .running
            .inject(Fault::new(platform, Kind::IpRefused, "").times(1));
        assert_eq!(world.get(target).await.json()[key], stale, "{platform:?}");
        let refused = world.get(target).await;
        assert_eq!(refused.json()[key], address, "{platform:?}");
        assert!(refused.text().contains("127.0.0.1"), "the address is named");
    }
}

#[tokio::test]
async fn a_stalled_call_is_applied_while_its_answer_never_comes() {
    let world = world().await;
    let call = ready(&world).await;
    world.running.inject(on(Kind::Stall));
    let mut stream = TcpStream::connect(world.running.address()).await.unwrap();
    stream.write_all(&call).await.unwrap();
    // Another call behind it proves that the first was read; no waiting is needed.
    while drafts(&world) == 0 {
        world.token().await;
    }
    let mut byte = [0; 1];
    let pending = stream.try_read(&mut byte).unwrap_err();
    assert_eq!(pending.kind(), ErrorKind::WouldBlock);
    world.running.stop().await;
    assert!(
        matches!(stream.read(&mut byte).await, Ok(0) | Err(_)),
        "stopping ends it"
    );
}

#[tokio::test]
async fn a_slow_drip_arrives_whole_byte_by_byte() {
    let world = world().await;
    let call = ready(&world).await;
    let mut fault = on(Kind::SlowDrip);
    fault.interval_ms = Some(0);
    world.running.inject(fault);
    let answer = super::parse(&world.raw(&call).await.unwrap());
    assert!(answer.json()["media_id"].is_string());
}

#[tokio::test]
async fn a_late_call_is_applied_after_its_connection_is_long_gone() {
    let world = world().await;
    let call = ready(&world).await;
    let mut fault = on(Kind::AppliedLate);
    fault.seconds = Some(120);
    world.running.inject(fault);
    assert!(world.raw(&call).await.is_err());
    world.clock.advance_seconds(119);
    assert_eq!(drafts(&world), 0);
    world.clock.advance_seconds(1);
    assert_eq!(drafts(&world), 1);
    let last = world.running.ledger().pop().unwrap();
    assert_eq!(last.at_ms, super::MONDAY + 120_000);
}

#[tokio::test]
async fn applied_twice_makes_two_of_everything_and_answers_once() {
    let world = world().await;
    let call = ready(&world).await;
    world.running.inject(on(Kind::AppliedTwice).times(1));
    world.raw(&call).await.unwrap();
    assert_eq!(drafts(&world), 2);
    world
        .running
        .inject(Fault::new(Platform::Weibo, Kind::AppliedTwice, "share"));
    let status = "公告 https://fgw.example.gov.cn/a/1.html";
    let fields = [
        ("access_token", "sandbox-token"),
        ("status", status),
        ("rip", "203.0.113.7"),
    ];
    assert_eq!(
        world
            .form("/weibo/2/statuses/share.json", &fields)
            .await
            .status,
        200
    );
    let public = world.running.public();
    assert_eq!(
        public.iter().map(|post| post.copies).collect::<Vec<_>>(),
        [2, 2]
    );
}

#[tokio::test]
async fn lagging_reads_miss_the_newest_and_combine_with_other_faults() {
    let world = world().await;
    let draft = json!({"media_id": world.draft().await});
    let mut lag = Fault::new(Platform::Wechat, Kind::ReadLag, "draft/");
    lag.seconds = Some(60);
    world.running.inject(lag);
    let list = json!({"offset": 0, "count": 20});
    let total =
        || async { world.wechat("draft/batchget", &list).await.json()["total_count"].clone() };
    assert_eq!(total().await, 0);
    assert_eq!(world.wechat("draft/get", &draft).await.errcode(), 40007);
    world.clock.advance_seconds(60);
    assert_eq!(total().await, 1);
    world
        .running
        .inject(Fault::new(Platform::Wechat, Kind::HttpStatus, "batchget").times(1));
    assert_eq!(world.wechat("draft/batchget", &list).await.status, 502);
}

#[tokio::test]
async fn a_fault_lets_the_first_pass_and_minds_method_and_path() {
    let world = world().await;
    let mut fault = Fault::new(Platform::Wechat, Kind::HttpStatus, "draft/count").times(1);
    fault.after = 1;
    fault.method = Some("get".into());
    world.running.inject(fault);
    let target = format!(
        "/wechat/cgi-bin/draft/count?access_token={}",
        world.token().await
    );
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(world.get(&target).await.status);
    }
    assert_eq!(seen, [200, 502, 200]);
}

#[tokio::test]
async fn faults_are_switched_over_http_as_json_and_as_a_form() {
    let world = world().await;
    let json_fault = json!({"platform": "wechat", "kind": "stall", "path": "submit", "times": 1});
    let added = world.post("/faults", &json_fault).await;
    assert_eq!((added.status, added.json()["id"].clone()), (201, json!(1)));
    let form = [
        ("platform", "weibo"),
        ("kind", "read_lag"),
        ("times", ""),
        ("seconds", "90"),
    ];
    assert_eq!(world.form("/faults", &form).await.status, 303);
    let list = world.get("/faults").await.json();
    assert_eq!(list["faults"][1]["kind"], "read_lag");
    assert_eq!(list["faults"][1]["times"], Value::Null);
    let page = world
        .send("GET", "/faults", &[("accept", "text/html")], b"")
        .await
        .unwrap();
    assert!(page.text().contains("read_lag"));
    let curl = [("content-type", "application/x-www-form-urlencoded")];
    let body = br#"{"platform":"portal","kind":"stall"}"#;
    assert_eq!(
        world
            .send("POST", "/faults", &curl, body)
            .await
            .unwrap()
            .status,
        201
    );
    for (body, status) in [
        (json!({"platform": "wechat", "kind": "explode"}), 400),
        (
            json!({"platform": "wechat", "kind": "stall", "tmies": 1}),
            400,
        ),
    ] {
        assert_eq!(world.post("/faults", &body).await.status, status);
    }
    assert_eq!(
        world
            .send("DELETE", "/faults/1", &[], b"")
            .await
            .unwrap()
            .status,
        200
    );
    assert_eq!(
        world
            .send("DELETE", "/faults/1", &[], b"")
            .await
            .unwrap()
            .status,
        404
    );
    assert_eq!(
        world
            .send("DELETE", "/faults", &[], b"")
            .await
            .unwrap()
            .status,
        200
    );
    assert!(world.running.faults().is_empty());
}

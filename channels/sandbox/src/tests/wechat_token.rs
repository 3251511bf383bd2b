//! wechat.md §0, §1 and §6: who may call, with which token, how often.

use super::{world, world_with};
use serde_json::{Value, json};

fn credentials() -> Value {
    json!({"grant_type": "client_credential", "appid": "wx-sandbox", "secret": "sandbox-secret"})
}

async fn stable(world: &super::World, force: bool) -> (String, i64) {
    let mut body = credentials();
    body["force_refresh"] = force.into();
    let answer = world
        .post("/wechat/cgi-bin/stable_token", &body)
        .await
        .json();
    let token = answer["access_token"].as_str().unwrap().to_owned();
    (token, answer["expires_in"].as_i64().unwrap())
}

async fn count_with(world: &super::World, token: &str) -> i64 {
    world
        .get(&format!("/wechat/cgi-bin/draft/count?access_token={token}"))
        .await
        .errcode()
}

#[tokio::test]
async fn wrong_credentials_are_refused_by_what_is_wrong() {
    let world = world().await;
    for (field, value, code) in [
        ("grant_type", json!("x"), 40002),
        ("appid", json!("wx-other"), 40013),
        ("appid", json!(""), 41002),
        ("secret", json!("guess"), 40125),
        ("secret", json!(null), 41004),
        ("force_refresh", json!("yes"), 47001),
    ] {
        let mut body = credentials();
        body[field] = value;
        let answer = world.post("/wechat/cgi-bin/stable_token", &body).await;
        assert_eq!((answer.status, answer.errcode()), (200, code), "{field}");
        assert!(answer.json()["errmsg"].as_str().unwrap().contains(" rid: "));
    }
}

#[tokio::test]
async fn the_stable_token_stays_the_same_until_five_minutes_before_its_end() {
    let world = world().await;
    let (first, life) = stable(&world, false).await;
    assert_eq!(life, 7200);
    world.clock.advance_seconds(6899);
    assert_eq!(stable(&world, false).await, (first.clone(), 301));
    world.clock.advance_seconds(1);
    let (second, life) = stable(&world, false).await;
    assert_ne!(second, first);
    assert_eq!(life, 7200);
    assert_eq!(
        count_with(&world, &first).await,
        0,
        "both are good for five minutes"
    );
    world.clock.advance_seconds(300);
    assert_eq!(count_with(&world, &first).await, 42001);
    assert_eq!(count_with(&world, &second).await, 0);
}

#[tokio::test]
async fn a_forced_refresh_kills_at_once_but_not_twice_in_half_a_minute() {
    let world = world().await;
    let (first, _) = stable(&world, false).await;
    let (second, _) = stable(&world, true).await;
    assert_ne!(first, second);
    assert_eq!(count_with(&world, &first).await, 40001);
    assert_eq!(stable(&world, true).await.0, second);
    world.clock.advance_seconds(30);
    assert_ne!(stable(&world, true).await.0, second);
}

#[tokio::test]
async fn the_twenty_first_forced_refresh_of_a_day_is_refused() {
    let world = world().await;
    for _ in 0..20 {
        stable(&world, true).await;
        world.clock.advance_seconds(30);
    }
    let mut body = credentials();
    body["force_refresh"] = true.into();
    assert_eq!(
        world
            .post("/wechat/cgi-bin/stable_token", &body)
            .await
            .errcode(),
        45009
    );
    world.clock.advance_seconds(15 * 3600);
    stable(&world, true).await;
}

#[tokio::test]
async fn legacy_tokens_overtake_each_other_and_leave_the_stable_one_alone() {
    let world = world().await;
    let query = "grant_type=client_credential&appid=wx-sandbox&secret=sandbox-secret";
    let target = format!("/wechat/cgi-bin/token?{query}");
    let (calm, _) = stable(&world, false).await;
    let first = world.get(&target).await.json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    let second = world.get(&target).await.json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_ne!(first, second);
    assert_eq!(count_with(&world, &first).await, 0);
    world.clock.advance_seconds(300);
    assert_eq!(count_with(&world, &first).await, 40001);
    assert_eq!(count_with(&world, &second).await, 0);
    assert_eq!(count_with(&world, &calm).await, 0);
}

#[tokio::test]
async fn a_call_without_a_good_token_or_with_the_wrong_method_says_so() {
    let world = world().await;
    let token = world.token().await;
    for (method, target, code) in [
        ("GET", "/wechat/cgi-bin/draft/count".to_owned(), 41001),
        (
            "GET",
            "/wechat/cgi-bin/draft/count?access_token=guess".to_owned(),
            40001,
        ),
        (
            "POST",
            format!("/wechat/cgi-bin/draft/count?access_token={token}"),
            43001,
        ),
        (
            "GET",
            format!("/wechat/cgi-bin/draft/add?access_token={token}"),
            43002,
        ),
        (
            "POST",
            format!("/wechat/cgi-bin/draft/fly?access_token={token}"),
            40066,
        ),
    ] {
        let answer = world.send(method, &target, &[], b"{}").await.unwrap();
        assert_eq!(answer.errcode(), code, "{method} {target}");
    }
}

#[tokio::test]
async fn an_address_that_is_not_on_the_list_is_named_in_both_forms() {
    let world = world_with(|s| s.wechat.ip_whitelist = Some(vec!["203.0.113.7".into()])).await;
    let answer = world
        .post("/wechat/cgi-bin/stable_token", &credentials())
        .await
        .json();
    assert_eq!(answer["errcode"], 40164);
    let words = answer["errmsg"].as_str().unwrap();
    assert!(words.contains("127.0.0.1 ipv6 ::ffff:127.0.0.1"), "{words}");
    world
        .running
        .change_settings(|s| s.wechat.ip_whitelist = Some(vec!["127.0.0.1".into()]));
    world.token().await;
}

#[tokio::test]
async fn a_body_without_length_is_refused_with_412_before_it_is_looked_at() {
    let world = world().await;
    let token = world.token().await;
    let head = format!("POST /wechat/cgi-bin/draft/add?access_token={token} HTTP/1.1\r\n");
    for rest in [
        "host: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "host: a\r\nconnection: close\r\n\r\n",
    ] {
        let answer = world.raw(format!("{head}{rest}").as_bytes()).await.unwrap();
        assert_eq!(super::parse(&answer).status, 412);
    }
}

#[tokio::test]
async fn a_daily_quota_ends_and_turns_over_at_midnight_in_beijing() {
    let world = world_with(|s| {
        s.wechat.quotas.insert("draft/count".into(), 2);
    })
    .await;
    let token = world.token().await;
    assert_eq!(count_with(&world, &token).await, 0);
    assert_eq!(count_with(&world, &token).await, 0);
    assert_eq!(count_with(&world, &token).await, 45009);
    let ask = |path: &str| json!({"cgi_path": path});
    let quota = world
        .wechat("openapi/quota/get", &ask("/cgi-bin/draft/count"))
        .await
        .json();
    assert_eq!(
        quota["quota"],
        json!({"daily_limit": 2, "used": 2, "remain": 0})
    );
    for (path, code) in [
        ("cgi-bin/draft/count", 76003),
        ("/cgi-bin/draft/fly", 76021),
    ] {
        assert_eq!(
            world
                .wechat("openapi/quota/get", &ask(path))
                .await
                .errcode(),
            code
        );
    }
    world.clock.advance_seconds(15 * 3600 - 1);
    assert_eq!(count_with(&world, &world.token().await).await, 45009);
    world.clock.advance_seconds(1);
    assert_eq!(count_with(&world, &world.token().await).await, 0);
}

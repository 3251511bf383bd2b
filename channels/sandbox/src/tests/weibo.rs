//! weibo_cms.md part 1: posting, reading back, limits, the two error bodies.

use serde_json::{Value, json};

use super::{World, picture, png, world, world_with};
use crate::{Fault, Kind, Platform};

const LINK: &str = "https://fgw.example.gov.cn/a/1.html";
const SHARE: &str = "/weibo/2/statuses/share.json";

async fn share_with(world: &World, changes: &[(&str, &str)]) -> super::Answer {
    let text = format!("公告 {LINK}");
    let mut fields = vec![
        ("access_token", "sandbox-token"),
        ("status", text.as_str()),
        ("rip", "203.0.113.7"),
    ];
    for (name, value) in changes {
        fields.retain(|(key, _)| key != name);
        if *value != "(none)" {
            fields.push((name, value));
        }
    }
    world.form(SHARE, &fields).await
}

async fn share(world: &World, status: &str) -> super::Answer {
    share_with(world, &[("status", status)]).await
}

async fn timeline(world: &World, query: &str) -> Value {
    let target = format!("/weibo/2/statuses/user_timeline.json?access_token=sandbox-token{query}");
    world.get(&target).await.json()
}

#[tokio::test]
async fn each_broken_rule_has_its_code_and_status() {
    let world = world().await;
    let long = format!("{}{LINK}", "字".repeat(131));
    let fits = format!("{}{LINK}", "字".repeat(130));
    let topic = format!("#通知# {LINK}");
    for (field, value, status, code) in [
        ("access_token", "(none)", 403, 10006),
        ("access_token", "guess", 403, 21332),
        ("status", "(none)", 400, 10016),
        ("status", "  ", 400, 20008),
        ("rip", "(none)", 400, 10016),
        ("rip", "127.0.0.1", 400, 10008),
        ("rip", "10.0.0.1", 400, 10008),
        ("rip", "home", 400, 10008),
        ("status", long.as_str(), 400, 20012),
        ("status", topic.as_str(), 400, 10017),
        ("status", "没有链接", 400, 10017),
        (
            "status",
            "别处 https://www.fgw.example.gov.cn/a",
            400,
            10017,
        ),
        ("status", "无协议 fgw.example.gov.cn/a", 400, 10017),
        ("pic", "bytes", 400, 20007),
        ("status", fits.as_str(), 200, 0),
    ] {
        let answer = share_with(&world, &[(field, value)]).await;
        let body = answer.json();
        assert_eq!(answer.status, status, "{field}={value}");
        assert_eq!(
            body.get("error_code").and_then(Value::as_i64).unwrap_or(0),
            code,
            "{value}"
        );
        if code != 0 {
            assert_eq!(body["request"], "/2/statuses/share.json");
            assert!(body["error"].is_string());
        }
    }
}

#[tokio::test]
async fn the_two_domain_messages_are_told_apart_by_their_words() {
    let world = world().await;
    assert_eq!(
        share(&world, "没有链接").await.json()["error"],
        "text not find domain!"
    );
    world
        .running
        .change_settings(|s| s.weibo.safe_domains.clear());
    assert_eq!(
        share(&world, LINK).await.json()["error"],
        "appkey not bind domain!"
    );
}

#[tokio::test]
async fn a_post_comes_back_with_a_short_link_and_ids_in_three_forms() {
    let world = world().await;
    let post = share(&world, &format!("公告 {LINK}")).await.json();
    let id = post["id"].as_u64().unwrap().to_string();
    assert_eq!(id.len(), 16);
    assert!(post["idstr"] == id.as_str() && post["mid"] == id.as_str());
    let text = post["text"].as_str().unwrap();
    assert!(
        text.starts_with("公告 http://t.cn/") && !text.contains("fgw"),
        "{text}"
    );
    assert_eq!(post["created_at"], "Mon Nov 23 09:00:00 +0800 2026");
    let public = world.running.public();
    assert_eq!((public[0].link.as_str(), public[0].copies), (LINK, 1));
    let path = public[0]
        .url
        .strip_prefix(&world.base())
        .unwrap()
        .to_owned();
    assert_eq!(
        (id.as_str(), path.as_str()),
        ("5095395600000000", "/weibo/1234567890/OE1FS0000")
    );
    assert!(
        world.get(&path).await.text().contains(LINK),
        "the page links to the original"
    );
}

#[tokio::test]
async fn pictures_are_refused_by_type_size_number_and_name() {
    let world = world_with(|s| s.weibo.pic_max_bytes = 4096).await;
    let text = format!("公告 {LINK}");
    let (gif, webp) = (
        picture(image::ImageFormat::Gif, 8, 8),
        picture(image::ImageFormat::WebP, 8, 8),
    );
    let big = [png(), vec![0; 4096]].concat();
    let pic = "name=\"pic\"; filename=\"a.png\"";
    let other = "name=\"image\"; filename=\"a.png\"";
    let png = png();
    for (files, code) in [
        (vec![(pic, webp.as_slice())], 20005),
        (vec![(pic, big.as_slice())], 20006),
        (vec![(pic, png.as_slice()), (pic, png.as_slice())], 10008),
        (vec![(other, png.as_slice())], 10008),
        (vec![("name=\"pic\"", png.as_slice())], 20007),
        (vec![(pic, gif.as_slice())], 0),
    ] {
        let mut parts: Vec<(&str, &[u8])> = vec![
            ("name=\"access_token\"", b"sandbox-token"),
            ("name=\"status\"", text.as_bytes()),
            ("name=\"rip\"", b"203.0.113.7"),
        ];
        parts.extend(files);
        let body = world.upload(SHARE, &parts).await.json();
        assert_eq!(
            body.get("error_code").and_then(Value::as_i64).unwrap_or(0),
            code
        );
    }
    let shown = timeline(&world, "").await;
    let url = shown["statuses"][0]["pic_urls"][0]["thumbnail_pic"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        world
            .get(url.strip_prefix(&world.base()).unwrap())
            .await
            .body,
        gif
    );
}

#[tokio::test]
async fn the_same_again_is_20019_and_nearly_the_same_20017_for_a_while() {
    let world = world().await;
    let first = format!("公告甲 {LINK}");
    let code = |answer: super::Answer| answer.json()["error_code"].as_i64().unwrap_or(0);
    assert_eq!(code(share(&world, &first).await), 0);
    assert_eq!(code(share(&world, &first).await), 20019);
    assert_eq!(
        code(share(&world, &format!("公告甲!  {LINK}")).await),
        20017
    );
    assert_eq!(code(share(&world, &format!("公告乙 {LINK}")).await), 0);
    assert_eq!(
        code(share(&world, &first).await),
        20017,
        "not the last one, but recent"
    );
    world.clock.advance_seconds(600);
    assert_eq!(code(share(&world, &first).await), 0);
    assert_eq!(world.applied(Platform::Weibo).len(), 3);
}

#[tokio::test]
async fn the_hundred_and_first_call_and_the_thirty_first_post_wait() {
    let world = world().await;
    let post = |n: u32| format!("第 {n} 号公告 {LINK}");
    let code = |answer: super::Answer| answer.json()["error_code"].as_i64().unwrap_or(0);
    for n in 0..30 {
        assert_eq!(code(share(&world, &post(n)).await), 0);
    }
    assert_eq!(code(share(&world, &post(30)).await), 10024);
    world.clock.advance_seconds(3600);
    assert_eq!(code(share(&world, &post(31)).await), 0);
    for _ in 32..100 {
        timeline(&world, "").await;
    }
    let limits = "/weibo/2/account/rate_limit_status.json?access_token=sandbox-token";
    assert_eq!(world.get(limits).await.json()["remaining_user_hits"], 0);
    let over = timeline(&world, "").await;
    assert_eq!(over["error_code"], 10023);
    assert_eq!(
        world.get(limits).await.json()["user_limit"],
        100,
        "not counted itself"
    );
    world.clock.advance_seconds(14 * 3600);
    assert!(timeline(&world, "").await["statuses"].is_array());
}

#[tokio::test]
async fn posting_too_fast_is_20016_when_a_pace_is_set() {
    let world = world_with(|s| s.weibo.spacing_seconds = 60).await;
    share(&world, &format!("甲 {LINK}")).await;
    assert_eq!(
        share(&world, &format!("乙 {LINK}")).await.json()["error_code"],
        20016
    );
    world.clock.advance_seconds(60);
    assert_eq!(share(&world, &format!("乙 {LINK}")).await.status, 200);
}

#[tokio::test]
async fn the_timeline_gives_the_five_newest_of_ones_own_and_no_other() {
    let world = world().await;
    let mut ids = Vec::new();
    for n in 0..6 {
        let post = share(&world, &format!("第 {n} 号 {LINK}")).await.json();
        ids.push(post["idstr"].as_str().unwrap().to_owned());
        world.clock.advance_seconds(1);
    }
    let all = timeline(&world, "&uid=1234567890&count=100").await;
    let got: Vec<_> = all["statuses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["idstr"].clone())
        .collect();
    let newest: Vec<_> = ids.iter().rev().take(5).map(|id| json!(id)).collect();
    assert_eq!((got, &all["total_number"]), (newest, &json!(6)));
    let since = timeline(&world, &format!("&since_id={}", ids[4])).await;
    assert_eq!(since["statuses"].as_array().unwrap().len(), 1);
    let until = timeline(&world, &format!("&max_id={}&count=1", ids[4])).await;
    assert_eq!(until["statuses"][0]["idstr"], ids[4].as_str());
    let trimmed = timeline(&world, "&trim_user=1").await;
    assert!(trimmed["statuses"][0].get("user").is_none());
    assert_eq!(timeline(&world, "&uid=1").await["error_code"], 21335);
    assert_eq!(
        timeline(&world, "&screen_name=x").await["error_code"],
        21335
    );
}

#[tokio::test]
async fn a_post_made_by_hand_pushes_others_out_of_sight_and_is_not_this_apps() {
    let world = world().await;
    share(&world, &format!("甲 {LINK}")).await;
    for n in 0..5 {
        world
            .form("/weibo/office/post", &[("text", &format!("手工 {n}"))])
            .await;
        world.clock.advance_seconds(1);
    }
    assert_eq!(
        timeline(&world, "").await["statuses"]
            .as_array()
            .unwrap()
            .len(),
        5
    );
    assert!(
        timeline(&world, "&base_app=1").await["statuses"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn destroy_needs_the_grant_and_works_once_on_ones_own() {
    let world = world().await;
    let post = share(&world, &format!("甲 {LINK}")).await.json();
    let id = post["idstr"].as_str().unwrap();
    let destroy = |id: String| {
        let world = &world;
        async move {
            let fields = [("access_token", "sandbox-token"), ("id", id.as_str())];
            world.form("/weibo/2/statuses/destroy.json", &fields).await
        }
    };
    let refused = destroy(id.to_owned()).await;
    assert_eq!(
        (refused.status, &refused.json()["error_code"]),
        (403, &json!(10014))
    );
    world.running.change_settings(|s| s.weibo.destroy = true);
    for (id, code) in [
        ("3501756485200075", 20102),
        ("1", 20101),
        ("", 20109),
        ("x", 10008),
    ] {
        assert_eq!(
            destroy(id.to_owned()).await.json()["error_code"],
            code,
            "{id}"
        );
    }
    assert_eq!(destroy(id.to_owned()).await.json()["idstr"], id);
    assert_eq!(destroy(id.to_owned()).await.json()["error_code"], 20101);
    let show = format!("/weibo/2/statuses/show.json?access_token=sandbox-token&id={id}");
    assert_eq!(world.get(&show).await.json()["error_code"], 20101);
    assert!(world.running.public().is_empty());
}

#[tokio::test]
async fn interfaces_methods_and_grants_are_minded() {
    let world = world_with(|s| s.weibo.share = false).await;
    for (method, path, status, code) in [
        ("POST", "2/statuses/fly.json", 400, 10020),
        ("GET", "2/statuses/share.json", 400, 10021),
        ("POST", "2/statuses/show.json", 400, 10021),
        ("POST", "2/statuses/share.json", 403, 10014),
        ("POST", "2/statuses/update.json", 403, 10014),
        ("POST", "2/statuses/upload.json", 403, 10014),
        ("POST", "proxy/article/publish.json", 403, 10014),
    ] {
        let target = format!("/weibo/{path}?access_token=sandbox-token");
        let answer = world.send(method, &target, &[], b"").await.unwrap();
        assert_eq!(
            (answer.status, &answer.json()["error_code"]),
            (status, &json!(code)),
            "{path}"
        );
    }
}

#[tokio::test]
async fn bodies_of_another_kind_are_10007() {
    let world = world().await;
    let target = format!("{SHARE}?access_token=sandbox-token");
    for (kind, body) in [
        ("application/json", b"{}".as_slice()),
        ("multipart/form-data; boundary=cut", b"--cut\r\nbroken"),
    ] {
        let answer = world
            .send("POST", &target, &[("content-type", kind)], body)
            .await
            .unwrap();
        assert_eq!(answer.json()["error_code"], 10007, "{kind}");
    }
}

#[tokio::test]
async fn the_token_tells_its_life_and_ends() {
    let world = world_with(|s| s.weibo.token_seconds = 100).await;
    let info = || async {
        world
            .form(
                "/weibo/oauth2/get_token_info",
                &[("access_token", "sandbox-token")],
            )
            .await
            .json()
    };
    world.clock.advance_seconds(40);
    let told = info().await;
    assert_eq!(
        (&told["uid"], &told["expire_in"]),
        (&json!(1_234_567_890), &json!(60))
    );
    world.running.change_settings(|s| s.weibo.stringly = true);
    assert_eq!(info().await["expire_in"], "60");
    world.clock.advance_seconds(60);
    assert_eq!(info().await["error_code"], "21327", "as text when asked to");
}

#[tokio::test]
async fn published_but_late_is_an_error_body_over_a_post_that_stands() {
    let world = world().await;
    let mut late = Fault::new(Platform::Weibo, Kind::FailureUnder200, "share").times(1);
    late.code = Some(20032);
    late.status = Some(400);
    late.applied = Some(true);
    world.running.inject(late);
    let answer = share(&world, &format!("公告 {LINK}")).await;
    assert_eq!(
        (answer.status, &answer.json()["error_code"]),
        (400, &json!(20032))
    );
    assert_eq!(world.running.public().len(), 1);
}

fn headline(content: &str) -> Vec<(&'static str, &str)> {
    vec![
        ("access_token", "sandbox-token"),
        ("title", "关于印发通知的公告"),
        ("content", content),
        ("cover", "https://fgw.example.gov.cn/c.jpg"),
        ("summary", "摘要"),
        ("text", "公告全文"),
        ("rip", "203.0.113.7"),
    ]
}

#[tokio::test]
async fn a_headline_article_has_its_own_envelope_and_a_post_bound_to_it() {
    let world = world_with(|s| s.weibo.article = true).await;
    let encoded = "%3Cp%3E%E6%AD%A3%E6%96%87%3C%2Fp%3E%3Cscript%3Ex()%3C%2Fscript%3E";
    let target = "/weibo/proxy/article/publish.json";
    let answer = world.form(target, &headline(encoded)).await.json();
    assert_eq!(answer["code"], "100000");
    let url = answer["data"]["url"].as_str().unwrap();
    let page = world
        .get(url.strip_prefix(&world.base()).unwrap())
        .await
        .text();
    assert!(page.contains("<p>正文</p>") && !page.contains("x()"));
    assert_eq!(
        world.running.public()[0].id,
        answer["data"]["mid"].as_str().unwrap()
    );
    let long = "字".repeat(33);
    for (field, value) in [
        ("title", long.as_str()),
        ("title", ""),
        ("cover", "c.jpg"),
        ("rip", "10.0.0.1"),
        ("text", ""),
    ] {
        let mut fields = headline(encoded);
        fields.retain(|(key, _)| *key != field);
        fields.push((field, value));
        assert_eq!(
            world.form(target, &fields).await.json()["code"],
            "10008",
            "{field}"
        );
    }
    let mut partial = Fault::new(Platform::Weibo, Kind::FailureUnder200, "article").times(1);
    partial.code = Some(11003);
    world.running.inject(partial);
    assert_eq!(
        world.form(target, &headline(encoded)).await.json()["code"],
        "11003"
    );
    let bare: Vec<_> = headline("<p>x</p>")
        .into_iter()
        .map(|(key, value)| (format!("name=\"{key}\""), value.as_bytes()))
        .collect();
    let bare: Vec<_> = bare
        .iter()
        .map(|(key, value)| (key.as_str(), *value))
        .collect();
    assert_eq!(
        world.upload(target, &bare).await.json()["code"],
        "10008",
        "not encoded"
    );
}

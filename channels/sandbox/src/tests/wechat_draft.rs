//! wechat.md §3: drafts, their limits, and what happens to the HTML.

use super::{article, png, world, world_with};
use serde_json::{Value, json};

/// `draft/add` with the article of the suite, one field changed; the code it gives.
async fn add_with(world: &super::World, cover: &str, field: &str, value: Value) -> i64 {
    let mut article = article(cover);
    article[field] = value;
    world
        .wechat("draft/add", &json!({"articles": [article]}))
        .await
        .errcode()
}

#[tokio::test]
async fn each_field_is_held_to_its_limit_with_its_own_code() {
    let world = world().await;
    let cover = world.cover().await;
    let long = |n: usize| json!("字".repeat(n));
    for (field, value, code) in [
        ("title", long(32), 0),
        ("title", long(33), 45003),
        ("title", json!("  "), 40227),
        ("title", json!(7), 47001),
        ("author", long(16), 0),
        ("author", long(17), 45110),
        ("digest", long(128), 0),
        ("digest", long(129), 45004),
        ("content", long(19_999), 0),
        ("content", long(20_000), 45002),
        ("content", json!(""), 45166),
        ("content_source_url", json!("ftp://a/b"), 41039),
        (
            "content_source_url",
            json!(format!("https://a/{}", "x".repeat(1015))),
            41039,
        ),
        (
            "content_source_url",
            json!(format!("https://a/{}", "x".repeat(1014))),
            0,
        ),
        ("thumb_media_id", json!("unknown"), 40007),
        ("thumb_media_id", json!(null), 40007),
        ("need_open_comment", json!(1), 88000),
        ("need_open_comment", json!(2), 40097),
        ("need_open_comment", json!(0), 0),
        ("pic_crop_235_1", json!("0_0_1_0.5"), 0),
        ("pic_crop_235_1", json!("0_0_1_1.5"), 40097),
        ("pic_crop_1_1", json!("0_0_1_0.1234567"), 40097),
        ("article_type", json!("video"), 40097),
        ("article_type", json!("newspic"), 40097),
    ] {
        let shown: String = value.to_string().chars().take(30).collect();
        assert_eq!(
            add_with(&world, &cover, field, value).await,
            code,
            "{field} {shown}"
        );
    }
}

#[tokio::test]
async fn limits_and_their_unit_are_knobs() {
    let world = world_with(|s| {
        s.wechat.title_max = 64;
        s.wechat.count_bytes = true;
        s.wechat.comments = true;
    })
    .await;
    let cover = world.cover().await;
    assert_eq!(
        add_with(&world, &cover, "title", json!("字".repeat(21))).await,
        0
    );
    assert_eq!(
        add_with(&world, &cover, "title", json!("字".repeat(22))).await,
        45003
    );
    assert_eq!(
        add_with(&world, &cover, "need_open_comment", json!(1)).await,
        0
    );
}

#[tokio::test]
async fn a_draft_holds_one_to_eight_articles() {
    let world = world().await;
    let one = article(&world.cover().await);
    for (articles, code) in [
        (json!([]), 44003),
        (json!({}), 44003),
        (json!(null), 44003),
        (json!(["text"]), 47001),
        (json!(vec![&one; 8]), 0),
        (json!(vec![&one; 9]), 45008),
    ] {
        assert_eq!(
            world
                .wechat("draft/add", &json!({"articles": articles}))
                .await
                .errcode(),
            code
        );
    }
}

#[tokio::test]
async fn success_has_no_errcode_and_the_digest_comes_from_the_text_of_a_lone_article() {
    let world = world().await;
    let mut one = article(&world.cover().await);
    one["digest"] = "".into();
    one["content"] = format!("<p>{}</p>", "文".repeat(60)).into();
    let reply = world
        .wechat("draft/add", &json!({"articles": [one]}))
        .await
        .json();
    assert!(reply.get("errcode").is_none());
    let get = world
        .wechat("draft/get", &json!({"media_id": reply["media_id"]}))
        .await
        .json();
    assert_eq!(get["news_item"][0]["digest"], "文".repeat(54));
    assert_eq!(get["news_item"][0]["thumb_media_id"], one["thumb_media_id"]);
    let url = get["news_item"][0]["url"].as_str().unwrap().to_owned();
    assert_eq!(
        world
            .get(url.strip_prefix(&world.base()).unwrap())
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn unicode_escapes_appear_as_typed_and_count_as_typed() {
    let world = world().await;
    let cover = world.cover().await;
    let token = world.token().await;
    let target = format!("/wechat/cgi-bin/draft/add?access_token={token}");
    let body = |title: &str| {
        format!(
            r#"{{"articles":[{{"title":"{title}","content":"<p>x</p>","thumb_media_id":"{cover}"}}]}}"#
        )
    };
    let sent = world
        .send("POST", &target, &[], body(r"\u5199\u4f5c").as_bytes())
        .await
        .unwrap();
    let id = json!({"media_id": sent.json()["media_id"]});
    let get = world.wechat("draft/get", &id).await.json();
    assert_eq!(get["news_item"][0]["title"], r"\u5199\u4f5c");
    let long = body(&r"\u5199".repeat(6));
    assert_eq!(
        world
            .send("POST", &target, &[], long.as_bytes())
            .await
            .unwrap()
            .errcode(),
        45003
    );
    let bad = [body("").as_bytes(), &[0xff]].concat();
    assert_eq!(
        world
            .send("POST", &target, &[], &bad)
            .await
            .unwrap()
            .errcode(),
        40033
    );
    assert_eq!(
        world
            .send("POST", &target, &[], b"{")
            .await
            .unwrap()
            .errcode(),
        47001
    );
}

#[tokio::test]
async fn what_the_filter_takes_is_gone_from_the_read_back() {
    let world = world().await;
    let token = world.token().await;
    let target = format!("/wechat/cgi-bin/media/uploadimg?access_token={token}");
    let own = world
        .upload(&target, &[("name=\"media\"; filename=\"a.png\"", &png())])
        .await
        .json();
    let own = own["url"].as_str().unwrap();
    let mut one = article(&world.cover().await);
    one["content"] = format!(
        "<section id=\"a\" onclick=\"x()\" style=\"color:red\"><script>x()</script><style>p{{}}</style>\
         <iframe src=\"x\"></iframe><img src=\"{own}\"><img src=\"https://fgw.example.gov.cn/b.png\">\
         <img src=\"{base}/wechat/img/never.png\"><a href=\"https://fgw.example.gov.cn/\">原文</a></section>",
        base = world.base(),
    )
    .into();
    let id = world
        .wechat("draft/add", &json!({"articles": [one]}))
        .await
        .json()["media_id"]
        .clone();
    let get = world
        .wechat("draft/get", &json!({"media_id": id}))
        .await
        .json();
    let kept = format!("<section style=\"color:red\"><img src=\"{own}\">原文</section>");
    assert_eq!(get["news_item"][0]["content"], kept);
}

#[tokio::test]
async fn update_takes_one_object_at_an_index_and_overwrites() {
    let world = world().await;
    let id = world.draft().await;
    let mut new = article(&world.cover().await);
    new["title"] = "更正后的公告".into();
    for (body, code) in [
        (
            json!({"media_id": id, "index": 0, "articles": [new]}),
            47001,
        ),
        (json!({"media_id": id, "index": 1, "articles": new}), 40114),
        (json!({"media_id": id, "index": -1, "articles": new}), 40114),
        (json!({"media_id": id, "articles": new}), 40114),
        (
            json!({"media_id": "unknown", "index": 0, "articles": new}),
            40007,
        ),
        (json!({"index": 0, "articles": new}), 41006),
        (json!({"media_id": id, "index": 0, "articles": new}), 0),
        (json!({"media_id": id, "index": 0, "articles": new}), 0),
    ] {
        assert_eq!(
            world.wechat("draft/update", &body).await.errcode(),
            code,
            "{body}"
        );
    }
    let get = world
        .wechat("draft/get", &json!({"media_id": id}))
        .await
        .json();
    assert_eq!(get["news_item"][0]["title"], "更正后的公告");
}

#[tokio::test]
async fn drafts_are_listed_newest_first_and_deleting_twice_is_40007() {
    let world = world().await;
    let first = world.draft().await;
    world.clock.advance_seconds(1);
    let second = world.draft().await;
    let page = |no_content: i64| json!({"offset": 0, "count": 20, "no_content": no_content});
    let list = world.wechat("draft/batchget", &page(1)).await.json();
    assert_eq!(list["total_count"], 2);
    assert_eq!(list["item"][0]["media_id"], second.as_str());
    assert_eq!(list["item"][1]["media_id"], first.as_str());
    assert!(
        list["item"][0]["content"]["news_item"][0]
            .get("content")
            .is_none()
    );
    let full = world.wechat("draft/batchget", &page(0)).await.json();
    assert_eq!(
        full["item"][0]["content"]["news_item"][0]["content"],
        "<p>正文</p>"
    );
    assert_eq!(
        world.wechat("draft/batchget", &page(2)).await.errcode(),
        40097
    );
    let id = json!({"media_id": first});
    assert_eq!(world.wechat("draft/delete", &id).await.errcode(), 0);
    assert_eq!(world.wechat("draft/delete", &id).await.errcode(), 40007);
    assert_eq!(world.wechat("draft/get", &id).await.errcode(), 40007);
}

#[tokio::test]
async fn a_newspic_is_plain_text_over_permanent_images() {
    let world = world().await;
    let cover = world.cover().await;
    let newspic = json!({
        "article_type": "newspic", "title": "图片消息", "content": "<p>甲<b>乙</b></p>",
        "image_info": {"image_list": [{"image_media_id": cover}]},
    });
    let id = world
        .wechat("draft/add", &json!({"articles": [newspic]}))
        .await
        .json()["media_id"]
        .clone();
    let get = world
        .wechat("draft/get", &json!({"media_id": id}))
        .await
        .json();
    assert_eq!(get["news_item"][0]["content"], "甲 乙");
}

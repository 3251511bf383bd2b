//! wechat.md §4 and §5: publishing, mass sending, and what readers see of both.

use super::{article, world, world_with};
use crate::{Leaves, Platform, Sight};
use serde_json::{Value, json};

async fn submit(world: &super::World, draft: &str) -> Value {
    world
        .wechat("freepublish/submit", &json!({"media_id": draft}))
        .await
        .json()
}

async fn poll(world: &super::World, submitted: &Value) -> Value {
    world
        .wechat(
            "freepublish/get",
            &json!({"publish_id": submitted["publish_id"]}),
        )
        .await
        .json()
}

fn path_of(world: &super::World, polled: &Value) -> String {
    let url = polled["article_detail"]["item"][0]["article_url"]
        .as_str()
        .unwrap();
    url.strip_prefix(&world.base()).unwrap().to_owned()
}

#[tokio::test]
async fn a_submit_is_only_queued_and_readers_see_it_when_the_job_ends() {
    let world = world().await;
    let draft = world.draft().await;
    let submitted = submit(&world, &draft).await;
    assert_eq!(submitted["errcode"], 0);
    assert!(submitted["publish_id"].is_string() && submitted["msg_data_id"].is_string());
    assert_eq!(poll(&world, &submitted).await["publish_status"], 1);
    assert!(world.running.public().is_empty());
    let id = json!({"media_id": draft});
    assert_eq!(world.wechat("draft/get", &id).await.errcode(), 0);
    world.clock.advance_seconds(3);
    let done = poll(&world, &submitted).await;
    assert_eq!(done["publish_status"], 0);
    assert_eq!(done["article_detail"]["count"], 1);
    assert_eq!(world.wechat("draft/get", &id).await.errcode(), 40007);
    let page = world.get(&path_of(&world, &done)).await;
    assert!(page.status == 200 && page.text().contains("关于印发通知的公告"));
    let public = world.running.public();
    assert_eq!((public.len(), public[0].copies), (1, 1));
    assert_eq!(public[0].marker, "https://fgw.example.gov.cn/a/1.html");
    assert_eq!(public[0].first_visible_ms, super::MONDAY + 3000);
}

#[tokio::test]
async fn polls_spend_quota_and_may_be_what_the_job_waits_for() {
    let world = world_with(|s| {
        s.wechat.publish_seconds = 0;
        s.wechat.publish_polls = 2;
        s.wechat.numeric_ids = true;
    })
    .await;
    let submitted = submit(&world, &world.draft().await).await;
    assert!(submitted["publish_id"].is_number());
    for status in [1, 1, 0] {
        assert_eq!(poll(&world, &submitted).await["publish_status"], status);
    }
    for _ in 3..100 {
        poll(&world, &submitted).await;
    }
    assert_eq!(poll(&world, &submitted).await["errcode"], 45009);
}

#[tokio::test]
async fn a_failed_review_ends_in_its_status_and_shows_nothing() {
    for (result, failed) in [(2, json!([1])), (3, json!([])), (4, json!([1]))] {
        let world = world_with(|s| s.wechat.publish_result = result).await;
        let submitted = submit(&world, &world.draft().await).await;
        world.clock.advance_seconds(3);
        let done = poll(&world, &submitted).await;
        assert_eq!(
            (&done["publish_status"], &done["fail_idx"]),
            (&json!(result), &failed)
        );
        assert!(world.running.public().is_empty());
    }
}

#[tokio::test]
async fn what_is_not_there_or_not_allowed_has_its_code() {
    let world = world().await;
    for (path, body, code) in [
        ("freepublish/submit", json!({"media_id": "unknown"}), 40007),
        ("freepublish/submit", json!({}), 41006),
        ("freepublish/get", json!({"publish_id": "1"}), 53502),
        (
            "freepublish/getarticle",
            json!({"article_id": "unknown"}),
            53600,
        ),
        (
            "freepublish/delete",
            json!({"article_id": "unknown"}),
            53600,
        ),
        (
            "freepublish/batchget",
            json!({"offset": 0, "count": 0}),
            40097,
        ),
    ] {
        assert_eq!(world.wechat(path, &body).await.errcode(), code, "{path}");
    }
    world
        .running
        .change_settings(|s| s.wechat.freepublish = false);
    for path in ["submit", "get", "delete", "getarticle", "batchget"] {
        let answer = world
            .wechat(&format!("freepublish/{path}"), &json!({}))
            .await;
        assert_eq!(answer.errcode(), 48001, "{path}");
    }
}

#[tokio::test]
async fn a_second_submit_before_the_draft_leaves_makes_a_second_public_copy() {
    let world = world().await;
    let draft = world.draft().await;
    submit(&world, &draft).await;
    assert_eq!(submit(&world, &draft).await["errcode"], 0);
    world.clock.advance_seconds(3);
    let public = world.running.public();
    assert_eq!(
        public.iter().map(|post| post.copies).collect::<Vec<_>>(),
        [2, 2]
    );
    let other = world_with(|s| s.wechat.draft_leaves = Leaves::Submit).await;
    let draft = other.draft().await;
    submit(&other, &draft).await;
    assert_eq!(submit(&other, &draft).await["errcode"], 40007);
}

#[tokio::test]
async fn published_articles_are_listed_read_back_and_deleted() {
    let world = world().await;
    let submitted = submit(&world, &world.draft().await).await;
    world.clock.advance_seconds(3);
    let done = poll(&world, &submitted).await;
    let page = json!({"offset": 0, "count": 20, "no_content": 1});
    let list = world.wechat("freepublish/batchget", &page).await.json();
    assert_eq!(list["item"][0]["article_id"], done["article_id"]);
    let item = &list["item"][0]["content"]["news_item"][0];
    assert!(
        item["url"].as_str().unwrap().contains("/wechat/draft/"),
        "the temporary link"
    );
    assert_eq!(
        item["content_source_url"],
        "https://fgw.example.gov.cn/a/1.html"
    );
    let id = json!({"article_id": done["article_id"]});
    let read = world.wechat("freepublish/getarticle", &id).await.json();
    assert_eq!(read["news_item"][0]["is_deleted"], false);
    let path = path_of(&world, &done);
    assert_eq!(world.wechat("freepublish/delete", &id).await.errcode(), 0);
    let read = world.wechat("freepublish/getarticle", &id).await.json();
    assert_eq!(read["news_item"][0]["is_deleted"], true);
    assert_eq!(poll(&world, &submitted).await["publish_status"], 5);
    assert_eq!(
        world.wechat("freepublish/batchget", &page).await.json()["total_count"],
        0
    );
    assert_eq!(world.get(&path).await.status, 410);
    let rows = world.running.ledger();
    let gone = rows
        .iter()
        .flat_map(|row| &row.effects)
        .filter(|e| e.sight == Sight::Vanished);
    assert_eq!(gone.count(), 1);
}

#[tokio::test]
async fn one_article_of_several_can_be_deleted_by_its_place() {
    let world = world().await;
    let one = article(&world.cover().await);
    let mut two = one.clone();
    two["content_source_url"] = "https://fgw.example.gov.cn/a/2.html".into();
    let draft = world
        .wechat("draft/add", &json!({"articles": [one, two]}))
        .await
        .json();
    let submitted = submit(&world, draft["media_id"].as_str().unwrap()).await;
    world.clock.advance_seconds(3);
    let id = poll(&world, &submitted).await["article_id"].clone();
    let delete = |index: i64| json!({"article_id": id, "index": index});
    assert_eq!(
        world
            .wechat("freepublish/delete", &delete(3))
            .await
            .errcode(),
        40114
    );
    assert_eq!(
        world
            .wechat("freepublish/delete", &delete(2))
            .await
            .errcode(),
        0
    );
    let left: Vec<_> = world
        .running
        .public()
        .into_iter()
        .map(|post| post.marker)
        .collect();
    assert_eq!(left, ["https://fgw.example.gov.cn/a/1.html"]);
}

fn send_all(draft: &str, client_id: &str) -> Value {
    json!({
        "filter": {"is_to_all": true}, "msgtype": "mpnews", "mpnews": {"media_id": draft},
        "send_ignore_reprint": 0, "clientmsgid": client_id,
    })
}

#[tokio::test]
async fn the_same_clientmsgid_sends_once_in_a_day() {
    let world = world_with(|s| s.wechat.mass_per_day = 10).await;
    let body = send_all(&world.draft().await, &"k".repeat(32));
    let sent = world.wechat("message/mass/sendall", &body).await.json();
    assert_eq!(sent["errmsg"], "send job submission success");
    let again = || async { world.wechat("message/mass/sendall", &body).await.json() };
    assert_eq!(again().await["errcode"], 45066);
    world.clock.advance_seconds(60);
    let known = again().await;
    assert_eq!(
        (&known["errcode"], &known["msg_id"]),
        (&json!(45065), &sent["msg_id"])
    );
    world.clock.advance_seconds(86_400 - 60);
    assert_eq!(
        again().await["errcode"],
        40007,
        "a new send; the draft has left the box"
    );
    let once: Vec<_> = world.applied(Platform::Wechat);
    assert_eq!(
        once.iter().filter(|what| *what == "article sent").count(),
        1
    );
}

#[tokio::test]
async fn without_a_clientmsgid_the_same_content_is_still_a_repeat() {
    let world = world().await;
    let mut body = send_all(&world.draft().await, "");
    body.as_object_mut().unwrap().remove("clientmsgid");
    assert_eq!(
        world.wechat("message/mass/sendall", &body).await.errcode(),
        0
    );
    assert_eq!(
        world.wechat("message/mass/sendall", &body).await.errcode(),
        45066
    );
}

#[tokio::test]
async fn sends_are_refused_by_id_type_target_and_allowance() {
    let world = world().await;
    let draft = world.draft().await;
    let with = |key: &str, value: Value| {
        let mut body = send_all(&draft, key);
        body[key] = value;
        body
    };
    for (body, code) in [
        (send_all(&draft, &"k".repeat(33)), 45067),
        (with("msgtype", json!("text")), 45162),
        (with("filter", json!({"is_to_all": false})), 40152),
        (with("mpnews", json!({"media_id": "unknown"})), 40007),
        (send_all(&draft, "first"), 0),
        (send_all(&draft, "second"), 45028),
    ] {
        assert_eq!(
            world.wechat("message/mass/sendall", &body).await.errcode(),
            code,
            "{body}"
        );
    }
    world.running.change_settings(|s| s.wechat.mass = false);
    let body = send_all(&draft, "third");
    assert_eq!(
        world.wechat("message/mass/sendall", &body).await.errcode(),
        48001
    );
}

#[tokio::test]
async fn a_send_is_followed_by_its_number_and_recalled_by_number_or_address() {
    let world = world().await;
    let body = send_all(&world.draft().await, "one");
    let sent = world.wechat("message/mass/sendall", &body).await.json();
    let id = json!({"msg_id": sent["msg_id"]});
    let status =
        || async { world.wechat("message/mass/get", &id).await.json()["msg_status"].clone() };
    assert_eq!(status().await, "SENDING");
    world.clock.advance_seconds(3);
    assert_eq!(status().await, "SEND_SUCCESS");
    let page = json!({"offset": 0, "count": 20});
    let silent = world.wechat("freepublish/batchget", &page).await.json();
    assert_eq!(
        silent["total_count"], 0,
        "a send is not in the list of silent publishes"
    );
    let url = world.running.public()[0].url.clone();
    assert_eq!(
        world
            .wechat("message/mass/delete", &json!({"url": url}))
            .await
            .errcode(),
        0
    );
    assert_eq!(status().await, "DELETE");
    assert!(world.running.public().is_empty());
    assert_eq!(
        world.wechat("message/mass/delete", &id).await.errcode(),
        40059
    );
    assert_eq!(
        world
            .wechat("message/mass/get", &json!({"msg_id": 1}))
            .await
            .errcode(),
        40059
    );
}

#[tokio::test]
async fn the_sixty_first_mass_call_in_a_minute_is_45011() {
    let world = world().await;
    let get = || async {
        world
            .wechat("message/mass/get", &json!({"msg_id": 1}))
            .await
            .errcode()
    };
    for _ in 0..60 {
        assert_eq!(get().await, 40059);
    }
    assert_eq!(get().await, 45011);
    world.clock.advance_seconds(60);
    assert_eq!(get().await, 40059);
}

#[tokio::test]
async fn the_platforms_own_retry_answers_a_first_send_with_45065() {
    let world = world_with(|s| s.wechat.mass_first_45065 = true).await;
    let body = send_all(&world.draft().await, "one");
    let answer = world.wechat("message/mass/sendall", &body).await.json();
    assert_eq!(answer["errcode"], 45065);
    let id = json!({"msg_id": answer["msg_id"]});
    assert_eq!(world.wechat("message/mass/get", &id).await.errcode(), 0);
}

#[tokio::test]
async fn a_preview_needs_someone_to_go_to_and_shows_readers_nothing() {
    let world = world().await;
    let mut body = send_all(&world.draft().await, "p");
    assert_eq!(
        world.wechat("message/mass/preview", &body).await.errcode(),
        40003
    );
    body["towxname"] = "leader".into();
    assert_eq!(
        world.wechat("message/mass/preview", &body).await.errcode(),
        0
    );
    world.clock.advance_seconds(60);
    assert!(world.running.public().is_empty());
}

#[tokio::test]
async fn a_person_can_press_publish_or_delete_on_the_account_page() {
    let world = world().await;
    let draft = world.draft().await;
    let press = format!("/wechat/office/drafts/{draft}/publish");
    assert_eq!(world.form(&press, &[]).await.status, 303);
    world.clock.advance_seconds(3);
    let public = world.running.public();
    let id = public[0].id.split('/').next().unwrap().to_owned();
    assert!(
        world
            .get("/wechat/")
            .await
            .text()
            .contains("关于印发通知的公告")
    );
    assert_eq!(
        world
            .form(&format!("/wechat/office/articles/{id}/delete"), &[])
            .await
            .status,
        303
    );
    assert!(world.running.public().is_empty());
}

#[tokio::test]
async fn replies_may_hold_raw_control_characters() {
    let world = world().await;
    world.draft().await;
    let token = world.token().await;
    world
        .running
        .change_settings(|s| s.wechat.control_chars = true);
    let target = format!("/wechat/cgi-bin/draft/batchget?access_token={token}");
    let answer = world.post(&target, &json!({"offset": 0, "count": 1})).await;
    assert!(answer.body.contains(&0x0b));
    assert!(serde_json::from_slice::<Value>(&answer.body).is_err());
}

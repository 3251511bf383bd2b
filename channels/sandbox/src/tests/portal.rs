//! weibo_cms.md §2.2 and §2.3: signatures, review, de-duplication, the public page.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Answer, World, multipart, world, world_with};
use crate::{Algorithm, Place, Platform, Review, Signing};

const ARTICLES: &str = "/portal/api/articles";

fn signature(key: &[u8], id: &str, time: i64, body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    let mac = mac.chain_update(format!("{id}.{time}.")).chain_update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

fn key() -> Vec<u8> {
    STANDARD
        .decode(crate::PORTAL_SECRET.strip_prefix("whsec_").unwrap())
        .unwrap()
}

async fn signed_at(
    world: &World,
    time: i64,
    (method, target): (&str, &str),
    id: &str,
    (kind, body): (&str, &[u8]),
) -> Answer {
    let (stamp, sign) = (time.to_string(), signature(&key(), id, time, body));
    let headers = [
        ("content-type", kind),
        ("webhook-id", id),
        ("webhook-timestamp", &stamp),
        ("webhook-signature", &sign),
    ];
    world.send(method, target, &headers, body).await.unwrap()
}

fn seconds(world: &World) -> i64 {
    use crate::Clock;
    world.clock.now_ms() / 1000
}

async fn call(world: &World, method: &str, target: &str, id: &str, body: &Value) -> Value {
    let bytes = if body.is_null() {
        Vec::new()
    } else {
        body.to_string().into_bytes()
    };
    let json = "application/json";
    signed_at(world, seconds(world), (method, target), id, (json, &bytes))
        .await
        .json()
}

fn article() -> Value {
    json!({
        "title": "关于印发通知的公告", "content": "<p>正文</p><script>x()</script>", "column": "tzgg",
        "source": "市发展改革委", "published_at": "2026-11-23 09:00", "key": "item-1",
        "link": "https://fgw.example.gov.cn/a/1.html",
    })
}

async fn create(world: &World, id: &str) -> Value {
    call(world, "POST", ARTICLES, id, &article()).await
}

#[test]
fn the_reference_vector_signs_as_published() {
    let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let sign = signature(
        &key,
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1_614_265_330,
        b"{\"test\": 2432232314}",
    );
    assert_eq!(sign, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[tokio::test]
async fn a_webhook_needs_a_good_signature_within_five_minutes() {
    let world = world().await;
    let now = seconds(&world);
    let body = article().to_string();
    let content = ("application/json", body.as_bytes());
    for (time, code) in [(now - 301, 40102), (now + 301, 40102), (now - 300, 0)] {
        let id = format!("id-{time}");
        let answer = signed_at(&world, time, ("POST", ARTICLES), &id, content).await;
        assert_eq!((answer.status, &answer.json()["code"]), (200, &json!(code)));
    }
    let (stamp, good) = (
        now.to_string(),
        signature(&key(), "id", now, body.as_bytes()),
    );
    let other = signature(b"another secret", "id", now, body.as_bytes());
    let both = format!("{other} v1a,x {good}");
    for (id, time, sign, code) in [
        ("id", stamp.as_str(), other.as_str(), 40101),
        ("id2", &stamp, &good, 40101),
        ("id", "soon", &good, 40101),
        ("id", &stamp, "", 40101),
        ("id", &stamp, &both, 0),
    ] {
        let headers = [
            ("webhook-id", id),
            ("webhook-timestamp", time),
            ("webhook-signature", sign),
        ];
        let answer = world
            .send("POST", ARTICLES, &headers, body.as_bytes())
            .await
            .unwrap();
        assert_eq!(answer.json()["code"], code, "{id} {sign}");
    }
    assert_eq!(world.post(ARTICLES, &article()).await.json()["code"], 40101);
}

#[tokio::test]
async fn a_repeated_delivery_is_answered_with_its_first_result() {
    let world = world().await;
    let first = create(&world, "one").await;
    world.clock.advance_seconds(60);
    assert_eq!(create(&world, "one").await, first);
    assert_eq!(world.running.public().len(), 1);
    let mut other = article();
    other["title"] = "另一篇".into();
    assert_eq!(
        call(&world, "POST", ARTICLES, "one", &other).await["code"],
        40901
    );
    world.clock.advance_seconds(86_400 - 60);
    assert_ne!(
        create(&world, "one").await["data"]["id"],
        first["data"]["id"]
    );
    world.clock.advance_seconds(3);
    assert_eq!(world.running.public()[0].copies, 2, "the window is over");
}

#[tokio::test]
async fn what_was_refused_is_not_remembered() {
    let world = world().await;
    let mut bad = article();
    bad["column"] = "nowhere".into();
    assert_eq!(
        call(&world, "POST", ARTICLES, "one", &bad).await["code"],
        40003
    );
    assert_eq!(create(&world, "one").await["code"], 0);
}

#[tokio::test]
async fn each_bad_article_has_its_code() {
    let world = world().await;
    for (field, value, code) in [
        ("title", json!(""), 40002),
        ("title", json!(["x"]), 40002),
        ("title", json!("字".repeat(121)), 40004),
        ("content", json!(null), 40002),
        ("column", json!("nowhere"), 40003),
        ("column", json!(101), 0),
        ("attachments", json!("x"), 40002),
        ("attachments", json!(["unknown"]), 40002),
        (
            "attachments",
            json!([{"name": "a", "url": "ftp://a"}]),
            40002,
        ),
        (
            "attachments",
            json!([{"name": "附件", "url": "https://a.example/1.pdf"}]),
            0,
        ),
    ] {
        let mut body = article();
        body[field] = value.clone();
        let id = format!("{field}{value}");
        assert_eq!(
            call(&world, "POST", ARTICLES, &id, &body).await["code"],
            code,
            "{field} {value}"
        );
    }
    let now = seconds(&world);
    let broken = ("application/json", b"{".as_slice());
    let answer = signed_at(&world, now, ("POST", ARTICLES), "broken", broken).await;
    assert_eq!(answer.json()["code"], 40001);
    let wrapped = json!({"type": "article.publish", "timestamp": "2026", "data": article()});
    assert_eq!(
        call(&world, "POST", ARTICLES, "wrapped", &wrapped).await["code"],
        0
    );
    assert_eq!(
        call(&world, "POST", "/portal/api/fly", "fly", &article()).await["code"],
        40400
    );
}

#[tokio::test]
async fn accepted_is_pending_then_adopted_then_published_with_an_address() {
    let world = world().await;
    let created = create(&world, "one").await["data"].clone();
    assert_eq!(
        (&created["status"], &created["url"]),
        (&json!("pending"), &json!(""))
    );
    let target = format!("{ARTICLES}/{}", created["id"].as_str().unwrap());
    let page = format!("/portal/articles/{}.html", created["id"].as_str().unwrap());
    assert_eq!(world.get(&page).await.status, 404);
    for (wait, status) in [(1, "adopted"), (1, "adopted"), (1, "published")] {
        world.clock.advance_seconds(wait);
        assert_eq!(
            call(&world, "GET", &target, "poll", &Value::Null).await["data"]["status"],
            status
        );
    }
    let shown = world.get(&page).await;
    assert_eq!(shown.status, 200);
    for words in [
        "关于印发通知的公告",
        "2026-11-23 09:00",
        "市发展改革委",
        "<p>正文</p>",
    ] {
        assert!(shown.text().contains(words), "{words}");
    }
    assert!(!shown.text().contains("x()"));
    let found = call(
        &world,
        "GET",
        &format!("{ARTICLES}?key=item-1"),
        "find",
        &Value::Null,
    )
    .await;
    assert_eq!(found["data"]["url"], format!("{}{page}", world.base()));
    let none = call(
        &world,
        "GET",
        &format!("{ARTICLES}?key=item-2"),
        "find",
        &Value::Null,
    )
    .await;
    assert_eq!(none["code"], 40401);
}

#[tokio::test]
async fn a_returned_article_has_a_reason_and_never_shows() {
    let world = world_with(|s| s.portal.review = Review::Return).await;
    let id = create(&world, "one").await["data"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    world.clock.advance_seconds(3);
    let target = format!("{ARTICLES}/{id}");
    let data = call(&world, "GET", &target, "poll", &Value::Null).await["data"].clone();
    assert_eq!(data["status"], "returned");
    assert!(!data["reason"].as_str().unwrap().is_empty());
    assert!(world.running.public().is_empty());
}

#[tokio::test]
async fn polls_may_be_what_the_review_waits_for_and_editors_may_decide() {
    let world = world_with(|s| {
        s.portal.publish_seconds = 0;
        s.portal.adopt_seconds = 9;
        s.portal.publish_polls = 2;
    })
    .await;
    let id = create(&world, "one").await["data"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let target = format!("{ARTICLES}/{id}");
    for status in ["pending", "pending", "published"] {
        assert_eq!(
            call(&world, "GET", &target, "poll", &Value::Null).await["data"]["status"],
            status
        );
    }
    world
        .running
        .change_settings(|s| s.portal.review = Review::Manual);
    let id = create(&world, "two").await["data"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    world.clock.advance_seconds(3600);
    assert_eq!(world.running.public().len(), 1);
    assert_eq!(
        world
            .form(&format!("/portal/office/{id}/publish"), &[])
            .await
            .status,
        303
    );
    assert_eq!(world.running.public().len(), 2);
}

#[tokio::test]
async fn an_update_is_reviewed_while_readers_keep_the_old_version() {
    let world = world().await;
    let id = create(&world, "one").await["data"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let target = format!("{ARTICLES}/{id}");
    world.clock.advance_seconds(3);
    let mut new = article();
    new["title"] = "更正后的公告".into();
    let updated = call(&world, "PUT", &target, "up", &new).await["data"].clone();
    assert_eq!(updated["status"], "pending");
    assert_eq!(world.running.public()[0].title, "关于印发通知的公告");
    world.clock.advance_seconds(3);
    let public = world.running.public();
    assert_eq!(
        (public.len(), public[0].title.as_str()),
        (1, "更正后的公告")
    );
    assert_eq!(public[0].first_visible_ms, super::MONDAY + 3000);
    assert_eq!(
        call(&world, "PUT", &format!("{ARTICLES}/none"), "x", &new).await["code"],
        40401
    );
}

#[tokio::test]
async fn a_withdrawn_article_is_gone_and_stays_so_however_often_it_is_asked() {
    let world = world().await;
    let id = create(&world, "one").await["data"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let target = format!("{ARTICLES}/{id}");
    world.clock.advance_seconds(3);
    for delivery in ["away", "away again"] {
        let data = call(&world, "DELETE", &target, delivery, &Value::Null).await;
        assert_eq!(
            (&data["code"], &data["data"]["status"]),
            (&json!(0), &json!("withdrawn"))
        );
    }
    assert_eq!(
        world
            .get(&format!("/portal/articles/{id}.html"))
            .await
            .status,
        410
    );
    assert_eq!(
        call(&world, "PUT", &target, "up", &article()).await["code"],
        40902
    );
    let withdrawn = world.applied(Platform::Portal);
    assert_eq!(
        withdrawn
            .iter()
            .filter(|what| *what == "article withdrawn")
            .count(),
        1
    );
}

#[tokio::test]
async fn files_are_taken_by_name_and_ending_and_offered_on_the_page() {
    let world = world().await;
    let kind = "multipart/form-data; boundary=cut";
    let mut file = Value::Null;
    for (disposition, bytes, code) in [
        ("name=\"file\"; filename=\"a.exe\"", b"x".as_slice(), 40005),
        ("name=\"file\"; filename=\"../a.pdf\"", b"x", 40005),
        ("name=\"other\"; filename=\"a.pdf\"", b"x", 40002),
        ("name=\"file\"; filename=\"a.pdf\"", b"", 41301),
        ("name=\"file\"; filename=\"附件 1.pdf\"", b"%PDF", 0),
    ] {
        let body = multipart(&[(disposition, bytes)]);
        let target = ("POST", "/portal/api/files");
        let now = seconds(&world);
        let answer = signed_at(&world, now, target, disposition, (kind, &body))
            .await
            .json();
        assert_eq!(answer["code"], code, "{disposition}");
        file = answer["data"].clone();
    }
    let mut with = article();
    with["attachments"] = json!([{"id": file["id"]}]);
    let id = call(&world, "POST", ARTICLES, "one", &with).await["data"]["id"].clone();
    world.clock.advance_seconds(3);
    let page = world
        .get(&format!("/portal/articles/{}.html", id.as_str().unwrap()))
        .await
        .text();
    assert!(page.contains("附件 1.pdf"));
    let url = file["url"].as_str().unwrap();
    assert_eq!(
        world
            .get(url.strip_prefix(&world.base()).unwrap())
            .await
            .body,
        b"%PDF"
    );
}

fn sha256(text: &str) -> String {
    Sha256::digest(text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<Vec<_>>()
        .concat()
}

#[tokio::test]
async fn sorted_parameters_are_verified_wherever_they_travel() {
    let secret = crate::PORTAL_SECRET;
    for place in [Place::Header, Place::Query, Place::Body] {
        let world = world_with(|s| {
            s.portal.signing = Signing::Sorted {
                algorithm: Algorithm::Sha256,
                place,
            };
        })
        .await;
        let time = seconds(&world).to_string();
        let text = format!(
            "appId=portal-sandbox&column=tzgg&content=c&nonce=n1&timestamp={time}&title=t&key={secret}"
        );
        let fields = [
            ("appId", "portal-sandbox"),
            ("timestamp", time.as_str()),
            ("nonce", "n1"),
            ("sign", &sha256(&text)),
        ];
        let mut body = json!({"title": "t", "content": "c", "column": "tzgg", "author": ""});
        let (mut target, mut headers) = (ARTICLES.to_owned(), Vec::new());
        match place {
            Place::Header => headers.extend(fields),
            Place::Query => target = format!("{ARTICLES}?{}", super::encode(&fields)),
            Place::Body => {
                for (name, value) in fields {
                    body[name] = value.into();
                }
            }
        }
        let bytes = body.to_string().into_bytes();
        let send = || world.send("POST", &target, &headers, &bytes);
        assert_eq!(send().await.unwrap().json()["code"], 0, "{place:?}");
        assert_eq!(
            send().await.unwrap().json()["code"],
            40103,
            "a nonce is good once"
        );
        world.running.change_settings(|s| s.portal.upper_hex = true);
        assert_eq!(send().await.unwrap().json()["code"], 40101);
    }
}

#[tokio::test]
async fn a_canonical_string_is_verified_and_the_key_travels_apart() {
    let world = world_with(|s| {
        // The provincial gateways' recipe: the body is not signed.
        s.portal.signing = Signing::Canonical {
            algorithm: Algorithm::Sha256,
            place: Place::Header,
            template: "{timestamp}{secret}{nonce}{timestamp}".into(),
        };
    })
    .await;
    let time = seconds(&world).to_string();
    let body = article().to_string();
    let mut ids = Vec::new();
    for nonce in ["n1", "n2"] {
        let sign = sha256(&format!("{time}{}{nonce}{time}", crate::PORTAL_SECRET));
        let headers = [
            ("appId", "portal-sandbox"),
            ("timestamp", &time),
            ("nonce", nonce),
            ("sign", &sign),
            ("idempotency-key", "same"),
        ];
        let answer = world
            .send("POST", ARTICLES, &headers, body.as_bytes())
            .await
            .unwrap()
            .json();
        ids.push(answer["data"]["id"].clone());
    }
    assert!(ids[0].is_string());
    assert_eq!(ids[0], ids[1], "the same key is the same article");
    let headers = [
        ("appId", "other"),
        ("timestamp", &*time),
        ("nonce", "n3"),
        ("sign", "x"),
    ];
    let answer = world
        .send("POST", ARTICLES, &headers, body.as_bytes())
        .await
        .unwrap();
    assert_eq!(answer.json()["code"], 40101);
}

#[tokio::test]
async fn every_algorithm_verifies_a_digest_computed_elsewhere() {
    let hmac_sha256 = "0d43727b5431b306d7fdc2fd5cbf39e1031e10f8a41c79dc69b81e55929ba3b8";
    let hmac_sm3 = "69154e7cbba9a8833d0ef949f65424fdc2368988fa1460e48180a286a935b234";
    let sm3 = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0";
    for (algorithm, sign) in [
        (Algorithm::Md5, "900150983cd24fb0d6963f7d28e17f72"),
        (Algorithm::Sha256, &sha256("abc")),
        (Algorithm::Sm3, sm3),
        (Algorithm::HmacSha256, hmac_sha256),
        (Algorithm::HmacSm3, hmac_sm3),
    ] {
        let world = world_with(|s| {
            let (place, template) = (Place::Header, "abc".into());
            s.portal.signing = Signing::Canonical {
                algorithm,
                place,
                template,
            };
        })
        .await;
        let time = seconds(&world).to_string();
        for (sign, code) in [(sign, 0), ("0", 40101)] {
            let headers = [
                ("appId", "portal-sandbox"),
                ("timestamp", time.as_str()),
                ("nonce", "n"),
                ("sign", sign),
            ];
            let body = article().to_string();
            let answer = world
                .send("POST", ARTICLES, &headers, body.as_bytes())
                .await
                .unwrap();
            assert_eq!(answer.json()["code"], code, "{algorithm:?}");
        }
    }
}

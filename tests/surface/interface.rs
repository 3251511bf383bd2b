//! The HTTP interface, as a program of another house meets it.

use reqwest::{Response, StatusCode, header};
use serde_json::{Value, json};

use crate::desk::{self, id};
use crate::office::{Office, SITE, TOKEN};

/// Every refusal has this shape, whoever refuses.
async fn problem(answer: Response, status: StatusCode) -> Value {
    assert_eq!(answer.status(), status);
    assert_eq!(
        answer.headers()[header::CONTENT_TYPE],
        "application/problem+json"
    );
    let told: Value = json_of(answer).await;
    assert_eq!(told["status"], status.as_u16());
    for key in ["type", "title", "detail", "detail_en"] {
        assert!(
            told[key].as_str().is_some_and(|text| !text.is_empty()),
            "{told}"
        );
    }
    told
}

fn notice(title: &str, body: &str) -> Value {
    json!({ "title": title, "category": "0604", "scope": "public", "body": body })
}

async fn json_of(answer: Response) -> Value {
    let text = answer.text().await.expect("a text");
    serde_json::from_str(&text).expect("JSON")
}

async fn send(request: reqwest::RequestBuilder) -> Response {
    request.send().await.expect("it answers")
}

async fn take(office: &Office, key: &str, body: &Value) -> Response {
    send(
        office
            .post("/v1/items")
            .header("content-type", "application/json")
            .header("idempotency-key", key)
            .body(body.to_string()),
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_has_the_token_comes_in_and_health_is_open() {
    let office = Office::open("").await;
    let bare = |path: &str| office.http.get(format!("http://{}{path}", office.api));
    for path in [
        "/v1/items",
        "/v1/deliveries",
        "/v1/channels",
        "/v1/schedules",
        "/",
        "/assets/lubu.css",
    ] {
        problem(send(bare(path)).await, StatusCode::UNAUTHORIZED).await;
        let wrong = send(bare(path).bearer_auth("guess")).await;
        assert!(wrong.headers().contains_key(header::WWW_AUTHENTICATE));
        problem(wrong, StatusCode::UNAUTHORIZED).await;
        let empty = send(bare(path).bearer_auth("")).await;
        problem(empty, StatusCode::UNAUTHORIZED).await;
        let right = send(bare(path).bearer_auth(TOKEN)).await;
        assert_eq!(right.status(), StatusCode::OK, "{path}");
        let browser = send(bare(path).basic_auth("anyone", Some(TOKEN))).await;
        assert_eq!(browser.status(), StatusCode::OK, "{path}");
    }
    let handed_in = office.http.post(format!("http://{}/v1/items", office.api));
    problem(send(handed_in.body("{}")).await, StatusCode::UNAUTHORIZED).await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(send(bare(path)).await.status(), StatusCode::OK, "{path}");
    }
    let figures = send(bare("/metrics")).await;
    assert!(
        figures.headers()[header::CONTENT_TYPE]
            .to_str()
            .expect("ASCII")
            .starts_with("text/plain")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn deciding_is_refused_over_tcp() {
    let office = Office::open("").await;
    let item = office.notice("通知", "停水通知", "明日停水检修。");
    let paths = [
        format!("/v1/items/{item}/approval"),
        format!("/v1/items/{item}/withdrawal"),
        format!("/v1/deliveries/{item}:{SITE}/retry"),
        format!("/v1/deliveries/{item}:{SITE}/confirm"),
        "/v1/channels/check".to_owned(),
        format!("/v1/channels/{SITE}/pause"),
        format!("/v1/channels/{SITE}/resume"),
    ];
    for path in paths {
        let body = json!({ "by": "路人", "opinion": "同意", "reason": "无" });
        let request = office
            .post(&path)
            .header("content-type", "application/json")
            .body(body.to_string());
        let told = problem(send(request).await, StatusCode::FORBIDDEN).await;
        assert!(
            told["detail"]
                .as_str()
                .is_some_and(|text| text.contains("lubu")),
            "{told}"
        );
    }
    let shown = office.json(&["show", &item]);
    assert_eq!(shown["item"]["approved_revision"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_makes_one_item_and_another_body_is_refused() {
    let office = Office::open("").await;
    let body = notice("防汛通知", "各单位落实值班。");
    let first = take(&office, "oa-2026-0001", &body).await;
    assert_eq!(first.status(), StatusCode::CREATED);
    let first: Value = json_of(first).await;
    assert_eq!(first["id"], first["item"]);
    assert_eq!(first["known"], false);
    let second = take(&office, "oa-2026-0001", &body).await;
    assert_eq!(second.status(), StatusCode::OK);
    let second: Value = json_of(second).await;
    assert_eq!(second["id"], first["id"]);
    assert_eq!(second["known"], true);
    let other = take(&office, "oa-2026-0001", &notice("防汛通知", "另一份。")).await;
    problem(other, StatusCode::CONFLICT).await;
    // The same content under another key is the item that is there.
    let same = take(&office, "oa-2026-0002", &body).await;
    assert_eq!(same.status(), StatusCode::OK);
    let listed: Value = json_of(send(office.get("/v1/items")).await).await;
    assert_eq!(listed["items"].as_array().expect("a list").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_files_is_taken_with_its_picture_and_attachment() {
    let office = Office::open("").await;
    let text = desk::text(
        "重大项目进展",
        "attachments = [\"附表.csv\"]",
        "![现场](现场.png)",
    );
    let (kind, body) = form(&[
        ("item.md", text.as_bytes()),
        ("现场.png", &desk::picture()),
        ("附表.csv", "项目,进度\n".as_bytes()),
    ]);
    let request = office
        .post("/v1/items?by=OA")
        .header("content-type", kind)
        .body(body);
    let taken = send(request).await;
    assert_eq!(taken.status(), StatusCode::CREATED);
    let item = id(&json_of(taken).await);
    let shown = send(office.get(&format!("/v1/items/{item}/preview?channel={SITE}"))).await;
    assert_eq!(shown.status(), StatusCode::OK);
    let shown = shown.text().await.expect("a text");
    assert!(shown.contains("附表") && shown.contains("<img"), "{shown}");
    let story = office.json(&["show", &item]);
    assert_eq!(story["revisions"][0]["by"], "OA");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_answer_names_every_problem_with_its_place() {
    let office = Office::open("").await;
    let body = json!({
        "category": "没有的类别",
        "body": "![图](没有的.png)",
        "scope": "全世界",
        "formed_on": "2026-13-45",
        "attachments": [{ "name": "坏.exe", "base64": "TVo=" }],
    });
    let told = problem(
        take(&office, "k", &body).await,
        StatusCode::UNPROCESSABLE_ENTITY,
    )
    .await;
    let problems = told["problems"].as_array().expect("a list");
    assert!(problems.len() >= 5, "{told:#}");
    for one in problems {
        assert!(
            one["place"].as_str().is_some_and(|place| !place.is_empty()),
            "{one}"
        );
    }
    let all = told.to_string();
    for said in [
        "title",
        "没有的类别",
        "没有的.png",
        "全世界",
        "2026-13-45",
        "坏.exe",
    ] {
        assert!(all.contains(said), "{said} is not named: {told:#}");
    }
    let listed: Value = json_of(send(office.get("/v1/items")).await).await;
    assert_eq!(listed["items"], json!([]));
    // The command line says the same, and keeps to stderr.
    let path = office.write("坏.json", body.to_string());
    let why = office
        .lubu(&["submit", path.to_str().expect("UTF-8")])
        .refused();
    assert!(why.contains("全世界") || why.contains("json"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_refused_in_the_same_shape() {
    let office = Office::open("").await;
    let json_kind = "application/json";
    let large = vec![b'a'; 4 << 20];
    let post = |kind: &'static str, body: Vec<u8>| {
        office
            .post("/v1/items")
            .header("content-type", kind)
            .body(body)
    };
    problem(
        send(post(json_kind, large)).await,
        StatusCode::PAYLOAD_TOO_LARGE,
    )
    .await;
    let form = "multipart/form-data; boundary=x";
    problem(
        send(post(form, b"no form".to_vec())).await,
        StatusCode::BAD_REQUEST,
    )
    .await;
    let unknown = send(post("application/pdf", b"%PDF".to_vec())).await;
    problem(unknown, StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    for (path, status) in [
        ("/v1/items?cursor=nonsense", StatusCode::BAD_REQUEST),
        ("/v1/items?limit=many", StatusCode::BAD_REQUEST),
        ("/v1/items?colour=red", StatusCode::BAD_REQUEST),
        ("/v1/deliveries?state=lost", StatusCode::BAD_REQUEST),
        ("/v1/deliveries?channel=电视台", StatusCode::NOT_FOUND),
        ("/v1/items/0192", StatusCode::NOT_FOUND),
        ("/v1/nothing", StatusCode::NOT_FOUND),
    ] {
        let told = problem(send(office.get(path)).await, status).await;
        assert!(
            !told["detail"].as_str().unwrap_or_default().is_ascii(),
            "{path} {told}"
        );
    }
    let wrong = office
        .http
        .put(format!("http://{}/v1/items", office.api))
        .bearer_auth(TOKEN);
    problem(send(wrong).await, StatusCode::METHOD_NOT_ALLOWED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_paged_by_cursor_without_gap_or_twin() {
    let office = Office::open("").await;
    let mut made = Vec::new();
    for number in 1..=5 {
        let answer = take(
            &office,
            &format!("k{number}"),
            &notice(&format!("通知{number}"), &format!("第{number}号。")),
        )
        .await;
        made.push(id(&json_of(answer).await));
    }
    made.reverse();
    let mut seen = Vec::new();
    let mut path = "/v1/items?limit=2".to_owned();
    loop {
        let page: Value = json_of(send(office.get(&path)).await).await;
        let rows = page["items"].as_array().expect("a list");
        assert!(rows.len() <= 2);
        seen.extend(
            rows.iter()
                .map(|row| row["id"].as_str().expect("a string").to_owned()),
        );
        for row in rows {
            let at = row["received_at"].as_str().expect("a string");
            assert!(
                at.parse::<chrono::DateTime<chrono::Utc>>().is_ok() && at.ends_with('Z'),
                "{at}"
            );
        }
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/v1/items?limit=2&cursor={next}");
    }
    assert_eq!(seen, made, "newest first, each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_escape_what_items_say_and_load_nothing_from_elsewhere() {
    let office = Office::open("").await;
    let title = "关于<script>alert(1)</script>的\"通知\"";
    let answer = take(&office, "k", &notice(title, "正文。")).await;
    let item = id(&json_of(answer).await);
    office.json(&[
        "approve",
        &item,
        "--by",
        "<b>陈</b>主任",
        "--opinion",
        "<img src=x>",
    ]);
    office.reaches(&item, SITE, "published").await;
    for path in ["/".to_owned(), format!("/items/{item}")] {
        let page = send(office.get(&path)).await;
        let headers = page.headers();
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["x-frame-options"], "DENY");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert_eq!(headers["cache-control"], "no-store");
        let policy = headers["content-security-policy"].to_str().expect("ASCII");
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("script-src"),
            "{policy}"
        );
        let html = page.text().await.expect("a text");
        assert!(html.contains("关于"), "{html}");
        for raw in ["<script", "<img src=x", "<b>陈"] {
            assert!(!html.contains(raw), "{raw} in {html}");
        }
    }
    let shown = send(office.get(&format!("/v1/items/{item}/preview?channel={SITE}"))).await;
    let policy = shown.headers()["content-security-policy"]
        .to_str()
        .expect("ASCII")
        .to_owned();
    assert!(policy.contains("sandbox"), "{policy}");
    assert!(
        !shown
            .text()
            .await
            .expect("a text")
            .contains("<script>alert")
    );
}

/// A multipart form by hand: the client of this crate is built without one.
fn form(files: &[(&str, &[u8])]) -> (&'static str, Vec<u8>) {
    let mut body = Vec::new();
    for (name, bytes) in files {
        let head = format!(
            "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--edge--\r\n");
    ("multipart/form-data; boundary=edge", body)
}

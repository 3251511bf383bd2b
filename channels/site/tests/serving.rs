//! What the small server gives out, and what it keeps to itself.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use http::{HeaderMap, HeaderValue, Method, Response, Uri};

use super::super::{Core, serve};
use super::pages::core;
use super::samples::go;
use crate::conformance::sample;
use crate::contract::{Channel, Goal, Manual};

struct Served {
    home: tempfile::TempDir,
    channel: Arc<dyn Channel>,
    core: Arc<Core>,
    clock: Arc<Manual>,
}

async fn served() -> Served {
    let home = tempfile::tempdir().unwrap();
    let channel = super::build(home.path(), super::settings(&toml::Table::new())).unwrap();
    let clock = Arc::default();
    go(&channel, &clock, &sample::document(1), Goal::Publish, "k1").await;
    std::fs::write(home.path().join("public/.secret"), "no").unwrap();
    std::fs::write(home.path().join("outside.html"), "no").unwrap();
    let core = Arc::new(core(home.path()));
    Served {
        home,
        channel,
        core,
        clock,
    }
}

impl Served {
    async fn ask(&self, method: Method, path: &str, known: Option<&HeaderValue>) -> Response<Body> {
        let uri: Uri = path.parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.extend(known.map(|tag| (http::header::IF_NONE_MATCH, tag.clone())));
        serve::answer(State(Arc::clone(&self.core)), method, uri, headers).await
    }

    async fn get(&self, path: &str) -> Response<Body> {
        self.ask(Method::GET, path, None).await
    }

    fn path(&self) -> String {
        let address = self
            .channel
            .pages()
            .unwrap()
            .address(&sample::document(1).item);
        address
            .trim_start_matches("https://fgw.example.gov.cn")
            .to_owned()
    }
}

async fn text(response: Response<Body>) -> String {
    let bytes = to_bytes(response.into_body(), 1 << 24).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn pages_are_given_out_with_their_kind_and_not_twice() {
    let site = served().await;
    let first = site.get(&site.path()).await;
    assert_eq!(first.status(), 200);
    assert_eq!(first.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(first.headers()["x-content-type-options"], "nosniff");
    let tag = first.headers()["etag"].clone();
    assert!(text(first).await.contains("ArticleTitle"));
    let again = site.ask(Method::GET, &site.path(), Some(&tag)).await;
    assert_eq!(again.status(), 304);
    assert_eq!(text(again).await, "");
    let head = site.ask(Method::HEAD, &site.path(), None).await;
    assert_eq!(head.status(), 200);
    assert_eq!(text(head).await, "");
    assert_eq!(site.get("/").await.status(), 200);
    assert_eq!(site.get("/c/0604").await.headers()["location"], "/c/0604/");
    let feed = site.get("/feed.xml").await;
    assert_eq!(
        feed.headers()["content-type"],
        "application/atom+xml; charset=utf-8"
    );
}

#[tokio::test]
async fn nothing_outside_and_nothing_hidden_is_given_out() {
    let site = served().await;
    let record = format!("/.items/{}.json", sample::document(1).item);
    assert!(site.home.path().join("public").join(&record[1..]).exists());
    for path in [
        record.as_str(),
        "/%2eitems/",
        "/.secret",
        "/../outside.html",
        "/t/../../outside.html",
        "/%2e%2e/outside.html",
        "/..%2foutside.html",
        "//etc/passwd",
        "/t/",
        "/t",
        "/t%00.html",
        "/%zz",
        "/nothing.html",
    ] {
        let answer = site.get(path).await;
        assert_eq!(answer.status(), 404, "{path}");
        assert!(text(answer).await.contains("没有找到这个页面"), "{path}");
    }
    assert_eq!(site.ask(Method::POST, "/", None).await.status(), 405);
}

#[tokio::test]
async fn a_withdrawn_page_is_gone_and_says_so() {
    let site = served().await;
    let document = sample::document(1);
    go(&site.channel, &site.clock, &document, Goal::Withdraw, "k2").await;
    let answer = site.get(&site.path()).await;
    assert_eq!(answer.status(), 410);
    assert!(text(answer).await.contains("该信息已撤回"));
}

//! The one HTTP client.
//!
//! Everything that a general client does to be helpful is off: no redirects (they re-post bodies
//! and leak tokens), no Referer, no cookies, no environment proxy, no retries. A request marked
//! `fresh` gets a connection of its own, since a pooled one may die under it and leave the outcome
//! unknown. Replies are read piece by piece against a cap that counts decoded bytes.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, ClientBuilder, redirect};

use crate::contract::{Body, Reply, Request, Transport, Trouble};
use crate::kit::form;
use crate::planted::{Bug, bug};

/// Talks to the platforms named in the configuration, loopback included.
#[derive(Debug, Clone)]
pub struct Http {
    pooled: Client,
    fresh: Client,
    guard: Guard,
}

/// Which addresses may be dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// Any: the operator named them.
    Named,
    /// Public ones only: content named them.
    Public,
}

/// Settings of the client; the configuration's `[http]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpOptions {
    /// `http://host:port`, without credentials.
    pub proxy: Option<String>,
    pub connect_within: Duration,
    /// Shown to platforms as `User-Agent`.
    pub agent: String,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            proxy: None,
            connect_within: Duration::from_secs(10),
            agent: concat!("lubu/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// The client could not be built.
#[derive(Debug, thiserror::Error)]
#[error("build the HTTP client: {0}")]
pub struct BadHttp(String);

impl Http {
    /// For platforms that the configuration names.
    pub fn new(options: &HttpOptions) -> Result<Self, BadHttp> {
        Self::build(options, Guard::Named)
    }

    /// For addresses that content names: loopback, private and link-local hosts are refused at the
    /// address that is dialled, not at a name looked up before.
    pub fn guarded(options: &HttpOptions) -> Result<Self, BadHttp> {
        Self::build(options, Guard::Public)
    }

    fn build(options: &HttpOptions, guard: Guard) -> Result<Self, BadHttp> {
        install_provider();
        let pooled = base(options, guard)?.build().map_err(bad)?;
        let fresh = base(options, guard)?
            .pool_max_idle_per_host(0)
            .build()
            .map_err(bad)?;
        Ok(Self {
            pooled,
            fresh,
            guard,
        })
    }
}

/// Chooses rustls' cryptography once a process; a second call changes nothing.
pub fn install_provider() {
    let _already = rustls::crypto::ring::default_provider().install_default();
}

fn base(options: &HttpOptions, guard: Guard) -> Result<ClientBuilder, BadHttp> {
    let mut builder = Client::builder()
        .user_agent(options.agent.clone())
        .redirect(if bug(Bug::B13) {
            redirect::Policy::default()
        } else {
            redirect::Policy::none()
        })
        .referer(false)
        .no_proxy()
        .retry(reqwest::retry::never())
        .http1_only()
        .tcp_nodelay(true)
        .connect_timeout(options.connect_within);
    if let Some(proxy) = &options.proxy {
        builder = builder.proxy(reqwest::Proxy::all(proxy).map_err(bad)?);
    }
    if guard == Guard::Public {
        builder = builder.dns_resolver(Arc::new(PublicOnly));
    }
    Ok(builder)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape `map_err` wants")]
fn bad(error: reqwest::Error) -> BadHttp {
    BadHttp(told(&error))
}

#[async_trait]
impl Transport for Http {
    async fn send(&self, request: Request) -> Result<Reply, Trouble> {
        if self.guard == Guard::Public {
            refuse_literal(&request.url)?;
        }
        let client = if request.fresh {
            &self.fresh
        } else {
            &self.pooled
        };
        let cap = request.cap;
        let within = request.within;
        let exchange = async { read(build(client, request)?.send().await, cap).await };
        match tokio::time::timeout(within, exchange).await {
            Ok(done) => done,
            Err(_) => Err(Trouble::Lost(format!(
                "nothing complete within {} s",
                within.as_secs()
            ))),
        }
    }
}

fn build(client: &Client, request: Request) -> Result<reqwest::RequestBuilder, Trouble> {
    let url = reqwest::Url::parse(&request.url)
        .map_err(|error| Trouble::Forbidden(format!("not an address: {error}")))?;
    let mut builder = client.request(request.method, url);
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    builder = match request.body {
        Body::Empty => builder,
        Body::Bytes { mime, bytes } => builder.header("content-type", mime).body(bytes),
        Body::Multipart(parts) => {
            let form = form::encode(&parts);
            builder.header("content-type", form.mime).body(form.bytes)
        }
    };
    Ok(builder)
}

async fn read(
    sent: Result<reqwest::Response, reqwest::Error>,
    cap: usize,
) -> Result<Reply, Trouble> {
    let mut response = sent.map_err(|error| trouble(&error))?;
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let mut body = Vec::new();
    while let Some(piece) = response
        .chunk()
        .await
        .map_err(|error| Trouble::Lost(told(&error)))?
    {
        if body.len() + piece.len() > cap {
            return Err(Trouble::TooLarge(cap));
        }
        body.extend_from_slice(&piece);
    }
    Ok(Reply {
        status,
        headers,
        body,
    })
}

fn trouble(error: &reqwest::Error) -> Trouble {
    let text = told(error);
    if error.is_builder() {
        return Trouble::Forbidden(text);
    }
    if error.is_connect() {
        return if text.contains(REFUSED) {
            Trouble::Forbidden(text)
        } else {
            Trouble::NotSent(text)
        };
    }
    Trouble::Lost(text)
}

/// The error and its causes, without the address, which may hold a token.
fn told(error: &reqwest::Error) -> String {
    let mut text = match (error.is_timeout(), error.is_connect()) {
        (true, true) => "connecting took too long".to_owned(),
        (true, false) => "timed out".to_owned(),
        (false, true) => "connect failed".to_owned(),
        (false, false) => "exchange failed".to_owned(),
    };
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

const REFUSED: &str = "no public address";

/// Resolves names, and keeps public addresses only.
#[derive(Debug)]
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|at| is_public(at.ip())).collect();
            if public.is_empty() {
                return Err(format!("{host}: {REFUSED}").into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// An address written as a number never reaches the resolver.
fn refuse_literal(url: &str) -> Result<(), Trouble> {
    let url = reqwest::Url::parse(url)
        .map_err(|error| Trouble::Forbidden(format!("not an address: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Trouble::Forbidden(format!("scheme `{}`", url.scheme())));
    }
    let literal = match url.host() {
        Some(url::Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
        Some(url::Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
        Some(url::Host::Domain(_)) | None => None,
    };
    match literal {
        Some(ip) if !is_public(ip) => Err(Trouble::Forbidden(format!("{ip}: {REFUSED}"))),
        _ => Ok(()),
    }
}

/// Whether an address belongs to the open network: not loopback, private, link-local, shared,
/// documentation, multicast or unspecified, in either family or mapped into the other.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            !(ip.is_loopback()
                || ip.is_private()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_broadcast()
                || ip.is_multicast()
                || ip.is_documentation()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a == 198 && (b == 18 || b == 19))
                || (a == 192 && b == 0))
        }
        IpAddr::V6(ip) => {
            if let Some(mapped) = ip.to_ipv4() {
                return is_public(IpAddr::V4(mapped));
            }
            let first = ip.segments()[0];
            !(ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_multicast()
                || (first & 0xfe00) == 0xfc00
                || (first & 0xffc0) == 0xfe80
                || first == 0x2002
                || (first == 0x64 && ip.segments()[1] == 0xff9b)
                || (first == 0x2001 && ip.segments()[1] == 0)
                || (first == 0x2001 && ip.segments()[1] == 0xdb8))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_not_public_in_any_spelling() {
        for text in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "224.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in ["8.8.8.8", "2400:3200::1", "1.1.1.1"] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn an_address_named_by_content_cannot_reach_this_machine() {
        for url in [
            "http://127.0.0.1/x",
            "http://[::1]/",
            "http://0x7f.1/",
            "file:///etc/passwd",
        ] {
            assert!(
                matches!(refuse_literal(url), Err(Trouble::Forbidden(_))),
                "{url}"
            );
        }
        assert!(refuse_literal("https://example.com/a.png").is_ok());
    }

    #[tokio::test]
    async fn a_refused_connection_is_known_not_to_be_sent_and_names_no_query() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let http = Http::new(&HttpOptions::default()).unwrap();
        let url = format!("http://{closed}/cgi-bin/draft/add?access_token=very-secret");
        let trouble = http
            .send(Request::new(http::Method::POST, url))
            .await
            .unwrap_err();
        assert!(!trouble.was_sent(), "{trouble}");
        assert!(!trouble.to_string().contains("very-secret"));
    }

    #[tokio::test]
    async fn a_redirect_is_a_reply_and_nobody_follows_it() {
        use std::sync::atomic::{AtomicUsize, Ordering};

        use axum::response::Redirect;
        use axum::routing::post;

        let followed = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&followed);
        let elsewhere = move || async move {
            counter.fetch_add(1, Ordering::SeqCst);
        };
        let routes = axum::Router::new()
            .route(
                "/here",
                post(|| async { Redirect::temporary("/elsewhere") }),
            )
            .route("/elsewhere", post(elsewhere));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = format!("http://{}/here", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let http = Http::new(&HttpOptions::default()).unwrap();
        let reply = http.send(Request::new(http::Method::POST, here)).await;
        assert_eq!(reply.map(|reply| reply.status).unwrap(), 307);
        assert_eq!(followed.load(Ordering::SeqCst), 0);
    }
}

//! How an adapter talks to its platform.
//!
//! A trait, so that tests need no socket and no adapter can reach the network in another way. The
//! one real implementation is [`crate::kit::http`]. Bodies are buffered: every request has a
//! `Content-Length`, every reply has a cap, counted after decoding.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, Method};

#[async_trait]
pub trait Transport: Send + Sync + fmt::Debug {
    /// Sends one request, once. Follows no redirect, keeps no cookie, never tries again.
    async fn send(&self, request: Request) -> Result<Reply, Trouble>;
}

/// One request. `Debug` shows method and path, never query, headers or body.
#[derive(Clone)]
pub struct Request {
    pub method: Method,
    /// Absolute. May hold a token in its query, so it is never printed whole.
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Body,
    /// A new connection: for steps whose repeat would be seen.
    pub fresh: bool,
    /// Most bytes of a reply after decoding.
    pub cap: usize,
    /// From the first byte sent to the last received.
    pub within: Duration,
}

impl Request {
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self {
            method,
            url: url.into(),
            headers: Vec::new(),
            body: Body::Empty,
            fresh: false,
            cap: 2 << 20,
            within: Duration::from_secs(30),
        }
    }

    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    #[must_use]
    pub fn body(mut self, mime: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = Body::Bytes {
            mime: mime.into(),
            bytes: bytes.into(),
        };
        self
    }

    #[must_use]
    pub fn parts(mut self, parts: Vec<Part>) -> Self {
        self.body = Body::Multipart(parts);
        self
    }

    #[must_use]
    pub fn fresh(mut self) -> Self {
        self.fresh = true;
        self
    }

    /// The address without its query, fit for logs.
    pub fn place(&self) -> &str {
        self.url.split('?').next().unwrap_or_default()
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.place())
    }
}

/// `Debug` shows kind and size only.
#[derive(Clone)]
pub enum Body {
    Empty,
    Bytes { mime: String, bytes: Vec<u8> },
    Multipart(Vec<Part>),
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Bytes { mime, bytes } => write!(f, "Bytes({mime}, {} B)", bytes.len()),
            Self::Multipart(parts) => f.debug_tuple("Multipart").field(parts).finish(),
        }
    }
}

/// One part of a multipart form. `Debug` shows no content.
#[derive(Clone)]
pub struct Part {
    pub name: String,
    /// ASCII only: platforms do not understand the extended form.
    pub file: Option<String>,
    pub mime: Option<String>,
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Part({}, {} B)", self.name, self.bytes.len())
    }
}

#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Why there is no reply. The text names no query and no header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Name lookup, connect or TLS handshake: no byte of the request left.
    #[error("no connection: {0}")]
    NotSent(String),
    /// The address is one this request must not reach.
    #[error("address refused: {0}")]
    Forbidden(String),
    /// Anything after that. The request may have been applied.
    #[error("no answer: {0}")]
    Lost(String),
    /// The reply is larger than the cap. The request may have been applied.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

impl Trouble {
    pub fn was_sent(&self) -> bool {
        match self {
            Self::NotSent(_) | Self::Forbidden(_) => false,
            Self::Lost(_) | Self::TooLarge(_) => true,
        }
    }
}

//! HTTP/1.1 by hand, because faults need what a server library hides.
//!
//! A reset between head and body, half an answer, bytes that are no HTTP and the raw
//! request body are all things the sandbox must be able to do or see. Only the head
//! is parsed by a library. One request at a time per connection, no pipelining beyond
//! what stays in the buffer. Units: sizes in bytes.

use std::fmt::Display;
use std::io::{self, ErrorKind};
use std::net::IpAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HEAD_MAX: usize = 64 << 10;
const BODY_MAX: usize = 40 << 20;

/// How the request says where its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(usize),
    Chunked,
    /// Neither a length nor chunks.
    Unsaid,
}

/// One request, whole and raw.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub framing: Framing,
    pub body: Vec<u8>,
    pub peer: IpAddr,
    /// Reads do not see what is newer than this.
    pub lag_ms: i64,
    /// The platform runs the call a second time by itself: its guards against repeats are asleep.
    pub twin: bool,
}

impl Call {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn param(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn is(&self, method: &str) -> bool {
        self.method == method
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// The platform's own code, for the ledger.
    pub code: Option<String>,
}

impl Reply {
    pub fn new(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type", kind.to_owned())];
        Self {
            status,
            headers,
            body: body.into(),
            code: None,
        }
    }

    pub fn json(status: u16, value: &serde_json::Value) -> Self {
        Self::new(status, "application/json; charset=utf-8", value.to_string())
    }

    pub fn html(status: u16, page: String) -> Self {
        let mut reply = Self::new(status, "text/html; charset=utf-8", page);
        let policy = "default-src 'none'; img-src 'self' http: https:; style-src 'unsafe-inline'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
        reply
            .headers
            .push(("content-security-policy", policy.to_owned()));
        reply.headers.push(("cache-control", "no-store".to_owned()));
        reply
    }

    pub fn see_other(location: &str) -> Self {
        Self::new(303, "text/plain", "").with("location", location)
    }

    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    #[must_use]
    pub fn coded(mut self, code: impl Display) -> Self {
        self.code = Some(code.to_string());
        self
    }

    /// Head and body as they go on the wire.
    pub fn bytes(&self, keep: bool) -> (Vec<u8>, Vec<u8>) {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            let clean: String = value.chars().filter(|c| !c.is_control()).collect();
            head.extend([*name, ": ", &clean, "\r\n"]);
        }
        let length = self.body.len().to_string();
        let end = if keep { "keep-alive" } else { "close" };
        head.extend([
            "content-length: ",
            &length,
            "\r\nconnection: ",
            end,
            "\r\n\r\n",
        ]);
        (head.into_bytes(), self.body.clone())
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        410 => "Gone",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}

fn bad(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

/// A connection with what was read ahead of need.
#[derive(Debug)]
pub(crate) struct Conn {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

impl Conn {
    pub fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        self.buffer.reserve(16 << 10);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    fn take(&mut self, bytes: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(bytes.min(self.buffer.len()));
        std::mem::replace(&mut self.buffer, rest)
    }

    /// The next request's head as a call without body; `None` when the peer has left.
    pub async fn head(&mut self, peer: IpAddr) -> io::Result<Option<Call>> {
        loop {
            if let Some(call) = self.parse_head(peer)? {
                return Ok(Some(call));
            }
            if self.buffer.len() > HEAD_MAX {
                return Err(bad("the head is too long"));
            }
            let fresh = self.buffer.is_empty();
            match self.fill().await {
                Ok(()) => {}
                Err(_) if fresh => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    fn parse_head(&mut self, peer: IpAddr) -> io::Result<Option<Call>> {
        let mut slots = [httparse::EMPTY_HEADER; 96];
        let mut request = httparse::Request::new(&mut slots);
        let parsed = request
            .parse(&self.buffer)
            .map_err(|_| bad("the head is no HTTP"))?;
        let httparse::Status::Complete(length) = parsed else {
            return Ok(None);
        };
        let headers: Vec<_> = request
            .headers
            .iter()
            .map(|h| {
                (
                    h.name.to_ascii_lowercase(),
                    String::from_utf8_lossy(h.value).into_owned(),
                )
            })
            .collect();
        let target = request.path.unwrap_or("/").to_owned();
        let (path, raw_query) = target.split_once('?').unwrap_or((&target, ""));
        let query = url::form_urlencoded::parse(raw_query.as_bytes())
            .into_owned()
            .collect();
        let path = percent_encoding::percent_decode_str(path)
            .decode_utf8_lossy()
            .into_owned();
        let call = Call {
            method: request.method.unwrap_or("GET").to_owned(),
            path,
            query,
            framing: framing(&headers)?,
            headers,
            body: Vec::new(),
            peer,
            lag_ms: 0,
            twin: false,
        };
        self.take(length);
        Ok(Some(call))
    }

    /// Reads the first `share` (in percent) of the body; 100 is all of it.
    pub async fn body(&mut self, call: &Call, share: usize) -> io::Result<Vec<u8>> {
        if call
            .header("expect")
            .is_some_and(|e| e.eq_ignore_ascii_case("100-continue"))
        {
            self.stream
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                .await?;
        }
        match call.framing {
            Framing::Unsaid => Ok(Vec::new()),
            Framing::Length(length) if length > BODY_MAX => Err(bad("the body is too long")),
            Framing::Length(length) => self.exactly(length * share / 100).await,
            Framing::Chunked => self.chunks().await,
        }
    }

    async fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.fill().await?;
        }
        Ok(self.take(length))
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.take(end + 2);
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.buffer.len() > HEAD_MAX {
                return Err(bad("a chunk has no size"));
            }
            self.fill().await?;
        }
    }

    async fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(|_| bad("a chunk has no size"))?;
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(body);
            }
            if size > BODY_MAX || body.len() + size > BODY_MAX {
                return Err(bad("the body is too long"));
            }
            body.extend(self.exactly(size).await?);
            self.exactly(2).await?;
        }
    }

    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Closes with RST: what is unsent is thrown away and the peer's next read fails.
    pub fn reset(self) {
        if let Err(error) = self.stream.set_zero_linger() {
            tracing::warn!(%error, "the connection is closed politely: no zero linger");
        }
    }
}

fn framing(headers: &[(String, String)]) -> io::Result<Framing> {
    let find = |name: &str| {
        headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    };
    if find("transfer-encoding").is_some_and(|value| value.to_ascii_lowercase().contains("chunked"))
    {
        return Ok(Framing::Chunked);
    }
    match find("content-length") {
        None => Ok(Framing::Unsaid),
        Some(value) => value
            .trim()
            .parse()
            .map(Framing::Length)
            .map_err(|_| bad("no content length")),
    }
}

//! Talking to the daemon over its socket.

use std::path::PathBuf;

use lubu::service::Problem;
use lubu::service::opening::OPENING;
use reqwest::{Client, Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Common, Failed};

pub struct Daemon {
    client: Client,
    socket: PathBuf,
}

/// One part of an upload.
pub struct Upload {
    pub path: String,
    pub bytes: Vec<u8>,
}

impl Daemon {
    pub fn new(common: &Common) -> Result<Self, Failed> {
        let socket = match &common.socket {
            Some(socket) => socket.clone(),
            None => socket_of(&common.config_path())?,
        };
        lubu_channels::kit::http::install_provider();
        let client = Client::builder()
            .unix_socket(socket.clone())
            .no_proxy()
            .build()?;
        Ok(Self { client, socket })
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failed> {
        let text = self.text(path).await?;
        Ok(serde_json::from_str(&text)?)
    }

    pub async fn text(&self, path: &str) -> Result<String, Failed> {
        self.send(self.client.request(Method::GET, address(path)))
            .await
    }

    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failed> {
        let request = self
            .client
            .request(Method::POST, address(path))
            .header("content-type", "application/json")
            .body(serde_json::to_vec(body)?);
        Ok(serde_json::from_str(&self.send(request).await?)?)
    }

    pub async fn upload<T: DeserializeOwned>(
        &self,
        path: &str,
        key: Option<&str>,
        files: Vec<Upload>,
    ) -> Result<T, Failed> {
        let boundary = boundary(&files);
        let mut body = Vec::new();
        for file in &files {
            let head = format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{}\"\r\n\r\n",
                file.path.replace('"', "%22").replace(['\r', '\n'], " ")
            );
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(&file.bytes);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        let mut request = self
            .client
            .request(Method::POST, address(path))
            .header(
                "content-type",
                format!("multipart/form-data; boundary={boundary}"),
            )
            .body(body);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        Ok(serde_json::from_str(&self.send(request).await?)?)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<String, Failed> {
        let response = request.send().await.map_err(|error| {
            let socket = self.socket.display();
            if error.is_connect() {
                Failed::No(format!(
                    "连不上守护进程（{socket}）。请先运行 lubu serve，或用 --config、--socket 指明。\n\
                     cannot reach the daemon at {socket}; run `lubu serve`, or name it by --config or --socket."
                ))
            } else {
                Failed::No(format!("与守护进程的连接中断：{error}\nthe daemon broke off: {error}"))
            }
        })?;
        let status = response.status();
        let text = response.text().await?;
        if status.is_success() {
            return Ok(text);
        }
        Err(told(status, &text))
    }
}

/// A name as one segment of a path, whatever is in it.
pub fn segment(text: &str) -> String {
    let mut segment = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_:~".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            segment.push_str(&format!("%{byte:02X}"));
        }
    }
    segment
}

/// The host is a stand-in: the socket decides where it goes.
fn address(path: &str) -> String {
    format!("http://lubu{path}")
}

fn boundary(files: &[Upload]) -> String {
    let mut hasher = blake3::Hasher::new();
    for file in files {
        hasher.update(&file.bytes);
    }
    format!("lubu{}", &hasher.finalize().to_hex()[..32])
}

fn told(status: StatusCode, text: &str) -> Failed {
    let Ok(problem) = serde_json::from_str::<Problem>(text) else {
        return Failed::No(format!("{status}: {text}"));
    };
    let mut told = format!("{}\n{}", problem.detail, problem.detail_en);
    for one in &problem.problems {
        told.push_str(&format!(
            "\n  {}：{}\n    {}",
            one.place, one.words.zh, one.words.en
        ));
    }
    for one in &problem.findings {
        told.push_str(&format!(
            "\n  {} {}：{}\n    {}",
            one.channel, one.field, one.reason, one.reason_en
        ));
    }
    if problem.kind == OPENING {
        Failed::NotReady(told)
    } else {
        Failed::No(told)
    }
}

/// The socket that a configuration names, read without judging the rest of it.
fn socket_of(path: &std::path::Path) -> Result<PathBuf, Failed> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failed::No(format!(
            "读不到配置 {}：{error}。请用 --config 指明，或用 --socket 直接指明套接字。\n\
             cannot read the configuration {}: {error}; name it by --config, or the socket by --socket.",
            path.display(),
            path.display()
        ))
    })?;
    let table: toml::Table = text.parse()?;
    let daemon = table.get("daemon").and_then(toml::Value::as_table);
    let key = |name: &str| {
        daemon
            .and_then(|one| one.get(name))
            .and_then(toml::Value::as_str)
    };
    let base = path.parent().map(PathBuf::from).unwrap_or_default();
    if let Some(socket) = std::env::var_os("LUBU_SOCKET") {
        return Ok(base.join(socket));
    }
    let data = std::env::var("LUBU_DATA").ok();
    let data = data.as_deref().or(key("data")).unwrap_or("data");
    Ok(match key("socket") {
        Some(socket) => base.join(socket),
        None => base.join(data).join("lubu.sock"),
    })
}

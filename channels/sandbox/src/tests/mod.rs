//! A sandbox on a free port with a clock that stands still, and a client that hides nothing.
//!
//! The client writes requests byte by byte, so that tests can send what a proper HTTP
//! library would refuse to send and see what it would refuse to show.

mod faults;
mod ledger;
mod portal;
mod wechat_draft;
mod wechat_media;
mod wechat_publish;
mod wechat_token;
mod weibo;

use std::sync::Arc;

use crate::{Manual, Options, Platform, Running, Settings, start};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Monday 2026-11-23 09:00 in Beijing.
pub const MONDAY: i64 = 1_795_395_600_000;

pub struct World {
    pub running: Running,
    pub clock: Arc<Manual>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    #[track_caller]
    pub fn errcode(&self) -> i64 {
        self.json()["errcode"].as_i64().unwrap_or(0)
    }
}

pub async fn world() -> World {
    world_with(|_| {}).await
}

pub async fn world_with(change: impl FnOnce(&mut Settings)) -> World {
    let clock = Arc::new(Manual::at(MONDAY));
    let mut settings = Settings::default();
    change(&mut settings);
    let options = Options {
        listen: ([127, 0, 0, 1], 0).into(),
        clock: Arc::clone(&clock) as Arc<dyn crate::Clock>,
        settings,
        ..Options::default()
    };
    World {
        running: start(options).await.unwrap(),
        clock,
    }
}

impl World {
    pub fn base(&self) -> String {
        format!("http://{}", self.running.address())
    }

    /// Sends bytes as they are and returns everything that comes back until the end.
    pub async fn raw(&self, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.running.address()).await?;
        stream.write_all(bytes).await?;
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await?;
        Ok(all)
    }

    pub async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let all = self.raw(&request(method, target, headers, body)).await?;
        Ok(parse(&all))
    }

    pub async fn get(&self, target: &str) -> Answer {
        self.send("GET", target, &[], b"").await.unwrap()
    }

    pub async fn post(&self, target: &str, body: &Value) -> Answer {
        let kind = [("content-type", "application/json")];
        self.send("POST", target, &kind, body.to_string().as_bytes())
            .await
            .unwrap()
    }

    pub async fn form(&self, target: &str, fields: &[(&str, &str)]) -> Answer {
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        self.send("POST", target, &kind, encode(fields).as_bytes())
            .await
            .unwrap()
    }

    pub async fn upload(&self, target: &str, parts: &[(&str, &[u8])]) -> Answer {
        let kind = [("content-type", "multipart/form-data; boundary=cut")];
        self.send("POST", target, &kind, &multipart(parts))
            .await
            .unwrap()
    }

    /// What was applied, in order.
    pub fn applied(&self, platform: Platform) -> Vec<String> {
        let rows = self
            .running
            .ledger()
            .into_iter()
            .filter(|row| row.platform == platform);
        rows.flat_map(|row| row.effects)
            .map(|effect| effect.what)
            .collect()
    }

    pub async fn token(&self) -> String {
        let body = json!({
            "grant_type": "client_credential",
            "appid": crate::WECHAT_APP_ID,
            "secret": crate::WECHAT_SECRET,
        });
        let answer = self.post("/wechat/cgi-bin/stable_token", &body).await;
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// A WeChat call with a good token.
    pub async fn wechat(&self, path: &str, body: &Value) -> Answer {
        let target = format!("/wechat/cgi-bin/{path}?access_token={}", self.token().await);
        self.post(&target, body).await
    }

    pub async fn cover(&self) -> String {
        let token = self.token().await;
        let target =
            format!("/wechat/cgi-bin/material/add_material?access_token={token}&type=image");
        let answer = self
            .upload(&target, &[("name=\"media\"; filename=\"c.png\"", &png())])
            .await;
        answer.json()["media_id"].as_str().unwrap().to_owned()
    }

    /// A draft with one plain article.
    pub async fn draft(&self) -> String {
        let article = article(&self.cover().await);
        let answer = self
            .wechat("draft/add", &json!({"articles": [article]}))
            .await;
        answer.json()["media_id"].as_str().unwrap().to_owned()
    }
}

pub fn article(cover: &str) -> Value {
    json!({
        "title": "关于印发通知的公告",
        "author": "发改委",
        "digest": "摘要",
        "content": "<p>正文</p>",
        "content_source_url": "https://fgw.example.gov.cn/a/1.html",
        "thumb_media_id": cover,
    })
}

pub fn png() -> Vec<u8> {
    picture(image::ImageFormat::Png, 8, 8)
}

pub fn picture(format: image::ImageFormat, width: u32, height: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::DynamicImage::new_rgb8(width, height)
        .write_to(&mut bytes, format)
        .unwrap();
    bytes.into_inner()
}

pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: sandbox\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.extend([*name, ": ", *value, "\r\n"]);
    }
    head.extend(["content-length: ", &body.len().to_string(), "\r\n\r\n"]);
    [head.as_bytes(), body].concat()
}

pub fn encode(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}

/// Parts as (disposition parameters, bytes), boundary `cut`.
pub fn multipart(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (disposition, bytes) in parts {
        let head = format!("--cut\r\ncontent-disposition: form-data; {disposition}\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--cut--\r\n");
    body
}

pub fn parse(all: &[u8]) -> Answer {
    let split = all
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("an answer with a head");
    let head = String::from_utf8_lossy(&all[..split]).into_owned();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .expect("a status");
    Answer {
        status,
        head,
        body: all[split + 4..].to_vec(),
    }
}

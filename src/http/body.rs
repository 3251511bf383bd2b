//! Reading a submission: a multipart form of files, or one JSON object.

use axum::extract::multipart::MultipartError;
use axum::extract::{FromRequest as _, Multipart, Request};
use axum::http::{StatusCode, header};
use lubu_channels::Words;

use super::answer::Refused;
use crate::intake::{Handed, Submission};

/// A submission and the hash that its `Idempotency-Key` belongs to.
#[derive(Debug)]
pub struct Read {
    pub submission: Submission,
    pub hash: String,
    /// Plain fields of the form, such as `by` and `note`.
    pub fields: Vec<(String, String)>,
}

impl Read {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

pub async fn read(request: Request) -> Result<Read, Refused> {
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_ascii_lowercase();
    if kind.starts_with("multipart/form-data") {
        return form(request).await;
    }
    if kind.starts_with("application/json") {
        let bytes = axum::body::Bytes::from_request(request, &())
            .await
            .map_err(|error| unread(error.status(), &error))?;
        let hash = blake3::hash(&bytes).to_hex().to_string();
        let submission = Submission {
            main: 0,
            files: vec![Handed {
                path: "item.json".into(),
                bytes: bytes.to_vec(),
            }],
        };
        return Ok(Read {
            submission,
            hash,
            fields: Vec::new(),
        });
    }
    Err(Refused::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported-body",
        Words::new(
            "请用 multipart/form-data（file 字段，第一个是正文）或 application/json 提交。",
            "send multipart/form-data (`file` parts, the text first) or application/json.",
        ),
    ))
}

/// Too large, or broken off, or no form at all: the framework's status says which.
fn unread(status: StatusCode, error: &impl std::fmt::Display) -> Refused {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        let words = Words::new(
            "请求体太大（[intake] total_max_mib）。",
            "the body is too large (`total_max_mib` in [intake]).",
        );
        return Refused::new(status, "too-large", words);
    }
    let words = Words::new(
        format!("请求体读不完整，或不是合格的表单：{error}"),
        format!("the body cannot be read: {error}"),
    );
    Refused::new(StatusCode::BAD_REQUEST, "body", words)
}

fn broken_form(error: &MultipartError) -> Refused {
    unread(error.status(), error)
}

async fn form(request: Request) -> Result<Read, Refused> {
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|error| unread(error.status(), &error))?;
    let mut files: Vec<Handed> = Vec::new();
    let mut fields = Vec::new();
    while let Some(part) = form
        .next_field()
        .await
        .map_err(|error| broken_form(&error))?
    {
        let name = part.name().unwrap_or_default().to_owned();
        let path = part.file_name().map(str::to_owned);
        let bytes = part.bytes().await.map_err(|error| broken_form(&error))?;
        match path {
            Some(path) if name == "file" => files.push(Handed {
                path,
                bytes: bytes.to_vec(),
            }),
            _ => fields.push((name, String::from_utf8_lossy(&bytes).into_owned())),
        }
    }
    if files.is_empty() {
        return Err(Refused::wrong(
            "没有文件：请用 file 字段上传正文和它引用的图片、附件。",
            "there is no file: send the text and what it names as `file` parts.",
        ));
    }
    // The boundary is chance; the files are what was sent.
    let mut hasher = blake3::Hasher::new();
    for file in &files {
        hasher
            .update(file.path.as_bytes())
            .update(b"\0")
            .update(blake3::hash(&file.bytes).as_bytes());
    }
    let hash = hasher.finalize().to_hex().to_string();
    Ok(Read {
        submission: Submission { main: 0, files },
        hash,
        fields,
    })
}

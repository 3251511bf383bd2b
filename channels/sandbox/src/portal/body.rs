//! What an article's JSON may hold.
//!
//! Either the article itself, or the webhook envelope `{type, timestamp, data}` around
//! it. Portals spell the same field differently, so the common spellings are all taken.

use serde_json::Value;

use super::{Refusal, Site, refuse};
use crate::html::{self, Rules};
use crate::world::Scene;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attachment {
    pub name: String,
    pub url: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub title: String,
    pub content: String,
    pub column: String,
    pub source: String,
    pub author: String,
    pub summary: String,
    /// As given; shown to readers.
    pub published_at: String,
    pub link: String,
    pub attachments: Vec<Attachment>,
}

const CONTENT: [&str; 3] = ["content", "html", "body"];
const COLUMN: [&str; 4] = ["column", "column_id", "columnId", "channelId"];
const TIME: [&str; 4] = ["published_at", "publish_time", "publishTime", "pubDate"];
const LINK: [&str; 6] = [
    "link",
    "url",
    "source_url",
    "sourceUrl",
    "origin_url",
    "canonical_url",
];
const KEY: [&str; 4] = ["key", "external_id", "externalId", "id"];

/// The article's object, out of its envelope.
pub(super) fn unwrap(body: &[u8]) -> Result<Value, Refusal> {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return refuse(40001, "请求体不是合法的 JSON");
    };
    let inner = value.get("data").filter(|data| data.is_object()).cloned();
    match inner.filter(|_| value.get("type").is_some_and(Value::is_string)) {
        Some(data) => Ok(data),
        None if value.is_object() => Ok(value),
        None => refuse(40001, "请求体不是 JSON 对象"),
    }
}

/// The first of several spellings, as text.
fn first(value: &Value, names: &[&str]) -> Result<String, Refusal> {
    for name in names {
        match value.get(*name) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => return Ok(text.trim().to_owned()),
            Some(Value::Number(number)) => return Ok(number.to_string()),
            Some(_) => return refuse(40002, &format!("{name} 的类型不对")),
        }
    }
    Ok(String::new())
}

pub(super) fn key(value: &Value) -> Result<String, Refusal> {
    first(value, &KEY)
}

impl Site {
    pub(super) fn version(&self, scene: &Scene<'_>, given: &Value) -> Result<Version, Refusal> {
        let rules = &scene.settings.portal;
        let title = first(given, &["title"])?;
        let content = first(given, &CONTENT)?;
        let column = first(given, &COLUMN)?;
        if title.is_empty() || content.is_empty() {
            return refuse(40002, "标题和正文必填");
        }
        if title.chars().count() > rules.title_max {
            return refuse(40004, &format!("标题超过 {} 字", rules.title_max));
        }
        if !rules.columns.contains(&column) {
            return refuse(40003, &format!("没有栏目 {}", html::cut(&column, 40)));
        }
        let filter = Rules {
            image: &|url| !url.starts_with("javascript:"),
            link: &|url| {
                !url.trim_start()
                    .to_ascii_lowercase()
                    .starts_with("javascript:")
            },
            keep_ids: true,
            drop_div: false,
        };
        let Some(content) = html::filter(&content, &filter) else {
            return refuse(40002, "正文无法解析");
        };
        Ok(Version {
            title,
            content,
            column,
            source: first(given, &["source", "origin"])?,
            author: first(given, &["author", "editor"])?,
            summary: first(given, &["summary", "digest"])?,
            published_at: first(given, &TIME)?,
            link: first(given, &LINK)?,
            attachments: self.attachments(scene, given)?,
        })
    }

    /// Each is the id of an uploaded file, or `{id}`, or `{name, url}`.
    fn attachments(&self, scene: &Scene<'_>, given: &Value) -> Result<Vec<Attachment>, Refusal> {
        let list = match given.get("attachments") {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Array(list)) => list,
            Some(_) => return refuse(40002, "attachments 应为数组"),
        };
        let one = |item: &Value| {
            let id = match item {
                Value::String(id) => id.clone(),
                item => first(item, &["id", "file_id", "fileId"])?,
            };
            let name = if item.is_object() {
                first(item, &["name"])?
            } else {
                String::new()
            };
            if let Some(file) = self.files.iter().find(|file| file.id == id) {
                let name = if name.is_empty() {
                    file.name.clone()
                } else {
                    name
                };
                return Ok(Attachment {
                    name,
                    url: file.address(scene.base),
                });
            }
            let url = if item.is_object() {
                first(item, &["url", "href"])?
            } else {
                String::new()
            };
            if !id.is_empty() && url.is_empty() {
                return refuse(40002, "附件不存在");
            }
            let web = url.starts_with("http://") || url.starts_with("https://");
            if !web || name.is_empty() {
                return refuse(40002, "附件缺少名称或地址");
            }
            Ok(Attachment { name, url })
        };
        list.iter().map(one).collect()
    }
}

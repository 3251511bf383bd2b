//! The draft: an article's fields under our own names, and the files that go with it.
//!
//! Pictures stand in the text as `media:HASH` where the portal takes files, and by their absolute
//! address on the office's own site where it does not. What the portal calls each field, and what
//! it wants besides, is applied when the call is made, for it belongs to the account.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::call::Defaults;
use super::settings::{Settings, texts};
use super::template::{Hole, Templates};
use crate::contract::{
    Document, Draft, DraftMedia, Finding, Limit, Media, Relation, Validity, Words,
};
use crate::kit::settings::Reader;
use crate::kit::{html, media as images, text};

/// Enough of a hash for names.
pub fn short(hash: &str) -> &str {
    hash.get(..16).unwrap_or(hash)
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Article {
    pub item: String,
    pub title: String,
    /// When the item was received; the event time of an envelope.
    pub received: String,
    pub fields: Map<String, Value>,
    pub attachments: Vec<Enclosure>,
    /// The hashes of the draft's media that must be uploaded first.
    pub uploads: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enclosure {
    pub name: String,
    pub hash: String,
    pub mime: String,
    pub bytes: u64,
    /// On the office's own site; empty where there is none.
    pub url: String,
}

/// `[fields]`, `[constants]` and the envelope: how the portal wants it.
#[derive(Debug)]
pub struct Fields {
    /// Our name to theirs; an empty one leaves the field out.
    names: BTreeMap<String, String>,
    constants: Vec<(String, Hole)>,
    /// `envelope`, default with Standard Webhooks only.
    pub envelope: bool,
    /// `type`, of the envelope; default `article.published`.
    pub kind: String,
}

/// Every field of ours.
pub const FIELDS: [&str; 20] = [
    "id",
    "key",
    "revision",
    "title",
    "summary",
    "content",
    "column",
    "source",
    "section",
    "publisher",
    "document_number",
    "index_number",
    "formed_on",
    "validity",
    "category",
    "category_code",
    "keywords",
    "attachments",
    "related",
    "link",
];

impl Fields {
    pub fn read(read: &mut Reader<'_>, defaults: Defaults, templates: &mut Templates) -> Self {
        let names = texts(read, "fields");
        for name in names.keys().filter(|name| !FIELDS.contains(&name.as_str())) {
            let known = FIELDS.join("、");
            read.problem(
                &format!("fields.{name}"),
                format!("没有这个字段，可以写 {known}。"),
                format!("is no field of ours: {}.", FIELDS.join(", ")),
            );
        }
        let mut constants = Vec::new();
        for (name, value) in texts(read, "constants") {
            let key = format!("constants.{name}");
            let hole = templates.add(read, &key, &key, value);
            constants.push((name, hole));
        }
        Self {
            names,
            constants,
            envelope: read.flag("envelope", defaults.envelope),
            kind: read.text_or("type", "article.published"),
        }
    }

    /// The fields under the portal's names, with its constants.
    pub fn named(
        &self,
        fields: &Map<String, Value>,
        templates: &Templates,
        with: &minijinja::Value,
    ) -> Result<Map<String, Value>, minijinja::Error> {
        let mut named = Map::new();
        for (name, value) in fields {
            match self.names.get(name).map_or(name.as_str(), String::as_str) {
                "" => {}
                theirs => drop(named.insert(theirs.to_owned(), value.clone())),
            }
        }
        for (name, hole) in &self.constants {
            let value = templates.fill(hole, with)?;
            named.insert(name.clone(), Value::String(value));
        }
        Ok(named)
    }
}

pub fn read(draft: &Draft) -> Option<Article> {
    serde_json::from_str(&draft.content).ok()
}

pub fn write(
    settings: &Settings,
    document: &Document,
    media: &dyn Media,
) -> Result<Draft, Vec<Finding>> {
    let mut findings = too_long(&settings.limits, document);
    let column = settings.columns.of(&document.category.code);
    if settings.columns.default.is_none() && column.is_none() && settings.columns.is_named() {
        findings.push(no_column(settings, document));
    }
    let uploads = settings.calls.files.is_some();
    let (content, mut media_sent) = pictures(document, media, uploads, &mut findings);
    let (attachments, files) = enclosures(document, media, uploads, &mut findings);
    if !findings.is_empty() {
        return Err(findings);
    }
    media_sent.extend(files);
    media_sent.sort_by(|a, b| a.hash.cmp(&b.hash));
    media_sent.dedup_by(|a, b| a.hash == b.hash);
    let article = Article {
        item: document.item.clone(),
        title: text::one_line(document.title_here()),
        received: document.received_at.to_rfc3339(),
        fields: fields(
            document,
            column.unwrap_or(&document.category.code),
            &content,
        ),
        attachments,
        uploads: media_sent.iter().map(|media| media.hash.clone()).collect(),
    };
    let preview = preview(&article, document, media);
    let content = serde_json::to_string(&article).unwrap_or_default();
    Ok(Draft {
        content,
        preview,
        media: media_sent,
    })
}

fn fields(document: &Document, column: &str, content: &str) -> Map<String, Value> {
    let optional = |text: &Option<String>| text.clone().unwrap_or_default();
    let fields = json!({
        "id": document.item,
        "revision": document.revision,
        "title": text::one_line(document.title_here()),
        "summary": text::one_line(document.summary_here()),
        "content": content,
        "column": column,
        "source": document.source,
        "section": document.section,
        "publisher": document.publisher,
        "document_number": optional(&document.document_number),
        "index_number": optional(&document.index_no),
        "formed_on": document.formed_on.map_or(String::new(), |day| day.to_string()),
        "validity": validity(document.validity),
        "category": document.category.name,
        "category_code": document.category.code,
        "keywords": document.keywords,
        "related": document.related.iter().map(|related| json!({
            "relation": relation(related.relation),
            "title": related.link.title,
            "url": related.link.url,
        })).collect::<Vec<_>>(),
        "link": optional(&document.canonical),
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn validity(validity: Validity) -> &'static str {
    match validity {
        Validity::InForce => "有效",
        Validity::Amended => "已修改",
        Validity::Lapsed => "失效",
        Validity::Repealed => "废止",
    }
}

fn relation(relation: Relation) -> &'static str {
    match relation {
        Relation::Policy => "policy",
        Relation::Interpretation => "interpretation",
        Relation::Replaces => "replaces",
        Relation::ReplacedBy => "replaced_by",
    }
}

fn too_long(limits: &[Limit], document: &Document) -> Vec<Finding> {
    let mut findings = Vec::new();
    for limit in limits {
        let (name, actual) = match limit.field {
            "title" => ("标题", text::characters(document.title_here())),
            "summary" => ("概述", text::characters(document.summary_here())),
            "source" => ("信息来源", text::characters(&document.source)),
            _ => ("正文", text::characters(&html::text(&document.body))),
        };
        if actual <= limit.max {
            continue;
        }
        let (max, field) = (limit.max, limit.field);
        findings.push(Finding {
            field: field.to_owned(),
            limit: Some(max),
            actual: Some(actual),
            words: Words::new(
                format!("{name} {actual} 字，上限 {max} 字，请改短。"),
                format!("The {field} has {actual} characters, the limit is {max}."),
            ),
        });
    }
    findings
}

fn finding(field: &str, zh: String, en: String) -> Finding {
    Finding {
        field: field.to_owned(),
        limit: None,
        actual: None,
        words: Words::new(zh, en),
    }
}

fn no_column(settings: &Settings, document: &Document) -> Finding {
    let (name, class) = (&settings.name, &document.category);
    finding(
        "category",
        format!(
            "分类 {}（{}）在{name}没有对应栏目，请在 columns 里补上或写 default_column。",
            class.code, class.name
        ),
        format!(
            "Category {} has no column on the portal; add it to `columns`.",
            class.code
        ),
    )
}

/// The text with its pictures placed, and those that must be uploaded.
fn pictures(
    document: &Document,
    media: &dyn Media,
    uploads: bool,
    findings: &mut Vec<Finding>,
) -> (String, Vec<DraftMedia>) {
    let mut placed: BTreeMap<&str, String> = BTreeMap::new();
    let mut sent = Vec::new();
    for reference in &document.images {
        let fitted = media
            .get(&reference.hash)
            .and_then(|bytes| images::fit(&bytes, &crate::site::PICTURES).ok());
        let Some(fitted) = fitted else {
            let name = &reference.name;
            let zh = format!("图片“{name}”不能用，请换一张。");
            findings.push(finding(
                "body",
                zh,
                format!("The image `{name}` cannot be used."),
            ));
            continue;
        };
        if uploads {
            placed.insert(&reference.hash, format!("media:{}", fitted.hash));
            sent.push(fitted);
        } else if let Some(canonical) = &document.canonical {
            placed.insert(
                &reference.hash,
                crate::site::beside(canonical, &fitted.name),
            );
        } else {
            findings.push(finding(
                "body",
                "门户没有配置图片上传，本单位网站也没有地址可引用，正文里不能有图片。".to_owned(),
                "Neither the portal takes files nor is there a site to link images from."
                    .to_owned(),
            ));
        }
    }
    let content = html::with_images(&document.body, |src| {
        placed.get(src.strip_prefix("media:")?).cloned()
    });
    (content, sent)
}

fn enclosures(
    document: &Document,
    media: &dyn Media,
    uploads: bool,
    findings: &mut Vec<Finding>,
) -> (Vec<Enclosure>, Vec<DraftMedia>) {
    let (mut enclosures, mut files) = (Vec::new(), Vec::new());
    for (at, attachment) in document.attachments.iter().enumerate() {
        let (label, reference) = (&attachment.label, &attachment.media);
        let name = crate::site::file_name(reference);
        let url = document
            .canonical
            .as_ref()
            .map(|canonical| crate::site::beside(canonical, &name));
        let bytes = media.get(&reference.hash);
        if uploads && bytes.is_none() || !uploads && url.is_none() {
            findings.push(finding(
                &format!("attachments[{at}]"),
                format!("附件“{label}”没有办法送到门户。"),
                format!("There is no way to bring `{label}` to the portal."),
            ));
            continue;
        }
        if let (true, Some(bytes)) = (uploads, bytes) {
            files.push(DraftMedia {
                hash: reference.hash.clone(),
                name,
                mime: reference.mime.clone(),
                bytes: bytes.to_vec(),
            });
        }
        enclosures.push(Enclosure {
            name: label.clone(),
            hash: reference.hash.clone(),
            mime: reference.mime.clone(),
            bytes: reference.bytes,
            url: url.unwrap_or_default(),
        });
    }
    (enclosures, files)
}

/// What a person is shown: the fields as a table, then the text.
fn preview(article: &Article, document: &Document, media: &dyn Media) -> String {
    use base64::Engine as _;
    let shown = [
        ("标题", "title"),
        ("栏目", "column"),
        ("来源", "source"),
        ("科室", "section"),
        ("文号", "document_number"),
        ("概述", "summary"),
        ("原文", "link"),
    ];
    let mut rows = String::new();
    for (label, key) in shown {
        let value = article.fields.get(key).and_then(Value::as_str);
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            let value = html::escape(value);
            rows.push_str(&format!(
                "<tr><th scope=\"row\">{label}</th><td>{value}</td></tr>\n"
            ));
        }
    }
    let mut files = String::new();
    for file in &article.attachments {
        files.push_str(&format!("<li>{}</li>", html::escape(&file.name)));
    }
    let body = html::with_images(&document.body, |src| {
        let bytes = media.get(src.strip_prefix("media:")?)?;
        let mime = images::sniff(&bytes)?;
        let bytes = base64::engine::general_purpose::STANDARD.encode(bytes.as_slice());
        Some(format!("data:{mime};base64,{bytes}"))
    });
    format!(
        "<!doctype html>\n<html lang=\"zh-CN\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head>\n<body><main>\n\
         <table><caption>推送到门户的字段</caption><tbody>\n{rows}</tbody></table>\n\
         <h1>{title}</h1>\n<div class=\"text\">{body}</div>\n<ul>{files}</ul>\n</main></body></html>\n",
        title = html::escape(&article.title),
    )
}

const STYLE: &str = ":root{color-scheme:light dark}body{margin:0;padding:24px;font:16px/1.8 \
    'PingFang SC','Microsoft YaHei','Noto Sans CJK SC',sans-serif}main{max-width:42em;margin:auto}\
    table{width:100%;border-collapse:collapse;font-size:14px}caption{text-align:left;font-weight:700;padding:4px 0}\
    th,td{padding:6px 10px;border:1px solid #8884;text-align:left;vertical-align:top}\
    tbody th{width:5em;font-weight:400;color:#667}h1{font-size:24px;line-height:1.45}img{max-width:100%;height:auto}";

//! The draft: everything about one item that its page says, times of publication left open.
//!
//! The text comes dressed and its pictures stand at their final addresses, so that what is signed
//! is what is sent. Site name, footer and column facts are the frame and stay out.

use std::io::Cursor;

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::address::{self, short};
use super::dress::{self, Placed};
use super::render::Frame;
use super::settings::Settings;
use crate::contract::{
    Attachment, Category, Document, Draft, DraftMedia, Finding, Media, MediaRef, Relation,
    Timestamp, Validity, Words,
};
use crate::kit::{media as images, text};

/// Pictures as they are shown; re-encoding drops what a camera leaves in them.
pub const WISH: images::Wish = images::Wish {
    max_bytes: 2_000_000,
    max_width: 1_600,
    max_height: 6_000,
    png: true,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    pub item: String,
    pub revision: u32,
    pub title: String,
    pub summary: String,
    pub body: String,
    pub category: Category,
    /// 信息分类 as printed.
    pub class: String,
    pub publisher: String,
    pub section: String,
    pub source: String,
    pub index_no: String,
    pub document_number: String,
    pub formed_on: String,
    pub validity: String,
    pub keywords: String,
    /// Official documents carry the index table.
    pub is_document: bool,
    pub banners: Vec<Banner>,
    pub attachments: Vec<File>,
    pub related: Vec<Neighbour>,
    pub corrections: Vec<Entry>,
    /// When the last correction was made, in milliseconds.
    pub corrected: Option<i64>,
    pub address: String,
    /// The first picture's address.
    pub image: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Banner {
    /// `corrected`, `superseded` or `invalid`.
    pub kind: String,
    pub label: String,
    pub text: String,
    pub url: String,
    pub link: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    pub href: String,
    /// What it is called when it is saved.
    pub name: String,
    pub label: String,
    pub kind: String,
    pub size: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    pub relation: String,
    pub title: String,
    pub url: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub iso: String,
    pub at: String,
    pub note: String,
}

pub fn read(draft: &Draft) -> Option<Content> {
    serde_json::from_str(&draft.content).ok()
}

pub fn write(
    settings: &Settings,
    frame: &Frame,
    document: &Document,
    media: &dyn Media,
) -> Result<Draft, Vec<Finding>> {
    let mut findings = missing(document);
    let pictures = pictures(document, media, &mut findings);
    let files = files(document, media, &mut findings);
    if !findings.is_empty() {
        return Err(findings);
    }
    let content = content(settings, document, &pictures, &files);
    let inline = dress::dress(&document.body, &document.title, |hash| {
        let picture = pictures.iter().find(|picture| picture.of == hash)?;
        Some(picture.placed(data(&picture.media)))
    });
    let preview = frame
        .preview(settings, &content, &inline)
        .map_err(|failure| vec![finding("templates", failure.public)])?;
    let mut media: Vec<DraftMedia> = Vec::new();
    for one in pictures
        .into_iter()
        .map(|picture| picture.media)
        .chain(files)
    {
        if !media.iter().any(|other| other.name == one.name) {
            media.push(one);
        }
    }
    let content = serde_json::to_string(&content).unwrap_or_default();
    Ok(Draft {
        content,
        preview,
        media,
    })
}

fn finding(field: &str, words: Words) -> Finding {
    Finding {
        field: field.to_owned(),
        limit: None,
        actual: None,
        words,
    }
}

/// Facts without which a page may not go up (SITE-01).
fn missing(document: &Document) -> Vec<Finding> {
    let must = [
        ("title", "标题", "title", &document.title),
        ("source", "信息来源", "source", &document.source),
        ("publisher", "发布机构", "publisher", &document.publisher),
    ];
    let empty = must.iter().filter(|(.., value)| value.trim().is_empty());
    empty
        .map(|(field, zh, en, _)| {
            let words = Words::new(
                format!("缺少{zh}，网页不能没有它，请补上。"),
                format!("The {en} is missing; no page may lack it."),
            );
            finding(field, words)
        })
        .collect()
}

/// A picture of the text, ready to be shown.
struct Picture {
    /// The hash by which the text names it.
    of: String,
    media: DraftMedia,
    width: u32,
    height: u32,
}

impl Picture {
    fn placed(&self, src: String) -> Placed {
        Placed {
            src,
            width: self.width,
            height: self.height,
        }
    }
}

fn pictures(document: &Document, media: &dyn Media, findings: &mut Vec<Finding>) -> Vec<Picture> {
    let mut pictures = Vec::new();
    for reference in &document.images {
        let fitted = media
            .get(&reference.hash)
            .ok_or(images::BadImage::Damaged)
            .and_then(|bytes| images::fit(&bytes, &WISH));
        match fitted {
            Ok(fitted) => pictures.push(picture(reference, fitted)),
            Err(bad) => {
                let (name, words) = (&reference.name, bad.words());
                let words = Words::new(
                    format!("图片“{name}”不能用：{}。请换一张。", words.zh),
                    format!("The image `{name}` cannot be used: {}.", words.en),
                );
                findings.push(finding("body", words));
            }
        }
    }
    pictures
}

fn picture(reference: &MediaRef, fitted: DraftMedia) -> Picture {
    let size = image::ImageReader::new(Cursor::new(&fitted.bytes))
        .with_guessed_format()
        .ok()
        .and_then(|reader| reader.into_dimensions().ok());
    let (width, height) = size.unwrap_or((reference.width, reference.height));
    Picture {
        of: reference.hash.clone(),
        media: fitted,
        width,
        height,
    }
}

fn files(document: &Document, media: &dyn Media, findings: &mut Vec<Finding>) -> Vec<DraftMedia> {
    let mut files = Vec::new();
    for (at, attachment) in document.attachments.iter().enumerate() {
        let Some(bytes) = media.get(&attachment.media.hash) else {
            let words = Words::new(
                format!("附件“{}”的内容找不到，请重新上传。", attachment.label),
                format!("The file of `{}` cannot be found.", attachment.label),
            );
            findings.push(finding(&format!("attachments[{at}]"), words));
            continue;
        };
        files.push(DraftMedia {
            hash: attachment.media.hash.clone(),
            name: file_name(&attachment.media),
            mime: attachment.media.mime.clone(),
            bytes: bytes.to_vec(),
        });
    }
    files
}

/// Kinds of files that an office attaches. Any other is given out as bytes without a kind, so that
/// no browser takes it for a page of this site.
const KINDS: [&str; 24] = [
    "pdf", "ofd", "doc", "docx", "wps", "xls", "xlsx", "et", "ppt", "pptx", "dps", "csv", "txt",
    "zip", "rar", "7z", "jpg", "jpeg", "png", "gif", "webp", "mp3", "mp4", "tif",
];

fn extension(media: &MediaRef) -> &'static str {
    let (_, given) = media.name.rsplit_once('.').unwrap_or_default();
    let given = given.to_ascii_lowercase();
    KINDS
        .iter()
        .find(|kind| **kind == given)
        .copied()
        .unwrap_or("bin")
}

pub fn file_name(media: &MediaRef) -> String {
    format!("{}.{}", short(&media.hash), extension(media))
}

fn data(media: &DraftMedia) -> String {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.encode(&media.bytes);
    format!("data:{};base64,{bytes}", media.mime)
}

fn content(
    settings: &Settings,
    document: &Document,
    pictures: &[Picture],
    files: &[DraftMedia],
) -> Content {
    let zone = settings.timezone;
    let place = |name: &str| {
        let file = address::media_file(settings, &document.item, name);
        address::path(settings, &file)
    };
    let body = dress::dress(&document.body, &document.title, |hash| {
        let picture = pictures.iter().find(|picture| picture.of == hash)?;
        Some(picture.placed(place(&picture.media.name)))
    });
    let image = pictures.first().map_or(String::new(), |first| {
        let file = address::media_file(settings, &document.item, &first.media.name);
        format!("{}/{file}", settings.base_url)
    });
    let (class, last) = (&document.category, document.corrections.last());
    Content {
        item: document.item.clone(),
        revision: document.revision,
        title: text::one_line(&document.title),
        summary: text::one_line(&document.summary),
        body,
        class: if class.parent == class.name {
            class.name.clone()
        } else {
            format!("{} / {}", class.parent, class.name)
        },
        category: document.category.clone(),
        publisher: text::one_line(&document.publisher),
        section: text::one_line(&document.section),
        source: text::one_line(&document.source),
        index_no: document.index_no.clone().unwrap_or_default(),
        document_number: document.document_number.clone().unwrap_or_default(),
        formed_on: document
            .formed_on
            .map_or(String::new(), |day| day.format("%Y-%m-%d").to_string()),
        validity: validity(document.validity).to_owned(),
        keywords: document.keywords.join(","),
        is_document: document.index_no.is_some() || document.document_number.is_some(),
        banners: banners(document, zone),
        attachments: document
            .attachments
            .iter()
            .zip(files)
            .map(|(attachment, file)| attached(attachment, place(&file.name)))
            .collect(),
        related: neighbours(document),
        corrections: log(document, zone),
        corrected: last.map(|last| last.at.timestamp_millis()),
        address: address::page(settings, &document.item),
        image,
    }
}

pub fn validity(validity: Validity) -> &'static str {
    match validity {
        Validity::InForce => "有效",
        Validity::Amended => "已修改",
        Validity::Lapsed => "失效",
        Validity::Repealed => "废止",
    }
}

/// What a reader must know before reading: it is no longer valid, or no longer what it was.
fn banners(document: &Document, zone: Tz) -> Vec<Banner> {
    let banner = |kind: &str, label: &str, text: String| Banner {
        kind: kind.to_owned(),
        label: label.to_owned(),
        text,
        url: String::new(),
        link: String::new(),
    };
    let mut banners = Vec::new();
    let state = match document.validity {
        Validity::InForce => None,
        Validity::Amended => Some(("superseded", "已修改", "本文件的部分内容已被修改。")),
        Validity::Lapsed => Some(("invalid", "失效", "本文件已失效，仅供查阅。")),
        Validity::Repealed => Some(("invalid", "废止", "本文件已废止，仅供查阅。")),
    };
    banners.extend(state.map(|(kind, label, text)| banner(kind, label, text.to_owned())));
    for related in &document.related {
        if related.relation == Relation::ReplacedBy {
            banners.push(Banner {
                url: related.link.url.clone(),
                link: related.link.title.clone(),
                ..banner(
                    "superseded",
                    "已被取代",
                    "本文已被新的文件取代：".to_owned(),
                )
            });
        }
    }
    if let Some(last) = document.corrections.last() {
        let text = format!("{} 更正：{}", minute(last.at, zone), last.note);
        banners.push(banner("corrected", "已更正", text));
    }
    banners
}

pub fn minute(at: Timestamp, zone: Tz) -> String {
    at.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string()
}

pub fn iso(at: Timestamp, zone: Tz) -> String {
    at.with_timezone(&zone)
        .format("%Y-%m-%dT%H:%M:%S%:z")
        .to_string()
}

fn log(document: &Document, zone: Tz) -> Vec<Entry> {
    let entries = document.corrections.iter().map(|correction| Entry {
        iso: iso(correction.at, zone),
        at: minute(correction.at, zone),
        note: correction.note.clone(),
    });
    entries.collect()
}

fn neighbours(document: &Document) -> Vec<Neighbour> {
    let name = |relation| match relation {
        Relation::Policy => "政策原文",
        Relation::Interpretation => "政策解读",
        Relation::Replaces => "取代文件",
        Relation::ReplacedBy => "新的文件",
    };
    let related = document.related.iter().map(|related| Neighbour {
        relation: name(related.relation).to_owned(),
        title: related.link.title.clone(),
        url: related.link.url.clone(),
    });
    related.collect()
}

fn attached(attachment: &Attachment, href: String) -> File {
    let kind = match extension(&attachment.media) {
        "bin" => "文件".to_owned(),
        known => known.to_uppercase(),
    };
    File {
        href,
        name: text::one_line(&attachment.media.name),
        label: attachment.label.clone(),
        kind,
        size: size(attachment.media.bytes),
    }
}

/// Such as `1.2 MB`.
pub fn size(bytes: u64) -> String {
    const KILO: u64 = 1024;
    let tenths = |unit: u64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0..KILO => format!("{bytes} B"),
        KILO..1_048_576 => format!("{} KB", bytes.div_ceil(KILO)),
        1_048_576..1_073_741_824 => format!("{} MB", tenths(KILO * KILO)),
        _ => format!("{} GB", tenths(KILO * KILO * KILO)),
    }
}

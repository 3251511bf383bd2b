//! A document as a WeChat article.
//!
//! The platform throws away classes, ids, style sheets, foreign links and foreign images, and may
//! drop `div`. So the text is set again in `section`, `p` and `span` with styles of their own, a
//! link keeps its words and shows its address, a note keeps its number, and a table scrolls inside
//! a box of its own. Nothing is cut: what is too long is a finding.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::markup;
use super::settings::Settings;
use crate::contract::{Document, Draft, DraftMedia, Finding, Media, MediaRef, Words};
use crate::kit::media::{self, BadImage};
use crate::kit::{html, text};

/// What `Draft::content` holds: the article as it will be sent, with `media:HASH` in place of what
/// only the platform can name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Article {
    pub title: String,
    pub author: String,
    pub digest: String,
    pub content: String,
    pub content_source_url: String,
    /// Hash of the cover among the draft's media.
    pub cover: String,
    /// Hashes of the inline images, each once, in order of appearance.
    pub images: Vec<String>,
    pub need_open_comment: u8,
    pub only_fans_can_comment: u8,
}

/// The longest address the platform gives an image, counted in place of ours.
const LONGEST_PLACE: u64 = 256;

pub fn read(draft: &Draft) -> Option<Article> {
    serde_json::from_str(&draft.content).ok()
}

pub fn write(
    settings: &Settings,
    document: &Document,
    store: &dyn Media,
) -> Result<Draft, Vec<Finding>> {
    let mut desk = Desk {
        settings,
        store,
        media: Vec::new(),
        findings: Vec::new(),
    };
    let article = desk.article(document);
    desk.measure(&article, document);
    if !desk.findings.is_empty() {
        return Err(desk.findings);
    }
    let content = serde_json::to_string(&article).map_err(|_| {
        vec![finding(
            "body",
            None,
            Words::new("正文写不成稿样。", "The text cannot be encoded."),
        )]
    })?;
    let preview = preview(&article, &desk.media);
    Ok(Draft {
        content,
        preview,
        media: desk.media,
    })
}

struct Desk<'a> {
    settings: &'a Settings,
    store: &'a dyn Media,
    media: Vec<DraftMedia>,
    findings: Vec<Finding>,
}

impl Desk<'_> {
    fn article(&mut self, document: &Document) -> Article {
        let mut images = Vec::new();
        let body = html::with_images(&document.body, |src| {
            // Addresses are settled in a second pass; a stranger's image is dropped here.
            src.starts_with("media:").then(|| src.to_owned())
        });
        let mut places = std::collections::BTreeMap::new();
        for src in html::images(&body) {
            let hash = src.trim_start_matches("media:").to_owned();
            if let Some(placed) = self.image(document, &hash) {
                if !images.contains(&placed) {
                    images.push(placed.clone());
                }
                places.insert(src, format!("media:{placed}"));
            }
        }
        let body = html::with_images(&body, |src| places.get(src).cloned());
        let dressed = markup::dressed(&text::without_controls(&body));
        let blank = html::text(&dressed).is_empty() && images.is_empty();
        if blank || dressed.trim().is_empty() {
            let words = Words::new("正文是空的。", "There is no text.");
            self.findings.push(finding("body", None, words));
        }
        let content = dressed + &markup::tail(document);
        let author = document
            .overrides
            .get("author")
            .unwrap_or(&self.settings.author);
        Article {
            title: text::one_line(document.title_here()),
            author: text::one_line(author),
            digest: text::one_line(document.summary_here()),
            content,
            content_source_url: document.canonical.clone().unwrap_or_default(),
            cover: self.cover(document),
            images,
            need_open_comment: u8::from(self.settings.open_comment),
            only_fans_can_comment: u8::from(self.settings.fans_only_comment),
        }
    }

    fn image(&mut self, document: &Document, hash: &str) -> Option<String> {
        let reference = document.media(hash)?;
        self.fitted(reference, "body")
    }

    fn cover(&mut self, document: &Document) -> String {
        if let Some(reference) = document.cover.as_ref().or(document.images.first()) {
            return self.fitted(reference, "cover").unwrap_or_default();
        }
        let fitted = Ok(self.settings.default_cover.clone());
        self.keep(fitted, "cover", "default_cover")
            .unwrap_or_default()
    }

    fn fitted(&mut self, reference: &MediaRef, field: &str) -> Option<String> {
        let Some(bytes) = self.store.get(&reference.hash) else {
            let words = Words::new(
                format!("图片“{}”不在库里，请重新上传。", reference.name),
                format!(
                    "The image `{}` is not in the store; upload it again.",
                    reference.name
                ),
            );
            self.findings.push(finding(field, None, words));
            return None;
        };
        let fitted = media::fit(&bytes, &self.settings.image);
        self.keep(fitted, field, &reference.name)
    }

    fn keep(
        &mut self,
        fitted: Result<DraftMedia, BadImage>,
        field: &str,
        name: &str,
    ) -> Option<String> {
        match fitted {
            Ok(image) => {
                let hash = image.hash.clone();
                if self.media.iter().all(|kept| kept.hash != hash) {
                    self.media.push(image);
                }
                Some(hash)
            }
            Err(bad) => {
                let why = bad.words();
                let words = Words::new(
                    format!("图片“{name}”不能用：{}。请换一张。", why.zh),
                    format!(
                        "The image `{name}` cannot be used: {}. Use another one.",
                        why.en
                    ),
                );
                self.findings.push(finding(field, None, words));
                None
            }
        }
    }

    fn measure(&mut self, article: &Article, document: &Document) {
        let limits = self.settings.limits;
        let title = &document.title;
        let places = html::images(&article.content).len() as u64 * LONGEST_PLACE;
        let bare = html::with_images(&article.content, |_| Some(String::new()));
        let link = article.content_source_url.len() as u64;
        let rows = [
            (
                "title",
                "标题",
                "title",
                text::characters(&article.title),
                limits.title,
                SHORTER,
            ),
            (
                "author",
                "作者",
                "author",
                text::characters(&article.author),
                limits.author,
                SHORTER,
            ),
            (
                "summary",
                "摘要",
                "summary",
                text::characters(&article.digest),
                limits.summary,
                SHORTER,
            ),
            (
                "body",
                "正文（含排版）",
                "text with its markup",
                text::characters(&bare) + places,
                limits.body,
                CUT,
            ),
            (
                "body",
                "正文（含排版，字节）",
                "text in bytes",
                bare.len() as u64 + places,
                limits.body_bytes,
                CUT,
            ),
            (
                "canonical",
                "原文链接（字节）",
                "address of the original in bytes",
                link,
                limits.link_bytes,
                CUT,
            ),
        ];
        for (field, zh, en, actual, limit, advice) in rows {
            if actual <= limit {
                continue;
            }
            let advice_zh = advice.0.replace("{field}", field);
            let advice_en = advice.1.replace("{field}", field);
            let words = Words::new(
                format!("微信收不下《{title}》：{zh} {actual} 字，上限 {limit} 字。{advice_zh}"),
                format!(
                    "WeChat cannot take “{title}”： its {en} has {actual}, the limit is {limit}. {advice_en}"
                ),
            );
            self.findings
                .push(finding(field, Some((limit, actual)), words));
        }
    }
}

const SHORTER: (&str, &str) = (
    "请在本渠道的 {field} 里填短的，重新送签。",
    "Give this channel a shorter {field} and have it signed again.",
);
const CUT: (&str, &str) = (
    "请精简后重新送签，或只在官网发布全文。",
    "Shorten it and have it signed again, or publish the whole on the site only.",
);

fn finding(field: &str, figures: Option<(u64, u64)>, words: Words) -> Finding {
    Finding {
        field: field.to_owned(),
        limit: figures.map(|(limit, _)| limit),
        actual: figures.map(|(_, actual)| actual),
        words,
    }
}

/// The article on a page of its own, images inside.
fn preview(article: &Article, media: &[DraftMedia]) -> String {
    let data = |hash: &str| {
        let image = media.iter().find(|image| image.hash == hash)?;
        Some(format!(
            "data:{};base64,{}",
            image.mime,
            STANDARD.encode(&image.bytes)
        ))
    };
    let body = html::with_images(&article.content, |src| data(src.strip_prefix("media:")?));
    let cover = data(&article.cover).unwrap_or_default();
    let [title, author, digest, link] = [
        &article.title,
        &article.author,
        &article.digest,
        &article.content_source_url,
    ]
    .map(|part| html::escape(part));
    format!(
        "<!doctype html><html lang=\"zh-CN\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <body style=\"max-width:600px;margin:0 auto;padding:16px;font-family:sans-serif\">\
         <img alt=\"封面\" style=\"width:100%\" src=\"{cover}\">\
         <h1 style=\"font-size:22px\">{title}</h1><p style=\"color:#576b95\">{author}</p>\
         <p style=\"color:#888\">摘要：{digest}</p>{body}\
         <p style=\"color:#576b95\">阅读原文：{link}</p></body></html>"
    )
}

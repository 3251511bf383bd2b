//! A document as a Weibo post.
//!
//! The text is frozen here and sent byte by byte the same each time, because the platform's own
//! refusal of identical posts is the second guard against posting twice.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::settings::{Mode, Settings};
use crate::contract::{Document, Draft, DraftMedia, Finding, Media, Words};
use crate::kit::media;
use crate::kit::{html, text};

/// What `Draft::content` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// The whole text, link included.
    pub text: String,
    /// Hash of the picture among the draft's media.
    pub picture: Option<String>,
    pub article: Option<Article>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Article {
    pub title: String,
    pub content: String,
    pub summary: String,
}

pub fn read(draft: &Draft) -> Option<Post> {
    serde_json::from_str(&draft.content).ok()
}

pub fn write(
    settings: &Settings,
    document: &Document,
    store: &dyn Media,
) -> Result<Draft, Vec<Finding>> {
    let mut findings = Vec::new();
    let link = link(settings, document, &mut findings);
    let text = composed(settings, document, &link);
    measure_text(settings, document, &text, &mut findings);
    let picture = match settings.mode {
        Mode::Share if settings.picture => picture(settings, document, store, &mut findings),
        Mode::Share | Mode::Article => None,
    };
    let article = match settings.mode {
        Mode::Share => None,
        Mode::Article => Some(article(settings, document, &mut findings)),
    };
    if !findings.is_empty() {
        return Err(findings);
    }
    let post = Post {
        text,
        picture: picture.as_ref().map(|one| one.hash.clone()),
        article,
    };
    let preview = preview(&post, picture.as_ref());
    let content = serde_json::to_string(&post).map_err(|_| {
        vec![finding(
            "text",
            None,
            Words::new("写不成稿样。", "The post cannot be encoded."),
        )]
    })?;
    Ok(Draft {
        content,
        preview,
        media: picture.into_iter().collect(),
    })
}

/// The item's own page; the platform takes no post without a link on the registered domain.
fn link(settings: &Settings, document: &Document, findings: &mut Vec<Finding>) -> String {
    let link = document.canonical.clone().unwrap_or_default();
    if settings.is_safe(&link) {
        return link;
    }
    let domain = &settings.safe_domain;
    let words = if link.is_empty() {
        Words::new(
            "微博必须带官网链接，而这条信息没有官网网址。请把它也发到官网。",
            "A Weibo post needs a link to the item's own page, and it has none. Publish it on the site too.",
        )
    } else {
        Words::new(
            format!("官网网址不在微博登记的安全域名 {domain} 里。请核对 safe_domain 和官网网址。"),
            format!(
                "The item's page is not on the registered domain {domain}. Check safe_domain and the site's address."
            ),
        )
    };
    findings.push(finding("canonical", None, words));
    link
}

/// The author's own text, else the title with the summary where both fit. The link comes last.
fn composed(settings: &Settings, document: &Document, link: &str) -> String {
    if let Some(own) = document.overrides.get("text") {
        let own = text::without_controls(own).trim().to_owned();
        return if own.contains(link) {
            own
        } else {
            format!("{own} {link}")
        };
    }
    let title = text::one_line(document.title_here());
    let summary = text::one_line(document.summary_here());
    let long = format!("【{title}】{summary} {link}");
    if !summary.is_empty() && text::weibo_characters(&long) <= settings.limits.text {
        return long;
    }
    format!("【{title}】 {link}")
}

fn measure_text(settings: &Settings, document: &Document, said: &str, findings: &mut Vec<Finding>) {
    let (actual, limit) = (text::weibo_characters(said), settings.limits.text);
    let title = &document.title;
    if actual > limit {
        let words = Words::new(
            format!(
                "微博收不下《{title}》：含链接 {actual} 字，上限 {limit} 字。请在本渠道的 text 里写短的，重新送签。"
            ),
            format!(
                "Weibo cannot take “{title}”： {actual} characters with the link, the limit is {limit}. Give this channel a shorter text and have it signed again."
            ),
        );
        findings.push(finding("text", Some((limit, actual)), words));
    }
    let bare: String = text::split_urls(said)
        .into_iter()
        .filter(|(_, url)| !url)
        .map(|(piece, _)| piece)
        .collect();
    if bare.matches('#').count() > 1 {
        let words = Words::new(
            "微博分享不能带 #话题#。请在本渠道的 text 里去掉井号，重新送签。",
            "A shared Weibo post must not hold a #topic#. Take the signs out of this channel's text.",
        );
        findings.push(finding("text", None, words));
    }
}

fn picture(
    settings: &Settings,
    document: &Document,
    store: &dyn Media,
    findings: &mut Vec<Finding>,
) -> Option<DraftMedia> {
    let reference = document.cover.as_ref().or(document.images.first())?;
    let name = &reference.name;
    let words = match store
        .get(&reference.hash)
        .map(|bytes| media::fit(&bytes, &settings.image))
    {
        Some(Ok(picture)) => return Some(picture),
        Some(Err(bad)) => {
            let why = bad.words();
            Words::new(
                format!("图片“{name}”不能用：{}。请换一张。", why.zh),
                format!(
                    "The image `{name}` cannot be used: {}. Use another one.",
                    why.en
                ),
            )
        }
        None => Words::new(
            format!("图片“{name}”不在库里，请重新上传。"),
            format!("The image `{name}` is not in the store; upload it again."),
        ),
    };
    findings.push(finding("cover", None, words));
    None
}

/// The whole text. Its images have no address that the platform could read, so each leaves a line.
fn article(settings: &Settings, document: &Document, findings: &mut Vec<Finding>) -> Article {
    let body = text::without_controls(&document.body);
    let content = html::instead_of_images(&body, "<p>（图片见官网原文）</p>");
    let article = Article {
        title: text::one_line(document.title_here()),
        content,
        summary: text::one_line(document.summary_here()),
    };
    let name = &document.title;
    let rows = [
        (
            "title",
            "标题",
            text::characters(&article.title),
            settings.limits.title,
        ),
        (
            "body",
            "正文",
            text::characters(&article.content),
            settings.limits.body,
        ),
    ];
    for (field, zh, actual, limit) in rows {
        if actual > limit {
            let words = Words::new(
                format!(
                    "微博头条文章收不下《{name}》：{zh} {actual} 字，上限 {limit} 字。请精简后重新送签。"
                ),
                format!(
                    "A Weibo article cannot take “{name}”： its {field} has {actual} characters, the limit is {limit}. Shorten it and have it signed again."
                ),
            );
            findings.push(finding(field, Some((limit, actual)), words));
        }
    }
    article
}

fn finding(field: &str, figures: Option<(u64, u64)>, words: Words) -> Finding {
    Finding {
        field: field.to_owned(),
        limit: figures.map(|(limit, _)| limit),
        actual: figures.map(|(_, actual)| actual),
        words,
    }
}

fn preview(post: &Post, picture: Option<&DraftMedia>) -> String {
    let picture = picture.map_or(String::new(), |one| {
        let data = STANDARD.encode(&one.bytes);
        format!(
            "<p><img alt=\"配图\" style=\"max-width:100%\" src=\"data:{};base64,{data}\"></p>",
            one.mime
        )
    });
    let article = post.article.as_ref().map_or(String::new(), |one| {
        format!(
            "<hr><h1>{}</h1><p>{}</p>{}",
            html::escape(&one.title),
            html::escape(&one.summary),
            one.content
        )
    });
    let count = text::weibo_characters(&post.text);
    format!(
        "<!doctype html><html lang=\"zh-CN\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>微博</title>\
         <body style=\"max-width:600px;margin:0 auto;padding:16px;font-family:sans-serif\">\
         <p style=\"line-height:1.7\">{}</p>{picture}<p style=\"color:#888\">{count} 字</p>{article}\
         </body></html>",
        html::escape(&post.text)
    )
}

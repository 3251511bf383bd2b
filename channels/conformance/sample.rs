//! A document as an office writes it: a notice with headings, a table, a link, a note, an image.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;

use super::rig::Album;
use crate::contract::{
    Attachment, Category, Clock, Correction, Document, Manual, MediaRef, Validity,
};
use crate::kit::media;

/// Where the sample stands on the office's own site.
pub const CANONICAL: &str = "https://fgw.example.gov.cn/xxgk/0192e4c1a7b37c3d9a5e0f1122334455.html";

/// One picture, and the reference to it.
pub fn picture() -> (MediaRef, Album) {
    let bytes = media::plain_cover(96, 64, [200, 30, 30], [255, 255, 255])
        .map(|picture| picture.bytes)
        .unwrap_or_default();
    let hash = blake3::hash(&bytes).to_hex().to_string();
    let reference = MediaRef {
        hash: hash.clone(),
        name: "现场.jpg".into(),
        mime: "image/jpeg".into(),
        bytes: bytes.len() as u64,
        width: 96,
        height: 64,
    };
    (reference, Album(BTreeMap::from([(hash, Arc::new(bytes))])))
}

/// Revision 1 of the sample, or a later one with a sentence added.
pub fn document(revision: u32) -> Document {
    let (picture, _) = picture();
    let added = if revision > 1 {
        "<p>更正：受理时间为每日九时。</p>"
    } else {
        ""
    };
    let body = format!(
        "<h2>一、办理范围</h2><p>凡在本市行政区域内的企业，均可申请<sup><a href=\"#fn1\" id=\"r1\">1</a></sup>。\
         详见<a href=\"https://www.gov.cn/zhengce/\">国务院文件</a>。</p>{added}\
         <table><tr><th>项目</th><th>时限</th></tr><tr><td>备案</td><td>3 个工作日</td></tr></table>\
         <p><img src=\"media:{}\" alt=\"办事大厅\"></p>\
         <section class=\"footnotes\"><ol><li id=\"fn1\"><p>含分支机构。<a href=\"#r1\">↩</a></p></li></ol></section>",
        picture.hash
    );
    let at = Manual::default().now();
    let corrections = (revision > 1).then(|| Correction {
        revision,
        at,
        note: "补充受理时间".into(),
    });
    Document {
        item: "0192e4c1a7b37c3d9a5e0f1122334455".into(),
        revision,
        received_at: at,
        title: "关于企业投资项目备案办理时限的通知".into(),
        summary: "企业投资项目备案三个工作日内办结。".into(),
        body,
        category: Category {
            code: "0604".into(),
            name: "重大项目".into(),
            parent: "重点领域".into(),
        },
        publisher: "南阳市发展和改革委员会".into(),
        section: "投资科".into(),
        source: "市发改委".into(),
        index_no: Some("006001/2026-00012".into()),
        document_number: None,
        formed_on: NaiveDate::from_ymd_opt(2026, 11, 20),
        validity: Validity::InForce,
        keywords: vec!["备案".into()],
        cover: None,
        images: vec![picture.clone()],
        attachments: vec![Attachment {
            label: "申请表".into(),
            media: picture,
        }],
        related: Vec::new(),
        corrections: corrections.into_iter().collect(),
        canonical: Some(CANONICAL.into()),
        overrides: BTreeMap::new(),
    }
}

//! Submissions that are taken, as people hand them in.

use super::{Bench, Submission, item, png};

#[tokio::test]
async fn a_short_markdown_item_becomes_a_revision_with_the_offices_defaults() {
    let text = item("# 关于汛期安全的通知\n\n## 一、要求\n\n各单位：请**落实**。\n");
    let prepared = Bench::new()
        .prepare(&[("item.md", text.as_bytes())])
        .await
        .unwrap();
    let content = prepared.content;
    assert_eq!(content.title, "关于汛期安全的通知");
    assert_eq!(content.source, "济州市发展和改革委员会");
    assert_eq!(content.section, "办公室");
    assert_eq!(content.scope, None, "the leader names it");
    assert_eq!(
        content.body,
        "<h2>一、要求</h2>\n<p>各单位：请<strong>落实</strong>。</p>"
    );
    assert!(prepared.notes.is_empty(), "{:?}", prepared.notes);
}

#[tokio::test]
async fn an_image_beside_the_text_is_named_by_hash() {
    let text = item("见图：![示意图](./图/%E4%B8%80.png)\n");
    let picture = png(9);
    let files: [(&str, &[u8]); 2] = [("item.md", text.as_bytes()), ("图/一.png", &picture)];
    let prepared = Bench::new().prepare(&files).await.unwrap();
    let image = &prepared.content.images[0];
    assert_eq!(image.name, "一.png");
    assert_eq!((image.width, image.height), (8, 6));
    assert!(
        prepared
            .content
            .body
            .contains(&format!("src=\"media:{}\"", image.hash))
    );
    assert_eq!(prepared.media[&image.hash], picture);
}

/// The fixture: a policy as an office would hand it in.
fn policy() -> Submission {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/intake/fixtures/policy");
    Submission::from_path(std::path::Path::new(folder)).unwrap()
}

#[tokio::test]
async fn a_policy_with_table_footnotes_images_and_attachments_survives_whole() {
    let prepared = Bench::new().submit(policy()).await.unwrap();
    let content = &prepared.content;
    assert_eq!(
        content.document_number.as_deref(),
        Some("济发改〔2026〕12号")
    );
    assert_eq!(content.keywords, ["新型储能", "项目管理", "能源"]);
    assert_eq!(
        content.channels["wechat"]["title"],
        "济州出台新型储能项目管理细则"
    );
    assert_eq!(
        content.related[0].relation,
        lubu_channels::Relation::Interpretation
    );
    let labels: Vec<&str> = content
        .attachments
        .iter()
        .map(|one| one.label.as_str())
        .collect();
    assert_eq!(labels, ["附件1：备案申请表", "附件2.xlsx"]);
    let names: Vec<&str> = content.images.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["流程图.png", "装机 增长.png"]);
    assert_eq!(
        content.cover.as_ref(),
        content.images.first(),
        "the cover is the first image"
    );
    for media in content.media() {
        let bytes = &prepared.media[&media.hash];
        assert_eq!(blake3::hash(bytes).to_hex().to_string(), media.hash);
        assert_eq!(bytes.len() as u64, media.bytes);
    }
    assert_eq!(prepared.media.len(), 4, "nothing but what is named");
    assert_eq!(
        prepared.notes.len(),
        1,
        "the brackets: {:?}",
        prepared.notes
    );
}

#[tokio::test]
async fn the_policys_text_is_what_its_author_wrote_and_nothing_else() {
    let prepared = Bench::new().submit(policy()).await.unwrap();
    let body = prepared.content.body;
    for part in [
        "<h2>第一章 总则</h2>",
        "<th align=\"right\">功率（兆瓦）</th>",
        "<td align=\"center\">市发展改革委</td>",
        "<a href=\"https://fgw.example.gov.cn/guide\">https://fgw.example.gov.cn/guide</a>。",
        "<a href=\"#t-fn-1\" id=\"t-fnref-1\">1</a>",
        "<li id=\"t-fn-2\">",
        "<p align=\"right\">济州市发展和改革委员会<br>2026年1月5日</p>",
        "<ol>\n<li>项目单位提交申请表",
    ] {
        assert!(body.contains(part), "{part} in {body}");
    }
    assert!(!body.contains("<h1") && !body.contains("style="), "{body}");
    assert_eq!(body.matches("src=\"media:").count(), 2);
    assert!(
        !body.contains("印发《济州市"),
        "the title is the page's: {body}"
    );
}

#[tokio::test]
async fn the_same_submission_is_the_same_revision() {
    let bench = Bench::new();
    let first = bench.submit(policy()).await.unwrap();
    let second = bench.submit(policy()).await.unwrap();
    assert_eq!(first.content.canonical(), second.content.canonical());
}

#[tokio::test]
async fn html_from_another_system_keeps_its_text_and_loses_its_page() {
    let html = "<!DOCTYPE html><html><head><title>x</title><style>p{}</style></head><body>\
                <h1>关于汛期安全的通知</h1><p style=\"TEXT-ALIGN: center\" class=\"MsoNormal\">\
                <span style=\"color:red\">甲</span></p><img data-src=\"a.png\" alt=\"图\">\
                <a href=\"/list.html\">返回</a><a href=\"b.pdf\">附表</a><script>x()</script></body></html>";
    let text = item(html);
    let picture = png(1);
    let files: [(&str, &[u8]); 3] = [
        ("item.html", text.as_bytes()),
        ("a.png", &picture),
        ("b.pdf", b"%PDF-1.7"),
    ];
    let prepared = Bench::new().prepare(&files).await.unwrap();
    let content = prepared.content;
    let hash = &content.images[0].hash;
    assert_eq!(
        content.body,
        format!(
            "<p align=\"center\">甲</p><img alt=\"图\" src=\"media:{hash}\"><a>返回</a><a>附表</a>"
        )
    );
    assert_eq!(content.attachments[0].label, "附表");
    let notes: String = prepared.notes.iter().map(|note| note.zh.as_str()).collect();
    for word in ["script × 1", "“返回”（/list.html）", "b.pdf 已列入附件"] {
        assert!(notes.contains(word), "{word} in {notes}");
    }
}

#[tokio::test]
async fn plain_lines_become_paragraphs_without_the_repeated_title() {
    let text = item("关于汛期安全的通知\n\n　　各单位：\n　　水位 < 5 米。\n");
    let prepared = Bench::new()
        .prepare(&[("item.txt", text.as_bytes())])
        .await
        .unwrap();
    assert_eq!(
        prepared.content.body,
        "<p>各单位：</p>\n<p>水位 &lt; 5 米。</p>"
    );
}

#[tokio::test]
async fn json_carries_the_same_fields_and_its_own_files() {
    use base64::Engine as _;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let json = format!(
        r#"{{"title": "甲", "category": "重大项目", "scope": "public", "format": "html",
            "body": "<p>正文<img src='a.png' alt='图'></p>", "summary": null,
            "images": [{{"name": "a.png", "base64": "{}"}}],
            "attachments": [{{"name": "b.pdf", "label": "附表", "base64": "{}"}}],
            "channels": {{"wechat-main": {{"title": "短"}}}}}}"#,
        encode(&png(1)),
        encode(b"%PDF-1.7")
    );
    let prepared = Bench::new()
        .prepare(&[("item.json", json.as_bytes())])
        .await
        .unwrap();
    assert_eq!(prepared.content.category, "0604");
    assert_eq!(prepared.content.images.len(), 1);
    assert_eq!(prepared.content.attachments[0].label, "附表");
    assert_eq!(prepared.content.channels["wechat-main"]["title"], "短");
}

#[tokio::test]
async fn a_form_that_sends_bare_names_and_the_text_last_is_understood() {
    let text = item("![图](图/a.png)");
    let picture = png(1);
    let files: [(&str, &[u8]); 3] = [
        ("a.png", &picture),
        ("没用.png", &picture),
        ("item.md", text.as_bytes()),
    ];
    let prepared = Bench::new().prepare(&files).await.unwrap();
    assert_eq!(prepared.content.images.len(), 1);
    assert!(
        prepared.notes[0].zh.contains("没用.png"),
        "{:?}",
        prepared.notes
    );
}

/// The guide's own example, beside the fixture's files.
#[tokio::test]
async fn the_complete_example_of_the_guide_is_taken_as_it_stands() {
    let guide = include_str!("../../../docs/items.md");
    let (_, example) = guide.split_once("## 完整的例子").unwrap();
    let (_, example) = example.split_once("```toml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let mut submission = policy();
    submission.files[submission.main].bytes = example.as_bytes().to_vec();
    let prepared = Bench::new().submit(submission).await.unwrap();
    assert_eq!(prepared.content.attachments.len(), 2);
    assert!(prepared.content.body.contains("t-fn-1"));
}

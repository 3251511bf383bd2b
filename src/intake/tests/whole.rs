use super::{Bench, item, png};

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

//! Markdown as offices write it: tables, footnotes, addresses in the middle of Chinese.

use comrak::nodes::{AstNode, NodeValue};
use comrak::{Arena, Options};

/// As HTML, raw HTML included: cleaning comes later and for all formats alike.
pub fn html(text: &str) -> String {
    let mut options = Options::default();
    // No strikethrough: `~` is a range in Chinese figures, and two of them in a line would strike out what lies between.
    options.extension.table = true;
    options.extension.autolink = true;
    options.extension.footnotes = true;
    options.extension.cjk_friendly_emphasis = true;
    options.render.r#unsafe = true;
    let arena = Arena::new();
    let root = comrak::parse_document(&arena, text, &options);
    for node in root.descendants() {
        end_address(&arena, node);
    }
    let mut html = String::new();
    let _infallible = comrak::format_html(root, &options, &mut html);
    html
}

/// An address that was linked by itself ends where Chinese begins; the usual rule runs on to the
/// next space, which Chinese does not have.
fn end_address<'a>(arena: &'a Arena<'a>, node: &'a AstNode<'a>) {
    let Some(child) = node
        .first_child()
        .filter(|child| child.next_sibling().is_none())
    else {
        return;
    };
    let (mut link, mut inner) = (node.data_mut(), child.data_mut());
    let (NodeValue::Link(link), NodeValue::Text(shown)) = (&mut link.value, &mut inner.value)
    else {
        return;
    };
    // Written by hand, an address and its words differ; `www.` alone gets its scheme.
    if !link.url.ends_with(shown.as_ref()) {
        return;
    }
    let end = shown
        .find(|c: char| !c.is_ascii_graphic())
        .unwrap_or(shown.len());
    let rest = shown[end..].to_owned();
    if rest.is_empty() || end == 0 {
        return;
    }
    link.url.truncate(link.url.len() - rest.len());
    *shown = shown[..end].to_owned().into();
    let after = arena.alloc(NodeValue::Text(rest.into()).into());
    node.insert_after(after);
}

#[cfg(test)]
mod tests {
    use super::html;

    #[test]
    fn an_address_ends_where_chinese_begins() {
        assert_eq!(
            html("详见https://a.cn/x?y=1&z=2。另见 www.b.cn/一，谢谢"),
            "<p>详见<a href=\"https://a.cn/x?y=1&amp;z=2\">https://a.cn/x?y=1&amp;z=2</a>。另见 \
             <a href=\"http://www.b.cn/\">www.b.cn/</a>一，谢谢</p>\n"
        );
    }

    #[test]
    fn range_signs_strike_nothing_out() {
        for figures in ["增长5~10%，其中3~4%。", "约3~~4~~5"] {
            assert_eq!(html(figures), format!("<p>{figures}</p>\n"));
        }
    }

    #[test]
    fn an_address_with_words_of_its_own_stays_whole() {
        let html = html("[通知](https://a.cn/%E4%B8%80)和<https://a.cn/b>");
        assert!(html.contains("href=\"https://a.cn/%E4%B8%80\""), "{html}");
        assert!(html.contains("href=\"https://a.cn/b\""), "{html}");
    }

    #[test]
    fn emphasis_closes_beside_chinese_punctuation() {
        assert!(html("**第一条：**总则").contains("<strong>第一条：</strong>总则"));
    }
}

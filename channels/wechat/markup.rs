//! HTML that survives WeChat's filter.

use std::cell::RefCell;
use std::rc::Rc;

use lol_html::errors::AttributeNameError;
use lol_html::html_content::{ContentType, Element};
use lol_html::{element, end_tag, rewrite_str, text};

use crate::contract::{Document, Validity};
use crate::kit::html;

const P: &str = "margin:0 0 16px;line-height:1.9;font-size:16px;color:#1f2328;text-align:justify";
const H1: &str = "margin:28px 0 14px;line-height:1.6;font-size:19px;font-weight:bold;color:#0b4a8f";
const H2: &str = "margin:24px 0 12px;line-height:1.6;font-size:17px;font-weight:bold;color:#0b4a8f";
const H3: &str = "margin:20px 0 10px;line-height:1.6;font-size:16px;font-weight:bold;color:#1f2328";
const LIST: &str = "margin:0 0 16px;padding-left:24px;line-height:1.9;font-size:16px;color:#1f2328";
const QUOTE: &str = "margin:0 0 16px;padding:8px 12px;border-left:3px solid #c5ccd6;color:#4b5563";
const CODE: &str =
    "margin:0 0 16px;padding:8px 12px;background:#f1f3f5;font-size:14px;white-space:pre-wrap";
const SCROLL: &str = "margin:0 0 16px;overflow-x:auto";
const TABLE: &str = "width:100%;border-collapse:collapse;font-size:14px;line-height:1.6";
const CELL: &str = "border:1px solid #c5ccd6;padding:6px 8px;min-width:64px;vertical-align:top";
const HEAD: &str =
    "border:1px solid #c5ccd6;padding:6px 8px;min-width:64px;font-weight:bold;background:#f1f3f5";
const IMAGE: &str = "max-width:100%;height:auto;display:block;margin:8px auto";
const SMALL: &str = "margin:0 0 8px;line-height:1.7;font-size:13px;color:#667085";
const ADDRESS: &str = "font-size:13px;color:#667085;word-break:break-all";

/// What is thrown away with everything in it.
const NEVER: &str = "script,style,link,meta,iframe,object,embed,form,input,button,select,textarea,\
                     video,audio,svg,math,template,a.footnote-backref,a[data-footnote-backref]";

/// The link that is open while the text streams by.
#[derive(Default)]
struct Open {
    href: String,
    words: String,
}

/// The fragment set again in what the platform keeps.
pub fn dressed(body: &str) -> String {
    let open = Rc::new(RefCell::new(Open::default()));
    let (at_tag, at_text) = (Rc::clone(&open), Rc::clone(&open));
    let settings = html::lenient()
        .append_element_content_handler(element!("sup a", |el| {
            el.prepend("[", ContentType::Html);
            el.append("]", ContentType::Html);
            Ok(())
        }))
        .append_element_content_handler(element!("a[href]", move |el| {
            let href = el.get_attribute("href").unwrap_or_default();
            *at_tag.borrow_mut() = Open {
                href,
                words: String::new(),
            };
            let link = Rc::clone(&at_tag);
            el.on_end_tag(end_tag!(move |end| {
                if let Some(address) = shown_address(&link.borrow()) {
                    end.before(&address, ContentType::Html);
                }
                Ok(())
            }))
        }))
        .append_element_content_handler(text!("a[href]", move |chunk| {
            at_text.borrow_mut().words.push_str(chunk.as_str());
            Ok(())
        }))
        .append_element_content_handler(element!("*", |el| Ok(dress(el)?)));
    let clean = html::without(body, NEVER);
    rewrite_str(&clean, settings)
        .unwrap_or_default()
        .replace('↩', "")
}

/// An address outside the platform is lost as a link, so it is shown, unless it says itself.
fn shown_address(link: &Open) -> Option<String> {
    let outside = link.href.starts_with("http://") || link.href.starts_with("https://");
    let words = html::unescape(link.words.trim());
    let href = html::unescape(&link.href);
    if !outside || words == href || kept_as_link(&href) {
        return None;
    }
    Some(format!(
        "<span style=\"{ADDRESS}\">（{}）</span>",
        html::escape(&href)
    ))
}

/// Only published articles of the platform itself may be linked.
fn kept_as_link(href: &str) -> bool {
    href.starts_with("https://mp.weixin.qq.com/")
}

fn dress(el: &mut Element<'_, '_>) -> Result<(), AttributeNameError> {
    let tag = el.tag_name();
    let kept = strip(el, &tag);
    let (name, style) = clothes(&tag);
    match name {
        Some(name) if name != tag => {
            if tag == "a" && kept.iter().any(|(key, _)| key == "href") {
                return Ok(());
            }
            // These names are ours and valid.
            let _named = el.set_tag_name(name);
        }
        Some(_) => {}
        None => el.remove_and_keep_content(),
    }
    if !style.is_empty() {
        el.set_attribute("style", style)?;
    }
    if tag == "table" {
        el.before(&format!("<section style=\"{SCROLL}\">"), ContentType::Html);
        el.after("</section>", ContentType::Html);
    }
    Ok(())
}

/// Removes every attribute the platform would drop or that could carry something over.
fn strip(el: &mut Element<'_, '_>, tag: &str) -> Vec<(String, String)> {
    let all: Vec<(String, String)> = el
        .attributes()
        .iter()
        .map(|at| (at.name(), at.value()))
        .collect();
    let keeps = |key: &str, value: &str| match (tag, key) {
        ("img", "src" | "alt") | ("td" | "th", "colspan" | "rowspan") => true,
        ("a", "href") => kept_as_link(value),
        _ => false,
    };
    let (kept, gone): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|(key, value)| keeps(key, value));
    for (key, _) in gone {
        el.remove_attribute(&key);
    }
    kept
}

/// The element to use and its style; `None` keeps the content alone.
fn clothes(tag: &str) -> (Option<&'static str>, &'static str) {
    match tag {
        "p" => (Some("p"), P),
        "h1" | "h2" => (Some("p"), H1),
        "h3" => (Some("p"), H2),
        "h4" | "h5" | "h6" | "summary" | "dt" => (Some("p"), H3),
        "ul" => (Some("ul"), LIST),
        "ol" => (Some("ol"), LIST),
        "li" => (Some("li"), ""),
        "dd" | "figcaption" | "caption" => (Some("p"), SMALL),
        "blockquote" => (Some("section"), QUOTE),
        "pre" => (Some("section"), CODE),
        "table" => (Some("table"), TABLE),
        "thead" => (Some("thead"), ""),
        "tbody" => (Some("tbody"), ""),
        "tfoot" => (Some("tfoot"), ""),
        "tr" => (Some("tr"), ""),
        "th" => (Some("th"), HEAD),
        "td" => (Some("td"), CELL),
        "img" => (Some("img"), IMAGE),
        "br" => (Some("br"), ""),
        "hr" => (
            Some("hr"),
            "border:0;border-top:1px solid #c5ccd6;margin:20px 0",
        ),
        "strong" | "b" => (Some("strong"), ""),
        "em" | "i" => (Some("em"), ""),
        "sup" => (Some("sup"), ""),
        "sub" => (Some("sub"), ""),
        "u" | "ins" => (Some("span"), "text-decoration:underline"),
        "s" | "del" => (Some("span"), "text-decoration:line-through"),
        "a" | "span" | "code" | "kbd" | "mark" | "small" | "q" | "cite" | "abbr" | "time" => {
            (Some("span"), "")
        }
        "div" | "section" | "article" | "main" | "aside" | "header" | "footer" | "figure"
        | "details" | "dl" | "address" | "center" => (Some("section"), ""),
        _ => (None, ""),
    }
}

/// What a reader must know beside the text: standing, source, attachments, related texts, changes.
pub fn tail(document: &Document) -> String {
    let mut lines = Vec::new();
    match document.validity {
        Validity::InForce => {}
        Validity::Amended => lines.push("效力状态：已修改".to_owned()),
        Validity::Lapsed => lines.push("效力状态：失效".to_owned()),
        Validity::Repealed => lines.push("效力状态：废止".to_owned()),
    }
    if let Some(number) = &document.document_number {
        lines.push(format!("发文字号：{number}"));
    }
    if !document.source.is_empty() {
        lines.push(format!("来源：{}", document.source));
    }
    if !document.attachments.is_empty() {
        let labels: Vec<&str> = document
            .attachments
            .iter()
            .map(|at| at.label.as_str())
            .collect();
        lines.push(format!("附件：{}（请点“阅读原文”下载）", labels.join("、")));
    }
    for related in &document.related {
        lines.push(format!(
            "相关：{}（{}）",
            related.link.title, related.link.url
        ));
    }
    for correction in &document.corrections {
        let day = correction
            .at
            .with_timezone(&chrono_tz::Asia::Shanghai)
            .format("%Y-%m-%d");
        lines.push(format!("更正（{day}）：{}", correction.note));
    }
    let lines = lines.iter().map(|line| {
        let line = html::escape(&crate::kit::text::one_line(line));
        format!("<p style=\"{SMALL}\">{line}</p>")
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_keeps_its_words_and_shows_its_address() {
        let html = dressed(
            "<p>见<a href=\"https://www.gov.cn/a?b=1&amp;c=2\" target=_blank>国务院文件</a>。</p>",
        );
        assert!(!html.contains("<a"), "{html}");
        let text = html::text(&html);
        assert_eq!(text, "见国务院文件（https://www.gov.cn/a?b=1&c=2）。");
    }

    #[test]
    fn an_address_that_says_itself_is_not_said_twice() {
        let html = dressed("<p><a href=\"https://www.gov.cn/\">https://www.gov.cn/</a></p>");
        assert_eq!(html::text(&html), "https://www.gov.cn/");
    }

    #[test]
    fn a_note_keeps_its_number_and_loses_its_way_back() {
        let html = dressed(
            "<p>申请<sup><a href=\"#fn1\" id=\"r1\">1</a></sup></p><section class=\"footnotes\"><ol><li id=\"fn1\"><p>含分支机构。<a href=\"#r1\" class=\"footnote-backref\">↩</a></p></li></ol></section>",
        );
        assert_eq!(html::text(&html), "申请[1]\n含分支机构。");
        assert!(html.contains("<sup><span>[1]</span></sup>"), "{html}");
        assert!(!html.contains("id="), "{html}");
    }

    #[test]
    fn a_table_scrolls_in_a_box_and_keeps_its_spans() {
        let html =
            dressed("<table class=x><tr><th colspan=\"2\" onclick=\"x()\">项目</th></tr></table>");
        assert!(
            html.starts_with("<section style=\"margin:0 0 16px;overflow-x:auto\"><table style="),
            "{html}"
        );
        assert!(
            html.contains("colspan=\"2\"") && !html.contains("onclick"),
            "{html}"
        );
        assert!(html.ends_with("</table></section>"), "{html}");
    }

    #[test]
    fn nothing_is_left_that_the_platform_would_drop() {
        let html = dressed(
            "<div class=a id=b><h2>一</h2><script>x</script><iframe src=x></iframe><svg><g/></svg><nav><p style='position:fixed'>二</p></nav></div>",
        );
        for gone in [
            "class", "id=", "script", "iframe", "svg", "position", "<div", "<h2", "nav",
        ] {
            assert!(!html.contains(gone), "{gone} in {html}");
        }
        assert_eq!(html::text(&html), "一\n二");
    }

    proptest::proptest! {
        /// Whatever a sanitiser lets through, nothing is left that runs, loads or names itself.
        #[test]
        fn no_markup_gets_an_attribute_past(
            tags in proptest::collection::vec(
                proptest::sample::select(vec![
                    "<p class=a>", "</p>", "<a href=\"https://x.cn/\" onclick=x>", "</a>",
                    "<div id=b>", "</div>", "<table style='x'>", "<td colspan=2 id=c>", "</table>",
                    "<sup>", "</sup>", "<img src=\"media:ab\" srcset=x>", "<li>", "甲乙", "&lt;b&gt;",
                    "<section data-x=1>", "<h2>", "</h2>", "<script>", "</script>", "<!-- x -->",
                ]),
                0..24,
            )
        ) {
            let dressed = dressed(&tags.concat());
            for gone in ["class=", "id=", "onclick", "srcset", "data-x", "<script", "href=", "<div"] {
                proptest::prop_assert!(!dressed.contains(gone), "{} in {}", gone, dressed);
            }
        }

        #[test]
        fn plain_paragraphs_keep_every_word(words in proptest::collection::vec("[一-龥a-z0-9 ，。&<>\"]{1,12}", 1..6)) {
            let words: Vec<String> = words.iter().map(|one| html::escape(one)).collect();
            let body = format!("<p>{}</p>", words.join("</p><p>"));
            proptest::prop_assert_eq!(html::text(&dressed(&body)), html::text(&body));
        }
    }

    #[test]
    fn articles_of_the_platform_itself_stay_links() {
        let html = dressed("<a href=\"https://mp.weixin.qq.com/s/abc\">上期</a>");
        assert_eq!(html, "<a href=\"https://mp.weixin.qq.com/s/abc\">上期</a>");
    }
}

//! What the platforms do to the markup they are given.
//!
//! A streaming rewrite: what is not allowed leaves, the rest stays byte for byte, so a
//! caller that reads its article back sees exactly what was taken away. Also turns
//! markup into plain text for lists and for the ledger.

use std::cell::RefCell;

use lol_html::html_content::Element;
use lol_html::{RewriteStrSettings, element, rewrite_str};

/// Elements that leave with everything in them.
const GONE: [&str; 19] = [
    "script", "style", "link", "iframe", "frame", "frameset", "object", "embed", "applet", "video",
    "audio", "source", "input", "button", "select", "textarea", "meta", "base", "noscript",
];
/// Elements that leave while their content stays.
const UNWRAPPED: [&str; 5] = ["form", "html", "head", "body", "mp-common"];

/// What a platform lets stand.
pub(crate) struct Rules<'a> {
    pub image: &'a dyn Fn(&str) -> bool,
    pub link: &'a dyn Fn(&str) -> bool,
    pub keep_ids: bool,
    pub drop_div: bool,
}

/// The markup as the platform keeps it; `None` if it cannot be read at all.
pub(crate) fn filter(html: &str, rules: &Rules<'_>) -> Option<String> {
    let settings = RewriteStrSettings::new().append_element_content_handler(element!("*", |el| {
        clean(el, rules);
        Ok(())
    }));
    rewrite_str(html, settings).ok()
}

/// Decides about one element; what is inside it is met on its own.
fn clean(el: &mut Element<'_, '_>, rules: &Rules<'_>) {
    let tag = el.tag_name();
    if GONE.contains(&tag.as_str()) {
        el.remove();
        return;
    }
    if UNWRAPPED.contains(&tag.as_str()) || (rules.drop_div && tag == "div") {
        el.remove_and_keep_content();
        return;
    }
    let address = |name| el.get_attribute(name).unwrap_or_default();
    if tag == "img" && !(rules.image)(&address("src")) {
        el.remove();
        return;
    }
    if tag == "a" && el.has_attribute("href") && !(rules.link)(&address("href")) {
        el.remove_and_keep_content();
        return;
    }
    let names: Vec<_> = el
        .attributes()
        .iter()
        .map(lol_html::html_content::Attribute::name)
        .collect();
    for name in names {
        if name.starts_with("on") || (name == "id" && !rules.keep_ids) {
            el.remove_attribute(&name);
        }
    }
    if let Some(style) = el.get_attribute("style") {
        let kept = calm_style(&style);
        let set = kept == style || el.set_attribute("style", &kept).is_ok();
        if kept.is_empty() || !set {
            el.remove_attribute("style");
        }
    }
}

/// Without custom properties, positions and transforms; untouched if there are none.
fn calm_style(style: &str) -> String {
    let loud = |rule: &&str| {
        let name = rule
            .split(':')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        let value = rule.to_ascii_lowercase();
        name.starts_with("--")
            || name == "position"
            || name == "transform"
            || value.contains("var(")
            || value.contains("url(")
    };
    if !style.split(';').any(|rule| loud(&rule)) {
        return style.trim().to_owned();
    }
    let kept: Vec<_> = style.split(';').filter(|rule| !loud(rule)).collect();
    kept.join(";").trim().to_owned()
}

/// The words of some markup, on one line.
pub(crate) fn text(html: &str) -> String {
    let words = RefCell::new(String::new());
    let mut inside = false;
    for c in html.chars() {
        match c {
            '<' => inside = true,
            '>' if inside => {
                inside = false;
                words.borrow_mut().push(' ');
            }
            c if !inside => words.borrow_mut().push(c),
            _ => {}
        }
    }
    let plain = words.into_inner();
    let plain = [
        ("&nbsp;", " "),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
    ]
    .iter()
    .fold(plain, |text, (from, to)| text.replace(from, to))
    .replace("&amp;", "&");
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first `max` characters.
pub(crate) fn cut(text: &str, max: usize) -> String {
    text.chars().take(max).collect()
}

#[cfg(test)]
mod tests {
    use super::{Rules, filter, text};

    fn wechat(html: &str) -> String {
        let own = |url: &str| url.starts_with("http://own/");
        let rules = Rules {
            image: &own,
            link: &own,
            keep_ids: false,
            drop_div: false,
        };
        filter(html, &rules).unwrap()
    }

    #[test]
    fn each_thing_the_reference_names_leaves_and_the_rest_stays() {
        for (given, kept) in [
            ("<p>甲<script>x()</script>乙</p>", "<p>甲乙</p>"),
            ("<style>p{}</style><link rel=a><p>甲</p>", "<p>甲</p>"),
            ("<iframe src=x>y</iframe>甲", "甲"),
            ("<video src=x></video><audio></audio>甲", "甲"),
            ("<form action=x>甲<input name=y></form>", "甲"),
            ("<p onclick=\"x()\">甲</p>", "<p>甲</p>"),
            ("<p id=\"a\">甲</p>", "<p>甲</p>"),
            ("<img src=\"http://other/a.png\">甲", "甲"),
            ("<img src=\"data:image/png;base64,AA\">甲", "甲"),
            (
                "<img src=\"http://own/a.png\">",
                "<img src=\"http://own/a.png\">",
            ),
            ("<a href=\"http://other/\">甲</a>", "甲"),
            ("<a href=\"javascript:x()\">甲</a>", "甲"),
            (
                "<a href=\"http://own/s/1\">甲</a>",
                "<a href=\"http://own/s/1\">甲</a>",
            ),
            (
                "<p style=\"color:red;position:fixed\">甲</p>",
                "<p style=\"color:red\">甲</p>",
            ),
            (
                "<p style=\"color:red\">甲</p>",
                "<p style=\"color:red\">甲</p>",
            ),
        ] {
            assert_eq!(wechat(given), kept, "{given}");
        }
    }

    #[test]
    fn text_has_the_words_and_no_markup() {
        assert_eq!(text("<p>甲&amp;乙</p>\n<p>a &lt; b</p>"), "甲&乙 a < b");
    }
}

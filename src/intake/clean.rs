//! What markup may stay: an explicit list, applied until nothing changes any more.
//!
//! ammonia parses like a browser and writes again only what the list names. Classes, styles and
//! scripts go; ids stay under a prefix of their own, so that a footnote finds its anchor and no id
//! of the text can meet one of the page around it.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use ammonia::{Builder, UrlRelative};
use url::Url;

/// Before every id in a text.
const ID_PREFIX: &str = "t-";

const TAGS: &[&str] = &[
    "a",
    "abbr",
    "b",
    "blockquote",
    "br",
    "caption",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "del",
    "div",
    "dl",
    "dt",
    "em",
    "figcaption",
    "figure",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "ins",
    "kbd",
    "li",
    "mark",
    "ol",
    "p",
    "pre",
    "q",
    "rp",
    "rt",
    "ruby",
    "s",
    "section",
    "small",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "u",
    "ul",
];

/// Elements that go with all that is in them; others leave their text behind.
pub const GONE: &[&str] = &[
    "applet", "audio", "button", "canvas", "datalist", "embed", "frame", "frameset", "iframe",
    "input", "math", "noembed", "noframes", "noscript", "object", "script", "select", "style",
    "svg", "template", "textarea", "title", "video",
];

/// What to do with the `src` of images.
#[derive(Debug, Clone)]
pub enum Images {
    /// As written, to be looked for later.
    Keep,
    /// By this table; what is not in it goes.
    Place(Arc<BTreeMap<String, String>>),
}

/// The fragment with nothing but what may stay, or `None` where it never settles.
pub fn clean(html: &str, images: Images) -> Option<String> {
    const ROUNDS: usize = 5;
    let mut last = once(html, images);
    for _ in 0..ROUNDS {
        let next = once(&last, Images::Keep);
        if next == last {
            return Some(last);
        }
        last = next;
    }
    None
}

/// Elements that stand alone or that the next of their kind closes.
const SHORT: &[&str] = &[
    "area", "base", "br", "col", "colgroup", "dd", "dt", "embed", "hr", "img", "input", "li",
    "link", "meta", "option", "p", "param", "source", "tbody", "td", "tfoot", "th", "thead", "tr",
    "track", "wbr",
];

/// A parser's work grows with the square of what is left open; no text needs hundreds. Counted
/// roughly, by names alone: too many rather than too few.
pub fn nests_too_deeply(html: &str) -> bool {
    const MOST: usize = 400;
    let mut open = HashMap::<String, usize>::new();
    let mut depth = 0_usize;
    for piece in html.split('<').skip(1) {
        let is_end = piece.starts_with('/');
        let name = piece.trim_start_matches('/');
        let name: String = name
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        let name = name.to_ascii_lowercase();
        if name.is_empty() || SHORT.contains(&name.as_str()) {
            continue;
        }
        let count = open.entry(name).or_default();
        if !is_end {
            *count += 1;
            depth += 1;
        } else if *count > 0 {
            *count -= 1;
            depth -= 1;
        }
        if depth > MOST {
            return true;
        }
    }
    false
}

fn attribute(images: &Images, tag: &str, name: &str, value: &str) -> Option<String> {
    match (tag, name) {
        ("img", "src") => match images {
            Images::Keep => Some(value.to_owned()),
            Images::Place(table) => table.get(value).cloned(),
        },
        (_, "href") => link(value),
        (_, "id") => Some(anchor(value)),
        (_, "width" | "height" | "colspan" | "rowspan" | "span" | "start" | "value") => {
            is_small_number(value).then(|| value.to_owned())
        }
        _ => Some(value.to_owned()),
    }
}

fn once(html: &str, images: Images) -> String {
    let mut builder = Builder::empty();
    builder
        .tags(set(TAGS))
        .clean_content_tags(set(GONE))
        .generic_attributes(set(&["id"]))
        .tag_attributes(attributes())
        .tag_attribute_values(values())
        .allowed_classes(HashMap::from([
            ("section", set(&["footnotes"])),
            ("sup", set(&["footnote-ref"])),
            ("a", set(&["footnote-backref"])),
        ]))
        .url_schemes(set(&["http", "https", "mailto", "tel", "data", "media"]))
        .url_relative(UrlRelative::PassThrough)
        .link_rel(None)
        .strip_comments(true)
        .attribute_filter(move |tag, name, value| {
            attribute(&images, tag, name, value).map(Cow::Owned)
        });
    builder.clean(html).to_string()
}

fn set(names: &[&'static str]) -> HashSet<&'static str> {
    names.iter().copied().collect()
}

fn attributes() -> HashMap<&'static str, HashSet<&'static str>> {
    HashMap::from([
        ("a", set(&["href", "title"])),
        ("abbr", set(&["title"])),
        ("img", set(&["src", "alt", "title", "width", "height"])),
        ("td", set(&["colspan", "rowspan", "headers"])),
        ("th", set(&["colspan", "rowspan", "headers", "abbr"])),
        ("col", set(&["span"])),
        ("colgroup", set(&["span"])),
        ("ol", set(&["start", "reversed"])),
        ("li", set(&["value"])),
    ])
}

type Values = HashMap<&'static str, HashMap<&'static str, HashSet<&'static str>>>;

fn values() -> Values {
    let align = || ("align", set(&["left", "center", "right"]));
    let mut values: Values = ["p", "h2", "h3", "h4", "h5", "h6", "td"]
        .into_iter()
        .map(|tag| (tag, HashMap::from([align()])))
        .collect();
    let scope = ("scope", set(&["col", "row", "colgroup", "rowgroup"]));
    values.insert("th", HashMap::from([align(), scope]));
    values.insert("ol", HashMap::from([("type", set(&["1", "a", "i"]))]));
    values
}

fn is_small_number(value: &str) -> bool {
    (1..=5).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit())
}

/// A full address or an anchor in the text; anything else would break or harm elsewhere.
pub fn link(value: &str) -> Option<String> {
    let value = value.trim();
    if let Some(name) = value.strip_prefix('#') {
        return Some(format!("#{}", anchor(name)));
    }
    let url = Url::parse(value).ok()?;
    matches!(url.scheme(), "http" | "https" | "mailto" | "tel").then(|| value.to_owned())
}

/// An id that means the same in `id` and, percent-encoded or not, after `#`.
fn anchor(name: &str) -> String {
    let name = super::paths::percent_decoded(name);
    let plain: String = name
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') {
                c
            } else {
                '-'
            }
        })
        .collect();
    match plain.strip_prefix(ID_PREFIX) {
        Some(_) => plain,
        None => format!("{ID_PREFIX}{plain}"),
    }
}

#[cfg(test)]
mod tests {
    use lol_html::{Settings, element, rewrite_str};
    use proptest::prelude::{prop, proptest};

    use super::*;

    const ATTACKS: &[&str] = &[
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<svg onload=alert(1)><circle/></svg>",
        "<svg><style><img src=x onerror=alert(1)></style></svg>",
        "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\">",
        "<a href=\"javascript:alert(1)\">x</a>",
        "<a href=\"JaVa\tScript:alert(1)\">x</a>",
        "<a href=\"&#106;avascript:alert(1)\">x</a>",
        "<a href=\"data:text/html,<script>alert(1)</script>\">x</a>",
        "<a href=\"media:aa\">x</a>",
        "<iframe srcdoc=\"<script>alert(1)</script>\"></iframe>",
        "<form action=//evil><input name=a><button>x</button></form>",
        "<table><td background=\"javascript:alert(1)\" style=\"x:expression(1)\">",
        "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
        "<p id=\"main\" class=\"admin\" style=\"position:fixed\" onclick=a()>x</p>",
        "<object data=x></object><embed src=x><video src=x onerror=a()></video>",
        "<meta http-equiv=refresh content=0><base href=//evil><link rel=import href=x>",
        "<textarea><img src=x onerror=alert(1)></textarea>",
        "<xmp><img src=x onerror=alert(1)></xmp><plaintext>",
        "<template><script>alert(1)</script></template>",
        "<img alt=\"<h1>x</h1><script>\" src=\"a.png\">",
        "<p><table><p><a><table><a>x",
        "<!--><script>alert(1)</script>-->",
        "<title><script>alert(1)</script></title>",
        "<select><style></select><img src=x onerror=alert(1)>",
        "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    ];

    /// Every tag and attribute that is left, as a parser sees them.
    fn left(html: &str) -> Vec<(String, String, String)> {
        let mut left = Vec::new();
        let settings = Settings::new().append_element_content_handler(element!("*", |el| {
            left.push((el.tag_name(), String::new(), String::new()));
            for one in el.attributes() {
                left.push((el.tag_name(), one.name(), one.value()));
            }
            Ok(())
        }));
        rewrite_str(html, settings).unwrap();
        left
    }

    fn is_harmless(html: &str) {
        for (tag, name, value) in left(html) {
            assert!(TAGS.contains(&tag.as_str()), "<{tag}> in {html}");
            assert!(
                !name.starts_with("on") && name != "style",
                "{name} in {html}"
            );
            if name == "href" {
                assert!(link(&value).is_some(), "{value} in {html}");
            }
        }
    }

    #[test]
    fn no_known_attack_leaves_anything_that_runs_and_cleaning_again_changes_nothing() {
        for attack in ATTACKS {
            let clean = clean(attack, Images::Keep).unwrap();
            is_harmless(&clean);
            assert_eq!(once(&clean, Images::Keep), clean, "{attack}");
        }
    }

    #[test]
    fn what_an_official_text_needs_survives() {
        let text = "<table><caption>表 1</caption><thead><tr><th scope=\"col\" colspan=\"2\">甲</th>\
                    </tr></thead><tbody><tr><td rowspan=\"2\" align=\"right\">1</td></tr></tbody>\
                    </table><figure><img src=\"a.png\" alt=\"图\"><figcaption>图 1</figcaption></figure>\
                    <ol start=\"3\"><li>三</li></ol><p>H<sub>2</sub>O<sup>+</sup></p><blockquote><p>引</p>\
                    </blockquote><pre><code>码</code></pre>";
        assert_eq!(clean(text, Images::Keep).unwrap(), text);
    }

    #[test]
    fn footnotes_find_their_anchors_in_any_language() {
        let html = super::super::markdown::html("甲[^注一]乙[^2]\n\n[^注一]: 子\n[^2]: 丑\n");
        let clean = clean(&html, Images::Keep).unwrap();
        let left = left(&clean);
        let ids: Vec<&str> = left
            .iter()
            .filter(|(_, name, _)| name == "id")
            .map(|(.., id)| id.as_str())
            .collect();
        let targets = left.iter().filter(|(_, name, _)| name == "href");
        let targets: Vec<&str> = targets.map(|(.., href)| &href[1..]).collect();
        assert_eq!(targets.len(), 4, "{clean}");
        for target in targets {
            assert!(
                target.starts_with(ID_PREFIX) && ids.contains(&target),
                "{target} in {clean}"
            );
        }
        assert!(clean.contains("class=\"footnotes\""), "{clean}");
    }

    #[test]
    fn an_image_goes_where_the_table_says_and_loses_its_src_without_an_entry() {
        let table = BTreeMap::from([("a&b.png".to_owned(), "media:aa".to_owned())]);
        let html = "<img src=\"a&amp;b.png\"><img src=\"media:cc\">";
        let placed = clean(html, Images::Place(Arc::new(table))).unwrap();
        assert_eq!(placed, "<img src=\"media:aa\"><img>");
    }

    #[test]
    fn elements_left_open_without_end_are_refused_and_long_lists_are_not() {
        for tag in [
            "<div>",
            "<blockquote>",
            "<b><p>",
            "<table><tr><td>",
            "<ul><li></x>",
            "<B>",
        ] {
            assert!(nests_too_deeply(&tag.repeat(10_000)), "{tag}");
        }
        for tag in [
            "<p>字",
            "<li>字",
            "<b>字</b>",
            "<br>",
            "<div><p>字</div>",
            "<h2>字</h2>",
        ] {
            assert!(!nests_too_deeply(&tag.repeat(10_000)), "{tag}");
        }
    }

    proptest! {
        #[test]
        fn anything_made_of_pieces_of_markup_is_harmless_or_refused(
            pieces in prop::collection::vec(prop::sample::select(vec![
                "<p>", "</p>", "<table>", "<td>", "</table>", "<svg>", "</svg>", "<math>", "<style>",
                "</style>", "<script>", "</script>", "<a href=\"javascript:x\">", "<a href='#x'>",
                "</a>", "<img src=x onerror=y>", "<!--", "-->", "<select>", "<option>", "<mglyph>",
                "<mtext>", "<title>", "</title>", "<noscript>", "<form>", "<b>", "<i>", "</b>", "字",
                "<pre>\n", "<li>", "<h1>", "\"", "'", "&lt;", "<![CDATA[", "]]>", "<template>",
            ]), 0..24)
        ) {
            let html = pieces.concat();
            if let Some(clean) = clean(&html, Images::Keep) {
                is_harmless(&clean);
                assert_eq!(once(&clean, Images::Keep), clean);
            }
        }
    }
}

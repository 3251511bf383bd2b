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
fn link(value: &str) -> Option<String> {
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

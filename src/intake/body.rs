//! The text of an item, from Markdown, HTML or plain lines to one clean fragment.

use std::cell::RefCell;

use lol_html::html_content::ContentType;
use lol_html::{Settings, element, rewrite_str, text};
use lubu_channels::kit::html;
use lubu_channels::kit::text::{essence, one_line};

use super::clean::{self, GONE, Images};
use super::{Report, markdown, paths};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Markdown,
    Html,
    Text,
}

impl Format {
    /// By the name of the file.
    pub fn of(path: &str) -> Option<Self> {
        match paths::extension(path).as_str() {
            "md" | "markdown" => Some(Self::Markdown),
            "html" | "htm" => Some(Self::Html),
            "txt" => Some(Self::Text),
            _ => None,
        }
    }
}

/// The clean fragment; images still have the `src` their author gave. `raw` is `None` where it
/// nests too deeply to be read at all.
pub fn fragment(name: &str, raw: Option<&str>, title: &str, report: &mut Report) -> String {
    let Some(clean) = raw.and_then(|raw| clean::clean(raw, Images::Keep)) else {
        report.wrong(
            name,
            "HTML 的嵌套过于混乱，无法可靠地净化。请用编辑器重新整理后再提交。",
            "the HTML nests in a way that cannot be cleaned reliably; tidy it and submit again.",
        );
        return String::new();
    };
    tell_what_goes(name, raw.unwrap_or_default(), report);
    let fragment = headings(&without_title(clean, title));
    if html::text(&fragment).trim().is_empty() && !fragment.contains("<img") {
        report.wrong(
            name,
            "正文是空的。请写正文；只有附件的，也请写一句说明。",
            "the text is empty; write at least a sentence on the attachments.",
        );
    }
    fragment
}

/// As HTML, nothing taken out yet; `None` where it nests too deeply.
pub fn raw(format: Format, text: &str, title: &str) -> Option<String> {
    let html = match format {
        Format::Markdown => markdown::html(text),
        Format::Html => text.to_owned(),
        Format::Text => paragraphs(text, title),
    };
    (!clean::nests_too_deeply(&html)).then(|| in_plain_attributes(&html))
}

/// Each line that is not empty is a paragraph; the indent is the page's, not the text's.
fn paragraphs(text: &str, title: &str) -> String {
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .peekable();
    if lines
        .peek()
        .is_some_and(|first| essence(first) == essence(title))
    {
        lines.next();
    }
    let paragraphs = lines.map(|line| format!("<p>{}</p>", html::escape(line)));
    paragraphs.collect::<Vec<_>>().join("\n")
}

/// What copied pages say in other ways: images named in `data-src` alone, lines set right by style.
fn in_plain_attributes(raw: &str) -> String {
    let settings = Settings::new()
        .append_element_content_handler(element!("img[data-src]", |el| {
            let src = el.get_attribute("src").unwrap_or_default();
            if src.trim().is_empty()
                && let Some(lazy) = el.get_attribute("data-src")
            {
                el.set_attribute("src", &lazy)?;
            }
            Ok(())
        }))
        .append_element_content_handler(element!("[style]", |el| {
            let style = el.get_attribute("style").unwrap_or_default().to_lowercase();
            let aligned = style.split(';').filter_map(|one| one.split_once(':'));
            for (_, side) in aligned.filter(|(name, _)| name.trim() == "text-align") {
                el.set_attribute("align", side.trim())?;
            }
            Ok(())
        }));
    rewrite_str(raw, settings).unwrap_or_else(|_| raw.to_owned())
}

/// A link that no channel could follow, and the words it stood on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loose {
    pub href: String,
    pub words: String,
}

/// Links that cleaning will take from their words, in order.
pub fn loose_links(raw: &str) -> Vec<Loose> {
    let seen: RefCell<Vec<Loose>> = RefCell::new(Vec::new());
    let open = RefCell::new(false);
    let settings = Settings::new()
        .append_element_content_handler(element!("a", |el| {
            let href = html::unescape(&el.get_attribute("href").unwrap_or_default());
            let is_loose = !href.trim().is_empty() && clean::link(&href).is_none();
            open.replace(is_loose);
            if is_loose {
                seen.borrow_mut().push(Loose {
                    href,
                    words: String::new(),
                });
            }
            Ok(())
        }))
        .append_element_content_handler(text!("a", |chunk| {
            if let (true, Some(last)) = (*open.borrow(), seen.borrow_mut().last_mut()) {
                last.words.push_str(chunk.as_str());
            }
            Ok(())
        }));
    let _same = rewrite_str(raw, settings);
    let tidy = |Loose { href, words }| {
        let words = one_line(&html::unescape(&words));
        Loose { href, words }
    };
    seen.into_inner().into_iter().map(tidy).collect()
}

/// What readers would have seen and now will not is told; `script` and `style` too.
fn tell_what_goes(name: &str, raw: &str, report: &mut Report) {
    let mut gone = std::collections::BTreeMap::<String, usize>::new();
    let selector = GONE.join(",");
    let settings = Settings::new().append_element_content_handler(element!(selector, |el| {
        *gone.entry(el.tag_name()).or_default() += 1;
        Ok(())
    }));
    let _same = rewrite_str(raw, settings);
    gone.remove("title");
    if gone.is_empty() {
        return;
    }
    let list = gone.iter().map(|(tag, count)| format!("{tag} × {count}"));
    let list = list.collect::<Vec<_>>();
    report.note(
        format!("{name} 里不能发布的内容已去掉：{}。", list.join("、")),
        format!("taken out of {name}: {}.", list.join(", ")),
    );
}

/// Without a first `h1` that repeats the title: the page shows the title itself.
fn without_title(fragment: String, title: &str) -> String {
    let first = RefCell::new((0, String::new()));
    let settings = Settings::new()
        .append_element_content_handler(element!("h1", |_el| {
            first.borrow_mut().0 += 1;
            Ok(())
        }))
        .append_element_content_handler(text!("h1", |chunk| {
            let (count, said) = &mut *first.borrow_mut();
            if *count == 1 {
                said.push_str(chunk.as_str());
            }
            Ok(())
        }));
    let _same = rewrite_str(&fragment, settings);
    let (_, said) = first.into_inner();
    if title.is_empty() || essence(&html::unescape(&said)) != essence(title) {
        return fragment;
    }
    let mut is_first = true;
    let settings = Settings::new().append_element_content_handler(element!("h1", |el| {
        if std::mem::take(&mut is_first) {
            el.replace("", ContentType::Html);
        }
        Ok(())
    }));
    rewrite_str(&fragment, settings).unwrap_or(fragment)
}

const HEADINGS: &str = "h1,h2,h3,h4,h5,h6";

/// Moves all headings so that the highest is `h2`: the page's only `h1` is the title.
fn headings(fragment: &str) -> String {
    let level = |tag: &str| tag[1..].parse::<u32>().unwrap_or(2);
    let mut highest = 7;
    let settings = Settings::new().append_element_content_handler(element!(HEADINGS, |el| {
        highest = highest.min(level(&el.tag_name()));
        Ok(())
    }));
    let _same = rewrite_str(fragment, settings);
    let settings = Settings::new().append_element_content_handler(element!(HEADINGS, |el| {
        let moved = (level(&el.tag_name()) + 2)
            .saturating_sub(highest)
            .clamp(2, 6);
        el.set_tag_name(&format!("h{moved}"))?;
        Ok(())
    }));
    rewrite_str(fragment, settings).unwrap_or_else(|_| fragment.to_owned())
}

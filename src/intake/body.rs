//! The text of an item, from Markdown, HTML or plain lines to one clean fragment.

use std::cell::RefCell;

use lol_html::html_content::ContentType;
use lol_html::{Settings, element, rewrite_str, text};
use lubu_channels::kit::html;
use lubu_channels::kit::text::essence;

use super::clean::{self, GONE, Images};
use super::{Report, paths};

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

/// The clean fragment; images still have the `src` their author gave.
pub fn fragment(
    name: &str,
    format: Format,
    text: &str,
    title: &str,
    report: &mut Report,
) -> String {
    let raw = raw(format, text, title);
    tell_what_goes(name, &raw, report);
    let Some(clean) = clean::clean(&raw, Images::Keep) else {
        report.wrong(
            name,
            "HTML 的嵌套过于混乱，无法可靠地净化。请用编辑器重新整理后再提交。",
            "the HTML nests in a way that cannot be cleaned reliably; tidy it and submit again.",
        );
        return String::new();
    };
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

/// As HTML, nothing taken out yet.
pub fn raw(format: Format, text: &str, title: &str) -> String {
    let html = match format {
        Format::Markdown => markdown(text),
        Format::Html => text.to_owned(),
        Format::Text => paragraphs(text, title),
    };
    with_lazy_images(&html)
}

fn markdown(text: &str) -> String {
    let mut options = comrak::Options::default();
    options.extension.strikethrough = true;
    options.extension.table = true;
    options.extension.autolink = true;
    options.extension.footnotes = true;
    options.extension.cjk_friendly_emphasis = true;
    // Raw HTML is cleaned with everything else.
    options.render.r#unsafe = true;
    comrak::markdown_to_html(text, &options)
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
    lines
        .map(|line| format!("<p>{}</p>\n", html::escape(line)))
        .collect()
}

/// Copied pages often name their images in `data-src` alone.
fn with_lazy_images(raw: &str) -> String {
    let settings = Settings::new().append_element_content_handler(element!("img", |el| {
        if el
            .get_attribute("src")
            .is_none_or(|src| src.trim().is_empty())
            && let Some(lazy) = el.get_attribute("data-src")
        {
            el.set_attribute("src", &lazy)?;
        }
        Ok(())
    }));
    rewrite_str(raw, settings).unwrap_or_else(|_| raw.to_owned())
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

//! The approved text, made fit for the page: pictures placed, tables readable, nothing reworded.
//!
//! Two passes by a streaming parser. The first reads the cells, because whether a cell holds a
//! figure is known only at its end; the second writes.

use std::cell::{Cell, RefCell};

use lol_html::html_content::{ContentType, Element};
use lol_html::{Settings as Rewrite, element, rewrite_str, text};

/// Where a picture stands and how large it is.
#[derive(Debug, Clone)]
pub struct Placed {
    pub src: String,
    pub width: u32,
    pub height: u32,
}

/// The text with pictures where `place` puts them; those it does not know go. `title` describes
/// pictures that nobody described.
pub fn dress(html: &str, title: &str, place: impl Fn(&str) -> Option<Placed>) -> String {
    let figures = figures(html);
    let (cell, row) = (Cell::new(0), Cell::new(0));
    let picture = element!("img", |el| picture(el, title, &place));
    let table = element!("table", |el| {
        row.set(0);
        let box_start = "<div class=\"scroll\" role=\"region\" aria-label=\"表格\" tabindex=\"0\">";
        el.before(box_start, ContentType::Html);
        el.after("</div>", ContentType::Html);
        Ok(())
    });
    let tr = element!("tr", |_el| {
        row.set(row.get() + 1);
        Ok(())
    });
    let th = element!("th", |el| {
        if !el.has_attribute("scope") {
            let scope = if row.get() <= 1 { "col" } else { "row" };
            el.set_attribute("scope", scope)?;
        }
        Ok(())
    });
    let td = element!("td", |el| {
        if figures.get(cell.replace(cell.get() + 1)) == Some(&true) {
            el.set_attribute("class", "n")?;
        }
        Ok(())
    });
    let heading = element!("h1", |el| {
        el.set_tag_name("h2")?;
        Ok(())
    });
    let rewrite = [picture, table, tr, th, td, heading]
        .into_iter()
        .fold(Rewrite::new(), Rewrite::append_element_content_handler);
    rewrite_str(html, rewrite).unwrap_or_default()
}

type Handled = Result<(), Box<dyn std::error::Error + Send + Sync>>;

fn picture(
    el: &mut Element<'_, '_>,
    title: &str,
    place: &impl Fn(&str) -> Option<Placed>,
) -> Handled {
    let src = el.get_attribute("src").unwrap_or_default();
    let Some(placed) = src.strip_prefix("media:").and_then(place) else {
        el.remove();
        return Ok(());
    };
    el.set_attribute("src", &placed.src)?;
    if el
        .get_attribute("alt")
        .is_none_or(|alt| alt.trim().is_empty())
    {
        el.set_attribute("alt", &format!("图片：{title}"))?;
    }
    if placed.width > 0 && placed.height > 0 {
        el.set_attribute("width", &placed.width.to_string())?;
        el.set_attribute("height", &placed.height.to_string())?;
    }
    el.set_attribute("loading", "lazy")?;
    el.set_attribute("decoding", "async")?;
    Ok(())
}

/// For each `td` in order, whether it holds a figure.
fn figures(html: &str) -> Vec<bool> {
    let cells: RefCell<Vec<String>> = RefCell::default();
    let start = element!("td", |_el| {
        cells.borrow_mut().push(String::new());
        Ok(())
    });
    let inside = text!("td", |chunk| {
        if let Some(cell) = cells.borrow_mut().last_mut() {
            cell.push_str(chunk.as_str());
        }
        Ok(())
    });
    let rewrite = Rewrite::new()
        .append_element_content_handler(start)
        .append_element_content_handler(inside);
    let _rewritten = rewrite_str(html, rewrite);
    cells.take().iter().map(|cell| is_figure(cell)).collect()
}

/// Digits with the signs that stand in figures, such as `1,203.5`, `-3.2%` or `12 万`.
fn is_figure(text: &str) -> bool {
    let text = text
        .trim()
        .trim_end_matches(['%', '％', '万', '亿', '元'])
        .trim();
    let signs = |c: char| matches!(c, ',' | '.' | '-' | '+' | '−' | '±' | '(' | ')');
    text.chars().any(|c| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || signs(c))
        && !is_date(text)
}

fn is_date(text: &str) -> bool {
    text.split(['-', '.']).count() == 3 && text.len() >= 8
}

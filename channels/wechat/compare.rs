//! Whether the platform holds what was sent.
//!
//! Markup is left aside, since the platform rewrites it; words, images and the fields are not.

use serde_json::Value;

use super::article::Article;
use crate::kit::{html, json, text};

/// What differs between what was sent and what the platform holds, if anything does.
pub fn difference(sent: &Article, item: &Value) -> Option<String> {
    let held = |key| text::one_line(json::text(item, key));
    if held("title") != sent.title {
        return Some(format!("标题成了“{}”", held("title")));
    }
    if held("author") != sent.author {
        return Some(format!("作者成了“{}”", held("author")));
    }
    if !sent.digest.is_empty() && held("digest") != sent.digest {
        return Some(format!("摘要成了“{}”", held("digest")));
    }
    let content = json::text(item, "content");
    let (before, after) = (
        html::images(&sent.content).len(),
        html::images(content).len(),
    );
    if before != after {
        return Some(format!("{before} 张图片成了 {after} 张"));
    }
    same_text(sent, content)
        .then_some(())
        .map_or(Some("正文文字变了".to_owned()), |()| None)
}

/// Whether two fragments read the same, white space aside.
pub fn same_text(sent: &Article, content: &str) -> bool {
    bare(&sent.content) == bare(content)
}

fn bare(fragment: &str) -> String {
    let invisible =
        |c: &char| c.is_whitespace() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{feff}');
    html::text(fragment)
        .chars()
        .filter(|c| !invisible(c))
        .collect()
}

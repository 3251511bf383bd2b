//! The addresses of images as texts give them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lol_html::{Settings, element, rewrite_str};
use lubu_channels::Words;
use lubu_channels::kit::html::unescape;
use lubu_channels::kit::text::quoted;

use super::paths;

/// `src` and `alt` of every image, in order.
pub fn sources(fragment: &str) -> Vec<(String, String)> {
    let mut seen = Vec::new();
    let settings = Settings::new().append_element_content_handler(element!("img", |el| {
        let value = |name| unescape(&el.get_attribute(name).unwrap_or_default());
        seen.push((value("src"), value("alt")));
        Ok(())
    }));
    let _same = rewrite_str(fragment, settings);
    seen
}

/// What an answer calls an image: never its query, never its data.
pub fn called(src: &str) -> String {
    let src = src.split(['?', '#']).next().unwrap_or_default();
    if src
        .get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case("data:"))
    {
        return "data:".to_owned();
    }
    quoted(&paths::percent_decoded(src))
}

/// An image written into the text itself.
pub fn data(src: &str) -> Result<(String, Vec<u8>), Words> {
    let broken = || {
        Words::new(
            "写在正文里的图片（data:）不完整。请存为文件，和稿件一起提交。",
            "the image inside the text (data:) is broken; hand it in as a file.",
        )
    };
    let (head, body) = src
        .get(5..)
        .and_then(|rest| rest.split_once(','))
        .ok_or_else(broken)?;
    let body = paths::percent_decoded(body);
    if !head.trim_end().to_ascii_lowercase().ends_with(";base64") {
        return Ok(("image".into(), body.into_bytes()));
    }
    let body: String = body.split_ascii_whitespace().collect();
    let bytes = BASE64.decode(body).map_err(|_| broken())?;
    Ok(("image".into(), bytes))
}

//! Small tools for HTML fragments, by a streaming parser and never by regular expressions.

use std::cell::RefCell;
use std::rc::Rc;

use lol_html::html_content::ContentType;
use lol_html::{Settings, doc_text, element, rewrite_str};

/// Elements that stand on lines of their own.
const BLOCKS: &str = "p,div,section,article,h1,h2,h3,h4,h5,h6,li,tr,blockquote,pre,figure,\
                      figcaption,table,ul,ol,dl,dt,dd,hr,br";

/// Settings that read on where markup is odd: a fragment is never lost for its nesting.
pub fn lenient<'h, 's>() -> Settings<'h, 's> {
    Settings::new().with_strict(false)
}

/// What a reader sees of a fragment: blocks on lines of their own, entities resolved.
pub fn text(html: &str) -> String {
    let seen = Rc::new(RefCell::new(String::new()));
    let (into, breaks) = (Rc::clone(&seen), Rc::clone(&seen));
    let settings = lenient()
        .append_element_content_handler(element!(BLOCKS, move |_el| {
            breaks.borrow_mut().push('\n');
            Ok(())
        }))
        .append_document_content_handler(doc_text!(move |chunk| {
            into.borrow_mut().push_str(chunk.as_str());
            Ok(())
        }));
    let _rewritten = rewrite_str(&without(html, "script,style,template"), settings);
    let raw = unescape(&seen.borrow());
    let lines = raw.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

/// The `src` of every image, in order.
pub fn images(html: &str) -> Vec<String> {
    let seen = RefCell::new(Vec::new());
    let settings = lenient().append_element_content_handler(element!("img", |el| {
        let lazy = el.get_attribute("data-src");
        seen.borrow_mut()
            .push(el.get_attribute("src").or(lazy).unwrap_or_default());
        Ok(())
    }));
    let _rewritten = rewrite_str(html, settings);
    seen.into_inner()
}

/// Gives every image another `src`; those for which `place` knows none are taken out.
pub fn with_images(html: &str, place: impl Fn(&str) -> Option<String>) -> String {
    let settings = lenient().append_element_content_handler(element!("img", |el| {
        let src = el.get_attribute("src").unwrap_or_default();
        match place(&src) {
            Some(new) => el.set_attribute("src", &new)?,
            None => el.remove(),
        }
        Ok(())
    }));
    rewrite_str(html, settings).unwrap_or_default()
}

/// Puts a fragment of our own in the place of every image.
pub fn instead_of_images(html: &str, fragment: &str) -> String {
    let settings = lenient().append_element_content_handler(element!("img", |el| {
        el.replace(fragment, ContentType::Html);
        Ok(())
    }));
    rewrite_str(html, settings).unwrap_or_default()
}

/// Takes elements out with everything in them.
pub fn without(html: &str, selector: &str) -> String {
    let settings = lenient().append_element_content_handler(element!(selector, |el| {
        el.replace("", ContentType::Html);
        Ok(())
    }));
    rewrite_str(html, settings).unwrap_or_default()
}

/// Text as it stands in HTML, attributes included.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Resolves the entities that sanitisers and platforms write.
pub fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest
            .char_indices()
            .take(12)
            .find(|(_, c)| *c == ';')
            .map(|(end, _)| end);
        let found = end.and_then(|end| Some((end, entity(&rest[1..end])?)));
        if let Some((end, c)) = found {
            plain.push(c);
            rest = &rest[end + 1..];
        } else {
            plain.push('&');
            rest = &rest[1..];
        }
    }
    plain.push_str(rest);
    plain
}

fn entity(name: &str) -> Option<char> {
    let code = match name {
        "amp" => return Some('&'),
        "lt" => return Some('<'),
        "gt" => return Some('>'),
        "quot" => return Some('"'),
        "apos" => return Some('\''),
        "nbsp" => return Some('\u{a0}'),
        "ldquo" => return Some('“'),
        "rdquo" => return Some('”'),
        "mdash" => return Some('—'),
        "hellip" => return Some('…'),
        "middot" => return Some('·'),
        _ => name.strip_prefix('#')?,
    };
    let code = match code.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => code.parse().ok()?,
    };
    char::from_u32(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_what_a_reader_sees() {
        let html =
            "<h2>一、总则</h2><p>甲&nbsp;&amp;&#20057;<br>丙</p><style>p{}</style><ul><li>丁</ul>";
        assert_eq!(text(html), "一、总则\n甲\u{a0}&乙\n丙\n丁");
    }

    #[test]
    fn images_get_their_new_place_and_strangers_go() {
        let html = r#"<p><img src="media:aa" alt="图"><img src="http://x/y.png"></p>"#;
        let placed = with_images(html, |src| {
            src.strip_prefix("media:")
                .map(|hash| format!("https://p/{hash}?a=1&b=2"))
        });
        assert_eq!(images(&placed).len(), 1, "{placed}");
        assert!(!placed.contains("http://x"));
        assert!(placed.contains("alt=\"图\""));
    }

    #[test]
    fn escaping_and_resolving_are_inverse() {
        let odd = "a<b> & \"c\" 'd' &amp; 末";
        assert_eq!(unescape(&escape(odd)), odd);
        assert_eq!(unescape("AT&T &nosuch; &#x4e00;&"), "AT&T &nosuch; 一&");
    }

    #[test]
    fn odd_nesting_loses_no_text() {
        let odd = "<p>甲<select><xmp>乙</xmp></select><table><select><textarea>丙</textarea>";
        let text = text(&with_images(odd, |src| Some(src.to_owned())));
        assert!(
            text.contains('甲') && text.contains('乙') && text.contains('丙'),
            "{text}"
        );
    }

    #[test]
    fn elements_go_with_what_is_in_them() {
        assert_eq!(without("<p>a<a class=\"x\">b</a></p>", "a.x"), "<p>a</p>");
    }
}

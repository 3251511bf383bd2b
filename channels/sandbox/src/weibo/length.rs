//! How Weibo counts a text.
//!
//! A character up to U+00FF is half a unit, any other UTF-16 unit a whole one; a web
//! address is replaced by a short link of ten units plus whatever it has beyond 140
//! bytes. Addresses that are short links already, or short and on Weibo's own hosts,
//! count as they are. Units: Weibo characters.

const LINK_BYTES: usize = 20;
const LINK_FREE_BYTES: usize = 140;
const OWN_LINK_MAX_BYTES: usize = 41;
const OWN_HOSTS: [&str; 4] = ["weibo.com", "weibo.cn", "t.sina.com.cn", "t.sina.cn"];

/// The text in pieces: plain stretches and web addresses.
pub(super) fn pieces(text: &str) -> Vec<(bool, &str)> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = ["http://", "https://"]
        .iter()
        .filter_map(|s| rest.find(s))
        .min()
    {
        let (plain, tail) = rest.split_at(at);
        if !plain.is_empty() {
            pieces.push((false, plain));
        }
        let end = tail.find(|c| !belongs(c)).unwrap_or(tail.len());
        let (link, after) = tail.split_at(end);
        pieces.push((true, link));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push((false, rest));
    }
    pieces
}

fn belongs(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c)
}

fn half_units(text: &str) -> usize {
    let weight = |c: char| if c <= '\u{ff}' { 1 } else { 2 * c.len_utf16() };
    text.chars().map(weight).sum()
}

pub(super) fn weight(text: &str) -> usize {
    let text = text.replace("\r\n", "\n");
    let halves: usize = pieces(&text)
        .into_iter()
        .map(|(link, piece)| {
            let host = url::Url::parse(piece)
                .ok()
                .and_then(|u| u.host_str().map(str::to_owned));
            let host = host.unwrap_or_default();
            let own = OWN_HOSTS
                .iter()
                .any(|own| host == *own || host.ends_with(&format!(".{own}")));
            if !link
                || piece.starts_with("http://t.cn")
                || (own && piece.len() <= OWN_LINK_MAX_BYTES)
            {
                half_units(piece)
            } else {
                LINK_BYTES + piece.len().saturating_sub(LINK_FREE_BYTES)
            }
        })
        .sum();
    halves.div_ceil(2)
}

/// Whether a `#topic#` pair stands in the text, addresses aside.
pub(super) fn has_topic(text: &str) -> bool {
    let plain: String = pieces(text)
        .into_iter()
        .filter(|(link, _)| !link)
        .map(|(_, piece)| piece)
        .collect();
    let parts: Vec<_> = plain.split('#').collect();
    let inner = parts.len().saturating_sub(2);
    parts
        .iter()
        .skip(1)
        .take(inner)
        .any(|part| !part.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::{has_topic, weight};

    #[test]
    fn weights_follow_the_counting_rules_of_section_1_6() {
        let long = format!("http://a.example/{}", "x".repeat(143));
        assert_eq!(long.len(), 160);
        for (text, expected) in [
            ("中文", 2),
            ("ab", 1),
            ("abc", 2),
            ("é", 1),
            ("😀", 2),
            ("中\r\n文", 3),
            ("http://fgw.example.gov.cn/a/b.html", 10),
            ("见https://fgw.example.gov.cn/a 。", 13),
            ("http://t.cn/A6abcdef", 10),
            ("https://weibo.com/1/abcdefghi", 15),
            (long.as_str(), 20),
        ] {
            assert_eq!(weight(text), expected, "{text}");
        }
    }

    #[test]
    fn a_topic_needs_two_marks_with_words_between_and_links_do_not_count() {
        for (text, topic) in [
            ("#发改#通知", true),
            ("第#1项", false),
            ("##", false),
            ("甲 http://a.example/#x# 乙", false),
            ("# #", false),
        ] {
            assert_eq!(has_topic(text), topic, "{text}");
        }
    }
}

//! Counting and tidying text the way platforms do.
//!
//! Nothing here ever cuts: a text that is too long is a finding for its author.

/// Unicode scalar values.
pub fn characters(text: &str) -> u64 {
    text.chars().count() as u64
}

/// Weibo's own length: a UTF-16 unit above U+00FF weighs two halves, others one; rounded up.
///
/// An address counts for at least ten characters and at least its own length. Weibo shortens
/// addresses to ten, but nobody outside can tell which ones, so the larger figure is taken.
pub fn weibo_characters(text: &str) -> u64 {
    const SHORTENED: u64 = 20;
    let text = text.replace("\r\n", "\n");
    let mut halves = 0;
    for (piece, is_url) in split_urls(&text) {
        let weight: u64 = piece.chars().map(halves_of).sum();
        halves += if is_url {
            weight.max(SHORTENED)
        } else {
            weight
        };
    }
    halves.div_ceil(2)
}

fn halves_of(c: char) -> u64 {
    if u32::from(c) <= 0xff {
        1
    } else {
        2 * c.len_utf16() as u64
    }
}

/// The text in pieces, addresses (`true`) apart from the rest.
pub fn split_urls(text: &str) -> Vec<(&str, bool)> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = url_start(rest) {
        let end = rest[start..]
            .find(|c: char| !is_url_char(c))
            .map_or(rest.len(), |length| start + length);
        if start > 0 {
            pieces.push((&rest[..start], false));
        }
        pieces.push((&rest[start..end], true));
        rest = &rest[end..];
    }
    if !rest.is_empty() {
        pieces.push((rest, false));
    }
    pieces
}

fn url_start(text: &str) -> Option<usize> {
    match (text.find("http://"), text.find("https://")) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn is_url_char(c: char) -> bool {
    c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}')
}

/// The text without addresses, white space and invisible characters: what two copies of a post
/// have in common when the platform has shortened links and reflowed the rest.
pub fn essence(text: &str) -> String {
    split_urls(text)
        .into_iter()
        .filter(|(_, is_url)| !is_url)
        .flat_map(|(piece, _)| piece.chars())
        .filter(|c| !c.is_whitespace() && !is_invisible(*c))
        .collect()
}

fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{fe0f}'
        )
}

/// Without control characters; line ends and tabs become single spaces. For titles and the like.
pub fn one_line(text: &str) -> String {
    let spaced: String = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control())
        .collect();
    spaced
        .split(' ')
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Without control characters other than line ends. JSON writers escape the others as `\u00XX`,
/// which some platforms print as they stand.
pub fn without_controls(text: &str) -> String {
    text.replace("\r\n", "\n")
        .chars()
        .filter(|c| !c.is_control() || *c == '\n')
        .collect()
}

/// A platform's own words, fit to be quoted in a sentence: one line, 160 characters at most.
pub fn quoted(words: &str) -> String {
    const MOST: usize = 160;
    let line = one_line(words);
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weibo_counts_two_latin_letters_as_one_and_a_chinese_character_as_one() {
        assert_eq!(weibo_characters("露布"), 2);
        assert_eq!(weibo_characters("ab"), 1);
        assert_eq!(weibo_characters("abc"), 2);
        assert_eq!(weibo_characters("é"), 1);
        assert_eq!(weibo_characters("a\r\nb"), 2);
        assert_eq!(weibo_characters("😀"), 2, "two UTF-16 units");
        assert_eq!(weibo_characters(""), 0);
    }

    #[test]
    fn an_address_counts_ten_or_its_own_length_whichever_is_more() {
        assert_eq!(weibo_characters("http://a.cn/1"), 10);
        let long = format!("https://a.cn/{}", "x".repeat(87));
        assert_eq!(weibo_characters(&long), 50);
        assert_eq!(weibo_characters("见http://a.cn/1。"), 12);
    }

    #[test]
    fn an_address_ends_where_chinese_begins() {
        assert_eq!(
            split_urls("看 https://a.cn/x?y=1，详情"),
            [
                ("看 ", false),
                ("https://a.cn/x?y=1", true),
                ("，详情", false)
            ]
        );
    }

    #[test]
    fn a_shortened_link_and_an_added_invisible_space_change_nothing_essential() {
        assert_eq!(
            essence("关于停水的通知 https://fgw.example.gov.cn/a/1"),
            essence("关于停水的通知  http://t.cn/A6x\u{200b}")
        );
        assert_ne!(essence("甲"), essence("乙"));
    }

    #[test]
    fn controls_go_and_line_ends_stay_where_they_may() {
        assert_eq!(without_controls("a\u{0}b\r\nc\u{1f}"), "ab\nc");
        assert_eq!(one_line(" 甲\n\u{7}乙\t "), "甲 乙");
    }

    #[test]
    fn a_quotation_is_short_and_says_that_it_is_cut() {
        assert_eq!(quoted(&"字".repeat(200)).chars().count(), 161);
    }
}

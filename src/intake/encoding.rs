//! From bytes to text that is surely what its author typed.
//!
//! Text is UTF-8. GB18030 is converted, because office programs still write it, but only where the
//! bytes cannot be damaged UTF-8: a converter reads that without an error too, as rare characters
//! that nobody typed. What stays doubtful is refused with the place of the first odd byte.

use encoding_rs::{Encoding, GB18030, UTF_16BE, UTF_16LE};

use super::Report;

/// The text in UTF-8, lines ended by `\n`, or `None` after a complaint.
pub fn text(name: &str, bytes: &[u8], report: &mut Report) -> Option<String> {
    let text = decoded(name, bytes, report)?;
    if let Some(at) = text.find('\u{fffd}') {
        let line = line_at(&text, at);
        report.wrong(
            format!("{name}:{line}"),
            "这一行有“\u{fffd}”，是早先转换编码时丢了的字。请补上原字。",
            "this line holds U+FFFD, a character lost in an earlier conversion; type it again.",
        );
    }
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    Some(without_controls(name, text, report))
}

/// Counts from 1.
pub fn line_at(text: &str, at: usize) -> usize {
    text[..text.floor_char_boundary(at)].matches('\n').count() + 1
}

fn decoded(name: &str, bytes: &[u8], report: &mut Report) -> Option<String> {
    if let Some((encoding, _)) = Encoding::for_bom(bytes)
        && (encoding == UTF_16LE || encoding == UTF_16BE)
    {
        return converted(name, bytes, encoding, report);
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let bad = match std::str::from_utf8(bytes) {
        Ok(text) => return Some(text.to_owned()),
        Err(error) => error.valid_up_to(),
    };
    if !is_damaged_utf8(bytes) && is_chinese(bytes) {
        return converted(name, bytes, GB18030, report);
    }
    report.wrong(
        name,
        format!("第 {bad} 字节起不是 UTF-8，也认不出是 GB18030。请另存为 UTF-8 再提交。"),
        format!("from byte {bad} on this is neither UTF-8 nor surely GB18030; save it as UTF-8."),
    );
    None
}

fn converted(
    name: &str,
    bytes: &[u8],
    encoding: &'static Encoding,
    report: &mut Report,
) -> Option<String> {
    let (text, _, failed) = encoding.decode(bytes);
    let label = encoding.name().to_uppercase();
    if failed {
        report.wrong(
            name,
            format!("按 {label} 读，有的字节读不通。请另存为 UTF-8 再提交。"),
            format!("some bytes cannot be read as {label}; save the file as UTF-8."),
        );
        return None;
    }
    report.note(
        format!("{name} 是 {label} 编码，已转换为 UTF-8。"),
        format!("{name} was {label} and is now UTF-8."),
    );
    Some(text.into_owned())
}

/// Whether most of what is not ASCII is whole UTF-8 sequences: rare by chance in GB18030.
fn is_damaged_utf8(bytes: &[u8]) -> bool {
    let (mut whole, mut broken) = (0, 0);
    for chunk in bytes.utf8_chunks() {
        whole += chunk.valid().chars().filter(|c| c.len_utf8() > 2).count();
        broken += usize::from(!chunk.invalid().is_empty());
    }
    whole > broken
}

/// Whether it reads as GB18030 without an error, and then mostly as Chinese.
fn is_chinese(bytes: &[u8]) -> bool {
    let (text, _, failed) = GB18030.decode(bytes);
    let foreign: Vec<char> = text.chars().filter(|c| !c.is_ascii()).collect();
    let chinese = foreign.iter().filter(|c| is_cjk(**c)).count();
    !failed && chinese * 10 >= foreign.len() * 9
}

fn is_cjk(c: char) -> bool {
    matches!(c, '\u{3000}'..='\u{303f}' | '\u{3400}'..='\u{9fff}' | '\u{ff00}'..='\u{ffef}'
        | '\u{2010}'..='\u{2027}' | '\u{b7}' | '\u{20000}'..='\u{3ffff}')
}

/// Takes out what no reader sees and what turns the reading direction.
fn without_controls(name: &str, text: String, report: &mut Report) -> String {
    let odd = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let count = text.chars().filter(|c| odd(*c)).count();
    if count == 0 {
        return text;
    }
    report.note(
        format!("{name} 里有 {count} 个看不见的控制字符，已去掉。"),
        format!("{count} invisible control characters were taken out of {name}."),
    );
    text.replace(odd, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (Option<String>, Report) {
        let mut report = Report::default();
        let text = text("item.md", bytes, &mut report);
        (text, report)
    }

    const LINE: &str = "关于印发《实施方案》的通知，各区县人民政府：";

    #[test]
    fn a_byte_order_mark_and_dos_lines_leave_no_trace() {
        let (text, report) = read("\u{feff}甲\r\n乙\r丙".as_bytes());
        assert_eq!(text.as_deref(), Some("甲\n乙\n丙"));
        assert!(report.complaints.is_empty() && report.notes.is_empty());
    }

    #[test]
    fn gb18030_is_converted_and_named() {
        let (bytes, _, _) = GB18030.encode(LINE);
        let (text, report) = read(&bytes);
        assert_eq!(text.as_deref(), Some(LINE));
        assert!(report.notes[0].zh.contains("GB18030"), "{report:?}");
    }

    #[test]
    fn utf16_with_its_mark_is_converted() {
        let mut bytes = vec![0xff, 0xfe];
        bytes.extend(LINE.encode_utf16().flat_map(u16::to_le_bytes));
        assert_eq!(read(&bytes).0.as_deref(), Some(LINE));
    }

    #[test]
    fn damaged_utf8_is_refused_with_its_place_and_never_read_as_rare_characters() {
        let mut bytes = LINE.as_bytes().to_vec();
        bytes.remove(4);
        let (text, report) = read(&bytes);
        assert_eq!(text, None);
        assert!(
            report.complaints[0].words.zh.contains("第 3 字节"),
            "{report:?}"
        );
    }

    #[test]
    fn latin_1_is_refused_rather_than_guessed() {
        assert_eq!(read(b"caf\xe9 r\xe9sum\xe9").0, None);
    }

    #[test]
    fn a_character_lost_earlier_is_shown_with_its_line() {
        let (_, report) = read("一\n二\u{fffd}".as_bytes());
        assert_eq!(report.complaints[0].place, "item.md:2");
    }

    #[test]
    fn controls_and_turned_reading_directions_are_taken_out_and_told() {
        let (text, report) = read("甲\0乙\u{202e}丙\t丁\n".as_bytes());
        assert_eq!(text.as_deref(), Some("甲乙丙\t丁\n"));
        assert!(report.notes[0].zh.contains("2 个"), "{report:?}");
    }
}

//! The values of a catalogue in the forms people write them, and the one form they are kept in.

use chrono::NaiveDate;
use lubu_channels::{Relation, Validity};

/// CAT-07: `2026-01-05`, `2026/1/5`, `2026.1.5`, `2026年1月5日`, `20260105`.
pub fn date(text: &str) -> Option<NaiveDate> {
    let text = half_width(text.trim());
    if text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit()) {
        return ymd(&text[..4], &text[4..6], &text[6..]);
    }
    let parts = |separator| text.split(separator).map(str::trim).collect::<Vec<_>>();
    for separator in ['-', '/', '.'] {
        if let [year, month, day] = parts(separator)[..] {
            return ymd(year, month, day);
        }
    }
    let (year, rest) = text.split_once('年')?;
    let (month, rest) = rest.split_once('月')?;
    ymd(
        year.trim(),
        month.trim(),
        rest.trim().strip_suffix('日')?.trim(),
    )
}

fn ymd(year: &str, month: &str, day: &str) -> Option<NaiveDate> {
    let number = |text: &str| -> Option<u32> {
        text.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| text.parse().ok())?
    };
    let year = number(year).filter(|year| (1900..2200).contains(year))?;
    NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, number(month)?, number(day)?)
}

/// Full-width digits and signs as they stand on a keyboard.
fn half_width(text: &str) -> String {
    let half = |c: char| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        '\u{3000}' => ' ',
        c => c,
    };
    text.chars().map(half).collect()
}

/// What is wrong with a document number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadNumber {
    /// Not 代字〔年份〕N号.
    Shape,
    /// 第 before the number.
    Ordinal,
    LeadingZero,
}

/// 发文字号 (7.2.5): 代字〔2026〕12号, whatever brackets were typed.
pub fn document_number(text: &str) -> Result<String, BadNumber> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let open = text
        .find(['〔', '[', '［', '(', '（', '【', '﹝'])
        .ok_or(BadNumber::Shape)?;
    let (code, rest) = text.split_at(open);
    let mut rest = rest.chars();
    rest.next();
    let rest = half_width(rest.as_str());
    let close = rest
        .find(['〕', ']', ')', '】', '﹞'])
        .ok_or(BadNumber::Shape)?;
    let (year, rest) = rest.split_at(close);
    let mut rest = rest.chars();
    rest.next();
    let number = rest.as_str().strip_suffix('号').ok_or(BadNumber::Shape)?;
    if number.starts_with('第') {
        return Err(BadNumber::Ordinal);
    }
    if number.starts_with('0') {
        return Err(BadNumber::LeadingZero);
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if code.is_empty() || year.len() != 4 || !digits(year) || !digits(number) {
        return Err(BadNumber::Shape);
    }
    Ok(format!("{code}〔{year}〕{number}号"))
}

/// Apart at any of the signs people put between words; each once.
pub fn keywords<'a>(parts: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for part in parts {
        for word in part.split(['、', ',', '，', ';', '；', '\n']) {
            let word = word.trim();
            if !word.is_empty() && !words.iter().any(|known| known == word) {
                words.push(word.to_owned());
            }
        }
    }
    words
}

pub const VALIDITIES: [(&str, &str, Validity); 4] = [
    ("in_force", "有效", Validity::InForce),
    ("amended", "已修改", Validity::Amended),
    ("lapsed", "失效", Validity::Lapsed),
    ("repealed", "废止", Validity::Repealed),
];

pub const RELATIONS: [(&str, &str, Relation); 4] = [
    ("policy", "政策原文", Relation::Policy),
    ("interpretation", "政策解读", Relation::Interpretation),
    ("replaces", "被本文取代", Relation::Replaces),
    ("replaced_by", "取代本文", Relation::ReplacedBy),
];

/// By code or Chinese word.
pub fn choice<T: Copy>(choices: &[(&str, &str, T)], text: &str) -> Option<T> {
    let found = choices
        .iter()
        .find(|(code, zh, _)| *code == text || *zh == text);
    found.map(|(_, _, choice)| *choice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cat_07_dates_in_four_forms_become_one_and_impossible_days_are_refused() {
        let day = NaiveDate::from_ymd_opt(2026, 1, 5);
        for form in [
            "2026-01-05",
            "2026/1/5",
            "2026年1月5日",
            "20260105",
            "２０２６年１月５日",
            " 2026.1.5 ",
        ] {
            assert_eq!(date(form), day, "{form}");
        }
        for bad in [
            "2026-02-30",
            "20260230",
            "2026-13-01",
            "26-01-05",
            "2026年1月",
            "昨天",
            "",
            "2026-+1-05",
        ] {
            assert_eq!(date(bad), None, "{bad}");
        }
    }

    #[test]
    fn document_numbers_get_the_brackets_of_the_standard() {
        for form in [
            "鲁发改〔2026〕12号",
            "鲁发改[2026]12号",
            "鲁发改（2026）12号",
            "鲁发改【２０２６】 12 号",
            "鲁发改［2026］12号",
        ] {
            assert_eq!(
                document_number(form).as_deref(),
                Ok("鲁发改〔2026〕12号"),
                "{form}"
            );
        }
    }

    #[test]
    fn document_numbers_with_an_ordinal_or_a_leading_zero_are_refused() {
        assert_eq!(
            document_number("鲁发改〔2026〕第12号"),
            Err(BadNumber::Ordinal)
        );
        assert_eq!(
            document_number("鲁发改〔2026〕012号"),
            Err(BadNumber::LeadingZero)
        );
        for bad in [
            "12号",
            "〔2026〕12号",
            "鲁发改〔26〕12号",
            "鲁发改〔2026〕号",
            "鲁发改〔2026",
            "鲁〔2026〕一号",
        ] {
            assert_eq!(document_number(bad), Err(BadNumber::Shape), "{bad}");
        }
    }

    #[test]
    fn keywords_come_apart_at_every_usual_sign() {
        assert_eq!(
            keywords(["能源、煤炭,电力", "煤炭；天然气"].into_iter()),
            ["能源", "煤炭", "电力", "天然气"]
        );
    }
}

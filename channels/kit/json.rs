//! Reading JSON that platforms write.
//!
//! Replies come with raw control characters inside strings, with broken UTF-8, with ids that are
//! numbers on one day and strings on the next. All of that is read; none of it is guessed.

use serde_json::Value;

/// Parses a reply body; `None` when it is no JSON even after cleaning.
pub fn parse(bytes: &[u8]) -> Option<Value> {
    if let Ok(value) = serde_json::from_slice(bytes) {
        return Some(value);
    }
    serde_json::from_str(&cleaned(bytes)).ok()
}

/// Without a byte order mark, broken UTF-8 and control characters; line ends become spaces, since
/// inside a string they would be as illegal as the rest.
fn cleaned(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .filter(|c| !matches!(c, '\u{feff}' | '\u{fffd}'))
        .map(|c| {
            if matches!(c, '\n' | '\r' | '\t') {
                ' '
            } else {
                c
            }
        })
        .filter(|c| !c.is_control())
        .collect()
}

/// An id, written as a string or as a whole number. Empty strings are no ids.
pub fn id(value: &Value, key: &str) -> Option<String> {
    match value.get(key)? {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    }
}

/// A whole number, written as a number or as a string.
pub fn number(value: &Value, key: &str) -> Option<i64> {
    match value.get(key)? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A text; the empty one where the key is missing.
pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A list; the empty one where the key is missing or holds something else.
pub fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// A yes, written as `true`, 1 or "1".
pub fn flag(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or(false) || number(value, key) == Some(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_control_characters_and_broken_utf8_are_read_past() {
        let value = parse(b"\xef\xbb\xbf{\"title\":\"a\x01b\nc\xff\",\"n\":1}").unwrap();
        assert_eq!(text(&value, "title"), "ab c");
        assert_eq!(parse(b"<html>"), None);
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn an_id_is_the_same_as_number_and_as_string() {
        let value =
            parse(br#"{"a":2247483647,"b":"2247483647 ","c":"","d":1.5,"e":null}"#).unwrap();
        assert_eq!(id(&value, "a"), id(&value, "b"));
        for key in ["c", "d", "e", "none"] {
            assert_eq!(id(&value, key), None, "{key}");
        }
        assert_eq!(number(&value, "b"), Some(2_247_483_647));
    }

    #[test]
    fn sixteen_digits_keep_every_digit() {
        let value = parse(br#"{"id":3504803600502730}"#).unwrap();
        assert_eq!(id(&value, "id").unwrap(), "3504803600502730");
    }
}

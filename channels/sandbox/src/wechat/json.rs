//! Request bodies as this platform reads them: `\uXXXX` is text, not a character.
//!
//! Done on the raw bytes before parsing, since any JSON parser would decode the escape.
//! Escapes of control characters are decoded: there is no other way to write those.

use serde_json::Value;

use super::{Refusal, refuse};

pub(super) fn read(body: &[u8]) -> Result<Value, Refusal> {
    let Ok(text) = std::str::from_utf8(body) else {
        return refuse(40033, "invalid charset. please check your request");
    };
    match serde_json::from_str(&literal(text)) {
        Ok(value @ Value::Object(_)) => Ok(value),
        _ => refuse(47001, "data format error"),
    }
}

/// Doubles the backslash of every `\uXXXX` that is not a control character.
fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let control = escape
            .get(2..6)
            .is_none_or(|hex| hex.starts_with("00") && hex < "0020");
        if escape.starts_with("\\u") && !control {
            out.push('\\');
        }
        let width = escape.chars().nth(1).map_or(1, |next| 1 + next.len_utf8());
        let (taken, tail) = escape.split_at(width);
        out.push_str(taken);
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn unicode_escapes_stay_as_they_were_typed_and_real_ones_do_not() {
        for (body, title) in [
            (r#"{"t":"\u5199\u4f5c"}"#, r"\u5199\u4f5c"),
            (r#"{"t":"写作"}"#, "写作"),
            (r#"{"t":"a\\u5199"}"#, r"a\u5199"),
            (r#"{"t":"a\nb\"c\u0009d"}"#, "a\nb\"c\td"),
        ] {
            assert_eq!(read(body.as_bytes()).unwrap()["t"], title, "{body}");
        }
    }

    #[test]
    fn what_is_no_utf8_json_object_is_refused_by_its_own_code() {
        for (body, code) in [
            (b"{\"t\":\"\xff\"}".as_slice(), 40033),
            (b"{\"t\":", 47001),
            (b"[]", 47001),
            (b"", 47001),
        ] {
            assert_eq!(read(body).unwrap_err().0, code);
        }
    }
}

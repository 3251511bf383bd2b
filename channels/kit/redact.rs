//! Taking secrets out of text that others wrote.
//!
//! A platform may echo a request, token and all, in its error. Whatever is quoted from outside
//! passes here first. Our own text never holds a secret in the first place.

use crate::contract::Secret;

const HIDDEN: &str = "[…]";

/// The text without the secrets, as they are and as a form encodes them, and without the value of
/// anything that is called a token, secret or signature.
pub fn redacted(text: &str, secrets: &[&Secret]) -> String {
    let mut clean = text.to_owned();
    for secret in secrets {
        let plain = secret.reveal();
        if plain.len() < 4 {
            continue;
        }
        let encoded: String = url::form_urlencoded::byte_serialize(plain.as_bytes()).collect();
        clean = clean.replace(plain, HIDDEN).replace(&encoded, HIDDEN);
    }
    for name in ["access_token=", "secret=", "signature=", "sign="] {
        clean = without_value(&clean, name);
    }
    clean
}

fn without_value(text: &str, name: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(name) {
        let value = at + name.len();
        clean.push_str(&rest[..value]);
        clean.push_str(HIDDEN);
        let end = rest[value..]
            .find(|c: char| !(c.is_ascii_alphanumeric() || "-_.%~+/=!".contains(c)))
            .map_or(rest.len(), |length| value + length);
        rest = &rest[end..];
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_goes_in_every_spelling() {
        let secret = Secret::new("s3cr&t+x");
        let text = "bad s3cr&t+x and s3cr%26t%2Bx in /a?access_token=abc_1-2&x=1";
        let clean = redacted(text, &[&secret]);
        assert!(!clean.contains("s3cr"), "{clean}");
        assert_eq!(clean, "bad […] and […] in /a?access_token=[…]&x=1");
    }

    #[test]
    fn a_text_without_secrets_stays_as_it_is() {
        assert_eq!(redacted("invalid media_id", &[]), "invalid media_id");
    }
}

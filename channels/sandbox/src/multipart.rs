//! multipart/form-data, read as unforgivingly as the platforms read it.
//!
//! Reports what it saw (was there a `filename*`? any `filename`?) instead of repairing
//! it, because the platforms refuse exactly those forms. Works on raw bytes.

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub name: String,
    pub filename: Option<String>,
    /// An RFC 5987 `filename*=` was sent.
    pub extended_name: bool,
    pub data: Vec<u8>,
}

/// The parts in order, or `None` when the body is not the multipart it says it is.
pub(crate) fn parse(content_type: &str, body: &[u8]) -> Option<Vec<Part>> {
    let (kind, params) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameters(params)
        .into_iter()
        .find(|(key, _)| key == "boundary")?
        .1;
    let first = format!("--{boundary}").into_bytes();
    let between = format!("\r\n--{boundary}").into_bytes();
    let mut rest = body.strip_prefix(first.as_slice())?;
    let mut parts = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Some(parts);
        }
        rest = rest.strip_prefix(b"\r\n")?;
        let end = find(rest, &between)?;
        parts.push(part(rest.get(..end)?)?);
        rest = rest.get(end + between.len()..)?;
    }
}

fn part(raw: &[u8]) -> Option<Part> {
    let split = find(raw, b"\r\n\r\n")?;
    let head = std::str::from_utf8(raw.get(..split)?).ok()?;
    let disposition = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-disposition")
            .then_some(value)
    })?;
    let (form, params) = disposition.split_once(';')?;
    if form.trim() != "form-data" {
        return None;
    }
    let params = parameters(params);
    let get = |key: &str| {
        params
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, value)| value.clone())
    };
    Some(Part {
        name: get("name")?,
        filename: get("filename"),
        extended_name: get("filename*").is_some(),
        data: raw.get(split + 4..)?.to_vec(),
    })
}

/// `a=b; c="d;e"` as pairs, keys in lower case.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = text;
    while let Some((key, tail)) = rest.split_once('=') {
        let key = key
            .trim_matches(|c: char| c == ';' || c.is_whitespace())
            .to_ascii_lowercase();
        let (value, after) = match tail.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => tail.split_once(';').unwrap_or((tail, "")),
        };
        pairs.push((key, value.trim().to_owned()));
        rest = after;
    }
    pairs
}

fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    while let Some(step) = hay.get(from..)?.iter().position(|byte| *byte == first) {
        let at = from + step;
        if hay.get(at..)?.starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn parts_keep_their_bytes_and_say_how_the_file_was_named() {
        let body = b"--b\r\nContent-Disposition: form-data; name=\"media\"; filename=\"a;b.jpg\"\r\n\
            Content-Type: image/jpeg\r\n\r\n\x00--\r\n\x01\r\n--b\r\ncontent-disposition: form-data; \
            name=t; filename*=UTF-8''x\r\n\r\nv\r\n--b--\r\n";
        let parts = parse("multipart/form-data; boundary=\"b\"", body).unwrap();
        assert_eq!(parts[0].filename.as_deref(), Some("a;b.jpg"));
        assert_eq!(parts[0].data, b"\x00--\r\n\x01");
        assert!(!parts[0].extended_name);
        assert!(parts[1].extended_name && parts[1].filename.is_none());
    }

    #[test]
    fn a_body_that_is_cut_or_named_otherwise_is_no_multipart() {
        let whole = b"--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nv\r\n--b--";
        assert!(parse("multipart/form-data; boundary=b", whole).is_some());
        assert!(parse("multipart/form-data; boundary=b", &whole[..50]).is_none());
        assert!(parse("multipart/form-data; boundary=c", whole).is_none());
        assert!(parse("application/json", whole).is_none());
    }
}

//! Multipart forms as the strictest platform reads them.
//!
//! Buffered, so that the request has a length; plain ASCII `filename=`, since the extended form is
//! taken for a missing file. Names outside ASCII are replaced, never encoded.

use crate::contract::Part;

/// A form ready to send.
#[derive(Debug, Clone)]
pub struct Form {
    pub mime: String,
    pub bytes: Vec<u8>,
}

/// Encodes the parts. The boundary is taken from their hash: the same parts, the same bytes.
pub fn encode(parts: &[Part]) -> Form {
    let boundary = boundary(parts);
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(format!("--{boundary}\r\n{}\r\n", head(part)).as_bytes());
        bytes.extend_from_slice(&part.bytes);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Form {
        mime: format!("multipart/form-data; boundary={boundary}"),
        bytes,
    }
}

fn head(part: &Part) -> String {
    let mut head = format!(
        "Content-Disposition: form-data; name=\"{}\"",
        plain(&part.name)
    );
    if let Some(file) = &part.file {
        head.push_str(&format!("; filename=\"{}\"", plain(file)));
    }
    head.push_str("\r\n");
    if let Some(mime) = &part.mime {
        head.push_str(&format!("Content-Type: {}\r\n", plain(mime)));
    }
    head
}

/// ASCII without quotes or line ends.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_ascii_graphic() && c != '"' && c != '\\' || c == ' ' {
                c
            } else {
                '_'
            }
        })
        .collect()
}

fn boundary(parts: &[Part]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part.name.as_bytes()).update(&part.bytes);
    }
    format!("lubu{}", &hasher.finalize().to_hex()[..32])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(file: &str) -> Part {
        Part {
            name: "media".into(),
            file: Some(file.into()),
            mime: Some("image/png".into()),
            bytes: b"\x89PNG".to_vec(),
        }
    }

    #[test]
    fn a_file_name_stays_plain_ascii_so_that_the_part_is_found() {
        let form = encode(&[part("封面\".png")]);
        let text = String::from_utf8_lossy(&form.bytes);
        assert!(text.contains("filename=\"___.png\""), "{text}");
        assert!(!text.contains("filename*"));
    }

    #[test]
    fn the_same_parts_give_the_same_bytes() {
        assert_eq!(
            encode(&[part("a.png")]).bytes,
            encode(&[part("a.png")]).bytes
        );
    }
}

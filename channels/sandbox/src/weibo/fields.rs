//! Parameters of a call: query, form or multipart, one flat list.

use super::{Refusal, refuse};
use crate::multipart::{self, Part};
use crate::wire::Call;

#[derive(Debug, Default)]
pub(super) struct Fields {
    pairs: Vec<(String, String)>,
    pub files: Vec<Part>,
    pub multipart: bool,
}

impl Fields {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn need(&self, name: &str) -> Result<&str, Refusal> {
        match self.get(name) {
            None => refuse(
                10016,
                &format!("Miss required parameter ({name}), see doc for more info"),
            ),
            Some(value) => Ok(value),
        }
    }
}

pub(super) fn read(call: &Call) -> Result<Fields, Refusal> {
    let mut fields = Fields {
        pairs: call.query.clone(),
        ..Fields::default()
    };
    let kind = call
        .header("content-type")
        .unwrap_or_default()
        .to_ascii_lowercase();
    if kind.starts_with("multipart/form-data") {
        fields.multipart = true;
        // The boundary is case-sensitive: the header as it came.
        let kind = call.header("content-type").unwrap_or_default();
        let Some(parts) = multipart::parse(kind, &call.body) else {
            return refuse(
                10007,
                "Does not support MediaType: the multipart body is broken",
            );
        };
        for part in parts {
            if part.filename.is_some() || part.extended_name {
                fields.files.push(part);
            } else {
                let value = String::from_utf8_lossy(&part.data).into_owned();
                fields.pairs.push((part.name, value));
            }
        }
    } else if kind.starts_with("application/x-www-form-urlencoded") {
        fields
            .pairs
            .extend(url::form_urlencoded::parse(&call.body).into_owned());
    } else if !call.body.is_empty() {
        return refuse(10007, "Does not support MediaType");
    }
    Ok(fields)
}

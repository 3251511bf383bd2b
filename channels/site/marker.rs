//! What a page says about itself, so that it can be recognised when it is read back.
//!
//! `<meta name="lubu-revision" content="2 9f…c1 77…0a 1795395600000 live">`: the revision, the
//! draft it was made of, a hash of what stands between `<main` and `</main>`, and when it was first
//! published, which survives here even when the item's file is lost.

use std::fmt;
use std::str::FromStr;

use super::address::short;

const NAME: &str = "<meta name=\"lubu-revision\" content=\"";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    pub revision: u32,
    /// The beginning of the draft's hash; `-` on a notice.
    pub draft: String,
    pub text: String,
    /// First publication, in milliseconds.
    pub first: i64,
    pub withdrawn: bool,
}

impl Marker {
    pub fn tag(&self) -> String {
        format!("{NAME}{self}\">")
    }

    /// Finds the marker of a page.
    pub fn of(page: &str) -> Option<Self> {
        let (_, rest) = page.split_once(NAME)?;
        rest.split_once('"')?.0.parse().ok()
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            revision,
            draft,
            text,
            first,
            ..
        } = self;
        let state = if self.withdrawn { "withdrawn" } else { "live" };
        write!(f, "{revision} {draft} {text} {first} {state}")
    }
}

impl FromStr for Marker {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split(' ');
        let mut next = || parts.next().ok_or(());
        Ok(Self {
            revision: next()?.parse().map_err(drop)?,
            draft: next()?.to_owned(),
            text: next()?.to_owned(),
            first: next()?.parse().map_err(drop)?,
            withdrawn: next()? == "withdrawn",
        })
    }
}

/// A hash of the part that the office answers for; of the whole where there is no such part.
pub fn text_hash(page: &str) -> String {
    let start = page.find("<main").unwrap_or_default();
    let end = page
        .rfind("</main>")
        .filter(|end| *end > start)
        .unwrap_or(page.len());
    short(blake3::hash(&page.as_bytes()[start..end]).to_hex().as_str()).to_owned()
}

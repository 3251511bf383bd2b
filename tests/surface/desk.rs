//! What a clerk hands in: texts, a picture, an attachment.

use std::path::PathBuf;

use serde_json::Value;

use crate::office::Office;

/// A text with the fields every item needs.
pub fn text(title: &str, more: &str, body: &str) -> String {
    format!(
        "+++\ntitle = \"{title}\"\ncategory = \"0604\"\nscope = \"public\"\n{more}\n+++\n\n{body}\n"
    )
}

/// A small picture that decoders accept.
pub fn picture() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let picture = image::RgbImage::from_fn(320, 240, |x, y| {
        image::Rgb([(x % 251) as u8, (y % 241) as u8, ((x + y) % 239) as u8])
    });
    picture
        .write_to(&mut bytes, image::ImageFormat::Png)
        .expect("encoded");
    bytes.into_inner()
}

/// A folder as a section hands it in: text, picture, attachment.
pub fn folder(office: &Office, name: &str, title: &str, more: &str, body: &str) -> PathBuf {
    let more = format!("cover = \"现场.png\"\nattachments = [\"附表.csv\"]\n{more}");
    let body = format!("{body}\n\n![施工现场](现场.png)");
    office.write(&format!("{name}/item.md"), text(title, &more, &body));
    office.write(&format!("{name}/现场.png"), picture());
    office.write(&format!("{name}/附表.csv"), "项目,进度\n东部产业园,七层\n");
    office.path(name)
}

impl Office {
    /// Hands a path in and gives the answer.
    pub fn submit(&self, path: &std::path::Path) -> Value {
        self.json(&["submit", path.to_str().expect("UTF-8"), "--by", "赵晓"])
    }

    /// Hands a small text in and gives its id.
    pub fn notice(&self, name: &str, title: &str, body: &str) -> String {
        let path = self.write(&format!("{name}.md"), text(title, "", body));
        id(&self.submit(&path))
    }

    pub fn approve(&self, item: &str) -> Value {
        self.json(&["approve", item, "--by", "陈主任", "--opinion", "同意公开"])
    }
}

/// The item's id in an answer.
pub fn id(answer: &Value) -> String {
    answer["item"]
        .as_str()
        .expect("an id is a string")
        .to_owned()
}

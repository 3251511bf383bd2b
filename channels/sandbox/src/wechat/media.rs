//! Pictures: inline images and the permanent library.
//!
//! Both really decode what they are given, and serve it again from this server, which
//! is the platform's own picture host as far as the HTML filter is concerned.
//! `uploadimg` takes JPEG and PNG under 1 MB; the library takes images up to 10 MB and
//! thumbs (JPEG) up to 64 KB. Voice and video are not played here (40004).
//! Units: sizes in bytes, sides in pixels.

use std::collections::BTreeMap;
use std::io::Cursor;

use image::{ImageFormat, ImageReader, Limits};
use serde_json::{Value, json};

use super::{Outcome, Refusal, media_id, refuse, window};
use crate::ledger::Sight;
use crate::multipart::{self, Part};
use crate::settings::WechatSettings;
use crate::wire::Call;
use crate::world::Scene;

const INLINE_MAX: usize = 1 << 20;
const IMAGE_MAX: usize = 10 << 20;
const THUMB_MAX: usize = 64 << 10;

#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub mime: &'static str,
    pub bytes: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Material {
    media_id: String,
    /// The uploaded file name.
    name: String,
    url: String,
    file: String,
    updated: i64,
    kind: &'static str,
}

#[derive(Debug, Default)]
pub(crate) struct Library {
    /// By file name under `/wechat/img/`.
    pictures: BTreeMap<String, Picture>,
    /// Oldest first.
    materials: Vec<Material>,
}

impl Library {
    pub fn picture(&self, file: &str) -> Option<&Picture> {
        self.pictures.get(file)
    }

    /// Whether an `img` may point there: only pictures that were uploaded to this account.
    pub fn serves(&self, base: &str, url: &str) -> bool {
        let prefix = format!("{base}/wechat/img/");
        url.strip_prefix(&prefix)
            .is_some_and(|file| self.pictures.contains_key(file))
    }

    /// The picture address of a permanent image that can be used as a cover now.
    pub fn cover(&self, scene: &Scene<'_>, id: &str) -> Option<String> {
        let settled = scene.settings.wechat.material_settle_seconds * 1000;
        let found = self
            .materials
            .iter()
            .find(|material| material.media_id == id)?;
        (found.updated + settled <= scene.now).then(|| found.url.clone())
    }

    pub fn upload(&mut self, scene: &mut Scene<'_>, call: &Call, path: &str) -> Outcome {
        let part = media_part(call)?;
        let name = part.filename.clone().unwrap_or_default();
        if path == "media/uploadimg" {
            let format = check(&scene.settings.wechat, &part, INLINE_MAX, &JPEG_PNG)?;
            let (_, url) = self.keep(scene.base, format, part.data);
            scene.note("inline image uploaded", &url, &name, Sight::Unchanged);
            return Ok(json!({"url": url}));
        }
        let (kind, limit, formats) = match call.param("type") {
            Some("image") => ("image", IMAGE_MAX, IMAGES.as_slice()),
            Some("thumb") => ("thumb", THUMB_MAX, &[ImageFormat::Jpeg] as &[ImageFormat]),
            _ => return refuse(40004, "invalid media type"),
        };
        let format = check(&scene.settings.wechat, &part, limit, formats)?;
        if self.materials.len() >= scene.settings.wechat.material_max {
            return refuse(45034, "media file count is out of limit");
        }
        let (file, url) = self.keep(scene.base, format, part.data);
        let media_id = scene.ids.text(64);
        scene.note("material added", &media_id, &name, Sight::Unchanged);
        let reply = if kind == "image" {
            json!({"media_id": media_id, "url": url, "item": []})
        } else {
            json!({"media_id": media_id, "item": []})
        };
        let updated = scene.now;
        self.materials.push(Material {
            media_id,
            name,
            url,
            file,
            updated,
            kind,
        });
        Ok(reply)
    }

    fn keep(&mut self, base: &str, format: ImageFormat, bytes: Vec<u8>) -> (String, String) {
        let ending = format.extensions_str().first().copied().unwrap_or("jpg");
        let hash = blake3::hash(&bytes).to_hex();
        let file = format!("{}.{ending}", hash.get(..32).unwrap_or_default());
        let url = format!("{base}/wechat/img/{file}");
        self.pictures.insert(
            file.clone(),
            Picture {
                mime: format.to_mime_type(),
                bytes,
            },
        );
        (file, url)
    }

    pub fn list(&self, scene: &Scene<'_>, call: &Call, body: &Value) -> Outcome {
        let (offset, count) = window(body)?;
        let kind = body.get("type").and_then(Value::as_str);
        let Some(kind @ ("image" | "voice" | "video" | "news")) = kind else {
            return refuse(40004, "invalid media type");
        };
        let seen = |m: &&Material| m.kind == kind && m.updated + call.lag_ms <= scene.now;
        let all: Vec<_> = self.materials.iter().rev().filter(seen).collect();
        let items: Vec<_> = all
            .iter()
            .skip(offset)
            .take(count)
            .map(|m| {
                let updated = m.updated / 1000;
                json!({"media_id": m.media_id, "name": m.name, "update_time": updated, "url": m.url})
            })
            .collect();
        Ok(json!({"total_count": all.len(), "item_count": items.len(), "item": items}))
    }

    pub fn count(&self) -> Value {
        let images = self.materials.iter().filter(|m| m.kind == "image").count();
        json!({"voice_count": 0, "video_count": 0, "image_count": images, "news_count": 0})
    }

    pub fn delete(&mut self, scene: &mut Scene<'_>, body: &Value) -> Outcome {
        let id = media_id(body)?;
        let Some(at) = self.materials.iter().position(|m| m.media_id == id) else {
            return refuse(40007, "invalid media_id");
        };
        let gone = self.materials.remove(at);
        // Covers are served as long as articles show them, as the platform does.
        scene.note(
            "material deleted",
            &gone.media_id,
            &gone.file,
            Sight::Unchanged,
        );
        Ok(json!({"errcode": 0, "errmsg": "ok"}))
    }
}

const JPEG_PNG: [ImageFormat; 2] = [ImageFormat::Jpeg, ImageFormat::Png];
const IMAGES: [ImageFormat; 4] = [
    ImageFormat::Jpeg,
    ImageFormat::Png,
    ImageFormat::Gif,
    ImageFormat::Bmp,
];

/// The one part named `media` with a plain ASCII file name.
fn media_part(call: &Call) -> Result<Part, Refusal> {
    let missing = || Refusal(41005, "media data missing".into());
    let kind = call.header("content-type").unwrap_or_default();
    let parts = multipart::parse(kind, &call.body).ok_or_else(missing)?;
    let part = parts
        .into_iter()
        .find(|part| part.name == "media")
        .ok_or_else(missing)?;
    let plain = part
        .filename
        .as_deref()
        .is_some_and(|name| !name.is_empty() && name.is_ascii());
    if !plain || part.extended_name {
        return Err(missing());
    }
    if part.data.is_empty() {
        return refuse(44001, "empty media data");
    }
    Ok(part)
}

fn check(
    rules: &WechatSettings,
    part: &Part,
    limit: usize,
    formats: &[ImageFormat],
) -> Result<ImageFormat, Refusal> {
    let wrong = |words: &str| Refusal(40005, words.to_owned());
    let format = image::guess_format(&part.data).map_err(|_| wrong("invalid file type"))?;
    if !formats.contains(&format) {
        return Err(wrong("invalid file type"));
    }
    let name = part
        .filename
        .as_deref()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    if !format.extensions_str().contains(&ending) {
        return Err(wrong("invalid file type: the file name says otherwise"));
    }
    if part.data.len() >= limit {
        return refuse(40009, "invalid image size");
    }
    if format == ImageFormat::Bmp {
        return Ok(format);
    }
    if !decodes(rules, &part.data, format) {
        return refuse(40137, "invalid image format");
    }
    Ok(format)
}

fn decodes(rules: &WechatSettings, bytes: &[u8], format: ImageFormat) -> bool {
    let mut limits = Limits::default();
    limits.max_image_width = Some(rules.image_max_side);
    limits.max_image_height = Some(rules.image_max_side);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    reader
        .decode()
        .is_ok_and(|picture| picture.width().min(picture.height()) >= rules.image_min_side)
}

//! Images: found, opened, and named by hash.
//!
//! Every image is opened whole once, here, so that no channel meets a damaged one later. The
//! bytes are kept as they are, except where they tell the place a photograph was taken.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{ImageDecoder as _, ImageFormat, ImageReader, Limits};
use lubu_channels::kit::media::{self, BadImage, Wish};
use lubu_channels::{MediaRef, Words};

use super::paths;
use crate::config::Intake;

/// An image that can be shown.
#[derive(Debug, Clone)]
pub struct Picture {
    pub media: MediaRef,
    pub bytes: Vec<u8>,
    /// It told where it was taken, and no longer does.
    pub moved: bool,
}

/// Checks size, kind and pixels, decodes everything once.
pub fn open(name: &str, bytes: Vec<u8>, limits: &Intake) -> Result<Picture, Words> {
    if bytes.len() as u64 > limits.image_max_bytes {
        return Err(too_large(bytes.len() as u64, limits.image_max_bytes));
    }
    if is_svg(&bytes) {
        return Err(Words::new(
            "SVG 图不能发布，请导出为 PNG 再引用。",
            "SVG is not published; export it as PNG.",
        ));
    }
    let mut bytes = bytes;
    let (mut width, mut height, is_placed) = decoded(&bytes, limits).map_err(|bad| words(&bad))?;
    if is_placed {
        bytes = without_place(&bytes, limits).map_err(|bad| words(&bad))?;
        (width, height, _) = decoded(&bytes, limits).map_err(|bad| words(&bad))?;
    }
    let media = MediaRef {
        hash: blake3::hash(&bytes).to_hex().to_string(),
        name: paths::shown(name),
        mime: media::sniff(&bytes).unwrap_or_default().to_owned(),
        bytes: bytes.len() as u64,
        width,
        height,
    };
    Ok(Picture {
        media,
        bytes,
        moved: is_placed,
    })
}

fn words(bad: &BadImage) -> Words {
    let Words { zh, en } = bad.words();
    Words::new(
        format!("{zh}。请换一张再提交。"),
        format!("{en}; use another."),
    )
}

pub fn too_large(bytes: u64, most: u64) -> Words {
    const MIB: u64 = 1 << 20;
    let (is, most) = (bytes.div_ceil(MIB), most / MIB);
    Words::new(
        format!("有 {is} MB，上限 {most} MB。请压缩后再提交。"),
        format!("has {is} MB of at most {most} MB; make it smaller."),
    )
}

pub fn is_svg(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(1024)];
    let head = String::from_utf8_lossy(head).to_lowercase();
    let head = head.trim_start_matches(['\u{feff}', ' ', '\n', '\r', '\t']);
    head.starts_with("<svg") || (head.starts_with("<?xml") && head.contains("<svg"))
}

/// Width, height, and whether it says where it was taken.
fn decoded(bytes: &[u8], limits: &Intake) -> Result<(u32, u32, bool), BadImage> {
    let format = match media::sniff(bytes) {
        Some("image/png") => ImageFormat::Png,
        Some("image/jpeg") => ImageFormat::Jpeg,
        Some("image/gif") => ImageFormat::Gif,
        Some("image/webp") => ImageFormat::WebP,
        _ => return Err(BadImage::NotAnImage),
    };
    let reader = || ImageReader::with_format(Cursor::new(bytes), format);
    let (width, height) = reader().into_dimensions().map_err(|_| BadImage::Damaged)?;
    let pixels = u64::from(width) * u64::from(height);
    if pixels > limits.image_max_pixels {
        return Err(BadImage::TooManyPixels { width, height });
    }
    let mut most = Limits::default();
    most.max_alloc = Some(limits.image_max_pixels.saturating_mul(8).max(64 << 20));
    let mut reader = reader();
    reader.limits(most);
    let mut decoder = reader.into_decoder().map_err(|_| BadImage::Damaged)?;
    let exif = decoder.exif_metadata().ok().flatten();
    let turned = decoder.orientation().is_ok_and(is_quarter);
    image::DynamicImage::from_decoder(decoder).map_err(|_| BadImage::Damaged)?;
    let (width, height) = if turned {
        (height, width)
    } else {
        (width, height)
    };
    Ok((width, height, exif.is_some_and(|exif| has_place(&exif))))
}

/// Whether a viewer shows height as width.
fn is_quarter(orientation: Orientation) -> bool {
    match orientation {
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => true,
        Orientation::NoTransforms
        | Orientation::Rotate180
        | Orientation::FlipHorizontal
        | Orientation::FlipVertical => false,
    }
}

/// Width and height by the header.
pub fn size(bytes: &[u8]) -> Option<(u32, u32)> {
    let reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .ok()?;
    reader.into_dimensions().ok()
}

/// Drawn anew, upright, without what the camera wrote beside it.
fn without_place(bytes: &[u8], limits: &Intake) -> Result<Vec<u8>, BadImage> {
    let wish = Wish {
        max_bytes: limits.image_max_bytes,
        max_width: u32::MAX,
        max_height: u32::MAX,
        png: true,
    };
    media::fit(bytes, &wish).map(|fitted| fitted.bytes)
}

/// Whether the first directory of an EXIF block points to a directory of positions.
fn has_place(exif: &[u8]) -> bool {
    const GPS: u16 = 0x8825;
    let is_little = exif.starts_with(b"II");
    let u16_at = |at: usize| -> Option<u16> {
        let pair: [u8; 2] = exif.get(at..at + 2)?.try_into().ok()?;
        Some(if is_little {
            u16::from_le_bytes(pair)
        } else {
            u16::from_be_bytes(pair)
        })
    };
    let start = exif
        .get(4..8)
        .and_then(|four| <[u8; 4]>::try_from(four).ok())
        .map(|four| {
            if is_little {
                u32::from_le_bytes(four)
            } else {
                u32::from_be_bytes(four)
            }
        });
    let Some(start) = start.and_then(|start| usize::try_from(start).ok()) else {
        return false;
    };
    let count = u16_at(start).unwrap_or(0);
    (0..usize::from(count)).any(|entry| u16_at(start + 2 + entry * 12) == Some(GPS))
}

//! Images, brought into the form a platform takes.
//!
//! What an image is, its first bytes say, never its name. Dimensions are checked before pixels are
//! decoded, so that a small file cannot unfold into all of the memory. Everything is re-encoded:
//! that drops positions and other metadata a camera leaves. The same bytes and the same wishes give
//! the same result, because a draft is hashed.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::imageops::FilterType as Sampling;
use image::{
    DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageFormat, ImageReader, Limits,
    RgbImage,
};

use crate::contract::{DraftMedia, Words};

/// What a platform takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    pub max_bytes: u64,
    pub max_width: u32,
    pub max_height: u32,
    /// PNG stays PNG where it fits; otherwise everything becomes JPEG.
    pub png: bool,
}

/// Why an image cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadImage {
    #[error("the file is no PNG, JPEG, GIF or WebP image")]
    NotAnImage,
    #[error("the image has {width}×{height} pixels, more than can be opened")]
    TooManyPixels { width: u32, height: u32 },
    #[error("the image is damaged")]
    Damaged,
    #[error("the image stays larger than {0} bytes at the lowest quality")]
    TooLarge(u64),
}

impl BadImage {
    pub fn words(&self) -> Words {
        let zh = match self {
            Self::NotAnImage => "不是 PNG、JPEG、GIF 或 WebP 图片".to_owned(),
            Self::TooManyPixels { width, height } => format!("有 {width}×{height} 像素，太大"),
            Self::Damaged => "图片已损坏".to_owned(),
            Self::TooLarge(bytes) => format!("压到最低质量仍大于 {bytes} 字节"),
        };
        Words::new(zh, self.to_string())
    }
}

/// More pixels than any office scan has; fewer than fill a small machine's memory.
const MOST_PIXELS: u64 = 60_000_000;
const MOST_SIDE: u32 = 20_000;
const MOST_MEMORY: u64 = 512 << 20;

/// JPEG qualities, tried in turn; then the picture shrinks and they are tried again.
const LADDER: [u8; 5] = [90, 82, 74, 66, 58];
const SHRINKS: u32 = 4;

/// What the first bytes say: a MIME type of the kinds we know.
pub fn sniff(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Some("image/webp"),
        [b'%', b'P', b'D', b'F', b'-', ..] => Some("application/pdf"),
        _ => None,
    }
}

/// Re-encodes an image within the wish. The name is made of the content's hash.
pub fn fit(bytes: &[u8], wish: &Wish) -> Result<DraftMedia, BadImage> {
    let format = format_of(bytes)?;
    let picture = decode(bytes, format)?;
    let picture = within(picture, wish.max_width, wish.max_height);
    if wish.png && format == ImageFormat::Png {
        let encoded = png(&picture)?;
        if encoded.len() as u64 <= wish.max_bytes {
            return Ok(named(encoded, "png", "image/png"));
        }
    }
    let encoded = jpeg_within(picture, wish.max_bytes)?;
    Ok(named(encoded, "jpg", "image/jpeg"))
}

fn format_of(bytes: &[u8]) -> Result<ImageFormat, BadImage> {
    match sniff(bytes) {
        Some("image/png") => Ok(ImageFormat::Png),
        Some("image/jpeg") => Ok(ImageFormat::Jpeg),
        Some("image/gif") => Ok(ImageFormat::Gif),
        Some("image/webp") => Ok(ImageFormat::WebP),
        _ => Err(BadImage::NotAnImage),
    }
}

/// The first frame, upright.
fn decode(bytes: &[u8], format: ImageFormat) -> Result<DynamicImage, BadImage> {
    let reader = || ImageReader::with_format(Cursor::new(bytes), format);
    let (width, height) = reader().into_dimensions().map_err(|_| BadImage::Damaged)?;
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(BadImage::Damaged);
    }
    if pixels > MOST_PIXELS || width > MOST_SIDE || height > MOST_SIDE {
        return Err(BadImage::TooManyPixels { width, height });
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MOST_SIDE);
    limits.max_image_height = Some(MOST_SIDE);
    limits.max_alloc = Some(MOST_MEMORY);
    let mut reader = reader();
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|_| BadImage::Damaged)?;
    let orientation = decoder.orientation().map_err(|_| BadImage::Damaged)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|_| BadImage::Damaged)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

fn within(picture: DynamicImage, width: u32, height: u32) -> DynamicImage {
    if picture.width() <= width && picture.height() <= height {
        return picture;
    }
    picture.resize(width, height, Sampling::Triangle)
}

fn png(picture: &DynamicImage) -> Result<Vec<u8>, BadImage> {
    let mut bytes = Vec::new();
    let encoder =
        PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Adaptive);
    let (width, height) = (picture.width(), picture.height());
    let written = if picture.color().has_alpha() {
        encoder.write_image(&picture.to_rgba8(), width, height, ExtendedColorType::Rgba8)
    } else {
        encoder.write_image(&picture.to_rgb8(), width, height, ExtendedColorType::Rgb8)
    };
    written.map_err(|_| BadImage::Damaged)?;
    Ok(bytes)
}

fn jpeg_within(mut picture: DynamicImage, max_bytes: u64) -> Result<Vec<u8>, BadImage> {
    for shrink in 0..=SHRINKS {
        if shrink > 0 {
            let (width, height) = (picture.width() * 3 / 4, picture.height() * 3 / 4);
            picture = within(picture, width.max(1), height.max(1));
        }
        let flat = on_white(&picture);
        for quality in LADDER {
            let encoded = jpeg(&flat, quality)?;
            if encoded.len() as u64 <= max_bytes {
                return Ok(encoded);
            }
        }
    }
    Err(BadImage::TooLarge(max_bytes))
}

fn jpeg(picture: &RgbImage, quality: u8) -> Result<Vec<u8>, BadImage> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .encode_image(picture)
        .map_err(|_| BadImage::Damaged)?;
    Ok(bytes)
}

/// JPEG knows no transparency; what was clear becomes paper.
fn on_white(picture: &DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.to_rgb8();
    }
    let rgba = picture.to_rgba8();
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [red, green, blue, alpha] = rgba.get_pixel(x, y).0;
        image::Rgb([red, green, blue].map(|channel| over_white(channel, alpha)))
    })
}

fn over_white(channel: u8, alpha: u8) -> u8 {
    let mixed = u32::from(channel) * u32::from(alpha) + 255 * (255 - u32::from(alpha));
    u8::try_from(mixed / 255).unwrap_or(u8::MAX)
}

/// A cover without words or pictures: one colour and a rule, for items that bring no image.
pub fn plain_cover(
    width: u32,
    height: u32,
    ground: [u8; 3],
    rule: [u8; 3],
) -> Result<DraftMedia, BadImage> {
    let across = |from: u32, to: u32, colour: [u8; 3]| colour.repeat((to - from) as usize);
    let (left, right) = (width / 12, width / 3);
    let plain = across(0, width, ground);
    let ruled = [
        across(0, left, ground),
        across(left, right, rule),
        across(right, width, ground),
    ];
    let ruled = ruled.concat();
    let rule_at = height * 7 / 10..height * 7 / 10 + (height / 60).max(1);
    let rows = (0..height).map(|y| if rule_at.contains(&y) { &ruled } else { &plain });
    let pixels: Vec<u8> = rows.flatten().copied().collect();
    let picture = RgbImage::from_raw(width, height, pixels).ok_or(BadImage::Damaged)?;
    Ok(named(jpeg(&picture, LADDER[0])?, "jpg", "image/jpeg"))
}

fn named(bytes: Vec<u8>, extension: &str, mime: &str) -> DraftMedia {
    let hash = blake3::hash(&bytes).to_hex();
    DraftMedia::new(
        format!("{}.{extension}", &hash[..16]),
        mime.to_owned(),
        bytes,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const WISH: Wish = Wish {
        max_bytes: 60_000,
        max_width: 400,
        max_height: 400,
        png: true,
    };

    /// Noise that no encoder can squeeze.
    fn noisy(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let mut state = 7_u32;
        let picture = RgbImage::from_fn(width, height, |_, _| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let [a, b, c, _] = state.to_be_bytes();
            image::Rgb([a, b, c])
        });
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::ImageRgb8(picture)
            .write_to(&mut bytes, format)
            .unwrap();
        bytes.into_inner()
    }

    #[test]
    fn a_large_png_becomes_a_jpeg_that_fits() {
        let fitted = fit(&noisy(900, 700, ImageFormat::Png), &WISH).unwrap();
        assert_eq!(sniff(&fitted.bytes), Some("image/jpeg"));
        assert!(fitted.bytes.len() <= 60_000);
        assert!(fitted.name.is_ascii());
        assert_eq!(fitted.name.rsplit_once('.').unwrap().1, "jpg");
        let fitted = decode(&fitted.bytes, ImageFormat::Jpeg).unwrap();
        assert!(fitted.width() <= 400 && fitted.height() <= 400);
    }

    #[test]
    fn a_small_png_stays_png_where_png_is_taken() {
        let small = noisy(20, 20, ImageFormat::Png);
        assert_eq!(fit(&small, &WISH).unwrap().mime, "image/png");
        let wish = Wish { png: false, ..WISH };
        assert_eq!(fit(&small, &wish).unwrap().mime, "image/jpeg");
    }

    #[test]
    fn webp_and_gif_are_converted_by_content_not_by_name() {
        for format in [ImageFormat::WebP, ImageFormat::Gif] {
            let fitted = fit(&noisy(30, 30, format), &WISH).unwrap();
            assert_eq!(sniff(&fitted.bytes), Some("image/jpeg"), "{format:?}");
        }
    }

    #[test]
    fn the_same_image_gives_the_same_bytes() {
        let image = noisy(500, 300, ImageFormat::Jpeg);
        assert_eq!(fit(&image, &WISH).unwrap(), fit(&image, &WISH).unwrap());
    }

    #[test]
    fn an_image_that_would_unfold_into_all_memory_is_refused_before_decoding() {
        let mut bomb = noisy(1, 1, ImageFormat::Png);
        bomb[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
        bomb[20..24].copy_from_slice(&60_000_u32.to_be_bytes());
        let refusal = fit(&bomb, &WISH).unwrap_err();
        assert!(
            matches!(refusal, BadImage::TooManyPixels { .. } | BadImage::Damaged),
            "{refusal:?}"
        );
    }

    #[test]
    fn what_is_no_image_or_only_half_of_one_is_refused() {
        assert_eq!(fit(b"%PDF-1.7", &WISH), Err(BadImage::NotAnImage));
        assert_eq!(fit(b"", &WISH), Err(BadImage::NotAnImage));
        let image = noisy(200, 200, ImageFormat::Png);
        assert_eq!(
            fit(&image[..image.len() / 2], &WISH),
            Err(BadImage::Damaged)
        );
    }

    #[test]
    fn an_image_that_cannot_be_squeezed_is_a_refusal_not_a_blur() {
        let wish = Wish {
            max_bytes: 100,
            ..WISH
        };
        assert_eq!(
            fit(&noisy(900, 900, ImageFormat::Jpeg), &wish),
            Err(BadImage::TooLarge(100))
        );
    }

    #[test]
    fn clear_parts_become_white() {
        assert_eq!(over_white(0, 0), 255);
        assert_eq!(over_white(10, 255), 10);
    }

    #[test]
    fn the_plain_cover_is_a_small_picture() {
        let cover = plain_cover(900, 383, [11, 74, 143], [159, 29, 29]).unwrap();
        assert_eq!(sniff(&cover.bytes), Some("image/jpeg"));
        assert!(cover.bytes.len() < 64 << 10);
    }
}

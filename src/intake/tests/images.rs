//! Images: by file, by address, inside the text; and every way one is refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{Bench, item, places, png};

const ADDRESS: &str = "https://img.example.cn/a/%E5%9B%BE.png?token=s3cret";

/// A camera's JPEG, whose EXIF block points to a directory of positions.
fn photograph() -> Vec<u8> {
    let picture = image::RgbImage::from_pixel(16, 8, image::Rgb([9, 99, 200]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, image::ImageFormat::Jpeg)
        .unwrap();
    let jpeg = bytes.into_inner();
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0".to_vec();
    exif.extend([0x25, 0x88, 4, 0, 1, 0, 0, 0, 26, 0, 0, 0, 0, 0, 0, 0]);
    exif.extend(b"GPS-POSITION");
    let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat()
}

#[tokio::test]
async fn an_image_by_address_is_fetched_once_however_often_it_is_named() {
    let text = item(&format!("![图]({ADDRESS})\n\n![图]({ADDRESS})\n"));
    let bench = Bench::new().page(ADDRESS, 200, png(1));
    let prepared = bench
        .prepare(&[("item.md", text.as_bytes())])
        .await
        .unwrap();
    assert_eq!(prepared.content.images.len(), 1);
    assert_eq!(prepared.content.images[0].name, "图.png");
    assert_eq!(bench.web.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_failed_fetch_is_told_with_the_address_but_not_its_query() {
    let gone = "https://img.example.cn/gone.png?token=s3cret";
    let text = item(&format!(
        "![图]({ADDRESS}) ![图](http://10.0.0.1/x.png) ![图]({gone})\n"
    ));
    let bench = Bench::new()
        .page(gone, 404, Vec::new())
        .page(ADDRESS, 200, b"<html>".to_vec());
    let complaints = bench
        .prepare(&[("item.md", text.as_bytes())])
        .await
        .unwrap_err();
    assert_eq!(
        places(&complaints),
        [
            "image 1 (https://img.example.cn/a/图.png)",
            "image 2 (http://10.0.0.1/x.png)",
            "image 3 (https://img.example.cn/gone.png)"
        ]
    );
    assert!(!format!("{complaints:?}").contains("s3cret"));
}

#[tokio::test]
async fn nothing_is_fetched_where_the_office_said_so() {
    let text = item(&format!("![图]({ADDRESS})"));
    let mut bench = Bench::new().page(ADDRESS, 200, png(1));
    bench.limits.fetch_images = false;
    assert!(
        bench
            .prepare(&[("item.md", text.as_bytes())])
            .await
            .is_err()
    );
    assert!(bench.web.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_image_inside_the_text_becomes_a_file_like_any_other() {
    let picture = png(5);
    let text = item(&format!(
        "<img src=\"data:image/png;base64,{}\">",
        BASE64.encode(&picture)
    ));
    let prepared = Bench::new()
        .prepare(&[("item.md", text.as_bytes())])
        .await
        .unwrap();
    let image = &prepared.content.images[0];
    assert_eq!(image.mime, "image/png");
    assert_eq!(prepared.media[&image.hash], picture);
    assert!(prepared.notes[0].zh.contains("alt"), "{:?}", prepared.notes);
}

#[tokio::test]
async fn a_photograph_no_longer_tells_where_it_was_taken() {
    let text = item("![图](photo.jpg)");
    let files: [(&str, &[u8]); 2] = [("item.md", text.as_bytes()), ("photo.jpg", &photograph())];
    let prepared = Bench::new().prepare(&files).await.unwrap();
    let image = &prepared.content.images[0];
    let bytes = &prepared.media[&image.hash];
    assert!(!bytes.windows(12).any(|part| part == b"GPS-POSITION"));
    assert_eq!((image.width, image.height), (16, 8));
    assert_eq!(image.hash, blake3::hash(bytes).to_hex().to_string());
    assert!(
        prepared.notes[0].zh.contains("拍摄地点"),
        "{:?}",
        prepared.notes
    );
}

#[tokio::test]
async fn what_is_no_image_too_large_or_outside_is_refused_each_in_its_place() {
    let text = item(
        "![a](a.svg) ![b](b.png) ![c](../c.png) ![d](D.png) ![e](huge.png) ![f](half.png) ![g]()",
    );
    let mut huge = png(1);
    huge[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
    let half = png(2);
    let files: [(&str, &[u8]); 6] = [
        ("item.md", text.as_bytes()),
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("b.png", b"%PDF-1.7"),
        ("d.png", &png(3)),
        ("huge.png", &huge),
        ("half.png", &half[..half.len() / 2]),
    ];
    let complaints = Bench::new().prepare(&files).await.unwrap_err();
    let said: Vec<&str> = complaints.iter().map(|one| one.words.zh.as_str()).collect();
    assert_eq!(
        places(&complaints),
        [
            "image 1 (a.svg)",
            "image 2 (b.png)",
            "image 3 (../c.png)",
            "image 4 (D.png)",
            "image 5 (huge.png)",
            "image 6 (half.png)",
            "image 7 ()"
        ],
        "{said:?}"
    );
    assert!(said[0].contains("导出为 PNG"));
    assert!(
        said[3].contains("是不是“d.png”"),
        "case as it is: {}",
        said[3]
    );
}

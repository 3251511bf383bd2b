//! Attachments: what they are, and what is never handed to a citizen.

use lubu_channels::kit::media;
use lubu_channels::{MediaRef, Words};

use super::paths;
use super::pictures::{self, is_svg};
use crate::config::Intake;

/// Programs and pages that run something when opened.
const REFUSED: &[&str] = &[
    "app", "bat", "chm", "cmd", "com", "cpl", "dll", "docm", "dotm", "exe", "hta", "htm", "html",
    "jar", "js", "jse", "lnk", "mht", "mhtml", "msi", "php", "ps1", "py", "reg", "scr", "sh",
    "svg", "swf", "vbe", "vbs", "ws", "wsf", "xhtml", "xlsm", "xltm", "pptm", "xml", "apk",
];

/// Extension, what the first bytes must say, and the kind.
const KINDS: &[(&str, Magic, &str)] = &[
    ("pdf", Magic::Pdf, "application/pdf"),
    ("doc", Magic::Ole, "application/msword"),
    ("xls", Magic::Ole, "application/vnd.ms-excel"),
    ("ppt", Magic::Ole, "application/vnd.ms-powerpoint"),
    ("wps", Magic::Ole, "application/vnd.ms-works"),
    ("et", Magic::Ole, "application/vnd.ms-excel"),
    (
        "docx",
        Magic::Zip,
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
    (
        "xlsx",
        Magic::Zip,
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
    (
        "pptx",
        Magic::Zip,
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ),
    ("ofd", Magic::Zip, "application/ofd"),
    ("odt", Magic::Zip, "application/vnd.oasis.opendocument.text"),
    (
        "ods",
        Magic::Zip,
        "application/vnd.oasis.opendocument.spreadsheet",
    ),
    ("zip", Magic::Zip, "application/zip"),
    ("rar", Magic::Rar, "application/vnd.rar"),
    ("7z", Magic::SevenZip, "application/x-7z-compressed"),
    ("png", Magic::Image("image/png"), "image/png"),
    ("jpg", Magic::Image("image/jpeg"), "image/jpeg"),
    ("jpeg", Magic::Image("image/jpeg"), "image/jpeg"),
    ("gif", Magic::Image("image/gif"), "image/gif"),
    ("webp", Magic::Image("image/webp"), "image/webp"),
    ("csv", Magic::Text, "text/csv"),
    ("txt", Magic::Text, "text/plain"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Magic {
    Pdf,
    Ole,
    Zip,
    Rar,
    SevenZip,
    Image(&'static str),
    Text,
}

impl Magic {
    fn fits(self, bytes: &[u8]) -> bool {
        match self {
            Self::Pdf => bytes[..bytes.len().min(1024)]
                .windows(5)
                .any(|five| five == b"%PDF-"),
            Self::Ole => bytes.starts_with(&[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]),
            Self::Zip => bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06"),
            Self::Rar => bytes.starts_with(b"Rar!\x1a\x07"),
            Self::SevenZip => bytes.starts_with(b"7z\xbc\xaf\x27\x1c"),
            Self::Image(mime) => media::sniff(bytes) == Some(mime),
            Self::Text => !bytes.contains(&0),
        }
    }
}

/// What an attachment is, by its first bytes and its extension together.
pub fn open(path: &str, bytes: &[u8], limits: &Intake) -> Result<MediaRef, Words> {
    if bytes.is_empty() {
        return Err(Words::new(
            "文件是空的（0 字节）。请重新导出。",
            "is empty (0 bytes); export it again.",
        ));
    }
    if bytes.len() as u64 > limits.attachment_max_bytes {
        return Err(pictures::too_large(
            bytes.len() as u64,
            limits.attachment_max_bytes,
        ));
    }
    let extension = paths::extension(path);
    if REFUSED.contains(&extension.as_str()) || runs(bytes) || is_svg(bytes) {
        return Err(Words::new(
            "这类文件打开时能运行程序，不能作附件。文档请用 PDF、OFD、DOCX、XLSX，图片请用 PNG、JPEG。",
            "files that can run something are not taken; use PDF, OFD, DOCX, XLSX, PNG or JPEG.",
        ));
    }
    let kind = KINDS.iter().find(|(name, _, _)| *name == extension);
    let mime = match kind {
        Some((_, magic, mime)) if magic.fits(bytes) => mime,
        Some(_) => {
            return Err(Words::new(
                format!("内容不是 .{extension} 文件：扩展名被改过，或文件已损坏。请重新导出。"),
                format!("the content is no .{extension}: renamed or damaged; export it again."),
            ));
        }
        None => "application/octet-stream",
    };
    let (width, height) = match media::sniff(bytes) {
        Some(kind) if kind.starts_with("image/") => pictures::size(bytes).unwrap_or_default(),
        _ => (0, 0),
    };
    Ok(MediaRef {
        hash: blake3::hash(bytes).to_hex().to_string(),
        name: paths::shown(path),
        mime: (*mime).to_owned(),
        bytes: bytes.len() as u64,
        width,
        height,
    })
}

/// Programs for Windows, Linux and macOS, and scripts that name what runs them.
fn runs(bytes: &[u8]) -> bool {
    let starts: [&[u8]; 6] = [
        b"MZ",
        b"\x7fELF",
        b"#!",
        b"\xcf\xfa\xed\xfe",
        b"\xce\xfa\xed\xfe",
        b"\xca\xfe\xba\xbe",
    ];
    starts.iter().any(|start| bytes.starts_with(start))
}

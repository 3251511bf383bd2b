//! Taking a submission apart: fields, text, and the files beside it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::body::Format;
use super::fields::{self, Node, Value};
use super::keys::plain;
use super::paths::{self, Bundle};
use super::{Handed, Report, Submission, encoding, pictures};
use crate::config::Intake;

/// A submission in its parts, nothing judged yet.
#[derive(Debug)]
pub struct Source {
    /// Where complaints about the text point.
    pub name: String,
    pub fields: Node,
    pub format: Format,
    pub text: String,
    pub bundle: Bundle,
}

/// Reads the text and finds its parts; `None` after a complaint that leaves nothing to judge.
pub fn read(submission: Submission, limits: &Intake, report: &mut Report) -> Option<Source> {
    let Submission { main, mut files } = submission;
    let total: u64 = files.iter().map(|file| file.bytes.len() as u64).sum();
    if total > limits.total_max_bytes {
        let words = pictures::too_large(total, limits.total_max_bytes);
        report.wrong(
            "*",
            format!("整份稿件{}", words.zh),
            format!("the submission {}", words.en),
        );
        return None;
    }
    let main = text_among(&files, main, report)?;
    let text = files.remove(main);
    let name = text.path.replace('\\', "/");
    let is_json = paths::extension(&name) == "json";
    // A JSON object may carry its images; they count as what they are.
    let most = if is_json {
        limits.total_max_bytes
    } else {
        limits.text_max_bytes
    };
    if text.bytes.len() as u64 > most {
        let words = pictures::too_large(text.bytes.len() as u64, most);
        report.wrong(
            &name,
            format!("正文{}", words.zh),
            format!("the text {}", words.en),
        );
        return None;
    }
    let bundle = Bundle::new(paths::folder(&name), files, report);
    let text = encoding::text(&name, &text.bytes, report)?;
    if is_json {
        return object(&name, &text, bundle, limits, report);
    }
    let format = Format::of(&name)?;
    let (fields, text) = parts(&name, &text, report)?;
    Some(Source {
        name,
        fields,
        format,
        text,
        bundle,
    })
}

pub fn is_text(path: &str) -> bool {
    Format::of(path).is_some() || paths::extension(path) == "json"
}

/// Fields and, unless it is JSON, body of a text whose problems are not asked for.
pub fn split(text: &Handed, report: &mut Report) -> Option<(Node, Option<(Format, String)>)> {
    let name = &text.path;
    let decoded = encoding::text(name, &text.bytes, report)?;
    match Format::of(name) {
        None => Some((fields::from_json(name, &decoded, report)?, None)),
        Some(format) => {
            let (fields, body) = parts(name, &decoded, report)?;
            Some((fields, Some((format, body))))
        }
    }
}

/// The one meant, if it is a text; else the only text among the files.
fn text_among(files: &[Handed], main: usize, report: &mut Report) -> Option<usize> {
    if files.get(main).is_some_and(|file| is_text(&file.path)) {
        return Some(main);
    }
    let mut texts = (0..files.len()).filter(|at| is_text(&files[*at].path));
    if let (Some(only), None) = (texts.next(), texts.next()) {
        return Some(only);
    }
    report.wrong(
        "*",
        "认不出哪个文件是正文。正文应是一个 .md、.html 或 .txt 文件，放在最前面。",
        "which file is the text is unclear: one .md, .html or .txt file, the first.",
    );
    None
}

/// Front matter between `+++` lines, and the text after it.
fn parts(name: &str, text: &str, report: &mut Report) -> Option<(Node, String)> {
    let mut at = 0;
    let mut opened = None;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let fence = line.trim() == "+++";
        match opened {
            None if line.trim().is_empty() => {}
            None if fence => opened = Some((at + line.len(), number + 2)),
            None => return without_front(name, line, report),
            Some((start, first_line)) if fence => {
                let table = fields::from_toml(name, &text[start..at], first_line, report);
                return Some((table, text[at + line.len()..].to_owned()));
            }
            Some(_) => {}
        }
        at += line.len();
    }
    match opened {
        None => without_front(name, "", report),
        Some((_, first_line)) => {
            report.wrong(
                format!("{name}:{}", first_line - 1),
                "开头的 +++ 没有结束：请在各栏之后单独写一行 +++。",
                "the front matter has no end: put a line of +++ after the fields.",
            );
            None
        }
    }
}

fn without_front(name: &str, line: &str, report: &mut Report) -> Option<(Node, String)> {
    let is_yaml = line.trim() == "---";
    let (zh, en) = if is_yaml {
        (
            "这里用的是 ---（YAML），请改用 +++ 和 TOML。",
            "--- (YAML) is not read; use +++ and TOML.",
        )
    } else {
        ("", "")
    };
    report.wrong(
        format!("{name}:1"),
        format!("开头缺少各栏：title 和 category 必填，写在两行 +++ 之间。{zh}"),
        format!("the fields are missing: `title` and `category` stand between +++ lines. {en}")
            .trim_end(),
    );
    None
}

/// The parts of a JSON submission; its files join those that came beside it.
fn object(
    name: &str,
    text: &str,
    mut bundle: Bundle,
    limits: &Intake,
    report: &mut Report,
) -> Option<Source> {
    let mut fields = fields::from_json(name, text, report)?;
    let Value::Table(entries) = &mut fields.value else {
        return None;
    };
    let mut take = |key: &str| {
        let at = entries.iter().position(|(name, _)| name == key)?;
        Some(entries.remove(at).1)
    };
    let (body, format, images) = (take("body"), take("format"), take("images"));
    if let Some(images) = images {
        carried(images, &mut bundle, report);
    }
    for (key, node) in entries.iter_mut() {
        match (key.as_str(), &mut node.value) {
            ("attachments" | "附件", Value::List(nodes)) => {
                for node in nodes {
                    unpack(node, &mut bundle, report);
                }
            }
            ("cover" | "封面", Value::Table(_)) => {
                if let Some(name) = unpack(node, &mut bundle, report) {
                    node.value = Value::Text(name);
                }
            }
            _ => {}
        }
    }
    if body.is_none() {
        report.wrong(
            "/body",
            "缺少 body：请填正文。",
            "`body` is missing: it holds the text.",
        );
    }
    let text = body
        .and_then(|body| plain(body, "body", report))
        .unwrap_or_default();
    if text.len() as u64 > limits.text_max_bytes {
        let words = pictures::too_large(text.len() as u64, limits.text_max_bytes);
        report.wrong(
            "/body",
            format!("正文{}", words.zh),
            format!("the text {}", words.en),
        );
        return None;
    }
    let format = named_format(format, &text, report);
    Some(Source {
        name: "/body".into(),
        fields,
        format,
        text,
        bundle,
    })
}

fn named_format(node: Option<Node>, text: &str, report: &mut Report) -> Format {
    let guessed = if text.trim_start().starts_with('<') {
        Format::Html
    } else {
        Format::Markdown
    };
    let Some(node) = node else {
        return guessed;
    };
    let place = node.place.clone();
    match plain(node, "format", report).as_deref() {
        Some("markdown" | "md") => Format::Markdown,
        Some("html") => Format::Html,
        Some("text" | "txt") => Format::Text,
        Some(said) => {
            report.wrong(
                place,
                format!("没有“{said}”这种格式，可以写 markdown、html、text。"),
                format!("`{said}` is no format: markdown, html or text."),
            );
            guessed
        }
        None => guessed,
    }
}

fn carried(images: Node, bundle: &mut Bundle, report: &mut Report) {
    let Value::List(nodes) = images.value else {
        report.wrong(
            images.place,
            "images 应是列表，每项写 name 和 base64。",
            "`images` is a list of objects with `name` and `base64`.",
        );
        return;
    };
    for mut node in nodes {
        let place = node.place.clone();
        if unpack(&mut node, bundle, report).is_none() {
            report.wrong(
                place,
                "每张图片都要写 name（文件名）和 base64（内容）。",
                "each image has `name` and `base64`.",
            );
        }
    }
}

/// Takes `base64` out of an object and keeps its bytes under the object's name.
fn unpack(node: &mut Node, bundle: &mut Bundle, report: &mut Report) -> Option<String> {
    let Value::Table(entries) = &mut node.value else {
        return None;
    };
    let at = entries.iter().position(|(key, _)| key == "base64")?;
    let (_, base64) = entries.remove(at);
    let place = base64.place.clone();
    let name = entries
        .iter()
        .find(|(key, _)| key == "name" || key == "file");
    let name = name.and_then(|(_, node)| match &node.value {
        Value::Text(name) => Some(name.trim().to_owned()),
        _ => None,
    })?;
    let text = plain(base64, "base64", report)?;
    let text: String = text.split_ascii_whitespace().collect();
    match BASE64.decode(text) {
        Ok(bytes) => bundle.add(
            Handed {
                path: name.clone(),
                bytes,
            },
            report,
        ),
        Err(_) => report.wrong(
            place,
            "不是完整的 base64。请重新编码。",
            "is no complete base64; encode it again.",
        ),
    }
    Some(name)
}

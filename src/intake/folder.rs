//! Submissions on disk: a text with the files it names, or a folder that is one item.
//!
//! Links are followed only as far as the folder: what an item may name is what was handed in, not
//! whatever the daemon can read. Nothing is judged here that bytes alone can tell; `prepare` does.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::addresses::sources;
use super::body::{Format, loose_links, raw};
use super::fields::{Node, Value};
use super::{Complaint, Handed, Report, Submission, paths, source};

/// More than any configuration takes; an inbox must not fill the memory before it is judged.
const MOST_BYTES: u64 = 1 << 30;
const MOST_FILES: usize = 2_000;
const MOST_DEPTH: usize = 8;

impl Submission {
    /// Reads a text with what it names beside it, or a folder with exactly one text.
    pub fn from_path(path: &Path) -> Result<Self, Complaint> {
        let kind = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        if kind.is_dir() {
            return whole_folder(path);
        }
        let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else {
            return Err(wrong(path, "不是一个文件。", "is no file."));
        };
        let name = utf8(path, Path::new(name))?;
        if !source::is_text(&name) {
            return Err(wrong(
                path,
                "正文应是 .md、.html、.txt 或 .json 文件，或装着它的文件夹。",
                "a text is a .md, .html, .txt or .json file, or a folder with one.",
            ));
        }
        let parent = if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        };
        let mut room = Room::new(parent)?;
        let text = room.read(&name)?;
        let mut files = vec![text];
        for wanted in named_in(&files[0]) {
            if wanted != name && parent.join(&wanted).is_file() {
                files.push(room.read(&wanted)?);
            }
        }
        Ok(Self { main: 0, files })
    }
}

/// Every submission in a folder that holds several: texts alone, and folders with one text.
pub fn texts_in(folder: &Path) -> Result<Vec<PathBuf>, Complaint> {
    let mut found = Vec::new();
    gather(folder, 0, &mut found)?;
    Ok(found)
}

fn gather(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), Complaint> {
    for path in entries(folder)? {
        if !path.is_dir() {
            if source::is_text(&path.to_string_lossy()) {
                found.push(path);
            }
        } else if text_of(&path)?.is_some() {
            found.push(path);
        } else if depth < MOST_DEPTH {
            gather(&path, depth + 1, found)?;
        }
    }
    Ok(())
}

fn whole_folder(folder: &Path) -> Result<Submission, Complaint> {
    let Some(text) = text_of(folder)? else {
        return Err(wrong(
            folder,
            "文件夹里应恰有一份正文：item.md、index.md，或唯一的 .md、.html、.txt。",
            "a folder holds exactly one text: item.md, index.md, or the only .md, .html or .txt.",
        ));
    };
    let mut room = Room::new(folder)?;
    let mut files = Vec::new();
    collect(folder, "", 0, &mut room, &mut files)?;
    let main = files.iter().position(|file| file.path == text).unwrap_or(0);
    Ok(Submission { main, files })
}

fn collect(
    folder: &Path,
    prefix: &str,
    depth: usize,
    room: &mut Room,
    files: &mut Vec<Handed>,
) -> Result<(), Complaint> {
    for path in entries(folder)? {
        let name = utf8(&path, Path::new(path.file_name().unwrap_or_default()))?;
        let name = format!("{prefix}{name}");
        if !path.is_dir() {
            files.push(room.read(&name)?);
        } else if depth < MOST_DEPTH {
            room.inside(&path)?;
            collect(&path, &format!("{name}/"), depth + 1, room, files)?;
        } else {
            return Err(wrong(&path, "文件夹套得太深。", "folders nest too deeply."));
        }
        if files.len() > MOST_FILES {
            return Err(wrong(
                folder,
                &format!("文件超过 {MOST_FILES} 个，不像一条信息。"),
                &format!("more than {MOST_FILES} files: this is no single item."),
            ));
        }
    }
    Ok(())
}

/// The folder's one text: by its name, else the only one, else the only one with fields.
fn text_of(folder: &Path) -> Result<Option<String>, Complaint> {
    let mut texts = Vec::new();
    for path in entries(folder)? {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if !path.is_dir() && source::is_text(&name) {
            texts.push((name, path));
        }
    }
    for stem in ["item.", "index."] {
        let mut called = texts.iter().filter(|(name, _)| {
            name.strip_prefix(stem)
                .is_some_and(|extension| !extension.contains('.'))
        });
        if let (Some((text, _)), None) = (called.next(), called.next()) {
            return Ok(Some(text.clone()));
        }
    }
    let plain = texts.iter().filter(|(name, _)| Format::of(name).is_some());
    let plain: Vec<_> = plain.collect();
    if let [(text, _)] = plain[..] {
        return Ok(Some(text.clone()));
    }
    let mut fielded = plain.iter().filter(|(_, path)| has_fields(path));
    match (fielded.next(), fielded.next()) {
        (Some((text, _)), None) => Ok(Some(text.clone())),
        _ => Ok(None),
    }
}

fn has_fields(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(64).read_to_end(&mut start));
    read.is_ok()
        && String::from_utf8_lossy(&start)
            .trim_start_matches('\u{feff}')
            .trim_start()
            .starts_with("+++")
}

/// Sorted, without what systems and editors leave behind.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Complaint> {
    let listed = fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    let mut paths = Vec::new();
    for entry in listed {
        let entry = entry.map_err(|error| unreadable(folder, &error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_litter = name.starts_with(['.', '~'])
            || name.ends_with('~')
            || matches!(name.as_str(), "Thumbs.db" | "desktop.ini" | "__MACOSX");
        if !is_litter {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// A folder whose files are read, and how much may still come.
#[derive(Debug)]
struct Room {
    folder: PathBuf,
    real: PathBuf,
    left: u64,
}

impl Room {
    fn new(folder: &Path) -> Result<Self, Complaint> {
        let real = fs::canonicalize(folder).map_err(|error| unreadable(folder, &error))?;
        Ok(Self {
            folder: folder.to_path_buf(),
            real,
            left: MOST_BYTES,
        })
    }

    fn inside(&self, path: &Path) -> Result<PathBuf, Complaint> {
        let real = fs::canonicalize(path).map_err(|error| unreadable(path, &error))?;
        if real.starts_with(&self.real) {
            return Ok(real);
        }
        Err(wrong(
            path,
            "这个链接指向文件夹之外。请把文件本身放进来。",
            "this link leaves the folder; put the file itself there.",
        ))
    }

    fn read(&mut self, name: &str) -> Result<Handed, Complaint> {
        let path = self.folder.join(name);
        let real = self.inside(&path)?;
        let bad = |error| unreadable(&path, &error);
        // A pipe would be waited on for ever.
        if !fs::metadata(&real).map_err(bad)?.is_file() {
            return Err(wrong(&path, "不是普通文件。", "is no regular file."));
        }
        let file = fs::File::open(&real).map_err(bad)?;
        let mut bytes = Vec::new();
        file.take(self.left + 1)
            .read_to_end(&mut bytes)
            .map_err(bad)?;
        let size = bytes.len() as u64;
        self.left = self.left.checked_sub(size).ok_or_else(|| {
            wrong(
                &self.folder,
                "整份稿件超过 1024 MB。请压缩后再提交。",
                "the submission has more than 1024 MB; make it smaller.",
            )
        })?;
        Ok(Handed {
            path: name.to_owned(),
            bytes,
        })
    }
}

/// The files beside a text that its fields, images and links name.
fn named_in(text: &Handed) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut report = Report::default();
    let Some((fields, body)) = source::split(text, &mut report) else {
        return names;
    };
    texts(&fields, &mut names);
    if let Some((format, body)) = body {
        let raw = raw(format, &body, "").unwrap_or_default();
        names.extend(sources(&raw).into_iter().map(|(src, _)| src));
        names.extend(loose_links(&raw).into_iter().map(|link| link.href));
    }
    let ways = names.iter().flat_map(|name| {
        let bare = name.split(['?', '#']).next().unwrap_or(name);
        [
            name.clone(),
            paths::percent_decoded(name),
            paths::percent_decoded(bare),
        ]
    });
    ways.filter_map(|name| paths::inside("", &name)).collect()
}

/// Every text among the fields: a few too many, but what is no file is not found.
fn texts(node: &Node, names: &mut BTreeSet<String>) {
    match &node.value {
        Value::Text(text) if text.len() < 1024 => {
            names.insert(text.trim().to_owned());
        }
        Value::List(nodes) => nodes.iter().for_each(|node| texts(node, names)),
        Value::Table(entries) => entries.iter().for_each(|(_, node)| texts(node, names)),
        Value::Text(_) | Value::Nothing | Value::Date(_) | Value::Other(_) => {}
    }
}

fn utf8(path: &Path, name: &Path) -> Result<String, Complaint> {
    name.to_str().map(str::to_owned).ok_or_else(|| {
        wrong(
            path,
            "文件名不是 UTF-8。请改名。",
            "the file's name is not UTF-8; rename it.",
        )
    })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Complaint {
    wrong(
        path,
        &format!("读不到：{error}。"),
        &format!("cannot be read: {error}."),
    )
}

fn wrong(path: &Path, zh: &str, en: &str) -> Complaint {
    Complaint::new(
        path.display().to_string(),
        lubu_channels::Words::new(zh, en),
    )
}

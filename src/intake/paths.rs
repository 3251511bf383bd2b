//! Names of files inside a submission.

use std::collections::BTreeMap;

use super::{Handed, Report};

/// A name as the folder has it: `/` between folders, no `.`; `None` where it leaves the folder.
pub fn inside(base: &str, name: &str) -> Option<String> {
    let name = name.replace('\\', "/");
    let is_drive = name.as_bytes().get(1) == Some(&b':');
    if name.starts_with('/') || is_drive || name.contains('\0') {
        return None;
    }
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

pub fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

pub fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// In lower case, without the dot.
pub fn extension(path: &str) -> String {
    let name = file_name(path);
    name.rsplit_once('.')
        .map_or(String::new(), |(_, extension)| extension.to_lowercase())
}

/// A file name fit to be shown and saved anywhere: one line, no signs that a system forbids.
pub fn shown(path: &str) -> String {
    const MOST: usize = 120;
    let name = lubu_channels::kit::text::one_line(file_name(path));
    let odd = |c: char| matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*' | '/' | '\\');
    let name = name.replace(odd, "_");
    let name = name.trim_matches(['.', ' ']);
    let extension = extension(name);
    let count = name.chars().count();
    if name.is_empty() {
        return "file".to_owned();
    }
    if count <= MOST {
        return name.to_owned();
    }
    let stem: String = name
        .chars()
        .take(MOST - extension.chars().count().min(10) - 1)
        .collect();
    if extension.is_empty() {
        stem
    } else {
        format!("{stem}.{extension}")
    }
}

/// `%E5%9B%BE.png` as `图.png`; what is no UTF-8 then stays as it was.
pub fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let code = hex.filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// The files that came with a text, and which of them it named.
#[derive(Debug)]
pub struct Bundle {
    base: String,
    files: BTreeMap<String, (Vec<u8>, bool)>,
}

impl Bundle {
    /// All files but the text itself. A name that leaves the folder, or stands twice, is refused.
    pub fn new(base: &str, files: Vec<Handed>, report: &mut Report) -> Self {
        let mut bundle = Self {
            base: base.to_owned(),
            files: BTreeMap::new(),
        };
        for file in files {
            bundle.add(file, report);
        }
        bundle
    }

    pub fn add(&mut self, file: Handed, report: &mut Report) {
        let Some(path) = inside("", &file.path) else {
            report.wrong(
                file.path,
                "文件名不能是绝对路径，也不能用 .. 走出稿件文件夹。",
                "a file name is relative and stays inside the item's folder.",
            );
            return;
        };
        if self.files.insert(path, (file.bytes, false)).is_some() {
            report.wrong(
                file.path,
                "有两个同名文件，请改名。",
                "two files have this name; rename one.",
            );
        }
    }

    /// The file a text or field names: beside the text, else from the top, else by its bare name,
    /// because forms often send names without folders.
    pub fn find(&self, name: &str) -> Option<String> {
        let beside = inside(&self.base, name);
        let top = inside("", name);
        let bare = beside.as_ref().map(|path| file_name(path).to_owned());
        let found = [beside, top, bare].into_iter().flatten();
        found.into_iter().find(|path| self.files.contains_key(path))
    }

    /// The bytes of a file that was found; it counts as named from now on.
    pub fn take(&mut self, path: &str) -> &[u8] {
        self.files.get_mut(path).map_or(&[], |(bytes, used)| {
            *used = true;
            bytes
        })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Files that nothing named.
    pub fn left(&self) -> impl Iterator<Item = &str> {
        self.files
            .iter()
            .filter(|(_, (_, used))| !used)
            .map(|(path, _)| path.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leaves_the_folder() {
        assert_eq!(inside("a/b", "../c.png").as_deref(), Some("a/c.png"));
        assert_eq!(inside("", "./图\\一.png").as_deref(), Some("图/一.png"));
        for bad in [
            "../x",
            "a/../../x",
            "/etc/passwd",
            "C:\\x",
            "\\\\host\\x",
            ".",
            "",
            "a\0b",
        ] {
            assert_eq!(inside("", bad), None, "{bad}");
        }
    }

    #[test]
    fn percent_signs_are_read_only_where_they_are_utf8() {
        assert_eq!(percent_decoded("%E5%9B%BE%201.png"), "图 1.png");
        for same in ["100%", "%zz", "%E5%9B", "50%+1", "%é"] {
            assert_eq!(percent_decoded(same), same);
        }
    }

    #[test]
    fn shown_names_are_one_short_line_without_signs_that_systems_forbid() {
        assert_eq!(shown("a/附件:1\n?.docx"), "附件_1 _.docx");
        assert_eq!(shown(".."), "file");
        let long = shown(&format!("{}.pdf", "长".repeat(300)));
        assert!(long.chars().count() <= 120, "{long}");
        assert_eq!(extension(&long), "pdf");
    }
}

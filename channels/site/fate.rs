//! What a failure of the folder means for the next try.
//!
//! Every step here leaves the same end state when it is repeated, so nothing is ever in doubt: a
//! full disk or a missing right is repaired by a person, everything else is tried again.

use std::io::{Error, ErrorKind};

use crate::contract::{Failure, Fate, Kind, Reach, Words};

/// A file could not be read or written. `file` is its place below the root.
pub fn disk(file: &str, error: &Error) -> Failure {
    let (fate, zh, en) = match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => (
            Fate::Blocked(Reach::Account),
            "网站目录不可写，请检查目录权限",
            "The site's folder cannot be written; check its permissions",
        ),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => (
            Fate::Again { not_before: None },
            "磁盘已满，请清理空间",
            "The disk is full; free some space",
        ),
        _ => (
            Fate::Again { not_before: None },
            "写网页文件时出错，稍后再试",
            "A page file could not be written; trying again later",
        ),
    };
    let words = Words::new(format!("{zh}（{file}）。"), format!("{en} ({file})."));
    Failure::new(Kind::Local, fate, words).private(format!("{file}: {}", error.kind()))
}

/// A template that compiled and does not render, because it asks for what there is not.
pub fn template(name: &str, error: &minijinja::Error) -> Failure {
    let words = Words::new(
        format!("网页模板 {name} 出错，请修改模板。"),
        format!("The template {name} fails; correct it."),
    );
    let line = error.line().unwrap_or_default();
    Failure::new(Kind::Local, Fate::Blocked(Reach::Account), words)
        .private(format!("{name}:{line}: {}", error.kind()))
}

/// Something that cannot be, unless this program is wrong.
pub fn bug(private: &str) -> Failure {
    let words = Words::new(
        "露布自己出错了，请报告。",
        "This is a fault of lubu; please report it.",
    );
    Failure::new(Kind::Local, Fate::Never, words).private(private)
}

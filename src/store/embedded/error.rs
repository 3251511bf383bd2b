//! What can go wrong, said so that a person can act on it.
//!
//! `Display` reads after "failed to" in English; `zh` is the whole sentence in Chinese.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::frame::Misfit;
use super::record::RecordError;
use super::walk::{Damage, WalkError};

/// Why the store did not open. Nothing was changed that a second try would miss.
#[derive(Debug, Error)]
pub enum OpenError {
    #[error("open the store: another lubu is using it{}", pid_words(*pid))]
    Locked { pid: Option<u32> },
    #[error(
        "open the store: it has format {found}, and this version knows up to {known}; install a newer lubu"
    )]
    NewerFormat { found: u32, known: u32 },
    #[error(
        "open the store: it has format {found}, which this version cannot bring to {known}; install a version in between first"
    )]
    OlderFormat { found: u32, known: u32 },
    #[error(
        "look into the store: it has format {found}; starting this version once brings it to {known}"
    )]
    NotMigrated { found: u32, known: u32 },
    #[error(
        "bring the store from format {found} to {known}: {why}; nothing is lost, the version before still opens it"
    )]
    Unmigrated { found: u32, known: u32, why: String },
    #[error(
        "open the store: journal segment {} is damaged at byte {} (sequence {}): {}; repair from a backup or accept the gap",
        .0.segment, .0.offset, .0.sequence, .0.why.words().0
    )]
    Damaged(Damage),
    #[error("open the store: the disk is full; free some space, lubu tries again")]
    DiskFull,
    #[error("open the store: `{}` is missing or cannot be read; restore it from a backup", .0.display())]
    Identity(PathBuf),
    #[error("restore: `{}` is no whole backup", .0.display())]
    NoBackup(PathBuf),
    #[error("restore: `{}` is not empty", .0.display())]
    NotEmpty(PathBuf),
    #[error("open the state database: {0}")]
    State(String),
    #[error("open the store at `{}`", .path.display())]
    Io { path: PathBuf, source: io::Error },
}

fn pid_words(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| {
        format!(" (process {pid}); stop it first")
    })
}

impl OpenError {
    /// The same for a person who reads Chinese.
    pub fn zh(&self) -> String {
        match self {
            OpenError::Locked { pid: Some(pid) } => {
                format!("数据目录正被另一个 lubu 使用（进程 {pid}）。请先停止它。")
            }
            OpenError::Locked { pid: None } => {
                "数据目录正被另一个 lubu 使用。请先停止它。".to_owned()
            }
            OpenError::NewerFormat { found, known } => {
                format!("数据格式为 {found}，本版本最高支持 {known}。请安装更新的 lubu。")
            }
            OpenError::OlderFormat { found, known } => {
                format!("数据格式为 {found}，本版本不能直接升级到 {known}。请先安装中间版本。")
            }
            OpenError::NotMigrated { found, known } => {
                format!("数据格式为 {found}。用本版本启动一次即升级到 {known}，之后再试。")
            }
            OpenError::Unmigrated { found, known, why } => format!(
                "数据格式由 {found} 升级到 {known} 失败：{why}。数据没有丢失，原版本仍可打开。"
            ),
            OpenError::Damaged(damage) => format!(
                "日志第 {} 段在第 {} 字节处损坏（序号 {}）:{}。已停止发送，请从备份修复或接受缺口。",
                damage.segment,
                damage.offset,
                damage.sequence,
                damage.why.words().1
            ),
            OpenError::DiskFull => "磁盘已满。请腾出空间，lubu 会自动重试。".to_owned(),
            OpenError::Identity(path) => {
                format!("“{}”缺失或无法读取。请从备份恢复。", path.display())
            }
            OpenError::NoBackup(path) => {
                format!("“{}”不是完整的备份。", path.display())
            }
            OpenError::NotEmpty(path) => {
                format!("“{}”不是空目录，不能恢复到这里。", path.display())
            }
            OpenError::State(why) => format!("状态库打不开：{why}。lubu 会自动重试。"),
            OpenError::Io { path, source } => format!("无法读写“{}”：{source}。", path.display()),
        }
    }

    /// Whether it can pass by itself, so that another try is worth it. What else there is needs a person, and is not
    /// waited for: another process, a newer format, a file that may not be read.
    pub fn passes(&self) -> bool {
        match self {
            OpenError::DiskFull | OpenError::State(_) => true,
            OpenError::Io { source, .. } => passes(source),
            OpenError::Locked { .. }
            | OpenError::NewerFormat { .. }
            | OpenError::OlderFormat { .. }
            | OpenError::NotMigrated { .. }
            | OpenError::Unmigrated { .. }
            | OpenError::Damaged(_)
            | OpenError::Identity(_)
            | OpenError::NoBackup(_)
            | OpenError::NotEmpty(_) => false,
        }
    }

    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| {
            if super::disk::is_full(&source) {
                Self::DiskFull
            } else {
                Self::Io { path, source }
            }
        }
    }

    pub(super) fn walk(path: impl Into<PathBuf>) -> impl FnOnce(WalkError) -> Self {
        let path = path.into();
        move |error| match error {
            WalkError::Damaged(damage) => Self::Damaged(damage),
            WalkError::Io(source) => Self::io(path)(source),
        }
    }
}

/// Whether the machine lacks something that it may have again: space, handles, memory, a file system that can be written.
pub fn passes(error: &io::Error) -> bool {
    let handles = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE];
    let code = error.raw_os_error();
    super::disk::is_full(error)
        || handles.iter().any(|it| code == Some(it.raw_os_error()))
        || matches!(
            error.kind(),
            io::ErrorKind::OutOfMemory
                | io::ErrorKind::ReadOnlyFilesystem
                | io::ErrorKind::WouldBlock
        )
}

/// Why a chore of the store's own was not done. Nothing is lost by it: it is tried again later.
#[derive(Debug, Error)]
pub enum CareError {
    #[error("care for the store: it is stopping")]
    Stopped,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error(
        "read the journal: segment {} is damaged at byte {} (sequence {}): {}",
        .0.segment, .0.offset, .0.sequence, .0.why.words().0
    )]
    Damaged(Damage),
    #[error("make a base: the journal does not follow the base before")]
    Disagrees,
    #[error("bring the record {key} to another format: {why}")]
    Unmigrated { key: String, why: RecordError },
    #[error("make a file: what was written is not what is read back")]
    ReadBack,
    #[error("read the state: {0}")]
    State(String),
    #[error("make a backup: `{}` holds something else", .0.display())]
    Foreign(PathBuf),
    #[error("reach a file: {0}")]
    Io(#[from] io::Error),
}

impl From<WalkError> for CareError {
    fn from(error: WalkError) -> Self {
        match error {
            WalkError::Damaged(damage) => Self::Damaged(damage),
            WalkError::Io(error) => Self::Io(error),
        }
    }
}

/// Why an act cannot be taken now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unavailable {
    #[error("the disk is full")]
    DiskFull,
    #[error("the journal cannot be written")]
    Unwritable,
    #[error(
        "the journal is damaged: reading goes on, nothing is written or sent until it is repaired from a backup or `lubu store accept-gap` is run"
    )]
    Damaged,
    #[error("the store is closed")]
    Stopped,
}

/// Why an act did not happen.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ActError<R> {
    /// The domain said no.
    #[error("do this: it was refused")]
    Refused(R),
    /// Nothing of it is in the journal. `Stopped` alone leaves that open until the next start.
    #[error("do this: {0}")]
    Unavailable(Unavailable),
    #[error(transparent)]
    TooLarge(Misfit),
}

impl Unavailable {
    pub fn zh(self) -> &'static str {
        match self {
            Unavailable::DiskFull => "磁盘已满，暂不接收。",
            Unavailable::Unwritable => "日志写不进去，暂不接收。",
            Unavailable::Damaged => {
                "日志损坏：可以查看，不能写入或发送。请从备份修复，或运行 lubu store accept-gap 接受缺口。"
            }
            Unavailable::Stopped => "存储已关闭。",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(errno: i32) -> OpenError {
        OpenError::io("data")(io::Error::from_raw_os_error(errno))
    }

    #[test]
    fn what_the_machine_may_have_again_passes_and_what_needs_a_person_does_not() {
        // ENOSPC, EDQUOT, EMFILE, ENFILE, ENOMEM, EROFS
        for errno in [28, 122, 24, 23, 12, 30] {
            assert!(of(errno).passes(), "{errno}");
        }
        // EACCES, EIO, ENOTDIR
        for errno in [13, 5, 20] {
            assert!(!of(errno).passes(), "{errno}");
        }
        assert!(OpenError::State("locked".to_owned()).passes());
        assert!(!OpenError::Locked { pid: Some(1) }.passes());
        assert!(!OpenError::NewerFormat { found: 2, known: 1 }.passes());
    }
}

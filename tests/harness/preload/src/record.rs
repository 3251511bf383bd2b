//! What the trace holds, and how it lies in the file.
//!
//! Written by the preloaded library, read by the harness, which includes this same file. One record is
//! `kind u8 · length u32 · payload`, little-endian; a tail that is not whole is where the process was killed.
//! Files are told apart by their inode, because names move; paths are relative to the watched folder.

/// One thing that happened in the watched folder, or one line that the process printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A new file under a new name.
    Create {
        ino: u64,
        path: String,
    },
    Write {
        ino: u64,
        at: u64,
        bytes: Vec<u8>,
    },
    /// `fallocate`: the file is at least so long.
    Allocate {
        ino: u64,
        end: u64,
    },
    Truncate {
        ino: u64,
        len: u64,
    },
    /// `fsync` or `fdatasync` of a file that succeeded.
    Sync {
        ino: u64,
    },
    SyncFolder {
        path: String,
    },
    /// `sync_file_range`: counts as nothing.
    Range {
        ino: u64,
    },
    Folder {
        path: String,
    },
    RemoveFolder {
        path: String,
    },
    Rename {
        from: String,
        to: String,
    },
    Remove {
        path: String,
    },
    /// A line on standard output.
    Said {
        line: String,
    },
    /// A call that was failed on purpose.
    Failed {
        kind: String,
        path: String,
        errno: i32,
    },
    /// A sync that was left out on purpose.
    Skipped {
        path: String,
    },
    /// Something that this library cannot follow: the trace proves nothing.
    Unseen {
        what: String,
    },
}

impl Record {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.tag(), 0, 0, 0, 0];
        match self {
            Self::Create { ino, path } => {
                number(&mut out, *ino);
                text(&mut out, path);
            }
            Self::Write { ino, at, bytes } => {
                number(&mut out, *ino);
                number(&mut out, *at);
                out.extend_from_slice(bytes);
            }
            Self::Allocate { ino, end: value } | Self::Truncate { ino, len: value } => {
                number(&mut out, *ino);
                number(&mut out, *value);
            }
            Self::Sync { ino } | Self::Range { ino } => number(&mut out, *ino),
            Self::SyncFolder { path: one }
            | Self::Folder { path: one }
            | Self::RemoveFolder { path: one }
            | Self::Remove { path: one }
            | Self::Skipped { path: one }
            | Self::Said { line: one }
            | Self::Unseen { what: one } => text(&mut out, one),
            Self::Rename { from, to } => {
                text(&mut out, from);
                text(&mut out, to);
            }
            Self::Failed { kind, path, errno } => {
                text(&mut out, kind);
                text(&mut out, path);
                number(&mut out, u64::from(errno.unsigned_abs()));
            }
        }
        let len = u32::try_from(out.len() - 5).unwrap_or(u32::MAX);
        out[1..5].copy_from_slice(&len.to_le_bytes());
        out
    }

    fn tag(&self) -> u8 {
        match self {
            Self::Create { .. } => 1,
            Self::Write { .. } => 2,
            Self::Allocate { .. } => 3,
            Self::Truncate { .. } => 4,
            Self::Sync { .. } => 5,
            Self::SyncFolder { .. } => 6,
            Self::Range { .. } => 7,
            Self::Folder { .. } => 8,
            Self::RemoveFolder { .. } => 9,
            Self::Rename { .. } => 10,
            Self::Remove { .. } => 11,
            Self::Said { .. } => 12,
            Self::Failed { .. } => 13,
            Self::Skipped { .. } => 14,
            Self::Unseen { .. } => 15,
        }
    }

    /// The record at the front, and how many bytes it took; `None` at the end or where it is cut off.
    pub fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let len = u32::from_le_bytes(bytes.get(1..5)?.try_into().ok()?) as usize;
        let mut rest = Rest(bytes.get(5..5 + len)?);
        let record = match bytes[0] {
            1 => Self::Create {
                ino: rest.number()?,
                path: rest.text()?,
            },
            2 => Self::Write {
                ino: rest.number()?,
                at: rest.number()?,
                bytes: rest.0.to_vec(),
            },
            3 => Self::Allocate {
                ino: rest.number()?,
                end: rest.number()?,
            },
            4 => Self::Truncate {
                ino: rest.number()?,
                len: rest.number()?,
            },
            5 => Self::Sync {
                ino: rest.number()?,
            },
            6 => Self::SyncFolder { path: rest.text()? },
            7 => Self::Range {
                ino: rest.number()?,
            },
            8 => Self::Folder { path: rest.text()? },
            9 => Self::RemoveFolder { path: rest.text()? },
            10 => Self::Rename {
                from: rest.text()?,
                to: rest.text()?,
            },
            11 => Self::Remove { path: rest.text()? },
            12 => Self::Said { line: rest.text()? },
            13 => Self::Failed {
                kind: rest.text()?,
                path: rest.text()?,
                errno: i32::try_from(rest.number()?).ok()?,
            },
            14 => Self::Skipped { path: rest.text()? },
            15 => Self::Unseen { what: rest.text()? },
            _ => return None,
        };
        Some((record, 5 + len))
    }
}

fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn text(out: &mut Vec<u8>, value: &str) {
    number(out, value.len() as u64);
    out.extend_from_slice(value.as_bytes());
}

struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn number(&mut self) -> Option<u64> {
        let (front, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*front))
    }

    fn text(&mut self) -> Option<String> {
        let len = usize::try_from(self.number()?).ok()?;
        let (front, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(String::from_utf8_lossy(front).into_owned())
    }
}

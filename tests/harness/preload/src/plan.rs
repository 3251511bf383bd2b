//! What is to go wrong, and when. Read once from the environment.
//!
//! `TORTURE_PLAN` holds plans separated by `;`, each a verb and `name=value` words:
//!
//! ```text
//! kill  kind=any n=17                    SIGKILL before the 17th call
//! tear  kind=write n=3 path=.generating  half of the write, then SIGKILL
//! fail  kind=sync,folder n=2 errno=5     the 2nd sync says EIO
//! fail  kind=write n=4 errno=28 on       from the 4th write on
//! short kind=write n=4 errno=28          half of the 4th write, the error for the rest of it
//! skip  kind=sync n=1 on                 a sync that does nothing and says that it did
//! ```
//! `arm=TEXT` counts only after the process has printed a line with this text.

/// What a call is, as plans name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Create,
    Write,
    Allocate,
    Truncate,
    Sync,
    SyncFolder,
    Range,
    Folder,
    Rename,
    Remove,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Write => "write",
            Self::Allocate => "allocate",
            Self::Truncate => "truncate",
            Self::Sync => "sync",
            Self::SyncFolder => "folder-sync",
            Self::Range => "range",
            Self::Folder => "folder",
            Self::Rename => "rename",
            Self::Remove => "remove",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Kill,
    Tear,
    Fail(i32),
    Short(i32),
    Skip,
}

#[derive(Debug)]
struct Plan {
    verb: Verb,
    /// Empty: every kind.
    kinds: Vec<String>,
    path: Option<String>,
    arm: Option<String>,
    n: u64,
    from_then_on: bool,
    seen: u64,
}

/// Every plan, with what it has counted.
#[derive(Debug, Default)]
pub struct Plans {
    list: Vec<Plan>,
    /// The file whose next write fails because the one before was cut short.
    rest: Option<(u64, i32)>,
}

impl Plans {
    pub fn read(text: &str) -> Self {
        let list = text.split(';').filter_map(Plan::read).collect();
        Self { list, rest: None }
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The process printed this.
    pub fn said(&mut self, line: &str) {
        for plan in &mut self.list {
            if plan.arm.as_deref().is_some_and(|arm| line.contains(arm)) {
                plan.arm = None;
            }
        }
    }

    /// What becomes of this call.
    pub fn strike(&mut self, kind: Kind, path: &str, ino: u64) -> Option<Verb> {
        if kind == Kind::Write
            && let Some((_, errno)) = self.rest.take_if(|(waiting, _)| *waiting == ino)
        {
            return Some(Verb::Fail(errno));
        }
        let mut struck = None;
        for plan in &mut self.list {
            if plan.counts(kind, path) && struck.is_none() {
                struck = Some(plan.verb);
            }
        }
        if let Some(Verb::Short(errno)) = struck {
            self.rest = Some((ino, errno));
        }
        struck
    }
}

impl Plan {
    fn read(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let verb = words.next()?;
        let mut plan = Self {
            verb: Verb::Kill,
            kinds: Vec::new(),
            path: None,
            arm: None,
            n: 1,
            from_then_on: false,
            seen: 0,
        };
        let mut errno = libc::EIO;
        for word in words {
            match word.split_once('=') {
                Some(("kind", "any")) => {}
                Some(("kind", kinds)) => {
                    plan.kinds = kinds.split(',').map(ToOwned::to_owned).collect();
                }
                Some(("path", path)) => plan.path = Some(path.to_owned()),
                Some(("arm", arm)) => plan.arm = Some(arm.to_owned()),
                Some(("n", n)) => plan.n = n.parse().ok()?,
                Some(("errno", code)) => errno = code.parse().ok()?,
                _ => plan.from_then_on |= word == "on",
            }
        }
        plan.verb = match verb {
            "kill" => Verb::Kill,
            "tear" => Verb::Tear,
            "fail" => Verb::Fail(errno),
            "short" => Verb::Short(errno),
            "skip" => Verb::Skip,
            _ => return None,
        };
        Some(plan)
    }

    /// Counts the call if it is meant, and says whether it is the one.
    fn counts(&mut self, kind: Kind, path: &str) -> bool {
        let named = self.kinds.is_empty() || self.kinds.iter().any(|name| name == kind.name());
        let there = self.path.as_deref().is_none_or(|part| path.contains(part));
        if self.arm.is_some() || !named || !there {
            return false;
        }
        self.seen += 1;
        self.seen == self.n || self.from_then_on && self.seen > self.n
    }
}

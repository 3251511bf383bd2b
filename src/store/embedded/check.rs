//! Walking through everything: does each file say what it should, and do they agree?
//!
//! Beside a running store only what does not move is looked at: journal, bases, the bytes of blobs. With the folder to itself
//! it also makes the state anew from base and journal, in a file, and compares it with sled key by key; and asks
//! the domain of every record whether the blobs that it names are there. Changes nothing that stays.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use super::audit::{self, Unverified};
use super::base::{self, BadBase};
use super::blobs::{BlobError, BlobHash, Blobs};
use super::collect;
use super::domain::{Domain, Unnamed};
use super::error::{CareError, OpenError};
use super::fatal::Fatal;
use super::identity::{self, Identity};
use super::merge::{self, Merge};
use super::options::Options;
use super::own::{self, Closed};
use super::segment::FORMAT;
use super::sorted::SortedReader;
use super::state::{Every, State};
use super::walk::Damage;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The journal cannot be read from here on.
    Journal(Damage),
    /// A base is not whole, or not what the journal says was made.
    Base(BadBase),
    /// Bytes that do not have the hash they are named by.
    BlobDamaged(BlobHash),
    /// A record names it, and it is not there.
    BlobMissing(BlobHash),
    /// A record cannot be read.
    Record { key: String, why: String },
    /// sled and journal differ in this key.
    State { key: String },
    /// sled cannot be read at all.
    StateUnread(String),
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    pub findings: Vec<Finding>,
    pub entries: u64,
    pub bases: u64,
    pub blobs: u64,
    /// Records compared with sled; `None` while somebody else has the folder.
    pub records: Option<u64>,
}

/// Findings of one kind that are named; a folder that is wholly wrong needs no longer list.
const MOST: usize = 1_000;

/// Walks through the whole folder. Says where it is on the way: what, and how many of it.
pub fn check<D: Domain>(
    options: &Options,
    tell: &dyn Fn(&'static str, u64),
) -> Result<Checked, OpenError> {
    let data = &options.folder;
    let (identity, _) = identity::read(data)?;
    if identity.format != FORMAT {
        return Err(OpenError::NotMigrated {
            found: identity.format,
            known: FORMAT,
        });
    }
    let lock = match identity::lock(data) {
        Ok(lock) => Some(lock),
        Err(OpenError::Locked { .. }) => None,
        Err(error) => return Err(error),
    };
    let mut checked = Checked::default();
    journal_and_bases(data, &mut checked, tell).map_err(OpenError::io(data))?;
    blobs(data, &mut checked, tell).map_err(OpenError::io(data))?;
    if lock.is_some() && !checked.findings.iter().any(stops) {
        let compared = Comparison { options, identity }.run::<D>(&mut checked, tell);
        drop(merge::sweep(data, &options.disk));
        compared.map_err(|error| match error {
            CareError::Io(error) => OpenError::io(data)(error),
            other => OpenError::State(other.to_string()),
        })?;
    }
    Ok(checked)
}

/// Without a journal there is nothing to compare with.
fn stops(finding: &Finding) -> bool {
    matches!(finding, Finding::Journal(_))
}

fn journal_and_bases(
    data: &Path,
    checked: &mut Checked,
    tell: &dyn Fn(&'static str, u64),
) -> io::Result<()> {
    let mut noted: BTreeMap<u64, String> = BTreeMap::new();
    let mut entries = 0;
    let passed = audit::entries(data, 1, &mut |_, header| {
        entries += 1;
        if u64::is_multiple_of(entries, 10_000) {
            tell("journal", entries);
        }
        if own::is(&header, "base") {
            let outcome = header.outcome.unwrap_or_default();
            if let Some((sequence, hash)) = outcome.split_once(' ') {
                noted.extend(sequence.parse().ok().map(|at| (at, hash.to_owned())));
            }
        }
        std::ops::ControlFlow::Continue(())
    });
    checked.entries = entries;
    // Of what stands behind damage nobody can say whether it was noted.
    let read_to = match &passed {
        Err(Unverified::Broken(damage)) => damage.sequence,
        Ok(()) | Err(Unverified::Io(_)) => u64::MAX,
    };
    match passed {
        Ok(()) => {}
        Err(Unverified::Broken(damage)) => checked.findings.push(Finding::Journal(damage)),
        Err(Unverified::Io(error)) => return Err(error),
    }
    for sequence in base::list(data)? {
        let why = match base::open(data, sequence) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => Some(error.to_string()),
            Ok(base) => {
                let hash = blake3::Hash::from_bytes(base.written.hash).to_hex();
                let same = noted.get(&sequence).is_some_and(|it| *it == hash.as_str());
                (!same && sequence < read_to)
                    .then(|| "the journal does not have its hash".to_owned())
            }
        };
        checked.bases += 1;
        tell("bases", checked.bases);
        let bad = why.map(|why| Finding::Base(BadBase { sequence, why }));
        checked.findings.extend(bad);
    }
    Ok(())
}

fn blobs(data: &Path, checked: &mut Checked, tell: &dyn Fn(&'static str, u64)) -> io::Result<()> {
    for folder in 0..256 {
        let folder = data.join("blobs").join(format!("{folder:02x}"));
        for (hash, _) in collect::files(&folder)? {
            let bytes = match std::fs::read(folder.join(hash.to_string())) {
                // Collected meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            checked.blobs += 1;
            if BlobHash::of(&bytes) != hash {
                checked.findings.push(Finding::BlobDamaged(hash));
            }
            if checked.blobs.is_multiple_of(100) {
                tell("blobs", checked.blobs);
            }
        }
    }
    Ok(())
}

/// The state made anew, beside sled's.
struct Comparison<'a> {
    options: &'a Options,
    identity: Identity,
}

impl Comparison<'_> {
    fn run<D: Domain>(
        &self,
        checked: &mut Checked,
        tell: &dyn Fn(&'static str, u64),
    ) -> Result<(), CareError> {
        let data = &self.options.folder;
        let end = audit::end(data)?;
        let Some(until) = end.until() else {
            checked.records = Some(0);
            return Ok(());
        };
        let closed = Closed {
            through: until.segment,
            position: end.position,
        };
        let (before, _) = base::newest(data, u64::MAX, |head| {
            head.format == FORMAT
                && head.position.sequence <= until.sequence
                && self.identity.knows(head.store)
        })?;
        let merge = Merge {
            data,
            disk: &self.options.disk,
            store: self.identity.store,
            gaps: &self.identity.gaps,
            run_bytes: self.options.run_bytes,
            stopped: &|| false,
            from: FORMAT,
            way: &[],
        };
        let made = merge.make(before.as_ref(), closed, 0)?;
        let state = match State::open(data, self.options.cache_bytes, &self.options.disk) {
            Ok(state) => Some(state),
            Err(error) => {
                let why = Finding::StateUnread(format!("{error:?}"));
                checked.findings.push(why);
                None
            }
        };
        let fatal = Fatal::new(std::sync::Arc::clone(&self.options.on_fatal));
        let blobs = Blobs::open(data, &self.options.disk, &fatal)?;
        let mut needs = Needs::default();
        let mut records = SortedReader::open(made.path())?;
        let mut sled = state.as_ref().map(State::every);
        let mut count = 0_u64;
        while let Some((key, value)) = records.next()? {
            let value = value.unwrap_or_default();
            count += 1;
            if count.is_multiple_of(10_000) {
                tell("records", count);
            }
            if let Some(sled) = &mut sled {
                differences(sled, Some((&key, &value)), checked);
            }
            needs.record::<D>(&blobs, &key, &value, checked);
        }
        if let Some(sled) = &mut sled {
            differences(sled, None, checked);
        }
        needs.finish(checked);
        checked.records = Some(count);
        Ok(())
    }
}

/// What sled has before or at this key; everything that is left where there is none.
fn differences(sled: &mut Every<'_>, record: Option<(&[u8], &[u8])>, checked: &mut Checked) {
    let mut found = false;
    loop {
        let beyond = match (sled.peek(), record) {
            (None, _) => break,
            (Some(Err(_)), _) | (Some(Ok(_)), None) => false,
            (Some(Ok((key, _))), Some((wanted, _))) => key.as_ref() > wanted,
        };
        if beyond {
            break;
        }
        let differs = match (sled.next(), record) {
            (Some(Ok((key, value))), Some((wanted, is))) if key == wanted => {
                found = true;
                value != is
            }
            (Some(Ok((key, _))), _) => {
                note(checked, &key);
                false
            }
            (Some(Err(error)), _) => {
                checked
                    .findings
                    .push(Finding::StateUnread(error.to_string()));
                return;
            }
            (None, _) => false,
        };
        if differs {
            note(checked, record.map_or(&[], |(key, _)| key));
        }
        if found {
            return;
        }
    }
    if let Some((key, _)) = record {
        note(checked, key);
    }
}

fn note(checked: &mut Checked, key: &[u8]) {
    if checked.findings.len() < MOST {
        checked.findings.push(Finding::State {
            key: key.escape_ascii().to_string(),
        });
    }
}

/// Blobs that records name, and that are neither files nor carried by a record.
#[derive(Default)]
struct Needs {
    missing: BTreeSet<BlobHash>,
    carried: BTreeSet<BlobHash>,
}

impl Needs {
    fn record<D: Domain>(&mut self, blobs: &Blobs, key: &[u8], value: &[u8], to: &mut Checked) {
        if key.first() == Some(&0) {
            return;
        }
        self.carried.extend(D::carries(key));
        let read = |hash| blobs.get_blocking(hash).map_err(Unnamed::from);
        match D::names(key, value, &read) {
            Ok(named) => self
                .missing
                .extend(named.into_iter().filter(|hash| !blobs.has(*hash))),
            Err(Unnamed::Blob(BlobError::Missing(hash))) => {
                self.missing.insert(hash);
            }
            // Named already, where its bytes were hashed.
            Err(Unnamed::Blob(BlobError::Damaged(_))) => {}
            Err(error) if to.findings.len() < MOST => to.findings.push(Finding::Record {
                key: key.escape_ascii().to_string(),
                why: error.to_string(),
            }),
            Err(_) => {}
        }
    }

    fn finish(self, to: &mut Checked) {
        let missing = self.missing.difference(&self.carried).take(MOST);
        to.findings
            .extend(missing.copied().map(Finding::BlobMissing));
    }
}

impl Finding {
    /// In Chinese, then in English.
    pub fn words(&self) -> (String, String) {
        match self {
            Self::Journal(damage) => {
                let broken = OpenError::Damaged(damage.clone());
                (broken.zh(), broken.to_string())
            }
            Self::Base(bad) => (
                format!("基准文件 {} 不可用：{}", bad.sequence, bad.why),
                format!("base {}: {}", bad.sequence, bad.why),
            ),
            Self::BlobDamaged(hash) => (
                format!("文件 {hash} 的内容与其哈希不符，请从备份恢复"),
                format!("blob {hash} does not have the hash it is named by"),
            ),
            Self::BlobMissing(hash) => (
                format!("文件 {hash} 缺失，而记录引用了它，请从备份恢复"),
                format!("blob {hash} is missing, and a record names it"),
            ),
            Self::Record { key, why } => (
                format!("记录 {key} 无法读取：{why}"),
                format!("record {key}: {why}"),
            ),
            Self::State { key } => (
                format!("状态库与日志不一致：{key}。请运行 lubu store rebuild"),
                format!("the state differs from the journal at {key}; run `lubu store rebuild`"),
            ),
            Self::StateUnread(why) => (
                format!("状态库读不出来：{why}。请运行 lubu store rebuild"),
                format!("the state cannot be read: {why}; run `lubu store rebuild`"),
            ),
        }
    }
}

//! A recorded run of a process: what it changed, what it synced, what it said.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use crate::record::Record;

/// sled's segments.
const SLED_SEGMENT: u64 = 512 * 1024;

#[derive(Debug, Default)]
pub struct Trace {
    pub records: Vec<Record>,
}

/// What a trace must have seen to prove anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub writes: usize,
    pub syncs: usize,
    pub folder_syncs: usize,
    pub allocations: usize,
    pub ranges: usize,
    pub skipped: usize,
    /// Writes of sled into a segment that it had left before.
    pub reused: usize,
}

impl Trace {
    pub fn read(path: &Path) -> io::Result<Self> {
        let bytes = fs::read(path)?;
        let (mut records, mut at) = (Vec::new(), 0);
        while let Some((record, len)) = Record::decode(&bytes[at..]) {
            records.push(record);
            at += len;
        }
        Ok(Self { records })
    }

    pub fn seen(&self) -> Seen {
        let mut seen = Seen::default();
        let mut state = Reuse::default();
        for record in &self.records {
            match record {
                Record::Write { ino, at, .. } => {
                    seen.writes += 1;
                    seen.reused += usize::from(state.writes(*ino, *at));
                }
                Record::Create { ino, path } => state.creates(*ino, path),
                Record::Sync { .. } => seen.syncs += 1,
                Record::SyncFolder { .. } => seen.folder_syncs += 1,
                Record::Allocate { .. } => seen.allocations += 1,
                Record::Range { .. } => seen.ranges += 1,
                Record::Skipped { .. } => seen.skipped += 1,
                _ => {}
            }
        }
        seen
    }

    /// What makes the trace worthless, if anything does.
    pub fn flaw(&self) -> Option<String> {
        let unseen = self.records.iter().find_map(|record| match record {
            Record::Unseen { what } => Some(format!("the trace cannot follow {what}")),
            _ => None,
        });
        let seen = self.seen();
        let empty = [
            (seen.writes, "no write"),
            (seen.syncs + seen.skipped, "no sync"),
            (seen.allocations, "no preallocated segment"),
        ];
        let empty = empty.iter().find(|(count, _)| *count == 0);
        unseen.or_else(|| empty.map(|(_, what)| format!("the trace saw {what}: it proves nothing")))
    }

    /// What was said before `cut`.
    pub fn lines(&self, cut: usize) -> impl DoubleEndedIterator<Item = &str> {
        self.records[..cut]
            .iter()
            .filter_map(|record| match record {
                Record::Said { line } => Some(line.as_str()),
                _ => None,
            })
    }
}

/// Which of sled's segments were written, and the highest of them.
#[derive(Default)]
struct Reuse {
    files: HashMap<u64, u64>,
}

impl Reuse {
    fn creates(&mut self, ino: u64, path: &str) {
        self.files.remove(&ino);
        if path.ends_with("sled/db") {
            self.files.insert(ino, 0);
        }
    }

    fn writes(&mut self, ino: u64, at: u64) -> bool {
        let Some(highest) = self.files.get_mut(&ino) else {
            return false;
        };
        let segment = at / SLED_SEGMENT;
        let reused = segment < *highest;
        *highest = (*highest).max(segment);
        reused
    }
}

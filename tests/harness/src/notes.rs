//! A small domain for the store: acts with numbers, whose every byte follows from a seed.
//!
//! Act `n` writes or removes one of a few keys, sometimes names a blob, and always leaves a record of its own with its
//! sequence. So the records alone say which acts happened and in what order, and what the keys must then hold can be
//! computed without trusting the store.

use std::collections::{BTreeMap, BTreeSet};

use lubu::store::embedded::{
    BlobHash, Change, Class, Decision, Domain, Header, MAX_VALUE, ReadBlob, Stamp, Unnamed, View,
};

use crate::dice::Dice;

const KEYS: u64 = 40;

/// One act, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    pub seed: u64,
    pub n: u64,
}

#[derive(Debug)]
pub struct Notes;

/// Never happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct No;

impl Note {
    fn dice(self) -> Dice {
        Dice::part(self.seed, self.n)
    }

    fn key(self) -> String {
        format!("k/{:03}", self.dice().below(KEYS))
    }

    /// Few, so that blobs fall out of use and are collected.
    fn blob_key(self) -> String {
        format!("b/{:03}", self.n % 9)
    }

    pub fn class(self) -> Class {
        Class::ALL[self.dice().index(Class::ALL.len())]
    }

    fn removes(self) -> bool {
        self.n % 11 == 7
    }

    /// What it writes: mostly small, now and then several pages, rarely as much as a value may be.
    fn value(self) -> Vec<u8> {
        let mut dice = self.dice();
        dice.roll();
        let len = match dice.below(100) {
            0 => dice.between(40_000, MAX_VALUE as u64),
            1..=8 => dice.between(4_000, 30_000),
            _ => dice.between(1, 2_500),
        };
        noise(&mut dice, len)
    }

    /// The blob that it names, if it names one.
    pub fn blob(self) -> Option<Vec<u8>> {
        let mut dice = Dice::part(!self.seed, self.n);
        let len = dice.between(1, 20_000);
        (self.n % 7 == 3).then(|| noise(&mut dice, len))
    }
}

fn noise(dice: &mut Dice, len: u64) -> Vec<u8> {
    let words = (0..len.div_ceil(8)).flat_map(|_| dice.roll().to_le_bytes());
    words.take(usize::try_from(len).unwrap_or(0)).collect()
}

fn own(n: u64) -> String {
    format!("a/{n:010}")
}

impl Domain for Notes {
    type Act = Note;
    type Answer = Stamp;
    type Refusal = No;

    fn class(act: &Note) -> Class {
        act.class()
    }

    fn names(key: &[u8], value: &[u8], _: &ReadBlob<'_>) -> Result<Vec<BlobHash>, Unnamed> {
        let hash = value.try_into().map(BlobHash::from_bytes);
        let named = hash.ok().filter(|_| key.starts_with(b"b/"));
        Ok(named.into_iter().collect())
    }

    fn carries(_: &[u8]) -> Option<BlobHash> {
        None
    }

    fn decide(&mut self, act: Note, _: &View<'_>, stamp: Stamp) -> Result<Decision<Stamp>, No> {
        let put = |key: String, value: Vec<u8>| Change::Put {
            key: key.into_bytes(),
            value,
        };
        let mut changes = vec![put(own(act.n), stamp.sequence.to_le_bytes().to_vec())];
        changes.push(if act.removes() {
            Change::Remove {
                key: act.key().into_bytes(),
            }
        } else {
            put(act.key(), act.value())
        });
        if let Some(blob) = act.blob() {
            changes.push(put(act.blob_key(), BlobHash::of(&blob).as_bytes().to_vec()));
        }
        let header = Header {
            who: "w1".into(),
            what: "note".into(),
            ..Header::default()
        };
        Ok(Decision {
            header,
            changes,
            answer: stamp,
        })
    }
}

pub type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// The acts that the records speak of, in the order of their sequences; or what cannot be.
pub fn happened(records: &Records) -> Result<Vec<u64>, String> {
    let mut by_sequence = BTreeMap::new();
    for (key, value) in records {
        let Some(digits) = key.strip_prefix(b"a/") else {
            continue;
        };
        let n = std::str::from_utf8(digits)
            .ok()
            .and_then(|text| text.parse::<u64>().ok());
        let sequence = value.as_slice().try_into().map(u64::from_le_bytes).ok();
        let (Some(n), Some(sequence)) = (n, sequence) else {
            return Err("a record of an act cannot be read".to_owned());
        };
        if let Some(other) = by_sequence.insert(sequence, n) {
            return Err(format!(
                "acts {other} and {n} have the same sequence {sequence}"
            ));
        }
    }
    Ok(by_sequence.into_values().collect())
}

/// What must be there when exactly these acts happened in this order. Own records are taken as they are found.
pub fn expected(seed: u64, acts: &[u64], found: &Records) -> Records {
    let own_records = found.iter().filter(|(key, _)| key.starts_with(b"a/"));
    let mut records: Records = own_records
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    for n in acts {
        let note = Note { seed, n: *n };
        let key = note.key().into_bytes();
        if note.removes() {
            records.remove(&key);
        } else {
            records.insert(key, note.value());
        }
        if let Some(blob) = note.blob() {
            let hash = BlobHash::of(&blob).as_bytes().to_vec();
            records.insert(note.blob_key().into_bytes(), hash);
        }
    }
    records
}

/// What was said of the acts: happened, did not happen. Of all others nobody knows.
#[derive(Clone, Debug, Default)]
pub struct Said {
    pub done: BTreeSet<u64>,
    pub refused: BTreeSet<u64>,
}

impl Said {
    pub fn from_lines<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let mut said = Self::default();
        for line in lines {
            match line.split_once(' ') {
                Some(("ACK", n)) => said.done.extend(n.parse::<u64>().ok()),
                Some(("NO", n)) => said.refused.extend(n.parse::<u64>().ok()),
                _ => {}
            }
        }
        said
    }

    /// Whether these acts agree with what was said.
    pub fn judge(&self, acts: &[u64]) -> Result<(), String> {
        let there: BTreeSet<u64> = acts.iter().copied().collect();
        let lost: Vec<&u64> = self.done.difference(&there).collect();
        if !lost.is_empty() {
            return Err(format!(
                "LOST {} acknowledged acts, of them {:?}",
                lost.len(),
                &lost[..lost.len().min(5)]
            ));
        }
        let risen: Vec<&u64> = self.refused.intersection(&there).collect();
        if !risen.is_empty() {
            return Err(format!("acts {risen:?} were refused and are there"));
        }
        Ok(())
    }
}

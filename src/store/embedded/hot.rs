//! What decisions read again and again, so that they need not ask sled each time: the pause of a channel, an order to stop
//! sending, the approval of an item that goes to many channels. Most of it is the answer "not there".
//!
//! Right because one thread changes everything: what it shows, it also takes out here. Two generations: when the younger
//! is full, the older goes, and what is still asked for comes over.

use std::collections::HashMap;

use sled::IVec;

/// Entries and bytes of one generation.
const MOST: usize = 2_048;
const MOST_BYTES: usize = 1 << 20;
/// One that weighs more is not kept.
const LARGE: usize = 4_096;

type Known = HashMap<IVec, Found>;

/// What a read of it finds; none where nothing is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found(pub(super) Option<IVec>);

impl Found {
    fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |value| value.len())
    }
}

#[derive(Default)]
pub(super) struct Hot {
    young: Known,
    old: Known,
    /// Of the younger.
    bytes: usize,
}

impl Hot {
    /// None where it is not known.
    pub(super) fn get(&mut self, key: &[u8]) -> Option<Found> {
        if let Some(known) = self.young.get(key) {
            return Some(known.clone());
        }
        let (key, found) = self.old.remove_entry(key)?;
        self.insert(key, found.clone());
        Some(found)
    }

    pub(super) fn keep(&mut self, key: &[u8], found: Found) {
        if found.bytes() <= LARGE {
            self.insert(key.into(), found);
        }
    }

    fn insert(&mut self, key: IVec, found: Found) {
        self.bytes += key.len() + found.bytes();
        self.young.insert(key, found);
        if self.young.len() >= MOST || self.bytes >= MOST_BYTES {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
    }

    /// It is about to change.
    pub(super) fn forget(&mut self, key: &[u8]) {
        self.young.remove(key);
        self.old.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(byte: u8) -> Found {
        Found(Some(IVec::from(&[byte])))
    }

    const NOTHING: Found = Found(None);

    #[test]
    fn what_was_read_is_known_until_it_changes_and_so_is_that_nothing_was_there() {
        let mut hot = Hot::default();
        hot.keep(b"a", one(1));
        hot.keep(b"b", NOTHING);
        assert_eq!(
            (hot.get(b"a"), hot.get(b"b")),
            (Some(one(1)), Some(NOTHING))
        );
        assert_eq!(hot.get(b"c"), None);
        hot.forget(b"a");
        hot.forget(b"b");
        assert_eq!((hot.get(b"a"), hot.get(b"b")), (None, None));
    }

    #[test]
    fn what_is_still_asked_for_outlives_a_generation_and_changes_there_too() {
        let mut hot = Hot::default();
        hot.keep(b"asked for", one(1));
        hot.keep(b"not again", one(2));
        let fill = |hot: &mut Hot, from: usize| {
            (from..from + MOST).for_each(|at| hot.keep(&at.to_be_bytes(), NOTHING));
        };
        fill(&mut hot, 0);
        assert_eq!(hot.get(b"asked for"), Some(one(1)));
        fill(&mut hot, MOST);
        assert_eq!(hot.get(b"asked for"), Some(one(1)));
        assert_eq!(hot.get(b"not again"), None);
        hot.forget(b"asked for");
        assert_eq!(hot.get(b"asked for"), None);
    }

    #[test]
    fn it_holds_so_many_bytes_and_no_large_one() {
        let mut hot = Hot::default();
        let large = vec![0; LARGE + 1];
        hot.keep(b"large", Found(Some(large.into())));
        assert_eq!(hot.get(b"large"), None);
        let value = vec![0; LARGE];
        for at in 0..MOST {
            hot.keep(&at.to_be_bytes(), Found(Some(value.clone().into())));
        }
        let held = |known: &Known| -> usize { known.values().map(Found::bytes).sum() };
        assert!(held(&hot.young) + held(&hot.old) <= 2 * MOST_BYTES);
    }
}

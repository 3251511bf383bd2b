//! What a decision sees: the state, with the changes of the acts before it in the same group on top.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;

use super::domain::Change;
use super::state::{ReadError, State};
use super::value::Value;

/// Changes that are decided and not yet applied. `None` is a removal.
#[derive(Default)]
pub(super) struct Overlay {
    changes: BTreeMap<Vec<u8>, Option<sled::IVec>>,
}

impl Overlay {
    pub(super) fn clear(&mut self) {
        self.changes.clear();
    }

    pub(super) fn add(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Put { key, value } => self.changes.insert(key, Some(value.into())),
                Change::Remove { key } => self.changes.insert(key, None),
            };
        }
    }

    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&sled::IVec>)> {
        self.changes
            .iter()
            .map(|(key, value)| (key.as_slice(), value.as_ref()))
    }
}

/// The state as the next act finds it. Reading cannot fail towards the domain: when sled does, the
/// writer throws the whole group away and ends the process, so what was answered here does not matter.
pub struct View<'a> {
    /// What the changes lie on; nothing where they are all there is.
    state: Option<&'a State>,
    overlay: &'a Overlay,
    failed: RefCell<Option<ReadError>>,
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "View({} changes on top)", self.overlay.len())
    }
}

impl<'a> View<'a> {
    pub(super) fn new(state: &'a State, overlay: &'a Overlay) -> Self {
        Self::over(Some(state), overlay)
    }

    pub(super) fn over(state: Option<&'a State>, overlay: &'a Overlay) -> Self {
        Self {
            state,
            overlay,
            failed: RefCell::new(None),
        }
    }

    pub(super) fn failure(self) -> Option<ReadError> {
        self.failed.into_inner()
    }

    /// Keys that begin with a zero byte are the store's own: they are never found.
    pub fn get(&self, key: &[u8]) -> Option<Value> {
        if key.first().is_none_or(|first| *first == 0) {
            return None;
        }
        if let Some(change) = self.overlay.changes.get(key) {
            return change.clone().map(Value::new);
        }
        let found = self.state.map_or(Ok(None), |state| state.get(key));
        found.unwrap_or_else(|error| {
            self.failed.replace(Some(error));
            None
        })
    }

    /// Every key that begins with `prefix`, in order.
    pub fn scan_prefix(&self, prefix: &[u8]) -> impl Iterator<Item = (Value, Value)> {
        let within = (Bound::Included(prefix.to_vec()), Bound::Unbounded);
        let end = prefix.to_vec();
        let changes = self.overlay.changes.range(within);
        Merge {
            view: self,
            below: self
                .state
                .map(|state| state.scan(prefix))
                .into_iter()
                .flatten()
                .peekable(),
            above: changes
                .take_while(move |(key, _)| key.starts_with(&end))
                .peekable(),
        }
    }
}

type Below = std::iter::Flatten<std::option::IntoIter<sled::Iter>>;

/// Two ordered sources as one; where both have a key, the change counts.
struct Merge<'v, A: Iterator<Item = (&'v Vec<u8>, &'v Option<sled::IVec>)>> {
    view: &'v View<'v>,
    below: std::iter::Peekable<Below>,
    above: std::iter::Peekable<A>,
}

impl<'v, A: Iterator<Item = (&'v Vec<u8>, &'v Option<sled::IVec>)>> Iterator for Merge<'v, A> {
    type Item = (Value, Value);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let below = match self.below.peek() {
                Some(Err(error)) => {
                    self.view.failed.replace(Some(ReadError(error.to_string())));
                    return None;
                }
                Some(Ok((key, _))) => Some(key),
                None => None,
            };
            let from_above = match (below, self.above.peek()) {
                (None, None) => return None,
                (None, Some(_)) => true,
                (Some(_), None) => false,
                (Some(below), Some((above, _))) => above.as_slice() <= below.as_ref(),
            };
            if !from_above {
                let (key, value) = self.below.next()?.ok()?;
                return Some((Value::new(key), Value::new(value)));
            }
            let (key, value) = self.above.next()?;
            self.below
                .next_if(|below| below.as_ref().is_ok_and(|(below, _)| below == key));
            if let Some(value) = value {
                return Some((Value::new(key.as_slice().into()), Value::new(value.clone())));
            }
        }
    }
}

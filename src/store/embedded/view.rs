//! What a decision sees: the state, with the changes of the acts before it in the same group on top.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use super::domain::Change;
use super::layers::{Changed, Layers};
use super::reader::Order;
use super::state::{ReadError, State};
use super::value::Value;

/// Changes that are decided and not yet applied. `None` is a removal.
#[derive(Clone, Default)]
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

    /// Everything, out of it.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Changed> {
        let changes = std::mem::take(&mut self.changes);
        changes.into_iter().map(|(key, value)| (key.into(), value))
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
        let end = prefix.to_vec();
        let changes = self.overlay.changes.range(prefix.to_vec()..);
        let above = changes
            .take_while(move |(key, _)| key.starts_with(&end))
            .map(|(key, value)| (key.as_slice().into(), value.clone()));
        let below = self.state.map(|state| state.scan(prefix));
        let pairs = Layers::new(above, below.into_iter().flatten(), Order::Forward);
        pairs.map_while(|pair| match pair {
            Ok((key, value)) => Some((Value::new(key), Value::new(value))),
            Err(error) => {
                self.failed.replace(Some(ReadError(error.to_string())));
                None
            }
        })
    }
}

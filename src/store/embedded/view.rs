//! What a decision sees: the state, with what is not in it yet on top: the changes of the group that is being synced, and
//! those of the acts before it in its own.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use super::domain::Change;
use super::hot::{Found, Hot};
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

    fn under(&self, prefix: &[u8]) -> impl Iterator<Item = Changed> + use<'_> {
        let end = prefix.to_vec();
        let changes = self.changes.range(prefix.to_vec()..);
        changes
            .take_while(move |(key, _)| key.starts_with(&end))
            .map(|(key, value)| (key.as_slice().into(), value.clone()))
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

/// The state, and what is known of it without asking.
#[derive(Clone, Copy)]
pub(super) struct Below<'a> {
    pub(super) state: &'a State,
    pub(super) hot: &'a RefCell<Hot>,
}

impl Below<'_> {
    fn get(self, key: &[u8]) -> Result<Option<Value>, ReadError> {
        let known = self.hot.borrow_mut().get(key);
        if let Some(Found(known)) = known {
            return Ok(known.map(Value::new));
        }
        let (found, settled) = self.state.look_up(key)?;
        if settled {
            self.hot.borrow_mut().keep(key, Found(found.clone()));
        }
        Ok(found.map(Value::new))
    }
}

/// The state as the next act finds it. Reading cannot fail towards the domain: when sled does, the
/// writer throws the whole group away and ends the process, so what was answered here does not matter.
pub struct View<'a> {
    /// What the changes lie on; nothing where they are all there is.
    state: Option<Below<'a>>,
    /// Of the group before, which is written and not yet shown.
    before: Option<&'a Overlay>,
    overlay: &'a Overlay,
    failed: RefCell<Option<ReadError>>,
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "View({} changes on top)", self.overlay.len())
    }
}

impl<'a> View<'a> {
    pub(super) fn new(below: Below<'a>, before: &'a Overlay, overlay: &'a Overlay) -> Self {
        Self {
            state: Some(below),
            before: Some(before),
            overlay,
            failed: RefCell::new(None),
        }
    }

    /// The changes are all there is.
    pub(super) fn of(overlay: &'a Overlay) -> Self {
        Self {
            state: None,
            before: None,
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
        let change = self.overlay.changes.get(key);
        let before = || self.before.and_then(|before| before.changes.get(key));
        if let Some(change) = change.or_else(before) {
            return change.clone().map(Value::new);
        }
        let found = self.state.map_or(Ok(None), |below| below.get(key));
        found.unwrap_or_else(|error| {
            self.failed.replace(Some(error));
            None
        })
    }

    /// Every key that begins with `prefix`, in order.
    pub fn scan_prefix(&self, prefix: &[u8]) -> impl Iterator<Item = (Value, Value)> {
        let below = self.state.map(|below| below.state.scan(prefix));
        let before = self.before.into_iter().flat_map(|one| one.under(prefix));
        let below = Layers::new(before, below.into_iter().flatten(), Order::Forward);
        let pairs = Layers::new(self.overlay.under(prefix), below, Order::Forward);
        pairs.map_while(|pair| match pair {
            Ok((key, value)) => Some((Value::new(key), Value::new(value))),
            Err(error) => {
                self.failed.replace(Some(ReadError(error.to_string())));
                None
            }
        })
    }
}

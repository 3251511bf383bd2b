//! Reading the state from outside the writer.
//!
//! Two reads may see different groups between them, and a long scan may see several: what must agree is
//! decided in an act.

use std::fmt;
use std::ops::Bound;

use super::state::{ReadError, State, successor};
use super::value::Value;

/// Which way a scan goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    #[default]
    Forward,
    Reverse,
}

/// One page of keys.
#[derive(Clone, Debug)]
pub struct Scan<'a> {
    pub prefix: &'a [u8],
    /// The last key of the page before; it is not given again.
    pub after: Option<&'a [u8]>,
    pub limit: usize,
    pub order: Order,
}

/// Reads what has been applied.
pub struct Reader<'a> {
    state: &'a State,
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader")
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(state: &'a State) -> Self {
        Self { state }
    }

    pub fn get(&self, key: &[u8]) -> Result<Option<Value>, ReadError> {
        if key.first().is_none_or(|first| *first == 0) {
            return Ok(None);
        }
        self.state.get(key)
    }

    /// At most `limit` pairs of key and value.
    pub fn scan_prefix(&self, scan: &Scan<'_>) -> Result<Vec<(Value, Value)>, ReadError> {
        let lowest: &[u8] = if scan.prefix.is_empty() {
            &[1]
        } else {
            scan.prefix
        };
        let above = successor(scan.prefix);
        let mut from = Bound::Included(lowest);
        let mut to = above.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        match (scan.order, scan.after) {
            (Order::Forward, Some(after)) if after >= lowest => from = Bound::Excluded(after),
            (Order::Reverse, Some(after)) if above.as_deref().is_none_or(|end| after < end) => {
                to = Bound::Excluded(after);
            }
            (Order::Forward | Order::Reverse, _) => {}
        }
        if nothing_between(from, to) {
            return Ok(Vec::new());
        }
        collect(self.state.range(from, to, scan.order).take(scan.limit))
    }
}

fn collect(
    pairs: impl Iterator<Item = sled::Result<(sled::IVec, sled::IVec)>>,
) -> Result<Vec<(Value, Value)>, ReadError> {
    pairs
        .map(|pair| match pair {
            Ok((key, value)) => Ok((Value::new(key), Value::new(value))),
            Err(error) => Err(ReadError(error.to_string())),
        })
        .collect()
}

fn nothing_between(from: Bound<&[u8]>, to: Bound<&[u8]>) -> bool {
    match (from, to) {
        (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to)) => from >= to,
        _ => false,
    }
}

//! Bytes that came out of the state.

use std::fmt;
use std::ops::Deref;

/// The value of one key. Cheap to clone; hides whose bytes they are.
#[derive(Clone, PartialEq, Eq)]
pub struct Value(sled::IVec);

impl Value {
    pub(super) fn new(bytes: sled::IVec) -> Self {
        Self(bytes)
    }
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Value {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Its length only: a value can hold names.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({} bytes)", self.0.len())
    }
}

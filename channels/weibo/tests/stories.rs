//! Stories of this platform alone.

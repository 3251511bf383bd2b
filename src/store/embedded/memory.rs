//! The state as a table in memory: what a domain decides over, without a disk.
//!
//! Same views, same changes, no journal. A simulator needs every answer at once and in the same
//! order every time, which threads and syncs cannot give.

use super::domain::{Domain, Header, Stamp};
use super::view::{Overlay, View};

/// Everything that was decided so far.
#[derive(Clone, Default)]
pub struct Table {
    rows: Overlay,
    sequence: u64,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Table({} acts, {} rows)", self.sequence, self.rows.len())
    }
}

impl Table {
    /// Decides one act and keeps what it changes. A refusal changes nothing.
    pub fn act<D: Domain>(
        &mut self,
        domain: &mut D,
        act: D::Act,
        time_ms: i64,
    ) -> Result<(Header, D::Answer), D::Refusal> {
        let sequence = self.sequence + 1;
        let decision = domain.decide(act, &self.view(), Stamp { sequence, time_ms })?;
        self.rows.add(decision.changes);
        self.sequence = sequence;
        Ok((decision.header, decision.answer))
    }

    pub fn view(&self) -> View<'_> {
        View::of(&self.rows)
    }

    /// The sequence of the last act.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

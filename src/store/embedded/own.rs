//! What the store itself writes into the journal: a segment closed early, a base made, blobs collected.
//!
//! These acts go through the writer like any other, so the audit log has them in their place and nobody else touches
//! the journal. They are rare: one each turn, in a frame of its own. Their keys begin with a zero byte, where the
//! domain never looks.

use tokio::sync::oneshot;
use uuid::Uuid;

use super::domain::{Change, Domain, Header, Stamp};
use super::error::Unavailable;
use super::identity::Pending;
use super::record;
use super::walk::Position;
use super::writer::{End, Writer};

/// Who the audit log names.
pub(super) const WHO: &str = "lubu";
const FROM: &str = "store";

/// The audit header of an act of the store's own.
pub(super) fn header(what: &str, outcome: String) -> Header {
    Header {
        who: WHO.to_owned(),
        from: FROM.to_owned(),
        what: what.to_owned(),
        outcome: Some(outcome),
        ..Header::default()
    }
}

/// Whether an entry is the store's own act `what`.
pub(super) fn is(header: &Header, what: &str) -> bool {
    header.who == WHO && header.from == FROM && header.what == what
}

/// The same for what a person did to the folder: the header names the person.
pub(super) fn is_from_store(header: &Header, what: &str) -> bool {
    header.from == FROM && header.what == what
}

/// The last segment that takes no more, and its last entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed {
    pub(super) through: u64,
    pub(super) position: Position,
}

pub(super) type Told<T> = oneshot::Sender<Result<T, Unavailable>>;

/// A wish of the store's own to the writer.
pub(super) enum Own {
    /// Closes the open segment, so that everything answered before lies in closed ones.
    Close(Told<Closed>),
    /// An entry.
    Note(Box<Note>, Told<Stamp>),
    /// Up to where the journal is on disk now.
    Cut(Told<Cut>),
}

/// A place at which a copy of the journal may end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) store: Uuid,
    /// Ids that the store had before.
    pub(super) former: Vec<Uuid>,
    pub(super) segment: u64,
    /// Synced bytes of that segment.
    pub(super) offset: u64,
    pub(super) position: Position,
}

#[derive(Debug)]
pub(super) struct Note {
    pub(super) header: Header,
    pub(super) changes: Vec<Change>,
}

impl Note {
    /// Who and what stand in the header; the reason, which may name persons, in a record that can be erased.
    pub(super) fn from_pending(pending: &Pending) -> Self {
        let key = [
            &b"\0note/"[..],
            pending.what.as_bytes(),
            b"/",
            pending.outcome.as_bytes(),
        ];
        let key = key.concat();
        let reason = (&pending.by, &pending.reason);
        let value = record::encode(&reason).unwrap_or_default();
        Self {
            header: Header {
                who: pending.by.clone(),
                ..header(&pending.what, pending.outcome.clone())
            },
            changes: vec![Change::Put { key, value }],
        }
    }
}

impl From<Header> for Note {
    fn from(header: Header) -> Self {
        Self {
            header,
            changes: Vec::new(),
        }
    }
}

impl<D: Domain> Writer<D> {
    /// The state has caught up. Nobody hears of it before its frame is synced and applied.
    pub(super) fn own(&mut self, own: Own) -> Result<(), End> {
        match own {
            Own::Cut(told) => {
                let _gone = told.send(Ok(self.cut()));
            }
            Own::Close(told) => {
                let closed = self.close_segment()?;
                // Who asked may have gone.
                let _gone = told.send(closed);
            }
            Own::Note(note, told) => {
                let noted = self.note(*note)?;
                let _gone = told.send(noted);
            }
        }
        Ok(())
    }

    fn cut(&self) -> Cut {
        Cut {
            store: self.store,
            former: Vec::new(),
            segment: self.journal.number(),
            offset: self.journal.offset(),
            position: self.journal.position(),
        }
    }

    fn close_segment(&mut self) -> Result<Result<Closed, Unavailable>, End> {
        let position = self.journal.position();
        if !self.journal.is_begun() {
            let through = self.journal.number() - 1;
            return Ok(Ok(Closed { through, position }));
        }
        let through = self.journal.number();
        self.journal.close_at_next();
        let outcome = position.sequence.to_string();
        let noted = self.note(header("close", outcome).into())?;
        Ok(noted.map(|_| Closed { through, position }))
    }
}

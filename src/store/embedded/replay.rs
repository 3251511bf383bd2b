//! Bringing the state up to the journal: what it lacks, or everything.
//!
//! A rebuild begins at nothing, in segment 1. A base will be another beginning: records, a position and the segment
//! that follows it.

use std::io;

use super::checkpoint::{self, Checkpoint};
use super::error::OpenError;
use super::frame::{Chain, Entry};
use super::options::{Options, Progress};
use super::recover::{Opening, Rebuilt, remove_tree};
use super::state::{self, Head, State, StateError};
use super::view::Overlay;
use super::walk::{self, End, Flaw, Place, Position, WalkError};

/// Keys applied to sled at once.
const BATCH: usize = 2048;

impl Opening<'_> {
    /// Applies what the state lacks, if its head is in the journal; else rebuilds it.
    pub(super) fn catch_up(
        &mut self,
        state: State,
        end: &End,
        head: Option<Head>,
    ) -> Result<State, OpenError> {
        let Some(head) = head else {
            return self.rebuild(state, end, Some(Rebuilt::NoState));
        };
        let from = walk::start_for(&self.ground.folder, end, head.sequence)
            .map_err(OpenError::io(&self.ground.folder))?;
        // Before the first entry there is nothing to agree on.
        let mut agrees = head.sequence == 0;
        let mut replay = Replay::new(&state, self, end);
        let walked = walk::walk(&self.ground.folder, from, end, &mut |entry, place| {
            if entry.sequence == head.sequence {
                agrees = entry.chain == head.chain;
            }
            if entry.sequence > head.sequence && agrees {
                replay.entry(entry, place)
            } else {
                Ok(())
            }
        });
        let done = walked.and_then(|()| replay.finish());
        let (count, failed) = (replay.count, replay.failed.take());
        drop(replay);
        self.replayed(done, failed)?;
        if !agrees {
            return self.rebuild(state, end, Some(Rebuilt::NotInJournal));
        }
        self.opened.replayed = count;
        Ok(state)
    }

    /// Throws the state away and makes it anew from the whole journal.
    pub(super) fn rebuild(
        &mut self,
        state: State,
        end: &End,
        reason: Option<Rebuilt>,
    ) -> Result<State, OpenError> {
        if let Some(reason) = &reason {
            tracing::info!(
                entries = end.position.sequence,
                "the state is rebuilt from the journal: {reason}"
            );
        }
        checkpoint::remove(self.data(), &self.options.disk).map_err(OpenError::io(self.data()))?;
        drop(state);
        let folder = state::folder(self.data());
        remove_tree(&folder).map_err(OpenError::io(&folder))?;
        let state = self.try_state().map_err(Self::state_failed)?;
        let mut replay = Replay::new(&state, self, end);
        let walked = walk::walk(&self.ground.folder, 1, end, &mut |entry, place| {
            replay.entry(entry, place)
        });
        let done = walked.and_then(|()| replay.finish());
        let (count, failed) = (replay.count, replay.failed.take());
        drop(replay);
        self.replayed(done, failed)?;
        self.opened.replayed = count;
        self.opened.rebuilt = reason;
        state.flush().map_err(OpenError::io(&folder))?;
        let Position { sequence, chain } = end.position;
        let head = Head {
            store: self.ground.store,
            sequence,
            chain,
        };
        let checkpoint = Checkpoint {
            head,
            boot_id: self.boot_id.clone(),
        };
        if let Err(error) = checkpoint::write(self.data(), &self.options.disk, &checkpoint) {
            // The state is whole; only the next start will not believe it.
            tracing::warn!(%error, "the checkpoint could not be written");
        }
        Ok(state)
    }

    fn replayed(
        &mut self,
        done: Result<(), WalkError>,
        failed: Option<StateError>,
    ) -> Result<(), OpenError> {
        let Some(failed) = failed else {
            return done.map_err(OpenError::walk(&self.ground.folder));
        };
        checkpoint::remove(self.data(), &self.options.disk).map_err(OpenError::io(self.data()))?;
        if matches!(failed, StateError::Full) {
            self.ballast.release().map_err(OpenError::io(self.data()))?;
        }
        Err(Self::state_failed(failed))
    }
}

/// Applies entries to the state, many at a time.
struct Replay<'a> {
    state: &'a State,
    options: &'a Options,
    store: uuid::Uuid,
    end: u64,
    overlay: Overlay,
    last: Position,
    count: u64,
    failed: Option<StateError>,
}

impl<'a> Replay<'a> {
    fn new(state: &'a State, opening: &Opening<'a>, end: &End) -> Self {
        Self {
            state,
            options: opening.options,
            store: opening.ground.store,
            end: end.position.sequence,
            overlay: Overlay::default(),
            last: Position {
                sequence: 0,
                chain: Chain::genesis(opening.ground.store),
            },
            count: 0,
            failed: None,
        }
    }

    fn entry(&mut self, entry: &Entry<'_>, place: Place) -> Result<(), WalkError> {
        let Some(changes) = entry.changes() else {
            return Err(place.damaged(entry.sequence, Flaw::Entry));
        };
        self.overlay.add(changes);
        self.last = Position {
            sequence: entry.sequence,
            chain: entry.chain,
        };
        self.count += 1;
        if self.overlay.len() >= BATCH {
            self.apply()
        } else {
            Ok(())
        }
    }

    /// Everything is in the state, `head` too, even if the journal is empty.
    fn finish(&mut self) -> Result<(), WalkError> {
        if self.count == 0 && self.end > 0 {
            Ok(())
        } else {
            self.apply()
        }
    }

    fn apply(&mut self) -> Result<(), WalkError> {
        let Position { sequence, chain } = self.last;
        let head = Head {
            store: self.store,
            sequence,
            chain,
        };
        if let Err(error) = self.state.apply(self.overlay.iter(), &head) {
            self.failed = Some(error);
            return Err(io::Error::other("the state cannot be written").into());
        }
        self.overlay.clear();
        (self.options.on_progress)(Progress {
            sequence,
            of: self.end,
        });
        Ok(())
    }
}

//! Bringing the state up to the journal: what it lacks, or everything.
//!
//! A rebuild begins at the newest base that is whole: its records, then the entries behind it. Without one it begins at
//! nothing, in segment 1. sled is filled in key order and in batches, and flushed once at the end.

use std::io;
use std::sync::Arc;

use super::base::{self, BadBase, Base, BaseHead};
use super::checkpoint::{self, Checkpoint};
use super::error::OpenError;
use super::fatal;
use super::frame::{Chain, Entry};
use super::options::{Options, Progress};
use super::recover::{Opening, Rebuilt, remove_tree};
use super::segment::{self, FORMAT};
use super::state::{self, Head, State, StateError};
use super::view::Overlay;
use super::walk::{self, End, Flaw, Place, Position, Until, WalkError};

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
        let from = walk::start_for(&self.ground.folder, end.until(), head.sequence)
            .map_err(OpenError::io(&self.ground.folder))?;
        // Before the first entry there is nothing to agree on.
        let mut agrees = head.sequence == 0;
        let mut replay = Replay::new(&state, self, end.position.sequence);
        let walked = walk::walk(
            self.ground.trail(),
            from,
            end.until(),
            &mut |entry, place| {
                if entry.sequence == head.sequence {
                    agrees = entry.chain == head.chain;
                }
                if entry.sequence > head.sequence && agrees {
                    replay.entry(entry, place)
                } else {
                    Ok(())
                }
            },
        );
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
        if reason.is_some() {
            // Told from the beginning: what comes before the first entries takes its time, too.
            (self.options.on_progress)(Progress {
                sequence: 0,
                of: end.position.sequence,
            });
        }
        checkpoint::remove(self.data(), &self.options.disk).map_err(OpenError::io(self.data()))?;
        drop(state);
        let mut above = u64::MAX;
        let state = loop {
            let base = match self.base_below(end, above)? {
                None => self.base_again(end, above)?,
                base => base,
            };
            let state = self.empty_state()?;
            if self.fill(&state, base.as_ref(), end)? {
                self.opened.base = base.map(|base| base.head.position.sequence);
                break state;
            }
            // Only a base can disagree with the journal: the one before it is tried.
            above = base.map_or(0, |base| base.head.position.sequence);
            self.opened.bad_bases.push(BadBase {
                sequence: above,
                why: "the journal does not follow it".to_owned(),
            });
        };
        self.opened.rebuilt = reason;
        let folder = state::folder(self.data());
        let end_process = Arc::clone(&self.options.on_fatal);
        let late = move || end_process("the state could not be flushed in time");
        fatal::within(self.options.stuck, late, || state.flush())
            .flatten()
            .map_err(OpenError::io(&folder))?;
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

    fn empty_state(&self) -> Result<State, OpenError> {
        let folder = state::folder(self.data());
        remove_tree(&folder).map_err(OpenError::io(&folder))?;
        self.try_state().map_err(Self::state_failed)
    }

    /// The newest base below `above` that is whole; those that are not are remembered.
    fn base_below(&mut self, end: &End, above: u64) -> Result<Option<Base>, OpenError> {
        let fits = |head: &BaseHead| {
            head.format == FORMAT
                && head.position.sequence <= end.position.sequence
                && self.identity.knows(head.store)
        };
        let found = base::newest(self.data(), above, fits);
        let (base, bad) = found.map_err(OpenError::io(base::folder(self.data())))?;
        for bad in &bad {
            tracing::error!(
                sequence = bad.sequence,
                "base {} cannot be used, and the one before is: {}",
                bad.sequence,
                bad.why
            );
        }
        self.opened.bad_bases.extend(bad);
        Ok(base)
    }

    /// Base and entries into an empty state; `false` if the journal does not follow the base.
    fn fill(&mut self, state: &State, base: Option<&Base>, end: &End) -> Result<bool, OpenError> {
        let mut replay = Replay::new(state, self, end.position.sequence);
        let trail = self.ground.trail();
        let position = base.map(|base| base.head.position);
        let filled = base.map_or(Ok(()), |base| replay.base(base));
        let walked = filled.and_then(|()| {
            walk::walk_behind(trail, position, end.until(), FORMAT, &mut |entry, place| {
                replay.entry(entry, place)
            })
        });
        let done = match walked {
            Ok(true) => replay.finish().map(|()| true),
            other => other,
        };
        let (count, failed) = (replay.count, replay.failed.take());
        drop(replay);
        let agrees = *done.as_ref().unwrap_or(&false);
        self.replayed(done.map(|_| ()), failed)?;
        self.opened.replayed = count;
        Ok(agrees)
    }

    /// Base and entries as far as they can be read, into an empty state. For reading only.
    pub(super) fn fill_readable(&mut self, state: &State) -> Result<(), OpenError> {
        let folder = self.ground.folder.clone();
        let last = segment::list(&folder).map_err(OpenError::io(&folder))?;
        let until = last.keys().next_back().map(|&segment| Until {
            segment,
            sequence: u64::MAX,
        });
        let found = base::newest(self.data(), u64::MAX, |head| {
            head.format == FORMAT && self.identity.knows(head.store)
        });
        let (base, _) = found.map_err(OpenError::io(&folder))?;
        let mut replay = Replay::new(state, self, u64::MAX);
        let filled = base.as_ref().map_or(Ok(()), |base| replay.base(base));
        let position = base.map(|base| base.head.position);
        let walked = filled.and_then(|()| {
            walk::walk_behind(
                self.ground.trail(),
                position,
                until,
                FORMAT,
                &mut |entry, place| replay.entry(entry, place),
            )
        });
        let done = match walked {
            // Read up to here; that is what was asked for.
            Ok(_) | Err(WalkError::Damaged(_)) => replay.apply(),
            Err(error) => Err(error),
        };
        let failed = replay.failed.take();
        drop(replay);
        match failed {
            Some(failed) => Err(Self::state_failed(failed)),
            None => done.map_err(OpenError::walk(&folder)),
        }
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
    /// Tenths of the way that were logged.
    tenth: u64,
    failed: Option<StateError>,
}

impl<'a> Replay<'a> {
    fn new(state: &'a State, opening: &Opening<'a>, end: u64) -> Self {
        Self {
            state,
            options: opening.options,
            store: opening.ground.store,
            end,
            overlay: Overlay::default(),
            last: Position {
                sequence: 0,
                chain: Chain::genesis(opening.ground.store),
            },
            count: 0,
            tenth: 0,
            failed: None,
        }
    }

    /// Everything that a base holds. `head` is written behind it, so a state that is only half filled has none.
    fn base(&mut self, base: &Base) -> Result<(), WalkError> {
        let mut records = base.records()?;
        let mut done = 0_u64;
        let Position { sequence, chain } = base.head.position;
        loop {
            let mut batch = Vec::with_capacity(BATCH);
            while batch.len() < BATCH {
                let Some((key, Some(value))) = records.next()? else {
                    break;
                };
                batch.push((key, value));
            }
            if batch.is_empty() {
                break;
            }
            done += batch.len() as u64;
            if let Err(error) = self.state.fill(batch) {
                self.failed = Some(error);
                return Err(io::Error::other("the state cannot be written").into());
            }
            let share = u128::from(sequence) * u128::from(done);
            let share = share / u128::from(base.written.records.max(1));
            self.tell(u64::try_from(share).unwrap_or(sequence));
        }
        self.last = Position { sequence, chain };
        self.apply()
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
        self.tell(sequence);
        Ok(())
    }

    /// Every step to who asked for it, every tenth to the log.
    fn tell(&mut self, sequence: u64) {
        (self.options.on_progress)(Progress {
            sequence,
            of: self.end,
        });
        let tenth = sequence.saturating_mul(10) / self.end.max(1);
        if tenth > self.tenth {
            self.tenth = tenth;
            tracing::info!(sequence, of = self.end, "the state is at {}0 %", tenth);
        }
    }
}

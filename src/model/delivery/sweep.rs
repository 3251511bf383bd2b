//! Whether a delivery stands as one may stand (invariant 13).
//!
//! Everything that is not at rest has a next time or an owner, and what is at rest agrees with what
//! is wanted. Tests ask after every event; the engine asks at every start and says what it finds.

use super::{Delivery, Doubt, Hold, State, Wanted};
use crate::model::policy::Policy;

impl Delivery {
    /// What is wrong with it, if anything.
    pub fn sweep(&self, policy: &Policy) -> Result<(), &'static str> {
        if self.copy.is_some() && !self.shown {
            return Err("a copy is known and nothing is shown");
        }
        match &self.state {
            State::Due { .. } if self.plan(policy).is_none() => Err("due with nothing to do"),
            State::Working { .. } | State::Review { .. } | State::Unknown(_)
                if self.job.is_none() =>
            {
                Err("in flight without a job")
            }
            State::Held { at: None, why } => self.sweep_hold(why, policy),
            State::Live => self.sweep_live(),
            State::Withdrawn | State::Skipped { .. } => self.sweep_gone(),
            State::Failed { .. } if self.may_show() && !self.withdrawing() => {
                Err("failed while readers may see it")
            }
            State::Due { .. }
            | State::Working { .. }
            | State::Unknown(_)
            | State::Review { .. }
            | State::Held { .. }
            | State::Failed { .. } => Ok(()),
        }
    }

    fn may_double(&self) -> bool {
        self.doubt.as_ref().is_some_and(Doubt::may_double)
    }

    fn may_show(&self) -> bool {
        self.may_double() || self.doubt.as_ref().is_some_and(Doubt::may_show)
    }

    fn sweep_hold(&self, why: &Hold, policy: &Policy) -> Result<(), &'static str> {
        let released = matches!(why, Hold::After(_) | Hold::Schedule(_));
        match why {
            Hold::Person(_) if !policy.retired => Err("held for a look that never comes"),
            Hold::Removed if !policy.retired => Err("held for a channel that is configured"),
            _ if released && !matches!(self.wanted, Wanted::Revision(_)) => {
                Err("waits to publish what is not wanted")
            }
            _ => Ok(()),
        }
    }

    fn sweep_live(&self) -> Result<(), &'static str> {
        let Some(copy) = &self.copy else {
            return Err("live without a copy");
        };
        match &self.wanted {
            Wanted::Nothing { .. } => Err("at rest as published, and wanted gone"),
            Wanted::Revision(wanted) if wanted.number != copy.revision => {
                Err("at rest as published, with another revision")
            }
            Wanted::Revision(_) | Wanted::Keep { .. } => Ok(()),
        }
    }

    fn sweep_gone(&self) -> Result<(), &'static str> {
        if self.shown || self.copy.is_some() || self.may_double() {
            return Err("at rest as gone, and readers may see it");
        }
        match &self.wanted {
            Wanted::Revision(_) => Err("at rest as gone, and a revision is wanted"),
            Wanted::Nothing { .. } | Wanted::Keep { .. } => Ok(()),
        }
    }
}

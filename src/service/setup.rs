//! The configuration in force, and what its channels are called in the store.
//!
//! Whole and never changed: a reload puts another in its place. A request takes it once and goes by that
//! to its end, so that no draft is made by one configuration and routed by the next.

use std::sync::{Arc, PoisonError, RwLock};

use crate::config::{Config, Doing};
use crate::ids::ChannelNo;
use crate::model::channel::ChannelRecord;
use crate::model::delivery::{Delivery, Hold, State};

#[derive(Debug)]
pub struct Setup {
    pub config: Arc<Config>,
    /// Configured channels by number.
    pub names: Vec<(ChannelNo, String)>,
    /// Channels that were configured once.
    pub former: Vec<(ChannelNo, String)>,
}

impl Setup {
    /// `records` are all that the store knows.
    pub fn new(
        config: Arc<Config>,
        names: Vec<(ChannelNo, String)>,
        records: &[ChannelRecord],
    ) -> Self {
        let left = records
            .iter()
            .filter(|record| !names.iter().any(|(number, _)| *number == record.number));
        let former = left.map(|record| (record.number, record.name.clone()));
        Self {
            former: former.collect(),
            config,
            names,
        }
    }

    pub fn number(&self, name: &str) -> Option<ChannelNo> {
        number(&self.names, name)
    }

    /// The same where one that is no longer configured will do.
    pub fn known(&self, name: &str) -> Option<ChannelNo> {
        self.number(name).or_else(|| number(&self.former, name))
    }

    /// The schedule that it waits for, where none that is configured by that name lets anything go.
    pub fn lost_schedule<'a>(&self, delivery: &'a Delivery) -> Option<&'a str> {
        let State::Held {
            why: Hold::Schedule(name),
            ..
        } = &delivery.state
        else {
            return None;
        };
        let mut all = self.config.schedules.iter();
        let releases = all.any(|one| one.name == *name && matches!(one.doing, Doing::Release));
        (!releases).then_some(name)
    }

    pub fn is_configured(&self, number: ChannelNo) -> bool {
        self.names.iter().any(|(known, _)| *known == number)
    }
}

fn number(names: &[(ChannelNo, String)], name: &str) -> Option<ChannelNo> {
    let found = names.iter().find(|(_, known)| known == name);
    found.map(|(number, _)| *number)
}

/// The setup that holds now.
#[derive(Debug)]
pub struct InForce(RwLock<Arc<Setup>>);

impl InForce {
    pub fn new(setup: Setup) -> Self {
        Self(RwLock::new(Arc::new(setup)))
    }

    pub fn now(&self) -> Arc<Setup> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn replace(&self, setup: Setup) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(setup);
    }
}

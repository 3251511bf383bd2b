//! The rules one channel is run by: its adapter's caps and its configuration, in one place.

use std::time::Duration;

use lubu_channels::{Caps, Cost, Evidence, Quota, UpdateBy, WithdrawBy};

use super::approval::OnCorrection;
use super::limit::Rate;
use super::quiet::QuietHours;
use super::retry::Backoff;
use crate::ids::ChannelNo;
use crate::planted::{Bug, bug};

#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub number: ChannelNo,
    pub name: String,
    pub adapter: String,
    pub account: String,
    pub update: UpdateBy,
    pub withdraw: WithdrawBy,
    /// The strongest evidence that a look can bring.
    pub evidence: Evidence,
    pub backoff: Backoff,
    pub settle: Duration,
    pub unknown_plan: Vec<Duration>,
    pub review_plan: Vec<Duration>,
    pub look_costs: Vec<Cost>,
    /// Looks see only so many of the newest posts: none may push an unconfirmed one out of sight.
    pub look_rows: Option<u32>,
    pub repeat_when_absent: bool,
    pub on_correction: OnCorrection,
    /// Channels whose copy must be seen live first.
    pub after: Vec<ChannelNo>,
    pub quotas: Vec<Quota>,
    pub concurrency: usize,
    pub rate: Option<Rate>,
    /// When nothing is published or corrected.
    pub quiet: Option<QuietHours>,
    /// The channel is no longer configured: no lane turns to it, a person does.
    pub retired: bool,
}

/// What the configuration adds to the adapter's caps.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuning {
    pub backoff: Backoff,
    pub on_correction: OnCorrection,
    pub after: Vec<ChannelNo>,
    pub concurrency: usize,
    pub rate: Option<Rate>,
    pub quiet: Option<QuietHours>,
}

impl Policy {
    pub fn new(number: ChannelNo, name: &str, adapter: &str, caps: &Caps, tuning: Tuning) -> Self {
        // A look that sees few rows allows one post at a time.
        let concurrency = if caps.look.rows.is_some() {
            1
        } else {
            tuning.concurrency.max(1)
        };
        Self {
            number,
            name: name.to_owned(),
            adapter: adapter.to_owned(),
            account: caps.account.clone(),
            update: caps.update,
            withdraw: caps.withdraw,
            evidence: caps.look.evidence,
            backoff: tuning.backoff,
            settle: if bug(Bug::B7) {
                Duration::ZERO
            } else {
                caps.look.settle
            },
            unknown_plan: caps.look.unknown_plan.clone(),
            review_plan: caps.look.review_plan.clone(),
            look_costs: caps.look.costs.clone(),
            look_rows: caps.look.rows,
            repeat_when_absent: caps.repeat_when_absent,
            on_correction: tuning.on_correction,
            after: tuning.after,
            quotas: caps.quotas.clone(),
            concurrency,
            rate: tuning.rate,
            quiet: tuning.quiet,
            retired: false,
        }
    }

    /// For a channel that was configured once and is no longer.
    pub fn retired(number: ChannelNo) -> Self {
        Self {
            number,
            name: number.0.to_string(),
            adapter: String::new(),
            account: String::new(),
            update: UpdateBy::None,
            withdraw: WithdrawBy::Person,
            evidence: Evidence::Person,
            backoff: Backoff::default(),
            settle: Duration::ZERO,
            unknown_plan: Vec::new(),
            review_plan: Vec::new(),
            look_costs: Vec::new(),
            look_rows: None,
            repeat_when_absent: false,
            on_correction: OnCorrection::Ask,
            after: Vec::new(),
            quotas: Vec::new(),
            concurrency: 1,
            rate: None,
            quiet: None,
            retired: true,
        }
    }

    /// The wait before look number `looks` of the review plan; the last one repeats.
    pub fn review_wait(&self, looks: u16) -> Duration {
        self.review_plan
            .get(usize::from(looks))
            .or(self.review_plan.last())
            .copied()
            .unwrap_or(Duration::from_hours(1))
    }
}

//! `[verify]`: how everything published is looked at again.

use std::time::Duration;

use chrono::TimeDelta;
use chrono_tz::Tz;
use cron::Schedule;
use lubu_channels::kit::settings::Reader;

use super::schedule::cron;

#[derive(Debug, Clone)]
pub struct Verify {
    /// When a pass begins; none leaves it to people.
    pub cron: Option<Schedule>,
    pub expression: String,
    pub zone: Tz,
    /// Between two looks at one channel.
    pub gap: Duration,
    /// What went live before that is left alone; none looks at all of it.
    pub within: Option<TimeDelta>,
    /// How much of a platform's quota may be used up by looks that can wait, in per cent.
    pub share: u8,
    /// How long after going live on an answer alone.
    pub first_after: Duration,
}

pub fn read(section: &mut Reader<'_>, zone: Tz) -> Verify {
    let expression = section.text_or("cron", "");
    let schedule = match expression.as_str() {
        "" => None,
        text => cron(text)
            .map_err(|why| section.problem("cron", why.zh, why.en))
            .ok(),
    };
    let minute = section.count("per_minute", 20, 1..=6000);
    let days = section.count("within_days", 0, 0..=36_500);
    let share = section.count("quota_share", 30, 1..=100);
    Verify {
        cron: schedule,
        expression,
        zone,
        gap: Duration::from_mins(1) / u32::try_from(minute).unwrap_or(u32::MAX),
        within: i64::try_from(days)
            .ok()
            .filter(|days| *days > 0)
            .and_then(TimeDelta::try_days),
        share: u8::try_from(share).unwrap_or(100),
        first_after: section.duration("first_after", Duration::from_mins(10)),
    }
}

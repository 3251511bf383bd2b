//! How a doubt lies on disk, where that is not how it is used.
//!
//! The first records knew of one mark, `absent`, as a byte of 0 or 1. A second mark took the next bit of
//! that byte, so that what was written then is still read.

use lubu_channels::{Goal, Step, Timestamp};
use serde::{Deserialize, Serialize};

const ABSENT: u8 = 1;
const ECHO: u8 = 2;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Doubt {
    step: Step,
    goal: Goal,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    since: Timestamp,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    began: Timestamp,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    ended: Timestamp,
    marks: u8,
}

impl From<Doubt> for super::Doubt {
    fn from(record: Doubt) -> Self {
        Self {
            step: record.step,
            goal: record.goal,
            since: record.since,
            began: record.began,
            ended: record.ended,
            absent: record.marks & ABSENT != 0,
            echo: record.marks & ECHO != 0,
        }
    }
}

impl From<super::Doubt> for Doubt {
    fn from(doubt: super::Doubt) -> Self {
        let absent = if doubt.absent { ABSENT } else { 0 };
        let echo = if doubt.echo { ECHO } else { 0 };
        Self {
            step: doubt.step,
            goal: doubt.goal,
            since: doubt.since,
            began: doubt.began,
            ended: doubt.ended,
            marks: absent | echo,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lubu_channels::Effect;

    /// As it was written before there were echoes.
    #[derive(Serialize)]
    struct First {
        step: Step,
        goal: Goal,
        #[serde(with = "chrono::serde::ts_milliseconds")]
        since: Timestamp,
        #[serde(with = "chrono::serde::ts_milliseconds")]
        began: Timestamp,
        #[serde(with = "chrono::serde::ts_milliseconds")]
        ended: Timestamp,
        absent: bool,
    }

    #[test]
    fn doubts_of_the_first_records_are_still_read_and_both_marks_come_back() {
        let at = Timestamp::UNIX_EPOCH;
        for absent in [false, true] {
            let first = First {
                step: Step::new("send", Effect::Public),
                goal: Goal::Publish,
                since: at,
                began: at,
                ended: at,
                absent,
            };
            let bytes = postcard::to_stdvec(&first).unwrap();
            let mut doubt: super::super::Doubt = postcard::from_bytes(&bytes).unwrap();
            assert_eq!((doubt.absent, doubt.echo), (absent, false));
            doubt.echo = true;
            let bytes = postcard::to_stdvec(&doubt).unwrap();
            assert_eq!(
                postcard::from_bytes::<super::super::Doubt>(&bytes),
                Ok(doubt)
            );
        }
    }
}

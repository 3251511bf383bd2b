//! Whether the wall clock can be believed, and what time it is while it cannot.
//!
//! While it is believed, time is what the wall says. In doubt, time runs on by boot time, in the frame of the records: from
//! when the wall was last believed, or, where a process starts with a wall before its newest record, from that record. So
//! stamps go on, waits keep their length and the key of a send its window, and the gap to the wall stays what it was
//! until somebody sets the wall again. A person's word moves everything that waits by exactly that gap. A wall that comes back to
//! where time is clears the doubt by itself; one that is wrong and merely goes on never does.
//!
//! On the same boot the next process counts on where the last one was, so that what was set while nobody ran is noticed.
//! After another boot only a doubt is carried on, by the wall, which is as wrong as it was; or else the wall is believed.
//!
//! Where nobody counted (a doubt over a restart of the machine, a wall that starts before the newest record), lengths are unknown, and
//! [`Faith::uncounted`] says so: the engine then takes every open call as begun long ago and ended just now. A key
//! has run out, and no absence counts yet: what is not known may cost a look or a person's word, never a second send.

use std::time::Duration;

use chrono::TimeDelta;
use lubu_channels::Timestamp;

use super::Doubt;
use super::kept::{Kind, Record};

/// How far the wall may stand before the newest record.
const BEHIND: TimeDelta = TimeDelta::seconds(60);
/// How far it may go apart from boot time between two askings.
const JUMP: TimeDelta = TimeDelta::seconds(120);

/// What the machine's two clocks say at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    pub wall: Timestamp,
    /// Time since the machine started, sleep included. Nobody can set it.
    pub boot: Duration,
}

/// What is believed of the wall clock, and since when.
#[derive(Debug, Clone)]
pub struct Faith {
    /// Time as it was when the machine had counted so far.
    anchor: Reading,
    newest: Timestamp,
    doubt: Option<Kind>,
    uncounted: bool,
}

impl Faith {
    /// The wall is believed, whatever it says.
    pub fn new(now: Reading) -> Self {
        Self {
            anchor: now,
            newest: Timestamp::UNIX_EPOCH,
            doubt: None,
            uncounted: false,
        }
    }

    /// What a process believes that finds this record of the last one, and a newest entry in the journal.
    pub fn resume(record: Option<&Record>, boot_id: &str, newest: Timestamp, now: Reading) -> Self {
        let Some(record) = record else {
            return Self::new(now).after(newest);
        };
        let same_boot =
            !boot_id.is_empty() && record.boot_id == boot_id && record.boot() <= now.boot;
        let anchor = match (same_boot, record.doubt) {
            (true, _) => Reading {
                wall: record.time,
                boot: record.boot(),
            },
            (false, Some(_)) => Reading {
                wall: now.wall + record.gap(),
                boot: now.boot,
            },
            (false, None) => return Self::new(now).after(newest),
        };
        let resumed = Self {
            anchor,
            doubt: record.doubt,
            uncounted: !same_boot,
            ..Self::new(now)
        };
        resumed.no_older_than(newest, now)
    }

    /// Time does not stand before the newest record: where it would, the one of the two that is newer holds.
    fn no_older_than(self, newest: Timestamp, now: Reading) -> Self {
        let time = self.time(now.boot);
        let stale = newest > time + JUMP;
        match self.doubt {
            // What was kept is older than what is on record: as if nothing had been.
            None if stale => Self::new(now).after(newest),
            None if (now.wall - time).abs() <= JUMP => self.after(newest.min(time)),
            None => self.after(newest),
            Some(_) if !stale => self.after(newest),
            Some(kind) => {
                let behind = now.wall < newest - BEHIND;
                let anchor = Reading {
                    wall: newest,
                    ..now
                };
                Self {
                    anchor,
                    doubt: Some(if behind { Kind::Behind } else { kind }),
                    uncounted: true,
                    ..self.after(newest)
                }
            }
        }
    }

    fn after(mut self, newest: Timestamp) -> Self {
        self.recorded(newest);
        self
    }

    /// The time of the newest record on disk.
    pub fn recorded(&mut self, at: Timestamp) {
        self.newest = self.newest.max(at);
    }

    pub(super) fn newest(&self) -> Timestamp {
        self.newest
    }

    fn time(&self, boot: Duration) -> Timestamp {
        self.anchor.wall + boot.saturating_sub(self.anchor.boot)
    }

    /// What time it is: the wall's while that is believed, else counted on by boot time.
    pub fn read(&mut self, now: Reading) -> Timestamp {
        let time = self.time(now.boot);
        let behind = now.wall < self.newest - BEHIND;
        let wrong = behind || (now.wall - time).abs() > JUMP;
        let unfollowed = self.newest > time + BEHIND;
        match self.doubt {
            // Set right by a jump: how long the machine was down only the wall can say.
            Some(Kind::Behind) if now.wall < time - BEHIND => {}
            None | Some(Kind::Jumped) if wrong && unfollowed => {
                self.anchor = Reading {
                    wall: self.newest,
                    ..now
                };
                self.doubt = Some(Kind::Behind);
                self.uncounted = true;
            }
            None | Some(Kind::Jumped) if wrong => self.doubt = Some(Kind::Jumped),
            None | Some(Kind::Jumped | Kind::Behind) => {
                self.doubt = None;
                self.anchor = now;
            }
        }
        self.time(now.boot)
    }

    /// What a record made now bears: never before the newest.
    pub fn stamp(&mut self, now: Reading) -> Timestamp {
        let stamp = self.read(now).max(self.newest);
        self.recorded(stamp);
        stamp
    }

    /// As of the last reading, which was this one.
    pub fn doubt(&self, now: Reading) -> Option<Doubt> {
        let (wall, time) = (now.wall, self.time(now.boot));
        self.doubt.map(|kind| match kind {
            Kind::Behind => Doubt::Behind { wall, newest: time },
            Kind::Jumped => Doubt::Jumped {
                wall,
                expected: time,
            },
        })
    }

    pub(super) fn kind(&self) -> Option<Kind> {
        self.doubt
    }

    /// Time has passed since the records that nobody counted.
    pub fn uncounted(&self) -> bool {
        self.uncounted
    }

    /// How far time goes back when a person says that the wall is right; less than nothing where it goes
    /// forward.
    pub fn gap(&mut self, now: Reading) -> TimeDelta {
        self.read(now) - now.wall
    }

    /// A person says that the wall is right.
    pub fn confirm(&mut self, now: Reading) {
        *self = Self::new(now).after(now.wall);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600;
    const MONTH: i64 = 30 * 86_400;

    fn at(wall: i64, boot: u64) -> Reading {
        Reading {
            wall: stamp(wall),
            boot: Duration::from_secs(boot),
        }
    }

    fn stamp(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn seconds(time: Timestamp) -> i64 {
        time.timestamp()
    }

    /// What a process that died at that moment had kept.
    fn kept(faith: &mut Faith, now: Reading) -> Record {
        faith.read(now);
        Record::new("store", 0, "boot-1", faith, now)
    }

    fn next(record: &Record, boot_id: &str, newest: i64, now: Reading) -> Faith {
        let mut faith = Faith::resume(Some(record), boot_id, stamp(newest), now);
        faith.read(now);
        faith
    }

    fn behind(newest: i64, now: Reading) -> Faith {
        let mut faith = Faith::resume(None, "boot-1", stamp(newest), now);
        faith.read(now);
        faith
    }

    #[test]
    fn a_clock_set_back_an_hour_is_doubted_and_time_goes_on_by_boot_time() {
        let mut faith = Faith::new(at(100_000, 10));
        assert_eq!(seconds(faith.read(at(100_050, 60))), 100_050);
        assert_eq!(seconds(faith.read(at(96_451, 61))), 100_051);
        assert_eq!(faith.kind(), Some(Kind::Jumped));
        // Set right again, it is believed.
        assert_eq!(seconds(faith.read(at(100_071, 80))), 100_071);
        assert_eq!(faith.kind(), None);
    }

    #[test]
    fn a_clock_set_forward_a_month_makes_nothing_due() {
        let mut faith = Faith::new(at(100_000, 10));
        assert_eq!(seconds(faith.read(at(100_000 + MONTH, 11))), 100_001);
        assert_eq!(faith.kind(), Some(Kind::Jumped));
    }

    #[test]
    fn small_steps_of_the_wall_are_followed_both_ways() {
        let mut faith = Faith::new(at(100_000, 10));
        assert_eq!(seconds(faith.read(at(100_110, 20))), 100_110);
        assert_eq!(seconds(faith.read(at(100_020, 30))), 100_020);
        assert_eq!(faith.kind(), None);
    }

    #[test]
    fn a_machine_that_starts_in_1970_waits_for_its_clock_and_goes_on_once_it_is_set() {
        let mut faith = behind(1_000_000, at(5, 1));
        assert_eq!(faith.kind(), Some(Kind::Behind));
        assert_eq!(seconds(faith.read(at(1_000_100, 30))), 1_000_100);
        assert_eq!(faith.kind(), None);
    }

    #[test]
    fn behind_its_records_time_runs_on_from_the_newest_and_says_that_nobody_counted() {
        let mut faith = behind(10_000, at(1_000, 1));
        assert!(faith.uncounted());
        assert_eq!(seconds(faith.read(at(1_050, 51))), 10_050);
        assert_eq!(seconds(faith.stamp(at(1_060, 61))), 10_060, "stamps go on");
        assert_eq!(faith.gap(at(1_070, 71)).num_seconds(), 9_000);
    }

    #[test]
    fn a_clock_that_was_behind_is_not_believed_because_it_has_gone_on() {
        let mut faith = behind(10_000, at(1_000, 1));
        for elapsed in [8_999, 9_100, 50_000] {
            let now = at(1_000 + elapsed, 1 + elapsed.unsigned_abs());
            faith.stamp(now);
            assert_eq!(faith.kind(), Some(Kind::Behind), "{elapsed}");
            assert_eq!(faith.gap(now).num_seconds(), 9_000);
        }
        // Set forward by what it lacked, and more, since the truth is past the newest record.
        assert_eq!(seconds(faith.read(at(70_000, 50_101))), 70_000);
        assert_eq!(faith.kind(), None);
    }

    #[test]
    fn a_clock_a_little_behind_is_believed_once_it_is_set_by_as_little() {
        let mut faith = behind(1_000, at(900, 1));
        faith.read(at(1_100, 201));
        assert!(faith.kind().is_some(), "it has only gone on");
        faith.read(at(1_200, 201));
        assert_eq!(faith.kind(), None);
    }

    #[test]
    fn sixty_seconds_before_the_newest_record_is_still_believed() {
        let mut faith = behind(1_000, at(940, 1));
        assert_eq!(faith.kind(), None);
        faith.read(at(939, 1));
        assert!(faith.kind().is_some());
    }

    #[test]
    fn a_clock_set_back_a_little_while_we_ran_loses_no_count() {
        let mut faith = Faith::new(at(10_000, 10));
        faith.stamp(at(10_100, 110));
        assert_eq!(seconds(faith.stamp(at(10_001, 111))), 10_101);
        assert_eq!(faith.kind(), Some(Kind::Jumped));
        assert!(!faith.uncounted());
        faith.read(at(10_002, 112));
        assert!(faith.kind().is_some(), "it has only gone on");
        assert_eq!(seconds(faith.read(at(10_060, 113))), 10_060);
        assert_eq!(faith.kind(), None);
    }

    #[test]
    fn a_person_who_says_that_the_clock_is_right_is_believed() {
        let mut faith = Faith::new(at(100_000, 10));
        faith.recorded(stamp(100_000));
        faith.read(at(96_400, 10));
        assert_eq!(faith.gap(at(96_401, 11)).num_seconds(), 3_600);
        faith.confirm(at(96_401, 11));
        assert_eq!(seconds(faith.read(at(96_402, 12))), 96_402);
        assert_eq!(faith.kind(), None);
    }

    #[test]
    fn a_clock_set_while_nobody_ran_is_noticed_on_the_same_boot() {
        for set in [-HOUR, MONTH] {
            let record = kept(&mut Faith::new(at(100_000, 10)), at(100_000, 10));
            let now = at(100_500 + set, 510);
            let mut faith = next(&record, "boot-1", 100_000, now);
            assert_eq!(faith.kind(), Some(Kind::Jumped), "{set}");
            assert_eq!(seconds(faith.read(now)), 100_500, "time runs on");
            assert!(!faith.uncounted(), "boot time counted");
            assert_eq!(faith.gap(now).num_seconds(), -set);
        }
    }

    #[test]
    fn a_doubt_goes_on_as_it_was_in_the_next_process_and_past_the_newest_record() {
        let mut faith = Faith::new(at(100_000, 10));
        let record = kept(&mut faith, at(96_400, 10));
        let now = at(96_400 + MONTH, 10 + MONTH.unsigned_abs());
        let mut faith = next(&record, "boot-1", 100_000, now);
        assert_eq!(faith.kind(), Some(Kind::Jumped));
        assert_eq!(faith.gap(now).num_seconds(), 3_600);
    }

    #[test]
    fn after_another_boot_a_doubt_is_carried_on_by_the_wall() {
        let mut faith = Faith::new(at(100_000, 10));
        let record = kept(&mut faith, at(96_400, 10));
        let now = at(98_400, 5);
        let mut faith = next(&record, "boot-2", 100_000, now);
        assert_eq!(seconds(faith.read(now)), 102_000);
        assert!(
            faith.uncounted(),
            "nobody knows whether it was set meanwhile"
        );
        assert_eq!(faith.kind(), Some(Kind::Jumped));
        // Set right by as much as it lacked.
        assert_eq!(seconds(faith.read(at(102_010, 15))), 102_010);
        assert_eq!(faith.kind(), None);
    }

    #[test]
    fn after_another_boot_time_does_not_stand_before_the_newest_record() {
        let mut faith = Faith::new(at(100_000, 10));
        let record = kept(&mut faith, at(100_000 + MONTH, 10));
        // Set right while the machine was down.
        let now = at(100_900, 5);
        let mut faith = next(&record, "boot-2", 100_000, now);
        assert_eq!(faith.kind(), Some(Kind::Jumped), "until a person says so");
        assert_eq!(seconds(faith.read(now)), 100_000);
        assert!(faith.uncounted());
    }

    #[test]
    fn after_another_boot_without_a_doubt_the_wall_is_believed() {
        let record = kept(&mut Faith::new(at(100_000, 10)), at(100_000, 10));
        let mut faith = next(&record, "boot-2", 100_000, at(100_000 + MONTH, 5));
        assert_eq!(faith.kind(), None);
        assert_eq!(seconds(faith.read(at(100_000 + MONTH, 5))), 100_000 + MONTH);
    }

    #[test]
    fn what_was_kept_before_the_records_went_on_is_not_believed() {
        let record = kept(&mut Faith::new(at(100_000, 10)), at(100_000, 10));
        // Somebody said since that a clock a month ahead is right, and that was not kept.
        let faith = next(&record, "boot-1", 100_100 + MONTH, at(100_200 + MONTH, 210));
        assert_eq!(faith.kind(), None);
    }

    #[test]
    fn a_boot_that_counts_less_than_it_did_is_another() {
        let record = kept(&mut Faith::new(at(100_000, 500)), at(100_000, 500));
        let faith = next(&record, "boot-1", 100_000, at(200_000, 100));
        assert_eq!(faith.kind(), None, "a machine set back to a snapshot");
    }
}

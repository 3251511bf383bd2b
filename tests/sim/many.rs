//! A word on the clock where more waits than one act holds.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use lubu::clock::Time as _;
use lubu::ids::ItemId;
use lubu::model::approval::OnCorrection;
use lubu::model::channel::Pause;
use lubu::store::act::LaneNews;
use lubu::store::memory::Kept;
use lubu::store::{Act, Actor};
use lubu_channels::{Clock as _, Timestamp, Words};

use crate::chance::Rng;
use crate::channel::{Played, Shape, caps};
use crate::clock::Jump;
use crate::house::{Disk, House, Wired};
use crate::platform::Platform;
use crate::simulator::Weather;
use crate::watch::Watch;

const NAME: &str = "here";
const MANY: usize = 1_500;
const HOUR: TimeDelta = TimeDelta::hours(1);

/// So many wait in a lane that is paused.
fn paused(kept: &Kept) -> (House, Vec<ItemId>) {
    let watch = Arc::new(Watch::default());
    let platform = Arc::new(Mutex::new(Platform::default()));
    watch.world(NAME, Arc::clone(&platform));
    let channel = Played {
        name: NAME,
        shape: Shape::Page,
        caps: caps(NAME, Shape::Page),
        platform,
        director: Arc::new(Mutex::new(Weather::new(Rng::new(1), NAME))),
        watch: Arc::clone(&watch),
    };
    let wired = Wired {
        channel: Arc::new(channel),
        after: Vec::new(),
        on_correction: OnCorrection::Replace,
        concurrency: 1,
        quiet: None,
    };
    let disk = Disk::Memory(kept.clone());
    let mut house = House::new(disk, watch, Arc::new(Jump::default()), vec![wired], 1);
    let pause = Pause {
        why: Words::new("演练", "drill"),
        by: Some("ops".into()),
        at: house.time.now(),
        until: None,
    };
    house.lane(NAME, LaneNews::Paused(pause));
    let item = |house: &mut House| {
        house.wait(Duration::from_millis(1));
        let (id, revision) = house.submit("等待");
        house.approve(&revision, &[NAME]).expect("signed");
        id
    };
    let items = (0..MANY).map(|_| item(&mut house)).collect();
    (house, items)
}

fn waits(house: &House, items: &[ItemId]) -> Vec<Option<Timestamp>> {
    let at = |id: &ItemId| house.delivery(*id, NAME).and_then(|one| one.next_at());
    items.iter().map(at).collect()
}

fn acts(kept: &Kept) -> usize {
    let audit = kept.audit();
    audit.iter().filter(|one| one.what == "clock-back").count()
}

#[test]
fn a_word_on_the_clock_reaches_all_that_waits_in_as_many_acts_as_it_needs_and_once() {
    for cut_off in [false, true] {
        let kept = Kept::default();
        let (mut house, items) = paused(&kept);
        let before = waits(&house, &items);
        house.time.set_wall(-HOUR);
        house.tell_lanes();
        if cut_off {
            let actor = Actor::new("leader", "cli");
            house.act(Act::SetBack { actor, by: HOUR }).expect("begun");
            house.kill();
            house.start();
            assert!(house.time.doubt().is_some(), "the doubt goes on");
        }
        house.confirm_clock();
        assert_eq!(house.time.doubt(), None);
        assert_eq!(house.time.skew(), -HOUR);
        let earlier: Vec<_> = before.iter().map(|at| at.map(|at| at - HOUR)).collect();
        assert_eq!(waits(&house, &items), earlier, "{cut_off}");
        assert!(acts(&kept) >= 2, "{} acts", acts(&kept));
    }
}

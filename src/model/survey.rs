//! Public posts that the store does not know of (来历不明), and what a channel is made to do about them.
//!
//! A machine set back to an earlier state opens a store that agrees with itself and knows nothing of what was
//! sent since: it would send it again. Only the platform can tell. So what a survey lists is held against the
//! store: a post that a run on record may have made is explained; one that is not stops its channel until a person
//! has looked. What was there before this store ever looked is of former times, and stops nothing.
//!
//! Pure: who asks the platform and the store is the engine, and the writer decides by [`judge`].

use chrono::TimeDelta;
use lubu_channels::{Effect, Stands, Step, Timestamp, Words};
use serde::{Deserialize, Serialize};

use super::channel::Pause;
use super::delivery::{Delivery, Hold, State};
use crate::ids::{ChannelNo, ItemId};

/// Accepted posts that are remembered. A list shows far fewer, so that none comes back into sight.
const REMEMBERED: usize = 1000;
/// So far from its own post a second one of the same call may come up.
const TWIN: TimeDelta = TimeDelta::hours(1);
/// Posts that a sentence names; the list beside it has them all.
const NAMED: usize = 3;

/// A listed post, and what the store makes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub post: Stranger,
    pub whose: Whose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// A run on record may have made it.
    Explained,
    /// It shows an item that this store has never sent there.
    Unsent,
    /// It bears our mark, and nothing here knows of it.
    Nobodys,
}

/// A post that nothing on record explains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stranger {
    pub remote_id: String,
    pub address: Option<String>,
    #[serde(with = "chrono::serde::ts_milliseconds_option")]
    pub at: Option<Timestamp>,
    pub title: String,
    pub item: Option<ItemId>,
    /// The item is here, and not known to have been sent.
    pub unsent: bool,
}

/// Stands for the title of an item that was erased.
const ERASED: &str = "—";

impl Stranger {
    fn is_erased(&self) -> bool {
        self.item.is_none() && self.title == ERASED
    }

    fn is(&self, other: &Self) -> bool {
        self.remote_id == other.remote_id && self.item == other.item
    }
}

/// A person looked at it, and let the channel go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    pub remote_id: String,
    /// None for what was there at the first survey.
    pub by: Option<String>,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub at: Timestamp,
    /// The item that it shows, where it says so.
    pub item: Option<ItemId>,
}

/// What is on record of a channel's surveys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    pub channel: ChannelNo,
    /// What nobody knows and was published before is of former times.
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub since: Timestamp,
    /// The last survey.
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub at: Timestamp,
    /// How many unknown posts the first survey found.
    pub former: u32,
    /// They stop the channel.
    pub open: Vec<Stranger>,
    pub accepted: Vec<Accepted>,
}

impl Census {
    fn first(channel: ChannelNo, since: Timestamp, now: Timestamp) -> Self {
        Self {
            channel,
            since,
            at: now,
            former: 0,
            open: Vec::new(),
            accepted: Vec::new(),
        }
    }

    pub fn has_accepted(&self, remote_id: &str) -> bool {
        let mut accepted = self.accepted.iter();
        accepted.any(|one| one.remote_id == remote_id)
    }

    /// Published before this store first looked, so that only what shows an item of ours can be of our making.
    pub fn is_former(&self, at: Option<Timestamp>) -> bool {
        at.is_some_and(|at| at < self.since)
    }

    /// Whether a post of this item is there that nothing on record explains: what is newly signed for this channel
    /// may be out already.
    pub fn shows(&self, item: ItemId) -> bool {
        let open = self.open.iter().map(|one| one.item);
        let accepted = self.accepted.iter().map(|one| one.item);
        open.chain(accepted).any(|one| one == Some(item))
    }

    fn remember(&mut self, post: Stranger, by: Option<&str>, at: Timestamp) {
        self.accepted.push(Accepted {
            remote_id: post.remote_id,
            by: by.map(str::to_owned),
            at,
            item: post.item,
        });
        let over = self.accepted.len().saturating_sub(REMEMBERED);
        self.accepted.drain(..over);
    }

    /// A person lets the channel go on: these posts stop it no more.
    pub fn accept(&mut self, by: &str, now: Timestamp) {
        for one in std::mem::take(&mut self.open) {
            self.remember(one, Some(by), now);
        }
    }

    /// Only that there is a post stays known of an item that is erased. Whether anything was known.
    pub fn forget(&mut self, item: ItemId) -> bool {
        let mut known = false;
        for one in self.open.iter_mut().filter(|one| one.item == Some(item)) {
            ERASED.clone_into(&mut one.title);
            (one.item, one.unsent) = (None, false);
            known = true;
        }
        for one in self
            .accepted
            .iter_mut()
            .filter(|one| one.item == Some(item))
        {
            one.item = None;
            known = true;
        }
        known
    }

    /// Items whose deliveries are not to go out by themselves; `None` where nobody can say which.
    pub fn in_question(&self) -> Option<Vec<ItemId>> {
        let nameless = self.open.iter().any(|one| one.item.is_none());
        let unsent = self.open.iter().filter(|one| one.unsent);
        (!nameless).then(|| unsent.filter_map(|one| one.item).collect())
    }

    /// Why the channel stands still; none while nothing is open.
    pub fn pause(&self, channel: &str, now: Timestamp) -> Option<Pause> {
        (!self.open.is_empty()).then(|| Pause {
            why: words(&self.open, channel),
            by: Some(Pause::OURS.to_owned()),
            at: now,
            until: None,
        })
    }
}

/// What a survey leaves on record. `latest` is when the newest post that the store knows of there came up,
/// asked for at the first survey only: a store with no history there takes what it finds as of former times,
/// one with history what is older than that.
pub fn judge(
    before: Option<Census>,
    channel: ChannelNo,
    found: Vec<Found>,
    latest: Option<Timestamp>,
    now: Timestamp,
) -> Census {
    let fresh = before.is_none() && latest.is_none();
    let first = before.is_none();
    let mut census = before.unwrap_or_else(|| Census::first(channel, latest.unwrap_or(now), now));
    census.at = now;
    let mut of_former_times = Vec::new();
    for Found { post, whose } in found {
        let same = |open: &&Stranger| open.remote_id == post.remote_id;
        if census.open.iter().filter(same).any(Stranger::is_erased) {
            // It stops the channel as before, and nothing more of it is written down.
            continue;
        }
        census.open.retain(|open| !open.is(&post));
        let former = match whose {
            Whose::Explained => continue,
            // No other store ever had this item.
            Whose::Unsent => false,
            Whose::Nobodys => fresh || census.is_former(post.at),
        };
        if census.has_accepted(&post.remote_id) {
            continue;
        }
        if former && first {
            of_former_times.push(post);
        } else if !former {
            let unsent = whose == Whose::Unsent;
            census.open.push(Stranger { unsent, ..post });
        }
    }
    // Behind all: one message can hold several articles under one id.
    for post in of_former_times {
        census.former += 1;
        census.remember(post, None, now);
    }
    census
}

/// Whether something of it may stand there like this now, by what is on record.
pub fn explains(delivery: &Delivery, stands: Stands) -> bool {
    let shows =
        |step: &Step| step.shows || matches!(step.effect, Effect::Public | Effect::Keyed { .. });
    let public = delivery.shown
        || delivery.copy.is_some()
        || delivery
            .doubt
            .as_ref()
            .is_some_and(|doubt| !doubt.absent && shows(&doubt.step));
    let begun = match &delivery.state {
        State::Working { step, .. } => shows(step),
        State::Unknown(unknown) => shows(&unknown.step),
        State::Review { .. } | State::Live | State::Withdrawn => true,
        // It was prepared here for a person, who may have pressed the button.
        State::Held {
            why: Hold::Person(_) | Hold::Unseen(_) | Hold::Differs(_),
            ..
        } => delivery.has_remote(),
        State::Due { .. } | State::Held { .. } | State::Failed { .. } | State::Skipped { .. } => {
            false
        }
    };
    public || begun || (stands == Stands::Draft && delivery.has_remote())
}

/// What the store makes of a post that shows this item. Its record may name another post of it: one that came up
/// at about that time is a twin, which looks find; one of another time was sent by a run that is on no record.
pub fn whose(
    delivery: &Delivery,
    remote_id: &str,
    address: Option<&str>,
    at: Option<Timestamp>,
    stands: Stands,
) -> Whose {
    if names(delivery, remote_id, address) || delivery.once_named(remote_id, at) {
        return Whose::Explained;
    }
    let now = explains(delivery, stands) && is_near(delivery, at);
    // What was taken down may still be listed; what came up since was sent by nobody here.
    let up = delivery.first_live.map(|up| up + TWIN);
    let gone = at.zip(up).is_some_and(|(at, up)| at <= up);
    if now || gone {
        Whose::Explained
    } else {
        Whose::Unsent
    }
}

/// Whether a post of that time may be of the run on record.
fn is_near(delivery: &Delivery, at: Option<Timestamp>) -> bool {
    let known = delivery.copy.as_ref();
    let known = known.is_some_and(|copy| copy.remote_id.is_some());
    let (Some(up), Some(at)) = (delivery.first_live.filter(|_| known), at) else {
        return true;
    };
    (at - up).abs() <= TWIN
}

/// Whether its record names this post.
pub fn names(delivery: &Delivery, remote_id: &str, address: Option<&str>) -> bool {
    let copy = delivery.copy.as_ref();
    let by_copy = copy.is_some_and(|copy| {
        copy.remote_id.as_deref() == Some(remote_id)
            || (address.is_some() && copy.address.as_deref() == address)
    });
    by_copy
        || delivery.progress.iter().any(|(_, fact)| fact == remote_id)
        || delivery.twins().iter().any(|twin| twin == remote_id)
}

fn words(open: &[Stranger], channel: &str) -> Words {
    let count = open.len();
    let named = open.iter().take(NAMED);
    let zh: Vec<String> = named.clone().map(|one| told(one, "未知")).collect();
    let en: Vec<String> = named.map(|one| told(one, "unknown")).collect();
    let (more_zh, more_en) = if count > NAMED {
        (" 等", ", …")
    } else {
        ("", "")
    };
    let unsent = open.iter().find(|one| one.unsent).and_then(|one| one.item);
    let nameless = open.iter().any(|one| one.item.is_none());
    let (all_zh, all_en) = if nameless {
        (
            "有的认不出是哪条信息，待发的因此都已暂缓，正在核对；确认平台上没有的用 lubu release 放行。",
            " Of some nobody can say which item they show, so everything that waits is held and looked for; let go what is not there with `lubu release`.",
        )
    } else {
        ("", "")
    };
    let (say_zh, say_en) = unsent.map_or_else(Default::default, |item| {
        (
            format!(
                "记为未发而平台上已有的已暂缓，正在核对；核对不到的请用 lubu confirm {item}:{channel} --published 网址 说明。"
            ),
            format!(
                " What is there though not on record as sent is held and looked for; say of what no look finds `lubu confirm {item}:{channel} --published URL`."
            ),
        )
    });
    Words::new(
        format!(
            "平台上有 {count} 条本系统没有发送记录的内容：{}{more_zh}。本机可能被恢复到了较早的状态，为免重复发布已停发本渠道（撤下照常）。请逐条到平台上核实。{say_zh}{all_zh}核实后 lubu channels resume {channel}",
            zh.join("；")
        ),
        format!(
            "{count} posts are public of which nothing is on record: {}{more_en}. The machine may have been set back to an earlier state, so nothing more is sent here; withdrawals go on. Look at each on the platform.{say_en}{all_en} Then `lubu channels resume {channel}`",
            en.join("; ")
        ),
    )
}

fn told(one: &Stranger, unknown: &str) -> String {
    let item = one
        .item
        .map_or_else(|| unknown.to_owned(), |item| item.to_string());
    let place = one.address.as_deref().unwrap_or(&one.remote_id);
    format!("《{}》（{item}，{place}）", one.title)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::DeliveryId;
    use crate::model::delivery::{Doubt, Wanted, Why};
    use lubu_channels::{Evidence, Goal, Progress};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_timestamp(second, 0).unwrap()
    }

    fn found(id: &str, second: i64, whose: Whose) -> Found {
        let post = Stranger {
            remote_id: id.into(),
            address: None,
            at: Some(at(second)),
            title: "通知".into(),
            item: None,
            unsent: false,
        };
        Found { post, whose }
    }

    fn survey(before: Option<Census>, found: &[Found], latest: Option<i64>, now: i64) -> Census {
        let latest = latest.map(at);
        judge(before, ChannelNo(1), found.to_vec(), latest, at(now))
    }

    fn open(census: &Census) -> Vec<&str> {
        let open = census.open.iter();
        open.map(|one| one.remote_id.as_str()).collect()
    }

    #[test]
    fn a_store_with_no_history_there_takes_what_it_finds_as_of_former_times() {
        let old = [
            found("a", 5, Whose::Nobodys),
            found("b", 99, Whose::Nobodys),
        ];
        let census = survey(None, &old, None, 10);
        assert!(census.open.is_empty() && census.former == 2);
        let later = survey(Some(census), &old, None, 20);
        assert!(
            later.open.is_empty(),
            "nor at the next, whatever its clock says"
        );
        assert_eq!(later.former, 2);
    }

    #[test]
    fn what_comes_up_after_the_first_survey_and_nobody_knows_stops_the_channel() {
        let census = survey(None, &[], None, 10);
        let rows = [
            found("late", 11, Whose::Nobodys),
            found("known", 12, Whose::Explained),
            found("early", 9, Whose::Nobodys),
        ];
        let census = survey(Some(census), &rows, None, 20);
        assert_eq!(
            open(&census),
            ["late"],
            "an older post came back into sight"
        );
        assert!(census.pause("微博", at(20)).unwrap().until.is_none());
    }

    #[test]
    fn a_store_with_history_that_never_looked_draws_the_line_at_its_newest_post() {
        let rows = [
            found("before", 40, Whose::Nobodys),
            found("after", 60, Whose::Nobodys),
        ];
        let census = survey(None, &rows, Some(50), 100);
        assert_eq!(open(&census), ["after"]);
        assert_eq!(census.former, 1);
    }

    #[test]
    fn a_public_post_of_an_item_that_was_never_sent_stops_it_however_old() {
        let rows = [found("mine", 1, Whose::Unsent)];
        let census = survey(None, &rows, None, 100);
        assert_eq!(open(&census), ["mine"]);
        assert!(census.open[0].unsent);
    }

    #[test]
    fn what_a_person_accepted_stops_nothing_again_and_what_is_explained_since_goes() {
        let rows = [
            found("one", 60, Whose::Nobodys),
            found("two", 61, Whose::Unsent),
        ];
        let census = survey(None, &rows, Some(50), 100);
        assert_eq!(open(&census), ["one", "two"]);
        let again = survey(Some(census.clone()), &rows, None, 110);
        assert_eq!(open(&again), ["one", "two"], "named once, not twice");
        let explained = [found("two", 61, Whose::Explained)];
        let mut census = survey(Some(again), &explained, None, 120);
        assert_eq!(open(&census), ["one"], "out of the list is not explained");
        census.accept("zhang", at(130));
        assert!(census.pause("微博", at(130)).is_none());
        assert!(survey(Some(census), &rows[..1], None, 140).open.is_empty());
    }

    #[test]
    fn a_sentence_names_three_posts_and_what_to_do() {
        let rows: Vec<Found> = (0..5)
            .map(|n| found(&format!("p{n}"), 60, Whose::Nobodys))
            .collect();
        let why = survey(None, &rows, Some(1), 99)
            .pause("微博", at(99))
            .unwrap()
            .why;
        assert!(why.zh.starts_with("平台上有 5 条") && why.zh.contains("p2"));
        assert!(!why.zh.contains("p3") && !why.zh.contains("lubu confirm"));
        assert!(why.en.ends_with("`lubu channels resume 微博`"));
    }

    fn delivery(state: State) -> Delivery {
        let id = DeliveryId {
            item: ItemId::new(1, [0; 10]),
            channel: ChannelNo(1),
        };
        let why = Words::new("", "");
        Delivery::new(id, Wanted::Keep { why }, state, at(0))
    }

    #[test]
    fn a_failed_try_explains_no_post_and_an_unknown_one_does() {
        let due = State::Due {
            at: at(0),
            why: Why::Fresh,
        };
        let mut one = delivery(due);
        one.attempts = 3;
        assert!(!explains(&one, Stands::Public));
        one.progress = Progress::default().with("draft", "m1");
        assert!(!explains(&one, Stands::Public), "only prepared");
        assert!(explains(&one, Stands::Draft));
        one.doubt = Some(doubt(true));
        assert!(!explains(&one, Stands::Public), "it was not there, and is");
        one.doubt = Some(doubt(false));
        assert!(explains(&one, Stands::Public));
        assert!(explains(&delivery(State::Withdrawn), Stands::Notice));
    }

    fn doubt(absent: bool) -> Doubt {
        Doubt {
            step: Step::new("share", Effect::Public),
            goal: Goal::Publish,
            since: at(0),
            began: at(0),
            ended: at(0),
            absent,
            echo: false,
        }
    }

    #[test]
    fn another_post_of_an_item_is_a_twin_at_the_time_and_an_unknown_run_at_another() {
        let mut one = delivery(State::Live);
        one.first_live = Some(at(9_000));
        one.copy = Some(lubu_channels::Copy {
            place: 0,
            revision: 1,
            remote_id: Some("7".into()),
            address: None,
            evidence: Evidence::ReadBack,
            seen_at: at(9_000),
        });
        let of = |id: &str, second| whose(&one, id, None, Some(at(second)), Stands::Public);
        assert_eq!(of("7", 99_000), Whose::Explained);
        assert_eq!(of("8", 9_100), Whose::Explained);
        assert_eq!(of("8", 99_000), Whose::Unsent);
    }

    #[test]
    fn what_was_taken_down_may_still_be_listed_and_nothing_newer() {
        let due = State::Due {
            at: at(0),
            why: Why::Fresh,
        };
        let mut one = delivery(due);
        one.first_live = Some(at(50));
        let of = |second| whose(&one, "8", None, Some(at(second)), Stands::Public);
        assert_eq!((of(40), of(9_000)), (Whose::Explained, Whose::Unsent));
    }

    #[test]
    fn a_post_is_named_by_id_fact_twin_or_address() {
        let mut one = delivery(State::Live);
        assert!(!names(&one, "7", None));
        one.progress = Progress::default().with("post", "7");
        assert!(names(&one, "7", None) && !names(&one, "8", None));
        one.progress = Progress::default().with("twins", "5 7");
        assert!(names(&one, "5", None) && names(&one, "7", None));
        assert!(!names(&one, "57", None));
        one.copy = Some(lubu_channels::Copy {
            place: 0,
            revision: 1,
            remote_id: None,
            address: Some("https://weibo.com/1/a".into()),
            evidence: Evidence::Person,
            seen_at: at(1),
        });
        assert!(names(&one, "8", Some("https://weibo.com/1/a")));
    }

    #[test]
    fn of_a_post_whose_item_was_erased_no_title_comes_back() {
        let item = ItemId::new(1, [7; 10]);
        let listed = || {
            let mut one = found("7", 100, Whose::Unsent);
            one.post.item = Some(item);
            vec![one]
        };
        let census = |before, now| judge(before, ChannelNo(1), listed(), Some(at(1)), at(now));
        let mut erased = census(None, 200);
        assert!(erased.forget(item));
        let after = census(Some(erased.clone()), 300);
        assert_eq!(after.open, erased.open);
        assert!(after.pause("weibo", at(300)).is_some());
    }
}

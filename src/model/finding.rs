//! What looking again at something published found (巡查发现): changed, gone, doubled, out of reach.
//!
//! Pure: a delivery, what is on record of it, and one look come in; what to keep and whether the
//! delivery moves come out. Kept beside the delivery and not in it: a million healthy copies have no
//! record and cost no write, and a list of findings reads findings alone.
//!
//! One look is believed when it says what it saw: another text, two copies, a deletion by name. "Not
//! there" is said twice, a settle time apart; "cannot be read" three times, an hour apart. What a
//! person accepted is no finding again until it changes.

use std::time::Duration;

use lubu_channels::{
    Evidence, Failure, Fate, Kind as FailureKind, Match, RemovedBy, Seen, Sighting, Timestamp,
    Verdict, Words,
};
use serde::{Deserialize, Serialize};

use super::delivery::words::{self, delta};
use super::delivery::{Delivery, Hold, State, Wanted};
use super::policy::Policy;
use crate::ids::DeliveryId;

/// Failed looks that make a finding, and how far apart they are.
const MISSES: u8 = 3;
const APART: Duration = Duration::from_hours(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Readers see something that was not signed.
    Changed,
    /// Readers see nothing.
    Removed,
    /// Readers see it more than once.
    Duplicate,
    /// It could be read once, and cannot any more.
    Unreachable,
    /// Only a person ever could tell. Not an alarm.
    Uncheckable,
}

impl Kind {
    pub const ALARMS: [Self; 4] = [
        Self::Changed,
        Self::Removed,
        Self::Duplicate,
        Self::Unreachable,
    ];

    pub fn code(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Duplicate => "duplicate",
            Self::Unreachable => "unreachable",
            Self::Uncheckable => "uncheckable",
        }
    }

    pub fn zh(self) -> &'static str {
        match self {
            Self::Changed => "内容不一致",
            Self::Removed => "已不在平台",
            Self::Duplicate => "重复出现",
            Self::Unreachable => "核对不到",
            Self::Uncheckable => "无法自动核对",
        }
    }

    pub fn is_alarm(self) -> bool {
        self != Self::Uncheckable
    }
}

/// What is on record of a published copy that is not simply well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    pub id: DeliveryId,
    pub standing: Standing,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Looks that said so, not enough of them yet.
    Suspect {
        of: Suspicion,
        looks: u8,
        #[serde(with = "chrono::serde::ts_milliseconds")]
        last: Timestamp,
    },
    Found(Finding),
    /// A person saw this finding and let it stand.
    Accepted(Finding),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Suspicion {
    Gone,
    Hidden,
    Blind,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub kind: Kind,
    pub words: Words,
    /// First seen so.
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub since: Timestamp,
    /// The copies, where there are several.
    pub ids: Vec<String>,
}

/// What one look at it brought.
#[derive(Debug, Clone)]
pub enum Look {
    Saw(Box<Sighting>),
    Failed(Box<Failure>),
}

/// What a look leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What is on record from now on.
    pub watch: Option<Watch>,
    /// How the delivery moves, if it does.
    pub moves: Option<Moves>,
    pub news: Option<News>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moves {
    /// It rests as published, with what was seen.
    Well,
    Changed,
    Removed,
    Duplicate,
}

/// What people are told, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    New(Finding),
    Cleared(Kind),
}

impl Watch {
    /// The finding that stands, if it is more than a suspicion and nobody accepted it.
    pub fn finding(&self) -> Option<&Finding> {
        match &self.standing {
            Standing::Found(finding) => Some(finding),
            Standing::Suspect { .. } | Standing::Accepted(_) => None,
        }
    }

    pub fn accepted(&self) -> Option<&Finding> {
        match &self.standing {
            Standing::Accepted(finding) => Some(finding),
            Standing::Suspect { .. } | Standing::Found(_) => None,
        }
    }

    /// What is left of it once the delivery stands so. A person's "it is published" accepts it; any
    /// other way on ends it, and a later look may find anew.
    #[must_use]
    pub fn beside(self, delivery: &Delivery) -> Option<Self> {
        let by_person = delivery.copy.as_ref().map(|copy| copy.evidence) == Some(Evidence::Person);
        let kind = self.finding().map(|finding| finding.kind);
        match (&delivery.state, kind) {
            (State::Live, None | Some(Kind::Uncheckable))
            | (State::Failed { .. }, Some(Kind::Removed))
            | (
                State::Held {
                    why: Hold::Differs(_),
                    ..
                },
                Some(Kind::Changed | Kind::Duplicate),
            ) => Some(self),
            (State::Live, Some(_)) if by_person => {
                let Standing::Found(finding) = self.standing else {
                    return None;
                };
                let standing = Standing::Accepted(finding);
                Some(Self { standing, ..self })
            }
            _ => None,
        }
    }
}

/// Whether a look at it says anything: it rests as published, or as a finding left it.
pub fn is_watched(delivery: &Delivery, watch: Option<&Watch>) -> bool {
    let found = watch.and_then(Watch::finding).is_some();
    match &delivery.state {
        State::Live => true,
        State::Failed { .. }
        | State::Held {
            why: Hold::Differs(_),
            ..
        } => found,
        State::Due { .. }
        | State::Working { .. }
        | State::Unknown(_)
        | State::Review { .. }
        | State::Held { .. }
        | State::Withdrawn
        | State::Skipped { .. } => false,
    }
}

/// What a delivery is held for, where that is what readers see of it.
pub fn strayed(delivery: &Delivery) -> Option<Finding> {
    let State::Held {
        why: Hold::Differs(words),
        ..
    } = &delivery.state
    else {
        return None;
    };
    let ids = delivery.twins();
    let kind = if ids.is_empty() {
        Kind::Changed
    } else {
        Kind::Duplicate
    };
    let publishing = !delivery.withdrawing();
    publishing.then(|| Finding {
        kind,
        words: words.clone(),
        since: delivery.since,
        ids,
    })
}

/// What comes of one look. Nothing to write where nothing is new.
pub fn judge(
    delivery: &Delivery,
    watch: Option<&Watch>,
    look: &Look,
    now: Timestamp,
    policy: &Policy,
) -> Judgement {
    let bench = Bench {
        delivery,
        watch,
        now,
        policy,
    };
    let seen = match look {
        Look::Failed(failure) if says_nothing(failure) => return bench.unchanged(),
        Look::Failed(failure) => return bench.blind(&failure.public),
        Look::Saw(sighting) => sighting.seen.first(),
    };
    let Some(seen) = seen else {
        return bench.unchanged();
    };
    match &seen.verdict {
        Verdict::Live(Match::Same) => bench.well(seen, Text::Read),
        Verdict::Live(Match::Unread) => bench.well(seen, Text::Unread),
        Verdict::Live(Match::Earlier) if keeps_older(delivery) => bench.well(seen, Text::Read),
        Verdict::Live(Match::Earlier | Match::Differs) => {
            bench.found(Kind::Changed, words::differs(), Vec::new())
        }
        Verdict::Reviewing => bench.suspect(Suspicion::Hidden, Kind::Changed, hidden()),
        Verdict::Refused(why) => bench.found(Kind::Removed, why.clone(), Vec::new()),
        Verdict::Removed(by @ (RemovedBy::Owner | RemovedBy::Platform)) => {
            bench.found(Kind::Removed, words::removed(*by), Vec::new())
        }
        Verdict::Removed(RemovedBy::Unknown) | Verdict::Absent | Verdict::Notice => {
            bench.suspect(Suspicion::Gone, Kind::Removed, gone())
        }
        Verdict::Several(ids) => bench.found(Kind::Duplicate, words::several(ids), ids.clone()),
        Verdict::CannotTell(why) => bench.cannot_tell(why),
    }
}

/// It says something about the account or the pace, and nothing about this copy.
fn says_nothing(failure: &Failure) -> bool {
    let blocked = matches!(failure.fate, Fate::Blocked(_));
    blocked || matches!(failure.kind, FailureKind::Throttled | FailureKind::Account)
}

fn keeps_older(delivery: &Delivery) -> bool {
    let kept = matches!(delivery.wanted, Wanted::Keep { .. });
    let older = delivery.copy.as_ref().map(|copy| copy.revision) < delivery.sent();
    kept && delivery.copy.is_some() && older && !delivery.is_text_unknown()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    Read,
    Unread,
}

struct Bench<'a> {
    delivery: &'a Delivery,
    watch: Option<&'a Watch>,
    now: Timestamp,
    policy: &'a Policy,
}

impl Bench<'_> {
    fn unchanged(&self) -> Judgement {
        Judgement {
            watch: self.watch.cloned(),
            moves: None,
            news: None,
        }
    }

    fn kind(&self) -> Option<Kind> {
        self.watch.and_then(Watch::finding).map(|found| found.kind)
    }

    fn record(&self, standing: Standing) -> Watch {
        let id = self.delivery.id;
        Watch { id, standing }
    }

    fn rests(&self) -> bool {
        matches!(self.delivery.state, State::Live)
    }

    fn well(&self, seen: &Seen, text: Text) -> Judgement {
        let about = self
            .kind()
            .or(self.watch.and_then(Watch::accepted).map(|found| found.kind));
        match (about, text) {
            // Reading one of two copies does not make the other one go: that is a person's word.
            (Some(Kind::Duplicate), _) | (Some(Kind::Changed), Text::Unread) => self.unchanged(),
            (None, _) if self.watch.is_none() && !self.tells_more(seen) => self.unchanged(),
            _ => Judgement {
                watch: None,
                moves: Some(Moves::Well),
                news: self
                    .kind()
                    .filter(|kind| kind.is_alarm())
                    .map(News::Cleared),
            },
        }
    }

    /// An id or address that was not known.
    fn tells_more(&self, seen: &Seen) -> bool {
        let Some(copy) = &self.delivery.copy else {
            return true;
        };
        let id = copy.remote_id.is_none() && seen.remote_id.is_some();
        id || copy.address.is_none() && seen.address.is_some()
    }

    fn found(&self, kind: Kind, words: Words, ids: Vec<String>) -> Judgement {
        let known = self.watch.and_then(|watch| match &watch.standing {
            Standing::Found(finding) | Standing::Accepted(finding) => Some(finding),
            Standing::Suspect { .. } => None,
        });
        let same = known
            .is_some_and(|known| known.kind == kind && ids.iter().all(|id| known.ids.contains(id)));
        // Of two copies only more copies are news: one of them gone leaves the other.
        if same || self.kind() == Some(Kind::Duplicate) && kind != Kind::Duplicate {
            return self.unchanged();
        }
        let twins = self.watch.and_then(Watch::accepted);
        let words = match twins.filter(|found| found.kind == Kind::Duplicate) {
            Some(found) if kind == Kind::Removed => beside_twins(&words, &found.ids),
            _ => words,
        };
        let finding = Finding {
            kind,
            words,
            since: self.now,
            ids,
        };
        Judgement {
            watch: Some(self.record(Standing::Found(finding.clone()))),
            moves: match kind {
                Kind::Changed => Some(Moves::Changed),
                Kind::Removed => Some(Moves::Removed),
                Kind::Duplicate => Some(Moves::Duplicate),
                Kind::Unreachable | Kind::Uncheckable => None,
            },
            news: kind.is_alarm().then_some(News::New(finding)),
        }
    }

    /// Believed when a second look agrees, a settle time later.
    fn suspect(&self, of: Suspicion, kind: Kind, words: Words) -> Judgement {
        let first = self.last(of);
        let settled = |last: Timestamp| self.now - last >= delta(self.policy.settle);
        match first {
            Some((_, last)) if settled(last) => self.found(kind, words, Vec::new()),
            Some(_) => self.unchanged(),
            // A person has it already, and one look that found nothing is no reason to forget why.
            None if !self.rests() || self.accepts(kind) => self.unchanged(),
            None => self.counted(of, 1),
        }
    }

    fn cannot_tell(&self, why: &Words) -> Judgement {
        let copy = self.delivery.copy.as_ref();
        if copy.map(|copy| copy.evidence) != Some(Evidence::Person) {
            return self.blind(why);
        }
        if !self.rests() || self.watch.and_then(Watch::accepted).is_some() {
            return self.unchanged();
        }
        self.found(Kind::Uncheckable, why.clone(), Vec::new())
    }

    fn blind(&self, why: &Words) -> Judgement {
        let accepted = self.watch.and_then(Watch::accepted).is_some();
        if !self.rests() || self.kind().is_some() || accepted {
            return self.unchanged();
        }
        match self.last(Suspicion::Blind) {
            Some((_, last)) if self.now - last < delta(APART) => self.unchanged(),
            Some((looks, _)) if looks + 1 >= MISSES => {
                self.found(Kind::Unreachable, why.clone(), Vec::new())
            }
            Some((looks, _)) => self.counted(Suspicion::Blind, looks + 1),
            None => self.counted(Suspicion::Blind, 1),
        }
    }

    fn counted(&self, of: Suspicion, looks: u8) -> Judgement {
        let last = self.now;
        Judgement {
            watch: Some(self.record(Standing::Suspect { of, looks, last })),
            moves: None,
            news: self
                .kind()
                .filter(|kind| kind.is_alarm())
                .map(News::Cleared),
        }
    }

    fn last(&self, suspicion: Suspicion) -> Option<(u8, Timestamp)> {
        match self.watch?.standing {
            Standing::Suspect { of, looks, last } if of == suspicion => Some((looks, last)),
            Standing::Suspect { .. } | Standing::Found(_) | Standing::Accepted(_) => None,
        }
    }

    fn accepts(&self, kind: Kind) -> bool {
        let accepted = self.watch.and_then(Watch::accepted);
        accepted.is_some_and(|found| found.kind == kind)
    }
}

fn hidden() -> Words {
    Words::new(
        "平台把它隐藏了或收回审核，读者现在看不到",
        "the platform hides it or has taken it back into review; readers do not see it",
    )
}

fn gone() -> Words {
    Words::new(
        "平台上已经没有（两次核对一致）",
        "it is gone from the platform (two looks agree)",
    )
}

fn beside_twins(words: &Words, ids: &[String]) -> Words {
    let ids = ids.join("、");
    Words::new(
        format!("{}；另一条可能还在（{ids}），重发前请核实", words.zh),
        format!("{}; another copy may still be there ({ids})", words.en),
    )
}

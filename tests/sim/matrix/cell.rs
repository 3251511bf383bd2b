//! The coordinates, and which combinations cannot happen.

use std::fmt;
use std::time::Duration;

use crate::channel::Shape;

/// The step that is struck, and the way it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    Read,
    Idempotent,
    StageThenFlip,
    FlipAfterStage,
    StageThenPublic,
    PublicAfterStage,
    KeyedInside,
    KeyedAfter,
    PublicOff,
    PublicOn,
}

/// What is being done when it strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aim {
    Publish,
    Update,
    Withdraw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    BeforeIntent,
    AfterIntent,
    MidSend,
    AfterSend,
    BeforeOutcome,
    AfterOutcome,
    /// Nobody dies; only the answer is lost.
    AnswerLost,
}

/// What the platform really did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Truth {
    Applied,
    Not,
    Late,
    Twice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Look {
    Good,
    Late,
    Broken,
    Window,
}

/// What is ordered while the outcome is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Then {
    Nothing,
    Withdraw,
    Correct,
    /// Once it has come to rest, and before what is late arrives.
    WithdrawSoon,
    CorrectSoon,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    pub way: Way,
    pub aim: Aim,
    pub point: Point,
    pub truth: Truth,
    pub look: Look,
    pub then: Then,
}

impl Way {
    const ALL: [Self; 10] = [
        Self::Read,
        Self::Idempotent,
        Self::StageThenFlip,
        Self::FlipAfterStage,
        Self::StageThenPublic,
        Self::PublicAfterStage,
        Self::KeyedInside,
        Self::KeyedAfter,
        Self::PublicOff,
        Self::PublicOn,
    ];

    pub fn shape(self) -> Shape {
        match self {
            Self::Read => Shape::PolledPage,
            Self::Idempotent => Shape::Page,
            Self::StageThenFlip | Self::FlipAfterStage => Shape::StagedFlip,
            Self::StageThenPublic | Self::PublicAfterStage => Shape::StagedPublic,
            Self::KeyedInside | Self::KeyedAfter => Shape::Keyed,
            Self::PublicOff | Self::PublicOn => Shape::Public,
        }
    }

    /// Looks go through a list of the newest posts.
    pub fn lists(self) -> bool {
        matches!(
            self,
            Self::PublicAfterStage | Self::KeyedAfter | Self::PublicOff | Self::PublicOn
        )
    }

    fn step(self) -> &'static str {
        match self {
            Self::Read => "poll",
            Self::Idempotent => "page",
            Self::StageThenFlip | Self::StageThenPublic => "stage",
            Self::FlipAfterStage => "flip",
            Self::PublicAfterStage => "submit",
            Self::KeyedInside | Self::KeyedAfter | Self::PublicOff | Self::PublicOn => "send",
        }
    }

    /// How long the process stays dead.
    pub fn down(self) -> Duration {
        match self {
            Self::KeyedAfter => Duration::from_hours(25),
            _ => Duration::from_secs(30),
        }
    }
}

impl Cell {
    pub fn all() -> impl Iterator<Item = Self> {
        let aims = [Aim::Publish, Aim::Update, Aim::Withdraw];
        let points = [
            Point::BeforeIntent,
            Point::AfterIntent,
            Point::MidSend,
            Point::AfterSend,
            Point::BeforeOutcome,
            Point::AfterOutcome,
            Point::AnswerLost,
        ];
        let truths = [Truth::Applied, Truth::Not, Truth::Late, Truth::Twice];
        let looks = [Look::Good, Look::Late, Look::Broken, Look::Window];
        let thens = [
            Then::Nothing,
            Then::Withdraw,
            Then::Correct,
            Then::WithdrawSoon,
            Then::CorrectSoon,
        ];
        let mut all = Vec::new();
        for way in Way::ALL {
            for aim in aims {
                for point in points {
                    for truth in truths {
                        for look in looks {
                            all.extend(thens.map(|then| Self {
                                way,
                                aim,
                                point,
                                truth,
                                look,
                                then,
                            }));
                        }
                    }
                }
            }
        }
        all.into_iter()
    }

    /// The step that is struck.
    pub fn step(self) -> &'static str {
        match self.aim {
            Aim::Withdraw => "remove",
            Aim::Publish | Aim::Update => self.way.step(),
        }
    }

    /// The revision whose step is struck.
    pub fn revision(self) -> u32 {
        match self.aim {
            Aim::Publish | Aim::Withdraw => 1,
            Aim::Update => 2,
        }
    }

    /// The revision that readers shall see in the end.
    pub fn wanted(self) -> Option<u32> {
        match (self.aim, self.then) {
            (Aim::Withdraw, _) | (_, Then::Withdraw | Then::WithdrawSoon) => None,
            (_, Then::Nothing) => Some(self.revision()),
            (_, Then::Correct | Then::CorrectSoon) => Some(self.revision() + 1),
        }
    }

    pub fn impossible(self) -> Option<&'static str> {
        let unsent = matches!(self.point, Point::BeforeIntent | Point::AfterIntent);
        let read = self.way == Way::Read && self.aim != Aim::Withdraw;
        if unsent && self.truth != Truth::Not {
            return Some("nothing was sent: the platform can have done nothing");
        }
        if read && !matches!(self.truth, Truth::Applied | Truth::Not) {
            return Some("a read changes nothing, late or twice");
        }
        let answered = matches!(self.point, Point::BeforeOutcome | Point::AfterOutcome);
        let accepts = matches!(self.step(), "send" | "submit" | "remove");
        if answered && self.truth == Truth::Late && !accepts {
            return Some("a call of this kind is done when it is answered");
        }
        if self.look == Look::Window && !self.way.lists() {
            return Some("looks by id or address have no window");
        }
        if self.way == Way::KeyedAfter && self.point == Point::AnswerLost {
            return Some("a living process does not wait out the window of a key");
        }
        if self.aim == Aim::Withdraw && self.then != Then::Nothing {
            return Some("a withdrawn item takes no further order");
        }
        if self.then != Then::Nothing && self.look != Look::Good {
            return Some("orders that come in between are tried with good looks");
        }
        None
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Read => "read",
            Self::Idempotent => "idempotent",
            Self::StageThenFlip => "stage-then-flip",
            Self::FlipAfterStage => "flip-after-stage",
            Self::StageThenPublic => "stage-then-public",
            Self::PublicAfterStage => "public-after-stage",
            Self::KeyedInside => "keyed-inside",
            Self::KeyedAfter => "keyed-after",
            Self::PublicOff => "public-off",
            Self::PublicOn => "public-on",
        })
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let aim = match self.aim {
            Aim::Publish => "publish",
            Aim::Update => "update",
            Aim::Withdraw => "withdraw",
        };
        let point = match self.point {
            Point::BeforeIntent => "before-intent",
            Point::AfterIntent => "after-intent",
            Point::MidSend => "mid-send",
            Point::AfterSend => "after-send",
            Point::BeforeOutcome => "before-outcome",
            Point::AfterOutcome => "after-outcome",
            Point::AnswerLost => "answer-lost",
        };
        let truth = match self.truth {
            Truth::Applied => "applied",
            Truth::Not => "not",
            Truth::Late => "late",
            Truth::Twice => "twice",
        };
        let look = match self.look {
            Look::Good => "good",
            Look::Late => "late",
            Look::Broken => "broken",
            Look::Window => "window",
        };
        let then = match self.then {
            Then::Nothing => "nothing",
            Then::Withdraw => "withdraw",
            Then::Correct => "correct",
            Then::WithdrawSoon => "withdraw-soon",
            Then::CorrectSoon => "correct-soon",
        };
        write!(f, "{} {aim} {point} {truth} {look} {then}", self.way)
    }
}

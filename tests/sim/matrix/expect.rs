//! What the design says of a cell, worked out from its coordinates alone.

use super::cell::{Aim, Cell, Look, Point, Then, Truth, Way};

/// Whether a person has to say something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Person {
    Never,
    Must,
    /// Both are right.
    May,
}

pub fn judge(cell: Cell, words: u32, both_named: bool) -> Result<(), String> {
    if is_doubled(cell) && sees_twins(cell) && !both_named {
        return Err("the platform doubled it, and nobody was shown both copies".to_owned());
    }
    match person(cell) {
        Person::Never if words > 0 => Err(format!("a person was asked {words} times for nothing")),
        Person::Must if words == 0 => Err("a person should have been asked".to_owned()),
        _ => Ok(()),
    }
}

/// Readers see it twice by the platform's own doing.
fn is_doubled(cell: Cell) -> bool {
    let public = matches!(
        cell.way,
        Way::PublicAfterStage | Way::KeyedInside | Way::KeyedAfter | Way::PublicOff | Way::PublicOn
    );
    cell.truth == Truth::Twice && public && cell.aim != Aim::Withdraw
}

fn sees_twins(cell: Cell) -> bool {
    matches!(cell.look, Look::Good | Look::Late) && cell.then == Then::Nothing
}

/// Twins that nothing could have shown.
pub fn hides_a_twin(cell: Cell) -> bool {
    is_doubled(cell) && !sees_twins(cell)
}

/// The outcome of the struck step is unknown to the daemon.
fn is_unknown(cell: Cell) -> bool {
    !matches!(cell.point, Point::BeforeIntent | Point::AfterOutcome)
}

fn is_public(cell: Cell) -> bool {
    let way = matches!(
        cell.way,
        Way::PublicAfterStage | Way::KeyedAfter | Way::PublicOff | Way::PublicOn
    );
    way && cell.aim != Aim::Withdraw
}

fn person(cell: Cell) -> Person {
    if is_doubled(cell) {
        return if sees_twins(cell) {
            Person::Must
        } else {
            Person::May
        };
    }
    match cell.look {
        // Nothing is published or gone without a sighting.
        Look::Broken => return Person::Must,
        // By its id a post is seen; by a list only while it stands in it.
        Look::Window => return Person::May,
        Look::Good | Look::Late => {}
    }
    let never_sent = cell.truth == Truth::Not;
    if is_public(cell) && is_unknown(cell) && never_sent && cell.then == Then::Nothing {
        // Shown absent: repeated once where the channel's policy says so, else a person orders it.
        return if cell.way == Way::PublicOn {
            Person::Never
        } else {
            Person::Must
        };
    }
    Person::Never
}

//! The model beside a reference (F8): a platform that remembers what readers may see, and the rules of the design.
//!
//! The reference knows objects, orders and calls; of the model it asks only what anybody may ask: whether it is at
//! rest, when it moves next, what an intent is for. A sequence is up to 200 things that happen: the engine's turn
//! with whatever the platform makes of it, orders, a person's word, time, a restart, a backup that is restored.
//! After each of them the invariants 1, 4, 9, 11 and 13 are judged, and in the end, when nothing fails any more,
//! everything comes to rest as it was last ordered.

mod drive;
mod world;

use lubu_channels::Clock as _;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use self::drive::Drive;
use self::world::{Real, Shape};

/// Something that happens.
#[derive(Debug, Clone)]
pub enum Op {
    /// The engine turns to it, if it is due.
    Turn(Real, Reply),
    /// The engine looks and is told nothing, if a look is due.
    Blind,
    Minutes(u16),
    /// Time moves to where the engine turns to it next.
    Next,
    Approve(Choice),
    Withdraw,
    /// The channel is left out of the newest approval.
    Keep,
    /// A person looks at the platform and says what is there, or orders another go.
    Person,
    /// Another channel must come first; or it has come.
    Waits,
    Released,
    /// Somebody deletes it on the platform.
    Meddle,
    Backup,
    Restore,
}

/// What the caller hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    Told,
    /// Applied or not, an answer that nobody can read.
    Lost,
    /// The process ends.
    Dies,
    /// The intent grew too old.
    Unsent,
    Again,
    Never,
    BlockedGoal,
    BlockedAccount,
}

/// What is decided about a copy that cannot be corrected in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    Ask,
    Leave,
    Replace,
    /// The same, released by a schedule.
    Scheduled,
}

fn op() -> impl Strategy<Value = Op> {
    let real = prop_oneof![
        5 => Just(Real::Applied),
        3 => Just(Real::Not),
        2 => (1_u64..100).prop_map(Real::Late),
    ];
    let reply = prop_oneof![
        10 => Just(Reply::Told),
        3 => Just(Reply::Lost),
        1 => Just(Reply::Dies),
        1 => Just(Reply::Unsent),
        1 => Just(Reply::Again),
        1 => Just(Reply::Never),
        1 => Just(Reply::BlockedGoal),
        1 => Just(Reply::BlockedAccount),
    ];
    let choice = prop_oneof![
        2 => Just(Choice::Ask),
        1 => Just(Choice::Leave),
        2 => Just(Choice::Replace),
        1 => Just(Choice::Scheduled),
    ];
    prop_oneof![
        24 => (real, reply).prop_map(|(real, reply)| Op::Turn(real, reply)),
        3 => Just(Op::Blind),
        6 => (1_u16..300).prop_map(Op::Minutes),
        14 => Just(Op::Next),
        3 => choice.prop_map(Op::Approve),
        2 => Just(Op::Withdraw),
        1 => Just(Op::Keep),
        4 => Just(Op::Person),
        1 => Just(Op::Waits),
        2 => Just(Op::Released),
        1 => Just(Op::Meddle),
        1 => Just(Op::Backup),
        1 => Just(Op::Restore),
    ]
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::Page),
        Just(Shape::Keyed),
        Just(Shape::Post),
        Just(Shape::StagedPost),
    ]
}

/// The same sequences each time, so that a change is judged by itself; others with `PROPTEST_RNG_SEED=n`.
fn seed() -> RngSeed {
    match ProptestConfig::default().rng_seed {
        RngSeed::Random => RngSeed::Fixed(8),
        given @ RngSeed::Fixed(_) => given,
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 8_000,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        rng_seed: seed(),
        ..ProptestConfig::default()
    })]

    #[test]
    fn f8_no_sequence_doubles_loses_or_claims_what_readers_do_not_see(
        shape in shape(),
        repeats in any::<bool>(),
        ops in proptest::collection::vec(op(), 1..200),
    ) {
        let mut drive = Drive::new(shape, repeats, lubu_channels::Manual::default().now());
        let lived = drive.through(&ops);
        prop_assert!(lived.is_ok(), "{}\n{}", lived.unwrap_err(), drive.trace());
    }
}

/// The reference itself can fail: a model that forgot an open doubt would be caught.
#[test]
fn a_second_post_beside_the_first_is_a_breach() {
    let now = lubu_channels::Manual::default().now();
    let mut drive = Drive::new(Shape::Post, false, now);
    drive
        .through(&[Op::Turn(Real::Applied, Reply::Told)])
        .expect("one post");
    drive.world.post(9, now);
    assert!(drive.judge().unwrap_err().contains("2 copies"));
}

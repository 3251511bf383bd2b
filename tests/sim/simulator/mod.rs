//! The seeded simulator: the whole daemon but for sockets and disk, and everything that can go
//! wrong around it.
//!
//! Without anything said, four hundred lives are the same each time, so that a change is judged by itself.
//! `LUBU_SIM_LIVES=n` lives n new ones instead, as `tests/torture` does; `LUBU_SIM_SEED=n` lives one
//! and prints its trace. Seeds that failed once and were mended stand in `seeds.txt` and go first.

mod clockwork;
mod office;
mod readers;
mod weather;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Mutex;

use self::office::{Habits, live};
pub use self::weather::Weather;

/// Events before the calm.
const EVENTS: u32 = 90;
/// Those that are always lived.
const SAME: std::ops::Range<u64> = 1..401;

pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Those that failed once, and whether that was before there was more to live: they are lived as they were.
fn known() -> Vec<(u64, Habits)> {
    let lines = include_str!("../seeds.txt").lines();
    let lines = lines.filter_map(|line| line.split('#').next());
    let seeds = lines.filter_map(|line| match line.trim().split_once(' ') {
        Some((seed, "all")) => Some((seed.parse().ok()?, Habits::All)),
        Some(_) => None,
        None => Some((line.trim().parse().ok()?, Habits::First)),
    });
    seeds.collect()
}

fn habits_of(seed: u64) -> Habits {
    let known = known().into_iter().find(|(one, _)| *one == seed);
    known.map_or(Habits::All, |(_, habits)| habits)
}

#[test]
fn no_life_of_an_office_doubles_loses_or_claims_too_much() {
    if let Some(seed) = number("LUBU_SIM_SEED") {
        match live(seed, EVENTS, habits_of(seed)) {
            Ok(lived) => println!("{}", lived.trace.join("\n")),
            Err((why, trace)) => panic!("{}\n{why}", trace.join("\n")),
        }
        return;
    }
    let known = known().into_iter().map(|(seed, _)| seed);
    let seeds: Vec<u64> = match number("LUBU_SIM_LIVES") {
        Some(lives) => {
            let first = RandomState::new().build_hasher().finish() >> 16;
            println!("new seeds {first} to {}", first + lives.max(1) - 1);
            known.chain(first..first + lives).collect()
        }
        None => known.chain(SAME).collect(),
    };
    let (failed, posts) = (Mutex::new(Vec::new()), Mutex::new(0));
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (seeds, failed, posts) = (&seeds, &failed, &posts);
            scope.spawn(move || {
                for seed in seeds.iter().skip(thread).step_by(2) {
                    match live(*seed, EVENTS, habits_of(*seed)) {
                        Ok(whole) => *posts.lock().expect("unpoisoned") += whole.posts,
                        Err((why, _)) => {
                            failed
                                .lock()
                                .expect("unpoisoned")
                                .push(format!("{seed} # {why}"));
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("unpoisoned");
    println!(
        "{} lives, {} objects on platforms",
        seeds.len(),
        posts.into_inner().expect("unpoisoned")
    );
    assert!(
        failed.is_empty(),
        "{} lives fail; keep them in tests/sim/seeds.txt:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

#[test]
fn the_same_seed_lives_the_same_life_to_the_byte() {
    for seed in 1..=12 {
        let (one, two) = (
            live(seed, EVENTS, Habits::All),
            live(seed, EVENTS, Habits::All),
        );
        let trace = |lived: Result<office::Lived, (String, Vec<String>)>| match lived {
            Ok(lived) => lived.trace,
            Err((_, trace)) => trace,
        };
        assert_eq!(trace(one), trace(two), "seed {seed}");
    }
}

//! The exhaustive matrix (F1): every kind of step, every line at which a process can die, every
//! truth about the call, every way in which a look can answer.
//!
//! `LUBU_SIM_CELL="public-off publish mid-send late good nothing"` runs one cell alone and prints
//! its trace; `LUBU_SIM_DISK=1` runs all of them on the store with a disk.

mod cell;
mod expect;
mod run;

use std::collections::BTreeMap;
use std::sync::Mutex;

use self::cell::{Cell, Way};
use self::run::{End, run};

/// Of so many cells one also runs on the store with a disk.
const ON_DISK: usize = 4;

#[test]
fn f1_no_cell_of_the_matrix_doubles_loses_or_claims_too_much() {
    if let Ok(name) = std::env::var("LUBU_SIM_CELL") {
        let cell = Cell::all().find(|cell| cell.to_string() == name);
        let cell = cell.expect("a cell of this name");
        let ended = run(cell, on_disk(0), true);
        assert!(ended.is_ok(), "{}", ended.unwrap_err());
        return;
    }
    let (possible, impossible): (Vec<Cell>, Vec<Cell>) =
        Cell::all().partition(|cell| cell.impossible().is_none());
    let ends = Mutex::new(BTreeMap::<Way, BTreeMap<End, usize>>::new());
    let failed = Mutex::new(Vec::new());
    let threads = 2;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (possible, ends, failed) = (&possible, &ends, &failed);
            scope.spawn(move || {
                let own = possible.iter().enumerate().skip(thread).step_by(threads);
                for (place, cell) in own {
                    match run(*cell, on_disk(place), false) {
                        Ok(end) => {
                            let mut ends = ends.lock().expect("unpoisoned");
                            *ends.entry(cell.way).or_default().entry(end).or_default() += 1;
                        }
                        Err(why) => {
                            let mut failed = failed.lock().expect("unpoisoned");
                            failed.push(format!("{cell}: {why}"));
                        }
                    }
                }
            });
        }
    });
    report(
        &possible,
        &impossible,
        &ends.into_inner().expect("unpoisoned"),
    );
    let mut failed = failed.into_inner().expect("unpoisoned");
    failed.sort();
    assert!(
        failed.is_empty(),
        "{} of {} cells fail:\n{}",
        failed.len(),
        possible.len(),
        failed.join("\n")
    );
}

fn on_disk(place: usize) -> bool {
    std::env::var_os("LUBU_SIM_DISK").is_some() || place % ON_DISK == 1
}

fn report(possible: &[Cell], impossible: &[Cell], ends: &BTreeMap<Way, BTreeMap<End, usize>>) {
    println!(
        "{} cells ran, {} cannot happen:",
        possible.len(),
        impossible.len()
    );
    let mut reasons = BTreeMap::<&str, usize>::new();
    for cell in impossible {
        *reasons
            .entry(cell.impossible().unwrap_or_default())
            .or_default() += 1;
    }
    for (reason, count) in reasons {
        println!("  {count:5}  {reason}");
    }
    println!(
        "{:<22}{:>10}{:>10}{:>10}{:>10}",
        "", "published", "person", "gone", "person"
    );
    for (way, ends) in ends {
        let of = |end| ends.get(&end).copied().unwrap_or_default();
        println!(
            "{:<22}{:>10}{:>10}{:>10}{:>10}",
            way.to_string(),
            of(End::Published),
            of(End::PublishedByPerson),
            of(End::Gone),
            of(End::GoneByPerson)
        );
    }
}

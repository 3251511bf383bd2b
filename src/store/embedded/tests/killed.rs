//! A real process, really killed (fault catalogue 9): the images of `crash.rs` cannot show what sled held in its own
//! memory at the moment.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use super::super::*;
use super::kit::{Bench, Pairs, Reasons, all, options, put};

const FOLDER: &str = "LUBU_TEST_FOLDER";

#[test]
#[ignore = "the victim of the test below, and nothing by itself"]
fn victim() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let mut options = options(Path::new(&folder), &Reasons::default());
    // Often, so that a kill also falls into one.
    options.checkpoint_bytes = 8 * 1024;
    let (store, _) = Store::open(&options, Pairs).unwrap();
    let mut number = all(&store).len();
    loop {
        let waiting: Vec<_> = (0..8)
            .map(|n| {
                store
                    .submit(put(&format!("k{:08}", number + n), "一"))
                    .unwrap()
            })
            .collect();
        for answer in waiting {
            answer.blocking_recv().unwrap().unwrap();
            number += 1;
            println!("ACK {number}");
        }
    }
}

#[test]
fn a_process_that_is_killed_again_and_again_loses_nothing_that_it_acknowledged() {
    let bench = Bench::new();
    let mut believed = 0;
    for round in 0..8 {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args([
                "--ignored",
                "--exact",
                "--nocapture",
                "store::embedded::tests::killed::victim",
            ])
            .env(FOLDER, bench.folder())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        let acks = lines.map_while(Result::ok).filter_map(|line| {
            line.split_once("ACK ")
                .and_then(|(_, number)| number.parse::<usize>().ok())
        });
        let acknowledged = acks.take(20 + 37 * round).last().unwrap();
        victim.kill().unwrap();
        victim.wait().unwrap();
        let (store, opened) = bench.open();
        believed += usize::from(opened.rebuilt.is_none());
        let found = all(&store);
        assert!(
            found.len() >= acknowledged,
            "round {round}: {} of {acknowledged}",
            found.len()
        );
        let keys: Vec<_> = (0..found.len()).map(|n| format!("k{n:08}")).collect();
        assert!(found.keys().eq(&keys), "round {round}: a hole");
        store.close_blocking();
        assert_eq!(
            audit::verify(bench.folder()).unwrap().entries,
            found.len() as u64
        );
    }
    assert_eq!(
        believed, 8,
        "the state survives a process, and should have been believed"
    );
}

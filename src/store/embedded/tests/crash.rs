//! Kills and power cuts at any change of a file and between any two steps of the writer.
//!
//! The gate takes an image of the folder at one moment. After a kill the image is what the files held; after a power
//! cut any 512 bytes of what was not synced may be old or new, sled is whatever it happens to be, and the boot id
//! is another. Each image is opened and compared with the model: the acts that were answered before the moment, and
//! perhaps some of those that were under way, in order and whole.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use proptest::collection::vec;
use proptest::prelude::{
    ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use tempfile::TempDir;

use super::super::*;
use super::kit::{Act, Pairs, Reasons, all, copy_folder, options};

const SECTOR: usize = 512;

/// What happens to the machine at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Kill,
    /// With the dice for the sectors.
    PowerCut(u64),
}

struct Camera {
    moment: usize,
    end: End,
    from: PathBuf,
    image: PathBuf,
    film: Mutex<Film>,
}

#[derive(Default)]
struct Film {
    /// Moments count once this is set.
    rolling: bool,
    seen: usize,
    /// How many acts had been answered, by the test's own count.
    answered: usize,
    answered_at_image: Option<usize>,
    /// What each place held before writes that are not yet synced.
    unsynced: HashMap<PathBuf, Vec<(u64, Vec<u8>)>>,
}

impl Gate for Camera {
    fn before(&self, op: &Op<'_>) -> Verdict {
        let mut film = self.film.lock().unwrap();
        if film.rolling && film.seen == self.moment {
            self.shoot(&mut film, op);
        }
        film.seen += usize::from(film.rolling);
        if let Op::Write { path, at, bytes } = op {
            let start = usize::try_from(*at).unwrap();
            let all = fs::read(path).unwrap_or_default();
            let mut old = all.get(start..).unwrap_or_default().to_vec();
            old.resize(bytes.len(), 0);
            film.unsynced
                .entry(path.to_path_buf())
                .or_default()
                .push((*at, old));
        }
        Verdict::Go
    }

    fn after(&self, op: &Op<'_>) {
        let mut film = self.film.lock().unwrap();
        match op {
            Op::Sync { path } => {
                film.unsynced.remove(*path);
            }
            Op::Rename { from, .. } => {
                film.unsynced.remove(*from);
            }
            _ => {}
        }
    }

    fn free(&self) -> Option<u64> {
        None
    }
}

impl Camera {
    fn shoot(&self, film: &mut Film, op: &Op<'_>) {
        film.answered_at_image = Some(film.answered);
        copy_folder(&self.from, &self.image).unwrap();
        let End::PowerCut(dice) = self.end else {
            return;
        };
        // A write under way is as torn as one that was not synced.
        let (mut dice, mut torn) = (dice, Vec::new());
        if let Op::Write { path, at, bytes } = op {
            torn.push((path.to_path_buf(), *at, bytes.to_vec()));
        }
        for (path, writes) in &film.unsynced {
            torn.extend(
                writes
                    .iter()
                    .rev()
                    .map(|(at, old)| (path.clone(), *at, old.clone())),
            );
        }
        for (path, at, bytes) in torn {
            let path = self.image.join(path.strip_prefix(&self.from).unwrap());
            tear(&path, usize::try_from(at).unwrap(), &bytes, &mut dice);
        }
    }
}

/// Some sectors of a write, by the dice.
fn tear(path: &Path, at: usize, bytes: &[u8], dice: &mut u64) {
    let Ok(mut file) = fs::read(path) else {
        return;
    };
    if file.len() < at + bytes.len() {
        file.resize(at + bytes.len(), 0);
    }
    for (index, byte) in bytes.iter().enumerate() {
        if index == 0 || (at + index).is_multiple_of(SECTOR) {
            *dice ^= *dice << 13;
            *dice ^= *dice >> 7;
            *dice ^= *dice << 17;
        }
        if *dice & 1 == 1 {
            file[at + index] = *byte;
        }
    }
    fs::write(path, file).unwrap();
}

/// The image stands where its original stood: no copy, as far as the store can tell.
fn pass_for_original(image: &Path) {
    let path = image.join("store.toml");
    let Ok(text) = fs::read_to_string(&path) else {
        return;
    };
    let inode = fs::metadata(&path).unwrap().ino();
    let lines = text.lines().map(|line| {
        if line.starts_with("inode") {
            format!("inode = {inode}")
        } else {
            line.to_owned()
        }
    });
    fs::write(path, lines.collect::<Vec<_>>().join("\n")).unwrap();
}

type Model = BTreeMap<String, Vec<u8>>;

fn step(model: &mut Model, act: &Act) {
    match act {
        Act::Put(_, key, value) => model.insert(key.clone(), value.clone()),
        Act::Remove(key) => model.remove(key),
        _ => None,
    };
}

/// Runs the batches with an image at the moment, then opens the image. `None` if the moment never came.
fn run(batches: &[Vec<Act>], moment: usize, end: End) -> Option<Result<Opened, String>> {
    run_with(batches, &[], moment, end)
}

/// The same with chores after the batches; then only moments of the chores count.
fn run_with(
    batches: &[Vec<Act>],
    deeds: &[Deed],
    moment: usize,
    end: End,
) -> Option<Result<Opened, String>> {
    let home = TempDir::new().unwrap();
    let (from, image) = (home.path().join("data"), home.path().join("image"));
    let film = Mutex::new(Film {
        rolling: deeds.is_empty(),
        ..Film::default()
    });
    let camera = Arc::new(Camera {
        moment,
        end,
        from: from.clone(),
        image: image.clone(),
        film,
    });
    let fatal = Reasons::default();
    let mut open = options(&from, &fatal);
    open.disk = Disk::gated(Arc::clone(&camera) as Arc<dyn Gate>);
    let (store, _) = Store::open(&open, Pairs).unwrap();
    for batch in batches {
        let answers: Vec<_> = batch
            .iter()
            .map(|act| store.submit(act.clone()).unwrap())
            .collect();
        for answer in answers {
            answer.blocking_recv().unwrap().unwrap();
            camera.film.lock().unwrap().answered += 1;
        }
    }
    camera.film.lock().unwrap().rolling = true;
    for deed in deeds {
        store.care_blocking(*deed).unwrap();
    }
    store.close_blocking();
    let answered = camera.film.lock().unwrap().answered_at_image?;
    pass_for_original(&image);
    let mut again = options(&image, &fatal);
    if end != End::Kill {
        again.boot_id = Arc::new(|| Some("boot-2".to_owned()));
    }
    Some(judge(&again, batches, answered))
}

fn judge(again: &Options, batches: &[Vec<Act>], answered: usize) -> Result<Opened, String> {
    let (store, opened) = Store::open(again, Pairs).map_err(|error| error.to_string())?;
    let found = all(&store);
    let mut model = Model::new();
    let acts: Vec<&Act> = batches.iter().flatten().collect();
    let mut fits = answered == 0 && found.is_empty();
    for (index, act) in acts.iter().enumerate() {
        step(&mut model, act);
        fits |= index + 1 >= answered && model == found;
    }
    if !fits {
        return Err(format!("{answered} answered; found {:?}", found.keys()));
    }
    // Work goes on, and the journal stays in one piece.
    store
        .act_blocking(super::kit::put("after", "x"))
        .map_err(|error| format!("{error:?}"))?;
    let before = all(&store);
    store.close_blocking();
    audit::verify(&again.folder).map_err(|error| error.to_string())?;
    fs::remove_dir_all(again.folder.join("sled")).unwrap();
    let (store, _) = Store::open(again, Pairs).map_err(|error| error.to_string())?;
    if all(&store) == before {
        Ok(opened)
    } else {
        Err("state and journal differ".to_owned())
    }
}

fn put(n: u8) -> Act {
    Act::Put(Class::Intake, format!("k{n}"), vec![n; 24_000])
}

/// How each moment's image was opened.
fn every_moment(end: fn(usize) -> End) -> Vec<Opened> {
    let batches: Vec<_> = (0..4).map(|n| vec![put(n)]).collect();
    let mut opened = Vec::new();
    while let Some(outcome) = run(&batches, opened.len(), end(opened.len())) {
        opened.push(outcome.unwrap_or_else(|why| panic!("moment {}: {why}", opened.len())));
    }
    assert!(
        opened.len() > 50,
        "only {} moments: the workload proves nothing",
        opened.len()
    );
    opened
}

#[test]
fn a_kill_at_any_step_loses_nothing_that_was_answered() {
    let opened = every_moment(|_| End::Kill);
    // Unless the state was believed and brought up to date, half of what a start does was not tried.
    assert!(
        opened
            .iter()
            .any(|opened| opened.rebuilt.is_none() && opened.replayed > 0)
    );
}

#[test]
fn a_power_cut_at_any_step_loses_nothing_that_was_answered() {
    let opened = every_moment(|moment| End::PowerCut(0x9e37_79b9_7f4a_7c15 ^ (moment as u64 + 1)));
    assert!(opened.iter().any(|opened| opened.cut.is_some()));
    assert!(
        opened
            .iter()
            .any(|opened| opened.rebuilt == Some(Rebuilt::Rebooted))
    );
}

/// Five acts over three keys in three segments, then chores with a crash at each of their moments.
fn every_moment_of(deeds: &[Deed], end: fn(usize) -> End, least: usize) {
    let batches: Vec<_> = (0..5).map(|n| vec![put(n % 3)]).collect();
    let mut moment = 0;
    while let Some(outcome) = run_with(&batches, deeds, moment, end(moment)) {
        outcome.unwrap_or_else(|why| panic!("moment {moment}: {why}"));
        moment += 1;
    }
    assert!(moment > least, "only {moment} moments: it proves nothing");
}

fn power_cut(moment: usize) -> End {
    End::PowerCut(0x2545_f491_4f6c_dd1d ^ (moment as u64 + 1))
}

#[test]
fn a_kill_at_any_step_of_making_bases_and_stripping_loses_nothing() {
    let deeds = [Deed::Base, Deed::Base, Deed::Strip];
    every_moment_of(&deeds, |_| End::Kill, 40);
}

#[test]
fn a_power_cut_at_any_step_of_making_bases_and_stripping_loses_nothing() {
    let deeds = [Deed::Base, Deed::Base, Deed::Strip];
    every_moment_of(&deeds, power_cut, 40);
}

fn acts() -> impl Strategy<Value = Vec<Vec<Act>>> {
    let act = prop_oneof![
        4 => (0..6_u8, 1..30_000_usize).prop_map(|(key, len)| {
            Act::Put(Class::Intake, format!("k{key}"), vec![key; len])
        }),
        1 => (0..6_u8).prop_map(|key| Act::Remove(format!("k{key}"))),
    ];
    vec(vec(act, 1..5), 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_acts_with_a_crash_at_any_moment_replay_to_the_model(
        batches in acts(), moment in 0..120_usize, dice in any::<u64>(), power in any::<bool>(),
    ) {
        let end = if power { End::PowerCut(dice | 1) } else { End::Kill };
        if let Some(outcome) = run(&batches, moment, end) {
            prop_assert!(outcome.is_ok(), "{:?}", outcome);
            let sent = outcome.map(|opened| opened.restored_copy);
            prop_assert_eq!(sent, Ok(false));
        }
    }
}

/// sled takes what was deferred by several batches, and the head with the last of them.
#[test]
fn a_kill_between_two_batches_of_sled_loses_nothing_and_brings_nothing_back() {
    use super::super::state::{State, folder};
    use super::kit::{Bench, put};
    let bench = Bench::new();
    let (store, _) = bench.open();
    for n in 0..600 {
        store.act_blocking(put(&format!("k{n:04}"), "old")).unwrap();
    }
    store.close_blocking();
    let (sled, kept) = (folder(bench.folder()), bench.folder().join("kept"));
    let checkpoint = fs::read(bench.folder().join("checkpoint")).unwrap();
    copy_folder(&sled, &kept).unwrap();
    let (store, _) = bench.open();
    for n in 0..600 {
        let key = format!("k{n:04}");
        let act = match n % 3 {
            0 => put(&key, "new"),
            1 => Act::Remove(key),
            _ => put(&format!("n{n:04}"), "new"),
        };
        store.act_blocking(act).unwrap();
    }
    let expected = all(&store);
    store.close_blocking();
    // The first batch is in sled, under the old head.
    fs::remove_dir_all(&sled).unwrap();
    fs::rename(&kept, &sled).unwrap();
    fs::write(bench.folder().join("checkpoint"), checkpoint).unwrap();
    let options = &bench.options;
    let state = State::open(bench.folder(), options.cache_bytes, &options.disk).unwrap();
    let first = expected.iter().take(256);
    let first = first.map(|(key, value)| (key.clone().into_bytes(), value.clone()));
    state.fill(first.collect()).unwrap();
    state.flush().unwrap();
    drop(state);
    let (store, opened) = bench.open();
    assert_eq!((opened.rebuilt, opened.replayed), (None, 600));
    assert_eq!(all(&store), expected);
}

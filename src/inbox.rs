//! The watched folder: what is put there whole is taken in once.
//!
//! A file manager shows half-copied files, so an entry is taken only when it stood still between
//! two looks. What was taken moves to `taken/`; what has problems moves to `refused/` with the
//! problems beside it in a text file. Nothing is deleted. The key of a submission is the hash of
//! what was handed in: the same entry put in again is known and makes nothing new.
//!
//! `notify` wakes it, and it looks every five seconds anyway, since network folders send no news.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::engine::suspects::Work;
use crate::intake::Submission;
use crate::service::{Service, Submit, Trouble};

const EVERY: Duration = Duration::from_secs(5);
const TAKEN: &str = "taken";
const REFUSED: &str = "refused";

/// How an entry looked: it is taken when two looks agree.
type Shape = Vec<(PathBuf, u64, Option<std::time::SystemTime>)>;

pub async fn watch(service: Arc<Service>, folder: PathBuf, stop: CancellationToken) {
    for inner in [&folder, &folder.join(TAKEN), &folder.join(REFUSED)] {
        if let Err(error) = std::fs::create_dir_all(inner) {
            tracing::error!("the inbox {} cannot be used: {error}", inner.display());
            return;
        }
    }
    let (news, mut wake) = mpsc::channel::<()>(1);
    let mut watcher = notify::recommended_watcher(move |_| {
        // Full means that a look is owed already.
        let _owed = news.try_send(());
    });
    if let Ok(watcher) = &mut watcher
        && let Err(error) = watcher.watch(&folder, RecursiveMode::Recursive)
    {
        tracing::warn!("the inbox sends no news, it is looked at every 5 s: {error}");
    }
    let mut seen: BTreeMap<PathBuf, Shape> = BTreeMap::new();
    loop {
        look(&service, &folder, &mut seen).await;
        let later = service.time.now() + EVERY;
        tokio::select! {
            () = stop.cancelled() => return,
            () = service.time.sleep_until(later) => {}
            Some(()) = wake.recv() => {
                // News comes in bursts while a folder is copied in.
                let later = service.time.now() + Duration::from_secs(1);
                service.time.sleep_until(later).await;
            }
        }
    }
}

/// One look: takes what stood still since the last one.
pub async fn look(service: &Service, folder: &Path, seen: &mut BTreeMap<PathBuf, Shape>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let mut now = BTreeMap::new();
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.')
            || name == TAKEN
            || name == REFUSED
            || path.extension().is_some_and(|end| end == "part")
        {
            continue;
        }
        let shape = shape(&path);
        if seen.get(&path) == Some(&shape) {
            let work = Work::entry(&format!("{name} {shape:?}"));
            match service.engine.shared.suspects.enter_now(work) {
                Some(_at_work) => take(service, folder, &path, &name).await,
                None => set_aside(folder, &path, &name),
            }
        } else {
            now.insert(path, shape);
        }
    }
    *seen = now;
}

fn shape(path: &Path) -> Shape {
    let mut shape = Shape::new();
    let mut open = vec![path.to_path_buf()];
    while let Some(path) = open.pop() {
        let Ok(meta) = path.symlink_metadata() else {
            continue;
        };
        if meta.is_dir() {
            open.extend(
                std::fs::read_dir(&path)
                    .into_iter()
                    .flatten()
                    .flatten()
                    .map(|e| e.path()),
            );
        }
        shape.push((path, meta.len(), meta.modified().ok()));
    }
    shape.sort();
    shape
}

async fn take(service: &Service, folder: &Path, path: &Path, name: &str) {
    let read = path.to_path_buf();
    let submission = tokio::task::spawn_blocking(move || Submission::from_path(&read)).await;
    let done = match submission {
        Ok(Ok(submission)) => {
            let hash = hash(&submission);
            let submit = Submit {
                submission,
                by: "inbox".to_owned(),
                from: "inbox",
                key: Some((format!("inbox/{hash}"), hash)),
                again: false,
            };
            service.submit(submit).await
        }
        Ok(Err(complaint)) => Err(Trouble::Invalid(vec![complaint])),
        Err(_) => return,
    };
    match done {
        Ok(submitted) => {
            let id = submitted.accepted.item;
            tracing::info!(item.id = %id, "inbox: {name} is item {id}");
            shelve(folder, TAKEN, path, name);
        }
        // Not its fault: it stays and is tried again.
        Err(Trouble::Store(error)) => tracing::warn!("inbox: {name} waits: {error}"),
        Err(trouble) => {
            let problem = trouble.problem();
            tracing::warn!("inbox: {name} was refused: {}", problem.detail_en);
            let mut text = format!("{}\n", problem.detail);
            for one in &problem.problems {
                text.push_str(&format!("{}：{}\n", one.place, one.words.zh));
            }
            refuse(folder, path, name, &text);
        }
    }
}

/// The process died with it three times in a row.
fn set_aside(folder: &Path, path: &Path, name: &str) {
    tracing::error!("inbox: {name} is set aside: the process died three times while it was read");
    let text = "读取这份稿件时程序已连续三次中断，没有收下。请检查文件后换一种格式重新投入，并把它交给运维。\n";
    refuse(folder, path, name, text);
}

/// Moved aside, with the reasons beside it.
fn refuse(folder: &Path, path: &Path, name: &str, text: &str) {
    let Some(place) = shelve(folder, REFUSED, path, name) else {
        return;
    };
    let note = place.with_file_name(format!(
        "{}.问题.txt",
        place.file_name().unwrap_or_default().to_string_lossy()
    ));
    if let Err(error) = std::fs::write(&note, text) {
        tracing::error!("{} cannot be written: {error}", note.display());
    }
}

fn hash(submission: &Submission) -> String {
    let mut hasher = blake3::Hasher::new();
    for file in &submission.files {
        hasher.update(file.path.as_bytes()).update(b"\0");
        hasher.update(blake3::hash(&file.bytes).as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// Moves an entry aside, under a name that is free.
fn shelve(folder: &Path, shelf: &str, path: &Path, name: &str) -> Option<PathBuf> {
    let shelf = folder.join(shelf);
    let place = (0..1000)
        .map(|at| {
            if at == 0 {
                name.to_owned()
            } else {
                format!("{at}-{name}")
            }
        })
        .map(|name| shelf.join(name))
        .find(|place| !place.exists())?;
    match std::fs::rename(path, &place) {
        Ok(()) => Some(place),
        Err(error) => {
            tracing::error!(
                "{} cannot be moved to {}: {error}",
                path.display(),
                place.display()
            );
            None
        }
    }
}

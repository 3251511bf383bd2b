//! The watched folder: what is put there whole is taken in once.
//!
//! A file manager shows half-copied files, so an entry is taken only when it stood still between
//! two looks. What was taken moves to `taken/`; what has problems moves to `refused/` with the
//! problems beside it in a text file. Nothing is deleted. The key of a submission is the hash of
//! what was handed in: the same entry put in again is known and makes nothing new.
//!
//! `notify` wakes it, and it looks every five seconds anyway, since network folders send no news. They may also hang for
//! hours. So no file is touched on the runtime's own threads: then only the inbox waits, and nothing else.

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
    let (news, mut wake) = mpsc::channel::<()>(1);
    let own = folder.clone();
    let prepared = apart(move || prepare(&own, news));
    let prepared = stop.run_until_cancelled(prepared).await.flatten();
    let Some(Some(_watcher)) = prepared else {
        return;
    };
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

/// Its folders are there, and news of them comes as long as what this gives is kept. None where it cannot be used.
fn prepare(folder: &Path, news: mpsc::Sender<()>) -> Option<notify::Result<impl Send + use<>>> {
    for inner in [folder, &folder.join(TAKEN), &folder.join(REFUSED)] {
        if let Err(error) = std::fs::create_dir_all(inner) {
            tracing::error!("the inbox {} cannot be used: {error}", inner.display());
            return None;
        }
    }
    let mut watcher = notify::recommended_watcher(move |_| {
        // Full means that a look is owed already.
        let _owed = news.try_send(());
    });
    if let Ok(watcher) = &mut watcher
        && let Err(error) = watcher.watch(folder, RecursiveMode::Recursive)
    {
        tracing::warn!("the inbox sends no news, it is looked at every 5 s: {error}");
    }
    Some(watcher)
}

/// On a thread that may stand still for as long as a dead folder takes.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

/// One look: takes what stood still since the last one.
pub async fn look(service: &Service, folder: &Path, seen: &mut BTreeMap<PathBuf, Shape>) {
    let own = folder.to_path_buf();
    let Some(Some(entries)) = apart(move || entries(&own)).await else {
        return;
    };
    let mut now = BTreeMap::new();
    for (entry, shape) in entries {
        if seen.get(&entry.path) == Some(&shape) {
            let work = Work::entry(&format!("{} {shape:?}", entry.name));
            match service.engine.shared.suspects.enter_now(work) {
                Some(_at_work) => take(service, entry).await,
                None => set_aside(entry).await,
            }
        } else {
            now.insert(entry.path, shape);
        }
    }
    *seen = now;
}

/// Something that was put in.
#[derive(Debug, Clone)]
struct Entry {
    folder: PathBuf,
    path: PathBuf,
    name: String,
}

fn entries(folder: &Path) -> Option<Vec<(Entry, Shape)>> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let ours = name == TAKEN || name == REFUSED;
        if ours || name.starts_with('.') || path.extension().is_some_and(|end| end == "part") {
            continue;
        }
        let shape = shape(&path);
        let folder = folder.to_path_buf();
        entries.push((Entry { folder, path, name }, shape));
    }
    Some(entries)
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

async fn take(service: &Service, entry: Entry) {
    let read = entry.path.clone();
    let name = entry.name.clone();
    let done = match apart(move || Submission::from_path(&read)).await {
        Some(Ok(submission)) => {
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
        Some(Err(complaint)) => Err(Trouble::Invalid(vec![complaint])),
        None => return,
    };
    match done {
        Ok(submitted) => {
            let id = submitted.accepted.item;
            tracing::info!(item.id = %id, "inbox: {name} is item {id}");
            apart(move || shelve(&entry, TAKEN)).await;
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
            apart(move || refuse(&entry, &text)).await;
        }
    }
}

/// The process died with it three times in a row.
async fn set_aside(entry: Entry) {
    let name = &entry.name;
    tracing::error!("inbox: {name} is set aside: the process died three times while it was read");
    let text = "读取这份稿件时程序已连续三次中断，没有收下。请检查文件后换一种格式重新投入，并把它交给运维。\n";
    apart(move || refuse(&entry, text)).await;
}

/// Moved aside, with the reasons beside it.
fn refuse(entry: &Entry, text: &str) {
    let Some(place) = shelve(entry, REFUSED) else {
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
fn shelve(entry: &Entry, shelf: &str) -> Option<PathBuf> {
    let Entry { folder, path, name } = entry;
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

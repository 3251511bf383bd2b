//! A data folder that this format's first version wrote, kept for every later version to open.
//!
//! The fixture is made by the ignored test below, and never again for the same format:
//! `cargo test --test story writes_the_first_format -- --ignored`. It holds two items, one published and one waiting, a base,
//! closed segments and blobs; sled and the lock are left out, being derived.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lubu::ids::ItemId;
use lubu::model::delivery::PublicState;
use lubu::store::Store as _;
use lubu::store::embedded::{self, Deed, Finding, Options, audit};
use lubu::store::local::Local;
use lubu::store::office::{Office, Rules};
use lubu_channels::Effect;

use crate::house::{House, Wired};
use crate::scripted::Scripted;

const LEFT_OUT: [&str; 4] = ["sled", "lock", "ballast", "checkpoint"];

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store-v1.zst")
}

type Packed = Vec<(String, Vec<u8>)>;

fn gather(root: &Path, folder: &Path, into: &mut Packed) {
    for entry in std::fs::read_dir(folder).expect("read") {
        let path = entry.expect("read").path();
        let name = path.strip_prefix(root).expect("inside");
        let name = name.to_str().expect("plain").to_owned();
        if LEFT_OUT.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            gather(root, &path, into);
        } else {
            into.push((name, std::fs::read(&path).expect("read")));
        }
    }
}

fn options(data: &Path) -> Options {
    let mut options = Options::new(data, Arc::new(|| 1_790_000_000_000));
    options.segment_bytes = 64 << 10;
    options.ballast_bytes = 1 << 16;
    options.low_bytes = 0;
    options.cache_bytes = 8 << 20;
    options.watch_panics = false;
    options
}

#[tokio::test]
#[ignore = "writes the fixture of a format, once"]
async fn writes_the_first_format() {
    let (channel, _) = Scripted::new(Effect::Public, |_| {});
    let mut house = House::new(vec![Wired::new("weibo", channel)]).await;
    let (item, revision) = house.submit("已经发布").await;
    house.approve(&revision).await.expect("signed");
    house.until(item, "weibo", PublicState::Published).await;
    house.pause("weibo").await;
    let (_, revision) = house.submit("正在等待").await;
    house.approve(&revision).await.expect("signed");
    house.store.put_blob(b"blob".to_vec()).await.expect("kept");
    let folder = house.leave().await;
    let data = folder.path().join("data");
    let made = tokio::task::spawn_blocking(move || {
        let office = Office::new(Rules::default());
        let (store, _) = embedded::Store::open(&options(&data), office).expect("opens");
        store.care_blocking(Deed::Base).expect("made");
        store.close_blocking();
        let mut packed = Packed::new();
        gather(&data, &data, &mut packed);
        packed.sort();
        postcard::to_stdvec(&packed).expect("packed")
    });
    let bytes = zstd::bulk::compress(&made.await.expect("made"), 19).expect("packed");
    std::fs::create_dir_all(fixture().parent().expect("a folder")).expect("made");
    std::fs::write(fixture(), bytes).expect("written");
}

fn unpack(data: &Path) {
    let bytes = std::fs::read(fixture()).expect("the fixture is there");
    let bytes = zstd::stream::decode_all(bytes.as_slice()).expect("whole");
    let packed: Packed = postcard::from_bytes(&bytes).expect("whole");
    for (name, bytes) in packed {
        let path = data.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, bytes).expect("written");
    }
}

#[tokio::test]
async fn a_folder_of_the_first_format_opens_with_its_records_and_verifies() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    unpack(&data);
    let own = options(&data);
    let opening = tokio::task::spawn_blocking(move || Local::open_with(&own, Rules::default()));
    let (store, opened) = opening.await.expect("opens").expect("opens");
    assert!(opened.base.is_some() && opened.bad_bases.is_empty());
    assert!(opened.restored_copy, "a fixture is a copy");
    let items = store.items(None, 10).await.expect("read");
    let mut titles: Vec<_> = items.iter().map(|item| item.title.as_str()).collect();
    titles.sort_unstable();
    assert_eq!(titles, ["已经发布", "正在等待"]);
    let id = |title: &str| -> ItemId {
        let found = items.iter().find(|item| item.title == title);
        found.expect("there").id
    };
    let state = async |title| {
        let dossier = store
            .dossier(id(title))
            .await
            .expect("read")
            .expect("there");
        assert_eq!((dossier.revisions.len(), dossier.approvals.len()), (1, 1));
        dossier.deliveries[0].public_state()
    };
    assert_eq!(state("已经发布").await, PublicState::Published);
    assert_eq!(state("正在等待").await, PublicState::Pending);
    // That store kept no list of what is not at rest: it learns it when it opens.
    let unsettled = store.unsettled().await.expect("read");
    let unsettled: Vec<ItemId> = unsettled.iter().map(|one| one.id.item).collect();
    assert_eq!(unsettled, [id("正在等待")]);
    let hash = blake3::hash(b"blob").to_hex().to_string();
    let blob = store.blob(&hash).await.expect("read").expect("there");
    assert_eq!(blob.as_slice(), b"blob");
    store.close().await;
    drop(store);
    audit::verify(&data).expect("whole");
    let checked = tokio::task::spawn_blocking(move || {
        embedded::check::<Office>(&options(&data), &|_, _| {}).expect("walked through")
    });
    // The story's revisions are signed without their content being kept.
    let findings = checked.await.expect("done").findings;
    let known = |one: &Finding| matches!(one, Finding::BlobMissing(_));
    assert!(
        findings.len() == 2 && findings.iter().all(known),
        "{findings:?}"
    );
}

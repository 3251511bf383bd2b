//! Data folders that versions of this format wrote, kept for every later version to open.
//!
//! Each is made by an ignored test below, and never again:
//! - `store-v1.zst` by `cargo test --test story writes_the_first_format -- --ignored`: what the very first version wrote. Two items,
//!   one published and one waiting, a base, closed segments and blobs.
//! - `store-v1-states.zst` by `cargo test --test story writes_every_state -- --ignored`: an item in every state that something can
//!   stand in, one of them under way when the process died, one withdrawn, and one erased.
//!
//! sled and the lock are left out, being derived.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lubu::ids::{DeliveryId, ItemId};
use lubu::model::delivery::PublicState;
use lubu::store::act::Actor;
use lubu::store::embedded::{self, Deed, Erasure, Finding, OpenError, Options, audit};
use lubu::store::local::Local;
use lubu::store::office::{self, Office, Rules};
use lubu::store::{Act, Store as _};
use lubu_channels::{Clock as _, Effect, Fate, Reach, Verdict};

use crate::house::{House, Wired};
use crate::scripted::{Does, Scripted};

const LEFT_OUT: [&str; 4] = ["sled", "lock", "ballast", "checkpoint"];

const FIRST: &str = "store-v1.zst";
const STATES: &str = "store-v1-states.zst";

fn fixture(name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    fixtures.join(name)
}

fn pack(data: &Path, name: &str) {
    let mut packed = Packed::new();
    gather(data, data, &mut packed);
    packed.sort();
    let bytes = postcard::to_stdvec(&packed).expect("packed");
    let bytes = zstd::bulk::compress(&bytes, 19).expect("packed");
    std::fs::create_dir_all(fixture(name).parent().expect("a folder")).expect("made");
    std::fs::write(fixture(name), bytes).expect("written");
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
        pack(&data, FIRST);
    });
    made.await.expect("made");
}

/// What a delivery that carries this title stands in.
const STANDS: [(&str, PublicState); 9] = [
    ("正在等待", PublicState::Pending),
    ("正在发送", PublicState::Sending),
    ("平台审核中", PublicState::InReview),
    ("稍后再试", PublicState::Retrying),
    ("结果不明", PublicState::Unconfirmed),
    ("暂缓", PublicState::Held),
    ("已经发布", PublicState::Published),
    ("被平台拒收", PublicState::Failed),
    ("已经撤下", PublicState::Withdrawn),
];

fn erase(data: &Path, item: ItemId) {
    let erasure = Erasure {
        item: &item.to_string(),
        by: "leader",
        reason: "个人隐私",
        act: Act::Erase {
            actor: Actor::new("leader", "cli"),
            item,
            outdated: false,
        },
        belongs: &|key, value| office::belongs(item, key, value),
    };
    let domain = || Office::new(Rules::default());
    let erased = embedded::erase(&options(data), &domain, erasure).expect("erased");
    assert!(erased.records);
}

#[tokio::test]
#[ignore = "writes the fixture of a format, once"]
async fn writes_every_state() {
    let (channel, world) = Scripted::new(Effect::Public, |_| {});
    let (other, _) = Scripted::new(Effect::Public, |_| {});
    let wired = vec![Wired::new("weibo", channel), Wired::new("portal", other)];
    let mut house = House::new(wired).await;
    house.pause("portal").await;
    let mut gone = Vec::new();
    for title in ["已经撤下", "已经清除"] {
        let (item, revision) = house.submit_kept(title).await;
        house.approve(&revision).await.expect("signed");
        house.until(item, "weibo", PublicState::Published).await;
        house.withdraw(item).await;
        let house = &house;
        let withdrawn = || async move {
            let now = house.delivery(item, "weibo").await;
            if let Some(next) = now.next_at() {
                house.time.set(next.max(house.time.now()));
            }
            now.public_state() == PublicState::Withdrawn
        };
        house.once("withdrawn", withdrawn).await;
        gone.push(item);
    }
    let erased = gone[1];
    let mut house = house.beside(move |data| erase(data, erased)).await;
    house.time.advance(std::time::Duration::from_secs(1));
    for (title, state) in STANDS {
        let does = match state {
            PublicState::Retrying => Does::Refuses(Fate::Again { not_before: None }),
            PublicState::Unconfirmed => Does::LosesAnswer,
            PublicState::Held => Does::Refuses(Fate::Blocked(Reach::Goal)),
            PublicState::Failed => Does::Refuses(Fate::Never),
            PublicState::InReview | PublicState::Published => Does::Works,
            // These come last, below; the withdrawn one is there.
            _ => continue,
        };
        let (item, revision) = house.submit_kept(title).await;
        {
            let mut world = world.lock().expect("unpoisoned");
            world.script.push_back(does);
            world.said = (state == PublicState::InReview).then_some(Verdict::Reviewing);
        }
        house.approve(&revision).await.expect("signed");
        house.until(item, "weibo", state).await;
    }
    let (item, revision) = house.submit_kept("正在发送").await;
    world
        .lock()
        .expect("unpoisoned")
        .script
        .push_back(Does::Hangs);
    house.approve(&revision).await.expect("signed");
    house.until(item, "weibo", PublicState::Sending).await;
    house.pause("weibo").await;
    let (_, revision) = house.submit_kept("正在等待").await;
    house.approve(&revision).await.expect("signed");
    let folder = house.leave_dead(&world).await;
    pack(&folder.path().join("data"), STATES);
}

fn unpack(name: &str, data: &Path) {
    let bytes = std::fs::read(fixture(name)).expect("the fixture is there");
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
    unpack(FIRST, &data);
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

#[tokio::test]
async fn a_folder_with_an_item_in_every_state_opens_with_all_of_them_where_they_stood() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    unpack(STATES, &data);
    let own = options(&data);
    let opening = tokio::task::spawn_blocking(move || Local::open_with(&own, Rules::default()));
    let (store, opened) = opening.await.expect("opens").expect("opens");
    assert!(opened.bad_bases.is_empty() && opened.damage.is_none());
    let items = store.items(None, 20).await.expect("read");
    let channels = store.channels().await.expect("read");
    let weibo = channels.iter().find(|one| one.name == "weibo");
    let weibo = weibo.expect("there").number;
    let (mut found, mut unsettled) = (Vec::new(), Vec::new());
    for item in &items {
        let dossier = store.dossier(item.id).await.expect("read").expect("there");
        assert_eq!((dossier.revisions.len(), dossier.approvals.len()), (1, 1));
        let moving = dossier
            .deliveries
            .iter()
            .map(|one| (one.id, one.public_state()));
        unsettled.extend(moving.filter_map(|(id, state)| (!state.at_rest()).then_some(id)));
        let of_it = dossier
            .deliveries
            .iter()
            .find(|one| one.id.channel == weibo);
        let delivery = of_it.expect("there");
        if let Some(attempt) = delivery.log.iter().last() {
            assert!(!attempt.step.is_empty(), "its attempts are read");
        }
        found.push((item.title.clone(), delivery.public_state()));
    }
    let by_title = |one: &(String, PublicState)| one.0.clone();
    found.sort_by_key(by_title);
    let mut expected = STANDS.map(|(title, state)| (title.to_owned(), state));
    expected.sort_by_key(by_title);
    assert_eq!(found, expected);
    // It noted what is not at rest by a key for each delivery; now they share one by sixteens.
    unsettled.sort();
    assert!(!unsettled.is_empty());
    let noted = store.unsettled().await.expect("read");
    let noted: Vec<DeliveryId> = noted.iter().map(|one| one.id).collect();
    assert_eq!(noted, unsettled);
    store.close().await;
    drop(store);
    audit::verify(&data).expect("whole");
    let erased = embedded::erasures(&data).expect("read");
    let [(_, header)] = erased.as_slice() else {
        unreachable!("one was erased: {erased:?}");
    };
    let gone: ItemId = header
        .outcome
        .as_deref()
        .expect("named")
        .parse()
        .expect("an id");
    assert!(items.iter().all(|item| item.id != gone));
}

#[test]
fn fault_31_a_folder_of_a_newer_format_is_refused_with_both_numbers_and_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    unpack(STATES, &data);
    let path = data.join("store.toml");
    let text = std::fs::read_to_string(&path).expect("read");
    let (known, newer) = (embedded::FORMAT, embedded::FORMAT + 1);
    let text = text.replace(&format!("format = {known}"), &format!("format = {newer}"));
    std::fs::write(&path, text).expect("written");
    let listed = |data: &Path| {
        let mut files = Packed::new();
        gather(data, data, &mut files);
        files.sort();
        files
    };
    let before = listed(&data);
    let refused = Local::open_with(&options(&data), Rules::default());
    let Err(refused) = refused else {
        unreachable!("it opened");
    };
    assert!(
        matches!(refused, OpenError::NewerFormat { .. }),
        "{refused}"
    );
    let zh = refused.zh();
    assert!(
        zh.contains(&format!("数据格式为 {newer}")) && zh.contains(&known.to_string()),
        "{zh}"
    );
    assert!(
        refused.to_string().contains("install a newer lubu"),
        "{refused}"
    );
    assert!(listed(&data) == before, "nothing was changed");
}

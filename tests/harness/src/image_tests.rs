//! What an image may hold.

use super::*;

fn create(ino: u64, path: &str) -> Record {
    Record::Create {
        ino,
        path: path.to_owned(),
    }
}

fn write(ino: u64, at: u64, bytes: &[u8]) -> Record {
    Record::Write {
        ino,
        at,
        bytes: bytes.to_vec(),
    }
}

fn sync_folder(path: &str) -> Record {
    Record::SyncFolder {
        path: path.to_owned(),
    }
}

fn rename(from: &str, to: &str) -> Record {
    Record::Rename {
        from: from.to_owned(),
        to: to.to_owned(),
    }
}

fn found(records: &[Record], bytes: Bytes, names: Names) -> Image {
    Disk::after(records).lose(Loss { bytes, names }, &mut Dice::new(7))
}

#[test]
fn bytes_that_were_not_synced_are_lost_and_those_before_the_sync_are_not() {
    let records = [
        create(1, "a"),
        sync_folder(""),
        write(1, 0, b"old"),
        Record::Sync { ino: 1 },
        write(1, 0, b"new"),
        Record::Range { ino: 1 },
    ];
    assert_eq!(
        found(&records, Bytes::Synced, Names::Synced).files["a"],
        b"old"
    );
    assert_eq!(found(&records, Bytes::All, Names::All).files["a"], b"new");
}

#[test]
fn a_name_lasts_once_its_folder_is_synced_however_often_its_file_is() {
    let records = [create(1, "a"), write(1, 0, b"x"), Record::Sync { ino: 1 }];
    assert!(found(&records, Bytes::All, Names::Synced).files.is_empty());
    let synced = [&records[..], &[sync_folder("")]].concat();
    assert_eq!(
        found(&synced, Bytes::Synced, Names::Synced).files["a"],
        b"x"
    );
}

#[test]
fn a_rename_that_was_not_synced_leaves_the_old_file_under_the_name() {
    let records = [
        create(1, "f"),
        write(1, 0, b"one"),
        Record::Sync { ino: 1 },
        sync_folder(""),
        create(2, "f.tmp"),
        write(2, 0, b"two"),
        Record::Sync { ino: 2 },
        rename("f.tmp", "f"),
    ];
    let lost = found(&records, Bytes::Synced, Names::Synced);
    assert_eq!(
        lost.files,
        BTreeMap::from([("f".to_owned(), b"one".to_vec())])
    );
    let kept = found(&records, Bytes::Synced, Names::All);
    assert_eq!(
        kept.files,
        BTreeMap::from([("f".to_owned(), b"two".to_vec())])
    );
}

#[test]
fn a_file_in_a_folder_that_is_gone_is_gone() {
    let records = [
        Record::Folder {
            path: "d".to_owned(),
        },
        create(1, "d/a"),
        sync_folder("d"),
    ];
    assert_eq!(found(&records, Bytes::All, Names::Synced), Image::default());
}

#[test]
fn of_a_torn_write_only_sectors_at_its_front_arrive() {
    let records = [create(1, "a"), sync_folder(""), write(1, 100, &[7; 2000])];
    for seed in 0..50 {
        let loss = Loss {
            bytes: Bytes::TornLast,
            names: Names::All,
        };
        let image = Disk::after(&records).lose(loss, &mut Dice::new(seed));
        let len = image.files["a"].len();
        assert!(len < 2100 && len.is_multiple_of(512), "{len}");
    }
}

#[test]
fn a_page_is_found_as_it_was_at_some_moment() {
    let mut records = vec![create(1, "a"), sync_folder(""), write(1, 0, &[0; 8192])];
    records.push(Record::Sync { ino: 1 });
    for value in 1..=4 {
        records.push(write(1, 0, &[value; 8192]));
    }
    let mut mixed = false;
    for seed in 0..100 {
        let loss = Loss {
            bytes: Bytes::Pages,
            names: Names::All,
        };
        let image = Disk::after(&records).lose(loss, &mut Dice::new(seed));
        let (first, second) = image.files["a"].split_at(4096);
        assert!(first.iter().all(|byte| *byte == first[0]));
        assert!(second.iter().all(|byte| *byte == second[0]));
        mixed |= first[0] != second[0];
    }
    assert!(mixed);
}

#[test]
fn what_a_failed_sync_left_in_the_cache_is_lost_until_it_is_written_again() {
    let failed = Record::Failed {
        kind: "sync".to_owned(),
        path: "a".to_owned(),
        errno: 5,
    };
    let mut records = vec![
        create(1, "a"),
        sync_folder(""),
        write(1, 0, b"one"),
        failed,
        Record::Sync { ino: 1 },
    ];
    let image = |records: &[Record], bytes| found(records, bytes, Names::All).files["a"].clone();
    assert_eq!(image(&records, Bytes::Synced), b"");
    assert_eq!(image(&records, Bytes::All), b"one");
    records.extend([write(1, 1, b"N"), Record::Sync { ino: 1 }]);
    assert_eq!(image(&records, Bytes::Synced), b"oNe");
}

#[test]
fn an_inode_that_is_used_again_is_another_file() {
    let records = [
        create(1, "a"),
        write(1, 0, b"first"),
        Record::Remove {
            path: "a".to_owned(),
        },
        create(1, "b"),
        write(1, 0, b"x"),
    ];
    let image = found(&records, Bytes::All, Names::All);
    assert_eq!(
        image.files,
        BTreeMap::from([("b".to_owned(), b"x".to_vec())])
    );
}

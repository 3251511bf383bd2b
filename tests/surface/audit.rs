//! The log of who did what: whole, told in a sentence, and a flipped byte is found.

use crate::office::Office;

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_whole_and_names_the_first_entry_that_is_not() {
    let mut office = Office::open("").await;
    let first = office.notice("甲", "甲通知", "甲。");
    office.notice("乙", "乙通知", "乙。");
    office
        .lubu(&["approve", &first, "--by", "陈主任", "--scope", "withheld"])
        .done();
    assert_eq!(office.stop(), 0);

    let whole = office.lubu(&["audit", "verify"]).done();
    assert!(
        whole.out.contains("日志完整") && !whole.out.contains("Verified"),
        "{}",
        whole.out
    );
    let told = office.json(&["audit", "verify"]);
    assert_eq!(told["whole"], true);
    let entries = told["entries"].as_u64().expect("a count");
    assert!(entries >= 3, "{told}");

    let listed = office.lubu(&["audit", "list", "--json"]).done();
    let rows: Vec<serde_json::Value> = listed
        .out
        .lines()
        .map(|line| serde_json::from_str(line).expect("one entry a line"))
        .collect();
    assert_eq!(rows.len() as u64, entries);
    let signed = rows
        .iter()
        .find(|row| row["who"] == "陈主任")
        .expect("the approval");
    assert_eq!(signed["item"], first.as_str());
    assert_eq!(signed["from"], "cli");

    let journal = office.path("data/journal");
    let segment = std::fs::read_dir(journal)
        .expect("a journal")
        .flatten()
        .map(|entry| entry.path())
        .min()
        .expect("a segment");
    let mut bytes = std::fs::read(&segment).expect("read");
    let place = find(&bytes, "陈主任".as_bytes());
    bytes[place] ^= 1;
    std::fs::write(&segment, bytes).expect("written");
    let why = office.lubu(&["audit", "verify"]).refused();
    let sequence = signed["sequence"].as_str().expect("a string");
    assert!(
        why.contains(&format!("第 {sequence} 条")),
        "{sequence}: {why}"
    );
    let told = office.lubu(&["audit", "verify", "--json"]);
    assert_eq!(told.code, 1);
    assert_eq!(told.json()["whole"], false);
    assert_eq!(told.json()["sequence"], sequence);
}

fn find(bytes: &[u8], what: &[u8]) -> usize {
    let at = bytes.windows(what.len()).position(|part| part == what);
    at.expect("the journal names who signed")
}

//! What happens to acts that are written together.

use super::super::*;
use super::kit::{Act, Bench, No, Script, all, intent, put, settle, together};

fn go(_: &Op<'_>) -> Verdict {
    Verdict::Go
}

#[test]
fn what_settles_goes_before_intents_and_intents_before_intake() {
    let gate = Script::new(go);
    let bench = Bench::gated(&gate);
    let (store, _) = bench.open();
    let acts = vec![
        put("a", "1"),
        intent("b", "1"),
        settle("c", "1"),
        settle("d", "1"),
    ];
    let stamps = together(&store, &gate, acts, go);
    let order: Vec<u64> = stamps
        .into_iter()
        .map(|stamp| stamp.unwrap().sequence)
        .collect();
    assert_eq!(order, [5, 4, 2, 3]);
}

#[test]
fn a_refusal_does_not_fail_its_group_and_takes_no_sequence() {
    let gate = Script::new(go);
    let bench = Bench::gated(&gate);
    let (store, _) = bench.open();
    let acts = vec![put("a", "1"), Act::Refuse, put("b", "1")];
    let answers = together(&store, &gate, acts, go);
    assert_eq!(answers[0].as_ref().unwrap().sequence, 2);
    assert_eq!(answers[1], Err(ActError::Refused(No)));
    assert_eq!(answers[2].as_ref().unwrap().sequence, 3);
}

#[test]
fn an_act_sees_the_acts_before_it_in_its_group() {
    let gate = Script::new(go);
    let bench = Bench::gated(&gate);
    let (store, _) = bench.open();
    store.act_blocking(put("k1", "old")).unwrap();
    store.act_blocking(put("k2", "old")).unwrap();
    let acts = vec![
        put("k0", "1"),
        Act::Remove("k1".into()),
        put("k3", "1"),
        Act::Count("k".into(), "n".into()),
        put("k2", "new"),
    ];
    together(&store, &gate, acts, go);
    let state = all(&store);
    assert_eq!(state["n"], b"3");
    assert_eq!(state["k2"], b"new");
    assert!(!state.contains_key("k1"));
}

#[test]
fn an_act_that_is_too_large_is_refused_and_the_others_of_its_group_are_not() {
    let gate = Script::new(go);
    let bench = Bench::gated(&gate);
    let (store, _) = bench.open();
    let large = Act::Put(Class::Intake, "large".into(), vec![1; MAX_VALUE + 1]);
    let ours = put("\0head", "1");
    let answers = together(
        &store,
        &gate,
        vec![put("a", "1"), large, ours, put("b", "1")],
        go,
    );
    assert_eq!(answers[1], Err(ActError::TooLarge(Misfit::Value)));
    assert_eq!(answers[2], Err(ActError::TooLarge(Misfit::Key)));
    assert_eq!(all(&store).keys().collect::<Vec<_>>(), ["a", "b", "held"]);
}

#[test]
fn more_acts_than_one_frame_holds_are_all_written_in_order() {
    let gate = Script::new(go);
    let bench = Bench::gated(&gate);
    let (store, _) = bench.open();
    let value = vec![7; MAX_VALUE];
    let acts = (0..40)
        .map(|n| Act::Put(Class::Intake, format!("k{n:02}"), value.clone()))
        .collect();
    let answers = together(&store, &gate, acts, go);
    let order: Vec<u64> = answers
        .into_iter()
        .map(|answer| answer.unwrap().sequence)
        .collect();
    assert_eq!(order, (2..42).collect::<Vec<_>>());
    store.close_blocking();
    std::fs::remove_dir_all(bench.folder().join("sled")).unwrap();
    assert_eq!(all(&bench.open().0).len(), 41);
}

#[test]
fn a_panic_in_a_decision_ends_the_process_and_answers_nobody_with_success() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    store.act_blocking(put("a", "1")).unwrap();
    let answer = store.act_blocking(Act::Panic);
    assert_eq!(answer, Err(ActError::Unavailable(Unavailable::Stopped)));
    drop(store);
    assert_eq!(bench.died_of(), ["the writer panicked"]);
    assert_eq!(all(&bench.open().0).len(), 1);
}

#[test]
fn a_closed_store_takes_nothing_more() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    let other = store.clone();
    store.close_blocking();
    assert_eq!(
        other.act_blocking(put("a", "1")),
        Err(ActError::Unavailable(Unavailable::Stopped))
    );
    assert_eq!(other.health(), Health::Stopped);
}

#[tokio::test]
async fn tasks_act_and_read_without_blocking() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    for n in 0..5 {
        store.act(put(&format!("k{n}"), "v")).await.unwrap();
    }
    let page = |after: Option<&'static [u8]>, order| {
        store.read(move |reader| {
            let scan = Scan {
                prefix: b"k",
                after,
                limit: 2,
                order,
            };
            let pairs = reader.scan_prefix(&scan).unwrap();
            pairs.iter().map(|(key, _)| key[1]).collect::<Vec<_>>()
        })
    };
    assert_eq!(page(None, Order::Forward).await.unwrap(), b"01");
    assert_eq!(page(Some(b"k1"), Order::Forward).await.unwrap(), b"23");
    assert_eq!(page(None, Order::Reverse).await.unwrap(), b"43");
    assert_eq!(page(Some(b"k1"), Order::Reverse).await.unwrap(), b"0");
    store.close().await;
}

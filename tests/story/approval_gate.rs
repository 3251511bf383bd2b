//! Nothing leaves without an approval of exactly this content with scope public (invariant 1).

use lubu::ids::DeliveryId;
use lubu::model::delivery::{JobNow, PublicState};
use lubu::model::scope::Scope;
use lubu::store::{Act, Refusal, StoreError};
use lubu_channels::{Effect, Goal, Step};

use crate::house::{House, Wired};
use crate::scripted::Scripted;

#[tokio::test]
async fn seed_36_the_drafter_cannot_sign_their_own_item() {
    let (channel, world) = Scripted::new(Effect::Idempotent, |_| {});
    let mut house = House::new(vec![Wired::new("site", channel)]).await;
    let (_, revision) = house.submit("进展").await;
    let refused = house
        .sign(&revision, Scope::Public, "clerk", Vec::new())
        .await;
    assert_eq!(refused, Err(StoreError::Refused(Refusal::OwnWork)));
    assert!(world.lock().expect("unpoisoned").calls.is_empty());
}

#[tokio::test]
async fn seed_40_what_is_signed_with_another_scope_goes_nowhere() {
    for scope in [Scope::Intranet, Scope::Restricted, Scope::Withheld] {
        let (channel, world) = Scripted::new(Effect::Idempotent, |_| {});
        let mut house = House::new(vec![Wired::new("site", channel)]).await;
        let (item, revision) = house.submit("内部事项").await;
        house
            .sign(&revision, scope, "leader", Vec::new())
            .await
            .expect("signed");
        assert!(house.store.deliveries(item).await.expect("read").is_empty());
        assert!(world.lock().expect("unpoisoned").calls.is_empty());
    }
}

#[tokio::test]
async fn an_approval_of_other_bytes_is_refused() {
    let (channel, _) = Scripted::new(Effect::Idempotent, |_| {});
    let mut house = House::new(vec![Wired::new("site", channel)]).await;
    let (_, mut revision) = house.submit("进展").await;
    revision.hash = "0".repeat(64);
    let refused = house.approve(&revision).await;
    assert_eq!(refused, Err(StoreError::Refused(Refusal::OtherContent)));
}

#[tokio::test]
async fn an_older_revision_cannot_be_signed_once_there_is_a_newer_one() {
    let (channel, _) = Scripted::new(Effect::Idempotent, |_| {});
    let mut house = House::new(vec![Wired::new("site", channel)]).await;
    let (item, old) = house.submit("进展").await;
    house.revise(item, "进展(更正)").await;
    let refused = house.approve(&old).await;
    assert_eq!(
        refused,
        Err(StoreError::Refused(Refusal::Superseded { latest: 2 }))
    );
}

#[tokio::test]
async fn an_intent_for_a_draft_that_nobody_signed_is_refused_in_the_same_act() {
    let (channel, _) = Scripted::new(Effect::Idempotent, |_| {});
    let mut house = House::new(vec![Wired::new("site", channel)]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    let live = house.until(item, "site", PublicState::Published).await;
    let second = house.revise(item, "没有签发的新版").await;
    let forged = Act::Intent {
        id: DeliveryId {
            item,
            channel: house.no("site"),
        },
        version: live.version,
        job: Box::new(JobNow {
            goal: Goal::Update,
            revision: second.number,
            draft: "f".repeat(64),
            blob: "f".repeat(64),
            round: 2,
        }),
        step: Step::new("send", Effect::Idempotent),
    };
    let refused = house.store.act(forged).await.expect_err("refused");
    assert_eq!(refused, StoreError::Refused(Refusal::Stale));
}

#[tokio::test]
async fn an_act_that_read_an_older_version_is_refused_and_changes_nothing() {
    let (channel, _) = Scripted::new(Effect::Idempotent, |_| {});
    let mut house = House::new(vec![Wired::new("site", channel)]).await;
    let (item, revision) = house.submit("进展").await;
    house.approve(&revision).await.expect("signed");
    let live = house.until(item, "site", PublicState::Published).await;
    let job = live.job.clone().expect("a job");
    let late = Act::Intent {
        id: live.id,
        version: live.version - 1,
        job: Box::new(job),
        step: Step::new("send", Effect::Idempotent),
    };
    let refused = house.store.act(late).await.expect_err("refused");
    assert_eq!(refused, StoreError::Refused(Refusal::Stale));
    assert_eq!(house.delivery(item, "site").await, live);
}

//! Stories of this platform alone.

use std::sync::Arc;

use serde_json::json;

use super::platform::{APP_SECRET, Platform};
use crate::conformance::{Ended, Rig, World, sample};
use crate::contract::{
    Clock, Document, Fate, Goal, Kind, Match, RemovedBy, Step, Subject, Target, Verdict,
};

/// A world, and the platform in it.
fn world(mode: &'static str) -> (World, Arc<Platform>) {
    let platform = Arc::new(Platform::in_mode(mode));
    let world = World::new(Arc::clone(&platform) as Arc<dyn Rig>).unwrap();
    (world, platform)
}

/// Runs up to the step of this name and returns it.
async fn up_to(world: &mut World, name: &str) -> Step {
    loop {
        let step = world.step().unwrap().expect("the way has such a step");
        if step.name.split('/').next() == Some(name) {
            return step;
        }
        world.run_step(&step, false).await.unwrap();
    }
}

fn heard(platform: &Platform, path: &str) -> Vec<String> {
    let state = platform.state();
    state
        .heard
        .iter()
        .filter(|(at, _)| at == path)
        .map(|(_, body)| body.clone())
        .collect()
}

#[tokio::test]
async fn a_stale_token_is_replaced_and_the_call_made_once_more() {
    let (mut world, platform) = world("publish");
    let submit = up_to(&mut world, "submit").await;
    let issued = platform.state().issued;
    "token-very-secret-new".clone_into(&mut platform.state().token);
    world.run_step(&submit, false).await.unwrap();
    assert_eq!(platform.state().issued, issued + 1);
    assert_eq!(platform.state().jobs.len(), 1);
}

#[tokio::test]
async fn the_same_token_refused_again_is_forced_once_and_not_for_ever() {
    let (mut world, platform) = world("publish");
    let submit = up_to(&mut world, "submit").await;
    let stale = json!({ "errcode": 40_001, "errmsg": "not latest" });
    for _ in 0..4 {
        platform
            .state()
            .instead
            .push(("freepublish/submit", stale.clone()));
    }
    let failure = world.perform(&submit, false).await.unwrap_err();
    assert!(
        matches!(
            failure.fate,
            Fate::Again {
                not_before: Some(_)
            }
        ),
        "{failure:?}"
    );
    let failure = world.perform(&submit, false).await.unwrap_err();
    assert_eq!(failure.code.as_deref(), Some("40001"));
    let forced = heard(&platform, "stable_token");
    let forced = forced
        .iter()
        .filter(|body| body.contains("\"force_refresh\":true"))
        .count();
    assert_eq!(forced, 1);
}

#[tokio::test]
async fn a_wrong_secret_is_said_to_be_wrong_and_stops_the_account() {
    let platform = Arc::new(Platform::in_mode("publish"));
    platform
        .state()
        .instead
        .push(("stable_token", json!({ "errcode": 40_001, "errmsg": "x" })));
    let mut world = World::new(Arc::clone(&platform) as Arc<dyn Rig>).unwrap();
    let image = up_to(&mut world, "image").await;
    let failure = world.perform(&image, false).await.unwrap_err();
    assert!(matches!(failure.fate, Fate::Blocked(_)), "{failure:?}");
    assert!(
        failure.public.zh.contains("app_secret"),
        "{}",
        failure.public.zh
    );
    assert!(!format!("{failure:?}").contains(APP_SECRET));
}

#[tokio::test]
async fn an_address_off_the_list_is_named_in_the_sentence() {
    let platform = Arc::new(Platform::in_mode("publish"));
    let told =
        json!({ "errcode": 40_164, "errmsg": "invalid ip 203.0.113.7, not in whitelist rid: a-1" });
    platform.state().instead.push(("stable_token", told));
    let mut world = World::new(Arc::clone(&platform) as Arc<dyn Rig>).unwrap();
    let image = up_to(&mut world, "image").await;
    let failure = world.perform(&image, false).await.unwrap_err();
    assert!(
        failure.public.zh.contains("203.0.113.7"),
        "{}",
        failure.public.zh
    );
    assert_eq!(failure.request_id.as_deref(), Some("a-1"));
}

#[tokio::test]
async fn chinese_leaves_as_it_is_and_never_as_an_escape() {
    let (mut world, platform) = world("publish");
    let mut document = sample::document(1);
    document.title.push('\u{7}');
    document.body.push_str("<p>甲\u{1}乙\u{7f}</p>");
    let draft = world.channel.draft(&document, platform.media()).unwrap();
    world.job.subjects[0].draft_hash = draft.hash();
    world.job.subjects[0].draft = Arc::new(draft);
    world.run().await.unwrap();
    let bodies = heard(&platform, "draft/add");
    assert_eq!(bodies.len(), 1);
    assert!(bodies[0].contains("关于企业投资项目备案办理时限的通知") && bodies[0].contains("甲乙"));
    assert!(!bodies[0].contains("\\u"), "{}", bodies[0]);
}

#[tokio::test]
async fn a_draft_that_the_platform_altered_is_never_published() {
    for (field, value) in [
        ("title", "别的标题"),
        ("digest", "别的"),
        ("author", "别人"),
        ("content", "<p>少了</p>"),
    ] {
        let (mut world, platform) = world("publish");
        let compare = up_to(&mut world, "compare").await;
        platform.state().drafts[0].1[0][field] = json!(value);
        let failure = world.perform(&compare, false).await.unwrap_err();
        assert_eq!(
            (failure.fate, failure.kind),
            (Fate::Never, Kind::Content),
            "{field}"
        );
        assert!(
            failure.public.zh.contains("没有发布"),
            "{}",
            failure.public.zh
        );
        assert!(platform.state().jobs.is_empty());
    }
}

#[tokio::test]
async fn every_publish_status_is_told_apart() {
    for (status, expected) in [
        (1, "Reviewing"),
        (2, "Refused"),
        (3, "Refused"),
        (4, "Refused"),
        (5, "Removed(Owner)"),
        (6, "Removed(Platform)"),
        (9, "CannotTell"),
    ] {
        let (mut world, platform) = world("publish");
        world.run().await.unwrap();
        platform.state().jobs[0].2 = status;
        let verdict = world.see().await.unwrap();
        assert!(
            format!("{verdict:?}").starts_with(expected),
            "{status}: {verdict:?}"
        );
        assert_eq!(platform.copies(), 0);
    }
}

#[tokio::test]
async fn a_refused_publication_is_not_polled_again_and_another_round_may_submit_anew() {
    let (mut world, platform) = world("publish");
    world.run().await.unwrap();
    platform.state().jobs[0].2 = 4;
    assert!(matches!(world.see().await.unwrap(), Verdict::Refused(_)));
    assert!(!world.job.progress.has("submit"));
    assert_eq!(
        world.step().unwrap(),
        Err(Ended::Done),
        "nothing more in this round"
    );
    world.go(Goal::Update, 2).unwrap();
    let next = world.step().unwrap().unwrap();
    assert!(
        next.name.starts_with("revise/0/") || next.name.starts_with("image/"),
        "{}",
        next.name
    );
}

#[tokio::test]
async fn before_publication_a_correction_changes_the_same_draft() {
    let (mut world, platform) = world("publish");
    let _submit = up_to(&mut world, "submit").await;
    world.go(Goal::Update, 2).unwrap();
    let _submit = up_to(&mut world, "submit").await;
    assert_eq!(platform.state().drafts.len(), 1);
    assert!(
        platform.state().drafts[0].1[0]["content"]
            .as_str()
            .unwrap()
            .contains("更正")
    );
    world.publish().await.unwrap();
    assert_eq!(platform.copies(), 1);
}

#[tokio::test]
async fn a_fresh_cover_that_is_refused_is_waited_for_and_then_uploaded_once_more() {
    let (mut world, platform) = world("publish");
    let draft = up_to(&mut world, "draft").await;
    let refused = json!({ "errcode": 40_007, "errmsg": "invalid media_id" });
    platform
        .state()
        .instead
        .push(("draft/add", refused.clone()));
    let failure = world.perform(&draft, false).await.unwrap_err();
    assert!(matches!(failure.fate, Fate::Again { .. }) && failure.progress.is_none());
    world.advance(std::time::Duration::from_mins(2));
    platform
        .state()
        .instead
        .push(("draft/add", refused.clone()));
    let failure = world.perform(&draft, false).await.unwrap_err();
    world.job.progress = failure.progress.expect("the cover is forgotten");
    assert!(world.step().unwrap().unwrap().name.starts_with("cover/"));
    let draft = up_to(&mut world, "draft").await;
    world.advance(std::time::Duration::from_mins(2));
    platform.state().instead.push(("draft/add", refused));
    let failure = world.perform(&draft, false).await.unwrap_err();
    assert_eq!(failure.fate, Fate::Never);
}

#[tokio::test]
async fn an_item_without_pictures_gets_the_plain_cover() {
    let (world, platform) = world("publish");
    let mut document = sample::document(1);
    document.images.clear();
    document.body = "<p>没有图片。</p>".into();
    let draft = world.channel.draft(&document, platform.media()).unwrap();
    assert_eq!(draft.media.len(), 1);
    assert_eq!(draft.media[0].mime, "image/jpeg");
}

#[tokio::test]
async fn a_submission_whose_draft_left_the_box_unseen_is_a_question_and_not_an_absence() {
    let (mut world, platform) = world("publish");
    let submit = up_to(&mut world, "submit").await;
    let now = world.clock.now();
    platform.state().drafts.clear();
    let failure = world.perform(&submit, false).await.unwrap_err();
    assert_eq!(failure.fate, Fate::Unsure, "deleted, or published by hand");
    let target = Target::Step {
        step: &submit,
        began: now,
        ended: now,
    };
    let sighting = world.look(target).await.unwrap();
    assert!(
        format!("{:?}", sighting.truth).starts_with("CannotTell"),
        "{sighting:?}"
    );
}

#[tokio::test]
async fn a_mass_send_that_the_platform_knows_already_is_a_success() {
    let (mut world, platform) = world("mass");
    let mass = up_to(&mut world, "mass").await;
    let known = json!({ "errcode": 45_065, "errmsg": "clientmsgid exist", "msg_id": 34_182 });
    platform
        .state()
        .instead
        .push(("message/mass/sendall", known));
    let receipt = world.perform(&mass, false).await.unwrap();
    assert_eq!(receipt.progress.get("mass"), Some("34182"));
    let too_fast = json!({ "errcode": 45_066, "errmsg": "clientmsgid retry too fast" });
    platform
        .state()
        .instead
        .push(("message/mass/sendall", too_fast));
    assert_eq!(
        world.perform(&mass, true).await.unwrap_err().fate,
        Fate::Unsure
    );
}

#[tokio::test]
async fn a_person_who_publishes_something_else_is_seen_to_have_done_so() {
    let (mut world, platform) = world("draft");
    assert_eq!(world.run_steps(20).await.unwrap(), Some(Ended::Person));
    assert_eq!(world.see().await.unwrap(), Verdict::Reviewing);
    platform.state().drafts[0].1[0]["title"] = json!("改过的标题");
    platform.person(world.clock.now());
    assert_eq!(world.see().await.unwrap(), Verdict::Live(Match::Differs));
}

#[tokio::test]
async fn a_draft_that_vanished_is_no_publication() {
    let (mut world, platform) = world("draft");
    world.run_steps(20).await.unwrap();
    platform.state().drafts.clear();
    assert!(matches!(world.see().await.unwrap(), Verdict::CannotTell(_)));
}

#[tokio::test]
async fn what_we_deleted_and_what_others_deleted_are_told_apart() {
    let (mut ours, _) = world("publish");
    ours.publish().await.unwrap();
    ours.go(Goal::Withdraw, 1).unwrap();
    ours.run_steps(20).await.unwrap();
    assert_eq!(
        ours.see().await.unwrap(),
        Verdict::Removed(RemovedBy::Owner)
    );
    let (mut theirs, platform) = world("publish");
    theirs.publish().await.unwrap();
    platform.remove();
    assert_eq!(
        theirs.see().await.unwrap(),
        Verdict::Removed(RemovedBy::Unknown)
    );
}

#[tokio::test]
async fn a_withdrawal_before_publication_empties_the_box_and_the_library() {
    let (mut world, platform) = world("publish");
    let _submit = up_to(&mut world, "submit").await;
    world.go(Goal::Withdraw, 1).unwrap();
    assert_eq!(world.run_steps(20).await.unwrap(), Some(Ended::Done));
    assert!(platform.state().drafts.is_empty() && platform.state().materials.is_empty());
    assert_eq!(world.see().await.unwrap(), Verdict::Absent);
}

#[tokio::test]
async fn two_documents_gathered_in_one_post_are_seen_and_withdrawn_each() {
    let (mut world, platform) = world("publish");
    let other = Document {
        item: "ffffffffffffffffffffffffffffffff".into(),
        title: "第二篇".into(),
        ..sample::document(2)
    };
    let draft = world.channel.draft(&other, platform.media()).unwrap();
    world.job.subjects.push(Subject {
        place: 1,
        item: other.item,
        revision: 1,
        draft_hash: draft.hash(),
        draft: Arc::new(draft),
        copy: None,
    });
    world.publish().await.unwrap();
    assert_eq!(platform.state().articles[0].1.len(), 2);
    let seen = world.look(Target::Copies).await.unwrap().seen;
    assert_eq!(seen.len(), 2);
    assert!(
        seen.iter()
            .all(|one| one.verdict == Verdict::Live(Match::Same)),
        "{seen:?}"
    );
    world.job.goal = Goal::Withdraw;
    world.job.subjects.remove(0);
    let step = world.step().unwrap().unwrap();
    assert_eq!(step.name, "unpublish/1");
    world.run_step(&step, false).await.unwrap();
    assert!(heard(&platform, "freepublish/delete")[0].contains("\"index\":2"));
    assert_eq!(
        world.step().unwrap(),
        Err(Ended::Done),
        "the neighbour's cover stays"
    );
}

#[tokio::test]
async fn raw_control_characters_in_an_answer_are_read_past() {
    use crate::conformance::{Trick, reply};
    let (mut world, _platform) = world("publish");
    let image = up_to(&mut world, "image").await;
    let odd = "{\"url\":\"http://mmbiz.qpic.cn/a\u{1}b\",\"errmsg\":\"o\nk\",\"errcode\":\"0\"}";
    world.trick(Trick::Instead(reply(200, odd)));
    let receipt = world.perform(&image, false).await.unwrap();
    assert!(
        receipt
            .progress
            .iter()
            .any(|(_, url)| url == "http://mmbiz.qpic.cn/ab")
    );
}

#[test]
fn every_problem_in_the_settings_is_told_at_once() {
    let more =
        "mode = 'loud'\napp_id = ''\ngather = 9\n[limits]\ntitel = 1\n[quotas]\nsubmit = -1\n";
    let problems = Platform::in_mode("publish")
        .build(more.parse().unwrap())
        .unwrap_err();
    let keys: Vec<&str> = problems
        .iter()
        .map(|problem| problem.key.as_str())
        .collect();
    for key in ["mode", "app_id", "gather", "limits.titel", "quotas.submit"] {
        assert!(keys.contains(&key), "{key} in {keys:?}");
    }
}

/// Every key named in the manual is one that the adapter reads: a wrong type is what it complains
/// of, not the key.
#[test]
fn every_setting_in_the_manual_exists() {
    let manual = include_str!("../../../docs/channels/wechat.md");
    let first = |line: &'static str| line.strip_prefix("| `")?.split('`').next();
    let rows = manual.lines().filter_map(first);
    let quotas = manual.split('`').filter(|word| word.starts_with("quotas."));
    let mut named = 0;
    for key in rows.chain(quotas) {
        let wrong: toml::Table = format!("{key} = [[1]]").parse().unwrap();
        let Err(problems) = Platform::in_mode("publish").build(wrong) else {
            panic!("{key} is documented and takes anything");
        };
        let ours = problems.iter().filter(|problem| problem.key == key);
        let unknown = ours
            .clone()
            .any(|problem| problem.words.en.contains("is unknown"));
        assert!(ours.count() > 0 && !unknown, "{key}: {problems:?}");
        named += 1;
    }
    assert!(named > 15, "the manual's tables were not found");
}

#[tokio::test]
async fn without_a_record_another_revision_of_the_item_is_known_by_its_link() {
    let (mut world, platform) = world("publish");
    let since = world.clock.now();
    world.publish().await.unwrap();
    world.forget();
    world.go(Goal::Publish, 2).unwrap();
    let at = Target::Unrecorded { since };
    let (facts, verdict) = world.first_seen(at).await.unwrap();
    assert_eq!(verdict, Verdict::Live(Match::Differs));
    assert!(facts.has("article"), "a withdrawal needs its id: {facts:?}");
    platform.state().articles.clear();
    let (_, verdict) = world.first_seen(at).await.unwrap();
    assert_eq!(verdict, Verdict::Absent);
}

#[tokio::test]
async fn without_a_record_a_draft_in_the_box_is_not_made_a_second_time() {
    let (mut world, platform) = world("draft");
    let since = world.clock.now();
    world.run_steps(40).await.unwrap();
    world.forget();
    let at = Target::Unrecorded { since };
    let (facts, verdict) = world.first_seen(at).await.unwrap();
    assert_eq!(verdict, Verdict::Reviewing);
    world.job.progress = facts;
    world.run_steps(40).await.unwrap();
    assert_eq!(platform.state().drafts.len(), 1);
}

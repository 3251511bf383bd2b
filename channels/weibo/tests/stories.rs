//! Stories of this platform alone.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::platform::{Platform, UID};
use crate::conformance::{Rig, Trick, World, sample};
use crate::contract::{Body, Clock, Fate, Goal, Kind, RemovedBy, Step, Target, Truth, Verdict};
use crate::kit::text::weibo_characters;

fn world(mode: &'static str) -> (World, Arc<Platform>) {
    let platform = Arc::new(Platform::in_mode(mode));
    let world = World::new(Arc::clone(&platform) as Arc<dyn Rig>).unwrap();
    (world, platform)
}

async fn up_to(world: &mut World, name: &str) -> Step {
    loop {
        let step = world.step().unwrap().expect("the way has such a step");
        if step.name == name {
            return step;
        }
        world.run_step(&step, false).await.unwrap();
    }
}

async fn truth(world: &mut World, step: &Step) -> Truth {
    let ended = world.clock.now();
    world.advance(Duration::from_mins(3));
    let target = Target::Step {
        step,
        began: ended,
        ended,
    };
    world.look(target).await.unwrap().truth
}

#[tokio::test]
async fn a_post_carries_title_summary_link_and_picture() {
    let (mut world, platform) = world("share");
    world.run().await.unwrap();
    let state = platform.state();
    let (_, fields) = state
        .heard
        .iter()
        .find(|(path, _)| path.ends_with("share.json"))
        .unwrap();
    let expected = format!(
        "【关于企业投资项目备案办理时限的通知】企业投资项目备案三个工作日内办结。 {}",
        sample::CANONICAL
    );
    assert_eq!(fields["status"], expected);
    assert!(weibo_characters(&expected) <= 140);
    assert_eq!(fields["rip"], "203.0.113.7");
    let picture = std::path::Path::new(&fields["pic"]);
    assert_eq!(picture.extension().unwrap(), "jpg");
}

#[tokio::test]
async fn the_token_is_in_no_address_of_a_write() {
    let (mut world, _platform) = world("share");
    world.publish().await.unwrap();
    for request in world.peer.log() {
        if !matches!(request.body, Body::Empty) {
            assert!(!request.url.contains("access_token"), "{request:?}");
        }
    }
}

#[test]
fn a_summary_that_does_not_fit_is_left_out_whole_and_never_cut() {
    let platform = Platform::in_mode("share");
    let channel = platform.build(toml::Table::new()).unwrap();
    let mut document = sample::document(1);
    document.summary = "字".repeat(120);
    let draft = channel.draft(&document, platform.media()).unwrap();
    assert!(!draft.content.contains("字字"), "{}", draft.content);
    document
        .overrides
        .insert("text".into(), "作者自己写的话".into());
    let draft = channel.draft(&document, platform.media()).unwrap();
    assert!(
        draft
            .content
            .contains(&format!("作者自己写的话 {}", sample::CANONICAL))
    );
}

#[test]
fn a_topic_or_a_foreign_link_is_a_finding() {
    let platform = Platform::in_mode("share");
    let channel = platform.build(toml::Table::new()).unwrap();
    let mut document = sample::document(1);
    document
        .overrides
        .insert("text".into(), "#话题# 通知".into());
    let findings = channel.draft(&document, platform.media()).unwrap_err();
    assert_eq!(findings[0].field, "text");
    document.overrides.clear();
    for link in [
        None,
        Some("https://evil-fgw.example.gov.cn/1"),
        Some("ftp://fgw.example.gov.cn/1"),
    ] {
        document.canonical = link.map(str::to_owned);
        let findings = channel.draft(&document, platform.media()).unwrap_err();
        assert_eq!(findings[0].field, "canonical", "{link:?}");
    }
    document.canonical = Some("https://www.fgw.example.gov.cn/1".into());
    assert!(channel.draft(&document, platform.media()).is_ok());
}

#[tokio::test]
async fn published_but_late_is_published_and_its_id_is_found_by_looking() {
    let (mut world, platform) = world("share");
    let share = up_to(&mut world, "share").await;
    let late = json!({ "error_code": 20_032, "error": "Update success, but server delay" });
    platform.state().after.push(("share.json", late));
    world.run_step(&share, false).await.unwrap();
    assert!(!world.job.progress.has("post"));
    world.seen_live().await.unwrap();
    let id = platform.state().posts[0].id.to_string();
    assert_eq!(world.job.progress.get("post"), Some(id.as_str()));
    assert_eq!(platform.copies(), 1);
}

#[tokio::test]
async fn a_duplicate_on_a_first_run_is_for_a_person_and_on_a_repeat_is_evidence() {
    let (mut world, platform) = world("share");
    let share = up_to(&mut world, "share").await;
    let duplicate = json!({ "error_code": "20019", "error": "repeat content!" });
    platform
        .state()
        .instead
        .push(("share.json", 400, duplicate.clone()));
    let first = world.perform(&share, false).await.unwrap_err();
    assert_eq!((first.fate, first.kind), (Fate::Never, Kind::Duplicate));
    platform
        .state()
        .instead
        .push(("share.json", 400, duplicate));
    let repeat = world.perform(&share, true).await.unwrap_err();
    assert_eq!((repeat.fate, repeat.kind), (Fate::Unsure, Kind::Duplicate));
}

#[tokio::test]
async fn absence_is_certain_only_when_the_list_reaches_back_to_the_baseline() {
    for (others, certain) in [(0, true), (1, true), (4, true), (5, false), (9, false)] {
        let (mut world, platform) = world("share");
        let share = up_to(&mut world, "share").await;
        world.trick(Trick::LostNotApplied);
        let failure = world.perform(&share, false).await.unwrap_err();
        assert_eq!(failure.fate, Fate::Unsure);
        for other in 0..others {
            let now = world.clock.now();
            platform.state().post(&format!("别的 {other}"), now, false);
        }
        let absent = truth(&mut world, &share).await == Truth::Absent;
        assert_eq!(absent, certain, "{others} posts since");
    }
}

#[tokio::test]
async fn an_older_post_with_the_same_words_is_not_ours() {
    let (mut world, platform) = world("share");
    let text = format!(
        "【关于企业投资项目备案办理时限的通知】企业投资项目备案三个工作日内办结。 {}",
        sample::CANONICAL
    );
    let long_ago = chrono::DateTime::from_timestamp(1_750_000_000, 0).unwrap();
    platform.state().post(&text, long_ago, false);
    let share = up_to(&mut world, "share").await;
    world.trick(Trick::LostNotApplied);
    world.perform(&share, false).await.unwrap_err();
    assert_eq!(truth(&mut world, &share).await, Truth::Absent);
}

#[tokio::test]
async fn two_copies_are_named_and_none_is_chosen() {
    let (mut world, platform) = world("share");
    let share = up_to(&mut world, "share").await;
    world.trick(Trick::AppliedThenLost);
    world.perform(&share, false).await.unwrap_err();
    let text = platform.state().posts[0].text.clone();
    let now = world.clock.now();
    platform.state().post(&text, now, true);
    assert!(matches!(truth(&mut world, &share).await, Truth::Several(ids) if ids.len() == 2));
}

#[tokio::test]
async fn an_app_that_may_not_read_its_timeline_posts_and_can_never_say_absent() {
    let (mut world, platform) = world("share");
    let denied = json!({ "error_code": 10_014, "error": "Insufficient app permissions!" });
    platform
        .state()
        .instead
        .push(("user_timeline.json", 403, denied));
    let share = up_to(&mut world, "share").await;
    world.trick(Trick::LostNotApplied);
    world.perform(&share, false).await.unwrap_err();
    assert!(matches!(
        truth(&mut world, &share).await,
        Truth::CannotTell(_)
    ));
}

#[tokio::test]
async fn a_right_to_delete_that_is_missing_holds_the_withdrawal_and_not_the_account() {
    let (mut world, platform) = world("share");
    world.publish().await.unwrap();
    world.go(Goal::Withdraw, 1).unwrap();
    let destroy = up_to(&mut world, "destroy").await;
    let denied = json!({ "error_code": 10_014, "error": "Insufficient app permissions!" });
    platform.state().instead.push(("destroy.json", 403, denied));
    let failure = world.perform(&destroy, false).await.unwrap_err();
    assert_eq!(failure.fate, Fate::Blocked(crate::contract::Reach::Goal));
}

#[tokio::test]
async fn what_the_platform_hid_or_took_down_is_not_live() {
    let (mut world, platform) = world("share");
    world.publish().await.unwrap();
    let taken = json!({ "error_code": 20_132, "error": "content cannot be viewed" });
    platform.state().instead.push(("show.json", 400, taken));
    assert_eq!(
        world.see().await.unwrap(),
        Verdict::Removed(RemovedBy::Platform)
    );
    let hidden = json!({ "idstr": "1", "text": "x", "visible": { "type": 1 } });
    platform.state().instead.push(("show.json", 200, hidden));
    assert_eq!(world.see().await.unwrap(), Verdict::Reviewing);
}

#[tokio::test]
async fn the_address_of_a_post_is_computed_from_its_id() {
    let (mut world, platform) = world("share");
    platform.state().posts[0].id = 3_504_803_600_502_730 - 1_000_017;
    world.publish().await.unwrap();
    let address = world.job.sole().unwrap().copy.clone().unwrap().address;
    assert_eq!(address, Some(format!("https://weibo.com/{UID}/z20XK26My")));
}

#[tokio::test]
async fn half_an_article_is_a_doubt_and_never_an_absence() {
    for code in ["10001", "11002", "11003"] {
        let (mut world, platform) = world("article");
        let article = up_to(&mut world, "article").await;
        let half = json!({ "code": code, "msg": "failed", "data": "" });
        platform.state().instead.push(("publish.json", 200, half));
        let failure = world.perform(&article, false).await.unwrap_err();
        assert_eq!(failure.fate, Fate::Unsure, "{code}");
        assert!(
            matches!(truth(&mut world, &article).await, Truth::CannotTell(_)),
            "{code}"
        );
    }
}

#[tokio::test]
async fn an_article_is_encoded_once_more_and_its_images_are_said_to_be_elsewhere() {
    let (mut world, platform) = world("article");
    world.run().await.unwrap();
    let state = platform.state();
    let (_, fields) = state
        .heard
        .iter()
        .find(|(path, _)| path.ends_with("publish.json"))
        .unwrap();
    let content: String = {
        let once = fields["content"].replace('+', "%2B");
        url::form_urlencoded::parse(format!("c={once}").as_bytes())
            .next()
            .unwrap()
            .1
            .into_owned()
    };
    assert!(
        content.contains("一、办理范围") && !content.contains("<img"),
        "{content}"
    );
    assert!(content.contains("图片见官网原文"));
    assert!(!fields["content"].contains('+') && fields["content"].starts_with("%3Ch2"));
}

#[tokio::test]
async fn the_days_left_are_told_without_posting() {
    let (world, platform) = world("share");
    world.check().await;
    let told = world.said().join(" ");
    assert!(told.contains("还剩 10 天"), "{told}");
    assert_eq!(platform.state().heard.len(), 1);
}

#[test]
fn settings_that_cannot_work_are_refused_with_their_key() {
    let more = "uid = 'abc'\nrip = '127.0.0.1'\nsafe_domain = 'https://x.cn'\nsafe_domian = 'x'\n";
    let problems = Platform::in_mode("share")
        .build(more.parse().unwrap())
        .unwrap_err();
    let keys: Vec<&str> = problems
        .iter()
        .map(|problem| problem.key.as_str())
        .collect();
    assert_eq!(keys, ["uid", "safe_domain", "rip", "safe_domian"]);
}

/// Every key named in the manual is one that the adapter reads: a wrong type is what it complains
/// of, not the key.
#[test]
fn every_setting_in_the_manual_exists() {
    let manual = include_str!("../../../docs/channels/weibo.md");
    let first = |line: &'static str| line.strip_prefix("| `")?.split('`').next();
    let rows = manual.lines().filter_map(first);
    let quotas = manual.split('`').filter(|word| word.starts_with("quotas."));
    let mut named = 0;
    for key in rows.chain(quotas) {
        let wrong: toml::Table = format!("{key} = [[1]]").parse().unwrap();
        let Err(problems) = Platform::in_mode("share").build(wrong) else {
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

/// A look of a store that knows nothing of what was sent since the item came in.
async fn without_record(world: &World) -> Verdict {
    let since = world.clock.now() - chrono::TimeDelta::hours(1);
    let at = Target::Unrecorded { since };
    world.first_seen(at).await.unwrap().1
}

#[tokio::test]
async fn without_a_record_a_post_that_begins_the_same_is_neither_taken_nor_overlooked() {
    let (world, platform) = world("share");
    assert_eq!(without_record(&world).await, Verdict::Absent);
    let later = "【关于企业投资项目备案办理时限的通知（更正）】受理时间为每日九时。 http://t.cn/A9";
    platform.state().post(later, world.clock.now(), true);
    let verdict = without_record(&world).await;
    assert!(matches!(verdict, Verdict::CannotTell(_)), "{verdict:?}");
}

#[tokio::test]
async fn a_pinned_old_post_does_not_make_a_list_reach_back() {
    let (world, platform) = world("share");
    platform.crowd(world.clock.now());
    {
        let mut state = platform.state();
        state.posts.swap(0, 5);
        state.posts.truncate(5);
        let more = state.posts[4].clone();
        state.posts.push(more);
    }
    let verdict = without_record(&world).await;
    assert!(matches!(verdict, Verdict::CannotTell(_)), "{verdict:?}");
}

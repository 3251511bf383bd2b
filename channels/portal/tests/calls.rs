//! Single calls: what is sent, and what each answer means.

use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use http::HeaderMap;
use serde_json::{Value, json};

use super::platform::{build, settings};
use crate::conformance::{Peer, Tally, reply, sample};
use crate::contract::{
    Body, Call, Channel, Clock, Failure, Fate, Goal, Job, Kind, Manual, Next, Progress, Receipt,
    Reply, Request, Sighting, Subject, Target, Verdict,
};

struct Desk {
    channel: Arc<dyn Channel>,
    clock: Arc<Manual>,
    peer: Peer,
    job: Job,
}

/// A portal that gives this answer to everything.
fn desk(more: &str, answer: Reply) -> Desk {
    let channel = build(settings(more)).unwrap();
    let (_, album) = sample::picture();
    let draft = channel.draft(&sample::document(1), &album).unwrap();
    let clock = Arc::new(Manual::default());
    let answer = Mutex::new(answer);
    let play = Box::new(move |_: &Request, _| answer.lock().unwrap().clone());
    Desk {
        channel,
        peer: Peer::new(Arc::clone(&clock) as Arc<dyn Clock>, play),
        clock,
        job: Job {
            key: "0123456789abcdef0123456789abcdef".into(),
            goal: Goal::Publish,
            subjects: vec![Subject {
                place: 0,
                item: sample::document(1).item,
                revision: 1,
                draft_hash: draft.hash(),
                draft: Arc::new(draft),
                copy: None,
            }],
            progress: Progress::default(),
            first_live: None,
            reason: None,
        },
    }
}

impl Desk {
    fn call(&self, repeat: bool) -> Call<'_> {
        Call {
            deadline: self.clock.now() + TimeDelta::seconds(30),
            http: &self.peer,
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            dice: 0.5,
            repeat,
            purse: Arc::new(Tally::default()),
        }
    }

    async fn create(&self, repeat: bool) -> Result<Receipt, Failure> {
        let Next::Run(step) = self.channel.next(&self.job, self.clock.now()) else {
            panic!("nothing to do");
        };
        self.channel
            .perform(&self.job, &step, &self.call(repeat))
            .await
    }

    async fn look(&mut self) -> Result<Sighting, Failure> {
        self.job.progress = Progress::default().with("created", "k").with("id", "7");
        self.channel
            .look(&self.job, Target::Copies, &self.call(false))
            .await
    }

    fn sent(&self) -> Request {
        self.peer.log().pop().unwrap()
    }

    fn body(&self) -> String {
        let Body::Bytes { bytes, .. } = self.sent().body else {
            panic!("no body");
        };
        String::from_utf8(bytes).unwrap()
    }
}

fn accepted() -> Reply {
    reply(
        200,
        json!({"code": 0, "data": {"id": 7, "status": "pending"}}).to_string(),
    )
}

fn code(code: u32) -> Reply {
    reply(200, json!({"code": code, "message": "不行"}).to_string())
}

#[tokio::test]
async fn a_push_carries_the_fields_the_links_and_one_id_for_good() {
    let desk = desk("[columns]\n0604 = '88'", accepted());
    desk.create(false).await.unwrap();
    let first = desk.sent();
    let body: Value = serde_json::from_str(&desk.body()).unwrap();
    let data = &body["data"];
    assert_eq!(data["column"], "88");
    assert_eq!(data["title"], "关于企业投资项目备案办理时限的通知");
    assert_eq!(data["link"], sample::CANONICAL);
    let beside = sample::CANONICAL.trim_end_matches(".html");
    assert!(
        data["content"]
            .as_str()
            .unwrap()
            .contains(&format!("src=\"{beside}/"))
    );
    assert!(
        data["attachments"][0]["url"]
            .as_str()
            .unwrap()
            .starts_with(beside)
    );
    desk.clock.advance(std::time::Duration::from_secs(90));
    desk.create(true).await.unwrap();
    let header = |request: &Request, name: &str| {
        let found = request.headers.iter().find(|(known, _)| known == name);
        found.unwrap().1.clone()
    };
    let again = desk.sent();
    assert_eq!(header(&first, "webhook-id"), header(&again, "webhook-id"));
    assert_ne!(
        header(&first, "webhook-timestamp"),
        header(&again, "webhook-timestamp")
    );
}

#[tokio::test]
async fn fields_are_renamed_left_out_and_added_as_the_portal_wants_them() {
    let more = "envelope = false\n[fields]\ntitle = 'docTitle'\nkeywords = ''\n\
                [constants]\nsiteId = '3'\nwhen = '{{ time }}'";
    let desk = desk(more, accepted());
    desk.create(false).await.unwrap();
    let body: Value = serde_json::from_str(&desk.body()).unwrap();
    assert_eq!(body["docTitle"], "关于企业投资项目备案办理时限的通知");
    assert_eq!(body["siteId"], "3");
    assert_eq!(body["when"], "2026-11-23 09:00:00");
    assert!(body.get("title").is_none() && body.get("keywords").is_none());
}

#[tokio::test]
async fn a_body_of_the_portals_own_is_written_by_template_and_its_xml_answer_is_read() {
    let more = "answer = { id = '<IDS>', code = '<FLAG>' }\n\
                success = { pointer = '<FLAG>', values = ['true'] }\n\
                [create]\nformat = 'xml'\ntemplate = '<DOC><T>{{ title|xml }}</T><H><![CDATA[{{ content|cdata }}]]></H></DOC>'";
    let soap = "<s:Body><FLAG>true</FLAG><IDS>4711</IDS></s:Body>";
    let desk = desk(more, reply(200, soap));
    let receipt = desk.create(false).await.unwrap();
    assert_eq!(receipt.progress.get("id"), Some("4711"));
    assert!(desk.body().starts_with("<DOC><T>关于"));
}

#[tokio::test]
async fn no_under_a_success_status_is_a_failure_and_an_unlisted_no_a_doubt() {
    let failures = "[failures]\n'400*' = 'never'\n'40301' = 'blocked'\n'50*' = 'again'";
    for (answer, fate) in [
        (code(40_003), Some(Fate::Never)),
        (code(50_001), Some(Fate::Again { not_before: None })),
        (code(77), Some(Fate::Unsure)),
        (reply(403, "<html>"), None),
        (code(40_301), None),
    ] {
        let failure = desk(failures, answer.clone())
            .create(false)
            .await
            .unwrap_err();
        match fate {
            Some(fate) => assert_eq!(failure.fate, fate, "{answer:?}"),
            None => assert!(matches!(failure.fate, Fate::Blocked(_)), "{answer:?}"),
        }
    }
}

#[tokio::test]
async fn too_many_requests_is_a_doubt_unless_the_manual_says_otherwise() {
    let busy = || Reply {
        status: 429,
        headers: HeaderMap::new(),
        body: Vec::new(),
    };
    let failure = desk("", busy()).create(false).await.unwrap_err();
    assert_eq!(failure.fate, Fate::Unsure);
    let failure = desk("throttle_applied = false", busy())
        .create(false)
        .await
        .unwrap_err();
    assert!(matches!(failure.fate, Fate::Again { .. }));
}

#[tokio::test]
async fn known_already_refuses_a_first_push_and_proves_a_repeated_one() {
    let more = "[duplicate]\npointer = '/code'\nvalues = ['40901']";
    let failure = desk(more, code(40_901)).create(false).await.unwrap_err();
    assert_eq!((failure.kind, failure.fate), (Kind::Duplicate, Fate::Never));
    let receipt = desk(more, code(40_901)).create(true).await.unwrap();
    assert!(receipt.progress.has("created"));
}

#[tokio::test]
async fn accepted_is_not_published() {
    let receipt = desk("", accepted()).create(false).await.unwrap();
    assert_eq!(receipt.seen[0].verdict, Verdict::Reviewing);
}

#[tokio::test]
async fn the_portals_words_for_states_are_translated_and_an_unknown_one_is_no_guess() {
    let more =
        "states = { pending = ['1'], published = ['10'], returned = ['3'], withdrawn = ['9'] }";
    let state = |state: u32| {
        let data = json!({"id": 7, "status": state, "reason": "标题有误"});
        reply(200, json!({ "code": 0, "data": data }).to_string())
    };
    let verdict = async |number| {
        let sighting = desk(more, state(number)).look().await.unwrap();
        sighting.seen[0].verdict.clone()
    };
    assert_eq!(verdict(1).await, Verdict::Reviewing);
    assert!(matches!(verdict(10).await, Verdict::Live(_)));
    assert!(matches!(verdict(3).await, Verdict::Refused(why) if why.zh.contains("标题有误")));
    assert!(matches!(verdict(9).await, Verdict::Removed(_)));
    assert!(matches!(verdict(5).await, Verdict::CannotTell(_)));
}

#[tokio::test]
async fn a_lookup_that_ignores_the_key_proves_nothing() {
    let rows = json!([{"id": 1, "key": "another"}]);
    let answer = reply(200, json!({ "code": 0, "data": rows }).to_string());
    let desk = desk("", answer);
    let Next::Run(step) = desk.channel.next(&desk.job, desk.clock.now()) else {
        panic!("nothing to do");
    };
    let (began, ended) = (desk.clock.now(), desk.clock.now());
    let target = Target::Step {
        step: &step,
        began,
        ended,
    };
    let sighting = desk
        .channel
        .look(&desk.job, target, &desk.call(false))
        .await;
    let truth = sighting.unwrap().truth;
    assert!(
        matches!(truth, crate::contract::Truth::CannotTell(_)),
        "{truth:?}"
    );
}

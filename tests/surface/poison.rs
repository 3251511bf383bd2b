//! Something kills the built daemon whenever it is turned to: the third time it is set aside, and the rest goes on.
//!
//! The story plays the poison: it waits until the portal is called about this item, and kills the process then.

use lubu_sandbox::{Fault, Kind, Platform};

use crate::office::{Office, PORTAL, SITE, WEIBO};

/// From now on the first such call to the portal is never answered.
fn hangs_at(office: &Office, method: &str) {
    office.sandbox.clear_faults();
    let mut fault = Fault::new(Platform::Portal, Kind::Stall, "/api/articles").times(1);
    fault.method = Some(method.into());
    fault.seconds = Some(600);
    office.sandbox.inject(fault);
}

/// Dies as soon as that call is under way.
async fn dies_there(office: &mut Office) {
    office
        .until("the portal is called", || async {
            let struck = office.sandbox.faults();
            struck.iter().all(|fault| fault.struck == 1).then_some(())
        })
        .await;
    office.kill();
    office.sandbox.clear_faults();
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_81_what_kills_the_process_three_times_is_set_aside_and_others_are_delivered() {
    let mut office = Office::open("").await;
    office
        .lubu(&["channels", "pause", PORTAL, "--reason", "先不发"])
        .done();
    let poison = office.notice("施工", "东部产业园封顶", "标准厂房三期主体结构封顶。");
    office.approve(&poison);
    office.reaches(&poison, WEIBO, "published").await;
    // Sent, and looked for twice: none of them comes back.
    hangs_at(&office, "POST");
    office.lubu(&["channels", "resume", PORTAL]).done();
    dies_there(&mut office).await;
    for _ in 0..2 {
        hangs_at(&office, "GET");
        office.serve().await;
        dies_there(&mut office).await;
    }
    office.serve().await;
    let held = office.reaches(&poison, PORTAL, "held").await;
    assert_eq!(held["needs_person"], true, "{held}");
    let reason = held["reason_en"].as_str().unwrap_or_default();
    assert!(reason.contains("died 3 times in a row"), "{held}");
    let other = office.notice("并网", "北山光伏首批并网", "首批五十兆瓦并网发电。");
    office.approve(&other);
    for channel in [SITE, PORTAL, WEIBO] {
        office.reaches(&other, channel, "published").await;
    }
    let delivery = format!("{poison}:{PORTAL}");
    office.lubu(&["retry", &delivery]).done();
    office.reaches(&poison, PORTAL, "published").await;
    let posts = office.public(Platform::Portal);
    assert_eq!(posts.len(), 2, "{posts:#?}");
    assert!(posts.iter().all(|post| post.copies == 1), "{posts:#?}");
}

//! Another configuration for a running daemon: by signal and by command, at the built binary.

use lubu_sandbox::Platform;

use crate::desk::{self, id};
use crate::office::{Office, PORTAL, SITE, WECHAT, WEIBO};

fn log(office: &Office) -> String {
    std::fs::read_to_string(office.path("lubu.log")).unwrap_or_default()
}

/// Changes the file; the daemon does not know of it yet.
fn edit(office: &Office, from: &str, to: &str) {
    let path = office.path("lubu.toml");
    let text = std::fs::read_to_string(&path).expect("there");
    assert!(text.contains(from), "{from}");
    std::fs::write(path, text.replacen(from, to, 1)).expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_puts_the_new_file_in_force_and_a_bad_one_changes_nothing() {
    let office = Office::open("").await;
    // One post, and then none for hours.
    edit(
        &office,
        &format!("safe_domain = \"127.0.0.1\"\nrip = \"203.0.113.7\"\nafter = [\"{SITE}\"]"),
        "safe_domain = \"127.0.0.1\"\nrip = \"203.0.113.7\"\nrate = { count = 1, per = \"10h\" }",
    );
    office.hang_up();
    let heard = || async { log(&office).contains("is in force").then_some(()) };
    office.until("the reload", heard).await;
    let mut items = Vec::new();
    for name in ["一", "二"] {
        let path = desk::folder(&office, name, &format!("云川市{name}月进展"), "", "正文。");
        let item = id(&office.submit(&path));
        office.approve(&item);
        items.push(item);
    }
    for item in &items {
        office.reaches(item, PORTAL, "published").await;
    }
    let one = || async { (office.public(Platform::Weibo).len() == 1).then_some(()) };
    office.until("the first post", one).await;

    edit(&office, "rate = { count = 1", "rate = { cuont = 1");
    office.hang_up();
    let refused = || async {
        log(&office)
            .contains("the old configuration stays")
            .then_some(())
    };
    office.until("the refusal", refused).await;
    assert!(
        log(&office).contains("channel[3].rate.cuont"),
        "{}",
        log(&office)
    );
    let channels = office.json(&["channels"]);
    assert_eq!(channels["channels"].as_array().map(Vec::len), Some(4));
    assert_eq!(office.public(Platform::Weibo).len(), 1);

    edit(&office, "rate = { cuont = 1, per = \"10h\" }", "");
    office.hang_up();
    for item in &items {
        office.reaches(item, WEIBO, "published").await;
    }
    assert_eq!(office.public(Platform::Weibo).len(), 2);
    assert_eq!(office.public(Platform::Portal).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_over_is_told_whole_and_the_old_file_stays() {
    let office = Office::open("").await;
    edit(&office, "data = \"data\"", "data = \"elsewhere\"");
    edit(
        &office,
        "timezone = \"Asia/Shanghai\"",
        "timezone = \"Asia/Urumqi\"",
    );
    let why = office
        .lubu(&["config", "reload", "--socket", "data/lubu.sock"])
        .refused();
    for place in [
        "lubu.toml:3 daemon.data",
        "lubu.toml:5 daemon.timezone",
        "重启",
    ] {
        assert!(why.contains(place), "{place}: {why}");
    }
    edit(&office, "data = \"elsewhere\"", "data = \"data\"");
    edit(
        &office,
        "timezone = \"Asia/Urumqi\"",
        "timezone = \"Asia/Shanghai\"",
    );
    edit(&office, "mode = \"publish\"", "mode = \"publihs\"");
    edit(&office, "[office]", "[office]\nsecton = \"x\"");
    let why = office.lubu(&["config", "reload"]).refused();
    for key in ["channel[2].mode", "office.secton", "原配置"] {
        assert!(why.contains(key), "{key}: {why}");
    }
    assert!(!office.path("elsewhere").exists());
    edit(&office, "mode = \"publihs\"", "mode = \"publish\"");
    edit(&office, "[office]\nsecton = \"x\"", "[office]");
    let done = office.json(&["config", "reload", "--by", "赵晓"]);
    assert_eq!(done["added"], serde_json::json!([]));
    assert_eq!(done["channels"].as_array().map(Vec::len), Some(4));
    let audit = office.lubu(&["audit", "list"]).done().out;
    assert!(
        audit.contains("reload") && audit.contains("赵晓"),
        "{audit}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_comes_and_goes_and_its_deliveries_stay_and_are_named() {
    let office = Office::open("").await;
    // Nothing of it goes out before the site is live, which it never is while paused.
    office
        .lubu(&["channels", "pause", SITE, "--reason", "演练"])
        .done();
    let path = desk::folder(&office, "进展", "云川市十月进展", "", "正文。");
    let item = id(&office.submit(&path));
    office.approve(&item);
    office.reaches(&item, WECHAT, "held").await;
    let text = std::fs::read_to_string(office.path("lubu.toml")).expect("there");
    let wechat = text
        .find(&format!("[[channel]]\nname = \"{WECHAT}\""))
        .expect("there");
    let weibo = text
        .find(&format!("[[channel]]\nname = \"{WEIBO}\""))
        .expect("there");
    let without = format!("{}{}", &text[..wechat], &text[weibo..]);
    std::fs::write(office.path("lubu.toml"), without).expect("written");
    let done = office.json(&["config", "reload"]);
    assert_eq!(done["removed"], serde_json::json!([WECHAT]));
    let held = office.delivery(&item, WECHAT);
    assert_eq!(held["state"], "held", "{held}");
    assert!(
        held["reason"]
            .as_str()
            .is_some_and(|why| why.contains("配置")),
        "{held}"
    );
    let channels = office.lubu(&["channels"]).done().out;
    assert!(
        channels.contains(WECHAT) && channels.contains("已移除"),
        "{channels}"
    );
    office.lubu(&["channels", "resume", SITE]).done();
    office.reaches(&item, SITE, "published").await;
    office.reaches(&item, PORTAL, "published").await;
    assert_eq!(office.public(Platform::Wechat).len(), 0);

    std::fs::write(office.path("lubu.toml"), text).expect("written");
    let done = office.json(&["config", "reload"]);
    assert_eq!(done["added"], serde_json::json!([WECHAT]));
    office.reaches(&item, WECHAT, "published").await;
    assert_eq!(office.public(Platform::Wechat).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_means_another_account_gets_another_number() {
    let office = Office::open("").await;
    let path = desk::folder(&office, "进展", "云川市十月进展", "", "正文。");
    let item = id(&office.submit(&path));
    office.approve(&item);
    office.reaches(&item, WEIBO, "published").await;
    let own = lubu_sandbox::WEIBO_UID.to_string();
    edit(&office, &format!("uid = \"{own}\""), "uid = \"1\"");
    let done = office.json(&["config", "reload"]);
    assert_eq!(done["removed"], serde_json::json!([WEIBO]));
    // What is out belongs to the account that it is on.
    let listed = office.json(&["status", &item]);
    let names = |listed: &serde_json::Value| -> Vec<String> {
        let rows = listed["deliveries"].as_array().expect("rows").iter();
        let names = rows.filter_map(|one| one["channel"].as_str());
        names.map(str::to_owned).collect()
    };
    let former = format!("{WEIBO} (weibo:{own})");
    assert!(names(&listed).contains(&former), "{listed}");
    assert!(!names(&listed).contains(&WEIBO.to_owned()), "{listed}");
    // And the number comes back with the account.
    edit(&office, "uid = \"1\"", &format!("uid = \"{own}\""));
    office.json(&["config", "reload"]);
    let listed = office.json(&["status", &item]);
    assert!(names(&listed).contains(&WEIBO.to_owned()), "{listed}");
    office.lubu(&["withdraw", &item, "--reason", "有误"]).done();
    office.reaches(&item, WEIBO, "withdrawn").await;
    assert_eq!(office.public(Platform::Weibo).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_site_goes_on_being_served_and_moves_with_its_address() {
    let office = Office::open("").await;
    let home = |address: std::net::SocketAddr| {
        let http = office.http.clone();
        async move { http.get(format!("http://{address}/")).send().await }
    };
    home(office.site).await.expect("served");
    office.json(&["config", "reload"]);
    home(office.site).await.expect("still served");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let other = taken.local_addr().expect("an address");
    let old = format!("serve = \"{}\"", office.site);
    edit(&office, &old, &format!("serve = \"{other}\""));
    let why = office.lubu(&["config", "reload"]).refused();
    assert!(why.contains(&other.to_string()), "{why}");
    home(office.site).await.expect("the old one stays");
    drop(taken);
    office.json(&["config", "reload"]);
    home(other).await.expect("moved");
    let gone = || async { home(office.site).await.err().map(drop) };
    office.until("the old address is free", gone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_leaves_names_what_waits_for_it_at_the_reload() {
    let office = Office::open("").await;
    let schedule = "[[schedule]]\nname = \"每日放行\"\ncron = \"0 9 * * *\"\ndo = \"release\"\n";
    edit(&office, "[office]", &format!("{schedule}[office]"));
    office.json(&["config", "reload"]);
    let more = "schedule = \"每日放行\"";
    let path = desk::folder(&office, "进展", "云川市十月进展", more, "正文。");
    let item = id(&office.submit(&path));
    office.approve(&item);
    let named = || log(&office).matches("wait for the schedule").count();
    assert_eq!(named(), 0);
    edit(&office, schedule, "");
    office.json(&["config", "reload"]);
    let once = || async { (named() == 1).then_some(()) };
    office.until("what waits is named", once).await;
    let told = office.lubu(&["schedules"]).done().out;
    assert!(
        told.contains("每日放行") && told.contains("重新签发"),
        "{told}"
    );
    let status = office.lubu(&["status"]).done().out;
    assert!(status.contains("已不在配置里"), "{status}");
}

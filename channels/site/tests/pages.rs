//! What a page says, how it changes, what stays.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::{Core, Disk, Frame, Settings, act};
use super::samples::{go, item, plain};
use crate::conformance::sample;
use crate::contract::{
    Channel, Clock, Correction, Document, Goal, Job, Manual, Progress, Related, Relation, Subject,
    Validity,
};

struct Site {
    home: tempfile::TempDir,
    channel: Arc<dyn Channel>,
    clock: Arc<Manual>,
}

fn site() -> Site {
    let home = tempfile::tempdir().unwrap();
    let channel = super::build(home.path(), super::settings(&toml::Table::new())).unwrap();
    Site {
        home,
        channel,
        clock: Arc::default(),
    }
}

impl Site {
    async fn publish(&self, document: &Document, key: &str) {
        go(&self.channel, &self.clock, document, Goal::Publish, key).await;
    }

    fn root(&self) -> std::path::PathBuf {
        self.home.path().join("public")
    }

    fn page(&self, item: &str) -> String {
        let address = self.channel.pages().unwrap().address(item);
        let file = address.trim_start_matches("https://fgw.example.gov.cn/");
        read(&self.root(), file)
    }

    fn file(&self, file: &str) -> String {
        read(&self.root(), file)
    }
}

fn read(root: &Path, file: &str) -> String {
    std::fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn meta<'p>(page: &'p str, name: &str) -> &'p str {
    let start = format!("<meta name=\"{name}\" content=\"");
    let (_, rest) = page
        .split_once(&start)
        .unwrap_or_else(|| panic!("no {name}"));
    rest.split_once('"').unwrap().0
}

/// SITE-01, SITE-02.
#[tokio::test]
async fn every_tag_the_guideline_demands_is_there_and_escaped() {
    let site = site();
    let mut document = sample::document(1);
    document.title = "关于\"<b>&'的通知".into();
    site.publish(&document, "k1").await;
    let page = site.page(&document.item);
    assert_eq!(meta(&page, "SiteName"), "南阳市发展和改革委员会");
    assert_eq!(meta(&page, "SiteDomain"), "fgw.example.gov.cn");
    assert_eq!(meta(&page, "SiteIDCode"), "4113000012");
    assert_eq!(meta(&page, "ColumnName"), "重大项目");
    assert!(!meta(&page, "ColumnDescription").is_empty());
    assert_eq!(meta(&page, "ColumnKeywords"), "重大项目,重点领域");
    assert_eq!(meta(&page, "ColumnType"), "重点领域");
    assert_eq!(
        meta(&page, "ArticleTitle"),
        "关于&quot;&lt;b&gt;&amp;&#39;的通知"
    );
    assert_eq!(meta(&page, "PubDate"), "2026-11-23 09:00");
    assert_eq!(meta(&page, "ContentSource"), "市发改委");
    assert!(!page.contains("<b>"), "the title is markup");
    assert!(
        page.contains("发布时间：<time datetime=\"2026-11-23T09:00:00+08:00\">2026-11-23 09:00")
    );
    assert!(page.contains("来源：市发改委"));
}

#[test]
fn a_page_without_title_source_or_publisher_is_refused() {
    let site = site();
    let (_, album) = sample::picture();
    for field in ["title", "source", "publisher"] {
        let mut document = sample::document(1);
        match field {
            "title" => document.title = " ".into(),
            "source" => document.source.clear(),
            _ => document.publisher.clear(),
        }
        let findings = site.channel.draft(&document, &album).unwrap_err();
        assert_eq!(findings[0].field, field);
    }
}

/// SITE-03.
#[tokio::test]
async fn a_correction_keeps_address_and_first_time_and_says_what_changed() {
    let site = site();
    site.publish(&sample::document(1), "k1").await;
    site.clock.advance(Duration::from_hours(50));
    let document = sample::document(2);
    go(&site.channel, &site.clock, &document, Goal::Update, "k2").await;
    let page = site.page(&document.item);
    assert_eq!(meta(&page, "PubDate"), "2026-11-23 09:00");
    assert!(page.contains("更正：受理时间为每日九时。"));
    assert!(page.contains("补充受理时间"));
    assert!(page.contains("class=\"banner corrected\""));
}

/// The item's file is lost; what the page itself says still holds.
#[tokio::test]
async fn the_first_time_survives_the_loss_of_the_record() {
    let site = site();
    let document = sample::document(1);
    site.publish(&document, "k1").await;
    std::fs::remove_dir_all(site.root().join(".items")).unwrap();
    site.clock.advance(Duration::from_hours(5));
    site.publish(&document, "k2").await;
    assert_eq!(
        meta(&site.page(&document.item), "PubDate"),
        "2026-11-23 09:00"
    );
}

/// CAT-08.
#[tokio::test]
async fn a_repealed_document_is_marked_on_its_own_page_and_in_lists() {
    let site = site();
    let mut document = sample::document(1);
    document.validity = Validity::Repealed;
    document.related = vec![Related {
        relation: Relation::ReplacedBy,
        link: crate::contract::Link {
            title: "新规程".into(),
            url: "https://fgw.example.gov.cn/x.html".into(),
        },
    }];
    site.publish(&document, "k1").await;
    let page = site.page(&document.item);
    assert!(page.contains("class=\"banner invalid\"") && page.contains("《新规程》"));
    assert!(page.contains("<th scope=\"row\">效力状态</th><td>废止</td>"));
    assert!(
        site.file("c/0604/index.html")
            .contains("<em class=\"invalid\">废止</em>")
    );
}

#[tokio::test]
async fn a_withdrawal_leaves_a_notice_and_takes_files_and_list_entries_away() {
    let site = site();
    let document = sample::document(1);
    site.publish(&document, "k1").await;
    assert!(site.file("index.html").contains(&document.title));
    go(&site.channel, &site.clock, &document, Goal::Withdraw, "k2").await;
    let page = site.page(&document.item);
    assert!(page.contains("该信息已撤回") && page.contains("内容有误"));
    assert!(!page.contains(&document.title));
    for list in [
        "index.html",
        "c/0604/index.html",
        "feed.xml",
        "sitemap-1.xml",
    ] {
        let list = site.file(list);
        assert!(!list.contains(&document.title) && !list.contains(&document.item));
    }
    let address = site.channel.pages().unwrap().address(&document.item);
    let folder = address.trim_start_matches("https://fgw.example.gov.cn/");
    let folder = site.root().join(folder.trim_end_matches(".html"));
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
}

#[test]
fn half_a_page_is_never_seen() {
    let home = tempfile::tempdir().unwrap();
    let disk = Disk::new(home.path().to_owned());
    disk.write("t/a.html", b"before").unwrap();
    disk.break_before_rename.store(true, Ordering::SeqCst);
    assert!(disk.write("t/a.html", b"after").is_err());
    assert!(disk.write("t/b.html", b"new").is_err());
    assert_eq!(disk.read("t/a.html").unwrap().unwrap(), b"before");
    assert_eq!(disk.read("t/b.html").unwrap(), None);
    assert_eq!(disk.names("t").unwrap(), ["a.html"]);
}

/// The power goes at every file in turn; a repeat always ends in the whole page.
#[test]
fn a_page_step_that_broke_off_is_finished_by_a_repeat() {
    let home = tempfile::tempdir().unwrap();
    let (_, album) = sample::picture();
    let channel = super::build(home.path(), super::settings(&toml::Table::new())).unwrap();
    let draft = channel.draft(&sample::document(1), &album).unwrap();
    let job = Job {
        key: "k".into(),
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
    };
    let core = core(home.path());
    core.disk.break_before_rename.store(true, Ordering::SeqCst);
    let now = Manual::default().now();
    assert!(act::perform(&core, &job, "page/x", now).is_err());
    assert!(!home.path().join("public/index.html").exists());
    core.disk.break_before_rename.store(false, Ordering::SeqCst);
    assert!(act::perform(&core, &job, "page/x", now).is_ok());
}

pub fn core(home: &Path) -> Core {
    let entry = crate::contract::Entry {
        name: "site",
        settings: super::settings(&toml::Table::new()),
        base: home.to_path_buf(),
        timezone: chrono_tz::Asia::Shanghai,
        publisher: "南阳市发展和改革委员会",
        secrets: &super::NoSecrets,
        keys: None,
    };
    let settings = Settings::read(&entry).unwrap();
    Core::new(Frame::new(&settings).unwrap(), settings)
}

#[tokio::test]
async fn lists_are_paged_and_a_new_item_leaves_old_pages_alone() {
    let site = site();
    for n in 0..65 {
        let document = plain(n, "0601", "政务动态", &format!("第{n}条。"));
        site.publish(&document, &format!("k{n}")).await;
        site.clock.advance(Duration::from_mins(1));
    }
    let front = site.file("c/0601/index.html");
    assert!(front.contains("第64条。") && front.contains("第40条。"));
    assert!(!front.contains("第39条。") && front.contains("href=\"/c/0601/2.html\""));
    let second = site.file("c/0601/2.html");
    assert_eq!(second.matches("<li><span><a").count(), 20);
    assert!(second.contains("第20条。") && second.contains("第39条。"));
    assert!(second.contains("href=\"/c/0601/1.html\"") && second.contains("href=\"/c/0601/\""));
    let changed = |file: &str| {
        let about = std::fs::metadata(site.root().join(file)).unwrap();
        about.modified().unwrap()
    };
    let before = (changed("c/0601/1.html"), changed("c/0601/2.html"));
    site.publish(&plain(70, "0601", "政务动态", "又一条"), "k70")
        .await;
    assert_eq!(before, (changed("c/0601/1.html"), changed("c/0601/2.html")));
    assert!(site.file("c/0601/index.html").contains("又一条"));
}

/// A new process knows nothing; the records give it everything back.
#[tokio::test]
async fn lists_can_be_made_again_from_the_records_alone() {
    let site = site();
    for n in 0..3 {
        let document = plain(n, "0601", "政务动态", &format!("第{n}条。"));
        site.publish(&document, &format!("k{n}")).await;
    }
    let before = site.file("c/0601/index.html");
    std::fs::remove_dir_all(site.root().join("c")).unwrap();
    let again = core(site.home.path());
    again.lists(site.clock.now()).unwrap();
    assert_eq!(site.file("c/0601/index.html"), before);
}

#[tokio::test]
async fn feed_and_site_map_are_well_formed_whatever_a_title_holds() {
    let site = site();
    let mut document = sample::document(1);
    document.title = "关于<a&b>\"与\u{1}的通知".into();
    site.publish(&document, "k1").await;
    for file in ["feed.xml", "sitemap.xml", "sitemap-0.xml", "sitemap-1.xml"] {
        balanced(&site.file(file));
    }
    let feed = site.file("feed.xml");
    assert!(feed.contains("<title>关于&lt;a&amp;b&gt;&quot;与的通知</title>"));
    assert!(feed.contains("<updated>2026-11-23T09:00:00+08:00</updated>"));
}

/// Every element is closed in order, every ampersand begins an entity.
fn balanced(xml: &str) {
    assert!(xml.starts_with("<?xml"), "{xml}");
    let mut open: Vec<&str> = Vec::new();
    for piece in xml.split('<').skip(2) {
        let (tag, text) = piece.split_once('>').expect("a tag ends");
        assert!(
            text.split('&').skip(1).all(|rest| rest.contains(';')),
            "{text}"
        );
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(tag.split([' ', '\n']).next().unwrap());
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

/// LAW-23, SITE-15.
#[tokio::test]
async fn a_page_can_be_read_without_seeing_it() {
    let site = site();
    let mut document = sample::document(1);
    document.body = document.body.replace(" alt=\"办事大厅\"", "");
    document.corrections = vec![Correction {
        revision: 1,
        at: site.clock.now(),
        note: "改字".into(),
    }];
    site.publish(&document, "k1").await;
    let page = site.page(&document.item);
    assert!(page.contains("<html lang=\"zh-CN\">"));
    assert_eq!(page.matches("<h1").count(), 1);
    assert_eq!(page.matches("<main").count(), 1);
    assert!(page.contains("class=\"skip\" href=\"#main\"") && page.contains("id=\"main\""));
    for piece in page.split("<img ").skip(1) {
        let tag = piece.split('>').next().unwrap();
        assert!(
            tag.contains("alt=\"图片：") && tag.contains("width=\"96\""),
            "{tag}"
        );
    }
    for piece in page
        .split("<th")
        .skip(1)
        .filter(|piece| !piece.starts_with("ead"))
    {
        assert!(
            piece.split('>').next().unwrap().contains("scope="),
            "{piece}"
        );
    }
    assert!(page.contains("<div class=\"scroll\" role=\"region\""));
    assert!(page.contains("3 个工作日"));
}

#[test]
fn an_address_is_a_function_of_configuration_and_id_alone() {
    let site = site();
    let address = |id: &str| site.channel.pages().unwrap().address(id);
    let wanted = format!("https://fgw.example.gov.cn/t/202611/{}.html", item(0));
    assert_eq!(address(&item(0)), wanted);
    assert_eq!(address(&item(0)), address(&item(0)));
}

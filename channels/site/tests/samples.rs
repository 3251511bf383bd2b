//! A small site with everything a page can show.

use std::path::Path;
use std::sync::Arc;

use chrono::{NaiveDate, TimeDelta};

use crate::conformance::{Tally, sample};
use crate::contract::{
    Call, Channel, Clock, Correction, Document, Goal, Job, Link, Manual, Next, Progress, Related,
    Relation, Subject, Validity,
};

pub fn settings() -> toml::Table {
    "root = '.'\nbase_url = 'https://fgw.example.gov.cn'\nsite_id_code = '4113000012'\n\
     icp = '豫ICP备00000000号'\npolice_no = '豫公网安备 41130000000000号'\nphone = '0377-00000000'\n\
     address = '南阳市范蠡路1666号'\nemail = 'fgw@example.gov.cn'\n\
     [columns.0200]\ntitle = '政策文件'\ntype = '文件资料'\n[columns.0601]\ntitle = '政务动态'\n\
     [columns.9005]\ntitle = '政策解读'\n[columns.9006]\ntitle = '通知公告'\n[columns.9003]\ntitle = '年度报告'"
        .parse()
        .unwrap()
}

/// One go towards a goal, with nothing around it.
pub async fn go(
    channel: &Arc<dyn Channel>,
    clock: &Arc<Manual>,
    document: &Document,
    goal: Goal,
    key: &str,
) -> Progress {
    let (_, album) = sample::picture();
    let draft = channel.draft(document, &album).unwrap();
    let peer = crate::conformance::Peer::new(
        Arc::clone(clock) as Arc<dyn Clock>,
        Box::new(|_, _| crate::conformance::reply(404, "")),
    );
    let mut job = Job {
        key: key.to_owned(),
        goal,
        subjects: vec![Subject {
            place: 0,
            item: document.item.clone(),
            revision: document.revision,
            draft_hash: draft.hash(),
            draft: Arc::new(draft),
            copy: None,
        }],
        progress: Progress::default(),
        first_live: None,
        reason: Some("内容有误，更正后重新发布".into()),
    };
    while let Next::Run(step) = channel.next(&job, clock.now()) {
        let call = Call {
            deadline: clock.now() + TimeDelta::seconds(30),
            http: &peer,
            clock: Arc::clone(clock) as Arc<dyn Clock>,
            dice: 0.5,
            repeat: false,
            purse: Arc::new(Tally::default()),
        };
        job.progress = channel.perform(&job, &step, &call).await.unwrap().progress;
    }
    job.progress
}

/// The id of the `n`th item, made a minute after the one before.
pub fn item(n: i64) -> String {
    let ms = Manual::default().now().timestamp_millis() + n * 60_000;
    format!("{ms:012x}7c3d9a5e0f1122334455")
}

pub fn plain(n: i64, class: &str, name: &str, title: &str) -> Document {
    let mut document = sample::document(1);
    document.item = item(n);
    document.category.code = class.into();
    document.category.name = name.into();
    document.title = title.into();
    document.index_no = None;
    document.attachments.clear();
    document
}

fn official() -> Document {
    let (picture, _) = sample::picture();
    let mut document = sample::document(2);
    document.item = item(900);
    document.category.code = "0200".into();
    document.category.name = "政策文件".into();
    document.category.parent = "政策文件".into();
    document.title = "关于印发《南阳市企业投资项目备案办理规程》的通知".into();
    document.document_number = Some("宛发改投资〔2026〕128号".into());
    document.formed_on = NaiveDate::from_ymd_opt(2026, 11, 20);
    document.validity = Validity::InForce;
    document.related = vec![Related {
        relation: Relation::Interpretation,
        link: Link {
            title: "《南阳市企业投资项目备案办理规程》政策解读".into(),
            url: "https://fgw.example.gov.cn/t/202611/0192e4c1a7b37c3d9a5e0f1122334400.html".into(),
        },
    }];
    document.corrections = vec![Correction {
        revision: 2,
        at: Manual::default().now(),
        note: "第三条“三个工作日”原误为“五个工作日”，已更正。".into(),
    }];
    document.body = format!(
        "<p>各县市区发展改革委，市直有关单位：</p><p>为进一步规范企业投资项目备案管理，方便企业办事，根据《企业投资项目核准和备案管理条例》\
         （国务院令第673号）和《河南省企业投资项目核准和备案管理办法》，结合我市实际，制定本规程<sup><a href=\"#fn1\" id=\"r1\">1</a></sup>。现印发给你们，请认真贯彻执行。</p>\
         <h2>一、办理范围</h2><p>凡在本市行政区域内投资建设、不涉及国家秘密且不在核准目录内的企业投资项目，均实行备案管理。详见<a href=\"https://www.gov.cn/zhengce/\">国务院文件</a>。</p>\
         <h3>（一）不予备案的情形</h3><ul><li>属于产业政策禁止投资建设的；</li><li>依法应当实行核准管理的。</li></ul>\
         <h2>二、办理时限</h2><table><caption>表1　2026年各县区备案办件情况</caption><tr><th>县区</th><th>受理件数</th><th>办结件数</th><th>总投资（万元）</th><th>平均用时（工作日）</th><th>承办机构</th></tr>\
         <tr><td>宛城区</td><td>1,204</td><td>1,198</td><td>368,540.5</td><td>2.1</td><td>宛城区发展和改革委员会行政审批科</td></tr>\
         <tr><td>卧龙区</td><td>987</td><td>985</td><td>251,033.0</td><td>1.9</td><td>卧龙区发展和改革委员会行政审批科</td></tr>\
         <tr><td>邓州市</td><td>1,530</td><td>1,502</td><td>1,024,776.8</td><td>2.7</td><td>邓州市发展和改革委员会投资科</td></tr></table>\
         <p>备案机关收到全部信息后，应当在三个工作日内办结。</p><p><img src=\"media:{}\" alt=\"市政务服务中心办事大厅\"></p>\
         <section class=\"footnotes\"><ol><li id=\"fn1\"><p>本规程所称企业，含其分支机构。<a href=\"#r1\">↩</a></p></li></ol></section>",
        picture.hash
    );
    document
}

pub async fn write(place: &Path) {
    let channel = super::build(place, settings()).unwrap();
    let clock = Arc::new(Manual::default());
    let titles = [
        ("0601", "政务动态", "市发改委召开全市重大项目推进会"),
        (
            "9006",
            "通知公告",
            "关于组织申报2027年中央预算内投资计划的通知",
        ),
        ("9005", "政策解读", "一图读懂：企业投资项目备案办理规程"),
        ("0604", "重大项目", "2026年第四批省市重点建设项目名单公布"),
        ("0609", "能源建设", "南阳市新能源项目建设进展情况通报"),
    ];
    for n in 0..60 {
        let (class, name, title) = titles[usize::try_from(n).unwrap() % titles.len()];
        let document = plain(n, class, name, &format!("{title}（{n}）"));
        go(
            &channel,
            &clock,
            &document,
            Goal::Publish,
            &format!("{n:032x}"),
        )
        .await;
        clock.advance(std::time::Duration::from_hours(9));
    }
    let mut old = plain(
        901,
        "0200",
        "政策文件",
        "关于企业投资项目备案有关事项的通知",
    );
    old.validity = Validity::Repealed;
    old.document_number = Some("宛发改〔2019〕7号".into());
    go(&channel, &clock, &old, Goal::Publish, "a").await;
    go(&channel, &clock, &official(), Goal::Publish, "b").await;
    let gone = plain(902, "9006", "通知公告", "一条将被撤回的通知");
    go(&channel, &clock, &gone, Goal::Publish, "c").await;
    go(&channel, &clock, &gone, Goal::Withdraw, "d").await;
}

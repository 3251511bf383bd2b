//! What is refused, with its place; and that nothing makes intake panic.

use proptest::prelude::{any, prop, proptest};

use super::super::encoding;
use super::{Bench, Submission, item, places, png};
use crate::intake::{Complaint, Handed};

async fn refused(text: &str) -> Vec<Complaint> {
    Bench::new()
        .prepare(&[("item.md", text.as_bytes())])
        .await
        .unwrap_err()
}

#[tokio::test]
async fn eight_mistakes_are_named_in_one_answer_each_with_its_place() {
    let text = "+++\n\
                titel = \"关于汛期安全的通知\"\n\
                category = \"0401\"\n\
                scope = \"内部\"\n\
                document_number = \"济发改〔2026〕第012号\"\n\
                formed_on = 2026-02-28T08:00:00\n\
                schedule = \"daily\"\n\
                attachments = [\"a.pdf\", { file = \"运行.exe\" }]\n\
                [channels.wechta]\n\
                title = \"x\"\n\
                +++\n\
                ![图](figure.webp)\n";
    let files: [(&str, &[u8]); 3] = [
        ("item.md", text.as_bytes()),
        ("a.pdf", b"%PDF-1.7"),
        ("运行.exe", b"MZ\x90"),
    ];
    let complaints = Bench::new().prepare(&files).await.unwrap_err();
    assert_eq!(
        places(&complaints),
        [
            "title",
            "item.md:3",
            "item.md:4",
            "item.md:5",
            "item.md:6",
            "item.md:9",
            "item.md:7",
            "item.md:2",
            "image 1 (figure.webp)",
            "item.md:8 attachments[1]",
        ],
        "{complaints:#?}"
    );
    for one in &complaints {
        assert!(
            one.words.zh.ends_with(['。', '？']) && !one.words.en.is_empty(),
            "{one:?}"
        );
    }
    assert!(complaints[7].words.zh.contains("是不是“title”"));
    assert!(complaints[5].words.zh.contains("是不是“wechat”"));
}

#[tokio::test]
async fn cat_07_an_impossible_day_is_refused_with_its_line() {
    for said in ["\"2026-02-30\"", "20260230", "\"昨天\"", "\"2026-1\""] {
        let text =
            format!("+++\ntitle = \"甲\"\ncategory = \"0604\"\nformed_on = {said}\n+++\n正文\n");
        assert_eq!(places(&refused(&text).await), ["item.md:4"], "{said}");
    }
}

#[tokio::test]
async fn a_text_without_fields_is_told_where_they_go() {
    for (text, word) in [
        ("正文", "+++"),
        ("---\ntitle: 甲\n---\n", "YAML"),
        ("", "+++"),
    ] {
        let complaints = refused(text).await;
        assert_eq!(places(&complaints), ["item.md:1"]);
        assert!(complaints[0].words.zh.contains(word), "{complaints:?}");
    }
    let complaints = refused("\n+++\ntitle = \"甲\"\n正文").await;
    assert_eq!(places(&complaints), ["item.md:2"], "no end");
}

#[tokio::test]
async fn an_empty_field_is_missing_where_it_stands() {
    let complaints = refused("+++\ntitle = \" \"\n+++\n正文\n").await;
    assert_eq!(places(&complaints), ["item.md:2", "category"]);
}

#[tokio::test]
async fn who_submits_is_not_said_by_the_paper() {
    let text = item("正文").replacen("+++\n", "+++\nby = \"李四\"\n", 1);
    let prepared = Bench::new()
        .prepare(&[("item.md", text.as_bytes())])
        .await
        .unwrap();
    assert!(
        prepared.notes[0].zh.contains("--by"),
        "{:?}",
        prepared.notes
    );
}

#[tokio::test]
async fn a_mistake_of_syntax_does_not_make_other_fields_missing() {
    let complaints = refused("+++\ntitle = 甲\ncategory = \"0604\"\n+++\n正文\n").await;
    assert!(
        places(&complaints)
            .iter()
            .all(|place| *place == "item.md:2"),
        "{complaints:?}"
    );
}

#[tokio::test]
async fn an_empty_text_is_refused_even_where_a_title_stands_in_it() {
    for body in [
        "",
        "\n\n",
        "# 关于汛期安全的通知\n",
        "<!-- 无 -->",
        "<script>x()</script>",
    ] {
        assert_eq!(places(&refused(&item(body)).await), ["item.md"], "{body}");
    }
}

#[tokio::test]
async fn attachments_are_what_they_are_called_and_never_programs() {
    let text = "+++\ntitle = \"甲\"\ncategory = \"0604\"\nattachments = [\n\"表.docx\",\n\"脚本.sh\",\n\
                \"改名.pdf\",\n\"空.txt\",\n\"无.zip\",\n\"页.html\",\n\"好.pdf\",\n]\n+++\n正文\n";
    let files: [(&str, &[u8]); 7] = [
        ("item.md", text.as_bytes()),
        ("表.docx", b"PK\x03\x04rest"),
        ("脚本.sh", b"echo"),
        ("改名.pdf", b"MZ\x90\0"),
        ("空.txt", b""),
        ("页.html", b"<p>"),
        ("好.pdf", b"%PDF-1.7"),
    ];
    let complaints = Bench::new().prepare(&files).await.unwrap_err();
    let expected = [(6, 1), (7, 2), (8, 3), (9, 4), (10, 5)]
        .map(|(line, index)| format!("item.md:{line} attachments[{index}]"));
    assert_eq!(places(&complaints), expected, "{complaints:#?}");
}

#[tokio::test]
async fn sizes_over_the_limits_are_refused_with_both_figures() {
    let mut bench = Bench::new();
    bench.limits.text_max_bytes = 1 << 20;
    let long = item(&"长".repeat(500_000));
    let complaints = bench
        .prepare(&[("item.md", long.as_bytes())])
        .await
        .unwrap_err();
    assert!(
        complaints[0].words.zh.contains("有 2 MB，上限 1 MB"),
        "{complaints:?}"
    );
    let text = item("正文");
    let much = vec![0; 5 << 20];
    let files: [(&str, &[u8]); 2] = [("item.md", text.as_bytes()), ("x.zip", &much)];
    let complaints = bench.prepare(&files).await.unwrap_err();
    assert_eq!(places(&complaints), ["*"]);
}

#[tokio::test]
async fn names_that_leave_the_folder_or_stand_twice_are_refused() {
    let text = item("正文");
    let files: [(&str, &[u8]); 4] = [
        ("item.md", text.as_bytes()),
        ("../x.png", b"x"),
        ("a.png", b"x"),
        ("./a.png", b"y"),
    ];
    let complaints = Bench::new().prepare(&files).await.unwrap_err();
    assert_eq!(places(&complaints), ["../x.png", "./a.png"]);
}

#[tokio::test]
async fn cat_09_labels_that_offices_write_are_the_same_fields() {
    let text = "+++\n名称 = \"甲\"\n分类 = \"0604\"\n发布范围 = \"主动公开\"\n生成日期 = \"2026年1月5日\"\n\
                发文字号 = \"济发改[2026]7号\"\n主题词 = \"能源;煤炭\"\n摘要 = \"要点\"\n时效 = \"废止\"\n+++\n正文\n";
    let prepared = Bench::new()
        .prepare(&[("item.md", text.as_bytes())])
        .await
        .unwrap();
    let content = prepared.content;
    assert_eq!(content.scope, Some(crate::model::scope::Scope::Public));
    assert_eq!(
        content.document_number.as_deref(),
        Some("济发改〔2026〕7号")
    );
    assert_eq!(content.keywords, ["能源", "煤炭"]);
    assert_eq!(content.validity, lubu_channels::Validity::Repealed);
    assert_eq!(content.formed_on.unwrap().to_string(), "2026-01-05");
    assert!(
        prepared.notes[0].zh.contains("〔2026〕"),
        "a changed number is told"
    );
    let twice = refused("+++\ntitle = \"甲\"\n标题 = \"乙\"\ncategory = \"0604\"\n+++\n正文").await;
    assert_eq!(places(&twice), ["item.md:3"]);
}

#[tokio::test]
async fn json_places_are_pointers() {
    let json = r#"{"category": 604, "body": "", "format": "docx", "scope": "x",
                   "images": [{"name": "a.png", "base64": "%%"}],
                   "attachments": [{"base64": "AAAA"}], "channels": {"weibo": {"titel": "x"}}}"#;
    let complaints = Bench::new()
        .prepare(&[("item.json", json.as_bytes())])
        .await
        .unwrap_err();
    let mut found = places(&complaints);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            "/attachments/0",
            "/body",
            "/category",
            "/channels/weibo/titel",
            "/format",
            "/images/0/base64",
            "/scope",
            "/title"
        ],
        "{complaints:#?}"
    );
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

fn try_file(path: &str, bytes: Vec<u8>) {
    let picture = Handed {
        path: "a.png".into(),
        bytes: png(1),
    };
    let text = Handed {
        path: path.into(),
        bytes,
    };
    let submission = Submission {
        main: 0,
        files: vec![text, picture],
    };
    let Ok(prepared) = runtime().block_on(Bench::new().submit(submission)) else {
        return;
    };
    let body = &prepared.content.body;
    let again = super::super::clean::clean(body, super::super::clean::Images::Keep);
    assert_eq!(
        again.as_deref(),
        Some(body.as_str()),
        "cleaning again changes nothing"
    );
    for image in &prepared.content.images {
        assert!(prepared.media.contains_key(&image.hash));
    }
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_make_it_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        name in prop::sample::select(vec!["item.md", "item.html", "item.txt", "item.json", "x"]),
    ) {
        try_file(name, bytes);
    }

    #[test]
    fn no_text_makes_it_panic_and_what_comes_out_is_settled(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "# 关于汛期安全的通知", "\n", "\n\n", "一、", "*", "**", "[", "](", ")", "![", "a.png", "|", "---",
            "- ", "1. ", "[^1]", "[^1]: ", "<b>", "</b>", "<table>", "<td>", "<img src=a.png>", "`", "> ",
            "https://a.cn/一", "&amp;", "<!--", "<svg>", "\\", "    ", "<h3>", "字", "<a href=a.png>", "</a>",
        ]), 0..30),
        name in prop::sample::select(vec!["item.md", "item.html", "item.txt"]),
    ) {
        try_file(name, item(&pieces.concat()).into_bytes());
    }

    #[test]
    fn no_fields_make_it_panic(head in "(title|分类|formed_on|channels|attachments|[\\[\\]{}=\"'.,#\n 0-9a-z一-三]){0,40}") {
        try_file("item.md", format!("+++\n{head}\n+++\n正文").into_bytes());
    }

    #[test]
    fn gb18030_never_turns_utf8_into_other_words(text in "[一-龥，。]{1,80}", at in 0usize..240) {
        let mut bytes = text.clone().into_bytes();
        bytes.remove(at % text.len());
        let read = encoding::text("x", &bytes, &mut super::super::Report::default());
        assert!(read.is_none() || bytes.len() < 9, "{text} became {read:?}");
    }
}

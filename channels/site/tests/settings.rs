//! Every mistake in the configuration is named by its key.

fn keys(more: &str) -> Vec<String> {
    let home = tempfile::tempdir().unwrap();
    let settings = super::settings(&more.parse().unwrap());
    let problems = super::build(home.path(), settings).expect_err(more);
    problems.into_iter().map(|problem| problem.key).collect()
}

#[test]
fn every_mistake_is_named_by_its_key() {
    for (more, key) in [
        ("root = ''", "root"),
        ("base_url = 'fgw.example.gov.cn'", "base_url"),
        ("serve = '8021'", "serve"),
        ("look_url = 'here'", "look_url"),
        ("read_back = 'ftp'", "read_back"),
        ("site_id_code = '123'", "site_id_code"),
        ("site_id_code = 'bm1234567'", "site_id_code"),
        ("logo = 'logo.png'", "logo"),
        ("templates = 'nowhere'", "templates"),
        ("sitename = 'x'", "sitename"),
        ("columns = 3", "columns"),
        ("[columns]\n0601 = 'x'", "columns.0601"),
        ("[columns.0601]\nslug = 'news'", "columns.0601.title"),
        (
            "[columns.0601]\ntitle = 'x'\nslug = '新闻'",
            "columns.0601.slug",
        ),
        (
            "[columns.0601]\ntitle = 'x'\nsulg = 'a'",
            "columns.0601.sulg",
        ),
    ] {
        assert!(
            keys(more).contains(&key.to_owned()),
            "{more}: {:?}",
            keys(more)
        );
    }
}

#[test]
fn a_template_that_does_not_compile_is_named() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("mine")).unwrap();
    std::fs::write(home.path().join("mine/item.html"), "<main>{% if %}</main>").unwrap();
    let settings = super::settings(&"templates = 'mine'".parse().unwrap());
    let problems = super::build(home.path(), settings).unwrap_err();
    assert_eq!(problems[0].key, "templates");
    assert!(problems[0].words.zh.contains("item.html"), "{problems:?}");
}

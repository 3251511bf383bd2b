//! Submissions on disk.

use std::fs;
use std::path::Path;

use super::super::texts_in;
use super::{Bench, Submission, item, png};

fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn names(submission: &Submission) -> Vec<&str> {
    submission
        .files
        .iter()
        .map(|file| file.path.as_str())
        .collect()
}

#[test]
fn a_text_alone_brings_the_files_it_names_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let text = "+++\ntitle = \"甲\"\nattachments = [{ file = \"表 1.xlsx\" }]\n+++\n\
                ![图](%E5%9B%BE.png) [x](../outside.md) ![远](https://a.cn/1.png)\n";
    write(folder.path(), "通知.md", text);
    for name in ["图.png", "表 1.xlsx", "无关.png"] {
        write(folder.path(), name, "x");
    }
    let submission = Submission::from_path(&folder.path().join("通知.md")).unwrap();
    assert_eq!(names(&submission), ["通知.md", "图.png", "表 1.xlsx"]);
}

#[test]
fn a_folder_with_one_text_is_one_item_with_all_its_files() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "稿件.md", item("甲"));
    write(folder.path(), "图/1.png", png(1));
    write(folder.path(), ".DS_Store", "x");
    write(folder.path(), "~$稿件.docx", "x");
    let submission = Submission::from_path(folder.path()).unwrap();
    assert_eq!(names(&submission), ["图/1.png", "稿件.md"]);
    assert_eq!(submission.files[submission.main].path, "稿件.md");
}

#[test]
fn of_several_texts_the_one_called_item_or_the_only_one_with_fields_is_meant() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "说明.txt", "附件的说明");
    write(folder.path(), "稿.md", item("甲"));
    let main = |submission: Submission| submission.files[submission.main].path.clone();
    assert_eq!(main(Submission::from_path(folder.path()).unwrap()), "稿.md");
    write(folder.path(), "item.html", item("乙"));
    assert_eq!(
        main(Submission::from_path(folder.path()).unwrap()),
        "item.html"
    );
}

#[test]
fn a_folder_without_a_clear_text_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Submission::from_path(folder.path()).is_err());
    write(folder.path(), "一.md", item("甲"));
    write(folder.path(), "二.md", item("乙"));
    let refusal = Submission::from_path(folder.path()).unwrap_err();
    assert!(refusal.words.zh.contains("恰有一份正文"), "{refusal:?}");
}

#[cfg(unix)]
#[test]
fn a_link_that_leaves_the_folder_is_refused_and_one_inside_is_not() {
    let outside = tempfile::tempdir().unwrap();
    write(outside.path(), "secret", "x");
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "item.md", item("![图](a.png)"));
    write(folder.path(), "b.png", png(1));
    std::os::unix::fs::symlink("b.png", folder.path().join("a.png")).unwrap();
    assert!(Submission::from_path(folder.path()).is_ok());
    fs::remove_file(folder.path().join("a.png")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret"), folder.path().join("a.png")).unwrap();
    for path in [folder.path().to_path_buf(), folder.path().join("item.md")] {
        let refusal = Submission::from_path(&path).unwrap_err();
        assert!(refusal.words.zh.contains("文件夹之外"), "{refusal:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_linked_folder_that_leaves_is_refused_too() {
    let outside = tempfile::tempdir().unwrap();
    write(outside.path(), "secret", "x");
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "item.md", item("甲"));
    std::os::unix::fs::symlink(outside.path(), folder.path().join("sub")).unwrap();
    assert!(Submission::from_path(folder.path()).is_err());
}

#[test]
fn an_inbox_lists_texts_alone_and_folders_that_are_items() {
    let inbox = tempfile::tempdir().unwrap();
    write(inbox.path(), "一.md", item("甲"));
    write(inbox.path(), "二/item.md", item("乙"));
    write(inbox.path(), "二/附/说明.txt", "x");
    write(inbox.path(), "批/三/item.md", item("丙"));
    write(inbox.path(), "图.png", png(1));
    let found = texts_in(inbox.path()).unwrap();
    let mut found: Vec<_> = found
        .iter()
        .map(|path| path.strip_prefix(inbox.path()).unwrap().to_owned())
        .collect();
    found.sort();
    let mut expected = ["一.md", "二", "批/三"].map(std::path::PathBuf::from);
    expected.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_folder_from_disk_becomes_a_revision() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "item.md", item("![图](fig/a.png)"));
    write(folder.path(), "fig/a.png", png(3));
    let submission = Submission::from_path(folder.path()).unwrap();
    let prepared = Bench::new().submit(submission).await.unwrap();
    assert_eq!(prepared.content.images.len(), 1);
}

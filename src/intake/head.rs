//! The fields of an item, judged against the desk: categories, channels, schedules.
//!
//! Reading goes on after a problem, so that one answer names them all; what was wrong leaves an
//! empty value that never gets out, because [`super::prepare`] then hands over only complaints.

use chrono::NaiveDate;
use lubu_channels::{Link, Validity};

use super::choices::{Overrides, category, channels, schedule};
use super::fields::{Node, Value};
use super::keys::{Key, Keys, plain};
use super::values::{self, BadNumber};
use super::{Desk, Report};
use crate::model::item::RelatedTo;
use crate::model::scope::Scope;

/// A file of the submission, or an address, as a field names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub place: String,
    pub file: String,
    pub label: Option<String>,
}

#[derive(Debug)]
pub struct Head {
    pub title: String,
    pub category: String,
    pub scope: Option<Scope>,
    pub section: String,
    pub source: String,
    pub document_number: Option<String>,
    pub formed_on: Option<NaiveDate>,
    pub summary: String,
    pub keywords: Vec<String>,
    pub validity: Validity,
    pub cover: Option<Named>,
    pub attachments: Vec<Named>,
    pub related: Vec<RelatedTo>,
    pub correction: Option<String>,
    pub channels: Overrides,
    pub schedule: Option<String>,
}

/// The fields and the labels that mean them (CAT-09).
const KEYS: [Key; 17] = [
    ("title", &["标题", "名称", "文件名称"]),
    ("category", &["分类", "信息分类", "类别"]),
    ("scope", &["发布范围"]),
    ("section", &["责任科室", "责任处室"]),
    ("source", &["来源", "信息来源"]),
    ("document_number", &["文号", "发文字号", "文件编号"]),
    ("formed_on", &["成文日期", "生成日期", "产生日期"]),
    ("summary", &["内容概述", "摘要"]),
    ("keywords", &["关键词", "主题词"]),
    ("validity", &["有效性", "时效", "时效性", "效力状态"]),
    ("cover", &["封面"]),
    ("attachments", &["附件"]),
    ("related", &["相关", "相关文件"]),
    ("correction", &["更正说明"]),
    ("channels", &["渠道"]),
    ("schedule", &["定期计划", "发布计划"]),
    ("by", &["拟稿人", "提交人"]),
];
const ATTACHMENT: [Key; 2] = [
    ("file", &["name", "path", "文件", "文件名"]),
    ("label", &["title", "名称", "标题"]),
];
const RELATED: [Key; 3] = [
    ("relation", &["关系"]),
    ("title", &["标题", "名称"]),
    ("url", &["网址", "链接"]),
];

/// Reads every field; `node` is the table of the front matter or the JSON object.
pub fn read(node: Node, desk: &Desk<'_>, report: &mut Report) -> Head {
    let is_json = node.place.is_empty();
    let entries = table(node).unwrap_or_default();
    let mut keys = Keys::new(entries, &KEYS, report);
    if is_json {
        keys.root = "/";
    }
    told_elsewhere(&mut keys);
    let head = Head {
        title: title(&mut keys),
        category: category(&mut keys, desk),
        scope: scope(&mut keys),
        section: line_or(&mut keys, "section", &desk.office.section),
        source: line_or(&mut keys, "source", &desk.office.name),
        document_number: document_number(&mut keys),
        formed_on: formed_on(&mut keys),
        summary: keys
            .line("summary")
            .map(|(text, _)| text)
            .unwrap_or_default(),
        keywords: keywords(&mut keys),
        validity: validity(&mut keys),
        cover: keys.line("cover").map(|(file, place)| Named {
            place,
            file,
            label: None,
        }),
        attachments: attachments(&mut keys),
        related: related(&mut keys),
        correction: keys.text("correction").map(|(text, _)| text),
        channels: channels(&mut keys, desk),
        schedule: schedule(&mut keys, desk),
    };
    keys.finish();
    head
}

/// The entries of a table, if it is one.
pub fn table(node: Node) -> Option<Vec<(String, Node)>> {
    match node.value {
        Value::Table(entries) => Some(entries),
        _ => None,
    }
}

fn line_or(keys: &mut Keys<'_>, key: &str, default: &str) -> String {
    keys.line(key)
        .map_or_else(|| default.to_owned(), |(text, _)| text)
}

/// Who submits is said by who submits, not by the paper.
fn told_elsewhere(keys: &mut Keys<'_>) {
    if keys.take("by").is_some() {
        keys.report.note(
            "稿件里的 by 不起作用：提交人在命令行用 --by、在接口用 by 参数填写。",
            "`by` in an item has no effect; who submits is given with --by or the `by` parameter.",
        );
    }
}

/// A required line; without it a complaint, unless a mistake of syntax may have swallowed it.
pub fn required(keys: &mut Keys<'_>, key: &str, zh: &str, en: &str) -> Option<(String, String)> {
    let before = keys.report.complaints.len();
    let place = keys.place(key);
    let line = keys.line(key);
    let told = keys.report.complaints.len() > before || keys.report.broken;
    if line.is_none() && !told {
        keys.report.wrong(
            place,
            format!("缺少 {key}：{zh}"),
            format!("`{key}` is missing: {en}"),
        );
    }
    line
}

fn title(keys: &mut Keys<'_>) -> String {
    const MOST: usize = 300;
    let said = required(
        keys,
        "title",
        "请填信息名称，如 title = \"关于……的通知\"。",
        "give the official title.",
    );
    let Some((title, place)) = said else {
        return String::new();
    };
    let count = title.chars().count();
    if count > MOST {
        keys.report.wrong(
            place,
            format!("标题有 {count} 字，最多 {MOST} 字。请把正文移到 +++ 之后。"),
            format!("the title has {count} characters of at most {MOST}."),
        );
    }
    title
}

fn scope(keys: &mut Keys<'_>) -> Option<Scope> {
    let (said, place) = keys.line("scope")?;
    let scope = said.parse().ok();
    if scope.is_none() {
        let words = Scope::ALL.map(|scope| format!("{} {}", scope.code(), scope.zh()));
        keys.report.wrong(
            place,
            format!("没有“{said}”这种发布范围，可以写 {}。", words.join("、")),
            format!("`{said}` is no release scope: public, intranet, restricted or withheld."),
        );
    }
    scope
}

fn document_number(keys: &mut Keys<'_>) -> Option<String> {
    let (said, place) = keys.line("document_number")?;
    let (zh, en) = match values::document_number(&said) {
        Ok(number) => {
            if number != said {
                keys.report.note(
                    format!("文号“{said}”已按国标写成“{number}”。"),
                    format!("document number `{said}` is now written `{number}`."),
                );
            }
            return Some(number);
        }
        Err(BadNumber::Shape) => (
            "应如“济发改〔2026〕12号”",
            "must look like 济发改〔2026〕12号",
        ),
        Err(BadNumber::Ordinal) => ("序号前不加“第”", "has no 第 before its number"),
        Err(BadNumber::LeadingZero) => ("序号不编虚位，1 不写作 01", "has no leading zero"),
    };
    keys.report.wrong(
        place,
        format!("文号“{said}”写法不对：{zh}。没有文号就不填。"),
        format!("document number `{said}` {en}; leave it out where there is none."),
    );
    None
}

fn formed_on(keys: &mut Keys<'_>) -> Option<NaiveDate> {
    let node = keys.take("formed_on")?;
    let place = node.place.clone();
    let said = match node.value {
        Value::Date(said) => said,
        // 20260105 without quotes.
        Value::Other(said) if said.len() == 8 => said,
        _ => plain(node, "formed_on", keys.report).filter(|said| !said.is_empty())?,
    };
    let date = values::date(&said);
    if date.is_none() {
        keys.report.wrong(
            place,
            format!("成文日期“{said}”不是一个日子，应如 2026-01-05 或 2026年1月5日。"),
            format!("`{said}` is no day; write 2026-01-05."),
        );
    }
    date
}

fn keywords(keys: &mut Keys<'_>) -> Vec<String> {
    let Some(node) = keys.take("keywords") else {
        return Vec::new();
    };
    let nodes = match node.value {
        Value::List(nodes) => nodes,
        value => vec![Node {
            place: node.place,
            value,
        }],
    };
    let said: Vec<String> = nodes
        .into_iter()
        .filter_map(|node| plain(node, "keywords", keys.report))
        .collect();
    values::keywords(said.iter().map(String::as_str))
}

fn validity(keys: &mut Keys<'_>) -> Validity {
    let Some((said, place)) = keys.line("validity") else {
        return Validity::default();
    };
    let validity = values::choice(&values::VALIDITIES, &said);
    if validity.is_none() {
        keys.report.wrong(
            place,
            format!("没有“{said}”这种有效性，可以写 有效、已修改、失效、废止。"),
            format!("`{said}` is no validity: in_force, amended, lapsed or repealed."),
        );
    }
    validity.unwrap_or_default()
}

fn attachments(keys: &mut Keys<'_>) -> Vec<Named> {
    let Some(node) = keys.take("attachments") else {
        return Vec::new();
    };
    let nodes = match node.value {
        Value::List(nodes) => nodes,
        value => vec![Node {
            place: node.place,
            value,
        }],
    };
    nodes
        .into_iter()
        .filter_map(|node| attachment(node, keys.report))
        .collect()
}

fn attachment(node: Node, report: &mut Report) -> Option<Named> {
    let place = node.place.clone();
    let Value::Table(entries) = node.value else {
        let file = plain(node, "attachments", report).filter(|file| !file.is_empty())?;
        return Some(Named {
            place,
            file,
            label: None,
        });
    };
    let mut keys = Keys::new(entries, &ATTACHMENT, report);
    let before = keys.report.complaints.len();
    let file = keys.line("file").map(|(file, _)| file);
    let label = keys.line("label").map(|(label, _)| label);
    if file.is_none() && keys.report.complaints.len() == before {
        keys.report.wrong(
            place.clone(),
            "附件缺少 file：请写文件名。",
            "this attachment has no `file`: name it.",
        );
    }
    keys.finish();
    Some(Named {
        place,
        file: file?,
        label,
    })
}

fn related(keys: &mut Keys<'_>) -> Vec<RelatedTo> {
    let Some(node) = keys.take("related") else {
        return Vec::new();
    };
    let nodes = match node.value {
        Value::List(nodes) => nodes,
        value => vec![Node {
            place: node.place,
            value,
        }],
    };
    nodes
        .into_iter()
        .filter_map(|node| relation(node, keys.report))
        .collect()
}

fn relation(node: Node, report: &mut Report) -> Option<RelatedTo> {
    let place = node.place.clone();
    let mut keys = Keys::new(table(node).unwrap_or_default(), &RELATED, report);
    let said = ["relation", "title", "url"].map(|key| keys.line(key).map(|(text, _)| text));
    let relation = said[0]
        .as_deref()
        .and_then(|said| values::choice(&values::RELATIONS, said));
    let url = said[2].as_deref().filter(|url| is_web(url));
    let whole = match (relation, &said[1], url) {
        (Some(relation), Some(title), Some(url)) => {
            let link = Link {
                title: title.clone(),
                url: url.to_owned(),
            };
            Some(RelatedTo { relation, link })
        }
        _ => None,
    };
    if whole.is_none() {
        keys.report.wrong(
            place,
            "相关文件要写 relation（policy、interpretation、replaces、replaced_by）、title 和以 https:// 开头的 url。",
            "a related page needs `relation` (policy, interpretation, replaces, replaced_by), `title` and a full `url`.",
        );
    }
    keys.finish();
    whole
}

/// A full address with a host.
pub fn is_web(text: &str) -> bool {
    url::Url::parse(text)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

#[cfg(test)]
mod tests {
    use super::KEYS;

    #[test]
    fn the_guide_names_every_field_and_label() {
        let guide = include_str!("../../docs/items.md");
        for (key, labels) in KEYS {
            assert!(
                key == "channels" || guide.contains(&format!("`{key}`")),
                "{key}"
            );
            for label in labels.iter().filter(|_| key != "by") {
                assert!(guide.contains(label), "{label}");
            }
        }
    }
}

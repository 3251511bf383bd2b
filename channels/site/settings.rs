//! What the configuration says about the office's own site, and what holds when it says nothing.
//!
//! The figures that the state's site guideline asks for (name, domain, identification code, record
//! numbers, column facts) are settings; nothing about one office stands in code. They belong to the
//! frame of a page, which no approval covers, so that a new telephone number needs no new signature.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use chrono_tz::Tz;
use serde::Serialize;
use toml::Value;

use crate::contract::{Category, Entry, Problem, Words};
use crate::kit::settings::Reader;

#[derive(Debug, Clone)]
pub struct Settings {
    /// `root`: where the pages are written.
    pub root: PathBuf,
    /// `base_url`: where readers find them, without a slash at its end.
    pub base_url: String,
    /// `serve`: where this program serves them itself, if it does.
    pub serve: Option<SocketAddr>,
    /// `read_back` and `look_url`.
    pub look: LookBy,
    /// `templates`: a folder whose files replace the built-in ones of the same name.
    pub templates: Option<PathBuf>,
    pub facts: Facts,
    /// `[columns.CODE]`, by category code.
    columns: BTreeMap<String, Column>,
    pub timezone: Tz,
}

/// Where a look reads the pages back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookBy {
    /// From the folder.
    Disk,
    /// Over HTTP from this base address.
    Http(String),
}

/// What the frame of every page says.
#[derive(Debug, Clone, Serialize)]
pub struct Facts {
    /// `site_name`, default the office's name.
    pub name: String,
    /// `domain`, default the host of `base_url`.
    pub domain: String,
    /// `site_id_code`: ten digits, or `bm` and eight.
    pub id_code: String,
    /// The path of `base_url`, empty for a site at the root.
    pub path: String,
    pub base_url: String,
    pub publisher: String,
    pub description: String,
    pub icp: String,
    pub police_no: String,
    pub email: String,
    pub phone: String,
    pub address: String,
    /// `logo`: an address or a path on the site.
    pub logo: String,
    /// `mark_url`: 党政机关网站标识.
    pub mark_url: String,
    /// `errors_url`: 我为政府网站找错.
    pub errors_url: String,
}

/// 栏目: one list of the site.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Column {
    pub slug: String,
    pub title: String,
    pub description: String,
    pub keywords: String,
    /// ColumnType.
    pub kind: String,
    /// Where it is found, path only.
    pub href: String,
}

impl Settings {
    pub fn read(entry: &Entry<'_>) -> Result<Self, Vec<Problem>> {
        let mut read = Reader::new(entry);
        let root = read.required("root");
        let base_url = read.base_url("base_url", None);
        let parsed = url::Url::parse(&base_url).ok();
        let path = parsed.as_ref().map_or("", |url| url.path());
        let host = parsed.as_ref().and_then(|url| url.host_str());
        let facts = facts(
            &mut read,
            entry,
            host.unwrap_or_default(),
            path.trim_end_matches('/'),
            &base_url,
        );
        let columns = columns(&mut read, &facts);
        let settings = Self {
            root: entry.base.join(root),
            look: look(&mut read, &base_url),
            base_url,
            serve: address(&mut read),
            templates: templates(&mut read, entry),
            facts,
            columns,
            timezone: entry.timezone,
        };
        read.finish(settings)
    }

    /// The column of a category: the configured one, else one made of the category itself.
    pub fn column(&self, category: &Category) -> Column {
        if let Some(column) = self.columns.get(&category.code) {
            return column.clone();
        }
        Column {
            slug: slug(&category.code),
            title: category.name.clone(),
            description: format!("{}公开的{}信息", self.facts.publisher, category.name),
            keywords: [category.name.as_str(), category.parent.as_str()]
                .map(|word| word.replace([',', '，'], "、"))
                .join(","),
            kind: kind(category),
            href: href(&self.facts.path, &slug(&category.code)),
        }
    }

    /// What the state's guideline asks for and the configuration lacks, as advice.
    pub fn wanting(&self) -> Vec<Words> {
        let mut advice = Vec::new();
        let facts = &self.facts;
        if facts.id_code.is_empty() {
            advice.push(Words::new(
                "没有填写 site_id_code（网站标识码），网页的 SiteIDCode 是空的。",
                "`site_id_code` is not set: the pages' SiteIDCode is empty.",
            ));
        }
        let official = [".gov.cn", ".政务", ".xn--zfr164b"];
        if !official.iter().any(|end| facts.domain.ends_with(end)) {
            let domain = &facts.domain;
            advice.push(Words::new(
                format!("域名 {domain} 不以 .gov.cn 或 .政务 结尾。"),
                format!("The domain {domain} does not end in .gov.cn."),
            ));
        }
        advice
    }

    /// The configured columns, for the navigation that every page carries.
    pub fn navigation(&self) -> Vec<&Column> {
        self.columns.values().collect()
    }
}

fn href(path: &str, slug: &str) -> String {
    format!("{path}/c/{slug}/")
}

/// A category code as a folder name.
fn slug(code: &str) -> String {
    let safe: String = code
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .collect();
    if safe.is_empty() {
        "other".to_owned()
    } else {
        safe
    }
}

/// The guideline's column types, where the taxonomy's codes say which one it is.
fn kind(category: &Category) -> String {
    match category.code.as_str() {
        "0101" => "机构职能",
        "0102" => "负责人信息",
        "0200" => "文件资料",
        "0601" => "政务动态",
        "9001" => "信息公开指南",
        "9002" => "信息公开制度",
        "9003" => "信息公开年报",
        code if code.starts_with("01") => "概况信息",
        _ => &category.parent,
    }
    .to_owned()
}

fn facts(
    read: &mut Reader<'_>,
    entry: &Entry<'_>,
    host: &str,
    path: &str,
    base_url: &str,
) -> Facts {
    let id_code = read.text_or("site_id_code", "");
    let digits = id_code.strip_prefix("bm").unwrap_or(&id_code);
    let wanted = if digits.len() == id_code.len() { 10 } else { 8 };
    if !id_code.is_empty()
        && (digits.len() != wanted || !digits.bytes().all(|b| b.is_ascii_digit()))
    {
        read.problem(
            "site_id_code",
            format!("“{id_code}”不是网站标识码，应是 10 位数字，或 bm 加 8 位数字。"),
            format!("`{id_code}` is no site code: ten digits, or bm and eight digits."),
        );
    }
    Facts {
        name: read.text_or("site_name", entry.publisher),
        domain: read.text_or("domain", host),
        id_code,
        path: path.to_owned(),
        base_url: base_url.to_owned(),
        publisher: entry.publisher.to_owned(),
        description: read.text_or("description", ""),
        icp: read.text_or("icp", ""),
        police_no: read.text_or("police_no", ""),
        email: read.text_or("email", ""),
        phone: read.text_or("phone", ""),
        address: read.text_or("address", ""),
        logo: link(read, "logo"),
        mark_url: link(read, "mark_url"),
        errors_url: link(read, "errors_url"),
    }
}

/// An address, or a path on this site.
fn link(read: &mut Reader<'_>, key: &str) -> String {
    let text = read.text_or(key, "");
    let good = ["/", "https://", "http://"]
        .iter()
        .any(|start| text.starts_with(start));
    if !text.is_empty() && !good {
        read.problem(
            key,
            format!("“{text}”应以 / 或 https:// 开头。"),
            format!("`{text}` must start with / or https://."),
        );
    }
    text
}

fn columns(read: &mut Reader<'_>, facts: &Facts) -> BTreeMap<String, Column> {
    let table = read.nested("columns", Reader::rest);
    let mut columns: BTreeMap<String, Column> = BTreeMap::new();
    for (code, value) in table {
        let key = format!("columns.{code}");
        let Value::Table(table) = value else {
            read.problem(&key, "应是一张表。", "must be a table.");
            continue;
        };
        let mut inner = read.within(table, &key);
        let column = column(&mut inner, &code, facts);
        let twin = columns.iter().find(|(_, other)| other.slug == column.slug);
        if let Some((twin, other)) = twin
            && other.title != column.title
        {
            inner.problem(
                "slug",
                format!("和 columns.{twin} 的 slug 相同，title 却不同。"),
                format!("is that of columns.{twin}, whose title differs."),
            );
        }
        match inner.finish(column) {
            Ok(column) => drop(columns.insert(code, column)),
            Err(problems) => read.adopt(problems),
        }
    }
    columns
}

fn column(read: &mut Reader<'_>, code: &str, facts: &Facts) -> Column {
    let named = read.text_or("slug", &slug(code));
    if named.is_empty() || slug(&named) != named {
        read.problem(
            "slug",
            format!("“{named}”只能用英文字母、数字和连字符。"),
            format!("`{named}` may hold only Latin letters, digits and hyphens."),
        );
    }
    let title = read.required("title");
    let description = format!("{}公开的{title}信息", facts.publisher);
    Column {
        description: read.text_or("description", &description),
        keywords: read.text_or("keywords", &title),
        kind: read.text_or("type", &title),
        href: href(&facts.path, &named),
        slug: named,
        title,
    }
}

fn address(read: &mut Reader<'_>) -> Option<SocketAddr> {
    let text = read.text("serve")?;
    let address = text.parse().ok();
    if address.is_none() {
        read.problem(
            "serve",
            format!("“{text}”不是监听地址，应写成 127.0.0.1:8021。"),
            format!("`{text}` is no listening address; write 127.0.0.1:8021."),
        );
    }
    address
}

fn look(read: &mut Reader<'_>, base_url: &str) -> LookBy {
    #[derive(Clone, Copy, PartialEq)]
    enum How {
        Disk,
        Http,
    }
    let named = read.base_url("look_url", Some(base_url));
    let usual = if named == base_url {
        How::Disk
    } else {
        How::Http
    };
    let choices = [("disk", How::Disk), ("http", How::Http)];
    match read.choice("read_back", &choices, usual) {
        How::Disk => LookBy::Disk,
        How::Http => LookBy::Http(named),
    }
}

fn templates(read: &mut Reader<'_>, entry: &Entry<'_>) -> Option<PathBuf> {
    let text = read.text("templates")?;
    let folder = entry.base.join(&text);
    if !folder.is_dir() {
        read.problem(
            "templates",
            format!("没有文件夹“{text}”。"),
            format!("there is no folder `{text}`."),
        );
    }
    Some(folder)
}

//! Templates in, whole pages out.
//!
//! The built-in templates can be replaced file by file. A page is made in layers: what is inside
//! first, then the layout around it. Everything that is not marked as markup is escaped, for XML
//! as for HTML.

use minijinja::{Environment, Error, Output, State, Value, context};
use serde::Serialize;

use super::content::{Content, iso, minute};
use super::fate;
use super::settings::{Column, Settings};
use crate::contract::{Failure, Timestamp, Words};
use crate::kit::html;

/// The embedded templates, by the file name under which a folder may replace them.
const TEMPLATES: [(&str, &str); 10] = [
    ("layout.html", include_str!("templates/layout.html")),
    ("item.html", include_str!("templates/item.html")),
    ("item-head.html", include_str!("templates/item-head.html")),
    ("notice.html", include_str!("templates/notice.html")),
    ("missing.html", include_str!("templates/missing.html")),
    ("list.html", include_str!("templates/list.html")),
    ("home.html", include_str!("templates/home.html")),
    ("columns.html", include_str!("templates/columns.html")),
    ("feed.xml", include_str!("templates/feed.xml")),
    ("sitemap.xml", include_str!("templates/sitemap.xml")),
];
const STYLE: &str = include_str!("templates/site.css");
const SCRIPT: &str = include_str!("templates/size.js");

/// Templates, style and script.
#[derive(Debug)]
pub struct Frame {
    templates: Environment<'static>,
    pub style: Asset,
    pub script: Asset,
}

/// A file whose name is its content's, so that a page keeps the look it was made with.
#[derive(Debug)]
pub struct Asset {
    pub file: String,
    pub content: String,
}

impl Asset {
    fn new(content: String, extension: &str) -> Self {
        let hash = blake3::hash(content.as_bytes()).to_hex();
        Self {
            file: format!("assets/{}.{extension}", &hash[..16]),
            content,
        }
    }
}

/// What the layout says besides what is inside it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Around<'a> {
    pub title: &'a str,
    pub head: &'a str,
    /// The navigation's current entry.
    pub here: &'a str,
    /// Nothing from outside: for previews.
    pub standalone: bool,
}

/// A page, and what recognises it later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub html: String,
    pub marker: super::marker::Marker,
}

impl Frame {
    pub fn new(settings: &Settings) -> Result<Self, Words> {
        let mut templates = Environment::new();
        templates.set_keep_trailing_newline(true);
        templates.set_formatter(escaped);
        for (name, embedded) in TEMPLATES {
            let source = source(settings, name, embedded);
            templates
                .add_template_owned(name, source)
                .map_err(|error| broken(name, &error))?;
        }
        Ok(Self {
            templates,
            style: Asset::new(source(settings, "site.css", STYLE), "css"),
            script: Asset::new(source(settings, "size.js", SCRIPT), "js"),
        })
    }

    /// Renders one template with the site's facts and `more`.
    pub fn fill(&self, settings: &Settings, name: &str, more: Value) -> Result<String, Failure> {
        let context = context! { site => &settings.facts, ..more };
        self.templates
            .get_template(name)
            .and_then(|template| template.render(context))
            .map_err(|error| fate::template(name, &error))
    }

    /// Puts the layout around `main`.
    pub fn around(
        &self,
        settings: &Settings,
        main: &str,
        around: Around<'_>,
    ) -> Result<String, Failure> {
        let assets = context! {
            style => super::address::path(settings, &self.style.file),
            script => super::address::path(settings, &self.script.file),
        };
        let style = around
            .standalone
            .then(|| Value::from_safe_string(self.style.content.clone()));
        let more = context! {
            title => around.title,
            head => Value::from_safe_string(around.head.to_owned()),
            main => Value::from_safe_string(main.to_owned()),
            nav => settings.navigation(),
            here => around.here,
            assets,
            style,
        };
        self.fill(settings, "layout.html", more)
    }

    /// The page of an item, first shown at `first`.
    pub fn page(
        &self,
        settings: &Settings,
        content: &Content,
        draft: &str,
        first: Timestamp,
    ) -> Result<Page, Failure> {
        let slot = Slot::of(first, settings);
        let main = self.main(settings, content, &content.body, &slot)?;
        let marker = super::marker::Marker {
            revision: content.revision,
            draft: super::address::short(draft).to_owned(),
            text: super::marker::text_hash(&main),
            first: first.timestamp_millis(),
            withdrawn: false,
        };
        let html = self.whole(settings, content, &main, &slot, Some(&marker))?;
        Ok(Page { html, marker })
    }

    /// The same page as a person sees it before signing, complete in one file.
    pub fn preview(
        &self,
        settings: &Settings,
        content: &Content,
        body: &str,
    ) -> Result<String, Failure> {
        let slot = Slot::open();
        let mut content = content.clone();
        for file in &mut content.attachments {
            "#files".clone_into(&mut file.href);
        }
        let main = self.main(settings, &content, body, &slot)?;
        self.whole(settings, &content, &main, &slot, None)
    }

    fn main(
        &self,
        settings: &Settings,
        content: &Content,
        body: &str,
        slot: &Slot,
    ) -> Result<String, Failure> {
        let more = context! {
            page => content,
            body => Value::from_safe_string(body.to_owned()),
            slot,
            column => settings.column(&content.category),
        };
        self.fill(settings, "item.html", more)
    }

    fn whole(
        &self,
        settings: &Settings,
        content: &Content,
        main: &str,
        slot: &Slot,
        marker: Option<&super::marker::Marker>,
    ) -> Result<String, Failure> {
        let column: Column = settings.column(&content.category);
        let more = context! {
            page => content,
            slot,
            column,
            standalone => marker.is_none(),
            marker => marker.map(ToString::to_string),
        };
        let head = self.fill(settings, "item-head.html", more)?;
        let around = Around {
            title: &content.title,
            head: &head,
            here: &column.slug,
            standalone: marker.is_none(),
        };
        self.around(settings, main, around)
    }

    /// What stands in the place of a withdrawn item.
    pub fn notice(
        &self,
        settings: &Settings,
        revision: u32,
        at: Timestamp,
        first: i64,
        reason: &str,
    ) -> Result<Page, Failure> {
        let zone = settings.timezone;
        let notice = context! { at => minute(at, zone), iso => iso(at, zone), reason };
        let main = self.fill(settings, "notice.html", context! { notice })?;
        let marker = super::marker::Marker {
            revision,
            draft: "-".to_owned(),
            text: super::marker::text_hash(&main),
            first,
            withdrawn: true,
        };
        let head = format!(
            "<meta name=\"robots\" content=\"noindex\">\n{}\n",
            marker.tag()
        );
        let around = Around {
            title: "该信息已撤回",
            head: &head,
            ..Around::default()
        };
        let html = self.around(settings, &main, around)?;
        Ok(Page { html, marker })
    }

    pub fn missing(&self, settings: &Settings) -> Result<String, Failure> {
        let main = self.fill(settings, "missing.html", context! {})?;
        let around = Around {
            title: "没有找到这个页面",
            head: "<meta name=\"robots\" content=\"noindex\">\n",
            ..Around::default()
        };
        self.around(settings, &main, around)
    }
}

/// The named slot that only publication can fill: when readers could first see it.
#[derive(Debug, Serialize)]
struct Slot {
    first: String,
    first_iso: String,
    first_day: String,
}

impl Slot {
    fn of(first: Timestamp, settings: &Settings) -> Self {
        let first_at = minute(first, settings.timezone);
        Self {
            first_day: first_at.get(..10).unwrap_or_default().to_owned(),
            first_iso: iso(first, settings.timezone),
            first: first_at,
        }
    }

    fn open() -> Self {
        Self {
            first: "发布时填写".to_owned(),
            first_iso: String::new(),
            first_day: "发布时填写".to_owned(),
        }
    }
}

fn source(settings: &Settings, name: &str, embedded: &str) -> String {
    let folder = settings.templates.as_ref();
    folder
        .and_then(|folder| std::fs::read_to_string(folder.join(name)).ok())
        .unwrap_or_else(|| embedded.to_owned())
}

fn broken(name: &str, error: &Error) -> Words {
    let line = error.line().unwrap_or_default();
    Words::new(
        format!("模板 {name} 第 {line} 行有错：{}。", error.kind()),
        format!(
            "the template {name} is wrong in line {line}: {}.",
            error.kind()
        ),
    )
}

/// Markup as it is, all else escaped and without what XML cannot hold.
fn escaped(out: &mut Output<'_>, _state: &State<'_, '_>, value: &Value) -> Result<(), Error> {
    if value.is_undefined() || value.is_none() {
        return Ok(());
    }
    let text = value.to_string();
    if value.is_safe() {
        out.write_str(&text)?;
        return Ok(());
    }
    let legal: String = text
        .chars()
        .filter(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r'))
        .collect();
    out.write_str(&html::escape(&legal))?;
    Ok(())
}

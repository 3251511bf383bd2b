//! The calls a portal offers: method, address, headers and body of each, as templates.

use std::collections::BTreeMap;

use http::Method;

use super::settings::texts;
use super::template::{Hole, Templates};
use crate::contract::Effect;
use crate::kit::settings::Reader;

/// One call.
#[derive(Debug)]
pub struct CallSpec {
    pub method: Method,
    pub url: Hole,
    pub headers: Vec<(String, Hole)>,
    pub body: BodySpec,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodySpec {
    Nothing,
    /// The fields as a JSON object.
    Json,
    /// The fields as a form.
    Form,
    /// A text of the configuration's own, sent as this type.
    Written(Hole, String),
}

#[derive(Debug)]
pub struct Calls {
    pub create: CallSpec,
    pub update: Option<CallSpec>,
    pub withdraw: Option<CallSpec>,
    pub status: Option<CallSpec>,
    pub lookup: Option<CallSpec>,
    pub files: Option<Files>,
}

/// Where pictures and attachments go before the article does.
#[derive(Debug)]
pub struct Files {
    pub call: CallSpec,
    /// `part`: the form's name of the file; default `file`.
    pub part: String,
    /// `effect`, default `staged`.
    pub effect: Effect,
}

/// What holds where the configuration is silent.
#[derive(Debug, Clone, Copy)]
pub struct Defaults {
    /// Calls other than the first exist without being named.
    pub rest: bool,
    /// Bodies are `{type, timestamp, data}`.
    pub envelope: bool,
}

struct Usual {
    name: &'static str,
    method: Method,
    url: &'static str,
    body: BodySpec,
}

impl Calls {
    pub fn read(read: &mut Reader<'_>, defaults: Defaults, templates: &mut Templates) -> Self {
        let one = "{{ endpoint }}/{{ remote_id|url }}";
        let usual = |name, method, url, body| Usual {
            name,
            method,
            url,
            body,
        };
        let create = usual("create", Method::POST, "{{ endpoint }}", BodySpec::Json);
        let create = spec(read, &create, templates);
        let mut optional = |usual: &Usual| optional(read, usual, defaults.rest, templates);
        Self {
            create,
            update: optional(&usual("update", Method::PUT, one, BodySpec::Json)),
            withdraw: optional(&usual("withdraw", Method::DELETE, one, BodySpec::Nothing)),
            status: optional(&usual("status", Method::GET, one, BodySpec::Nothing)),
            lookup: optional(&usual(
                "lookup",
                Method::GET,
                "{{ endpoint }}?key={{ key|url }}",
                BodySpec::Nothing,
            )),
            files: files(read, templates),
        }
    }
}

/// A call that exists when its table is there, or by default; `enabled = false` takes it away.
fn optional(
    read: &mut Reader<'_>,
    usual: &Usual,
    rest: bool,
    templates: &mut Templates,
) -> Option<CallSpec> {
    let (enabled, call) = read.nested(usual.name, |read| {
        let enabled = read.flag("enabled", rest);
        let named = read.text("url");
        let enabled = enabled || named.is_some();
        (enabled, inside(read, usual, named, templates))
    });
    enabled.then_some(call)
}

fn spec(read: &mut Reader<'_>, usual: &Usual, templates: &mut Templates) -> CallSpec {
    read.nested(usual.name, |read| {
        let named = read.text("url");
        inside(read, usual, named, templates)
    })
}

fn inside(
    read: &mut Reader<'_>,
    usual: &Usual,
    named: Option<String>,
    templates: &mut Templates,
) -> CallSpec {
    let name = usual.name;
    let url = named.unwrap_or_else(|| usual.url.to_owned());
    let url = templates.add(read, "url", &format!("{name}.url"), url);
    let headers = headers(read, name, templates);
    CallSpec {
        method: method(read, &usual.method),
        url,
        headers,
        body: body(read, usual, templates),
    }
}

fn headers(read: &mut Reader<'_>, name: &str, templates: &mut Templates) -> Vec<(String, Hole)> {
    let table: BTreeMap<String, String> = texts(read, "headers");
    let mut headers = Vec::new();
    for (header, value) in table {
        let key = format!("headers.{header}");
        if http::HeaderName::from_bytes(header.as_bytes()).is_err() {
            read.problem(&key, "不是合法的头名。", "is no header name.");
        }
        let hole = templates.add(read, &key, &format!("{name}.{key}"), value);
        headers.push((header, hole));
    }
    headers
}

fn method(read: &mut Reader<'_>, usual: &Method) -> Method {
    let Some(text) = read.text("method") else {
        return usual.clone();
    };
    let known = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
    ];
    let found = known.iter().find(|method| method.as_str() == text);
    if found.is_none() {
        read.problem(
            "method",
            format!("“{text}”不认识，可以写 GET、POST、PUT、PATCH、DELETE。"),
            format!("`{text}` is unknown; write GET, POST, PUT, PATCH or DELETE."),
        );
    }
    found.unwrap_or(usual).clone()
}

fn body(read: &mut Reader<'_>, usual: &Usual, templates: &mut Templates) -> BodySpec {
    #[derive(Clone, Copy)]
    enum Format {
        Usual,
        None,
        Json,
        Form,
        Xml,
    }
    let formats = [
        ("none", Format::None),
        ("json", Format::Json),
        ("form", Format::Form),
        ("xml", Format::Xml),
    ];
    let format = read.choice("format", &formats, Format::Usual);
    let template = read.text("template");
    let mime = match format {
        Format::Xml => "text/xml; charset=utf-8",
        Format::Form => "application/x-www-form-urlencoded",
        Format::Json | Format::Usual | Format::None => "application/json",
    };
    let mime = read.text_or("mime", mime);
    match (format, template) {
        (_, Some(template)) => {
            let name = format!("{}.template", usual.name);
            BodySpec::Written(templates.add(read, "template", &name, template), mime)
        }
        (Format::Usual, None) => usual.body.clone(),
        (Format::None, None) => BodySpec::Nothing,
        (Format::Json, None) => BodySpec::Json,
        (Format::Form, None) => BodySpec::Form,
        (Format::Xml, None) => {
            read.problem(
                "template",
                "format 为 xml 时必须填写。",
                "must be set where format is xml.",
            );
            BodySpec::Nothing
        }
    }
}

fn files(read: &mut Reader<'_>, templates: &mut Templates) -> Option<Files> {
    read.nested("files", |read| {
        let named = read.text("url");
        let there = named.is_some();
        let effects = [
            ("staged", Effect::Staged),
            ("idempotent", Effect::Idempotent),
        ];
        let usual = Usual {
            name: "files",
            method: Method::POST,
            url: "",
            body: BodySpec::Nothing,
        };
        let files = Files {
            part: read.text_or("part", "file"),
            effect: read.choice("effect", &effects, Effect::Staged),
            call: inside(read, &usual, named, templates),
        };
        there.then_some(files)
    })
}

//! Texts with holes: addresses, header values and bodies as the configuration writes them.
//!
//! All are compiled when the configuration is read, so that a slip is found before anything is
//! sent. Nothing is escaped by itself: the filters `json`, `xml` and `url` say what a place needs.

use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};

use crate::kit::html;
use crate::kit::settings::Reader;

#[derive(Debug)]
pub struct Templates(Environment<'static>);

/// A compiled template, by its key in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole(String);

impl Default for Templates {
    fn default() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.add_filter("json", json);
        environment.add_filter("xml", |text: String| html::escape(&text));
        environment.add_filter("cdata", |text: String| {
            text.replace("]]>", "]]]]><![CDATA[>")
        });
        environment.add_filter("url", |text: String| url(&text));
        Self(environment)
    }
}

impl Templates {
    /// Compiles `source`, found under `key`; a slip is one problem of that key.
    pub fn add(&mut self, read: &mut Reader<'_>, key: &str, name: &str, source: String) -> Hole {
        if let Err(error) = self.0.add_template_owned(name.to_owned(), source) {
            let line = error.line().unwrap_or_default();
            let (kind, detail) = (error.kind(), error.detail().unwrap_or_default().to_owned());
            read.problem(
                key,
                format!("模板第 {line} 行有错：{kind}，{detail}。"),
                format!("the template is wrong in line {line}: {kind}, {detail}."),
            );
        }
        Hole(name.to_owned())
    }

    pub fn fill(&self, hole: &Hole, with: &Value) -> Result<String, Error> {
        self.0.get_template(&hole.0)?.render(with)
    }
}

impl Hole {
    pub fn name(&self) -> &str {
        &self.0
    }
}

fn json(value: &Value) -> Result<String, Error> {
    serde_json::to_string(value)
        .map_err(|_| Error::new(ErrorKind::InvalidOperation, "no JSON can be made of this"))
}

pub fn url(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

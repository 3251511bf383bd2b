//! `[[route]]`: which categories go to which channels.
//!
//! The first route that fits counts; without one an item goes to every channel. The office's own
//! site and the portal are never left out: the plan of 2017 makes both mandatory (SEED-45).

use lubu_channels::kit::settings::Reader;

use super::categories::Categories;
use super::channel::ChannelConfig;

#[derive(Debug, Clone, Default)]
pub struct Routing {
    routes: Vec<Route>,
    all: Vec<String>,
    always: Vec<String>,
}

#[derive(Debug, Clone)]
struct Route {
    /// Codes, or beginnings of codes with `*`.
    categories: Vec<String>,
    channels: Vec<String>,
}

const ALWAYS: [&str; 2] = ["site", "portal"];

pub fn read(
    reader: &mut Reader<'_>,
    channels: &[Option<ChannelConfig>],
    categories: &Categories,
) -> Routing {
    let known: Vec<&ChannelConfig> = channels.iter().flatten().collect();
    let names = |kept: &dyn Fn(&ChannelConfig) -> bool| {
        known
            .iter()
            .filter(|one| kept(one))
            .map(|one| one.name.clone())
            .collect::<Vec<_>>()
    };
    let mut routing = Routing {
        routes: Vec::new(),
        all: names(&|_| true),
        always: names(&|one| ALWAYS.contains(&one.adapter.as_str())),
    };
    for (at, table) in reader.tables("route").into_iter().enumerate() {
        let texts = |key: &str| {
            let list = table.get(key).and_then(toml::Value::as_array);
            list.map(|list| {
                list.iter()
                    .filter_map(|v| v.as_str().map(str::to_owned))
                    .collect()
            })
        };
        let route = Route {
            categories: texts("category").unwrap_or_default(),
            channels: texts("channels").unwrap_or_default(),
        };
        check(
            reader,
            at,
            &table,
            &route,
            &routing,
            categories,
            channels.len() == known.len(),
        );
        routing.routes.push(route);
    }
    routing
}

fn check(
    reader: &mut Reader<'_>,
    at: usize,
    table: &toml::Table,
    route: &Route,
    routing: &Routing,
    categories: &Categories,
    complete: bool,
) {
    for key in table
        .keys()
        .filter(|key| !["category", "channels"].contains(&key.as_str()))
    {
        reader.problem(&format!("route[{at}].{key}"), "没有这一项。", "is unknown.");
    }
    if route.categories.is_empty() || route.channels.is_empty() {
        reader.problem(
            &format!("route[{at}]"),
            "category 和 channels 都要写成一组文字。",
            "both category and channels must be lists of strings.",
        );
    }
    for name in route
        .channels
        .iter()
        .filter(|name| complete && !routing.all.contains(name))
    {
        reader.problem(
            &format!("route[{at}].channels"),
            format!("没有名为“{name}”的渠道。"),
            format!("there is no channel `{name}`."),
        );
    }
    for pattern in &route.categories {
        if !categories.iter().any(|leaf| fits(pattern, &leaf.code)) {
            reader.problem(
                &format!("route[{at}].category"),
                format!("没有信息分类“{pattern}”。"),
                format!("no category fits `{pattern}`."),
            );
        }
    }
}

fn fits(pattern: &str, code: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => code.starts_with(start),
        None => pattern == code,
    }
}

impl Routing {
    /// Names of the channels for a public item of this category.
    pub fn channels(&self, category: &str) -> Vec<&str> {
        let route = self.routes.iter().find(|route| {
            route
                .categories
                .iter()
                .any(|pattern| fits(pattern, category))
        });
        self.all
            .iter()
            .filter(|name| {
                self.always.contains(name)
                    || route.is_none_or(|route| route.channels.contains(name))
            })
            .map(String::as_str)
            .collect()
    }
}

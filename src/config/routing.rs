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
    let complete = channels.len() == known.len();
    for (at, table) in reader.tables("route").into_iter().enumerate() {
        let nothing = ["category", "channels"].map(|key| {
            let list = table.get(key);
            list.is_none_or(|list| list.as_array().is_some_and(Vec::is_empty))
                .then_some(key)
        });
        let mut own = reader.within(table, &format!("route[{at}]"));
        for key in nothing.into_iter().flatten() {
            own.problem(
                key,
                format!("{key} 要写成一组文字，如 [\"…\"]。"),
                format!("{key} must be a list of strings."),
            );
        }
        let route = Route {
            categories: own.texts("category").unwrap_or_default(),
            channels: own.texts("channels").unwrap_or_default(),
        };
        // A channel that has problems of its own is told of there.
        if complete {
            check_channels(&mut own, &route, &routing);
        }
        check_categories(&mut own, &route, categories);
        routing.routes.push(route);
        reader.adopt(own.finish(()).err().unwrap_or_default());
    }
    routing
}

fn check_channels(own: &mut Reader<'_>, route: &Route, routing: &Routing) {
    for name in &route.channels {
        if !routing.all.contains(name) {
            own.problem(
                "channels",
                format!("没有名为“{name}”的渠道。"),
                format!("there is no channel `{name}`."),
            );
        }
    }
}

fn check_categories(own: &mut Reader<'_>, route: &Route, categories: &Categories) {
    for pattern in &route.categories {
        if !categories.iter().any(|leaf| fits(pattern, &leaf.code)) {
            own.problem(
                "category",
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

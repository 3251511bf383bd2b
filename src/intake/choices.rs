//! The fields that depend on how this office is set up: category, channels, schedule.

use std::collections::{BTreeMap, BTreeSet};

use super::fields::Node;
use super::head::{required, table};
use super::keys::{Key, Keys, nearest};
use super::{Desk, Report};

/// Per channel or adapter name, what it shows instead.
pub type Overrides = BTreeMap<String, BTreeMap<String, String>>;

/// The code of an open leaf of the taxonomy.
pub fn category(keys: &mut Keys<'_>, desk: &Desk<'_>) -> String {
    let said = required(
        keys,
        "category",
        "请填信息分类的编码或名称，如 category = \"0604\"。",
        "give a category's code or name.",
    );
    let Some((said, place)) = said else {
        return String::new();
    };
    let Some(leaf) = desk.categories.find(&said) else {
        let names = desk.categories.iter().map(|leaf| leaf.name.as_str());
        let (zh, en) = hint(
            &said,
            names,
            "请按信息分类表填编码或名称。",
            "see the taxonomy.",
        );
        keys.report.wrong(
            place,
            format!("没有“{said}”这个信息分类，或同名的不止一个。{zh}"),
            format!("no category, or more than one, is called `{said}`; {en}"),
        );
        return String::new();
    };
    if leaf.closed {
        let name = &leaf.name;
        keys.report.wrong(
            place,
            format!("信息分类“{name}”已停用，不再接收新信息，请换一类。"),
            format!("category `{name}` is closed to new items; choose another."),
        );
    }
    leaf.code.clone()
}

/// The nearest name as a question, or else the given words.
fn hint<'n>(
    said: &str,
    names: impl Iterator<Item = &'n str>,
    zh: &str,
    en: &str,
) -> (String, String) {
    nearest(said, names).map_or_else(
        || (zh.to_owned(), en.to_owned()),
        |near| {
            (
                format!("是不是“{near}”？"),
                format!("did you mean `{near}`?"),
            )
        },
    )
}

/// `[channels.NAME]`: only what the channels of that name can show differently.
pub fn channels(keys: &mut Keys<'_>, desk: &Desk<'_>) -> Overrides {
    let Some(node) = keys.take("channels") else {
        return Overrides::new();
    };
    let place = node.place.clone();
    let Some(entries) = table(node) else {
        keys.report.wrong(
            place,
            "channels 下按渠道分组，如 [channels.wechat]，组内写 title = \"…\"。",
            "`channels` holds one table a channel, such as [channels.wechat].",
        );
        return Overrides::new();
    };
    let mut all = Overrides::new();
    for (name, node) in entries {
        let own = overrides(&name, node, desk, keys.report);
        if !own.is_empty() {
            all.insert(name, own);
        }
    }
    all
}

fn overrides(
    name: &str,
    node: Node,
    desk: &Desk<'_>,
    report: &mut Report,
) -> BTreeMap<String, String> {
    let meant: Vec<&[&'static str]> = desk
        .channels
        .iter()
        .filter(|(own, adapter, _)| own == name || adapter == name)
        .map(|(_, _, overrides)| overrides.as_slice())
        .collect();
    let place = node.place.clone();
    if meant.is_empty() {
        let names = desk
            .channels
            .iter()
            .flat_map(|(own, adapter, _)| [own.as_str(), adapter]);
        let all = names
            .clone()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>();
        let (zh, en) = (
            format!("有 {}。", all.join("、")),
            format!("there are {}.", all.join(", ")),
        );
        let (zh, en) = hint(name, names, &zh, &en);
        report.wrong(
            place,
            format!("没有“{name}”这个渠道。{zh}"),
            format!("there is no channel `{name}`; {en}"),
        );
        return BTreeMap::new();
    }
    let Some(entries) = table(node) else {
        report.wrong(
            place,
            format!("渠道“{name}”下应是一组栏目，如 title = \"…\"。"),
            format!("`{name}` holds a table, such as title = \"…\"."),
        );
        return BTreeMap::new();
    };
    let known: BTreeSet<&'static str> = meant.into_iter().flatten().copied().collect();
    let known: Vec<Key> = known.into_iter().map(|key| (key, &[] as &[_])).collect();
    let mut keys = Keys::new(entries, &known, report);
    let mut own = BTreeMap::new();
    for (key, _) in &known {
        if let Some((text, _)) = keys.text(key) {
            own.insert((*key).to_owned(), text);
        }
    }
    keys.finish();
    own
}

/// One of the schedules that are configured.
pub fn schedule(keys: &mut Keys<'_>, desk: &Desk<'_>) -> Option<String> {
    let (said, place) = keys.line("schedule")?;
    if desk.schedules.contains(&said) {
        return Some(said);
    }
    let (zh, en) = if desk.schedules.is_empty() {
        (
            "配置里没有任何计划，请删去这一栏。".into(),
            "none is configured.".into(),
        )
    } else {
        let all = desk.schedules.join("、");
        (
            format!("可以写 {all}。"),
            format!("there are {}.", desk.schedules.join(", ")),
        )
    };
    keys.report.wrong(
        place,
        format!("没有“{said}”这个发布计划。{zh}"),
        format!("there is no schedule `{said}`; {en}"),
    );
    None
}

//! `[[channel]]`: the keys that every channel has, and its adapter.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use lubu_channels::kit::settings::Reader;
use lubu_channels::registry::Build;
use lubu_channels::{Channel, Entry, Problem};

use super::quiet;
use super::secrets::Secrets;
use super::sections::Office;
use crate::model::approval::OnCorrection;
use crate::model::limit::Rate;
use crate::model::quiet::QuietHours;
use crate::model::retry::Backoff;

/// Adapters by name.
pub type Registry = BTreeMap<&'static str, Build>;

#[derive(Debug, Clone)]
pub struct ChannelConfig {
    pub name: String,
    pub adapter: String,
    pub channel: Arc<dyn Channel>,
    pub after: Vec<String>,
    pub concurrency: usize,
    pub rate: Option<Rate>,
    pub quiet: Option<QuietHours>,
    pub on_correction: OnCorrection,
    pub backoff: Backoff,
    /// The total time of one call.
    pub call_within: Duration,
}

/// What all channels share.
#[derive(Debug)]
pub struct Setting<'a> {
    pub base: &'a Path,
    pub zone: Tz,
    pub office: &'a Office,
    pub secrets: &'a Secrets<'a>,
}

/// Every `[[channel]]`, in order; `None` where one has problems.
pub fn read(
    reader: &mut Reader<'_>,
    registry: &Registry,
    setting: &Setting<'_>,
) -> Vec<Option<ChannelConfig>> {
    let mut channels: Vec<Option<ChannelConfig>> = Vec::new();
    let mut names = Vec::new();
    for (at, table) in reader.tables("channel").into_iter().enumerate() {
        let mut own = reader.within(table, &format!("channel[{at}]"));
        let name = own.required("name");
        if names.contains(&name) {
            own.problem(
                "name",
                format!("渠道名“{name}”重复。"),
                format!("`{name}` stands twice."),
            );
        }
        names.push(name.clone());
        let (channel, problems) = one(own, name, at, registry, setting);
        reader.adopt(problems);
        channels.push(channel);
    }
    if names.is_empty() {
        reader.problem(
            "channel",
            "至少要有一个 [[channel]]。",
            "there must be at least one [[channel]].",
        );
    }
    order(reader, &channels, &names);
    channels
}

fn one(
    mut own: Reader<'_>,
    name: String,
    at: usize,
    registry: &Registry,
    setting: &Setting<'_>,
) -> (Option<ChannelConfig>, Vec<Problem>) {
    let adapter = own.required("adapter");
    let build = registry.get(adapter.as_str());
    if build.is_none() && !adapter.is_empty() {
        let known: Vec<&str> = registry.keys().copied().collect();
        let known = known.join(", ");
        own.problem(
            "adapter",
            format!("没有适配器“{adapter}”，现有：{known}。"),
            format!("there is no adapter `{adapter}`; there are: {known}."),
        );
    }
    let after = own.texts("after").unwrap_or_default();
    let concurrency = own.count("concurrency", 1, 1..=1024);
    let on_correction = own.choice(
        "on_correction",
        &[
            ("ask", OnCorrection::Ask),
            ("leave", OnCorrection::Leave),
            ("replace", OnCorrection::Replace),
        ],
        OnCorrection::Ask,
    );
    let call_within = own.duration("call_within", Duration::from_mins(1));
    let backoff = own.nested("backoff", backoff);
    let rate = own.nested("rate", rate);
    let quiet = quiet::read(&mut own, setting.zone);
    let entry = Entry {
        name: &name,
        settings: own.rest(),
        base: setting.base.to_path_buf(),
        timezone: setting.zone,
        publisher: &setting.office.name,
        secrets: setting.secrets,
        keys: None,
    };
    let mut problems = own.finish(()).err().unwrap_or_default();
    let made = build.map(|build| build(&entry));
    let channel = match made {
        Some(Ok(channel)) => Some(channel),
        Some(Err(theirs)) => {
            problems.extend(theirs.into_iter().map(|problem| Problem {
                key: format!("channel[{at}].{}", problem.key),
                ..problem
            }));
            None
        }
        None => None,
    };
    let config = channel.map(|channel| ChannelConfig {
        name,
        adapter,
        channel,
        after,
        concurrency: usize::try_from(concurrency).unwrap_or(1),
        rate,
        quiet,
        on_correction,
        backoff,
        call_within,
    });
    (config, problems)
}

fn backoff(section: &mut Reader<'_>) -> Backoff {
    let usual = Backoff::default();
    Backoff {
        first: section.duration("first", usual.first),
        factor: f64::from(u32::try_from(section.count("factor", 3, 1..=100)).unwrap_or(3)),
        longest: section.duration("longest", usual.longest),
        most_tries: u32::try_from(section.count("most_tries", 20, 1..=1000)).unwrap_or(20),
        most_age: section.duration("most_age", usual.most_age),
    }
}

fn rate(section: &mut Reader<'_>) -> Option<Rate> {
    let count = u32::try_from(section.count("count", 0, 0..=1_000_000)).unwrap_or(0);
    let per = section.duration("per", Duration::from_mins(1));
    (count > 0).then_some(Rate { count, per })
}

/// `after` names channels that exist, and never itself by a detour.
fn order(reader: &mut Reader<'_>, channels: &[Option<ChannelConfig>], names: &[String]) {
    for (at, channel) in channels.iter().enumerate() {
        let Some(channel) = channel else { continue };
        let key = format!("channel[{at}].after");
        for other in channel.after.iter().filter(|other| !names.contains(other)) {
            reader.problem(
                &key,
                format!("没有名为“{other}”的渠道。"),
                format!("there is no channel `{other}`."),
            );
        }
        if reaches(channels, &channel.name, &channel.name, names.len()) {
            let name = &channel.name;
            reader.problem(
                &key,
                format!("“{name}”绕了一圈要等它自己。"),
                format!("`{name}` would wait for itself."),
            );
        }
    }
}

fn reaches(channels: &[Option<ChannelConfig>], from: &str, to: &str, hops: usize) -> bool {
    let Some(channel) = channels
        .iter()
        .flatten()
        .find(|channel| channel.name == from)
    else {
        return false;
    };
    channel
        .after
        .iter()
        .any(|next| next == to || (hops > 0 && reaches(channels, next, to, hops - 1)))
}

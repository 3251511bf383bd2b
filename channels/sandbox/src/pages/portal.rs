//! The portal as a citizen sees it, and the editors' desk below it.

use minijinja::context;

use super::{Dress, error_page, page};
use crate::clock::shown;
use crate::portal::{Article, Attachment, Site, Status};
use crate::wire::{Call, Reply};
use crate::world::Scene;

const HOME: &str = include_str!("../../templates/portal_home.html");
const ARTICLE: &str = include_str!("../../templates/portal_article.html");

pub(crate) fn answer(site: &Site, scene: &Scene<'_>, call: &Call) -> Reply {
    let path = call.path.strip_prefix("/portal/").unwrap_or_default();
    if !matches!(call.method.as_str(), "GET" | "HEAD") {
        return error_page(405);
    }
    if path.is_empty() {
        return home(site, scene, call);
    }
    if let Some(id) = path
        .strip_prefix("articles/")
        .and_then(|rest| rest.strip_suffix(".html"))
    {
        return article(site, scene, call, id);
    }
    match path
        .strip_prefix("files/")
        .and_then(|rest| rest.split_once('/'))
    {
        Some((id, _)) => file(site, id),
        None => error_page(404),
    }
}

fn file(site: &Site, id: &str) -> Reply {
    match site.files.iter().find(|file| file.id == id) {
        None => error_page(404),
        Some(file) => Reply::new(200, "application/octet-stream", file.bytes.clone())
            .with("x-content-type-options", "nosniff")
            .with(
                "content-disposition",
                format!(
                    "attachment; filename*=UTF-8''{}",
                    super::encoded(&file.name)
                ),
            ),
    }
}

fn article(site: &Site, scene: &Scene<'_>, call: &Call, id: &str) -> Reply {
    let Some(found) = site.articles.iter().find(|article| article.id == id) else {
        return error_page(404);
    };
    if found.status == Status::Withdrawn {
        return error_page(410);
    }
    let seen = found
        .live
        .as_ref()
        .filter(|(_, since)| since + call.lag_ms <= scene.now);
    let Some((version, since)) = seen else {
        return error_page(404);
    };
    let linked = |one: &Attachment| {
        context! { name => one.name, url => one.url.strip_prefix(scene.base).unwrap_or(&one.url) }
    };
    let attachments: Vec<_> = version.attachments.iter().map(linked).collect();
    let given = &version.published_at;
    let values = context! {
        title => version.title,
        at => if given.is_empty() { shown(*since) } else { given.clone() },
        source => version.source,
        author => version.author,
        column => version.column,
        content => version.content,
        link => version.link,
        attachments,
    };
    page(Dress::Portal, &version.title, ARTICLE, values)
}

fn home(site: &Site, scene: &Scene<'_>, call: &Call) -> Reply {
    let live = |article: &&Article| {
        article
            .live
            .as_ref()
            .is_some_and(|(_, since)| since + call.lag_ms <= scene.now)
    };
    let public: Vec<_> = site
        .articles
        .iter()
        .rev()
        .filter(live)
        .filter_map(|article| {
            let (version, since) = article.live.as_ref()?;
            Some(context! {
                title => version.title,
                url => article.address(""),
                date => crate::html::cut(&shown(*since), 10),
            })
        })
        .collect();
    let desk: Vec<_> = site
        .articles
        .iter()
        .rev()
        .map(|article| {
            let version = article
                .next
                .as_ref()
                .or(article.live.as_ref().map(|(live, _)| live));
            let (glyph, word) = match article.status {
                Status::Pending => ("◔", "待审核"),
                Status::Adopted => ("◔", "已采用"),
                Status::Published => ("●", "已发布"),
                Status::Returned => ("✕", "已退回"),
                Status::Withdrawn => ("⊘", "已撤下"),
            };
            context! {
                id => article.id,
                title => version.map(|version| version.title.clone()),
                column => version.map(|version| version.column.clone()),
                at => shown(article.submitted),
                status => article.status.name(),
                waiting => matches!(article.status, Status::Pending | Status::Adopted),
                standing => article.status != Status::Withdrawn,
                reason => article.reason,
                glyph,
                word,
            }
        })
        .collect();
    page(
        Dress::Portal,
        "市人民政府门户网站",
        HOME,
        context! { public, desk },
    )
}

//! The account as a reader sees it on a phone, and the draft box beside it.

use minijinja::context;

use super::{Dress, error_page, page};
use crate::clock::shown;
use crate::wechat::{Account, Article, Message};
use crate::wire::{Call, Reply};
use crate::world::Scene;

const HOME: &str = include_str!("../../templates/wechat_home.html");
const ARTICLE: &str = include_str!("../../templates/wechat_article.html");
const ACCOUNT: &str = "市发展改革委";

pub(crate) fn answer(account: &Account, scene: &Scene<'_>, call: &Call) -> Reply {
    let path = call.path.strip_prefix("/wechat/").unwrap_or_default();
    if !matches!(call.method.as_str(), "GET" | "HEAD") {
        return error_page(405);
    }
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let (id, place) = rest.split_once('/').unwrap_or((rest, "1"));
    let place = place
        .parse::<usize>()
        .ok()
        .and_then(|place| place.checked_sub(1));
    match (first, place) {
        ("", _) => home(account, scene, call),
        ("img", _) => match account.media.picture(rest) {
            Some(picture) => Reply::new(200, picture.mime, picture.bytes.clone()),
            None => error_page(404),
        },
        ("s", Some(place)) => published(account, scene, call, id, place),
        ("draft", Some(place)) => {
            let draft = account.drafts.iter().find(|draft| draft.media_id == id);
            match draft.and_then(|draft| draft.articles.get(place).map(|a| (draft.created, a))) {
                Some((at, shown)) => article(scene, shown, at, true),
                None => error_page(404),
            }
        }
        _ => error_page(404),
    }
}

fn published(account: &Account, scene: &Scene<'_>, call: &Call, id: &str, place: usize) -> Reply {
    let seen = |m: &&Message| m.article_id == id && m.at + call.lag_ms <= scene.now;
    let message = account.messages.iter().find(seen);
    match message.and_then(|m| m.articles.get(place).map(|shown| (m.at, shown))) {
        None => error_page(404),
        Some((_, shown)) if shown.deleted => error_page(410),
        Some((at, shown)) => article(scene, &shown.article, at, false),
    }
}

fn article(scene: &Scene<'_>, article: &Article, at: i64, draft: bool) -> Reply {
    let values = context! {
        account => ACCOUNT,
        title => article.title,
        author => article.author,
        content => article.content,
        source => article.content_source_url,
        newspic => article.newspic,
        cover => local(scene, &article.thumb_url),
        at => shown(at),
        draft,
    };
    page(Dress::Phone, &article.title, ARTICLE, values)
}

/// The path of a picture on this server, so that a page shows it whatever name it was opened under.
fn local(scene: &Scene<'_>, url: &str) -> String {
    url.strip_prefix(scene.base).unwrap_or(url).to_owned()
}

fn home(account: &Account, scene: &Scene<'_>, call: &Call) -> Reply {
    let card = |article: &Article, url: String| {
        context! {
            url,
            title => article.title,
            digest => article.digest,
            cover => local(scene, &article.thumb_url),
        }
    };
    let visible = |m: &&Message| {
        m.at + call.lag_ms <= scene.now && m.articles.iter().any(|shown| !shown.deleted)
    };
    let messages: Vec<_> = account
        .messages
        .iter()
        .rev()
        .filter(visible)
        .map(|m| {
            let standing = m
                .articles
                .iter()
                .enumerate()
                .filter(|(_, shown)| !shown.deleted);
            let cards: Vec<_> = standing
                .map(|(place, shown)| card(&shown.article, m.address("", place)))
                .collect();
            context! { cards, at => shown(m.at), pushed => m.pushed, id => m.article_id }
        })
        .collect();
    let drafts: Vec<_> = account
        .drafts
        .iter()
        .rev()
        .map(|draft| {
            let url = |place| format!("/wechat/draft/{}/{}", draft.media_id, place + 1);
            let each = draft.articles.iter().enumerate();
            let cards: Vec<_> = each.map(|(place, a)| card(a, url(place))).collect();
            context! { cards, at => shown(draft.updated), id => draft.media_id }
        })
        .collect();
    page(
        Dress::Phone,
        ACCOUNT,
        HOME,
        context! { account => ACCOUNT, messages, drafts },
    )
}

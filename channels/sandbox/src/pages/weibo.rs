//! The timeline as a reader sees it on a phone, one post, and a headline article.

use minijinja::{Value, context};

use super::{Dress, error_page, page};
use crate::clock::shown;
use crate::weibo::{Account, Post, mid};
use crate::wire::{Call, Reply};
use crate::world::Scene;

const HOME: &str = include_str!("../../templates/weibo_home.html");
const HEADLINE: &str = include_str!("../../templates/weibo_article.html");

pub(crate) fn answer(account: &Account, scene: &Scene<'_>, call: &Call) -> Reply {
    let path = call.path.strip_prefix("/weibo/").unwrap_or_default();
    if !matches!(call.method.as_str(), "GET" | "HEAD") {
        return error_page(405);
    }
    let uid = scene.options.weibo_uid.to_string();
    if path.is_empty() {
        return Reply::see_other(&format!("/weibo/u/{uid}"));
    }
    if path == "ttarticle/p/show" {
        return headline(account, call);
    }
    let seen = |post: &&Post| post.at + call.lag_ms <= scene.now;
    match path.split_once('/') {
        Some(("u", given)) if given == uid => {
            let posts: Vec<_> = account
                .live()
                .filter(seen)
                .map(|post| card(account, &uid, post))
                .collect();
            timeline(scene, &posts, false)
        }
        Some(("pic", id)) => {
            let post = account.live().find(|post| post.mid.to_string() == id);
            match post.and_then(|post| post.picture.as_ref()) {
                Some((mime, bytes)) => Reply::new(200, mime, bytes.clone()),
                None => error_page(404),
            }
        }
        Some((given, code)) if given == uid => {
            match account
                .live()
                .filter(seen)
                .find(|post| mid::encode(post.mid) == code)
            {
                Some(post) => timeline(scene, &[card(account, &uid, post)], true),
                None => error_page(404),
            }
        }
        _ => error_page(404),
    }
}

fn card(account: &Account, uid: &str, post: &Post) -> Value {
    let mut rest = post.text.as_str();
    let mut parts = Vec::new();
    for (short, long) in &post.links {
        if let Some((before, after)) = rest.split_once(short.as_str()) {
            parts.push(context! { text => before });
            parts.push(context! { link => long });
            rest = after;
        }
    }
    parts.push(context! { text => rest });
    let headline = account
        .headlines
        .iter()
        .find(|h| Some(&h.object_id) == post.article.as_ref());
    context! {
        id => post.mid.to_string(),
        url => format!("/weibo/{uid}/{}", mid::encode(post.mid)),
        parts,
        picture => post.picture.as_ref().map(|_| format!("/weibo/pic/{}", post.mid)),
        headline => headline.map(|h| context! { title => h.title, id => h.object_id }),
        by_hand => post.by_hand,
        at => shown(post.at),
    }
}

fn timeline(scene: &Scene<'_>, posts: &[Value], single: bool) -> Reply {
    let uid = scene.options.weibo_uid;
    page(
        Dress::Phone,
        "市发展改革委的微博",
        HOME,
        context! { posts, single, uid },
    )
}

fn headline(account: &Account, call: &Call) -> Reply {
    let id = call.param("id").unwrap_or_default();
    let Some(found) = account
        .headlines
        .iter()
        .find(|headline| headline.object_id == id)
    else {
        return error_page(404);
    };
    if !account.live().any(|post| post.mid == found.mid) {
        return error_page(410);
    }
    let values = context! {
        title => found.title,
        summary => found.summary,
        cover => found.cover,
        content => found.content,
        at => shown(found.at),
    };
    page(Dress::Phone, &found.title, HEADLINE, values)
}

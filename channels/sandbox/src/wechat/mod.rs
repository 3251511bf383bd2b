//! A WeChat Official Account.
//!
//! Business errors are HTTP 200 with `errcode` and an `errmsg` that ends in a `rid`;
//! most successes have no `errcode` at all. The order of the checks is: framing (412),
//! address (40164), method, token, daily quota, then the call's own rules.

mod article;
mod draft;
mod json;
mod mass;
mod media;
mod office;
mod publish;
mod quota;
mod token;

use std::net::IpAddr;

use serde_json::{Value, json};

use crate::html;
use crate::ledger::{Platform, PublicPost};
use crate::pages;
use crate::wire::{Call, Framing, Reply};
use crate::world::Scene;

pub(crate) use article::Article;
pub(crate) use draft::Draft;
pub(crate) use publish::Message;

/// A refusal: the platform's code and its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal(pub i64, pub String);

pub(crate) type Outcome = Result<Value, Refusal>;

pub(crate) fn refuse<T>(code: i64, words: &str) -> Result<T, Refusal> {
    Err(Refusal(code, words.to_owned()))
}

/// Everything the account holds.
#[derive(Debug, Default)]
pub(crate) struct Account {
    tokens: token::Tokens,
    quota: quota::Quota,
    pub media: media::Library,
    pub drafts: Vec<Draft>,
    pub jobs: Vec<publish::Job>,
    /// What was published or sent, oldest first.
    pub messages: Vec<Message>,
    pub sends: Vec<mass::Sent>,
}

/// An error body with a `rid` made from what it says.
pub(crate) fn failure(code: i64, words: &str) -> Reply {
    let hash = blake3::hash(format!("{code} {words}").as_bytes()).to_hex();
    failure_with(code, words, &hash)
}

fn failure_with(code: i64, words: &str, hex: &str) -> Reply {
    let part = |from: usize| hex.get(from..from + 8).unwrap_or("00000000");
    let rid = format!("{}-{}-{}", part(0), part(8), part(16));
    Reply::json(
        200,
        &json!({"errcode": code, "errmsg": format!("{words} rid: {rid}")}),
    )
    .coded(code)
}

/// The address and its mapped form, as the platform prints them.
pub(crate) fn shown_ip(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(four) => format!("{four} ipv6 ::ffff:{four}"),
        IpAddr::V6(six) => format!("{six} ipv6 {six}"),
    }
}

pub(crate) fn answer(account: &mut Account, scene: &mut Scene<'_>, call: &Call) -> Reply {
    let Some(path) = call.path.strip_prefix("/wechat/cgi-bin/") else {
        return office::answer(account, scene, call)
            .unwrap_or_else(|| pages::wechat::answer(account, scene, call));
    };
    if call.is("POST") && !matches!(call.framing, Framing::Length(_)) {
        return pages::error_page(412).coded(412);
    }
    match run(account, scene, call, path) {
        Ok(mut value) => {
            if !scene.settings.wechat.numeric_ids {
                id_strings(&mut value);
            }
            let mut reply = Reply::json(200, &value);
            if scene.settings.wechat.control_chars {
                let body = String::from_utf8_lossy(&reply.body).replace(":\"", ":\"\u{b}");
                reply.body = body.into_bytes();
            }
            let code = value.get("errcode").and_then(Value::as_i64).unwrap_or(0);
            reply.coded(code)
        }
        Err(Refusal(code, words)) => {
            let salt = scene.ids.text(16);
            let hex = blake3::hash(salt.as_bytes()).to_hex();
            failure_with(code, &words, &hex)
        }
    }
}

/// Publish and message ids are numbers or strings, as the platform pleases.
fn id_strings(value: &mut Value) {
    for key in ["publish_id", "msg_id", "msg_data_id"] {
        if let Some(id) = value.get_mut(key)
            && id.is_number()
        {
            *id = Value::String(id.to_string());
        }
    }
}

fn run(account: &mut Account, scene: &mut Scene<'_>, call: &Call, path: &str) -> Outcome {
    let rules = &scene.settings.wechat;
    let ip = call.peer.to_string();
    if rules
        .ip_whitelist
        .as_ref()
        .is_some_and(|list| !list.contains(&ip))
    {
        let shown = shown_ip(call.peer);
        return refuse(40164, &format!("invalid ip {shown}, not in whitelist"));
    }
    let gets = ["token", "material/get_materialcount", "draft/count"];
    match (gets.contains(&path), call.method.as_str()) {
        (true, "GET") | (false, "POST") => {}
        (true, _) => return refuse(43001, "require GET method"),
        (false, _) => return refuse(43002, "require POST method"),
    }
    match path {
        "token" => return account.tokens.legacy(scene, call, &mut account.quota),
        "stable_token" => return account.tokens.stable(scene, call, &mut account.quota),
        _ => {}
    }
    account.tokens.check(scene, call)?;
    if let "media/uploadimg" | "material/add_material" = path {
        account.quota.spend(scene, path)?;
        return account.media.upload(scene, call, path);
    }
    if !quota::known(path) {
        return refuse(40066, "invalid url");
    }
    account.quota.spend(scene, path)?;
    let body = if call.is("GET") {
        Value::Null
    } else {
        json::read(&call.body)?
    };
    dispatch(account, scene, call, path, &body)
}

fn dispatch(
    account: &mut Account,
    scene: &mut Scene<'_>,
    call: &Call,
    path: &str,
    body: &Value,
) -> Outcome {
    match path {
        "openapi/quota/get" => account.quota.report(scene, body),
        "material/batchget_material" => account.media.list(scene, call, body),
        "material/get_materialcount" => Ok(account.media.count()),
        "material/del_material" => account.media.delete(scene, body),
        "draft/add" => account.draft_add(scene, body),
        "draft/get" => account.draft_get(scene, call, body),
        "draft/update" => account.draft_update(scene, body),
        "draft/delete" => account.draft_delete(scene, body),
        "draft/batchget" => account.draft_list(scene, call, body),
        "draft/count" => Ok(json!({"total_count": account.drafts.len()})),
        path if path.starts_with("freepublish/") => account.freepublish(scene, call, path, body),
        path if path.starts_with("message/mass/") => account.mass(scene, call, path, body),
        _ => refuse(40066, "invalid url"),
    }
}

impl Account {
    /// Every article that a reader can open now.
    pub fn public(&self, base: &str) -> Vec<PublicPost> {
        let mut posts = Vec::new();
        for message in &self.messages {
            for (place, shown) in message
                .articles
                .iter()
                .enumerate()
                .filter(|(_, s)| !s.deleted)
            {
                let article = &shown.article;
                posts.push(PublicPost {
                    platform: Platform::Wechat,
                    id: format!("{}/{}", message.article_id, place + 1),
                    title: article.title.clone(),
                    text: html::text(&article.content),
                    url: message.address(base, place),
                    link: article.content_source_url.clone(),
                    marker: article.marker(),
                    first_visible_ms: message.at,
                    first_visible: crate::clock::beijing(message.at).to_rfc3339(),
                    copies: 0,
                });
            }
        }
        posts
    }
}

/// The fields `offset` and `count` of a list call.
fn window(body: &Value) -> Result<(usize, usize), Refusal> {
    let get = |key: &str| body.get(key).and_then(Value::as_u64);
    match (get("offset"), get("count")) {
        (Some(offset), Some(count @ 1..=20)) => Ok((
            usize::try_from(offset).unwrap_or(usize::MAX),
            usize::try_from(count).unwrap_or(20),
        )),
        _ => refuse(40097, "invalid args: offset or count"),
    }
}

fn media_id(body: &Value) -> Result<&str, Refusal> {
    match body.get("media_id") {
        None => refuse(41006, "missing media_id"),
        Some(id) => id.as_str().ok_or(Refusal(40007, "invalid media_id".into())),
    }
}

//! What a person does on weibo.com: post something, delete a post.

use super::Account;
use super::fields;
use crate::ledger::Sight;
use crate::pages;
use crate::wire::{Call, Reply};
use crate::world::Scene;

/// `POST /weibo/office/post` with `text`, `POST /weibo/office/{mid}/delete`; anything else is not for us.
pub(super) fn answer(account: &mut Account, scene: &mut Scene<'_>, call: &Call) -> Option<Reply> {
    let rest = call
        .path
        .strip_prefix("/weibo/office/")
        .filter(|_| call.is("POST"))?;
    let home = format!("/weibo/u/{}", scene.options.weibo_uid);
    if rest == "post" {
        let fields = fields::read(call).ok()?;
        let text = fields.get("text").filter(|text| !text.trim().is_empty());
        let Some(text) = text else {
            return Some(pages::error_page(400));
        };
        account.post(scene, text, None, None, true);
        return Some(Reply::see_other(&home));
    }
    let (id, act) = rest.split_once('/')?;
    let post = account
        .posts
        .iter_mut()
        .find(|p| p.own && !p.deleted && p.mid.to_string() == id);
    match (act, post) {
        ("delete", Some(post)) => {
            post.deleted = true;
            let marker = post.marker();
            scene.note("post deleted by hand", id, &marker, Sight::Vanished);
            Some(Reply::see_other(&home))
        }
        ("delete", None) => Some(pages::error_page(404)),
        _ => None,
    }
}

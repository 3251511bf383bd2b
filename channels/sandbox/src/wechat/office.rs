//! What a person does at mp.weixin.qq.com: press publish, delete a draft, delete an article.
//!
//! Forms on the account's page; the adapter's draft mode hands the last step to such a
//! person. No token and no quota, but a row in the ledger.

use serde_json::json;

use super::{Account, publish};
use crate::wire::{Call, Reply};
use crate::world::Scene;

/// `POST /wechat/office/{what}/{id}/{act}`; anything else is not for us.
pub(super) fn answer(account: &mut Account, scene: &mut Scene<'_>, call: &Call) -> Option<Reply> {
    let rest = call
        .path
        .strip_prefix("/wechat/office/")
        .filter(|_| call.is("POST"))?;
    let (what, rest) = rest.split_once('/')?;
    let (id, act) = rest.split_once('/')?;
    let done = match (what, act) {
        ("drafts", "publish") => account.submit(scene, &json!({"media_id": id})).is_ok(),
        ("drafts", "delete") => account
            .draft_delete(scene, &json!({"media_id": id}))
            .is_ok(),
        ("articles", "delete") => {
            match account
                .messages
                .iter_mut()
                .find(|message| message.article_id == id)
            {
                Some(message) => {
                    publish::take_down(scene, message, 0);
                    true
                }
                None => false,
            }
        }
        _ => return None,
    };
    Some(if done {
        Reply::see_other("/wechat/")
    } else {
        crate::pages::error_page(404)
    })
}

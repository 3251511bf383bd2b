//! What the portal's editors do by hand: publish, send back, take down.

use super::{Site, Status};
use crate::pages;
use crate::wire::{Call, Reply};
use crate::world::Scene;

/// `POST /portal/office/{id}/{publish|return|withdraw}`; anything else is not for us.
pub(super) fn answer(site: &mut Site, scene: &mut Scene<'_>, call: &Call) -> Option<Reply> {
    let rest = call
        .path
        .strip_prefix("/portal/office/")
        .filter(|_| call.is("POST"))?;
    let (id, act) = rest.split_once('/')?;
    let Some(article) = site.articles.iter_mut().find(|article| article.id == id) else {
        return Some(pages::error_page(404));
    };
    let waiting = matches!(article.status, Status::Pending | Status::Adopted);
    let at = scene.now;
    match act {
        "publish" if waiting => article.publish(scene, at),
        "return" if waiting => {
            let reason = scene.settings.portal.return_reason.clone();
            article.send_back(scene, at, &reason);
        }
        "withdraw" => article.take_down(scene),
        _ => return Some(pages::error_page(404)),
    }
    // What an editor does is done in this call, not by the passing of time.
    scene.effects.extend(
        std::mem::take(&mut scene.moved)
            .into_iter()
            .map(|(_, effect)| effect),
    );
    Some(Reply::see_other("/portal/"))
}

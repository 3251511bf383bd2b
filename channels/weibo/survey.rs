//! Which posts the account shows, whoever sent them: the five newest, which is all that the platform lists.
//!
//! Links come back shortened, so a post names no item; its text is what it is told by. In `share` mode the list
//! holds what this app sent and nothing else. In `article` mode it holds everything of the account, and a post
//! is ours only where it reads like one.

use super::look::{essence, is_right_missing, timeline};
use super::permalink::permalink;
use super::post;
use super::settings::Mode;
use super::wire::Api;
use crate::contract::{Draft, Failure, Posted, Sign, Stands, Surveyed};

/// Characters by which a person knows a post again.
const OPENING: usize = 40;

pub async fn survey(api: &Api<'_>) -> Result<Surveyed, Failure> {
    let listed = match timeline(api).await {
        Err(failure) if is_right_missing(&failure) => {
            return Ok(Surveyed::CannotTell(failure.public));
        }
        other => other?,
    };
    let own_app = api.settings.mode == Mode::Share;
    let post = |row: super::look::Row| {
        let id = row.id.to_string();
        Posted {
            address: permalink(&api.settings.web, &api.settings.uid, &id),
            remote_id: id,
            at: row.at,
            title: row.essence.chars().take(OPENING).collect(),
            sign: Sign::Text {
                essence: row.essence,
                own_app,
            },
            stands: Stands::Public,
        }
    };
    Ok(Surveyed::Posts(listed.rows.into_iter().map(post).collect()))
}

pub fn reads_as(mode: Mode, posted: &Posted, draft: &Draft) -> bool {
    let (Sign::Text { essence: shown, .. }, Some(sent)) = (&posted.sign, post::read(draft)) else {
        return false;
    };
    let sent = essence(&sent.text);
    match mode {
        Mode::Share => *shown == sent,
        Mode::Article => shown.contains(&sent),
    }
}

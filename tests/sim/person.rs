//! Somebody who looks at the platform with their own eyes, and says what is there.

use lubu::model::delivery::{Delivery, Event, Hold, PublicState, State, Wanted};
use lubu_channels::Timestamp;

use crate::channel::address;
use crate::platform::Platform;

/// Leaves at most one copy, and none that is not ours as it was signed. Whether anything was done.
pub fn tidies(platform: &mut Platform, now: Timestamp, item: &str) -> bool {
    let public = platform.public(item);
    let (strange, own): (Vec<_>, Vec<_>) = public
        .map(|one| (one.id, one.now().is_some_and(|shown| shown.draft == EDITED)))
        .partition(|(_, edited)| *edited);
    let twins = own.into_iter().skip(1);
    let gone: Vec<u32> = strange.into_iter().chain(twins).map(|(id, _)| id).collect();
    for id in &gone {
        platform.take_away(now, *id);
    }
    !gone.is_empty()
}

/// What stands in a post that somebody changed by hand.
pub const EDITED: &str = "edited by hand";

/// What they say of it, and who: the next send is ordered by another.
pub fn says(platform: &Platform, delivery: &Delivery) -> Option<(&'static str, Event)> {
    let item = delivery.id.item.to_string();
    let sent = delivery.job.as_ref().map(|job| job.revision);
    // Of what shall go, any revision is one too many.
    let shown = platform
        .public(&item)
        .find(|one| delivery.withdrawing() || one.now().map(|shown| shown.revision) == sent);
    let held_back = matches!(
        &delivery.state,
        State::Held {
            why: Hold::After(_) | Hold::Schedule(_) | Hold::Correction,
            ..
        }
    );
    let refused = matches!(
        &delivery.state,
        State::Held {
            why: Hold::Blocked(_),
            ..
        }
    );
    if held_back {
        return None;
    }
    if delivery.public_state() == PublicState::Failed || refused {
        let nothing = matches!(delivery.wanted, Wanted::Keep { .. });
        // An old copy that was to stay is not sent again: it is left gone.
        return Some(if nothing {
            ("张", Event::SaidAbsent { by: "张".into() })
        } else {
            ("李", Event::Retry { by: "李".into() })
        });
    }
    let by = "张".to_owned();
    Some((
        "张",
        match shown {
            Some(one) => {
                let url = Some(address(one.id));
                Event::SaidLive { by, url }
            }
            None => Event::SaidAbsent { by },
        },
    ))
}

//! Which fault strikes next. Everything of `reliability.md` §5 that a platform can do to one call.

use lubu_sandbox::{Fault, Kind, Platform};

use crate::dice::Dice;

/// The calls that matter, by platform; `""` is any.
const PLACES: [(Platform, &[&str]); 3] = [
    (Platform::Portal, &["/api/articles", "/api/articles", ""]),
    (
        Platform::Wechat,
        &[
            "freepublish/submit",
            "message/mass/sendall",
            "draft/add",
            "add_material",
            "batchget",
            "",
        ],
    ),
    (
        Platform::Weibo,
        &["statuses/share", "statuses/share", "user_timeline", ""],
    ),
];

/// Seconds after which a late call is applied; the settle time of the channels is longer.
const LATE_S: u64 = 1;

/// A fault for one or a few calls, and its name.
pub fn draw(dice: &mut Dice) -> (Fault, String) {
    let (platform, places) = PLACES[dice.index(PLACES.len())];
    let kinds = [
        Kind::ResetBeforeBody,
        Kind::ResetInBody,
        Kind::ResetAfterBody,
        Kind::ResetAfterBody,
        Kind::NotAppliedLost,
        Kind::Stall,
        Kind::Stall,
        Kind::HalfReply,
        Kind::Garbage,
        Kind::FailureUnder200,
        Kind::HttpStatus,
        Kind::TooMany,
        Kind::SlowDrip,
        Kind::AppliedLate,
        Kind::AppliedTwice,
        Kind::ReadLag,
        Kind::Redirect,
        Kind::StaleToken,
    ];
    let kind = kinds[dice.index(kinds.len())];
    let mut fault = Fault::new(platform, kind, places[dice.index(places.len())]);
    fault.times = Some(u32::try_from(dice.between(1, 2)).unwrap_or(1));
    let applied = dice.percent(50);
    let mut name = kind.name();
    match kind {
        Kind::Stall => {
            fault.seconds = Some(600);
            fault.applied = Some(applied);
        }
        Kind::SlowDrip => fault.interval_ms = Some(dice.between(5, 300)),
        Kind::AppliedLate | Kind::ReadLag => fault.seconds = Some(LATE_S),
        Kind::FailureUnder200 | Kind::Redirect => fault.applied = Some(applied),
        Kind::TooMany => {
            fault.applied = Some(applied);
            fault.retry_after = dice.percent(50).then(|| "1".to_owned());
        }
        Kind::HttpStatus => {
            fault.applied = Some(applied);
            fault.status = dice.pick(&[500, 502, 503, 504]).copied();
        }
        Kind::Garbage => {
            let bodies = ["html", "html", "empty", "gbk", "bom", "control", "raw"];
            fault.body = dice.pick(&bodies).map(ToString::to_string);
        }
        Kind::HalfReply => fault.body = dice.percent(40).then(|| "head".to_owned()),
        _ => {}
    }
    // These concern the call that readers see; elsewhere they prove nothing.
    if matches!(kind, Kind::AppliedLate | Kind::AppliedTwice) {
        fault.method = Some("POST".to_owned());
    }
    if let Some(applied) = fault.applied {
        name.push_str(if applied {
            ", applied"
        } else {
            ", not applied"
        });
    }
    (fault, name)
}

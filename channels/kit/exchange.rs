//! What a missing or unreadable answer means for the next try: one place for all adapters.
//!
//! Only a failed connect proves that nothing was sent (`reliability.md` §4.3). After that a step
//! whose repeat is harmless is tried again; for any other step the outcome is unknown, whatever
//! broke: the connection, the server, a gateway in between, or the answer itself.

use crate::contract::{
    Call, Effect, Failure, Fate, Kind, Reach, Reply, Request, Timestamp, Trouble, Words,
};
use crate::kit::retry_after::retry_after;
use crate::planted::{Bug, bug};

/// What a step's trouble means once bytes may have left: `Again` where a repeat leaves the same
/// end state, `Unsure` everywhere else.
pub fn after_sending(effect: Effect, not_before: Option<Timestamp>) -> Fate {
    match effect {
        Effect::Read | Effect::Idempotent => Fate::Again { not_before },
        _ if bug(Bug::B4) => Fate::Again { not_before },
        Effect::Staged | Effect::Keyed { .. } | Effect::Public => Fate::Unsure,
    }
}

/// Sends one request of a step, within the call's time, and returns a reply that is the platform's
/// to mean something by: 2xx or 4xx. Steps whose repeat would be seen get a connection of their own.
pub async fn send(
    platform: &Words,
    effect: Effect,
    call: &Call<'_>,
    mut request: Request,
) -> Result<Reply, Failure> {
    if call.left().is_zero() {
        return Err(lost(
            platform,
            effect,
            &Trouble::NotSent("no time left".to_owned()),
        ));
    }
    request.fresh = matches!(effect, Effect::Public | Effect::Keyed { .. });
    request.within = request.within.min(call.left());
    let sent = call.http.send(request).await;
    let reply = sent.map_err(|trouble| lost(platform, effect, &trouble))?;
    match broken(platform, effect, &reply, call.now()) {
        Some(failure) => Err(failure),
        None => Ok(reply),
    }
}

/// No reply at all. `platform` is its name, as in 微信 / WeChat.
pub fn lost(platform: &Words, effect: Effect, trouble: &Trouble) -> Failure {
    let (kind, fate, words) = match trouble {
        Trouble::NotSent(_) => (
            Kind::Connect,
            Fate::Again { not_before: None },
            Words::new(
                format!("连不上{}，请求没有发出。", platform.zh),
                format!("{} could not be reached; nothing was sent.", platform.en),
            ),
        ),
        Trouble::Forbidden(_) => (
            Kind::Request,
            Fate::Blocked(Reach::Account),
            Words::new(
                format!("{}的地址不可用，请检查配置里的地址。", platform.zh),
                format!(
                    "The address of {} cannot be used; check the settings.",
                    platform.en
                ),
            ),
        ),
        Trouble::Lost(_) => (
            Kind::Transport,
            after_sending(effect, None),
            told(platform, effect, "没有回音", "did not answer"),
        ),
        Trouble::TooLarge(_) => (
            Kind::Garbled,
            after_sending(effect, None),
            told(platform, effect, "的回答太大", "sent too large an answer"),
        ),
    };
    Failure::new(kind, fate, words).private(trouble.to_string())
}

/// A status that says nothing about the call itself: 5xx, 3xx, 1xx, 408 and 429. `None` for the
/// others, whose meaning is the platform's and so the adapter's to read.
pub fn broken(platform: &Words, effect: Effect, reply: &Reply, now: Timestamp) -> Option<Failure> {
    let not_before = retry_after(reply, now);
    let (kind, zh, en) = match reply.status {
        429 => (
            Kind::Throttled,
            "说请求太密",
            "says there are too many requests",
        ),
        408 => (
            Kind::Transport,
            "没有等到请求",
            "gave up waiting for the request",
        ),
        300..=399 => (
            Kind::Garbled,
            "把请求转去了别处",
            "pointed the request elsewhere",
        ),
        200..=299 | 400..=499 => return None,
        _ => (Kind::Platform, "出了故障", "is out of order"),
    };
    let words = told(platform, effect, zh, en);
    let failure = Failure::new(kind, after_sending(effect, not_before), words)
        .code(reply.status.to_string())
        .private(format!("HTTP {}", reply.status));
    Some(failure)
}

/// A reply that is no answer: not JSON, an HTML page, or a mandatory field is missing. `why` is
/// ours and quotes nothing.
pub fn unreadable(platform: &Words, effect: Effect, reply: &Reply, why: &str) -> Failure {
    let words = told(
        platform,
        effect,
        "的回答读不懂",
        "sent an answer that cannot be read",
    );
    Failure::new(Kind::Garbled, after_sending(effect, None), words).private(format!(
        "HTTP {}, {} bytes: {why}",
        reply.status,
        reply.body.len()
    ))
}

fn told(platform: &Words, effect: Effect, zh: &str, en: &str) -> Words {
    match after_sending(effect, None) {
        Fate::Unsure => Words::new(
            format!("{}{zh}，不知道是否已经生效，先核对再说。", platform.zh),
            format!(
                "{} {en}; it may have taken effect, so look first.",
                platform.en
            ),
        ),
        Fate::Again { .. } | Fate::Never | Fate::Blocked(_) => Words::new(
            format!("{}{zh}，稍后再试。", platform.zh),
            format!("{} {en}; trying again later.", platform.en),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Clock, Manual};
    use http::HeaderMap;
    use std::time::Duration;

    fn effects() -> [Effect; 5] {
        let minute = Duration::from_mins(1);
        [
            Effect::Read,
            Effect::Idempotent,
            Effect::Staged,
            Effect::Keyed {
                window: minute,
                pause: minute,
            },
            Effect::Public,
        ]
    }

    fn harmless(effect: Effect) -> bool {
        matches!(effect, Effect::Read | Effect::Idempotent)
    }

    fn name() -> Words {
        Words::new("微信", "WeChat")
    }

    #[test]
    fn only_a_failed_connect_proves_that_nothing_was_sent() {
        for effect in effects() {
            let unsent = lost(&name(), effect, &Trouble::NotSent("refused".into()));
            assert_eq!(unsent.fate, Fate::Again { not_before: None });
            for trouble in [Trouble::Lost("reset".into()), Trouble::TooLarge(9)] {
                let fate = lost(&name(), effect, &trouble).fate;
                assert_eq!(
                    fate == Fate::Unsure,
                    !harmless(effect),
                    "{effect:?} {trouble}"
                );
            }
        }
    }

    #[test]
    fn a_status_without_meaning_is_unsure_unless_a_repeat_is_harmless() {
        let now = Manual::default().now();
        for status in [100, 301, 302, 307, 408, 429, 500, 502, 503, 504, 599] {
            let reply = Reply {
                status,
                headers: HeaderMap::new(),
                body: Vec::new(),
            };
            for effect in effects() {
                let fate = broken(&name(), effect, &reply, now).map(|failure| failure.fate);
                assert_eq!(
                    fate == Some(Fate::Unsure),
                    !harmless(effect),
                    "{status} {effect:?}"
                );
            }
        }
    }

    #[tokio::test]
    async fn with_no_time_left_nothing_is_sent() {
        let clock = std::sync::Arc::new(Manual::default());
        let answer = Box::new(|_: &Request, _| crate::conformance::reply(200, "{}"));
        let peer = crate::conformance::Peer::new(clock.clone(), answer);
        let (deadline, dice) = (clock.now(), 0.5);
        let call = Call {
            deadline,
            http: &peer,
            clock,
            dice,
            repeat: false,
            purse: std::sync::Arc::new(crate::conformance::Tally::default()),
        };
        let request = Request::new(http::Method::POST, "https://x/");
        let failure = send(&name(), Effect::Public, &call, request)
            .await
            .unwrap_err();
        assert_eq!(failure.fate, Fate::Again { not_before: None });
        assert!(peer.log().is_empty());
    }

    #[test]
    fn success_and_refusal_are_left_to_the_adapter() {
        let now = Manual::default().now();
        for status in [200, 204, 400, 401, 403, 404, 409, 422] {
            let reply = Reply {
                status,
                headers: HeaderMap::new(),
                body: Vec::new(),
            };
            assert!(
                broken(&name(), Effect::Public, &reply, now).is_none(),
                "{status}"
            );
        }
    }
}

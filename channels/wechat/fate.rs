//! What each code of the platform means for the next try. One table, nothing guessed elsewhere.
//!
//! Codes arrive under HTTP 200. A code that the platform documents as a refusal proves that
//! nothing happened, whatever the step; "busy" does not, nor does a code nobody documents. Of the
//! latter two a step may be repeated only where a repeat is harmless (`wechat.md` §7).

use chrono::{TimeDelta, TimeZone};
use chrono_tz::Asia::Shanghai;

use crate::contract::{Effect, Failure, Fate, Kind, Reach, Timestamp, Words};
use crate::kit::exchange::after_sending;

/// What a code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// Busy or broken; it may have done it all the same.
    Busy,
    /// Too many calls in this minute, this day, or on the whole.
    Minute,
    Day,
    Long,
    /// The token is stale.
    Stale,
    /// Credentials, IP list, permissions, agreements: somebody repairs the account.
    Account,
    /// The request itself is wrong: our bug.
    Malformed,
    /// This content is refused.
    Content,
    /// This image is refused.
    Image,
    /// A person must do something in the platform's own console.
    Console,
    /// What the id names is not there.
    Gone,
    /// No mass send is left; or this one used it up.
    MassUsed,
    /// The platform has this message already, or is still asking an administrator.
    MassPending,
    /// The cover or another material is in use and stays.
    InUse,
    /// Nobody documents it.
    Unknown,
}

/// Every code of `wechat.md` §7, in its order.
const TABLE: &[(Means, &[i64])] = &[
    (Means::Busy, &[-1, 9_001_002]),
    (Means::Stale, &[40_001, 40_014, 42_001, 41_001]),
    (
        Means::Account,
        &[
            42_007, 40_002, 40_013, 40_125, 41_002, 41_004, 43_001, 43_002, 43_003, 40_243, 50_004,
            50_007, 40_164, 89_501, 89_503, 89_507, 89_506, 61_003, 61_004, 61_007, 48_001, 48_003,
            48_004, 50_002, 53_500, 48_006, 48_008, 45_034, 45_074, 88_000,
        ],
    ),
    (Means::Day, &[45_009]),
    (Means::Minute, &[45_011]),
    (Means::Long, &[53_501]),
    (Means::MassUsed, &[45_028]),
    (Means::MassPending, &[45_065, 45_066, 89_504, 89_505]),
    (Means::Console, &[48_021, 53_504, 53_505]),
    (
        Means::Content,
        &[
            53_503, 45_062, 45_113, 48_022, 40_039, 41_039, 45_005, 45_006, 40_066, 40_155, 40_227,
            45_002, 45_003, 45_004, 45_110, 45_008, 45_021, 45_166, 41_040, 88_002, 45_064, 53_404,
            53_405, 53_406,
        ],
    ),
    (
        Means::Image,
        &[
            40_004, 40_005, 40_006, 40_009, 40_012, 40_137, 44_001, 45_001, 41_005,
        ],
    ),
    (
        Means::Gone,
        &[
            53_502, 53_600, 40_007, 40_118, 40_121, 41_006, 46_001, 88_001, 88_008, 40_059,
        ],
    ),
    (
        Means::Malformed,
        &[
            40_033, 40_035, 40_038, 40_097, 44_002, 44_003, 47_001, 47_003, 40_114, 45_067, 45_083,
            45_084, 40_152, 40_215, 40_130, 40_032, 45_162, 40_008, 40_003, 50_005, 43_004, 48_002,
            87_009,
        ],
    ),
    (Means::InUse, &[48_005]),
];

/// What a non-zero code says.
pub fn means(code: i64) -> Means {
    if (268_000_000..269_000_000).contains(&code) {
        return Means::Busy;
    }
    TABLE
        .iter()
        .find(|(_, codes)| codes.contains(&code))
        .map_or(Means::Unknown, |(means, _)| *means)
}

/// What the caller knows about the call that was refused.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    pub effect: Effect,
    pub now: Timestamp,
    /// An earlier run may have been applied.
    pub repeat: bool,
    /// Whether this call takes something down.
    pub withdraws: bool,
    /// The platform's own words, without secrets.
    pub said: &'a str,
}

/// The failure that a code stands for.
pub fn failure(code: i64, told: &Told<'_>) -> Failure {
    let means = means(code);
    let (kind, words) = sentence(means, code, told.said);
    Failure::new(kind, fate(means, code, told), words).code(code.to_string())
}

fn fate(means: Means, code: i64, told: &Told<'_>) -> Fate {
    let again = |not_before| Fate::Again {
        not_before: Some(not_before),
    };
    match means {
        Means::Busy | Means::Unknown => after_sending(told.effect, None),
        Means::Minute | Means::Stale => again(told.now + TimeDelta::seconds(60)),
        Means::Long => again(told.now + TimeDelta::hours(1)),
        // The missing right may be the one to delete only.
        Means::Account if code == 48_001 && told.withdraws => Fate::Blocked(Reach::Goal),
        Means::Account => Fate::Blocked(Reach::Account),
        Means::MassUsed if told.repeat => Fate::Unsure,
        Means::Day | Means::MassUsed => again(next_day(told.now)),
        Means::MassPending => after_sending(told.effect, Some(told.now + TimeDelta::seconds(60))),
        Means::Malformed
        | Means::Content
        | Means::Image
        | Means::Console
        | Means::Gone
        | Means::InUse => Fate::Never,
    }
}

/// Midnight in Shanghai, where daily quotas are believed to begin.
pub fn next_day(now: Timestamp) -> Timestamp {
    let tomorrow = now.with_timezone(&Shanghai).date_naive() + TimeDelta::days(1);
    tomorrow
        .and_hms_opt(0, 0, 0)
        .and_then(|midnight| Shanghai.from_local_datetime(&midnight).single())
        .map_or(now + TimeDelta::days(1), |midnight| midnight.to_utc())
}

fn sentence(means: Means, code: i64, said: &str) -> (Kind, Words) {
    let (kind, zh, en) = match means {
        Means::Busy => (Kind::Platform, "微信忙", "WeChat is busy"),
        Means::Minute | Means::Day | Means::Long => (
            Kind::Throttled,
            "调用次数到了上限，到点再试",
            "the call limit is reached; waiting",
        ),
        Means::Stale => (Kind::Account, "访问令牌失效", "the access token is stale"),
        Means::Account => account(code, said),
        Means::Malformed => (
            Kind::Request,
            "微信说请求有误",
            "WeChat calls the request wrong",
        ),
        Means::Content => content(code),
        Means::Image => (
            Kind::Content,
            "微信拒收图片，请换一张图片",
            "WeChat refuses the image; use another one",
        ),
        Means::Console => (
            Kind::Content,
            "须由人在公众号后台处理这篇草稿",
            "somebody must handle this draft in the WeChat console",
        ),
        Means::Gone => (
            Kind::Gone,
            "微信上没有这个对象",
            "WeChat does not have this object",
        ),
        Means::MassUsed => (Kind::Throttled, "没有群发次数了", "no mass send is left"),
        Means::MassPending => (
            Kind::Duplicate,
            "微信可能已收下这次群发，稍后用同一编号再问",
            "WeChat may have taken this mass send; asking again with the same number",
        ),
        Means::InUse => (Kind::Request, "素材还在使用", "the material is in use"),
        Means::Unknown => (
            Kind::Platform,
            "微信给出了没有说明的代码",
            "WeChat gave an undocumented code",
        ),
    };
    let zh = format!("{zh}（微信原话：{said}，代码 {code}）。");
    let en = format!("{en} (WeChat: {said}, code {code}).");
    (kind, Words::new(zh, en))
}

fn account(code: i64, said: &str) -> (Kind, &'static str, &'static str) {
    let (zh, en) = match code {
        40_164 | 89_503 => (
            "本机的出口 IP 不在公众号的 IP 白名单里，请管理员把原话里的 IP 加进去",
            "this machine's address is not on the account's IP list; add the one named here",
        ),
        89_501 => (
            "等公众号管理员确认本机 IP",
            "the administrator has yet to confirm this IP",
        ),
        89_506 | 89_507 => (
            "公众号管理员拒绝了本机 IP",
            "the administrator refused this IP",
        ),
        40_013 | 40_125 | 41_002 | 41_004 => (
            "app_id 或 app_secret 不对，请检查配置",
            "app_id or app_secret is wrong; check them",
        ),
        40_243 => ("app_secret 已被冻结", "app_secret is frozen"),
        48_001 => (
            "公众号没有这个接口的权限，或认证已过期；没有发布权限时把 mode 改为 draft",
            "the account has no right to this call, or its certification has expired; \
             set mode to draft where it may not publish",
        ),
        48_003 => (
            "管理员还没有同意群发协议",
            "the mass-send agreement is not accepted yet",
        ),
        88_000 => (
            "公众号没有留言权限，请把 open_comment 改为 false",
            "the account may not open comments; set open_comment to false",
        ),
        45_034 | 45_074 => (
            "素材库满了，请清理",
            "the material library is full; clean it up",
        ),
        _ if said.is_empty() => ("公众号不可用", "the account cannot be used"),
        _ => (
            "公众号不可用，请管理员处理",
            "the account cannot be used until repaired",
        ),
    };
    (Kind::Account, zh, en)
}

fn content(code: i64) -> (Kind, &'static str, &'static str) {
    let (zh, en) = match code {
        45_003 | 40_227 => (
            "微信拒收：标题太长或为空。请在本渠道的 title 里填短标题，重新送签",
            "WeChat refuses the title; give this channel a shorter one and have it signed again",
        ),
        45_004 => (
            "微信拒收：摘要太长。请在本渠道的 summary 里填短摘要，重新送签",
            "WeChat refuses the summary; give this channel a shorter one",
        ),
        45_110 => (
            "微信拒收：作者太长",
            "WeChat refuses the author as too long",
        ),
        45_002 => ("微信拒收：正文太长", "WeChat refuses the text as too long"),
        40_039 | 41_039 | 45_006 | 40_066 => (
            "微信拒收：原文链接不合要求",
            "WeChat refuses the address of the original",
        ),
        _ => (
            "微信拒收，请修改内容后重新送签",
            "WeChat refuses the content; change it and have it signed again",
        ),
    };
    (Kind::Content, zh, en)
}

/// The platform's own id of a request, at the end of its message.
pub fn rid(message: &str) -> Option<String> {
    let (_, after) = message.rsplit_once("rid:")?;
    let id: String = after
        .trim()
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '-')
        .collect();
    (!id.is_empty()).then_some(id)
}

/// Its message without the id and the hint, which say nothing to a clerk.
pub fn said(message: &str) -> &str {
    let end = ["[hint", "hint:", "rid:"]
        .iter()
        .filter_map(|mark| message.find(mark))
        .min();
    message[..end.unwrap_or(message.len())].trim_end_matches([' ', ','])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Clock, Manual};
    use std::collections::BTreeSet;
    use std::time::Duration;

    fn told(effect: Effect) -> Told<'static> {
        let now = Manual::default().now();
        Told {
            effect,
            now,
            repeat: false,
            withdraws: false,
            said: "words",
        }
    }

    fn keyed() -> Effect {
        Effect::Keyed {
            window: Duration::from_hours(24),
            pause: Duration::from_mins(1),
        }
    }

    const EFFECTS: [Effect; 3] = [Effect::Staged, Effect::Public, Effect::Idempotent];

    #[test]
    fn every_row_of_the_table_is_walked_for_every_effect() {
        let mut seen = BTreeSet::new();
        for (row, codes) in TABLE {
            for &code in *codes {
                assert!(seen.insert(code), "{code} stands in two rows");
                assert_eq!(means(code), *row);
                for effect in EFFECTS.into_iter().chain([Effect::Read, keyed()]) {
                    let failure = failure(code, &told(effect));
                    let harmless = matches!(effect, Effect::Read | Effect::Idempotent);
                    let expected = match row {
                        Means::Busy | Means::Unknown | Means::MassPending if harmless => "again",
                        Means::Busy | Means::Unknown | Means::MassPending => "unsure",
                        Means::Stale
                        | Means::Minute
                        | Means::Day
                        | Means::Long
                        | Means::MassUsed => "again",
                        Means::Account => "blocked",
                        Means::Malformed
                        | Means::Content
                        | Means::Image
                        | Means::Console
                        | Means::Gone
                        | Means::InUse => "never",
                    };
                    let got = match failure.fate {
                        Fate::Again { .. } => "again",
                        Fate::Unsure => "unsure",
                        Fate::Blocked(_) => "blocked",
                        Fate::Never => "never",
                    };
                    assert_eq!(got, expected, "{code} {effect:?}");
                    assert_eq!(failure.code.as_deref(), Some(code.to_string().as_str()));
                    assert!(failure.public.zh.contains("words"), "{}", failure.public.zh);
                }
            }
        }
        assert!(seen.len() > 100, "the table lost rows: {}", seen.len());
    }

    #[test]
    fn busy_and_undocumented_codes_leave_a_doubt_unless_a_repeat_is_harmless() {
        for code in [-1, 268_488_001, 268_500_000, 77_777] {
            assert_eq!(
                failure(code, &told(Effect::Public)).fate,
                Fate::Unsure,
                "{code}"
            );
            assert_eq!(
                failure(code, &told(Effect::Staged)).fate,
                Fate::Unsure,
                "{code}"
            );
            assert_eq!(failure(code, &told(keyed())).fate, Fate::Unsure, "{code}");
            let read = failure(code, &told(Effect::Read)).fate;
            assert_eq!(read, Fate::Again { not_before: None }, "{code}");
        }
    }

    #[test]
    fn a_mass_quota_used_up_by_an_unknown_send_is_a_doubt() {
        let first = told(keyed());
        assert!(matches!(failure(45_028, &first).fate, Fate::Again { .. }));
        let repeat = Told {
            repeat: true,
            ..first
        };
        assert_eq!(failure(45_028, &repeat).fate, Fate::Unsure);
    }

    #[test]
    fn a_missing_right_to_delete_blocks_withdrawals_only() {
        let delete = Told {
            withdraws: true,
            ..told(Effect::Idempotent)
        };
        assert_eq!(failure(48_001, &delete).fate, Fate::Blocked(Reach::Goal));
        assert_eq!(
            failure(48_001, &told(Effect::Public)).fate,
            Fate::Blocked(Reach::Account)
        );
    }

    #[test]
    fn a_daily_quota_opens_at_midnight_in_shanghai() {
        let failure = failure(45_009, &told(Effect::Public));
        let Fate::Again {
            not_before: Some(at),
        } = failure.fate
        else {
            panic!("{failure:?}")
        };
        assert_eq!(at.to_rfc3339(), "2026-11-23T16:00:00+00:00");
    }

    #[test]
    fn the_message_gives_up_its_request_id_and_its_hint() {
        let message =
            "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist rid: 6a-1f-33";
        assert_eq!(rid(message).as_deref(), Some("6a-1f-33"));
        assert_eq!(
            said(message),
            "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist"
        );
        assert_eq!(
            said("invalid media_id hint: [x] rid: 1"),
            "invalid media_id"
        );
        assert_eq!(rid("ok"), None);
    }
}

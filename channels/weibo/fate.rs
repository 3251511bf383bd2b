//! What each code of the platform means for the next try. One table, nothing guessed elsewhere.
//!
//! A code stands in the body, under whatever status. Most are refusals before anything happened.
//! "System error" and its kin are not, nor is a code nobody documents. "You posted this already"
//! refuses a first run, and is evidence when an earlier run may have arrived (`weibo_cms.md` §1.8).

use chrono::{TimeDelta, Timelike};

use crate::contract::{Effect, Failure, Fate, Kind, Reach, Timestamp, Words};
use crate::kit::exchange::after_sending;

/// The classes of the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Published; lists lag behind.
    Late,
    /// Posted before, or much like something posted before.
    Duplicate,
    /// May have been done.
    Ambiguous,
    /// Not done; busy.
    Retry,
    /// Not done; too many calls until the hour is over.
    Hour,
    /// Not done; posting too often.
    Long,
    /// A person must grant access again.
    Auth,
    /// A person must do something about the account.
    Human,
    /// This content is refused.
    Reject,
    /// The app, its rights or its settings are wrong.
    App,
    /// This request is wrong: our bug, or a limit we did not know.
    Payload,
    /// The post is not there.
    Gone,
}

/// Every code of §1.8, in its order, and those of the article call.
const TABLE: &[(Class, &[i64])] = &[
    (
        Class::Ambiguous,
        &[
            10_001, 10_002, 10_003, 10_010, 10_011, 10_025, 11_002, 11_003,
        ],
    ),
    (
        Class::App,
        &[
            10_004, 10_005, 10_006, 10_012, 10_014, 10_020, 10_021, 10_026, 21_302, 21_303, 21_304,
            21_305, 21_306, 21_307, 21_308, 21_309, 21_310, 21_311, 21_312, 21_313, 21_320, 21_321,
            21_322, 21_323, 21_324, 21_326, 21_328, 21_329, 21_333, 21_335, 21_337,
        ],
    ),
    (
        Class::Payload,
        &[
            10_007, 10_008, 10_016, 10_017, 10_018, 20_005, 20_006, 20_007, 20_008, 20_012, 20_013,
            20_102, 20_109, 20_121,
        ],
    ),
    (Class::Retry, &[10_009, 20_014, 21_331]),
    (
        Class::Human,
        &[
            10_013, 20_003, 20_015, 20_022, 20_023, 20_031, 20_044, 20_045, 20_132, 21_334,
        ],
    ),
    (Class::Hour, &[10_022, 10_023, 10_024, 11_001]),
    (Class::Long, &[20_016]),
    (
        Class::Auth,
        &[
            10_032, 20_033, 21_301, 21_314, 21_315, 21_316, 21_317, 21_318, 21_319, 21_325, 21_327,
            21_330, 21_332, 40_072,
        ],
    ),
    (
        Class::Duplicate,
        &[20_017, 20_019, 20_038, 20_111, 40_025, 40_028],
    ),
    (Class::Reject, &[20_018, 20_020, 20_021, 20_104, 40_092]),
    (Class::Late, &[20_032]),
    (Class::Gone, &[20_101, 40_031]),
];

/// The class of a code; what nobody documents is ambiguous.
pub fn class(code: i64) -> Class {
    TABLE
        .iter()
        .find(|(_, codes)| codes.contains(&code))
        .map_or(Class::Ambiguous, |(class, _)| *class)
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
    let class = narrowed(class(code), code, told.said);
    let (kind, zh, en) = sentence(class, code, told);
    let said = told.said;
    let words = Words::new(
        format!("{zh}（微博原话：{said}，代码 {code}）。"),
        format!("{en} (Weibo: {said}, code {code})."),
    );
    Failure::new(kind, fate(class, told), words).code(code.to_string())
}

/// 10017 is about one request, unless it is about the domain of the app.
fn narrowed(class: Class, code: i64, said: &str) -> Class {
    if code == 10_017 && said.contains("domain") {
        Class::App
    } else {
        class
    }
}

fn fate(class: Class, told: &Told<'_>) -> Fate {
    let again = |wait| Fate::Again {
        not_before: Some(told.now + wait),
    };
    match class {
        Class::Ambiguous | Class::Late => after_sending(told.effect, None),
        Class::Duplicate if told.repeat => Fate::Unsure,
        Class::Retry => again(TimeDelta::seconds(60)),
        Class::Hour => Fate::Again {
            not_before: Some(next_hour(told.now)),
        },
        Class::Long => again(TimeDelta::hours(1)),
        Class::App if told.withdraws => Fate::Blocked(Reach::Goal),
        Class::Auth | Class::Human | Class::App => Fate::Blocked(Reach::Account),
        Class::Duplicate | Class::Reject | Class::Payload | Class::Gone => Fate::Never,
    }
}

/// Hourly limits end with the clock hour.
fn next_hour(now: Timestamp) -> Timestamp {
    let into = TimeDelta::seconds(i64::from(now.minute() * 60 + now.second()));
    now - into + TimeDelta::hours(1)
}

fn sentence(class: Class, code: i64, told: &Told<'_>) -> (Kind, &'static str, &'static str) {
    match class {
        Class::Late => (
            Kind::Platform,
            "微博已收下，稍后才能看到",
            "Weibo took it; it shows later",
        ),
        Class::Duplicate if told.repeat => (
            Kind::Duplicate,
            "微博说已有相同内容，可能上次已经发出",
            "Weibo has this already: the earlier try may have arrived",
        ),
        Class::Duplicate => (
            Kind::Duplicate,
            "微博说已有相同或相似内容，可能别人发过。请核实后在本渠道的 text 里换个说法，重新送签",
            "Weibo has the same or a similar post; make sure, write another text for this channel and have it signed",
        ),
        Class::Ambiguous => (
            Kind::Platform,
            "微博出了故障，不知道是否已经生效",
            "Weibo failed; it may have taken effect",
        ),
        Class::Retry => (
            Kind::Platform,
            "微博忙，稍后再试",
            "Weibo is busy; trying again later",
        ),
        Class::Hour | Class::Long => (
            Kind::Throttled,
            "调用次数到了上限，到点再试",
            "the call limit is reached; waiting",
        ),
        Class::Auth => (
            Kind::Account,
            "微博授权失效，请账号主人重新授权，把新令牌写进配置",
            "the grant has ended; the account's owner must grant it again and the token be replaced",
        ),
        Class::Human => (
            Kind::Account,
            "微博账号需要人处理",
            "somebody must see to the Weibo account",
        ),
        Class::Reject => (
            Kind::Content,
            "微博拒收，请修改内容后重新送签",
            "Weibo refuses the content; change it and have it signed again",
        ),
        Class::App if told.withdraws => (
            Kind::Account,
            "应用没有删除微博的权限，请在微博上人工删除",
            "the app may not delete posts; delete it on Weibo by hand",
        ),
        Class::App if code == 10_017 => (
            Kind::Account,
            "链接不在应用登记的安全域名里，请核对 safe_domain 和开放平台的登记",
            "the link is not on the app's registered domain; check safe_domain and the registration",
        ),
        Class::App => (
            Kind::Account,
            "微博应用的权限或配置不对",
            "the app's rights or settings are wrong",
        ),
        Class::Payload => (
            Kind::Request,
            "微博说请求有误",
            "Weibo calls the request wrong",
        ),
        Class::Gone => (
            Kind::Gone,
            "微博上没有这一条",
            "Weibo does not have this post",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Clock, Manual};
    use std::collections::BTreeSet;

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

    #[test]
    fn every_row_of_the_table_is_walked_for_every_effect() {
        let mut seen = BTreeSet::new();
        for (row, codes) in TABLE {
            for &code in *codes {
                assert!(seen.insert(code), "{code} stands in two rows");
                for effect in [Effect::Read, Effect::Idempotent, Effect::Public] {
                    let failure = failure(code, &told(effect));
                    let expected = match (row, effect) {
                        (Class::Ambiguous | Class::Late, Effect::Public) => "unsure",
                        (
                            Class::Ambiguous
                            | Class::Late
                            | Class::Retry
                            | Class::Hour
                            | Class::Long,
                            _,
                        ) => "again",
                        (Class::Auth | Class::Human | Class::App, _) => "blocked",
                        (Class::Duplicate | Class::Reject | Class::Payload | Class::Gone, _) => {
                            "never"
                        }
                    };
                    let got = match failure.fate {
                        Fate::Again { .. } => "again",
                        Fate::Unsure => "unsure",
                        Fate::Blocked(_) => "blocked",
                        Fate::Never => "never",
                    };
                    assert_eq!(got, expected, "{code} {effect:?}");
                    assert!(failure.public.zh.contains("words"));
                }
            }
        }
        assert!(seen.len() > 80, "the table lost rows: {}", seen.len());
    }

    #[test]
    fn a_duplicate_refuses_a_first_run_and_is_evidence_on_a_repeat() {
        for code in [20_017, 20_019, 20_038, 20_111] {
            let first = told(Effect::Public);
            assert_eq!(failure(code, &first).fate, Fate::Never, "{code}");
            assert_eq!(failure(code, &first).kind, Kind::Duplicate, "{code}");
            let repeat = Told {
                repeat: true,
                ..first
            };
            assert_eq!(failure(code, &repeat).fate, Fate::Unsure, "{code}");
        }
    }

    #[test]
    fn an_undocumented_code_is_a_doubt_unless_a_repeat_is_harmless() {
        assert_eq!(failure(99_999, &told(Effect::Public)).fate, Fate::Unsure);
        assert_eq!(
            failure(99_999, &told(Effect::Read)).fate,
            Fate::Again { not_before: None }
        );
    }

    #[test]
    fn a_missing_right_to_delete_blocks_withdrawals_only() {
        let delete = Told {
            withdraws: true,
            ..told(Effect::Idempotent)
        };
        assert_eq!(failure(10_014, &delete).fate, Fate::Blocked(Reach::Goal));
        assert_eq!(
            failure(10_014, &told(Effect::Public)).fate,
            Fate::Blocked(Reach::Account)
        );
    }

    #[test]
    fn an_unregistered_domain_is_the_apps_trouble_and_not_the_texts() {
        let words = Told {
            said: "text not find domain!",
            ..told(Effect::Public)
        };
        let failure = failure(10_017, &words);
        assert_eq!(failure.fate, Fate::Blocked(Reach::Account));
        assert!(failure.public.zh.contains("safe_domain"));
    }

    #[test]
    fn an_hourly_limit_ends_with_the_hour() {
        let now = Manual::default().now() + TimeDelta::seconds(754);
        let Fate::Again {
            not_before: Some(at),
        } = failure(
            10_023,
            &Told {
                now,
                ..told(Effect::Public)
            },
        )
        .fate
        else {
            panic!("no wait");
        };
        assert_eq!((at - Manual::default().now()).num_minutes(), 60);
    }
}

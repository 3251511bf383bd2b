//! What a portal's answer means for the next try.
//!
//! Success must be seen, never assumed. A refusal counts as "not applied" only where HTTP itself or
//! the configuration says so; whatever is not listed leaves a doubt on every step whose repeat
//! would be seen.

use std::collections::BTreeMap;

use super::answer::{Answer, Held};
use super::wire::Api;
use crate::contract::{Failure, Fate, Kind, Reach, Reply, Words};
use crate::kit::{exchange, redact, retry_after, text};

/// The words of `[failures]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Not applied; later it may be.
    Again,
    /// Not applied: the content was refused.
    Never,
    /// Not applied: nobody can do anything here.
    Blocked,
    /// Not applied: this call is not granted.
    Goal,
    /// The article is not there.
    Missing,
    /// The portal has this already.
    Duplicate,
    Unsure,
}

/// HTTP's own refusals, each of which says that the request was not carried out.
const STATUSES: [(&str, Meaning); 9] = [
    ("400", Meaning::Never),
    ("401", Meaning::Blocked),
    ("403", Meaning::Blocked),
    ("404", Meaning::Missing),
    ("405", Meaning::Blocked),
    ("410", Meaning::Missing),
    ("413", Meaning::Never),
    ("415", Meaning::Never),
    ("422", Meaning::Never),
];

/// `[failures]` over the defaults, and the keys whose word is unknown.
pub fn meanings(given: BTreeMap<String, String>) -> (BTreeMap<String, Meaning>, Vec<String>) {
    let defaults = STATUSES.map(|(code, meaning)| (code.to_owned(), meaning));
    let mut meanings = BTreeMap::from(defaults);
    let mut wrong = Vec::new();
    for (code, word) in given {
        let meaning = match word.as_str() {
            "again" => Meaning::Again,
            "never" => Meaning::Never,
            "blocked" => Meaning::Blocked,
            "goal" => Meaning::Goal,
            "missing" => Meaning::Missing,
            "duplicate" => Meaning::Duplicate,
            "unsure" => Meaning::Unsure,
            _ => {
                wrong.push(code);
                continue;
            }
        };
        meanings.insert(code, meaning);
    }
    (meanings, wrong)
}

/// What came of a call that was answered.
#[derive(Debug)]
pub enum Outcome {
    Done(Answer),
    /// The article is not there. `told` when the portal itself says so in a body that was read,
    /// rather than some server by its status.
    Missing {
        told: bool,
    },
    Duplicate(Answer),
}

pub fn judge(api: &Api<'_>, reply: &Reply) -> Result<Outcome, Failure> {
    let judgement = &api.settings.judgement;
    let answer = Answer::of(reply);
    let status = reply.status.to_string();
    let named = judgement.meaning(&status);
    if named.is_none() {
        if reply.status == 429 && !api.settings.throttle_applied {
            return Err(throttled(api, reply));
        }
        let broken = exchange::broken(&api.platform(), api.effect, reply, api.call.now());
        if let Some(failure) = broken {
            return Err(failure);
        }
    }
    if judgement.duplicate.holds(&answer) == Held::Yes {
        return Ok(Outcome::Duplicate(answer));
    }
    let held = judgement.success.holds(&answer);
    if held == Held::Yes {
        return Ok(Outcome::Done(answer));
    }
    let code = answer.text(&api.settings.answers.code);
    let by_code = code.as_ref().and_then(|code| judgement.meaning(code));
    if held == Held::Unreadable && reply.is_success() {
        let why = "the place that tells success is not in the answer";
        return Err(exchange::unreadable(
            &api.platform(),
            api.effect,
            reply,
            why,
        ));
    }
    match by_code.or(named) {
        Some(Meaning::Missing) => Ok(Outcome::Missing {
            told: by_code.is_some(),
        }),
        Some(Meaning::Duplicate) => Ok(Outcome::Duplicate(answer)),
        meaning => Err(refused(api, &answer, &code.unwrap_or(status), meaning)),
    }
}

fn throttled(api: &Api<'_>, reply: &Reply) -> Failure {
    let name = &api.settings.name;
    let words = Words::new(
        format!("{name}说请求太密，稍后再试。"),
        "The portal says there are too many requests; trying again later.",
    );
    let not_before = retry_after::retry_after(reply, api.call.now());
    Failure::new(Kind::Throttled, Fate::Again { not_before }, words).code("429")
}

/// The platform's own words, without anything secret it may echo.
pub fn quoted(api: &Api<'_>, answer: &Answer) -> String {
    let said = answer.text(&api.settings.answers.message);
    let said = redact::redacted(&said.unwrap_or_default(), &api.settings.secrets());
    text::quoted(&said)
}

fn refused(api: &Api<'_>, answer: &Answer, code: &str, meaning: Option<Meaning>) -> Failure {
    let (kind, fate) = match meaning {
        Some(Meaning::Again) => (Kind::Platform, Fate::Again { not_before: None }),
        Some(Meaning::Never | Meaning::Missing | Meaning::Duplicate) => {
            (Kind::Content, Fate::Never)
        }
        Some(Meaning::Blocked) => (Kind::Account, Fate::Blocked(Reach::Account)),
        Some(Meaning::Goal) => (Kind::Account, Fate::Blocked(Reach::Goal)),
        Some(Meaning::Unsure) | None => (Kind::Platform, exchange::after_sending(api.effect, None)),
    };
    let code = redact::redacted(code, &api.settings.secrets());
    let said = quoted(api, answer);
    let (zh, en) = match fate {
        Fate::Never => ("没有接收，请按它的说法修改", "refused it; change the item"),
        Fate::Blocked(_) => (
            "不让用，请检查账号、签名和权限",
            "does not let us; check account, signature and rights",
        ),
        Fate::Again { .. } => (
            "暂时不能处理，稍后再试",
            "cannot do it now; trying again later",
        ),
        Fate::Unsure => (
            "报了未知的错误，不知道是否已经生效，先核对再说",
            "answered with an unlisted code; it may have taken effect, so look first",
        ),
    };
    let quote = if said.is_empty() {
        String::new()
    } else {
        format!("：“{said}”")
    };
    let name = &api.settings.name;
    let words = Words::new(
        format!("{name}{zh}（{code}{quote}）。"),
        format!("The portal {en} ({code}{quote})."),
    );
    let request_id = answer.text(&api.settings.answers.request_id);
    let request_id = request_id.map(|id| redact::redacted(&id, &api.settings.secrets()));
    let private = format!("HTTP {}", answer.status);
    Failure::new(kind, fate, words)
        .code(code)
        .request_id(request_id)
        .private(private)
}

/// The portal has this already, and nothing of ours was ever sent.
pub fn duplicate(api: &Api<'_>, answer: &Answer) -> Failure {
    let (name, said) = (&api.settings.name, quoted(api, answer));
    let words = Words::new(
        format!("{name}说已经有这篇文章，但本系统没有推送过。请到{name}核实：“{said}”"),
        format!("The portal has this article already, and we never sent it: \"{said}\""),
    );
    Failure::new(Kind::Duplicate, Fate::Never, words)
}

/// The article went over there by other hands.
pub fn lost(api: &Api<'_>) -> Failure {
    let name = &api.settings.name;
    let words = Words::new(
        format!("{name}上没有这篇文章了，改不了。请到{name}核实。"),
        "The article is gone from the portal and cannot be changed; please check there.",
    );
    Failure::new(Kind::Gone, Fate::Never, words)
}

/// The configuration's template and the program do not fit together.
pub fn template(name: &str, error: &minijinja::Error) -> Failure {
    let line = error.line().unwrap_or_default();
    let words = Words::new(
        format!("配置里 {name} 的模板填不出来（第 {line} 行），请修改。"),
        format!("The template {name} of the settings cannot be filled (line {line})."),
    );
    let fate = Fate::Blocked(Reach::Account);
    Failure::new(Kind::Request, fate, words).private(error.kind().to_string())
}

pub fn bug(private: &str) -> Failure {
    let words = Words::new(
        "露布自己出错了，请报告。",
        "This is a fault of lubu; please report it.",
    );
    Failure::new(Kind::Local, Fate::Never, words).private(private)
}

/// The address of the call itself leads nowhere.
pub fn no_endpoint(api: &Api<'_>) -> Failure {
    let name = &api.settings.name;
    let words = Words::new(
        format!("{name}说没有这个接口地址，请检查 endpoint。"),
        "The portal knows no such address; check `endpoint`.",
    );
    Failure::new(Kind::Request, Fate::Blocked(Reach::Account), words)
}

//! The three platforms, the ledger, the faults and the knobs behind one lock.
//!
//! A call is carried out synchronously and deterministically: time, ids and settings
//! come in with the `Scene`, what was applied goes out as effects. Before every call
//! the world is settled: publish jobs, reviews and late calls whose time has come
//! happen first, stamped with the instant at which they were due, so nobody can see
//! that nothing ran in between.

use crate::faults::{Fault, Faults, Kind, Strike};
use crate::ledger::{Effect, Ledger, Platform, PublicPost, Row, Sight, count_copies};
use crate::options::Options;
use crate::settings::Settings;
use crate::wire::{Call, Reply};
use crate::{admin, pages, portal, wechat, weibo};

/// Makes ids that do not repeat, neither within a run nor across restarts.
#[derive(Debug)]
pub(crate) struct Ids {
    seed: blake3::Hash,
    count: u64,
}

impl Ids {
    pub fn new(seed: &str, start_ms: i64) -> Self {
        Self {
            seed: blake3::hash(format!("{seed} {start_ms}").as_bytes()),
            count: 0,
        }
    }

    /// `length` characters of base64url, at most 128.
    pub fn text(&mut self, length: usize) -> String {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        self.count += 1;
        let mut bytes = [0; 128];
        blake3::Hasher::new_keyed(self.seed.as_bytes())
            .update(&self.count.to_le_bytes())
            .finalize_xof()
            .fill(&mut bytes);
        let letter = |byte: &u8| char::from(ALPHABET[usize::from(byte % 64)]);
        bytes.iter().take(length).map(letter).collect()
    }

    pub fn number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }
}

/// What a platform sees of the world while it carries out one call.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    pub now: i64,
    pub base: &'a str,
    pub options: &'a Options,
    pub settings: &'a Settings,
    pub ids: &'a mut Ids,
    pub effects: Vec<Effect>,
    /// What happened by itself, with its instant.
    pub moved: Vec<(i64, Effect)>,
}

pub(crate) fn effect(what: &str, object: &str, marker: &str, sight: Sight) -> Effect {
    Effect {
        what: what.into(),
        object: object.into(),
        marker: marker.into(),
        sight,
    }
}

impl Scene<'_> {
    pub fn note(&mut self, what: &str, object: &str, marker: &str, sight: Sight) {
        self.effects.push(effect(what, object, marker, sight));
    }
}

#[derive(Debug)]
pub(crate) struct World {
    pub options: Options,
    pub settings: Settings,
    pub base: String,
    pub faults: Faults,
    pub ledger: Ledger,
    pub wechat: wechat::Account,
    pub weibo: weibo::Account,
    pub portal: portal::Site,
    ids: Ids,
    late: Vec<(i64, Call)>,
}

impl World {
    pub fn new(options: Options, base: String) -> Self {
        let now = options.clock.now_ms();
        Self {
            settings: options.settings.clone(),
            base,
            faults: Faults::default(),
            ledger: Ledger::default(),
            wechat: wechat::Account::default(),
            weibo: weibo::Account::new(now),
            portal: portal::Site::default(),
            ids: Ids::new(&options.seed, now),
            late: Vec::new(),
            options,
        }
    }

    pub fn now(&self) -> i64 {
        self.options.clock.now_ms()
    }

    /// Which fault strikes a request whose head has been read.
    pub fn strike(&mut self, call: &Call) -> Strike {
        match platform_of(&call.path) {
            Some((platform, api)) => self.faults.strike(platform, &call.method, &call.path, api),
            None => Strike::default(),
        }
    }

    /// Carries out a whole call, or what `fault` leaves of it, and returns the answer meant for the caller.
    pub fn answer(&mut self, call: &Call, fault: Option<&Fault>) -> Reply {
        let now = self.now();
        self.settle(now);
        let Some((platform, api)) = platform_of(&call.path) else {
            return admin::answer(self, call);
        };
        let kind = fault.map(|fault| fault.kind);
        let carried_out = fault.is_none_or(Fault::applies);
        let (mut reply, mut effects) = if !carried_out {
            (Reply::new(0, "text/plain", ""), Vec::new())
        } else if let (Some(Kind::AppliedLate), Some(fault)) = (kind, fault) {
            let seconds = i64::try_from(fault.seconds.unwrap_or(30)).unwrap_or(30);
            self.late.push((now + seconds * 1000, call.clone()));
            (Reply::new(0, "text/plain", ""), Vec::new())
        } else {
            self.carry_out(platform, call, now)
        };
        // The second run is the platform's own: it meets no guard against repeats.
        if kind == Some(Kind::AppliedTwice) {
            let again = Call {
                twin: true,
                ..call.clone()
            };
            effects.extend(self.carry_out(platform, &again, now).1);
        }
        if let Some(instead) = fault.and_then(|fault| instead(fault, platform, call)) {
            reply = instead;
        }
        if api || !effects.is_empty() {
            self.record(platform, call, now, &reply, kind, effects);
        }
        reply
    }

    /// A call that was cut off before its end still reached us.
    pub fn cut_off(&mut self, call: &Call, kind: Kind) {
        let now = self.now();
        self.settle(now);
        if let Some((platform, _)) = platform_of(&call.path) {
            let reply = Reply::new(0, "text/plain", "");
            self.record(platform, call, now, &reply, Some(kind), Vec::new());
        }
    }

    fn record(
        &mut self,
        platform: Platform,
        call: &Call,
        at_ms: i64,
        reply: &Reply,
        kind: Option<Kind>,
        effects: Vec<Effect>,
    ) {
        self.ledger.push(Row {
            seq: 0,
            at_ms,
            at: String::new(),
            platform,
            method: call.method.clone(),
            path: call.path.clone(),
            status: reply.status,
            code: reply.code.clone(),
            fault: kind.map(Kind::name),
            effects,
        });
    }

    fn carry_out(&mut self, platform: Platform, call: &Call, now: i64) -> (Reply, Vec<Effect>) {
        let mut scene = Scene {
            now,
            base: &self.base,
            options: &self.options,
            settings: &self.settings,
            ids: &mut self.ids,
            effects: Vec::new(),
            moved: Vec::new(),
        };
        let reply = match platform {
            Platform::Wechat => wechat::answer(&mut self.wechat, &mut scene, call),
            Platform::Weibo => weibo::answer(&mut self.weibo, &mut scene, call),
            Platform::Portal => portal::answer(&mut self.portal, &mut scene, call),
        };
        (reply, scene.effects)
    }

    /// Lets everything happen whose time has come, in the order of time.
    pub fn settle(&mut self, now: i64) {
        self.late.sort_by_key(|(due, _)| *due);
        // What moves by itself before a late call must have moved when that call is applied.
        let waiting = self.late.iter().take_while(|(due, _)| *due <= now).count();
        let due: Vec<_> = self.late.drain(..waiting).collect();
        for (at, call) in due {
            self.move_on(at);
            if let Some((platform, _)) = platform_of(&call.path) {
                let (reply, effects) = self.carry_out(platform, &call, at);
                self.record(
                    platform,
                    &call,
                    at,
                    &reply,
                    Some(Kind::AppliedLate),
                    effects,
                );
            }
        }
        self.move_on(now);
    }

    fn move_on(&mut self, now: i64) {
        let mut scene = Scene {
            now,
            base: &self.base,
            options: &self.options,
            settings: &self.settings,
            ids: &mut self.ids,
            effects: Vec::new(),
            moved: Vec::new(),
        };
        self.wechat.settle(&mut scene);
        let split = scene.moved.len();
        self.portal.settle(&mut scene);
        let mut moved = std::mem::take(&mut scene.moved);
        let portal = moved.split_off(split);
        let wechat = moved
            .into_iter()
            .map(|(at, effect)| (at, Platform::Wechat, effect));
        let portal = portal
            .into_iter()
            .map(|(at, effect)| (at, Platform::Portal, effect));
        let mut all: Vec<_> = wechat.chain(portal).collect();
        all.sort_by_key(|(at, _, _)| *at);
        for (at_ms, platform, effect) in all {
            self.ledger.push(Row {
                seq: 0,
                at_ms,
                at: String::new(),
                platform,
                method: String::new(),
                path: String::new(),
                status: 0,
                code: None,
                fault: None,
                effects: vec![effect],
            });
        }
    }

    /// What readers can see now.
    pub fn public(&self, platform: Option<Platform>) -> Vec<PublicPost> {
        let mut posts = self.wechat.public(&self.base);
        posts.extend(self.weibo.public(&self.base, self.options.weibo_uid));
        posts.extend(self.portal.public(&self.base));
        count_copies(&mut posts);
        posts.retain(|post| platform.is_none_or(|platform| post.platform == platform));
        posts
    }
}

/// The platform a path belongs to, and whether it is its API rather than its pages.
fn platform_of(path: &str) -> Option<(Platform, bool)> {
    let (first, rest) = path.strip_prefix('/')?.split_once('/')?;
    let platform = Platform::parse(first)?;
    let api = match platform {
        Platform::Wechat => rest.starts_with("cgi-bin/"),
        Platform::Weibo => ["2/", "oauth2/", "proxy/"]
            .iter()
            .any(|p| rest.starts_with(p)),
        Platform::Portal => rest.starts_with("api/"),
    };
    Some((platform, api))
}

/// The answer that a fault puts in place of the platform's own.
fn instead(fault: &Fault, platform: Platform, call: &Call) -> Option<Reply> {
    let failure = |code: i64, message: &str| {
        let message = fault.message.as_deref().unwrap_or(message);
        match platform {
            Platform::Wechat => wechat::failure(code, message),
            Platform::Weibo => weibo::failure(&call.path, code, message, fault.status),
            Platform::Portal => portal::failure(code, message),
        }
    };
    let pick = |wechat: i64, weibo: i64, portal: i64| match platform {
        Platform::Wechat => fault.code.unwrap_or(wechat),
        Platform::Weibo => fault.code.unwrap_or(weibo),
        Platform::Portal => fault.code.unwrap_or(portal),
    };
    match fault.kind {
        Kind::FailureUnder200 => Some(failure(pick(-1, 10001, 50001), "system busy")),
        Kind::StaleToken => Some(failure(
            pick(40001, 21332, 40101),
            "invalid credential, access_token is invalid or not latest",
        )),
        Kind::IpRefused => {
            let ip = wechat::shown_ip(call.peer);
            let message = format!("invalid ip {ip}, not in whitelist");
            Some(failure(pick(40164, 10004, 40301), &message))
        }
        Kind::HttpStatus => Some(pages::error_page(fault.status.unwrap_or(502))),
        Kind::TooMany => {
            let reply = pages::error_page(429);
            Some(match &fault.retry_after {
                Some(wait) => reply.with("retry-after", wait.clone()),
                None => reply,
            })
        }
        Kind::Redirect => {
            let location = fault.location.clone().unwrap_or_else(|| "/wechat/".into());
            let reply = Reply::new(fault.status.unwrap_or(302), "text/html", "");
            Some(reply.with("location", location))
        }
        _ => None,
    }
}

//! A Weibo account behind the open platform, version 2.
//!
//! Errors have their own body and an HTTP status of 400 or 403. The order of the
//! checks is: interface, method, token, permission, the day's calls, then the call's
//! own rules. One user: the token's. A foreign post exists so that 20102 can be met.

mod article;
mod fields;
mod length;
pub(crate) mod mid;
mod office;
mod read;
mod share;

use serde_json::{Value, json};

use crate::clock::{day, hour};
use crate::ledger::{Platform, PublicPost};
use crate::pages;
use crate::wire::{Call, Reply};
use crate::world::Scene;

use fields::Fields;

/// Somebody else's post, older than all others.
pub(crate) const FOREIGN_POST: u64 = 3_501_756_485_200_075;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal(pub i64, pub String);

pub(crate) type Outcome = Result<Value, Refusal>;

pub(crate) fn refuse<T>(code: i64, words: &str) -> Result<T, Refusal> {
    Err(Refusal(code, words.to_owned()))
}

#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub mid: u64,
    pub own: bool,
    /// As it was given.
    pub given: String,
    /// As it is returned: addresses replaced by short links.
    pub text: String,
    /// Short link and what it stands for.
    pub links: Vec<(String, String)>,
    pub picture: Option<(&'static str, Vec<u8>)>,
    pub article: Option<String>,
    /// Posted on the site itself, not by this app.
    pub by_hand: bool,
    pub at: i64,
    pub deleted: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Headline {
    pub object_id: String,
    pub title: String,
    pub summary: String,
    pub cover: String,
    pub content: String,
    pub mid: u64,
    pub at: i64,
}

#[derive(Debug)]
pub(crate) struct Account {
    /// Oldest first.
    pub posts: Vec<Post>,
    pub headlines: Vec<Headline>,
    started: i64,
    calls: (i64, u32),
    hourly: (i64, u32),
}

impl Account {
    pub fn new(now: i64) -> Self {
        let foreign = Post {
            mid: FOREIGN_POST,
            own: false,
            given: "别人的微博".into(),
            text: "别人的微博".into(),
            links: Vec::new(),
            picture: None,
            article: None,
            by_hand: true,
            at: 0,
            deleted: false,
        };
        let (posts, headlines) = (vec![foreign], Vec::new());
        Self {
            posts,
            headlines,
            started: now,
            calls: (0, 0),
            hourly: (0, 0),
        }
    }

    /// The account's posts that can be seen now, newest first.
    pub fn live(&self) -> impl Iterator<Item = &Post> {
        self.posts
            .iter()
            .rev()
            .filter(|post| post.own && !post.deleted)
    }

    pub fn public(&self, base: &str, uid: u64) -> Vec<PublicPost> {
        let row = |post: &Post| {
            let link = post
                .links
                .first()
                .map(|(_, long)| long.clone())
                .unwrap_or_default();
            let headline = self
                .headlines
                .iter()
                .find(|h| Some(&h.object_id) == post.article.as_ref());
            PublicPost {
                platform: Platform::Weibo,
                id: post.mid.to_string(),
                title: headline.map(|h| h.title.clone()).unwrap_or_default(),
                text: post.given.clone(),
                url: format!("{base}/weibo/{uid}/{}", mid::encode(post.mid)),
                marker: post.marker(),
                link,
                first_visible_ms: post.at,
                first_visible: crate::clock::beijing(post.at).to_rfc3339(),
                copies: 0,
            }
        };
        self.live().map(row).collect()
    }

    fn spend_call(&mut self, scene: &Scene<'_>) -> Result<(), Refusal> {
        if self.calls.0 != day(scene.now) {
            self.calls = (day(scene.now), 0);
        }
        if self.calls.1 >= scene.settings.weibo.calls_per_day {
            return refuse(10023, "User requests out of rate limit!");
        }
        self.calls.1 += 1;
        Ok(())
    }

    /// Posts made in the current clock hour.
    fn posted_this_hour(&mut self, now: i64) -> &mut u32 {
        if self.hourly.0 != hour(now) {
            self.hourly = (hour(now), 0);
        }
        &mut self.hourly.1
    }
}

impl Post {
    pub fn marker(&self) -> String {
        self.links
            .first()
            .map_or_else(|| self.given.clone(), |(_, long)| long.clone())
    }
}

/// The first-line status of an error: permission, quota and login are 403, the rest 400.
fn status_of(code: i64) -> u16 {
    match code {
        10004..=10006 | 10014 | 10022..=10024 | 10032 | 20102 | 21301..=21335 => 403,
        _ => 400,
    }
}

pub(crate) fn failure(path: &str, code: i64, words: &str, status: Option<u16>) -> Reply {
    // The article call has an envelope of its own, for its own codes.
    if path.ends_with("proxy/article/publish.json") && matches!(code, 10001 | 10008 | 11001..=11003)
    {
        let body = json!({"code": code.to_string(), "msg": words, "data": {}});
        return Reply::json(status.unwrap_or(200), &body).coded(code);
    }
    let request = path.strip_prefix("/weibo").unwrap_or(path);
    let body = json!({"request": request, "error_code": code, "error": words});
    Reply::json(status.unwrap_or(status_of(code)), &body).coded(code)
}

pub(crate) fn answer(account: &mut Account, scene: &mut Scene<'_>, call: &Call) -> Reply {
    let path = call.path.strip_prefix("/weibo/").unwrap_or_default();
    let api = ["2/", "oauth2/", "proxy/"]
        .iter()
        .any(|prefix| path.starts_with(prefix));
    if !api {
        return office::answer(account, scene, call)
            .unwrap_or_else(|| pages::weibo::answer(account, scene, call));
    }
    match run(account, scene, call, path) {
        Ok(mut value) => {
            if scene.settings.weibo.stringly
                && let Some(id) = value.get("id").and_then(Value::as_u64)
            {
                value["id"] = id.to_string().into();
            }
            let code = value
                .get("code")
                .and_then(Value::as_str)
                .unwrap_or("0")
                .to_owned();
            Reply::json(200, &value).coded(code)
        }
        Err(Refusal(code, words)) => {
            let mut reply = failure(&call.path, code, &words, None);
            if scene.settings.weibo.stringly {
                let number = format!("\"error_code\":{code}");
                let text = format!("\"error_code\":\"{code}\"");
                let body = String::from_utf8_lossy(&reply.body).replace(&number, &text);
                reply.body = body.into_bytes();
            }
            reply
        }
    }
}

fn run(account: &mut Account, scene: &mut Scene<'_>, call: &Call, path: &str) -> Outcome {
    let method = match path {
        "2/statuses/share.json"
        | "2/statuses/destroy.json"
        | "2/statuses/update.json"
        | "2/statuses/upload.json"
        | "oauth2/get_token_info"
        | "proxy/article/publish.json" => "POST",
        "2/statuses/show.json"
        | "2/statuses/user_timeline.json"
        | "2/account/rate_limit_status.json" => "GET",
        _ => return refuse(10020, "Interface does not exist!"),
    };
    if call.method != method {
        return refuse(10021, "HTTP METHOD is not suported for this request!");
    }
    let fields = fields::read(call)?;
    let rules = &scene.settings.weibo;
    check_token(account, scene, &fields)?;
    let granted = match path {
        "2/statuses/share.json" => rules.share,
        "2/statuses/destroy.json" => rules.destroy,
        "proxy/article/publish.json" => rules.article,
        "2/statuses/update.json" | "2/statuses/upload.json" => false,
        _ => true,
    };
    if !granted {
        return refuse(10014, "Insufficient app permissions!");
    }
    if !matches!(
        path,
        "2/account/rate_limit_status.json" | "oauth2/get_token_info"
    ) {
        account.spend_call(scene)?;
    }
    match path {
        "2/statuses/share.json" => account.share(scene, call, &fields),
        "2/statuses/destroy.json" => account.destroy(scene, &fields),
        "2/statuses/show.json" => account.show(scene, call, &fields),
        "2/statuses/user_timeline.json" => account.timeline(scene, call, &fields),
        "oauth2/get_token_info" => Ok(account.token_info(scene)),
        "proxy/article/publish.json" => Ok(account.headline(scene, call, &fields)),
        _ => Ok(account.rate_limits(scene)),
    }
}

fn check_token(account: &Account, scene: &Scene<'_>, fields: &Fields) -> Result<(), Refusal> {
    match fields.get("access_token") {
        None | Some("") => refuse(10006, "Source paramter (appkey) is missing"),
        Some(given) if given != scene.options.weibo_token => refuse(21332, "invalid_access_token"),
        Some(_) if account.token_ends(scene) <= scene.now => refuse(21327, "expired_token"),
        Some(_) => Ok(()),
    }
}

impl Account {
    fn token_ends(&self, scene: &Scene<'_>) -> i64 {
        self.started + scene.settings.weibo.token_seconds * 1000
    }
}

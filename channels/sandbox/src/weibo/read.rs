//! Read-back calls: one post, the five newest, the token, the limits.

use chrono::Timelike;
use serde_json::{Value, json};

use super::fields::Fields;
use super::share::number;
use super::{Account, Outcome, Post, refuse};
use crate::clock::beijing;
use crate::wire::Call;
use crate::world::Scene;

/// However many are asked for, no more are given.
const NEWEST: usize = 5;
const SCREEN_NAME: &str = "市发展改革委";

/// A status object as the platform returns it: short links in the text, the id in three forms.
pub(super) fn status(scene: &Scene<'_>, post: &Post, with_user: bool) -> Value {
    let uid = scene.options.weibo_uid;
    let id = post.mid.to_string();
    let source = if post.by_hand {
        "微博网页版"
    } else {
        "未通过审核应用"
    };
    let mut pictures = Vec::new();
    if post.picture.is_some() {
        pictures.push(json!({"thumbnail_pic": format!("{}/weibo/pic/{id}", scene.base)}));
    }
    let mut value = json!({
        "created_at": beijing(post.at).format("%a %b %d %H:%M:%S %z %Y").to_string(),
        "id": post.mid,
        "mid": id,
        "idstr": id,
        "text": post.text,
        "textLength": super::length::weight(&post.given) * 2,
        "isLongText": false,
        "source": source,
        "visible": {"type": 0, "list_id": 0},
        "pic_urls": pictures,
        "can_edit": false,
        "hide_flag": 0,
        "pending_approval_count": 0,
    });
    if with_user {
        value["user"] = json!({"id": uid, "idstr": uid.to_string(), "screen_name": SCREEN_NAME});
    } else {
        value["uid"] = uid.into();
    }
    if post.deleted {
        value["deleted"] = "1".into();
    }
    value
}

impl Account {
    pub(super) fn show(&self, scene: &Scene<'_>, call: &Call, fields: &Fields) -> Outcome {
        let id = number(fields.get("id").unwrap_or_default())?;
        let seen = |post: &&Post| post.mid == id && post.at + call.lag_ms <= scene.now;
        match self.live().find(seen) {
            Some(post) => Ok(status(scene, post, true)),
            None => refuse(20101, "Target weibo does not exist!"),
        }
    }

    /// The cut to five comes before every filter: what a filter hides still takes up room.
    pub(super) fn timeline(&self, scene: &Scene<'_>, call: &Call, fields: &Fields) -> Outcome {
        let uid = scene.options.weibo_uid.to_string();
        let other_uid = fields.get("uid").is_some_and(|given| given != uid);
        let other_name = fields
            .get("screen_name")
            .is_some_and(|given| given != SCREEN_NAME);
        if other_uid || other_name {
            return refuse(21335, "request uid's value must be the current user");
        }
        let figure = |name: &str, default: u64| fields.get(name).map_or(Ok(default), number);
        let (since, until) = (figure("since_id", 0)?, figure("max_id", 0)?);
        let (count, page) = (
            figure("count", 20)?.clamp(1, 100),
            figure("page", 1)?.max(1),
        );
        let own_app = fields.get("base_app") == Some("1");
        let with_user = fields.get("trim_user") != Some("1");
        let seen: Vec<_> = self
            .live()
            .filter(|p| p.at + call.lag_ms <= scene.now)
            .collect();
        let fits = |post: &&&Post| {
            post.mid > since && (until == 0 || post.mid <= until) && !(own_app && post.by_hand)
        };
        let (count, page) = (
            usize::try_from(count).unwrap_or(20),
            usize::try_from(page).unwrap_or(1),
        );
        let statuses: Vec<_> = seen
            .iter()
            .take(NEWEST)
            .filter(fits)
            .skip((page - 1).saturating_mul(count))
            .take(count)
            .map(|post| status(scene, post, with_user))
            .collect();
        Ok(json!({
            "statuses": statuses,
            "previous_cursor": 0,
            "next_cursor": 0,
            "total_number": seen.len(),
        }))
    }

    pub(super) fn token_info(&self, scene: &Scene<'_>) -> Value {
        let uid = scene.options.weibo_uid;
        let left = (self.token_ends(scene) - scene.now) / 1000;
        let created = self.started / 1000;
        if scene.settings.weibo.stringly {
            return json!({
                "uid": uid.to_string(), "appkey": "1000000001", "scope": "",
                "create_at": created.to_string(), "expire_in": left.to_string(),
            });
        }
        json!({
            "uid": uid, "appkey": "1000000001", "scope": null,
            "create_at": created, "expire_in": left,
        })
    }

    pub(super) fn rate_limits(&mut self, scene: &Scene<'_>) -> Value {
        let limit = scene.settings.weibo.calls_per_day;
        let today = crate::clock::day(scene.now);
        let used = if self.calls.0 == today {
            self.calls.1
        } else {
            0
        };
        let posted = *self.posted_this_hour(scene.now);
        let posts = scene.settings.weibo.posts_per_hour;
        let now = beijing(scene.now);
        let into_hour = i64::from(now.minute() * 60 + now.second());
        let reset = beijing(scene.now + (3600 - into_hour) * 1000);
        json!({
            "ip_limit": 15000,
            "limit_time_unit": "HOURS",
            "remaining_ip_hits": 15000,
            "remaining_user_hits": limit.saturating_sub(used),
            "user_limit": limit,
            "reset_time": reset.format("%Y-%m-%d %H:00:00").to_string(),
            "reset_time_in_seconds": 3600 - into_hour,
            "api_rate_limits": [{
                "api": "/statuses/share",
                "limit": posts,
                "limit_time_unit": "HOURS",
                "remaining_hits": posts.saturating_sub(posted),
            }],
        })
    }
}

//! `statuses/share` and `statuses/destroy`.
//!
//! Share is the only write an ordinary app has left. Its rules are checked in the
//! order: presence, address, length, topic, domain, picture, pace, repetition, so that a
//! caller who breaks several learns of the cheapest one first.

use std::net::IpAddr;

use serde_json::Value;

use super::fields::Fields;
use super::length::{has_topic, pieces, weight};
use super::{Account, Outcome, Post, Refusal, read, refuse};
use crate::ledger::Sight;
use crate::settings::WeiboSettings;
use crate::wire::Call;
use crate::world::Scene;

impl Account {
    pub(super) fn share(&mut self, scene: &mut Scene<'_>, call: &Call, fields: &Fields) -> Outcome {
        let rules = &scene.settings.weibo;
        let text = fields.need("status")?;
        if text.trim().is_empty() {
            return refuse(20008, "Content is null!");
        }
        check_address(fields.need("rip")?)?;
        if weight(text) > rules.text_max {
            return refuse(
                20012,
                "Text too long, please input text less than 140 characters!",
            );
        }
        if has_topic(text) {
            return refuse(
                10017,
                "parameter (status)'s value invalid: topics are not allowed",
            );
        }
        check_domain(rules, text)?;
        let picture = picture(rules, fields)?;
        if !call.twin {
            self.check_pace(scene)?;
            self.check_repeat(scene, text)?;
        }
        *self.posted_this_hour(scene.now) += 1;
        let mid = self.post(scene, text, picture, None, false);
        let post = self.posts.iter().find(|post| post.mid == mid);
        Ok(post.map_or(Value::Null, |post| read::status(scene, post, true)))
    }

    /// Makes a post and returns its number.
    pub(super) fn post(
        &mut self,
        scene: &mut Scene<'_>,
        text: &str,
        picture: Option<(&'static str, Vec<u8>)>,
        article: Option<String>,
        by_hand: bool,
    ) -> u64 {
        let last = self
            .posts
            .iter()
            .map(|post| post.mid)
            .max()
            .unwrap_or_default();
        let millis = u64::try_from(scene.now - 1_700_000_000_000).unwrap_or_default();
        let mid = (5_000_000_000_000_000 + millis * 1000).max(last + 1);
        let mut links = Vec::new();
        let mut shown = String::new();
        for (link, piece) in pieces(text) {
            if link && !piece.starts_with("http://t.cn/") {
                let short = format!(
                    "http://t.cn/A6{}",
                    scene.ids.text(6).replace(['-', '_'], "x")
                );
                shown.push_str(&short);
                links.push((short, piece.to_owned()));
            } else {
                shown.push_str(piece);
            }
        }
        let given = text.to_owned();
        let (at, deleted, own) = (scene.now, false, true);
        let post = Post {
            mid,
            own,
            given,
            text: shown,
            links,
            picture,
            article,
            by_hand,
            at,
            deleted,
        };
        let what = if by_hand {
            "post made by hand"
        } else {
            "post made"
        };
        scene.note(what, &mid.to_string(), &post.marker(), Sight::Appeared);
        self.posts.push(post);
        mid
    }

    fn check_pace(&mut self, scene: &Scene<'_>) -> Result<(), Refusal> {
        let rules = &scene.settings.weibo;
        if *self.posted_this_hour(scene.now) >= rules.posts_per_hour {
            return refuse(10024, "User requests for statuses/share out of rate limit!");
        }
        let last = self
            .posts
            .iter()
            .rev()
            .find(|post| post.own && !post.by_hand);
        if last.is_some_and(|post| scene.now - post.at < rules.spacing_seconds * 1000) {
            return refuse(20016, "Out of limit: you are posting too fast");
        }
        Ok(())
    }

    /// Only posts that still stand count; the platform does not say whether deleted ones do.
    fn check_repeat(&self, scene: &Scene<'_>, text: &str) -> Result<(), Refusal> {
        if self
            .live()
            .next()
            .is_some_and(|last| last.given.trim() == text.trim())
        {
            return refuse(20019, "Repeat content!");
        }
        let bare = |text: &str| -> String {
            text.to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric())
                .collect()
        };
        let window = scene.settings.weibo.similar_seconds * 1000;
        let mut recent = self.live().filter(|post| scene.now - post.at < window);
        if recent.any(|post| bare(&post.given) == bare(text)) {
            return refuse(20017, "You have published similar content just now");
        }
        Ok(())
    }

    pub(super) fn destroy(&mut self, scene: &mut Scene<'_>, fields: &Fields) -> Outcome {
        let id = number(fields.get("id").unwrap_or_default())?;
        let found = self
            .posts
            .iter_mut()
            .find(|post| post.mid == id && !post.deleted);
        let Some(post) = found else {
            return refuse(20101, "Target weibo does not exist!");
        };
        if !post.own {
            return refuse(20102, "Not your own weibo!");
        }
        post.deleted = true;
        let gone = post.clone();
        scene.note(
            "post deleted",
            &id.to_string(),
            &gone.marker(),
            Sight::Vanished,
        );
        Ok(read::status(scene, &gone, true))
    }
}

pub(super) fn number(text: &str) -> Result<u64, Refusal> {
    if text.is_empty() {
        return refuse(20109, "Weibo id is null!");
    }
    text.parse()
        .map_err(|_| Refusal(10008, "Param error, see doc for more info".into()))
}

/// `rip` is the operator's public address.
pub(super) fn check_address(rip: &str) -> Result<(), Refusal> {
    let public = rip.parse().is_ok_and(|ip| match ip {
        IpAddr::V4(v4) => !(v4.is_loopback() || v4.is_private() || v4.is_unspecified()),
        IpAddr::V6(v6) => !(v6.is_loopback() || v6.is_unspecified()),
    });
    if public {
        Ok(())
    } else {
        refuse(10008, "Param error: rip is no public address")
    }
}

fn check_domain(rules: &WeiboSettings, text: &str) -> Result<(), Refusal> {
    if rules.safe_domains.is_empty() {
        return refuse(10017, "appkey not bind domain!");
    }
    let bound = |link: &str| {
        let host = url::Url::parse(link)
            .ok()
            .and_then(|url| url.host_str().map(str::to_owned));
        host.is_some_and(|host| rules.safe_domains.contains(&host))
    };
    if pieces(text)
        .into_iter()
        .any(|(link, piece)| link && bound(piece))
    {
        return Ok(());
    }
    refuse(10017, "text not find domain!")
}

fn picture(
    rules: &WeiboSettings,
    fields: &Fields,
) -> Result<Option<(&'static str, Vec<u8>)>, Refusal> {
    if fields.get("pic").is_some() {
        // Sent as an ordinary field: there is no file in this request.
        return refuse(20007, "Does multipart has image?");
    }
    let Some(part) = fields.files.first() else {
        return Ok(None);
    };
    if fields.files.len() > 1 || part.name != "pic" {
        return refuse(10008, "Param error: one picture named pic");
    }
    if part.data.len() >= rules.pic_max_bytes {
        return refuse(
            20006,
            "Image size too large, please input file size less than 5M!",
        );
    }
    match image::guess_format(&part.data) {
        Ok(image::ImageFormat::Jpeg) => Ok(Some(("image/jpeg", part.data.clone()))),
        Ok(image::ImageFormat::Gif) => Ok(Some(("image/gif", part.data.clone()))),
        Ok(image::ImageFormat::Png) => Ok(Some(("image/png", part.data.clone()))),
        _ => refuse(20005, "Unsupported image type, only suport JPG, GIF, PNG!"),
    }
}

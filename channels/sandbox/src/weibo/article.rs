//! The headline article (头条文章): its own envelope, and a short post bound to it.
//!
//! The content travels percent-encoded inside the transport's own encoding; a multipart
//! part with bare markup is therefore refused. There is no update and no delete.

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::fields::Fields;
use super::share::check_address;
use super::{Account, Headline};
use crate::html::{self, Rules};
use crate::wire::Call;
use crate::world::Scene;

const TITLE_MAX: usize = 32;
const CONTENT_MAX: usize = 90_000;
const TEXT_MAX: usize = 1_900;

fn invalid(what: &str) -> Value {
    json!({"code": "10008", "msg": format!("param error: {what}"), "data": {}})
}

impl Account {
    pub(super) fn headline(
        &mut self,
        scene: &mut Scene<'_>,
        call: &Call,
        fields: &Fields,
    ) -> Value {
        let given = |name: &str| fields.get(name).filter(|value| !value.trim().is_empty());
        let (Some(title), Some(content), Some(cover), Some(text), Some(rip)) = (
            given("title"),
            given("content"),
            given("cover"),
            given("text"),
            given("rip"),
        ) else {
            return invalid("title, content, cover, text and rip are required");
        };
        if fields.multipart && content.contains('<') {
            return invalid("content is not encoded");
        }
        let encoded = !content.contains('<');
        let decoded = percent_decode_str(content).decode_utf8_lossy().into_owned();
        let content = if encoded { decoded } else { content.to_owned() };
        if title.chars().count() > TITLE_MAX {
            return invalid("title is too long");
        }
        if content.chars().count() > CONTENT_MAX || text.chars().count() > TEXT_MAX {
            return invalid("content or text is too long");
        }
        if !cover.starts_with("http://") && !cover.starts_with("https://") {
            return invalid("cover is no address");
        }
        if check_address(rip).is_err() {
            return invalid("rip");
        }
        if *self.posted_this_hour(scene.now) >= scene.settings.weibo.posts_per_hour && !call.twin {
            return json!({"code": "11001", "msg": "too frequent", "data": {}});
        }
        *self.posted_this_hour(scene.now) += 1;
        let rules = Rules {
            image: &|_| true,
            link: &|_| true,
            keep_ids: false,
            drop_div: false,
        };
        let Some(content) = html::filter(&content, &rules) else {
            return invalid("content");
        };
        self.publish_headline(
            scene,
            title,
            &content,
            cover,
            text,
            given("summary").unwrap_or(""),
        )
    }

    fn publish_headline(
        &mut self,
        scene: &mut Scene<'_>,
        title: &str,
        content: &str,
        cover: &str,
        text: &str,
        summary: &str,
    ) -> Value {
        let object_id = format!("2309404{:09}", scene.ids.number());
        let url = format!("{}/weibo/ttarticle/p/show?id={object_id}", scene.base);
        let mid = self.post(scene, text, None, Some(object_id.clone()), false);
        self.headlines.push(Headline {
            object_id: object_id.clone(),
            title: title.to_owned(),
            summary: summary.to_owned(),
            cover: cover.to_owned(),
            content: content.to_owned(),
            mid,
            at: scene.now,
        });
        let data = json!({"object_id": object_id, "url": url, "mid": mid.to_string()});
        json!({"code": "100000", "msg": "", "data": data})
    }
}

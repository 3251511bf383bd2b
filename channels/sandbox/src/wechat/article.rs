//! One article: which fields are taken, which limits hold, what the filter leaves.
//!
//! Codes are the ones the reference names for `draft/add`. A limit is counted in
//! characters unless `count_bytes` is set; the platform's unit is not settled.

use serde_json::{Map, Value, json};

use super::{Account, Refusal, refuse};
use crate::html::{self, Rules};
use crate::settings::WechatSettings;
use crate::world::Scene;

const SOURCE_URL_MAX_BYTES: usize = 1024;
const DIGEST_FROM_TEXT_CHARS: usize = 54;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Article {
    pub title: String,
    pub author: String,
    pub digest: String,
    pub content: String,
    pub content_source_url: String,
    pub thumb_media_id: String,
    pub thumb_url: String,
    pub newspic: bool,
    /// Fields that are given back as they came.
    pub rest: Map<String, Value>,
}

impl Article {
    /// What tells copies of one article apart from other articles.
    pub fn marker(&self) -> String {
        if self.content_source_url.is_empty() {
            return self.title.clone();
        }
        self.content_source_url.clone()
    }

    pub fn shown(&self, url: &str, with_content: bool) -> Value {
        let mut fields = self.rest.clone();
        let mut put = |key: &str, value: &str| fields.insert(key.into(), value.into());
        put(
            "article_type",
            if self.newspic { "newspic" } else { "news" },
        );
        put("title", &self.title);
        put("author", &self.author);
        put("digest", &self.digest);
        put("content_source_url", &self.content_source_url);
        put("thumb_media_id", &self.thumb_media_id);
        put("thumb_url", &self.thumb_url);
        put("url", url);
        if with_content {
            put("content", &self.content);
        }
        Value::Object(fields)
    }
}

fn text<'a>(given: &'a Value, key: &str) -> Result<&'a str, Refusal> {
    match given.get(key) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text),
        Some(_) => refuse(47001, &format!("data format error: {key} is no string")),
    }
}

fn size(rules: &WechatSettings, text: &str) -> usize {
    if rules.count_bytes {
        text.len()
    } else {
        text.chars().count()
    }
}

impl Account {
    /// Checks one given article and returns what the platform makes of it.
    pub(super) fn take_article(
        &self,
        scene: &Scene<'_>,
        given: &Value,
        alone: bool,
    ) -> Result<Article, Refusal> {
        if !given.is_object() {
            return refuse(47001, "data format error");
        }
        let rules = &scene.settings.wechat;
        let (title, author) = (text(given, "title")?, text(given, "author")?);
        let digest = if alone { text(given, "digest")? } else { "" };
        if title.trim().is_empty() {
            return refuse(40227, "title is empty");
        }
        if size(rules, title) > rules.title_max {
            return refuse(45003, "title size out of limit");
        }
        if size(rules, author) > rules.author_max {
            return refuse(45110, "author size out of limit");
        }
        if size(rules, digest) > rules.digest_max {
            return refuse(45004, "description size out of limit");
        }
        let source = source_url(text(given, "content_source_url")?)?;
        let rest = flags(rules, given)?;
        let newspic = match text(given, "article_type")? {
            "" | "news" => false,
            "newspic" => true,
            _ => return refuse(40097, "invalid args: article_type"),
        };
        let content = self.content(scene, text(given, "content")?, newspic)?;
        let (thumb_media_id, thumb_url) = self.cover(scene, given, newspic)?;
        let digest = if digest.is_empty() && alone {
            html::cut(&html::text(&content), DIGEST_FROM_TEXT_CHARS)
        } else {
            digest.to_owned()
        };
        Ok(Article {
            title: title.to_owned(),
            author: author.to_owned(),
            digest,
            content,
            content_source_url: source,
            thumb_media_id,
            thumb_url,
            newspic,
            rest,
        })
    }

    fn content(&self, scene: &Scene<'_>, given: &str, newspic: bool) -> Result<String, Refusal> {
        let rules = &scene.settings.wechat;
        if given.trim().is_empty() && !newspic {
            return refuse(45166, "invalid content: empty");
        }
        if given.chars().count() >= rules.content_max_chars
            || given.len() >= rules.content_max_bytes
        {
            return refuse(45002, "content size out of limit");
        }
        if newspic {
            return Ok(html::text(given));
        }
        let own = format!("{}/wechat/s/", scene.base);
        let filter = Rules {
            image: &|url| self.media.serves(scene.base, url),
            link: &|url| {
                url.starts_with(&own)
                    || url.starts_with("https://mp.weixin.qq.com/s")
                    || url.starts_with("http://mp.weixin.qq.com/s")
            },
            keep_ids: false,
            drop_div: rules.drop_div,
        };
        html::filter(given, &filter).ok_or(Refusal(45166, "invalid content".into()))
    }

    fn cover(
        &self,
        scene: &Scene<'_>,
        given: &Value,
        newspic: bool,
    ) -> Result<(String, String), Refusal> {
        let usable = |id: &str| {
            let url = self.media.cover(scene, id);
            url.map(|url| (id.to_owned(), url))
                .ok_or(Refusal(40007, "invalid media_id".into()))
        };
        if !newspic {
            return usable(text(given, "thumb_media_id")?);
        }
        let list = given
            .pointer("/image_info/image_list")
            .and_then(Value::as_array);
        let images = list.map(Vec::as_slice).unwrap_or_default();
        if images.is_empty() || images.len() > 20 {
            return refuse(40097, "invalid args: image_list");
        }
        let mut covers = Vec::new();
        for image in images {
            covers.push(usable(text(image, "image_media_id")?)?);
        }
        covers
            .into_iter()
            .next()
            .ok_or(Refusal(40007, "invalid media_id".into()))
    }
}

fn source_url(url: &str) -> Result<String, Refusal> {
    let web = url::Url::parse(url).is_ok_and(|u| matches!(u.scheme(), "http" | "https"));
    if !url.is_empty() && (!web || url.len() > SOURCE_URL_MAX_BYTES) {
        return refuse(41039, "invalid content_source_url");
    }
    Ok(url.to_owned())
}

/// The switches and crops, checked and kept as given.
fn flags(rules: &WechatSettings, given: &Value) -> Result<Map<String, Value>, Refusal> {
    let mut rest = Map::new();
    for key in ["need_open_comment", "only_fans_can_comment"] {
        let value = match given.get(key) {
            None | Some(Value::Null) => 0,
            Some(value) => value.as_u64().unwrap_or(2),
        };
        if value > 1 {
            return refuse(40097, &format!("invalid args: {key}"));
        }
        if key == "need_open_comment" && value == 1 && !rules.comments {
            return refuse(88000, "without comment privilege");
        }
        rest.insert(key.into(), json!(value));
    }
    for key in ["pic_crop_235_1", "pic_crop_1_1"] {
        let crop = text(given, key)?;
        if crop.is_empty() {
            continue;
        }
        if !is_crop(crop) {
            return refuse(40097, &format!("invalid args: {key}"));
        }
        rest.insert(key.into(), crop.into());
    }
    for key in ["image_info", "cover_info"] {
        if let Some(value) = given.get(key) {
            rest.insert(key.into(), value.clone());
        }
    }
    Ok(rest)
}

/// `X1_Y1_X2_Y2`, each in 0..=1 with at most six decimals.
fn is_crop(text: &str) -> bool {
    let corners: Vec<_> = text.split('_').collect();
    let fits = |corner: &&str| {
        let decimals = corner
            .split_once('.')
            .map_or(0, |(_, decimals)| decimals.len());
        decimals <= 6
            && corner
                .parse::<f64>()
                .is_ok_and(|n| (0.0..=1.0).contains(&n))
    };
    corners.len() == 4 && corners.iter().all(fits)
}

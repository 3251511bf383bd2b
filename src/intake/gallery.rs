//! Everything an item shows or hands out beside its text, gathered by hash.
//!
//! An image named twice is opened once; one named by address is fetched once, here, and never
//! again: what was approved is what every channel gets.

use axum::http::Method;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lubu_channels::{Attachment, MediaRef, Request, Words};

use super::addresses::{called, data, sources};
use super::body::Loose;
use super::clean::{self, Images};
use super::head::Named;
use super::keys::nearest;
use super::paths::{self, Bundle};
use super::pictures::{self, Picture};
use super::{Desk, Report, files};

/// More images by address than any item has; each may take its whole time.
const MOST_FETCHED: usize = 100;

#[derive(Debug)]
pub struct Gallery<'a> {
    desk: &'a Desk<'a>,
    bundle: Bundle,
    /// By `src` as written; `None` after a complaint.
    known: BTreeMap<String, Option<MediaRef>>,
    fetched: usize,
    pub media: BTreeMap<String, Vec<u8>>,
}

impl<'a> Gallery<'a> {
    pub fn new(bundle: Bundle, desk: &'a Desk<'a>) -> Self {
        Self {
            desk,
            bundle,
            known: BTreeMap::new(),
            fetched: 0,
            media: BTreeMap::new(),
        }
    }

    /// The text with its images by hash, and the images in order of first appearance.
    pub async fn hang(&mut self, fragment: &str, report: &mut Report) -> (String, Vec<MediaRef>) {
        let mut images: Vec<MediaRef> = Vec::new();
        let mut mute = Vec::new();
        for (at, (src, alt)) in sources(fragment).into_iter().enumerate() {
            let place = format!("image {} ({})", at + 1, called(&src));
            if alt.trim().is_empty() {
                mute.push(format!("{}（{}）", at + 1, called(&src)));
            }
            let image = self.image(&place, &src, report).await;
            if let Some(image) = image
                && !images.iter().any(|known| known.hash == image.hash)
            {
                images.push(image);
            }
        }
        if !mute.is_empty() {
            report.note(
                format!(
                    "有图片没有文字说明（alt），读屏的人看不到：第 {} 张。",
                    mute.join("、")
                ),
                format!("images without a description (alt): {}.", mute.join(", ")),
            );
        }
        let known = self.known.iter();
        let places = known.filter_map(|(src, image)| {
            let image = image.as_ref()?;
            Some((src.clone(), format!("media:{}", image.hash)))
        });
        let places = Images::Place(Arc::new(places.collect()));
        let hung = clean::clean(fragment, places).unwrap_or_default();
        (hung.trim().to_owned(), images)
    }

    /// A cover named by a field.
    pub async fn cover(&mut self, named: Named, report: &mut Report) -> Option<MediaRef> {
        self.image(&named.place, &named.file, report).await
    }

    async fn image(&mut self, place: &str, src: &str, report: &mut Report) -> Option<MediaRef> {
        if let Some(known) = self.known.get(src) {
            return known.clone();
        }
        let opened = match self.bytes(src).await {
            Ok((name, bytes)) => {
                let limits = self.desk.limits.clone();
                // Decoding may keep a core busy for a second.
                let opened =
                    tokio::task::spawn_blocking(move || pictures::open(&name, bytes, &limits));
                opened.await.unwrap_or_else(|_| {
                    Err(Words::new(
                        "解码时程序出错，请换一张图片。",
                        "decoding it ended by a panic; use another image.",
                    ))
                })
            }
            Err(words) => Err(words),
        };
        let image = match opened {
            Ok(picture) => Some(self.keep(place, picture, report)),
            Err(words) => {
                report.complain(place, words);
                None
            }
        };
        self.known.insert(src.to_owned(), image.clone());
        image
    }

    fn keep(&mut self, place: &str, picture: Picture, report: &mut Report) -> MediaRef {
        let Picture {
            media,
            bytes,
            moved,
        } = picture;
        if moved {
            report.note(
                format!("{place} 带有拍摄地点，已重新编码去掉。"),
                format!("{place} told where it was taken; it was re-encoded without that."),
            );
        }
        self.media.insert(media.hash.clone(), bytes);
        media
    }

    /// Name and bytes of an image, wherever it is.
    async fn bytes(&mut self, src: &str) -> Result<(String, Vec<u8>), Words> {
        let src = src.trim();
        let lower = src.get(..8).unwrap_or(src).to_ascii_lowercase();
        if src.is_empty() {
            return Err(Words::new(
                "图片没有地址。请写文件名，或删去这张图。",
                "has no address; name a file or take the image out.",
            ));
        }
        if lower.starts_with("data:") {
            return data(src);
        }
        if lower.starts_with("http://") || lower.starts_with("https://") {
            return self.fetch(src).await;
        }
        if src.starts_with("//") {
            return Err(Words::new(
                "网络图片的地址要写全，以 https:// 开头。",
                "an address is written in full, from https:// on.",
            ));
        }
        self.file(src).map(|(path, bytes)| (path, bytes.to_vec()))
    }

    /// A file of the bundle by the name a text or field gives, percent signs or not.
    fn file(&mut self, name: &str) -> Result<(String, &[u8]), Words> {
        let bare = name.split(['?', '#']).next().unwrap_or(name);
        let ways = [
            name.to_owned(),
            paths::percent_decoded(name),
            paths::percent_decoded(bare),
        ];
        if ways
            .iter()
            .all(|way| paths::inside("a/b/c/d", way).is_none())
        {
            return Err(Words::new(
                "不能用绝对路径，也不能走出稿件文件夹。",
                "is an absolute path or leaves the item's folder.",
            ));
        }
        if let Some(path) = ways.iter().find_map(|way| self.bundle.find(way)) {
            let bytes = self.bundle.take(&path);
            return Ok((path, bytes));
        }
        let (zh, en) = match nearest(&ways[2], self.bundle.names()) {
            Some(near) => (
                format!("是不是“{near}”？"),
                format!("; did you mean `{near}`?"),
            ),
            None => (
                "请和稿件一起提交，文件名要完全一致。".into(),
                "; hand it in with it.".into(),
            ),
        };
        Err(Words::new(
            format!("稿件里没有这个文件。{zh}"),
            format!("there is no such file in the submission{en}"),
        ))
    }

    async fn fetch(&mut self, address: &str) -> Result<(String, Vec<u8>), Words> {
        if !self.desk.limits.fetch_images {
            return Err(Words::new(
                "按配置不取网络图片。请把图片存为文件，和稿件一起提交。",
                "images are not fetched here; hand the file in with the item.",
            ));
        }
        self.fetched += 1;
        if self.fetched > MOST_FETCHED {
            return Err(Words::new(
                format!("网络图片超过 {MOST_FETCHED} 张。请把图片存为文件，和稿件一起提交。"),
                format!("more than {MOST_FETCHED} images by address; hand them in as files."),
            ));
        }
        let mut request = Request::new(Method::GET, address).header("accept", "image/*");
        request.cap = usize::try_from(self.desk.limits.image_max_bytes).unwrap_or(usize::MAX);
        request.within = Duration::from_secs(30);
        let reply = self.desk.fetch.send(request).await.map_err(|trouble| {
            Words::new(
                format!("取不到这张网络图片（{trouble}）。请把图片存为文件，和稿件一起提交。"),
                format!("cannot be fetched ({trouble}); hand the file in with the item."),
            )
        })?;
        if reply.status != 200 {
            let status = reply.status;
            return Err(Words::new(
                format!("取不到这张网络图片（状态 {status}）。请把图片存为文件，和稿件一起提交。"),
                format!("cannot be fetched (status {status}); hand the file in with the item."),
            ));
        }
        let name = address.split(['?', '#']).next().unwrap_or_default();
        let name = paths::percent_decoded(paths::file_name(name));
        Ok((
            if name.is_empty() {
                "image".into()
            } else {
                name
            },
            reply.body,
        ))
    }

    /// Files that links of the text name become attachments; other links that no channel could
    /// follow lose their address, and that is told.
    pub fn linked(&mut self, links: &[Loose], known: &[Named], report: &mut Report) -> Vec<Named> {
        let mut linked: Vec<(String, Named)> = Vec::new();
        let listed: Vec<String> = known
            .iter()
            .filter_map(|named| self.bundle.find(&named.file))
            .collect();
        for Loose { href, words } in links {
            let (shown, bare) = (called(href), href.split(['?', '#']).next().unwrap_or(href));
            let Some(path) = self.bundle.find(&paths::percent_decoded(bare)) else {
                report.note(
                    format!("链接“{words}”（{shown}）不是完整网址，已去掉链接、留下文字。"),
                    format!("the link `{words}` ({shown}) is no full address; its words stay."),
                );
                continue;
            };
            if listed.contains(&path) || linked.iter().any(|(other, _)| *other == path) {
                continue;
            }
            report.note(
                format!("正文链接的文件 {path} 已列入附件。"),
                format!("{path}, linked in the text, is now an attachment."),
            );
            let label = Some(words.clone()).filter(|words| !words.is_empty());
            let place = format!("link ({shown})");
            linked.push((
                path.clone(),
                Named {
                    place,
                    file: path,
                    label,
                },
            ));
        }
        linked.into_iter().map(|(_, named)| named).collect()
    }

    /// The attachments in their order; labels default to the file's name.
    pub fn attach(&mut self, named: Vec<Named>, report: &mut Report) -> Vec<Attachment> {
        let mut attachments: Vec<Attachment> = Vec::new();
        for Named { place, file, label } in named {
            let limits = self.desk.limits;
            let opened = self.file(&file).and_then(|(path, bytes)| {
                let media = files::open(&path, bytes, limits)?;
                Ok((media, bytes.to_vec()))
            });
            match opened {
                Ok((media, bytes)) => {
                    self.media.insert(media.hash.clone(), bytes);
                    let label = label.unwrap_or_else(|| media.name.clone());
                    attachments.push(Attachment { label, media });
                }
                Err(Words { zh, en }) => {
                    let shown = paths::shown(&file);
                    report.complain(
                        &place,
                        Words::new(format!("附件“{shown}”：{zh}"), format!("`{shown}`: {en}")),
                    );
                }
            }
        }
        attachments
    }

    /// Files that nothing named are not taken, and that is told.
    pub fn tell_left(&self, report: &mut Report) {
        for path in self.bundle.left() {
            report.note(
                format!("{path} 没有被正文、封面或附件引用，未收入。"),
                format!("{path} is named by nothing in the item and was not taken."),
            );
        }
    }
}

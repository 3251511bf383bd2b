//! Whole submissions through [`prepare`], and what comes out or is said.

mod folders;
mod images;
mod refusals;
mod whole;

use axum::http::HeaderMap;
use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use lubu_channels::{Reply, Request, Transport, Trouble};

use super::{Complaint, Desk, Handed, Prepared, Submission, prepare};
use crate::config::{Categories, Intake, Office};

/// A web of a few addresses that counts who asked.
#[derive(Debug, Default)]
pub struct Web {
    pages: BTreeMap<String, (u16, Vec<u8>)>,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Transport for Web {
    async fn send(&self, request: Request) -> Result<Reply, Trouble> {
        self.asked.lock().unwrap().push(request.url.clone());
        let (status, body) = self
            .pages
            .get(&request.url)
            .cloned()
            .ok_or_else(|| Trouble::Forbidden("10.0.0.1".into()))?;
        if body.len() > request.cap {
            return Err(Trouble::TooLarge(request.cap));
        }
        Ok(Reply {
            status,
            headers: HeaderMap::new(),
            body,
        })
    }
}

/// Everything a desk borrows.
#[derive(Debug)]
pub struct Bench {
    pub limits: Intake,
    pub categories: Categories,
    pub office: Office,
    pub web: Web,
}

impl Bench {
    pub fn new() -> Self {
        const MIB: u64 = 1 << 20;
        Self {
            limits: Intake {
                text_max_bytes: MIB,
                image_max_bytes: MIB,
                attachment_max_bytes: 2 * MIB,
                total_max_bytes: 4 * MIB,
                image_max_pixels: 1_000_000,
                fetch_images: true,
            },
            categories: Categories::parse(include_str!("../../../config/categories.toml")).unwrap(),
            office: Office {
                name: "济州市发展和改革委员会".into(),
                section: "办公室".into(),
                org_code: None,
                index_template: String::new(),
            },
            web: Web::default(),
        }
    }

    pub fn page(mut self, address: &str, status: u16, body: Vec<u8>) -> Self {
        self.web.pages.insert(address.into(), (status, body));
        self
    }

    pub async fn prepare(&self, files: &[(&str, &[u8])]) -> Result<Prepared, Vec<Complaint>> {
        let files = files.iter().map(|(path, bytes)| Handed {
            path: (*path).to_owned(),
            bytes: bytes.to_vec(),
        });
        self.submit(Submission {
            main: 0,
            files: files.collect(),
        })
        .await
    }

    pub async fn submit(&self, submission: Submission) -> Result<Prepared, Vec<Complaint>> {
        let desk = Desk {
            limits: &self.limits,
            categories: &self.categories,
            office: &self.office,
            channels: vec![
                (
                    "wechat-main".into(),
                    "wechat".into(),
                    vec!["title", "summary"],
                ),
                ("weibo".into(), "weibo".into(), vec!["text"]),
            ],
            schedules: vec!["weekly".into()],
            fetch: &self.web,
        };
        prepare(submission, &desk).await
    }
}

/// A small picture of one colour.
pub fn png(shade: u8) -> Vec<u8> {
    let picture = image::RgbImage::from_pixel(8, 6, image::Rgb([shade, shade, shade]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}

/// A Markdown item with nothing but what is required.
pub fn item(body: &str) -> String {
    format!("+++\ntitle = \"关于汛期安全的通知\"\ncategory = \"0604\"\n+++\n{body}")
}

pub fn places(complaints: &[Complaint]) -> Vec<&str> {
    complaints.iter().map(|one| one.place.as_str()).collect()
}

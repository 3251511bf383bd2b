//! Rendering drafts: what each channel would show, before anyone signs.

use std::collections::BTreeMap;
use std::sync::Arc;

use lubu_channels::{
    Category, Channel, Correction, Document, Draft, Finding, Media, MediaBytes, Related,
};

use crate::model::item::{Content, Item, Revision};
use crate::store::{Store, Stored};

/// What an item's document needs beside its content.
#[derive(Debug, Clone)]
pub struct Frame<'a> {
    pub publisher: &'a str,
    pub category: Category,
    /// The item's address on the office's own site.
    pub canonical: Option<String>,
}

/// The document as one channel gets it.
pub fn document(
    item: &Item,
    revision: &Revision,
    content: &Content,
    frame: &Frame<'_>,
    channel: &str,
    adapter: &str,
) -> Document {
    Document {
        item: item.id.to_string(),
        revision: revision.number,
        received_at: item.received_at,
        title: content.title.clone(),
        summary: content.summary.clone(),
        body: content.body.clone(),
        category: frame.category.clone(),
        publisher: frame.publisher.to_owned(),
        section: content.section.clone(),
        source: content.source.clone(),
        index_no: item.index_no.clone(),
        document_number: content.document_number.clone(),
        formed_on: content.formed_on,
        validity: content.validity,
        keywords: content.keywords.clone(),
        cover: content.cover.clone(),
        images: content.images.clone(),
        attachments: content.attachments.clone(),
        related: content
            .related
            .iter()
            .map(|one| Related {
                relation: one.relation,
                link: one.link.clone(),
            })
            .collect(),
        corrections: item
            .corrections
            .iter()
            .filter(|one| one.revision <= revision.number)
            .map(|one| Correction {
                revision: one.revision,
                at: one.at,
                note: one.note.clone(),
            })
            .collect(),
        canonical: frame.canonical.clone(),
        overrides: overrides(content, channel, adapter),
    }
}

/// What the author wrote for this channel; its own name wins over its adapter's.
fn overrides(content: &Content, channel: &str, adapter: &str) -> BTreeMap<String, String> {
    let mut overrides = content.channels.get(adapter).cloned().unwrap_or_default();
    overrides.extend(content.channels.get(channel).cloned().unwrap_or_default());
    overrides
}

/// Media by hash, read before rendering so that rendering itself does no I/O.
#[derive(Debug, Default)]
pub struct Loaded(BTreeMap<String, MediaBytes>);

impl Loaded {
    pub async fn read(store: &dyn Store, content: &Content) -> Stored<Self> {
        let mut loaded = BTreeMap::new();
        for media in content.media() {
            if let Some(bytes) = store.blob(&media.hash).await? {
                loaded.insert(media.hash.clone(), bytes);
            }
        }
        Ok(Self(loaded))
    }
}

impl Media for Loaded {
    fn get(&self, hash: &str) -> Option<MediaBytes> {
        self.0.get(hash).cloned()
    }
}

/// What a channel made of a document.
pub type Rendered = Result<Draft, Vec<Finding>>;

/// Every channel's draft, rendered on a thread that may be busy for long: images are re-encoded.
pub async fn drafts(
    papers: Vec<(Arc<dyn Channel>, Document)>,
    media: Arc<Loaded>,
) -> Vec<Rendered> {
    if media.0.is_empty() {
        // Text alone takes well under a millisecond: no other thread is worth its waking.
        let one = |(channel, document): (Arc<dyn Channel>, Document)| {
            channel.draft(&document, media.as_ref())
        };
        return papers.into_iter().map(one).collect();
    }
    let count = papers.len();
    let rendered = tokio::task::spawn_blocking(move || {
        let one = |(channel, document): (Arc<dyn Channel>, Document)| {
            channel.draft(&document, media.as_ref())
        };
        papers.into_iter().map(one).collect()
    });
    rendered
        .await
        .unwrap_or_else(|_| vec![Err(vec![panicked()]); count])
}

fn panicked() -> Finding {
    let words = lubu_channels::Words::new(
        "生成稿样时程序出错，请把这一稿交给运维",
        "rendering the draft ended by a panic; hand this item to the engineer",
    );
    Finding {
        field: "body".into(),
        limit: None,
        actual: None,
        words,
    }
}

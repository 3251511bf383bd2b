//! Posts that the record named and names no more (曾用的帖子): taken down, replaced, or denied by a person.
//!
//! A platform's list may show one for a while after every record of it is closed, and a survey that knew nothing of it
//! would stop the channel. What came up later under such an id was made by no run of that time, and does. It lies
//! among the facts of the progress, where adapters do not look, and outlives them.

use chrono::TimeDelta;
use lubu_channels::Timestamp;

use super::Delivery;

const FORMER: &str = "former";
/// A list that lags shows the last one or two.
const KEPT: usize = 4;
/// Their clock and ours.
const APART: TimeDelta = TimeDelta::minutes(10);

/// A post, and when its record named it no more; none while it still does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Post {
    id: String,
    left: Option<i64>,
}

impl Delivery {
    fn former(&self) -> impl Iterator<Item = Post> {
        let posts = self.progress.get(FORMER).unwrap_or_default();
        posts.split_whitespace().filter_map(|post| {
            let (id, left) = post.rsplit_once('@')?;
            Some(Post {
                id: id.to_owned(),
                left: Some(left.parse().ok()?),
            })
        })
    }

    /// Whether its record once named a post of this id that came up then.
    pub fn once_named(&self, id: &str, came_up: Option<Timestamp>) -> bool {
        let Some(came_up) = came_up else { return false };
        let came_up = (came_up - APART).timestamp();
        self.former()
            .any(|post| post.id == id && post.left.is_some_and(|left| came_up <= left))
    }

    /// Whether an adapter has written down anything of what it did.
    pub(super) fn has_facts(&self) -> bool {
        self.progress.iter().any(|(fact, _)| fact != FORMER)
    }

    /// The posts that its record names, and has named.
    pub(super) fn posts(&self) -> Vec<Post> {
        let copy = self.copy.iter().filter_map(|copy| copy.remote_id.clone());
        let named = self.twins().into_iter().chain(copy);
        let named = named.map(|id| Post { id, left: None });
        self.former().chain(named).collect()
    }
}

/// What was named before a transition and is not after it stays on record.
pub(super) fn keep(d: &mut Delivery, before: Vec<Post>, now: Timestamp) {
    if before.is_empty() {
        return;
    }
    let copy = d.copy.as_ref().and_then(|copy| copy.remote_id.clone());
    let named = [d.twins(), copy.into_iter().collect()].concat();
    let mut former: Vec<Post> = Vec::new();
    for post in before {
        if !named.contains(&post.id) {
            former.retain(|one| one.id != post.id);
            former.push(post);
        }
    }
    former.drain(..former.len().saturating_sub(KEPT));
    let lines = former.iter().map(|post| {
        let left = post.left.unwrap_or_else(|| now.timestamp());
        format!("{}@{left}", post.id)
    });
    let lines: Vec<String> = lines.collect();
    if !lines.is_empty() {
        d.progress.set(FORMER, lines.join(" "));
    } else if d.progress.has(FORMER) {
        d.progress = std::mem::take(&mut d.progress).without(FORMER);
    }
}

//! The one trait of an adapter.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;

use super::{
    Caps, Clock, Cost, Document, Draft, Failure, Finding, Health, Job, Media, Next, Posted,
    Receipt, Sighting, Step, Surveyed, Target, Timestamp, Transport,
};

/// One configured account or site (渠道).
///
/// Promises, each checked by the conformance suite:
/// 1. `draft` and `next` are pure: the same input, the same answer; no network, no clock, no chance.
/// 2. `next` reaches `Done`, `Person` or `Wait` after finitely many steps, each with its own name.
/// 3. `perform` makes at most one call that changes the platform, ends by `call.deadline` and
///    leaves nothing running. Running it again with the saved progress does what its effect says.
/// 4. A failure is `Unsure` unless the platform certainly did not apply the call.
/// 5. `look`, `check` and a survey change nothing on the platform.
/// 6. No answer, error, log line or `Debug` text holds a secret.
#[async_trait]
pub trait Channel: Send + Sync + std::fmt::Debug {
    fn caps(&self) -> &Caps;

    /// Exactly what would be shown of one document, or the reasons why it cannot be shown here.
    fn draft(&self, document: &Document, media: &dyn Media) -> Result<Draft, Vec<Finding>>;

    /// What to do next towards `job.goal`.
    fn next(&self, job: &Job, now: Timestamp) -> Next;

    /// Runs one step.
    async fn perform(&self, job: &Job, step: &Step, call: &Call<'_>) -> Result<Receipt, Failure>;

    /// Reads the platform back.
    async fn look(&self, job: &Job, at: Target<'_>, call: &Call<'_>) -> Result<Sighting, Failure>;

    /// Are credentials, permissions, quota and connection good?
    async fn check(&self, call: &Call<'_>) -> Result<Health, Failure>;

    /// For channels that are a site of the office's own.
    fn pages(&self) -> Option<&dyn Pages>;

    /// For platforms that list what an account has posted.
    fn surveys(&self) -> Option<&dyn Surveys>;
}

/// A platform that lists what an account has posted, whoever posted it.
#[async_trait]
pub trait Surveys: Send + Sync {
    /// The newest posts of the account, as far as [`super::SurveyCaps::rows`]: all that are public through
    /// this channel and that a step of it can have made, and no post of a kind that it never makes.
    async fn survey(&self, call: &Call<'_>) -> Result<Surveyed, Failure>;

    /// Whether a post that names no item reads like this draft. Pure.
    fn reads_as(&self, posted: &Posted, draft: &Draft) -> bool;
}

/// A site of the office's own: its addresses are ours to give, and it can be served from here.
pub trait Pages: Send + Sync {
    /// The permanent public address of an item, a function of configuration and item id alone.
    fn address(&self, item: &str) -> String;

    /// Where to serve the pages, when the configuration asks for it.
    fn listen(&self) -> Option<SocketAddr>;

    fn router(&self) -> axum::Router;
}

/// What one call brings along.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    pub deadline: Timestamp,
    pub http: &'a dyn Transport,
    pub clock: Arc<dyn Clock>,
    /// Uniform in `0.0..1.0`, for nonces and jitter.
    pub dice: f64,
    /// An earlier run of this step may have been applied: "duplicate" is then evidence, no refusal.
    pub repeat: bool,
    /// For calls beyond what the step or the look is declared to cost.
    pub purse: Arc<dyn Purse>,
}

/// What a call may spend beyond its price. Some looks need one more call, and only the adapter knows which:
/// counting it with every look would use up a quota twice as fast as the platform does.
#[async_trait]
pub trait Purse: Send + Sync + std::fmt::Debug {
    /// Whether it is set aside. If not, the call that it is for is not made.
    async fn spend(&self, cost: Cost) -> bool;
}

impl Call<'_> {
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What is left of the time, for [`super::Request::within`].
    pub fn left(&self) -> std::time::Duration {
        (self.deadline - self.now()).to_std().unwrap_or_default()
    }
}

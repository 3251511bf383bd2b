//! Asking for another configuration. What does it stands in `daemon::reload`; one at a time.

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::approve::wrong;
use super::{Done, Service};
use crate::store::act::Actor;

/// Somebody wants the file read again.
#[derive(Debug)]
pub struct Asked {
    pub actor: Actor,
    pub answer: oneshot::Sender<Done<Reloaded>>,
}

/// What is in force from then on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    pub channels: Vec<String>,
    pub added: Vec<String>,
    /// Their unfinished deliveries stay as they are.
    pub removed: Vec<String>,
}

/// The way to whoever reloads; nobody by default.
#[derive(Debug, Clone, Default)]
pub struct Reloads(Option<mpsc::UnboundedSender<Asked>>);

impl Reloads {
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Asked>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(Some(sender)), receiver)
    }

    /// The answer comes once it is done; it need not be waited for.
    pub fn ask(&self, actor: Actor) -> Option<oneshot::Receiver<Done<Reloaded>>> {
        let (answer, done) = oneshot::channel();
        let sender = self.0.as_ref()?;
        sender.send(Asked { actor, answer }).ok()?;
        Some(done)
    }
}

impl Service {
    /// The configuration file is read again and in force once this returns; refused whole where
    /// anything in it is wrong.
    pub async fn reload(&self, by: &str, from: &'static str) -> Done<Reloaded> {
        let gone = || {
            wrong(
                "守护进程正在停止，没有重新加载配置。",
                "the daemon is stopping; the configuration was not reloaded.",
            )
        };
        let done = self.reloads.ask(Actor::new(by, from)).ok_or_else(gone)?;
        done.await.unwrap_or_else(|_| Err(gone()))
    }
}

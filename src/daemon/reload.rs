//! Another configuration for a running daemon.
//!
//! Everything that can refuse comes first: the whole file is read and checked, its addresses are bound,
//! its channels have their numbers, and the order is in the audit log. Until then the old configuration
//! is in force whole; from then on nothing can fail. The rules that intents are decided by change first, so that
//! no lane is ever ahead of them, and the lanes last.
//!
//! A channel's number stands for one account. Where a name means another account than before, it gets
//! another number, as at a start; what belongs to the account before stays with it.

use std::collections::BTreeSet;
use std::sync::Arc;

use lubu_channels::{Words, registry};
use tokio::sync::mpsc::UnboundedReceiver;

use super::sites::Sites;
use super::{Access, benches, policies, register};
use crate::config;
use crate::doors::Hall;
use crate::ids::ChannelNo;
use crate::service::{Asked, Reloaded, Service, Setup, Trouble};
use crate::store::act::Actor;
use crate::store::{Act, Rules};

pub struct Reloader {
    pub service: Arc<Service>,
    pub rules: Rules,
    pub sites: Sites,
    pub access: Access,
    pub hall: Hall,
    /// Channels that are looked at again, whether configured now or not.
    pub watched: BTreeSet<ChannelNo>,
}

impl Reloader {
    /// Until the stop.
    pub async fn run(mut self, mut asked: UnboundedReceiver<Asked>) {
        loop {
            let next = tokio::select! {
                () = self.hall.stop.cancelled() => return,
                next = asked.recv() => next,
            };
            let Some(Asked { actor, answer }) = next else {
                return;
            };
            let done = self.reload(actor).await;
            match &done {
                Ok(reloaded) => tracing::info!(
                    added = reloaded.added.len(),
                    removed = reloaded.removed.len(),
                    "the configuration was read again and is in force"
                ),
                Err(trouble) => {
                    let told = trouble.problem();
                    tracing::error!("the old configuration stays: {}", told.detail_en);
                    for one in &told.problems {
                        tracing::error!("{}: {}", one.place, one.words.en);
                    }
                }
            }
            // Whoever asked by a signal waits for no answer.
            let _gone = answer.send(done);
        }
    }

    async fn reload(&mut self, actor: Actor) -> Result<Reloaded, Trouble> {
        if self.access == Access::Reading {
            return Err(Trouble::Wrong(Words::new(
                "数据目录有损坏，现在只读；修复并重启后才能重新加载配置。",
                "the data folder is damaged and only read from; repair it and start again before reloading.",
            )));
        }
        let service = Arc::clone(&self.service);
        let before = service.setup();
        let running = Arc::clone(&before.config);
        let reading =
            tokio::task::spawn_blocking(move || config::reload(&running, &registry::adapters()));
        let config = match reading.await {
            Ok(read) => Arc::new(read.map_err(Trouble::Config)?),
            Err(error) => return Err(broke_off(&error)),
        };
        let bound = self.sites.bind(&config).await.map_err(Trouble::Wrong)?;
        let store = service.store.as_ref();
        let names = register(store, &config.channels, Access::Full).await?;
        let records = store.channels().await?;
        store.act(Act::Reload { actor }).await?;

        let policies = policies(&config.channels, &names);
        let benches = benches(&config.channels, &policies, &service.engine.shared);
        self.rules.replace(policies);
        let after = Setup::new(Arc::clone(&config), names, &records);
        let reloaded = reloaded(&before, &after);
        let numbers: Vec<ChannelNo> = after.names.iter().map(|(number, _)| *number).collect();
        service.in_force.replace(after);
        service.engine.reload(benches);
        let served = self.sites.serve(bound, &config, &self.hall);
        if let Err(error) = served {
            tracing::error!("a site is not served any more, start again: {error}");
        }
        self.watch(numbers);
        Ok(reloaded)
    }

    /// Looks again at each of these from now on.
    pub fn watch(&mut self, numbers: Vec<ChannelNo>) {
        for number in numbers {
            if !self.watched.insert(number) {
                continue;
            }
            let service = Arc::clone(&self.service);
            self.hall.tasks.spawn(async move {
                let orders = || service.config().verify.clone();
                service.engine.keep_watch(number, orders).await;
            });
        }
    }
}

fn broke_off(error: &tokio::task::JoinError) -> Trouble {
    tracing::error!("reading the configuration: {error}");
    Trouble::Wrong(Words::new(
        "读取配置时程序出错，仍按原配置运行；请把日志交给运维。",
        "reading the configuration broke off; the old one stays. Hand the log to the engineer.",
    ))
}

fn reloaded(before: &Setup, after: &Setup) -> Reloaded {
    let without = |these: &Setup, those: &Setup| {
        let gone = these.names.iter();
        let gone = gone.filter(|(number, _)| !those.is_configured(*number));
        gone.map(|(_, name)| name.clone()).collect()
    };
    Reloaded {
        channels: after.names.iter().map(|(_, name)| name.clone()).collect(),
        added: without(after, before),
        removed: without(before, after),
    }
}

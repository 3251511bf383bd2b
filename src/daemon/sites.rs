//! Sites of the office's own that are served from here.
//!
//! The listening socket outlives what it serves: at a reload the new pages take it over, and a reader's
//! connection waits in its queue meanwhile instead of being refused. Binding is apart from serving, so that
//! an address that is taken is known before anything is changed.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};

use lubu_channels::Words;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::doors::Hall;

/// What is served where.
#[derive(Debug, Default)]
pub struct Sites(BTreeMap<SocketAddr, Served>);

#[derive(Debug)]
struct Served {
    listener: TcpListener,
    stop: CancellationToken,
}

/// Addresses that nothing is served on yet.
#[derive(Debug)]
pub struct Bound(BTreeMap<SocketAddr, TcpListener>);

impl Sites {
    /// Binds what a configuration asks for and is not bound yet.
    pub async fn bind(&self, config: &Config) -> Result<Bound, Words> {
        let mut bound = BTreeMap::new();
        for (name, address) in wanted(config) {
            if self.0.contains_key(&address) || bound.contains_key(&address) {
                continue;
            }
            let listener = listen(address).await.map_err(|error| {
                Words::new(
                    format!("渠道 {name} 监听 {address} 失败：{error}。"),
                    format!("channel {name}: failed to listen on {address}: {error}."),
                )
            })?;
            bound.insert(address, listener);
        }
        Ok(Bound(bound))
    }

    /// Serves a configuration's sites, and nothing else from now on.
    pub fn serve(&mut self, bound: Bound, config: &Config, hall: &Hall) -> io::Result<()> {
        let mut before = std::mem::take(&mut self.0);
        let mut bound = bound.0;
        for channel in &config.channels {
            let Some(pages) = channel.channel.pages() else {
                continue;
            };
            let Some(address) = pages.listen() else {
                continue;
            };
            let known = before.remove(&address).map(|served| {
                served.stop.cancel();
                served.listener
            });
            let name = &channel.name;
            let Some(listener) = known.or_else(|| {
                tracing::info!(channel = name, "{name} is served on http://{address}");
                bound.remove(&address)
            }) else {
                continue;
            };
            let stop = hall.stop.child_token();
            let copy = tokio::net::TcpListener::from_std(listener.try_clone()?)?;
            let until = Hall {
                stop: stop.clone(),
                tasks: hall.tasks.clone(),
            };
            until.serve(copy, pages.router());
            self.0.insert(address, Served { listener, stop });
        }
        for served in before.into_values() {
            served.stop.cancel();
        }
        Ok(())
    }
}

async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    tokio::net::TcpListener::bind(address).await?.into_std()
}

fn wanted(config: &Config) -> impl Iterator<Item = (&str, SocketAddr)> {
    config.channels.iter().filter_map(|channel| {
        let address = channel.channel.pages()?.listen()?;
        Some((channel.name.as_str(), address))
    })
}

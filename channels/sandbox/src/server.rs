//! The listening socket, and everything a fault does to a connection.
//!
//! Each connection is a task of its own in one set; stopping aborts them all. Whether
//! a call is applied is decided under the world's lock by `World::answer`; this file
//! only decides how much of the request is read and how much of the answer is sent.
//! Waits here are on the real clock: they play the wire.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::faults::{Fault, Kind, Switched};
use crate::ledger::{Platform, PublicPost, Row};
use crate::options::Options;
use crate::settings::Settings;
use crate::wire::{Call, Conn, Reply};
use crate::world::World;

type Shared = Arc<Mutex<World>>;

fn lock(world: &Shared) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A sandbox that listens. Dropping it ends it as well; `stop` also waits until it has ended.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    world: Shared,
    quit: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Binds, starts serving and returns at once.
pub async fn start(options: Options) -> io::Result<Running> {
    let listener = TcpListener::bind(options.listen).await?;
    let address = listener.local_addr()?;
    let base = options
        .public_base
        .clone()
        .unwrap_or_else(|| format!("http://{address}"));
    let world = Arc::new(Mutex::new(World::new(options, base)));
    let (quit, quitting) = oneshot::channel();
    let task = tokio::spawn(accept(listener, Arc::clone(&world), quitting));
    tracing::info!(%address, "the sandbox listens on {address}");
    Ok(Running {
        address,
        world,
        quit,
        task,
    })
}

impl Running {
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base address that belongs into an adapter's configuration.
    pub fn base(&self, platform: Platform) -> String {
        format!("http://{}/{}", self.address, platform.name())
    }

    /// Every call so far, with what it applied.
    pub fn ledger(&self) -> Vec<Row> {
        self.settled().ledger.rows(None)
    }

    /// What readers can see now.
    pub fn public(&self) -> Vec<PublicPost> {
        self.settled().public(None)
    }

    pub fn settings(&self) -> Settings {
        lock(&self.world).settings.clone()
    }

    pub fn change_settings(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut lock(&self.world).settings);
    }

    /// Switches a fault on and returns its number.
    pub fn inject(&self, fault: Fault) -> u64 {
        lock(&self.world).faults.add(fault)
    }

    pub fn faults(&self) -> Vec<Switched> {
        lock(&self.world).faults.list().to_vec()
    }

    pub fn clear_faults(&self) {
        lock(&self.world).faults.clear();
    }

    /// Closes the listener and every connection; returns when all are gone.
    pub async fn stop(self) {
        if self.quit.send(()).is_ok()
            && let Err(error) = self.task.await
        {
            tracing::warn!(%error, "the sandbox did not stop cleanly");
        }
    }

    fn settled(&self) -> MutexGuard<'_, World> {
        let mut world = lock(&self.world);
        let now = world.now();
        world.settle(now);
        world
    }
}

async fn accept(listener: TcpListener, world: Shared, mut quit: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut quit => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(serve(stream, peer.ip(), Arc::clone(&world)));
                }
                Err(error) => tracing::warn!(%error, "a connection was not accepted"),
            },
        }
    }
    connections.shutdown().await;
}

async fn serve(stream: TcpStream, peer: IpAddr, world: Shared) {
    let mut next = Some(Conn::new(stream));
    while let Some(conn) = next {
        next = match exchange(conn, peer, &world).await {
            Ok(conn) => conn,
            Err(error) => {
                tracing::debug!(%error, "a connection ended early");
                None
            }
        };
    }
}

/// One request and its answer; the connection comes back if it can be used again.
async fn exchange(mut conn: Conn, peer: IpAddr, world: &Shared) -> io::Result<Option<Conn>> {
    let Some(mut call) = conn.head(peer).await? else {
        return Ok(None);
    };
    // The fault is chosen on the head alone: some strike before there is a body.
    let strike = lock(world).strike(&call);
    call.lag_ms = strike.lag_ms;
    let Some(fault) = strike.fault else {
        return plain(conn, call, world).await;
    };
    match fault.kind {
        Kind::ResetBeforeBody | Kind::ResetInBody => {
            if fault.kind == Kind::ResetInBody {
                conn.body(&call, 50).await?;
            }
            lock(world).cut_off(&call, fault.kind);
            conn.reset();
            Ok(None)
        }
        _ => {
            call.body = conn.body(&call, 100).await?;
            let reply = lock(world).answer(&call, Some(&fault));
            spoil(conn, &fault, &reply).await
        }
    }
}

async fn plain(mut conn: Conn, mut call: Call, world: &Shared) -> io::Result<Option<Conn>> {
    call.body = conn.body(&call, 100).await?;
    let reply = lock(world).answer(&call, None);
    let keep = !call
        .header("connection")
        .is_some_and(|c| c.eq_ignore_ascii_case("close"));
    let (head, body) = reply.bytes(keep);
    let whole = if call.is("HEAD") {
        head
    } else {
        [head, body].concat()
    };
    conn.send(&whole).await?;
    Ok(keep.then_some(conn))
}

/// Sends of `reply` what the fault lets through.
async fn spoil(mut conn: Conn, fault: &Fault, reply: &Reply) -> io::Result<Option<Conn>> {
    let (head, body) = reply.bytes(false);
    match fault.kind {
        Kind::ResetAfterBody | Kind::NotAppliedLost | Kind::AppliedLate => conn.reset(),
        Kind::Stall => {
            let patience = Duration::from_secs(fault.seconds.unwrap_or(600));
            tokio::time::sleep(patience).await;
        }
        Kind::HalfReply if fault.body.as_deref() == Some("head") => {
            conn.send(head.get(..head.len() / 2).unwrap_or_default())
                .await?;
        }
        Kind::HalfReply => {
            conn.send(&head).await?;
            conn.send(body.get(..body.len() / 2).unwrap_or_default())
                .await?;
        }
        Kind::Garbage => conn.send(&garbage(fault.body.as_deref(), &body)).await?,
        Kind::SlowDrip => {
            let pause = Duration::from_millis(fault.interval_ms.unwrap_or(1000));
            for byte in head.iter().chain(&body) {
                conn.send(&[*byte]).await?;
                tokio::time::sleep(pause).await;
            }
        }
        _ => conn.send(&[head, body].concat()).await?,
    }
    Ok(None)
}

/// Answers that call themselves successes and cannot be read.
fn garbage(form: Option<&str>, body: &[u8]) -> Vec<u8> {
    let bytes = match form.unwrap_or("html") {
        "raw" => return vec![0x16, 0x03, 0x01, 0x00, 0xff, 0x00, 0x01, 0x02],
        "empty" => Vec::new(),
        // 系统繁忙 in GBK
        "gbk" => vec![0xcf, 0xb5, 0xcd, 0xb3, 0xb7, 0xb1, 0xc3, 0xa6],
        "bom" => [b"\xef\xbb\xbf".as_slice(), body].concat(),
        "control" => [
            b"{\"note\":\"\x01\x02\x0b\",".as_slice(),
            body.get(1..).unwrap_or(b"}"),
        ]
        .concat(),
        _ => "<!DOCTYPE html><title>请登录</title><h1>上网认证</h1>".into(),
    };
    let (head, body) = Reply::new(200, "text/html", bytes).bytes(false);
    [head, body].concat()
}

//! Where the daemon listens: the socket and TCP.
//!
//! The folder is taken first. That excludes another living daemon, so a socket that lies there belonged to one that is
//! gone and is replaced, and whoever starts a second one is told of the first and not of a port in use. Then both doors
//! open, long before the store does, and say so.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use lubu_channels::Words;
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Time;
use crate::config::Config;
use crate::daemon::NotStarted;
use crate::http::opening::Gateway;
use crate::http::{self, App};
use crate::service::opening::{NotYet, Opening};
use crate::store::embedded::{self, Lock};

/// What every listener is served with.
#[derive(Debug, Clone)]
pub struct Hall {
    pub stop: CancellationToken,
    pub tasks: TaskTracker,
}

/// The doors, open and watched.
#[derive(Debug)]
pub struct Doors {
    /// Where TCP is listened on, when it is.
    pub address: Option<SocketAddr>,
    /// Removed with the doors, so that nobody waits before a dead one.
    pub socket: SocketFile,
    by_socket: Gateway,
    by_tcp: Gateway,
}

#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // The next start replaces what is left.
        drop(std::fs::remove_file(&self.0));
    }
}

impl Doors {
    /// Takes the folder and opens the doors; waits where the machine lacks something that it may have again.
    pub async fn open(
        config: &Config,
        opening: &Arc<Opening>,
        time: &dyn Time,
        hall: &Hall,
    ) -> Result<(Self, Lock), NotStarted> {
        let folder = &config.daemon.data;
        let first = match take(folder) {
            Err(NotYet::Never(why)) => return Err(NotStarted(why)),
            other => other.ok(),
        };
        let by_tcp = Gateway::new(Arc::clone(opening));
        let address = match config.daemon.listen {
            Some(address) => listen(address, by_tcp.router(), hall).await?,
            None => None,
        };
        let held = match first {
            Some(held) => held,
            None => opening
                .insist(time, || async { take(folder) })
                .await
                .map_err(NotStarted)?,
        };
        let by_socket = Gateway::new(Arc::clone(opening));
        let path = &config.daemon.socket;
        let bound = opening.insist(time, || async { bind_socket(path) });
        let (listener, socket) = bound.await.map_err(NotStarted)?;
        hall.serve(listener, by_socket.router());
        let doors = Self {
            address,
            socket,
            by_socket,
            by_tcp,
        };
        Ok((doors, held))
    }

    /// From now on they lead to the daemon's work.
    pub fn admit(&self, app: &App) {
        self.by_socket.open(http::socket(app.clone()));
        self.by_tcp.open(http::tcp(app.clone()));
    }
}

fn take(folder: &Path) -> Result<Lock, NotYet> {
    if let Some(parent) = folder.parent() {
        std::fs::create_dir_all(parent).map_err(|error| {
            let words = Words::new(
                format!("建立数据目录失败：{error}"),
                format!("failed to make the data folder: {error}"),
            );
            NotYet::of(words, embedded::passes(&error))
        })?;
    }
    Ok(embedded::lock(folder)?)
}

async fn listen(
    address: SocketAddr,
    router: Router,
    hall: &Hall,
) -> Result<Option<SocketAddr>, NotStarted> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        NotStarted(Words::new(
            format!("监听 {address} 失败：{error}。端口可能被占用，请改 [daemon] listen。"),
            format!("failed to listen on {address}: {error}; change [daemon] listen."),
        ))
    })?;
    let bound = listener.local_addr().ok();
    hall.serve(listener, router);
    Ok(bound)
}

/// The socket of a process that is gone is replaced; the lock of the folder has excluded a living one.
fn bind_socket(path: &Path) -> Result<(UnixListener, SocketFile), NotYet> {
    use std::os::unix::fs::PermissionsExt as _;
    let bind = || -> io::Result<UnixListener> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    match bind() {
        Ok(listener) => Ok((listener, SocketFile(path.to_owned()))),
        Err(error) => {
            let words = Words::new(
                format!("监听本机套接字失败：{error}"),
                format!("failed to listen on the socket: {error}"),
            );
            Err(NotYet::of(words, embedded::passes(&error)))
        }
    }
}

impl Hall {
    pub fn serve<L>(&self, listener: L, router: Router)
    where
        L: axum::serve::Listener,
        L::Addr: std::fmt::Debug,
    {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let ended = axum::serve(listener, router)
                .with_graceful_shutdown(stop.cancelled_owned())
                .await;
            if let Err(error) = ended {
                tracing::error!("a listener ended: {error}");
            }
        });
    }
}

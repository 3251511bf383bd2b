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

/// Holds the folder, too: what lies there after that may be another daemon's.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    _held: Lock,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // The next start replaces what is left.
        drop(std::fs::remove_file(&self.path));
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
        let listener = bound.await.map_err(NotStarted)?;
        let socket = SocketFile {
            path: path.clone(),
            _held: held.clone(),
        };
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

/// What lies there is removed only if it is a socket that nobody answers at: the lock excludes another daemon of this
/// folder, and neither one of another folder nor a file that was named by mistake.
fn clear(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt as _;
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        let why = "something that is no socket lies there";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => {
            let why = "another process answers there";
            Err(io::Error::new(io::ErrorKind::AddrInUse, why))
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        Err(error) => Err(error),
    }
}

/// The socket of a process that is gone is replaced.
fn bind_socket(path: &Path) -> Result<UnixListener, NotYet> {
    use std::os::unix::fs::PermissionsExt as _;
    let bind = || -> io::Result<UnixListener> {
        clear(path)?;
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    bind().map_err(|error| {
            let words = Words::new(
                format!(
                    "监听本机套接字 {} 失败：{error}。请改 [daemon] socket，或先移走那里的文件。",
                    path.display()
                ),
                format!(
                    "failed to listen on the socket {}: {error}; change [daemon] socket, or move away what lies there.",
                    path.display()
                ),
            );
            NotYet::of(words, embedded::passes(&error))
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_living_process_keeps_its_socket_and_a_file_that_is_none_is_not_touched() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lubu.sock");
        let living = bind_socket(&path).expect("bound");
        assert!(matches!(bind_socket(&path), Err(NotYet::Never(_))));
        let reached = std::os::unix::net::UnixStream::connect(&path);
        reached.expect("the first is still there");
        drop(living);
        bind_socket(&path).expect("what a dead one left is replaced");

        let file = folder.path().join("lubu.toml");
        std::fs::write(&file, "[daemon]").expect("written");
        assert!(matches!(bind_socket(&file), Err(NotYet::Never(_))));
        assert_eq!(std::fs::read_to_string(&file).expect("kept"), "[daemon]");
    }
}

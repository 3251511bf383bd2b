//! A door in front of the sandbox that can be shut: nobody listens, and connections are refused.
//!
//! The sandbox plays everything that happens once a connection stands; this is what happens before.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

#[derive(Debug)]
pub struct Door {
    address: SocketAddr,
    shut: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Door {
    pub async fn open(to: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shut = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(keep(listener, address, to, Arc::clone(&shut)));
        Ok(Self {
            address,
            shut,
            task,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn shut(&self, shut: bool) {
        self.shut.store(shut, Ordering::Relaxed);
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep(first: TcpListener, address: SocketAddr, to: SocketAddr, shut: Arc<AtomicBool>) {
    let mut listener = Some(first);
    let mut passing = JoinSet::new();
    loop {
        let is_shut = shut.load(Ordering::Relaxed);
        if is_shut {
            listener = None;
        } else if listener.is_none() {
            listener = TcpListener::bind(address).await.ok();
        }
        let glance = tokio::time::sleep(Duration::from_millis(20));
        let Some(open) = &listener else {
            glance.await;
            continue;
        };
        tokio::select! {
            accepted = open.accept() => if let Ok((stream, _)) = accepted {
                passing.spawn(pass(stream, to));
            },
            _ = passing.join_next(), if !passing.is_empty() => {}
            () = glance => {}
        }
    }
}

/// Bytes both ways; a reset on one side is a reset on the other.
async fn pass(mut inside: TcpStream, to: SocketAddr) {
    let Ok(mut outside) = TcpStream::connect(to).await else {
        return;
    };
    let passed = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
    if passed.is_err() {
        for stream in [&inside, &outside] {
            drop(stream.set_zero_linger());
        }
    }
}

//! The loopback sink: reads a request whole, answers at once, counts.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

impl Counted {
    fn arrived(&self) {
        self.first
            .lock()
            .expect("unpoisoned")
            .get_or_insert_with(Instant::now);
    }
}

#[derive(Default)]
struct Counted {
    requests: AtomicUsize,
    /// Whoever waits wants to hear of this many and no sooner: a bell at each would cost the measured side time.
    awaited: AtomicUsize,
    news: Notify,
    first: Mutex<Option<Instant>>,
}

pub struct Sink {
    address: SocketAddr,
    counted: Arc<Counted>,
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

impl Sink {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let counted = Arc::new(Counted::default());
        let shared = Arc::clone(&counted);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, counted }
    }

    pub fn url(&self) -> String {
        format!("http://{}/put", self.address)
    }

    pub fn count(&self) -> usize {
        self.counted.requests.load(Ordering::SeqCst)
    }

    pub async fn reached(&self, count: usize) {
        self.counted.awaited.store(count, Ordering::SeqCst);
        loop {
            let news = self.counted.news.notified();
            if self.count() >= count {
                return;
            }
            news.await;
        }
    }

    /// Notes when the next first byte arrives.
    pub fn arm(&self) {
        *self.counted.first.lock().expect("unpoisoned") = None;
    }

    pub fn first(&self) -> Instant {
        self.counted
            .first
            .lock()
            .expect("unpoisoned")
            .expect("armed and reached")
    }
}

async fn serve(mut stream: TcpStream, counted: Arc<Counted>) {
    let _slow = stream.set_nodelay(true);
    let mut buffer = Vec::with_capacity(16 << 10);
    loop {
        match stream.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        counted.arrived();
        while let Some(whole) = whole(&buffer) {
            buffer.drain(..whole);
            let requests = counted.requests.fetch_add(1, Ordering::SeqCst) + 1;
            if requests >= counted.awaited.load(Ordering::SeqCst) {
                counted.news.notify_waiters();
            }
            if stream.write_all(ANSWER).await.is_err() {
                return;
            }
        }
    }
}

/// Bytes of the first request, once all of it is here.
fn whole(buffer: &[u8]) -> Option<usize> {
    let head = buffer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&buffer[..head]).ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    let whole = head + length.unwrap_or(0);
    (buffer.len() >= whole).then_some(whole)
}
